//! RFC 2047 encoded words. Neighbours in one charset are joined before their octets become text,
//! because many writers cut characters in two.

use super::charset_to_text;
use crate::transfer;

/// The text of an unfolded value, encoded words decoded.
pub(super) fn decode(value: &[u8]) -> String {
    let mut out = String::with_capacity(value.len());
    let mut pending: Option<Word> = None;
    let mut plain_start = 0;
    let mut at = 0;
    while let Some(found) = next_word(value, at) {
        let (start, end, word) = found;
        let between = value.get(plain_start..start).unwrap_or_default();
        // RFC 2047 §6.2: white space between two encoded words is not shown.
        let adjacent = pending.is_some() && between.iter().all(u8::is_ascii_whitespace);
        match &mut pending {
            Some(before) if adjacent && before.charset.eq_ignore_ascii_case(&word.charset) => {
                before.octets.extend(word.octets);
            }
            _ => {
                flush(&mut pending, &mut out);
                if !adjacent {
                    out.push_str(&charset_to_text("utf-8-or-else", between));
                }
                pending = Some(word);
            }
        }
        plain_start = end;
        at = end;
    }
    flush(&mut pending, &mut out);
    out.push_str(&charset_to_text("utf-8-or-else", value.get(plain_start..).unwrap_or_default()));
    out
}

/// A decoded word before its charset is applied.
struct Word {
    charset: String,
    octets: Vec<u8>,
}

fn flush(pending: &mut Option<Word>, out: &mut String) {
    if let Some(word) = pending.take() {
        out.push_str(&charset_to_text(&word.charset, &word.octets));
    }
}

/// The first encoded word at or after `at`: where it begins and ends, and what it holds. Spaces
/// inside the text of a word, which many writers leave, are taken.
fn next_word(value: &[u8], mut at: usize) -> Option<(usize, usize, Word)> {
    loop {
        let start = at + memchr::memmem::find(value.get(at..)?, b"=?")?;
        match word_at(value.get(start..)?) {
            Some((length, word)) => return Some((start, start + length, word)),
            None => at = start + 2,
        }
    }
}

/// The word that the text begins with, and its length.
fn word_at(text: &[u8]) -> Option<(usize, Word)> {
    let inside = text.strip_prefix(b"=?")?;
    let mut fields = inside.splitn(3, |octet| *octet == b'?');
    let (charset, encoding, rest) = (fields.next()?, fields.next()?, fields.next()?);
    let content_length = memchr::memmem::find(rest, b"?=")?;
    let content = rest.get(..content_length)?;
    if charset.is_empty()
        || charset.len() > MAX_CHARSET
        || !charset.iter().all(u8::is_ascii_graphic)
    {
        return None;
    }
    let octets = match encoding {
        b"B" | b"b" => transfer::decode_base64(content),
        b"Q" | b"q" => {
            // RFC 2047 §4.2 (2): the underscore is a space.
            let spaced: Vec<u8> =
                content.iter().map(|octet| if *octet == b'_' { b' ' } else { *octet }).collect();
            // A space at the end is meant here: kept from being trimmed as in a body.
            let mut decoded = transfer::decode_quoted_printable(&spaced);
            let trailing = spaced.iter().rev().take_while(|o| **o == b' ').count();
            decoded.extend(std::iter::repeat_n(b' ', trailing));
            decoded
        }
        _ => return None,
    };
    // RFC 2231 §5: a language may follow the charset.
    let charset = charset.split(|octet| *octet == b'*').next()?;
    let length = 2 + charset_and_encoding(inside)? + content_length + 2;
    Some((length, Word { charset: String::from_utf8_lossy(charset).into_owned(), octets }))
}

/// Octets of `charset?encoding?`.
fn charset_and_encoding(inside: &[u8]) -> Option<usize> {
    let first = memchr::memchr(b'?', inside)?;
    let second = memchr::memchr(b'?', inside.get(first + 1..)?)?;
    Some(first + second + 2)
}

/// Octets of a charset name with its language; the longest registered are below 50.
const MAX_CHARSET: usize = 75;
