//! ENVELOPE and BODYSTRUCTURE as they are written (RFC 3501 §7.4.2 and §9). Called by `fetch`.

use bytes::Bytes;

use super::cursor::{Cursor, Parsed};
use super::writer::Writer;
use crate::imap::limits;
use crate::imap::structure::{
    Address, BodyStructure, Envelope, ExtensionTail, MultiExtension, MultiPart, NString,
    SingleDetail, SingleExtension, SinglePart,
};

type Parameters = Vec<(Bytes, Bytes)>;

/// `envelope`
pub(super) fn envelope(cursor: &mut Cursor<'_>) -> Parsed<Envelope> {
    cursor.expect(b'(')?;
    let date = nstring(cursor)?;
    cursor.space()?;
    let subject = nstring(cursor)?;
    let mut lists = [const { Vec::new() }; 6];
    for list in &mut lists {
        cursor.space()?;
        *list = addresses(cursor)?;
    }
    let [from, sender, reply_to, to, cc, bcc] = lists;
    cursor.space()?;
    let in_reply_to = nstring(cursor)?;
    cursor.space()?;
    let message_id = nstring(cursor)?;
    cursor.expect(b')')?;
    Ok(Envelope { date, subject, from, sender, reply_to, to, cc, bcc, in_reply_to, message_id })
}

fn nstring(cursor: &mut Cursor<'_>) -> Parsed<NString> {
    Ok(cursor.nstring()?.map(|text| Bytes::from(text.into_vec())))
}

fn string(cursor: &mut Cursor<'_>) -> Parsed<Bytes> {
    Ok(Bytes::from(cursor.string()?.into_vec()))
}

/// NIL, or addresses that follow each other without a space.
fn addresses(cursor: &mut Cursor<'_>) -> Parsed<Vec<Address>> {
    let mut list = Vec::new();
    if cursor.eat_nil() {
        return Ok(list);
    }
    cursor.expect(b'(')?;
    while !cursor.eat(b')') {
        cursor.eat(b' ');
        cursor.expect(b'(')?;
        let name = nstring(cursor)?;
        cursor.space()?;
        let route = nstring(cursor)?;
        cursor.space()?;
        let mailbox = nstring(cursor)?;
        cursor.space()?;
        let host = nstring(cursor)?;
        cursor.expect(b')')?;
        list.push(Address { name, route, mailbox, host });
    }
    Ok(list)
}

/// Prints `envelope`.
pub(super) fn print_envelope(writer: &mut Writer, envelope: &Envelope) {
    writer.byte(b'(');
    writer.nstring(envelope.date.as_deref());
    writer.byte(b' ');
    writer.nstring(envelope.subject.as_deref());
    let Envelope { from, sender, reply_to, to, cc, bcc, .. } = envelope;
    for list in [from, sender, reply_to, to, cc, bcc] {
        writer.byte(b' ');
        print_addresses(writer, list);
    }
    writer.byte(b' ');
    writer.nstring(envelope.in_reply_to.as_deref());
    writer.byte(b' ');
    writer.nstring(envelope.message_id.as_deref());
    writer.byte(b')');
}

fn print_addresses(writer: &mut Writer, list: &[Address]) {
    if list.is_empty() {
        return writer.text("NIL");
    }
    writer.byte(b'(');
    for address in list {
        let Address { name, route, mailbox, host } = address;
        writer.list([name, route, mailbox, host], |writer, s| writer.nstring(s.as_deref()));
    }
    writer.byte(b')');
}

/// `body`
pub(super) fn body(cursor: &mut Cursor<'_>) -> Parsed<BodyStructure> {
    cursor.nested(|cursor| {
        cursor.expect(b'(')?;
        let body = match cursor.peek() {
            Some(b'(') => BodyStructure::Multi(multi_part(cursor)?),
            _ => BodyStructure::Single(single_part(cursor)?),
        };
        cursor.expect(b')')?;
        Ok(body)
    })
}

fn multi_part(cursor: &mut Cursor<'_>) -> Parsed<MultiPart> {
    let mut parts = Vec::new();
    while cursor.peek() == Some(b'(') {
        parts.push(body(cursor)?);
    }
    cursor.space()?;
    let media_subtype = string(cursor)?;
    let mut extension = None;
    if cursor.eat(b' ') {
        let parameters = parameters(cursor)?;
        extension = Some(MultiExtension { parameters, tail: extension_tail(cursor)? });
    }
    Ok(MultiPart { parts, media_subtype, extension })
}

fn single_part(cursor: &mut Cursor<'_>) -> Parsed<SinglePart> {
    let media_type = string(cursor)?;
    cursor.space()?;
    let media_subtype = string(cursor)?;
    cursor.space()?;
    let parameters = parameters(cursor)?;
    cursor.space()?;
    let id = nstring(cursor)?;
    cursor.space()?;
    let description = nstring(cursor)?;
    cursor.space()?;
    // Some servers send NIL here, which RFC 3501 does not allow.
    let encoding = nstring(cursor)?.unwrap_or(Bytes::from_static(b"7BIT"));
    cursor.space()?;
    let octets = cursor.number64()?;
    let detail = detail(cursor, &media_type, &media_subtype)?;
    let mut extension = None;
    if cursor.eat(b' ') {
        extension = Some(SingleExtension { md5: nstring(cursor)?, tail: extension_tail(cursor)? });
    }
    Ok(SinglePart {
        media_type,
        media_subtype,
        parameters,
        id,
        description,
        encoding,
        octets,
        detail,
        extension,
    })
}

