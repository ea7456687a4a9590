//! The letter as a script sees it: its header fields, its parts, and its bytes, which may change.

use std::borrow::Cow;
use std::cell::OnceCell;

use message::header::{self, Field};
use message::scan::structure::{Content, Part, Structure};

/// A letter.
#[derive(Debug)]
pub(super) struct Mail<'a> {
    bytes: Cow<'a, [u8]>,
    fields: OnceCell<Vec<Field>>,
    parts: OnceCell<Vec<PartAt>>,
}

/// A part in the order of the letter; the letter itself is the first.
#[derive(Debug, Clone)]
pub(super) struct PartAt {
    /// Without what is nested in it.
    pub(super) part: Part,
    /// One past the last part inside it.
    pub(super) end: usize,
    /// Whether parts lie inside: its own text is none then.
    pub(super) is_holder: bool,
}

impl<'a> Mail<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Mail { bytes: Cow::Borrowed(bytes), fields: OnceCell::new(), parts: OnceCell::new() }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The letter is another one from now on.
    pub(super) fn replace(&mut self, bytes: Vec<u8>) {
        *self = Mail { bytes: Cow::Owned(bytes), fields: OnceCell::new(), parts: OnceCell::new() };
    }

    /// Octets of the header with its empty line.
    pub(super) fn header_length(&self) -> usize {
        header::length(&self.bytes)
    }

    /// The fields of the letter's own header.
    pub(super) fn fields(&self) -> &[Field] {
        self.fields.get_or_init(|| header::fields(&self.bytes).collect())
    }

    /// The raw values of all fields of that name.
    pub(super) fn values<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b [u8]> {
        let bytes = self.bytes();
        let named = self.fields().iter().filter(move |field| field.is(bytes, name));
        named.map(move |field| field.value(bytes))
    }

    /// The first value of that name, decoded.
    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.values(name).next().map(message::values::text)
    }

    /// The parts, the letter itself first, each before what is in it.
    pub(super) fn parts(&self) -> &[PartAt] {
        self.parts.get_or_init(|| {
            let Structure { root, .. } = message::scan::scan(&self.bytes);
            let mut parts = Vec::new();
            flatten(&root, &mut parts);
            parts
        })
    }
}

/// Depth is bounded by the scanner.
fn flatten(part: &Part, parts: &mut Vec<PartAt>) {
    let at = parts.len();
    let shallow = Part { content: Content::Leaf, ..part.clone() };
    parts.push(PartAt { part: shallow, end: at + 1, is_holder: false });
    match &part.content {
        Content::Leaf => {}
        Content::Multipart(inner) => inner.iter().for_each(|inner| flatten(inner, parts)),
        Content::Message(nested) => flatten(&nested.part, parts),
    }
    let end = parts.len();
    if let Some(own) = parts.get_mut(at) {
        own.end = end;
        own.is_holder = end > at + 1;
    }
}
