//! Every bound of this crate that is not a key of the configuration and not only of one file, with
//! its unit and its reason.

use std::time::Duration;

/// How long a sender waits for our own delivery agent before the letter is queued instead. Short
/// enough for senders that give the end of the data less than the ten minutes of RFC 5321
/// §4.5.3.2.6.
pub(crate) const HANDOVER: Duration = Duration::from_secs(60);

/// When the queue looks after a recipient that is being handed over while it waits: after the
/// hand-over has surely ended.
pub(crate) const HANDOVER_OVER: Duration = Duration::from_secs(180);

/// How much of a letter is looked at for its header, in bytes: for loops and the Message-ID. More
/// header than this is somebody's mistake, and is passed on unread.
pub(crate) const HEADER_LOOKED_AT: usize = 128 * 1024;

/// Refusals on the relay socket before a session is closed. The MSA passes the mistakes of many
/// people on over one connection.
pub(crate) const RELAY_ERRORS: u32 = 10_000;

/// How often the owner of an account is told that letters are held.
pub(crate) const HELD_NOTICE_EVERY: Duration = Duration::from_secs(3600);

/// Accounts whose last notice is remembered. Beyond it the oldest are forgotten, and may be told
/// again too early.
pub(crate) const HELD_NOTICES_REMEMBERED: usize = 10_000;

/// Replies of a session before its first letter that are kept for that letter's journey.
pub(crate) const LINES_BEFORE: usize = 8;
