//! The server side of SMTP and LMTP as a pure machine.
//!
//! ```text
//! Opening ─greet─▶ Greeted ─EHLO─▶ Ready ─MAIL─▶ AwaitMail ─yes─▶ Envelope ─DATA─▶ Data ─┐
//!                                  │  ▲                            │  ▲ RCPT              │
//!                STARTTLS, AUTH ◀──┘  │                            └─BDAT─▶ Chunk ◀▶ Chunks
//!                                     └──────── answer ──────────── AwaitEnd ◀───────────┘
//! ```
//!
//! The agent lets the machine greet, answers its questions ([`Event`]) and takes the body as it
//! comes. It knows no recipients, policy or storage. Commands that were pipelined behind an open
//! question wait, except that RCPTs are all asked at once; replies leave in the order of the
//! commands. Used by the MSA, the MTA and the MDA through `net::drive`.

mod auth;
pub mod config;
mod data;
mod event;
mod hello;
mod mail;
mod other;
mod rcpt;
mod starttls;
mod state;
mod wire;
mod xclient;

use std::sync::Arc;

use bytes::BytesMut;

pub use self::config::Config;
pub use self::event::{
    Abort, AuthAnswer, AuthQuestion, AuthStep, BodyFacts, Closing, EndAnswer, EndQuestion, Event,
    Hello, Mail, MailQuestion, Rcpt, RcptQuestion, StartTlsQuestion, Verdict, XClient,
};
use self::state::{Progress, State};
use self::wire::Wire;
use super::Verb;
pub use super::{Exchange, Observe};
use crate::limits;
use crate::machine::{Machine, Tick, TlsFacts};
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};

/// One session of a server.
#[derive(Debug)]
pub struct Server {
    wire: Wire,
    state: State,
}

impl Server {
    /// A session on a fresh connection. It is silent until [`greet`](Self::greet) or
    /// [`refuse`](Self::refuse).
    pub fn new(config: Arc<Config>, now: Tick) -> Self {
        Server { wire: Wire::new(config, None, now), state: State::Opening }
    }

    /// Greets the client. For implicit TLS, after `tls_established`.
    pub fn greet(&mut self, now: Tick) {
        if !matches!(self.state, State::Opening) {
            return;
        }
        let config = &self.wire.config;
        let text = format!("{} {}", config.hostname, config.banner);
        let asked = self.wire.asked(now, Verb::Greeting, "");
        self.wire.reply(now, asked, Reply::plain(ReplyCode::READY, text));
        self.state = State::Greeted;
        self.run(now);
    }

    /// Turns the client away, or ends the session in its midst: one line, then the connection
    /// closes. RFC 5321 §3.8 wants a 421 for it, §3.1 a 554 in place of the greeting.
    pub fn refuse(&mut self, now: Tick, rejection: &Rejection) {
        if !matches!(self.state, State::Closed) {
            self.close_with(now, rejection, Closing::Unavailable);
        }
    }

    /// May TLS begin? After a yes: take all output, do the handshake, then `tls_established`.
    pub fn answer_starttls(
        &mut self,
        now: Tick,
        question: StartTlsQuestion,
        verdict: Result<(), Rejection>,
    ) {
        self.settle(now, |state, wire| match state {
            State::AwaitTls(await_tls) => await_tls.answered(wire, now, (question, verdict)),
            state => state,
        });
    }

    /// What becomes of this step of AUTH?
    pub fn answer_auth(&mut self, now: Tick, question: AuthQuestion, answer: AuthAnswer) {
        self.settle(now, |state, wire| match state {
            State::AwaitAuth(await_auth) => await_auth.answered(wire, now, (question, answer)),
            state => state,
        });
    }

    /// Is this sender taken?
    pub fn answer_mail(
        &mut self,
        now: Tick,
        question: MailQuestion,
        verdict: Result<(), Rejection>,
    ) {
        self.settle(now, |state, wire| match state {
            State::AwaitMail(await_mail) => await_mail.answered(wire, now, (question, verdict)),
            state => state,
        });
    }

    /// Is this recipient taken?
    pub fn answer_rcpt(
        &mut self,
        now: Tick,
        question: RcptQuestion,
        verdict: Result<(), Rejection>,
    ) {
        self.settle(now, |mut state, wire| {
            if let State::Envelope(envelope) = &mut state {
                envelope.answered(wire, now, (question, verdict));
            }
            state
        });
    }

    /// Is this letter taken? A yes says that it is on disk.
    pub fn answer_end(&mut self, now: Tick, question: EndQuestion, answer: EndAnswer) {
        self.settle(now, |state, wire| match state {
            State::AwaitEnd(await_end) => await_end.answered(wire, now, (question, answer)),
            state => state,
        });
    }

