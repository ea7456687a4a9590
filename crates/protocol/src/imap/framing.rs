//! From a stream to whole commands: finds line ends and literals in what was received. Not a
//! parser: it looks at the last octets of each line only. Called by both machines; what the server
//! machine calls a command is a response to the client machine.

use bytes::{Bytes, BytesMut};

use crate::imap::command::LiteralHeader;
use crate::imap::grammar::Cursor;

/// Octets received and not used, and how far they have been looked at.
#[derive(Debug, Default)]
pub(in crate::imap) struct Input {
    buffer: BytesMut,
    /// Whole lines and literals of the command being received lie before this.
    framed: usize,
    /// Octets of an accepted literal that lie, or will lie, after `framed`.
    literal: usize,
    /// There is no line end between the end of the literal and here.
    scanned: usize,
    /// Nothing more will come.
    finished: bool,
}

/// What was found.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::imap) enum Frame {
    /// More octets are needed.
    More,
    /// A command without its last CRLF, literals inside.
    Command(Bytes),
    /// The line ends with a literal's header: accept or refuse it.
    Literal(LiteralHeader),
    /// A line that ended with a bare LF, taken out.
    BareLf(Bytes),
    /// More than the limit without an end.
    TooLong,
}

impl Input {
    pub(in crate::imap) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    pub(in crate::imap) fn len(&self) -> usize {
        self.buffer.len()
    }

    pub(in crate::imap) fn as_slice(&self) -> &[u8] {
        &self.buffer
    }

    /// Nothing is left.
    pub(in crate::imap) fn is_drained(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Nothing more will come.
    pub(in crate::imap) fn finish(&mut self) {
        self.finished = true;
    }

    /// Nothing more will come.
    pub(in crate::imap) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Throws everything away.
    pub(in crate::imap) fn clear(&mut self) {
        *self = Input::default();
    }

    /// Takes up to so many octets from the front; nothing of a command may have been framed.
    pub(in crate::imap) fn take(&mut self, most: usize) -> Bytes {
        let count = most.min(self.buffer.len());
        self.framed = 0;
        self.literal = 0;
        self.scanned = 0;
        self.buffer.split_to(count).freeze()
    }

    /// The next piece of the command being received, which may have `limit` octets in all.
    pub(in crate::imap) fn next_frame(&mut self, limit: usize) -> Frame {
        let start = self.framed + self.literal;
        if self.buffer.len() < start {
            return Frame::More;
        }
        self.framed = start;
        self.literal = 0;
        let from = self.scanned.max(start);
        let unseen = self.buffer.get(from..).unwrap_or_default();
        let Some(distance) = memchr::memchr(b'\n', unseen) else {
            self.scanned = self.buffer.len();
            return if self.buffer.len() > limit { Frame::TooLong } else { Frame::More };
        };
        let end = from + distance + 1;
        if end > limit {
            return Frame::TooLong;
        }
        let line = self.buffer.get(start..end).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r\n") else {
            return Frame::BareLf(self.take(end));
        };
        if let Some(header) = trailing_literal(line) {
            self.scanned = end;
            self.framed = end;
            return Frame::Literal(header);
        }
        let command = self.take(end);
        Frame::Command(command.slice(..command.len() - 2))
    }

    /// Length and text of the command at the front, if it has come whole and is one line without a
    /// literal. Takes nothing.
    pub(in crate::imap) fn whole_line(&self, limit: usize) -> Option<(usize, &[u8])> {
        let length = memchr::memchr(b'\n', &self.buffer)? + 1;
        let line = self.buffer.get(..length)?.strip_suffix(b"\r\n")?;
        (self.framed == 0 && length <= limit && trailing_literal(line).is_none())
            .then_some((length, line))
    }

    /// The literal just found becomes part of the command.
    pub(in crate::imap) fn accept_literal(&mut self, size: usize) {
        self.literal = size;
        self.scanned = self.framed + size;
    }

    /// What was framed so far of the command, with the literal's header just found.
    pub(in crate::imap) fn framed(&self) -> &[u8] {
        self.buffer.get(..self.framed).unwrap_or_default()
    }

    /// Takes out what was framed so far: the command is over, or its literal goes elsewhere.
    pub(in crate::imap) fn take_framed(&mut self) -> Bytes {
        let framed = self.framed;
        self.take(framed)
    }
}

/// `{n}`, `{n+}`, `~{n}` or `~{n+}` at the end of a line (without its CRLF).
fn trailing_literal(line: &[u8]) -> Option<LiteralHeader> {
    line.strip_suffix(b"}")?;
    let open = memchr::memrchr(b'{', line)?;
    let tilde = open.checked_sub(1).filter(|before| line.get(*before) == Some(&b'~'));
    let mut header = line.get(tilde.unwrap_or(open)..)?.to_vec();
    header.extend_from_slice(b"\r\n");
    let mut cursor = Cursor::new(&header);
    let found = cursor.literal_header().ok()?;
    cursor.at_end().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::command::{LiteralKind, LiteralSync};

    fn input(bytes: &[u8]) -> Input {
        let mut input = Input::default();
        input.push(bytes);
        input
    }

    #[test]
    fn lines_and_literals() {
        let mut stream = input(b"a NOOP\r\nb LOGIN {3}\r\nx\ny {2+}\r\n\r\n\r\nc N");
        assert_eq!(stream.next_frame(100), Frame::Command(Bytes::from_static(b"a NOOP")));
        let literal =
            LiteralHeader { size: 3, sync: LiteralSync::Synchronizing, kind: LiteralKind::Text };
        assert_eq!(stream.next_frame(100), Frame::Literal(literal));
        stream.accept_literal(3);
        let Frame::Literal(second) = stream.next_frame(100) else { panic!("a literal") };
        assert_eq!((second.size, second.sync), (2, LiteralSync::NonSynchronizing));
        stream.accept_literal(2);
        let whole = Bytes::from_static(b"b LOGIN {3}\r\nx\ny {2+}\r\n\r\n");
        assert_eq!(stream.next_frame(100), Frame::Command(whole));
        assert_eq!(stream.next_frame(100), Frame::More);
        assert_eq!(stream.as_slice(), b"c N");
    }

    #[test]
    fn what_is_no_command() {
        assert_eq!(input(&[b'x'; 101]).next_frame(100), Frame::TooLong);
        let mut long = vec![b'x'; 200];
        long.extend_from_slice(b"\r\n");
        assert_eq!(input(&long).next_frame(100), Frame::TooLong);
        let bare = Frame::BareLf(Bytes::from_static(b"a NOOP\n"));
        assert_eq!(input(b"a NOOP\nb NOOP\r\n").next_frame(100), bare);
    }

    #[test]
    fn what_is_no_literal() {
        for line in
            [&b"a {}"[..], b"a {x}", b"a {1", b"1}", b"{-1}", b"{1++}", b"{99999999999999999999}"]
        {
            assert_eq!(trailing_literal(line), None);
        }
        assert_eq!(trailing_literal(b"a ~{5+}").map(|l| l.kind), Some(LiteralKind::Literal8));
    }
}
