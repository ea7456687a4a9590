//! Letters of the queue as they are shown: to people by `posthaste queue`, to programs as JSON.
//! Never their content.

use std::collections::BTreeMap;

use protocol::ipc::Method;
use protocol::journey::JourneyId;
use queue::{Letter, Listed, Place, Recipient, State};
use serde::{Deserialize, Serialize};

/// Letters of one part of a stream: with [`RECIPIENTS_BRIEF`] recipients each they fit a frame.
pub(super) const LETTERS_PER_PAGE: usize = 20;

/// Recipients of a letter in a list.
const RECIPIENTS_BRIEF: usize = 3;

/// Recipients of a letter that is shown alone; it fits a frame.
const RECIPIENTS_WHOLE: usize = 60;

/// Longest free text that is shown, in bytes.
const TEXT: usize = 300;

/// `queue.list`: the letters in the queue, a stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AskLetters {
    /// Which of them.
    #[serde(default)]
    pub filter: Filter,
}

/// One part of the answer to [`AskLetters`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct LetterPage {
    /// Oldest first.
    pub letters: Vec<QueueLetter>,
}

/// `queue.show`: one letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskLetter {
    /// Which.
    pub journey: JourneyId,
}

/// Which letters are meant. All that is given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// The sender, or a part of it; `<>` for reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// A recipient that waits, or a part of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// The class of a last failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether it is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<bool>,
}

/// A letter in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueLetter {
    /// Its queue id, which is its journey.
    pub id: JourneyId,
    /// The journey that was the reason for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<JourneyId>,
    /// Who sent it; `<>`: a report.
    pub from: String,
    /// When it came, RFC 3339.
    pub arrived: String,
    /// When it is given back if it still waits.
    pub expires: String,
    /// Bytes.
    pub size: u64,
    /// Where its bytes are: a word of docs/queue.md.
    pub place: String,
    /// It is being tried right now.
    pub active: bool,
    /// Why it is held, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<String>,
    /// The sender was told that it is late.
    pub delay_told: bool,
    /// Recipients that wait.
    pub waiting: usize,
    /// Recipients in all.
    pub total: usize,
    /// How many recipients stand how, by the words of docs/queue.md.
    #[serde(default)]
    pub states: BTreeMap<String, usize>,
    /// Some of them, those that wait first.
    pub recipients: Vec<QueueRecipient>,
}

/// One recipient of a letter in the queue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueRecipient {
    /// Who.
    pub to: String,
    /// A word of docs/queue.md.
    pub state: String,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, RFC 3339; absent when it has ended or is held.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// The class of the last failure.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// Who said so.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub host: String,
    /// What was said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

impl Method for AskLetters {
    const NAME: &'static str = "queue.list";
    type Answer = LetterPage;
}

impl Method for AskLetter {
    const NAME: &'static str = "queue.show";
    type Answer = QueueLetter;
}

impl Filter {
    /// Whether a letter is meant.
    pub fn wants(&self, letter: &Letter) -> bool {
        let contains =
            |text: &str, part: &str| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
        let from = |part: &String| match part.as_str() {
            "<>" => letter.sender.is_null(),
            part => contains(&letter.sender.to_string(), part),
        };
        let to = |part: &String| {
            letter.waiting().any(|(_, one)| contains(&one.address.to_string(), part))
        };
        let reason = |word: &String| {
            let same = |one: &Recipient| {
                one.progress.last.as_ref().is_some_and(|last| last.reason == *word)
            };
            letter.waiting().any(|(_, one)| same(one))
        };
        self.from.as_ref().is_none_or(from)
            && self.to.as_ref().is_none_or(to)
            && self.reason.as_ref().is_none_or(reason)
            && self.held.is_none_or(|held| letter.held.is_some() == held)
    }

    /// The same for a letter as it is shown.
    pub fn wants_shown(&self, letter: &QueueLetter) -> bool {
        let contains =
            |text: &str, part: &str| text.to_ascii_lowercase().contains(&part.to_ascii_lowercase());
        let any = |test: &dyn Fn(&QueueRecipient) -> bool| {
            letter.recipients.iter().filter(|one| one.state == "waiting").any(test)
        };
        self.from.as_ref().is_none_or(|part| match part.as_str() {
            "<>" => letter.from == "<>",
            part => contains(&letter.from, part),
        }) && self.to.as_ref().is_none_or(|part| any(&|one| contains(&one.to, part)))
            && self.reason.as_ref().is_none_or(|word| any(&|one| one.reason == *word))
            && self.held.is_none_or(|held| letter.held.is_some() == held)
    }
}

/// A letter for a list.
pub(super) fn brief(listed: &Listed) -> QueueLetter {
    letter(listed, RECIPIENTS_BRIEF)
}

/// A letter alone.
pub(super) fn whole(listed: &Listed) -> QueueLetter {
    letter(listed, RECIPIENTS_WHOLE)
}

fn letter(listed: &Listed, most: usize) -> QueueLetter {
    let letter = &listed.letter;
    let waits = |one: &&Recipient| one.progress.state == State::Waiting;
    let ended = letter.recipients.iter().filter(|one| !waits(one));
    let shown = letter.recipients.iter().filter(waits).chain(ended).take(most);
    QueueLetter {
        id: letter.journey,
        cause: letter.cause,
        from: letter.sender.to_string(),
        arrived: letter.arrived.to_rfc3339(),
        expires: letter.expires.to_rfc3339(),
        size: letter.length + letter.headers.len() as u64,
        place: place(listed.place).to_owned(),
        active: listed.active,
        held: letter.held.as_deref().map(cut),
        delay_told: letter.delay_told,
        waiting: listed.waiting(),
        total: letter.recipients.len(),
        states: states(letter),
        recipients: shown.map(|one| recipient(one, letter.held.is_some())).collect(),
    }
}

fn states(letter: &Letter) -> BTreeMap<String, usize> {
    let mut states = BTreeMap::new();
    for one in &letter.recipients {
        *states.entry(one.progress.state.to_string()).or_default() += 1;
    }
    states
}

fn recipient(of: &Recipient, held: bool) -> QueueRecipient {
    let progress = &of.progress;
    let last = progress.last.clone().unwrap_or_default();
    let next = progress.state == State::Waiting && !held;
    QueueRecipient {
        to: of.address.to_string(),
        state: progress.state.to_string(),
        attempts: progress.attempts,
        next: next.then(|| of.due().to_rfc3339()),
        reason: cut(&last.reason),
        host: cut(&last.host),
        said: cut(&last.text),
    }
}

fn place(of: Place) -> &'static str {
    match of {
        Place::Logged => "logged",
        Place::LoggedLarge => "logged-large",
        Place::LaidOut => "laid-out",
        Place::Filed => "filed",
        Place::Leaving => "leaving",
        Place::Aside => "aside",
    }
}

fn cut(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT)].to_owned()
}
