//! A part while the scanner is inside it: the header fields seen, the delimiter it waits for, the
//! parts already closed inside. Becomes a [`Part`] when it closes.

use super::structure::{Content, MediaType, Part, Span};
use super::syntax;
use crate::envelope::{self, Envelope};
use crate::header;
use crate::limits::{MAX_BOUNDARY, MAX_FIELD};

/// Which delimiter of a multipart a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Delimiter {
    /// Another part begins.
    Next,
    /// The last part is over.
    Close,
}

/// The fields of MIME that a part keeps.
const MIME_FIELDS: [&str; 8] = [
    "content-type",
    "content-transfer-encoding",
    "content-id",
    "content-description",
    "content-md5",
    "content-disposition",
    "content-language",
    "content-location",
];

/// A part that is not over yet.
#[derive(Debug)]
pub(super) struct OpenPart {
    header_start: u64,
    body_start: Option<u64>,
    /// Line ends of the letter before the body.
    lines_before: u64,
    /// Kept fields of the header: name in lower case, value with folds.
    fields: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the last header line belongs to the last kept field.
    folding: bool,
    /// Set for a letter: the outermost, or one in a message/rfc822.
    envelope: Option<Envelope>,
    /// Whether its default type is message/rfc822.
    in_digest: bool,
    media: Option<MediaType>,
    encoding: String,
    /// For a multipart: what its delimiters say after `--`.
    boundary: Option<Vec<u8>>,
    /// Its close delimiter was seen.
    pub(super) ended: bool,
    holds_letter: bool,
    pub(super) children: Vec<Part>,
    pub(super) content: Content,
}

impl OpenPart {
    /// A letter, or a nested letter, whose header begins at `start`.
    pub(super) fn letter(start: u64) -> Self {
        OpenPart {
            header_start: start,
            body_start: None,
            lines_before: 0,
            fields: Vec::new(),
            folding: false,
            envelope: Some(Envelope::default()),
            in_digest: false,
            media: None,
            encoding: String::new(),
            boundary: None,
            ended: false,
            holds_letter: false,
            children: Vec::new(),
            content: Content::Leaf,
        }
    }

    /// A part of `multipart` whose header begins at `start`.
    pub(super) fn inside(multipart: &OpenPart, start: u64) -> Self {
        let in_digest = multipart.media.as_ref().is_some_and(|m| m.is("multipart", "digest"));
        OpenPart { envelope: None, in_digest, ..OpenPart::letter(start) }
    }

    pub(super) fn is_letter(&self) -> bool {
        self.envelope.is_some()
    }

    /// Whether the body, which now begins, is a letter.
    pub(super) fn holds_letter(&self) -> bool {
        self.holds_letter
    }

    /// Whether a line, its leading `--` removed, is a delimiter of this multipart.
    ///
    /// RFC 2046 §5.1.1: only white space may follow in the grammar. The prose there would take any
    /// line that begins with the boundary, which makes `--ab` a delimiter of `a`: no.
    pub(super) fn delimiter(&self, text: &[u8]) -> Option<Delimiter> {
        let boundary = self.boundary.as_deref().filter(|_| !self.ended)?;
        let after = text.strip_prefix(boundary)?;
        if after.len() > MAX_BOUNDARY {
            return None;
        }
        let is_padding = |rest: &[u8]| rest.iter().all(|octet| matches!(octet, b' ' | b'\t'));
        match after.strip_prefix(b"--") {
            Some(rest) if is_padding(rest) => Some(Delimiter::Close),
            None if is_padding(after) => Some(Delimiter::Next),
            _ => None,
        }
    }

    /// Takes a line of the header, not the empty one; `budget` is what may still be kept.
    pub(super) fn header_line(&mut self, line: &[u8], budget: &mut usize) {
        if matches!(line.first(), Some(b' ' | b'\t')) {
            if let (true, Some((_, value))) = (self.folding, self.fields.last_mut()) {
                append(value, line, budget);
            }
            return;
        }
        self.folding = false;
        let Some(field) = header::fields(line).next() else { return };
        let name = field.name(line).to_ascii_lowercase();
        let known = |names: &[&str]| names.iter().any(|known| known.as_bytes() == name);
        let is_wanted = known(&MIME_FIELDS) || (self.is_letter() && known(&envelope::FIELDS));
        if !is_wanted {
            return;
        }
        let mut value = Vec::new();
        append(&mut value, field.value(line), budget);
        *budget = budget.saturating_sub(name.len());
        self.fields.push((name, value));
        self.folding = true;
    }

