//! What an operator may do with letters in the queue: retry, hold, release, bounce, remove. Each
//! is durable before it is answered, and is seen in the letter's journey.

use std::time::Duration;

use protocol::ipc::{Fault, FaultKind, Method};
use protocol::journey::JourneyId;
use queue::{Answer, Change, Listed, State, Wait};
use serde::{Deserialize, Serialize};
use service::trail::{Event, Kind, Outcome};

use super::show::Filter;
use crate::bounce::Occasion;
use crate::limits::REPORTED_HEADER;
use crate::reason::{Failure, Reason};
use crate::relay::{Relay, compose, header_of};
use crate::withdraw::{Stopped, ended, stop};

/// `queue.act`: does something with letters.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AskAct {
    /// What.
    pub verb: Verb,
    /// With which letters.
    #[serde(default)]
    pub letters: Vec<JourneyId>,
    /// With these too; absent: with no others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Filter>,
    /// Why, in the operator's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// What is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verb {
    /// Try again now.
    Retry,
    /// Do not try until released.
    Hold,
    /// Try again as usual.
    Release,
    /// Give back to the sender.
    Bounce,
    /// Drop without a word to anybody.
    Remove,
}

/// The answer to [`AskAct`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acted {
    /// Letters it was done with.
    pub done: u64,
    /// Letters that are not in the queue (any more).
    pub unknown: Vec<JourneyId>,
    /// Letters that are being tried for longer than was waited, so that they cannot be taken away.
    pub busy: Vec<JourneyId>,
}

impl Method for AskAct {
    const NAME: &'static str = "queue.act";
    type Answer = Acted;
}

/// Ids that fit the answer's frame.
const NAMED: usize = 1000;

/// How long transactions that go on are waited for, altogether.
const STOPS: Duration = Duration::from_secs(20);

/// Does it.
pub(super) async fn act(relay: &Relay, ask: AskAct) -> Result<Acted, Fault> {
    if ask.letters.len() > NAMED {
        let text = format!("at most {NAMED} letters at once; use a filter for more");
        return Err(Fault::new(FaultKind::Parameters, text));
    }
    let mut acted = Acted::default();
    let mut chosen: Vec<Listed> = Vec::new();
    for id in &ask.letters {
        match relay.queue.show(*id) {
            Some(listed) => chosen.push(listed),
            None => acted.unknown.push(*id),
        }
    }
    if let Some(filter) = &ask.filter {
        chosen.extend(relay.queue.list(|letter| filter.wants(letter)));
    }
    chosen.sort_by_key(|listed| listed.letter.journey);
    chosen.dedup_by_key(|listed| listed.letter.journey);
    let why = ask.why.as_deref().unwrap_or("");
    if ask.verb == Verb::Retry {
        relay.slots.forgive();
    }
    let here = (&relay.queue, &relay.context.clock);
    let halt = ("stopped by an operator", relay.context.clock.tick().after(STOPS));
    for listed in chosen {
        let id = listed.letter.journey;
        let listed = match (listed.active, ask.verb) {
            // The answer of the other side may already be on its way.
            (true, Verb::Bounce | Verb::Remove) => match stop(here, &listed, halt).await {
                Ok(Stopped::Rests(listed)) => *listed,
                Ok(Stopped::Gone) => {
                    acted.unknown.push(id);
                    continue;
                }
                Ok(Stopped::Not) => {
                    acted.busy.extend((acted.busy.len() < NAMED).then_some(id));
                    continue;
                }
                Err(error) => return Err(refused(id, &error)),
            },
            _ => listed,
        };
        match one(relay, &listed, ask.verb, why).await {
            Ok(Answer::Done | Answer::Already) => acted.done += 1,
            Ok(Answer::Unknown) => acted.unknown.push(id),
            Err(error) => return Err(refused(id, &error)),
        }
    }
    Ok(acted)
}

fn refused(id: JourneyId, error: &disk::Error) -> Fault {
    tracing::error!(journey = %id, %error, "an operator's wish is not written down");
    let text = format!("{id}: the disk refused it; the MTA's log says why");
    Fault::new(FaultKind::Internal, text)
}

async fn one(relay: &Relay, listed: &Listed, verb: Verb, why: &str) -> disk::Result<Answer> {
    let letter = &listed.letter;
    let now = relay.context.clock.now();
    let at = (letter.journey, now);
    let said = if why.is_empty() { "by an operator".to_owned() } else { why.to_owned() };
    let (kind, changes) = match verb {
        Verb::Retry => {
            return relay.queue.change(at, vec![Change::Retry(now)], Wait::Durable).await;
        }
        Verb::Hold => (Kind::Held, vec![Change::Hold(said.clone())]),
        Verb::Release => (Kind::Released, vec![Change::Release]),
        Verb::Remove => {
            let text = format!("rule removed-by-operator: {said}");
            (Kind::Discarded, ended(listed, State::Discarded, &text))
        }
        Verb::Bounce => return bounce(relay, listed, &said).await,
    };
    let answer = relay.queue.change(at, changes, Wait::Durable).await?;
    if answer == Answer::Done {
        record(relay, listed, kind, &said);
    }
    Ok(answer)
}

async fn bounce(relay: &Relay, listed: &Listed, said: &str) -> disk::Result<Answer> {
    let letter = &listed.letter;
    let now = relay.context.clock.now();
    let text = format!("the operator of this mail system gave the letter back: {said}");
    let failure = Failure::permanent(Reason::Operator, (7, 1), text);
    let failures: Vec<(usize, &Failure)> =
        letter.waiting().map(|(index, _)| (index, &failure)).collect();
    let header = relay.queue.bytes(letter.journey).and_then(|it| it.read_start(REPORTED_HEADER));
    let header = header.unwrap_or_default();
    let config = relay.context.config.current();
    let about = (letter.as_ref(), header_of(&header), None);
    let fresh = (now, relay.context.chance.u32());
    let report = compose(&config, about, (Occasion::Failed, &failures), fresh);
    let at = (letter.journey, now);
    let (answer, kind) = match report {
        Some(report) => {
            let report = relay.signed(report);
            let changes = ended(listed, State::Bounced, said);
            let answer = relay.queue.change_with_report(at, changes, report).await?;
            (answer, Kind::Bounced)
        }
        None => {
            // RFC 5321 §4.5.5: nobody is told about a report.
            let changes =
                ended(listed, State::Discarded, &format!("rule null-reverse-path: {said}"));
            (relay.queue.change(at, changes, Wait::Durable).await?, Kind::Discarded)
        }
    };
    if answer == Answer::Done {
        record(relay, listed, kind, said);
    }
    Ok(answer)
}

fn record(relay: &Relay, listed: &Listed, kind: Kind, why: &str) {
    let journey = listed.letter.journey;
    for (_, recipient) in listed.letter.waiting() {
        let event = Event::new(kind, journey).to(&recipient.address).queue_id(journey).text(why);
        relay.context.trail.record(match kind {
            Kind::Held | Kind::Released => event,
            _ => event.outcome(Outcome::Permanent).class(Reason::Operator),
        });
    }
}
