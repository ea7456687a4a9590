//! The IMAP client machine: commands become bytes, what a server sends becomes events. Not a mail
//! reader and no cache: `mua` drives it, through `net::drive`.
//!
//! One command is under way at a time, so that no answer is ambiguous (RFC 3501 §5.5). Bodies above
//! [`limits::INLINE_BODY`] come as streams, within their FETCH; everything a server may send is
//! bounded. SASL is the caller's: challenges come out, responses go in.

mod receive;
mod send;
#[cfg(test)]
mod tests;

use bytes::{Bytes, BytesMut};

use super::command::Tag;
use super::fetch::FetchData;
use super::framing::Input;
use super::grammar::LiteralSupport;
use super::limits;
use super::response::{Condition, StatusText, Untagged};
use crate::machine::{Machine, Tick, TlsFacts};

/// What the machine tells its user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The server greeted: commands can be sent.
    Greeting(Greeting, StatusText),
    /// Data, asked for or not.
    Untagged(Untagged),
    /// A large body begins; it is the last of these items. Its FETCH comes as
    /// [`Event::Untagged`] when the response is complete, with `Content::Streamed` in its place.
    BodyBegin {
        /// Which letter.
        sequence: std::num::NonZeroU32,
        /// What the response told before the body, and the body itself.
        data: Vec<FetchData>,
    },
    /// A piece of the body.
    BodyChunk(Bytes),
    /// The body is complete.
    BodyEnd,
    /// The server takes APPEND's message: [`Client::message_chunk`], then [`Client::message_end`].
    SendMessage,
    /// The server idles: [`Client::idle_done`] ends it.
    Idling,
    /// A SASL challenge: [`Client::respond`].
    Challenge(Vec<u8>),
    /// The command is over.
    Done(Condition, StatusText),
}

/// How a server greets (RFC 3501 §7.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Greeting {
    /// Log in, please.
    Ok,
    /// You are logged in.
    PreAuth,
    /// Go away.
    Bye,
}

/// Why the machine closed the connection by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientFault {
    /// The server sent what is not IMAP.
    Protocol(String),
    /// The server sent more than we take.
    TooLarge(&'static str),
    /// The server was silent for too long.
    Timeout,
}

impl std::fmt::Display for ClientFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ClientFault::Protocol(why) => write!(f, "the server does not speak IMAP: {why}"),
            ClientFault::TooLarge(what) => write!(f, "the server sent {what} that is too large"),
            ClientFault::Timeout => f.write_str("the server did not answer in time"),
        }
    }
}

impl std::error::Error for ClientFault {}

/// A command could not be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendError {
    /// Another one is under way.
    Busy,
    /// The connection is closed, or not greeted yet.
    NotReady,
}

impl std::fmt::Display for SendError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            SendError::Busy => "another IMAP command is under way",
            SendError::NotReady => "the IMAP connection is not ready for commands",
        })
    }
}

impl std::error::Error for SendError {}

/// The machine.
#[derive(Debug)]
pub struct Client {
    phase: Phase,
    input: Input,
    out: BytesMut,
    capabilities: Vec<String>,
    literals: LiteralSupport,
    next_tag: u32,
    /// What came before a body that is, or was, streamed away; and where those were.
    prefix: Vec<u8>,
    streamed: Vec<usize>,
    /// Octets of the body being streamed that are still to come.
    body: Option<u64>,
    fault: Option<ClientFault>,
    heard: Tick,
    moved: bool,
    tls: Option<Box<TlsFacts>>,
}

/// Where the dialogue stands.
#[derive(Debug)]
enum Phase {
    /// Waiting for the greeting.
    Greeting,
    /// No command is under way.
    Ready,
    /// A command is under way.
    Running(Running),
    /// STARTTLS was granted: TLS is next.
    Tls,
    /// The end.
    Closed,
}

/// The command under way.
#[derive(Debug)]
struct Running {
    tag: Tag,
    kind: Kind,
    /// What follows a literal for which the server must give a go-ahead first.
    waiting: std::collections::VecDeque<Bytes>,
    /// The event to give before anything is read.
    ready: Option<Event>,
}

