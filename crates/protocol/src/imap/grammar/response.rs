//! Responses as they are written, both ways (RFC 3501 §7 and §9). Called by the server machine
//! (printing) and the client machine (parsing).

use std::num::NonZeroU32;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::cursor::{Cursor, Parsed};
use super::writer::Writer;
use super::{code, command, condstore, fetch, list, metadata, quota, sets, sort};
use crate::imap::command::{Numbering, Tag};
use crate::imap::limits;
use crate::imap::response::{
    Condition, Continuation, ExtendedSearch, Response, StatusItem, Untagged, VanishedTime,
};

/// A whole response without its last CRLF; `streamed` are the places after headers of literals
/// whose octets are not in the buffer.
///
/// # Errors
/// What is wrong with it and where. An unknown untagged response is no error.
pub fn parse_response(input: &[u8], streamed: &[usize]) -> Parsed<Response> {
    let mut cursor = Cursor::with_streamed(input, streamed);
    let response = match cursor.peek() {
        Some(b'*') => {
            cursor.eat(b'*');
            cursor.space()?;
            Response::Untagged(untagged(&mut cursor)?)
        }
        Some(b'+') => {
            cursor.eat(b'+');
            cursor.eat(b' ');
            Response::Continue(continuation(&mut cursor)?)
        }
        _ => {
            let tag = command::tag(&mut cursor)?;
            cursor.space()?;
            let start = cursor.position();
            let name = cursor.atom("OK, NO or BAD")?;
            let condition = condition(name).ok_or_else(|| {
                cursor.back_to(start);
                cursor.expected("OK, NO or BAD")
            })?;
            cursor.eat(b' ');
            Response::Tagged { tag, condition, text: code::status_text(&mut cursor)? }
        }
    };
    // Some servers leave a space at the end of a line.
    cursor.eat(b' ');
    cursor.end()?;
    Ok(response)
}

fn condition(name: &str) -> Option<Condition> {
    [Condition::Ok, Condition::No, Condition::Bad]
        .into_iter()
        .find(|condition| condition.name().eq_ignore_ascii_case(name))
}

/// Base64 is a challenge, everything else a text. A text of one word that happens to be base64 is
/// taken for a challenge; who did not ask for one does not look.
fn continuation(cursor: &mut Cursor<'_>) -> Parsed<Continuation> {
    if let Ok(challenge) = STANDARD.decode(cursor.rest()) {
        cursor.take_while(|_| true);
        return Ok(Continuation::Challenge(challenge));
    }
    code::status_text(cursor).map(Continuation::Text)
}

fn untagged(cursor: &mut Cursor<'_>) -> Parsed<Untagged> {
    if cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        return numbered(cursor);
    }
    let start = cursor.clone();
    let name = cursor.name("a response")?.to_ascii_uppercase();
    if let Some(condition) = condition(&name) {
        cursor.eat(b' ');
        return Ok(Untagged::Status(condition, code::status_text(cursor)?));
    }
    match name.as_str() {
        "BYE" | "PREAUTH" => {
            cursor.eat(b' ');
            let text = code::status_text(cursor)?;
            Ok(if name == "BYE" { Untagged::Bye(text) } else { Untagged::PreAuth(text) })
        }
        "CAPABILITY" => code::words(cursor).map(Untagged::Capability),
        "ENABLED" => code::words(cursor).map(Untagged::Enabled),
        "FLAGS" => {
            cursor.space()?;
            sets::flag_list(cursor).map(Untagged::Flags)
        }
        "LIST" | "LSUB" => {
            let entry = match list::list_entry(cursor) {
                Ok(entry) => entry,
                // A name that is not modified UTF-7 must not hide the other mailboxes.
                Err(_) => return Ok(other(start, cursor)),
            };
            Ok(if name == "LIST" { Untagged::List(entry) } else { Untagged::Lsub(entry) })
        }
        "NAMESPACE" => list::namespaces(cursor).map(Untagged::Namespace),
        "STATUS" => {
            cursor.space()?;
            let mailbox = match sets::mailbox(cursor) {
                Ok(mailbox) => mailbox,
                Err(_) => return Ok(other(start, cursor)),
            };
            cursor.space()?;
            Ok(Untagged::MailboxStatus { mailbox, items: list::status_values(cursor)? })
        }
        "SEARCH" => found(cursor).map(|(found, mod_seq)| Untagged::Search { found, mod_seq }),
        "SORT" => found(cursor).map(|(found, mod_seq)| Untagged::Sort { found, mod_seq }),
        "THREAD" => sort::threads(cursor).map(Untagged::Thread),
        "QUOTA" => quota::quota(cursor),
        "QUOTAROOT" => quota::quota_root(cursor),
        // Without values it is news of entries that changed (RFC 5464 §4.4.2), which we pass over.
        "METADATA" => match metadata::metadata(cursor) {
            Ok(known) => Ok(known),
            Err(_) => Ok(other(start, cursor)),
        },
        "ESEARCH" => extended_search(cursor).map(Untagged::ExtendedSearch),
        "ID" => {
            cursor.space()?;
            command::id_fields(cursor).map(Untagged::Id)
        }
        "VANISHED" => {
            cursor.space()?;
            let earlier = cursor.eat_word("(EARLIER) ");
            let time = if earlier { VanishedTime::Earlier } else { VanishedTime::Now };
            Ok(Untagged::Vanished { uids: sets::number_set(cursor)?, time })
        }
        _ => Ok(other(start, cursor)),
    }
}

