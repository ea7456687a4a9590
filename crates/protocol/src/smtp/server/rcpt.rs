//! RCPT.

use super::super::RcptParameters;
use super::event::{Event, Rcpt, RcptQuestion};
use super::mail::{
    Envelope, after_keyword, bad_address, bad_parameter, check_utf8, parameter_text,
};
use super::state::{Command, State, bad_sequence, bad_syntax};
use super::wire::Wire;
use crate::address::{AddressError, ForwardPath};
use crate::limits;
use crate::machine::Tick;
use crate::rejection::Rejection;
use crate::reply::{EnhancedCode, Reply, ReplyCode};

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let State::Envelope(mut envelope) = state else {
        let text = match state {
            State::Chunks(_) => "the data have begun already",
            _ => "say MAIL first",
        };
        wire.refuse(now, command.asked, &bad_sequence(text));
        return state;
    };
    match read(command.rest, &envelope, wire) {
        Ok(rcpt) => {
            envelope.open += 1;
            let question = wire.ask(command.asked);
            wire.event(Event::Rcpt(RcptQuestion(question), rcpt));
        }
        Err(rejection) => {
            envelope.refused += 1;
            wire.refuse(now, command.asked, &rejection);
        }
    }
    State::Envelope(envelope)
}

/// Reads `TO:<path> parameters` and checks what needs no agent.
fn read(rest: &str, envelope: &Envelope, wire: &Wire) -> Result<Rcpt, Rejection> {
    let text = after_keyword(rest, "TO:").ok_or_else(|| bad_syntax("say RCPT TO:<address>"))?;
    let (path, parameters) = ForwardPath::scan(text).map_err(|error| bad_address(3, error))?;
    // RFC 5321 §4.5.3.1.1.
    if path.address().is_some_and(|a| a.local().printed_len() > limits::LOCAL_PART) {
        return Err(bad_address(3, AddressError::LocalPartTooLong));
    }
    let parameters = parameter_text(parameters, &envelope.session)?;
    let parameters = RcptParameters::parse(parameters, &wire.offered()).map_err(bad_parameter)?;
    check_utf8(text, path.address(), envelope.smtputf8)?;
    // RFC 5321 §4.5.3.1.10.
    if envelope.may_be_full(wire) {
        return Err(Rejection::too_many_recipients());
    }
    Ok(Rcpt { path, parameters })
}

impl Envelope {
    pub(super) fn answered(
        &mut self,
        wire: &mut Wire,
        now: Tick,
        answer: (RcptQuestion, Result<(), Rejection>),
    ) {
        let (RcptQuestion(question), verdict) = answer;
        self.open = self.open.saturating_sub(1);
        match verdict {
            Ok(()) => {
                self.accepted += 1;
                let enhanced = EnhancedCode::success(1, 5);
                wire.fulfil(now, question, Reply::new(ReplyCode::OK, enhanced, "recipient ok"));
            }
            Err(rejection) => {
                self.refused += 1;
                wire.fulfil(now, question, rejection.to_reply());
            }
        }
    }

    /// There is no room for another recipient if those that are being asked about are accepted.
    /// One that is refused makes room again, so this is known only when none is open.
    pub(super) fn may_be_full(&self, wire: &Wire) -> bool {
        self.accepted + self.open >= wire.config.recipients_limit
    }

    /// Why no data can follow, if none can.
    pub(super) fn without_recipients(&self) -> Option<Rejection> {
        if self.accepted > 0 {
            return None;
        }
        // RFC 5321 §3.3 allows 503 or 554, RFC 2033 §4.2 wants 503.
        Some(bad_sequence(if self.refused > 0 { "no valid recipients" } else { "say RCPT first" }))
    }
}
