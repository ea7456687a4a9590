//! Decoded MIME parameters: RFC 2231 continuations, charsets and percent escapes; also RFC 2047
//! words, which do not belong there but are common.

use super::{charset_to_text, text};
use crate::limits::MAX_PARAMETERS;
use crate::scan::structure::Parameter;

/// The value of a parameter in whichever form it is written; `None` when absent or empty.
pub(super) fn decoded(parameters: &[Parameter], name: &str) -> Option<String> {
    let find = |wanted: &str| {
        parameters.iter().find(|p| p.name.eq_ignore_ascii_case(wanted)).map(|p| p.value.as_slice())
    };
    let value = if let Some(extended) = find(&format!("{name}*")) {
        // RFC 2231 §4; preferred over the plain form that is sent beside it (RFC 6266 §4.3).
        let (charset, octets) = split_charset(extended);
        charset_to_text(&charset, &percent_decoded(octets))
    } else if let Some(plain) = find(name) {
        text(plain)
    } else {
        continued(&find, name)?
    };
    Some(value).filter(|value| !value.is_empty())
}

/// RFC 2231 §3 and §4.1: `name*0`, `name*1*`, ... joined.
fn continued<'a>(find: &dyn Fn(&str) -> Option<&'a [u8]>, name: &str) -> Option<String> {
    let mut charset = String::from("utf-8");
    let mut octets = Vec::new();
    for index in 0..MAX_PARAMETERS {
        if let Some(piece) = find(&format!("{name}*{index}*")) {
            let piece = if index == 0 {
                let (named, rest) = split_charset(piece);
                charset = named;
                rest
            } else {
                piece
            };
            octets.extend(percent_decoded(piece));
        } else if let Some(piece) = find(&format!("{name}*{index}")) {
            octets.extend_from_slice(piece);
        } else {
            break;
        }
    }
    (!octets.is_empty()).then(|| charset_to_text(&charset, &octets))
}

/// `charset'language'rest`.
fn split_charset(value: &[u8]) -> (String, &[u8]) {
    let mut fields = value.splitn(3, |octet| *octet == b'\'');
    match (fields.next(), fields.next(), fields.next()) {
        (Some(charset), Some(_), Some(rest)) if !charset.is_empty() => {
            (String::from_utf8_lossy(charset).into_owned(), rest)
        }
        (Some(_), Some(_), Some(rest)) => ("utf-8".to_owned(), rest),
        _ => ("utf-8".to_owned(), value),
    }
}

fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16);
                let value = digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low);
                value.and_then(|v| u8::try_from(v).ok()).map(|octet| (octet, tail))
            }
            _ => None,
        };
        match escaped {
            Some((octet, tail)) => {
                out.push(octet);
                rest = tail;
            }
            None => out.push(*first),
        }
    }
    out
}
