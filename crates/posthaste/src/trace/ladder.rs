//! Draws events as a ladder: time running down, one line for each event, a mark for direction,
//! encryption and failure. Pure: events in, lines out. The demo draws with it too.

use std::collections::BTreeMap;

use protocol::journey::JourneyId;
use protocol::time::Timestamp;
use service::trail::{Direction, Event, Kind, Outcome, Recorded};

use crate::output::safe;

/// Remembers when each journey began, so that later lines count from there.
#[derive(Debug, Default)]
pub(crate) struct Ladder {
    began: BTreeMap<JourneyId, Timestamp>,
}

impl Ladder {
    /// Nothing was drawn yet.
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `events` were drawn already.
    pub(crate) fn continuing(events: &[Recorded]) -> Self {
        let mut ladder = Self::default();
        ladder.note(events);
        ladder
    }

    /// One line for each event.
    pub(crate) fn lines(&mut self, events: &[Recorded]) -> Vec<String> {
        self.note(events);
        events.iter().map(|recorded| self.line(recorded)).collect()
    }

    /// Nothing of this letter was drawn yet.
    pub(crate) fn is_new(&self, events: &[Recorded]) -> bool {
        let mut journeys = events.iter().filter_map(|recorded| recorded.event.journey);
        !journeys.any(|journey| self.began.contains_key(&journey))
    }

    fn note(&mut self, events: &[Recorded]) {
        for recorded in events {
            if let Some(journey) = recorded.event.journey {
                self.began.entry(journey).or_insert(recorded.time);
            }
        }
    }

    fn line(&self, recorded: &Recorded) -> String {
        let Recorded { time, agent, event } = recorded;
        let began = event.journey.and_then(|journey| self.began.get(&journey)).unwrap_or(time);
        let offset = offset(time.since(*began));
        let (what, text) = if event.kind == Kind::SmtpLine {
            (arrow(event), event.text.clone().unwrap_or_default())
        } else {
            (event.kind.to_string(), words(event))
        };
        let mark = match event.outcome {
            Outcome::Ok => ' ',
            Outcome::Temporary | Outcome::Permanent => '!',
        };
        // Control characters of foreign replies must not reach the terminal.
        let text = safe(&text);
        format!("{offset:>10}  {agent:<4} {mark}{what:<14} {text}").trim_end().to_owned()
    }
}

/// The events of each letter by itself, in the order in which the letters began.
pub(crate) fn journeys(events: &[Recorded]) -> Vec<Vec<Recorded>> {
    let mut order: Vec<JourneyId> = Vec::new();
    let mut by_journey: BTreeMap<JourneyId, Vec<Recorded>> = BTreeMap::new();
    for recorded in events {
        let Some(journey) = recorded.event.journey else { continue };
        if !by_journey.contains_key(&journey) {
            order.push(journey);
        }
        by_journey.entry(journey).or_default().push(recorded.clone());
    }
    order.iter().filter_map(|journey| by_journey.remove(journey)).collect()
}

/// `letter ID  sender → recipients    state: ...`.
pub(crate) fn headline(events: &[Recorded]) -> String {
    let id = events.iter().find_map(|recorded| recorded.event.journey);
    let id = id.map(|id| id.to_string()).unwrap_or_default();
    let sender = events.iter().find_map(|recorded| recorded.event.sender.as_deref());
    let states = states(events);
    let recipients: Vec<&str> = states.keys().map(String::as_str).collect();
    let shown = match recipients.as_slice() {
        [] => "?".to_owned(),
        [one] => (*one).to_owned(),
        [first, rest @ ..] if rest.len() > 3 => format!("{first} and {} others", rest.len()),
        many => many.join(", "),
    };
    let sender = match sender {
        Some("" | "<>") => "<> (a report)".to_owned(),
        Some(sender) => sender.to_owned(),
        None => "?".to_owned(),
    };
    let mut counted: BTreeMap<&str, usize> = BTreeMap::new();
    for state in states.values() {
        *counted.entry(state).or_insert(0) += 1;
    }
    let state = match counted.len() {
        0 => "under way".to_owned(),
        1 => counted.keys().next().copied().unwrap_or_default().to_owned(),
        _ => counted.iter().map(|(state, n)| format!("{n} {state}")).collect::<Vec<_>>().join(", "),
    };
    let cause = events.iter().find_map(|recorded| recorded.event.cause);
    let because = cause.map(|cause| format!("  because of {cause}")).unwrap_or_default();
    safe(&format!("letter {id}  {sender} → {shown}  state: {state}{because}"))
}

/// What became of each recipient so far.
fn states(events: &[Recorded]) -> BTreeMap<String, &'static str> {
    let mut states: BTreeMap<String, &'static str> = BTreeMap::new();
    for Recorded { event, .. } in events {
        let Some(recipient) = &event.recipient else { continue };
        let state = match event.kind {
            Kind::Stored => "delivered",
            Kind::Relayed => "relayed",
            Kind::Bounced => "bounced",
            Kind::Discarded => "discarded",
            Kind::Expired => "expired",
            Kind::Damaged => "damaged",
            Kind::Held => "held",
            Kind::Deferred => "deferred",
            Kind::Queued | Kind::Released => "queued",
            Kind::Refused => "refused",
            Kind::Expanded => "expanded",
            _ => "under way",
        };
        let known = states.entry(recipient.clone()).or_insert(state);
        // What has ended stays ended, whatever detail comes after.
        let has_ended = matches!(*known, "delivered" | "relayed" | "bounced" | "discarded");
        if state != "under way" && !has_ended {
            *known = state;
        }
    }
    states
}

