//! One change of a letter as one line of text: in the intake log, and in the changes file beside
//! the letter. docs/queue.md has an example.

use disk::Sequence;
use disk::text::{Escaped, unescape};
use protocol::time::{Civil, Timestamp};

use crate::letter::{Change, Letter, Progress, Said};

/// A change with when it happened and the log record that made it durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) sequence: Sequence,
    pub(crate) time: Timestamp,
    pub(crate) change: Change,
    /// The recipient's address: the custody book can be written from the line alone.
    pub(crate) to: String,
}

impl Line {
    /// The address a change of `letter` is about.
    pub(crate) fn address(letter: &Letter, change: &Change) -> String {
        match change {
            Change::Recipient(index, _) => letter
                .recipients
                .get(*index)
                .map(|recipient| recipient.address.to_string())
                .unwrap_or_default(),
            _ => String::new(),
        }
    }

    /// The line without sequence and line end: what goes into the log record.
    pub(crate) fn text(&self) -> String {
        let time = self.time.to_rfc3339();
        match &self.change {
            Change::Recipient(index, progress) => {
                let Progress { state, attempts, next, last } = progress;
                let to = Escaped(&self.to);
                let mut text = format!(
                    "{time}\trecipient={index}\tto={to}\tstate={state}\tattempts={attempts}"
                );
                text.push_str(&format!("\tnext={}", next.to_rfc3339()));
                if let Some(Said { reason, host, text: said }) = last {
                    text.push_str(&format!(
                        "\treason={}\thost={}\tsaid={}",
                        Escaped(reason),
                        Escaped(host),
                        Escaped(said)
                    ));
                }
                text
            }
            Change::Hold(reason) => format!("{time}\thold={}", Escaped(reason)),
            Change::Release => format!("{time}\trelease="),
            Change::Retry(when) => format!("{time}\tretry={}", when.to_rfc3339()),
            Change::DelayTold => format!("{time}\tdelay-told="),
        }
    }

    /// The whole line of the changes file, without its end.
    pub(crate) fn print(&self) -> String {
        format!("{}\t{}", self.sequence.0, self.text())
    }

    /// Reads a whole line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (sequence, text) = line.split_once('\t')?;
        Self::parse_text(Sequence(sequence.parse().ok()?), text)
    }

    /// Reads a line as it stands in a log record.
    pub(crate) fn parse_text(sequence: Sequence, text: &str) -> Option<Self> {
        let mut fields = text.split('\t');
        let time = parse_stamp(fields.next()?)?;
        let mut pairs = fields.map(|field| field.split_once('='));
        let (key, value) = pairs.next()??;
        let mut to = String::new();
        let change = match key {
            "hold" => Change::Hold(unescape(value)?),
            "release" => Change::Release,
            "retry" => Change::Retry(parse_stamp(value)?),
            "delay-told" => Change::DelayTold,
            "recipient" => {
                let mut next = |key: &str| {
                    pairs
                        .next()
                        .flatten()
                        .filter(|(found, _)| *found == key)
                        .map(|(_, value)| value)
                };
                to = unescape(next("to")?)?;
                let state = next("state")?.parse().ok()?;
                let attempts = next("attempts")?.parse().ok()?;
                let when = parse_stamp(next("next")?)?;
                let last = match next("reason") {
                    Some(reason) => Some(Said {
                        reason: unescape(reason)?,
                        host: unescape(next("host")?)?,
                        text: unescape(next("said")?)?,
                    }),
                    None => None,
                };
                let progress = Progress { state, attempts, next: when, last };
                Change::Recipient(value.parse().ok()?, progress)
            }
            _ => return None,
        };
        if pairs.next().is_some() {
            return None;
        }
        Some(Line { sequence, time, change, to })
    }
}

/// Reads `2026-11-22T21:06:36.123Z`, as [`Timestamp::to_rfc3339`] prints it.
pub(crate) fn parse_stamp(text: &str) -> Option<Timestamp> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.rsplitn(3, '-');
    let day = date.next()?.parse().ok()?;
    let month = date.next()?.parse().ok()?;
    let year = date.next()?.parse().ok()?;
    let (clock, millis) = time.split_once('.')?;
    let mut clock = clock.split(':');
    let hour = clock.next()?.parse().ok()?;
    let minute = clock.next()?.parse().ok()?;
    let second = clock.next()?.parse().ok()?;
    let micros = millis.parse::<u32>().ok()?.checked_mul(1000)?;
    if clock.next().is_some() || millis.len() != 3 {
        return None;
    }
    Timestamp::from_civil(Civil { year, month, day, hour, minute, second, micros, weekday: 0 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::letter::State;

    fn change() -> impl Strategy<Value = Change> {
        let text = "(.|\n|\t|=|%){0,40}";
        let stamp = (0i64..4_000_000_000_000).prop_map(|ms| Timestamp::from_micros(ms * 1000));
        let said = (text, text, text).prop_map(|(reason, host, text)| Said { reason, host, text });
        let state = proptest::sample::select(State::ALL.map(|(state, _)| state).to_vec());
        prop_oneof![
            text.prop_map(Change::Hold),
            Just(Change::Release),
            Just(Change::DelayTold),
            stamp.clone().prop_map(Change::Retry),
            (0usize..2000, state, any::<u32>(), stamp, proptest::option::of(said)).prop_map(
                |(index, state, attempts, next, last)| {
                    Change::Recipient(index, Progress { state, attempts, next, last })
                }
            ),
        ]
    }

    proptest! {
        #[test]
        fn printed_and_read_back(
            sequence: u64,
            millis in 0i64..4_000_000_000_000,
            change in change(),
            to in "(.|\n|\t|=|%){0,40}",
        ) {
            let to = if matches!(change, Change::Recipient(..)) { to } else { String::new() };
            let time = Timestamp::from_micros(millis * 1000);
            let line = Line { sequence: Sequence(sequence), time, change, to };
            let text = line.print();
            prop_assert!(!text.contains('\n'));
            prop_assert_eq!(Line::parse(&text), Some(line));
        }

        #[test]
        fn any_line_is_read_without_a_panic(text in "\\PC{0,80}|[0-9]{1,3}\t[0-9TZ:.-]{0,24}\t.*") {
            let _ = Line::parse(&text);
        }
    }
}
