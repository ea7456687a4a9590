//! The snapshot of a mailbox: its state at the beginning of a log segment, read at once.
//!
//! A header of 128 bytes whose first line is text, then 40 bytes a letter, then text (keywords,
//! their sets, foreign names). Checksums over each of the three; a snapshot that fails one is as
//! good as none, because the log segments before it say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::change::{keyword_word, keywords};
use crate::checksum::crc32c;
use crate::ids::{MailboxId, Uid};
use crate::keywords::{Keyword, Keywords};
use crate::letter::{LETTER_RECORD, Letter};
use crate::letters::Letters;
use crate::line;
use crate::state::State;

const FIRST_LINE: &[u8; 32] = b"posthaste mailbox snapshot 1   \n";
const HEADER: usize = 128;

/// The bytes of a snapshot of `state` before log segment `segment`.
pub(crate) fn write(state: &State, segment: u32) -> Vec<u8> {
    let mut text = String::new();
    text.push_str(&format!("keywords {}\n", keyword_word(state.keywords.all())));
    for set in state.keywords.sets() {
        text.push_str(&format!("set {}\n", keyword_word(set)));
    }
    for (uid, name) in state.names.iter() {
        text.push_str(&format!("name {uid} {}\n", line::word(Some(name))));
    }
    let mut out = vec![0; HEADER];
    out.reserve(state.letters.len() * LETTER_RECORD + text.len());
    state.letters.iter().for_each(|letter| out.extend_from_slice(&letter.to_record()));
    let records = crc32c(&out[HEADER..]);
    out.extend_from_slice(text.as_bytes());

    out[..32].copy_from_slice(FIRST_LINE);
    let small = [
        state.id.0,
        state.uid_validity,
        state.uid_next,
        state.recent_from,
        segment,
        state.counts.letters,
        state.counts.unseen,
        state.counts.deleted,
        records,
        crc32c(text.as_bytes()),
    ];
    for (at, value) in small.into_iter().enumerate() {
        out[32 + at * 4..36 + at * 4].copy_from_slice(&value.to_le_bytes());
    }
    for (at, value) in [state.modseq, state.counts.bytes, text.len() as u64].iter().enumerate() {
        out[72 + at * 8..80 + at * 8].copy_from_slice(&value.to_le_bytes());
    }
    let sum = crc32c(&out[..HEADER - 4]);
    out[HEADER - 4..HEADER].copy_from_slice(&sum.to_le_bytes());
    out
}

/// The state and the number of the segment that follows; `None` when anything is not as written.
pub(crate) fn read(bytes: &[u8]) -> Option<(State, u32)> {
    let (header, rest) = bytes.split_at_checked(HEADER)?;
    let small = |at: usize| four(header, 32 + at * 4);
    let large = |at: usize| -> Option<u64> {
        Some(u64::from(four(header, 72 + at * 8)?) | u64::from(four(header, 76 + at * 8)?) << 32)
    };
    if !header.starts_with(FIRST_LINE) || four(header, 124)? != crc32c(&header[..124]) {
        return None;
    }
    let count = usize::try_from(small(5)?).ok()?;
    let (records, text) = rest.split_at_checked(count.checked_mul(LETTER_RECORD)?)?;
    if small(8)? != crc32c(records) || small(9)? != crc32c(text) || large(2)? != text.len() as u64 {
        return None;
    }
    let mut state = State::new(MailboxId(small(0)?), small(1)?);
    state.uid_next = small(2)?;
    state.recent_from = small(3)?;
    state.modseq = large(0)?;
    state.letters = letters(records)?;
    (state.keywords, state.names) = trailer(std::str::from_utf8(text).ok()?)?;
    state.recount();
    Some((state, small(4)?))
}

fn letters(records: &[u8]) -> Option<Letters> {
    let mut last = 0;
    let (records, _) = records.as_chunks::<LETTER_RECORD>();
    let mut letters = Letters::default();
    for record in records {
        let letter = Letter::from_record(record)?;
        if letter.uid.get() <= last {
            return None;
        }
        last = letter.uid.get();
        letters.push(letter);
    }
    Some(letters)
}

type Trailer = (Arc<Keywords>, Arc<BTreeMap<Uid, Arc<str>>>);

fn trailer(text: &str) -> Option<Trailer> {
    let mut known = Keywords::default();
    let mut names = BTreeMap::new();
    let mut sets = 0;
    for line in text.lines() {
        let (verb, rest) = line.split_once(' ')?;
        match verb {
            "keywords" => known.know(&keywords(rest)?).ok()?,
            "set" => {
                sets += 1;
                let words: Vec<Keyword> = keywords(rest)?;
                (usize::from(known.set(&words).ok()?.0) == sets).then_some(())?;
            }
            "name" => {
                let (uid, name) = rest.split_once(' ')?;
                names.insert(uid.parse().ok()?, line::text(name)??.as_str().into());
            }
            _ => return None,
        }
    }
    Some((Arc::new(known), Arc::new(names)))
}

fn four(bytes: &[u8], at: usize) -> Option<u32> {
    let (four, _) = bytes.get(at..)?.split_first_chunk::<4>()?;
    Some(u32::from_le_bytes(*four))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::state::tests::visible;

    fn state(changes: &[crate::change::Change]) -> State {
        let mut state = State::new(MailboxId(3), 9);
        for change in changes {
            let _ = state.apply(state.modseq + 1, change);
        }
        state
    }

    proptest! {
        #[test]
        fn leads_back(
            changes in proptest::collection::vec(crate::change::tests::change(), 0..40),
            segment: u32,
        ) {
            let state = state(&changes);
            let bytes = write(&state, segment);
            let (read, after) = read(&bytes).expect("what was written can be read");
            prop_assert_eq!(after, segment);
            prop_assert_eq!(visible(&read), visible(&state));
            prop_assert_eq!(write(&read, segment), bytes);
        }

        #[test]
        fn any_flipped_bit_or_cut_is_seen(
            changes in proptest::collection::vec(crate::change::tests::change(), 0..10),
            place: proptest::sample::Index,
            bit in 0u8..8,
        ) {
            let mut bytes = write(&state(&changes), 1);
            let at = place.index(bytes.len());
            prop_assert!(read(&bytes[..at]).is_none());
            bytes[at] ^= 1 << bit;
            prop_assert!(read(&bytes).is_none());
        }
    }
}
