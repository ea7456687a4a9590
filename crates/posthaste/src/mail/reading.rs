//! `posthaste mail read`: a letter for people, its parts, its attachments, its octets.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use clap::Args;
use mua::retrieve::read::{self as letters, Fields, Letter, Remember};
use mua::retrieve::save;
use mua::session::imap::Imap;
use mua::show::{safe, table};
use mua::{Desk, Failure};
use service::Exit;

use super::InFolder;
use crate::output;

/// Columns in which a text is still pleasant to read.
const READABLE: usize = 100;

/// Shows a letter.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste mail read 17\n  \
    posthaste mail read 17 --save ~/Downloads\n  \
    posthaste mail read 17 --part 2 > photo.jpg")]
pub(super) struct ReadArgs {
    /// Number of the letter
    letter: u32,
    #[command(flatten)]
    place: InFolder,
    /// Only this part, as its list numbers them
    #[arg(long, value_name = "N")]
    part: Option<String>,
    /// Saves the attachments (or the part of --part) into this folder
    #[arg(long, value_name = "DIR")]
    save: Option<PathBuf>,
    /// The letter as it came, octet by octet
    #[arg(long, conflicts_with_all = ["part", "save"])]
    raw: bool,
    /// All header fields
    #[arg(long)]
    headers: bool,
    /// Does not mark the letter as read
    #[arg(long)]
    peek: bool,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn read(desk: &Desk, args: &ReadArgs) -> Result<Exit, Failure> {
    let remember = if args.peek { Remember::Nothing } else { Remember::Seen };
    let mut session = Imap::open(desk).await?;
    let letter = letters::fetch(&mut session, &args.place.name()?, args.letter, remember).await?;
    session.close().await;
    if let Some(folder) = &args.save {
        return save_parts(&letter, args, folder);
    }
    if args.raw {
        return octets(&letter.raw);
    }
    let width = table::terminal_width().min(READABLE);
    if let Some(number) = &args.part {
        return show_part(&letter, number, width);
    }
    if args.json {
        output::json(&letter.overview(width));
    } else {
        let fields = if args.headers { Fields::All } else { Fields::Usual };
        output::line(letter.display(width, fields).trim_end());
    }
    Ok(Exit::Done)
}

fn save_parts(letter: &Letter, args: &ReadArgs, folder: &std::path::Path) -> Result<Exit, Failure> {
    let saved = match &args.part {
        None => save::attachments(letter, folder)?,
        Some(number) => {
            letter.part(number)?;
            let known = letter.parts().into_iter().find(|part| part.part == *number);
            let info = known.ok_or_else(|| {
                Failure::no(format!("part {number} holds other parts; save those"))
            })?;
            vec![save::part(letter, &info, folder)?]
        }
    };
    for one in &saved {
        if args.json {
            output::json(one);
        } else {
            output::line(&one.path.display().to_string());
        }
    }
    if saved.is_empty() {
        output::complain("posthaste mail: the letter has no attachments");
        return Ok(Exit::No);
    }
    Ok(Exit::Done)
}

/// A part: text made safe on a terminal, octets into a file or pipe.
fn show_part(letter: &Letter, number: &str, width: usize) -> Result<Exit, Failure> {
    let part = letter.part(number)?;
    if !std::io::stdout().is_terminal() {
        return octets(&letter.octets(part));
    }
    if !part.media.kind.eq_ignore_ascii_case("text") {
        return Err(Failure::no(format!(
            "part {number} is {}, no text; save it with --save DIR, or send it into a file or pipe",
            safe::line(&format!("{}/{}", part.media.kind, part.media.subtype))
        )));
    }
    output::line(letter.part_text(part, width).trim_end());
    Ok(Exit::Done)
}

/// Octets as they are, but made safe where a terminal would obey them.
fn octets(octets: &[u8]) -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    let written = if out.is_terminal() {
        out.write_all(safe::text(&String::from_utf8_lossy(octets)).as_bytes())
    } else {
        out.write_all(octets)
    };
    match written.and_then(|()| out.flush()) {
        Ok(()) => Ok(Exit::Done),
        // `| head` has seen enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Exit::Done),
        Err(error) => Err(Failure::io("cannot write the letter", &error)),
    }
}
