//! The structure of a letter as IMAP sees it: parts, their byte ranges, and the fields that
//! BODYSTRUCTURE shows, unchanged but for unfolding. Not decoded: that is [`crate::values`].
//!
//! Made by [`Scanner`](super::Scanner), kept in the mailbox index, read by the IMAP server.

use crate::envelope::Envelope;

/// Bytes of a header field as they stand in the letter: unfolded, NUL removed, not decoded; may
/// hold octets above 127.
pub type RawText = Vec<u8>;

/// A range of octets in the letter, `start` included, `end` not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Span {
    /// First octet.
    pub start: u64,
    /// One past the last octet.
    pub end: u64,
}

impl Span {
    /// The range from `start` to `end`; empty at `start` when they are the wrong way round.
    pub fn new(start: u64, end: u64) -> Self {
        Span { start, end: end.max(start) }
    }

    /// Octets covered.
    pub fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether no octet is covered.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// This range of `letter`; what lies outside the letter is left out.
    pub fn of(self, letter: &[u8]) -> &[u8] {
        let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(letter.len());
        letter.get(bound(self.start)..bound(self.end)).unwrap_or_default()
    }
}

/// What a letter consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Structure {
    /// The letter itself; its header span is the letter's header with the blank line that ends it.
    pub root: Part,
    /// ENVELOPE of the letter (RFC 9051 §7.5.2).
    pub envelope: Envelope,
    /// Octets of the whole letter (RFC822.SIZE).
    pub size: u64,
}

/// One body part, or the whole letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// The part's header fields with the blank line that ends them, where there is one.
    pub header: Span,
    /// The body, without the line end that belongs to the following delimiter
    /// (RFC 2046 §5.1.1).
    pub body: Span,
    /// Line ends in the body.
    pub lines: u64,
    /// Content-Type, or the default that applies here (RFC 2045 §5.2, RFC 2046 §5.1.5).
    pub media: MediaType,
    /// Content-Transfer-Encoding as written, or `7BIT`.
    pub encoding: String,
    /// Content-ID, with its angle brackets.
    pub id: Option<RawText>,
    /// Content-Description.
    pub description: Option<RawText>,
    /// Content-MD5.
    pub md5: Option<RawText>,
    /// Content-Disposition (RFC 2183).
    pub disposition: Option<Disposition>,
    /// Content-Language (RFC 3282), one tag each.
    pub languages: Vec<RawText>,
    /// Content-Location (RFC 2557).
    pub location: Option<RawText>,
    /// What is nested in the body.
    pub content: Content,
}

/// A media type with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaType {
    /// Type as written, e.g. `text`. Compare without case.
    pub kind: String,
    /// Subtype as written, e.g. `plain`. Compare without case.
    pub subtype: String,
    /// Parameters in their order. A text part without `charset` has `charset=us-ascii` here.
    pub parameters: Vec<Parameter>,
}

/// `name=value` of a structured field: quotes and escapes removed, RFC 2231 continuations joined,
/// percent escapes left as they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Name as written, e.g. `filename*`. Compare without case.
    pub name: String,
    /// Value.
    pub value: RawText,
}

/// Content-Disposition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disposition {
    /// `attachment`, `inline` or another token, as written.
    pub kind: String,
    /// Parameters in their order.
    pub parameters: Vec<Parameter>,
}

/// What a part's body holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Nothing that this scanner looks into.
    Leaf,
    /// Parts between delimiters; at least one.
    Multipart(Vec<Part>),
    /// An unencoded message/rfc822 or message/global: a letter in the letter.
    Message(Box<Nested>),
}

/// A letter inside a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Nested {
    /// Its ENVELOPE.
    pub envelope: Envelope,
    /// Its structure; header and body together fill the body of the part that holds it.
    pub part: Part,
}

impl MediaType {
    /// Whether this is the given type and subtype, without regard to case.
    pub fn is(&self, kind: &str, subtype: &str) -> bool {
        self.kind.eq_ignore_ascii_case(kind) && self.subtype.eq_ignore_ascii_case(subtype)
    }

    /// The first parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        find_parameter(&self.parameters, name)
    }

    /// RFC 2045 §5.2: what a part without a usable Content-Type is.
    pub(crate) fn plain_text() -> Self {
        MediaType {
            kind: "text".into(),
            subtype: "plain".into(),
            parameters: vec![Parameter { name: "charset".into(), value: b"us-ascii".to_vec() }],
        }
    }
}

impl Disposition {
    /// The first parameter of that name.
    pub fn parameter(&self, name: &str) -> Option<&[u8]> {
        find_parameter(&self.parameters, name)
    }
}

fn find_parameter<'a>(parameters: &'a [Parameter], name: &str) -> Option<&'a [u8]> {
    parameters.iter().find(|p| p.name.eq_ignore_ascii_case(name)).map(|p| p.value.as_slice())
}

impl Part {
    /// The parts directly inside: those of a multipart, else none.
    pub fn children(&self) -> &[Part] {
        match &self.content {
            Content::Multipart(parts) => parts,
            _ => &[],
        }
    }

    /// Header and body together.
    pub fn whole(&self) -> Span {
        Span::new(self.header.start, self.body.end)
    }
}
