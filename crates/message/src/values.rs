//! What fields and parts mean, decoded: addresses, RFC 2047 words, RFC 2231 file names, text of
//! parts in any charset, text to search. The structure comes from [`crate::scan`]; mail-parser
//! serves for rare charsets and for the text in HTML, and is seen nowhere else.
//!
//! mail-parser has panicked on hostile input before: callers that serve others wrap
//! [`part_text`] and [`search_text`] in `catch_unwind`. Sizes are capped here (`limits`).

mod parameter;
mod word;

use std::borrow::Cow;

use crate::envelope::parse_addresses;
use crate::header;
use crate::limits::{MAX_DECODED_TEXT, MAX_VALUE};
use crate::scan::structure::{Content, Parameter, Part, Structure};
use crate::transfer;

/// A decoded address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedAddress {
    /// Display name, decoded.
    pub name: Option<String>,
    /// `local@domain`; a local part that needs quotes has them. Not checked against anything.
    pub address: String,
}

/// An unstructured value (Subject, Content-Description) or a display name: unfolded, encoded words
/// decoded, raw octets read as UTF-8 or else as windows-1252.
pub fn text(value: &[u8]) -> String {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    word::decode(&header::unfold(value))
}

/// The addresses in the value of an address field; groups are opened, their names dropped.
pub fn addresses(value: &[u8]) -> Vec<NamedAddress> {
    let value = value.get(..MAX_VALUE).unwrap_or(value);
    parse_addresses(&header::unfold(value))
        .into_iter()
        .filter_map(|found| {
            let (local, domain) = (found.mailbox?, found.host?);
            let local = String::from_utf8_lossy(&local).into_owned();
            let domain = String::from_utf8_lossy(&domain).into_owned();
            let local = if is_dot_atom(&local) { local } else { quoted(&local) };
            let address = if domain.is_empty() { local } else { format!("{local}@{domain}") };
            let name = found.name.map(|name| text(&name)).filter(|name| !name.is_empty());
            Some(NamedAddress { name, address })
        })
        .collect()
}

/// RFC 5322 §3.2.3, with UTF-8 as RFC 6532 adds it.
fn is_dot_atom(local: &str) -> bool {
    let is_atext = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || ATEXT.contains(c);
    local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

const ATEXT: &str = "!#$%&'*+-/=?^_`{|}~";

fn quoted(local: &str) -> String {
    format!("\"{}\"", local.replace('\\', "\\\\").replace('"', "\\\""))
}

/// The file name of a part: `filename` of its disposition, else `name` of its type; RFC 2231 and
/// RFC 2047 decoded. A foreign string: never a path.
pub fn file_name(part: &Part) -> Option<String> {
    let of_disposition =
        part.disposition.as_ref().and_then(|d| parameter::decoded(&d.parameters, "filename"));
    of_disposition.or_else(|| parameter::decoded(&part.media.parameters, "name"))
}

/// A parameter of a Content-Type or Content-Disposition field, RFC 2231 and RFC 2047 decoded;
/// `None` when it is absent or empty.
pub fn parameter_text(parameters: &[Parameter], name: &str) -> Option<String> {
    parameter::decoded(parameters, name)
}

/// Whether people would call this part an attachment: it says so, has a file name, or is neither
/// text nor a holder of parts.
pub fn is_attachment(part: &Part) -> bool {
    let disposition = part.disposition.as_ref().map(|d| d.kind.to_ascii_lowercase());
    match (disposition.as_deref(), &part.content) {
        (Some("attachment"), _) => true,
        (_, Content::Multipart(_)) => false,
        (_, Content::Message(_)) => true,
        (Some("inline"), Content::Leaf) if part.id.is_some() => false,
        (_, Content::Leaf) => {
            file_name(part).is_some() || !part.media.kind.eq_ignore_ascii_case("text")
        }
    }
}

/// The octets of a part without its transfer encoding.
pub fn part_octets<'a>(part: &Part, letter: &'a [u8]) -> Cow<'a, [u8]> {
    transfer::decode(&part.encoding, part.body.of(letter))
}

/// The text of a text part: transfer encoding and charset removed, line ends LF; at most
/// `limits::MAX_DECODED_TEXT` octets of the body are read.
pub fn part_text(part: &Part, letter: &[u8]) -> String {
    octets_text(part, part.body.of(letter))
}

