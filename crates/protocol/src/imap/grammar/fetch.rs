//! FETCH: what is asked for and what is answered, as written (RFC 3501 §6.4.5 and §7.4.2, RFC 3516,
//! RFC 9051 §9). Called by `command`, `response` and the server machine, which streams bodies.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::cursor::{Cursor, Parsed};
use super::writer::Writer;
use super::{sets, structure};
use crate::imap::command::{FetchItems, FetchMacro, LiteralKind};
use crate::imap::fetch::{
    Content, FetchData, FetchItem, MarkSeen, Partial, PreviewPatience, Section, SectionText,
};
use crate::imap::limits;

/// What is to be fetched: a macro, one item or a list.
pub(super) fn fetch_items(cursor: &mut Cursor<'_>) -> Parsed<FetchItems> {
    if cursor.peek() == Some(b'(') {
        let items = cursor.list(limits::ITEMS, fetch_item)?;
        if items.is_empty() {
            return Err(cursor.error("nothing to fetch in the parentheses"));
        }
        return Ok(FetchItems::List(items));
    }
    let start = cursor.position();
    let name = cursor.name("what to fetch")?;
    for (known, abbreviation) in MACROS {
        if known.eq_ignore_ascii_case(name) {
            return Ok(FetchItems::Macro(abbreviation));
        }
    }
    cursor.back_to(start);
    Ok(FetchItems::List(vec![fetch_item(cursor)?]))
}

fn fetch_item(cursor: &mut Cursor<'_>) -> Parsed<FetchItem> {
    let start = cursor.position();
    let name = cursor.name("what to fetch")?.to_ascii_uppercase();
    if let Some((_, item)) = PLAIN.iter().find(|(known, _)| *known == name) {
        // BODY is a plain item only if no bracket follows.
        if !(name == "BODY" && cursor.peek() == Some(b'[')) {
            return Ok(item.clone());
        }
    }
    match name.as_str() {
        "BODY" | "BODY.PEEK" => {
            let section = section(cursor)?;
            let seen = if name == "BODY" { MarkSeen::Yes } else { MarkSeen::Peek };
            Ok(FetchItem::Section { section, partial: partial(cursor)?, seen })
        }
        "BINARY" | "BINARY.PEEK" => {
            let part = bracketed_part(cursor)?;
            let seen = if name == "BINARY" { MarkSeen::Yes } else { MarkSeen::Peek };
            Ok(FetchItem::Binary { part, partial: partial(cursor)?, seen })
        }
        "BINARY.SIZE" => bracketed_part(cursor).map(FetchItem::BinarySize),
        "PREVIEW" => match cursor.eat_word(" (LAZY)") {
            true => Ok(FetchItem::Preview(PreviewPatience::Lazy)),
            false => Ok(FetchItem::Preview(PreviewPatience::Waits)),
        },
        _ => {
            cursor.back_to(start);
            Err(cursor.error("unknown item to fetch"))
        }
    }
}

/// `[...]` of BODY.
fn section(cursor: &mut Cursor<'_>) -> Parsed<Section> {
    cursor.expect(b'[')?;
    let part = sets::part_numbers(cursor)?;
    let text = if cursor.peek() == Some(b']') && !cursor.ends_with_dot() {
        SectionText::Everything
    } else {
        section_text(cursor, !part.is_empty())?
    };
    cursor.expect(b']')?;
    Ok(Section { part, text })
}

fn section_text(cursor: &mut Cursor<'_>, in_part: bool) -> Parsed<SectionText> {
    let start = cursor.position();
    let name = cursor.name("HEADER, TEXT, MIME or a part number")?.to_ascii_uppercase();
    match name.as_str() {
        "HEADER" => Ok(SectionText::Header),
        "TEXT" => Ok(SectionText::Text),
        // RFC 3501 §6.4.5: the MIME part specifier must be prefixed by numbers.
        "MIME" if in_part => Ok(SectionText::Mime),
        "HEADER.FIELDS" => field_names(cursor).map(SectionText::HeaderFields),
        "HEADER.FIELDS.NOT" => field_names(cursor).map(SectionText::HeaderFieldsNot),
        _ => {
            cursor.back_to(start);
            Err(cursor.error("unknown section"))
        }
    }
}

