//! Words of some thousand letters of one mailbox: in the making ([`Builder`]) and finished
//! ([`Segment`]), which is a file and never changes. For each word there is a list of the letters
//! that hold it, with a mark whether in their text or in the header only.

use std::collections::{HashMap, HashSet};

use memchr::memmem;

use super::query::{Field, Query, kept_words};
use crate::checksum::crc32c;
use crate::ids::Uid;
use crate::limits::WORDS_OF_A_LETTER;

/// Letters as bits, in the order of a segment.
pub(super) type Bits = Vec<u64>;

/// A segment in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    docs: Vec<Doc>,
    /// Word to letters: twice the place, odd when the text holds it.
    words: HashMap<Box<[u8]>, Vec<u32>>,
    /// Octets that this takes, about.
    memory: usize,
}

/// A letter whose words are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doc {
    pub(super) uid: Uid,
    pub(super) hash: u64,
}

/// A finished segment, in memory.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) docs: Vec<Doc>,
    /// The words one after the other, each followed by a line end.
    words: Vec<u8>,
    /// Where each word ends in `words`, line end included.
    ends: Vec<u32>,
    /// Where the list of each word ends in `lists`.
    list_ends: Vec<u32>,
    /// Ascending numbers as differences, seven bits an octet.
    lists: Vec<u8>,
}

impl Builder {
    pub(super) fn len(&self) -> usize {
        self.docs.len()
    }

    pub(super) fn memory(&self) -> usize {
        self.memory
    }

    pub(super) fn docs(&self) -> &[Doc] {
        &self.docs
    }

    /// Takes up a letter, its header and its text in lower case. `false`: it has too many words,
    /// and is left out.
    pub(super) fn add(&mut self, doc: Doc, header: &str, body: &str) -> bool {
        let body: HashSet<&[u8]> = kept_words(body.as_bytes()).collect();
        let header: HashSet<&[u8]> = kept_words(header.as_bytes()).collect();
        if body.len() + header.len() > WORDS_OF_A_LETTER {
            return false;
        }
        let place = u32::try_from(self.docs.len()).unwrap_or(u32::MAX / 2);
        self.docs.push(doc);
        for word in header.difference(&body) {
            self.note(word, place * 2);
        }
        for word in &body {
            self.note(word, place * 2 + 1);
        }
        true
    }

    fn note(&mut self, word: &[u8], entry: u32) {
        self.memory += 4;
        match self.words.get_mut(word) {
            Some(list) => list.push(entry),
            None => {
                self.memory += word.len() + WORD_COST;
                self.words.insert(word.into(), vec![entry]);
            }
        }
    }

    /// Takes up what a finished segment holds, letters aside that `keep` does not want.
    pub(super) fn absorb(&mut self, segment: &Segment, keep: impl Fn(Uid) -> bool) {
        let mut places = Vec::with_capacity(segment.docs.len());
        for doc in &segment.docs {
            places.push(keep(doc.uid).then(|| {
                self.docs.push(*doc);
                u32::try_from(self.docs.len() - 1).unwrap_or(u32::MAX / 2)
            }));
        }
        for word in 0..segment.ends.len() {
            let text = segment.word(word);
            for entry in segment.list(word) {
                let place = usize::try_from(entry / 2).unwrap_or(usize::MAX);
                if let Some(Some(place)) = places.get(place) {
                    self.note(text, place * 2 + entry % 2);
                }
            }
        }
    }

    /// The segment as octets of a file.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut sorted: Vec<(&[u8], &Vec<u32>)> =
            self.words.iter().map(|(word, list)| (&**word, list)).collect();
        sorted.sort_unstable();
        let (mut words, mut lists) = (Vec::new(), Vec::new());
        let (mut ends, mut list_ends) = (Vec::new(), Vec::new());
        for (word, list) in sorted {
            words.extend_from_slice(word);
            words.push(b'\n');
            let mut entries = list.clone();
            entries.sort_unstable();
            let mut before = 0;
            for entry in entries {
                push_number(&mut lists, entry - before);
                before = entry;
            }
            ends.push(words.len());
            list_ends.push(lists.len());
        }
        let mut body = Vec::with_capacity(words.len() + lists.len() + ends.len() * 8);
        for length in [self.docs.len(), ends.len(), words.len(), lists.len()] {
            push_four(&mut body, length);
        }
        for doc in &self.docs {
            body.extend_from_slice(&doc.uid.get().to_le_bytes());
            body.extend_from_slice(&doc.hash.to_le_bytes());
        }
        ends.into_iter().chain(list_ends).for_each(|end| push_four(&mut body, end));
        body.extend_from_slice(&words);
        body.extend_from_slice(&lists);
        let mut file = FIRST_LINE.to_vec();
        file.extend_from_slice(&crc32c(&body).to_le_bytes());
        file.extend_from_slice(&body);
        file
    }

    /// The letters that fulfil the condition.
    pub(super) fn find(&self, query: &Query) -> Bits {
        answer(query, self.docs.len(), &|field, piece, bits| {
            let finder = memmem::Finder::new(piece);
            for (word, list) in &self.words {
                if finder.find(word).is_some() {
                    set(bits, field, list.iter().copied());
                }
            }
        })
    }
}

