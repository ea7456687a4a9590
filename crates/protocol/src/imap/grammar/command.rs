//! Commands as they are written, both ways (RFC 3501 §6 and §9). APPEND's message is not here: the
//! machines stream it. Called by the server machine (parsing) and the client machine (printing).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

use super::cursor::{Cursor, Names, ParseErrorKind, Parsed};
use super::writer::Writer;
use super::{append, condstore, fetch, list, metadata, quota, search, sets, sort};
use crate::imap::command::{
    Command, IdFields, Numbering, Store, StoreAction, StoreEcho, Tag, Transfer,
};
use crate::imap::flag::SpecialUse;
use crate::imap::limits;
use crate::imap::sequence::SequenceSet;
use crate::secret::Secret;

/// A whole command, literals included, without the last CRLF. APPEND is not among these: see
/// [`super::parse_append_prefix`].
///
/// # Errors
/// What is wrong with it and where. The tag comes back if there is one, for the BAD.
pub fn parse_command(input: &[u8]) -> Result<(Tag, Command), (Option<Tag>, super::ParseError)> {
    parse_command_in(input, Names::Utf7)
}

/// The same, where mailbox names are written in a known way.
///
/// # Errors
/// As [`parse_command`].
pub fn parse_command_in(
    input: &[u8],
    names: Names,
) -> Result<(Tag, Command), (Option<Tag>, super::ParseError)> {
    let mut cursor = Cursor::new(input).with_names(names);
    let tag = match tag(&mut cursor) {
        Ok(tag) => tag,
        Err(error) => return Err((None, error)),
    };
    match cursor.space().and_then(|()| command(&mut cursor)) {
        Ok(command) => match cursor.end() {
            Ok(()) => Ok((tag, command)),
            Err(error) => Err((Some(tag), error)),
        },
        Err(error) => Err((Some(tag), error)),
    }
}

pub(super) fn tag(cursor: &mut Cursor<'_>) -> Parsed<Tag> {
    let start = cursor.position();
    let tag = cursor.take_while(super::is_tag_byte);
    if tag.is_empty() {
        return Err(cursor.expected("a tag"));
    }
    Tag::new(tag).ok_or_else(|| {
        cursor.back_to(start);
        let message = format!("a tag has at most {} octets", limits::TAG_SIZE);
        cursor.fault(ParseErrorKind::Limit, message)
    })
}

fn command(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let start = cursor.position();
    let name = cursor.name("a command")?.to_ascii_uppercase();
    if let Some((_, command)) = plain_command(&name) {
        return Ok(command);
    }
    match name.as_str() {
        "AUTHENTICATE" => authenticate(cursor),
        "LOGIN" => login(cursor),
        "ENABLE" => enable(cursor),
        "SELECT" => condstore::selection(cursor).map(Command::Select),
        "EXAMINE" => condstore::selection(cursor).map(Command::Examine),
        "CREATE" => create(cursor),
        "DELETE" => mailbox(cursor).map(Command::Delete),
        "RENAME" => Ok(Command::Rename { from: mailbox(cursor)?, to: mailbox(cursor)? }),
        "SUBSCRIBE" => mailbox(cursor).map(Command::Subscribe),
        "UNSUBSCRIBE" => mailbox(cursor).map(Command::Unsubscribe),
        "LIST" => list::list(cursor).map(Command::List),
        "LSUB" => {
            cursor.space()?;
            let reference = sets::list_pattern(cursor)?;
            cursor.space()?;
            Ok(Command::Lsub { reference, pattern: sets::list_pattern(cursor)? })
        }
        "STATUS" => {
            let mailbox = mailbox(cursor)?;
            cursor.space()?;
            Ok(Command::Status { mailbox, items: list::status_items(cursor)? })
        }
        // Seen here only when no literal came with it.
        "APPEND" | "REPLACE" => {
            Err(cursor.error("APPEND needs a mailbox and a literal with the message"))
        }
        "ID" => id(cursor),
        "COMPRESS" => match cursor.eat_word(" DEFLATE") {
            true => Ok(Command::Compress),
            false => Err(cursor.expected("DEFLATE")),
        },
        "GETQUOTA" => {
            cursor.space()?;
            quota::root(cursor).map(Command::GetQuota)
        }
        "GETQUOTAROOT" => mailbox(cursor).map(Command::GetQuotaRoot),
        "GETMETADATA" => metadata::get(cursor).map(Command::GetMetadata),
        "SETMETADATA" => metadata::set(cursor).map(Command::SetMetadata),
        "UID" => {
            cursor.space()?;
            let start = cursor.position();
            let name = cursor.name("COPY, EXPUNGE, FETCH, MOVE, SEARCH, SORT, STORE or THREAD")?;
            if name.eq_ignore_ascii_case("EXPUNGE") {
                cursor.space()?;
                return sets::sequence_set(cursor).map(Command::UidExpunge);
            }
            let name = name.to_ascii_uppercase();
            numbered(cursor, &name, Numbering::Uid)?.ok_or_else(|| {
                cursor.back_to(start);
                cursor.fault(ParseErrorKind::Unknown, "unknown command after UID")
            })
        }
        _ => numbered(cursor, &name, Numbering::Sequence)?.ok_or_else(|| {
            cursor.back_to(start);
            cursor.fault(ParseErrorKind::Unknown, "unknown command")
        }),
    }
}

