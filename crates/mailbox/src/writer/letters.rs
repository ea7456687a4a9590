//! What happens to letters: delivery, APPEND, flags, EXPUNGE, COPY, MOVE. Decided here, numbered
//! here; nobody sees any of it before the barrier.

use disk::custody;

use super::Writer;
use super::draft::{Draft, Undo, Work};
use super::layout::{Bytes as FileBytes, Job, LayLetter};
use super::leaving::Leave;
use crate::ask::{
    Address, Answer, Delivered, FlagChange, FlagsChanged, Placed, Prepared, PreparedBytes,
    PreparedLetter, Quota, Recipient,
};
use crate::change::{Added, Change, How, Why};
use crate::error::{Error, Result};
use crate::expunged;
use crate::flags::Flags;
use crate::ids::{MailboxId, Uid};
use crate::keywords::Keyword;
use crate::letter::{self, Letter};
use crate::limits::{EXPIRED_AT_ONCE, LINE_RANGES};
use crate::mailbox::Unlaid;
use crate::repeats::RepeatKey;
use crate::transaction::Source;
use crate::uidset::UidSet;

/// From where to where, within an account.
pub(super) struct Way {
    pub(super) from: Address,
    pub(super) to: MailboxId,
    pub(super) quota: Quota,
}

/// Letters that a client brings.
pub(super) struct Batch<'a> {
    pub(super) letters: &'a [PreparedLetter],
    pub(super) quota: Quota,
    /// What goes when they have come.
    pub(super) replaces: Option<&'a (Address, Uid)>,
}

/// A letter about to come into a mailbox.
struct Coming {
    size: u32,
    hash: u64,
    flags: Flags,
    keywords: Vec<Keyword>,
    /// Seconds since 1970.
    date: i64,
    delivery: Option<(protocol::journey::JourneyId, String)>,
    from: From,
}

/// Where its bytes are.
enum From {
    Memory { trace: bytes::Bytes, body: bytes::Bytes },
    Staged(u64),
    Copy { of: Address, base: String },
}

impl Writer {
    /// Each recipient has an outcome of its own; one that is refused leaves nothing behind.
    pub(super) fn deliver(
        &mut self,
        draft: &mut Draft,
        delivery: &Prepared,
    ) -> Vec<Result<Delivered>> {
        draft.transaction.body = delivery.body.clone();
        let mut results = Vec::with_capacity(delivery.recipients.len());
        for (recipient, bytes) in &delivery.recipients {
            results.push(self.deliver_one(draft, delivery, recipient, bytes));
        }
        results
    }

    fn deliver_one(
        &mut self,
        draft: &mut Draft,
        delivery: &Prepared,
        recipient: &Recipient,
        bytes: &PreparedBytes,
    ) -> Result<Delivered> {
        self.check_space(u64::from(bytes.size))?;
        self.account(draft, &recipient.account)?;
        let account = self.account_mut(&recipient.account)?;
        let mailbox = account.state.find(&recipient.mailbox).unwrap_or(MailboxId::INBOX);
        let usage = account.usage;
        let address = Address { account: recipient.account.clone(), mailbox };
        self.load_mailbox(&address)?;

        let key = RepeatKey::new(delivery.journey, &recipient.address);
        let open = self.open_mut(&address)?;
        let uid_validity = open.state.uid_validity;
        if let Some(uid) = open.repeats.get(key) {
            return Ok(Delivered { mailbox, uid_validity, uid, repeated: true });
        }
        if !recipient.quota.admits(usage, u64::from(bytes.size), 1) {
            return Err(Error::OverQuota);
        }
        let from = match bytes.staged {
            Some(serial) => From::Staged(serial),
            None => From::Memory { trace: recipient.trace.clone(), body: delivery.body.clone() },
        };
        let uid = self.add(
            draft,
            &address,
            Coming {
                size: bytes.size,
                hash: bytes.hash,
                flags: recipient.marks.flags,
                keywords: recipient.marks.keywords.clone(),
                date: self.now.as_seconds(),
                delivery: Some((delivery.journey, recipient.address.clone())),
                from,
            },
        )?;
        self.open_mut(&address)?.repeats.insert(key, uid);
        draft.undo.push(Undo::Repeat(address.clone(), key));
        draft.work.push(Work::Custody(Box::new(self.stored(delivery, recipient, uid, &address))));
        Ok(Delivered { mailbox, uid_validity, uid, repeated: false })
    }

