//! The structure scanner: finds header fields, parts and their exact octet ranges in a letter of
//! any shape, in one pass, chunk by chunk, and never fails. It decodes nothing.
//!
//! The mailbox runs it once for each letter and keeps the result in its index; IMAP answers
//! BODYSTRUCTURE, ENVELOPE and BODY[...] from it. Broken letters get a structure too: what cannot
//! be told apart stays one part.
//!
//! How: lines are looked at one by one. A stack of [`open`] parts, outermost first, says which
//! delimiters count; a header line goes to the innermost part, a delimiter closes the parts inside
//! its multipart.

mod continuation;
mod imap;
mod index_form;
mod line;
mod open;
mod section;
pub mod structure;
mod syntax;

pub(crate) use continuation::percent_decoded;
pub use index_form::Unreadable;
pub use section::SectionText;
pub use structure::Structure;

use line::{Line, Lines};
use open::{Delimiter, OpenPart};
use structure::{Content, Nested, Part};

use crate::limits::{MAX_DEPTH, MAX_KEPT, MAX_PARTS};

/// The structure of a letter that is in memory.
pub fn scan(letter: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.feed(letter);
    scanner.finish()
}

/// Takes a letter chunk by chunk. Memory: the result, and the beginning of one line.
#[derive(Debug)]
pub struct Scanner {
    lines: Lines,
    parser: Parser,
}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a letter.
    pub fn new() -> Self {
        Scanner { lines: Lines::default(), parser: Parser::new() }
    }

    /// The next chunk.
    pub fn feed(&mut self, chunk: &[u8]) {
        let parser = &mut self.parser;
        self.lines.feed(chunk, |line| parser.take(&line));
    }

    /// The letter is complete.
    pub fn finish(mut self) -> Structure {
        let parser = &mut self.parser;
        let size = self.lines.finish(|line| parser.take(&line));
        self.parser.finish(size)
    }
}

/// Whether the innermost part is in its header or its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Header,
    Body,
}

/// The letter so far.
#[derive(Debug)]
struct Parser {
    /// Open parts: the letter first, the innermost last. Never empty.
    open: Vec<OpenPart>,
    place: Place,
    /// Line ends seen before the current line.
    line_ends: u64,
    /// Octets of the line end of the line before.
    last_end: u64,
    /// Parts begun.
    parts: usize,
    /// Octets of header fields that may still be kept.
    budget: usize,
}

impl Parser {
    fn new() -> Self {
        Parser {
            open: vec![OpenPart::letter(0)],
            place: Place::Header,
            line_ends: 0,
            last_end: 0,
            parts: 1,
            budget: MAX_KEPT,
        }
    }

    fn take(&mut self, line: &Line<'_>) {
        if let Some((depth, delimiter)) = self.delimiter(line) {
            self.cross(depth, delimiter, line);
        } else if self.place == Place::Header {
            self.header_line(line);
        }
        self.line_ends += u64::from(line.end_length() > 0);
        self.last_end = line.end_length();
    }

    /// The innermost multipart that this line is a delimiter of, with its place in the stack.
    fn delimiter(&self, line: &Line<'_>) -> Option<(usize, Delimiter)> {
        let text = line.text()?.strip_prefix(b"--")?;
        self.open
            .iter()
            .enumerate()
            .rev()
            .find_map(|(depth, part)| Some((depth, part.delimiter(text)?)))
            .filter(|(_, found)| *found == Delimiter::Close || self.parts < MAX_PARTS)
    }

    /// Passes a delimiter of the multipart at `depth`.
    fn cross(&mut self, depth: usize, delimiter: Delimiter, line: &Line<'_>) {
        // RFC 2046 §5.1.1: the line end before the delimiter is part of the delimiter.
        let end = line.start.saturating_sub(self.last_end);
        self.close_inside(depth, end, self.line_ends.saturating_sub(u64::from(self.last_end > 0)));
        let Some(multipart) = self.open.get_mut(depth) else { return };
        match delimiter {
            Delimiter::Close => {
                multipart.ended = true;
                self.place = Place::Body;
            }
            Delimiter::Next => {
                // RFC 2046 §5.1.5: in a digest the default is a letter.
                let child = OpenPart::inside(multipart, line.end());
                self.open.push(child);
                self.parts += 1;
                self.place = Place::Header;
            }
        }
    }

    fn header_line(&mut self, line: &Line<'_>) {
        let Some(part) = self.open.last_mut() else { return };
        if line.is_blank() {
            self.begin_body(line.end(), self.line_ends + 1);
        } else {
            part.header_line(line.head(), &mut self.budget);
        }
    }

    /// The header of the innermost part is over; `at` is where its body begins and `line_ends`
    /// how many line ends lie before that.
    fn begin_body(&mut self, at: u64, line_ends: u64) {
        let may_descend = self.open.len() < MAX_DEPTH;
        let Some(part) = self.open.last_mut() else { return };
        part.begin_body(at, line_ends, may_descend);
        if part.holds_letter() && self.parts < MAX_PARTS {
            self.open.push(OpenPart::letter(at));
            self.parts += 1;
            self.place = Place::Header;
        } else {
            self.place = Place::Body;
        }
    }

    /// Closes all parts inside the one at `depth`; their bodies end at `end`.
    fn close_inside(&mut self, depth: usize, end: u64, line_ends: u64) {
        while self.open.len() > depth + 1 {
            let Some(part) = self.open.pop() else { return };
            let is_letter = part.is_letter();
            let (part, envelope) = part.close(end, line_ends);
            match self.open.last_mut() {
                Some(holder) if is_letter => {
                    holder.content = Content::Message(Box::new(Nested { envelope, part }));
                }
                Some(holder) => holder.children.push(part),
                None => return,
            }
        }
    }

    fn finish(mut self, size: u64) -> Structure {
        self.close_inside(0, size, self.line_ends);
        let letter = self.open.pop().unwrap_or_else(|| OpenPart::letter(0));
        let (root, envelope): (Part, _) = letter.close(size, self.line_ends);
        Structure { root, envelope, size }
    }
}

#[cfg(test)]
mod tests;
