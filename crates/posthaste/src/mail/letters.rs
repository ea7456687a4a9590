//! `posthaste mail list`, `search`, `move`, `flag`, `folders`, `watch`: letters by their numbers.

use std::ops::ControlFlow;

use clap::{Args, value_parser};
use mua::retrieve::change::{self, Mark, Moved};
use mua::retrieve::{
    folders as folder_list, list as pages, query, search as searches, watch as news,
};
use mua::session::imap::Imap;
use mua::show::local_time::Zone;
use mua::show::table::{self, Folders};
use mua::{Desk, Failure};
use serde_json::json;
use service::Exit;

use super::{InFolder, Uids, all_uids};
use crate::output;

/// Lists the letters of a folder, newest first.
#[derive(Args, Debug)]
#[command(
    after_help = "Marks: N unread, ! flagged, r answered, D deleted, @ has attachments. The \
    number in front is what the other commands take.\n\n\
    Example:\n  posthaste mail list Archive --page 2 --json"
)]
pub(super) struct ListArgs {
    /// Which folder
    #[arg(default_value = "INBOX")]
    folder: String,
    /// Which page; 1 has the newest letters
    #[arg(long, short = 'p', default_value_t = 1, value_parser = value_parser!(u32).range(1..))]
    page: u32,
    /// Letters on a page
    #[arg(
        long,
        short = 'n',
        default_value_t = 50,
        value_parser = value_parser!(u32).range(1..=10_000)
    )]
    limit: u32,
    /// One JSON object per letter
    #[arg(long)]
    json: bool,
}

/// Finds letters.
#[derive(Args, Debug, Clone)]
#[command(after_help = "Words and \"quoted phrases\" are looked for everywhere in a letter. \
    Everything that is said must hold; - in front negates.\n\
    from: to: cc: bcc: reply-to: subject: message-id: body: header:NAME=TEXT\n\
    is:unread is:read is:flagged is:answered is:draft is:deleted tag:KEYWORD has:attachment\n\
    after: before: on: with 2026-11-22, 2026-11, today, yesterday, 3d, 2w, 6m, 1y\n\
    larger: smaller: with 500k, 5m    in:FOLDER, in:all\n\n\
    Example:\n  posthaste mail search from:alice is:unread 'subject:\"next week\"'\n\n\
    Exit 1 when nothing is found.")]
pub(super) struct SearchArgs {
    /// What to look for
    #[arg(required = true, allow_hyphen_values = true, num_args = 1..)]
    query: Vec<String>,
    #[command(flatten)]
    place: InFolder,
    /// Most letters to show
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
    /// One JSON object per letter
    #[arg(long)]
    json: bool,
}

/// Moves letters to another folder.
#[derive(Args, Debug)]
#[command(
    after_help = "trash, archive, junk, sent and drafts mean the server's folders for that.\n\n\
    Example:\n  posthaste mail move 17 20-25 --to archive"
)]
pub(super) struct MoveArgs {
    /// Numbers of the letters: 17, 3,5 or 20-25
    #[arg(required = true)]
    letters: Vec<Uids>,
    /// Where to
    #[arg(long, value_name = "FOLDER")]
    to: String,
    #[command(flatten)]
    place: InFolder,
    /// The outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Marks letters.
#[derive(Args, Debug)]
#[command(after_help = "Marks: read, unread, flagged, unflagged, answered, deleted, draft, or a \
    keyword of your own; - in front takes one away; several between commas.\n\n\
    Example:\n  posthaste mail flag read,flagged 17 20-25")]
pub(super) struct FlagArgs {
    /// What to set or take away
    #[arg(allow_hyphen_values = true)]
    marks: String,
    /// Numbers of the letters: 17, 3,5 or 20-25
    #[arg(required = true)]
    letters: Vec<Uids>,
    #[command(flatten)]
    place: InFolder,
    /// The outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Lists the folders.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste mail folders --create Receipts")]
pub(super) struct FoldersArgs {
    /// Makes a folder first
    #[arg(long, value_name = "NAME")]
    create: Option<String>,
    /// One JSON object per folder
    #[arg(long)]
    json: bool,
}

/// Waits for new letters.
#[derive(Args, Debug)]
#[command(after_help = "Runs until it is interrupted; a lost connection is made anew.\n\n\
    Example:\n  posthaste mail watch --json | while read -r letter; do echo \"$letter\"; done")]
