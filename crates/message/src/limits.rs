//! Bounds on what a letter may cost us. A letter beyond them is still stored, shown and fetched;
//! only the look inside it ends there.

/// Levels of multipart and message/rfc822 that the scanner descends. Real letters stay below ten;
/// recursion over the result must fit a small stack.
pub const MAX_DEPTH: usize = 64;

/// Parts that the scanner tells apart in one letter; the rest belongs to the last of them.
pub const MAX_PARTS: usize = 10_000;

/// Octets of one header field that the scanner keeps for ENVELOPE and BODYSTRUCTURE. A To field
/// of 1,000 addresses takes about 50,000.
pub const MAX_FIELD: usize = 128 * 1024;

/// Octets of kept header fields in all parts of a letter together, so that 10,000 parts with large
/// headers do not add up.
pub const MAX_KEPT: usize = 1024 * 1024;

/// Octets at the beginning of a body line that are compared with boundaries: RFC 2046 §5.1.1
/// allows 70 for a boundary; twice that and more is seen in the wild.
pub const MAX_BOUNDARY: usize = 512;

/// Parameters kept of one Content-Type or Content-Disposition field.
pub const MAX_PARAMETERS: usize = 100;

/// Addresses kept of one address field.
pub const MAX_ADDRESSES: usize = 10_000;

/// Octets of one part that are decoded for showing or searching. More of a part is binary or not
/// read by people.
pub const MAX_DECODED_TEXT: usize = 8 * 1024 * 1024;

/// Octets of a field given to the value parsers.
pub const MAX_VALUE: usize = 128 * 1024;

/// RFC 5322 §2.1.1: octets of a line without its end: what must not be exceeded.
pub const MAX_LINE: usize = 998;

/// RFC 5322 §2.1.1: octets of a line without its end that should not be exceeded.
pub const WISHED_LINE: usize = 78;

/// Octets of a remote server's words that a report repeats for one recipient.
pub const MAX_DIAGNOSTIC: usize = 2_000;

/// Octets of the original header that a delivery report carries.
pub const MAX_REPORTED_HEADER: usize = 64 * 1024;

/// How far up a conversation is followed when threads are put together. Real ones stay below a
/// hundred; a chain made by hand must not cost the square of its length.
pub const MAX_THREAD_DEPTH: usize = 1_000;

/// RFC 8970 §3.2: characters of a preview.
pub const MAX_PREVIEW: usize = 200;

/// Octets of a part that its preview is made from: HTML begins with much that is no text.
pub const MAX_PREVIEW_READ: u64 = 64 * 1024;
