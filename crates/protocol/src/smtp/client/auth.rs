//! AUTH, RFC 4954, with a mechanism of [`crate::sasl`].

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::{Capabilities, Verb};
use super::event::{Answer, Event, Failure};
use super::state::State;
use super::wire::Wire;
use crate::limits;
use crate::machine::Tick;
use crate::reply::ReplyCode;
use crate::sasl;

/// A login that is under way.
#[derive(Debug)]
pub(super) struct Login {
    pub(super) capabilities: Capabilities,
    sasl: sasl::Client,
    /// The initial response, where it did not fit into the first line.
    kept: Option<Vec<u8>>,
    progress: Progress,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    UnderWay,
    /// We said `*`; the refusal that follows is of our own making.
    Cancelled,
}

impl Login {
    pub(super) fn begin(
        capabilities: Capabilities,
        login: (sasl::Mechanism, sasl::Client),
        wire: &mut Wire,
        now: Tick,
    ) -> State {
        let (mechanism, mut sasl) = login;
        let mut kept = sasl.initial();
        let mut line = format!("AUTH {}", mechanism.name());
        if let Some(initial) = &kept {
            let text = if initial.is_empty() { "=".into() } else { STANDARD.encode(initial) };
            // RFC 4954 §4: a response that makes the command too long waits for a challenge.
            if line.len() + text.len() + 3 <= limits::COMMAND_LINE {
                line.push(' ');
                line.push_str(&text);
                kept = None;
            }
        }
        wire.send(now, Verb::Auth, line);
        let progress = Progress::UnderWay;
        State::Login(Box::new(Login { capabilities, sasl, kept, progress }))
    }

    pub(super) fn obey(
        mut self: Box<Self>,
        answer: Answer,
        wire: &mut Wire,
        now: Tick,
    ) -> Result<State, Failure> {
        if answer.reply.code == ReplyCode::CHALLENGE {
            let line = match self.response(&answer.reply.text) {
                Some(response) => STANDARD.encode(response),
                None => {
                    self.progress = Progress::Cancelled;
                    "*".into()
                }
            };
            wire.send(now, Verb::Auth, line);
            return Ok(State::Login(self));
        }
        let Login { capabilities, sasl, progress, .. } = *self;
        if answer.is_success() {
            if progress == Progress::Cancelled || sasl.finish(None).is_err() {
                return Err(Failure::ServerUnproven);
            }
            wire.event(Event::Authenticated);
        } else {
            wire.event(Event::LoginFailed(answer));
        }
        Ok(State::Ready(capabilities))
    }

    fn response(&mut self, challenge: &str) -> Option<Vec<u8>> {
        if self.progress == Progress::Cancelled {
            return None;
        }
        if let Some(kept) = self.kept.take() {
            return Some(kept);
        }
        let challenge = STANDARD.decode(challenge.trim()).ok()?;
        self.sasl.respond(&challenge).ok()
    }
}
