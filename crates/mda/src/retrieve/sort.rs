//! SORT and THREAD with their UID forms (RFC 5256), and SORT RETURN (RFC 5267). The letters are
//! found
//! as SEARCH finds them; what they are sorted by comes from their envelopes.

use std::cmp::Ordering;

use mailbox::{Error, Letter};
use message::date::DateTime;
use message::envelope::{Envelope, EnvelopeAddress};
use message::thread::{self, Threaded, base_subject};
use message::{header, message_id, values};
use protocol::imap::command::{Search, SearchReturn};
use protocol::imap::response::ExtendedSearch;
use protocol::imap::sort::{
    SortCriterion, SortKey, SortOrder, ThreadAlgorithm, ThreadNode, Threads,
};
use protocol::imap::{NumberSet, StatusText, Untagged};

use super::content::header_of;
use super::failure::{Failure, Outcome};
use super::limits;
use super::search::extended;
use super::selected::Numbered;
use super::session::Session;

/// A letter with what it is compared by.
struct Compared {
    one: Numbered,
    /// One for each criterion.
    keys: Vec<Key>,
}

/// The value of a criterion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Number(i64),
    Text(String),
}

impl Session {
    /// SORT.
    pub(super) async fn sort(&mut self, criteria: &[SortCriterion], search: Search) -> Outcome {
        let found = self.find(&search).await?;
        let mod_seq = found.mod_seq(&search);
        let saved = search.returns.as_ref().filter(|r| r.contains(&SearchReturn::Save));
        if let Some(returns) = saved {
            self.selected()?.saved = found.to_save(returns);
        }
        let mut compared = Vec::with_capacity(found.letters.len());
        let goal = found.letters.len();
        let mut tell_at = self.shared.clock.tick().after(limits::IN_PROGRESS);
        for (done, one) in found.letters.into_iter().enumerate() {
            let keys = self.keys(criteria, &one.letter)?;
            compared.push(Compared { one, keys });
            if done % limits::LETTERS_PER_TURN == 0 || needs_envelope(criteria) {
                tokio::task::yield_now().await;
                if self.is_over() {
                    break;
                }
                if self.shared.clock.tick() >= tell_at {
                    tell_at = self.shared.clock.tick().after(limits::IN_PROGRESS);
                    self.tell_progress(done, goal);
                }
            }
        }
        // RFC 5256 §3: what is equal stays in the order of sequence numbers; the sort is stable.
        compared.sort_by(|a, b| compare(criteria, a, b));
        let order: Vec<u32> = compared.iter().map(|c| c.one.number(search.numbering)).collect();
        let Some(returns) = search.returns else {
            let found = order.into_iter().filter_map(std::num::NonZeroU32::new).collect();
            self.machine().untagged(&Untagged::Sort { found, mod_seq });
            return Ok(StatusText::default());
        };
        // RFC 5267 §3.1: MIN and MAX are the first and the last in the order asked for.
        let numbers: NumberSet = order.iter().copied().collect();
        let result = extended(numbers, &returns, search.numbering);
        let ordered = if result.all.is_some() { order.clone() } else { Vec::new() };
        let result = ExtendedSearch {
            tag: self.machine().tag(),
            min: order.first().copied().filter(|_| result.min.is_some()),
            max: order.last().copied().filter(|_| result.max.is_some()),
            all: None,
            ordered,
            mod_seq,
            ..result
        };
        self.machine().untagged(&Untagged::ExtendedSearch(result));
        Ok(StatusText::default())
    }

    /// THREAD.
    pub(super) async fn thread(&mut self, algorithm: ThreadAlgorithm, search: Search) -> Outcome {
        let found = self.find(&search).await?;
        let mut letters = Vec::with_capacity(found.letters.len());
        for one in &found.letters {
            letters.push(self.threaded(&one.letter, algorithm)?);
            tokio::task::yield_now().await;
            if self.is_over() {
                break;
            }
        }
        let placed = match algorithm {
            ThreadAlgorithm::OrderedSubject => thread::ordered_subject(&letters),
            ThreadAlgorithm::References => thread::references(&letters),
        };
        let number = |place: usize| found.letters.get(place).map(|o| o.number(search.numbering));
        let nodes = placed
            .into_iter()
            .map(|(place, depth)| ThreadNode { number: place.and_then(number), depth })
            .collect();
        self.machine().untagged(&Untagged::Thread(Threads { nodes }));
        Ok(StatusText::default())
    }

