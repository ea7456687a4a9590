//! Reads the address lists of foreign letters (RFC 5322 §3.4 with the obsolete forms of §4.4) into
//! IMAP's form. Anything is accepted: what makes no sense becomes a display name or an address with
//! an empty part. Not for addresses we send to: those go through `protocol::address`.

use super::EnvelopeAddress;
use crate::limits::MAX_ADDRESSES;

/// The addresses of an unfolded address field; at most `limits::MAX_ADDRESSES`.
pub fn parse_addresses(value: &[u8]) -> Vec<EnvelopeAddress> {
    let mut list = List::default();
    let mut tokens = Tokens { rest: value };
    while let Some(token) = tokens.next() {
        if list.found.len() >= MAX_ADDRESSES {
            break;
        }
        list.take(token);
    }
    list.end_address();
    list.end_group();
    list.found
}

/// A lexical unit of an address field.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    /// An atom, dots included; or a domain literal with its brackets.
    Word(Vec<u8>),
    /// Content of a quoted string.
    Quoted(Vec<u8>),
    /// Content of a comment.
    Comment(Vec<u8>),
    /// One of `, : ; < > @`.
    Special(u8),
}

struct Tokens<'a> {
    rest: &'a [u8],
}

impl Tokens<'_> {
    fn next(&mut self) -> Option<Token> {
        self.rest = self.rest.trim_ascii_start();
        let (first, after) = self.rest.split_first()?;
        match first {
            b'"' => Some(Token::Quoted(self.enclosed(after, b'"', None))),
            b'(' => Some(Token::Comment(self.enclosed(after, b')', Some(b'(')))),
            b'[' => {
                let content = self.enclosed(after, b']', None);
                Some(Token::Word([b"[", content.as_slice(), b"]"].concat()))
            }
            b',' | b':' | b';' | b'<' | b'>' | b'@' => {
                self.rest = after;
                Some(Token::Special(*first))
            }
            _ => {
                let ends = |octet: &u8| octet.is_ascii_whitespace() || b",:;<>@\"(".contains(octet);
                let plain = self.rest.iter().position(ends).unwrap_or(self.rest.len()).max(1);
                let length = encoded_word(self.rest).unwrap_or(plain);
                let (word, rest) = self.rest.split_at_checked(length)?;
                self.rest = rest;
                Some(Token::Word(word.to_vec()))
            }
        }
    }

    /// The text up to the closing octet, escapes removed; comments nest. Unclosed, it runs to the
    /// end of the field.
    fn enclosed(&mut self, after: &[u8], close: u8, open: Option<u8>) -> Vec<u8> {
        let mut content = Vec::new();
        let mut depth = 0_usize;
        let mut used = 0;
        let mut escaped = false;
        for &octet in after {
            used += 1;
            if escaped {
                escaped = false;
            } else if octet == b'\\' {
                escaped = true;
                continue;
            } else if octet == close && depth == 0 {
                break;
            } else if octet == close {
                depth -= 1;
            } else if Some(octet) == open {
                depth += 1;
            }
            content.push(octet);
        }
        let consumed = self.rest.len() - after.len() + used;
        self.rest = self.rest.get(consumed..).unwrap_or_default();
        content
    }
}

/// Octets of the RFC 2047 word that the text begins with. Commas and the like have no business in
/// one (§5 (3)) but are common: `=?utf-8?q?Doe,_John?=`.
fn encoded_word(text: &[u8]) -> Option<usize> {
    let inside = text.strip_prefix(b"=?")?;
    let charset = memchr::memchr(b'?', inside)?;
    let encoding = memchr::memchr(b'?', inside.get(charset + 1..)?)?;
    let begin = charset + encoding + 2;
    let content = memchr::memmem::find(inside.get(begin..)?, b"?=")?;
    let whole = text.get(..2 + begin + content + 2)?;
    (encoding == 1 && !whole.iter().any(u8::is_ascii_whitespace)).then_some(whole.len())
}

