//! [`State`]: what is true of one mailbox, made of nothing but its changes in order. The working
//! copy of the writer and the views of sessions are both this; a copy shares its parts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{Added, Change, How};
use crate::flags::Flags;
use crate::history::History;
use crate::ids::{MailboxId, ModSeq, Uid};
use crate::keywords::{Keyword, KeywordSet, Keywords};
use crate::letter::{self, Letter, Shown};
use crate::letters::Letters;
use crate::uidset::UidSet;

/// A mailbox: counters, letters, keywords.
#[derive(Debug, Clone)]
pub(crate) struct State {
    pub(crate) id: MailboxId,
    pub(crate) uid_validity: u32,
    /// The next UID, at least 1. At `u32::MAX` the mailbox takes no more letters.
    pub(crate) uid_next: u32,
    /// MODSEQ of the last change; 1 for a new mailbox (RFC 7162 §3.1.2.1 forbids 0).
    pub(crate) modseq: ModSeq,
    pub(crate) letters: Letters,
    pub(crate) keywords: Arc<Keywords>,
    /// Names other programs gave to files, without flags.
    pub(crate) names: Arc<BTreeMap<Uid, Arc<str>>>,
    pub(crate) counts: Counts,
    /// Which letters went when.
    pub(crate) history: History,
    /// Letters from this UID on have been announced to nobody.
    pub(crate) recent_from: u32,
}

/// Counters of a mailbox, kept as changes happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Letters.
    pub letters: u32,
    /// Letters without `\Seen`.
    pub unseen: u32,
    /// Letters with `\Deleted`.
    pub deleted: u32,
    /// Octets of all letters.
    pub bytes: u64,
}

/// A change that does not fit the state it was applied to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfitting(pub(crate) &'static str);

impl State {
    /// An empty mailbox.
    pub(crate) fn new(id: MailboxId, uid_validity: u32) -> Self {
        State {
            id,
            uid_validity,
            uid_next: 1,
            modseq: 1,
            letters: Letters::default(),
            keywords: Arc::default(),
            names: Arc::default(),
            counts: Counts::default(),
            history: History::default(),
            recent_from: 1,
        }
    }

    /// Applies one line. A numbered change that is not above [`State::modseq`] is a repeat and
    /// passed over (`Ok(false)`).
    pub(crate) fn apply(&mut self, modseq: ModSeq, change: &Change) -> Result<bool, Unfitting> {
        if change.is_numbered() && modseq <= self.modseq {
            return Ok(false);
        }
        match change {
            Change::Add(added) => self.add(modseq, added)?,
            Change::Flags { uids, how, flags, keywords } => {
                self.set_flags(modseq, uids, &FlagChange { how: *how, flags: *flags, keywords })?;
            }
            Change::Gone { uids, .. } => {
                self.history.add(modseq, uids);
                self.remove(uids);
            }
            Change::Recent(uid) => self.recent_from = self.recent_from.max(*uid),
            Change::Shown { uids, flags } => self.show(uids, *flags),
            Change::Named { uid, name } => {
                if self.letters.get(*uid).is_some() {
                    Arc::make_mut(&mut self.names).insert(*uid, name.as_str().into());
                    self.letters.change(*uid, |letter| {
                        letter.shown = Shown::foreign(letter.shown.flags());
                    });
                }
            }
        }
        if change.is_numbered() {
            self.modseq = modseq;
        }
        Ok(true)
    }

    fn add(&mut self, modseq: ModSeq, added: &Added) -> Result<(), Unfitting> {
        if added.uid.get() < self.uid_next {
            return Err(Unfitting("a UID was given twice"));
        }
        let keywords = match self.keywords.find(&added.keywords) {
            Some(known) => known,
            None => Arc::make_mut(&mut self.keywords)
                .set(&added.keywords)
                .map_err(|_| Unfitting("too many keywords"))?,
        };
        let shown = match &added.name {
            Some(name) => {
                Arc::make_mut(&mut self.names).insert(added.uid, name.as_str().into());
                Shown::foreign(added.flags)
            }
            None => Shown::ours(added.flags),
        };
        let letter = Letter {
            uid: added.uid,
            flags: added.flags,
            shown,
            keywords,
            size: added.size,
            modseq,
            date: added.date,
            hash: added.hash,
            saved: added.saved,
        };
        self.uid_next = added.uid.get().saturating_add(1);
        self.letters.push(letter);
        self.count(&letter, true);
        Ok(())
    }

    /// Flags of the letters in `uids` that exist; each one gets `modseq`.
    fn set_flags(
        &mut self,
        modseq: ModSeq,
        uids: &UidSet,
        change: &FlagChange<'_>,
    ) -> Result<(), Unfitting> {
        let touched: Vec<Letter> = self.within(uids).collect();
        let mut known: Option<(KeywordSet, KeywordSet)> = None;
        for old in touched {
            let keywords = match known {
                Some((from, to)) if from == old.keywords => to,
                _ if change.how != How::Replace && change.keywords.is_empty() => old.keywords,
                _ => change
                    .keywords(Arc::make_mut(&mut self.keywords), old.keywords)
                    .map_err(|_| Unfitting("too many keywords"))?,
            };
            known = Some((old.keywords, keywords));
            let new = Letter { flags: change.flags(old.flags), keywords, modseq, ..old };
            self.letters.change(old.uid, |letter| *letter = new);
            self.count(&old, false);
            self.count(&new, true);
        }
        Ok(())
    }

