//! Reading replies line by line, with bounds on what a server may send. Used by the client
//! machine, which cuts the lines.

use super::{EnhancedCode, Reply, ReplyCode};
use crate::limits;

/// Collects the lines of a reply.
#[derive(Debug, Default)]
pub struct ReplyParser {
    lines: Vec<(ReplyCode, String)>,
}

/// What is wrong with a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyError {
    /// The line does not begin with three digits from 200 to 599 and a separator.
    BadLine,
    /// The lines of one reply bear different codes.
    MixedCodes,
    /// More than [`limits::REPLY_LINES_READ`] lines.
    TooManyLines,
}

impl ReplyParser {
    /// A parser that waits for the first line.
    pub const fn new() -> Self {
        ReplyParser { lines: Vec::new() }
    }

    /// Takes a line without its end; gives the reply with its last one.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, ReplyError> {
        let (digits, rest) = line.split_at_checked(3).ok_or(ReplyError::BadLine)?;
        let code = std::str::from_utf8(digits)
            .ok()
            .filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
            .and_then(|digits| digits.parse().ok())
            .and_then(ReplyCode::new)
            .ok_or(ReplyError::BadLine)?;
        // RFC 5321 §4.2.1: a bare code without a space is to be taken too.
        let (last, text) = match rest.split_first() {
            None => (true, rest),
            Some((b' ', text)) => (true, text),
            Some((b'-', text)) => (false, text),
            Some(_) => return Err(ReplyError::BadLine),
        };
        if self.lines.first().is_some_and(|(first, _)| *first != code) {
            return Err(ReplyError::MixedCodes);
        }
        if self.lines.len() >= limits::REPLY_LINES_READ {
            return Err(ReplyError::TooManyLines);
        }
        // RFC 5321 §4.2: text has no controls; from a server that sends them they are spaces, so
        // that what is passed on reads as what was understood.
        let text = String::from_utf8_lossy(text).replace(|c: char| c.is_ascii_control(), " ");
        self.lines.push((code, text));
        if !last {
            return Ok(None);
        }
        let lines = std::mem::take(&mut self.lines);
        Ok(Some(join(code, lines.into_iter().map(|(_, text)| text).collect())))
    }

    /// Lines have been taken of a reply that is not whole.
    pub fn is_midway(&self) -> bool {
        !self.lines.is_empty()
    }
}

/// Joins the lines, and lifts the enhanced code off them where they begin with one of the reply's
/// own class (RFC 2034 §4).
fn join(code: ReplyCode, lines: Vec<String>) -> Reply {
    let enhanced = lines.first().and_then(|line| enhanced_of(code, line));
    let text = match enhanced {
        None => lines.join("\n"),
        Some(enhanced) => {
            let prefix = enhanced.to_string();
            let strip = |line: &String| match line.strip_prefix(&prefix) {
                Some("") => String::new(),
                Some(rest) => rest.strip_prefix(' ').unwrap_or(line).to_string(),
                None => line.clone(),
            };
            lines.iter().map(strip).collect::<Vec<_>>().join("\n")
        }
    };
    Reply { code, enhanced, text: text.into() }
}

fn enhanced_of(code: ReplyCode, line: &str) -> Option<EnhancedCode> {
    let word = line.split(' ').next()?;
    let enhanced: EnhancedCode = word.parse().ok()?;
    (enhanced.class() == code.class()).then_some(enhanced)
}

impl std::fmt::Display for ReplyError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ReplyError::BadLine => "the server's line is not an SMTP reply",
            ReplyError::MixedCodes => "the lines of the server's reply bear different codes",
            ReplyError::TooManyLines => "the server's reply has too many lines",
        })
    }
}

impl std::error::Error for ReplyError {}