pub(super) struct WatchArgs {
    /// Which folder
    #[arg(default_value = "INBOX")]
    folder: String,
    /// Ends after so many letters
    #[arg(long, value_name = "N")]
    count: Option<u64>,
    /// One JSON object per letter
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(desk: &Desk, args: &ListArgs) -> Result<Exit, Failure> {
    let mut session = Imap::open(desk).await?;
    let folder = change::target(&mut session, &args.folder).await?;
    let page = pages::page(&mut session, &folder, args.page, args.limit).await?;
    session.close().await;
    if args.json {
        page.letters.iter().for_each(output::json);
        return Ok(Exit::Done);
    }
    show(&page.letters, Folders::Hidden);
    let pages = page.total.div_ceil(args.limit).max(1);
    let name = mua::show::safe::line(&page.folder);
    output::line(&format!("{name}: {} letters, page {} of {pages}", page.total, args.page));
    Ok(Exit::Done)
}

pub(super) async fn search(desk: &Desk, args: &SearchArgs) -> Result<Exit, Failure> {
    let mut args = args.clone();
    take_options(&mut args)?;
    let query = query::parse(&typed(&args.query), desk.clock.now())?;
    let mut session = Imap::open(desk).await?;
    let here = args.place.name()?;
    let (found, count) = searches::find(&mut session, &query, &here, args.limit).await?;
    session.close().await;
    if args.json {
        found.iter().for_each(output::json);
    } else {
        let one_folder = found.windows(2).all(|two| two[0].folder == two[1].folder);
        let here = found.first().is_none_or(|entry| entry.folder == here.as_str());
        show(&found, if one_folder && here { Folders::Hidden } else { Folders::Shown });
        if count > found.len() {
            output::line(&format!("{} of {count} letters; --limit shows more", found.len()));
        }
    }
    Ok(if count == 0 { Exit::No } else { Exit::Done })
}

/// Options behind the first word: clap takes them for words of the query, because words may begin
/// with a hyphen.
fn take_options(args: &mut SearchArgs) -> Result<(), Failure> {
    let mut words = std::mem::take(&mut args.query).into_iter();
    while let Some(word) = words.next() {
        let (name, mut value) = match word.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.as_str(), None),
        };
        let mut value = || {
            value.take().or_else(|| words.next()).ok_or_else(|| {
                Failure::usage(format!("{name} wants a value; `posthaste mail search --help`"))
            })
        };
        match name {
            "--json" => args.json = true,
            "--folder" | "-f" => args.place.folder = value()?,
            "--limit" | "-n" => {
                let typed = value()?;
                args.limit = typed
                    .parse()
                    .map_err(|_| Failure::usage(format!("{name}: {typed:?} is no number")))?;
            }
            name if name.starts_with("--") => {
                return Err(Failure::usage(format!(
                    "{name} is not known behind the words of a search; put it before them"
                )));
            }
            _ => args.query.push(word),
        }
    }
    Ok(())
}