/// Commands without arguments.
fn plain_command(name: &str) -> Option<(&'static str, Command)> {
    let table = [
        ("CAPABILITY", Command::Capability),
        ("NOOP", Command::Noop),
        ("LOGOUT", Command::Logout),
        ("STARTTLS", Command::StartTls),
        ("NAMESPACE", Command::Namespace),
        ("IDLE", Command::Idle),
        ("CHECK", Command::Check),
        ("CLOSE", Command::Close),
        ("UNSELECT", Command::Unselect),
        ("EXPUNGE", Command::Expunge),
    ];
    table.into_iter().find(|(known, _)| *known == name)
}

/// Commands that exist with and without UID before them; `None`: not one of these.
fn numbered(cursor: &mut Cursor<'_>, name: &str, numbering: Numbering) -> Parsed<Option<Command>> {
    if name == "SEARCH" {
        return search::search(cursor, numbering).map(|search| Some(Command::Search(search)));
    }
    match name {
        "SORT" => return sort::sort(cursor, numbering).map(Some),
        "THREAD" => return sort::thread(cursor, numbering).map(Some),
        _ => {}
    }
    if !matches!(name, "FETCH" | "STORE" | "COPY" | "MOVE") {
        return Ok(None);
    }
    cursor.space()?;
    let set = sets::sequence_set(cursor)?;
    if matches!(name, "COPY" | "MOVE") {
        let transfer = Transfer { numbering, set, mailbox: mailbox(cursor)? };
        let is_copy = name == "COPY";
        return Ok(Some(if is_copy { Command::Copy(transfer) } else { Command::Move(transfer) }));
    }
    cursor.space()?;
    if name == "FETCH" {
        let items = fetch::fetch_items(cursor)?;
        let modifiers = condstore::fetch_modifiers(cursor)?;
        return Ok(Some(Command::Fetch { numbering, set, items, modifiers }));
    }
    store(cursor, numbering, set).map(|store| Some(Command::Store(store)))
}

fn store(cursor: &mut Cursor<'_>, numbering: Numbering, set: SequenceSet) -> Parsed<Store> {
    let unchanged_since = condstore::store_modifiers(cursor)?;
    let action = match cursor.peek() {
        Some(b'+') => StoreAction::Add,
        Some(b'-') => StoreAction::Remove,
        _ => StoreAction::Replace,
    };
    if action != StoreAction::Replace {
        let _ = cursor.eat(b'+') || cursor.eat(b'-');
    }
    if !cursor.eat_word("FLAGS") {
        return Err(cursor.expected("FLAGS, +FLAGS or -FLAGS"));
    }
    let echo = if cursor.eat_word(".SILENT") { StoreEcho::Silent } else { StoreEcho::Told };
    cursor.space()?;
    let flags =
        if cursor.peek() == Some(b'(') { sets::flag_list(cursor)? } else { bare_flags(cursor)? };
    Ok(Store { numbering, set, action, echo, flags, unchanged_since })
}

/// RFC 3501 §9: STORE takes its flags without parentheses too.
fn bare_flags(cursor: &mut Cursor<'_>) -> Parsed<Vec<crate::imap::Flag>> {
    let mut flags = vec![sets::flag(cursor)?];
    while cursor.eat(b' ') {
        if flags.len() >= limits::FLAGS {
            return Err(cursor.fault(ParseErrorKind::Limit, "too many flags"));
        }
        flags.push(sets::flag(cursor)?);
    }
    Ok(flags)
}

fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<crate::imap::MailboxName> {
    cursor.space()?;
    sets::mailbox(cursor)
}

fn authenticate(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let mechanism = cursor.atom("a SASL mechanism")?.to_ascii_uppercase();
    let mut initial = None;
    if cursor.eat(b' ') {
        // RFC 4959 §3: "=" stands for an empty initial response.
        let text = cursor.take_while(|byte| byte != b' ');
        let decoded = if text == b"=" { Some(Vec::new()) } else { STANDARD.decode(text).ok() };
        let decoded = decoded.filter(|_| !text.is_empty());
        let decoded = decoded.ok_or_else(|| cursor.error("the initial response is not base64"))?;
        initial = Some(Secret::new(decoded));
    }
    Ok(Command::Authenticate { mechanism, initial })
}

fn login(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    let user = cursor.astring()?.into_vec();
    cursor.space()?;
    let password = Secret::new(cursor.astring()?.into_vec());
    Ok(Command::Login { user, password })
}

fn enable(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mut names = Vec::new();
    cursor.space()?;
    loop {
        if names.len() >= limits::ITEMS {
            return Err(cursor.fault(ParseErrorKind::Limit, "too many capabilities"));
        }
        names.push(cursor.atom("a capability")?.to_ascii_uppercase());
        if !cursor.eat(b' ') {
            return Ok(Command::Enable(names));
        }
    }
}

fn create(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    let mailbox = mailbox(cursor)?;
    let mut uses = Vec::new();
    if cursor.eat_word(" (USE (") {
        cursor.back_to(cursor.position() - 1);
        uses = cursor.list(limits::ITEMS, |cursor| {
            cursor.expect(b'\\')?;
            let name = cursor.atom("a special use")?;
            let unknown = || cursor.fault(ParseErrorKind::Use, "unknown special use");
            SpecialUse::from_name(name).ok_or_else(unknown)
        })?;
        cursor.expect(b')')?;
    }
    Ok(Command::Create { mailbox, uses })
}

fn id(cursor: &mut Cursor<'_>) -> Parsed<Command> {
    cursor.space()?;
    id_fields(cursor).map(Command::Id)
}

/// `NIL` or a list of names and values (RFC 2971 §4).
pub(super) fn id_fields(cursor: &mut Cursor<'_>) -> Parsed<Option<IdFields>> {
    if cursor.eat_nil() {
        return Ok(None);
    }
    let fields = cursor.list(limits::ID_FIELDS, |cursor| {
        let name = String::from_utf8_lossy(cursor.string()?.as_ref()).into_owned();
        cursor.space()?;
        Ok((name, cursor.nstring()?.map(|value| Bytes::from(value.into_vec()))))
    })?;
    Ok(Some(fields))
}

/// Prints the fields of ID.
pub(super) fn print_id_fields(writer: &mut Writer, fields: Option<&IdFields>) {
    let Some(fields) = fields else {
        return writer.text("NIL");
    };
    writer.list(fields, |writer, (name, value)| {
        writer.string(name.as_bytes());
        writer.byte(b' ');
        writer.nstring(value.as_deref());
    });
}

/// Prints a command with its tag and line end; APPEND ends with the header of its literal instead,
/// and the message and a line end must follow.
pub fn print_command(writer: &mut Writer, tag: &Tag, command: &Command) {
    writer.display(format_args!("{tag} {}", command.name()));
    print_arguments(writer, command);
    if !matches!(command, Command::Append(_)) {
        writer.end_line();
    }
}

