//! One letter on its way through: what the client says of it is passed on to the MTA, what the MTA
//! answers is passed back. Only the header is ever held, and only until it is complete.
//!
//! Where it stands is one [`Stage`]; the client is listened to in all of them but while the MTA is
//! asked whether the body may come.

use super::{
    Shared,
    header::{self, Gathered, Gathering, Origin, Stamp},
    relay::{Relay, Sender, away},
    rights,
};
use directory::Account;
use message::complete::Completed;
use protocol::{
    address::ReversePath,
    journey::JourneyId,
    machine::Tick,
    rejection::{Fault, Rejection},
    reply::{EnhancedCode, ReplyCode},
    smtp::{
        AuthParameter, MailParameters,
        client::{Event as RelayEvent, Fate, Outcome as RelayOutcome},
        server::{EndAnswer, EndQuestion, Rcpt, RcptQuestion, Server},
    },
};
use service::{Event, Kind, trail::Outcome};
use std::sync::Arc;

/// A letter between MAIL and the answer at its end.
pub(crate) struct Letter {
    journey: JourneyId,
    account: Arc<Account>,
    path: ReversePath,
    parameters: MailParameters,
    recipients: Vec<Recipient>,
    relay: Option<Relay>,
    stage: Stage,
    octets: u64,
}

struct Recipient {
    rcpt: Rcpt,
    /// `None`: the client has its answer.
    question: Option<RcptQuestion>,
    is_accepted: bool,
}

enum Stage {
    /// Recipients are named.
    Envelope,
    /// The header is being gathered.
    Header(Gathering),
    /// The MTA was asked for its go-ahead; this goes first then.
    GoAhead { first: Vec<u8>, end: Option<EndQuestion> },
    /// The body passes through.
    Body,
    /// It will be refused; the rest of the body is let go by.
    Refused(Rejection),
    /// All is handed over; the MTA's word is awaited.
    End(EndQuestion),
    /// The client has its answer.
    Over,
}

/// What a letter is begun with.
pub(crate) struct Beginning {
    pub(crate) account: Arc<Account>,
    pub(crate) path: ReversePath,
    pub(crate) parameters: MailParameters,
}

impl Letter {
    /// MAIL: asks the MTA.
    ///
    /// # Errors
    /// Its refusal, or 451.
    pub(crate) async fn begin(shared: &Shared, beginning: Beginning) -> Result<Self, Rejection> {
        let Beginning { account, path, mut parameters } = beginning;
        let journey = shared.new_journey();
        parameters.journey = Some(journey);
        // RFC 4954 §5: what the client says of other submitters is not believed.
        parameters.auth = Some(AuthParameter::Account(account.address.clone()));
        parameters.hold = None;
        let config = shared.config.current();
        let sent = shared.rate().sum(shared.clock.tick(), &account.address.to_string());
        if sent >= config.limits.submission_recipients_per_hour {
            parameters.hold = Some(HELD_FOR_RATE.into());
        }
        let sender = Sender { path: &path, parameters: &parameters };
        let relay = shared.relays.begin(config.hostname().as_str(), sender).await?;
        let relay = Some(relay);
        let recipients = Vec::new();
        let stage = Stage::Envelope;
        Ok(Self { journey, account, path, parameters, recipients, relay, stage, octets: 0 })
    }

    /// The journey of this letter.
    pub(crate) fn journey(&self) -> JourneyId {
        self.journey
    }

    /// The reverse-path as the journey shows it: without brackets, empty for the null one.
    fn sender(&self) -> String {
        self.path.address().map(ToString::to_string).unwrap_or_default()
    }

    /// The connection to the MTA, while there is one.
    pub(crate) fn relay(&mut self) -> Option<&mut Relay> {
        self.relay.as_mut()
    }

    /// Whether the client may go on.
    pub(crate) fn listens(&self) -> bool {
        !matches!(self.stage, Stage::GoAhead { .. })
    }

