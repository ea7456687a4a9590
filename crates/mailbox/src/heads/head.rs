//! One head as it lies in the file: checksum, whose it is, the day of its Date field, its subject
//! as searches compare it, and its ENVELOPE as IMAP says it. Called by `heads`.

use message::date::DateTime;
use message::envelope::Envelope;
use message::values::text;
use protocol::imap::fetch::FetchData;
use protocol::imap::grammar::{Writer, print_fetch_data};
use protocol::time::{Civil, Timestamp};

use crate::checksum::crc32c;
use crate::letter::Letter;
use crate::limits::HEAD_BYTES;

/// What is known of a letter's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head<'a> {
    /// The item ENVELOPE of a FETCH response, its name included.
    pub envelope: &'a [u8],
    /// The subject, decoded, in lower case; empty where there is none.
    pub subject: &'a str,
    /// The day of the Date field in its own zone: year, month, day.
    pub sent: Option<(u16, u8, u8)>,
}

/// Octets before the subject: length of what follows it, CRC-32C of all behind it, UID, hash, day,
/// length of the subject.
const FIXED: usize = 4 + 4 + 4 + 8 + 4 + 2;

/// The record of a letter; `None`: too long to be kept.
pub(super) fn record(letter: &Letter, envelope: &Envelope) -> Option<Vec<u8>> {
    let subject = envelope.subject.as_deref().map(text).unwrap_or_default().to_lowercase();
    let sent = envelope.date.as_deref().and_then(day);
    let mut printed = Writer::server();
    print_fetch_data(&mut printed, &FetchData::Envelope(Box::new(envelope.to_wire())));
    let (printed, _) = printed.into_parts();
    let length = FIXED + subject.len() + printed.len();
    let subject_length = u16::try_from(subject.len()).ok()?;
    if length > HEAD_BYTES {
        return None;
    }
    let day = sent.map_or(0, |(year, month, day)| {
        u32::from(year) << 9 | u32::from(month) << 5 | u32::from(day)
    });
    let mut record = vec![0; 8];
    record.reserve(length);
    record.extend_from_slice(&letter.uid.get().to_le_bytes());
    record.extend_from_slice(&letter.hash.to_le_bytes());
    record.extend_from_slice(&day.to_le_bytes());
    record.extend_from_slice(&subject_length.to_le_bytes());
    record.extend_from_slice(subject.as_bytes());
    record.extend_from_slice(&printed);
    let rest = u32::try_from(record.len() - 4).ok()?;
    let checksum = crc32c(record.get(8..)?);
    record.get_mut(..4)?.copy_from_slice(&rest.to_le_bytes());
    record.get_mut(4..8)?.copy_from_slice(&checksum.to_le_bytes());
    Some(record)
}

/// Length of a record from its first four octets; `None`: it cannot be one.
pub(super) fn length(start: &[u8]) -> Option<usize> {
    let (rest, _) = start.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*rest)).ok()?.checked_add(4)?;
    (FIXED..=HEAD_BYTES).contains(&length).then_some(length)
}

/// Takes a record apart; `None`: it is damaged, or another letter's.
pub(super) fn parse<'a>(record: &'a [u8], letter: &Letter) -> Option<Head<'a>> {
    let (_, rest) = record.split_first_chunk::<4>()?;
    let (checksum, rest) = rest.split_first_chunk::<4>()?;
    if u32::from_le_bytes(*checksum) != crc32c(rest) {
        return None;
    }
    let (uid, rest) = rest.split_first_chunk::<4>()?;
    let (hash, rest) = rest.split_first_chunk::<8>()?;
    if u32::from_le_bytes(*uid) != letter.uid.get() || u64::from_le_bytes(*hash) != letter.hash {
        return None;
    }
    let (day, rest) = rest.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<2>()?;
    let (subject, envelope) = rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))?;
    let day = u32::from_le_bytes(*day);
    let part = |shift: u32, most: u32| day >> shift & most;
    let sent = (day != 0).then(|| {
        let narrow = |value: u32| u8::try_from(value).unwrap_or(u8::MAX);
        (
            u16::try_from(part(9, 0xffff)).unwrap_or(u16::MAX),
            narrow(part(5, 15)),
            narrow(part(0, 31)),
        )
    });
    Some(Head { envelope, subject: std::str::from_utf8(subject).ok()?, sent })
}

/// The day of a Date field in its own zone (RFC 3501 §6.4.4: SENTON and its like disregard time
/// and timezone).
fn day(value: &[u8]) -> Option<(u16, u8, u8)> {
    let date = DateTime::parse(value)?;
    let local = date.moment.as_seconds() + i64::from(date.offset_minutes) * 60;
    let Civil { year, month, day, .. } = Timestamp::from_seconds(local).civil();
    Some((u16::try_from(year).ok()?, month, day))
}