/// Gives the whole response as it is.
fn other<'a>(start: Cursor<'a>, cursor: &mut Cursor<'a>) -> Untagged {
    *cursor = start;
    Untagged::Other(Bytes::copy_from_slice(cursor.take_while(|_| true)))
}

fn numbered(cursor: &mut Cursor<'_>) -> Parsed<Untagged> {
    let start = cursor.clone();
    let number = cursor.number()?;
    cursor.space()?;
    let name = cursor.name("EXISTS, RECENT, EXPUNGE or FETCH")?.to_ascii_uppercase();
    match name.as_str() {
        "EXISTS" => return Ok(Untagged::Exists(number)),
        "RECENT" => return Ok(Untagged::Recent(number)),
        "EXPUNGE" | "FETCH" => {}
        _ => return Ok(other(start, cursor)),
    }
    *cursor = start;
    let sequence = cursor.nz_number()?;
    cursor.space()?;
    cursor.name("EXPUNGE or FETCH")?;
    if name == "EXPUNGE" {
        return Ok(Untagged::Expunge(sequence));
    }
    cursor.space()?;
    Ok(Untagged::Fetch { sequence, data: cursor.list(limits::ITEMS, fetch::fetch_data)? })
}

fn found(cursor: &mut Cursor<'_>) -> Parsed<(Vec<NonZeroU32>, Option<u64>)> {
    let mut found = Vec::new();
    let mut mod_seq = None;
    while cursor.eat(b' ') {
        // RFC 7162 §3.1.5: "(MODSEQ n)" may end the list; and some servers end it with a space.
        match cursor.peek() {
            None => break,
            Some(b'(') => {
                mod_seq = condstore::result_mod_seq(cursor)?;
                break;
            }
            _ => found.push(cursor.nz_number()?),
        }
    }
    Ok((found, mod_seq))
}

fn extended_search(cursor: &mut Cursor<'_>) -> Parsed<ExtendedSearch> {
    let mut result = ExtendedSearch::default();
    if cursor.eat_word(" (TAG ") {
        let tag = cursor.string()?;
        result.tag = Tag::new(tag.as_ref());
        cursor.expect(b')')?;
    }
    let mut ahead = cursor.clone();
    if ahead.eat_word(" UID") && matches!(ahead.peek(), None | Some(b' ')) {
        *cursor = ahead;
        result.numbering = Numbering::Uid;
    }
    while cursor.eat(b' ') {
        let start = cursor.position();
        let name = cursor.name("a search result")?.to_ascii_uppercase();
        cursor.space()?;
        match name.as_str() {
            "MIN" => result.min = Some(cursor.number()?),
            "MAX" => result.max = Some(cursor.number()?),
            "COUNT" => result.count = Some(cursor.number()?),
            "ALL" => result.all = Some(sets::number_set(cursor)?),
            "MODSEQ" => result.mod_seq = Some(cursor.number64()?),
            _ => {
                cursor.back_to(start);
                return Err(cursor.error("unknown search result"));
            }
        }
    }
    Ok(result)
}

/// Prints a response with its line end. Streamed contents lack their octets.
pub fn print_response(writer: &mut Writer, response: &Response) {
    match response {
        Response::Untagged(untagged) => return print_untagged(writer, untagged),
        Response::Continue(Continuation::Challenge(challenge)) => {
            writer.text("+ ");
            writer.text(&STANDARD.encode(challenge));
        }
        Response::Continue(Continuation::Text(text)) => {
            writer.text("+ ");
            code::print_status_text(writer, text);
        }
        Response::Tagged { tag, condition, text } => {
            writer.display(format_args!("{tag} {} ", condition.name()));
            code::print_status_text(writer, text);
        }
    }
    writer.end_line();
}