    /// Whether the client has its last answer about this letter.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.stage, Stage::Over)
    }

    /// RCPT: passed on to the MTA at once; its answer comes as an event.
    pub(crate) async fn recipient(
        &mut self,
        shared: &Shared,
        server: &mut Server,
        (question, rcpt): (RcptQuestion, Rcpt),
    ) {
        let now = shared.clock.tick();
        let sent = shared.rate().count(now, &self.account.address.to_string());
        let limit = shared.config.current().limits.submission_recipients_per_hour;
        if sent > limit && self.parameters.hold.is_none() {
            self.hold(server, now).await;
        }
        match &mut self.relay {
            Some(relay) => {
                relay.machine().recipient(now, &rcpt.path, &rcpt.parameters);
                let question = Some(question);
                self.recipients.push(Recipient { rcpt, question, is_accepted: false });
            }
            None => server.answer_rcpt(now, question, Err(away("the connection was lost"))),
        }
    }

    /// The hourly limit is passed in the midst of a letter: it is begun again as one to be held.
    /// The client's answers stand, and the MTA is asked the same things as before.
    async fn hold(&mut self, server: &mut Server, now: Tick) {
        self.parameters.hold = Some(HELD_FOR_RATE.into());
        let Some(relay) = &mut self.relay else { return };
        let sender = Sender { path: &self.path, parameters: &self.parameters };
        match relay.begin_again(sender).await {
            Ok(()) => {
                for Recipient { rcpt, .. } in &self.recipients {
                    relay.machine().recipient(now, &rcpt.path, &rcpt.parameters);
                }
            }
            Err(rejection) => self.lose(server, now, rejection),
        }
    }

    /// A piece of the body.
    pub(crate) async fn body(&mut self, shared: &Shared, origin: &Origin<'_>, piece: &[u8]) {
        self.octets += piece.len() as u64;
        if matches!(self.stage, Stage::Envelope) {
            self.stage = Stage::Header(Gathering::default());
        }
        match &mut self.stage {
            Stage::Header(gathering) => match gathering.take(piece) {
                Gathered::Partly => {}
                Gathered::Whole { behind } => {
                    let rest = piece.get(piece.len() - behind..).unwrap_or_default();
                    self.header_complete(shared, origin, rest);
                }
                Gathered::TooLong => self.refuse(header_too_long()),
            },
            Stage::Body => {
                if let Some(relay) = &mut self.relay {
                    relay.machine().push_body(shared.clock.tick(), piece);
                    relay.make_room().await;
                }
            }
            // The client is not listened to in the others, or nobody wants it.
            _ => {}
        }
    }

    /// The header is whole: is it allowed, and what is missing in it?
    fn header_complete(&mut self, shared: &Shared, origin: &Origin<'_>, rest: &[u8]) {
        let Stage::Header(gathering) = std::mem::replace(&mut self.stage, Stage::Over) else {
            return;
        };
        let now = shared.clock.tick();
        let snapshot = shared.directory.current(now);
        let block = gathering.block();
        if let Err(rejection) = rights::header(&snapshot, &self.account, block, &self.path) {
            return self.refuse(rejection);
        }
        let completed = self.complete(shared, origin, block);
        let Some(relay) = &mut self.relay else {
            return self.refuse(away("the connection was lost"));
        };
        relay.machine().body(now, None);
        let mut event = Event::new(Kind::Submitted, self.journey)
            .from(self.sender())
            .text(completed.changes.join(" "));
        event.message_id = completed.message_id.map(|id| format!("<{id}>"));
        event.peer = origin.peer.map(|peer| peer.to_string());
        shared.trail.record(event);
        let mut first = completed.header;
        first.extend_from_slice(rest);
        self.stage = Stage::GoAhead { first, end: None };
    }

    fn complete(&self, shared: &Shared, origin: &Origin<'_>, block: &[u8]) -> Completed {
        let hostname = shared.config.current().hostname();
        let mut accepted = self.recipients.iter().filter(|it| it.is_accepted);
        let only = match (accepted.next(), accepted.next()) {
            (Some(only), None) => only.rcpt.path.address().map(ToString::to_string),
            _ => None,
        };
        let sender = self.path.address().unwrap_or(&self.account.address).to_string();
        let stamp = Stamp {
            hostname: hostname.as_str(),
            journey: &self.journey.to_string(),
            recipient: only.as_deref(),
            sender: &sender,
            smtputf8: self.parameters.smtputf8,
            at: shared.clock.now(),
            random: shared.chance.u64(),
        };
        header::passed_on(block, origin, &stamp)
    }

    /// The end of the data.
    pub(crate) fn end(
        &mut self,
        shared: &Shared,
        server: &mut Server,
        (question, origin): (EndQuestion, &Origin<'_>),
    ) {
        let now = shared.clock.tick();
        if matches!(self.stage, Stage::Envelope) {
            self.stage = Stage::Header(Gathering::default());
        }
        if matches!(self.stage, Stage::Header(_)) {
            // A letter that ends within its header has no body.
            self.header_complete(shared, origin, b"");
        }
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::GoAhead { first, .. } => {
                self.stage = Stage::GoAhead { first, end: Some(question) };
            }
            Stage::Body => {
                if let Some(relay) = &mut self.relay {
                    relay.machine().end_body(now);
                }
                self.stage = Stage::End(question);
            }
            Stage::Refused(rejection) => {
                self.answer_no(shared, server, (question, rejection));
            }
            _ => self.answer_no(shared, server, (question, Rejection::internal("out of step"))),
        }
    }

    /// What the MTA did; `None`: its connection is over.
    pub(crate) fn relay_event(
        &mut self,
        shared: &Shared,
        server: &mut Server,
        event: Option<RelayEvent>,
    ) {
        let now = shared.clock.tick();
        match event {
            Some(RelayEvent::Recipient(index, answer)) => {
                let rejection = Rejection::from_reply(&answer.reply);
                let Some(recipient) = self.recipients.get_mut(index) else { return };
                match (recipient.question.take(), rejection) {
                    (Some(question), None) => {
                        recipient.is_accepted = true;
                        server.answer_rcpt(now, question, Ok(()));
                    }
                    (Some(question), Some(no)) => server.answer_rcpt(now, question, Err(no)),
                    // Asked a second time, for a letter that is held, the MTA has changed its mind.
                    (None, Some(no)) if recipient.is_accepted => self.refuse(no),
                    (None, _) => {}
                }
            }
            Some(RelayEvent::BodyWanted) => self.go_ahead(now),
            Some(RelayEvent::Finished(outcome)) => self.finished(shared, server, outcome),
            Some(RelayEvent::Closed(closing)) => {
                self.lose(server, now, away(format!("{closing:?}")));
                self.settle(shared, server);
            }
            None => {
                self.lose(server, now, away("the connection was lost"));
                self.settle(shared, server);
            }
            Some(_) => {}
        }
    }

    fn go_ahead(&mut self, now: Tick) {
        let Stage::GoAhead { first, end } = std::mem::replace(&mut self.stage, Stage::Body) else {
            return;
        };
        let Some(relay) = &mut self.relay else { return };
        relay.machine().push_body(now, &first);
        if let Some(question) = end {
            relay.machine().end_body(now);
            self.stage = Stage::End(question);
        }
    }

    /// The MTA's last word: for all recipients the same, over SMTP.
    fn finished(&mut self, shared: &Shared, server: &mut Server, outcome: RelayOutcome) {
        let now = shared.clock.tick();
        let mut refusal = None;
        for fate in outcome.recipients {
            match fate {
                Fate::Answered(answer) => match Rejection::from_reply(&answer.reply) {
                    None => {
                        if let Stage::End(_) = &self.stage {
                            return self.answer_yes(shared, server, answer.reply.text);
                        }
                    }
                    // Recipients refused at RCPT have been answered; the end decides.
                    Some(no) if answer.verb != protocol::smtp::Verb::Rcpt => refusal = Some(no),
                    Some(_) => {}
                },
                Fate::Unanswered(failure) => refusal = Some(away(failure)),
            }
        }
        self.lose(server, now, refusal.unwrap_or_else(|| away("no answer")));
        self.settle(shared, server);
    }

    /// Answers a client that has said everything already.
    fn settle(&mut self, shared: &Shared, server: &mut Server) {
        match std::mem::replace(&mut self.stage, Stage::Over) {
            Stage::GoAhead { first, end: Some(question) } => {
                drop(first);
                let lost = away("the MTA gave no go-ahead");
                self.answer_no(shared, server, (question, lost));
            }
            Stage::End(question) => {
                self.answer_no(shared, server, (question, away("no answer")));
            }
            stage => self.stage = stage,
        }
    }

    /// The hop is of no use any more: open questions are answered with why.
    fn lose(&mut self, server: &mut Server, now: Tick, why: Rejection) {
        for recipient in &mut self.recipients {
            if let Some(question) = recipient.question.take() {
                server.answer_rcpt(now, question, Err(why.clone()));
            }
        }
        self.refuse_with_relay_gone(why);
    }

    fn refuse_with_relay_gone(&mut self, why: Rejection) {
        self.relay = None;
        self.stage = match std::mem::replace(&mut self.stage, Stage::Over) {
            // Answered by `settle`, which knows the question.
            stage @ (Stage::End(_) | Stage::GoAhead { end: Some(_), .. } | Stage::Over) => stage,
            Stage::Refused(first) => Stage::Refused(first),
            _ => Stage::Refused(why),
        };
    }

    /// The letter will not be taken: the MTA forgets it, the client hears it at the end.
    fn refuse(&mut self, why: Rejection) {
        if let Some(relay) = &mut self.relay {
            relay.reset();
        }
        self.stage = Stage::Refused(why);
    }

    fn answer_yes(
        &mut self,
        shared: &Shared,
        server: &mut Server,
        text: std::borrow::Cow<'static, str>,
    ) {
        let Stage::End(question) = std::mem::replace(&mut self.stage, Stage::Over) else { return };
        shared.counts.accepted.increment();
        if self.parameters.hold.is_some() {
            shared.counts.held.increment();
        }
        tracing::info!(
            journey = %self.journey,
            account = %self.account.address,
            octets = self.octets,
            "accepted"
        );
        server.answer_end(shared.clock.tick(), question, EndAnswer::Whole(Ok(text)));
    }

    fn answer_no(
        &mut self,
        shared: &Shared,
        server: &mut Server,
        (question, why): (EndQuestion, Rejection),
    ) {
        self.stage = Stage::Over;
        self.record_refusal(shared, &why);
        server.answer_end(shared.clock.tick(), question, EndAnswer::Whole(Err(why)));
    }

    /// What the journey says of a letter that was not taken.
    pub(crate) fn record_refusal(&self, shared: &Shared, why: &Rejection) {
        shared.counts.refused.increment();
        tracing::info!(
            journey = %self.journey, account = %self.account.address, cause = why.cause(),
            "refused: {}", why.text()
        );
        let outcome = if why.is_temporary() { Outcome::Temporary } else { Outcome::Permanent };
        let event = Event::new(Kind::Refused, self.journey)
            .from(self.sender())
            .outcome(outcome)
            .text(why.to_reply());
        shared.trail.record(event);
    }

    /// The letter is done with, one way or another; its connection may serve the next.
    pub(crate) fn leave(self, shared: &Shared) {
        if let Some(mut relay) = self.relay {
            if !relay.machine().is_ready() {
                relay.reset();
            }
            shared.relays.keep(relay);
        }
    }
}

/// Why the MTA holds a letter; it tells the owner.
const HELD_FOR_RATE: &str = "rate";

fn header_too_long() -> Rejection {
    Rejection::permanent(
        ReplyCode::TOO_MUCH,
        EnhancedCode::permanent(3, 4),
        Fault::Sender,
        format!("the header is longer than {} octets", crate::limits::HEADER),
    )
}
