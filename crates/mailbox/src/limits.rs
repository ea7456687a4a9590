//! Every limit of this crate, with its unit and its reason.

use std::time::Duration;

/// Letters in one chunk of a mailbox in memory: a change copies one chunk (20 KiB) when a session
/// holds the view before it.
pub const CHUNK_LETTERS: usize = 512;

/// Keywords one mailbox may know. Each is text the client chose; Dovecot's practical limit is
/// similar, and PERMANENTFLAGS lists them all in one line.
pub const KEYWORDS: usize = 1024;

/// Different sets of keywords in one mailbox: their numbers are 16 bits wide.
pub const KEYWORD_SETS: usize = 65_535;

/// Octets of one keyword.
pub const KEYWORD_BYTES: usize = 255;

/// Levels of a mailbox name: deeper trees are mistakes of a client in a loop.
pub const NAME_LEVELS: usize = 16;

/// Octets of a mailbox name's folder on disk: file names end at 255, and Maildir programs add
/// their own suffixes.
pub const FOLDER_BYTES: usize = 200;

/// Octets of each part of an account's address: RFC 5321 §4.5.3.1.1 and §4.5.3.1.2 allow 64 and
/// 255, which encoded must fit a file name.
pub const ACCOUNT_PART_BYTES: usize = 255;

/// Mailboxes in one account: LIST answers and account logs stay readable.
pub const MAILBOXES: usize = 10_000;

/// Names one account may subscribe to; they need not exist (RFC 9051 §6.3.7).
pub const SUBSCRIPTIONS: usize = 20_000;

/// Bytes of an account log that are read: it is shortened long before.
pub const ACCOUNT_LOG_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes of one file name in a Maildir (NAME_MAX).
pub const FILE_NAME_BYTES: usize = 255;

/// Bytes of state log after which a snapshot is due, unless the snapshot is more than four times
/// as large: a fresh one then costs more than reading the log.
pub const SNAPSHOT_AFTER: u64 = 256 * 1024;

/// Segments of a state log that are kept: "what went since MODSEQ n" reads them.
pub const HISTORY_SEGMENTS: u32 = 16;

/// Expunges of a mailbox that are remembered one by one; older ones are put together in pairs.
pub const EXPUNGES_REMEMBERED: usize = 1_024;

/// Octets of the value of an annotation: escaped, it must fit into a line ([`LINE_BYTES`]).
pub const ANNOTATION_SIZE: usize = 16 * 1024;

/// Annotations of one account: all of them are in memory while it is used.
pub const ANNOTATIONS: usize = 1_000;

/// Words of one letter that are kept; a letter with more (a dump, a list) is read at each search.
pub const WORDS_OF_A_LETTER: usize = 50_000;

/// Letters of one segment of the index of words.
pub const WORDS_SEGMENT: usize = 16_384;

/// Bytes of memory that a segment in the making may take.
pub const WORDS_SEGMENT_MEMORY: usize = 64 * 1024 * 1024;

/// Letters learnt by searches after which they are written to a file.
pub const WORDS_KEPT_AFTER: usize = 256;

/// Bytes of words of all mailboxes together in memory; those searched longest ago go first.
pub const WORDS_MEMORY: usize = 192 * 1024 * 1024;

/// Bytes of words of one mailbox on disk; beyond them letters are read at each search.
pub const WORDS_DISK: usize = 512 * 1024 * 1024;

/// Longest line of a state log or account log in bytes; longer sets of UIDs are split.
pub const LINE_BYTES: usize = 64 * 1024;

/// UID ranges in one line: keeps a line below [`LINE_BYTES`].
pub const LINE_RANGES: usize = 2_000;

/// Deliveries of a mailbox that are remembered by (journey, recipient): repeats come within
/// minutes (a lost reply) or hours (a queue retry), 24 bytes each.
pub const REPEATS_REMEMBERED: usize = 4_096;

/// Accounts whose mailbox list stays in memory though nobody uses it.
pub const ACCOUNTS_IDLE: usize = 1_024;

/// Mailboxes that stay in memory though nobody uses them.
pub const MAILBOXES_IDLE: usize = 256;

/// Letters of mailboxes that stay in memory though nobody uses them: 40 bytes each.
pub const LETTERS_IDLE: usize = 1_000_000;

