//! Bytes to tokens (RFC 5228 §8.1). White space and comments are dropped here. Knows nothing of
//! what tokens make; called by [`crate::parser`].

use crate::fault::{Fault, Position};

/// One token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Token {
    Identifier(String),
    Tag(String),
    Number(u64),
    Text(String),
    /// One of `{ } ( ) [ ] , ;`
    Mark(char),
    End,
}

impl Token {
    /// For a fault: what was met.
    pub(crate) fn shown(&self) -> String {
        match self {
            Token::Identifier(name) => format!("\"{name}\""),
            Token::Tag(name) => format!("\":{name}\""),
            Token::Number(number) => format!("the number {number}"),
            Token::Text(_) => "a string".to_owned(),
            Token::Mark(mark) => format!("\"{mark}\""),
            Token::End => "the end of the script".to_owned(),
        }
    }
}

/// Reads a script from its beginning to its end.
#[derive(Debug, Clone)]
pub(crate) struct Lexer<'a> {
    rest: &'a str,
    at: Position,
}

type Result<T> = std::result::Result<T, Fault>;

impl<'a> Lexer<'a> {
    pub(crate) fn new(script: &'a str) -> Self {
        Lexer { rest: script, at: Position { line: 1, column: 1 } }
    }

    /// The next token and where it begins.
    pub(crate) fn next(&mut self) -> Result<(Position, Token)> {
        self.skip_white()?;
        let at = self.at;
        let Some(first) = self.peek() else { return Ok((at, Token::End)) };
        let token = match first {
            '"' => Token::Text(self.quoted()?),
            ':' => {
                self.bump();
                let name = self.word();
                if name.is_empty() {
                    return Err(Fault::new(at, "a colon is followed by the name of a tag"));
                }
                Token::Tag(name)
            }
            '0'..='9' => Token::Number(self.number()?),
            '{' | '}' | '(' | ')' | '[' | ']' | ',' | ';' => {
                self.bump();
                Token::Mark(first)
            }
            'a'..='z' | 'A'..='Z' | '_' => {
                let name = self.word();
                if name.eq_ignore_ascii_case("text") && self.peek() == Some(':') {
                    self.bump();
                    Token::Text(self.multi_line(at)?)
                } else {
                    Token::Identifier(name)
                }
            }
            other => {
                let what = format!("{other:?} does not belong here; is a quote missing?");
                return Err(Fault::new(at, what));
            }
        };
        Ok((at, token))
    }

    fn peek(&self) -> Option<char> {
        self.rest.chars().next()
    }

    fn bump(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let next = chars.next()?;
        self.rest = chars.as_str();
        if next == '\n' {
            self.at.line = self.at.line.saturating_add(1);
            self.at.column = 1;
        } else {
            self.at.column = self.at.column.saturating_add(1);
        }
        Some(next)
    }

    fn bump_while(&mut self, mut wanted: impl FnMut(char) -> bool) {
        while self.peek().is_some_and(&mut wanted) {
            self.bump();
        }
    }

    /// White space, `# comments` and `/* comments */`, which do not nest (RFC 5228 §2.3).
    fn skip_white(&mut self) -> Result<()> {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r' | '\n') => {
                    self.bump();
                }
                Some('#') => self.bump_while(|c| c != '\n'),
                Some('/') if self.rest.starts_with("/*") => {
                    let at = self.at;
                    let Some(end) = self.rest.get(2..).and_then(|rest| rest.find("*/")) else {
                        return Err(Fault::new(at, "this comment has no end: \"*/\" is missing"));
                    };
                    let until = self.rest.len() - (end + 4);
                    while self.rest.len() > until {
                        self.bump();
                    }
                }
                _ => return Ok(()),
            }
        }
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(next) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == '_') {
            word.push(next);
            self.bump();
        }
        word
    }

    /// RFC 5228 §2.4.1: digits and perhaps K, M or G, which are powers of 1024.
    fn number(&mut self) -> Result<u64> {
        let at = self.at;
        let too_large = || Fault::new(at, "this number is too large");
        let mut number: u64 = 0;
        while let Some(digit) = self.peek().and_then(|c| c.to_digit(10)) {
            number = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(u64::from(digit)))
                .ok_or_else(too_large)?;
            self.bump();
        }
        let factor = match self.peek() {
            Some('k' | 'K') => 1 << 10,
            Some('m' | 'M') => 1 << 20,
            Some('g' | 'G') => 1 << 30,
            _ => 1,
        };
        if factor > 1 {
            self.bump();
        }
        if self.peek().is_some_and(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(Fault::new(at, "a number ends with a digit or with K, M or G"));
        }
        number.checked_mul(factor).filter(|number| *number <= LARGEST).ok_or_else(too_large)
    }

    /// RFC 5228 §2.4.2: a backslash makes the next character itself.
    fn quoted(&mut self) -> Result<String> {
        let at = self.at;
        self.bump();
        let mut text = String::new();
        let endless = || Fault::new(at, "this string has no end: a quote is missing");
        loop {
            let (next, escaped) = match self.bump().ok_or_else(endless)? {
                '"' => return Ok(text),
                '\\' => (self.bump().ok_or_else(endless)?, true),
                other => (other, false),
            };
            match next {
                // Nor does an escape make it one of the characters that a string may have.
                '\0' => return Err(Fault::new(at, "a string holds no NUL")),
                character if escaped => text.push(character),
                character => push_line_end_as_crlf(&mut text, character),
            }
        }
    }

    /// RFC 5228 §2.4.2: `text:`, lines, and a line that is a single dot.
    fn multi_line(&mut self, at: Position) -> Result<String> {
        self.bump_while(|c| c == ' ' || c == '\t');
        if self.peek() == Some('#') {
            self.bump_while(|c| c != '\n');
        }
        self.line_end().ok_or_else(|| {
            Fault::new(self.at, "after \"text:\" the line ends, and the text begins on the next")
        })?;
        let mut text = String::new();
        loop {
            let line_length = memchr::memchr(b'\n', self.rest.as_bytes());
            let whole = self.rest.get(..line_length.unwrap_or(self.rest.len())).unwrap_or_default();
            let line = whole.strip_suffix('\r').unwrap_or(whole);
            if line.contains('\0') {
                return Err(Fault::new(self.at, "a string holds no NUL"));
            }
            if line == "." {
                self.advance(whole.len());
                // The line end belongs to the token; the script may end without one.
                self.line_end();
                return Ok(text);
            }
            if line_length.is_none() {
                let what = "this text has no end: a line with a single dot is missing";
                return Err(Fault::new(at, what));
            }
            text.push_str(line.strip_prefix('.').unwrap_or(line));
            text.push_str("\r\n");
            self.advance(whole.len() + 1);
        }
    }

    fn line_end(&mut self) -> Option<()> {
        if self.peek() == Some('\r') {
            self.bump();
        }
        (self.peek()? == '\n').then(|| self.bump())?;
        Some(())
    }

    /// Passes octets that end at a character.
    fn advance(&mut self, octets: usize) {
        let until = self.rest.len().saturating_sub(octets);
        while self.rest.len() > until {
            self.bump();
        }
    }
}

/// Line ends inside strings are CRLF whatever the file has, so that a script means the same.
fn push_line_end_as_crlf(text: &mut String, next: char) {
    if next == '\n' && !text.ends_with('\r') {
        text.push('\r');
    }
    text.push(next);
}

/// RFC 5228 §2.4.1 asks for 2,147,483,647 at least; this leaves room to add.
const LARGEST: u64 = i64::MAX as u64;
