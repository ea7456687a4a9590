//! The IMAP server machine: what a client sends becomes commands, what the agent answers becomes
//! bytes. Not a mailbox: it knows whether a command is allowed now, not what it would do. Driven by
//! `net::drive`, answered by `mda::retrieve`.
//!
//! One command is executed at a time (RFC 3501 §5.5), unless the agent takes those that follow it
//! along ([`Server::take_following`]); what a client sends meanwhile waits here, within a bound.
//! Order of work: `poll` gives [`Event::Command`]; the agent writes untagged
//! responses and ends with [`Server::finish`]. APPEND, IDLE and AUTHENTICATE have a step between:
//! [`Server::accept_message`], [`Server::start_idle`], [`Server::challenge`].

mod answer;
mod following;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};

pub use self::state::SessionState;
use self::state::{Offer, Phase, Running};
use super::code::{Code, ConditionCode};
use super::command::{Append, Command, LiteralHeader, LiteralSync, MessageForm, NextMessage, Tag};
use super::framing::{Frame, Input};
use super::grammar::{
    AppendPrefix, Names, ParseError, ParseErrorKind, Writer, parse_append_prefix, parse_command_in,
    parse_next_message,
};
use super::limits;
use super::response::{Condition, StatusText, Untagged};
use crate::machine::{Machine, Tick, TlsFacts};
use crate::secret::Secret;

/// What the machine tells the agent.
#[derive(Debug, PartialEq, Eq)]
pub enum Event {
    /// A command that is allowed in this state. It must be answered with [`Server::finish`].
    Command(Tag, Command),
    /// A piece of APPEND's message, after [`Server::accept_message`].
    MessageChunk(Bytes),
    /// A further message of APPEND (RFC 3502), after [`Event::MessageChunk`]s of the one before,
    /// which is complete. Take it with [`Server::accept_message`], or finish.
    NextMessage(NextMessage),
    /// APPEND's last message is complete: make all durable, then finish.
    MessageEnd,
    /// APPEND's message is not to be kept: what followed it was not IMAP. Answered already.
    MessageAborted,
    /// IDLE is over: finish.
    IdleDone,
    /// The client's answer to a SASL challenge.
    SaslResponse(Secret<Vec<u8>>),
    /// The client gave up its SASL exchange: finish with BAD.
    SaslCancelled,
}

/// Whether TLS is, or can be, there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Tls {
    /// It is there already (port 993), with these facts.
    Active(TlsFacts),
    /// STARTTLS is offered.
    Offered,
    /// There is none.
    Absent,
}

/// Whether a password may be sent without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CleartextLogin {
    /// `LOGINDISABLED` (RFC 3501 §6.2.3).
    Refused,
    /// Allowed: loopback, and the administrator wants it.
    Allowed,
}

/// What a session is begun with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name in the greeting.
    pub hostname: String,
    /// Whether TLS is, or can be, there.
    pub tls: Tls,
    /// Whether a password may be sent without it.
    pub cleartext_login: CleartextLogin,
    /// SASL mechanisms offered where logging in is allowed, such as `PLAIN`.
    pub mechanisms: Vec<String>,
    /// What is announced after the login besides what the machine itself does.
    pub extensions: Vec<String>,
    /// Octets of the largest message that APPEND takes.
    pub message_size: u64,
    /// How long a client that has logged in may say nothing; [`limits::AUTOLOGOUT`] at least is
    /// what RFC 3501 §5.4 asks for.
    pub autologout: std::time::Duration,
}

/// The machine.
#[derive(Debug)]
pub struct Server {
    options: Options,
    tls: Option<TlsFacts>,
    state: SessionState,
    phase: Phase,
    /// Commands begun together with the one that is executed, in their order.
    following: VecDeque<Running>,
    input: Input,
    out: Writer,
    /// Octets of a literal being sent that the agent still owes.
    owed: u64,
    errors: u32,
    started: Tick,
    heard: Tick,
    /// A command was finished since the clock was last looked at.
    worked: bool,
    /// No line has been received yet, so it may be another protocol.
    fresh: bool,
}

