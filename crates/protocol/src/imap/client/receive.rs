//! What a server says to the client machine: responses, go-aheads, streamed bodies.

use bytes::Bytes;

use super::{Client, ClientFault, Event, Greeting, Kind, Phase, limits};
use crate::imap::code::Code;
use crate::imap::command::{LiteralHeader, Tag};
use crate::imap::framing::Frame;
use crate::imap::grammar::{parse_fetch_prefix, parse_response};
use crate::imap::response::{Condition, Continuation, Response, StatusText, Untagged};

impl Client {
    /// The next event.
    pub(super) fn receive(&mut self) -> Option<Event> {
        loop {
            if let Phase::Running(running) = &mut self.phase
                && let Some(event) = running.ready.take()
            {
                return Some(event);
            }
            if matches!(self.phase, Phase::Closed | Phase::Tls) {
                return None;
            }
            if let Some(left) = self.body {
                return self.body_chunk(left);
            }
            let limit = limits::RESPONSE_SIZE.saturating_sub(self.prefix.len());
            match self.input.next_frame(limit) {
                Frame::More => {
                    if self.input.is_finished() {
                        self.phase = Phase::Closed;
                    }
                    return None;
                }
                Frame::TooLong => self.fail(ClientFault::TooLarge("a response")),
                // RFC 3501 §2.2: lines end with CR LF; a server that forgets CR is understood.
                Frame::BareLf(line) => {
                    let line = line.slice(..line.len().saturating_sub(1));
                    if let Some(event) = self.whole_response(&line) {
                        return Some(event);
                    }
                }
                Frame::Command(line) => {
                    if let Some(event) = self.whole_response(&line) {
                        return Some(event);
                    }
                }
                Frame::Literal(header) => {
                    if let Some(event) = self.literal(header) {
                        return Some(event);
                    }
                }
            }
        }
    }

    fn body_chunk(&mut self, left: u64) -> Option<Event> {
        if left == 0 {
            self.body = None;
            return Some(Event::BodyEnd);
        }
        let most = usize::try_from(left).unwrap_or(usize::MAX).min(limits::CHUNK_SIZE);
        let chunk = self.input.take(most);
        self.body = Some(left - chunk.len() as u64);
        if chunk.is_empty() {
            if self.input.is_finished() {
                self.phase = Phase::Closed;
            }
            return None;
        }
        Some(Event::BodyChunk(chunk))
    }

    /// A literal within a response: small ones are part of it, large bodies are streamed.
    fn literal(&mut self, header: LiteralHeader) -> Option<Event> {
        if header.size > limits::INLINE_BODY {
            let mut whole = self.prefix.clone();
            whole.extend_from_slice(self.input.framed());
            self.streamed.push(whole.len());
            if let Some((sequence, data)) = parse_fetch_prefix(&whole, &self.streamed) {
                self.input.take_framed();
                self.prefix = whole;
                self.body = Some(header.size);
                return Some(Event::BodyBegin { sequence, data });
            }
            self.streamed.pop();
        }
        let size = usize::try_from(header.size).unwrap_or(usize::MAX);
        let whole = self.prefix.len() + self.input.framed().len();
        let fits = whole.saturating_add(size) <= limits::RESPONSE_SIZE;
        if header.size > limits::RESPONSE_LITERAL_SIZE || !fits {
            self.fail(ClientFault::TooLarge("a literal"));
            return None;
        }
        self.input.accept_literal(size);
        None
    }

    fn whole_response(&mut self, line: &Bytes) -> Option<Event> {
        let parsed = if self.prefix.is_empty() {
            parse_response(line, &[])
        } else {
            self.prefix.extend_from_slice(line);
            parse_response(&self.prefix, &self.streamed)
        };
        self.prefix = Vec::new();
        self.streamed.clear();
        match parsed {
            Ok(response) => self.response(response),
            Err(error) => {
                self.fail(ClientFault::Protocol(error.to_string()));
                None
            }
        }
    }

    fn response(&mut self, response: Response) -> Option<Event> {
        if matches!(self.phase, Phase::Greeting) {
            return self.greeting(response);
        }
        match response {
            Response::Untagged(untagged) => {
                match &untagged {
                    Untagged::Capability(names) => self.learn(names.clone()),
                    Untagged::Status(_, text) => self.learn_from(text),
                    _ => {}
                }
                Some(Event::Untagged(untagged))
            }
            Response::Continue(continuation) => self.continuation(continuation),
            Response::Tagged { tag, condition, text } => self.tagged(&tag, condition, text),
        }
    }

    fn greeting(&mut self, response: Response) -> Option<Event> {
        let (greeting, text) = match response {
            Response::Untagged(Untagged::Status(Condition::Ok, text)) => (Greeting::Ok, text),
            Response::Untagged(Untagged::PreAuth(text)) => (Greeting::PreAuth, text),
            Response::Untagged(Untagged::Bye(text)) => (Greeting::Bye, text),
            _ => {
                let why = "the greeting is neither OK, PREAUTH nor BYE".to_owned();
                self.fail(ClientFault::Protocol(why));
                return None;
            }
        };
        self.learn_from(&text);
        self.phase = if greeting == Greeting::Bye { Phase::Closed } else { Phase::Ready };
        Some(Event::Greeting(greeting, text))
    }

    fn learn_from(&mut self, text: &StatusText) {
        if let Some(Code::Capability(names)) = &text.code {
            self.learn(names.clone());
        }
    }

    fn continuation(&mut self, continuation: Continuation) -> Option<Event> {
        let Phase::Running(running) = &mut self.phase else {
            self.fail(ClientFault::Protocol("a go-ahead that nobody asked for".into()));
            return None;
        };
        if let Some(next) = Client::go_ahead(running) {
            let message_next = running.kind == Kind::Append && running.waiting.is_empty();
            self.out.extend_from_slice(&next);
            return message_next.then_some(Event::SendMessage);
        }
        match (running.kind, continuation) {
            (Kind::Authenticate, Continuation::Challenge(challenge)) => {
                Some(Event::Challenge(challenge))
            }
            // "+" and a text instead of base64: some servers greet the exchange so.
            (Kind::Authenticate, Continuation::Text(_)) => Some(Event::Challenge(Vec::new())),
            (Kind::Idle, _) => Some(Event::Idling),
            _ => {
                self.fail(ClientFault::Protocol("a go-ahead that nobody asked for".into()));
                None
            }
        }
    }

    fn tagged(&mut self, tag: &Tag, condition: Condition, text: StatusText) -> Option<Event> {
        let kind = match &self.phase {
            Phase::Running(running) if running.tag == *tag => running.kind,
            _ => {
                let why = format!("an answer to {tag}, which is not under way");
                self.fail(ClientFault::Protocol(why));
                return None;
            }
        };
        self.phase = Phase::Ready;
        match (kind, condition) {
            (Kind::StartTls, Condition::Ok) => {
                // Nothing may stand between the OK and TLS; whatever does is thrown away.
                self.input.clear();
                self.phase = Phase::Tls;
            }
            // RFC 3501 §6.2.2, §6.2.3: capabilities change with the login.
            (Kind::LogIn | Kind::Authenticate, Condition::Ok) => self.forget_capabilities(),
            (Kind::Logout, Condition::Ok) => self.phase = Phase::Closed,
            _ => {}
        }
        self.learn_from(&text);
        Some(Event::Done(condition, text))
    }
}