    /// What is known of TLS, once there is any.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.wire.tls.as_ref()
    }

    /// The client said something before it was greeted, as RFC 5321 §4.3.1 forbids.
    pub fn talked_early(&self) -> bool {
        self.wire.early
    }

    /// A letter is on its way: MAIL was accepted and the end of the data is not answered.
    pub fn is_in_transaction(&self) -> bool {
        self.state.has_transaction() || matches!(self.state, State::AwaitEnd(_))
    }

    fn settle(&mut self, now: Tick, change: impl FnOnce(State, &mut Wire) -> State) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        self.state = change(state, &mut self.wire);
        self.run(now);
    }

    /// Does all that can be done now.
    fn run(&mut self, now: Tick) {
        while !matches!(self.state, State::Closed) {
            if let Some(closing) = self.wire.fatal {
                if closing == Closing::TooManyErrors {
                    self.close_with(now, &too_many_errors(), closing);
                } else {
                    self.close(closing);
                }
                return;
            }
            if self.wire.is_congested() {
                return;
            }
            let state = std::mem::replace(&mut self.state, State::Closed);
            let in_transaction = state.has_transaction();
            let (state, progress) = state.step(&mut self.wire, now);
            self.state = state;
            if let (State::Closed, Some(closing)) = (&self.state, self.wire.fatal) {
                self.finish(closing, in_transaction);
                return;
            }
            if progress == Progress::Stuck {
                let waits = self.state.awaits_answer() || self.wire.has_owed();
                if self.wire.ended && !waits {
                    self.close(Closing::PeerGone);
                }
                return;
            }
        }
    }

    fn close_with(&mut self, now: Tick, rejection: &Rejection, closing: Closing) {
        let in_transaction = self.state.has_transaction();
        self.wire.fatal = None;
        self.state = state::close_with(&mut self.wire, now, rejection, closing);
        self.finish(closing, in_transaction);
    }

    fn close(&mut self, closing: Closing) {
        let in_transaction = self.state.has_transaction();
        self.finish(closing, in_transaction);
    }

    fn finish(&mut self, closing: Closing, in_transaction: bool) {
        self.state = State::Closed;
        self.wire.clear_input();
        self.wire.forget_owed();
        if in_transaction {
            let why = self.wire.abort.take().unwrap_or(Abort::Gone);
            self.wire.event(Event::Aborted(why));
        }
        self.wire.event(Event::Closed(closing));
    }
}

impl Machine for Server {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        match self.state {
            // RFC 3207 §4.2: before the handshake is over, what comes is nobody's.
            State::Closed | State::Handshake => return,
            State::Opening => self.wire.early |= !input.is_empty(),
            _ => {}
        }
        self.wire.feed(now, input);
        self.run(now);
    }

    fn end_of_input(&mut self, now: Tick) {
        self.wire.ended = true;
        if matches!(self.state, State::Opening | State::Handshake) {
            self.close(Closing::PeerGone);
        }
        self.run(now);
    }

    fn tls_established(&mut self, now: Tick, facts: TlsFacts) {
        self.wire.clear_input();
        self.wire.tls = Some(facts);
        self.wire.quiet_since = now;
        if matches!(self.state, State::Handshake) {
            // RFC 3207 §4.2: what the client said before is forgotten; it says EHLO again.
            self.state = State::Greeted;
        }
    }

    fn expire(&mut self, now: Tick) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            let rejection = Rejection::temporary(
                ReplyCode::UNAVAILABLE,
                EnhancedCode::temporary(4, 2),
                Fault::Protocol,
                "nothing heard for too long, closing the connection",
            );
            self.close_with(now, &rejection, Closing::Timeout);
        }
    }

    fn poll(&mut self) -> Option<Event> {
        let event = self.wire.next_event();
        if event.is_none() {
            // Events were in the way of further commands.
            self.run(self.wire.quiet_since);
            return self.wire.next_event();
        }
        event
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        self.wire.take_output(out);
        self.run(self.wire.quiet_since);
    }

    fn has_output(&self) -> bool {
        self.wire.has_output()
    }

    fn deadline(&self) -> Option<Tick> {
        let timeouts = &self.wire.config.timeouts;
        let body = |since: Tick| {
            let whole = since.after(timeouts.letter);
            Some(self.wire.quiet_until(timeouts.data).min(whole))
        };
        match &self.state {
            State::Closed => None,
            State::Data(data) => body(data.since),
            State::Chunk(chunk) => body(chunk.chunks.since),
            State::Chunks(chunks) => body(chunks.since),
            // The agent is slow, not the client; but one that does not read is never waited for.
            state if (state.awaits_answer() || self.wire.has_owed()) && !self.has_output() => None,
            _ => Some(self.wire.quiet_until(timeouts.command)),
        }
    }

    fn wants_input(&self) -> bool {
        let room = match &self.state {
            State::Closed | State::Handshake => return false,
            state if state.awaits_answer() => 1,
            _ => limits::INPUT_WAITING,
        };
        !self.wire.ended && self.wire.input.len() < room && !self.wire.is_congested()
    }

    fn awaits_peer(&self) -> bool {
        !self.state.awaits_answer()
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }
}

fn too_many_errors() -> Rejection {
    Rejection::temporary(
        ReplyCode::UNAVAILABLE,
        EnhancedCode::temporary(7, 0),
        Fault::Protocol,
        "too many errors, closing the connection",
    )
}