impl Server {
    /// A session that greets its client.
    pub fn new(now: Tick, options: Options) -> Self {
        let tls = match &options.tls {
            Tls::Active(facts) => Some(facts.clone()),
            Tls::Offered | Tls::Absent => None,
        };
        let greeting = format!("{} IMAP4rev1 server ready", options.hostname);
        let mut server = Server {
            options,
            tls,
            state: SessionState::NotAuthenticated,
            phase: Phase::Command,
            following: VecDeque::new(),
            input: Input::default(),
            out: Writer::server(),
            owed: 0,
            errors: 0,
            started: now,
            heard: now,
            worked: false,
            fresh: true,
        };
        let code = Code::Capability(server.capabilities());
        let text = StatusText::with(code, greeting);
        server.untagged(&Untagged::Status(Condition::Ok, text));
        server
    }

    /// Where the session stands.
    pub fn state(&self) -> SessionState {
        self.state
    }

    /// The tag of the command being executed.
    pub fn tag(&self) -> Option<Tag> {
        match &self.phase {
            Phase::Execute(running) | Phase::Idle(running) | Phase::Sasl(running) => {
                Some(running.tag.clone())
            }
            _ => None,
        }
    }

    /// What is known of TLS, if it is there.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Changes which SASL mechanisms are offered, such as when TLS makes channel binding possible.
    pub fn set_mechanisms(&mut self, mechanisms: Vec<String>) {
        self.options.mechanisms = mechanisms;
    }

    /// From now on mailbox names are in UTF-8, both ways: after ENABLE IMAP4rev2 (RFC 9051 §5.1) or
    /// UTF8=ACCEPT (RFC 6855 §3).
    pub fn use_utf8_names(&mut self) {
        self.out.set_names(Names::Utf8);
    }

    /// The stream is compressed now (RFC 4978): commands are read again.
    pub fn compression_established(&mut self, now: Tick) {
        if matches!(self.phase, Phase::Layer) {
            self.heard = now;
            self.phase = Phase::Command;
        }
    }

    /// What is announced now.
    pub fn capabilities(&self) -> Vec<String> {
        let mut list: Vec<String> =
            ["IMAP4rev1", "IMAP4rev2", "LITERAL+", "SASL-IR", "ID", "ENABLE"]
                .map(String::from)
                .into();
        if self.state != SessionState::NotAuthenticated {
            list.extend(self.options.extensions.iter().cloned());
            return list;
        }
        if self.tls.is_none() && self.options.tls == Tls::Offered {
            list.push("STARTTLS".into());
        }
        if self.login_allowed() {
            list.extend(self.options.mechanisms.iter().map(|name| format!("AUTH={name}")));
        } else {
            list.push("LOGINDISABLED".into());
        }
        list
    }

    fn login_allowed(&self) -> bool {
        self.tls.is_some() || self.options.cleartext_login == CleartextLogin::Allowed
    }

    /// Looks for the next piece of a command; `None`: there is none, or it was dealt with here.
    fn poll_command(&mut self) -> Step {
        if self.fresh && self.is_other_protocol() {
            self.bye("this is IMAP");
            return Step::Wait;
        }
        let limit = self.state.command_size();
        let frame = self.input.next_frame(limit);
        self.fresh = self.fresh && frame == Frame::More;
        match frame {
            Frame::More => Step::Wait,
            Frame::Command(bytes) => self.command(&bytes),
            Frame::Literal(header) => self.literal(header),
            Frame::BareLf(line) => {
                self.fault(tag_of(&line), "a line ends with CR LF, not with LF alone");
                Step::Again
            }
            Frame::TooLong => {
                let tag = tag_of(self.input.as_slice());
                self.fault(tag, &format!("the command is over {limit} octets"));
                self.start_skip_line();
                Step::Again
            }
        }
    }

    /// A TLS handshake (RFC 8446 §5.1: type 22, version 3.x) or an HTTP request.
    fn is_other_protocol(&self) -> bool {
        let head = self.input.as_slice();
        let http = [&b"GET "[..], b"POST ", b"HEAD ", b"PUT ", b"OPTIONS ", b"CONNECT "];
        (self.tls.is_none() && head.starts_with(&[22, 3]))
            || http.iter().any(|verb| {
                head.strip_prefix(*verb).is_some_and(|rest| {
                    let end = memchr::memchr(b'\n', rest);
                    let line = end.and_then(|end| rest.get(..end)).unwrap_or_default();
                    memchr::memmem::find(line, b" HTTP/").is_some()
                })
            })
    }