    fn keys(&self, criteria: &[SortCriterion], letter: &Letter) -> Result<Vec<Key>, Failure> {
        let envelope = match needs_envelope(criteria) {
            true => self.envelope_of(letter)?,
            false => Envelope::default(),
        };
        let key = |criterion: &SortCriterion| match criterion.key {
            SortKey::Arrival => Key::Number(letter.internal_date().as_seconds()),
            SortKey::Size => Key::Number(i64::from(letter.size)),
            SortKey::Date => Key::Number(sent(&envelope, letter)),
            SortKey::Subject => Key::Text(subject(&envelope).0),
            SortKey::From => Key::Text(first_mailbox(&envelope.from)),
            SortKey::To => Key::Text(first_mailbox(&envelope.to)),
            SortKey::Cc => Key::Text(first_mailbox(&envelope.cc)),
        };
        Ok(criteria.iter().map(key).collect())
    }

    /// What threading looks at. A letter that went meanwhile is one that says nothing.
    fn threaded(&self, letter: &Letter, algorithm: ThreadAlgorithm) -> Result<Threaded, Failure> {
        let Some(selected) = &self.selected else { return Ok(Threaded::default()) };
        if algorithm == ThreadAlgorithm::OrderedSubject {
            let envelope = self.envelope_of(letter)?;
            let (subject, is_reply) = subject(&envelope);
            let sent = sent(&envelope, letter);
            return Ok(Threaded { subject, is_reply, sent, ..Threaded::default() });
        }
        let block = match selected.mailbox.content(letter).and_then(|content| header_of(&content)) {
            Ok(block) => block,
            Err(Error::NoSuchLetter) => return Ok(Threaded::default()),
            Err(error) => return Err(error.into()),
        };
        let envelope = Envelope::of_header(&block);
        let (subject, is_reply) = subject(&envelope);
        let ids = |value: Option<Vec<u8>>| message_id::all(&value.unwrap_or_default());
        let mut references = ids(header::value(&block, "References"));
        if references.is_empty() {
            references = ids(header::value(&block, "In-Reply-To"));
            references.truncate(1);
        }
        let id = message_id::of_header(&block);
        Ok(Threaded { id, references, subject, is_reply, sent: sent(&envelope, letter) })
    }

    fn envelope_of(&self, letter: &Letter) -> Result<Envelope, Failure> {
        let Some(selected) = &self.selected else { return Ok(Envelope::default()) };
        if let Some(known) = self.shared.mailboxes.structure(&selected.mailbox, letter) {
            return Ok(known.envelope);
        }
        match selected.mailbox.content(letter).and_then(|content| header_of(&content)) {
            Ok(block) => Ok(Envelope::of_header(&block)),
            Err(Error::NoSuchLetter) => Ok(Envelope::default()),
            Err(error) => Err(error.into()),
        }
    }
}

fn needs_envelope(criteria: &[SortCriterion]) -> bool {
    criteria.iter().any(|one| !matches!(one.key, SortKey::Arrival | SortKey::Size))
}

fn compare(criteria: &[SortCriterion], a: &Compared, b: &Compared) -> Ordering {
    for ((criterion, a), b) in criteria.iter().zip(&a.keys).zip(&b.keys) {
        let order = match criterion.order {
            SortOrder::Ascending => a.cmp(b),
            SortOrder::Descending => b.cmp(a),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

/// RFC 5256 §2.2: when it was sent, in UTC; else its internal date.
fn sent(envelope: &Envelope, letter: &Letter) -> i64 {
    let date = envelope.date.as_deref().and_then(DateTime::parse);
    date.map_or(letter.internal_date(), |date| date.moment).as_seconds()
}

/// The base subject as it is compared, and whether something was taken off.
fn subject(envelope: &Envelope) -> (String, bool) {
    let base = base_subject(&values::text(envelope.subject.as_deref().unwrap_or_default()));
    (casemap(&base.text), base.is_reply)
}

/// RFC 5256 §3: the local part of the first address; empty where there is none.
fn first_mailbox(list: &[EnvelopeAddress]) -> String {
    let first = list.first().and_then(|address| address.mailbox.as_deref());
    casemap(&values::text(first.unwrap_or_default()))
}

/// RFC 5051 i;unicode-casemap, as I18NLEVEL=1 (RFC 5255 §4.2) wants it, but for compatibility
/// decomposition: case makes no difference.
fn casemap(text: &str) -> String {
    text.to_uppercase()
}
