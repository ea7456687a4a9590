//! Content transfer encodings (RFC 2045 §6) and encoded words (RFC 2047), tolerant when reading,
//! strict when writing. Charsets are not looked at here: [`crate::values`].

use std::borrow::Cow;

/// The octets of a part's body without its transfer encoding. Broken input gives what can be read;
/// an unknown encoding is no encoding (RFC 2045 §6.4 leaves it opaque).
pub fn decode<'a>(encoding: &str, body: &'a [u8]) -> Cow<'a, [u8]> {
    if encoding.eq_ignore_ascii_case("base64") {
        Cow::Owned(decode_base64(body))
    } else if encoding.eq_ignore_ascii_case("quoted-printable") {
        Cow::Owned(decode_quoted_printable(body))
    } else {
        Cow::Borrowed(body)
    }
}

/// Whether [`decode`] knows the encoding (RFC 2045 §6.1).
pub fn is_known(encoding: &str) -> bool {
    ["7bit", "8bit", "binary", "base64", "quoted-printable"]
        .iter()
        .any(|known| encoding.eq_ignore_ascii_case(known))
}

/// RFC 2045 §6.8: what is not in the alphabet is passed over; a padding ends a group, and more may
/// follow, as in letters that were joined from pieces.
pub fn decode_base64(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0_u8);
    for octet in body {
        let value = match octet {
            b'A'..=b'Z' => octet - b'A',
            b'a'..=b'z' => octet - b'a' + 26,
            b'0'..=b'9' => octet - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => {
                flush(bits, count, &mut out);
                (bits, count) = (0, 0);
                continue;
            }
            _ => continue,
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            let [_, a, b, c] = bits.to_be_bytes();
            out.extend_from_slice(&[a, b, c]);
            (bits, count) = (0, 0);
        }
    }
    flush(bits, count, &mut out);
    out
}

/// The octets of an incomplete group of `count` characters.
fn flush(bits: u32, count: u8, out: &mut Vec<u8>) {
    match count {
        2 => out.extend(bits.to_be_bytes().get(2).map(|_| (bits >> 4) as u8)),
        3 => {
            let [_, _, a, b] = (bits >> 2).to_be_bytes();
            out.extend_from_slice(&[a, b]);
        }
        _ => {}
    }
}

/// RFC 2045 §6.7; an `=` that begins nothing stays as it is, white space before a line end goes.
pub fn decode_quoted_printable(body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        match first {
            b'=' => match after {
                [high, low, tail @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                    out.push(hex(*high).unwrap_or(0) << 4 | hex(*low).unwrap_or(0));
                    rest = tail;
                }
                _ => match soft_break(after) {
                    Some(tail) => rest = tail,
                    None => out.push(b'='),
                },
            },
            b' ' | b'\t' => {
                let run = after.iter().take_while(|o| matches!(o, b' ' | b'\t')).count();
                let (blanks, tail) = after.split_at(run);
                // RFC 2045 §6.7 (3): added on the way, not by the author.
                if !matches!(tail, [] | [b'\n', ..] | [b'\r', b'\n', ..]) {
                    out.push(*first);
                    out.extend_from_slice(blanks);
                }
                rest = tail;
            }
            octet => out.push(*octet),
        }
    }
    out
}

/// What follows a soft line break, if this is one: white space, then a line end or nothing.
fn soft_break(after: &[u8]) -> Option<&[u8]> {
    let blanks = after.iter().take_while(|o| matches!(o, b' ' | b'\t')).count();
    match after.get(blanks..)? {
        [b'\r', b'\n', tail @ ..] | [b'\n', tail @ ..] => Some(tail),
        [] => Some(&[]),
        _ => None,
    }
}

