//! What fields and parts mean, decoded: addresses, dates, RFC 2047 words, RFC 2231 file names,
//! text of parts in any charset, text to search. The only user of mail-parser, field by field;
//! the structure always comes from [`crate::scan`].
//!
//! mail-parser has panicked on hostile input before: callers that serve others wrap calls in
//! `catch_unwind`. Sizes are capped here (`limits`).

use crate::scan::structure::{Part, Structure};

/// A decoded address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    /// Display name, decoded.
    pub name: Option<String>,
    /// `local@domain` as written.
    pub address: String,
}

/// An unstructured value (Subject, Content-Description): unfolded, encoded words decoded.
pub fn text(_value: &[u8]) -> String {
    todo!()
}

/// The addresses of an address field's value, groups opened.
pub fn addresses(_value: &[u8]) -> Vec<NamedAddress> {
    todo!()
}

/// The file name of a part: `filename` of its disposition, else `name` of its type; RFC 2231 and
/// RFC 2047 decoded. A foreign string: never a path.
pub fn file_name(_part: &Part) -> Option<String> {
    todo!()
}

/// The text of a text part: transfer encoding and charset removed, at most
/// `limits::MAX_DECODED_TEXT` octets of it.
pub fn part_text(_part: &Part, _letter: &[u8]) -> String {
    todo!()
}

/// Text to search in a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchText {
    /// All header fields of the letter, decoded, `Name: value` a line.
    pub header: String,
    /// The text of all text parts, HTML without its tags, and headers of nested letters.
    pub body: String,
}

/// What SEARCH TEXT and BODY look through.
pub fn search_text(_structure: &Structure, _letter: &[u8]) -> SearchText {
    todo!()
}