/// Letters of a foreign program adopted, or changes of it taken over, in one look: a session's
/// NOOP stays short; the rest comes with the next look.
pub const SCAN_CHANGES: usize = 4_096;

/// How long a directory's time must lie back before it is believed unchanged, in microseconds:
/// file systems stamp in steps of up to 10 ms (ext4 with HZ=100).
pub const DIRECTORY_TIME_STEP: i64 = 20_000;

/// How long a Maildir that only we seem to have changed is believed to hold nothing new.
pub const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Largest letter an intake record holds, headers added included; larger ones are staged.
pub const INLINE_LETTER: u64 = disk::limits::LARGE_LETTER;

/// Bytes of the log for one letter that is copied or moved, about: its line and the name it has.
pub const RECORD_OF_COPY: usize = 192;

/// Bytes of the log for one letter whose flags change or that is expunged, where no two are
/// neighbours.
pub const RECORD_OF_RANGE: usize = 24;

/// Letters of one request that are synced each for itself; more of them by one sync of the file
/// system, which costs about as much as these.
pub const STAGED_TOGETHER: usize = 8;

/// Bytes of one intake record of ours; larger changes are split.
pub const TRANSACTION_BYTES: usize = disk::limits::LOG_RECORD - 4096;

/// Largest letter that can be stored at all, in bytes: sizes are 32 bits wide.
pub const LETTER_BYTES: u64 = u32::MAX as u64;

/// Accounts whose index is open at once: each holds a few files and a cache.
pub const INDEXES_OPEN: usize = 16;

/// Bytes of cache of one account's index.
pub const INDEX_CACHE: u64 = 2 * 1024 * 1024;

/// Bytes of one index value: structure and envelope. Larger ones are not cached, but computed
/// each time.
pub const INDEX_VALUE: usize = 64 * 1024;

/// Bytes of a letter that are read to fill its index entry in the background.
pub const INDEX_LETTER: u64 = 64 * 1024 * 1024;

/// Bytes of a letter read at once while it is indexed.
pub const INDEX_READ: usize = 64 * 1024;

/// Bytes of one account's index on disk beyond which it is made anew: sled gives no room back.
pub const INDEX_DISK: u64 = 1024 * 1024 * 1024;

/// Accounts that are remembered to have refused letters; they are asked for every few seconds.
pub const REFUSED_REMEMBERED: usize = 10_000;

/// Letters that are expunged by age in one request: others wait for it.
pub const EXPIRED_AT_ONCE: usize = 1_000;

/// Bytes of the list of an account's isolated letters: beyond it a disk is broken, not a letter.
pub const ISOLATED_BYTES: u64 = 16 * 1024 * 1024;

/// Damaged letters that one verification names.
pub const FINDINGS: usize = 1_000;

/// Letters that wait to be indexed in the background; what comes on top is indexed on demand.
pub const INDEX_WAITING: usize = 4_096;

/// Changed index entries after which a flush is asked for: the index is only a cache, so that a
/// flush each time would buy nothing.
pub const INDEX_FLUSH_AFTER: u32 = 256;

/// Mailboxes out of memory of whose Maildirs it is remembered that nothing unknown is in them.
pub const NOTED_MAILBOXES: usize = 10_000;

/// Bytes of the note about them that are read at a start: longer ones are not ours.
pub const NOTED_BYTES: u64 = 8 * 1024 * 1024;

/// Octets of one letter's head that are kept; longer ones (thousands of recipients) are read from
/// the letter each time.
pub const HEAD_BYTES: usize = 32 * 1024;

/// Octets of heads of one mailbox on disk beyond which the file is begun anew or not added to.
pub const HEADS_DISK: u64 = 2 * 1024 * 1024 * 1024;

/// Bytes of memory for where heads lie, of all mailboxes together: 8 a letter.
pub const HEADS_MEMORY: usize = 32 * 1024 * 1024;

/// Octets of new heads that wait in memory while a command reads on.
pub const HEADS_PENDING: usize = 256 * 1024;

/// Octets of heads read at once for one letter.
pub const HEADS_READ_FIRST: usize = 4 * 1024;

/// Octets of heads read at once for a command that goes from letter to letter.
pub const HEADS_READ: usize = 128 * 1024;
