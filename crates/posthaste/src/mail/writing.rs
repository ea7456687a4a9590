//! `posthaste mail send`, `reply`, `forward`: letters that go out.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use message::compose::Draft;
use mua::compose::answer::{self, Form, To, add_recipients};
use mua::compose::send::{self as sending, Copy, Origin, Sent};
use mua::compose::{attach, author, editor, form};
use mua::retrieve::read::{self as letters, Letter, Remember};
use mua::session::imap::Imap;
use mua::session::submission;
use mua::show::local_time::Zone;
use mua::{Desk, Failure};
use protocol::journey::JourneyId;
use protocol::smtp::Release;
use protocol::time::Timestamp;
use serde_json::json;
use service::Exit;

use super::InFolder;
use crate::output;

/// What every letter that goes out can be given.
#[derive(Args, Debug)]
struct Content {
    /// To; repeatable, or several between commas
    #[arg(long, short = 't', value_name = "ADDRESS")]
    to: Vec<String>,
    /// Cc
    #[arg(long, value_name = "ADDRESS")]
    cc: Vec<String>,
    /// Bcc: gets the letter, and nobody else sees it
    #[arg(long, value_name = "ADDRESS")]
    bcc: Vec<String>,
    /// Subject
    #[arg(long, short = 's', value_name = "TEXT")]
    subject: Option<String>,
    /// File with the text; - reads standard input. Without it the editor opens
    #[arg(long, short = 'b', value_name = "FILE", conflicts_with = "text")]
    body_file: Option<PathBuf>,
    /// The text itself
    #[arg(long, short = 'm', value_name = "TEXT")]
    text: Option<String>,
    /// A file to go with the letter; repeatable
    #[arg(long, short = 'a', value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Another address of yours to write from
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// Keeps no copy in Sent
    #[arg(long)]
    no_copy: bool,
    /// The server keeps it for so long before it leaves: 30s, 5m, 2h, 3d
    #[arg(long, value_name = "TIME", value_parser = span, visible_alias = "undo")]
    later: Option<Duration>,
    /// The server keeps it until then: 2026-11-24T08:00:00+01:00
    #[arg(long, value_name = "WHEN", value_parser = moment, conflicts_with = "later")]
    at: Option<Timestamp>,
    /// The outcome as JSON
    #[arg(long)]
    json: bool,
}

/// Writes and sends a letter.
#[derive(Args, Debug)]
#[command(after_help = "Without --body-file and --text the text is read from standard input, or \
    written in $VISUAL or $EDITOR when that is a terminal.\n\n\
    Example:\n  posthaste mail send --to 'Bob <bob@example.net>' --subject Photos \\\n    \
    --text 'Here they are.' --attach one.jpg --attach film.mp4")]
pub(super) struct SendArgs {
    #[command(flatten)]
    content: Content,
}

/// Answers a letter.
#[derive(Args, Debug)]
#[command(after_help = "The letter is quoted below your text.\n\n\
    Example:\n  posthaste mail reply 17 --all --text 'Fine with me.'")]
pub(super) struct ReplyArgs {
    /// Number of the letter
    letter: u32,
    #[command(flatten)]
    place: InFolder,
    /// Answers all its recipients too
    #[arg(long)]
    all: bool,
    /// Does not quote the letter
    #[arg(long)]
    no_quote: bool,
    #[command(flatten)]
    content: Content,
}

/// Passes a letter on.
#[derive(Args, Debug)]
#[command(after_help = "Attachments are kept.\n\n\
    Example:\n  posthaste mail forward 17 --to carol@example.net --text 'For you.'")]
pub(super) struct ForwardArgs {
    /// Number of the letter
    letter: u32,
    #[command(flatten)]
    place: InFolder,
    /// The whole letter as an attachment, untouched
    #[arg(long)]
    whole: bool,
    #[command(flatten)]
    content: Content,
}

/// Takes back a letter that waits at the server.
#[derive(Args, Debug)]
#[command(
    after_help = "Only a Posthaste can do that, and only while the letter waits: for the time \
    that --later gave it, or because nobody could be reached yet. A copy in Sent stays.\n\n\
    Example:\n  posthaste mail send --to bob@example.net --text Hello --undo 30s\n  \
    posthaste mail recall 01k0f9s3m2v7q8ra\n\nExit 1 when it has left."
)]
pub(super) struct RecallArgs {
    /// The journey, as `send` printed it
    journey: JourneyId,
    /// The outcome as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn recall(desk: &Desk, args: &RecallArgs) -> Result<Exit, Failure> {
    submission::recall(desk, args.journey).await?;
    if args.json {
        output::json(&json!({ "journey": args.journey, "recalled": true }));
    } else {
        output::line("taken back; nobody has it");
    }
    Ok(Exit::Done)
}

/// A span as `30s`, `5m`, `2h`, `3d`.
fn span(text: &str) -> Result<Duration, String> {
    service::config::values::duration::parse(text)
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_rfc3339(text)
        .ok_or_else(|| "write it as 2026-11-24T08:00:00+01:00 (RFC 3339)".to_owned())
}

