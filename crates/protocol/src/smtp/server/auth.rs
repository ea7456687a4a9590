//! AUTH, RFC 4954: carries the octets of SASL and knows none of its mechanisms.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::Verb;
use super::event::{AuthAnswer, AuthQuestion, AuthStep, Closing, Event};
use super::state::{
    Command, Login, Progress, Session, State, bad_sequence, bad_syntax, close_with, unrecognised,
};
use super::wire::{Front, LineEnd, Wire, as_text};
use crate::limits;
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};
use crate::secret::Secret;

/// The agent is asked.
#[derive(Debug)]
pub(super) struct AwaitAuth {
    session: Session,
    question: u64,
}

/// The client is asked.
#[derive(Debug)]
pub(super) struct AwaitResponse {
    session: Session,
    expected: Expected,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// A response for the agent.
    Response,
    /// The empty response to the data that came with success.
    Nothing,
}

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let session = match state {
        State::Ready(session) if session.login == Login::Anonymous => session,
        state => {
            let text = match state {
                State::Greeted => "say EHLO first",
                State::Ready(_) => "authenticated already",
                _ => "not within a mail transaction",
            };
            wire.refuse(now, command.asked, &bad_sequence(text));
            return state;
        }
    };
    match begin(command.rest, wire) {
        Ok(step) => ask(session, step, wire, command.asked),
        Err(rejection) => {
            wire.refuse(now, command.asked, &rejection);
            State::Ready(session)
        }
    }
}

/// Reads `mechanism [initial-response]`.
fn begin(rest: &str, wire: &Wire) -> Result<AuthStep, Rejection> {
    if wire.config.auth.mechanisms.is_empty() {
        return Err(Rejection::permanent(
            ReplyCode::NOT_IMPLEMENTED,
            EnhancedCode::permanent(5, 1),
            Fault::Protocol,
            "AUTH is not offered here",
        ));
    }
    let offered = wire.offered().auth;
    if offered.is_empty() {
        // RFC 4954 §6.
        return Err(Rejection::permanent(
            ReplyCode::ENCRYPTION_REQUIRED,
            EnhancedCode::permanent(7, 11),
            Fault::Policy,
            "passwords are not taken without TLS, say STARTTLS first",
        ));
    }
    let mut words = rest.split_ascii_whitespace();
    let mechanism = words.next().unwrap_or_default().to_ascii_uppercase();
    let initial = words.next();
    if mechanism.is_empty() || words.next().is_some() {
        return Err(bad_syntax("AUTH takes a mechanism and at most one initial response"));
    }
    if !offered.contains(&mechanism) {
        return Err(Rejection::permanent(
            ReplyCode::PARAMETER_NOT_IMPLEMENTED,
            EnhancedCode::permanent(5, 4),
            Fault::Protocol,
            format!("mechanism is not offered, only: {}", offered.join(" ")),
        ));
    }
    let initial = match initial {
        None => None,
        // RFC 4954 §4: "=" stands for an initial response that is empty.
        Some("=") => Some(Secret::new(Vec::new())),
        Some(text) => Some(decode(text)?),
    };
    Ok(AuthStep::Begin { mechanism, initial })
}

fn decode(text: &str) -> Result<Secret<Vec<u8>>, Rejection> {
    STANDARD.decode(text).map(Secret::new).map_err(|_| {
        Rejection::permanent(
            ReplyCode::BAD_SYNTAX,
            EnhancedCode::permanent(5, 2),
            Fault::Protocol,
            "not valid base64, authentication is off",
        )
    })
}

fn ask(session: Session, step: AuthStep, wire: &mut Wire, asked: super::wire::Asked) -> State {
    let question = wire.ask(asked);
    wire.event(Event::Auth(AuthQuestion(question), step));
    State::AwaitAuth(AwaitAuth { session, question })
}

impl AwaitAuth {
    pub(super) fn answered(
        self,
        wire: &mut Wire,
        now: Tick,
        answer: (AuthQuestion, AuthAnswer),
    ) -> State {
        let (AuthQuestion(question), answer) = answer;
        if question != self.question {
            return State::AwaitAuth(self);
        }
        let session = self.session;
        let (octets, expected) = match answer {
            AuthAnswer::Challenge(octets) => (octets, Expected::Response),
            AuthAnswer::Success { last: Some(octets) } => (octets, Expected::Nothing),
            AuthAnswer::Success { last: None } => {
                wire.fulfil(now, question, succeeded());
                return State::Ready(Session { login: Login::Authenticated, ..session });
            }
            AuthAnswer::Failure(rejection) => {
                wire.fulfil(now, question, rejection.to_reply());
                return State::Ready(session);
            }
        };
        let challenge = Reply::plain(ReplyCode::CHALLENGE, STANDARD.encode(octets));
        wire.fulfil(now, question, challenge);
        State::AwaitResponse(AwaitResponse { session, expected })
    }
}

fn succeeded() -> Reply {
    Reply::new(ReplyCode::AUTHENTICATED, EnhancedCode::success(7, 0), "welcome")
}

impl AwaitResponse {
    pub(super) fn step(self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        let line = match wire.front(|_| limits::AUTH_LINE) {
            Front::Incomplete => return (State::AwaitResponse(self), Progress::Stuck),
            Front::Line(length) => wire.take_line(length),
            Front::TooLong(LineEnd::CrLf) => {
                // RFC 4954 §6.
                let rejection = Rejection::permanent(
                    ReplyCode::UNKNOWN_COMMAND,
                    EnhancedCode::permanent(5, 6),
                    Fault::Protocol,
                    "authentication line is too long, authentication is off",
                );
                return (self.cancel(wire, now, &rejection), Progress::Moved);
            }
            Front::Absurd | Front::BareLf | Front::TooLong(LineEnd::BareLf) => {
                let rejection = unrecognised("bare LF or endless line, closing the connection");
                let state = close_with(wire, now, &rejection, Closing::Smuggling);
                return (state, Progress::Moved);
            }
        };
        let text = as_text(&line).unwrap_or("?");
        let state = match (text, self.expected) {
            // RFC 4954 §4: the client cancels.
            ("*", _) => {
                let rejection = Rejection::permanent(
                    ReplyCode::BAD_SYNTAX,
                    EnhancedCode::permanent(7, 0),
                    Fault::Protocol,
                    "authentication cancelled",
                );
                self.cancel(wire, now, &rejection)
            }
            ("", Expected::Nothing) => {
                let asked = wire.asked(now, Verb::Auth, "");
                wire.reply(now, asked, succeeded());
                State::Ready(Session { login: Login::Authenticated, ..self.session })
            }
            (_, Expected::Nothing) => {
                self.cancel(wire, now, &bad_syntax("an empty response was expected"))
            }
            (text, Expected::Response) => match decode(text) {
                Ok(response) => {
                    let asked = wire.asked(now, Verb::Auth, text);
                    ask(self.session, AuthStep::Response(response), wire, asked)
                }
                Err(rejection) => self.cancel(wire, now, &rejection),
            },
        };
        (state, Progress::Moved)
    }

    fn cancel(self, wire: &mut Wire, now: Tick, rejection: &Rejection) -> State {
        let asked = wire.asked(now, Verb::Auth, "*");
        wire.refuse(now, asked, rejection);
        wire.event(Event::AuthCancelled);
        State::Ready(self.session)
    }
}
