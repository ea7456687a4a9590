//! Sequence sets, flags, dates and mailbox names as they are written (RFC 3501 §9). Called by the
//! other files of this folder.

use std::num::NonZeroU32;

use super::cursor::{Cursor, Names, ParseErrorKind, Parsed};
use super::writer::Writer;
use crate::imap::date::{Date, DateTime, month_number};
use crate::imap::flag::Flag;
use crate::imap::limits;
use crate::imap::mailbox::{ListPattern, MailboxName};
use crate::imap::sequence::{NumberSet, SequenceBound, SequenceSet};

/// `sequence-set`
pub(super) fn sequence_set(cursor: &mut Cursor<'_>) -> Parsed<SequenceSet> {
    if cursor.eat(b'$') {
        return Ok(SequenceSet::Saved);
    }
    let mut ranges = Vec::new();
    loop {
        if ranges.len() >= limits::SET_RANGES {
            let message = format!("more than {} ranges in a set", limits::SET_RANGES);
            return Err(cursor.fault(ParseErrorKind::Limit, message));
        }
        let from = bound(cursor)?;
        let to = if cursor.eat(b':') { bound(cursor)? } else { from };
        ranges.push((from, to));
        if !cursor.eat(b',') {
            return Ok(SequenceSet::Ranges(ranges));
        }
    }
}

pub(super) fn bound(cursor: &mut Cursor<'_>) -> Parsed<SequenceBound> {
    match cursor.peek() {
        Some(b'*') => {
            cursor.eat(b'*');
            Ok(SequenceBound::Last)
        }
        Some(b'0'..=b'9') => cursor.nz_number().map(SequenceBound::Number),
        _ => Err(cursor.expected("a number or '*'")),
    }
}

/// `uid-set`: numbers only. Sorted and merged, whatever the server's order was.
pub(super) fn number_set(cursor: &mut Cursor<'_>) -> Parsed<NumberSet> {
    let start = cursor.position();
    let set = sequence_set(cursor)?;
    let SequenceSet::Ranges(ranges) = &set else {
        return Err(cursor.error("a set of numbers is wanted here"));
    };
    if ranges.iter().any(|(a, b)| *a == SequenceBound::Last || *b == SequenceBound::Last) {
        cursor.back_to(start);
        return Err(cursor.error("'*' in a set of UIDs"));
    }
    Ok(set.resolve(0))
}

/// `flag`
pub(super) fn flag(cursor: &mut Cursor<'_>) -> Parsed<Flag> {
    let start = cursor.position();
    let backslash = if cursor.eat(b'\\') { "\\" } else { "" };
    let name = cursor.atom("a flag")?;
    if name.len() > limits::KEYWORD_SIZE {
        cursor.back_to(start);
        let message = format!("a keyword has at most {} octets", limits::KEYWORD_SIZE);
        return Err(cursor.fault(ParseErrorKind::Limit, message));
    }
    Flag::from_name(&format!("{backslash}{name}")).ok_or_else(|| cursor.expected("a flag"))
}

/// `flag-list`
pub(super) fn flag_list(cursor: &mut Cursor<'_>) -> Parsed<Vec<Flag>> {
    cursor.list(limits::FLAGS, flag)
}

/// `mailbox`. RFC 9051 §5.1 writes UTF-8, RFC 3501 §5.1.3 modified UTF-7; the former is taken too,
/// since no name in the latter has octets above 127.
pub(super) fn mailbox(cursor: &mut Cursor<'_>) -> Parsed<MailboxName> {
    let start = cursor.position();
    let text = cursor.astring()?;
    let name = match text.as_ref().is_ascii() && cursor.names() == Names::Utf7 {
        true => MailboxName::from_utf7(text.as_ref()),
        false => match std::str::from_utf8(text.as_ref()) {
            Ok(name) => MailboxName::new(name),
            Err(_) => MailboxName::from_utf7(text.as_ref()),
        },
    };
    name.map_err(|error| {
        cursor.back_to(start);
        cursor.fault(ParseErrorKind::Name, error.to_string())
    })
}