pub(super) async fn send(desk: &Desk, args: &SendArgs) -> Result<Exit, Failure> {
    let from = author(&desk.account, args.content.from.as_deref())?;
    deliver(desk, Draft::new(from), &args.content, None).await
}

pub(super) async fn reply(desk: &Desk, args: &ReplyArgs) -> Result<Exit, Failure> {
    let letter = fetch(desk, args.letter, &args.place).await?;
    let to = if args.all { To::All } else { To::Author };
    let mut draft = answer::reply(&desk.account, &letter, to, &Zone::local());
    if args.no_quote {
        draft.text.clear();
    }
    let origin = Origin::answered(args.place.name()?, args.letter);
    deliver(desk, draft, &args.content, Some(origin)).await
}

pub(super) async fn forward(desk: &Desk, args: &ForwardArgs) -> Result<Exit, Failure> {
    let letter = fetch(desk, args.letter, &args.place).await?;
    let form = if args.whole { Form::Whole } else { Form::Inline };
    let draft = answer::forward(&desk.account, &letter, form);
    let origin = Origin::forwarded(args.place.name()?, args.letter);
    deliver(desk, draft, &args.content, Some(origin)).await
}

async fn fetch(desk: &Desk, uid: u32, place: &InFolder) -> Result<Letter, Failure> {
    let mut session = Imap::open(desk).await?;
    let letter = letters::fetch(&mut session, &place.name()?, uid, Remember::Nothing).await?;
    session.close().await;
    Ok(letter)
}

/// Fills the draft from the arguments, lets it be edited where no text was given, and sends it.
async fn deliver(
    desk: &Desk,
    mut draft: Draft,
    content: &Content,
    origin: Option<Origin>,
) -> Result<Exit, Failure> {
    if content.from.is_some() {
        draft.from = author(&desk.account, content.from.as_deref())?;
    }
    add_recipients(&mut draft, &content.to, &content.cc, &content.bcc)?;
    if let Some(subject) = &content.subject {
        draft.subject.clone_from(subject);
    }
    draft.attachments.extend(attach::files(&content.attach)?);
    match given_text(content)? {
        Some(text) => {
            // What was there is the quoted letter: ours goes above it.
            let below = std::mem::take(&mut draft.text);
            draft.text = if below.trim().is_empty() {
                text
            } else {
                format!("{}\n\n{}", text.trim_end(), below.trim_start_matches('\n'))
            };
        }
        None => edit(desk, &mut draft)?,
    }
    let copy = if content.no_copy { Copy::None } else { Copy::Keep };
    let after = content.later.map(|wait| Release::After(wait.as_secs()));
    let release = after.or(content.at.map(Release::At));
    let sent = sending::send(desk, &draft, (copy, release), origin.as_ref()).await?;
    tell(&sent, content.json);
    if let (Some(_), Some(journey), false) = (release, &sent.receipt.journey, content.json) {
        output::line(&format!("it waits; `posthaste mail recall {journey}` takes it back"));
    }
    Ok(if sent.receipt.refused.is_empty() { Exit::Done } else { Exit::No })
}

/// The text from --text, --body-file or a pipe; `None` when it is to be written now.
fn given_text(content: &Content) -> Result<Option<String>, Failure> {
    match (&content.text, &content.body_file) {
        (Some(text), _) => Ok(Some(format!("{text}\n"))),
        (None, Some(path)) => attach::text(path).map(Some),
        (None, None) if std::io::stdin().is_terminal() => Ok(None),
        (None, None) => attach::text(Path::new("-")).map(Some),
    }
}

fn edit(desk: &Desk, draft: &mut Draft) -> Result<(), Failure> {
    let edited = editor::edit(&form::write(draft), desk.random()?)?
        .ok_or_else(|| Failure::no("nothing was written; not sent"))?;
    if edited.trim().is_empty() {
        return Err(Failure::no("the letter was emptied; not sent"));
    }
    form::read(&edited, draft)
}

fn tell(sent: &Sent, as_json: bool) {
    let receipt = &sent.receipt;
    if as_json {
        let refused: Vec<_> = receipt
            .refused
            .iter()
            .map(|(address, reply)| json!({ "address": address.to_string(), "reply": reply }))
            .collect();
        output::json(&json!({
            "message_id": sent.message_id,
            "journey": receipt.journey,
            "reply": receipt.reply,
            "accepted": receipt.accepted.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "refused": refused,
            "copy": sent.copy.as_ref().and_then(|copy| copy.as_ref().ok()),
            "copy_error":
                sent.copy.as_ref().and_then(|copy| copy.as_ref().err()).map(ToString::to_string),
        }));
    } else {
        output::line(&receipt.reply);
        if let Some(journey) = &receipt.journey {
            output::line(&format!("journey {journey}"));
        }
        if let Some(Ok(folder)) = &sent.copy {
            output::line(&format!("copy in {}", mua::show::safe::line(folder)));
        }
    }
    for (address, reply) in &receipt.refused {
        output::complain(&format!("posthaste mail: {address} was refused: {reply}"));
    }
    if let Some(Err(failure)) = &sent.copy {
        output::complain(&format!(
            "posthaste mail: the letter is sent, but no copy is kept: {failure}"
        ));
    }
}
