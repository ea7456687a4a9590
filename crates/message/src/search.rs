//! Searching a letter's octets as they are, where that gives the same answer as decoding them
//! first: most letters are plain ASCII text. Not a decoder (`values`), and no index. Called by
//! SEARCH BODY and TEXT, which decode what is left undecided here.

use memchr::memmem::Finder;

use crate::limits::MAX_DECODED_TEXT;
use crate::scan::structure::{Content, Part, Structure};
use crate::values::{file_name, parameter_text};

/// A word to look for, without case.
#[derive(Debug, Clone)]
pub struct Needle {
    finder: Finder<'static>,
    /// Letters, digits and signs of ASCII alone: what no decoding of ASCII text makes or unmakes.
    is_plain: bool,
}

impl Needle {
    /// A needle in lower case.
    pub fn new(lower: &str) -> Self {
        let is_plain = lower.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        Needle { finder: Finder::new(lower.as_bytes()).into_owned(), is_plain }
    }

    /// Whether the text that people see in the letter's body holds the needle. `None`: the letter
    /// has to be decoded to tell.
    pub fn is_in_body(&self, structure: &Structure, letter: &[u8]) -> Option<bool> {
        if !self.is_plain {
            return None;
        }
        let mut undecided = false;
        for (_, part) in structure.parts() {
            match self.is_in_part(part, letter) {
                Some(true) => return Some(true),
                Some(false) => {}
                None => undecided = true,
            }
        }
        (!undecided).then_some(false)
    }

    fn is_in_part(&self, part: &Part, letter: &[u8]) -> Option<bool> {
        if file_name(part).is_some() || matches!(part.content, Content::Message(_)) {
            return None;
        }
        if !matches!(part.content, Content::Leaf) || !is(&part.media.kind, "text") {
            return Some(false);
        }
        let is_encoded = !IDENTITY.iter().any(|name| is(&part.encoding, name));
        if is_encoded || is(&part.media.subtype, "html") || !has_ascii_charset(part) {
            return None;
        }
        let body = part.body.of(letter);
        let body = body.get(..MAX_DECODED_TEXT).unwrap_or(body);
        body.is_ascii().then(|| self.finder.find(&body.to_ascii_lowercase()).is_some())
    }
}

fn is(value: &str, expected: &str) -> bool {
    value.trim().eq_ignore_ascii_case(expected)
}

/// Whether ASCII octets mean themselves in the part's charset.
fn has_ascii_charset(part: &Part) -> bool {
    let Some(charset) = parameter_text(&part.media.parameters, "charset") else { return true };
    let charset = charset.trim().to_ascii_lowercase();
    let family = ["iso-8859-", "windows-125"].iter().any(|family| charset.starts_with(family));
    family || ["us-ascii", "ascii", "utf-8"].contains(&charset.as_str())
}

/// RFC 2045 §6.2: encodings that leave the octets as they are.
const IDENTITY: [&str; 3] = ["7bit", "8bit", "binary"];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::scan::scan;
    use crate::values::search_text;

    fn letter(kind: &str, encoding: &str, body: &str) -> Vec<u8> {
        let header = format!("Content-Type: {kind}\r\nContent-Transfer-Encoding: {encoding}\r\n");
        format!("Subject: x\r\n{header}\r\n{body}\r\n").into_bytes()
    }

    #[test]
    fn what_has_to_be_decoded_is_left_undecided() {
        let asked =
            |letter: &[u8], needle: &str| Needle::new(needle).is_in_body(&scan(letter), letter);
        let plain = letter("text/plain; charset=utf-8", "7bit", "Hay Needle hay");
        assert_eq!(asked(&plain, "needle"), Some(true));
        assert_eq!(asked(&plain, "pin"), Some(false));
        assert_eq!(asked(&plain, "nädel"), None);
        assert_eq!(asked(&letter("text/html", "7bit", "nee<b>dle</b>"), "needle"), None);
        assert_eq!(asked(&letter("text/plain", "quoted-printable", "nee=\r\ndle"), "needle"), None);
        assert_eq!(asked(&letter("text/plain; charset=utf-16", "8bit", "needle"), "needle"), None);
        assert_eq!(asked(&letter("text/plain; charset=utf-8", "8bit", "\u{212a}"), "k"), None);
        assert_eq!(asked(&letter("image/png; name=needle.png", "base64", "AAAA"), "needle"), None);
        assert_eq!(asked(&letter("image/png", "base64", "needle"), "needle"), Some(false));
    }

    proptest! {
        #[test]
        fn says_what_decoding_says(
            kind in "text/(plain|html|calendar)(; charset=(utf-8|us-ascii|iso-8859-2|utf-7|big5))?",
            encoding in "(7bit|8bit|quoted-printable|base64|x)",
            body in "[a-cA-C =<>\r\né]{0,60}",
            needle in "[a-cé ]{1,3}",
        ) {
            let letter = letter(&kind, &encoding, &body);
            let structure = scan(&letter);
            let decoded = search_text(&structure, &letter).body.to_lowercase().contains(&needle);
            let said = Needle::new(&needle).is_in_body(&structure, &letter);
            prop_assert!(said.is_none_or(|said| said == decoded), "{:?} {}", said, decoded);
        }
    }
}