/// Prints an untagged response with `* ` and its line end.
pub fn print_untagged(writer: &mut Writer, untagged: &Untagged) {
    writer.text("* ");
    match untagged {
        Untagged::Status(condition, text) => {
            writer.display(format_args!("{} ", condition.name()));
            code::print_status_text(writer, text);
        }
        Untagged::PreAuth(text) => {
            writer.text("PREAUTH ");
            code::print_status_text(writer, text);
        }
        Untagged::Bye(text) => {
            writer.text("BYE ");
            code::print_status_text(writer, text);
        }
        Untagged::Capability(names) => print_words(writer, "CAPABILITY", names),
        Untagged::Enabled(names) => print_words(writer, "ENABLED", names),
        Untagged::Flags(flags) => {
            writer.text("FLAGS ");
            writer.list(flags, |writer, flag| writer.display(flag));
        }
        Untagged::List(entry) => {
            writer.text("LIST");
            list::print_list_entry(writer, entry);
        }
        Untagged::Lsub(entry) => {
            writer.text("LSUB");
            list::print_list_entry(writer, entry);
        }
        Untagged::Namespace(namespaces) => {
            writer.text("NAMESPACE");
            list::print_namespaces(writer, namespaces);
        }
        Untagged::MailboxStatus { mailbox, items } => {
            writer.text("STATUS ");
            sets::print_mailbox(writer, mailbox);
            writer.byte(b' ');
            writer.list(items, |writer, (item, value)| match item {
                // RFC 8474 §4.3: an identifier, not a number.
                StatusItem::MailboxId => writer.display(format_args!("{item} (F{value:x})")),
                _ => writer.display(format_args!("{item} {value}")),
            });
        }
        Untagged::ExtendedSearch(result) => print_extended_search(writer, result),
        Untagged::Id(fields) => {
            writer.text("ID ");
            command::print_id_fields(writer, fields.as_ref());
        }
        Untagged::Exists(number) => writer.display(format_args!("{number} EXISTS")),
        Untagged::Recent(number) => writer.display(format_args!("{number} RECENT")),
        Untagged::Expunge(number) => writer.display(format_args!("{number} EXPUNGE")),
        Untagged::Vanished { uids, time } => {
            let earlier = if *time == VanishedTime::Earlier { "(EARLIER) " } else { "" };
            writer.display(format_args!("VANISHED {earlier}{uids}"));
        }
        Untagged::Fetch { sequence, data } => {
            writer.display(format_args!("{sequence} FETCH "));
            writer.list(data, fetch::print_fetch_data);
        }
        Untagged::Other(bytes) => writer.raw(bytes),
        extension => print_extension(writer, extension),
    }
    writer.end_line();
}

/// Results of searches, and responses of extensions with a file of their own.
fn print_extension(writer: &mut Writer, untagged: &Untagged) {
    match untagged {
        Untagged::Search { found, mod_seq } => {
            writer.text("SEARCH");
            condstore::print_found(writer, found, *mod_seq);
        }
        Untagged::Sort { found, mod_seq } => {
            writer.text("SORT");
            condstore::print_found(writer, found, *mod_seq);
        }
        Untagged::Thread(threads) => {
            writer.text("THREAD");
            sort::print_threads(writer, threads);
        }
        Untagged::Quota { root, resources } => {
            writer.text("QUOTA");
            quota::print_quota(writer, root, resources);
        }
        Untagged::QuotaRoot { mailbox, roots } => {
            writer.text("QUOTAROOT");
            quota::print_quota_root(writer, mailbox, roots);
        }
        Untagged::Metadata { mailbox, annotations } => {
            writer.text("METADATA");
            metadata::print_annotations(writer, mailbox.as_ref(), annotations);
        }
        // The others are written above.
        _ => {}
    }
}

fn print_words(writer: &mut Writer, name: &str, words: &[String]) {
    writer.text(name);
    for word in words {
        writer.display(format_args!(" {word}"));
    }
}

fn print_extended_search(writer: &mut Writer, result: &ExtendedSearch) {
    writer.text("ESEARCH");
    if let Some(tag) = &result.tag {
        writer.text(" (TAG ");
        writer.string(tag.as_str().as_bytes());
        writer.byte(b')');
    }
    if result.numbering == Numbering::Uid {
        writer.text(" UID");
    }
    let numbers = [("MIN", result.min), ("MAX", result.max), ("COUNT", result.count)];
    for (name, value) in numbers {
        if let Some(value) = value {
            writer.display(format_args!(" {name} {value}"));
        }
    }
    // RFC 4731 §3.1: ALL is left out when nothing was found.
    if let Some(all) = result.all.as_ref().filter(|all| !all.is_empty()) {
        writer.display(format_args!(" ALL {all}"));
    }
    for (index, number) in result.ordered.iter().enumerate() {
        let before = if index == 0 { " ALL " } else { "," };
        writer.display(format_args!("{before}{number}"));
    }
    if let Some(mod_seq) = result.mod_seq {
        writer.display(format_args!(" MODSEQ {mod_seq}"));
    }
}
