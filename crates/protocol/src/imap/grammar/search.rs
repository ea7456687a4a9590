//! SEARCH and its keys as they are written (RFC 3501 §6.4.4, RFC 4731, RFC 9051 §6.4.4). Called by
//! `command`.

use super::cursor::{Cursor, ParseErrorKind, Parsed};
use super::writer::Writer;
use super::{condstore, sets};
use crate::imap::command::{Numbering, Search, SearchReturn};
use crate::imap::flag::{Flag, Keyword};
use crate::imap::limits;
use crate::imap::search::{DateOrder, SearchField, SearchKey};

/// What follows the word SEARCH.
pub(super) fn search(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<Search> {
    cursor.space()?;
    let returns = returns(cursor)?;
    let mut charset = None;
    if cursor.eat_word("CHARSET ") {
        charset = Some(self::charset(cursor)?);
        cursor.space()?;
    }
    Ok(Search { numbering, returns, charset, key: keys(cursor)? })
}

/// `RETURN (...) `, if it is there.
pub(super) fn returns(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<SearchReturn>>> {
    if !cursor.eat_word("RETURN (") {
        return Ok(None);
    }
    cursor.back_to(cursor.position() - 1);
    let returns = cursor.list(limits::ITEMS, search_return)?;
    cursor.space()?;
    Ok(Some(returns))
}

/// The name of a charset, in upper case.
pub(super) fn charset(cursor: &mut Cursor<'_>) -> Parsed<String> {
    Ok(String::from_utf8_lossy(cursor.astring()?.as_ref()).to_ascii_uppercase())
}

/// One key or more, all of which must hold.
pub(super) fn keys(cursor: &mut Cursor<'_>) -> Parsed<SearchKey> {
    let mut count = 0;
    let mut keys = vec![key(cursor, &mut count)?];
    while cursor.eat(b' ') {
        keys.push(key(cursor, &mut count)?);
    }
    Ok(one_of(keys))
}

fn search_return(cursor: &mut Cursor<'_>) -> Parsed<SearchReturn> {
    let start = cursor.position();
    let name = cursor.atom("a result option")?;
    RETURNS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, r)| *r).ok_or_else(
        || {
            cursor.back_to(start);
            cursor.error("expected MIN, MAX, ALL, COUNT or SAVE")
        },
    )
}

/// One key stands for itself, several for their conjunction.
fn one_of(mut keys: Vec<SearchKey>) -> SearchKey {
    if keys.len() == 1 { keys.pop().unwrap_or(SearchKey::All) } else { SearchKey::And(keys) }
}

fn key(cursor: &mut Cursor<'_>, count: &mut usize) -> Parsed<SearchKey> {
    *count += 1;
    if *count > limits::SEARCH_KEYS {
        let message = format!("more than {} search keys", limits::SEARCH_KEYS);
        return Err(cursor.fault(ParseErrorKind::Limit, message));
    }
    match cursor.peek() {
        Some(b'(') => cursor.nested(|cursor| {
            let keys = cursor.list(limits::SEARCH_KEYS, |cursor| key(cursor, count))?;
            if keys.is_empty() {
                return Err(cursor.error("expected a search key in the parentheses"));
            }
            Ok(one_of(keys))
        }),
        Some(b'0'..=b'9' | b'*' | b'$') => sets::sequence_set(cursor).map(SearchKey::Sequence),
        _ => named_key(cursor, count),
    }
}

