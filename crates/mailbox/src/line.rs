//! Lines of the state log and the account log: `CRC32C REST`, and how words stand in them. What
//! the words mean is in [`crate::change`] and [`crate::account_change`].

use crate::checksum::crc32c;
use crate::limits::LINE_BYTES;

/// Appends one line with its checksum.
pub(crate) fn push(out: &mut Vec<u8>, rest: &str) {
    out.extend_from_slice(format!("{:08x} {rest}\n", crc32c(rest.as_bytes())).as_bytes());
}

/// What a line says, if its checksum is right.
pub(crate) fn check(line: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(line).ok()?;
    let (sum, rest) = line.split_at_checked(8)?;
    let rest = rest.strip_prefix(' ')?;
    let right = sum == format!("{:08x}", crc32c(rest.as_bytes()));
    (right && rest.len() <= LINE_BYTES).then_some(rest)
}

/// A word that may be anything: `-` when there is none, with `%XX` for what would end it.
pub(crate) fn word(text: Option<&str>) -> String {
    match text {
        None | Some("") => "-".to_owned(),
        Some("-") => "%2D".to_owned(),
        Some(text) => {
            let mut out = String::with_capacity(text.len());
            for c in text.chars() {
                if c.is_control() || matches!(c, ' ' | '%' | ',') {
                    c.encode_utf8(&mut [0; 4])
                        .bytes()
                        .for_each(|byte| out.push_str(&format!("%{byte:02X}")));
                } else {
                    out.push(c);
                }
            }
            out
        }
    }
}

/// The text a word stands for: outer `None` when it is malformed, inner when it is `-`.
pub(crate) fn text(word: &str) -> Option<Option<String>> {
    if word == "-" {
        return Some(None);
    }
    String::from_utf8(unescape(word)?).ok().filter(|text| !text.is_empty()).map(Some)
}

fn unescape(word: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(word.len());
    let mut bytes = word.bytes();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let digits = [bytes.next()?, bytes.next()?];
        let digits = std::str::from_utf8(&digits).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
    }
    Some(out)
}

/// Any octets as a word: what is not printable is `%XX`, and `%` alone is nothing at all.
pub(crate) fn octet_word(octets: &[u8]) -> String {
    if octets.is_empty() {
        return "%".to_owned();
    }
    let mut out = String::with_capacity(octets.len());
    for &byte in octets {
        if byte.is_ascii_graphic() && byte != b'%' && (byte != b'-' || octets.len() > 1) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// The octets of such a word; `None` when it is malformed.
pub(crate) fn octets(word: &str) -> Option<Vec<u8>> {
    if word == "%" {
        return Some(Vec::new());
    }
    unescape(word)
}

/// The whole lines of a log, and how many bytes they take. `Err` holds the place of the first bad
/// line when good ones follow it: that is damage, not a torn end.
pub(crate) struct Lines<'a> {
    pub(crate) good: Vec<&'a str>,
    /// Bytes up to the end of the last good line.
    pub(crate) length: usize,
    /// Lines whose checksum was wrong though good ones follow.
    pub(crate) damaged: usize,
    /// How many good lines come before the first of those, and how many bytes they take.
    pub(crate) before: (usize, usize),
}

impl<'a> Lines<'a> {
    /// Reads the lines from `from` on.
    pub(crate) fn read(bytes: &'a [u8], from: usize) -> Self {
        let mut lines = Lines { good: Vec::new(), length: from, damaged: 0, before: (0, from) };
        let (mut at, mut bad) = (from, 0);
        while let Some(end) = bytes.get(at..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            match check(&bytes[at..at + end]) {
                Some(line) => {
                    lines.good.push(line);
                    lines.length = at + end + 1;
                    lines.damaged += std::mem::take(&mut bad);
                    if lines.damaged == 0 {
                        lines.before = (lines.good.len(), lines.length);
                    }
                }
                None => bad += 1,
            }
            at += end + 1;
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_torn_end_is_not_damage() {
        let mut log = Vec::new();
        push(&mut log, "1 one");
        push(&mut log, "2 two");
        let whole = log.len();
        push(&mut log, "3 three");
        for cut in whole..log.len() {
            let lines = Lines::read(&log[..cut], 0);
            assert_eq!((lines.good.len(), lines.length, lines.damaged), (2, whole, 0));
        }
        log[3] ^= 1;
        let lines = Lines::read(&log, 0);
        assert_eq!((lines.before, lines.damaged), ((0, 0), 1));
        assert_eq!(lines.good, ["2 two", "3 three"]);
        log[3] ^= 1;
        log[whole - 2] ^= 1;
        let lines = Lines::read(&log, 0);
        assert_eq!((lines.before.0, lines.good), (1, vec!["1 one", "3 three"]));
    }

    proptest! {
        #[test]
        fn words_lead_back(value in proptest::option::of("\\PC{1,20}|[ ,%\\-\n]{1,4}")) {
            let word = word(value.as_deref());
            prop_assert!(!word.is_empty() && !word.contains([' ', ',', '\n']));
            prop_assert_eq!(text(&word), Some(value));
        }

        #[test]
        fn takes_anything(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            Lines::read(&bytes, 0);
            if let Ok(word) = std::str::from_utf8(&bytes) {
                let _ = text(word);
            }
        }
    }
}
