//! Events as lines of JSON, written straight into the buffer of those that wait for the disk: no
//! line costs memory of its own. What is written here is what [`Recorded`] reads; a test compares
//! the two. Called by `write` alone.
//!
//! Ten events a letter made the general serializer a tenth of the transfer agent's work; see
//! docs/performance.md.

use std::fmt::{self, Write as _};
use std::time::Duration;

use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use super::event::{Direction, Event, Kind, Outcome};
use crate::limits::TRAIL_TEXT;

#[cfg(doc)]
use super::event::Recorded;

/// A line of a dialogue, borrowed: the event that is recorded most often, up to ten times a letter.
#[derive(Clone, Copy)]
pub struct Spoken<'a> {
    /// The letter.
    pub journey: JourneyId,
    /// Who is at the other end.
    pub peer: &'a str,
    /// Which way the line went.
    pub direction: Direction,
    /// Whether it went through TLS.
    pub encrypted: bool,
    /// The line. Never content of the letter, never a secret.
    pub text: &'a dyn fmt::Display,
    /// What it means.
    pub outcome: Outcome,
    /// From the line to the reply.
    pub took: Option<Duration>,
}

/// The text of the second that was last written: most lines of a busy agent share it.
#[derive(Debug, Default)]
pub(super) struct Second {
    number: Option<i64>,
    text: String,
}

/// What every line says.
pub(super) struct Head<'a> {
    pub(super) agent: &'a str,
    pub(super) time: Timestamp,
}

/// Appends a line with its end.
pub(super) fn event(out: &mut Vec<u8>, second: &mut Second, head: &Head<'_>, event: &Event) {
    let mut line = Line::begin(out, second, head, event.kind);
    line.journey("journey", event.journey);
    line.word("outcome", outcome(event.outcome));
    line.text("sender", event.sender.as_deref());
    line.text("recipient", event.recipient.as_deref());
    line.text("message_id", event.message_id.as_deref());
    line.text("peer", event.peer.as_deref());
    let cut = |text: &'_ String| text.floor_char_boundary(TRAIL_TEXT);
    line.text("text", event.text.as_ref().map(|text| text.get(..cut(text)).unwrap_or(text)));
    line.text("class", event.class.as_deref());
    line.text("queue_id", event.queue_id.as_deref());
    line.journey("cause", event.cause);
    line.number("attempt", event.attempt.map(u64::from));
    if let Some(next) = event.next {
        line.key("next");
        line.time(next);
    }
    line.number("took_us", event.took_us);
    line.number("bytes", event.bytes);
    if let Some(way) = event.direction {
        line.word("direction", direction(way));
    }
    if let Some(encrypted) = event.encrypted {
        line.truth("encrypted", encrypted);
    }
    line.number("count", event.count);
    line.end();
}

/// The same of a line of a dialogue.
pub(super) fn spoken(out: &mut Vec<u8>, second: &mut Second, head: &Head<'_>, said: &Spoken<'_>) {
    let mut line = Line::begin(out, second, head, Kind::SmtpLine);
    line.journey("journey", Some(said.journey));
    line.word("outcome", outcome(said.outcome));
    line.text("peer", Some(said.peer));
    line.display("text", said.text);
    line.number("took_us", said.took.map(micros));
    line.word("direction", direction(said.direction));
    line.truth("encrypted", said.encrypted);
    line.end();
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

fn outcome(of: Outcome) -> &'static str {
    match of {
        Outcome::Ok => "ok",
        Outcome::Temporary => "temporary",
        Outcome::Permanent => "permanent",
    }
}

fn direction(of: Direction) -> &'static str {
    match of {
        Direction::Out => "out",
        Direction::In => "in",
    }
}