fn named_key(cursor: &mut Cursor<'_>, count: &mut usize) -> Parsed<SearchKey> {
    let start = cursor.position();
    let name = cursor.name("a search key")?.to_ascii_uppercase();
    if let Some((_, flag, set)) = FLAGS.iter().find(|(known, ..)| *known == name) {
        let flag = flag.clone();
        return Ok(if *set { SearchKey::Flag(flag) } else { SearchKey::Unflag(flag) });
    }
    if let Some((_, order, which)) = DATES.iter().find(|(known, ..)| *known == name) {
        cursor.space()?;
        let date = sets::date(cursor)?;
        return Ok(match which {
            Which::Internal => SearchKey::Internal(*order, date),
            Which::Sent => SearchKey::Sent(*order, date),
            Which::Saved => SearchKey::Saved(*order, date),
        });
    }
    let field = match name.as_str() {
        "BCC" => Some(SearchField::Bcc),
        "CC" => Some(SearchField::Cc),
        "FROM" => Some(SearchField::From),
        "SUBJECT" => Some(SearchField::Subject),
        "TO" => Some(SearchField::To),
        _ => None,
    };
    if let Some(field) = field {
        return Ok(SearchKey::Header { field, value: argument(cursor)? });
    }
    match name.as_str() {
        "ALL" => Ok(SearchKey::All),
        "NEW" => Ok(SearchKey::New),
        "BODY" => argument(cursor).map(SearchKey::Body),
        "TEXT" => argument(cursor).map(SearchKey::Text),
        "HEADER" => {
            let name = String::from_utf8_lossy(&argument(cursor)?).into_owned();
            Ok(SearchKey::Header { field: SearchField::Named(name), value: argument(cursor)? })
        }
        "KEYWORD" => keyword(cursor).map(|k| SearchKey::Flag(Flag::Keyword(k))),
        "UNKEYWORD" => keyword(cursor).map(|k| SearchKey::Unflag(Flag::Keyword(k))),
        "LARGER" | "SMALLER" => {
            cursor.space()?;
            let size = cursor.number64()?;
            Ok(if name == "LARGER" { SearchKey::Larger(size) } else { SearchKey::Smaller(size) })
        }
        "UID" => {
            cursor.space()?;
            sets::sequence_set(cursor).map(SearchKey::Uid)
        }
        "NOT" => {
            cursor.space()?;
            cursor.nested(|cursor| Ok(SearchKey::Not(Box::new(key(cursor, count)?))))
        }
        "OR" => cursor.nested(|cursor| {
            cursor.space()?;
            let left = Box::new(key(cursor, count)?);
            cursor.space()?;
            Ok(SearchKey::Or(left, Box::new(key(cursor, count)?)))
        }),
        _ => extension_key(cursor, &name)?.ok_or_else(|| {
            cursor.back_to(start);
            cursor.error("unknown search key")
        }),
    }
}

/// Keys of extensions (RFC 7162, RFC 5032, RFC 8514, RFC 8474); `None`: not one of these.
fn extension_key(cursor: &mut Cursor<'_>, name: &str) -> Parsed<Option<SearchKey>> {
    Ok(Some(match name {
        "MODSEQ" => SearchKey::ModSeq(condstore::search_mod_seq(cursor)?),
        "OLDER" | "YOUNGER" => {
            cursor.space()?;
            let seconds = cursor.nz_number()?.get();
            let key = if name == "OLDER" { SearchKey::Older } else { SearchKey::Younger };
            key(seconds)
        }
        "SAVEDATESUPPORTED" => SearchKey::SaveDateSupported,
        "EMAILID" | "THREADID" => {
            cursor.space()?;
            let id = cursor.atom("an object identifier")?.to_owned();
            let key = if name == "EMAILID" { SearchKey::EmailId } else { SearchKey::ThreadId };
            key(id)
        }
        _ => return Ok(None),
    }))
}

fn argument(cursor: &mut Cursor<'_>) -> Parsed<Vec<u8>> {
    cursor.space()?;
    cursor.astring().map(super::cursor::Text::into_vec)
}

fn keyword(cursor: &mut Cursor<'_>) -> Parsed<Keyword> {
    cursor.space()?;
    let name = cursor.atom("a keyword")?;
    Keyword::new(name).ok_or_else(|| cursor.fault(ParseErrorKind::Limit, "the keyword is too long"))
}

/// Prints SEARCH from behind the word on.
pub(super) fn print_search(writer: &mut Writer, search: &Search) {
    print_returns(writer, search.returns.as_deref());
    if let Some(charset) = &search.charset {
        writer.text(" CHARSET ");
        writer.astring(charset.as_bytes());
    }
    writer.byte(b' ');
    print_keys(writer, &search.key);
}

/// Prints ` RETURN (...)`, if it is there.
pub(super) fn print_returns(writer: &mut Writer, returns: Option<&[SearchReturn]>) {
    let Some(returns) = returns else { return };
    writer.text(" RETURN ");
    writer.list(returns, |writer, option| {
        let name = RETURNS.iter().find(|(_, known)| known == option).map(|(name, _)| *name);
        writer.text(name.unwrap_or("ALL"));
    });
}

/// Prints keys that must all hold.
pub(super) fn print_keys(writer: &mut Writer, key: &SearchKey) {
    match key {
        SearchKey::And(keys) => writer.spaced(keys, print_key),
        key => print_key(writer, key),
    }
}

