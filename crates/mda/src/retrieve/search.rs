//! SEARCH and UID SEARCH (RFC 3501 §6.4.4). What is known without opening letters is looked at
//! first; only letters that this does not decide are read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use mailbox::{Flags, Keyword, Letter, Mailbox, Mailboxes};
use message::date::DateTime;
use message::scan::Structure;
use message::search::Needle;
use message::values::{charset_to_text, search_text, text};
use message::{header, scan};
use protocol::imap::command::{Search, SearchReturn};
use protocol::imap::response::ExtendedSearch;
use protocol::imap::search::{DateOrder, SearchField, SearchKey};
use protocol::imap::{Code, Date, Flag, NumberSet, Numbering, SequenceSet, StatusText, Untagged};
use protocol::time::Timestamp;

use super::content::header_of;
use super::convert;
use super::failure::{Failure, Outcome};
use super::limits;
use super::selected::{Numbered, Selected, count};
use super::session::Session;

/// A search key made ready for one mailbox: sets resolved, strings decoded and in lower case.
#[derive(Debug)]
enum Test {
    All,
    And(Vec<Test>),
    Or(Box<Test>, Box<Test>),
    Not(Box<Test>),
    Sequence(NumberSet),
    Uid(NumberSet),
    Flag(Flags),
    Keyword(Keyword),
    Recent,
    Larger(u64),
    Smaller(u64),
    Internal(DateOrder, Date),
    Sent(DateOrder, Date),
    Header(String, String),
    Body(Wanted),
    Text(Wanted),
}

/// A string to look for in the text of letters.
#[derive(Debug)]
struct Wanted {
    lower: String,
    needle: Needle,
}

impl Wanted {
    fn new(lower: String) -> Self {
        Wanted { needle: Needle::new(&lower), lower }
    }
}

/// A letter that is being read for a search: what the index knows of it, and what had to be read.
struct Reading<'a> {
    mailboxes: &'a Mailboxes,
    mailbox: &'a Mailbox,
    letter: &'a Letter,
    structure: Option<Arc<Structure>>,
    header: Option<Bytes>,
    octets: Option<Bytes>,
    text: Option<(String, String)>,
}

impl Session {
    /// Looks for letters.
    pub(super) async fn search(&mut self, search: Search) -> Outcome {
        let Search { numbering, returns, charset, key } = search;
        let charset = charset.unwrap_or_else(|| "UTF-8".to_owned());
        if !CHARSETS.contains(&charset.as_str()) {
            let known = CHARSETS.map(String::from).into();
            let text = "SEARCH does not know that charset";
            return Err(Failure::No(StatusText::with(Code::BadCharset(known), text)));
        }
        let save = returns.as_ref().is_some_and(|r| r.contains(&SearchReturn::Save));
        if save || uses_saved(&key) {
            return Err(Failure::bad("saved search results are not announced here"));
        }
        let selected = self.selected()?;
        let test = prepare(&key, selected, &charset)?;
        let reads = needs_letters(&test);
        let mut found = NumberSet::new();
        for place in 0..selected.view.len() {
            if let Some(selected) = &self.selected
                && let Some(one) = selected.at(place)
                && self.matches(&test, selected, one)
            {
                found.insert(match numbering {
                    Numbering::Uid => one.letter.uid.get(),
                    Numbering::Sequence => one.sequence.get(),
                });
            }
            let turn = if reads { limits::LETTERS_READ_PER_TURN } else { limits::LETTERS_PER_TURN };
            if place % turn == 0 {
                tokio::task::yield_now().await;
                if self.is_over() {
                    break;
                }
            }
        }
        let Some(returns) = returns else {
            let numbers = found.iter().filter_map(std::num::NonZeroU32::new).collect();
            self.machine().untagged(&Untagged::Search(numbers));
            return Ok(StatusText::default());
        };
        let result = extended(found, &returns, numbering);
        let tag = self.machine().tag();
        self.machine().untagged(&Untagged::ExtendedSearch(ExtendedSearch { tag, ..result }));
        Ok(StatusText::default())
    }