/// The arguments as one query: the shell took the quotes away, so that an argument with spaces is
/// a phrase.
fn typed(arguments: &[String]) -> String {
    let quoted = |argument: &String| {
        if !argument.contains(char::is_whitespace) || argument.contains('"') || arguments.len() == 1
        {
            return argument.clone();
        }
        match argument.split_once(':').filter(|(prefix, _)| !prefix.contains(char::is_whitespace)) {
            Some((prefix, value)) => format!("{prefix}:\"{value}\""),
            None => format!("\"{argument}\""),
        }
    };
    arguments.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn show(entries: &[pages::Entry], folders: Folders) {
    for line in table::letters(entries, &Zone::local(), table::terminal_width(), folders) {
        output::line(&line);
    }
}

pub(super) async fn move_to(desk: &Desk, args: &MoveArgs) -> Result<Exit, Failure> {
    let (folder, uids) = (args.place.name()?, all_uids(&args.letters));
    let mut session = Imap::open(desk).await?;
    let target = change::target(&mut session, &args.to).await?;
    let (uids, moved) = change::move_to(&mut session, &folder, &uids, &target).await?;
    session.close().await;
    if args.json {
        output::json(&json!({
            "letters": uids, "from": folder.as_str(), "to": target.as_str(),
            "left_marked": moved == Moved::CopiedAndMarked,
        }));
    } else if moved == Moved::CopiedAndMarked {
        output::line(&format!(
            "copied to {target}; the server cannot remove single letters, so that they are marked \
             deleted in {folder}"
        ));
    } else {
        let target = mua::show::safe::line(target.as_str());
        output::line(&format!("{} moved to {target}", count(uids.len())));
    }
    Ok(Exit::Done)
}

fn count(letters: usize) -> String {
    if letters == 1 { "1 letter".to_owned() } else { format!("{letters} letters") }
}

pub(super) async fn flag(desk: &Desk, args: &FlagArgs) -> Result<Exit, Failure> {
    let marks: Vec<Mark> = args.marks.split(',').map(Mark::parse).collect::<Result<_, _>>()?;
    let (folder, uids) = (args.place.name()?, all_uids(&args.letters));
    let mut session = Imap::open(desk).await?;
    let uids = change::mark(&mut session, &folder, &uids, &marks).await?;
    session.close().await;
    if args.json {
        output::json(&json!({ "letters": uids, "folder": folder.as_str(), "marks": args.marks }));
    } else {
        output::line(&format!("{} marked {}", count(uids.len()), args.marks));
    }
    Ok(Exit::Done)
}

pub(super) async fn folders(desk: &Desk, args: &FoldersArgs) -> Result<Exit, Failure> {
    let mut session = Imap::open(desk).await?;
    if let Some(name) = &args.create {
        change::create(&mut session, name).await?;
    }
    let all = folder_list::all(&mut session).await?;
    session.close().await;
    if args.json {
        all.iter().for_each(output::json);
    } else {
        for line in table::folders(&all, table::terminal_width()) {
            output::line(&line);
        }
    }
    Ok(Exit::Done)
}

pub(super) async fn watch(desk: &Desk, args: &WatchArgs) -> Result<Exit, Failure> {
    let folder = folder_list::name(&args.folder)?;
    let mut left = args.count;
    let found = |entry: &pages::Entry| {
        if args.json {
            output::json(entry);
        } else {
            show(std::slice::from_ref(entry), Folders::Hidden);
        }
        left = left.map(|left| left.saturating_sub(1));
        if left == Some(0) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let lost =
        |failure: &Failure| output::complain(&format!("posthaste mail: {failure}; trying anew"));
    if args.count == Some(0) {
        return Ok(Exit::Done);
    }
    news::run(desk, &folder, found, lost).await?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_may_follow_the_words() {
        let words = |words: &[&str]| SearchArgs {
            query: words.iter().map(|word| (*word).to_owned()).collect(),
            place: InFolder { folder: "INBOX".into() },
            limit: 50,
            json: false,
        };
        let mut args = words(&["-is:read", "--json", "x", "-n", "3", "--folder=Sent"]);
        take_options(&mut args).unwrap();
        assert_eq!(args.query, ["-is:read", "x"]);
        assert_eq!((args.json, args.limit, args.place.folder.as_str()), (true, 3, "Sent"));
        assert!(take_options(&mut words(&["x", "--bogus"])).is_err());
        assert!(take_options(&mut words(&["x", "--limit"])).is_err());
    }

    #[test]
    fn the_shell_takes_quotes_away() {
        let join = |words: &[&str]| {
            typed(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
        };
        assert_eq!(join(&["from:alice", "is:unread"]), "from:alice is:unread");
        assert_eq!(join(&["subject:two words", "x y"]), "subject:\"two words\" \"x y\"");
        assert_eq!(join(&["from:alice is:unread"]), "from:alice is:unread");
    }
}