impl Segment {
    /// Reads what [`Builder::to_bytes`] wrote; `None` when anything is not as written.
    pub(super) fn read(file: &[u8]) -> Option<Segment> {
        let rest = file.strip_prefix(FIRST_LINE)?;
        let (sum, body) = rest.split_first_chunk::<4>()?;
        if u32::from_le_bytes(*sum) != crc32c(body) {
            return None;
        }
        let mut rest = body;
        let mut four = || {
            let (four, after) = rest.split_first_chunk::<4>()?;
            rest = after;
            usize::try_from(u32::from_le_bytes(*four)).ok()
        };
        let (docs, words, octets, lists) = (four()?, four()?, four()?, four()?);
        let (records, rest) = rest.split_at_checked(docs.checked_mul(12)?)?;
        let (ends, rest) = rest.split_at_checked(words.checked_mul(4)?)?;
        let (list_ends, rest) = rest.split_at_checked(words.checked_mul(4)?)?;
        let (text, list) = rest.split_at_checked(octets)?;
        if list.len() != lists {
            return None;
        }
        let doc = |record: &[u8; 12]| {
            let (uid, hash) = record.split_first_chunk::<4>()?;
            let uid = Uid::new(u32::from_le_bytes(*uid))?;
            Some(Doc { uid, hash: u64::from_le_bytes(hash.try_into().ok()?) })
        };
        let numbers = |octets: &[u8]| -> Vec<u32> {
            octets.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four)).collect()
        };
        Some(Segment {
            docs: records.as_chunks::<12>().0.iter().map(doc).collect::<Option<_>>()?,
            words: text.to_vec(),
            ends: numbers(ends),
            list_ends: numbers(list_ends),
            lists: list.to_vec(),
        })
    }

    /// Octets that it takes.
    pub(super) fn memory(&self) -> usize {
        self.docs.len() * 16 + self.ends.len() * 8 + self.words.len() + self.lists.len()
    }

    fn word(&self, at: usize) -> &[u8] {
        let range = range_of(&self.ends, at);
        let word = self.words.get(range).unwrap_or_default();
        word.strip_suffix(b"\n").unwrap_or(word)
    }

    fn list(&self, at: usize) -> impl Iterator<Item = u32> + '_ {
        let mut rest = self.lists.get(range_of(&self.list_ends, at)).unwrap_or_default();
        let mut last = 0_u32;
        std::iter::from_fn(move || {
            last = last.checked_add(take_number(&mut rest)?)?;
            Some(last)
        })
    }

    /// The letters that fulfil the condition.
    pub(super) fn find(&self, query: &Query) -> Bits {
        answer(query, self.docs.len(), &|field, piece, bits| {
            let finder = memmem::Finder::new(piece);
            let mut from = 0;
            while let Some(hit) = self.words.get(from..).and_then(|rest| finder.find(rest)) {
                let at = self.ends.partition_point(|end| usize_of(*end) <= from + hit);
                set(bits, field, self.list(at));
                from = self.ends.get(at).map_or(self.words.len(), |end| usize_of(*end));
            }
        })
    }
}

/// Marks the letters of which one word holds a piece.
type Marks<'a> = dyn Fn(Field, &[u8], &mut Bits) + 'a;