    fn matches(&self, test: &Test, selected: &Selected, one: Numbered) -> bool {
        if let Some(known) = test.without_reading(selected, &one) {
            return known;
        }
        let mailboxes = &self.shared.mailboxes;
        let mut reading = Reading {
            mailboxes,
            mailbox: &selected.mailbox,
            letter: &one.letter,
            structure: mailboxes.structure(&selected.mailbox, &one.letter).map(Arc::new),
            header: None,
            octets: None,
            text: None,
        };
        test.with_reading(selected, &one, &mut reading)
    }
}

/// RFC 4731 §3.1; no option means ALL.
fn extended(found: NumberSet, returns: &[SearchReturn], numbering: Numbering) -> ExtendedSearch {
    let has = |option| returns.contains(&option);
    ExtendedSearch {
        tag: None,
        numbering,
        min: found.first().filter(|_| has(SearchReturn::Min)),
        max: found.last().filter(|_| has(SearchReturn::Max)),
        count: has(SearchReturn::Count)
            .then(|| count(usize::try_from(found.len()).unwrap_or(usize::MAX))),
        all: (returns.is_empty() || has(SearchReturn::All)).then_some(found),
        mod_seq: None,
    }
}

fn uses_saved(key: &SearchKey) -> bool {
    match key {
        SearchKey::Sequence(set) | SearchKey::Uid(set) => *set == SequenceSet::Saved,
        SearchKey::And(keys) => keys.iter().any(uses_saved),
        SearchKey::Or(left, right) => uses_saved(left) || uses_saved(right),
        SearchKey::Not(key) => uses_saved(key),
        _ => false,
    }
}

/// Depth is bounded by the grammar (`protocol::imap::limits::NESTING`).
fn prepare(key: &SearchKey, selected: &Selected, charset: &str) -> Result<Test, Failure> {
    let decode = |value: &[u8]| charset_to_text(charset, value).to_lowercase();
    let flag = |flag: &Flag| match flag {
        Flag::Recent => Ok(Test::Recent),
        Flag::Keyword(name) => Keyword::new(name.as_str())
            .map(Test::Keyword)
            .ok_or_else(|| Failure::bad("the keyword is too long")),
        other => {
            let (flags, _) = convert::flags(std::slice::from_ref(other))?;
            Ok(Test::Flag(flags))
        }
    };
    Ok(match key {
        SearchKey::All => Test::All,
        SearchKey::And(keys) => Test::And(
            keys.iter().map(|key| prepare(key, selected, charset)).collect::<Result<_, _>>()?,
        ),
        SearchKey::Or(left, right) => Test::Or(
            Box::new(prepare(left, selected, charset)?),
            Box::new(prepare(right, selected, charset)?),
        ),
        SearchKey::Not(key) => Test::Not(Box::new(prepare(key, selected, charset)?)),
        SearchKey::Sequence(set) => Test::Sequence(set.resolve(selected.exists())),
        SearchKey::Uid(set) => {
            let last = selected.view.len().checked_sub(1).and_then(|last| selected.view.at(last));
            Test::Uid(set.resolve(last.map_or(0, |letter| letter.uid.get())))
        }
        SearchKey::Flag(wanted) => flag(wanted)?,
        SearchKey::Unflag(wanted) => Test::Not(Box::new(flag(wanted)?)),
        SearchKey::New => {
            Test::And(vec![Test::Recent, Test::Not(Box::new(Test::Flag(Flags::SEEN)))])
        }
        SearchKey::Header { field, value } => Test::Header(field_name(field), decode(value)),
        SearchKey::Body(value) => Test::Body(Wanted::new(decode(value))),
        SearchKey::Text(value) => Test::Text(Wanted::new(decode(value))),
        SearchKey::Internal(order, date) => Test::Internal(*order, *date),
        SearchKey::Sent(order, date) => Test::Sent(*order, *date),
        SearchKey::Larger(size) => Test::Larger(*size),
        SearchKey::Smaller(size) => Test::Smaller(*size),
    })
}