fn print_arguments(writer: &mut Writer, command: &Command) {
    match command {
        Command::Authenticate { .. } | Command::Login { .. } | Command::Enable(_) => {
            print_login(writer, command);
        }
        Command::Select(selection) | Command::Examine(selection) => {
            condstore::print_selection(writer, selection);
        }
        Command::Create { .. }
        | Command::GetQuotaRoot(_)
        | Command::Delete(_)
        | Command::Subscribe(_)
        | Command::Unsubscribe(_)
        | Command::Rename { .. }
        | Command::Lsub { .. }
        | Command::Status { .. } => print_named(writer, command),
        Command::List(list) => list::print_list(writer, list),
        Command::Append(append) => append::print_append(writer, append),
        Command::Id(fields) => {
            writer.byte(b' ');
            print_id_fields(writer, fields.as_ref());
        }
        Command::UidExpunge(set) => writer.display(format_args!(" {set}")),
        Command::Search(search) => search::print_search(writer, search),
        Command::Fetch { set, items, modifiers, .. } => {
            writer.display(format_args!(" {set} "));
            fetch::print_fetch_items(writer, items);
            condstore::print_fetch_modifiers(writer, *modifiers);
        }
        Command::Sort { criteria, search } => sort::print_sort(writer, criteria, search),
        Command::Thread { algorithm, search } => sort::print_thread(writer, *algorithm, search),
        Command::Compress => writer.text(" DEFLATE"),
        Command::GetQuota(root) => {
            writer.byte(b' ');
            writer.astring(root.as_bytes());
        }
        Command::GetMetadata(get) => metadata::print_get(writer, get),
        Command::SetMetadata(set) => {
            metadata::print_annotations(writer, set.mailbox.as_ref(), &set.annotations);
        }
        Command::Store(store) => print_store(writer, store),
        Command::Copy(transfer) | Command::Move(transfer) => {
            writer.display(format_args!(" {} ", transfer.set));
            sets::print_mailbox(writer, &transfer.mailbox);
        }
        Command::Capability
        | Command::Noop
        | Command::Logout
        | Command::StartTls
        | Command::Namespace
        | Command::Idle
        | Command::Check
        | Command::Close
        | Command::Unselect
        | Command::Expunge => {}
    }
}

/// Commands around the login.
fn print_login(writer: &mut Writer, command: &Command) {
    writer.byte(b' ');
    match command {
        Command::Authenticate { mechanism, initial } => {
            writer.text(mechanism);
            match initial {
                Some(bytes) if bytes.reveal().is_empty() => writer.text(" ="),
                Some(bytes) => {
                    writer.display(format_args!(" {}", STANDARD.encode(bytes.reveal())));
                }
                None => {}
            }
        }
        Command::Login { user, password } => {
            writer.astring(user);
            writer.byte(b' ');
            writer.astring(password.reveal());
        }
        Command::Enable(names) => writer.spaced(names, |writer, name| writer.text(name)),
        _ => {}
    }
}

/// Commands that begin with the name of a mailbox.
fn print_named(writer: &mut Writer, command: &Command) {
    writer.byte(b' ');
    match command {
        Command::Create { mailbox, uses } => {
            sets::print_mailbox(writer, mailbox);
            if !uses.is_empty() {
                writer.text(" (USE ");
                writer.list(uses, |writer, purpose| {
                    writer.display(format_args!("\\{}", purpose.name()));
                });
                writer.byte(b')');
            }
        }
        Command::GetQuotaRoot(mailbox)
        | Command::Delete(mailbox)
        | Command::Subscribe(mailbox)
        | Command::Unsubscribe(mailbox) => sets::print_mailbox(writer, mailbox),
        Command::Rename { from, to } => {
            sets::print_mailbox(writer, from);
            writer.byte(b' ');
            sets::print_mailbox(writer, to);
        }
        Command::Lsub { reference, pattern } => {
            writer.astring(reference.to_utf7().as_bytes());
            writer.byte(b' ');
            writer.list_mailbox(pattern.to_utf7().as_bytes());
        }
        Command::Status { mailbox, items } => {
            sets::print_mailbox(writer, mailbox);
            writer.byte(b' ');
            writer.list(items, |writer, item| writer.text(item.name()));
        }
        _ => {}
    }
}

fn print_store(writer: &mut Writer, store: &Store) {
    let sign = match store.action {
        StoreAction::Replace => "",
        StoreAction::Add => "+",
        StoreAction::Remove => "-",
    };
    let silent = if store.echo == StoreEcho::Silent { ".SILENT" } else { "" };
    writer.display(format_args!(" {} ", store.set));
    if let Some(since) = store.unchanged_since {
        writer.display(format_args!("(UNCHANGEDSINCE {since}) "));
    }
    writer.display(format_args!("{sign}FLAGS{silent} "));
    writer.list(&store.flags, |writer, flag| writer.display(flag));
}