/// Where in an address the reader is.
#[derive(Debug, Default, PartialEq, Eq)]
enum Place {
    /// Before `<` or `@`.
    #[default]
    Words,
    /// After `@`, without angle brackets.
    Domain,
    /// Between `<` and `@`.
    AngleLocal,
    /// Between `@` and `>`.
    AngleDomain,
    /// After `>`.
    Done,
}

#[derive(Debug, Default)]
struct List {
    found: Vec<EnvelopeAddress>,
    in_group: bool,
    place: Place,
    words: Vec<Vec<u8>>,
    comment: Option<Vec<u8>>,
    name: Option<Vec<u8>>,
    route: Vec<u8>,
    local: Vec<u8>,
    domain: Vec<u8>,
}

impl List {
    fn take(&mut self, token: Token) {
        match token {
            Token::Comment(text) => {
                self.comment.get_or_insert(text);
            }
            Token::Word(text) | Token::Quoted(text) => self.word(text),
            Token::Special(b',') if self.place == Place::AngleDomain => self.route_ends(b","),
            Token::Special(b':') if self.place == Place::AngleDomain => self.route_ends(b":"),
            Token::Special(b',') if self.place == Place::AngleLocal && self.local.is_empty() => {}
            Token::Special(b',') => self.end_address(),
            Token::Special(b';') => {
                self.end_address();
                self.end_group();
            }
            Token::Special(b':') if self.place == Place::Words && !self.in_group => {
                self.begin_group();
            }
            Token::Special(b':') => self.word(b":".to_vec()),
            Token::Special(b'<') if self.place == Place::Words => {
                let name = std::mem::take(&mut self.words).join(&b' ');
                self.name = Some(name).filter(|name| !name.is_empty());
                self.place = Place::AngleLocal;
            }
            Token::Special(b'>') => match self.place {
                Place::AngleLocal | Place::AngleDomain => self.place = Place::Done,
                _ => {}
            },
            Token::Special(b'@') => match self.place {
                Place::Words => {
                    // The local part is the last word with what is joined to it by dots.
                    self.local = self.joined_local();
                    self.place = Place::Domain;
                }
                Place::AngleLocal => self.place = Place::AngleDomain,
                Place::Domain | Place::AngleDomain => self.domain.push(b'@'),
                Place::Done => {}
            },
            Token::Special(_) => {}
        }
    }

    fn word(&mut self, text: Vec<u8>) {
        match self.place {
            Place::Words => self.words.push(text),
            Place::AngleLocal => self.local.extend(text),
            Place::Domain | Place::AngleDomain => self.domain.extend(text),
            Place::Done => {}
        }
    }

    /// `local . part` of RFC 5322 §4.4; words before it that no dot joins are a stray name.
    fn joined_local(&mut self) -> Vec<u8> {
        let mut local = self.words.pop().unwrap_or_default();
        while let Some(before) = self.words.last() {
            if !before.ends_with(b".") && !local.starts_with(b".") {
                break;
            }
            local = [before.as_slice(), &local].concat();
            self.words.pop();
        }
        let name = std::mem::take(&mut self.words).join(&b' ');
        self.name = Some(name).filter(|name| !name.is_empty());
        local
    }

    /// What looked like `@domain` was a hop of a source route.
    fn route_ends(&mut self, separator: &[u8]) {
        if !self.local.is_empty() {
            if separator == b"," {
                // `<a@b, c@d>`: the bracket was not closed.
                self.end_address();
            }
            return;
        }
        self.route.push(b'@');
        self.route.append(&mut self.domain);
        if separator == b"," {
            self.route.push(b',');
        }
        self.place = Place::AngleLocal;
    }

    fn begin_group(&mut self) {
        let name = std::mem::take(&mut self.words).join(&b' ');
        self.found.push(EnvelopeAddress { mailbox: Some(name), ..EnvelopeAddress::default() });
        self.in_group = true;
        self.comment = None;
    }

    fn end_group(&mut self) {
        if std::mem::take(&mut self.in_group) {
            self.found.push(EnvelopeAddress::default());
        }
    }

