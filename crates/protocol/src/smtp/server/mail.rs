//! MAIL, and the envelope that it opens.

use super::super::parameters::ParameterError;
use super::super::{MailParameters, Verb};
use super::config::AuthRequirement;
use super::event::{Event, Mail, MailQuestion};
use super::state::{Command, Login, Session, State, bad_sequence, bad_syntax};
use super::wire::Wire;
use crate::address::{Address, ReversePath};
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, Reply, ReplyCode};

/// The agent is asked about the sender.
#[derive(Debug)]
pub(super) struct AwaitMail {
    session: Session,
    question: u64,
    smtputf8: bool,
}

/// The sender is accepted; recipients are gathered.
#[derive(Debug)]
pub(super) struct Envelope {
    pub(super) session: Session,
    /// SMTPUTF8 was given: addresses may hold UTF-8.
    pub(super) smtputf8: bool,
    /// Recipients that were accepted.
    pub(super) accepted: usize,
    /// Recipients that were refused, by the agent or by us.
    pub(super) refused: usize,
    /// Recipients about whom the agent is being asked.
    pub(super) open: usize,
}

pub(super) fn obey(state: State, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
    let session = match state {
        State::Ready(session) => session,
        state => {
            let text = match state {
                State::Greeted => "say EHLO first",
                _ => "a mail transaction is open already, say RSET to drop it",
            };
            wire.refuse(now, command.asked, &bad_sequence(text));
            return state;
        }
    };
    match read(command.rest, &session, wire) {
        Ok(mail) => {
            let smtputf8 = mail.parameters.smtputf8;
            let question = wire.ask(command.asked);
            wire.event(Event::Mail(MailQuestion(question), mail));
            State::AwaitMail(AwaitMail { session, question, smtputf8 })
        }
        Err(rejection) => {
            wire.refuse(now, command.asked, &rejection);
            State::Ready(session)
        }
    }
}

/// Reads `FROM:<path> parameters` and checks what needs no agent.
fn read(rest: &str, session: &Session, wire: &Wire) -> Result<Mail, Rejection> {
    if wire.config.auth.requirement == AuthRequirement::BeforeMail
        && session.login == Login::Anonymous
    {
        // RFC 4954 §6.
        return Err(Rejection::permanent(
            ReplyCode::AUTH_REQUIRED,
            EnhancedCode::permanent(7, 0),
            Fault::Policy,
            "authentication required",
        ));
    }
    let text = after_keyword(rest, "FROM:").ok_or_else(|| bad_syntax("say MAIL FROM:<address>"))?;
    let (path, parameters) = ReversePath::scan(text).map_err(|error| bad_address(7, error))?;
    let parameters = parameter_text(parameters, session)?;
    let parameters = MailParameters::parse(parameters, &wire.offered()).map_err(bad_parameter)?;
    check_utf8(text, path.address(), parameters.smtputf8)?;
    let limit = wire.config.size_limit;
    // RFC 1870 §6.1: early, before the letter has crossed the wire.
    if limit > 0 && parameters.size.is_some_and(|size| size > limit) {
        return Err(Rejection::too_large(limit));
    }
    Ok(Mail { path, parameters })
}

/// What follows `FROM:` or `TO:`. RFC 5321 §3.3 allows no space after the colon; old clients put
/// one, and nothing is ambiguous about it.
pub(super) fn after_keyword<'a>(rest: &'a str, keyword: &str) -> Option<&'a str> {
    let rest = rest.trim_start();
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| tail.trim_start())
}

/// The text of the parameters, which stand after a space and need EHLO.
pub(super) fn parameter_text<'a>(
    after_path: &'a str,
    session: &Session,
) -> Result<&'a str, Rejection> {
    let parameters = after_path.trim();
    if !after_path.is_empty() && !after_path.starts_with([' ', '\t']) {
        return Err(bad_syntax("text after the >"));
    }
    if !parameters.is_empty() && session.hello.verb == Verb::Helo {
        return Err(unknown_parameters("parameters need EHLO".into()));
    }
    Ok(parameters)
}

/// 501 with what is wrong about the address; `detail` of 5.1.x: 7 sender, 3 recipient.
pub(super) fn bad_address(detail: u16, error: impl std::fmt::Display) -> Rejection {
    Rejection::permanent(
        ReplyCode::BAD_SYNTAX,
        EnhancedCode::permanent(1, detail),
        Fault::Protocol,
        error.to_string(),
    )
}

/// RFC 5321 §4.1.1.11: 555 for what is unknown, 504 for what is not implemented, 501 for the rest.
pub(super) fn bad_parameter(error: ParameterError) -> Rejection {
    match error {
        ParameterError::Unknown(_) => unknown_parameters(error.to_string()),
        ParameterError::NotImplemented(_) => Rejection::permanent(
            ReplyCode::PARAMETER_NOT_IMPLEMENTED,
            EnhancedCode::permanent(5, 4),
            Fault::Protocol,
            error.to_string(),
        ),
        ParameterError::BadValue(_) | ParameterError::Twice(_) => bad_syntax(error.to_string()),
    }
}

fn unknown_parameters(text: String) -> Rejection {
    Rejection::permanent(
        ReplyCode::UNKNOWN_PARAMETERS,
        EnhancedCode::permanent(5, 4),
        Fault::Protocol,
        text,
    )
}

/// RFC 6531 §3.5: UTF-8 in a path needs SMTPUTF8, be it in the local part or in the domain.
pub(super) fn check_utf8(
    text: &str,
    address: Option<&Address>,
    smtputf8: bool,
) -> Result<(), Rejection> {
    let needed = !text.is_ascii() || address.is_some_and(Address::needs_smtputf8);
    if smtputf8 || !needed {
        return Ok(());
    }
    Err(Rejection::permanent(
        ReplyCode::BAD_MAILBOX_NAME,
        EnhancedCode::permanent(6, 7),
        Fault::Protocol,
        "an address outside of ASCII needs SMTPUTF8",
    ))
}

impl AwaitMail {
    pub(super) fn answered(
        self,
        wire: &mut Wire,
        now: Tick,
        answer: (MailQuestion, Result<(), Rejection>),
    ) -> State {
        let (MailQuestion(question), verdict) = answer;
        if question != self.question {
            return State::AwaitMail(self);
        }
        match verdict {
            Ok(()) => {
                let enhanced = EnhancedCode::success(1, 0);
                wire.fulfil(now, question, Reply::new(ReplyCode::OK, enhanced, "sender ok"));
                State::Envelope(Envelope {
                    session: self.session,
                    smtputf8: self.smtputf8,
                    accepted: 0,
                    refused: 0,
                    open: 0,
                })
            }
            Err(rejection) => {
                wire.fulfil(now, question, rejection.to_reply());
                State::Ready(self.session)
            }
        }
    }
}