fn field_names(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    cursor.space()?;
    let names = cursor.list(limits::ITEMS, |cursor| {
        let start = cursor.position();
        let name = cursor.astring()?;
        // RFC 5322 §3.6.8: a field name is printable US-ASCII without the colon.
        let good = name.as_ref().iter().all(|b| b.is_ascii_graphic() && *b != b':');
        match String::from_utf8(name.into_vec()) {
            Ok(name) if good && !name.is_empty() => Ok(name),
            _ => {
                cursor.back_to(start);
                Err(cursor.error("not the name of a header field"))
            }
        }
    })?;
    if names.is_empty() { Err(cursor.error("expected a header field")) } else { Ok(names) }
}

fn bracketed_part(cursor: &mut Cursor<'_>) -> Parsed<Vec<NonZeroU32>> {
    cursor.expect(b'[')?;
    let part = sets::part_numbers(cursor)?;
    cursor.expect(b']')?;
    Ok(part)
}

fn partial(cursor: &mut Cursor<'_>) -> Parsed<Option<Partial>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'.')?;
    let length = cursor.number64()?;
    if length == 0 {
        return Err(cursor.error("a partial fetch of 0 octets"));
    }
    cursor.expect(b'>')?;
    Ok(Some(Partial { offset, length }))
}

/// What is fetched, printed.
pub(super) fn print_fetch_items(writer: &mut Writer, items: &FetchItems) {
    match items {
        FetchItems::Macro(wanted) => {
            let name = MACROS.iter().find(|(_, known)| known == wanted).map(|(name, _)| *name);
            writer.text(name.unwrap_or("ALL"));
        }
        FetchItems::List(items) => match items.as_slice() {
            [item] => print_fetch_item(writer, item),
            items => writer.list(items, print_fetch_item),
        },
    }
}

/// One item as it is asked for.
pub fn print_fetch_item(writer: &mut Writer, item: &FetchItem) {
    let print_partial = |writer: &mut Writer, partial: &Option<Partial>| {
        if let Some(Partial { offset, length }) = partial {
            writer.display(format_args!("<{offset}.{length}>"));
        }
    };
    match item {
        FetchItem::Section { section, partial, seen } => {
            writer.text(if *seen == MarkSeen::Yes { "BODY" } else { "BODY.PEEK" });
            print_section(writer, section);
            print_partial(writer, partial);
        }
        FetchItem::Binary { part, partial, seen } => {
            writer.text(if *seen == MarkSeen::Yes { "BINARY[" } else { "BINARY.PEEK[" });
            sets::print_part(writer, part);
            writer.byte(b']');
            print_partial(writer, partial);
        }
        FetchItem::BinarySize(part) => {
            writer.text("BINARY.SIZE[");
            sets::print_part(writer, part);
            writer.byte(b']');
        }
        FetchItem::Preview(PreviewPatience::Waits) => writer.text("PREVIEW"),
        FetchItem::Preview(PreviewPatience::Lazy) => writer.text("PREVIEW (LAZY)"),
        plain => {
            let name = PLAIN.iter().find(|(_, known)| known == plain).map(|(name, _)| *name);
            writer.text(name.unwrap_or("FLAGS"));
        }
    }
}

/// `[...]` of BODY, brackets included.
pub fn print_section(writer: &mut Writer, section: &Section) {
    writer.byte(b'[');
    sets::print_part(writer, &section.part);
    if !section.part.is_empty() && section.text != SectionText::Everything {
        writer.byte(b'.');
    }
    match &section.text {
        SectionText::Everything => {}
        SectionText::Header => writer.text("HEADER"),
        SectionText::Text => writer.text("TEXT"),
        SectionText::Mime => writer.text("MIME"),
        SectionText::HeaderFields(names) => {
            writer.text("HEADER.FIELDS ");
            writer.list(names, |writer, name| writer.astring(name.as_bytes()));
        }
        SectionText::HeaderFieldsNot(names) => {
            writer.text("HEADER.FIELDS.NOT ");
            writer.list(names, |writer, name| writer.astring(name.as_bytes()));
        }
    }
    writer.byte(b']');
}

/// `* n FETCH (` and items, the last of which is a body whose literal's header ends the buffer;
/// `streamed` are the places of earlier such literals and this last one. `None`: the literal is not
/// a body's.
pub fn parse_fetch_prefix(
    input: &[u8],
    streamed: &[usize],
) -> Option<(NonZeroU32, Vec<FetchData>)> {
    let mut cursor = Cursor::with_streamed(input, streamed);
    cursor.eat_word("* ").then_some(())?;
    let sequence = cursor.nz_number().ok()?;
    cursor.eat_word(" FETCH (").then_some(())?;
    let mut data = Vec::new();
    loop {
        data.push(fetch_data(&mut cursor).ok()?);
        if cursor.at_end() {
            return Some((sequence, data));
        }
        cursor.space().ok()?;
    }
}

