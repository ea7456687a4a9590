//! SEARCH and UID SEARCH (RFC 3501 §6.4.4). What is known without opening letters is looked at
//! first; only letters that this does not decide are read.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use mailbox::{
    Field, Flags, Head, HeadReader, Keyword, Letter, Mailbox, Mailboxes, Query, RuledOut, UidSet,
};
use message::date::DateTime;
use message::scan::Structure;
use message::search::Needle;
use message::values::{charset_to_text, search_text, text};
use message::{header, scan};
use protocol::imap::command::{Search, SearchReturn};
use protocol::imap::response::ExtendedSearch;
use protocol::imap::search::{DateOrder, SearchField, SearchKey};
use protocol::imap::{
    Code, Condition, Date, Flag, NumberSet, Numbering, SequenceSet, StatusText, Untagged,
};
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
    Saved(DateOrder, Date),
    /// Changed at or after this modification sequence.
    ModSeq(u64),
    /// The internal date is not after this moment.
    NotAfter(Timestamp),
    /// The internal date is not before this moment.
    NotBefore(Timestamp),
    EmailId(String),
    /// Nothing is found.
    Nothing,
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
    text: Option<Text>,
}

/// Header and text of a letter, decoded, in lower case.
#[derive(Debug, Default)]
struct Text {
    header: String,
    body: String,
    /// The header is the one that tests of its fields look at.
    is_whole: bool,
}

impl Session {
    /// Looks for letters.
    pub(super) async fn search(&mut self, search: Search) -> Outcome {
        let saves = search.returns.as_ref().is_some_and(|r| r.contains(&SearchReturn::Save));
        let outcome = self.find_and_tell(search).await;
        if saves && outcome.is_err() {
            // RFC 5182 §2.1: a failed SEARCH SAVE leaves the empty result.
            self.selected()?.saved = NumberSet::new();
        }
        outcome
    }

    async fn find_and_tell(&mut self, search: Search) -> Outcome {
        let found = self.find(&search).await?;
        let numbering = search.numbering;
        let mod_seq = found.mod_seq(&search);
        // RFC 9051 §6.4.4: IMAP4rev2 knows only ESEARCH.
        let returns = match search.returns {
            Some(returns) => returns,
            None if self.enabled.rev2 => Vec::new(),
            None => {
                let found = found.numbers(numbering).filter_map(std::num::NonZeroU32::new);
                let found = found.collect();
                self.machine().untagged(&Untagged::Search { found, mod_seq });
                return Ok(StatusText::default());
            }
        };
        if returns.contains(&SearchReturn::Save) {
            self.selected()?.saved = found.to_save(&returns);
            if returns.len() == 1 {
                // RFC 5182 §2.4: nothing else was asked for.
                return Ok(StatusText::new("saved"));
            }
        }
        let numbers: NumberSet = found.numbers(numbering).collect();
        let mut result = extended(numbers, &returns, numbering);
        result.mod_seq = found.mod_seq_of(&returns).filter(|_| mod_seq.is_some());
        result.tag = self.machine().tag();
        self.machine().untagged(&Untagged::ExtendedSearch(result));
        Ok(StatusText::default())
    }

    /// Looks for letters; SORT and THREAD go on from what is found.
    pub(super) async fn find(&mut self, search: &Search) -> Result<Found, Failure> {
        let charset = search.charset.as_deref().unwrap_or("UTF-8");
        if !message::values::is_charset(charset) {
            let known = CHARSETS.map(String::from).into();
            let text = "SEARCH does not know that charset";
            return Err(Failure::No(StatusText::with(Code::BadCharset(known), text)));
        }
        if uses_mod_seq(&search.key) {
            self.enable_condstore();
        }
        let now = self.shared.clock.now();
        let selected = self.selected()?;
        let test = prepare(&search.key, &Terms { selected, charset, now })?;
        let mailbox = selected.mailbox.clone();
        let letters = selected.view.len();
        let mailboxes = self.shared.mailboxes.clone();
        let mut reads = Reads::new(&mailboxes, &mailbox, &test);
        let mut found = Found::default();
        let mut tell_at = self.shared.clock.tick().after(limits::IN_PROGRESS);
        for place in 0..letters {
            let before = reads.count;
            if let Some(selected) = &self.selected
                && let Some(one) = selected.at(place)
                && reads.matches(&test, selected, one)
            {
                found.letters.push(one);
            }
            let turn = match reads.count > before {
                true => limits::LETTERS_READ_PER_TURN,
                false => limits::LETTERS_PER_TURN,
            };
            if place % turn == 0 {
                tokio::task::yield_now().await;
                if self.is_over() {
                    break;
                }
                if self.shared.clock.tick() >= tell_at {
                    tell_at = self.shared.clock.tick().after(limits::IN_PROGRESS);
                    self.tell_progress(place, letters);
                }
            }
        }
        reads.over();
        Ok(found)
    }