fn detail(cursor: &mut Cursor<'_>, main: &[u8], sub: &[u8]) -> Parsed<SingleDetail> {
    if main.eq_ignore_ascii_case(b"TEXT") {
        cursor.space()?;
        return Ok(SingleDetail::Text { lines: cursor.number64()? });
    }
    let is_message = main.eq_ignore_ascii_case(b"MESSAGE")
        && (sub.eq_ignore_ascii_case(b"RFC822") || sub.eq_ignore_ascii_case(b"GLOBAL"));
    // Servers disagree whether message/global, or a damaged letter, has an envelope: look.
    if !is_message || !cursor.rest().starts_with(b" (") {
        return Ok(SingleDetail::Basic);
    }
    cursor.space()?;
    let envelope = Box::new(envelope(cursor)?);
    cursor.space()?;
    let body = Box::new(body(cursor)?);
    cursor.space()?;
    Ok(SingleDetail::Message { envelope, body, lines: cursor.number64()? })
}

/// NIL or `(name value name value ...)`.
fn parameters(cursor: &mut Cursor<'_>) -> Parsed<Parameters> {
    if cursor.eat_nil() {
        return Ok(Vec::new());
    }
    cursor.list(limits::ITEMS, |cursor| {
        let name = string(cursor)?;
        cursor.space()?;
        // RFC 3501 §9 wants a string; NIL is seen for an empty value.
        Ok((name, nstring(cursor)?.unwrap_or_default()))
    })
}

/// What may follow, each part only if the one before is there (RFC 3501 §9 `body-ext-1part`).
fn extension_tail(cursor: &mut Cursor<'_>) -> Parsed<ExtensionTail> {
    let mut tail = ExtensionTail::default();
    if !cursor.eat(b' ') {
        return Ok(tail);
    }
    if !cursor.eat_nil() {
        cursor.expect(b'(')?;
        let kind = string(cursor)?;
        cursor.space()?;
        tail.disposition = Some((kind, parameters(cursor)?));
        cursor.expect(b')')?;
    }
    if !cursor.eat(b' ') {
        return Ok(tail);
    }
    if cursor.peek() == Some(b'(') {
        tail.language = cursor.list(limits::ITEMS, string)?;
    } else {
        tail.language = nstring(cursor)?.into_iter().collect();
    }
    if !cursor.eat(b' ') {
        return Ok(tail);
    }
    tail.location = nstring(cursor)?;
    while cursor.eat(b' ') {
        body_extension(cursor)?;
    }
    Ok(tail)
}

/// Extension data of the future: strings, numbers, and lists of them.
fn body_extension(cursor: &mut Cursor<'_>) -> Parsed<()> {
    match cursor.peek() {
        Some(b'(') => {
            cursor.nested(|cursor| cursor.list(limits::ITEMS, body_extension)).map(|_| ())
        }
        Some(b'0'..=b'9') => cursor.number64().map(|_| ()),
        _ => cursor.nstring().map(|_| ()),
    }
}

/// Prints `body`.
pub(super) fn print_body(writer: &mut Writer, body: &BodyStructure) {
    writer.byte(b'(');
    match body {
        BodyStructure::Single(part) => print_single(writer, part),
        BodyStructure::Multi(multi) => {
            for part in &multi.parts {
                print_body(writer, part);
            }
            writer.byte(b' ');
            writer.string(&multi.media_subtype);
            if let Some(extension) = &multi.extension {
                writer.byte(b' ');
                print_parameters(writer, &extension.parameters);
                print_tail(writer, &extension.tail);
            }
        }
    }
    writer.byte(b')');
}

fn print_single(writer: &mut Writer, part: &SinglePart) {
    writer.string(&part.media_type);
    writer.byte(b' ');
    writer.string(&part.media_subtype);
    writer.byte(b' ');
    print_parameters(writer, &part.parameters);
    writer.byte(b' ');
    writer.nstring(part.id.as_deref());
    writer.byte(b' ');
    writer.nstring(part.description.as_deref());
    writer.byte(b' ');
    writer.string(&part.encoding);
    writer.display(format_args!(" {}", part.octets));
    match &part.detail {
        SingleDetail::Basic => {}
        SingleDetail::Text { lines } => writer.display(format_args!(" {lines}")),
        SingleDetail::Message { envelope, body, lines } => {
            writer.byte(b' ');
            print_envelope(writer, envelope);
            writer.byte(b' ');
            print_body(writer, body);
            writer.display(format_args!(" {lines}"));
        }
    }
    if let Some(extension) = &part.extension {
        writer.byte(b' ');
        writer.nstring(extension.md5.as_deref());
        print_tail(writer, &extension.tail);
    }
}

fn print_parameters(writer: &mut Writer, parameters: &[(Bytes, Bytes)]) {
    if parameters.is_empty() {
        return writer.text("NIL");
    }
    writer.list(parameters, |writer, (name, value)| {
        writer.string(name);
        writer.byte(b' ');
        writer.string(value);
    });
}

fn print_tail(writer: &mut Writer, tail: &ExtensionTail) {
    writer.byte(b' ');
    match &tail.disposition {
        None => writer.text("NIL"),
        Some((kind, parameters)) => {
            writer.byte(b'(');
            writer.string(kind);
            writer.byte(b' ');
            print_parameters(writer, parameters);
            writer.byte(b')');
        }
    }
    writer.byte(b' ');
    match tail.language.as_slice() {
        [] => writer.text("NIL"),
        [one] => writer.string(one),
        several => writer.list(several, |writer, language| writer.string(language)),
    }
    writer.byte(b' ');
    writer.nstring(tail.location.as_deref());
}
