//! SCRAM-SHA-256 and -PLUS (RFC 5802, RFC 7677): the parts that both sides share: attributes,
//! names, the GS2 header. The sides are in `server` and `client`, the arithmetic in `keys`.

pub(super) mod client;
pub(super) mod keys;
pub(super) mod server;

use super::SaslError;
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// Takes the value of the next attribute, which must have this letter, off the front of a
/// comma-separated list.
fn attribute<'a>(
    rest: &mut &'a str,
    letter: char,
    what: &'static str,
) -> Result<&'a str, SaslError> {
    let (first, later) = rest.split_once(',').unwrap_or((rest, ""));
    let value = first
        .strip_prefix(letter)
        .and_then(|value| value.strip_prefix('='))
        .ok_or(SaslError::Malformed(what))?;
    *rest = later;
    Ok(value)
}

/// RFC 5802 §5.1: extensions we do not know are skipped, but `m=` is mandatory and fails.
fn check_extensions(rest: &str) -> Result<(), SaslError> {
    let known = rest.is_empty()
        || rest.split(',').all(|extension| {
            let mut letters = extension.bytes();
            letters.next().is_some_and(|letter| letter.is_ascii_alphabetic() && letter != b'm')
                && letters.next() == Some(b'=')
        });
    if known { Ok(()) } else { Err(SaslError::Malformed("SCRAM extension")) }
}

/// RFC 5802 §5.1: `,` and `=` in a name are written `=2C` and `=3D`.
fn escape(name: &str) -> String {
    name.replace('=', "=3D").replace(',', "=2C")
}

/// The reverse; any other `=` is an error.
fn unescape(name: &str) -> Result<String, SaslError> {
    let mut parts = name.split('=');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (character, rest) = if let Some(rest) = part.strip_prefix("2C") {
            (',', rest)
        } else if let Some(rest) = part.strip_prefix("3D") {
            ('=', rest)
        } else {
            return Err(SaslError::Malformed("SCRAM name"));
        };
        plain.push(character);
        plain.push_str(rest);
    }
    if plain.is_empty() || plain.contains('\0') {
        return Err(SaslError::Malformed("SCRAM name"));
    }
    Ok(plain)
}

/// RFC 5802 §7: a nonce is printable ASCII without a comma.
fn check_nonce(nonce: &str) -> Result<(), SaslError> {
    let fits =
        !nonce.is_empty() && nonce.bytes().all(|octet| octet.is_ascii_graphic() && octet != b',');
    if fits { Ok(()) } else { Err(SaslError::Malformed("SCRAM nonce")) }
}

fn decode(text: &str, what: &'static str) -> Result<Vec<u8>, SaslError> {
    STANDARD.decode(text).map_err(|_| SaslError::Malformed(what))
}

fn text(message: &[u8]) -> Result<&str, SaslError> {
    std::str::from_utf8(message).map_err(|_| SaslError::Malformed("UTF-8"))
}