    fn stored(
        &self,
        delivery: &Prepared,
        recipient: &Recipient,
        uid: Uid,
        address: &Address,
    ) -> custody::Entry {
        custody::Entry {
            sequence: disk::Sequence(0),
            time: self.now,
            journey: delivery.journey,
            act: custody::Act::Stored,
            recipient: recipient.address.clone(),
            detail: super::survey::detail(address, uid),
        }
    }

    /// APPEND: all letters or none. REPLACE: and another one goes.
    pub(super) fn append(
        &mut self,
        draft: &mut Draft,
        to: &Address,
        coming: &Batch<'_>,
    ) -> Result<Answer> {
        let Batch { letters, quota, replaces } = *coming;
        self.account(draft, &to.account)?;
        self.load_mailbox(to)?;
        let mut old = None;
        if let Some((from, uid)) = replaces {
            self.load_mailbox(from)?;
            let letter = self.open_mut(from)?.state.letters.get(*uid);
            old = Some((from, letter.ok_or(Error::NoSuchLetter)?));
        }
        let bytes: u64 = letters.iter().map(|letter| u64::from(letter.bytes.size)).sum();
        self.check_space(bytes)?;
        let mut usage = self.account_mut(&to.account)?.usage;
        if let Some((_, letter)) = &old {
            // RFC 8508 §3.4: what goes makes room.
            usage.bytes = usage.bytes.saturating_sub(u64::from(letter.size));
            usage.letters = usage.letters.saturating_sub(1);
        }
        if !quota.admits(usage, bytes, letters.len() as u64) {
            return Err(Error::OverQuota);
        }
        let mut placed =
            Placed { uid_validity: 0, uids: Vec::with_capacity(letters.len()), from: Vec::new() };
        for letter in letters {
            let date = letter.date.unwrap_or(self.now).as_seconds();
            let from = match letter.bytes.staged {
                Some(serial) => From::Staged(serial),
                // Each letter stands in the log as a trace of its own, the shared body is empty.
                None => From::Memory { trace: letter.body.clone(), body: bytes::Bytes::new() },
            };
            placed.uids.push(self.add(
                draft,
                to,
                Coming {
                    size: letter.bytes.size,
                    hash: letter.bytes.hash,
                    flags: letter.flags,
                    keywords: letter.keywords.clone(),
                    date,
                    delivery: None,
                    from,
                },
            )?);
        }
        placed.uid_validity = self.open_mut(to)?.state.uid_validity;
        if let Some((from, letter)) = old {
            self.remove(draft, from, &[letter], Why::Expunged)?;
            placed.from.push(letter.uid);
        }
        Ok(Answer::Placed(placed))
    }

    /// Gives a letter the next UID of its mailbox.
    fn add(&mut self, draft: &mut Draft, to: &Address, coming: Coming) -> Result<Uid> {
        let saved = u32::try_from(self.now.as_seconds()).unwrap_or(0);
        let state = &self.open_mut(to)?.state;
        let uid = Uid::new(state.uid_next).filter(|uid| *uid < Uid::MAX);
        let uid = uid.ok_or(Error::Limit("letters this mailbox has ever held"))?;
        let base = letter::own_name(saved, state.uid_validity, uid, coming.size);
        let (source, unlaid, bytes) = match coming.from {
            From::Memory { trace, body } => (
                Source::Inline(trace.clone()),
                Some(Unlaid::Memory(trace.clone(), body.clone())),
                FileBytes::Memory(trace, body),
            ),
            From::Staged(serial) => (
                Source::Staged(serial),
                Some(Unlaid::Staged(self.staged_path(serial))),
                FileBytes::Staged(serial),
            ),
            From::Copy { of, base } => {
                let from = self.open_mut(&of)?.shared.clone();
                (
                    Source::Link(of.mailbox, base.clone()),
                    Some(Unlaid::Copied(from, base.clone())),
                    FileBytes::Link(of, base),
                )
            }
        };
        let job = LayLetter {
            to: to.clone(),
            uid,
            base,
            flags: coming.flags,
            size: coming.size,
            hash: coming.hash,
            bytes,
            replayed: false,
        };
        let added = Added {
            uid,
            name: None,
            saved,
            date: coming.date,
            size: coming.size,
            hash: coming.hash,
            flags: coming.flags,
            keywords: coming.keywords,
            delivery: coming.delivery,
        };
        self.change(draft, to, Change::Add(Box::new(added)))?;
        draft.source(source);
        self.open_mut(to)?.unlaid.insert(uid);
        draft.undo.push(Undo::Unlaid(to.clone(), uid));
        draft.work.extend(unlaid.map(|unlaid| Work::Unlaid(to.clone(), uid, unlaid)));
        draft.work.push(Work::Job(Job::Letter(Box::new(job))));
        Ok(uid)
    }

