//! The end of the data: checks, the Received line, custody, and the reply. A yes is given only
//! when the letter is durable for every recipient: in a mailbox, by the delivery agent's word, or
//! in the queue.

use std::time::Duration;

use bytes::Bytes;
use disk::{Body, Spool};
use message::date::DateTime;
use message::received::{self, Guard, Protocol, Received};
use message::{header, message_id};
use net::stream::Peer;
use protocol::address::{Address, ForwardPath};
use protocol::journey::JourneyId;
use protocol::machine::TlsFacts;
use protocol::rejection::Rejection;
use protocol::smtp::parameters::Notify;
use protocol::smtp::server::{BodyFacts, Hello, Mail, Verdict};
use protocol::smtp::{AuthParameter, BodyType, MailParameters, RcptParameters, Release, Verb};
use protocol::time::Timestamp;
use queue::{Change, NewLetter, NewRecipient, Origin, Progress, Said, State, Wait};
use service::config::{Config, Mta};
use service::trail::{Event, Kind, Outcome as How};

use super::envelope::{Envelope, Target};
use super::handover::{self, Judgement, Outcome, Proven, Rest};
use super::inspect::{Guest, Inspected, Suspect};
use super::{Desk, Door, disk_rejection};
use crate::courier::{Journal, Load};
use crate::limits::{HANDOVER, HANDOVER_OVER, HEADER_LOOKED_AT};
use crate::policy::Wish;
use crate::reason::{Failure, Reason};
use crate::relay::backoff;
use crate::relay::route::Way;
use crate::sign::{self, LetterHash};

/// A letter that is coming in.
pub(super) struct Incoming {
    pub(super) journey: JourneyId,
    pub(super) door: Door,
    /// By whose rights it is sent: those of the door, or more.
    pub(super) rights: Door,
    pub(super) arrived: Timestamp,
    /// Who brings it from outside, where that is looked at.
    pub(super) guest: Option<Guest>,
    pub(super) mail: Mail,
    pub(super) envelope: Envelope,
    pub(super) spool: Spool,
    /// The hash of its body, where it may have to be signed.
    pub(super) hash: Option<LetterHash>,
    /// Why it cannot be kept, found out while it came.
    pub(super) trouble: Option<Rejection>,
}

impl Incoming {
    /// The next octets of the letter.
    pub(super) fn take_piece(&mut self, piece: &[u8]) {
        if self.trouble.is_some() {
            return;
        }
        if let Some(hash) = &mut self.hash {
            hash.feed(piece);
        }
        if let Err(error) = self.spool.write(piece) {
            self.trouble = Some(disk_rejection(&error));
        }
    }
}

/// Who brings it.
pub(super) struct Bringer<'a> {
    pub(super) hello: &'a Hello,
    pub(super) peer: &'a Peer,
    pub(super) tls: Option<&'a TlsFacts>,
}

/// A letter that is whole.
struct Letter {
    journey: JourneyId,
    arrived: Timestamp,
    mail: Mail,
    door: Door,
    rights: Door,
    proven: Proven,
    targets: Vec<Target>,
    headers: Bytes,
    body: Body,
}

