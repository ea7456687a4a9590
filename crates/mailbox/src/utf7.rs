//! Modified UTF-7 for the levels of a folder name on disk (RFC 3501 §5.1.3), with four more
//! characters encoded than IMAP encodes. The wire's own codec is in `protocol::imap`.

/// One level of a mailbox name as part of a folder name: `.` and `/` would end the level, `~` and
/// `:` mean something to other programs.
pub(crate) fn encode(level: &str) -> String {
    let mut out = String::with_capacity(level.len());
    let mut wide: Vec<u16> = Vec::new();
    for c in level.chars() {
        if c == '&' || !is_plain(c) {
            if c == '&' && wide.is_empty() {
                out.push_str("&-");
            } else {
                wide.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            }
        } else {
            flush(&mut out, &mut wide);
            out.push(c);
        }
    }
    flush(&mut out, &mut wide);
    out
}

/// The level a part of a folder name stands for; `None` when it is not modified UTF-7. More
/// lenient than IMAP: characters may be encoded that need not be.
pub(crate) fn decode(part: &str) -> Option<String> {
    let mut out = String::with_capacity(part.len());
    let mut rest = part;
    while let Some(at) = rest.find('&') {
        let (plain, coded) = (&rest[..at], &rest[at + 1..]);
        out.push_str(plain);
        let end = coded.find('-')?;
        if end == 0 {
            out.push('&');
        } else {
            out.push_str(&String::from_utf16(&units(&coded[..end])?).ok()?);
        }
        rest = &coded[end + 1..];
    }
    out.push_str(rest);
    out.chars().all(|c| !c.is_control()).then_some(out)
}

fn is_plain(c: char) -> bool {
    matches!(c, ' '..='~') && !matches!(c, '.' | '/' | '~' | ':' | '\\')
}

fn flush(out: &mut String, wide: &mut Vec<u16>) {
    if wide.is_empty() {
        return;
    }
    out.push('&');
    let (mut bits, mut count) = (0u32, 0);
    for unit in wide.drain(..) {
        bits = bits << 16 | u32::from(unit);
        count += 16;
        while count >= 6 {
            count -= 6;
            out.push(digit(bits >> count & 63));
        }
        bits &= (1 << count) - 1;
    }
    if count > 0 {
        out.push(digit(bits << (6 - count) & 63));
    }
    out.push('-');
}

fn units(coded: &str) -> Option<Vec<u16>> {
    let mut units = Vec::with_capacity(coded.len() * 3 / 8);
    let (mut bits, mut count) = (0u32, 0);
    for byte in coded.bytes() {
        let value = ALPHABET.iter().position(|&c| c == byte)?;
        bits = bits << 6 | u32::try_from(value).ok()?;
        count += 6;
        if count >= 16 {
            count -= 16;
            units.push(u16::try_from(bits >> count & 0xffff).ok()?);
        }
        bits &= (1 << count) - 1;
    }
    // What is left over is padding: fewer bits than a digit, all zero.
    (count < 6 && bits == 0 && !units.is_empty()).then_some(units)
}

fn digit(value: u32) -> char {
    ALPHABET.get(value as usize).map_or('A', |&byte| char::from(byte))
}

/// Base64 with `,` for `/`, which no file name can hold.
const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_examples_of_the_rfc() {
        // RFC 3501 §5.1.3: the name in Chinese, the one in Japanese, and an ampersand.
        assert_eq!(encode("台北"), "&U,BTFw-");
        assert_eq!(encode("日本語"), "&ZeVnLIqe-");
        assert_eq!(encode("R&D"), "R&-D");
        assert_eq!(encode("v1.0"), "v1&AC4-0");
        assert_eq!(decode("v1&AC4-0").as_deref(), Some("v1.0"));
        for bad in ["&", "&U", "&*-", "&AA", "&AAA-\u{7}", "&A-"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn leads_back(level in "\\PC{0,30}") {
            let coded = encode(&level);
            prop_assert!(coded.is_ascii() && !coded.contains(['.', '/', '~', ':']));
            prop_assert_eq!(decode(&coded), Some(level));
        }

        #[test]
        fn takes_anything(part in ".{0,30}") {
            let _ = decode(&part);
        }
    }
}