    fn command(&mut self, bytes: &[u8]) -> Step {
        let (tag, command) = match parse_command_in(bytes, self.out.names()) {
            Ok(parsed) => parsed,
            Err((tag, error)) => {
                self.parse_fault(tag, &error);
                return Step::Again;
            }
        };
        if let Err(why) = self.state.permits(&command) {
            self.fault(Some(tag), &format!("{} is not possible now: {why}", command.name()));
            return Step::Again;
        }
        match &command {
            Command::Capability => {
                self.untagged(&Untagged::Capability(self.capabilities()));
                self.tagged(&tag, Condition::Ok, &StatusText::new("CAPABILITY done"));
                return Step::Again;
            }
            Command::Logout => {
                self.bye("logging out");
                self.tagged(&tag, Condition::Ok, &StatusText::new("LOGOUT done"));
                return Step::Again;
            }
            Command::StartTls if self.tls.is_some() || self.options.tls != Tls::Offered => {
                let why = match self.tls.is_some() {
                    true => "TLS is active already",
                    false => "TLS is not available here",
                };
                self.fault(Some(tag), why);
                return Step::Again;
            }
            Command::Login { .. } | Command::Authenticate { .. } if !self.login_allowed() => {
                let code = Code::Condition(ConditionCode::PrivacyRequired);
                let text = StatusText::with(code, "no login without TLS: use STARTTLS or port 993");
                self.tagged(&tag, Condition::No, &text);
                self.count_error();
                return Step::Again;
            }
            _ => {}
        }
        self.phase = Phase::Execute(Running::new(tag.clone(), &command));
        Step::Event(Event::Command(tag, command))
    }

    fn literal(&mut self, header: LiteralHeader) -> Step {
        match parse_append_prefix(self.input.framed(), self.out.names()) {
            Err(error) => {
                self.parse_fault(tag_of(self.input.framed()), &error);
                self.refuse_literal(header, limits::APPEND_SKIP);
                Step::Again
            }
            Ok(AppendPrefix::Message(tag, append)) => self.message(tag, append),
            Ok(AppendPrefix::Argument) => {
                let size = usize::try_from(header.size).unwrap_or(usize::MAX);
                let whole = self.input.framed().len().saturating_add(size);
                if size > limits::LITERAL_SIZE || whole > self.state.command_size() {
                    let text = StatusText::with(Code::TooBig, "the literal is too large");
                    self.refuse_with(&text);
                    self.refuse_literal(header, limits::LITERAL_SKIP);
                    return Step::Again;
                }
                self.input.accept_literal(size);
                if header.sync == LiteralSync::Synchronizing {
                    self.out.text("+ go on\r\n");
                }
                Step::Again
            }
        }
    }

    fn refuse_with(&mut self, text: &StatusText) {
        match tag_of(self.input.framed()) {
            Some(tag) => self.tagged(&tag, Condition::Bad, text),
            None => self.untagged(&Untagged::Status(Condition::Bad, text.clone())),
        }
        self.count_error();
    }

    /// APPEND has come to its message.
    fn message(&mut self, tag: Tag, append: Append) -> Step {
        let (literal, form) = (append.literal, append.form);
        let command = Command::Append(append);
        if let Err(why) = self.state.permits(&command) {
            self.fault(Some(tag), &format!("APPEND is not possible now: {why}"));
            self.refuse_literal(literal, limits::LITERAL_SKIP);
            return Step::Again;
        }
        if literal.size > self.options.message_size {
            let text = format!("the message is over {} octets", self.options.message_size);
            self.tagged(&tag, Condition::No, &StatusText::with(Code::TooBig, text));
            self.refuse_literal(literal, limits::APPEND_SKIP);
            return Step::Again;
        }
        self.input.take_framed();
        let running = Running { form, ..Running::new(tag.clone(), &command) };
        self.phase = Phase::Offer(Offer { running, literal });
        Step::Event(Event::Command(tag, command))
    }

