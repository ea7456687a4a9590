//! What a courier writes into the journey of the letter it carries.

use std::time::Duration;

use net::dns;
use protocol::journey::JourneyId;
use protocol::machine::{TlsFacts, Verification};
use protocol::smtp::Exchange;
use service::trail::{Direction, Event, Kind, Outcome, Spoken, Trail};

use crate::reason::Failure;
use crate::relay::hosts::Learnt;

/// The trail, for one letter.
#[derive(Debug, Clone)]
pub(crate) struct Journal {
    trail: Trail,
    journey: JourneyId,
    /// By which policy connections are made.
    policy: &'static str,
}

impl Journal {
    /// The journal of the letter `journey`.
    pub(crate) fn new(trail: &Trail, journey: JourneyId) -> Self {
        Journal { trail: trail.clone(), journey, policy: "" }
    }

    /// The same for connections by this policy.
    pub(crate) fn under(&self, policy: &'static str) -> Self {
        Journal { policy, ..self.clone() }
    }

    /// What was found out about how connections to `host` must be protected.
    pub(crate) fn policy(&self, host: &str, text: &str) {
        self.record(self.event(Kind::Tls).peer(host).text(text));
    }

    /// The letter is sent in another form.
    pub(crate) fn adapted(&self, host: &str, text: &str) {
        self.record(self.event(Kind::Connect).peer(host).text(text));
    }

    /// A host that a policy keeps us from.
    pub(crate) fn not_used(&self, host: &str, failure: &Failure) {
        let event = self.event(Kind::Tls).peer(host).class(failure.reason).text(failure);
        self.record(event.outcome(Outcome::Temporary));
    }

    /// Any other event of this letter.
    pub(crate) fn event(&self, kind: Kind) -> Event {
        Event::new(kind, self.journey)
    }

    /// Writes an event down.
    pub(crate) fn record(&self, event: Event) {
        self.trail.record(event);
    }

    /// A question to DNS and its answer.
    pub(crate) fn learnt(&self, learnt: &Learnt) {
        let event = self
            .event(Kind::Dns)
            .text(format_args!("{} = {}", learnt.question, learnt.answer))
            .peer(&learnt.servers)
            .took(learnt.took);
        let worked = learnt.outcome.is_ok();
        let temporary = learnt.outcome.as_ref().err().is_some_and(dns::Cause::is_temporary);
        self.record(match (worked, temporary) {
            (true, _) => event,
            (false, true) => event.outcome(Outcome::Temporary),
            (false, false) => event.outcome(Outcome::Permanent),
        });
    }

    /// A connection was made, or not.
    pub(crate) fn connected(&self, peer: &str, took: Duration, problem: Option<&str>) {
        let event = self.event(Kind::Connect).peer(peer).took(took);
        self.record(match problem {
            None => event.text("connected"),
            Some(problem) => event.outcome(Outcome::Temporary).text(problem),
        });
    }

    /// An open connection is used once more.
    pub(crate) fn reused(&self, peer: &str) {
        self.record(self.event(Kind::Connect).peer(peer).text("connection reused"));
    }

    /// TLS is in place.
    pub(crate) fn encrypted(&self, peer: &str, facts: &TlsFacts) {
        let name = facts.peer_name.as_deref().unwrap_or(peer);
        let believed = match &facts.verified {
            Verification::Verified => format!("certificate of {name} holds"),
            Verification::Unverified(why) => format!("certificate of {name} not believed: {why}"),
            Verification::NoCertificate => "no certificate".to_owned(),
        };
        let group = facts.group.as_deref().unwrap_or("");
        let text = format!(
            "{} {} {group}, policy {}, {believed}",
            facts.version, facts.cipher, self.policy
        );
        self.record(self.event(Kind::Tls).peer(peer).text(text));
    }

    /// TLS did not come about.
    pub(crate) fn not_encrypted(&self, peer: &str, why: &str) {
        let text = format!("policy {}: {why}", self.policy);
        self.record(self.event(Kind::Tls).peer(peer).outcome(Outcome::Temporary).text(text));
    }

    /// A line of ours and the reply to it.
    pub(crate) fn exchange(&self, peer: &str, encrypted: bool, exchange: &Exchange) {
        self.spoken(peer, (encrypted, Direction::Out, Direction::In), exchange);
    }

    /// A line of a client's and our reply to it.
    pub(crate) fn answered(&self, peer: &str, encrypted: bool, exchange: &Exchange) {
        self.spoken(peer, (encrypted, Direction::In, Direction::Out), exchange);
    }

    fn spoken(
        &self,
        peer: &str,
        (encrypted, line, reply): (bool, Direction, Direction),
        exchange: &Exchange,
    ) {
        let spoken = Spoken {
            journey: self.journey,
            peer,
            direction: line,
            encrypted,
            text: &exchange.line,
            outcome: Outcome::Ok,
            took: None,
        };
        if !exchange.line.is_empty() {
            self.trail.record_spoken(&spoken);
        }
        self.trail.record_spoken(&Spoken {
            direction: reply,
            text: &exchange.reply,
            outcome: meaning(exchange),
            took: Some(exchange.took),
            ..spoken
        });
    }
}

fn meaning(exchange: &Exchange) -> Outcome {
    match exchange.reply.code {
        code if code.is_temporary() => Outcome::Temporary,
        code if code.is_permanent() => Outcome::Permanent,
        _ => Outcome::Ok,
    }
}