/// One thing that was fetched.
pub(super) fn fetch_data(cursor: &mut Cursor<'_>) -> Parsed<FetchData> {
    let start = cursor.position();
    let name = cursor.name("fetched data")?.to_ascii_uppercase();
    if matches!((name.as_str(), cursor.peek()), ("BODY" | "BINARY" | "BINARY.SIZE", Some(b'['))) {
        return bracketed_data(cursor, &name);
    }
    cursor.space()?;
    match name.as_str() {
        "FLAGS" => sets::flag_list(cursor).map(FetchData::Flags),
        "UID" => cursor.nz_number().map(FetchData::Uid),
        "INTERNALDATE" => sets::date_time(cursor).map(FetchData::InternalDate),
        "RFC822.SIZE" => cursor.number64().map(FetchData::Rfc822Size),
        "RFC822" => content(cursor).map(FetchData::Rfc822),
        "RFC822.HEADER" => content(cursor).map(FetchData::Rfc822Header),
        "RFC822.TEXT" => content(cursor).map(FetchData::Rfc822Text),
        "ENVELOPE" => Ok(FetchData::Envelope(Box::new(structure::envelope(cursor)?))),
        "BODY" => Ok(FetchData::Body(Box::new(structure::body(cursor)?))),
        "BODYSTRUCTURE" => Ok(FetchData::BodyStructure(Box::new(structure::body(cursor)?))),
        "MODSEQ" => {
            cursor.expect(b'(')?;
            let mod_seq = cursor.number64()?;
            cursor.expect(b')')?;
            Ok(FetchData::ModSeq(mod_seq))
        }
        "EMAILID" => object_id(cursor).map(FetchData::EmailId),
        "THREADID" if cursor.eat_nil() => Ok(FetchData::ThreadId(None)),
        "THREADID" => object_id(cursor).map(|id| FetchData::ThreadId(Some(id))),
        "SAVEDATE" if cursor.eat_nil() => Ok(FetchData::SaveDate(None)),
        "SAVEDATE" => sets::date_time(cursor).map(|date| FetchData::SaveDate(Some(date))),
        "PREVIEW" => {
            let text = cursor.nstring()?;
            let text = text.map(|text| String::from_utf8_lossy(text.as_ref()).into_owned());
            Ok(FetchData::Preview(text))
        }
        _ => {
            cursor.back_to(start);
            Err(cursor.error("unknown fetched data"))
        }
    }
}

/// `(M25f...)` (RFC 8474 §7).
fn object_id(cursor: &mut Cursor<'_>) -> Parsed<String> {
    cursor.expect(b'(')?;
    let id = cursor.atom("an object identifier")?.to_owned();
    cursor.expect(b')')?;
    Ok(id)
}

fn bracketed_data(cursor: &mut Cursor<'_>, name: &str) -> Parsed<FetchData> {
    if name == "BODY" {
        let section = section(cursor)?;
        let offset = origin(cursor)?;
        cursor.space()?;
        return Ok(FetchData::Section { section, offset, content: content(cursor)? });
    }
    let part = bracketed_part(cursor)?;
    if name == "BINARY.SIZE" {
        cursor.space()?;
        return Ok(FetchData::BinarySize { part, size: cursor.number64()? });
    }
    let offset = origin(cursor)?;
    cursor.space()?;
    Ok(FetchData::Binary { part, offset, content: content(cursor)? })
}

fn origin(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !cursor.eat(b'<') {
        return Ok(None);
    }
    let offset = cursor.number64()?;
    cursor.expect(b'>')?;
    Ok(Some(offset))
}

/// The bytes of a body: NIL, a string, or a literal of either kind.
fn content(cursor: &mut Cursor<'_>) -> Parsed<Content> {
    if let Some(size) = cursor.streamed_literal()? {
        return Ok(Content::Streamed(size));
    }
    if cursor.eat_nil() {
        return Ok(Content::Nil);
    }
    if matches!(cursor.peek(), Some(b'~' | b'{')) {
        return Ok(Content::Inline(Bytes::copy_from_slice(cursor.body_literal()?)));
    }
    Ok(Content::Inline(cursor.string()?.into_vec().into()))
}

