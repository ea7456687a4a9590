//! The serving side of an IPC connection: hello, requests in, answers and streams out. Decides
//! nothing about what is asked; the agent answers each [`ServerEvent::Call`] when it can, in any
//! order.

use super::{
    Calls, FRAME_SECONDS, Fault, FaultKind, HELLO_SECONDS, Hello, Method, OUTPUT_LIMIT,
    OUTSTANDING_LIMIT, VERSION, Welcome,
    frame::{self, Answer, Frames, Question},
};
use crate::machine::{Machine, Tick, TlsFacts};
use bytes::BytesMut;
use serde::Serialize;
use serde_json::Value;
use std::{collections::BTreeMap, marker::PhantomData, time::Duration};

/// A request that waits for its answer, on one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(u64);

/// What the client did.
#[derive(Debug)]
pub enum ServerEvent<C> {
    /// The client said hello and was welcomed.
    Hello(Hello),
    /// A request, to be answered with [`Server::answer`] or [`Server::refuse`].
    Call {
        /// For the answer.
        id: RequestId,
        /// What is asked.
        call: C,
        /// The client takes a stream: [`Server::part`] any number of times, then one answer.
        more: bool,
    },
    /// The client broke the protocol; the connection closes.
    Violation(String),
}

/// The machine of the serving side.
#[derive(Debug)]
pub struct Server<C> {
    agent: String,
    software: String,
    frames: Frames,
    output: BytesMut,
    stage: Stage,
    /// Requests without an answer; true for those that asked for a stream.
    open: BTreeMap<RequestId, bool>,
    /// When the client must have said more: its hello, or the rest of a frame.
    due: Tick,
    now: Tick,
    ended: bool,
    complaint: Option<String>,
    calls: PhantomData<fn() -> C>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Hello,
    Open,
    Closed,
}

impl<C: Calls> Server<C> {
    /// A connection just accepted. `agent` and `software` (a version) are told in the welcome.
    pub fn new(now: Tick, agent: impl Into<String>, software: impl Into<String>) -> Self {
        Self {
            agent: agent.into(),
            software: software.into(),
            frames: Frames::default(),
            output: BytesMut::new(),
            stage: Stage::Hello,
            open: BTreeMap::new(),
            due: now.after(Duration::from_secs(HELLO_SECONDS)),
            now,
            ended: false,
            complaint: None,
            calls: PhantomData,
        }
    }

    /// Answers a request, or ends its stream. An id no longer open is ignored: the client left.
    pub fn answer<A: Serialize>(&mut self, id: RequestId, answer: &A) {
        self.send(id, answer, Ending::Last);
    }

    /// Sends a part of a stream. False when nobody reads it any more.
    pub fn part<A: Serialize>(&mut self, id: RequestId, part: &A) -> bool {
        if self.open.get(&id) != Some(&true) {
            return false;
        }
        self.send(id, part, Ending::Continues);
        self.open.contains_key(&id)
    }

    /// Answers a request with an error.
    pub fn refuse(&mut self, id: RequestId, fault: Fault) {
        if self.open.remove(&id).is_some() {
            self.send_fault(id.0, fault);
        }
    }

    /// Output waits for a slow reader: a stream should pause.
    pub fn is_congested(&self) -> bool {
        self.output.len() >= OUTPUT_LIMIT
    }

    /// Requests that wait for an answer.
    pub fn outstanding(&self) -> usize {
        self.open.len()
    }

    fn send<A: Serialize>(&mut self, id: RequestId, answer: &A, ending: Ending) {
        if !self.open.contains_key(&id) {
            return;
        }
        let continues = ending == Ending::Continues;
        let answer = Answer { id: id.0, result: Some(answer), error: None, continues };
        let sent = frame::write(&answer, &mut self.output);
        match sent {
            Ok(()) if continues => {}
            Ok(()) => {
                self.open.remove(&id);
            }
            Err(fault) => self.refuse(id, fault),
        }
    }

    fn send_fault(&mut self, id: u64, mut fault: Fault) {
        // A fault must always fit its frame, whatever an agent put into its sentence.
        fault.message.truncate(fault.message.floor_char_boundary(FAULT_MESSAGE_LIMIT));
        let answer: Answer = Answer { id, result: None, error: Some(fault), continues: false };
        // Cannot fail: an id, a kind and a short string always are JSON of a bounded length.
        let _ = frame::write(&answer, &mut self.output);
    }

    fn violation(&mut self, id: u64, kind: FaultKind, message: String) {
        self.send_fault(id, Fault::new(kind, message.clone()));
        self.stage = Stage::Closed;
        self.frames.clear();
        self.open.clear();
        self.complaint = Some(message);
    }

