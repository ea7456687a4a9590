//! The states of a client session, one struct each that holds only what is valid there, and what
//! a reply does in each. A state is consumed by each reply and gives the next one.

use super::super::{Capabilities, Verb};
use super::auth::Login;
use super::config::TlsUse;
use super::event::{Answer, Closing, Event, Failure};
use super::transaction::Transaction;
use super::wire::Wire;
use crate::machine::Tick;

/// Where the session stands.
#[derive(Debug)]
pub(super) enum State {
    /// The greeting is awaited.
    Greeting,
    /// EHLO, LHLO or HELO was said.
    Hello,
    /// STARTTLS was said.
    StartTls(Capabilities),
    /// The handshake is under way.
    Handshake,
    /// Nothing is under way, besides perhaps a RSET.
    Ready(Capabilities),
    /// AUTH was said.
    Login(Box<Login>),
    /// A letter is on its way.
    Transaction(Box<Transaction>),
    /// QUIT was said.
    Quitting,
    /// The connection is over.
    Closed,
}

impl State {
    /// Obeys a reply.
    pub(super) fn obey(self, answer: Answer, wire: &mut Wire, now: Tick) -> Result<State, Failure> {
        // RFC 5321 §3.8: 421 can come at any time and means that the server closes.
        let closes = answer.reply.code == crate::reply::ReplyCode::UNAVAILABLE;
        match self {
            State::Quitting if matches!(answer.verb, Verb::Quit) || closes => {
                wire.event(Event::Closed(Closing::Quit));
                Ok(State::Closed)
            }
            // What was under way before QUIT.
            State::Quitting => Ok(State::Quitting),
            State::Transaction(transaction) if closes => Err(transaction.refused_by(answer, wire)),
            _ if closes => Err(Failure::Refused(answer)),
            State::Greeting if answer.is_success() => {
                say_hello(wire, now, first_hello(wire));
                Ok(State::Hello)
            }
            State::Hello => greeted(answer, wire, now),
            State::StartTls(capabilities) => start_tls(capabilities, answer, wire),
            // The RSET of the letter before; anything else is out of step.
            State::Ready(capabilities) if answer.verb == Verb::Rset && answer.is_success() => {
                Ok(State::Ready(capabilities))
            }
            State::Login(login) => login.obey(answer, wire, now),
            State::Transaction(transaction) => transaction.obey(answer, wire, now),
            _ => Err(Failure::Refused(answer)),
        }
    }

    pub(super) fn capabilities(&self) -> Option<&Capabilities> {
        match self {
            State::Ready(capabilities) | State::StartTls(capabilities) => Some(capabilities),
            State::Login(login) => Some(&login.capabilities),
            State::Transaction(transaction) => Some(&transaction.capabilities),
            _ => None,
        }
    }
}

/// The verb that begins the session.
fn first_hello(wire: &Wire) -> Verb {
    if wire.is_lmtp() { Verb::Lhlo } else { Verb::Ehlo }
}

fn say_hello(wire: &mut Wire, now: Tick, verb: Verb) {
    let line = format!("{verb} {}", wire.config.hello_name);
    wire.send(now, verb, line);
}

fn greeted(answer: Answer, wire: &mut Wire, now: Tick) -> Result<State, Failure> {
    // RFC 5321 §3.2: a server that does not know EHLO may know HELO.
    if answer.verb == Verb::Ehlo && answer.reply.code.is_permanent() {
        say_hello(wire, now, Verb::Helo);
        return Ok(State::Hello);
    }
    if !answer.is_success() {
        return Err(Failure::Refused(answer));
    }
    let capabilities = match answer.verb {
        Verb::Helo => Capabilities::default(),
        _ => Capabilities::from_reply(&answer.reply),
    };
    let wish = if wire.tls.is_some() { TlsUse::Never } else { wire.config.tls };
    match (wish, capabilities.starttls) {
        (TlsUse::IfOffered | TlsUse::Required, true) => {
            wire.send(now, Verb::StartTls, "STARTTLS".into());
            Ok(State::StartTls(capabilities))
        }
        (TlsUse::Required, false) => Err(Failure::TlsNotOffered),
        _ => Ok(ready(capabilities, wire)),
    }
}

fn start_tls(
    capabilities: Capabilities,
    answer: Answer,
    wire: &mut Wire,
) -> Result<State, Failure> {
    if answer.is_success() {
        // RFC 3207 §5: what stands behind the 220 was put there by somebody between us and the
        // server; it is dropped, and was never looked at.
        wire.clear_input();
        wire.event(Event::StartTls);
        return Ok(State::Handshake);
    }
    match wire.config.tls {
        TlsUse::Required => Err(Failure::TlsRefused(answer)),
        _ => Ok(ready(capabilities, wire)),
    }
}

/// After the handshake everything begins again, but for the greeting. RFC 3207 §4.2.
pub(super) fn after_handshake(wire: &mut Wire, now: Tick) -> State {
    wire.pipelining = false;
    say_hello(wire, now, first_hello(wire));
    State::Hello
}

pub(super) fn ready(capabilities: Capabilities, wire: &mut Wire) -> State {
    // RFC 2033 §5: LMTP servers must offer PIPELINING.
    wire.pipelining = capabilities.pipelining;
    wire.event(Event::Ready);
    State::Ready(capabilities)
}
