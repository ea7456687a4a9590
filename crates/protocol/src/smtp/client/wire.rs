//! The part of a client session that every state needs: commands out, pipelined where that is
//! allowed, and replies in, matched to them. Knows no verb's meaning. Used by the states only.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{BufMut, BytesMut};
use memchr::memchr;

use super::super::exchange::shown;
use super::super::{Dialect, Exchange, Observe, Verb};
use super::config::Config;
use super::event::{Answer, By, Event, Failure};
use crate::limits;
use crate::machine::{Tick, TlsFacts};
use crate::reply::{Reply, ReplyCode, ReplyParser};

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) config: Arc<Config>,
    pub(super) tls: Option<TlsFacts>,
    input: BytesMut,
    parser: ReplyParser,
    pub(super) ended: bool,
    pub(super) output: BytesMut,
    events: VecDeque<Event>,
    /// Commands whose replies are owed, in order.
    in_flight: VecDeque<Sent>,
    /// Commands that wait for a server without PIPELINING.
    waiting: VecDeque<(Verb, String)>,
    pub(super) pipelining: bool,
    /// The last time that either side said something.
    pub(super) quiet_since: Tick,
}

#[derive(Debug)]
struct Sent {
    verb: Verb,
    line: Box<str>,
    since: Tick,
    /// The letter that it belongs to has been dropped: the reply means nothing to anybody.
    stale: bool,
}

impl Wire {
    pub(super) fn new(config: Arc<Config>, now: Tick) -> Self {
        let greeting =
            Sent { verb: Verb::Greeting, line: Box::default(), since: now, stale: false };
        Wire {
            config,
            tls: None,
            input: BytesMut::new(),
            parser: ReplyParser::new(),
            ended: false,
            output: BytesMut::new(),
            events: VecDeque::new(),
            in_flight: VecDeque::from([greeting]),
            waiting: VecDeque::new(),
            pipelining: false,
            quiet_since: now,
        }
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.config.dialect == Dialect::Lmtp
    }

    // Output.

    /// Sends a command, now or when its turn comes. `line` is without CRLF.
    pub(super) fn send(&mut self, now: Tick, verb: Verb, line: String) {
        if self.waiting.is_empty() && (self.pipelining || self.in_flight.is_empty()) {
            self.write(now, verb, &line);
        } else {
            self.waiting.push_back((verb, line));
        }
    }

    fn write(&mut self, now: Tick, verb: Verb, line: &str) {
        self.output.put_slice(line.as_bytes());
        self.output.put_slice(b"\r\n");
        self.expect(now, verb, line);
    }

    /// A reply is owed from now on.
    pub(super) fn expect(&mut self, now: Tick, verb: Verb, line: &str) {
        let line = match self.config.observe {
            Observe::Nothing => Box::default(),
            Observe::Replies => shown(verb, line),
        };
        if self.in_flight.is_empty() {
            self.quiet_since = now;
        }
        self.in_flight.push_back(Sent { verb, line, since: now, stale: false });
    }

    /// Sends what waited for the last reply.
    pub(super) fn send_waiting(&mut self, now: Tick) {
        while (self.pipelining || self.in_flight.is_empty())
            && let Some((verb, line)) = self.waiting.pop_front()
        {
            self.write(now, verb, &line);
        }
    }

    /// The letter is dropped: what is owed to it is passed over, what waits is not sent.
    pub(super) fn disown(&mut self) {
        self.waiting.clear();
        self.in_flight.iter_mut().for_each(|sent| sent.stale = true);
    }

    /// The verb whose reply is owed next.
    pub(super) fn owed(&self) -> Option<Verb> {
        self.in_flight.front().map(|sent| sent.verb)
    }

    // Input.

    pub(super) fn feed(&mut self, now: Tick, input: &[u8]) {
        self.quiet_since = now;
        self.input.extend_from_slice(input);
    }

    /// The next reply, with the verb that it answers.
    pub(super) fn next_reply(&mut self, now: Tick) -> Result<Option<Answer>, Failure> {
        while let Some(end) = memchr(b'\n', &self.input) {
            let mut line = self.input.split_to(end + 1);
            line.truncate(end);
            if line.last() == Some(&b'\r') {
                line.truncate(line.len() - 1);
            }
            let verb = self.owed().unwrap_or(Verb::Unknown);
            if line.len() > limits::REPLY_LINE_READ {
                return Err(Failure::ReplyTooLong(verb));
            }
            let reply = self.parser.line(&line).map_err(|e| Failure::BadReply(verb, e))?;
            if let Some(reply) = reply {
                let stale = self.in_flight.front().is_some_and(|sent| sent.stale);
                let closes = reply.code == ReplyCode::UNAVAILABLE;
                let answer = self.matched(now, reply);
                if !stale || closes {
                    return Ok(Some(answer));
                }
                self.send_waiting(now);
            }
        }
        if self.input.len() > limits::REPLY_LINE_READ {
            return Err(Failure::ReplyTooLong(self.owed().unwrap_or(Verb::Unknown)));
        }
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        Ok(None)
    }

    fn matched(&mut self, now: Tick, reply: Reply) -> Answer {
        let sent = self.in_flight.pop_front();
        let verb = sent.as_ref().map_or(Verb::Unknown, |sent| sent.verb);
        if self.config.observe == Observe::Replies {
            let (line, since) = sent.map_or((Box::default(), now), |s| (s.line, s.since));
            let exchange = Exchange { verb, line, reply: reply.clone(), took: now.since(since) };
            self.event(Event::Exchange(exchange));
        }
        Answer { verb, reply, by: By::Peer }
    }

    pub(super) fn clear_input(&mut self) {
        self.input = BytesMut::new();
        self.parser = ReplyParser::new();
    }

    pub(super) fn input_len(&self) -> usize {
        self.input.len()
    }

    // Events.

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    pub(super) fn events_len(&self) -> usize {
        self.events.len()
    }
}
