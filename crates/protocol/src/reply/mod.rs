//! Replies of SMTP and LMTP: code, enhanced code and text, printed by servers and parsed by
//! clients. Not the decision behind a reply: that is [`crate::rejection`].

mod code;
mod parse;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, BytesMut};

pub use self::code::{Class, EnhancedCode, NotAnEnhancedCode, ReplyCode};
pub use self::parse::{ReplyError, ReplyParser};
use crate::limits;

/// One reply, of one line or several. RFC 5321 §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The three digits.
    pub code: ReplyCode,
    /// The enhanced status code (RFC 2034), repeated on every line of the printed form.
    pub enhanced: Option<EnhancedCode>,
    /// The text; lines are parted by `\n`.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply without an enhanced code: greeting, EHLO, 354 and 334.
    pub fn plain(code: ReplyCode, text: impl Into<Cow<'static, str>>) -> Self {
        Reply { code, enhanced: None, text: text.into() }
    }

    /// A reply with an enhanced code.
    pub fn new(
        code: ReplyCode,
        enhanced: EnhancedCode,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        Reply { code, enhanced: Some(enhanced), text: text.into() }
    }

    /// The lines of the text.
    pub fn lines(&self) -> impl Iterator<Item = &str> {
        self.text.split('\n')
    }

    /// Adds the printed form to `out`, with CRLF after each line. Text that could end the line or
    /// be taken for a control is replaced; lines over the limit are divided, and what is longer
    /// than a reply may be ends there.
    pub fn print(&self, out: &mut BytesMut) {
        let prefix = match self.enhanced {
            Some(enhanced) => format!("{enhanced} "),
            None => String::new(),
        };
        // RFC 5321 §4.5.3.1.5: code, separator and CRLF count.
        let room = limits::REPLY_LINE - 6 - prefix.len();
        let pieces = self.lines().flat_map(|line| divide(line, room));
        let mut pieces = pieces.take(limits::REPLY_LINES_READ).peekable();
        while let Some(piece) = pieces.next() {
            out.put_slice(&self.code.digits());
            out.put_u8(if pieces.peek().is_some() { b'-' } else { b' ' });
            out.put_slice(prefix.as_bytes());
            if piece.bytes().any(|b| b < b' ' || b == 127) {
                out.extend(piece.bytes().map(|b| if b < b' ' || b == 127 { b' ' } else { b }));
            } else {
                out.put_slice(piece.as_bytes());
            }
            out.put_slice(b"\r\n");
        }
    }
}

/// On one line, as in logs and in Diagnostic-Code fields (RFC 3464 §2.3.6).
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(enhanced) = self.enhanced {
            write!(f, " {enhanced}")?;
        }
        for line in self.lines().filter(|line| !line.is_empty()) {
            write!(f, " {line}")?;
        }
        Ok(())
    }
}

/// Pieces of at most `room` octets, cut between characters; one empty piece of an empty line.
fn divide(line: &str, room: usize) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let text = rest.take()?;
        if text.len() <= room {
            return Some(text);
        }
        let cut = text.floor_char_boundary(room);
        let (piece, more) = text.split_at_checked(cut)?;
        rest = Some(more);
        Some(piece)
    })
}
