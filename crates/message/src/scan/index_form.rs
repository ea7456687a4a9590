//! The compact form of a [`Structure`] in the mailbox index: a version octet, then fields in a
//! fixed order; numbers as LEB128, text with its length in front. The index can be made again from
//! the letters, so that a reader of another version simply says so.

use super::structure::{
    Content, Disposition, MediaType, Nested, Parameter, Part, RawText, Span, Structure,
};
use crate::envelope::{Envelope, EnvelopeAddress};
use crate::limits::MAX_DEPTH;

/// Version of the form; raised with every change of it or of what the scanner finds.
const VERSION: u8 = 1;

/// Bytes of the index that are no structure of this version: scan the letter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a stored letter structure of this version; scan the letter again")
    }
}

impl std::error::Error for Unreadable {}

impl Structure {
    /// The compact, versioned form for the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer(vec![VERSION]);
        out.number(self.size);
        out.envelope(&self.envelope);
        out.part(&self.root);
        out.0
    }

    /// Reads [`to_bytes`](Self::to_bytes) back.
    ///
    /// # Errors
    /// [`Unreadable`] when the bytes are of another version or damaged.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Unreadable> {
        let (version, rest) = bytes.split_first().ok_or(Unreadable)?;
        if *version != VERSION {
            return Err(Unreadable);
        }
        let mut from = Reader(rest);
        let size = from.number()?;
        let envelope = from.envelope()?;
        let root = from.part(0)?;
        if from.0.is_empty() { Ok(Structure { root, envelope, size }) } else { Err(Unreadable) }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn number(&mut self, mut number: u64) {
        while number > 0x7f {
            self.0.push(u8::try_from(number & 0x7f).unwrap_or(0) | 0x80);
            number >>= 7;
        }
        self.0.push(u8::try_from(number).unwrap_or(0));
    }

    fn count(&mut self, count: usize) {
        self.number(u64::try_from(count).unwrap_or(u64::MAX));
    }

    fn text(&mut self, text: &[u8]) {
        self.count(text.len());
        self.0.extend_from_slice(text);
    }

    fn optional(&mut self, text: Option<&RawText>) {
        match text {
            None => self.0.push(0),
            Some(text) => {
                self.0.push(1);
                self.text(text);
            }
        }
    }

    fn envelope(&mut self, envelope: &Envelope) {
        for text in [&envelope.date, &envelope.subject, &envelope.in_reply_to, &envelope.message_id]
        {
            self.optional(text.as_ref());
        }
        for list in [
            &envelope.from,
            &envelope.sender,
            &envelope.reply_to,
            &envelope.to,
            &envelope.cc,
            &envelope.bcc,
        ] {
            self.count(list.len());
            for address in list {
                for text in [&address.name, &address.route, &address.mailbox, &address.host] {
                    self.optional(text.as_ref());
                }
            }
        }
    }

    fn part(&mut self, part: &Part) {
        // Spans as distances: small numbers.
        self.number(part.header.start);
        self.number(part.header.len());
        self.number(part.body.start - part.header.end.min(part.body.start));
        self.number(part.body.len());
        self.number(part.lines);
        self.text(part.media.kind.as_bytes());
        self.text(part.media.subtype.as_bytes());
        self.parameters(&part.media.parameters);
        self.text(part.encoding.as_bytes());
        for text in [&part.id, &part.description, &part.md5, &part.location] {
            self.optional(text.as_ref());
        }
        match &part.disposition {
            None => self.0.push(0),
            Some(disposition) => {
                self.0.push(1);
                self.text(disposition.kind.as_bytes());
                self.parameters(&disposition.parameters);
            }
        }
        self.count(part.languages.len());
        for tag in &part.languages {
            self.text(tag);
        }
        match &part.content {
            Content::Leaf => self.0.push(0),
            Content::Multipart(parts) => {
                self.0.push(1);
                self.count(parts.len());
                for part in parts {
                    self.part(part);
                }
            }
            Content::Message(nested) => {
                self.0.push(2);
                self.envelope(&nested.envelope);
                self.part(&nested.part);
            }
        }
    }

    fn parameters(&mut self, parameters: &[Parameter]) {
        self.count(parameters.len());
        for parameter in parameters {
            self.text(parameter.name.as_bytes());
            self.text(&parameter.value);
        }
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn octet(&mut self) -> Result<u8, Unreadable> {
        let (first, rest) = self.0.split_first().ok_or(Unreadable)?;
        self.0 = rest;
        Ok(*first)
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let octet = self.octet()?;
            number |= u64::from(octet & 0x7f) << shift;
            if octet & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Unreadable)
    }

    /// A count of things that take at least one octet each: never more than what is left.
    fn count(&mut self) -> Result<usize, Unreadable> {
        let count = usize::try_from(self.number()?).map_err(|_| Unreadable)?;
        if count > self.0.len() { Err(Unreadable) } else { Ok(count) }
    }

    fn text(&mut self) -> Result<RawText, Unreadable> {
        let length = self.count()?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(Unreadable)?;
        self.0 = rest;
        Ok(text.to_vec())
    }

    fn string(&mut self) -> Result<String, Unreadable> {
        String::from_utf8(self.text()?).map_err(|_| Unreadable)
    }

    fn optional(&mut self) -> Result<Option<RawText>, Unreadable> {
        match self.octet()? {
            0 => Ok(None),
            1 => self.text().map(Some),
            _ => Err(Unreadable),
        }
    }

    fn list<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T, Unreadable>,
    ) -> Result<Vec<T>, Unreadable> {
        let count = self.count()?;
        (0..count).map(|_| item(self)).collect()
    }

    fn envelope(&mut self) -> Result<Envelope, Unreadable> {
        let [date, subject, in_reply_to, message_id] =
            [self.optional()?, self.optional()?, self.optional()?, self.optional()?];
        let mut addresses = || {
            self.list(|from| {
                Ok(EnvelopeAddress {
                    name: from.optional()?,
                    route: from.optional()?,
                    mailbox: from.optional()?,
                    host: from.optional()?,
                })
            })
        };
        Ok(Envelope {
            date,
            subject,
            in_reply_to,
            message_id,
            from: addresses()?,
            sender: addresses()?,
            reply_to: addresses()?,
            to: addresses()?,
            cc: addresses()?,
            bcc: addresses()?,
        })
    }

    fn span(&mut self, from: u64) -> Result<Span, Unreadable> {
        let start = from.checked_add(self.number()?).ok_or(Unreadable)?;
        let end = start.checked_add(self.number()?).ok_or(Unreadable)?;
        Ok(Span::new(start, end))
    }

    fn part(&mut self, depth: usize) -> Result<Part, Unreadable> {
        if depth > MAX_DEPTH {
            return Err(Unreadable);
        }
        let header = self.span(0)?;
        let body = self.span(header.end)?;
        let lines = self.number()?;
        let (kind, subtype) = (self.string()?, self.string()?);
        let media = MediaType { kind, subtype, parameters: self.parameters()? };
        let encoding = self.string()?;
        let [id, description, md5, location] =
            [self.optional()?, self.optional()?, self.optional()?, self.optional()?];
        let disposition = match self.octet()? {
            0 => None,
            1 => Some(Disposition { kind: self.string()?, parameters: self.parameters()? }),
            _ => return Err(Unreadable),
        };
        let languages = self.list(Self::text)?;
        let content = match self.octet()? {
            0 => Content::Leaf,
            1 => Content::Multipart(self.list(|from| from.part(depth + 1))?),
            2 => {
                let envelope = self.envelope()?;
                let part = self.part(depth + 1)?;
                Content::Message(Box::new(Nested { envelope, part }))
            }
            _ => return Err(Unreadable),
        };
        Ok(Part {
            header,
            body,
            lines,
            media,
            encoding,
            id,
            description,
            md5,
            disposition,
            languages,
            location,
            content,
        })
    }

    fn parameters(&mut self) -> Result<Vec<Parameter>, Unreadable> {
        self.list(|from| Ok(Parameter { name: from.string()?, value: from.text()? }))
    }
}