    /// RFC 9585 §4: how far a long command is.
    pub(super) fn tell_progress(&mut self, done: usize, goal: usize) {
        let Some(tag) = self.machine().tag() else { return };
        let arguments = Some(format!("(\"{tag}\" {done} {goal})"));
        let code = Code::Other { name: "INPROGRESS".to_owned(), arguments };
        let text = StatusText::with(code, "still working");
        self.machine().untagged(&Untagged::Status(Condition::Ok, text));
    }
}

/// The letters that a search has to read, and what is learnt of them.
struct Reads<'a> {
    mailboxes: &'a Mailboxes,
    mailbox: &'a Mailbox,
    /// Letters that the index of words rules out.
    ruled_out: RuledOut,
    /// Letters whose words are known.
    known: UidSet,
    /// The search looks for words.
    learns: bool,
    /// Where it looks for what the heads of letters tell.
    heads: Option<HeadReader>,
    /// Letters read.
    count: usize,
}

impl<'a> Reads<'a> {
    fn new(mailboxes: &'a Mailboxes, mailbox: &'a Mailbox, test: &Test) -> Self {
        let learns = test.reads_text();
        Reads {
            mailboxes,
            mailbox,
            ruled_out: test
                .words()
                .map(|query| mailboxes.rule_out(mailbox, &query))
                .unwrap_or_default(),
            known: if learns { mailboxes.words_known(mailbox) } else { UidSet::new() },
            learns,
            heads: test.asks_heads().then(|| mailboxes.heads(mailbox)),
            count: 0,
        }
    }

    fn matches(&mut self, test: &Test, selected: &Selected, one: Numbered) -> bool {
        if self.ruled_out.contains(one.letter.uid) {
            return false;
        }
        if let Some(known) = test.without_reading(selected, &one, None) {
            return known;
        }
        let mut headless = false;
        if let Some(heads) = &mut self.heads {
            let head = heads.get(&one.letter);
            headless = head.is_none();
            let known = head.and_then(|head| test.without_reading(selected, &one, Some(&head)));
            if let Some(known) = known {
                return known;
            }
        }
        self.count += 1;
        let mut reading = Reading {
            mailboxes: self.mailboxes,
            mailbox: self.mailbox,
            letter: &one.letter,
            structure: self.mailboxes.structure(self.mailbox, &one.letter).map(Arc::new),
            header: None,
            octets: None,
            text: None,
        };
        let learns = self.learns && !self.known.contains(one.letter.uid);
        if learns {
            // All of it, so that this letter is read for its words only once.
            reading.text();
        }
        let found = test.with_reading(selected, &one, &mut reading);
        if let Some(structure) = reading.structure.as_ref().filter(|_| headless) {
            self.mailboxes.keep_head(self.mailbox, &one.letter, &structure.envelope);
        }
        if let Some(text) = reading.text.filter(|text| learns && text.is_whole) {
            let words = (text.header.as_str(), text.body.as_str());
            self.mailboxes.learn_words(self.mailbox, &one.letter, words);
        }
        found
    }

    fn over(self) {
        if self.learns {
            self.mailboxes.searched(self.mailbox);
        }
    }
}

/// Letters that were found, in the order of the mailbox.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) letters: Vec<Numbered>,
}

impl Found {
    fn numbers(&self, numbering: Numbering) -> impl Iterator<Item = u32> + '_ {
        self.letters.iter().map(move |one| one.number(numbering))
    }

    /// RFC 7162 §3.1.5: the highest of what was found, if the search was for such.
    pub(super) fn mod_seq(&self, search: &Search) -> Option<u64> {
        let highest = self.letters.iter().map(|one| one.letter.modseq).max();
        highest.filter(|_| uses_mod_seq(&search.key))
    }

    /// RFC 7162 §3.1.5: with MIN or MAX alone, of those letters; else of all.
    fn mod_seq_of(&self, returns: &[SearchReturn]) -> Option<u64> {
        let has = |option| returns.contains(&option);
        let (min, max) = (has(SearchReturn::Min), has(SearchReturn::Max));
        if !(min || max) || has(SearchReturn::All) || has(SearchReturn::Count) {
            return self.letters.iter().map(|one| one.letter.modseq).max();
        }
        let first = self.letters.first().filter(|_| min);
        let last = self.letters.last().filter(|_| max);
        first.into_iter().chain(last).map(|one| one.letter.modseq).max()
    }

    /// RFC 5182 §2.1: what `$` stands for afterwards.
    pub(super) fn to_save(&self, returns: &[SearchReturn]) -> NumberSet {
        let has = |option| returns.contains(&option);
        let (min, max) = (has(SearchReturn::Min), has(SearchReturn::Max));
        if !(min || max) || has(SearchReturn::All) || has(SearchReturn::Count) {
            return self.numbers(Numbering::Uid).collect();
        }
        let first = self.letters.first().filter(|_| min);
        let last = self.letters.last().filter(|_| max);
        first.into_iter().chain(last).map(|one| one.letter.uid.get()).collect()
    }
}

