//! [`Letters`]: the letters of a mailbox in order of their UIDs, shared by copies.
//!
//! A copy costs one reference. A change copies the one chunk it touches, and only if a session
//! holds a copy; so two versions can be compared by looking at the chunks that differ.

use std::sync::Arc;

use crate::ids::Uid;
use crate::letter::Letter;
use crate::limits::CHUNK_LETTERS;

type Chunk = Arc<Vec<Letter>>;

/// Letters sorted by UID, in chunks. No chunk is empty.
#[derive(Debug, Clone, Default)]
pub(crate) struct Letters {
    chunks: Arc<Vec<Chunk>>,
    /// How many letters come before each chunk: a place is found without walking over them.
    before: Arc<Vec<usize>>,
    length: usize,
}

impl Letters {
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Adds a letter whose UID is above all others.
    pub(crate) fn push(&mut self, letter: Letter) {
        debug_assert!(self.last().is_none_or(|last| last.uid < letter.uid));
        let chunks = Arc::make_mut(&mut self.chunks);
        match chunks.last_mut().filter(|chunk| chunk.len() < CHUNK_LETTERS) {
            Some(chunk) => Arc::make_mut(chunk).push(letter),
            None => {
                chunks.push(Arc::new(vec![letter]));
                Arc::make_mut(&mut self.before).push(self.length);
            }
        }
        self.length += 1;
    }

    pub(crate) fn last(&self) -> Option<Letter> {
        self.chunks.last().and_then(|chunk| chunk.last()).copied()
    }

    pub(crate) fn get(&self, uid: Uid) -> Option<Letter> {
        let chunk = self.chunks.get(self.chunk_of(uid))?;
        chunk.binary_search_by_key(&uid, |letter| letter.uid).ok().map(|at| chunk[at])
    }

    /// Changes a letter in place; its UID must stay.
    pub(crate) fn change(&mut self, uid: Uid, change: impl FnOnce(&mut Letter)) {
        let at = self.chunk_of(uid);
        let Some(chunk) = Arc::make_mut(&mut self.chunks).get_mut(at) else { return };
        if let Ok(place) = chunk.binary_search_by_key(&uid, |letter| letter.uid) {
            change(&mut Arc::make_mut(chunk)[place]);
        }
    }

    /// Takes letters out; gives back those that were there.
    pub(crate) fn remove(&mut self, gone: impl Fn(&Letter) -> bool, within: &[(u32, u32)]) {
        let touched = |chunk: &Chunk| {
            let (first, last) = (chunk[0].uid.get(), chunk[chunk.len() - 1].uid.get());
            let at = within.partition_point(|&(_, end)| end < first);
            within.get(at).is_some_and(|&(start, _)| start <= last)
        };
        let chunks = Arc::make_mut(&mut self.chunks);
        let mut removed = 0;
        for chunk in chunks.iter_mut().filter(|chunk| touched(chunk)) {
            if chunk.iter().any(&gone) {
                let before = chunk.len();
                Arc::make_mut(chunk).retain(|letter| !gone(letter));
                removed += before - chunk.len();
            }
        }
        if removed == 0 {
            return;
        }
        chunks.retain(|chunk| !chunk.is_empty());
        self.length -= removed;
        let mut before = 0;
        let counted = chunks.iter().map(|chunk| {
            before += chunk.len();
            before - chunk.len()
        });
        self.before = Arc::new(counted.collect());
    }

    /// The letter at a place, counted from 0.
    pub(crate) fn at(&self, place: usize) -> Option<Letter> {
        let at = self.before.partition_point(|&before| before <= place).checked_sub(1)?;
        self.chunks.get(at)?.get(place - self.before.get(at)?).copied()
    }