    /// STORE. One MODSEQ for all letters that really change; none when nothing does.
    pub(super) fn change_flags(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        change: &FlagChange,
    ) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let state = &self.open_mut(of)?.state;
        let mut done = FlagsChanged::default();
        let mut uids = UidSet::new();
        for letter in state.within(&change.uids) {
            // RFC 7162 §3.1.3: such letters are left alone and named.
            if change.unchanged_since.is_some_and(|since| letter.modseq > since) {
                done.modified.insert(letter.uid);
            } else if changes(state, &letter, change) {
                uids.insert(letter.uid);
            }
        }
        for uids in uids.pieces(LINE_RANGES) {
            let modseq = self.change(
                draft,
                of,
                Change::Flags {
                    uids: uids.clone(),
                    how: change.how,
                    flags: change.flags,
                    keywords: change.keywords.clone(),
                },
            )?;
            draft.work.push(Work::Behind(of.clone(), uids));
            done.modseq = Some(modseq);
        }
        Ok(Answer::FlagsChanged(done))
    }

    /// EXPUNGE, UID EXPUNGE, CLOSE.
    pub(super) fn expunge(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        uids: &UidSet,
    ) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let state = &self.open_mut(of)?.state;
        if state.counts.deleted == 0 {
            return Ok(Answer::Gone(UidSet::new()));
        }
        let gone: Vec<Letter> =
            state.within(uids).filter(|letter| letter.flags.contains(Flags::DELETED)).collect();
        self.remove(draft, of, &gone, Why::Expunged)?;
        Ok(Answer::Gone(gone.iter().map(|letter| letter.uid).collect()))
    }

    /// Trash and Junk, emptied by age: at most [`EXPIRED_AT_ONCE`] letters, so that nobody waits.
    pub(super) fn expunge_old(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        before: u32,
    ) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let state = &self.open_mut(of)?.state;
        let old = state.letters.iter().filter(|letter| letter.saved < before);
        let gone: Vec<Letter> = old.take(EXPIRED_AT_ONCE).copied().collect();
        self.remove(draft, of, &gone, Why::Expunged)?;
        Ok(Answer::Gone(gone.iter().map(|letter| letter.uid).collect()))
    }

    /// Takes letters out of a mailbox; their files go after the next checkpoint.
    pub(super) fn remove(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        gone: &[Letter],
        why: Why,
    ) -> Result<()> {
        let uids: UidSet = gone.iter().map(|letter| letter.uid).collect();
        for letter in gone {
            draft.work.push(Work::Job(self.leaves(of, letter, why)?));
        }
        draft.undo.push(Undo::Leaving(of.clone(), uids.clone()));
        for uids in uids.pieces(LINE_RANGES) {
            self.change(draft, of, Change::Gone { uids, why })?;
        }
        Ok(())
    }

    /// What becomes of the file of a letter that is gone.
    pub(super) fn leaves(&mut self, of: &Address, letter: &Letter, why: Why) -> Result<Job> {
        // A moved letter has its file elsewhere.
        let kept = why == Why::Expunged && self.retention.keeps();
        let when = self.now.as_seconds();
        let open = self.open_mut(of)?;
        open.leaving.insert(letter.uid);
        let keep = kept.then(|| expunged::file_name(when, &open.state, letter));
        let base = open.state.base_name(letter);
        Ok(Job::Leave(Box::new(Leave { of: of.clone(), uid: letter.uid, base, keep })))
    }

    /// COPY: flags, keywords and dates come with the letters (RFC 9051 §6.4.7).
    pub(super) fn copy(&mut self, draft: &mut Draft, way: &Way, uids: &UidSet) -> Result<Answer> {
        let letters = self.sources(draft, way, uids)?;
        let bytes: u64 = letters.iter().map(|(letter, _)| u64::from(letter.size)).sum();
        self.check_space(0)?;
        let usage = self.account_mut(&way.from.account)?.usage;
        if !way.quota.admits(usage, bytes, letters.len() as u64) {
            return Err(Error::OverQuota);
        }
        self.copy_letters(draft, way, &letters).map(Answer::Placed)
    }

    /// MOVE (RFC 6851): the copies and the removals are one change.
    pub(super) fn move_letters(
        &mut self,
        draft: &mut Draft,
        from: &Address,
        uids: &UidSet,
        to: MailboxId,
    ) -> Result<Answer> {
        let way = Way { from: from.clone(), to, quota: Quota::default() };
        let letters = self.sources(draft, &way, uids)?;
        let placed = self.copy_letters(draft, &way, &letters)?;
        let gone: Vec<Letter> = letters.into_iter().map(|(letter, _)| letter).collect();
        self.remove(draft, from, &gone, Why::Moved)?;
        Ok(Answer::Placed(placed))
    }

    fn sources(
        &mut self,
        draft: &mut Draft,
        way: &Way,
        uids: &UidSet,
    ) -> Result<Vec<(Letter, Vec<Keyword>)>> {
        self.account(draft, &way.from.account)?;
        self.load_mailbox(&way.from)?;
        self.load_mailbox(&Address { account: way.from.account.clone(), mailbox: way.to })?;
        let isolated = |letter: &Letter| self.is_isolated(&way.from, letter.uid);
        let open = self.accounts.get(&way.from.account);
        let open = open.and_then(|account| account.open.get(&way.from.mailbox));
        if open.is_some_and(|open| open.state.within(uids).any(|letter| isolated(&letter))) {
            return Err(Error::Damaged("an isolated letter cannot be copied".to_owned()));
        }
        let state = &self.open_mut(&way.from)?.state;
        let keywords = |l: &Letter| state.keywords.of(l.keywords).cloned().collect();
        Ok(state.within(uids).map(|letter| (letter, keywords(&letter))).collect())
    }

    fn copy_letters(
        &mut self,
        draft: &mut Draft,
        way: &Way,
        letters: &[(Letter, Vec<Keyword>)],
    ) -> Result<Placed> {
        let to = Address { account: way.from.account.clone(), mailbox: way.to };
        let mut placed = Placed {
            uid_validity: self.open_mut(&to)?.state.uid_validity,
            uids: Vec::new(),
            from: Vec::new(),
        };
        for (letter, keywords) in letters {
            let base = self.open_mut(&way.from)?.state.base_name(letter);
            let uid = self.add(
                draft,
                &to,
                Coming {
                    size: letter.size,
                    hash: letter.hash,
                    flags: letter.flags,
                    keywords: keywords.clone(),
                    date: letter.date,
                    delivery: None,
                    from: From::Copy { of: way.from.clone(), base },
                },
            )?;
            placed.uids.push(uid);
            placed.from.push(letter.uid);
        }
        Ok(placed)
    }

    /// The recent letters are told of; where the next ones begin is a mark that may be lost.
    pub(super) fn claim_recent(&mut self, draft: &mut Draft, of: &Address) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let state = &self.open_mut(of)?.state;
        let (first, next) = (state.recent_from, state.uid_next);
        if first != next {
            self.change(draft, of, Change::Recent(next))?;
        }
        Ok(Answer::Recent(Uid::new(first).unwrap_or(Uid::MIN)))
    }
}

/// Whether the change makes a difference to the letter.
fn changes(state: &crate::state::State, letter: &Letter, change: &FlagChange) -> bool {
    let has = |keyword: &Keyword| state.keywords.contains(letter.keywords, keyword);
    match change.how {
        How::Add => !letter.flags.contains(change.flags) || !change.keywords.iter().all(has),
        How::Remove => letter.flags.intersects(change.flags) || change.keywords.iter().any(has),
        How::Replace => {
            letter.flags != change.flags
                || state.keywords.find(&change.keywords) != Some(letter.keywords)
        }
    }
}
