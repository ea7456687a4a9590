//! Decoded MIME parameters: RFC 2231 charsets and percent escapes (the scanner has joined what came
//! in pieces); also RFC 2047 words, which do not belong there but are common.

use super::{charset_to_text, text};
use crate::scan::percent_decoded;
use crate::scan::structure::Parameter;

/// The value of a parameter in whichever form it is written; `None` when absent or empty.
pub(super) fn decoded(parameters: &[Parameter], name: &str) -> Option<String> {
    let find = |wanted: &str| {
        parameters.iter().find(|p| p.name.eq_ignore_ascii_case(wanted)).map(|p| p.value.as_slice())
    };
    let value = match find(&format!("{name}*")) {
        // RFC 2231 §4; preferred over the plain form that is sent beside it (RFC 6266 §4.3).
        Some(extended) => {
            let (charset, octets) = split_charset(extended);
            charset_to_text(&charset, &percent_decoded(octets))
        }
        None => text(find(name)?),
    };
    Some(value).filter(|value| !value.is_empty())
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
