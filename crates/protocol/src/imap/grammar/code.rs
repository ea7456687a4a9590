//! Response codes and the texts after them as they are written (RFC 3501 §7.1 and §9). Called by
//! `response`.

use std::num::NonZeroU32;

use super::cursor::{Cursor, ParseErrorKind, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::code::{Code, ConditionCode};
use crate::imap::flag::PermanentFlag;
use crate::imap::limits;
use crate::imap::response::StatusText;

/// `resp-text`: a code in brackets, if there is one, and a text.
pub(super) fn status_text(cursor: &mut Cursor<'_>) -> Parsed<StatusText> {
    let mut code = None;
    if cursor.peek() == Some(b'[') {
        let start = cursor.clone();
        match bracketed(cursor) {
            Ok(found) => code = Some(found),
            // A text may begin with a bracket, and codes of broken servers are no reason to fail.
            Err(_) => *cursor = start,
        }
        cursor.eat(b' ');
    }
    let text = String::from_utf8_lossy(cursor.take_while(|_| true)).into_owned();
    Ok(StatusText { code, text })
}

fn bracketed(cursor: &mut Cursor<'_>) -> Parsed<Code> {
    cursor.expect(b'[')?;
    let code = code(cursor)?;
    cursor.expect(b']')?;
    Ok(code)
}

fn code(cursor: &mut Cursor<'_>) -> Parsed<Code> {
    let name = cursor.atom("a response code")?.to_ascii_uppercase();
    if let Some(condition) = ConditionCode::ALL.into_iter().find(|code| code.name() == name) {
        return Ok(Code::Condition(condition));
    }
    if let Some((_, code)) = PLAIN.iter().find(|(known, _)| *known == name) {
        return Ok(code.clone());
    }
    match name.as_str() {
        "BADCHARSET" if cursor.peek() == Some(b']') => Ok(Code::BadCharset(Vec::new())),
        "BADCHARSET" => {
            cursor.space()?;
            let names = cursor.list(limits::ITEMS, Cursor::astring)?;
            let names = names.iter().map(|n| String::from_utf8_lossy(n.as_ref()).into_owned());
            Ok(Code::BadCharset(names.collect()))
        }
        "CAPABILITY" => words(cursor).map(Code::Capability),
        "PERMANENTFLAGS" => {
            cursor.space()?;
            cursor.list(limits::FLAGS, permanent_flag).map(Code::PermanentFlags)
        }
        "UIDNEXT" => argument(cursor).map(Code::UidNext),
        "UIDVALIDITY" => argument(cursor).map(Code::UidValidity),
        "UNSEEN" => argument(cursor).map(Code::Unseen),
        "APPENDUID" => {
            let validity = argument(cursor)?;
            cursor.space()?;
            Ok(Code::AppendUid { validity, uids: sets::number_set(cursor)? })
        }
        "COPYUID" => {
            let validity = argument(cursor)?;
            cursor.space()?;
            let source = sets::number_set(cursor)?;
            cursor.space()?;
            Ok(Code::CopyUid { validity, source, destination: sets::number_set(cursor)? })
        }
        "HIGHESTMODSEQ" => {
            cursor.space()?;
            cursor.number64().map(Code::HighestModSeq)
        }
        "MODIFIED" => {
            cursor.space()?;
            sets::number_set(cursor).map(Code::Modified)
        }
        _ => {
            let mut arguments = None;
            if cursor.eat(b' ') {
                let text = cursor.take_while(|byte| byte != b']');
                arguments = Some(String::from_utf8_lossy(text).into_owned());
            }
            Ok(Code::Other { name, arguments })
        }
    }
}

fn argument(cursor: &mut Cursor<'_>) -> Parsed<NonZeroU32> {
    cursor.space()?;
    cursor.nz_number()
}

fn permanent_flag(cursor: &mut Cursor<'_>) -> Parsed<PermanentFlag> {
    if cursor.eat_word("\\*") {
        return Ok(PermanentFlag::AnyKeyword);
    }
    sets::flag(cursor).map(PermanentFlag::Flag)
}

/// ` word word ...`: capabilities.
pub(super) fn words(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut words = Vec::new();
    while cursor.eat(b' ') {
        if words.len() >= limits::ITEMS {
            return Err(cursor.fault(ParseErrorKind::Limit, "too many capabilities"));
        }
        // Some servers end the line with a space.
        if matches!(cursor.peek(), None | Some(b']')) {
            break;
        }
        words.push(cursor.atom("a capability")?.to_ascii_uppercase());
    }
    Ok(words)
}

/// Prints a code in brackets, if there is one, and the text. A text has at least one character
/// (RFC 3501 §9), and no line end.
pub(super) fn print_status_text(writer: &mut Writer, status: &StatusText) {
    if let Some(code) = &status.code {
        writer.byte(b'[');
        print_code(writer, code);
        writer.text("] ");
    }
    let clean = status.text.replace(|c: char| c.is_control(), " ");
    // Without a code, a text that begins with a bracket would be read as one.
    let clean = if status.code.is_none() { clean.trim_start_matches('[') } else { &clean };
    writer.text(if clean.is_empty() { "Done" } else { clean });
}

fn print_code(writer: &mut Writer, code: &Code) {
    if let Some((name, _)) = PLAIN.iter().find(|(_, known)| known == code) {
        return writer.text(name);
    }
    match code {
        Code::Condition(condition) => writer.text(condition.name()),
        Code::BadCharset(names) => {
            writer.text("BADCHARSET");
            if !names.is_empty() {
                writer.byte(b' ');
                writer.list(names, |writer, name| writer.astring(name.as_bytes()));
            }
        }
        Code::Capability(names) => {
            writer.text("CAPABILITY ");
            writer.spaced(names, |writer, name| writer.text(name));
        }
        Code::PermanentFlags(flags) => {
            writer.text("PERMANENTFLAGS ");
            writer.list(flags, |writer, flag| writer.display(flag));
        }
        Code::UidNext(uid) => writer.display(format_args!("UIDNEXT {uid}")),
        Code::UidValidity(validity) => writer.display(format_args!("UIDVALIDITY {validity}")),
        Code::Unseen(number) => writer.display(format_args!("UNSEEN {number}")),
        Code::AppendUid { validity, uids } => {
            writer.display(format_args!("APPENDUID {validity} {uids}"));
        }
        Code::CopyUid { validity, source, destination } => {
            writer.display(format_args!("COPYUID {validity} {source} {destination}"));
        }
        Code::HighestModSeq(mod_seq) => writer.display(format_args!("HIGHESTMODSEQ {mod_seq}")),
        Code::Modified(set) => writer.display(format_args!("MODIFIED {set}")),
        Code::Other { name, arguments } => {
            writer.text(name);
            if let Some(arguments) = arguments {
                writer.display(format_args!(" {arguments}"));
            }
        }
        // The others are in the table of plain ones.
        _ => {}
    }
}

const PLAIN: [(&str, Code); 12] = [
    ("ALERT", Code::Alert),
    ("PARSE", Code::Parse),
    ("READ-ONLY", Code::ReadOnly),
    ("READ-WRITE", Code::ReadWrite),
    ("TRYCREATE", Code::TryCreate),
    ("UIDNOTSTICKY", Code::UidNotSticky),
    ("NOMODSEQ", Code::NoModSeq),
    ("CLOSED", Code::Closed),
    ("UNKNOWN-CTE", Code::UnknownCte),
    ("TOOBIG", Code::TooBig),
    ("NOTSAVED", Code::NotSaved),
    ("USEATTR", Code::UseAttr),
];
