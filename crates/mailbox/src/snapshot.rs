//! The snapshot of a mailbox: its state at the beginning of a log segment, read at once.
//!
//! A header of 128 bytes whose first line is text, then 40 bytes a letter, then text (keywords,
//! their sets, foreign names). Checksums over each of the three; a snapshot that fails one is as
//! good as none, because the log segments before it say the same.

use std::collections::BTreeMap;
use std::sync::Arc;

use disk::Crc32c;

use crate::change::{keyword_word, keywords};
use crate::checksum::crc32c;
use crate::history::History;
use crate::ids::{MailboxId, Uid};
use crate::keywords::{Keyword, Keywords};
use crate::letter::{LETTER_RECORD, Letter};
use crate::letters::Letters;
use crate::line;
use crate::state::State;

const FIRST_LINE: &[u8; 32] = b"posthaste mailbox snapshot 1   \n";
const HEADER: usize = 128;

/// Records read or written at once: about a megabyte, however many there are.
const PIECE: usize = 25_600 * LETTER_RECORD;

/// Where a snapshot is read from: all of a buffer from an offset on, or an error.
pub(crate) type Source<'a> = &'a mut dyn FnMut(u64, &mut [u8]) -> disk::Result<()>;

/// Where it is written to.
pub(crate) type Sink<'a> = &'a mut dyn FnMut(u64, &[u8]) -> disk::Result<()>;

/// Writes a snapshot of `state` before log segment `segment`, piece by piece; answers its length.
pub(crate) fn write(state: &State, segment: u32, put: Sink<'_>) -> disk::Result<u64> {
    let mut at = HEADER as u64;
    let mut records = Crc32c::new();
    let mut piece = Vec::with_capacity(PIECE.min(state.letters.len() * LETTER_RECORD));
    for letter in state.letters.iter() {
        piece.extend_from_slice(&letter.to_record());
        if piece.len() >= PIECE {
            records = records.update(&piece);
            put(at, &piece)?;
            at += piece.len() as u64;
            piece.clear();
        }
    }
    let records = records.update(&piece).finish();
    put(at, &piece)?;
    at += piece.len() as u64;
    let text = text(state);
    put(at, text.as_bytes())?;
    // Last: until it is there, what lies there is no snapshot.
    put(0, &header(state, segment, (records, &text)))?;
    Ok(at + text.len() as u64)
}

/// Keywords, their sets, foreign names.
fn text(state: &State) -> String {
    let mut text = String::new();
    text.push_str(&format!("keywords {}\n", keyword_word(state.keywords.all())));
    for set in state.keywords.sets() {
        text.push_str(&format!("set {}\n", keyword_word(set)));
    }
    for (uid, name) in state.names.iter() {
        text.push_str(&format!("name {uid} {}\n", line::word(Some(name))));
    }
    text
}