/// Takes a letter, or says why not.
pub(super) async fn take(
    desk: &Desk,
    incoming: Incoming,
    facts: BodyFacts,
    bringer: Bringer<'_>,
) -> Verdict {
    let config = desk.context.config.current();
    if let Some(trouble) = incoming.trouble {
        return Err(trouble);
    }
    let body = incoming.spool.finish().map_err(|error| disk_rejection(&error))?;
    let start = body.read_start(HEADER_LOOKED_AT).map_err(|error| disk_rejection(&error))?;
    let block = start.get(..header::length(&start)).unwrap_or(&start);
    let message_id = message_id::of_header(block);
    let journal = Journal::new(&desk.context.trail, incoming.journey);
    if incoming.door == Door::Internet {
        record_received(&journal, &incoming.mail, (facts, &message_id), &bringer);
    }
    // RFC 5321 §6.3: more hops than any way has is a loop.
    if received::hops(block) > config.mta.max_hops as usize {
        return Err(Rejection::loop_detected());
    }
    let suspect = Suspect {
        journey: incoming.journey,
        sender: &incoming.mail.path,
        recipients: &incoming.envelope.named,
        block,
        body: &body,
    };
    let Inspected { fields, body, proven, hold, discard } = match incoming.guest {
        Some(guest) => desk.inspect(guest, suspect, &config, &journal).await?,
        None => Inspected::unasked(&body, incoming.rights),
    };
    if let Some(filter) = discard {
        // It never becomes ours: the ledger does not know it, the journey does.
        let event = journal.event(Kind::Discarded).from(sender_shown(&incoming.mail));
        journal.record(event.text(format_args!("by {filter}")));
        return Ok(format!("{} discarded by a filter", incoming.journey).into());
    }
    let stamp = stamp(&config, &incoming.mail, &incoming.envelope.named, &bringer)
        .to_field(incoming.journey, incoming.arrived);
    let headers = match incoming.hash {
        Some(hash) if sign::is_born_here(account(&incoming.mail.parameters), block) => {
            signed((desk, &journal), block, hash, stamp)
        }
        _ => stamp,
    };
    let mut parameters = incoming.mail.parameters.clone();
    // RFC 6152 §3: what the letter is, whatever it was said to be.
    parameters.body = facts.eight_bit.then_some(BodyType::EightBitMime);
    parameters.hold = hold.map(Into::into).or(parameters.hold);
    let letter = Letter {
        journey: incoming.journey,
        arrived: incoming.arrived,
        mail: Mail { parameters, ..incoming.mail },
        door: incoming.door,
        rights: incoming.rights,
        proven,
        targets: incoming.envelope.targets,
        headers: joined(fields, headers),
        body,
    };
    let text = letter.place(desk, &config, &journal).await?;
    letter.note_sent(desk);
    let accepted = journal.event(Kind::Accepted).from(sender_shown(&letter.mail));
    journal.record(with_message_id(accepted.text(text).bytes(facts.octets), &message_id));
    Ok(format!("{} {text}", letter.journey).into())
}

/// What was found out, above our Received line: RFC 8601 §5 wants it on top.
fn joined(fields: Vec<u8>, headers: Bytes) -> Bytes {
    if fields.is_empty() { headers } else { [&fields[..], &headers].concat().into() }
}

/// The signatures of a letter of ours and its Received line, with the facts in its journey.
fn signed(
    (desk, journal): (&Desk, &Journal),
    block: &[u8],
    hash: LetterHash,
    stamp: Bytes,
) -> Bytes {
    let Some(signed) = desk.signer.sign(block, &hash.finish(), desk.context.clock.now()) else {
        return stamp;
    };
    journal.record(journal.event(Kind::Signed).text(&signed.text));
    [signed.fields, stamp].concat().into()
}

impl Letter {
    /// Remembers for whom reports may come back: those who wrote by our submission.
    fn note_sent(&self, desk: &Desk) {
        let sender = self.mail.path.address();
        let is_own = self.rights == Door::Relay
            && (self.door == Door::Internet || account(&self.mail.parameters).is_some());
        if let (Some(returns), true, Some(sender)) = (desk.transport.returns(), is_own, sender) {
            returns.sent(sender, self.arrived);
        }
    }

