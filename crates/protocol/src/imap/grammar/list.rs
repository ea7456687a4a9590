//! LIST with its options, STATUS items and NAMESPACE as they are written (RFC 3501 §6.3.8, §7.2,
//! RFC 2342, RFC 5258, RFC 5819, RFC 9051 §6.3.9). Called by `command` and `response`.

use super::cursor::{Cursor, Names, ParseErrorKind, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::command::{List, ListForm, ListReturn, ListSelection};
use crate::imap::flag::MailboxAttribute;
use crate::imap::limits;
use crate::imap::mailbox::MailboxName;
use crate::imap::response::{ListEntry, ListName, Namespace, Namespaces, StatusItem};
use crate::imap::utf7;

/// What follows the word LIST.
pub(super) fn list(cursor: &mut Cursor<'_>) -> Parsed<List> {
    cursor.space()?;
    let mut form = ListForm::Basic;
    let mut selection = Vec::new();
    if cursor.peek() == Some(b'(') {
        form = ListForm::Extended;
        selection = cursor.list(limits::ITEMS, list_selection)?;
        cursor.space()?;
    }
    let reference = sets::list_pattern(cursor)?;
    cursor.space()?;
    let patterns = if cursor.peek() == Some(b'(') {
        form = ListForm::Extended;
        cursor.list(limits::ITEMS, sets::list_pattern)?
    } else {
        vec![sets::list_pattern(cursor)?]
    };
    let mut returns = Vec::new();
    if cursor.eat_word(" RETURN (") {
        form = ListForm::Extended;
        cursor.back_to(cursor.position() - 1);
        returns = cursor.list(limits::ITEMS, list_return)?;
    }
    Ok(List { selection, reference, patterns, returns, form })
}

fn list_selection(cursor: &mut Cursor<'_>) -> Parsed<ListSelection> {
    let start = cursor.position();
    let name = cursor.atom("a selection option")?;
    let known = SELECTIONS.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    known.map(|(_, option)| *option).ok_or_else(|| {
        cursor.back_to(start);
        cursor.error("unknown selection option")
    })
}

fn list_return(cursor: &mut Cursor<'_>) -> Parsed<ListReturn> {
    let start = cursor.position();
    let name = cursor.atom("a return option")?.to_ascii_uppercase();
    match name.as_str() {
        "SUBSCRIBED" => Ok(ListReturn::Subscribed),
        "CHILDREN" => Ok(ListReturn::Children),
        "SPECIAL-USE" => Ok(ListReturn::SpecialUse),
        "STATUS" => {
            cursor.space()?;
            status_items(cursor).map(ListReturn::Status)
        }
        _ => {
            cursor.back_to(start);
            Err(cursor.error("unknown return option"))
        }
    }
}

/// Prints LIST from behind the word on.
pub(super) fn print_list(writer: &mut Writer, list: &List) {
    writer.byte(b' ');
    if !list.selection.is_empty() {
        writer.list(&list.selection, |writer, option| {
            let name = SELECTIONS.iter().find(|(_, known)| known == option).map(|(name, _)| *name);
            writer.text(name.unwrap_or("SUBSCRIBED"));
        });
        writer.byte(b' ');
    }
    writer.astring(list.reference.to_utf7().as_bytes());
    writer.byte(b' ');
    match (list.patterns.as_slice(), list.form) {
        ([pattern], ListForm::Basic) => writer.list_mailbox(pattern.to_utf7().as_bytes()),
        (patterns, _) => writer.list(patterns, |writer, pattern| {
            writer.list_mailbox(pattern.to_utf7().as_bytes());
        }),
    }
    if !list.returns.is_empty() {
        writer.text(" RETURN ");
        writer.list(&list.returns, |writer, option| match option {
            ListReturn::Subscribed => writer.text("SUBSCRIBED"),
            ListReturn::Children => writer.text("CHILDREN"),
            ListReturn::SpecialUse => writer.text("SPECIAL-USE"),
            ListReturn::Status(items) => {
                writer.text("STATUS ");
                writer.list(items, |writer, item| writer.text(item.name()));
            }
        });
    }
}

/// `(MESSAGES UNSEEN ...)`
pub(super) fn status_items(cursor: &mut Cursor<'_>) -> Parsed<Vec<StatusItem>> {
    let items = cursor.list(limits::ITEMS, status_item)?;
    if items.is_empty() { Err(cursor.error("expected a STATUS item")) } else { Ok(items) }
}

fn status_item(cursor: &mut Cursor<'_>) -> Parsed<StatusItem> {
    let start = cursor.position();
    let name = cursor.atom("a STATUS item")?;
    let known = StatusItem::ALL.into_iter().find(|item| item.name().eq_ignore_ascii_case(name));
    known.ok_or_else(|| {
        cursor.back_to(start);
        cursor.error("unknown STATUS item")
    })
}

/// The items of a STATUS response with their values; unknown ones are passed over.
pub(super) fn status_values(cursor: &mut Cursor<'_>) -> Parsed<Vec<(StatusItem, u64)>> {
    let values = cursor.list(limits::ITEMS, |cursor| {
        let name = cursor.atom("a STATUS item")?;
        cursor.space()?;
        // RFC 7889 §4: APPENDLIMIT may be NIL; RFC 8474 §4.3: MAILBOXID is no number.
        if cursor.eat_nil() {
            return Ok(None);
        }
        if cursor.peek() == Some(b'(') {
            cursor.list(limits::ITEMS, Cursor::astring)?;
            return Ok(None);
        }
        let value = cursor.number64()?;
        let item = StatusItem::ALL.into_iter().find(|item| item.name().eq_ignore_ascii_case(name));
        Ok(item.map(|item| (item, value)))
    })?;
    Ok(values.into_iter().flatten().collect())
}

/// What follows the word LIST or LSUB in a response.
pub(super) fn list_entry(cursor: &mut Cursor<'_>) -> Parsed<ListEntry> {
    cursor.space()?;
    let attributes = cursor.list(limits::FLAGS, |cursor| {
        cursor.expect(b'\\')?;
        let name = cursor.atom("an attribute")?;
        MailboxAttribute::from_name(name)
            .ok_or_else(|| cursor.fault(ParseErrorKind::Limit, "the attribute is too long"))
    })?;
    cursor.space()?;
    let delimiter = delimiter(cursor)?;
    cursor.space()?;
    let start = cursor.position();
    let wire = cursor.astring()?;
    let unicode = match wire.as_ref().is_ascii() {
        true => utf7::decode(wire.as_ref()).map_err(|error| error.to_string()),
        false => String::from_utf8(wire.into_vec()).map_err(|error| error.to_string()),
    };
    let unicode = unicode.map_err(|error| {
        cursor.back_to(start);
        cursor.fault(ParseErrorKind::Name, error)
    })?;
    let is_root = unicode.is_empty() || delimiter.is_some_and(|d| unicode.ends_with(d));
    let name = if is_root {
        ListName::Root(unicode)
    } else {
        ListName::Mailbox(MailboxName::new(&unicode).map_err(|error| {
            cursor.back_to(start);
            cursor.fault(ParseErrorKind::Name, error.to_string())
        })?)
    };
    let child_info = child_info(cursor)?;
    Ok(ListEntry { attributes, delimiter, name, child_info })
}

/// RFC 5258 §6: extended data `("CHILDINFO" ("SUBSCRIBED") "OLDNAME" (...))`; of these we know one.
fn child_info(cursor: &mut Cursor<'_>) -> Parsed<Vec<String>> {
    let mut info = Vec::new();
    if !cursor.eat(b' ') {
        return Ok(info);
    }
    cursor.list(limits::ITEMS, |cursor| {
        let label = cursor.astring()?;
        cursor.space()?;
        let known = label.as_ref().eq_ignore_ascii_case(b"CHILDINFO");
        let values = cursor.list(limits::ITEMS, Cursor::astring)?;
        for value in values.iter().filter(|_| known) {
            info.push(String::from_utf8_lossy(value.as_ref()).to_ascii_uppercase());
        }
        Ok(())
    })?;
    Ok(info)
}

fn delimiter(cursor: &mut Cursor<'_>) -> Parsed<Option<char>> {
    if cursor.eat_nil() {
        return Ok(None);
    }
    let text = cursor.string()?;
    match text.as_ref() {
        [byte] if byte.is_ascii() => Ok(Some(char::from(*byte))),
        _ => Err(cursor.error("the hierarchy delimiter is one character")),
    }
}

/// Prints LIST or LSUB from behind the word on.
pub(super) fn print_list_entry(writer: &mut Writer, entry: &ListEntry) {
    writer.byte(b' ');
    writer.list(&entry.attributes, |writer, attribute| writer.display(attribute));
    writer.byte(b' ');
    print_delimiter(writer, entry.delimiter);
    writer.byte(b' ');
    match &entry.name {
        ListName::Mailbox(name) => sets::print_mailbox(writer, name),
        ListName::Root(root) if writer.names() == Names::Utf8 => writer.utf8_name(root),
        ListName::Root(root) => writer.astring(utf7::encode(root).as_bytes()),
    }
    if !entry.child_info.is_empty() {
        writer.text(" (\"CHILDINFO\" ");
        writer.list(&entry.child_info, |writer, option| writer.string(option.as_bytes()));
        writer.byte(b')');
    }
}

fn print_delimiter(writer: &mut Writer, delimiter: Option<char>) {
    let mut buffer = [0; 4];
    writer.nstring(delimiter.map(|d| &*d.encode_utf8(&mut buffer)).map(str::as_bytes));
}

/// What follows the word NAMESPACE in a response.
pub(super) fn namespaces(cursor: &mut Cursor<'_>) -> Parsed<Namespaces> {
    cursor.space()?;
    let personal = namespace_list(cursor)?;
    cursor.space()?;
    let others = namespace_list(cursor)?;
    cursor.space()?;
    let shared = namespace_list(cursor)?;
    Ok(Namespaces { personal, others, shared })
}

/// RFC 2342 §6: descriptions follow each other without a space.
fn namespace_list(cursor: &mut Cursor<'_>) -> Parsed<Option<Vec<Namespace>>> {
    if cursor.eat_nil() {
        return Ok(None);
    }
    cursor.expect(b'(')?;
    let mut spaces = Vec::new();
    while !cursor.eat(b')') {
        if spaces.len() >= limits::ITEMS {
            return Err(cursor.fault(ParseErrorKind::Limit, "too many namespaces"));
        }
        cursor.eat(b' ');
        cursor.expect(b'(')?;
        let wire = cursor.string()?;
        let prefix = utf7::decode(wire.as_ref())
            .unwrap_or_else(|_| String::from_utf8_lossy(wire.as_ref()).into_owned());
        cursor.space()?;
        let delimiter = delimiter(cursor)?;
        // Extensions: SP string SP "(" string ... ")"; we know none.
        while cursor.eat(b' ') {
            cursor.string()?;
            cursor.space()?;
            cursor.list(limits::ITEMS, Cursor::string)?;
        }
        cursor.expect(b')')?;
        spaces.push(Namespace { prefix, delimiter });
    }
    Ok(Some(spaces))
}

/// Prints NAMESPACE from behind the word on.
pub(super) fn print_namespaces(writer: &mut Writer, namespaces: &Namespaces) {
    for list in [&namespaces.personal, &namespaces.others, &namespaces.shared] {
        writer.byte(b' ');
        let Some(spaces) = list else {
            writer.text("NIL");
            continue;
        };
        writer.byte(b'(');
        for space in spaces {
            writer.byte(b'(');
            writer.string(utf7::encode(&space.prefix).as_bytes());
            writer.byte(b' ');
            print_delimiter(writer, space.delimiter);
            writer.byte(b')');
        }
        writer.byte(b')');
    }
}

const SELECTIONS: [(&str, ListSelection); 4] = [
    ("SUBSCRIBED", ListSelection::Subscribed),
    ("REMOTE", ListSelection::Remote),
    ("RECURSIVEMATCH", ListSelection::RecursiveMatch),
    ("SPECIAL-USE", ListSelection::SpecialUse),
];