/// The pattern of LIST, and its reference.
pub(super) fn list_pattern(cursor: &mut Cursor<'_>) -> Parsed<ListPattern> {
    let start = cursor.position();
    let text = cursor.list_mailbox()?;
    let pattern = match text.as_ref().is_ascii() && cursor.names() == Names::Utf7 {
        true => ListPattern::from_utf7(text.as_ref()),
        false => ListPattern::new(&String::from_utf8_lossy(text.as_ref())),
    };
    pattern.map_err(|error| {
        cursor.back_to(start);
        cursor.fault(ParseErrorKind::Name, error.to_string())
    })
}

/// Prints a mailbox name.
pub(super) fn print_mailbox(writer: &mut Writer, name: &MailboxName) {
    match writer.names() {
        Names::Utf7 => writer.astring(name.to_utf7().as_bytes()),
        Names::Utf8 => writer.utf8_name(name.as_str()),
    }
}

/// `date`, with or without quotes.
pub(super) fn date(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let quoted = cursor.eat(b'"');
    let date = date_text(cursor)?;
    if quoted {
        cursor.expect(b'"')?;
    }
    Ok(date)
}

fn date_text(cursor: &mut Cursor<'_>) -> Parsed<Date> {
    let start = cursor.position();
    let day = cursor.number()?;
    cursor.expect(b'-')?;
    let month = cursor.take_while(|byte| byte.is_ascii_alphabetic());
    let month = month_number(month).ok_or_else(|| cursor.error("expected a month, such as Jan"))?;
    cursor.expect(b'-')?;
    let year = cursor.number()?;
    u16::try_from(year)
        .ok()
        .zip(u8::try_from(day).ok())
        .and_then(|(year, day)| Date::new(year, month, day))
        .ok_or_else(|| {
            cursor.back_to(start);
            cursor.error("there is no such day")
        })
}

/// `date-time`, with its quotes.
pub(super) fn date_time(cursor: &mut Cursor<'_>) -> Parsed<DateTime> {
    let start = cursor.position();
    cursor.expect(b'"')?;
    // RFC 3501 §9: date-day-fixed pads with a space.
    cursor.eat(b' ');
    let date = date_text(cursor)?;
    cursor.space()?;
    let hour = two_digits(cursor)?;
    cursor.expect(b':')?;
    let minute = two_digits(cursor)?;
    cursor.expect(b':')?;
    let second = two_digits(cursor)?;
    cursor.space()?;
    let west = cursor.eat(b'-');
    if !west {
        cursor.expect(b'+')?;
    }
    let zone = i16::from(two_digits(cursor)?) * 60 + i16::from(two_digits(cursor)?);
    cursor.expect(b'"')?;
    let zone = if west { -zone } else { zone };
    DateTime::new(date, [hour, minute, second], zone).ok_or_else(|| {
        cursor.back_to(start);
        cursor.error("there is no such time")
    })
}

fn two_digits(cursor: &mut Cursor<'_>) -> Parsed<u8> {
    match cursor.rest() {
        [tens @ b'0'..=b'9', units @ b'0'..=b'9', ..] => {
            let value = (tens - b'0') * 10 + (units - b'0');
            cursor.eat(*tens);
            cursor.eat(*units);
            Ok(value)
        }
        _ => Err(cursor.expected("two digits")),
    }
}

/// The numbers of a part, `1.2.3`, and what follows the last dot if that is a word: the dot before
/// it is taken.
pub(super) fn part_numbers(cursor: &mut Cursor<'_>) -> Parsed<Vec<NonZeroU32>> {
    let mut part = Vec::new();
    while cursor.peek().is_some_and(|byte| byte.is_ascii_digit()) {
        if part.len() >= limits::PART_DEPTH {
            return Err(cursor.fault(ParseErrorKind::Limit, "the part number is too deep"));
        }
        part.push(cursor.nz_number()?);
        if !cursor.eat(b'.') {
            break;
        }
    }
    Ok(part)
}

/// Prints `1.2.3`.
pub(super) fn print_part(writer: &mut Writer, part: &[NonZeroU32]) {
    for (index, number) in part.iter().enumerate() {
        let dot = if index == 0 { "" } else { "." };
        writer.display(format_args!("{dot}{number}"));
    }
}
