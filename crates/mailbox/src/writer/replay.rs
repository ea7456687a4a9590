//! After a crash: the records that the intake log kept are taken in again, in order. Changes that
//! the state logs know already are passed over; files are laid out again where they are missing or
//! not whole (docs/mailbox.md §4).

use disk::custody::{Act, Entry};
use disk::{Record, Sequence};

use super::Writer;
use super::draft::Work;
use super::layout::{Bytes, Job, LayLetter};
use super::survey;
use crate::account_change::AccountChange;
use crate::ask::Address;
use crate::change::{Added, Change};
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::letter::{self, Letter};
use crate::mailbox::Unlaid;
use crate::statelog::{self, Gaps};
use crate::transaction::{KIND, Part, Source, Transaction};
use crate::view::View;

impl Writer {
    pub(super) fn replay_record(&mut self, record: &Record<'_>) -> disk::Result<()> {
        let transaction = match record.kind {
            KIND => Transaction::parse(record.payload),
            _ => None,
        };
        let Some(transaction) = transaction else {
            let detail = format!("record {} is not of this version", record.sequence.0);
            return Err(disk::Error::new(disk::ErrorKind::Corrupt, "replay", detail));
        };
        let mut account: Option<AccountId> = None;
        let mut mailbox = MailboxId::INBOX;
        let mut parts = transaction.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match (part, &account) {
                (Part::Account(id), _) => {
                    self.load_account(id).map_err(|error| unreadable(&error))?;
                    account = Some(id.clone());
                }
                (Part::Mailbox(id), _) => mailbox = *id,
                (Part::List(serial, change), Some(id)) => {
                    self.replay_list(id, *serial, change)?;
                }
                (Part::Change(modseq, change), Some(id)) => {
                    let address = Address { account: id.clone(), mailbox };
                    let source = match parts.peek() {
                        Some(Part::Source(source)) => Some(source),
                        _ => None,
                    };
                    let bytes =
                        source.map(|source| (Bytes::of(source, id, &transaction.body), source));
                    self.replay_change(&address, (*modseq, change), bytes, record.sequence)?;
                }
                (Part::Source(_), _) | (_, None) => {}
            }
        }
        Ok(())
    }

    /// Everything was replayed: gaps of which nothing was told are real.
    pub(super) fn end_replay(&mut self) -> disk::Result<()> {
        self.gaps = Gaps::PassedOver;
        let lists: Vec<AccountId> = self
            .accounts
            .iter()
            .filter(|(_, account)| account.undecided)
            .map(|(id, _)| id.clone())
            .collect();
        for id in lists {
            self.read_list_again(&id).map_err(|error| unreadable(&error))?;
        }
        let mut lost = Vec::new();
        for (id, account) in &self.accounts {
            // One that was made and deleted since has nothing to be read.
            let listed = &account.state.mailboxes;
            let undecided = account.open.iter();
            let undecided =
                undecided.filter(|(id, open)| open.undecided && listed.contains_key(id));
            lost.extend(undecided.map(|(&mailbox, _)| Address { account: id.clone(), mailbox }));
        }
        lost.sort();
        lost.iter().try_for_each(|address| self.read_on(address))?;
        let mut accounts: Vec<AccountId> = self.accounts.keys().cloned().collect();
        accounts.sort();
        accounts.iter().for_each(|id| self.put_in_place(id));
        // Lines that were found in the files are taken as they are, and not appended again.
        let (lists, logs) = std::mem::take(&mut self.replayed);
        self.jobs.extend(lists.into_iter().map(Job::ListAgain));
        self.jobs.extend(logs.into_iter().map(Job::LogAgain));
        Ok(())
    }

    /// Reads what is behind the gap of a state log, too.
    fn read_on(&mut self, address: &Address) -> disk::Result<()> {
        self.forget_mailbox(address);
        let gaps = std::mem::replace(&mut self.gaps, Gaps::PassedOver);
        let loaded = self.load_mailbox(address);
        self.gaps = gaps;
        loaded.map_err(|error| unreadable(&error))?;
        self.add_usage(address);
        Ok(())
    }

    fn replay_list(
        &mut self,
        id: &AccountId,
        serial: u64,
        change: &AccountChange,
    ) -> disk::Result<()> {
        self.replayed.0.insert(id.clone());
        if let AccountChange::Mailbox { id: mailbox, .. } = change {
            // The first line of its log was written with it.
            self.replayed.1.insert(Address { account: id.clone(), mailbox: *mailbox });
        }
        let Ok(account) = self.account_mut(id) else { return Ok(()) };
        if std::mem::take(&mut account.undecided) && serial > account.state.serial + 1 {
            self.read_list_again(id).map_err(|error| unreadable(&error))?;
        }
        let Ok(account) = self.account_mut(id) else { return Ok(()) };
        if !account.state.apply(serial, change) {
            // The account log has it, and the folders were put where it says.
            return Ok(());
        }
        account.listed = None;
        self.take_up(Work::ListLine(id.clone(), change.to_line(serial)), Sequence(0));
        let address = |mailbox: MailboxId| Address { account: id.clone(), mailbox };
        match change {
            AccountChange::Mailbox { id: mailbox, name, .. } => {
                if let Ok(account) = self.account_mut(id) {
                    account.begins_at(*mailbox, name);
                }
                self.jobs.push_back(Job::Maildir(address(*mailbox)));
                // Its own log may have reached the disk before the account's; and where no line of
                // that did, its Maildir has told of it already.
                if self.open_mut(&address(*mailbox)).is_err() {
                    self.load_mailbox(&address(*mailbox)).map_err(|error| unreadable(&error))?;
                    self.add_usage(&address(*mailbox));
                }
            }
            AccountChange::Rename { id, name } => {
                self.jobs.push_back(Job::Rename(address(*id), name.clone()));
            }
            AccountChange::Delete { id } => self.jobs.push_back(Job::Drop(address(*id))),
            AccountChange::Subscribe { .. }
            | AccountChange::Unsubscribe { .. }
            | AccountChange::Annotate { .. } => {}
        }
        Ok(())
    }

    fn replay_change(
        &mut self,
        of: &Address,
        (modseq, change): (ModSeq, &Change),
        bytes: Option<(Bytes, &Source)>,
        sequence: Sequence,
    ) -> disk::Result<()> {
        let gone = crate::Error::NoSuchMailbox;
        let unknown = |account: &mut super::Account| {
            account.undecided && !account.state.mailboxes.contains_key(&of.mailbox)
        };
        if self.account_mut(&of.account).is_ok_and(unknown) {
            // It was made before what is replayed: behind the gap.
            self.read_list_again(&of.account).map_err(|error| unreadable(&error))?;
        }
        match self.load_mailbox(of) {
            // Deleted later, which the account log knows already.
            Err(error) if error == gone => return Ok(()),
            Err(error) => return Err(unreadable(&error)),
            Ok(()) => drop(self.replayed.1.insert(of.clone())),
        }
        let Ok(open) = self.open_mut(of) else { return Ok(()) };
        if open.undecided && change.is_numbered() {
            open.undecided = false;
            // What comes first is the first change of all, or what came before it is lost.
            if modseq > open.state.modseq + 1 {
                self.read_on(of)?;
            }
        }
        let Ok(open) = self.open_mut(of) else { return Ok(()) };
        if let Change::Gone { uids, why } = change {
            let letters: Vec<Letter> = open.state.within(uids).collect();
            for letter in letters {
                let job = self.leaves(of, &letter, *why).map_err(|error| unreadable(&error))?;
                self.jobs.push_back(job);
            }
        }
        let Ok(open) = self.open_mut(of) else { return Ok(()) };
        let before = open.state.counts;
        let applied = open.state.apply(modseq, change);
        let after = open.state.counts;
        statelog::remember(&mut open.repeats, change);
        let uid_validity = open.state.uid_validity;
        open.shared.publish(View::new(open.state.clone()));
        match applied {
            Ok(false) => {}
            Ok(true) => {
                self.take_up(Work::Line(of.clone(), change.to_line(modseq)), sequence);
                if let Ok(account) = self.account_mut(&of.account) {
                    let usage = &mut account.usage;
                    usage.bytes = (usage.bytes + after.bytes).saturating_sub(before.bytes);
                    usage.letters = (usage.letters + u64::from(after.letters))
                        .saturating_sub(u64::from(before.letters));
                }
            }
            Err(why) => self.report(format!("{} of {}: {}", of.mailbox, of.account, why.0)),
        }
        match change {
            Change::Add(added) => self.replay_letter(of, uid_validity, added, bytes, sequence),
            // The log wins over the names of files it speaks of.
            Change::Flags { uids, .. } => self.show_again(of, uids),
            Change::Gone { .. } | Change::Recent(_) | Change::Shown { .. } => {}
            Change::Named { .. } => {}
        }
        Ok(())
    }

    fn replay_letter(
        &mut self,
        to: &Address,
        uid_validity: u32,
        added: &Added,
        bytes: Option<(Bytes, &Source)>,
        sequence: Sequence,
    ) {
        if let Some((journey, recipient)) = &added.delivery {
            self.custody.push(Entry {
                sequence,
                time: protocol::time::Timestamp::from_seconds(i64::from(added.saved)),
                journey: *journey,
                act: Act::Stored,
                recipient: recipient.clone(),
                detail: survey::detail(to, added.uid),
            });
        }
        let Some((bytes, source)) = bytes else { return };
        if let Ok(open) = self.open_mut(to) {
            // What comes before its file has no name to show its flags in.
            if !matches!(source, Source::There) {
                open.unlaid.insert(added.uid);
            }
            if let (Source::Inline(_), Bytes::Memory(trace, body)) = (source, &bytes) {
                open.shared.not_laid_out(added.uid, Unlaid::Memory(trace.clone(), body.clone()));
            }
        }
        let base = match &added.name {
            Some(name) => name.clone(),
            None => letter::own_name(added.saved, uid_validity, added.uid, added.size),
        };
        self.jobs.push_back(Job::Letter(Box::new(LayLetter {
            to: to.clone(),
            uid: added.uid,
            base,
            flags: added.flags,
            size: added.size,
            hash: added.hash,
            bytes,
            replayed: true,
        })));
    }
}

fn unreadable(error: &crate::Error) -> disk::Error {
    disk::Error::new(disk::ErrorKind::Corrupt, "replay", format!("{error:?}"))
}