    /// The header is over; the body begins at `at`.
    pub(super) fn begin_body(&mut self, at: u64, line_ends: u64, may_descend: bool) {
        self.body_start = Some(at);
        self.lines_before = line_ends;
        if let Some(envelope) = &mut self.envelope {
            for (name, value) in &self.fields {
                envelope.add(name, &header::unfold(value));
            }
            envelope.finish();
        }
        self.fields.retain(|(name, _)| MIME_FIELDS.iter().any(|known| known.as_bytes() == name));
        let encoding = self.field("content-transfer-encoding").map(|v| syntax::encoding(&v));
        self.encoding = encoding.filter(|e| !e.is_empty()).unwrap_or_else(|| "7BIT".to_owned());
        let media = self.field("content-type").map(|value| syntax::media_type(&value));
        self.media = Some(self.usable(media, may_descend));
    }

    /// The media type under which this part is shown; sets what follows from it.
    fn usable(&mut self, declared: Option<Option<MediaType>>, may_descend: bool) -> MediaType {
        let media = match declared {
            Some(Some(media)) => media,
            // RFC 2046 §5.1.5.
            None if self.in_digest => letter_type(),
            // RFC 2045 §5.2: none, or a broken one, is plain text in US-ASCII.
            None | Some(None) => return MediaType::plain_text(),
        };
        let is_letter = media.is("message", "rfc822") || media.is("message", "global");
        if !is_letter && !media.kind.eq_ignore_ascii_case("multipart") {
            return media;
        }
        if !may_descend {
            return opaque();
        }
        if is_letter {
            // RFC 2046 §5.2.1: only 7bit, 8bit and binary; what is encoded cannot be looked into,
            // and IMAP has no BODYSTRUCTURE for a message/rfc822 without a letter in it.
            let plain = ["7bit", "8bit", "binary"];
            self.holds_letter = plain.iter().any(|known| self.encoding.eq_ignore_ascii_case(known));
            return if self.holds_letter { media } else { opaque() };
        }
        // RFC 2046 §5.1.1: a multipart must have a boundary; one without is as a broken type.
        let Some(boundary) = syntax::boundary(&media) else { return MediaType::plain_text() };
        self.boundary = Some(boundary);
        media
    }

    /// The part, its body ending at `end`, before which the letter has `line_ends` line ends; and
    /// the envelope if it is a letter.
    pub(super) fn close(mut self, end: u64, line_ends: u64) -> (Part, Envelope) {
        let end = end.max(self.header_start);
        if self.body_start.is_none() {
            self.begin_body(end, line_ends, true);
        }
        let body_start = self.body_start.unwrap_or(end);
        let media = match self.media.take() {
            // A multipart without one delimiter: people want to read what is there.
            Some(_) if self.boundary.is_some() && self.children.is_empty() => {
                MediaType::plain_text()
            }
            // A letter that was to follow did not, or was one part too many.
            Some(_) if self.holds_letter && matches!(self.content, Content::Leaf) => opaque(),
            Some(media) => media,
            None => MediaType::plain_text(),
        };
        let disposition = self.field("content-disposition").and_then(|v| syntax::disposition(&v));
        let languages = self.field("content-language").map(|v| syntax::languages(&v));
        let part = Part {
            header: Span::new(self.header_start, body_start),
            body: Span::new(body_start, end),
            lines: if end > body_start { line_ends.saturating_sub(self.lines_before) } else { 0 },
            id: self.field("content-id"),
            description: self.field("content-description"),
            md5: self.field("content-md5"),
            disposition,
            languages: languages.unwrap_or_default(),
            location: self.field("content-location"),
            content: match self.content {
                Content::Leaf if !self.children.is_empty() => Content::Multipart(self.children),
                content => content,
            },
            media,
            encoding: self.encoding,
        };
        (part, self.envelope.unwrap_or_default())
    }

    /// The first field of that name, unfolded; `None` when absent or empty.
    fn field(&self, name: &str) -> Option<Vec<u8>> {
        let (_, value) = self.fields.iter().find(|(known, _)| known == name.as_bytes())?;
        Some(header::unfold(value)).filter(|value| !value.is_empty())
    }
}

/// What RFC 2049 §2 calls for where a part cannot be looked into.
fn opaque() -> MediaType {
    MediaType { kind: "application".into(), subtype: "octet-stream".into(), parameters: Vec::new() }
}

fn letter_type() -> MediaType {
    MediaType { kind: "message".into(), subtype: "rfc822".into(), parameters: Vec::new() }
}

/// Appends what the field's and the letter's bounds allow.
fn append(value: &mut Vec<u8>, piece: &[u8], budget: &mut usize) {
    let room = MAX_FIELD.saturating_sub(value.len()).min(*budget);
    let piece = piece.get(..room).unwrap_or(piece);
    value.extend_from_slice(piece);
    *budget -= piece.len();
}
