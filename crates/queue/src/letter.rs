//! A letter in transit: its envelope, and what happened to each recipient. Not its bytes: those
//! are a [`disk::Body`].

use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use disk::Body;
use protocol::address::{Address, ReversePath};
use protocol::journey::JourneyId;
use protocol::smtp::{MailParameters, RcptParameters};
use protocol::time::Timestamp;

/// How a letter came to be here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Origin {
    /// Taken from somebody else with a 250.
    Accepted,
    /// Likewise, from somebody who may have given another's address as the sender's: nobody is told
    /// by letter what becomes of it.
    Unproven,
    /// Made here: a bounce, a notice, an answer; `cause` says because of which journey.
    Generated,
}

/// A letter to be taken into the queue.
#[derive(Debug, Clone)]
pub struct NewLetter {
    /// Its journey, which is its queue id too.
    pub journey: JourneyId,
    /// The journey that was the reason for this one.
    pub cause: Option<JourneyId>,
    /// How it came to be here.
    pub origin: Origin,
    /// When we became responsible.
    pub arrived: Timestamp,
    /// When it is given back if it still waits.
    pub expires: Timestamp,
    /// Whom to tell when it fails.
    pub sender: ReversePath,
    /// What came with MAIL; `journey` and `hold` in it are not used.
    pub parameters: MailParameters,
    /// Who is to get it; all of them wait.
    pub recipients: Vec<NewRecipient>,
    /// Why it is not to be sent until somebody releases it.
    pub held: Option<String>,
    /// Header fields to put in front of it, whole lines.
    pub headers: Bytes,
    /// The letter as it came.
    pub body: Body,
}

/// A recipient of a new letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewRecipient {
    /// Who.
    pub address: Address,
    /// What came with RCPT.
    pub parameters: RcptParameters,
    /// The recipient it came from (alias, redirect), if it was not named itself.
    pub from: Option<Address>,
    /// When to try first: [`NewLetter::arrived`], or later when it was tried already.
    pub first_try: Timestamp,
    /// [`Recipient::in_hand`].
    pub in_hand: Option<Timestamp>,
}

/// A letter in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its journey and queue id.
    pub journey: JourneyId,
    /// The journey that was the reason for this one.
    pub cause: Option<JourneyId>,
    /// How it came to be here.
    pub origin: Origin,
    /// When we became responsible.
    pub arrived: Timestamp,
    /// When it is given back if it still waits.
    pub expires: Timestamp,
    /// Whom to tell when it fails.
    pub sender: ReversePath,
    /// What came with MAIL.
    pub parameters: MailParameters,
    /// Who is to get it, and how far that is.
    pub recipients: Vec<Recipient>,
    /// Why it is held, if it is.
    pub held: Option<String>,
    /// Whether the sender has been told that it is delayed.
    pub delay_told: bool,
    /// Header fields to put in front of it.
    pub headers: Bytes,
    /// Bytes of the letter as it came, without `headers`.
    pub length: u64,
}

/// A recipient of a letter in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who.
    pub address: Address,
    /// What came with RCPT.
    pub parameters: RcptParameters,
    /// The recipient it came from, if it was not named itself.
    pub from: Option<Address>,
    /// How far it is.
    pub progress: Progress,
    /// Who took the letter in is handing it over to this recipient, and nobody else tries it before
    /// this time or before the outcome is recorded. In memory only: when the process that had it
    /// in hand dies, the recipient is due.
    pub in_hand: Option<Timestamp>,
}

/// How far a letter is for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// Whether it still waits, or how it ended.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next, while it waits.
    pub next: Timestamp,
    /// What the last attempt came to.
    pub last: Option<Said>,
}

/// What was said at the last attempt, or who decided.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Said {
    /// Class of the failure, one word; empty after a success.
    pub reason: String,
    /// Who said it.
    pub host: String,
    /// The reply, or our own words.
    pub text: String,
}

/// States of a recipient; docs/queue.md has the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// To be tried.
    Waiting,
    /// Our MDA, or what stands in its place, has it.
    Delivered,
    /// Another system has it.
    Relayed,
    /// Given back.
    Bounced,
    /// Dropped by a named rule.
    Discarded,
}