fn answer(query: &Query, docs: usize, mark: &Marks<'_>) -> Bits {
    let combine = |parts: &mut dyn Iterator<Item = Bits>, with: fn(&mut u64, u64)| {
        let mut all = parts.next().unwrap_or_default();
        for part in parts {
            all.iter_mut().zip(part).for_each(|(all, part)| with(all, part));
        }
        all
    };
    match query {
        Query::Holds(field, pieces) => {
            let mut found = pieces.iter().map(|piece| {
                let mut bits = vec![0; docs.div_ceil(64)];
                mark(*field, piece, &mut bits);
                bits
            });
            combine(&mut found, |all, part| *all &= part)
        }
        Query::All(parts) => {
            combine(&mut parts.iter().map(|part| answer(part, docs, mark)), |all, part| {
                *all &= part
            })
        }
        Query::One(parts) => {
            combine(&mut parts.iter().map(|part| answer(part, docs, mark)), |all, part| {
                *all |= part
            })
        }
    }
}

fn set(bits: &mut Bits, field: Field, list: impl Iterator<Item = u32>) {
    for entry in list {
        if field == Field::Any || entry % 2 == 1 {
            let place = usize_of(entry / 2);
            if let Some(word) = bits.get_mut(place / 64) {
                *word |= 1 << (place % 64);
            }
        }
    }
}

/// Whether a letter is marked.
pub(super) fn is_set(bits: &Bits, place: usize) -> bool {
    bits.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
}

fn range_of(ends: &[u32], at: usize) -> std::ops::Range<usize> {
    let start =
        at.checked_sub(1).and_then(|before| ends.get(before)).map_or(0, |end| usize_of(*end));
    let end = ends.get(at).map_or(start, |end| usize_of(*end));
    start..end.max(start)
}

fn usize_of(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn push_four(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(&u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
}

fn push_number(out: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(octets: &mut &[u8]) -> Option<u32> {
    let mut number = 0_u32;
    for shift in [0, 7, 14, 21, 28] {
        let (octet, rest) = octets.split_first()?;
        *octets = rest;
        number |= u32::from(octet & 0x7f) << shift;
        if octet & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// First line of a segment.
const FIRST_LINE: &[u8] = b"posthaste words 1\n";

/// Octets that a word costs in memory besides its own, about.
const WORD_COST: usize = 80;

#[cfg(test)]
mod tests {
    use super::*;

    fn doc(uid: u32) -> Doc {
        Doc { uid: Uid::new(uid).expect("a UID"), hash: u64::from(uid) * 7 }
    }

    fn found(bits: &Bits, docs: &[Doc]) -> Vec<u32> {
        let set = docs.iter().enumerate().filter(|(place, _)| is_set(bits, *place));
        set.map(|(_, doc)| doc.uid.get()).collect()
    }

    #[test]
    fn a_segment_answers_like_its_builder_and_survives_the_disk() {
        let mut builder = Builder::default();
        assert!(builder.add(doc(1), "subject: hello", "the education of a cat"));
        assert!(builder.add(doc(2), "subject: cat", "nothing of interest"));
        for uid in 3..200 {
            assert!(builder.add(doc(uid), "subject: filler", &format!("number{uid} words")));
        }
        let bytes = builder.to_bytes();
        let segment = Segment::read(&bytes).expect("as written");
        let mut copy = Builder::default();
        copy.absorb(&segment, |uid| uid.get() != 2);
        for (field, wanted, uids) in [
            (Field::Any, "cat", vec![1, 2]),
            (Field::Body, "cat", vec![1]),
            (Field::Any, "number15", vec![15, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159]),
            (Field::Any, "subject: hello", vec![1]),
            (Field::Any, "absent", vec![]),
        ] {
            let query = Query::holds(field, wanted).expect("a query");
            assert_eq!(found(&builder.find(&query), builder.docs()), uids, "{wanted}");
            assert_eq!(found(&segment.find(&query), &segment.docs), uids, "{wanted}");
            let rest: Vec<u32> = uids.into_iter().filter(|uid| *uid != 2).collect();
            assert_eq!(found(&copy.find(&query), copy.docs()), rest, "{wanted}");
        }
        for cut in [0, 5, 30, bytes.len() - 1] {
            assert!(Segment::read(&bytes[..cut]).is_none(), "{cut}");
        }
    }

    #[test]
    fn conditions_combine() {
        let mut builder = Builder::default();
        builder.add(doc(1), "", "red green");
        builder.add(doc(2), "", "green blue");
        let holds = |word| Query::holds(Field::Body, word).expect("a query");
        let both = Query::All(vec![holds("red"), holds("green")]);
        let either = Query::One(vec![holds("red"), holds("blue")]);
        assert_eq!(found(&builder.find(&both), builder.docs()), [1]);
        assert_eq!(found(&builder.find(&either), builder.docs()), [1, 2]);
    }
}
