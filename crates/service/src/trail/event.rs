//! One event of a letter's journey, and its form as a line of JSON.

use std::fmt;
use std::time::Duration;

use protocol::journey::JourneyId;
use protocol::time::{Civil, Timestamp};
use serde::{Deserialize, Serialize};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Given to the MSA by a person.
    Submitted,
    /// The sender logged in.
    Authenticated,
    /// Answered 250: it is ours now.
    Accepted,
    /// DKIM signatures were added.
    Signed,
    /// One recipient became others.
    Expanded,
    /// Made here, because of another letter (see `cause`).
    Generated,
    /// Waits in the queue.
    Queued,
    /// A question to DNS and its answer. Detail.
    Dns,
    /// A connection to another system. Detail.
    Connect,
    /// TLS on it. Detail.
    Tls,
    /// A line of the dialogue. Detail.
    SmtpLine,
    /// To be tried again.
    Deferred,
    /// Another system answered 250: it is theirs now.
    Relayed,
    /// Given back to the sender.
    Bounced,
    /// Taken from another system, before it is ours.
    Received,
    /// What SPF, DKIM, DMARC or the junk filter say. Detail.
    Verdict,
    /// A rule of the recipient put it somewhere.
    Filtered,
    /// In a mailbox.
    Stored,
    /// Read by a client.
    Retrieved,
    /// Dropped by a named rule.
    Discarded,
    /// A stored letter is not as it was stored any more.
    Damaged,
    /// Expunged from Trash or Junk, having been there for as long as is set.
    Expired,
    /// Kept back until somebody releases it.
    Held,
    /// Released from being held, or sent on by hand.
    Released,
    /// Refused: it never became ours.
    Refused,
    /// The lab broke something on purpose.
    FaultInjected,
    /// So many events were dropped, because the disk was slow.
    Dropped,
}

/// How it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Well.
    #[default]
    Ok,
    /// Not now (4xx).
    Temporary,
    /// Not ever (5xx).
    Permanent,
}

/// Which way a line of a dialogue went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From us.
    Out,
    /// To us.
    In,
}

/// An event under construction: `Event::new(Kind::Deferred, id).to(rcpt).said("450 ...")`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// What happened.
    pub kind: Kind,
    /// To which letter; none for what concerns no letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journey: Option<JourneyId>,
    /// How it went.
    #[serde(default)]
    pub outcome: Outcome,
    /// The reverse-path, without angle brackets; empty for the null one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sender: Option<String>,
    /// For which recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recipient: Option<String>,
    /// The letter's Message-ID, with angle brackets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// Who is at the other end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<String>,
    /// What the other side said, or what happened, in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The class of a failure, e.g. `greylisted`, `dns`, `full`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
    /// The queue id, where it differs from the journey.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_id: Option<String>,
    /// The letter because of which this one was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<JourneyId>,
    /// Which attempt this is, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// When it is tried again.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "rfc3339_option")]
    pub next: Option<Timestamp>,
    /// How long it took, in microseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub took_us: Option<u64>,
    /// How many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Which way a line went.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<Direction>,
    /// Whether a line was encrypted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encrypted: Option<bool>,
    /// So many events like this (of [`Kind::Dropped`]), or so many recipients.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// An event as it stands in the trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// When.
    #[serde(with = "rfc3339")]
    pub time: Timestamp,
    /// Which agent says so.
    pub agent: String,
    /// What it says.
    #[serde(flatten)]
    pub event: Event,
}

impl Event {
    /// Something happened to a letter.
    pub fn new(kind: Kind, journey: JourneyId) -> Self {
        Event { journey: Some(journey), ..Event::anonymous(kind) }
    }

    /// Something happened that belongs to no letter, e.g. a login.
    pub fn anonymous(kind: Kind) -> Self {
        Event {
            kind,
            journey: None,
            outcome: Outcome::Ok,
            sender: None,
            recipient: None,
            message_id: None,
            peer: None,
            text: None,
            class: None,
            queue_id: None,
            cause: None,
            attempt: None,
            next: None,
            took_us: None,
            bytes: None,
            direction: None,
            encrypted: None,
            count: None,
        }
    }

    /// How it went.
    #[must_use]
    pub fn outcome(mut self, outcome: Outcome) -> Self {
        self.outcome = outcome;
        self
    }

    /// From whom (the reverse-path), with angle brackets or without.
    #[must_use]
    pub fn from(mut self, sender: impl fmt::Display) -> Self {
        let path = sender.to_string();
        let bare = path.strip_prefix('<').and_then(|path| path.strip_suffix('>'));
        self.sender = Some(bare.map(str::to_owned).unwrap_or(path));
        self
    }

    /// For which recipient.
    #[must_use]
    pub fn to(mut self, recipient: impl fmt::Display) -> Self {
        self.recipient = Some(recipient.to_string());
        self
    }

    /// The letter's Message-ID.
    #[must_use]
    pub fn message_id(mut self, id: impl fmt::Display) -> Self {
        self.message_id = Some(id.to_string());
        self
    }

    /// Who is at the other end.
    #[must_use]
    pub fn peer(mut self, peer: impl fmt::Display) -> Self {
        self.peer = Some(peer.to_string());
        self
    }

    /// What the other side said, or what happened. Never content of the letter, never a secret.
    #[must_use]
    pub fn text(mut self, text: impl fmt::Display) -> Self {
        self.text = Some(text.to_string());
        self
    }

