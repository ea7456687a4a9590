//! The client side of SMTP and LMTP as a pure machine.
//!
//! ```text
//! Greeting ─▶ Hello ─▶ Ready ─mail, recipient.., body─▶ Transaction ─▶ Finished ─▶ Ready ..
//!              ▲  │     │  ▲
//!    Handshake ┘  │     └──┴ authenticate
//!              StartTls
//! ```
//!
//! The agent waits for [`Event::Ready`], then calls [`Client::mail`], [`Client::recipient`] as
//! often as it likes, and [`Client::body`], without waiting in between: the machine pipelines as
//! far as the server offers it. On [`Event::BodyWanted`] it pushes the body while
//! [`Client::wants_body`], then [`Client::end_body`]. [`Event::Finished`] tells the fate of each
//! recipient. Used by the MSA (to the MTA), the MTA (to other servers and to the MDA) and the MUA.

mod auth;
pub mod config;
mod event;
mod state;
mod transaction;
mod wire;

use std::sync::Arc;

use bytes::BytesMut;

pub use self::config::Config;
pub use self::event::{Answer, By, Closing, Event, Failure, Fate, Outcome};
use self::state::State;
use self::transaction::Transaction;
use self::wire::Wire;
use super::{Capabilities, MailParameters, RcptParameters, Verb};
pub use super::{Exchange, Observe};
use crate::address::{ForwardPath, ReversePath};
use crate::limits;
use crate::machine::{Machine, Tick, TlsFacts};
use crate::sasl;

/// Events that wait for the agent beyond which no input is wanted.
const EVENTS_WAITING: usize = 512;

/// One session of a client.
#[derive(Debug)]
pub struct Client {
    wire: Wire,
    state: State,
}

impl Client {
    /// A session on a fresh connection: waits for the greeting.
    pub fn new(config: Arc<Config>, now: Tick) -> Self {
        Client { wire: Wire::new(config, now), state: State::Greeting }
    }

    /// What the server offers; `None` before [`Event::Ready`] and after the end.
    pub fn capabilities(&self) -> Option<&Capabilities> {
        self.state.capabilities()
    }

