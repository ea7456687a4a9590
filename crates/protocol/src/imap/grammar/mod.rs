//! How IMAP is written, both ways: for each family of values one file with its parser and its
//! printer. Hand-written, without backtracking over literals, within hard limits. Not the framing
//! of the stream into commands and responses (the machines do that). Called by the two machines.
//!
//! A command or response is parsed from one contiguous buffer in which literals stand as they came,
//! `{5}` CRLF and five octets, so that there is one cursor and one column to report.

pub mod cursor;
pub mod writer;

mod append;
mod code;
mod command;
mod condstore;
mod fetch;
mod list;
mod metadata;
mod quota;
mod response;
mod search;
mod sets;
mod sort;
mod structure;

pub use append::{AppendPrefix, parse_append_prefix, parse_next_message};
pub use command::{parse_command, parse_command_in, print_command};
pub use cursor::{Cursor, Names, ParseError, ParseErrorKind};
pub use fetch::{parse_fetch_prefix, print_fetch_data, print_fetch_item, print_section};
pub use response::{parse_response, print_response, print_untagged};
pub use writer::{LiteralSupport, Writer};

/// RFC 3501 §9: `ATOM-CHAR`, any CHAR except atom-specials.
pub fn is_atom_byte(byte: u8) -> bool {
    !matches!(
        byte,
        0..=0x20 | 0x7f..=0xff | b'(' | b')' | b'{' | b'%' | b'*' | b'"' | b'\\' | b']'
    )
}

/// RFC 3501 §9: `ASTRING-CHAR`, an atom's and `]`.
pub fn is_astring_byte(byte: u8) -> bool {
    is_atom_byte(byte) || byte == b']'
}

/// RFC 3501 §9: `list-char`, an astring's and the wildcards.
pub fn is_list_byte(byte: u8) -> bool {
    is_astring_byte(byte) || byte == b'%' || byte == b'*'
}

/// RFC 3501 §9: a tag is made of ASTRING-CHAR without `+`.
pub fn is_tag_byte(byte: u8) -> bool {
    is_astring_byte(byte) && byte != b'+'
}