    fn end_address(&mut self) {
        let place = std::mem::take(&mut self.place);
        if place == Place::Words {
            if self.words.is_empty() {
                self.comment = None;
                return;
            }
            self.local = std::mem::take(&mut self.words).join(&b' ');
        }
        let comment = self.comment.take().filter(|text| !text.is_empty());
        self.found.push(EnvelopeAddress {
            // RFC 5322 §3.4 advises against names in comments; old letters have them.
            name: self.name.take().or(comment),
            route: Some(std::mem::take(&mut self.route)).filter(|route| !route.is_empty()),
            mailbox: Some(std::mem::take(&mut self.local)),
            host: Some(std::mem::take(&mut self.domain)),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// `name|mailbox|host`, with `-` for NIL.
    fn read(value: &str) -> Vec<String> {
        let show = |text: &Option<Vec<u8>>| {
            text.as_ref().map_or("-".into(), |t| String::from_utf8_lossy(t).into_owned())
        };
        parse_addresses(value.as_bytes())
            .iter()
            .map(|a| format!("{}|{}|{}", show(&a.name), show(&a.mailbox), show(&a.host)))
            .collect()
    }

    #[test]
    fn usual_forms() {
        assert_eq!(read("a@b"), ["-|a|b"]);
        assert_eq!(
            read("Joe Q. Public <john.q@x.org>, <b@c>"),
            ["Joe Q. Public|john.q|x.org", "-|b|c"]
        );
        assert_eq!(read(r#""Joe, \"Q\"" <j@x>"#), [r#"Joe, "Q"|j|x"#]);
        assert_eq!(read("jdoe@x (John (the) Doe)"), ["John (the) Doe|jdoe|x"]);
        assert_eq!(
            read("=?utf-8?q?J=C3=B6?= <j@[192.0.2.1]>"),
            ["=?utf-8?q?J=C3=B6?=|j|[192.0.2.1]"]
        );
        assert_eq!(
            read("=?utf-8?q?Doe,_J;<x@y>?= <j@x>, =?broken, k@x"),
            ["=?utf-8?q?Doe,_J;<x@y>?=|j|x", "-|=?broken|", "-|k|x"]
        );
        assert_eq!(read(r#""a b"@c"#), ["-|a b|c"]);
        assert_eq!(read(" , ,a@b,, "), ["-|a|b"]);
        assert_eq!(read(""), Vec::<String>::new());
    }

    #[test]
    fn groups() {
        assert_eq!(
            read("A Group: Ed <e@x>, joe@y;, z@w"),
            ["-|A Group|-", "Ed|e|x", "-|joe|y", "-|-|-", "-|z|w"]
        );
        assert_eq!(read("Undisclosed recipients:;"), ["-|Undisclosed recipients|-", "-|-|-"]);
        assert_eq!(read("G: a@b"), ["-|G|-", "-|a|b", "-|-|-"], "unclosed");
    }

    #[test]
    fn obsolete_and_broken_forms() {
        let routed = parse_addresses(b"Mary <@node.test,@x.test:mary@y.test>").remove(0);
        assert_eq!(routed.route.as_deref(), Some(&b"@node.test,@x.test"[..]));
        assert_eq!(routed.mailbox.as_deref(), Some(&b"mary"[..]));
        assert_eq!(read("a . b @ c . d"), ["-|a.b|c.d"]);
        assert_eq!(read("nobody"), ["-|nobody|"]);
        assert_eq!(read("<>"), ["-||"]);
        assert_eq!(read("John a@b"), ["John|a|b"]);
        assert_eq!(read("<a@b, c@d>"), ["-|a|b", "-|c|d"]);
        assert_eq!(read("\"unclosed <a@b>"), ["-|unclosed <a@b>|"]);
    }

    proptest! {
        #[test]
        fn never_fails(value in "[a-c<>@,:;()\\[\\]\"\\\\. ]{0,60}") {
            let _ = parse_addresses(value.as_bytes());
        }

        #[test]
        fn never_fails_on_octets(value in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = parse_addresses(&value);
        }
    }
}
