//! The place in a buffer where parsing stands, with the terminals of the grammar (RFC 3501 §9). Not
//! any command or response. Called by all parsers of this folder.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU32;

use crate::imap::command::{LiteralHeader, LiteralKind, LiteralSync};
use crate::imap::limits;

/// Why something is not IMAP, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Octets from the start of the command or response; the first is 0.
    pub position: usize,
    /// What was wrong, for people.
    pub message: Cow<'static, str>,
    /// What kind of fault it is.
    pub kind: ParseErrorKind,
}

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ParseErrorKind {
    /// Not in the grammar.
    Syntax,
    /// In the grammar, but over one of our limits.
    Limit,
    /// A command that we do not know.
    Unknown,
    /// Well-formed, but it cannot be the name of a mailbox.
    Name,
    /// Well-formed, but no special use that we know.
    Use,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at column {}", self.message, self.position + 1)
    }
}

impl std::error::Error for ParseError {}

/// What a parser gives.
pub type Parsed<T> = Result<T, ParseError>;

/// How mailbox names are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Names {
    /// In modified UTF-7 (RFC 3501 §5.1.3).
    #[default]
    Utf7,
    /// In UTF-8, after ENABLE IMAP4rev2 (RFC 9051 §5.1) or UTF8=ACCEPT (RFC 6855 §3).
    Utf8,
}

/// A place in a buffer.
#[derive(Debug, Clone)]
pub struct Cursor<'a> {
    input: &'a [u8],
    position: usize,
    depth: usize,
    /// Positions after `{n}` CRLF whose octets were streamed and are not in the buffer.
    streamed: &'a [usize],
    names: Names,
}

/// A string of the other side, wherever it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text<'a> {
    /// As it stands in the buffer.
    Borrowed(&'a [u8]),
    /// Without its backslashes.
    Owned(Vec<u8>),
}

impl Text<'_> {
    /// The octets.
    pub fn into_vec(self) -> Vec<u8> {
        match self {
            Text::Borrowed(bytes) => bytes.to_vec(),
            Text::Owned(bytes) => bytes,
        }
    }
}

impl AsRef<[u8]> for Text<'_> {
    fn as_ref(&self) -> &[u8] {
        match self {
            Text::Borrowed(bytes) => bytes,
            Text::Owned(bytes) => bytes,
        }
    }
}

impl<'a> Cursor<'a> {
    /// At the start of a buffer.
    pub fn new(input: &'a [u8]) -> Self {
        Cursor { input, position: 0, depth: 0, streamed: &[], names: Names::Utf7 }
    }

    /// At the start of a buffer from which some literals were streamed away.
    pub fn with_streamed(input: &'a [u8], streamed: &'a [usize]) -> Self {
        Cursor { input, position: 0, depth: 0, streamed, names: Names::Utf7 }
    }

    /// The same, where mailbox names are written like this.
    #[must_use]
    pub fn with_names(self, names: Names) -> Self {
        Cursor { names, ..self }
    }

    /// How mailbox names are written.
    pub fn names(&self) -> Names {
        self.names
    }

    /// Octets from the start.
    pub fn position(&self) -> usize {
        self.position
    }

