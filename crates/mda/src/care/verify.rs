//! Letters are read through in the background and compared with what was stored: a pass through all
//! accounts each `mailbox.verify_every`, at `mailbox.verify_rate` octets a second. Where it is
//! stands in `DATA/state/verify`, so that it goes on after a restart. What it finds damaged, the
//! mailbox isolates; here it is told: log, journey, `posthaste status`.

use std::time::Duration;

use disk::{Mode, read_whole, replace_whole};
use mailbox::{AccountId, Error, Finding, Mailbox, MailboxId, MailboxName, Uid, Verified};
use protocol::time::Timestamp;
use service::trail::{Event, Kind, Outcome};

use super::{Care, NOTE_BYTES};
use crate::limits::{VERIFY_NOTE_EVERY, VERIFY_SLICE};

/// Where a pass is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Pass {
    /// In seconds since 1970.
    pub(crate) began: i64,
    /// The end of the last whole pass; 0: there was none.
    pub(crate) finished: i64,
    /// Everything before this was read; `None`: no pass is under way.
    pub(crate) at: Option<Cursor>,
    /// Letters that were as they were stored.
    pub(crate) letters: u64,
    pub(crate) bytes: u64,
    /// Letters found to be damaged, and those that were well again.
    pub(crate) damaged: u64,
    pub(crate) released: u64,
}

/// The letter that comes next; it need not exist any more.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Cursor {
    pub(crate) account: String,
    pub(crate) mailbox: u32,
    pub(crate) uid: u32,
}

/// What ends a pass before its time.
enum Halt {
    /// The agent stops, or the keys say that nothing is read.
    Now,
}

impl Care {
    /// Passes, one after the other, until the agent stops.
    pub(super) async fn passes(&self) {
        loop {
            let keys = self.config.current().mailbox.clone();
            let pass = self.read_pass();
            let off = keys.verify_every.is_zero() || keys.verify_rate == 0;
            let due = Timestamp::from_seconds(pass.began).after(keys.verify_every);
            let mut wait = due.since(self.clock.now());
            if pass.at.is_some() || pass.began == 0 {
                wait = Duration::ZERO;
            }
            // Keys may change meanwhile: they are looked at again each so often.
            let ready = !off && wait.is_zero();
            let nap = if ready { keys.verify_every.min(PAUSE) } else { PAUSE };
            tokio::select! {
                () = self.clock.sleep(nap) => {}
                () = self.drain.cancelled() => return,
            }
            if ready && self.pass(pass).await.is_err() && self.drain.is_cancelled() {
                return;
            }
        }
    }

    async fn pass(&self, mut pass: Pass) -> Result<(), Halt> {
        if pass.at.is_none() {
            let began = self.clock.now().as_seconds();
            let start = Cursor { account: String::new(), mailbox: 0, uid: 0 };
            pass = Pass { began, finished: pass.finished, at: Some(start), ..Pass::default() };
        }
        let mut accounts: Vec<(String, AccountId)> =
            self.accounts().into_iter().map(|id| (id.to_string(), id)).collect();
        accounts.sort_by(|a, b| a.0.cmp(&b.0));
        for (address, account) in accounts {
            if pass.at.as_ref().is_some_and(|at| at.account > address) {
                continue;
            }
            match self.pass_account((&address, &account), &mut pass).await {
                Ok(()) => {}
                Err(PassError::Halt(halt)) => {
                    self.note_pass(&pass);
                    return Err(halt);
                }
                // Removed meanwhile, or its files cannot be read: the others are.
                Err(PassError::Store(error)) => {
                    tracing::warn!(%account, ?error, "the account was not verified");
                }
            }
        }
        pass.at = None;
        pass.finished = self.clock.now().as_seconds();
        self.note_pass(&pass);
        tracing::info!(
            letters = pass.letters,
            bytes = pass.bytes,
            damaged = pass.damaged,
            "all letters were compared with what was stored"
        );
        Ok(())
    }

    async fn pass_account(
        &self,
        (address, account): (&str, &AccountId),
        pass: &mut Pass,
    ) -> Result<(), PassError> {
        let view = self.mailboxes.account(account).await?;
        let mut listed: Vec<_> = view.mailboxes.iter().cloned().collect();
        listed.sort_by_key(|one| one.id);
        for one in listed {
            let here = |at: &&Cursor| at.account == address;
            let at = pass.at.as_ref().filter(here).map_or((0, 0), |at| (at.mailbox, at.uid));
            if at.0 > one.id.0 {
                continue;
            }
            let from = if at.0 == one.id.0 { Uid::new(at.1) } else { None };
            let mailbox = match self.mailboxes.open_mailbox(account, one.id).await {
                Err(Error::NoSuchMailbox) => continue,
                other => other?,
            };
            let place = Place { address, id: one.id, name: &one.name, mailbox: &mailbox };
            self.pass_mailbox(&place, from.unwrap_or(Uid::MIN), pass).await?;
        }
        Ok(())
    }