    /// Makes the letter somebody's: the delivery agent's or the queue's. Gives words for the 250.
    async fn place(
        &self,
        desk: &Desk,
        config: &Config,
        journal: &Journal,
    ) -> Result<&'static str, Rejection> {
        let local: Vec<usize> = indexes(&self.targets, |target| target.way == Way::Local);
        let held = self.mail.parameters.hold.is_some();
        if !held && let Some(release) = self.release() {
            return self.keep_until(release, (desk, config), journal).await;
        }
        // Who wants to be told of success is told by the queue, which writes reports; and only who
        // is proven is written to.
        let told = self.targets.iter().any(wants_success)
            && self.proven == Proven::Yes
            && !self.mail.path.is_null();
        if !held && !told && local.len() == self.targets.len() {
            return self.deliver(desk, config, journal).await;
        }
        // Something has to wait here: then all of it is durable here before a copy is handed over.
        let at = self.arrived;
        let in_hand = (!told && !held).then(|| at.after(HANDOVER_OVER));
        let recipients = self.targets.iter().map(|target| {
            let in_hand = in_hand.filter(|_| target.way == Way::Local);
            NewRecipient { in_hand, ..recipient(target, at) }
        });
        self.queue(desk, config, recipients.collect()).await?;
        for target in &self.targets {
            journal.record(self.queued(journal, target));
        }
        if held {
            desk.notify_owner(self.journey, &self.mail.parameters).await;
            return Ok("held");
        }
        if !local.is_empty() && !told {
            let outcomes = self.hand_over(desk, config, &local, journal).await;
            self.settle(desk, config, (&local, outcomes)).await;
        }
        Ok("queued")
    }

    /// When the letter may leave, if its sender said so (RFC 4865 §4.1).
    fn release(&self) -> Option<Timestamp> {
        let at = match self.mail.parameters.release? {
            Release::After(seconds) => self.arrived.after(Duration::from_secs(seconds)),
            Release::At(at) => at,
        };
        (at > self.arrived).then_some(at)
    }

    /// Keeps the letter until its sender wants it to leave; `queue remove` takes it back, `queue
    /// retry` lets it go early.
    async fn keep_until(
        &self,
        release: Timestamp,
        (desk, config): (&Desk, &Config),
        journal: &Journal,
    ) -> Result<&'static str, Rejection> {
        let recipients = self.targets.iter().map(|target| recipient(target, release));
        self.queue(desk, config, recipients.collect()).await?;
        for target in &self.targets {
            let event = self.queued(journal, target);
            journal.record(event.text(format_args!("to leave at {}", release.to_rfc3339())));
        }
        Ok("queued for later")
    }

    /// Hands a letter over all of whose recipients are local: the queue sees what remains.
    async fn deliver(
        &self,
        desk: &Desk,
        config: &Config,
        journal: &Journal,
    ) -> Result<&'static str, Rejection> {
        let all: Vec<usize> = (0..self.targets.len()).collect();
        let outcomes = self.hand_over(desk, config, &all, journal).await;
        let rest = match handover::judge(&outcomes, self.proven) {
            Judgement::Refuse(rejection) => return Err(rejection),
            Judgement::Keep(rest) if rest.is_empty() => return Ok("delivered"),
            Judgement::Keep(rest) => rest,
        };
        let now = desk.context.clock.now();
        let retry = now.after(first_wait(config, &outcomes));
        let waiting = rest.iter().filter_map(|(index, rest)| {
            // What is to be discarded waits a little, so that nobody tries it meanwhile.
            let first_try = if *rest == Rest::Bounce { now } else { retry };
            Some(recipient(self.targets.get(*index)?, first_try))
        });
        self.queue(desk, config, waiting.collect()).await?;
        let mut changes = Vec::new();
        for (place, (index, rest)) in rest.iter().enumerate() {
            let (Some(target), Some(Err(failure))) =
                (self.targets.get(*index), outcomes.get(*index))
            else {
                continue;
            };
            journal.record(self.queued(journal, target));
            changes.push((place, *rest, failure));
        }
        let changes = changes
            .into_iter()
            .map(|(place, rest, failure)| {
                Change::Recipient(place, after(rest, failure, (now, retry)))
            })
            .collect();
        self.change(desk, changes, Wait::Durable).await;
        Ok("queued")
    }

    /// Asks the delivery agent, in its pool's next session; one outcome for each of `indexes`.
    async fn hand_over(
        &self,
        desk: &Desk,
        config: &Config,
        indexes: &[usize],
        journal: &Journal,
    ) -> Vec<Outcome> {
        let recipients: Vec<(ForwardPath, RcptParameters)> = indexes
            .iter()
            .filter_map(|index| self.targets.get(*index))
            .map(|target| (target.address.clone().into(), target.parameters.clone()))
            .collect();
        let body = self.body.prepend(self.headers.clone());
        let parameters = MailParameters {
            size: Some(body.length()),
            journey: Some(self.journey),
            hold: None,
            release: None,
            requiretls: false,
            ..self.mail.parameters.clone()
        };
        let load = Load {
            path: &self.mail.path,
            parameters: &parameters,
            recipients: &recipients,
            body: &body,
            wish: Wish::Usual,
            signer: Some(desk.signer.as_ref()),
        };
        let carrying = desk.transport.carry((config, &Way::Local), load, journal);
        match desk.context.clock.timeout(HANDOVER, carrying).await {
            Ok(outcomes) => outcomes
                .into_iter()
                .map(|outcome| outcome.map(|taken| format!("{}: {}", taken.host, taken.reply)))
                .collect(),
            Err(_) => {
                let text = "the delivery agent did not answer in time";
                let failure = Failure::temporary(Reason::Unwell, (4, 1), text);
                vec![Err(failure); recipients.len()]
            }
        }
    }

    /// Writes down what became of local recipients that are in the queue already.
    async fn settle(&self, desk: &Desk, config: &Config, done: (&[usize], Vec<Outcome>)) {
        let now = desk.context.clock.now();
        let (indexes, outcomes) = done;
        let retry = now.after(first_wait(config, &outcomes));
        let changes = indexes.iter().zip(outcomes).map(|(index, outcome)| {
            let progress = match outcome {
                Ok(text) => Progress {
                    state: State::Delivered,
                    attempts: 1,
                    next: now,
                    last: Some(Said { text, ..Said::default() }),
                },
                Err(failure) => {
                    after(handover::rest(&failure, self.proven), &failure, (now, retry))
                }
            };
            Change::Recipient(*index, progress)
        });
        self.change(desk, changes.collect(), Wait::Lazy).await;
    }

    async fn change(&self, desk: &Desk, changes: Vec<Change>, wait: Wait) {
        let at = (self.journey, desk.context.clock.now());
        if let Err(error) = desk.queue.change(at, changes, wait).await {
            // The letter is safe; at worst it is tried once more, and the MDA knows repeats.
            tracing::error!(journey = %self.journey, %error, "an outcome is not written down");
        }
    }

    async fn queue(
        &self,
        desk: &Desk,
        config: &Config,
        recipients: Vec<NewRecipient>,
    ) -> Result<(), Rejection> {
        let hold = self.mail.parameters.hold.as_deref();
        let letter = NewLetter {
            journey: self.journey,
            cause: None,
            origin: match self.proven {
                Proven::Yes => Origin::Accepted,
                Proven::No => Origin::Unproven,
            },
            arrived: self.arrived,
            // RFC 4865 §4.1: its time begins when it may leave.
            expires: self.release().unwrap_or(self.arrived).after(self.lifetime(&config.mta)),
            sender: self.mail.path.clone(),
            parameters: MailParameters { release: None, ..self.mail.parameters.clone() },
            recipients,
            held: hold.map(str::to_owned),
            headers: self.headers.clone(),
            body: self.body.clone(),
        };
        // Known already is as good: whoever brought it did not see our first 250.
        desk.queue.accept(letter).await.map(drop).map_err(|error| disk_rejection(&error))
    }

    /// How long it may wait: longer where we stand in for somebody who may be away for long.
    fn lifetime(&self, mta: &Mta) -> Duration {
        let kept = |target: &Target| {
            target.address.domain().is_some_and(|domain| mta.relay_domains.contains(domain))
        };
        let is_kept = !mta.relay_domains.is_empty() && self.targets.iter().any(kept);
        if is_kept { mta.lifetime.max(mta.relay_lifetime) } else { mta.lifetime }
    }

    fn queued(&self, journal: &Journal, target: &Target) -> Event {
        let event = journal.event(Kind::Queued).to(&target.address);
        match &self.mail.parameters.hold {
            Some(reason) => event.text(format_args!("held: {reason}")),
            None => event,
        }
    }
}

