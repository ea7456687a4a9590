//! APPEND up to the header of its message's literal (RFC 3501 §6.3.11): the one command whose
//! literal must not be held in memory, so that it has to be known before it is complete. Called by
//! the server machine at each literal.

use super::cursor::{Cursor, Names, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::command::{
    Append, LiteralHeader, LiteralKind, MessageForm, NextMessage, Numbering, Tag,
};
use crate::imap::limits;

/// What the literal at the end of a buffer belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AppendPrefix {
    /// An argument of this or another command: it is part of the command.
    Argument,
    /// It is APPEND's message.
    Message(Tag, Append),
}

/// Looks at a command that ends, so far, with the header of a literal.
///
/// # Errors
/// It is APPEND or REPLACE, and what stands before the literal is not right.
pub fn parse_append_prefix(input: &[u8], names: Names) -> Parsed<AppendPrefix> {
    let mut cursor = Cursor::new(input).with_names(names);
    let Some(tag) = Tag::new(cursor.take_while(super::is_tag_byte)) else {
        return Ok(AppendPrefix::Argument);
    };
    let mut replaces = None;
    if cursor.eat_word(" REPLACE ") {
        replaces = Some((Numbering::Sequence, sets::bound(&mut cursor)?));
        cursor.space()?;
    } else if cursor.eat_word(" UID REPLACE ") {
        replaces = Some((Numbering::Uid, sets::bound(&mut cursor)?));
        cursor.space()?;
    } else if !cursor.eat_word(" APPEND ") {
        return Ok(AppendPrefix::Argument);
    }
    if last_literal(&cursor).is_some() {
        return Ok(AppendPrefix::Argument);
    }
    let mailbox = sets::mailbox(&mut cursor)?;
    let NextMessage { flags, date, literal, form } = message(&mut cursor)?;
    Ok(AppendPrefix::Message(tag, Append { mailbox, flags, date, literal, form, replaces }))
}

/// What stands between two messages of MULTIAPPEND (RFC 3502), from the space on, with the header
/// of the literal.
///
/// # Errors
/// It is something else.
pub fn parse_next_message(input: &[u8]) -> Parsed<NextMessage> {
    message(&mut Cursor::new(input))
}

/// ` (flags) "date" {n}`, or with `UTF8 (~{n}` at the end (RFC 6855 §4).
fn message(cursor: &mut Cursor<'_>) -> Parsed<NextMessage> {
    cursor.space()?;
    let mut flags = Vec::new();
    if cursor.peek() == Some(b'(') {
        flags = cursor.list(limits::FLAGS, sets::flag)?;
        cursor.space()?;
    }
    let mut date = None;
    if cursor.peek() == Some(b'"') {
        date = Some(sets::date_time(cursor)?);
        cursor.space()?;
    }
    let form = if cursor.eat_word("UTF8 (") { MessageForm::Utf8 } else { MessageForm::Plain };
    let literal = last_literal(cursor).ok_or_else(|| cursor.expected("the message's literal"))?;
    if form == MessageForm::Utf8 && literal.kind != LiteralKind::Literal8 {
        return Err(cursor.expected("a literal8 after UTF8"));
    }
    Ok(NextMessage { flags, date, literal, form })
}

/// The literal's header, if it is all that is left.
fn last_literal(cursor: &Cursor<'_>) -> Option<LiteralHeader> {
    let mut ahead = cursor.clone();
    let header = ahead.literal_header().ok()?;
    ahead.at_end().then_some(header)
}

/// Prints APPEND from behind the word on, with the literal's header; the message must follow.
pub(super) fn print_append(writer: &mut Writer, append: &Append) {
    writer.byte(b' ');
    if let Some((_, letter)) = &append.replaces {
        writer.display(format_args!("{letter} "));
    }
    sets::print_mailbox(writer, &append.mailbox);
    writer.byte(b' ');
    if !append.flags.is_empty() {
        writer.list(&append.flags, |writer, flag| writer.display(flag));
        writer.byte(b' ');
    }
    if let Some(date) = append.date {
        writer.display(format_args!("\"{date}\" "));
    }
    if append.form == MessageForm::Utf8 {
        writer.text("UTF8 (");
    }
    writer.literal_header(append.literal.size, append.literal.kind);
}