    fn hello(&mut self, question: Question) -> Option<ServerEvent<C>> {
        if question.method != Hello::NAME {
            self.violation(question.id, FaultKind::Version, "say hello first".to_owned());
            return None;
        }
        let hello: Hello = match serde_json::from_value(question.parameters) {
            Ok(hello) => hello,
            Err(error) => {
                let fault = Fault::parameters(Hello::NAME, &error);
                self.violation(question.id, fault.kind, fault.message);
                return None;
            }
        };
        if hello.version != VERSION || hello.role != C::ROLE {
            let said = format!(
                "this is version {VERSION} of the role {}; you asked for version {} of {}",
                C::ROLE,
                hello.version,
                hello.role
            );
            self.violation(question.id, FaultKind::Version, said);
            return None;
        }
        self.stage = Stage::Open;
        let (agent, software) = (self.agent.clone(), self.software.clone());
        let welcome = Welcome { version: VERSION, role: C::ROLE, agent, software };
        let id = RequestId(question.id);
        self.open.insert(id, false);
        self.answer(id, &welcome);
        Some(ServerEvent::Hello(hello))
    }

    fn request(&mut self, question: Question) -> Option<ServerEvent<C>> {
        let id = RequestId(question.id);
        if self.open.contains_key(&id) {
            let said = format!("the id {} is already in use", question.id);
            self.violation(question.id, FaultKind::Parameters, said);
            return None;
        }
        self.open.insert(id, question.more);
        let parameters = match question.parameters {
            Value::Null => Value::Object(serde_json::Map::new()),
            parameters => parameters,
        };
        match C::read(question.method, parameters) {
            Ok(call) => Some(ServerEvent::Call { id, call, more: question.more }),
            Err(fault) => {
                self.refuse(id, fault);
                None
            }
        }
    }

    /// Whether another request may be looked at.
    fn has_room(&self) -> bool {
        self.stage != Stage::Closed && self.open.len() < OUTSTANDING_LIMIT && !self.is_congested()
    }
}

impl<C: Calls> Machine for Server<C> {
    type Event = ServerEvent<C>;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        self.now = now;
        if self.stage == Stage::Closed {
            return;
        }
        if self.stage == Stage::Open && !self.frames.has_partial() {
            self.due = now.after(Duration::from_secs(FRAME_SECONDS));
        }
        self.frames.push(input);
    }

    fn end_of_input(&mut self, now: Tick) {
        self.now = now;
        self.ended = true;
        // Nobody can say "enough" to a stream but by closing; other requests get their answers.
        self.open.retain(|_, stream| !*stream);
    }

    fn tls_established(&mut self, now: Tick, _facts: TlsFacts) {
        self.now = now;
        self.frames.clear();
    }

    fn expire(&mut self, now: Tick) {
        self.now = now;
        if self.deadline().is_some_and(|due| due <= now) {
            let said = match self.stage {
                Stage::Hello => "no hello in time",
                _ => "a request was begun and not ended in time",
            };
            self.violation(0, FaultKind::Deadline, said.to_owned());
        }
    }

    fn poll(&mut self) -> Option<ServerEvent<C>> {
        while self.has_room() {
            let frame = match self.frames.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(frame::TooLong) => {
                    let said = format!("a frame over {} octets", super::FRAME_LIMIT);
                    self.violation(0, FaultKind::TooLarge, said);
                    break;
                }
            };
            self.due = self.now.after(Duration::from_secs(FRAME_SECONDS));
            let question: Question = match serde_json::from_slice(&frame) {
                Ok(question) => question,
                Err(error) => {
                    self.violation(0, FaultKind::Parameters, format!("not a request: {error}"));
                    break;
                }
            };
            let event = match self.stage {
                Stage::Hello => self.hello(question),
                _ => self.request(question),
            };
            if event.is_some() {
                return event;
            }
        }
        self.complaint.take().map(ServerEvent::Violation)
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        out.unsplit(self.output.split());
    }

    fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        match self.stage {
            Stage::Hello => Some(self.due),
            Stage::Open if self.has_room() && self.frames.has_partial() => Some(self.due),
            _ => None,
        }
    }

    fn wants_input(&self) -> bool {
        !self.ended && self.has_room() && self.frames.len() <= super::FRAME_LIMIT
    }

    fn is_closed(&self) -> bool {
        self.stage == Stage::Closed || (self.ended && self.open.is_empty())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Continues,
    Last,
}

/// The longest sentence of a fault, in octets: room for the line and column of a configuration's
/// faults, and with every octet escaped still within a frame.
const FAULT_MESSAGE_LIMIT: usize = 8 * 1024;
