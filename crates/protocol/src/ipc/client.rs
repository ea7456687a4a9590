//! The asking side of an IPC connection: sends hello at once, pipelines calls behind it, matches
//! answers to calls, and gives up on each call at its own deadline. Does not reconnect: a client
//! that is closed is replaced by a new one.

use super::{
    Fault, FaultKind, HELLO_SECONDS, Hello, Method, OUTPUT_LIMIT, OUTSTANDING_LIMIT, Role, VERSION,
    Welcome,
    frame::{self, Answer, Frames, Question},
};
use crate::machine::{Machine, Tick, TlsFacts};
use bytes::BytesMut;
use serde_json::Value;
use std::{
    collections::{BTreeMap, VecDeque},
    fmt,
    time::Duration,
};

/// A call that waits for its answer, on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CallId(u64);

/// What the server did.
#[derive(Debug)]
pub enum ClientEvent {
    /// The server speaks our version and serves the role we want.
    Welcome(Welcome),
    /// An answer, or a part of a stream.
    Answer {
        /// The call it belongs to.
        call: CallId,
        /// Give it to [`Client::read`].
        result: Result<Value, Fault>,
        /// Whether this call is over.
        last: bool,
    },
    /// The connection is of no use any more; open calls have been answered with faults.
    Failed(Fault),
}

/// Why a call could not be made.
#[derive(Debug, PartialEq, Eq)]
pub enum CallError {
    /// [`OUTSTANDING_LIMIT`] calls wait already, or the server does not read.
    Busy,
    /// The connection is closed.
    Closed,
    /// The parameters do not fit a frame.
    Unfit(Fault),
}

