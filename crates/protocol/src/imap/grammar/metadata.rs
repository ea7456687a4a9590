//! GETMETADATA, SETMETADATA and METADATA as written (RFC 5464). Called by `command` and `response`.

use bytes::Bytes;

use super::cursor::{Cursor, ParseErrorKind, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::command::LiteralKind;
use crate::imap::limits;
use crate::imap::mailbox::MailboxName;
use crate::imap::metadata::{Annotation, Depth, EntryName, GetMetadata, SetMetadata};
use crate::imap::response::Untagged;

/// What follows the word GETMETADATA. The options stand before the mailbox in the grammar and
/// after it in the examples of RFC 5464 §4.2; both are taken.
pub(super) fn get(cursor: &mut Cursor<'_>) -> Parsed<GetMetadata> {
    let mut get =
        GetMetadata { mailbox: None, max_size: None, depth: Depth::Itself, entries: Vec::new() };
    cursor.space()?;
    if cursor.peek() == Some(b'(') {
        options(cursor, &mut get)?;
        cursor.space()?;
    }
    get.mailbox = mailbox(cursor)?;
    cursor.space()?;
    if matches!(cursor.rest(), [b'(', b'M' | b'm' | b'D' | b'd', ..]) {
        options(cursor, &mut get)?;
        cursor.space()?;
    }
    get.entries = match cursor.peek() {
        Some(b'(') => cursor.list(limits::ITEMS, entry)?,
        _ => vec![entry(cursor)?],
    };
    if get.entries.is_empty() {
        return Err(cursor.error("expected an entry"));
    }
    Ok(get)
}

fn options(cursor: &mut Cursor<'_>, get: &mut GetMetadata) -> Parsed<()> {
    cursor.list(limits::ITEMS, |cursor| {
        if cursor.eat_word("MAXSIZE ") {
            get.max_size = Some(cursor.number()?);
            return Ok(());
        }
        if !cursor.eat_word("DEPTH ") {
            return Err(cursor.expected("MAXSIZE or DEPTH"));
        }
        get.depth = match cursor.atom("0, 1 or infinity")? {
            "0" => Depth::Itself,
            "1" => Depth::Children,
            word if word.eq_ignore_ascii_case("infinity") => Depth::All,
            _ => return Err(cursor.expected("0, 1 or infinity")),
        };
        Ok(())
    })?;
    Ok(())
}

/// A mailbox, or `""` for the server.
fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<Option<MailboxName>> {
    if cursor.eat_word("\"\"") { Ok(None) } else { sets::mailbox(cursor).map(Some) }
}

fn entry(cursor: &mut Cursor<'_>) -> Parsed<EntryName> {
    let start = cursor.position();
    let name = cursor.astring()?;
    EntryName::new(name.as_ref()).ok_or_else(|| {
        cursor.back_to(start);
        cursor.fault(ParseErrorKind::Syntax, "an entry is below /private or /shared")
    })
}

fn annotation(cursor: &mut Cursor<'_>) -> Parsed<Annotation> {
    let entry = entry(cursor)?;
    cursor.space()?;
    if cursor.eat_nil() {
        return Ok((entry, None));
    }
    Ok((entry, Some(Bytes::from(cursor.string8()?.into_vec()))))
}

/// What follows the word SETMETADATA.
pub(super) fn set(cursor: &mut Cursor<'_>) -> Parsed<SetMetadata> {
    cursor.space()?;
    let mailbox = mailbox(cursor)?;
    cursor.space()?;
    let annotations = cursor.list(limits::ITEMS, annotation)?;
    if annotations.is_empty() {
        return Err(cursor.error("expected an entry and its value"));
    }
    Ok(SetMetadata { mailbox, annotations })
}

/// What follows the word METADATA in a response with values.
pub(super) fn metadata(cursor: &mut Cursor<'_>) -> Parsed<Untagged> {
    cursor.space()?;
    let mailbox = mailbox(cursor)?;
    cursor.space()?;
    Ok(Untagged::Metadata { mailbox, annotations: cursor.list(limits::ITEMS, annotation)? })
}

/// Prints GETMETADATA from behind the word on.
pub(super) fn print_get(writer: &mut Writer, get: &GetMetadata) {
    if get.max_size.is_some() || get.depth != Depth::Itself {
        let size = get.max_size.map(|size| format!("MAXSIZE {size}"));
        let depth = match get.depth {
            Depth::Itself => None,
            Depth::Children => Some("DEPTH 1".to_owned()),
            Depth::All => Some("DEPTH infinity".to_owned()),
        };
        writer.byte(b' ');
        writer.list(size.into_iter().chain(depth), |writer, option| writer.text(&option));
    }
    print_mailbox(writer, get.mailbox.as_ref());
    writer.byte(b' ');
    writer.list(&get.entries, |writer, entry| writer.astring(entry.as_str().as_bytes()));
}

/// Prints SETMETADATA, and METADATA with values, from behind the word on.
pub(super) fn print_annotations(
    writer: &mut Writer,
    mailbox: Option<&MailboxName>,
    annotations: &[Annotation],
) {
    print_mailbox(writer, mailbox);
    writer.byte(b' ');
    writer.list(annotations, |writer, (entry, value)| {
        writer.astring(entry.as_str().as_bytes());
        writer.byte(b' ');
        match value {
            Some(octets) if memchr::memchr(0, octets).is_some() => {
                writer.literal_header(octets.len() as u64, LiteralKind::Literal8);
                writer.raw(octets);
            }
            value => writer.nstring(value.as_deref()),
        }
    });
}

fn print_mailbox(writer: &mut Writer, mailbox: Option<&MailboxName>) {
    writer.byte(b' ');
    match mailbox {
        Some(name) => sets::print_mailbox(writer, name),
        None => writer.text("\"\""),
    }
}