    /// How many letters have a smaller UID.
    pub(crate) fn below(&self, uid: Uid) -> usize {
        let at = self.chunk_of(uid);
        let Some(chunk) = self.chunks.get(at) else { return self.length };
        self.before.get(at).copied().unwrap_or(0) + chunk.partition_point(|letter| letter.uid < uid)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Letter> {
        self.chunks.iter().flat_map(|chunk| chunk.iter())
    }

    /// The letters with UIDs from `from` on, in order.
    pub(crate) fn iter_from(&self, from: Uid) -> impl Iterator<Item = &Letter> {
        let at = self.chunk_of(from);
        let rest = self.chunks.get(at..).unwrap_or_default();
        rest.iter().flat_map(|chunk| chunk.iter()).skip_while(move |letter| letter.uid < from)
    }

    /// Walks two versions side by side and tells each letter that is not the same in both, in
    /// order. Chunks that are shared are passed over unread.
    pub(crate) fn differences(
        &self,
        newer: &Letters,
        mut tell: impl FnMut(Option<&Letter>, Option<&Letter>),
    ) {
        if Arc::ptr_eq(&self.chunks, &newer.chunks) {
            return;
        }
        let (mut old, mut new) = (Cursor::new(&self.chunks), Cursor::new(&newer.chunks));
        loop {
            if old.pass_over_shared(&mut new) {
                continue;
            }
            match (old.letter(), new.letter()) {
                (None, None) => return,
                (Some(a), Some(b)) if a.uid == b.uid => {
                    if a != b {
                        tell(Some(a), Some(b));
                    }
                    old.step();
                    new.step();
                }
                (Some(a), b) if b.is_none_or(|b| a.uid < b.uid) => {
                    tell(Some(a), None);
                    old.step();
                }
                (_, b) => {
                    tell(None, b);
                    new.step();
                }
            }
        }
    }

    /// The first chunk that may hold the UID: the first whose last UID is not below it.
    fn chunk_of(&self, uid: Uid) -> usize {
        self.chunks.partition_point(|chunk| chunk[chunk.len() - 1].uid < uid)
    }
}

struct Cursor<'a> {
    chunks: &'a [Chunk],
    chunk: usize,
    place: usize,
}

impl<'a> Cursor<'a> {
    fn new(chunks: &'a [Chunk]) -> Self {
        Cursor { chunks, chunk: 0, place: 0 }
    }

    fn letter(&self) -> Option<&'a Letter> {
        self.chunks.get(self.chunk)?.get(self.place)
    }

    fn step(&mut self) {
        self.place += 1;
        if self.chunks.get(self.chunk).is_some_and(|chunk| self.place >= chunk.len()) {
            self.chunk += 1;
            self.place = 0;
        }
    }

    fn pass_over_shared(&mut self, other: &mut Cursor<'a>) -> bool {
        if self.place != 0 || other.place != 0 {
            return false;
        }
        match (self.chunks.get(self.chunk), other.chunks.get(other.chunk)) {
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => {
                self.chunk += 1;
                other.chunk += 1;
                true
            }
            _ => false,
        }
    }
}

impl FromIterator<Letter> for Letters {
    /// The letters must be in order.
    fn from_iter<I: IntoIterator<Item = Letter>>(all: I) -> Self {
        let mut letters = Letters::default();
        all.into_iter().for_each(|letter| letters.push(letter));
        letters
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::flags::Flags;
    use crate::keywords::KeywordSet;
    use crate::letter::Shown;

    fn letter(uid: u32, modseq: u64) -> Letter {
        Letter {
            uid: Uid::new(uid).unwrap(),
            flags: Flags::NONE,
            shown: Shown::default(),
            keywords: KeywordSet::EMPTY,
            size: 1,
            modseq,
            date: 0,
            hash: 0,
            saved: 0,
        }
    }

    fn model(letters: &Letters) -> BTreeMap<u32, u64> {
        letters.iter().map(|letter| (letter.uid.get(), letter.modseq)).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn behaves_as_a_map(
            start in 0u32..2000,
            changes in proptest::collection::vec((0u8..3, 1u32..2500, 1u32..300), 0..20),
        ) {
            let mut letters: Letters = (1..=start).map(|uid| letter(uid, 1)).collect();
            let (before, old) = (letters.clone(), model(&letters));
            let mut next = start + 1;
            for (at, (what, uid, more)) in changes.into_iter().enumerate() {
                match what {
                    0 => {
                        letters.push(letter(next, 1));
                        next += 1;
                    }
                    1 => letters.change(Uid::new(uid).unwrap(), |l| l.modseq = at as u64 + 2),
                    _ => letters.remove(
                        |l| (uid..=uid + more).contains(&l.uid.get()),
                        &[(uid, uid + more)],
                    ),
                }
            }
            let new = model(&letters);
            prop_assert_eq!(letters.len(), new.len());
            prop_assert_eq!(model(&before), old.clone(), "the copy has not moved");
            let mut told = old;
            before.differences(&letters, |a, b| match (a, b) {
                (_, Some(b)) => { told.insert(b.uid.get(), b.modseq); }
                (Some(a), None) => { told.remove(&a.uid.get()); }
                (None, None) => unreachable!(),
            });
            prop_assert_eq!(&told, &new, "the differences lead from one to the other");
            for (place, &uid) in new.keys().enumerate() {
                let uid = Uid::new(uid).unwrap();
                prop_assert_eq!(letters.at(place).map(|l| l.uid), Some(uid));
                prop_assert_eq!(letters.below(uid), place);
                prop_assert_eq!(letters.iter_from(uid).next().map(|l| l.uid), Some(uid));
                prop_assert_eq!(letters.get(uid).map(|l| l.uid), Some(uid));
            }
            prop_assert_eq!(letters.at(new.len()), None);
        }
    }
}