    /// The class of a failure.
    #[must_use]
    pub fn class(mut self, class: impl fmt::Display) -> Self {
        self.class = Some(class.to_string());
        self
    }

    /// The queue id, where it differs from the journey.
    #[must_use]
    pub fn queue_id(mut self, id: impl fmt::Display) -> Self {
        self.queue_id = Some(id.to_string());
        self
    }

    /// The letter because of which this one was made.
    #[must_use]
    pub fn because_of(mut self, cause: JourneyId) -> Self {
        self.cause = Some(cause);
        self
    }

    /// Which attempt this is, and when the next one is.
    #[must_use]
    pub fn attempt(mut self, number: u32, next: Option<Timestamp>) -> Self {
        self.attempt = Some(number);
        self.next = next;
        self
    }

    /// How long it took.
    #[must_use]
    pub fn took(mut self, duration: Duration) -> Self {
        self.took_us = Some(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX));
        self
    }

    /// How many bytes.
    #[must_use]
    pub fn bytes(mut self, bytes: u64) -> Self {
        self.bytes = Some(bytes);
        self
    }

    /// A line of a dialogue, in clear.
    #[must_use]
    pub fn line(mut self, direction: Direction, text: impl fmt::Display) -> Self {
        self.direction = Some(direction);
        self.encrypted = Some(false);
        self.text(text)
    }

    /// The line of a dialogue went through TLS.
    #[must_use]
    pub fn encrypted(mut self) -> Self {
        self.encrypted = Some(true);
        self
    }
}

impl Kind {
    /// Lines that are dropped first when the disk is slow.
    pub fn is_detail(self) -> bool {
        matches!(self, Kind::Dns | Kind::Connect | Kind::Tls | Kind::SmtpLine | Kind::Verdict)
    }

    /// Every kind.
    pub const ALL: [Kind; 27] = [
        Kind::Submitted,
        Kind::Authenticated,
        Kind::Accepted,
        Kind::Signed,
        Kind::Expanded,
        Kind::Generated,
        Kind::Queued,
        Kind::Dns,
        Kind::Connect,
        Kind::Tls,
        Kind::SmtpLine,
        Kind::Deferred,
        Kind::Relayed,
        Kind::Bounced,
        Kind::Received,
        Kind::Verdict,
        Kind::Filtered,
        Kind::Stored,
        Kind::Retrieved,
        Kind::Discarded,
        Kind::Expired,
        Kind::Damaged,
        Kind::Held,
        Kind::Released,
        Kind::Refused,
        Kind::FaultInjected,
        Kind::Dropped,
    ];

    /// As in the file.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Submitted => "submitted",
            Kind::Authenticated => "authenticated",
            Kind::Accepted => "accepted",
            Kind::Signed => "signed",
            Kind::Expanded => "expanded",
            Kind::Generated => "generated",
            Kind::Queued => "queued",
            Kind::Dns => "dns",
            Kind::Connect => "connect",
            Kind::Tls => "tls",
            Kind::SmtpLine => "smtp-line",
            Kind::Deferred => "deferred",
            Kind::Relayed => "relayed",
            Kind::Bounced => "bounced",
            Kind::Received => "received",
            Kind::Verdict => "verdict",
            Kind::Filtered => "filtered",
            Kind::Stored => "stored",
            Kind::Retrieved => "retrieved",
            Kind::Discarded => "discarded",
            Kind::Expired => "expired",
            Kind::Damaged => "damaged",
            Kind::Held => "held",
            Kind::Released => "released",
            Kind::Refused => "refused",
            Kind::FaultInjected => "fault-injected",
            Kind::Dropped => "dropped",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// RFC 3339 in UTC with microseconds: agents' events are merged by it.
pub(crate) mod rfc3339 {
    use super::{Civil, Deserialize, Timestamp};
    use serde::de::Error as _;
    use serde::{Deserializer, Serializer};

    pub(crate) fn text(time: Timestamp) -> String {
        let c = time.civil();
        format!(
            "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:06}Z",
            c.year, c.month, c.day, c.hour, c.minute, c.second, c.micros
        )
    }

    pub(crate) fn parse(text: &str) -> Option<Timestamp> {
        let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<u32>().ok();
        let byte = |range: std::ops::Range<usize>| number(range).and_then(|n| u8::try_from(n).ok());
        if text.len() != 27 || !text.ends_with('Z') {
            return None;
        }
        Timestamp::from_civil(Civil {
            year: i64::from(number(0..4)?),
            month: byte(5..7)?,
            day: byte(8..10)?,
            hour: byte(11..13)?,
            minute: byte(14..16)?,
            second: byte(17..19)?,
            micros: number(20..26)?,
            weekday: 0,
        })
    }

    pub(crate) fn serialize<S: Serializer>(time: &Timestamp, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&text(*time))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(de: D) -> Result<Timestamp, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(de)?;
        parse(&text).ok_or_else(|| D::Error::custom("not an RFC 3339 time with microseconds"))
    }
}

mod rfc3339_option {
    use super::{Deserialize, Timestamp, rfc3339};
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        time: &Option<Timestamp>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        match time {
            Some(time) => rfc3339::serialize(time, s),
            None => s.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        de: D,
    ) -> Result<Option<Timestamp>, D::Error> {
        let text = Option::<String>::deserialize(de)?;
        Ok(text.and_then(|text| rfc3339::parse(&text)))
    }
}