    /// What is known of TLS, once there is any.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.wire.tls.as_ref()
    }

    /// Nothing is under way: a login, a letter or QUIT can follow.
    pub fn is_ready(&self) -> bool {
        matches!(self.state, State::Ready(_))
    }

    /// Logs in. Only when [ready](Self::is_ready); otherwise nothing happens.
    pub fn authenticate(&mut self, now: Tick, mechanism: sasl::Mechanism, sasl: sasl::Client) {
        self.change(now, |state, wire| match state {
            State::Ready(capabilities) => {
                Ok(auth::Login::begin(capabilities, (mechanism, sasl), wire, now))
            }
            state => Ok(state),
        });
    }

    /// Begins a letter. Only when [ready](Self::is_ready); otherwise nothing happens. Parameters
    /// that the server does not offer are left out, except those that the letter needs: there the
    /// answer is a refusal [by us](By::Us).
    pub fn mail(&mut self, now: Tick, path: &ReversePath, parameters: &MailParameters) {
        self.change(now, |state, wire| match state {
            State::Ready(capabilities) => {
                Ok(Transaction::begin(capabilities, (path, parameters), wire, now))
            }
            state => Ok(state),
        });
    }

    /// Adds a recipient to the letter.
    pub fn recipient(&mut self, now: Tick, path: &ForwardPath, parameters: &RcptParameters) {
        if let State::Transaction(transaction) = &mut self.state {
            transaction.recipient((path, parameters), &mut self.wire, now);
        }
    }

    /// No more recipients: the body follows. With its exact size known it can go by BDAT; then
    /// exactly so many octets must be pushed. Line ends are CRLF; by DATA, others become CRLF.
    pub fn body(&mut self, now: Tick, size: Option<u64>) {
        self.change(now, |state, wire| match state {
            State::Transaction(transaction) => Ok(transaction.body(size, wire, now)),
            state => Ok(state),
        });
    }

    /// The body is wanted, and there is room for more of it.
    pub fn wants_body(&self) -> bool {
        matches!(&self.state, State::Transaction(transaction) if transaction.wants_body())
            && transaction::has_room(&self.wire)
    }

    /// The body is wanted, whether or not there is room at this moment.
    pub fn is_taking_body(&self) -> bool {
        matches!(&self.state, State::Transaction(transaction) if transaction.wants_body())
    }

    /// The next piece of the body. One that nobody waits for (the letter was refused meanwhile) is
    /// dropped.
    pub fn push_body(&mut self, now: Tick, piece: &[u8]) {
        if let State::Transaction(transaction) = &mut self.state
            && let Err(failure) = transaction.push(piece, &mut self.wire, now)
        {
            self.fail(failure);
        }
    }

    /// The body is whole.
    pub fn end_body(&mut self, now: Tick) {
        if let State::Transaction(transaction) = &mut self.state
            && let Err(failure) = transaction.end(&mut self.wire, now)
        {
            self.fail(failure);
        }
    }

    /// Drops the letter, by RSET where that can be, else by hanging up. There is no
    /// [`Event::Finished`] after a RSET.
    pub fn reset(&mut self, now: Tick) {
        self.change(now, |state, wire| match state {
            State::Transaction(transaction) => transaction.reset(wire, now),
            state => Ok(state),
        });
    }

    /// Says QUIT and waits a little for its reply; in the midst of a body, hangs up.
    pub fn quit(&mut self, now: Tick) {
        match &self.state {
            State::Closed | State::Quitting => {}
            State::Ready(_) | State::Hello | State::Login(_) => {
                self.state = State::Quitting;
                self.wire.send(now, Verb::Quit, "QUIT".into());
            }
            State::Transaction(transaction) if !transaction.wants_body() => {
                self.change(now, |state, wire| match state {
                    State::Transaction(transaction) => transaction.reset(wire, now),
                    state => Ok(state),
                });
                self.quit(now);
            }
            _ => self.fail(Failure::Abandoned),
        }
    }

    /// Hangs up.
    pub fn abandon(&mut self) {
        self.fail(Failure::Abandoned);
    }

    fn change(
        &mut self,
        now: Tick,
        change: impl FnOnce(State, &mut Wire) -> Result<State, Failure>,
    ) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        if matches!(state, State::Closed) {
            return;
        }
        match change(state, &mut self.wire) {
            Ok(state) => {
                self.state = state;
                self.run(now);
            }
            Err(failure) => self.wire.event(Event::Closed(Closing::Failed(failure))),
        }
    }

    fn run(&mut self, now: Tick) {
        loop {
            if matches!(self.state, State::Closed | State::Handshake)
                || self.wire.events_len() >= EVENTS_WAITING
            {
                return;
            }
            self.wire.send_waiting(now);
            match self.wire.next_reply(now) {
                Ok(Some(answer)) => self.obey(answer, now),
                Ok(None) => break,
                Err(failure) => self.fail(failure),
            }
        }
        if self.wire.ended {
            self.fail(Failure::Lost(self.wire.owed().unwrap_or(Verb::Unknown)));
        }
    }

    fn obey(&mut self, answer: Answer, now: Tick) {
        let state = std::mem::replace(&mut self.state, State::Closed);
        match state.obey(answer, &mut self.wire, now) {
            Ok(state) => self.state = state,
            Err(failure) => self.wire.event(Event::Closed(Closing::Failed(failure))),
        }
    }

    fn fail(&mut self, failure: Failure) {
        let closing = match std::mem::replace(&mut self.state, State::Closed) {
            State::Closed => return,
            State::Quitting => Closing::Quit,
            State::Transaction(transaction) => {
                transaction.fail(&failure, &mut self.wire);
                Closing::Failed(failure)
            }
            _ => Closing::Failed(failure),
        };
        self.wire.event(Event::Closed(closing));
    }
}

impl Machine for Client {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        if !matches!(self.state, State::Closed | State::Handshake) {
            self.wire.feed(now, input);
            self.run(now);
        }
    }

    fn end_of_input(&mut self, now: Tick) {
        self.wire.ended = true;
        if matches!(self.state, State::Handshake) {
            self.fail(Failure::Lost(Verb::StartTls));
        }
        self.run(now);
    }

    fn tls_established(&mut self, now: Tick, facts: TlsFacts) {
        self.wire.clear_input();
        self.wire.tls = Some(facts);
        if matches!(self.state, State::Handshake) {
            self.state = state::after_handshake(&mut self.wire, now);
        }
    }

    fn expire(&mut self, now: Tick) {
        if self.deadline().is_some_and(|deadline| deadline <= now) {
            self.fail(Failure::Timeout(self.wire.owed().unwrap_or(Verb::EndOfData)));
        }
    }

    fn poll(&mut self) -> Option<Event> {
        let event = self.wire.next_event();
        if event.is_none() {
            self.run(self.wire.quiet_since);
            return self.wire.next_event();
        }
        event
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        if out.is_empty() {
            std::mem::swap(out, &mut self.wire.output);
        } else {
            out.extend_from_slice(&self.wire.output);
        }
        self.wire.output = BytesMut::new();
    }

    fn has_output(&self) -> bool {
        !self.wire.output.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        let timeouts = &self.wire.config.timeouts;
        let wait = match &self.state {
            State::Closed | State::Handshake => return None,
            // The server takes the body, or it does not; its replies come later.
            State::Transaction(transaction) if transaction.wants_body() => {
                if self.wire.output.is_empty() {
                    return None;
                }
                timeouts.block
            }
            _ => timeouts.of(self.wire.owed()?),
        };
        Some(self.wire.quiet_since.after(wait))
    }

    fn wants_input(&self) -> bool {
        !self.wire.ended
            && !matches!(self.state, State::Closed | State::Handshake)
            && self.wire.input_len() < limits::INPUT_WAITING
            && self.wire.events_len() < EVENTS_WAITING
    }

    fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }
}
