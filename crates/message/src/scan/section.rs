//! From an IMAP section (`BODY[2.1.MIME]`) to the range of octets it names. The filter of
//! HEADER.FIELDS works on the bytes of that range: [`crate::header::select`].

use super::structure::{Content, Part, Span, Structure};

/// What of the addressed part is meant (RFC 9051 §6.4.5.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SectionText {
    /// Nothing was said: the whole letter, or a part's body.
    All,
    /// `HEADER` and `HEADER.FIELDS`: the header of the letter, or of a message/rfc822 part.
    Header,
    /// `TEXT`: the body of the letter, or of a message/rfc822 part.
    Text,
    /// `MIME`: the header of a part.
    Mime,
}

impl Structure {
    /// The octets that a section names; `None` when the letter has no such part, or the part has
    /// no such text (IMAP then answers with NIL or an empty string).
    pub fn section(&self, path: &[u32], text: SectionText) -> Option<Span> {
        if path.is_empty() {
            return match text {
                SectionText::All => Some(Span::new(0, self.size)),
                SectionText::Header => Some(self.root.header),
                SectionText::Text => Some(self.root.body),
                SectionText::Mime => None,
            };
        }
        let part = self.part(path)?;
        match (text, &part.content) {
            (SectionText::All, _) => Some(part.body),
            (SectionText::Mime, _) => Some(part.header),
            // RFC 9051 §6.4.5.1: HEADER and TEXT speak of a nested message only.
            (SectionText::Header, Content::Message(nested)) => Some(nested.part.header),
            (SectionText::Text, Content::Message(nested)) => Some(nested.part.body),
            (SectionText::Header | SectionText::Text, _) => None,
        }
    }

    /// The part with this number; the empty path is the letter itself.
    ///
    /// RFC 9051 §6.4.5.1: a letter, or a nested one, that is no multipart has one part, number 1,
    /// which is its own body.
    pub fn part(&self, path: &[u32]) -> Option<&Part> {
        let Some((first, rest)) = path.split_first() else { return Some(&self.root) };
        let mut part = numbered(&self.root, *first)?;
        for number in rest {
            part = match &part.content {
                Content::Multipart(_) => numbered(part, *number)?,
                Content::Message(nested) => numbered(&nested.part, *number)?,
                Content::Leaf => return None,
            };
        }
        Some(part)
    }

    /// Every part that has a number, in the order of the letter, with its number.
    pub fn parts(&self) -> Vec<(Vec<u32>, &Part)> {
        let mut found = Vec::new();
        number_parts(&self.root, &[], &mut found);
        found
    }
}

/// Part `number` of something that is a letter or a multipart.
fn numbered(holder: &Part, number: u32) -> Option<&Part> {
    match &holder.content {
        Content::Multipart(parts) => parts.get(usize::try_from(number).ok()?.checked_sub(1)?),
        _ if number == 1 => Some(holder),
        _ => None,
    }
}

/// Depth is bounded by the scanner (`limits::MAX_DEPTH`).
fn number_parts<'a>(holder: &'a Part, prefix: &[u32], found: &mut Vec<(Vec<u32>, &'a Part)>) {
    let parts = match &holder.content {
        Content::Multipart(parts) => parts.as_slice(),
        _ => std::slice::from_ref(holder),
    };
    for (number, part) in (1u32..).zip(parts) {
        let path = [prefix, &[number]].concat();
        found.push((path.clone(), part));
        match &part.content {
            Content::Multipart(_) => number_parts(part, &path, found),
            Content::Message(nested) => number_parts(&nested.part, &path, found),
            Content::Leaf => {}
        }
    }
}
