//! `posthaste mail`: the user agent on the command line. This folder reads arguments and prints;
//! the work is done by the `mua` crate. It needs no configuration of a server of ours: any IMAP
//! and submission server will do.

mod account;
mod letters;
mod reading;
mod writing;

use std::process::ExitCode;

use clap::{Args, Subcommand};
use mua::account::Accounts;
use mua::{Desk, Failure, Kind};
use protocol::imap::mailbox::MailboxName;
use service::{Exit, Fatal};

use crate::{ask, exit};

/// Reads and writes mail.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  \
    posthaste mail account add alice@example.org --imap imaps://mail.example.org \\\n    \
    --submission smtps://mail.example.org\n  \
    posthaste mail list\n  posthaste mail read 17\n  \
    posthaste mail send --to bob@example.net --subject Hello --attach photo.jpg")]
pub(crate) struct MailArgs {
    /// Which account of the account file, by name or address
    #[arg(long, global = true, value_name = "NAME")]
    account: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Writes and sends a letter
    Send(writing::SendArgs),
    /// Takes back a letter that waits at the server
    Recall(writing::RecallArgs),
    /// Lists the letters of a folder, newest first
    List(letters::ListArgs),
    /// Shows a letter, or saves what is attached to it
    Read(reading::ReadArgs),
    /// Answers a letter
    Reply(writing::ReplyArgs),
    /// Passes a letter on
    Forward(writing::ForwardArgs),
    /// Finds letters
    Search(letters::SearchArgs),
    /// Moves letters to another folder
    Move(letters::MoveArgs),
    /// Marks letters as read, flagged and so on
    Flag(letters::FlagArgs),
    /// Lists the folders
    Folders(letters::FoldersArgs),
    /// Waits for new letters and shows a line for each
    Watch(letters::WatchArgs),
    /// Accounts of the user agent
    Account(account::AccountArgs),
}

/// The folder that a command is about.
#[derive(Args, Debug, Clone)]
struct InFolder {
    /// The folder the letter is in
    #[arg(long, short = 'f', default_value = "INBOX", value_name = "NAME")]
    folder: String,
}

/// Numbers of letters as a list shows them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Uids(Vec<u32>);

/// Letters that one command may name.
const MOST_UIDS: usize = 100_000;

/// The command.
pub(crate) fn run(args: &MailArgs) -> ExitCode {
    exit::of("mail", mail(args).map_err(fatal))
}

fn mail(args: &MailArgs) -> Result<Exit, Failure> {
    if let Verb::Account(account) = &args.verb {
        return account::run(account);
    }
    let accounts = Accounts::load(&Accounts::usual_path()?)?;
    let desk = Desk::new(accounts.choose(args.account.as_deref())?.clone());
    let runtime = ask::runtime().map_err(|fatal| Failure::no(fatal.message))?;
    runtime.block_on(async {
        match &args.verb {
            Verb::Send(args) => writing::send(&desk, args).await,
            Verb::Recall(args) => writing::recall(&desk, args).await,
            Verb::Reply(args) => writing::reply(&desk, args).await,
            Verb::Forward(args) => writing::forward(&desk, args).await,
            Verb::Read(args) => reading::read(&desk, args).await,
            Verb::List(args) => letters::list(&desk, args).await,
            Verb::Search(args) => letters::search(&desk, args).await,
            Verb::Move(args) => letters::move_to(&desk, args).await,
            Verb::Flag(args) => letters::flag(&desk, args).await,
            Verb::Folders(args) => letters::folders(&desk, args).await,
            Verb::Watch(args) => letters::watch(&desk, args).await,
            Verb::Account(_) => Ok(Exit::Usage),
        }
    })
}

/// A failure with the exit code of its kind.
pub(crate) fn fatal(failure: Failure) -> Fatal {
    let exit = match failure.kind {
        Kind::Usage => Exit::Usage,
        Kind::No => Exit::No,
        Kind::TryAgain => Exit::TryAgain,
        Kind::NotAllowed => Exit::NotAllowed,
        Kind::BadConfiguration => Exit::BadConfiguration,
    };
    Fatal::new(exit, failure.text)
}

impl InFolder {
    fn name(&self) -> Result<MailboxName, Failure> {
        mua::retrieve::folders::name(&self.folder)
    }
}

impl std::str::FromStr for Uids {
    type Err = String;

    /// `17`, `3,5`, `20-25` and lists of those.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("{text:?} is no number of a letter; write 17, 3,5 or 20-25");
        let mut found = Vec::new();
        for piece in text.split(',') {
            let (from, to) = piece.split_once(['-', ':']).unwrap_or((piece, piece));
            let from: u32 = from.trim().parse().map_err(|_| wrong())?;
            let to: u32 = to.trim().parse().map_err(|_| wrong())?;
            let (from, to) = (from.min(to), from.max(to));
            let room = MOST_UIDS.saturating_sub(found.len());
            if from == 0 || usize::try_from(to - from).is_ok_and(|more| more >= room) {
                return Err(wrong());
            }
            found.extend(from..=to);
        }
        Ok(Uids(found))
    }
}

/// All numbers of several arguments.
fn all_uids(arguments: &[Uids]) -> Vec<u32> {
    arguments.iter().flat_map(|uids| uids.0.iter().copied()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_letters() {
        let read = |text: &str| text.parse::<Uids>().map(|uids| uids.0);
        assert_eq!(read("17"), Ok(vec![17]));
        assert_eq!(read("3,5-7"), Ok(vec![3, 5, 6, 7]));
        assert_eq!(read("7:5"), Ok(vec![5, 6, 7]));
        for text in ["", "0", "x", "1-", "1,,2", "-3", "1-4294967295"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
