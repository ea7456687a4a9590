//! Where commands and responses are printed to, with the strings of the grammar (RFC 3501 §4.3).
//! Not a stream: it appends to a buffer and remembers where a client must wait. Called by all
//! printers of this folder.

use std::fmt::{Display, Write as _};

use bytes::{BufMut as _, BytesMut};

use super::cursor::Names;
use crate::imap::command::{LiteralKind, LiteralSync};

/// Which literals the other side takes without being asked first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LiteralSupport {
    /// None: each waits for a continuation request.
    #[default]
    Synchronizing,
    /// Up to 4096 octets (LITERAL-, RFC 7888 §5).
    Small,
    /// Any (LITERAL+), and everything that a server sends.
    NonSynchronizing,
    /// A server's own literals: `{n}` and no waiting (RFC 3501 §4.3).
    Server,
}

/// A printer with a buffer.
#[derive(Debug, Default)]
pub struct Writer {
    out: BytesMut,
    support: LiteralSupport,
    names: Names,
    pauses: Vec<usize>,
}

impl Writer {
    /// For what a server says.
    pub fn server() -> Self {
        Writer { support: LiteralSupport::Server, ..Writer::default() }
    }

    /// For what a client says.
    pub fn client(support: LiteralSupport) -> Self {
        Writer { support, ..Writer::default() }
    }

    /// What was printed, and after which octets the client has to wait for a continuation request.
    pub fn into_parts(self) -> (BytesMut, Vec<usize>) {
        (self.out, self.pauses)
    }

    /// From now on mailbox names are written like this.
    pub fn set_names(&mut self, names: Names) {
        self.names = names;
    }

    /// How mailbox names are written.
    pub fn names(&self) -> Names {
        self.names
    }

    /// What was printed so far.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    /// Octets printed and not taken away.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Nothing was printed, or all of it was taken away.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// The last octet printed and not taken away.
    pub fn last(&self) -> Option<u8> {
        self.out.last().copied()
    }

    /// Octets as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// Text as it is.
    pub fn text(&mut self, text: &str) {
        self.raw(text.as_bytes());
    }

    /// Whatever can be displayed, as it is.
    pub fn display(&mut self, value: impl Display) {
        // Writing into memory does not fail.
        let _ = write!(self.out, "{value}");
    }

    /// One octet.
    pub fn byte(&mut self, byte: u8) {
        self.out.put_u8(byte);
    }

    /// CRLF.
    pub fn end_line(&mut self) {
        self.raw(b"\r\n");
    }

    /// `(item SP item ...)`.
    pub fn list<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut print: impl FnMut(&mut Self, T),
    ) {
        self.byte(b'(');
        self.spaced(items, &mut print);
        self.byte(b')');
    }

    /// `item SP item ...`.
    pub fn spaced<T>(
        &mut self,
        items: impl IntoIterator<Item = T>,
        mut print: impl FnMut(&mut Self, T),
    ) {
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.byte(b' ');
            }
            print(self, item);
        }
    }

    /// A string where an atom may stand: an atom, quoted, or a literal.
    pub fn astring(&mut self, bytes: &[u8]) {
        // NIL as a word would be taken for the absence of a string by sloppy readers.
        let plain = !bytes.is_empty()
            && bytes.iter().all(|byte| super::is_astring_byte(*byte))
            && !bytes.eq_ignore_ascii_case(b"NIL");
        if plain { self.raw(bytes) } else { self.string(bytes) }
    }

    /// A pattern of LIST: like an astring, wildcards may stand bare.
    pub fn list_mailbox(&mut self, bytes: &[u8]) {
        let plain = !bytes.is_empty() && bytes.iter().all(|byte| super::is_list_byte(*byte));
        if plain { self.raw(bytes) } else { self.string(bytes) }
    }

    /// A string: quoted where that is possible, else a literal.
    pub fn string(&mut self, bytes: &[u8]) {
        let quotable = bytes.len() <= QUOTED_SIZE
            && bytes.iter().all(|byte| (0x01..=0x7f).contains(byte) && !b"\r\n".contains(byte));
        if !quotable {
            return self.literal(bytes);
        }
        self.byte(b'"');
        if memchr::memchr2(b'"', b'\\', bytes).is_none() {
            self.raw(bytes);
        } else {
            for byte in bytes {
                if matches!(byte, b'"' | b'\\') {
                    self.byte(b'\\');
                }
                self.byte(*byte);
            }
        }
        self.byte(b'"');
    }

    /// A name in UTF-8 (RFC 9051 §9, `quoted` with UTF8-2 to UTF8-4); it has no line ends.
    pub fn utf8_name(&mut self, name: &str) {
        if name.is_ascii() {
            return self.astring(name.as_bytes());
        }
        let escaped = name.replace('\\', "\\\\").replace('"', "\\\"");
        self.display(format_args!("\"{escaped}\""));
    }

    /// A string, or NIL.
    pub fn nstring(&mut self, bytes: Option<&[u8]>) {
        match bytes {
            Some(bytes) => self.string(bytes),
            None => self.text("NIL"),
        }
    }

    /// A literal with its octets.
    pub fn literal(&mut self, bytes: &[u8]) {
        // RFC 3501 §9: NUL stands only in literal8. Where the grammar has no literal8 (an address
        // in ENVELOPE), the NUL of a broken letter is shown as what a decoder would make of it.
        if self.support == LiteralSupport::Server && memchr::memchr(0, bytes).is_some() {
            let clean: Vec<u8> =
                bytes.iter().map(|byte| if *byte == 0 { 0x80 } else { *byte }).collect();
            self.literal_header(clean.len() as u64, LiteralKind::Text);
            return self.raw(&clean);
        }
        self.literal_header(bytes.len() as u64, LiteralKind::Text);
        self.raw(bytes);
    }

    /// `{n}` CRLF in the form that the other side takes; the octets follow.
    pub fn literal_header(&mut self, size: u64, kind: LiteralKind) {
        let sync = match self.support {
            LiteralSupport::NonSynchronizing => LiteralSync::NonSynchronizing,
            LiteralSupport::Small if size <= SMALL_LITERAL => LiteralSync::NonSynchronizing,
            _ => LiteralSync::Synchronizing,
        };
        if kind == LiteralKind::Literal8 {
            self.byte(b'~');
        }
        let plus = if sync == LiteralSync::NonSynchronizing { "+" } else { "" };
        self.display(format_args!("{{{size}{plus}}}\r\n"));
        if sync == LiteralSync::Synchronizing && self.support != LiteralSupport::Server {
            self.pauses.push(self.out.len());
        }
    }
}

/// Octets above which a string is written as a literal: some clients' line buffers are small.
const QUOTED_SIZE: usize = 1024;

/// RFC 7888 §5: what LITERAL- lets a client send unasked.
const SMALL_LITERAL: u64 = 4096;
