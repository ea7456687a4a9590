//! SORT and THREAD as written (RFC 5256, RFC 5267). Called by `command` and `response`.

use super::cursor::{Cursor, Parsed};
use super::search;
use super::writer::Writer;
use crate::imap::command::{Command, Numbering, Search};
use crate::imap::limits;
use crate::imap::sort::{SortCriterion, SortKey, SortOrder, ThreadAlgorithm, ThreadNode, Threads};

/// What follows the word SORT.
pub(super) fn sort(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<Command> {
    cursor.space()?;
    let returns = search::returns(cursor)?;
    let criteria = cursor.list(limits::ITEMS, criterion)?;
    if criteria.is_empty() {
        return Err(cursor.error("expected a sort key"));
    }
    let search = criteria_of(cursor, numbering)?;
    Ok(Command::Sort { criteria, search: Search { returns, ..search } })
}

fn criterion(cursor: &mut Cursor<'_>) -> Parsed<SortCriterion> {
    let order = match cursor.eat_word("REVERSE ") {
        true => SortOrder::Descending,
        false => SortOrder::Ascending,
    };
    let start = cursor.position();
    let name = cursor.name("a sort key")?;
    let key = SortKey::ALL.into_iter().find(|key| key.name().eq_ignore_ascii_case(name));
    let key = key.ok_or_else(|| {
        cursor.back_to(start);
        cursor.error("unknown sort key")
    })?;
    Ok(SortCriterion { key, order })
}

/// ` charset keys`: unlike SEARCH, the charset must be there.
fn criteria_of(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<Search> {
    cursor.space()?;
    let charset = search::charset(cursor)?;
    cursor.space()?;
    let key = search::keys(cursor)?;
    Ok(Search { numbering, returns: None, charset: Some(charset), key })
}

/// What follows the word THREAD.
pub(super) fn thread(cursor: &mut Cursor<'_>, numbering: Numbering) -> Parsed<Command> {
    cursor.space()?;
    let start = cursor.position();
    let name = cursor.name("a threading algorithm")?;
    let known = [ThreadAlgorithm::OrderedSubject, ThreadAlgorithm::References];
    let algorithm = known.into_iter().find(|known| known.name().eq_ignore_ascii_case(name));
    let algorithm = algorithm.ok_or_else(|| {
        cursor.back_to(start);
        cursor.error("expected ORDEREDSUBJECT or REFERENCES")
    })?;
    Ok(Command::Thread { algorithm, search: criteria_of(cursor, numbering)? })
}

/// Prints SORT from behind the word on.
pub(super) fn print_sort(writer: &mut Writer, criteria: &[SortCriterion], search: &Search) {
    search::print_returns(writer, search.returns.as_deref());
    writer.byte(b' ');
    writer.list(criteria, |writer, one| {
        let reverse = if one.order == SortOrder::Descending { "REVERSE " } else { "" };
        writer.display(format_args!("{reverse}{}", one.key.name()));
    });
    print_criteria(writer, search);
}

/// Prints THREAD from behind the word on.
pub(super) fn print_thread(writer: &mut Writer, algorithm: ThreadAlgorithm, search: &Search) {
    writer.display(format_args!(" {}", algorithm.name()));
    print_criteria(writer, search);
}

fn print_criteria(writer: &mut Writer, search: &Search) {
    writer.byte(b' ');
    writer.astring(search.charset.as_deref().unwrap_or("UTF-8").as_bytes());
    writer.byte(b' ');
    search::print_keys(writer, &search.key);
}

/// What follows the word THREAD in a response (RFC 5256 §5). Iterative: depth costs no stack.
pub(super) fn threads(cursor: &mut Cursor<'_>) -> Parsed<Threads> {
    let mut threads = Threads::default();
    // Depths at which the open parentheses began.
    let mut open: Vec<u32> = Vec::new();
    let mut depth = 0;
    cursor.eat(b' ');
    loop {
        match cursor.peek() {
            Some(b'(') => {
                cursor.eat(b'(');
                // "((" : siblings whose parent is not here (RFC 5256 §4, dummies).
                if !open.is_empty() && cursor.ends_with(b"((") {
                    threads.nodes.push(ThreadNode { number: None, depth });
                    depth += 1;
                }
                open.push(depth);
            }
            Some(b')') => {
                cursor.eat(b')');
                let Some(back) = open.pop() else { return Err(cursor.error("one ')' too many")) };
                depth = back;
            }
            Some(b' ') => {
                cursor.eat(b' ');
            }
            Some(b'0'..=b'9') => {
                threads.nodes.push(ThreadNode { number: Some(cursor.nz_number()?.get()), depth });
                depth += 1;
            }
            None if open.is_empty() => return Ok(threads),
            _ => return Err(cursor.expected("a thread")),
        }
    }
}

/// Prints threads from behind the word on: `(2)(3 6 (4 23)(44 7 96))`.
pub(super) fn print_threads(writer: &mut Writer, threads: &Threads) {
    if !threads.nodes.is_empty() {
        writer.byte(b' ');
    }
    let later = with_later_siblings(&threads.nodes);
    // Depths of the nodes that opened a parenthesis.
    let mut open: Vec<u32> = Vec::new();
    for (index, node) in threads.nodes.iter().enumerate() {
        while open.last().is_some_and(|began| *began >= node.depth) {
            open.pop();
            writer.byte(b')');
        }
        // An only child of a letter follows it on the line. The first child stands right behind.
        let before = index.checked_sub(1).and_then(|before| threads.nodes.get(before));
        let follows =
            before.is_some_and(|parent| parent.number.is_some() && parent.depth + 1 == node.depth);
        if follows && !later.get(index).copied().unwrap_or(false) {
            writer.byte(b' ');
        } else {
            if node.depth > 0 && writer.last().is_some_and(|last| last.is_ascii_digit()) {
                writer.byte(b' ');
            }
            writer.byte(b'(');
            open.push(node.depth);
        }
        if let Some(number) = node.number {
            writer.display(number);
        }
    }
    for _ in open {
        writer.byte(b')');
    }
}

/// Which nodes have a sibling after them. One pass from the end, however deep the threads are.
fn with_later_siblings(nodes: &[ThreadNode]) -> Vec<bool> {
    let mut found = vec![false; nodes.len()];
    // `seen[d]`: a node of depth d comes later, with nothing shallower between.
    let mut seen: Vec<bool> = Vec::new();
    for (node, found) in nodes.iter().zip(&mut found).rev() {
        let depth = usize::try_from(node.depth).unwrap_or(usize::MAX);
        seen.resize(depth.saturating_add(1).min(nodes.len() + 1), false);
        if let Some(slot) = seen.last_mut() {
            *found = *slot;
            *slot = true;
        }
    }
    found
}