    fn remove(&mut self, uids: &UidSet) {
        let gone: Vec<Letter> = self.within(uids).collect();
        let ranges: Vec<(u32, u32)> = uids.ranges().map(|range| range.into_inner()).collect();
        self.letters.remove(|letter| uids.contains(letter.uid), &ranges);
        for letter in gone {
            self.count(&letter, false);
            if letter.shown.is_foreign() {
                Arc::make_mut(&mut self.names).remove(&letter.uid);
            }
        }
    }

    fn show(&mut self, uids: &UidSet, flags: Flags) {
        let touched: Vec<Uid> = self.within(uids).map(|letter| letter.uid).collect();
        for uid in touched {
            self.letters.change(uid, |letter| letter.shown = letter.shown.with_flags(flags));
        }
    }

    fn count(&mut self, letter: &Letter, more: bool) {
        let step = |counter: &mut u32, counts: bool| {
            if counts {
                *counter = if more { *counter + 1 } else { counter.saturating_sub(1) };
            }
        };
        step(&mut self.counts.letters, true);
        step(&mut self.counts.unseen, !letter.flags.contains(Flags::SEEN));
        step(&mut self.counts.deleted, letter.flags.contains(Flags::DELETED));
        let size = u64::from(letter.size);
        self.counts.bytes = match more {
            true => self.counts.bytes + size,
            false => self.counts.bytes.saturating_sub(size),
        };
    }

    /// The letters whose UIDs are in the set, in order.
    pub(crate) fn within<'a>(&'a self, uids: &'a UidSet) -> impl Iterator<Item = Letter> + 'a {
        uids.ranges().flat_map(move |range| {
            let (first, last) = range.into_inner();
            // Ranges of a set never begin with 0.
            let from = Uid::new(first).unwrap_or(Uid::MIN);
            self.letters.iter_from(from).take_while(move |l| l.uid.get() <= last).copied()
        })
    }

    /// The part of a letter's file name before `:2,`.
    pub(crate) fn base_name(&self, letter: &Letter) -> String {
        match self.names.get(&letter.uid).filter(|_| letter.shown.is_foreign()) {
            Some(name) => name.to_string(),
            None => letter::own_name(letter.saved, self.uid_validity, letter.uid, letter.size),
        }
    }

    /// Counters worked out anew, as `verify` and the reader of a snapshot do.
    pub(crate) fn recount(&mut self) {
        self.counts = Counts::default();
        let letters = self.letters.clone();
        letters.iter().for_each(|letter| self.count(letter, true));
    }
}

struct FlagChange<'a> {
    how: How,
    flags: Flags,
    keywords: &'a [Keyword],
}

impl FlagChange<'_> {
    fn flags(&self, old: Flags) -> Flags {
        match self.how {
            How::Replace => self.flags,
            How::Add => old.union(self.flags),
            How::Remove => old.without(self.flags),
        }
    }

    fn keywords(
        &self,
        of: &mut Keywords,
        old: KeywordSet,
    ) -> Result<KeywordSet, crate::keywords::TooManyKeywords> {
        match self.how {
            How::Replace => of.set(self.keywords),
            _ if self.keywords.is_empty() => Ok(old),
            How::Add => of.plus(old, self.keywords),
            How::Remove => of.minus(old, self.keywords),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What two states must have in common for clients not to see a difference.
    pub(crate) fn visible(state: &State) -> impl PartialEq + std::fmt::Debug + use<> {
        let letters: Vec<_> = state
            .letters
            .iter()
            .map(|l| {
                let mut words: Vec<String> =
                    state.keywords.of(l.keywords).map(|k| k.as_str().to_lowercase()).collect();
                words.sort();
                (l.uid, l.flags, words, l.size, l.modseq, l.date, l.hash, state.base_name(l))
            })
            .collect();
        (state.id, state.uid_validity, state.uid_next, state.modseq, state.counts, letters)
    }

    proptest! {
        #[test]
        fn counters_are_what_counting_gives(
            changes in proptest::collection::vec(crate::change::tests::change(), 0..40),
        ) {
            let mut state = State::new(MailboxId(3), 9);
            for change in &changes {
                let modseq = state.modseq + 1;
                if state.apply(modseq, change).is_ok() && change.is_numbered() {
                    prop_assert_eq!(state.apply(modseq, change), Ok(false), "a repeat");
                }
            }
            let mut counted = state.clone();
            counted.recount();
            prop_assert_eq!(counted.counts, state.counts);
            prop_assert_eq!(state.counts.letters as usize, state.letters.len());
        }
    }
}