    async fn pass_mailbox(
        &self,
        place: &Place<'_>,
        from: Uid,
        pass: &mut Pass,
    ) -> Result<(), PassError> {
        let mut from = from;
        let mut noted = self.clock.tick();
        loop {
            let rate = self.config.current().mailbox.verify_rate;
            if rate == 0 || self.drain.is_cancelled() {
                return Err(PassError::Halt(Halt::Now));
            }
            let slice = (from, rate.min(VERIFY_SLICE));
            let done = self.mailboxes.verify_some(place.mailbox, place.name, slice).await?;
            self.take_stock(place.mailbox.account(), &done);
            pass.letters += done.letters;
            pass.bytes += done.bytes;
            pass.damaged += done.findings.iter().filter(|one| one.isolated).count() as u64;
            pass.released += done.released;
            let next = done.next.map_or(u32::MAX, Uid::get);
            let (account, mailbox) = (place.address.to_owned(), place.id.0);
            pass.at = Some(Cursor { account, mailbox, uid: next });
            if self.clock.tick().since(noted) >= VERIFY_NOTE_EVERY {
                self.note_pass(pass);
                noted = self.clock.tick();
            }
            // So long may reading so much take.
            let millis = done.bytes.saturating_mul(1000) / rate;
            tokio::select! {
                () = self.clock.sleep(Duration::from_millis(millis)) => {}
                () = self.drain.cancelled() => {}
            }
            match done.next {
                Some(uid) => from = uid,
                None => return Ok(()),
            }
        }
    }

    /// Tells of what a verification found: log, journey, status.
    pub(crate) fn take_stock(&self, account: &AccountId, done: &Verified) {
        for Finding { mailbox, uid, what, isolated, is_new } in &done.findings {
            if *isolated && *is_new {
                tracing::error!(
                    %account, %mailbox, %uid, why = %what,
                    "a stored letter is damaged and was isolated; put its file back from a \
                     backup, then run `posthaste mailbox verify`"
                );
                let event = Event::anonymous(Kind::Damaged).to(account);
                let text = format!("{mailbox}, UID {uid}: {what}");
                self.trail.record(event.outcome(Outcome::Permanent).text(text));
                self.damaged.increment();
            }
        }
        if done.released > 0 {
            tracing::info!(%account, letters = done.released, "damaged letters are well again");
            self.damaged.add(-i64::try_from(done.released).unwrap_or(0));
        }
        self.verified.add(i64::try_from(done.letters).unwrap_or(0));
    }

    /// Where the pass is, as last noted.
    pub(crate) fn read_pass(&self) -> Pass {
        let bytes = read_whole(self.disk.as_ref(), &self.pass_note, NOTE_BYTES).unwrap_or_default();
        // What cannot be read is no pass at all: the next one begins at the beginning.
        std::str::from_utf8(&bytes).ok().and_then(parse).unwrap_or_default()
    }

    fn note_pass(&self, pass: &Pass) {
        let text = print(pass);
        let disk = self.disk.as_ref();
        if let Err(error) = replace_whole(disk, &self.pass_note, Mode::PRIVATE, text.as_bytes()) {
            tracing::warn!(%error, "where the verification is was not noted");
        }
    }
}

/// A mailbox that is read through.
struct Place<'a> {
    address: &'a str,
    id: MailboxId,
    name: &'a MailboxName,
    mailbox: &'a Mailbox,
}

enum PassError {
    Halt(Halt),
    Store(Error),
}

impl From<Error> for PassError {
    fn from(error: Error) -> Self {
        PassError::Store(error)
    }
}

fn print(pass: &Pass) -> String {
    let Pass { began, finished, letters, bytes, damaged, released, at } = pass;
    let counts = format!("{began} {finished} {letters} {bytes} {damaged} {released}");
    let at = at.as_ref().map(|at| format!("{} {} {}\n", at.mailbox, at.uid, at.account));
    format!("{FIRST_LINE}{counts}\n{}", at.unwrap_or_default())
}

fn parse(text: &str) -> Option<Pass> {
    let mut lines = text.strip_prefix(FIRST_LINE)?.lines();
    let mut words = lines.next()?.split(' ');
    let mut pass = Pass {
        began: words.next()?.parse().ok()?,
        finished: words.next()?.parse().ok()?,
        letters: words.next()?.parse().ok()?,
        bytes: words.next()?.parse().ok()?,
        damaged: words.next()?.parse().ok()?,
        released: words.next()?.parse().ok()?,
        at: None,
    };
    if let Some(line) = lines.next() {
        let mut words = line.splitn(3, ' ');
        let (mailbox, uid) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        pass.at = Some(Cursor { account: words.next()?.to_owned(), mailbox, uid });
    }
    Some(pass)
}

const FIRST_LINE: &str = "posthaste verify 1\n";

/// How long nothing is read between passes, and at a start: mail comes first.
const PAUSE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_is_leads_back() {
        let at = Some(Cursor { account: "a b@x.test".to_owned(), mailbox: 3, uid: 77 });
        let pass =
            Pass { began: 5, finished: 4, at, letters: 9, bytes: 8, damaged: 1, released: 2 };
        assert_eq!(parse(&print(&pass)), Some(pass.clone()));
        let done = Pass { at: None, ..pass };
        assert_eq!(parse(&print(&done)), Some(done));
        assert_eq!(parse("posthaste verify 1\n5 x\n"), None);
    }
}