fn indexes(targets: &[Target], wanted: impl Fn(&Target) -> bool) -> Vec<usize> {
    targets.iter().enumerate().filter(|(_, target)| wanted(target)).map(|(i, _)| i).collect()
}

/// RFC 3461 §4.1: NOTIFY=SUCCESS.
fn wants_success(target: &Target) -> bool {
    matches!(target.parameters.notify, Some(Notify::On { success: true, .. }))
}

/// How long the queue waits after a hand-over that did not succeed: shorter while our own delivery
/// agent is away than when it refuses.
fn first_wait(config: &Config, outcomes: &[Outcome]) -> Duration {
    let is_away =
        |outcome: &Outcome| matches!(outcome, Err(failure) if failure.reason == Reason::Network);
    let usual = &config.mta.retry;
    if outcomes.iter().any(is_away) { backoff::next_door(usual).first } else { usual.first }
}

fn recipient(target: &Target, first_try: Timestamp) -> NewRecipient {
    NewRecipient {
        address: target.address.clone(),
        parameters: target.parameters.clone(),
        from: target.from.clone(),
        first_try,
        in_hand: None,
    }
}

/// How a recipient stands after a failed hand-over.
fn after(rest: Rest, failure: &Failure, (now, retry): (Timestamp, Timestamp)) -> Progress {
    let host = failure.host.clone().unwrap_or_default();
    let said = Said { reason: failure.reason.to_string(), host, text: failure.reply.to_string() };
    match rest {
        Rest::Later => {
            Progress { state: State::Waiting, attempts: 1, next: retry, last: Some(said) }
        }
        Rest::Bounce => {
            Progress { state: State::Waiting, attempts: 1, next: now, last: Some(said) }
        }
        Rest::Discard => {
            let text = format!("no-backscatter: {}", said.text);
            let last = Some(Said { text, ..said });
            Progress { state: State::Discarded, attempts: 1, next: now, last }
        }
    }
}

