//! Every limit of this crate, with its unit and its reason.

use std::time::Duration;

/// Bytes a [`crate::Spool`] keeps in memory before it moves to an unnamed file. Most letters are
/// far smaller; one hundred sessions at this size are 25 MiB.
pub const SPOOL_MEMORY: usize = 256 * 1024;

/// Bytes in one chunk of a [`crate::Body`] read from a file: bounds memory by chunk x sessions.
pub const BODY_CHUNK: usize = 64 * 1024;

/// Letters longer than this (bytes) go to a synced file of their own; the log holds a record
/// of it. At this size one more sync costs less than writing the bytes twice.
pub const LARGE_LETTER: u64 = 128 * 1024;

/// Default bytes of one segment of the intake log.
pub const LOG_SEGMENT: u64 = 16 * 1024 * 1024;

/// Smallest segment allowed, in bytes: the longest record and a header must fit.
pub const LOG_SEGMENT_MIN: u64 = 512 * 1024;

/// Default number of segments: one filling while the other is laid out.
pub const LOG_SEGMENTS: usize = 2;

/// Longest payload of one log record in bytes: a letter of [`LARGE_LETTER`] and its envelope of
/// a thousand recipients (RFC 5321 §4.5.3.1: 256 octets of path each) fit, within half of the
/// smallest segment.
pub const LOG_RECORD: usize = 448 * 1024;

/// Requests one batch commits together at most: bounds the time the first one waits.
pub const BATCH_REQUESTS: usize = 256;

/// Bytes of records one batch commits together at most.
pub const BATCH_BYTES: usize = 4 * 1024 * 1024;

/// How often in the life of a process a log may be begun anew after a failed sync: a disk that
/// fails more often is dying.
pub const LOG_RESTARTS: u32 = 3;

/// Requests that wait for the committer at most, before senders wait for room.
pub const WAITING_REQUESTS: usize = 1024;

/// How many barriers' time a batch waits at most for those who asked together with it before: one
/// barrier less is what their company saves each of them.
pub const GATHER_BARRIERS: u32 = 4;

/// Longest wait of a batch for company, whatever a barrier takes: on a disk that needs longer,
/// enough come while the barrier is waited for.
pub const GATHER_MOST: Duration = Duration::from_millis(2);

/// Items laid out at once while nobody asks or a batch waits for company: so few that who comes
/// meanwhile hardly waits.
pub const GATHER_SLICE: usize = 4;

/// How long nothing must have happened before files are laid out where the store wants them soon;
/// without a sync, which comes with the checkpoint.
pub const LAY_OUT_IDLE: Duration = Duration::from_millis(20);

/// Items a store is asked to lay out between two batches, so that the next batch never waits
/// long.
pub const LAY_OUT_SLICE: usize = 16;

/// How long requests that nobody waits for may stay uncommitted.
pub const LAZY_COMMIT: Duration = Duration::from_millis(20);

/// How long nothing must have happened before a checkpoint is made, so that files show soon.
pub const CHECKPOINT_IDLE: Duration = Duration::from_secs(1);

/// How old a record may get before a checkpoint is made under load.
pub const CHECKPOINT_AGE: Duration = Duration::from_secs(10);

/// How long [`crate::SpaceWatch`] believes its last look.
pub const SPACE_BELIEVED: Duration = Duration::from_millis(250);

/// Longest free text in one field of a line-based file, in bytes; the rest is cut.
pub const FIELD: usize = 2048;

/// Largest custody file of one day that is read, in bytes: ten million lines.
pub const CUSTODY_FILE: u64 = 2 * 1024 * 1024 * 1024;