    /// RFC 7888 §4: octets that come unasked are swallowed if they are not too many; a client that
    /// waits for our word will not send them.
    fn refuse_literal(&mut self, header: LiteralHeader, most: u64) {
        self.input.take_framed();
        if matches!(self.phase, Phase::Closed) {
            return;
        }
        if header.sync == LiteralSync::Synchronizing {
            self.phase = Phase::Command;
        } else if header.size > most {
            self.bye("the literal is too large");
        } else {
            self.phase = Phase::Skip(header.size);
        }
    }

    fn start_skip_line(&mut self) {
        if !matches!(self.phase, Phase::Closed) {
            self.phase = Phase::SkipLine(limits::LINE_SKIP);
        }
    }

    /// Swallows a refused literal; then its line ends, or goes on with a further literal.
    fn poll_skip(&mut self, left: u64) -> Step {
        let most = usize::try_from(left).unwrap_or(usize::MAX);
        let taken = self.input.take(most).len() as u64;
        if taken < left {
            self.phase = Phase::Skip(left - taken);
            return Step::Wait;
        }
        self.phase = Phase::SkipLine(limits::LINE_SKIP);
        Step::Again
    }

    fn poll_skip_line(&mut self, left: u64) -> Step {
        let end = memchr::memchr(b'\n', self.input.as_slice());
        // Without an end in sight, so much stays that the header of a literal is seen whole.
        let rest = self.input.len().saturating_sub(LITERAL_HEADER);
        let taken = self.input.take(end.map_or(rest, |end| end + 1));
        let Some(left) = left.checked_sub(taken.len() as u64) else {
            self.bye("the line does not end");
            return Step::Wait;
        };
        if end.is_none() {
            self.phase = Phase::SkipLine(left);
            return Step::Wait;
        }
        // A further unasked literal belongs to the refused command as well.
        self.phase = Phase::Command;
        let mut line = Input::default();
        line.push(&taken);
        if let Frame::Literal(header) = line.next_frame(usize::MAX)
            && header.sync == LiteralSync::NonSynchronizing
        {
            self.refuse_literal(header, limits::APPEND_SKIP);
        }
        Step::Again
    }