fn field_name(field: &SearchField) -> String {
    field.name().to_owned()
}

/// Whether letters may have to be read.
fn needs_letters(test: &Test) -> bool {
    match test {
        Test::Sent(..) | Test::Header(..) | Test::Body(_) | Test::Text(_) => true,
        Test::And(tests) => tests.iter().any(needs_letters),
        Test::Or(left, right) => needs_letters(left) || needs_letters(right),
        Test::Not(test) => needs_letters(test),
        _ => false,
    }
}

impl Test {
    /// The answer, if it does not take reading the letter.
    fn without_reading(&self, selected: &Selected, one: &Numbered) -> Option<bool> {
        let letter = &one.letter;
        Some(match self {
            Test::All => true,
            Test::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.without_reading(selected, one) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                return all;
            }
            Test::Or(left, right) => {
                let left = left.without_reading(selected, one);
                let right = right.without_reading(selected, one);
                return match (left, right) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                };
            }
            Test::Not(test) => return test.without_reading(selected, one).map(|found| !found),
            Test::Sequence(set) => set.contains(one.sequence.get()),
            Test::Uid(set) => set.contains(letter.uid.get()),
            Test::Flag(flags) => letter.flags.contains(*flags),
            Test::Keyword(keyword) => selected.view.keywords().contains(letter.keywords, keyword),
            Test::Recent => selected.is_recent(letter.uid),
            Test::Larger(size) => u64::from(letter.size) > *size,
            Test::Smaller(size) => u64::from(letter.size) < *size,
            Test::Internal(order, date) => compares(*order, day(letter.internal_date()), *date),
            // RFC 3501 §6.4.4: TEXT and BODY with an empty string match every letter.
            Test::Body(wanted) | Test::Text(wanted) if wanted.lower.is_empty() => true,
            Test::Sent(..) | Test::Header(..) | Test::Body(_) | Test::Text(_) => return None,
        })
    }

    /// The answer, reading what is needed.
    fn with_reading(&self, selected: &Selected, one: &Numbered, reading: &mut Reading<'_>) -> bool {
        if let Some(known) = self.without_reading(selected, one) {
            return known;
        }
        match self {
            Test::And(tests) => tests.iter().all(|t| t.with_reading(selected, one, reading)),
            Test::Or(left, right) => {
                left.with_reading(selected, one, reading)
                    || right.with_reading(selected, one, reading)
            }
            Test::Not(test) => !test.with_reading(selected, one, reading),
            Test::Sent(order, date) => {
                reading.sent().is_some_and(|sent| compares(*order, Some(sent), *date))
            }
            Test::Header(name, wanted) => reading.has_field(name, wanted),
            Test::Body(wanted) => reading.has_in_body(wanted),
            Test::Text(wanted) => {
                reading.text().0.contains(&wanted.lower) || reading.has_in_body(wanted)
            }
            _ => false,
        }
    }
}

