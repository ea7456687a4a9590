//! Modified UTF-7 of mailbox names, both ways (RFC 3501 §5.1.3). Not UTF-7 in general (RFC 2152):
//! `&` shifts instead of `+`, `,` stands for `/`, and there is exactly one spelling of each name.
//! Called by `mailbox`.

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

/// Why bytes are not modified UTF-7.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Utf7Error {
    /// An octet outside printable US-ASCII.
    NotAscii,
    /// A shift sequence without its closing `-`.
    Unterminated,
    /// Not base64, a lone surrogate, or bits left over.
    Malformed,
    /// Valid, but the same name has a shorter spelling (printable characters in base64, two shift
    /// sequences in a row), which RFC 3501 §5.1.3 forbids.
    NotCanonical,
}

impl std::fmt::Display for Utf7Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Utf7Error::NotAscii => "mailbox names are modified UTF-7, which is US-ASCII only",
            Utf7Error::Unterminated => "a & in the mailbox name has no closing -",
            Utf7Error::Malformed => "the part after & in the mailbox name is not modified base64",
            Utf7Error::NotCanonical => {
                "the mailbox name spells in base64 what modified UTF-7 writes as it is"
            }
        })
    }
}

impl std::error::Error for Utf7Error {}

/// The modified UTF-7 form of a name.
pub fn encode(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut shifted: Vec<u8> = Vec::new();
    let mut units = [0u16; 2];
    for character in name.chars() {
        if is_direct(character) {
            flush(&mut shifted, &mut out);
            out.push(character);
            if character == '&' {
                out.push('-');
            }
        } else {
            for unit in character.encode_utf16(&mut units) {
                shifted.extend_from_slice(&unit.to_be_bytes());
            }
        }
    }
    flush(&mut shifted, &mut out);
    out
}

/// The name that modified UTF-7 stands for; only the one canonical spelling is taken.
///
/// # Errors
/// What is wrong with the spelling.
pub fn decode(input: &[u8]) -> Result<String, Utf7Error> {
    let mut out = String::with_capacity(input.len());
    let mut rest = input;
    let mut after_shift = false;
    while let Some((&byte, tail)) = rest.split_first() {
        if byte != b'&' {
            if !(0x20..=0x7e).contains(&byte) {
                return Err(Utf7Error::NotAscii);
            }
            out.push(char::from(byte));
            rest = tail;
            after_shift = false;
            continue;
        }
        let end = memchr::memchr(b'-', tail).ok_or(Utf7Error::Unterminated)?;
        let (inside, closing) = tail.split_at(end);
        rest = closing.get(1..).unwrap_or_default();
        if inside.is_empty() {
            out.push('&');
            after_shift = false;
        } else if after_shift {
            // RFC 3501 §5.1.3: "&U,BTFw-&ZeVnLIqe-" must be written as one sequence.
            return Err(Utf7Error::NotCanonical);
        } else {
            decode_shifted(inside, &mut out)?;
            after_shift = true;
        }
    }
    Ok(out)
}

/// Printable US-ASCII stands for itself.
fn is_direct(character: char) -> bool {
    matches!(character, ' '..='~')
}

fn flush(shifted: &mut Vec<u8>, out: &mut String) {
    if !shifted.is_empty() {
        out.push('&');
        MODIFIED_BASE64.encode_string(&*shifted, out);
        out.push('-');
        shifted.clear();
    }
}

fn decode_shifted(inside: &[u8], out: &mut String) -> Result<(), Utf7Error> {
    let bytes = MODIFIED_BASE64.decode(inside).map_err(|_| Utf7Error::Malformed)?;
    if bytes.len() % 2 != 0 {
        return Err(Utf7Error::Malformed);
    }
    let units = bytes.chunks_exact(2).map(|pair| match pair {
        [high, low] => u16::from_be_bytes([*high, *low]),
        _ => 0,
    });
    for character in char::decode_utf16(units) {
        let character = character.map_err(|_| Utf7Error::Malformed)?;
        if is_direct(character) {
            return Err(Utf7Error::NotCanonical);
        }
        out.push(character);
    }
    Ok(())
}

const MODIFIED_BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::IMAP_MUTF7,
    GeneralPurposeConfig::new()
        .with_encode_padding(false)
        .with_decode_padding_mode(DecodePaddingMode::RequireNone),
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_answers_and_back() {
        for (name, wire) in [
            ("INBOX", "INBOX"),
            ("", ""),
            ("a&b", "a&-b"),
            ("Entwürfe", "Entw&APw-rfe"),
            ("~peter/mail/台北/日本語", "~peter/mail/&U,BTFw-/&ZeVnLIqe-"),
            ("☺!", "&Jjo-!"),
            ("📮", "&2D3c7g-"),
            ("tab\there", "tab&AAk-here"),
        ] {
            assert_eq!(encode(name), wire);
            assert_eq!(decode(wire.as_bytes()).as_deref(), Ok(name));
        }
    }

    #[test]
    fn what_is_refused() {
        for (wire, error) in [
            (&b"a&b"[..], Utf7Error::Unterminated),
            (b"&Jjo", Utf7Error::Unterminated),
            (b"&Jjo!", Utf7Error::Unterminated),
            (b"caf\xc3\xa9", Utf7Error::NotAscii),
            (b"a\tb", Utf7Error::NotAscii),
            (b"&U,BTFw-&ZeVnLIqe-", Utf7Error::NotCanonical),
            (b"&AGE-", Utf7Error::NotCanonical),
            (b"&2D0-", Utf7Error::Malformed),
            (b"&Jjp-", Utf7Error::Malformed),
            (b"&A-", Utf7Error::Malformed),
            (b"&J/o-", Utf7Error::Malformed),
        ] {
            assert_eq!(decode(wire), Err(error), "{}", String::from_utf8_lossy(wire));
        }
    }

    proptest! {
        #[test]
        fn any_name_comes_back(name in "\\PC{0,40}") {
            prop_assert_eq!(decode(encode(&name).as_bytes()), Ok(name));
        }

        #[test]
        fn one_spelling_only(wire in "[ -~]{0,30}") {
            if let Ok(name) = decode(wire.as_bytes()) {
                prop_assert_eq!(encode(&name), wire);
            }
        }
    }
}
