//! Cuts chunks into lines for the scanner. A line ends with LF; its beginning is kept up to a
//! bound, its place and length exactly. Knows nothing of letters.

use memchr::memchr;

use crate::limits::MAX_FIELD;

/// One line with its line end; the last of a letter may have none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'a> {
    /// Its offset in the letter.
    pub(super) start: u64,
    /// Its octets with the line end.
    length: u64,
    /// Octets of its line end: CRLF 2, LF 1, none 0.
    end_length: u64,
    /// Its beginning: all of it unless it is longer than `MAX_FIELD`.
    head: &'a [u8],
}

impl<'a> Line<'a> {
    fn new(start: u64, line: &'a [u8]) -> Self {
        let head = line.get(..MAX_FIELD).unwrap_or(line);
        Line { start, length: octets(line), end_length: end_length(line), head }
    }

    /// The offset after its line end.
    pub(super) fn end(&self) -> u64 {
        self.start + self.length
    }

    /// Octets of its line end.
    pub(super) fn end_length(&self) -> u64 {
        self.end_length
    }

    /// What is kept of the line, line end included.
    pub(super) fn head(&self) -> &'a [u8] {
        self.head
    }

    /// The line without its line end; `None` when it was too long to be kept whole.
    pub(super) fn text(&self) -> Option<&'a [u8]> {
        let whole = octets(self.head) == self.length;
        let text = self.head.strip_suffix(b"\n").unwrap_or(self.head);
        whole.then(|| if self.end_length == 2 { text.strip_suffix(b"\r") } else { Some(text) })?
    }

    /// Whether it ends a header.
    pub(super) fn is_blank(&self) -> bool {
        self.end_length > 0 && self.end_length == self.length
    }
}

/// Joins chunks, cuts lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    /// Where the current line began.
    start: u64,
    /// Its octets in earlier chunks.
    length: u64,
    /// Its beginning, as far as it was in earlier chunks.
    head: Vec<u8>,
    /// Its last octet so far.
    last: u8,
}

impl Lines {
    /// Gives every line that ends in this chunk.
    pub(super) fn feed(&mut self, mut chunk: &[u8], mut give: impl FnMut(Line<'_>)) {
        while let Some(lf) = memchr(b'\n', chunk) {
            let (line, rest) = chunk.split_at(lf + 1);
            chunk = rest;
            if self.length == 0 {
                let line = Line::new(self.start, line);
                self.start = line.end();
                give(line);
            } else {
                let before = line.len().checked_sub(2).and_then(|at| line.get(at).copied());
                let after_cr = before.unwrap_or(self.last) == b'\r';
                self.keep(line);
                self.give_kept(if after_cr { 2 } else { 1 }, &mut give);
            }
        }
        if !chunk.is_empty() {
            self.keep(chunk);
        }
    }

    /// Gives the last line if it has no line end; returns the size of the letter.
    pub(super) fn finish(&mut self, mut give: impl FnMut(Line<'_>)) -> u64 {
        if self.length > 0 {
            self.give_kept(0, &mut give);
        }
        self.start
    }

    fn keep(&mut self, piece: &[u8]) {
        self.length += octets(piece);
        self.last = piece.last().copied().unwrap_or(self.last);
        let room = MAX_FIELD.saturating_sub(self.head.len());
        self.head.extend_from_slice(piece.get(..room).unwrap_or(piece));
    }

    fn give_kept(&mut self, end_length: u64, give: &mut impl FnMut(Line<'_>)) {
        give(Line { start: self.start, length: self.length, end_length, head: &self.head });
        self.start += self.length;
        self.length = 0;
        self.head.clear();
    }
}

fn end_length(line: &[u8]) -> u64 {
    match line {
        [.., b'\r', b'\n'] => 2,
        [.., b'\n'] => 1,
        _ => 0,
    }
}

fn octets(bytes: &[u8]) -> u64 {
    u64::try_from(bytes.len()).unwrap_or(u64::MAX)
}