/// One object, key by key.
struct Line<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Line<'a> {
    fn begin(out: &'a mut Vec<u8>, second: &mut Second, head: &Head<'_>, kind: Kind) -> Self {
        out.extend_from_slice(b"{\"time\":\"");
        out.extend_from_slice(second.of(head.time).as_bytes());
        fraction(out, head.time);
        let mut line = Line { out };
        line.text("agent", Some(head.agent));
        line.word("kind", kind.as_str());
        line
    }

    fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    fn key(&mut self, key: &str) {
        self.out.extend_from_slice(b",\"");
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    /// A word of ours, in which nothing needs an escape.
    fn word(&mut self, key: &str, word: &str) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(word.as_bytes());
        self.out.push(b'"');
    }

    fn text(&mut self, key: &str, text: Option<&str>) {
        let Some(text) = text else { return };
        self.key(key);
        self.out.push(b'"');
        escape(self.out, text);
        self.out.push(b'"');
    }

    /// At most [`TRAIL_TEXT`] bytes of what is displayed.
    fn display(&mut self, key: &str, text: &dyn fmt::Display) {
        self.key(key);
        self.out.push(b'"');
        let mut escaped = Escaped { out: self.out, left: TRAIL_TEXT };
        // It fails when there is no room left, which is meant.
        let _ = write!(escaped, "{text}");
        self.out.push(b'"');
    }

    fn journey(&mut self, key: &str, journey: Option<JourneyId>) {
        let Some(journey) = journey else { return };
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(&journey.to_ascii());
        self.out.push(b'"');
    }

    fn number(&mut self, key: &str, number: Option<u64>) {
        let Some(number) = number else { return };
        self.key(key);
        decimal(self.out, number);
    }

    fn truth(&mut self, key: &str, truth: bool) {
        self.key(key);
        self.out.extend_from_slice(if truth { b"true" } else { b"false" });
    }

    fn time(&mut self, time: Timestamp) {
        self.out.push(b'"');
        self.out.extend_from_slice(Second::default().of(time).as_bytes());
        fraction(self.out, time);
    }
}

impl Second {
    /// RFC 3339 §5.6 in UTC, up to the seconds.
    fn of(&mut self, time: Timestamp) -> &str {
        let number = time.as_seconds();
        if self.number != Some(number) {
            let c = time.civil();
            self.text.clear();
            // A String takes everything.
            let _ = write!(
                self.text,
                "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}",
                c.year, c.month, c.day, c.hour, c.minute, c.second
            );
            self.number = Some(number);
        }
        &self.text
    }
}

/// The rest of a time and the quote behind it: agents' events are merged by their microseconds.
fn fraction(out: &mut Vec<u8>, time: Timestamp) {
    let mut text = *b".000000Z\"";
    let mut rest = time.as_micros().rem_euclid(1_000_000);
    for digit in text[1..7].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&text);
}

fn decimal(out: &mut Vec<u8>, mut number: u64) {
    // 2^64 has twenty digits.
    let mut text = [0; 20];
    let mut at = text.len();
    loop {
        at -= 1;
        text[at] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&text[at..]);
}

/// RFC 8259 §7: quotes, backslashes and control characters; everything else stays.
fn escape(out: &mut Vec<u8>, text: &str) {
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        if byte >= b' ' && byte != b'"' && byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[plain..at]);
        plain = at + 1;
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            8 => out.extend_from_slice(b"\\b"),
            12 => out.extend_from_slice(b"\\f"),
            _ => {
                let digit = |value: u8| char::from_digit(u32::from(value), 16).unwrap_or('0');
                out.extend_from_slice(b"\\u00");
                out.push(digit(byte >> 4) as u8);
                out.push(digit(byte & 15) as u8);
            }
        }
    }
    out.extend_from_slice(&text.as_bytes()[plain..]);
}

/// Escapes what is displayed, up to a length.
struct Escaped<'a> {
    out: &'a mut Vec<u8>,
    left: usize,
}

