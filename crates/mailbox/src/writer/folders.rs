//! What happens to mailboxes: create, delete, rename, subscribe.

use super::Writer;
use super::draft::{Draft, Work};
use super::layout::Job;
use crate::account_change::AccountChange;
use crate::ask::{Address, Answer, SpecialUse};
use crate::change::Why;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId};
use crate::limits::{ANNOTATION_SIZE, ANNOTATIONS, MAILBOXES, SUBSCRIPTIONS};
use crate::name::MailboxName;

impl Writer {
    /// CREATE.
    pub(super) fn create(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        self.check_space(0)?;
        let state = &self.account_mut(account)?.state;
        if state.find(&name).is_some() {
            return Err(Error::MailboxExists);
        }
        if state.mailboxes.len() >= MAILBOXES {
            return Err(Error::Limit("mailboxes"));
        }
        self.make_mailbox(draft, account, name, special_use).map(Answer::Created)
    }

    /// DELETE: the mailbox and its letters. Names below it stay (RFC 9051 §6.3.5).
    pub(super) fn delete(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        name: &MailboxName,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        if name.is_inbox() {
            return Err(Error::Inbox);
        }
        let id = self.account_mut(account)?.state.find(name).ok_or(Error::NoSuchMailbox)?;
        let address = Address { account: account.clone(), mailbox: id };
        self.load_mailbox(&address)?;
        // The letters are taken out first: usage and custody hear of each.
        let letters: Vec<_> = self.open_mut(&address)?.state.letters.iter().copied().collect();
        self.remove(draft, &address, &letters, Why::Expunged)?;
        self.list_change(draft, account, AccountChange::Delete { id })?;
        draft.work.push(Work::Gone(address.clone()));
        draft.work.push(Work::Job(Job::Drop(address)));
        Ok(Answer::Done)
    }

    /// RENAME, with everything below the name.
    pub(super) fn rename(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        from: &MailboxName,
        to: &MailboxName,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        let state = &self.account_mut(account)?.state;
        if state.find(to).is_some() || to.is_inbox() {
            return Err(Error::MailboxExists);
        }
        if from.is_inbox() {
            return self.empty_inbox_into(draft, account, to);
        }
        // RFC 9051 §6.3.6: a name cannot go below itself, the names below it would never end.
        if to.moved(from, from).is_some() {
            return Err(Error::MailboxExists);
        }
        let moves: Vec<(MailboxId, String)> = state
            .mailboxes
            .iter()
            .filter_map(|(&id, entry)| Some((id, entry.name.moved(from, to)?)))
            .collect();
        // A name that only stands above others (\Noselect) takes them along.
        if moves.is_empty() {
            return Err(Error::NoSuchMailbox);
        }
        let mut names = Vec::with_capacity(moves.len());
        for (id, name) in moves {
            let name = MailboxName::new(&name)?;
            if state.find(&name).is_some() {
                return Err(Error::MailboxExists);
            }
            names.push((id, name));
        }
        for (id, name) in names {
            self.list_change(draft, account, AccountChange::Rename { id, name: name.clone() })?;
            let address = Address { account: account.clone(), mailbox: id };
            draft.work.push(Work::Job(Job::Rename(address, name)));
        }
        Ok(Answer::Done)
    }

    /// RFC 9051 §6.3.6: renaming INBOX moves its letters to a new mailbox and leaves it empty.
    fn empty_inbox_into(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        to: &MailboxName,
    ) -> Result<Answer> {
        let id = self.make_mailbox(draft, account, to.clone(), None)?;
        let inbox = Address { account: account.clone(), mailbox: MailboxId::INBOX };
        self.move_letters(draft, &inbox, &crate::UidSet::all(), id)?;
        Ok(Answer::Done)
    }

    /// SUBSCRIBE: the name need not exist (RFC 9051 §6.3.7).
    pub(super) fn subscribe(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        name: MailboxName,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        let state = &self.account_mut(account)?.state;
        if state.subscriptions.len() >= SUBSCRIPTIONS {
            return Err(Error::Limit("subscriptions"));
        }
        if !state.subscriptions.contains(&name) {
            self.list_change(draft, account, AccountChange::Subscribe { name })?;
        }
        Ok(Answer::Done)
    }

    /// SETMETADATA (RFC 5464 §4.3): all or none.
    pub(super) fn annotate(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        id: Option<MailboxId>,
        annotations: Vec<(String, Option<bytes::Bytes>)>,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        for (entry, value) in annotations {
            let state = &self.account_mut(account)?.state;
            if id.is_some_and(|id| !state.mailboxes.contains_key(&id)) {
                return Err(Error::NoSuchMailbox);
            }
            let known = state.annotations.get(&(id, entry.clone()));
            if known == value.as_ref() {
                continue;
            }
            if known.is_none() && state.annotations.len() >= ANNOTATIONS {
                return Err(Error::Limit("annotations"));
            }
            if value.as_ref().is_some_and(|value| value.len() > ANNOTATION_SIZE) {
                return Err(Error::Limit("size of an annotation"));
            }
            self.list_change(draft, account, AccountChange::Annotate { id, entry, value })?;
        }
        Ok(Answer::Done)
    }

    /// UNSUBSCRIBE; of a name that is not subscribed to it does nothing.
    pub(super) fn unsubscribe(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        name: MailboxName,
    ) -> Result<Answer> {
        self.account(draft, account)?;
        if self.account_mut(account)?.state.subscriptions.contains(&name) {
            self.list_change(draft, account, AccountChange::Unsubscribe { name })?;
        }
        Ok(Answer::Done)
    }
}
