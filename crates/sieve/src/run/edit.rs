//! Changes to the letter itself: header fields (RFC 5293), replaced parts and enclosed letters
//! (RFC 5703 §5 and §6).

use message::header;
use message::transfer;

use super::match_values::{Capture, indexed};
use super::{Ran, Run};
use crate::compare::MatchType;
use crate::fault::{Fault, Position};
use crate::limits::ADDED_HEADER;
use crate::program::{DeleteHeader, Place, Replacement, Test};

/// RFC 5293 §6: what tells how a letter came, and that a machine wrote it, stays.
const PROTECTED: [&str; 3] = ["received", "auto-submitted", "return-path"];

impl Run<'_> {
    pub(super) fn add_header(
        &mut self,
        at: Position,
        place: Place,
        (name, value): (&str, &str),
    ) -> Ran<()> {
        if !crate::check::is_header_name(name) {
            return Err(Fault::new(at, format!("{name:?} is no name of a header field")));
        }
        let field = header::field(name, &transfer::encode_words(value.trim()));
        self.added += field.len();
        if self.added > ADDED_HEADER {
            return Err(Fault::new(at, format!("more than {ADDED_HEADER} octets of header added")));
        }
        self.spend_text(at, self.mail.bytes().len())?;
        let bytes = self.mail.bytes();
        let length = self.mail.header_length();
        let block = bytes.get(..length).unwrap_or_default();
        let blank = match block {
            [.., b'\r', b'\n'] if ends_blank(block, 2) => 2,
            [.., b'\n'] if ends_blank(block, 1) => 1,
            _ => 0,
        };
        let split = match place {
            Place::First => 0,
            Place::Last => length - blank,
        };
        let (before, after) = bytes.split_at(split.min(bytes.len()));
        let changed = [before, &field, after].concat();
        self.note(at, || format!("addheader: {name}"));
        self.change(changed);
        Ok(())
    }

    pub(super) fn delete_header(&mut self, at: Position, wanted: &DeleteHeader) -> Ran<()> {
        let name = self.expand(&wanted.name)?;
        if PROTECTED.iter().any(|kept| kept.eq_ignore_ascii_case(&name)) {
            self.noted(at, "deleteheader: this field stays");
            return Ok(());
        }
        self.spend_text(at, self.mail.bytes().len())?;
        let bytes = self.mail.bytes();
        let named = self.mail.fields().iter().filter(|field| field.is(bytes, &name));
        let named: Vec<_> = named.map(|field| (field.range(), field.value(bytes))).collect();
        let chosen: Vec<_> = indexed(named, wanted.index)
            .into_iter()
            .map(|(range, value)| (range, message::values::text(value)))
            .collect();
        let mut gone = Vec::new();
        for (range, value) in chosen {
            if wanted.keys.is_empty() || self.matches_any(at, wanted, &value)? {
                gone.push(range);
            }
        }
        self.note(at, || format!("deleteheader: {} fields {name}", gone.len()));
        if gone.is_empty() {
            return Ok(());
        }
        gone.sort_by_key(|range| range.start);
        let bytes = self.mail.bytes();
        let mut changed = Vec::with_capacity(bytes.len());
        let mut copied = 0;
        for range in gone {
            changed.extend_from_slice(bytes.get(copied..range.start).unwrap_or_default());
            copied = range.end;
        }
        changed.extend_from_slice(bytes.get(copied..).unwrap_or_default());
        self.change(changed);
        Ok(())
    }

    fn matches_any(&mut self, at: Position, wanted: &DeleteHeader, value: &str) -> Ran<bool> {
        // The same way as a test, without a word in the explanation for each value.
        let explain = std::mem::replace(&mut self.explain, crate::outcome::Explain::No);
        let test = Test { at, name: "deleteheader".to_owned(), what: crate::program::Ask::True };
        let values = [value.to_owned()];
        let keys = (wanted.keys.as_slice(), Capture::No);
        let said = match wanted.matching.how {
            MatchType::Count(_) => Ok(false),
            _ => self.any_matches(&test, wanted.matching, &values, keys),
        };
        self.explain = explain;
        said
    }

    fn change(&mut self, bytes: Vec<u8>) {
        self.mail.replace(bytes);
        self.changed = true;
    }

    /// RFC 5703 §5: the part a loop is at is replaced when the loops are over; outside of loops,
    /// the whole letter at once, but for its header.
    pub(super) fn replace(&mut self, at: Position, with: &Replacement) -> Ran<()> {
        let text = self.expand(&with.text)?;
        self.spend_text(at, self.mail.bytes().len() + text.len())?;
        let entity = if with.mime { to_crlf(&text) } else { text_entity(&text) };
        self.noted(at, "replace: the part has another content");
        match self.part {
            Some(part) if part > 0 => {
                self.replaced.push((part, entity));
                return Ok(());
            }
            _ => {}
        }
        let mut fields = Vec::new();
        for (name, template) in [("Subject", &with.subject), ("From", &with.from)] {
            if let Some(template) = template {
                let value = self.expand(template)?;
                fields.push((name, value));
            }
        }
        let mut gone: Vec<&str> = CONTENT.to_vec();
        gone.extend(fields.iter().map(|(name, _)| *name));
        let length = self.mail.header_length();
        let block = self.mail.bytes().get(..length).unwrap_or_default();
        let mut letter = header::without(block, &gone);
        strip_blank(&mut letter);
        for (name, value) in fields {
            letter.extend_from_slice(&header::field(name, &transfer::encode_words(&value)));
        }
        letter.extend_from_slice(b"MIME-Version: 1.0\r\n");
        letter.extend_from_slice(&entity);
        self.replaced.clear();
        self.change(letter);
        Ok(())
    }

    /// Puts replacements in the place of their parts, the last first; one inside another is moot.
    pub(super) fn replace_parts(&mut self, at: Position) -> Ran<()> {
        let mut replaced = std::mem::take(&mut self.replaced);
        if replaced.is_empty() {
            return Ok(());
        }
        replaced.sort_by_key(|(part, _)| *part);
        self.spend_text(at, self.mail.bytes().len())?;
        let mut letter = self.mail.bytes().to_vec();
        let parts = self.mail.parts();
        let mut done: Vec<usize> = Vec::new();
        let is_moot = |part: usize, all: &[(usize, Vec<u8>)]| {
            let within = |outer: usize| {
                outer < part && parts.get(outer).is_some_and(|outer| part < outer.end)
            };
            all.iter().any(|(outer, _)| within(*outer))
        };
        for (part, entity) in replaced.iter().rev() {
            let Some(found) = parts.get(*part) else { continue };
            if is_moot(*part, &replaced) || done.contains(part) {
                continue;
            }
            done.push(*part);
            let whole = found.part.whole();
            let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(letter.len());
            let range = bound(whole.start)..bound(whole.end);
            letter.splice(range, entity.iter().copied());
        }
        self.change(letter);
        Ok(())
    }

    /// RFC 5703 §6: the letter becomes an attachment of a new one.
    pub(super) fn enclose(&mut self, at: Position, with: &Replacement) -> Ran<()> {
        let text = self.expand(&with.text)?;
        self.spend_text(at, self.mail.bytes().len() + text.len())?;
        let length = self.mail.header_length();
        let block = self.mail.bytes().get(..length).unwrap_or_default();
        let mut letter = Vec::new();
        // Who wrote it and to whom stays visible, as do the fields of the way.
        let names: Vec<&[u8]> = KEPT.iter().map(|name| name.as_bytes()).collect();
        letter.extend(header::select(block, &names, header::Selection::Only));
        strip_blank(&mut letter);
        let subject = match &with.subject {
            Some(subject) => Some(self.expand(subject)?),
            None => self.mail.text("Subject"),
        };
        if let Some(subject) = subject {
            letter.extend(header::field("Subject", &transfer::encode_words(&subject)));
        }
        for line in self.expand_all(&with.headers)? {
            let (name, value) = line.split_once(':').unwrap_or((line.as_str(), ""));
            if !crate::check::is_header_name(name) {
                return Err(Fault::new(at, format!("{line:?} is no header field")));
            }
            letter.extend(header::field(name, &transfer::encode_words(value.trim())));
        }
        let boundary = boundary(self.mail.bytes());
        let mime = format!(
            "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n\
             --{boundary}\r\n"
        );
        letter.extend_from_slice(mime.as_bytes());
        letter.extend_from_slice(&text_entity(&text));
        let next = format!("\r\n--{boundary}\r\nContent-Type: message/rfc822\r\n\r\n");
        letter.extend_from_slice(next.as_bytes());
        letter.extend_from_slice(self.mail.bytes());
        letter.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
        self.noted(at, "enclose: the letter is an attachment now");
        self.change(letter);
        Ok(())
    }
}