impl fmt::Display for CallError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("too many questions wait for an answer"),
            Self::Closed => f.write_str("the connection is closed"),
            Self::Unfit(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for CallError {}

/// The machine of the asking side.
#[derive(Debug)]
pub struct Client {
    role: Role,
    frames: Frames,
    output: BytesMut,
    stage: Stage,
    /// Deadlines of the calls that wait.
    open: BTreeMap<CallId, Tick>,
    next: u64,
    events: VecDeque<ClientEvent>,
    hello_due: Tick,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Hello,
    Open,
    Closed,
}

impl Client {
    /// A connection just made. `from` is who we are, for the server's log.
    pub fn new(now: Tick, role: Role, from: impl Into<String>) -> Self {
        let mut client = Self {
            role,
            frames: Frames::default(),
            output: BytesMut::new(),
            stage: Stage::Hello,
            open: BTreeMap::new(),
            next: HELLO_ID + 1,
            events: VecDeque::new(),
            hello_due: now.after(Duration::from_secs(HELLO_SECONDS)),
        };
        let hello = Hello { version: VERSION, role, from: from.into() };
        let question = Question {
            method: Hello::NAME.to_owned(),
            parameters: hello,
            id: HELLO_ID,
            more: false,
        };
        if let Err(fault) = frame::write(&question, &mut client.output) {
            client.fail(fault);
        }
        client
    }

    /// Asks, and expects one answer by `due`.
    ///
    /// # Errors
    /// See [`CallError`]; nothing was sent.
    pub fn call<M: Method>(&mut self, parameters: &M, due: Tick) -> Result<CallId, CallError> {
        self.ask(parameters, due, false)
    }

    /// Asks for a stream. `due` bounds the wait for each part.
    ///
    /// # Errors
    /// See [`CallError`]; nothing was sent.
    pub fn stream<M: Method>(&mut self, parameters: &M, due: Tick) -> Result<CallId, CallError> {
        self.ask(parameters, due, true)
    }

    /// Moves the deadline of a call, e.g. after a part of a stream has come.
    pub fn extend(&mut self, call: CallId, due: Tick) {
        if let Some(deadline) = self.open.get_mut(&call) {
            *deadline = due;
        }
    }

    /// Reads what [`ClientEvent::Answer`] brought.
    ///
    /// # Errors
    /// The server's fault, or [`FaultKind::Internal`] when its answer is not of the method's type.
    pub fn read<M: Method>(result: Result<Value, Fault>) -> Result<M::Answer, Fault> {
        serde_json::from_value(result?).map_err(|error| {
            Fault::new(FaultKind::Internal, format!("answer to {:?}: {error}", M::NAME))
        })
    }

    /// Calls that wait for an answer.
    pub fn outstanding(&self) -> usize {
        self.open.len()
    }

    fn ask<M: Method>(
        &mut self,
        parameters: &M,
        due: Tick,
        more: bool,
    ) -> Result<CallId, CallError> {
        if self.stage == Stage::Closed {
            return Err(CallError::Closed);
        }
        if self.open.len() >= OUTSTANDING_LIMIT || self.output.len() >= OUTPUT_LIMIT {
            return Err(CallError::Busy);
        }
        let id = self.next;
        let question = Question { method: M::NAME.to_owned(), parameters, id, more };
        frame::write(&question, &mut self.output).map_err(CallError::Unfit)?;
        self.next += 1;
        self.open.insert(CallId(id), due);
        Ok(CallId(id))
    }

    /// Ends everything: open calls get the fault as their answer.
    fn fail(&mut self, fault: Fault) {
        if self.stage == Stage::Closed {
            return;
        }
        self.stage = Stage::Closed;
        self.frames.clear();
        for (call, _) in std::mem::take(&mut self.open) {
            let result = Err(fault.clone());
            self.events.push_back(ClientEvent::Answer { call, result, last: true });
        }
        self.events.push_back(ClientEvent::Failed(fault));
    }

    fn welcome(&mut self, answer: Answer) {
        if let Some(fault) = answer.error {
            return self.fail(fault);
        }
        let read = serde_json::from_value::<Welcome>(answer.result.unwrap_or_default());
        match read {
            Ok(welcome) if welcome.version == VERSION && welcome.role == self.role => {
                self.stage = Stage::Open;
                self.events.push_back(ClientEvent::Welcome(welcome));
            }
            Ok(welcome) => self.fail(Fault::new(
                FaultKind::Version,
                format!("the server speaks version {} of {}", welcome.version, welcome.role),
            )),
            Err(error) => self.fail(Fault::parameters(Hello::NAME, &error)),
        }
    }

    fn take(&mut self, answer: Answer) {
        if self.stage == Stage::Hello && answer.id == HELLO_ID {
            return self.welcome(answer);
        }
        if self.stage == Stage::Hello || answer.id >= self.next {
            // Also a server that speaks before its hello, e.g. one that had no room for us.
            let told = answer.error.unwrap_or_else(|| {
                Fault::new(FaultKind::Internal, "an answer that nothing was asked for")
            });
            return self.fail(told);
        }
        let call = CallId(answer.id);
        let last = !answer.continues;
        let known =
            if last { self.open.remove(&call).is_some() } else { self.open.contains_key(&call) };
        // An answer after its deadline has nobody to go to; id 0 is the server's last word.
        if known {
            let result = match (answer.error, answer.result) {
                (Some(fault), _) => Err(fault),
                (None, result) => Ok(result.unwrap_or_default()),
            };
            self.events.push_back(ClientEvent::Answer { call, result, last });
        } else if answer.id == HELLO_ID {
            self.fail(
                answer.error.unwrap_or_else(|| Fault::new(FaultKind::Internal, "hello twice")),
            );
        }
    }
}

impl Machine for Client {
    type Event = ClientEvent;

    fn feed(&mut self, _now: Tick, input: &[u8]) {
        if self.stage != Stage::Closed {
            self.frames.push(input);
        }
    }

    fn end_of_input(&mut self, _now: Tick) {
        // Answers that came whole before the end still count.
        while self.stage != Stage::Closed && self.next_frame() {}
        self.fail(Fault::new(FaultKind::Unavailable, "the agent closed the connection"));
    }

    fn tls_established(&mut self, _now: Tick, _facts: TlsFacts) {
        self.frames.clear();
    }

    fn expire(&mut self, now: Tick) {
        if self.stage == Stage::Hello && self.hello_due <= now {
            return self.fail(Fault::new(FaultKind::Deadline, "no welcome in time"));
        }
        let late: Vec<CallId> =
            self.open.iter().filter(|(_, due)| **due <= now).map(|(call, _)| *call).collect();
        for call in late {
            self.open.remove(&call);
            let result = Err(Fault::new(FaultKind::Deadline, "no answer in time"));
            self.events.push_back(ClientEvent::Answer { call, result, last: true });
        }
    }

    fn poll(&mut self) -> Option<ClientEvent> {
        while self.events.is_empty() && self.stage != Stage::Closed && self.next_frame() {}
        self.events.pop_front()
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        out.unsplit(self.output.split());
    }

    fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        let hello = (self.stage == Stage::Hello).then_some(self.hello_due);
        self.open.values().copied().chain(hello).min()
    }

    fn wants_input(&self) -> bool {
        self.stage != Stage::Closed && self.frames.len() <= super::FRAME_LIMIT
    }

    fn is_closed(&self) -> bool {
        self.stage == Stage::Closed
    }
}

impl Client {
    /// Takes one frame from the input; false when there is none.
    fn next_frame(&mut self) -> bool {
        match self.frames.next() {
            Ok(None) => false,
            Ok(Some(frame)) => {
                match serde_json::from_slice::<Answer>(&frame) {
                    Ok(answer) => self.take(answer),
                    Err(error) => self
                        .fail(Fault::new(FaultKind::Internal, format!("not an answer: {error}"))),
                }
                true
            }
            Err(frame::TooLong) => {
                self.fail(Fault::new(FaultKind::TooLarge, "an answer over the frame limit"));
                true
            }
        }
    }
}

/// The id of the hello.
const HELLO_ID: u64 = 0;
