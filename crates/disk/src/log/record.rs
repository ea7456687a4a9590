//! The form of one log record: a fixed header and the payload, padded to eight bytes.
//!
//! ```text
//!  0  u32  length of the payload
//!  4  u32  CRC-32C of all that follows in the header, and of the payload
//!  8  u64  salt of the log: a letter cannot contain a record by guessing
//! 16  u64  generation of the segment: what an earlier use left behind does not match
//! 24  u64  sequence
//! 32  u64  sequence up to which everything was durable when this was written
//! 40  u64  sequence up to which everything was laid out and synced (the checkpoint)
//! 48  u8   kind, then seven zeros
//! 56       payload
//! ```

use super::checksum::Crc32c;

/// Bytes of a record before its payload.
pub(super) const HEADER: usize = 56;

/// The kind of a record that carries only a checkpoint.
pub(super) const MARK: u8 = 0;

/// What a record's header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) length: u32,
    pub(super) salt: u64,
    pub(super) generation: u64,
    pub(super) sequence: u64,
    pub(super) durable: u64,
    pub(super) checkpoint: u64,
    pub(super) kind: u8,
}

/// What is found at a place in a segment.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found<'a> {
    /// A whole record.
    Record(Header, &'a [u8]),
    /// Nothing of this log and generation: zeros, or what an earlier use left.
    Nothing,
    /// A header of this log that its checksum does not bear out: torn or rotten.
    Bad,
}

impl Header {
    /// Bytes the record takes in a segment.
    pub(super) fn extent(length: usize) -> usize {
        (HEADER + length).next_multiple_of(8)
    }

    /// Appends the record to `buffer`.
    pub(super) fn encode(&self, parts: &[&[u8]], buffer: &mut Vec<u8>) {
        let mut fields = [0u8; HEADER - 8];
        let numbers = [self.salt, self.generation, self.sequence, self.durable, self.checkpoint];
        for (field, number) in fields.chunks_exact_mut(8).zip(numbers) {
            field.copy_from_slice(&number.to_le_bytes());
        }
        fields[40] = self.kind;
        let crc = Crc32c::new().update(&self.length.to_le_bytes()).update(&fields);
        let crc = parts.iter().fold(crc, |crc, part| crc.update(part)).finish();
        buffer.extend_from_slice(&self.length.to_le_bytes());
        buffer.extend_from_slice(&crc.to_le_bytes());
        buffer.extend_from_slice(&fields);
        parts.iter().for_each(|part| buffer.extend_from_slice(part));
        buffer.resize(buffer.len().next_multiple_of(8), 0);
    }

    /// Reads what stands at the start of `bytes`; a record counts only with this salt.
    pub(super) fn decode(bytes: &[u8], salt: u64) -> Found<'_> {
        let Some((fields, rest)) = bytes.split_at_checked(HEADER) else {
            return Found::Nothing;
        };
        let number = |at: usize| {
            fields[at..at + 8].iter().rev().fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
        };
        if fields[8..16] != salt.to_le_bytes() {
            return Found::Nothing;
        }
        let length = (number(0) & 0xffff_ffff) as usize;
        let Some(payload) = rest.get(..length) else {
            return Found::Bad;
        };
        let crc = Crc32c::new().update(&fields[..4]).update(&fields[8..]).update(payload);
        if u64::from(crc.finish()) != number(0) >> 32 {
            return Found::Bad;
        }
        let header = Header {
            length: length as u32,
            salt,
            generation: number(16),
            sequence: number(24),
            durable: number(32),
            checkpoint: number(40),
            kind: fields[48],
        };
        Found::Record(header, payload)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn written_and_read_back(
            payload in proptest::collection::vec(any::<u8>(), 0..300),
            cut in 0usize..300,
            numbers: [u64; 5],
            kind: u8,
            flip in 0usize..2000,
        ) {
            let [salt, generation, sequence, durable, checkpoint] = numbers;
            let header = Header {
                length: payload.len() as u32, salt, generation, sequence, durable, checkpoint, kind,
            };
            let (a, b) = payload.split_at(cut.min(payload.len()));
            let mut bytes = Vec::new();
            header.encode(&[a, b], &mut bytes);
            prop_assert_eq!(bytes.len(), Header::extent(payload.len()));
            prop_assert_eq!(Header::decode(&bytes, salt), Found::Record(header, &payload[..]));
            prop_assert_eq!(Header::decode(&bytes, salt ^ 1), Found::Nothing);

            // One flipped bit is always noticed, except in the padding, which means nothing.
            let bit = flip % ((HEADER + payload.len()) * 8);
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!matches!(Header::decode(&bytes, salt), Found::Record(..)));
        }
    }
}