fn ends_blank(block: &[u8], blank: usize) -> bool {
    let before = block.get(..block.len() - blank).unwrap_or_default();
    before.is_empty() || before.ends_with(b"\n")
}

/// Removes the empty line that ends a header block.
fn strip_blank(block: &mut Vec<u8>) {
    for blank in [2, 1] {
        if block.len() >= blank
            && block.ends_with(if blank == 2 { b"\r\n" } else { b"\n" })
            && ends_blank(block, blank)
        {
            block.truncate(block.len() - blank);
            return;
        }
    }
}

/// Plain text as a MIME entity.
pub(crate) fn text_entity(text: &str) -> Vec<u8> {
    let body = to_crlf(text);
    let plain = body.is_ascii()
        && body.split(|octet| *octet == b'\n').all(|line| line.len() <= message::limits::MAX_LINE);
    let mut entity = b"Content-Type: text/plain; charset=utf-8\r\n".to_vec();
    if plain {
        entity.extend_from_slice(b"Content-Transfer-Encoding: 7bit\r\n\r\n");
        entity.extend_from_slice(&body);
    } else {
        entity.extend_from_slice(b"Content-Transfer-Encoding: quoted-printable\r\n\r\n");
        transfer::encode_quoted_printable(&body, &mut entity);
    }
    entity
}

pub(crate) fn to_crlf(text: &str) -> Vec<u8> {
    message::line_ends::to_crlf(text.as_bytes())
}

/// A boundary that is nowhere in the letter.
fn boundary(letter: &[u8]) -> String {
    let mut number = 0_u32;
    loop {
        let boundary = format!("=_enclosed_{number}");
        let is_free = memchr::memmem::find(letter, boundary.as_bytes()).is_none();
        // A letter holds no more boundaries than it has octets; the counter ends the search.
        if is_free || number == u32::MAX {
            return boundary;
        }
        number += 1;
    }
}

const CONTENT: [&str; 5] = [
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Content-Language",
    "MIME-Version",
];

const KEPT: [&str; 9] = [
    "Return-Path",
    "Delivered-To",
    "Received",
    "From",
    "To",
    "Cc",
    "Date",
    "Message-ID",
    "Reply-To",
];