fn hex(octet: u8) -> Option<u8> {
    char::from(octet).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Appends `bytes` as base64 in lines of 76 characters with CRLF (RFC 2045 §6.8).
pub fn encode_base64(bytes: &[u8], out: &mut Vec<u8>) {
    out.reserve(bytes.len() / 57 * 78 + 80);
    for line in bytes.chunks(57) {
        for group in line.chunks(3) {
            let octet = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
            let bits = octet(0) << 16 | octet(1) << 8 | octet(2);
            for place in 0..4 {
                let index = usize::try_from(bits >> (18 - 6 * place) & 63).unwrap_or(0);
                let filled = place <= group.len();
                out.push(if filled { BASE64.get(index).copied().unwrap_or(b'=') } else { b'=' });
            }
        }
        out.extend_from_slice(b"\r\n");
    }
}

const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Appends `bytes` as quoted-printable text (RFC 2045 §6.7); CRLF in it stays a line end, a CR or
/// LF alone is encoded.
pub fn encode_quoted_printable(bytes: &[u8], out: &mut Vec<u8>) {
    let mut column = 0;
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        if let [b'\r', b'\n', tail @ ..] = rest {
            out.extend_from_slice(b"\r\n");
            column = 0;
            rest = tail;
            continue;
        }
        rest = after;
        let at_line_end = matches!(after, [] | [b'\r', b'\n', ..]);
        let plain = match first {
            b'=' => false,
            b' ' | b'\t' => !at_line_end,
            // mbox and SMTP look at these at the beginning of a line.
            b'.' | b'F' | b'-' => column > 0,
            octet => octet.is_ascii_graphic(),
        };
        let width = if plain { 1 } else { 3 };
        // RFC 2045 §6.7 (5): 76 characters, the `=` of the soft break included.
        if column + width > 75 {
            out.extend_from_slice(b"=\r\n");
            column = 0;
        }
        if plain {
            out.push(*first);
        } else {
            out.extend_from_slice(format!("={first:02X}").as_bytes());
        }
        column += width;
    }
}

/// The text for an unstructured header field: as it is when printable ASCII that holds no encoded
/// word, else as encoded words of UTF-8 (RFC 2047 §2: 75 characters each, whole characters).
pub fn encode_words(text: &str) -> String {
    let plain = text.chars().all(|c| c == ' ' || c.is_ascii_graphic());
    if plain && !text.contains("=?") {
        return text.to_owned();
    }
    let mut words: Vec<String> = Vec::new();
    let mut word = Vec::new();
    for c in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        // 45 octets are 60 characters of base64; 12 more for `=?utf-8?B?` and `?=`.
        if word.len() + c.len_utf8() > 45 {
            words.push(encoded_word(&word));
            word.clear();
        }
        word.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    if !word.is_empty() {
        words.push(encoded_word(&word));
    }
    words.join(" ")
}

fn encoded_word(octets: &[u8]) -> String {
    let mut encoded = Vec::new();
    encode_base64(octets, &mut encoded);
    format!("=?utf-8?B?{}?=", String::from_utf8_lossy(&encoded).trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_broken_input() {
        assert_eq!(decode_base64(b"aGk=\r\n!aG\r\nk="), b"hihi");
        assert_eq!(decode_base64(b"aGkaGk"), b"hi\x1a\x1a");
        assert_eq!(decode_base64(b"a"), b"");
        assert_eq!(decode_quoted_printable(b"a=3Db=\r\nc=zz = \nd  \r\ne="), b"a=bc=zz d\r\ne");
        assert_eq!(decode("X-unknown", b"as is").as_ref(), b"as is");
    }

    #[test]
    fn quoted_printable_is_safe_on_every_hop() {
        let mut out = Vec::new();
        encode_quoted_printable("From me\r\n.\r\n--x \r\nGrüße\n".as_bytes(), &mut out);
        assert_eq!(out, b"=46rom me\r\n=2E\r\n=2D-x=20\r\nGr=C3=BC=C3=9Fe=0A");
    }

    #[test]
    fn words() {
        assert_eq!(encode_words("plain text"), "plain text");
        assert_eq!(encode_words("Grüße"), "=?utf-8?B?R3LDvMOfZQ==?=");
        assert!(encode_words("x\r\nBcc: y").starts_with("=?"), "no line end gets out");
        let long = encode_words(&"ü".repeat(100));
        assert!(long.split(' ').all(|word| word.len() <= 75), "{long}");
        assert_eq!(crate::values::text(long.as_bytes()), "ü".repeat(100));
    }

    proptest! {
        #[test]
        fn base64_and_back(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut out = Vec::new();
            encode_base64(&bytes, &mut out);
            prop_assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 77));
            prop_assert_eq!(decode_base64(&out), bytes);
        }

        #[test]
        fn quoted_printable_and_back(text in "[ -~\t\u{e4}\u{20ac}=.\r\n]{0,300}") {
            let text = crate::line_ends::to_crlf(text.as_bytes());
            let mut out = Vec::new();
            encode_quoted_printable(&text, &mut out);
            prop_assert!(out.split(|b| *b == b'\n').all(|line| line.len() <= 77));
            prop_assert!(out.is_ascii());
            prop_assert_eq!(decode_quoted_printable(&out), text);
        }
    }
}
