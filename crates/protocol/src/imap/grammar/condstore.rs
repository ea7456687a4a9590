//! What CONDSTORE and QRESYNC (RFC 7162) add to SELECT, FETCH and STORE, as written. Called by
//! `command`.

use std::num::NonZeroU32;

use super::cursor::{Cursor, Parsed};
use super::sets;
use super::writer::Writer;
use crate::imap::command::{FetchModifiers, Resync, Selection};
use crate::imap::limits;

/// What follows the word SELECT or EXAMINE.
pub(super) fn selection(cursor: &mut Cursor<'_>) -> Parsed<Selection> {
    cursor.space()?;
    let mut selection = Selection::from(sets::mailbox(cursor)?);
    if !cursor.eat(b' ') {
        return Ok(selection);
    }
    cursor.list(limits::ITEMS, |cursor| {
        let start = cursor.position();
        let name = cursor.name("CONDSTORE or QRESYNC")?;
        if name.eq_ignore_ascii_case("CONDSTORE") {
            selection.condstore = true;
            return Ok(());
        }
        if name.eq_ignore_ascii_case("QRESYNC") {
            cursor.space()?;
            selection.resync = Some(resync(cursor)?);
            return Ok(());
        }
        cursor.back_to(start);
        Err(cursor.error("unknown parameter of SELECT"))
    })?;
    Ok(selection)
}

/// `(uidvalidity modseq [known-uids] [(known-sequence-set known-uid-set)])`
fn resync(cursor: &mut Cursor<'_>) -> Parsed<Resync> {
    cursor.expect(b'(')?;
    let uid_validity = cursor.nz_number()?.get();
    cursor.space()?;
    let mod_seq = cursor.number64()?;
    let mut resync = Resync { uid_validity, mod_seq, known: None, matches: None };
    if cursor.eat(b' ') && cursor.peek() != Some(b'(') {
        resync.known = Some(sets::number_set(cursor)?);
        cursor.eat(b' ');
    }
    if cursor.eat(b'(') {
        let numbers = sets::number_set(cursor)?;
        cursor.space()?;
        resync.matches = Some((numbers, sets::number_set(cursor)?));
        cursor.expect(b')')?;
    }
    cursor.expect(b')')?;
    Ok(resync)
}

/// Prints SELECT or EXAMINE from behind the word on.
pub(super) fn print_selection(writer: &mut Writer, selection: &Selection) {
    writer.byte(b' ');
    sets::print_mailbox(writer, &selection.mailbox);
    if !selection.condstore && selection.resync.is_none() {
        return;
    }
    writer.text(" (");
    if selection.condstore {
        writer.text("CONDSTORE");
    }
    if let Some(known) = &selection.resync {
        let before = if selection.condstore { " " } else { "" };
        writer.display(format_args!("{before}QRESYNC ({} {}", known.uid_validity, known.mod_seq));
        if let Some(uids) = &known.known {
            writer.display(format_args!(" {uids}"));
        }
        if let Some((numbers, uids)) = &known.matches {
            writer.display(format_args!(" ({numbers} {uids})"));
        }
        writer.byte(b')');
    }
    writer.byte(b')');
}

/// ` (CHANGEDSINCE n VANISHED)` after the items of FETCH, if it is there.
pub(super) fn fetch_modifiers(cursor: &mut Cursor<'_>) -> Parsed<FetchModifiers> {
    let mut modifiers = FetchModifiers::default();
    if !cursor.eat(b' ') {
        return Ok(modifiers);
    }
    cursor.list(limits::ITEMS, |cursor| {
        let start = cursor.position();
        let name = cursor.name("CHANGEDSINCE or VANISHED")?;
        if name.eq_ignore_ascii_case("CHANGEDSINCE") {
            cursor.space()?;
            modifiers.changed_since = Some(cursor.number64()?);
            return Ok(());
        }
        if name.eq_ignore_ascii_case("VANISHED") {
            modifiers.vanished = true;
            return Ok(());
        }
        cursor.back_to(start);
        Err(cursor.error("unknown modifier of FETCH"))
    })?;
    Ok(modifiers)
}

/// Prints them.
pub(super) fn print_fetch_modifiers(writer: &mut Writer, modifiers: FetchModifiers) {
    let Some(since) = modifiers.changed_since else { return };
    let vanished = if modifiers.vanished { " VANISHED" } else { "" };
    writer.display(format_args!(" (CHANGEDSINCE {since}{vanished})"));
}

/// `(UNCHANGEDSINCE n) ` before the action of STORE, if it is there.
pub(super) fn store_modifiers(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if cursor.peek() != Some(b'(') {
        return Ok(None);
    }
    let mut unchanged_since = None;
    cursor.list(limits::ITEMS, |cursor| {
        if !cursor.eat_word("UNCHANGEDSINCE ") {
            return Err(cursor.expected("UNCHANGEDSINCE"));
        }
        unchanged_since = Some(cursor.number64()?);
        Ok(())
    })?;
    cursor.space()?;
    Ok(unchanged_since)
}

/// `MODSEQ ["entry" type] n` of SEARCH, from behind the word on. All entries have the one
/// modification sequence of their letter, so which one is asked for makes no difference (RFC 7162
/// §3.1.5 allows that).
pub(super) fn search_mod_seq(cursor: &mut Cursor<'_>) -> Parsed<u64> {
    cursor.space()?;
    if cursor.peek() == Some(b'"') {
        cursor.string()?;
        cursor.space()?;
        let start = cursor.position();
        let kind = cursor.atom("priv, shared or all")?;
        if !["priv", "shared", "all"].iter().any(|known| kind.eq_ignore_ascii_case(known)) {
            cursor.back_to(start);
            return Err(cursor.expected("priv, shared or all"));
        }
        cursor.space()?;
    }
    cursor.number64()
}

/// `(MODSEQ n)` at the end of SEARCH and SORT responses.
pub(super) fn result_mod_seq(cursor: &mut Cursor<'_>) -> Parsed<Option<u64>> {
    if !cursor.eat_word("(MODSEQ ") {
        return Ok(None);
    }
    let mod_seq = cursor.number64()?;
    cursor.expect(b')')?;
    Ok(Some(mod_seq))
}

/// Prints numbers, each with a space before it, and the modification sequence.
pub(super) fn print_found(writer: &mut Writer, found: &[NonZeroU32], mod_seq: Option<u64>) {
    for number in found {
        writer.display(format_args!(" {number}"));
    }
    if let Some(mod_seq) = mod_seq {
        writer.display(format_args!(" (MODSEQ {mod_seq})"));
    }
}
