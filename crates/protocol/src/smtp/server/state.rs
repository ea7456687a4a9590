//! The states of a server session, one struct each that holds only what is valid there, and the
//! dispatch of commands. A state is consumed by each step and gives the next one.

use super::super::Verb;
use super::event::{Abort, Closing, Event, Hello};
use super::wire::{Asked, Front, LineEnd, Wire, as_text};
use super::{auth, data, hello, mail, other, starttls, xclient};
use crate::machine::Tick;
use crate::rejection::{Fault, Rejection};
use crate::reply::{EnhancedCode, ReplyCode};

/// Where the session stands.
#[derive(Debug)]
pub(super) enum State {
    /// The agent has not let us greet yet.
    Opening,
    /// Greeted; the client has not introduced itself.
    Greeted,
    /// Introduced; no transaction.
    Ready(Session),
    /// STARTTLS: the agent is asked.
    AwaitTls(starttls::AwaitTls),
    /// STARTTLS: the handshake is under way.
    Handshake,
    /// AUTH: the agent is asked.
    AwaitAuth(auth::AwaitAuth),
    /// AUTH: the client is asked.
    AwaitResponse(auth::AwaitResponse),
    /// MAIL: the agent is asked.
    AwaitMail(mail::AwaitMail),
    /// MAIL is accepted; recipients are gathered.
    Envelope(mail::Envelope),
    /// Within the data of DATA.
    Data(data::Data),
    /// Between two chunks of BDAT.
    Chunks(data::Chunks),
    /// Within a chunk of BDAT.
    Chunk(data::Chunk),
    /// Within a chunk that nobody wants.
    Swallow(data::Swallow),
    /// The agent is asked about the letter.
    AwaitEnd(data::AwaitEnd),
    /// The connection is over.
    Closed,
}

/// What is known of a client that has introduced itself.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) hello: Hello,
    pub(super) login: Login,
}

/// Whether AUTH has succeeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Login {
    Anonymous,
    Authenticated,
}

/// Whether a step did something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    /// Yes: try again.
    Moved,
    /// No: more input or an answer is needed.
    Stuck,
}

/// A command line taken apart.
#[derive(Debug)]
pub(super) struct Command<'a> {
    pub(super) verb: Verb,
    /// What follows the verb.
    pub(super) rest: &'a str,
    pub(super) asked: Asked,
}

impl State {
    /// Does the next thing that can be done.
    pub(super) fn step(self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        match self {
            State::Greeted | State::Ready(_) | State::Envelope(_) | State::Chunks(_) => {
                self.next_command(wire, now)
            }
            State::AwaitResponse(state) => state.step(wire, now),
            State::Data(state) => state.step(wire, now),
            State::Chunk(state) => state.step(wire, now),
            State::Swallow(state) => state.step(wire, now),
            waiting => (waiting, Progress::Stuck),
        }
    }

    /// The agent has to answer before input is of use.
    pub(super) fn awaits_answer(&self) -> bool {
        matches!(
            self,
            State::Opening
                | State::AwaitTls(_)
                | State::Handshake
                | State::AwaitAuth(_)
                | State::AwaitMail(_)
                | State::AwaitEnd(_)
        )
    }

    /// A transaction is open that the agent knows of, and that it has not been asked to end.
    pub(super) fn has_transaction(&self) -> bool {
        match self {
            State::Envelope(_) | State::Data(_) | State::Chunks(_) | State::Chunk(_) => true,
            State::Swallow(state) => state.back.has_transaction(),
            _ => false,
        }
    }

    fn next_command(self, wire: &mut Wire, now: Tick) -> (State, Progress) {
        // What the RCPTs are told decides what anything else means; it waits for them.
        if let State::Envelope(envelope) = &self
            && envelope.open > 0
            && (!wire.begins_with(Verb::Rcpt) || envelope.may_be_full(wire))
        {
            return (self, Progress::Stuck);
        }
        // The first octet of a TLS record: somebody took this for a port of implicit TLS.
        if wire.input.first() == Some(&0x16) && !wire.is_skipping() {
            return (close_with(wire, now, &other::tls_on_plain_port(), Closing::NotSmtp), MOVED);
        }
        let length = match wire.front(line_limit) {
            Front::Incomplete => {
                let lost = matches!(self, State::Greeted) && wire.is_skipping();
                if !lost {
                    return (self, Progress::Stuck);
                }
                return (close_with(wire, now, &not_smtp(), Closing::NotSmtp), MOVED);
            }
            Front::TooLong(_) | Front::Absurd if matches!(self, State::Greeted) => {
                return (close_with(wire, now, &not_smtp(), Closing::NotSmtp), MOVED);
            }
            Front::Absurd => return (close_with(wire, now, &too_long(), Closing::NotSmtp), MOVED),
            Front::BareLf | Front::TooLong(LineEnd::BareLf) => {
                return (close_with(wire, now, &bare_lf(), Closing::Smuggling), MOVED);
            }
            Front::TooLong(LineEnd::CrLf) => {
                let asked = wire.asked(now, Verb::Unknown, "(line too long)");
                wire.refuse(now, asked, &too_long());
                return (self, Progress::Moved);
            }
            Front::Line(length) => length,
        };
        let line = wire.take_line(length);
        let Some(text) = as_text(&line) else {
            if matches!(self, State::Greeted) {
                return (close_with(wire, now, &not_smtp(), Closing::NotSmtp), MOVED);
            }
            let asked = wire.asked(now, Verb::Unknown, "(not text)");
            wire.refuse(now, asked, &not_text());
            return (self, Progress::Moved);
        };
        let (verb, rest) = Verb::parse(text);
        let command = Command { verb, rest, asked: wire.asked(now, verb, text) };
        (self.obey(command, wire, now), Progress::Moved)
    }

