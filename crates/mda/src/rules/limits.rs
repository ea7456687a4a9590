//! Bounds of what rules keep and do.

use std::time::Duration;

/// Scripts of one account.
pub(crate) const SCRIPTS: usize = 64;

/// Octets of one script; the parser's bound.
pub(crate) const SCRIPT_BYTES: u64 = sieve::limits::SCRIPT_BYTES as u64;

/// Octets of all scripts of one account together.
pub(crate) const ALL_SCRIPTS: u64 = 4 * SCRIPT_BYTES;

/// Scripts of which the admin's command has brought parts and not yet all: one, mostly.
pub(super) const COMING: usize = 8;

/// Octets of a script's name in UTF-8 (RFC 5804 §1.6 asks for 128 characters at most 512 octets).
/// With every octet encoded it still fits a file name of 255.
pub(crate) const SCRIPT_NAME: usize = 80;

/// Accounts without a script, or with one, that are remembered to be so.
pub(super) const KNOWN: usize = 100_000;

/// Scripts that run at once: they are the processor's work, and each may have its whole letter in
/// memory and in a decoder's. Others wait, and their senders with them.
pub(super) const RUNS: usize = 4;

/// Things remembered for one account: senders answered, identifiers seen. The ones that are over
/// soonest go first.
pub(super) const REMEMBERED: usize = 10_000;

/// Octets of the file of what is remembered, above which it is not read.
pub(super) const MEMORY_BYTES: u64 = 8 * 1024 * 1024;

/// Lines appended to that file before it is written anew.
pub(super) const APPENDED: usize = 1_000;

/// How long the transfer agent may take to let us in, and to take one letter. It answers within
/// its own bound for handing over to us, 60 s, or has queued by then.
pub(super) const MTA: Duration = Duration::from_secs(50);

/// Octets of one piece of a letter on its way out.
pub(super) const PIECE: usize = 32 * 1024;

/// Letters sent on lately that are remembered, so that a repeat does not send them again.
pub(super) const SENT: usize = 10_000;
