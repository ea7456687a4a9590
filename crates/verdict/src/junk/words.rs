//! A letter as the words that the junk filter counts: those of its text, and some of its header
//! with a mark of where they stood.

use std::collections::HashSet;

use message::scan::Scanner;
use message::{header, values};

use crate::limits;

/// The words of a letter, each once. `start` is the letter's beginning, header and all; more than
/// [`limits::JUNK_OCTETS`] of it is not looked at.
pub fn of_letter(start: &[u8]) -> Vec<String> {
    let letter = start.get(..limits::JUNK_OCTETS).unwrap_or(start);
    let mut found = Found::default();
    let block = letter.get(..header::length(letter)).unwrap_or(letter);
    for field in header::fields(block) {
        let value = field.value(block);
        if field.is(block, "Subject") {
            found.text("subject:", &values::text(value));
        } else if field.is(block, "From") || field.is(block, "Reply-To") {
            for author in values::addresses(value) {
                found.one("from:", &author.address);
                if let Some((_, domain)) = author.address.rsplit_once('@') {
                    found.one("from:", domain);
                }
                found.text("name:", author.name.as_deref().unwrap_or_default());
            }
        } else if field.is(block, "Authentication-Results") {
            let text = values::text(value);
            let methods = text.split(';').skip(1);
            let results = methods.filter_map(|one| one.split_whitespace().next());
            results.for_each(|result| found.one("auth:", result));
        } else if field.is(block, "Content-Type") {
            let text = values::text(value);
            found.one("type:", text.split(';').next().unwrap_or_default());
        }
    }
    found.text("", &body_text(letter));
    found.words
}

/// mail-parser, which helps with HTML and charsets, has panicked on hostile letters before: such a
/// letter is judged by its header.
fn body_text(letter: &[u8]) -> String {
    let read = || {
        let mut scanner = Scanner::new();
        scanner.feed(letter);
        values::search_text(&scanner.finish(), letter).body
    };
    std::panic::catch_unwind(read).unwrap_or_default()
}

#[derive(Default)]
struct Found {
    words: Vec<String>,
    seen: HashSet<u64>,
}

impl Found {
    fn text(&mut self, mark: &str, text: &str) {
        for token in text.split_whitespace() {
            if let Some(host) = host_of_link(token) {
                self.one("link:", host);
            }
            for word in token.split(|c: char| !(c.is_alphanumeric() || "'-$€%".contains(c))) {
                let length = word.chars().count();
                if (limits::JUNK_WORD_SHORTEST..=limits::JUNK_WORD_LONGEST).contains(&length) {
                    self.one(mark, word);
                }
            }
        }
    }

    fn one(&mut self, mark: &str, word: &str) {
        if self.words.len() >= limits::JUNK_WORDS_OF_LETTER || word.is_empty() {
            return;
        }
        let plain = word.chars().filter(|c| !c.is_control() && !c.is_whitespace());
        let word: String = plain.flat_map(char::to_lowercase).take(limits::JUNK_TOKEN).collect();
        let word = format!("{mark}{word}");
        if self.seen.insert(key(word.as_bytes())) {
            self.words.push(word);
        }
    }
}

/// The host in `https://host/...`.
fn host_of_link(token: &str) -> Option<&str> {
    let (_, rest) = token.split_once("://")?;
    let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.' || c == '-'));
    rest.get(..end.unwrap_or(rest.len())).filter(|host| host.contains('.'))
}

/// FNV-1a: tells words apart within one letter.
fn key(octets: &[u8]) -> u64 {
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_text_and_header() {
        let letter = b"From: \"Best Casino\" <win@casino.test>\r\n\
            Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?= now\r\n\
            Authentication-Results: mx; spf=fail (x) a=b; dkim=none\r\n\
            Content-Type: text/html\r\n\r\n\
            <p>Click <b>here</b> https://bad.test/x?y casino Casino</p>";
        let words = of_letter(letter);
        for wanted in [
            "from:win@casino.test",
            "from:casino.test",
            "name:casino",
            "subject:grüße",
            "auth:spf=fail",
            "auth:dkim=none",
            "type:text/html",
            "click",
            "link:bad.test",
        ] {
            assert!(words.iter().any(|word| word == wanted), "{wanted} in {words:?}");
        }
        assert_eq!(words.iter().filter(|word| *word == "casino").count(), 1);
    }

    #[test]
    fn hostile_letters_are_bounded() {
        let long = format!("Subject: x\r\n\r\n{}", "word1 ".repeat(10));
        assert!(!of_letter(long.as_bytes()).is_empty());
        let many: String = (0..100_000).map(|n| format!("w{n} ")).collect();
        let letter = format!("Subject: x\r\n\r\n{many}");
        assert!(of_letter(letter.as_bytes()).len() <= limits::JUNK_WORDS_OF_LETTER);
        assert!(of_letter(b"").is_empty());
        of_letter(&[0xff; 1000]);
    }
}