/// Commands with a dialogue of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    LogIn,
    Authenticate,
    Append,
    Idle,
    StartTls,
    Logout,
}

impl Client {
    /// A session that waits for its greeting.
    pub fn new(now: Tick) -> Self {
        Client {
            phase: Phase::Greeting,
            input: Input::default(),
            out: BytesMut::new(),
            capabilities: Vec::new(),
            literals: LiteralSupport::Synchronizing,
            next_tag: 0,
            prefix: Vec::new(),
            streamed: Vec::new(),
            body: None,
            fault: None,
            heard: now,
            moved: false,
            tls: None,
        }
    }

    /// What the server announced last; empty when it has not since STARTTLS or the login.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    /// Whether the server announced it.
    pub fn has_capability(&self, name: &str) -> bool {
        self.capabilities.iter().any(|known| known.eq_ignore_ascii_case(name))
    }

    /// The SASL mechanisms that the server announced.
    pub fn mechanisms(&self) -> impl Iterator<Item = &str> {
        self.capabilities.iter().filter_map(|name| name.strip_prefix("AUTH="))
    }

    /// What is known of TLS, once STARTTLS has begun it.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_deref()
    }

    /// Why the machine closed the connection, if it did.
    pub fn fault(&self) -> Option<&ClientFault> {
        self.fault.as_ref()
    }

    /// No command is under way and one can be sent.
    pub fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready)
    }

    fn learn(&mut self, capabilities: Vec<String>) {
        let has = |name: &str| capabilities.iter().any(|known| known == name);
        self.literals = if has("LITERAL+") {
            LiteralSupport::NonSynchronizing
        // RFC 9051 §4.3: IMAP4rev2 includes LITERAL-.
        } else if has("LITERAL-") || has("IMAP4REV2") {
            LiteralSupport::Small
        } else {
            LiteralSupport::Synchronizing
        };
        self.capabilities = capabilities;
    }

    fn forget_capabilities(&mut self) {
        self.capabilities.clear();
        self.literals = LiteralSupport::Synchronizing;
    }

    fn fail(&mut self, fault: ClientFault) {
        self.fault.get_or_insert(fault);
        self.phase = Phase::Closed;
        self.input.clear();
    }
}

impl Machine for Client {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        self.heard = now;
        if !matches!(self.phase, Phase::Closed | Phase::Tls) {
            self.input.push(input);
        }
    }

    fn end_of_input(&mut self, _now: Tick) {
        // What was received before is still read: a BYE, most likely.
        if self.input.is_drained() {
            self.phase = Phase::Closed;
        } else {
            self.input.finish();
        }
    }

    fn tls_established(&mut self, now: Tick, facts: TlsFacts) {
        self.tls = Some(Box::new(facts));
        // RFC 3501 §6.2.1: what was learnt before TLS does not count.
        self.input.clear();
        self.forget_capabilities();
        self.heard = now;
        self.phase = Phase::Ready;
    }

    fn expire(&mut self, now: Tick) {
        if self.deadline().is_none_or(|due| now < due) {
            return;
        }
        if std::mem::take(&mut self.moved) {
            self.heard = now;
            return;
        }
        self.fail(ClientFault::Timeout);
    }

    fn poll(&mut self) -> Option<Event> {
        self.receive()
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        self.moved = true;
        if out.is_empty() {
            std::mem::swap(out, &mut self.out);
        } else {
            out.extend_from_slice(&self.out);
            self.out.clear();
        }
    }

    fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        let idles = matches!(&self.phase, Phase::Running(running) if running.kind == Kind::Idle);
        match self.phase {
            Phase::Greeting | Phase::Running(_) if !idles => {
                Some(self.heard.after(limits::REPLY_TIMEOUT))
            }
            _ => None,
        }
    }

    fn wants_input(&self) -> bool {
        let room = match self.phase {
            Phase::Closed | Phase::Tls => 0,
            _ if self.body.is_some() => limits::PIPELINE_SIZE,
            _ => limits::RESPONSE_SIZE + limits::PIPELINE_SIZE,
        };
        self.input.len() < room
    }

    fn is_closed(&self) -> bool {
        matches!(self.phase, Phase::Closed)
    }
}
