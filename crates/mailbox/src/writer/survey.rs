//! The survey for the ledger: every delivery in the custody book is looked for in its mailbox and
//! its Maildir. The book is a witness of its own: a record removed behind our back is missed.

use std::collections::HashMap;
use std::path::Path;

use disk::custody::{self, Act, Entry};
use disk::{Disk, LaidOut};

use super::draft::Draft;
use super::{OWN_FOLDER, Writer};
use crate::ask::{Address, Answer};
use crate::change::Why;
use crate::content;
use crate::custody::{Fate, Kept, Survey, Whose};
use crate::error::Result;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::letter::place;
use crate::statelog::{self, Gaps, Identity};
use crate::uidset::UidSet;

/// What is known of one mailbox while its letters are looked for.
enum Place {
    /// The account or the mailbox was removed, and that is recorded.
    Gone,
    /// The mailbox there is, in its own log on disk and not only in memory.
    Here { address: Address, state: Box<crate::state::State>, gone: Vec<(UidSet, Why)> },
}

/// The detail of a `stored` line: `ACCOUNT MAILBOX UID`.
pub(super) fn detail(address: &Address, uid: Uid) -> String {
    format!("{} {} {uid}", address.account, address.mailbox)
}

fn parse_detail(detail: &str) -> Option<(Address, Uid)> {
    let (rest, uid) = detail.rsplit_once(' ')?;
    let (account, mailbox) = rest.rsplit_once(' ')?;
    let (name, domain) = account.rsplit_once('@')?;
    let account = AccountId::new(domain, name).ok()?;
    let mailbox = MailboxId(mailbox.parse().ok()?);
    Some((Address { account, mailbox }, uid.parse().ok()?))
}

impl Writer {
    pub(super) fn survey(&mut self, draft: &mut Draft, whose: &Whose) -> Result<Answer> {
        // The files are to speak for themselves.
        while self.lay_out_slice(usize::MAX)? == LaidOut::More {}
        let mut entries: Vec<Entry> = Vec::new();
        let directory = self.root.join(OWN_FOLDER).join("custody");
        custody::read(self.disk.as_ref(), &directory, &mut |entry| {
            if entry.act == Act::Stored {
                entries.push(entry);
            }
        })?;
        let mut places: HashMap<Address, Place> = HashMap::new();
        let mut survey = Survey::default();
        for entry in entries {
            let Some((address, uid)) = parse_detail(&entry.detail) else {
                self.report(format!(
                    "the custody book has a line without a place: {}",
                    entry.detail
                ));
                continue;
            };
            if matches!(whose, Whose::Account(account) if *account != address.account) {
                continue;
            }
            if !places.contains_key(&address) {
                let place = self.place_of(draft, &address)?;
                places.insert(address.clone(), place);
            }
            let fate = match places.get(&address) {
                Some(place) => self.fate(place, uid)?,
                None => Fate::RecordVanished,
            };
            let Entry { journey, recipient, time, .. } = entry;
            survey.deliveries.push(Kept { journey, recipient, time, fate });
        }
        survey.reports = self.reports.clone();
        Ok(Answer::Survey(survey))
    }

    /// Reads a mailbox's logs anew: what only memory knows does not count.
    fn place_of(&mut self, draft: &mut Draft, address: &Address) -> Result<Place> {
        let folder = self.root.join(address.account.folder());
        if self.disk.metadata(&folder).is_err() {
            return Ok(Place::Gone);
        }
        self.account(draft, &address.account)?;
        let account = self.account_mut(&address.account)?;
        let Some(entry) = account.state.mailboxes.get(&address.mailbox) else {
            return Ok(Place::Gone);
        };
        let who = Identity { id: address.mailbox, uid_validity: entry.uid_validity };
        let Some(maildir) = self.place(address) else { return Ok(Place::Gone) };
        let loaded = statelog::load(self.disk.as_ref(), &maildir, who, Gaps::PassedOver)?;
        for what in loaded.damage {
            self.report(format!("{} of {}: {what}", who.id, address.account));
        }
        let gone = statelog::gone(self.disk.as_ref(), &maildir)?;
        Ok(Place::Here { address: address.clone(), state: Box::new(loaded.state), gone })
    }

    fn fate(&self, place: &Place, uid: Uid) -> Result<Fate> {
        let Place::Here { address, state, gone } = place else { return Ok(Fate::Taken) };
        let Some(maildir) = self.place(address) else { return Ok(Fate::Taken) };
        if let Some(letter) = state.letters.get(uid) {
            let base = state.base_name(&letter);
            let size = file_size(self.disk.as_ref(), &maildir, &base, &letter)?;
            let whole = size == Some(u64::from(letter.size));
            return Ok(match whole {
                _ if self.is_isolated(address, uid) => Fate::Isolated,
                true => Fate::There,
                false => Fate::FileVanished,
            });
        }
        Ok(match gone.iter().find(|(uids, _)| uids.contains(uid)) {
            Some((_, Why::RemovedExternally)) => Fate::RemovedExternally,
            Some(_) => Fate::Taken,
            // History that was dropped may have said so.
            None if !statelog::has_beginning(self.disk.as_ref(), &maildir)? => Fate::Taken,
            None => Fate::RecordVanished,
        })
    }
}

fn file_size(
    disk: &dyn Disk,
    maildir: &Path,
    base: &str,
    letter: &crate::letter::Letter,
) -> disk::Result<Option<u64>> {
    for flags in [letter.shown.flags(), letter.flags] {
        match disk.metadata(&maildir.join(place(base, flags))) {
            Ok(found) => return Ok(Some(found.length)),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    match content::find(disk, maildir, base)? {
        Some(path) => Ok(Some(disk.metadata(&path)?.length)),
        None => Ok(None),
    }
}