/// A change of a letter in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// What became of the recipient with this index. Ignored when it had ended before.
    Recipient(usize, Progress),
    /// Nobody may send it, for this reason.
    Hold(String),
    /// It may be sent again.
    Release,
    /// All that wait are to be tried at this time.
    Retry(Timestamp),
    /// The sender was told that it is delayed.
    DelayTold,
}

impl Recipient {
    /// When it may be tried, while it waits.
    pub fn due(&self) -> Timestamp {
        self.progress.next.max(self.in_hand.unwrap_or(self.progress.next))
    }
}

impl Letter {
    /// The letter as it is when it comes in.
    pub fn new(from: &NewLetter) -> Self {
        let waiting = |recipient: &NewRecipient| Recipient {
            address: recipient.address.clone(),
            parameters: recipient.parameters.clone(),
            from: recipient.from.clone(),
            progress: Progress {
                state: State::Waiting,
                attempts: 0,
                next: whole_millis(recipient.first_try),
                last: None,
            },
            in_hand: recipient.in_hand,
        };
        Letter {
            journey: from.journey,
            cause: from.cause,
            origin: from.origin,
            arrived: whole_millis(from.arrived),
            expires: whole_millis(from.expires),
            sender: from.sender.clone(),
            parameters: MailParameters { journey: None, hold: None, ..from.parameters.clone() },
            recipients: from.recipients.iter().map(waiting).collect(),
            held: from.held.clone(),
            delay_told: false,
            headers: from.headers.clone(),
            length: from.body.length(),
        }
    }

    /// Whether every recipient has ended.
    pub fn is_done(&self) -> bool {
        self.recipients.iter().all(|recipient| recipient.progress.state != State::Waiting)
    }

    /// When the next recipient is due; `None` when none waits, or it is held.
    pub fn next(&self) -> Option<Timestamp> {
        if self.held.is_some() {
            return None;
        }
        self.waiting().map(|(_, recipient)| recipient.due()).min()
    }

    /// The recipients that wait, with their indexes.
    pub fn waiting(&self) -> impl Iterator<Item = (usize, &Recipient)> {
        self.recipients
            .iter()
            .enumerate()
            .filter(|(_, recipient)| recipient.progress.state == State::Waiting)
    }

    /// Makes a change. Whether it meant something.
    pub fn apply(&mut self, change: &Change) -> bool {
        match change {
            Change::Recipient(index, progress) => match self.recipients.get_mut(*index) {
                Some(recipient) if recipient.progress.state == State::Waiting => {
                    recipient.progress = progress.clone();
                    recipient.progress.next = whole_millis(progress.next);
                    recipient.in_hand = None;
                    true
                }
                _ => false,
            },
            Change::Hold(reason) => {
                self.held = Some(reason.clone());
                true
            }
            Change::Release => self.held.take().is_some(),
            Change::Retry(when) => {
                for recipient in &mut self.recipients {
                    if recipient.progress.state == State::Waiting {
                        recipient.progress.next = whole_millis(*when);
                    }
                }
                true
            }
            Change::DelayTold => {
                let first = !self.delay_told;
                self.delay_told = true;
                first
            }
        }
    }
}

/// Files show milliseconds; memory has no more, so that a restart changes nothing.
pub(crate) fn whole_millis(time: Timestamp) -> Timestamp {
    Timestamp::from_micros(time.as_millis().saturating_mul(1000))
}

impl State {
    /// Every state with its word in files.
    pub const ALL: [(State, &'static str); 5] = [
        (State::Waiting, "waiting"),
        (State::Delivered, "delivered"),
        (State::Relayed, "relayed"),
        (State::Bounced, "bounced"),
        (State::Discarded, "discarded"),
    ];
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = State::ALL.iter().find(|(state, _)| state == self).map_or("", |(_, w)| w);
        f.pad(word)
    }
}

impl FromStr for State {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        State::ALL.iter().find(|(_, known)| *known == word).map(|(state, _)| *state).ok_or(())
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Origin::Accepted => "accepted",
            Origin::Unproven => "unproven",
            Origin::Generated => "generated",
        })
    }
}

impl FromStr for Origin {
    type Err = ();

    fn from_str(word: &str) -> Result<Self, ()> {
        match word {
            "accepted" => Ok(Origin::Accepted),
            "unproven" => Ok(Origin::Unproven),
            "generated" => Ok(Origin::Generated),
            _ => Err(()),
        }
    }
}
