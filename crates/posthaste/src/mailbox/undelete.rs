//! `posthaste mailbox undelete` and `posthaste mailbox tidy`: letters that were expunged are listed
//! and brought back, old ones go. The MDA does it; here are only the words.

use std::time::Duration;

use clap::Args;
use mda::care_verbs::{ExpungedLetter, TidyMailboxes, UndeleteAct, UndeleteLetters};
use protocol::ipc::Fault;
use protocol::time::Timestamp;
use service::config::values::duration;
use service::{AgentName, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::output;
use crate::people;

/// Brings expunged letters back.
#[derive(Args, Debug)]
#[command(after_help = "What was expunged, or deleted with its mailbox, is kept for as long as \
                        mailbox.expunged_kept says.\n\nExamples:\n  \
                        posthaste mailbox undelete alice@example.org --list\n  \
                        posthaste mailbox undelete alice@example.org 1.57 1.58\n  \
                        posthaste mailbox undelete alice@example.org --mailbox Lists --since 2d")]
pub(super) struct UndeleteArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The account
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Letters, as --list names them
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// Only letters that were in this mailbox
    #[arg(long, value_name = "NAME")]
    mailbox: Option<String>,
    /// Only letters expunged since then: "2d", "3h", "2026-11-20" or "2026-11-20T08:00:00Z"
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// Show them, bring nothing back
    #[arg(long)]
    list: bool,
    /// Bring back all there are
    #[arg(long, conflicts_with_all = ["ids", "list"])]
    all: bool,
    /// One JSON object for each letter
    #[arg(long)]
    json: bool,
}

/// Does the daily round through the mailboxes now.
#[derive(Args, Debug)]
#[command(after_help = "It empties Trash and Junk by age where mailbox.empty_trash_after and \
                        empty_junk_after say so, and removes for good what was expunged longer \
                        ago than mailbox.expunged_kept.\n\nExample:\n  posthaste mailbox tidy")]
pub(super) struct TidyArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The account; without it: every account
    #[arg(value_name = "ADDRESS")]
    address: Option<String>,
    /// The answer as one JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn undelete(args: &UndeleteArgs) -> Result<Exit, Fatal> {
    let (paths, account) = people::existing(&args.file, &args.address)?;
    let names_some = !args.ids.is_empty() || args.mailbox.is_some() || args.since.is_some();
    if !(names_some || args.list || args.all) {
        return Err(Fatal::no(
            "which letters? Name them by ID, --mailbox or --since, say --all, or look at them \
             first with --list",
        ));
    }
    let asked = UndeleteLetters {
        account,
        act: if args.list { UndeleteAct::List } else { UndeleteAct::Restore },
        ids: args.ids.clone(),
        mailbox: args.mailbox.clone(),
        since: args.since.map(Timestamp::as_seconds),
    };
    let (mut letters, mut failed) = (0u64, 0u64);
    let told = ask::runtime()?.block_on(async {
        let mut pages = ask::client(&paths, AgentName::Mda).stream(&asked, LONG).await?;
        while let Some(page) = pages.next().await {
            for letter in page?.letters {
                letters += 1;
                failed += u64::from(letter.failed.is_some());
                if args.json {
                    output::json(&letter);
                } else {
                    output::line(&line(&letter));
                }
            }
        }
        Ok::<_, Fault>(())
    });
    told.map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if !args.json {
        output::line(&match (args.list, letters - failed) {
            (true, count) => format!("{count} expunged letters are kept"),
            (false, count) => format!("{count} letters brought back"),
        });
    }
    Ok(if failed == 0 { Exit::Done } else { Exit::No })
}

pub(super) fn tidy(args: &TidyArgs) -> Result<Exit, Fatal> {
    let (paths, account) = match &args.address {
        Some(address) => {
            people::existing(&args.file, address).map(|(paths, account)| (paths, Some(account)))?
        }
        None => (Paths::new(&args.file.load()?.current().storage.data_dir), None),
    };
    let client = ask::client(&paths, AgentName::Mda);
    let answer = ask::runtime()?
        .block_on(client.call(&TidyMailboxes { account }, LONG))
        .map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if args.json {
        output::json(&answer);
    } else {
        output::line(&format!(
            "{} accounts: {} letters expunged by age, {} expunged ones removed for good, {} \
             ({} bytes) can still be brought back",
            answer.accounts, answer.expired, answer.purged, answer.kept, answer.kept_bytes
        ));
    }
    Ok(Exit::Done)
}

fn line(letter: &ExpungedLetter) -> String {
    let when = Timestamp::from_seconds(letter.expunged).to_rfc3339();
    let what = match (&letter.restored, &letter.failed) {
        (Some((mailbox, uid)), _) => format!("  -> {mailbox}, UID {uid}"),
        (_, Some(why)) => format!("  not brought back: {why}"),
        _ => String::new(),
    };
    output::safe(&format!(
        "{}  {when}  {}  {} bytes  {}  {}{what}",
        letter.id, letter.mailbox, letter.size, letter.from, letter.subject
    ))
}

/// A moment, or how long ago it was.
fn moment(text: &str) -> Result<Timestamp, String> {
    if let Ok(ago) = duration::parse(text) {
        return Ok(net::Clock::real().now().before(ago));
    }
    let whole = if text.len() == DATE { format!("{text}T00:00:00Z") } else { text.to_owned() };
    Timestamp::from_rfc3339(&whole).ok_or_else(|| {
        format!("{text:?} is neither a time such as 2026-11-20 nor a duration such as 2d")
    })
}

/// Octets of `2026-11-20`.
const DATE: usize = 10;

/// How long the MDA may take for one part of an answer: many letters on a slow disk.
const LONG: Duration = Duration::from_secs(600);
