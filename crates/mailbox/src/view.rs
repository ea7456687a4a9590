//! [`View`]: a mailbox as it was at one moment. Cheap to copy, never changes; an IMAP session keeps
//! the one its client knows and compares it with the current one.

use std::sync::Arc;

use crate::ids::{MailboxId, ModSeq, Uid};
use crate::keywords::{Keyword, Keywords};
use crate::letter::Letter;
use crate::state::{Counts, State};
use crate::uidset::UidSet;

/// A mailbox at one moment.
#[derive(Debug, Clone)]
pub struct View(Arc<State>);

/// What changed between two views of a mailbox.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Letters that are gone, in order of their UIDs.
    pub gone: Vec<Uid>,
    /// Letters that came, in order.
    pub came: Vec<Letter>,
    /// Letters whose flags, keywords or MODSEQ changed, in order.
    pub changed: Vec<Letter>,
}

impl View {
    pub(crate) fn new(state: State) -> Self {
        View(Arc::new(state))
    }

    pub(crate) fn state(&self) -> &State {
        &self.0
    }

    /// The mailbox.
    pub fn id(&self) -> MailboxId {
        self.0.id
    }

    /// UIDVALIDITY.
    pub fn uid_validity(&self) -> u32 {
        self.0.uid_validity
    }

    /// UIDNEXT.
    pub fn uid_next(&self) -> Uid {
        Uid::new(self.0.uid_next).unwrap_or(Uid::MAX)
    }

    /// HIGHESTMODSEQ.
    pub fn highest_modseq(&self) -> ModSeq {
        self.0.modseq
    }

    /// Number of letters, of unseen ones, of bytes.
    pub fn counts(&self) -> Counts {
        self.0.counts
    }

    /// Number of letters.
    pub fn len(&self) -> usize {
        self.0.letters.len()
    }

    /// Whether there is no letter.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The letters, in order of their UIDs.
    pub fn letters(&self) -> impl Iterator<Item = &Letter> {
        self.0.letters.iter()
    }

    /// The letters whose UIDs are in the set, in order; others are passed over.
    pub fn within<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = Letter> + 'a {
        self.0.within(uids)
    }

    /// The letter with this UID.
    pub fn letter(&self, uid: Uid) -> Option<Letter> {
        self.0.letters.get(uid)
    }

    /// The letter at a place, counted from 0: sequence number less one.
    pub fn at(&self, place: usize) -> Option<Letter> {
        self.0.letters.at(place)
    }

    /// How many letters have a smaller UID: the place of this one, if it is there.
    pub fn place(&self, uid: Uid) -> usize {
        self.0.letters.below(uid)
    }

    /// The first letter without `\Seen`.
    pub fn first_unseen(&self) -> Option<Letter> {
        if self.0.counts.unseen == 0 {
            return None;
        }
        self.letters().find(|letter| !letter.flags.contains(crate::Flags::SEEN)).copied()
    }

    /// Letters from this UID on have been announced to no session yet.
    pub fn recent_from(&self) -> Uid {
        Uid::new(self.0.recent_from).unwrap_or(Uid::MIN)
    }

    /// The keywords of the mailbox and their sets.
    pub fn keywords(&self) -> &Keywords {
        &self.0.keywords
    }

    /// The keywords of one letter.
    pub fn keywords_of(&self, letter: &Letter) -> impl Iterator<Item = &Keyword> {
        self.0.keywords.of(letter.keywords)
    }

    /// Whether `other` shows the same moment.
    pub fn is_same(&self, other: &View) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
            || (self.0.modseq, self.0.recent_from) == (other.0.modseq, other.0.recent_from)
    }

    /// UIDs of letters that went after `modseq` (RFC 7162 §3.2.5). If that is longer ago than
    /// anybody remembers: every UID that was ever given and has no letter now.
    pub fn gone_since(&self, modseq: ModSeq) -> UidSet {
        if modseq >= self.0.modseq {
            return UidSet::new();
        }
        self.0.history.gone_since(modseq).unwrap_or_else(|| {
            let mut absent = UidSet::new();
            let mut next = 1;
            for letter in self.letters() {
                let uid = letter.uid.get();
                absent.insert_range(next..=uid - 1);
                next = uid.saturating_add(1);
            }
            absent.insert_range(next..=self.0.uid_next.saturating_sub(1));
            absent
        })
    }

    /// What changed from this view to a later one of the same mailbox. Costs what differs, not
    /// what is there.
    pub fn changes(&self, later: &View) -> Changes {
        let mut changes = Changes::default();
        self.0.letters.differences(&later.0.letters, |old, new| match (old, new) {
            (Some(old), Some(new)) if old.modseq != new.modseq => changes.changed.push(*new),
            // The file's name alone, which no client sees.
            (Some(_), Some(_)) | (None, None) => {}
            (Some(old), None) => changes.gone.push(old.uid),
            (None, Some(new)) => changes.came.push(*new),
        });
        changes
    }
}