/// RFC 4731 §3.1; no option means ALL.
pub(super) fn extended(
    found: NumberSet,
    returns: &[SearchReturn],
    numbering: Numbering,
) -> ExtendedSearch {
    let has = |option| returns.contains(&option);
    ExtendedSearch {
        tag: None,
        numbering,
        min: found.first().filter(|_| has(SearchReturn::Min)),
        max: found.last().filter(|_| has(SearchReturn::Max)),
        count: has(SearchReturn::Count)
            .then(|| count(usize::try_from(found.len()).unwrap_or(usize::MAX))),
        all: (returns.is_empty() || has(SearchReturn::All)).then_some(found),
        ordered: Vec::new(),
        mod_seq: None,
    }
}

fn uses_mod_seq(key: &SearchKey) -> bool {
    match key {
        SearchKey::ModSeq(_) => true,
        SearchKey::And(keys) => keys.iter().any(uses_mod_seq),
        SearchKey::Or(left, right) => uses_mod_seq(left) || uses_mod_seq(right),
        SearchKey::Not(key) => uses_mod_seq(key),
        _ => false,
    }
}

/// What a key is made ready for.
struct Terms<'a> {
    selected: &'a Selected,
    charset: &'a str,
    now: Timestamp,
}

/// Depth is bounded by the grammar (`protocol::imap::limits::NESTING`).
fn prepare(key: &SearchKey, terms: &Terms<'_>) -> Result<Test, Failure> {
    let Terms { selected, charset, now } = *terms;
    let ago = |seconds: u32| Timestamp::from_seconds(now.as_seconds() - i64::from(seconds));
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
        SearchKey::And(keys) => {
            Test::And(keys.iter().map(|key| prepare(key, terms)).collect::<Result<_, _>>()?)
        }
        SearchKey::Or(left, right) => {
            Test::Or(Box::new(prepare(left, terms)?), Box::new(prepare(right, terms)?))
        }
        SearchKey::Not(key) => Test::Not(Box::new(prepare(key, terms)?)),
        SearchKey::Sequence(SequenceSet::Saved) | SearchKey::Uid(SequenceSet::Saved) => {
            Test::Uid(selected.saved.clone())
        }
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
        SearchKey::Saved(order, date) => Test::Saved(*order, *date),
        SearchKey::SaveDateSupported => Test::All,
        SearchKey::ModSeq(mod_seq) => Test::ModSeq(*mod_seq),
        // RFC 5032 §3: both include the letter that is exactly so old.
        SearchKey::Older(seconds) => Test::NotAfter(ago(*seconds)),
        SearchKey::Younger(seconds) => Test::NotBefore(ago(*seconds)),
        SearchKey::EmailId(id) => Test::EmailId(id.clone()),
        // RFC 8474 §5.3: no letter here has one.
        SearchKey::ThreadId(_) => Test::Nothing,
        SearchKey::Sent(order, date) => Test::Sent(*order, *date),
        SearchKey::Larger(size) => Test::Larger(*size),
        SearchKey::Smaller(size) => Test::Smaller(*size),
    })
}

fn is_subject(name: &str) -> bool {
    name.eq_ignore_ascii_case("Subject")
}

fn field_name(field: &SearchField) -> String {
    field.name().to_owned()
}

impl Test {
    /// Whether the text of letters may have to be looked at.
    fn reads_text(&self) -> bool {
        match self {
            Test::Body(_) | Test::Text(_) => true,
            Test::And(tests) => tests.iter().any(Test::reads_text),
            Test::Or(left, right) => left.reads_text() || right.reads_text(),
            Test::Not(test) => test.reads_text(),
            _ => false,
        }
    }

    /// Whether the heads of letters may decide it.
    fn asks_heads(&self) -> bool {
        match self {
            Test::Sent(..) => true,
            // RFC 3501 §6.4.4: an empty string asks whether there is such a field at all.
            Test::Header(name, wanted) => is_subject(name) && !wanted.is_empty(),
            Test::And(tests) => tests.iter().any(Test::asks_heads),
            Test::Or(left, right) => left.asks_heads() || right.asks_heads(),
            Test::Not(test) => test.asks_heads(),
            _ => false,
        }
    }