/// The parts of our Received line.
struct Stamp<'a> {
    helo: &'a str,
    address: Option<std::net::IpAddr>,
    by: String,
    with: Protocol,
    tls: Option<String>,
    recipient: Option<String>,
}

fn stamp<'a>(config: &Config, mail: &Mail, named: &[Address], bringer: &Bringer<'a>) -> Stamp<'a> {
    let guard =
        Guard { tls: bringer.tls.is_some(), authenticated: false, utf8: mail.parameters.smtputf8 };
    Stamp {
        helo: &bringer.hello.name,
        address: bringer.peer.ip(),
        by: config.hostname().to_string(),
        with: match bringer.hello.verb {
            Verb::Helo => Protocol::Smtp,
            _ => Protocol::Esmtp(guard),
        },
        tls: bringer.tls.map(|tls| format!("{} {}", tls.version, tls.cipher)),
        // RFC 5321 §7.2: with several recipients, naming one would tell the others.
        recipient: match named {
            [only] => Some(only.to_string()),
            _ => None,
        },
    }
}

impl Stamp<'_> {
    fn to_field(&self, journey: JourneyId, at: Timestamp) -> Bytes {
        let field = Received {
            helo: Some(self.helo),
            address: self.address,
            by: &self.by,
            with: self.with,
            tls: self.tls.as_deref(),
            id: &journey.to_string(),
            recipient: self.recipient.as_deref(),
            at: DateTime::utc(at),
        };
        Bytes::from(field.to_field())
    }
}

fn record_received(
    journal: &Journal,
    mail: &Mail,
    (facts, message_id): (BodyFacts, &Option<String>),
    bringer: &Bringer<'_>,
) {
    let mut event = journal
        .event(Kind::Received)
        .from(sender_shown(mail))
        .peer(format_args!("{} ({})", bringer.hello.name, bringer.peer))
        .bytes(facts.octets);
    if bringer.tls.is_some() {
        event = event.encrypted();
    }
    journal.record(with_message_id(event, message_id));
}

fn with_message_id(event: Event, message_id: &Option<String>) -> Event {
    match message_id {
        Some(id) => event.message_id(format_args!("<{id}>")),
        None => event,
    }
}

/// The reverse-path as the trail has it: empty for the null one.
pub(super) fn sender_shown(mail: &Mail) -> String {
    mail.path.address().map(ToString::to_string).unwrap_or_default()
}

/// A refusal, in the journey.
pub(super) fn record_refused(journal: &Journal, rejection: &Rejection, recipient: Option<&str>) {
    let how = if rejection.is_temporary() { How::Temporary } else { How::Permanent };
    let event = journal.event(Kind::Refused).outcome(how).text(rejection);
    journal.record(match recipient {
        Some(recipient) => event.to(recipient),
        None => event,
    });
}

/// The account that submitted a letter, if our MSA said so.
pub(super) fn account(parameters: &MailParameters) -> Option<&Address> {
    match &parameters.auth {
        Some(AuthParameter::Account(account)) => Some(account),
        _ => None,
    }
}