/// One thing that was fetched, printed. A `Streamed` content prints its literal's header only: the
/// octets must follow.
pub fn print_fetch_data(writer: &mut Writer, data: &FetchData) {
    match data {
        FetchData::Flags(flags) => {
            writer.text("FLAGS ");
            writer.list(flags, |writer, flag| writer.display(flag));
        }
        FetchData::Uid(uid) => writer.display(format_args!("UID {uid}")),
        FetchData::InternalDate(date) => writer.display(format_args!("INTERNALDATE \"{date}\"")),
        FetchData::Rfc822Size(size) => writer.display(format_args!("RFC822.SIZE {size}")),
        FetchData::Envelope(envelope) => {
            writer.text("ENVELOPE ");
            structure::print_envelope(writer, envelope);
        }
        FetchData::Body(body) => {
            writer.text("BODY ");
            structure::print_body(writer, body);
        }
        FetchData::BodyStructure(body) => {
            writer.text("BODYSTRUCTURE ");
            structure::print_body(writer, body);
        }
        FetchData::Rfc822(content) => print_content(writer, "RFC822 ", content),
        FetchData::Rfc822Header(content) => print_content(writer, "RFC822.HEADER ", content),
        FetchData::Rfc822Text(content) => print_content(writer, "RFC822.TEXT ", content),
        FetchData::Section { section, offset, content } => {
            writer.text("BODY");
            print_section(writer, section);
            print_origin(writer, *offset);
            print_content(writer, " ", content);
        }
        FetchData::Binary { part, offset, content } => {
            writer.text("BINARY[");
            sets::print_part(writer, part);
            writer.byte(b']');
            print_origin(writer, *offset);
            print_binary(writer, content);
        }
        FetchData::BinarySize { part, size } => {
            writer.text("BINARY.SIZE[");
            sets::print_part(writer, part);
            writer.display(format_args!("] {size}"));
        }
        FetchData::ModSeq(mod_seq) => writer.display(format_args!("MODSEQ ({mod_seq})")),
        FetchData::EmailId(id) => writer.display(format_args!("EMAILID ({id})")),
        FetchData::ThreadId(Some(id)) => writer.display(format_args!("THREADID ({id})")),
        FetchData::ThreadId(None) => writer.text("THREADID NIL"),
        FetchData::SaveDate(Some(date)) => writer.display(format_args!("SAVEDATE \"{date}\"")),
        FetchData::SaveDate(None) => writer.text("SAVEDATE NIL"),
        FetchData::Preview(text) => {
            writer.text("PREVIEW ");
            writer.nstring(text.as_deref().map(str::as_bytes));
        }
    }
}

fn print_origin(writer: &mut Writer, offset: Option<u64>) {
    if let Some(offset) = offset {
        writer.display(format_args!("<{offset}>"));
    }
}

fn print_content(writer: &mut Writer, before: &str, content: &Content) {
    writer.text(before);
    match content {
        Content::Nil => writer.text("NIL"),
        // Always a literal, NUL or not: octets are counted and clients expect it here.
        Content::Inline(bytes) => {
            writer.literal_header(bytes.len() as u64, LiteralKind::Text);
            writer.raw(bytes);
        }
        Content::Streamed(size) => writer.literal_header(*size, LiteralKind::Text),
    }
}

fn print_binary(writer: &mut Writer, content: &Content) {
    writer.byte(b' ');
    match content {
        Content::Nil => writer.text("NIL"),
        // RFC 3516 §4.2: literal8 when there is a NUL, and always allowed.
        Content::Inline(bytes) => {
            writer.literal_header(bytes.len() as u64, LiteralKind::Literal8);
            writer.raw(bytes);
        }
        Content::Streamed(size) => writer.literal_header(*size, LiteralKind::Literal8),
    }
}

const MACROS: [(&str, FetchMacro); 3] =
    [("ALL", FetchMacro::All), ("FAST", FetchMacro::Fast), ("FULL", FetchMacro::Full)];

const PLAIN: [(&str, FetchItem); 14] = [
    ("BODY", FetchItem::Body),
    ("BODYSTRUCTURE", FetchItem::BodyStructure),
    ("ENVELOPE", FetchItem::Envelope),
    ("FLAGS", FetchItem::Flags),
    ("INTERNALDATE", FetchItem::InternalDate),
    ("RFC822", FetchItem::Rfc822),
    ("RFC822.HEADER", FetchItem::Rfc822Header),
    ("RFC822.SIZE", FetchItem::Rfc822Size),
    ("RFC822.TEXT", FetchItem::Rfc822Text),
    ("UID", FetchItem::Uid),
    ("MODSEQ", FetchItem::ModSeq),
    ("EMAILID", FetchItem::EmailId),
    ("THREADID", FetchItem::ThreadId),
    ("SAVEDATE", FetchItem::SaveDate),
];