fn header(state: &State, segment: u32, (records, text): (u32, &str)) -> [u8; HEADER] {
    let mut out = [0; HEADER];
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

/// Reads a snapshot of `length` bytes, piece by piece: the state and the number of the segment
/// that follows; `None` when anything is not as written.
pub(crate) fn read(length: u64, get: Source<'_>) -> disk::Result<Option<(State, u32)>> {
    let mut header = [0; HEADER];
    if length < HEADER as u64 {
        return Ok(None);
    }
    get(0, &mut header)?;
    let Some((mut state, found)) = begun(&header) else { return Ok(None) };
    let records = u64::from(found.letters) * LETTER_RECORD as u64;
    if (HEADER as u64).checked_add(records).and_then(|at| at.checked_add(found.text))
        != Some(length)
    {
        return Ok(None);
    }
    let (mut at, end) = (HEADER as u64, HEADER as u64 + records);
    let mut sum = Crc32c::new();
    let mut piece = vec![0; PIECE.min(usize::try_from(records).unwrap_or(PIECE))];
    while at < end {
        let wanted = usize::try_from(end - at).unwrap_or(PIECE).min(piece.len());
        let piece = &mut piece[..wanted];
        get(at, piece)?;
        sum = sum.update(piece);
        if !take_letters(piece, &mut state.letters) {
            return Ok(None);
        }
        at += wanted as u64;
    }
    let mut text = vec![0; usize::try_from(found.text).unwrap_or(0)];
    get(at, &mut text)?;
    let whole = sum.finish() == found.records && crc32c(&text) == found.text_sum;
    let trailer = std::str::from_utf8(&text).ok().filter(|_| whole).and_then(trailer);
    let Some((keywords, names)) = trailer else { return Ok(None) };
    (state.keywords, state.names) = (keywords, names);
    state.recount();
    Ok(Some((state, found.segment)))
}

/// What a header says besides the state's own counters.
struct Header {
    segment: u32,
    letters: u32,
    /// Checksum of the records.
    records: u32,
    text_sum: u32,
    /// Bytes of the text.
    text: u64,
}

/// An empty state with the counters of a header.
fn begun(header: &[u8; HEADER]) -> Option<(State, Header)> {
    let small = |at: usize| four(header, 32 + at * 4);
    let large = |at: usize| -> Option<u64> {
        Some(u64::from(four(header, 72 + at * 8)?) | u64::from(four(header, 76 + at * 8)?) << 32)
    };
    if !header.starts_with(FIRST_LINE) || four(header, 124)? != crc32c(&header[..124]) {
        return None;
    }
    let mut state = State::new(MailboxId(small(0)?), small(1)?);
    state.uid_next = small(2)?;
    state.recent_from = small(3)?;
    state.modseq = large(0)?;
    state.history = History::since(state.modseq);
    let found = Header {
        segment: small(4)?,
        letters: small(5)?,
        records: small(8)?,
        text_sum: small(9)?,
        text: large(2)?,
    };
    Some((state, found))
}

/// Adds letters in the order of their UIDs; whether they were.
fn take_letters(records: &[u8], letters: &mut Letters) -> bool {
    let mut last = letters.last().map_or(0, |letter| letter.uid.get());
    let (records, _) = records.as_chunks::<LETTER_RECORD>();
    for record in records {
        let Some(letter) = Letter::from_record(record) else { return false };
        if letter.uid.get() <= last {
            return false;
        }
        last = letter.uid.get();
        letters.push(letter);
    }
    true
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

    fn written(state: &State, segment: u32) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = write(state, segment, &mut |at, piece| {
            let at = usize::try_from(at).unwrap();
            bytes.resize(bytes.len().max(at + piece.len()), 0);
            bytes[at..at + piece.len()].copy_from_slice(piece);
            Ok(())
        });
        assert_eq!(length.unwrap(), bytes.len() as u64);
        bytes
    }

    fn read_back(bytes: &[u8]) -> Option<(State, u32)> {
        let mut get = |at: u64, piece: &mut [u8]| {
            let at = usize::try_from(at).unwrap();
            piece.copy_from_slice(&bytes[at..at + piece.len()]);
            Ok(())
        };
        read(bytes.len() as u64, &mut get).unwrap()
    }

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
            let bytes = written(&state, segment);
            let (read, after) = read_back(&bytes).expect("what was written can be read");
            prop_assert_eq!(after, segment);
            prop_assert_eq!(visible(&read), visible(&state));
            prop_assert_eq!(written(&read, segment), bytes);
        }

        #[test]
        fn any_flipped_bit_or_cut_is_seen(
            changes in proptest::collection::vec(crate::change::tests::change(), 0..10),
            place: proptest::sample::Index,
            bit in 0u8..8,
        ) {
            let mut bytes = written(&state(&changes), 1);
            let at = place.index(bytes.len());
            prop_assert!(read_back(&bytes[..at]).is_none());
            bytes[at] ^= 1 << bit;
            prop_assert!(read_back(&bytes).is_none());
        }
    }
}