    fn poll_message(&mut self, running: Running, left: u64) -> Step {
        if left == 0 {
            self.phase = Phase::MessageEnd(running);
            return Step::Again;
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(limits::CHUNK_SIZE);
        let chunk = self.input.take(most);
        self.phase = Phase::Message(running, left - chunk.len() as u64);
        if chunk.is_empty() { Step::Wait } else { Step::Event(Event::MessageChunk(chunk)) }
    }

    /// After the message there is a line end, and only then it counts; or a space and a further
    /// message.
    fn poll_message_end(&mut self, running: Running) -> Step {
        let closing: &[u8] = match running.form {
            MessageForm::Plain => b"",
            MessageForm::Utf8 => b")",
        };
        let input = self.input.as_slice();
        let rest = if input.is_empty() { Some(input) } else { input.strip_prefix(closing) };
        match rest {
            Some([] | [b'\r']) => {
                self.phase = Phase::MessageEnd(running);
                Step::Wait
            }
            Some([b'\r', b'\n', ..]) => {
                self.input.take(closing.len() + 2);
                self.phase = Phase::Execute(running);
                Step::Event(Event::MessageEnd)
            }
            Some([b' ', ..]) => {
                self.input.take(closing.len());
                self.phase = Phase::NextMessage(running);
                Step::Again
            }
            _ => {
                self.phase = Phase::SkipLine(limits::LINE_SKIP);
                self.fault(Some(running.tag), "expected the end of the line after the message");
                Step::Event(Event::MessageAborted)
            }
        }
    }

    /// RFC 3502 §6.3.11: what stands between two messages, up to the header of the second's
    /// literal.
    fn poll_next_message(&mut self, mut running: Running) -> Step {
        let header = match self.input.next_frame(limits::COMMAND_SIZE_BEFORE_LOGIN) {
            Frame::More => {
                self.phase = Phase::NextMessage(running);
                return Step::Wait;
            }
            Frame::Literal(header) => header,
            found => {
                let why = "expected a further message, or the end of the line";
                self.fault(Some(running.tag), why);
                if found == Frame::TooLong {
                    self.start_skip_line();
                }
                return Step::Event(Event::MessageAborted);
            }
        };
        match parse_next_message(self.input.framed()) {
            Err(error) => {
                self.parse_fault(Some(running.tag), &error);
                self.refuse_literal(header, limits::APPEND_SKIP);
                Step::Event(Event::MessageAborted)
            }
            Ok(next) if next.literal.size > self.options.message_size => {
                let text = format!("the message is over {} octets", self.options.message_size);
                let text = StatusText::with(Code::TooBig, text);
                self.tagged(&running.tag, Condition::No, &text);
                self.refuse_literal(header, limits::APPEND_SKIP);
                Step::Event(Event::MessageAborted)
            }
            Ok(next) => {
                self.input.take_framed();
                running.form = next.form;
                self.phase = Phase::Offer(Offer { running, literal: next.literal });
                Step::Event(Event::NextMessage(next))
            }
        }
    }

    /// A line that is not a command: DONE, or a SASL response. `None`: it is not complete.
    fn poll_line(&mut self) -> Option<Bytes> {
        let end = memchr::memchr(b'\n', self.input.as_slice());
        // Too long is too long, whether or not its end has come with it.
        if end.unwrap_or(self.input.len()) > limits::SASL_LINE {
            self.bye("the line is too long");
            return None;
        }
        let end = end?;
        let line = self.input.take(end + 1);
        let length = line.len() - if line.ends_with(b"\r\n") { 2 } else { 1 };
        Some(line.slice(..length))
    }

    fn poll_idle(&mut self, mut running: Running) -> Step {
        let Some(line) = self.poll_line() else {
            if !matches!(self.phase, Phase::Closed) {
                self.phase = Phase::Idle(running);
            }
            return Step::Wait;
        };
        // RFC 2177 §3: nothing but DONE may come.
        if !line.eq_ignore_ascii_case(b"DONE") {
            running.fault = Some("expected DONE; IDLE is over");
        }
        self.phase = Phase::Execute(running);
        Step::Event(Event::IdleDone)
    }

    fn poll_sasl(&mut self, running: Running) -> Step {
        let Some(line) = self.poll_line() else {
            if !matches!(self.phase, Phase::Closed) {
                self.phase = Phase::Sasl(running);
            }
            return Step::Wait;
        };
        if &*line == b"*" {
            self.phase = Phase::Execute(running);
            return Step::Event(Event::SaslCancelled);
        }
        match STANDARD.decode(&line) {
            Ok(response) => {
                self.phase = Phase::Execute(running);
                Step::Event(Event::SaslResponse(Secret::new(response)))
            }
            Err(_) => {
                let running = Running { fault: Some("the response is not base64"), ..running };
                self.phase = Phase::Execute(running);
                Step::Event(Event::SaslCancelled)
            }
        }
    }

    fn parse_fault(&mut self, tag: Option<Tag>, error: &ParseError) {
        let coded = |code| StatusText::with(Code::Condition(code), error.to_string());
        let (condition, text) = match error.kind {
            ParseErrorKind::Limit => (Condition::Bad, coded(ConditionCode::Limit)),
            // The command is well-formed, only such a mailbox cannot be: NO, not BAD.
            ParseErrorKind::Name => (Condition::No, coded(ConditionCode::Cannot)),
            // RFC 6154 §3
            ParseErrorKind::Use => {
                (Condition::No, StatusText::with(Code::UseAttr, error.to_string()))
            }
            ParseErrorKind::Syntax | ParseErrorKind::Unknown => {
                (Condition::Bad, StatusText::new(error.to_string()))
            }
        };
        match tag {
            Some(tag) => self.tagged(&tag, condition, &text),
            None => self.untagged(&Untagged::Status(condition, text)),
        }
        self.count_error();
    }

    fn fault(&mut self, tag: Option<Tag>, why: &str) {
        match tag {
            Some(tag) => self.tagged(&tag, Condition::Bad, &StatusText::new(why)),
            None => self.untagged(&Untagged::Status(Condition::Bad, StatusText::new(why))),
        }
        self.count_error();
    }

    fn count_error(&mut self) {
        self.errors += 1;
        if self.errors >= self.state.errors() {
            self.bye("too many errors");
        }
    }

    /// The moment by which something has to happen.
    fn due(&self) -> Option<Tick> {
        let within_command = matches!(self.phase, Phase::Command) && self.input.len() > 0;
        let receiving = matches!(
            self.phase,
            Phase::Message(..)
                | Phase::MessageEnd(_)
                | Phase::NextMessage(_)
                | Phase::Skip(_)
                | Phase::SkipLine(_)
        );
        match (&self.phase, self.state) {
            (Phase::Closed, _) => None,
            (_, SessionState::NotAuthenticated) => Some(self.started.after(limits::LOGIN_TIMEOUT)),
            _ if within_command || receiving => Some(self.heard.after(limits::COMMAND_TIMEOUT)),
            _ => Some(self.heard.after(self.options.autologout)),
        }
    }
}

/// What one step of the machine came to.
enum Step {
    /// Tell the agent.
    Event(Event),
    /// Something was dealt with: look again.
    Again,
    /// Nothing until there is more input or an answer.
    Wait,
}

/// Octets of the longest header of a literal, `~{9223372036854775807+}` with its CRLF, and some.
const LITERAL_HEADER: usize = 32;

/// The tag at the start of a line, if there is one.
fn tag_of(line: &[u8]) -> Option<Tag> {
    let length = line.iter().position(|byte| *byte == b' ')?;
    Tag::new(line.get(..length)?)
}

impl Machine for Server {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        self.heard = now;
        if !matches!(self.phase, Phase::Closed | Phase::Layer) {
            self.input.push(input);
        }
    }

