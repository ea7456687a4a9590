//! The parts of a letter: `body` (RFC 5173), `:mime`, `foreverypart` and `extracttext` (RFC 5703).

use message::scan::structure::Part;
use message::values;

use super::mail::PartAt;
use super::{Flow, Ran, Run};
use crate::fault::{Fault, Position};
use crate::limits::{BODY_BYTES, PARTS};
use crate::program::{Mime, MimeView, Statement, Template, Transform};

impl Run<'_> {
    /// Whether all fields are there.
    pub(super) fn exists(
        &mut self,
        test: &crate::program::Test,
        names: &[Template],
        mime: Option<&Mime>,
    ) -> Ran<bool> {
        for name in self.expand_all(names)? {
            if self.raw_values(test.at, &name, mime)?.is_empty() {
                self.told(test, false, || format!("there is no field {name}"));
                return Ok(false);
            }
        }
        self.told(test, true, || "all fields are there".to_owned());
        Ok(true)
    }

    /// The values of a field as they are, in the parts that `:mime` speaks of.
    pub(super) fn raw_values(
        &mut self,
        at: Position,
        name: &str,
        mime: Option<&Mime>,
    ) -> Ran<Vec<Vec<u8>>> {
        let mut found: Vec<Vec<u8>> = Vec::new();
        match mime {
            None => found.extend(self.mail.values(name).map(<[u8]>::to_vec)),
            Some(mime) => {
                for part in self.addressed(mime) {
                    let block = part.part.header.of(self.mail.bytes());
                    let named =
                        message::header::fields(block).filter(|field| field.is(block, name));
                    found.extend(named.map(|field| field.value(block).to_vec()));
                }
            }
        }
        self.spend_text(at, self.mail.fields().len() + found.iter().map(Vec::len).sum::<usize>())?;
        Ok(found)
    }

    /// The parts that `:mime` and `:anychild` speak of: the one a loop is at, else the letter.
    fn addressed(&self, mime: &Mime) -> Vec<PartAt> {
        let here = self.part.unwrap_or(0);
        let parts = self.mail.parts();
        let end = match parts.get(here) {
            Some(part) if mime.any_child => part.end,
            _ => here + 1,
        };
        parts.get(here..end).unwrap_or_default().to_vec()
    }

    /// RFC 5703 §4.
    pub(super) fn mime_values(
        &mut self,
        at: Position,
        name: &str,
        mime: &Mime,
    ) -> Ran<Vec<String>> {
        let raw = self.raw_values(at, name, Some(mime))?;
        if let MimeView::Whole = mime.view {
            return Ok(raw.iter().map(|value| values::text(value)).collect());
        }
        let params = match &mime.view {
            MimeView::Param(names) => self.expand_all(names)?,
            _ => Vec::new(),
        };
        let mut found = Vec::new();
        for part in self.addressed(mime) {
            let part = &part.part;
            let block = part.header.of(self.mail.bytes());
            if message::header::find(block, name).is_none() {
                continue;
            }
            let is_type = name.eq_ignore_ascii_case("content-type");
            let is_disposition = name.eq_ignore_ascii_case("content-disposition");
            let disposition = part.disposition.as_ref().filter(|_| is_disposition);
            match &mime.view {
                MimeView::Whole => {}
                MimeView::Type if is_type => found.push(part.media.kind.clone()),
                MimeView::Subtype if is_type => found.push(part.media.subtype.clone()),
                MimeView::ContentType if is_type => {
                    found.push(format!("{}/{}", part.media.kind, part.media.subtype));
                }
                MimeView::Type | MimeView::ContentType => {
                    found.extend(disposition.map(|disposition| disposition.kind.clone()));
                }
                MimeView::Subtype => {}
                MimeView::Param(_) => {
                    let all = if is_type {
                        part.media.parameters.as_slice()
                    } else {
                        disposition.map_or(&[][..], |disposition| &disposition.parameters)
                    };
                    let value = |name: &String| values::parameter_text(all, name);
                    found.extend(params.iter().filter_map(value));
                }
            }
        }
        Ok(found)
    }

    /// RFC 5173 §5.
    pub(super) fn body_values(&mut self, at: Position, transform: &Transform) -> Ran<Vec<String>> {
        let types = match transform {
            Transform::Raw => {
                let bytes = self.mail.bytes();
                let body = bytes.get(self.mail.header_length()..).unwrap_or_default();
                let body = body.get(..BODY_BYTES).unwrap_or(body);
                let text = String::from_utf8_lossy(body).into_owned();
                self.spend_text(at, text.len())?;
                return Ok(vec![text]);
            }
            Transform::Text => vec!["text".to_owned()],
            Transform::Content(types) => self.expand_all(types)?,
        };
        let words_only = matches!(transform, Transform::Text);
        let mut found = Vec::new();
        let mut left = BODY_BYTES;
        for PartAt { part, is_holder, .. } in self.mail.parts() {
            if !types.iter().any(|wanted| is_of(part, wanted)) {
                continue;
            }
            let text = match (*is_holder, part.media.kind.eq_ignore_ascii_case("text")) {
                // What stands before and after the parts, or the header of a letter in a letter.
                (true, _) => around(part, self.mail.bytes()),
                (false, true) if words_only && part.media.subtype.eq_ignore_ascii_case("html") => {
                    values::html_words(&values::part_text(part, self.mail.bytes()))
                }
                (false, true) => values::part_text(part, self.mail.bytes()),
                (false, false) => {
                    let octets = values::part_octets(part, self.mail.bytes());
                    String::from_utf8_lossy(&octets).into_owned()
                }
            };
            left = left.saturating_sub(text.len());
            found.push(text);
            if left == 0 {
                break;
            }
        }
        self.spend_text(at, found.iter().map(String::len).sum())?;
        Ok(found)
    }

    /// RFC 5703 §3: the letter, then its parts, depth first; an inner loop goes through what is in
    /// the part of the outer one.
    pub(super) fn for_every_part(
        &mut self,
        at: Position,
        name: Option<&str>,
        body: &[Statement],
    ) -> Ran<Flow> {
        let outer = self.part;
        let (first, end) = match outer {
            None => (0, self.mail.parts().len()),
            Some(here) => (here + 1, self.mail.parts().get(here).map_or(here, |part| part.end)),
        };
        let mut flow = Flow::On;
        for part in first..end {
            self.parts_seen += 1;
            if self.parts_seen > PARTS {
                return Err(Fault::new(at, format!("more than {PARTS} parts were gone through")));
            }
            self.part = Some(part);
            self.note(at, || format!("foreverypart: part {}", part + 1));
            match self.block(body)? {
                Flow::On => {}
                Flow::Break(wanted) if wanted.is_none() || wanted.as_deref() == name => break,
                other => {
                    flow = other;
                    break;
                }
            }
        }
        self.part = outer;
        if outer.is_none() {
            self.replace_parts(at)?;
        }
        Ok(flow)
    }

    /// RFC 5703 §7.
    pub(super) fn extract_text(&mut self, at: Position, first: Option<u64>) -> Ran<String> {
        let here = self.part.unwrap_or(0);
        let Some(PartAt { part, is_holder, .. }) = self.mail.parts().get(here) else {
            return Ok(String::new());
        };
        if *is_holder || !part.media.kind.eq_ignore_ascii_case("text") {
            return Ok(String::new());
        }
        let mut text = values::part_text(part, self.mail.bytes());
        if let Some(first) = first.and_then(|first| usize::try_from(first).ok())
            && let Some((end, _)) = text.char_indices().nth(first)
        {
            text.truncate(end);
        }
        self.spend_text(at, text.len())?;
        Ok(text)
    }
}

/// RFC 5173 §5.2: `""` is every type, `text` every subtype of it, `text/plain` itself.
fn is_of(part: &Part, wanted: &str) -> bool {
    match wanted.split_once('/') {
        None if wanted.is_empty() => true,
        None => part.media.kind.eq_ignore_ascii_case(wanted),
        Some((kind, subtype)) => part.media.is(kind, subtype),
    }
}

/// RFC 5173 §5.2: of a multipart the text around its parts, of a message/rfc822 its header.
fn around(part: &Part, letter: &[u8]) -> String {
    let body = part.body.of(letter);
    if part.media.kind.eq_ignore_ascii_case("message") {
        return values::header_text(body);
    }
    let Some(boundary) = part.media.parameter("boundary") else { return String::new() };
    let mut out = String::new();
    let mut inside = false;
    for line in body.split_inclusive(|octet| *octet == b'\n') {
        if let Some(rest) = line.strip_prefix(b"--").and_then(|rest| rest.strip_prefix(boundary)) {
            inside = !rest.starts_with(b"--");
        } else if !inside {
            out.push_str(&String::from_utf8_lossy(line));
        }
    }
    out
}