    /// What is left.
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.position..).unwrap_or_default()
    }

    /// Nothing is left.
    pub fn at_end(&self) -> bool {
        self.position >= self.input.len()
    }

    /// A fault at this place.
    pub fn error(&self, message: impl Into<Cow<'static, str>>) -> ParseError {
        self.fault(ParseErrorKind::Syntax, message)
    }

    /// A fault of some kind at this place.
    pub fn fault(&self, kind: ParseErrorKind, message: impl Into<Cow<'static, str>>) -> ParseError {
        ParseError { position: self.position, message: message.into(), kind }
    }

    /// A fault: this was wanted, and that is there.
    pub fn expected(&self, what: &str) -> ParseError {
        let found: Cow<'static, str> = match self.peek() {
            None => "the end of the line".into(),
            Some(b' ') => "a space".into(),
            Some(byte) if byte.is_ascii_graphic() => format!("'{}'", char::from(byte)).into(),
            Some(byte) => format!("octet {byte:#04x}").into(),
        };
        self.error(format!("expected {what}, found {found}"))
    }

    /// The next octet.
    pub fn peek(&self) -> Option<u8> {
        self.input.get(self.position).copied()
    }

    /// Takes the octet if it is next.
    pub fn eat(&mut self, byte: u8) -> bool {
        let there = self.peek() == Some(byte);
        self.position += usize::from(there);
        there
    }

    /// Takes the word if it is next, in any case.
    pub fn eat_word(&mut self, word: &str) -> bool {
        let there =
            self.rest().get(..word.len()).is_some_and(|h| h.eq_ignore_ascii_case(word.as_bytes()));
        self.position += if there { word.len() } else { 0 };
        there
    }

    /// Takes an octet that must be there.
    pub fn expect(&mut self, byte: u8) -> Parsed<()> {
        if self.eat(byte) {
            return Ok(());
        }
        Err(match byte {
            b' ' => self.expected("a space"),
            other => self.expected(&format!("'{}'", char::from(other))),
        })
    }

    /// One space.
    pub fn space(&mut self) -> Parsed<()> {
        self.expect(b' ')
    }

    /// The end.
    pub fn end(&self) -> Parsed<()> {
        if self.at_end() { Ok(()) } else { Err(self.expected("the end of the line")) }
    }

    /// Octets while they are of a kind; maybe none.
    pub fn take_while(&mut self, good: impl Fn(u8) -> bool) -> &'a [u8] {
        let rest = self.rest();
        let length = rest.iter().position(|byte| !good(*byte)).unwrap_or(rest.len());
        self.position += length;
        rest.get(..length).unwrap_or_default()
    }

    /// One octet or more of a kind, as text. The kinds of this grammar are all US-ASCII.
    fn word(&mut self, good: impl Fn(u8) -> bool, what: &str) -> Parsed<&'a str> {
        let start = self.position;
        let word = self.take_while(good);
        if word.is_empty() {
            return Err(self.expected(what));
        }
        std::str::from_utf8(word).map_err(|_| {
            self.position = start;
            self.expected(what)
        })
    }

    /// An atom.
    pub fn atom(&mut self, what: &str) -> Parsed<&'a str> {
        self.word(super::is_atom_byte, what)
    }

    /// A word of letters, digits, `-`, `.`, `_`: names of commands and items, where a bracket, a
    /// dot or a plus sign after it has a meaning of its own are left for the caller.
    pub fn name(&mut self, what: &str) -> Parsed<&'a str> {
        self.word(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'), what)
    }

    /// Digits as a number.
    pub fn number64(&mut self) -> Parsed<u64> {
        let start = self.position;
        let digits = self.word(|byte| byte.is_ascii_digit(), "a number")?;
        // RFC 9051 §9: number64 has 63 bits.
        digits.parse().ok().filter(|number| i64::try_from(*number).is_ok()).ok_or_else(|| {
            self.position = start;
            self.fault(ParseErrorKind::Syntax, "the number is too large")
        })
    }

    /// Digits as a number of 32 bits.
    pub fn number(&mut self) -> Parsed<u32> {
        let start = self.position;
        let number = self.number64()?;
        u32::try_from(number).map_err(|_| {
            self.position = start;
            self.fault(ParseErrorKind::Syntax, "the number is over 4294967295")
        })
    }

    /// A number that is not zero.
    pub fn nz_number(&mut self) -> Parsed<NonZeroU32> {
        let start = self.position;
        NonZeroU32::new(self.number()?).ok_or_else(|| {
            self.position = start;
            self.fault(ParseErrorKind::Syntax, "the number must not be 0")
        })
    }

    /// An astring: an atom, a quoted string or a literal.
    pub fn astring(&mut self) -> Parsed<Text<'a>> {
        self.string_or_word(super::is_astring_byte, "a string")
    }

    /// Like an astring, with wildcards: the pattern of LIST.
    pub fn list_mailbox(&mut self) -> Parsed<Text<'a>> {
        self.string_or_word(super::is_list_byte, "a mailbox pattern")
    }

    fn string_or_word(&mut self, good: fn(u8) -> bool, what: &str) -> Parsed<Text<'a>> {
        match self.peek() {
            Some(b'"' | b'{') => self.string(),
            _ => Ok(Text::Borrowed(self.word(good, what)?.as_bytes())),
        }
    }

    /// A quoted string or a literal.
    pub fn string(&mut self) -> Parsed<Text<'a>> {
        match self.peek() {
            Some(b'"') => self.quoted(),
            Some(b'{') => self.literal().map(Text::Borrowed),
            _ => Err(self.expected("a quoted string or a literal")),
        }
    }

    /// A string, or a literal that may hold NUL (RFC 3516, RFC 5464).
    pub fn string8(&mut self) -> Parsed<Text<'a>> {
        match self.peek() {
            Some(b'~') => self.body_literal().map(Text::Borrowed),
            _ => self.string(),
        }
    }

    /// A string or NIL.
    pub fn nstring(&mut self) -> Parsed<Option<Text<'a>>> {
        if self.eat_nil() { Ok(None) } else { self.string().map(Some) }
    }

    /// Takes NIL if it is next and is the whole word.
    pub fn eat_nil(&mut self) -> bool {
        let rest = self.rest();
        let is_nil = rest.get(..3).is_some_and(|head| head.eq_ignore_ascii_case(b"NIL"))
            && !rest.get(3).is_some_and(|byte| super::is_astring_byte(*byte));
        self.position += if is_nil { 3 } else { 0 };
        is_nil
    }

    /// `"..."`. RFC 3501 §9 allows US-ASCII, RFC 9051 §9 UTF-8; octets above 127 pass here and are
    /// for the value's own type to judge.
    fn quoted(&mut self) -> Parsed<Text<'a>> {
        let start = self.position;
        self.expect(b'"')?;
        let mut owned: Option<Vec<u8>> = None;
        loop {
            let plain = self.take_while(|b| !matches!(b, b'"' | b'\\' | b'\r' | b'\n' | 0));
            match self.peek() {
                Some(b'"') => {
                    self.position += 1;
                    return Ok(match owned {
                        None => Text::Borrowed(plain),
                        Some(mut text) => {
                            text.extend_from_slice(plain);
                            Text::Owned(text)
                        }
                    });
                }
                Some(b'\\') => {
                    self.position += 1;
                    let escaped = self.peek().filter(|byte| matches!(byte, b'"' | b'\\'));
                    let escaped =
                        escaped.ok_or_else(|| self.expected("'\"' or '\\' after a backslash"))?;
                    self.position += 1;
                    let text = owned.get_or_insert_default();
                    text.extend_from_slice(plain);
                    text.push(escaped);
                }
                None => {
                    self.position = start;
                    return Err(self.error("the quoted string has no closing '\"'"));
                }
                Some(_) => return Err(self.error("NUL, CR or LF in a quoted string")),
            }
        }
    }

    /// `{n}` or `~{n}` with its line end, without the octets.
    pub fn literal_header(&mut self) -> Parsed<LiteralHeader> {
        let kind = if self.eat(b'~') { LiteralKind::Literal8 } else { LiteralKind::Text };
        self.expect(b'{')?;
        let size = self.number64()?;
        let sync = match self.eat(b'+') {
            true => LiteralSync::NonSynchronizing,
            false => LiteralSync::Synchronizing,
        };
        self.expect(b'}')?;
        if !(self.eat(b'\r') && self.eat(b'\n')) {
            return Err(self.expected("the end of the line after a literal's size"));
        }
        Ok(LiteralHeader { size, sync, kind })
    }

    /// A literal with its octets.
    pub fn literal(&mut self) -> Parsed<&'a [u8]> {
        let start = self.position;
        let octets = self.body_literal()?;
        // RFC 3501 §9: CHAR8 excludes NUL; only literal8 may hold it.
        if memchr::memchr(0, octets).is_some() {
            self.position = start;
            return Err(self.error("the literal has a NUL"));
        }
        Ok(octets)
    }

    /// A literal of either kind, NUL or not: a letter's bytes are what they are.
    pub fn body_literal(&mut self) -> Parsed<&'a [u8]> {
        let header = self.literal_header()?;
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        let Some(octets) = self.rest().get(..size) else {
            return Err(self.error("the literal is cut off"));
        };
        self.position += size;
        Ok(octets)
    }

    /// A literal whose octets were streamed away: its size. `None`: the next thing is no such.
    pub fn streamed_literal(&mut self) -> Parsed<Option<u64>> {
        if !matches!(self.peek(), Some(b'{' | b'~')) {
            return Ok(None);
        }
        let mut ahead = self.clone();
        let header = ahead.literal_header()?;
        if !self.streamed.contains(&ahead.position) {
            return Ok(None);
        }
        self.position = ahead.position;
        Ok(Some(header.size))
    }

    /// Runs a parser one level deeper.
    pub fn nested<T>(&mut self, parse: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= limits::NESTING {
            return Err(self.fault(ParseErrorKind::Limit, "nested too deeply"));
        }
        self.depth += 1;
        let result = parse(self);
        self.depth -= 1;
        result
    }

    /// `(item SP item ...)` with at most `limit` items; may be empty.
    pub fn list<T>(
        &mut self,
        limit: usize,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        self.expect(b'(')?;
        let mut items = Vec::new();
        if self.eat(b')') {
            return Ok(items);
        }
        loop {
            if items.len() >= limit {
                let message = format!("more than {limit} items in a list");
                return Err(self.fault(ParseErrorKind::Limit, message));
            }
            items.push(item(self)?);
            if self.eat(b')') {
                return Ok(items);
            }
            self.space()?;
        }
    }

    /// The octet just taken was a dot.
    pub fn ends_with_dot(&self) -> bool {
        let last = self.position.checked_sub(1).and_then(|index| self.input.get(index));
        last == Some(&b'.')
    }

    /// The octets just taken were these.
    pub fn ends_with(&self, octets: &[u8]) -> bool {
        self.input.get(..self.position).is_some_and(|taken| taken.ends_with(octets))
    }

    /// Steps back to an earlier place, to report it.
    pub fn back_to(&mut self, position: usize) {
        self.position = position.min(self.position);
    }
}
