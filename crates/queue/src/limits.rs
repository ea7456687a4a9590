//! Every limit of this crate, with its unit and its reason.

/// Longest envelope of a queue file in bytes: a thousand recipients (RFC 5321 §4.5.3.1.8 asks for
/// a hundred) with paths of 256 octets and ORCPT of 500.
pub const ENVELOPE: usize = 1024 * 1024;

/// Longest set of header fields that we put in front of a letter, in bytes.
pub const HEADERS: u64 = 64 * 1024;

/// Longest changes file that is read, in bytes: a thousand recipients, tried a hundred times.
pub const CHANGES: u64 = 256 * 1024 * 1024;

/// How many letters that have left are remembered by id, so that a repeated accept is recognised.
pub const REMEMBERED: usize = 4096;

/// Bytes of an envelope up to which it goes into the intake log together with the body; with
/// [`disk::limits::LARGE_LETTER`] it stays below [`disk::limits::LOG_RECORD`].
pub const LOGGED_ENVELOPE: usize = 256 * 1024;