impl Reading<'_> {
    /// The header; empty for a letter that is gone or cannot be read, in which nothing is found.
    fn header(&mut self) -> Bytes {
        if let Some(header) = &self.header {
            return header.clone();
        }
        let read = || header_of(&self.mailbox.content(self.letter).ok()?).ok();
        let header = read().unwrap_or_default();
        self.header = Some(header.clone());
        header
    }

    /// What the letter is made of. A short one that the index does not know is read through for it.
    fn structure(&mut self) -> Arc<Structure> {
        if let Some(structure) = &self.structure {
            return structure.clone();
        }
        let octets = self.octets();
        let structure = Arc::new(scan::scan(&octets));
        if octets.len() as u64 == u64::from(self.letter.size) {
            self.mailboxes.keep_structure(self.mailbox, self.letter, &structure);
        }
        self.structure.insert(structure).clone()
    }

    /// The envelope, where there is one without reading the header alone.
    fn envelope(&mut self) -> Option<Arc<Structure>> {
        if self.structure.is_none() && self.letter.size <= limits::READ_THROUGH {
            return Some(self.structure());
        }
        self.structure.clone()
    }

    fn octets(&mut self) -> Bytes {
        if let Some(octets) = &self.octets {
            return octets.clone();
        }
        let read = || self.mailbox.content(self.letter).ok()?.read(0, limits::SEARCHED).ok();
        let octets = read().unwrap_or_default();
        self.octets = Some(octets.clone());
        octets
    }

    /// The day of the Date field, in its own zone.
    fn sent(&mut self) -> Option<Date> {
        let value = match self.envelope() {
            Some(known) => known.envelope.date.clone()?,
            None => header::value(&self.header(), "Date")?.to_vec(),
        };
        let date = DateTime::parse(&value)?;
        let local = date.moment.as_seconds() + i64::from(date.offset_minutes) * 60;
        day(Timestamp::from_seconds(local))
    }

    fn has_field(&mut self, name: &str, wanted: &str) -> bool {
        // RFC 3501 §6.4.4: SUBJECT and its like speak of the envelope, which the index has.
        if IN_ENVELOPE.iter().any(|known| known.eq_ignore_ascii_case(name))
            && let Some(known) = self.envelope()
        {
            let envelope = &known.envelope;
            let value = match name.to_ascii_lowercase().as_str() {
                "subject" => &envelope.subject,
                "in-reply-to" => &envelope.in_reply_to,
                _ => &envelope.message_id,
            };
            let found = |value: &Vec<u8>| text(value).to_lowercase().contains(wanted);
            return value.as_ref().is_some_and(found);
        }
        let block = self.header();
        header::fields(&block)
            .filter(|field| field.is(&block, name))
            .any(|field| text(field.value(&block)).to_lowercase().contains(wanted))
    }

    fn has_in_body(&mut self, wanted: &Wanted) -> bool {
        if self.text.is_none() {
            let (octets, structure) = (self.octets(), self.structure());
            if let Some(known) = wanted.needle.is_in_body(&structure, &octets) {
                return known;
            }
        }
        self.text().1.contains(&wanted.lower)
    }

    /// Header and body, decoded, in lower case.
    fn text(&mut self) -> &(String, String) {
        if self.text.is_none() {
            let (octets, structure) = (self.octets(), self.structure());
            // The decoder of a library is in there: what it cannot bear must not end the agent.
            let found = catch_unwind(AssertUnwindSafe(|| search_text(&structure, &octets)));
            let found = found.unwrap_or_else(|_| {
                tracing::error!(uid = self.letter.uid, "a letter could not be searched");
                Default::default()
            });
            self.text = Some((found.header.to_lowercase(), found.body.to_lowercase()));
        }
        self.text.get_or_insert_default()
    }
}

/// Fields of the envelope that are kept as they were written.
const IN_ENVELOPE: [&str; 3] = ["Subject", "Message-ID", "In-Reply-To"];

fn day(moment: Timestamp) -> Option<Date> {
    let civil = moment.civil();
    Date::new(u16::try_from(civil.year).ok()?, civil.month, civil.day)
}

fn compares(order: DateOrder, found: Option<Date>, wanted: Date) -> bool {
    found.is_some_and(|found| match order {
        DateOrder::Before => found < wanted,
        DateOrder::On => found == wanted,
        DateOrder::Since => found >= wanted,
    })
}

/// Charsets that SEARCH takes. RFC 3501 §6.4.4 demands US-ASCII and recommends UTF-8; the others
/// are those that old clients send.
const CHARSETS: [&str; 14] = [
    "US-ASCII",
    "UTF-8",
    "ISO-8859-1",
    "ISO-8859-2",
    "ISO-8859-15",
    "WINDOWS-1250",
    "WINDOWS-1251",
    "WINDOWS-1252",
    "KOI8-R",
    "ISO-2022-JP",
    "SHIFT_JIS",
    "EUC-JP",
    "GB18030",
    "BIG5",
];
