//! STARTTLS, RFC 3207.

use super::config::TlsPolicy;
use super::event::{Event, StartTlsQuestion};
use super::state::{Command, Session, State, bad_sequence, bad_syntax};
use super::wire::Wire;
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};

/// The agent is asked.
#[derive(Debug)]
pub(super) struct AwaitTls {
    session: Session,
    question: u64,
}

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let refusal = if wire.config.tls == TlsPolicy::Unavailable && wire.tls.is_none() {
        Rejection::permanent(
            ReplyCode::NOT_IMPLEMENTED,
            EnhancedCode::permanent(5, 1),
            Fault::Protocol,
            "STARTTLS is not offered here",
        )
    } else if wire.tls.is_some() {
        bad_sequence("TLS is established already")
    } else if !command.rest.trim().is_empty() {
        // RFC 3207 §4: no parameters.
        bad_syntax("STARTTLS takes no parameters")
    } else if let State::Ready(session) = state {
        let question = wire.ask(command.asked);
        wire.event(Event::StartTls(StartTlsQuestion(question)));
        return State::AwaitTls(AwaitTls { session, question });
    } else if let State::Greeted = state {
        bad_sequence("say EHLO first")
    } else {
        bad_sequence("not within a mail transaction")
    };
    wire.refuse(now, command.asked, &refusal);
    state
}

impl AwaitTls {
    pub(super) fn answered(
        self,
        wire: &mut Wire,
        now: Tick,
        answer: (StartTlsQuestion, Result<(), Rejection>),
    ) -> State {
        let (StartTlsQuestion(question), verdict) = answer;
        if question != self.question {
            return State::AwaitTls(self);
        }
        match verdict {
            Ok(()) => {
                // RFC 3207 §4.2: what was pipelined behind STARTTLS came from we know not whom.
                wire.clear_input();
                let enhanced = EnhancedCode::success(0, 0);
                wire.fulfil(now, question, Reply::new(ReplyCode::READY, enhanced, "go ahead"));
                State::Handshake
            }
            Err(rejection) => {
                wire.fulfil(now, question, rejection.to_reply());
                State::Ready(self.session)
            }
        }
    }
}

/// TLS is required and not there.
pub(super) fn is_missing(wire: &Wire) -> bool {
    wire.config.tls == TlsPolicy::Required && wire.tls.is_none()
}

/// RFC 3207 §4.
pub(super) fn required() -> Rejection {
    Rejection::permanent(
        ReplyCode::AUTH_REQUIRED,
        EnhancedCode::permanent(7, 0),
        Fault::Policy,
        "say STARTTLS first",
    )
}
