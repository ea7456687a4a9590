//! Limits of IMAP sessions, with unit and reason. The grammar's own are in
//! `protocol::imap::limits`, those of the store in `mailbox::limits`, those the administrator sets
//! in `[limits]`.

use std::time::Duration;

/// Octets of a body read and sent at once; so much a session holds of a letter.
pub(super) const BODY_CHUNK: usize = 64 * 1024;

/// Octets of output above which a session waits for its client to read.
pub(super) const OUTPUT: usize = 128 * 1024;

/// Octets of a letter's header that are read for ENVELOPE and HEADER; more is shown as body.
pub(super) const HEADER: usize = 1024 * 1024;

/// Letters looked at, without touching the disk, before other sessions get their turn.
pub(super) const LETTERS_PER_TURN: usize = 2_000;

/// Letters read by SEARCH before other sessions get their turn: about a millisecond.
pub(super) const LETTERS_READ_PER_TURN: usize = 64;

/// Octets of a letter that SEARCH BODY and TEXT look through; the rest is not found.
pub(super) const SEARCHED: usize = 32 * 1024 * 1024;

/// A word to an idling client now and then keeps address translators from forgetting it.
pub(super) const STILL_HERE: Duration = Duration::from_secs(4 * 60);

/// How often an open mailbox is looked at for changes by other programs while its client idles.
pub(super) const LOOK: Duration = Duration::from_secs(60);

/// How long SELECT takes over what other programs did to a mailbox; the rest comes with NOOP.
pub(super) const LOOKING: Duration = Duration::from_secs(5);

/// Failed logins of one session; `auth` counts by address and account besides.
pub(super) const LOGIN_FAILURES: u32 = 3;

/// Octets that a session may still have to send when it says goodbye.
pub(super) const LAST_WORDS: usize = 1;

/// Octets of header fields that one letter's answer may hold at once; the bodies are streamed.
pub(super) const INLINE: usize = 8 * 1024 * 1024;

/// Messages of one APPEND (RFC 3502); all of them become durable at once.
pub(super) const MESSAGES: usize = 1_000;

/// How often a long command tells how far it is (RFC 9585 §4: not more than once a second).
pub(super) const IN_PROGRESS: Duration = Duration::from_secs(5);

/// Octets of a part that is decoded for BINARY. More is refused with TOOBIG: a decoder has to begin
/// at the beginning for each piece.
pub(super) const DECODED: u64 = 64 * 1024 * 1024;

/// Octets of a letter that is read through for its ENVELOPE, to be in the index from then on; of
/// longer ones only the header is read.
pub(super) const READ_THROUGH: u32 = 64 * 1024;

/// Octets of a letter that is read at once, whatever is asked of it: its header and all its parts
/// then cost one read.
pub(super) const HELD: u64 = 16 * 1024;