fn print_key(writer: &mut Writer, key: &SearchKey) {
    match key {
        SearchKey::All => writer.text("ALL"),
        SearchKey::New => writer.text("NEW"),
        SearchKey::And(keys) => writer.list(keys, print_key),
        SearchKey::Or(left, right) => {
            writer.text("OR ");
            print_key(writer, left);
            writer.byte(b' ');
            print_key(writer, right);
        }
        SearchKey::Not(key) => {
            writer.text("NOT ");
            print_key(writer, key);
        }
        SearchKey::Sequence(set) => writer.display(set),
        SearchKey::Uid(set) => writer.display(format_args!("UID {set}")),
        SearchKey::Flag(flag) => print_flag(writer, flag, true),
        SearchKey::Unflag(flag) => print_flag(writer, flag, false),
        SearchKey::Header { field, value } => {
            match field {
                SearchField::Named(name) => {
                    writer.text("HEADER ");
                    writer.astring(name.as_bytes());
                }
                known => writer.text(&known.name().to_ascii_uppercase()),
            }
            writer.byte(b' ');
            writer.astring(value);
        }
        SearchKey::Body(value) => {
            writer.text("BODY ");
            writer.astring(value);
        }
        SearchKey::Text(value) => {
            writer.text("TEXT ");
            writer.astring(value);
        }
        SearchKey::Internal(order, date) => print_date(writer, (*order, Which::Internal), date),
        SearchKey::Sent(order, date) => print_date(writer, (*order, Which::Sent), date),
        SearchKey::Saved(order, date) => print_date(writer, (*order, Which::Saved), date),
        SearchKey::SaveDateSupported => writer.text("SAVEDATESUPPORTED"),
        SearchKey::ModSeq(mod_seq) => writer.display(format_args!("MODSEQ {mod_seq}")),
        SearchKey::Older(seconds) => writer.display(format_args!("OLDER {seconds}")),
        SearchKey::Younger(seconds) => writer.display(format_args!("YOUNGER {seconds}")),
        SearchKey::EmailId(id) => writer.display(format_args!("EMAILID {id}")),
        SearchKey::ThreadId(id) => writer.display(format_args!("THREADID {id}")),
        SearchKey::Larger(size) => writer.display(format_args!("LARGER {size}")),
        SearchKey::Smaller(size) => writer.display(format_args!("SMALLER {size}")),
    }
}

fn print_flag(writer: &mut Writer, flag: &Flag, set: bool) {
    match FLAGS.iter().find(|(_, known, wanted)| known == flag && *wanted == set) {
        Some((name, ..)) => writer.text(name),
        None => {
            writer.text(if set { "KEYWORD " } else { "UNKEYWORD " });
            writer.display(flag);
        }
    }
}

fn print_date(writer: &mut Writer, form: (DateOrder, Which), date: &crate::imap::date::Date) {
    let known = DATES.iter().find(|(_, order, which)| (*order, *which) == form);
    let name = known.map(|(name, ..)| name);
    writer.display(format_args!("{} {date}", name.unwrap_or(&"ON")));
}

const RETURNS: [(&str, SearchReturn); 5] = [
    ("MIN", SearchReturn::Min),
    ("MAX", SearchReturn::Max),
    ("ALL", SearchReturn::All),
    ("COUNT", SearchReturn::Count),
    ("SAVE", SearchReturn::Save),
];

/// Name, flag, and whether it must be set.
const FLAGS: [(&str, Flag, bool); 12] = [
    ("ANSWERED", Flag::Answered, true),
    ("DELETED", Flag::Deleted, true),
    ("DRAFT", Flag::Draft, true),
    ("FLAGGED", Flag::Flagged, true),
    ("RECENT", Flag::Recent, true),
    ("SEEN", Flag::Seen, true),
    ("UNANSWERED", Flag::Answered, false),
    ("UNDELETED", Flag::Deleted, false),
    ("UNDRAFT", Flag::Draft, false),
    ("UNFLAGGED", Flag::Flagged, false),
    ("OLD", Flag::Recent, false),
    ("UNSEEN", Flag::Seen, false),
];

/// Which date is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The internal date.
    Internal,
    /// The Date field.
    Sent,
    /// When the letter came into the mailbox.
    Saved,
}

/// Name, order, and which date.
const DATES: [(&str, DateOrder, Which); 9] = [
    ("BEFORE", DateOrder::Before, Which::Internal),
    ("ON", DateOrder::On, Which::Internal),
    ("SINCE", DateOrder::Since, Which::Internal),
    ("SENTBEFORE", DateOrder::Before, Which::Sent),
    ("SENTON", DateOrder::On, Which::Sent),
    ("SENTSINCE", DateOrder::Since, Which::Sent),
    ("SAVEDBEFORE", DateOrder::Before, Which::Saved),
    ("SAVEDON", DateOrder::On, Which::Saved),
    ("SAVEDSINCE", DateOrder::Since, Which::Saved),
];
