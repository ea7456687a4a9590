//! Waits for new letters, by IDLE (RFC 2177) or by asking now and then. When the connection is lost
//! it is made anew, and what came meanwhile is not missed.

use std::ops::ControlFlow;
use std::time::Duration;

use protocol::imap::code::Code;
use protocol::imap::command::{Command, Numbering, Search};
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::Untagged;
use protocol::imap::search::SearchKey;
use protocol::imap::sequence::{NumberSet, SequenceSet};

use super::list::{self, Entry};
use crate::failure::{Failure, Kind};
use crate::limits::IDLE_RENEWAL;
use crate::session::Desk;
use crate::session::imap::{Imap, Said};

/// How often a server without IDLE is asked.
const POLL: Duration = Duration::from_secs(60);

/// First and longest wait before a lost connection is made anew.
const RECONNECT: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(300));

/// What is known of the folder between connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Seen {
    validity: u32,
    /// UIDs up to this are old.
    last: u32,
}

/// Gives every letter that comes from now on, until told to stop. `lost` hears why a connection
/// ended that is being made anew.
///
/// # Errors
/// The first connection fails, or a later one in a way that will not pass by itself.
pub async fn run(
    desk: &Desk,
    folder: &MailboxName,
    mut found: impl FnMut(&Entry) -> ControlFlow<()>,
    mut lost: impl FnMut(&Failure),
) -> Result<(), Failure> {
    let mut seen: Option<Seen> = None;
    let mut wait = RECONNECT.0;
    loop {
        let known_before = seen;
        let failure = match watch(desk, folder, &mut seen, &mut found).await {
            Ok(()) => return Ok(()),
            Err(failure) => failure,
        };
        // Never connected: the user made a mistake, or the server is away; say so at once.
        if seen.is_none() || failure.kind != Kind::TryAgain {
            return Err(failure);
        }
        lost(&failure);
        wait = if seen == known_before { (wait * 2).min(RECONNECT.1) } else { RECONNECT.0 };
        desk.clock.sleep(wait).await;
    }
}

/// One connection.
async fn watch(
    desk: &Desk,
    folder: &MailboxName,
    seen: &mut Option<Seen>,
    found: &mut impl FnMut(&Entry) -> ControlFlow<()>,
) -> Result<(), Failure> {
    let mut session = Imap::open(desk).await?;
    session.know_capabilities().await?;
    let opened = state(&session.run(&Command::Examine(folder.clone().into())).await?);
    let mut now = match *seen {
        // RFC 9051 §2.3.1.1: another UIDVALIDITY, and all UIDs begin anew.
        Some(known) if known.validity == opened.validity => known,
        _ => opened,
    };
    *seen = Some(now);
    let idles = session.has("IDLE");
    loop {
        for entry in news(&mut session, folder, now.last).await? {
            now.last = now.last.max(entry.uid);
            *seen = Some(now);
            if found(&entry).is_break() {
                session.close().await;
                return Ok(());
            }
        }
        if idles {
            session.idle(IDLE_RENEWAL).await?;
        } else {
            desk.clock.sleep(POLL).await;
            session.run(&Command::Noop).await?;
        }
    }
}

fn state(said: &Said) -> Seen {
    let mut state = Seen { validity: 0, last: 0 };
    for untagged in &said.data {
        if let Untagged::Status(_, text) = untagged {
            match &text.code {
                Some(Code::UidNext(next)) => state.last = next.get() - 1,
                Some(Code::UidValidity(validity)) => state.validity = validity.get(),
                _ => {}
            }
        }
    }
    state
}

/// Letters with UIDs above `last`, oldest first.
async fn news(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    last: u32,
) -> Result<Vec<Entry>, Failure> {
    let Some(first) = last.checked_add(1) else { return Ok(Vec::new()) };
    let above = SequenceSet::from_numbers(&NumberSet::from_pairs(vec![(first, u32::MAX)]));
    let search = Search {
        numbering: Numbering::Uid,
        returns: None,
        charset: None,
        key: SearchKey::Uid(above),
    };
    let said = session.run(&Command::Search(search)).await?;
    let mut uids = super::search::uids_of(said.data);
    uids.retain(|uid| *uid > last);
    uids.sort_unstable();
    list::by_uid(session, folder, &uids).await
}