    /// What the words of every letter fulfil that this finds; `None`: nothing of that kind.
    fn words(&self) -> Option<Query> {
        match self {
            Test::Body(wanted) => Query::holds(Field::Body, &wanted.lower),
            Test::Text(wanted) => Query::holds(Field::Any, &wanted.lower),
            Test::Header(_, wanted) => Query::holds(Field::Any, wanted),
            Test::And(tests) => {
                let parts: Vec<Query> = tests.iter().filter_map(Test::words).collect();
                (!parts.is_empty()).then_some(Query::All(parts))
            }
            Test::Or(left, right) => Some(Query::One(vec![left.words()?, right.words()?])),
            _ => None,
        }
    }

    /// The answer, if it does not take reading the letter.
    fn without_reading(
        &self,
        selected: &Selected,
        one: &Numbered,
        head: Option<&Head<'_>>,
    ) -> Option<bool> {
        let letter = &one.letter;
        Some(match self {
            Test::All => true,
            Test::And(tests) => {
                let mut all = Some(true);
                for test in tests {
                    match test.without_reading(selected, one, head) {
                        Some(false) => return Some(false),
                        Some(true) => {}
                        None => all = None,
                    }
                }
                return all;
            }
            Test::Or(left, right) => {
                let left = left.without_reading(selected, one, head);
                let right = right.without_reading(selected, one, head);
                return match (left, right) {
                    (Some(true), _) | (_, Some(true)) => Some(true),
                    (Some(false), Some(false)) => Some(false),
                    _ => None,
                };
            }
            Test::Not(test) => {
                return test.without_reading(selected, one, head).map(|found| !found);
            }
            Test::Sequence(set) => set.contains(one.sequence.get()),
            Test::Uid(set) => set.contains(letter.uid.get()),
            Test::Flag(flags) => letter.flags.contains(*flags),
            Test::Keyword(keyword) => selected.view.keywords().contains(letter.keywords, keyword),
            Test::Recent => selected.is_recent(letter.uid),
            Test::Larger(size) => u64::from(letter.size) > *size,
            Test::Smaller(size) => u64::from(letter.size) < *size,
            Test::Internal(order, date) => compares(*order, day(letter.internal_date()), *date),
            Test::Saved(order, date) => compares(*order, day(letter.save_date()), *date),
            Test::ModSeq(mod_seq) => letter.modseq >= *mod_seq,
            Test::NotAfter(moment) => letter.internal_date() <= *moment,
            Test::NotBefore(moment) => letter.internal_date() >= *moment,
            Test::EmailId(id) => convert::email_id(letter) == *id,
            Test::Nothing => false,
            // RFC 3501 §6.4.4: TEXT and BODY with an empty string match every letter.
            Test::Body(wanted) | Test::Text(wanted) if wanted.lower.is_empty() => true,
            Test::Sent(order, date) => {
                let (year, month, day) = head?.sent?;
                compares(*order, Date::new(year, month, day), *date)
            }
            Test::Header(name, wanted) if is_subject(name) && !wanted.is_empty() => {
                head?.subject.contains(wanted.as_str())
            }
            Test::Header(..) | Test::Body(_) | Test::Text(_) => return None,
        })
    }

    /// The answer, reading what is needed.
    fn with_reading(&self, selected: &Selected, one: &Numbered, reading: &mut Reading<'_>) -> bool {
        if let Some(known) = self.without_reading(selected, one, None) {
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
                reading.text().header.contains(&wanted.lower) || reading.has_in_body(wanted)
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
        self.text().body.contains(&wanted.lower)
    }

    /// Header and body, decoded, in lower case.
    fn text(&mut self) -> &Text {
        if self.text.is_none() {
            let (octets, structure) = (self.octets(), self.structure());
            // The decoder of a library is in there: what it cannot bear must not end the agent.
            let found = catch_unwind(AssertUnwindSafe(|| search_text(&structure, &octets)));
            let is_whole = found.is_ok()
                && octets.len() < limits::SEARCHED
                && structure.root.header.len() == header::length(&octets) as u64;
            let found = found.unwrap_or_else(|_| {
                tracing::error!(uid = self.letter.uid, "a letter could not be searched");
                Default::default()
            });
            let (header, body) = (found.header.to_lowercase(), found.body.to_lowercase());
            self.text = Some(Text { header, body, is_whole });
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

/// Charsets that BADCHARSET names. RFC 3501 §6.4.4 demands US-ASCII and recommends UTF-8; the
/// others are some of those that we read besides.
const CHARSETS: [&str; 8] = [
    "US-ASCII",
    "UTF-8",
    "ISO-8859-1",
    "ISO-8859-15",
    "WINDOWS-1252",
    "KOI8-R",
    "ISO-2022-JP",
    "GB18030",
];