/// The same, from the octets of the part's body or the beginning of them.
pub fn octets_text(part: &Part, body: &[u8]) -> String {
    let body = body.get(..MAX_DECODED_TEXT).unwrap_or(body);
    let octets = transfer::decode(&part.encoding, body);
    let charset = parameter::decoded(&part.media.parameters, "charset");
    charset_to_text(charset.as_deref().unwrap_or("us-ascii"), &octets).replace("\r\n", "\n")
}

/// Text from octets in a charset. US-ASCII with octets above 127, and unknown charsets, are read
/// as UTF-8 where that fits, else as windows-1252: something to read is better than nothing.
pub fn charset_to_text(charset: &str, octets: &[u8]) -> String {
    let label = charset.trim();
    if !label.eq_ignore_ascii_case("us-ascii") && !label.eq_ignore_ascii_case("ascii") {
        if let Some(encoding) = encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()) {
            return encoding.decode_without_bom_handling(octets).0.into_owned();
        }
        let lower = label.to_ascii_lowercase();
        if let Some(decode) =
            mail_parser::decoders::charsets::map::charset_decoder(lower.as_bytes())
        {
            return decode(octets);
        }
    }
    match std::str::from_utf8(octets) {
        Ok(text) => text.to_owned(),
        Err(_) => encoding_rs::WINDOWS_1252.decode_without_bom_handling(octets).0.into_owned(),
    }
}

/// Whether [`charset_to_text`] knows the charset.
pub fn is_charset(name: &str) -> bool {
    let label = name.trim();
    let lower = label.to_ascii_lowercase();
    matches!(lower.as_str(), "us-ascii" | "ascii")
        || encoding_rs::Encoding::for_label_no_replacement(label.as_bytes()).is_some()
        || mail_parser::decoders::charsets::map::charset_decoder(lower.as_bytes()).is_some()
}

/// The words of an HTML text, without tags, scripts and styles. For search and previews; a reader
/// for people is the user agent's.
pub fn html_words(html: &str) -> String {
    mail_parser::decoders::html::html_to_text(html)
}

/// Text to search in a letter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SearchText {
    /// The header fields of the letter, decoded, `Name: value` a line.
    pub header: String,
    /// The text of all text parts, HTML without its tags, file names, headers of nested letters.
    pub body: String,
}

/// What SEARCH TEXT and BODY look through (RFC 9051 §6.4.4), decoded and without case changed.
pub fn search_text(structure: &Structure, letter: &[u8]) -> SearchText {
    let mut found =
        SearchText { header: header_text(structure.root.header.of(letter)), body: String::new() };
    for (_, part) in structure.parts() {
        if found.body.len() >= MAX_DECODED_TEXT {
            break;
        }
        add_part(part, letter, &mut found.body);
    }
    found
}

fn add_part(part: &Part, letter: &[u8], body: &mut String) {
    if let Some(name) = file_name(part) {
        body.push_str(&name);
        body.push('\n');
    }
    if let Content::Message(nested) = &part.content {
        body.push_str(&header_text(nested.part.header.of(letter)));
    }
    if matches!(part.content, Content::Leaf) && part.media.kind.eq_ignore_ascii_case("text") {
        let text = part_text(part, letter);
        if part.media.subtype.eq_ignore_ascii_case("html") {
            body.push_str(&html_words(&text));
        } else {
            body.push_str(&text);
        }
        body.push('\n');
    }
}

/// The fields of a block, decoded, one a line.
pub fn header_text(block: &[u8]) -> String {
    let mut all = String::new();
    for field in header::fields(block) {
        all.push_str(&String::from_utf8_lossy(field.name(block)));
        all.push_str(": ");
        all.push_str(&text(field.value(block)));
        all.push('\n');
        if all.len() >= MAX_DECODED_TEXT {
            break;
        }
    }
    all
}

/// The part that people read first: the first text/plain that is no attachment, else the first
/// other text; `None` when there is none. With the part's number.
pub fn readable_part(structure: &Structure) -> Option<(Vec<u32>, &Part)> {
    let texts = || {
        structure.parts().into_iter().filter(|(_, part)| {
            let attached = part
                .disposition
                .as_ref()
                .is_some_and(|d| d.kind.eq_ignore_ascii_case("attachment"));
            part.media.kind.eq_ignore_ascii_case("text") && !attached
        })
    };
    texts().find(|(_, part)| part.media.is("text", "plain")).or_else(|| texts().next())
}

#[cfg(test)]
mod tests;
