//! The intake log: pre-written, recycled, checksummed segments in which changes become durable
//! with one fdatasync for many.
//!
//! One log per store. It is synchronous and knows no threads, no time and no meaning of records;
//! [`crate::GroupCommit`] is its only caller. docs/decisions/intake-log.md has the format.

/// Sizes of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of one segment, at least [`crate::limits::LOG_SEGMENT_MIN`].
    pub segment: u64,
    /// How many segments there are, at least two.
    pub segments: usize,
}

/// The place of a record in the order of all records a log ever held; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// A record read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the order.
    pub sequence: Sequence,
    /// What the store said it is.
    pub kind: u8,
    /// The bytes as appended.
    pub payload: &'a [u8],
}

/// Appends the records of one request.
#[derive(Debug)]
pub struct Appender<'a> {
    log: &'a mut IntakeLog,
}

impl Appender<'_> {
    /// Appends a record whose payload is the concatenation of `parts` (no copy before the write
    /// buffer). [`crate::ErrorKind::Full`] when it is longer than [`crate::limits::LOG_RECORD`].
    pub fn append(&mut self, kind: u8, parts: &[&[u8]]) -> crate::disk::Result<Sequence> {
        let _ = &self.log;
        todo!("{kind} {}", parts.len())
    }
}

/// The log itself.
#[derive(Debug)]
pub struct IntakeLog {}

/// What was found when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Records that were replayed.
    pub replayed: u64,
    /// Records that were laid out before and passed over.
    pub passed_over: u64,
    /// Bytes of a batch that was never acknowledged, cut off.
    pub torn: u64,
    /// What was damaged although it had been acknowledged; the segment was moved aside.
    pub damage: Vec<String>,
}
