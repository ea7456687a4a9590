//! `posthaste mailbox`: verify what is stored, rebuild what can be made anew, bring back what was
//! expunged. The MDA does it while mail comes and goes; here are only the words.

mod carry;
mod undelete;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use mda::verbs::{AskVerification, RebuildMailboxes, VerifyMailboxes};
use protocol::time::Timestamp;
use service::{AgentName, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;
use crate::people;

/// Looks after the mailboxes of an account.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste mailbox verify alice@example.org")]
pub(crate) struct MailboxArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Reads every letter and compares it with what was stored
    Verify(VerifyArgs),
    /// Throws the index away and takes over what other programs did in the Maildirs
    Rebuild(Which),
    /// Brings expunged letters back, or shows which there are
    Undelete(undelete::UndeleteArgs),
    /// Empties Trash and Junk by age, and removes what was expunged long ago, now
    Tidy(undelete::TidyArgs),
    /// Brings letters in from a Maildir, an mbox or another server
    Import(carry::ImportArgs),
    /// Writes all letters out as a Maildir or as mbox files
    Export(carry::ExportArgs),
}

/// Whose mailboxes.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste mailbox rebuild alice@example.org --json")]
struct Which {
    #[command(flatten)]
    file: ConfigArgs,
    /// The account
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// The answer as one JSON object
    #[arg(long)]
    json: bool,
}

/// Whose mailboxes, or how far the verification in the background is.
#[derive(Args, Debug)]
#[command(
    after_help = "What is damaged is isolated: the letter stays in its list, its file lies in \
                        posthaste-quarantine. Put the file of a backup in its place and verify \
                        again: then the letter is well.\n\n\
                        Exit 0 when all is well, 1 when a letter is not as it was stored.\n\n\
                        Examples:\n  posthaste mailbox verify alice@example.org --json\n  \
                        posthaste mailbox verify --status"
)]
struct VerifyArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The account
    #[arg(value_name = "ADDRESS", required_unless_present = "status")]
    address: Option<String>,
    /// Shows how far the verification in the background is
    #[arg(long, conflicts_with = "address")]
    status: bool,
    /// The answer as one JSON object
    #[arg(long)]
    json: bool,
}

/// How long the MDA may read: a large account on a slow disk takes its time.
const READ: Duration = Duration::from_secs(6 * 3600);

/// The command.
pub(crate) fn run(args: &MailboxArgs) -> ExitCode {
    match &args.verb {
        Verb::Verify(which) => exit::of("mailbox", verify(which)),
        Verb::Rebuild(which) => exit::of("mailbox", rebuild(which)),
        Verb::Undelete(args) => exit::of("mailbox undelete", undelete::undelete(args)),
        Verb::Tidy(args) => exit::of("mailbox tidy", undelete::tidy(args)),
        Verb::Import(args) => exit::of("mailbox import", carry::import(args)),
        Verb::Export(args) => exit::of("mailbox export", carry::export(args)),
    }
}

fn verify(which: &VerifyArgs) -> Result<Exit, Fatal> {
    let Some(address) = &which.address else { return verification(which) };
    let (paths, account) = people::existing(&which.file, address)?;
    let client = ask::client(&paths, AgentName::Mda);
    let asked = VerifyMailboxes { account };
    let answer = ask::runtime()?
        .block_on(client.call(&asked, READ))
        .map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if which.json {
        output::json(&answer);
    } else {
        output::line(&format!(
            "{} letters, {} bytes, as they were stored",
            answer.letters, answer.bytes
        ));
        if answer.released > 0 {
            output::line(&format!("{} letters are well again", answer.released));
        }
        for letter in &answer.damaged {
            output::line(&format!(
                "{} UID {}: {}",
                output::safe(&letter.mailbox),
                letter.uid,
                letter.what
            ));
        }
        if answer.is_cut {
            output::line("and more");
        }
    }
    Ok(if answer.damaged.is_empty() { Exit::Done } else { Exit::No })
}

fn verification(args: &VerifyArgs) -> Result<Exit, Fatal> {
    let paths = Paths::new(&args.file.load()?.current().storage.data_dir);
    let client = ask::client(&paths, AgentName::Mda);
    let pass = ask::runtime()?
        .block_on(client.call(&AskVerification {}, ask::WAIT))
        .map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if args.json {
        output::json(&pass);
        return Ok(Exit::Done);
    }
    let moment = |seconds| match seconds {
        0 => "never".to_owned(),
        _ => Timestamp::from_seconds(seconds).to_rfc3339(),
    };
    output::line(&format!("began: {}", moment(pass.began)));
    output::line(&match &pass.at {
        Some(account) => format!("now at: {}", output::safe(account)),
        None => format!("finished: {}", moment(pass.finished)),
    });
    output::line(&format!(
        "{} letters, {} bytes; {} damaged, {} well again",
        pass.letters, pass.bytes, pass.damaged, pass.released
    ));
    Ok(Exit::Done)
}

fn rebuild(which: &Which) -> Result<Exit, Fatal> {
    let (paths, account) = which.account()?;
    let client = ask::client(&paths, AgentName::Mda);
    let asked = RebuildMailboxes { account };
    let answer = ask::runtime()?
        .block_on(client.call(&asked, READ))
        .map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if which.json {
        output::json(&answer);
    } else {
        output::line(&format!(
            "index discarded; from other programs: {} letters came, {} changed, {} gone",
            answer.came, answer.changed, answer.gone
        ));
    }
    Ok(Exit::Done)
}

impl Which {
    /// The data folder, and the account, which must exist: asking for the mailboxes of nobody would
    /// make them.
    fn account(&self) -> Result<(Paths, String), Fatal> {
        people::existing(&self.file, &self.address)
    }
}
