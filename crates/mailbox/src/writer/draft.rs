//! [`Draft`]: the changes of one request in the making, what undoes them, and what follows when
//! they are durable.

use disk::{Sequence, custody};

use super::Writer;
use super::layout::Job;
use crate::account_change::{AccountChange, AccountState};
use crate::ask::{Address, Answer, Usage};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::mailbox::Unlaid;
use crate::repeats::RepeatKey;
use crate::state::State;
use crate::transaction::{Part, Source, Transaction};
use crate::uidset::UidSet;

/// One request, decided and applied to the working state.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) transaction: Transaction,
    pub(super) undo: Vec<Undo>,
    pub(super) work: Vec<Work>,
    account: Option<AccountId>,
    mailbox: Option<MailboxId>,
}

/// How things were before.
#[derive(Debug)]
pub(super) enum Undo {
    Mailbox(Address, Box<State>),
    /// The list of an account, kept by what changes it.
    Account(AccountId, Box<AccountState>),
    Usage(AccountId, Usage),
    /// The account had not been touched before.
    Forget(AccountId),
    Repeat(Address, RepeatKey),
    /// The letter's file was to be laid out.
    Unlaid(Address, Uid),
    Leaving(Address, UidSet),
}

/// What follows.
#[derive(Debug)]
pub(super) enum Work {
    Line(Address, String),
    ListLine(AccountId, String),
    Unlaid(Address, Uid, Unlaid),
    Behind(Address, UidSet),
    Gone(Address),
    Job(Job),
    Custody(Box<custody::Entry>),
}

/// A request that is in the log and waits for its barrier.
#[derive(Debug)]
pub struct Staged {
    pub(super) undo: Vec<Undo>,
    pub(super) work: Vec<Work>,
    pub(super) answer: Answer,
    pub(super) sequence: Sequence,
}

/// What happens to numbers that were given when a change is undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Numbers {
    /// They were written nowhere: they come back.
    Back,
    /// They may be on disk: they are never given again.
    Keep,
}

impl Staged {
    pub(super) fn new(undo: Vec<Undo>, work: Vec<Work>, answer: Answer) -> Self {
        Staged { undo, work, answer, sequence: Sequence(0) }
    }

    /// Whose state it changed.
    pub(super) fn touched(&self) -> (Vec<Address>, Vec<AccountId>) {
        let (mut mailboxes, mut accounts) = (Vec::new(), Vec::new());
        for undo in &self.undo {
            match undo {
                Undo::Mailbox(address, _) => mailboxes.push(address.clone()),
                Undo::Usage(id, _) => accounts.push(id.clone()),
                _ => {}
            }
        }
        (mailboxes, accounts)
    }
}

impl Draft {
    fn heading(&mut self, account: &AccountId, mailbox: Option<MailboxId>) {
        if self.account.as_ref() != Some(account) {
            self.transaction.parts.push(Part::Account(account.clone()));
            self.account = Some(account.clone());
            self.mailbox = None;
        }
        if let Some(id) = mailbox.filter(|_| self.mailbox != mailbox) {
            self.transaction.parts.push(Part::Mailbox(id));
            self.mailbox = Some(id);
        }
    }

    /// Says where the letter just added comes from.
    pub(super) fn source(&mut self, source: Source) {
        self.transaction.parts.push(Part::Source(source));
    }
}

impl Writer {
    /// Applies a change to a mailbox that is in memory, and writes it into the draft.
    pub(super) fn change(
        &mut self,
        draft: &mut Draft,
        address: &Address,
        change: Change,
    ) -> Result<ModSeq> {
        self.keep_account(draft, &address.account)?;
        let open = self.open_mut(address)?;
        let kept = |undo: &Undo| matches!(undo, Undo::Mailbox(of, _) if of == address);
        if !draft.undo.iter().any(kept) {
            draft.undo.push(Undo::Mailbox(address.clone(), Box::new(open.state.clone())));
        }
        let before = open.state.counts;
        let modseq = open.state.modseq + u64::from(change.is_numbered());
        open.state.apply(modseq, &change).map_err(|why| Error::Limit(why.0))?;
        let after = open.state.counts;
        let usage = &mut self.account_mut(&address.account)?.usage;
        usage.bytes = (usage.bytes + after.bytes).saturating_sub(before.bytes);
        usage.letters =
            (usage.letters + u64::from(after.letters)).saturating_sub(u64::from(before.letters));

        draft.heading(&address.account, Some(address.mailbox));
        draft.work.push(Work::Line(address.clone(), change.to_line(modseq)));
        draft.transaction.parts.push(Part::Change(modseq, change));
        Ok(modseq)
    }

    /// Applies a change to an account's list, and writes it into the draft.
    pub(super) fn list_change(
        &mut self,
        draft: &mut Draft,
        id: &AccountId,
        change: AccountChange,
    ) -> Result<()> {
        self.keep_account(draft, id)?;
        let kept = |undo: &Undo| matches!(undo, Undo::Account(of, _) if of == id);
        let is_kept = draft.undo.iter().any(kept);
        let account = self.account_mut(id)?;
        if !is_kept {
            draft.undo.push(Undo::Account(id.clone(), Box::new(account.state.clone())));
        }
        let serial = account.state.serial + 1;
        account.state.apply(serial, &change);
        account.listed = None;
        draft.heading(id, None);
        draft.work.push(Work::ListLine(id.clone(), change.to_line(serial)));
        draft.transaction.parts.push(Part::List(serial, change));
        Ok(())
    }

    /// Keeps what an account holds as it was before this draft.
    fn keep_account(&mut self, draft: &mut Draft, id: &AccountId) -> Result<()> {
        let kept = |undo: &Undo| matches!(undo, Undo::Usage(of, _) if of == id);
        if !draft.undo.iter().any(kept) {
            let usage = self.account_mut(id)?.usage;
            draft.undo.push(Undo::Usage(id.clone(), usage));
        }
        Ok(())
    }

    /// Takes changes back, youngest first.
    pub(super) fn undo(&mut self, undo: Vec<Undo>, numbers: Numbers) {
        for one in undo.into_iter().rev() {
            match one {
                Undo::Mailbox(address, state) => {
                    let Ok(open) = self.open_mut(&address) else { continue };
                    let given = (open.state.uid_next, open.state.modseq);
                    open.state = *state;
                    if numbers == Numbers::Keep {
                        (open.state.uid_next, open.state.modseq) = given;
                    }
                }
                Undo::Usage(id, usage) => {
                    if let Ok(account) = self.account_mut(&id) {
                        account.usage = usage;
                    }
                }
                Undo::Account(id, state) => {
                    let Ok(account) = self.account_mut(&id) else { continue };
                    let AccountState { serial, last_id, last_uid_validity, .. } = account.state;
                    account.state = *state;
                    account.listed = None;
                    if numbers == Numbers::Keep {
                        account.state.serial = serial;
                        account.state.last_id = last_id;
                        account.state.last_uid_validity = last_uid_validity;
                    }
                }
                Undo::Forget(id) => {
                    self.accounts.remove(&id);
                }
                Undo::Repeat(address, key) => {
                    if let Ok(open) = self.open_mut(&address) {
                        open.repeats.remove(key);
                    }
                }
                Undo::Unlaid(address, uid) => {
                    if let Ok(open) = self.open_mut(&address) {
                        open.unlaid.remove(&uid);
                    }
                }
                Undo::Leaving(address, uids) => {
                    if let Ok(open) = self.open_mut(&address) {
                        open.leaving.retain(|uid| !uids.contains(*uid));
                    }
                }
            }
        }
    }
}