    fn end_of_input(&mut self, _now: Tick) {
        // A client that half-closes and waits for answers does not exist in IMAP: LOGOUT ends.
        self.close();
    }

    fn tls_established(&mut self, now: Tick, facts: TlsFacts) {
        // RFC 3501 §6.2.1: nothing that came before TLS counts.
        self.input.clear();
        self.tls = Some(facts);
        self.heard = now;
        self.started = now;
        self.phase = Phase::Command;
    }

    fn expire(&mut self, now: Tick) {
        if self.due().is_none_or(|due| now < due) {
            return;
        }
        // While the agent works, and once after it, the wait is not the client's fault.
        let agent_works = matches!(self.phase, Phase::Execute(_) | Phase::Offer(_));
        if agent_works || std::mem::take(&mut self.worked) {
            self.heard = now;
            self.started = now;
            return;
        }
        self.bye("nothing was heard for too long");
    }

    fn poll(&mut self) -> Option<Event> {
        loop {
            let step = match std::mem::replace(&mut self.phase, Phase::Command) {
                Phase::Command => self.poll_command(),
                Phase::Message(running, left) => self.poll_message(running, left),
                Phase::MessageEnd(running) => self.poll_message_end(running),
                Phase::NextMessage(running) => self.poll_next_message(running),
                Phase::Idle(running) => self.poll_idle(running),
                Phase::Sasl(running) => self.poll_sasl(running),
                Phase::Skip(left) => self.poll_skip(left),
                Phase::SkipLine(left) => self.poll_skip_line(left),
                waiting => {
                    self.phase = waiting;
                    Step::Wait
                }
            };
            match step {
                Step::Event(event) => return Some(event),
                Step::Again => {}
                Step::Wait => return None,
            }
        }
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        let ours = self.out.buffer();
        if out.is_empty() {
            std::mem::swap(out, ours);
        } else {
            out.extend_from_slice(ours);
            ours.clear();
        }
    }

    fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        self.due()
    }

    fn wants_input(&self) -> bool {
        let room = match self.phase {
            Phase::Closed | Phase::Layer => 0,
            Phase::Command => 2 * self.state.command_size(),
            _ => limits::PIPELINE_SIZE,
        };
        self.input.len() < room && self.out.len() < limits::OUTPUT_HIGH_WATER
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}