impl fmt::Write for Escaped<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let taken = text.floor_char_boundary(self.left);
        escape(self.out, &text[..taken]);
        self.left -= taken;
        if taken < text.len() {
            self.left = 0;
            return Err(fmt::Error);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::trail::Recorded;

    fn written(time: Timestamp, one: &Event) -> Recorded {
        let mut out = Vec::new();
        event(&mut out, &mut Second::default(), &Head { agent: "mta", time }, one);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        let line = out.strip_suffix(b"\n").expect("a line ends");
        // The order of the keys is the one that derives give.
        let read: Recorded = serde_json::from_slice(line).expect("it is JSON");
        let again = serde_json::to_vec(&read).expect("it can be written");
        assert_eq!(String::from_utf8_lossy(line), String::from_utf8_lossy(&again));
        read
    }

    fn texts() -> impl Strategy<Value = Option<String>> {
        proptest::option::of("[\\x00-\\x7fäß€𝄞\"\\\\]{0,40}")
    }

    proptest! {
        #[test]
        fn a_line_is_read_back_as_it_was_meant(
            micros in 0i64..4_102_444_800_000_000,
            words in proptest::array::uniform8(texts()),
            numbers in proptest::array::uniform4(proptest::option::of(any::<u64>())),
            (kind, outcome, way) in (0..Kind::ALL.len(), 0..3usize, 0..3usize),
        ) {
            let time = Timestamp::from_micros(micros);
            let [sender, recipient, message_id, peer, text, class, queue_id, _] = words;
            let [took_us, bytes, count, attempt] = numbers;
            let one = Event {
                sender, recipient, message_id, peer, text, class, queue_id, took_us, bytes, count,
                journey: took_us.map(|n| JourneyId::new(time, n as u32)),
                cause: bytes.map(|n| JourneyId::new(time, n as u32)),
                attempt: attempt.map(|n| n as u32),
                next: attempt.map(|_| time),
                outcome: [Outcome::Ok, Outcome::Temporary, Outcome::Permanent][outcome],
                direction: [None, Some(Direction::In), Some(Direction::Out)][way],
                encrypted: [None, Some(true), Some(false)][way],
                ..Event::anonymous(Kind::ALL[kind])
            };
            let read = written(time, &one);
            prop_assert_eq!((read.time, read.event), (time, one));
        }

        #[test]
        fn a_line_of_a_dialogue_is_the_event_of_it(text in "[\\x00-\\x7fä€\"]{0,60}", us: u32) {
            let time = Timestamp::from_micros(1_795_381_596_000_007);
            let said = Spoken {
                journey: JourneyId::new(time, us),
                peer: "mx.blue.test [192.0.2.1]",
                direction: Direction::In,
                encrypted: us % 2 == 0,
                text: &text,
                outcome: Outcome::Temporary,
                took: (us % 3 == 0).then(|| Duration::from_micros(u64::from(us))),
            };
            let mut out = Vec::new();
            spoken(&mut out, &mut Second::default(), &Head { agent: "mta", time }, &said);
            let read: Recorded = serde_json::from_slice(&out).expect("it is JSON");
            let mut event = Event::new(Kind::SmtpLine, said.journey)
                .peer(said.peer)
                .line(Direction::In, &text)
                .outcome(Outcome::Temporary);
            event.encrypted = Some(said.encrypted);
            event.took_us = said.took.map(micros);
            prop_assert_eq!(read.event, event);
        }
    }

    #[test]
    fn what_is_said_at_length_is_cut_between_characters() {
        let time = Timestamp::from_seconds(1);
        let text = "ä".repeat(TRAIL_TEXT);
        let read = written(time, &Event::anonymous(Kind::Dns).text(&text));
        assert_eq!(read.event.text.map(|text| text.len()), Some(TRAIL_TEXT));
        let mut out = Vec::new();
        let said = Spoken {
            journey: JourneyId::new(time, 1),
            peer: "",
            direction: Direction::Out,
            encrypted: false,
            text: &format_args!("x{text}"),
            outcome: Outcome::Ok,
            took: None,
        };
        spoken(&mut out, &mut Second::default(), &Head { agent: "mta", time }, &said);
        let read: Recorded = serde_json::from_slice(&out).expect("it is JSON");
        assert_eq!(read.event.text.map(|text| text.len()), Some(TRAIL_TEXT - 1));
    }
}