/// `-~>`: from us, encrypted; `<--`: to us, in clear; `<~!`: to us, a refusal.
fn arrow(event: &Event) -> String {
    let wire = if event.encrypted == Some(true) { '~' } else { '-' };
    match (event.direction, event.outcome) {
        (Some(Direction::In), Outcome::Ok) => format!("<{wire}-"),
        (Some(Direction::In), _) => format!("<{wire}!"),
        _ => format!("-{wire}>"),
    }
}

/// Everything an event says, most telling first.
fn words(event: &Event) -> String {
    let mut parts: Vec<String> = Vec::new();
    let sender =
        event.sender.as_deref().map(|sender| if sender.is_empty() { "<>" } else { sender });
    match (sender, &event.recipient) {
        (Some(sender), Some(recipient)) => parts.push(format!("{sender} → {recipient}")),
        (Some("<>"), None) => parts.push("from <>".to_owned()),
        (Some(sender), None) => parts.push(format!("from <{sender}>")),
        (None, Some(recipient)) => parts.push(format!("for {recipient}")),
        (None, None) => {}
    }
    parts.extend(event.text.clone());
    parts.extend(event.peer.as_ref().map(|peer| format!("[{peer}]")));
    parts.extend(event.bytes.map(|bytes| format!("{bytes} bytes")));
    parts.extend(event.class.as_ref().map(|class| format!("class: {class}")));
    match (event.attempt, event.next) {
        (Some(attempt), Some(next)) => {
            parts.push(format!("attempt {attempt}, next {}", next.to_rfc3339()));
        }
        (Some(attempt), None) => parts.push(format!("attempt {attempt}")),
        (None, Some(next)) => parts.push(format!("next {}", next.to_rfc3339())),
        (None, None) => {}
    }
    parts.extend(event.message_id.clone());
    let journey = event.journey.map(|journey| journey.to_string());
    let other_id = event.queue_id.as_ref().filter(|id| Some(*id) != journey.as_ref());
    parts.extend(other_id.map(|id| format!("queue id {id}")));
    parts.extend(event.cause.map(|cause| format!("because of {cause}")));
    let counted = if event.kind == Kind::Dropped { "events" } else { "recipients" };
    parts.extend(event.count.map(|count| format!("{count} {counted}")));
    parts.extend(event.took_us.map(|took| format!("{}.{:03} ms", took / 1000, took % 1000)));
    parts.join("  ")
}

/// `0.012`, `1:02.500`, `3:00:00`, `5d 00:00`.
fn offset(since: std::time::Duration) -> String {
    let (seconds, millis) = (since.as_secs(), since.subsec_millis());
    match seconds {
        0..60 => format!("{seconds}.{millis:03}"),
        60..3600 => format!("{}:{:02}.{millis:03}", seconds / 60, seconds % 60),
        3600..86_400 => {
            format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
        }
        _ => format!("{}d {:02}:{:02}", seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> JourneyId {
        JourneyId::new(Timestamp::from_seconds(1_795_381_596), 7)
    }

    fn at(millis: i64, agent: &str, event: Event) -> Recorded {
        let time = Timestamp::from_micros(1_795_381_596_000_000 + millis * 1000);
        Recorded { time, agent: agent.to_owned(), event }
    }

    #[test]
    fn a_greylisted_letter_reads_like_a_story() {
        let line = |direction, text| Event::new(Kind::SmtpLine, id()).line(direction, text);
        let events = [
            at(0, "msa", Event::new(Kind::Submitted, id()).from("alice@red.test").bytes(1204)),
            at(50, "mta", line(Direction::Out, "RCPT TO:<bob@blue.test>").encrypted()),
            at(
                55,
                "mta",
                line(Direction::In, "450 4.7.1 come\x1b back")
                    .encrypted()
                    .outcome(Outcome::Temporary),
            ),
            at(
                56,
                "mta",
                Event::new(Kind::Deferred, id())
                    .to("bob@blue.test")
                    .class("greylisted")
                    .outcome(Outcome::Temporary),
            ),
        ];
        let lines = Ladder::new().lines(&events);
        assert_eq!(
            lines,
            [
                "     0.000  msa   submitted      from <alice@red.test>  1204 bytes",
                "     0.050  mta   -~>            RCPT TO:<bob@blue.test>",
                "     0.055  mta  !<~!            450 4.7.1 come\u{fffd} back",
                "     0.056  mta  !deferred       for bob@blue.test  class: greylisted",
            ]
        );
        let headline = headline(&events);
        assert!(
            headline.ends_with("alice@red.test → bob@blue.test  state: deferred"),
            "{headline}"
        );
    }

    #[test]
    fn an_ended_recipient_stays_ended() {
        let event = |kind| Event::new(kind, id()).to("bob@blue.test");
        let events = [
            at(0, "mta", event(Kind::Queued)),
            at(1, "mta", event(Kind::Relayed)),
            at(2, "mta", event(Kind::Queued)),
        ];
        assert!(headline(&events).ends_with("state: relayed"));
    }

    #[test]
    fn offsets_grow_with_the_wait() {
        let text = |millis| offset(std::time::Duration::from_millis(millis));
        assert_eq!(text(12), "0.012");
        assert_eq!(text(62_500), "1:02.500");
        assert_eq!(text(3 * 3_600_000), "3:00:00");
        assert_eq!(text(5 * 86_400_000), "5d 00:00");
    }
}