    /// Obeys a command, in one of the states that take them.
    fn obey(self, command: Command<'_>, wire: &mut Wire, now: Tick) -> State {
        // RFC 3207 §4: before TLS, where it is required, these only.
        let harmless = matches!(
            command.verb,
            Verb::Ehlo | Verb::Helo | Verb::Lhlo | Verb::StartTls | Verb::Quit | Verb::Noop
        );
        if !harmless && starttls::is_missing(wire) {
            wire.refuse(now, command.asked, &starttls::required());
            return self;
        }
        match command.verb {
            Verb::Helo | Verb::Ehlo | Verb::Lhlo => hello::obey(self, command, wire, now),
            Verb::StartTls => starttls::obey(self, command, wire, now),
            Verb::XClient => xclient::obey(self, command, wire, now),
            Verb::Auth => auth::obey(self, command, wire, now),
            Verb::Mail => mail::obey(self, command, wire, now),
            Verb::Rcpt => super::rcpt::obey(self, command, wire, now),
            Verb::Data => data::obey_data(self, command, wire, now),
            Verb::Bdat => data::obey_bdat(self, command, wire, now),
            Verb::Rset => other::reset(self, command, wire, now),
            _ => other::obey(self, command, wire, now),
        }
    }

    /// What remains when the transaction, if there is one, is dropped.
    pub(super) fn without_transaction(self, wire: &mut Wire, why: Abort) -> State {
        let session = match self {
            State::Envelope(envelope) => envelope.session,
            State::Chunks(chunks) => chunks.session,
            other => return other,
        };
        wire.event(Event::Aborted(why));
        State::Ready(session)
    }
}

const MOVED: Progress = Progress::Moved;

/// Says why, once, and closes. What the agent still owes is not waited for.
pub(super) fn close_with(
    wire: &mut Wire,
    now: Tick,
    rejection: &Rejection,
    closing: Closing,
) -> State {
    let asked = wire.asked(now, Verb::Unknown, "");
    wire.forget_owed();
    wire.refuse(now, asked, rejection);
    wire.fatal = Some(closing);
    State::Closed
}

fn verb_of(front: &[u8]) -> Verb {
    let word = front.split(|b| !b.is_ascii_alphabetic()).next().unwrap_or_default();
    std::str::from_utf8(word).map_or(Verb::Unknown, |word| Verb::parse(word).0)
}

fn line_limit(front: &[u8]) -> usize {
    verb_of(front).line_limit()
}

/// 501 with what was wrong.
pub(super) fn bad_syntax(text: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::permanent(
        ReplyCode::BAD_SYNTAX,
        EnhancedCode::permanent(5, 4),
        Fault::Protocol,
        text,
    )
}

/// 503 with what was expected.
pub(super) fn bad_sequence(text: impl Into<std::borrow::Cow<'static, str>>) -> Rejection {
    Rejection::permanent(
        ReplyCode::BAD_SEQUENCE,
        EnhancedCode::permanent(5, 1),
        Fault::Protocol,
        text,
    )
}

/// 500.
pub(super) fn unrecognised(text: &'static str) -> Rejection {
    Rejection::permanent(
        ReplyCode::UNKNOWN_COMMAND,
        EnhancedCode::permanent(5, 2),
        Fault::Protocol,
        text,
    )
}

fn too_long() -> Rejection {
    unrecognised("line too long")
}

fn not_text() -> Rejection {
    unrecognised("command holds control characters or is not UTF-8")
}

fn not_smtp() -> Rejection {
    unrecognised("this is not SMTP, closing the connection")
}

// RFC 5321 §2.3.8: a line ends with CRLF and with nothing else.
fn bare_lf() -> Rejection {
    unrecognised("bare LF received, lines end with CRLF; closing the connection")
}
