//! The part of a session that every state needs: input cut into lines, replies owed in order,
//! events, and the count of errors. Knows no verb's meaning. Used by the states only.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use memchr::{memchr, memchr_iter};

use super::super::capabilities::SizeOffer;
use super::super::exchange::shown;
use super::super::{Capabilities, Dialect, Exchange, Observe, Verb};
use super::config::{Cleartext, Config, Offer, TlsPolicy};
use super::event::{Abort, Closing, Event};
use crate::limits;
use crate::machine::{Tick, TlsFacts};
use crate::rejection::Rejection;
use crate::reply::Reply;

/// Octets after which a line that does not end is no line of a lost client but a flood.
const LINE_ABSURD: usize = 64 * 1024;

/// Events that wait for the agent beyond which no input is wanted.
const EVENTS_WAITING: usize = 256;

/// See the module.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) config: Arc<Config>,
    pub(super) tls: Option<TlsFacts>,
    pub(super) input: BytesMut,
    /// Octets of `input` without an LF.
    scanned: usize,
    /// Octets of an overlong line that are gone already.
    skipped: usize,
    /// The last of them was a CR.
    skipped_cr: bool,
    /// The peer will send no more.
    pub(super) ended: bool,
    /// Something came before our greeting.
    pub(super) early: bool,
    owed: VecDeque<Owed>,
    output: BytesMut,
    events: VecDeque<Event>,
    last_question: u64,
    errors: u32,
    /// The last time that either side said something.
    pub(super) quiet_since: Tick,
    /// A reply was given after which the connection closes.
    pub(super) fatal: Option<Closing>,
    /// Why the transaction ends, if the connection's end is not the reason.
    pub(super) abort: Option<Abort>,
}

/// What is being answered.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) verb: Verb,
    line: Box<str>,
    since: Tick,
}

#[derive(Debug)]
struct Owed {
    asked: Asked,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Question(u64),
    Reply(Reply),
}

/// What stands at the front of the input.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Front {
    /// No whole line yet.
    Incomplete,
    /// So many octets, with the CRLF.
    Line(usize),
    /// A line over its verb's limit; it has been dropped, up to its end.
    TooLong(LineEnd),
    /// The beginning of a line that is too long to be waited for.
    Absurd,
    /// A line that an LF alone would end.
    BareLf,
}

/// What ended an overlong line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    CrLf,
    BareLf,
}

impl Wire {
    pub(super) fn new(config: Arc<Config>, tls: Option<TlsFacts>, now: Tick) -> Self {
        Wire {
            config,
            tls,
            input: BytesMut::new(),
            scanned: 0,
            skipped: 0,
            skipped_cr: false,
            ended: false,
            early: false,
            owed: VecDeque::new(),
            output: BytesMut::new(),
            events: VecDeque::new(),
            last_question: 0,
            errors: 0,
            quiet_since: now,
            fatal: None,
            abort: None,
        }
    }

    /// What we offer at this moment.
    pub(super) fn offered(&self) -> Capabilities {
        let config = &self.config;
        let encrypted = self.tls.is_some();
        let auth = if encrypted || config.auth.cleartext == Cleartext::Allowed {
            let binding = self
                .tls
                .as_ref()
                .is_some_and(|t| t.exporter.is_some() || t.server_end_point.is_some());
            let known = self.tls.as_ref().is_some_and(|t| !t.client_mailboxes.is_empty());
            let usable = |name: &&String| match name.as_str() {
                // RFC 4422 appendix A: offered to those who are known by their certificate.
                "EXTERNAL" => known,
                name => binding || !name.ends_with("-PLUS"),
            };
            config.auth.mechanisms.iter().filter(usable).cloned().collect()
        } else {
            Vec::new()
        };
        Capabilities {
            pipelining: true,
            size: match config.size_limit {
                0 => SizeOffer::Unlimited,
                limit => SizeOffer::Limit(limit),
            },
            eight_bit_mime: true,
            smtputf8: true,
            enhanced_status_codes: true,
            chunking: true,
            starttls: config.tls != TlsPolicy::Unavailable && !encrypted,
            dsn: config.dsn == Offer::Yes,
            // RFC 8689 §4.1: announced under TLS alone.
            requiretls: encrypted && !self.is_lmtp(),
            future_release: config.future_release,
            // What may wait here may be taken back while it does.
            recall: config.future_release.is_some(),
            xposthaste: config.private == Offer::Yes,
            auth,
        }
    }

    pub(super) fn is_lmtp(&self) -> bool {
        self.config.dialect == Dialect::Lmtp
    }

    // Input.

    pub(super) fn feed(&mut self, now: Tick, input: &[u8]) {
        self.quiet_since = now;
        self.input.extend_from_slice(input);
    }

    /// Looks at the front of the input as at a line; `limit` gives the most octets of the line
    /// that begins with the given octets.
    pub(super) fn front(&mut self, limit: impl Fn(&[u8]) -> usize) -> Front {
        let unseen = self.input.get(self.scanned..).unwrap_or_default();
        let end = memchr(b'\n', unseen).map(|at| self.scanned + at);
        let length = end.map_or(self.input.len(), |end| end + 1);
        let most = limit(self.input.get(..length.min(32)).unwrap_or_default());
        if self.skipped + length > LINE_ABSURD {
            return Front::Absurd;
        }
        let Some(end) = end else {
            if self.skipped > 0 || length > most {
                self.skipped += length;
                self.skipped_cr = match self.input.last() {
                    Some(last) => *last == b'\r',
                    None => self.skipped_cr,
                };
                self.input.clear();
                self.scanned = 0;
            } else {
                self.scanned = length;
            }
            return Front::Incomplete;
        };
        let after_cr = match end.checked_sub(1) {
            Some(before) => self.input.get(before) == Some(&b'\r'),
            None => self.skipped > 0 && self.skipped_cr,
        };
        if std::mem::take(&mut self.skipped) > 0 || length > most {
            self.scanned = 0;
            self.input.advance(length);
            return Front::TooLong(if after_cr { LineEnd::CrLf } else { LineEnd::BareLf });
        }
        if after_cr { Front::Line(length) } else { Front::BareLf }
    }

    /// The input begins with a whole line of this verb, of which nothing is wrong at first sight.
    pub(super) fn begins_with(&self, verb: Verb) -> bool {
        let Some(end) = memchr(b'\n', &self.input) else { return false };
        let line = self.input.get(..end).unwrap_or_default();
        let Some(line) = line.strip_suffix(b"\r").and_then(as_text) else { return false };
        self.skipped == 0 && end < verb.line_limit() && Verb::parse(line).0 == verb
    }

    /// An overlong line is being skipped, of which nothing is left in the input.
    pub(super) fn is_skipping(&self) -> bool {
        self.skipped > 0
    }

    /// Takes the line that [`Wire::front`] has found, without its CRLF.
    pub(super) fn take_line(&mut self, length: usize) -> Bytes {
        self.scanned = 0;
        let mut line = self.input.split_to(length.min(self.input.len()));
        line.truncate(line.len().saturating_sub(2));
        self.release_input();
        line.freeze()
    }

    /// An idle session keeps no buffer.
    pub(super) fn release_input(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
    }

    pub(super) fn clear_input(&mut self) {
        self.input = BytesMut::new();
        self.scanned = 0;
        self.skipped = 0;
    }

    // Replies.

    /// What is being answered, with the line as far as it may be shown.
    pub(super) fn asked(&self, now: Tick, verb: Verb, line: &str) -> Asked {
        let line = match self.config.observe {
            Observe::Nothing => Box::default(),
            Observe::Replies => shown(verb, line),
        };
        Asked { verb, line, since: now }
    }

    /// Answers at once, after all that is owed before.
    pub(super) fn reply(&mut self, now: Tick, asked: Asked, reply: Reply) {
        self.owed.push_back(Owed { asked, content: Content::Reply(reply) });
        self.flush(now);
    }

    /// Refuses at once, after all that is owed before.
    pub(super) fn refuse(&mut self, now: Tick, asked: Asked, rejection: &Rejection) {
        self.reply(now, asked, rejection.to_reply());
    }

    /// Opens a question, whose reply is owed from now on.
    pub(super) fn ask(&mut self, asked: Asked) -> u64 {
        self.last_question += 1;
        self.owed.push_back(Owed { asked, content: Content::Question(self.last_question) });
        self.last_question
    }

    /// Answers a question. Nothing happens when it is not open any more.
    pub(super) fn fulfil(&mut self, now: Tick, question: u64, reply: Reply) {
        let waiting =
            |owed: &&mut Owed| matches!(owed.content, Content::Question(q) if q == question);
        if let Some(owed) = self.owed.iter_mut().find(waiting) {
            owed.content = Content::Reply(reply);
            self.flush(now);
        }
    }

    fn flush(&mut self, now: Tick) {
        while let Some(Owed { content: Content::Reply(_), .. }) = self.owed.front()
            && self.fatal.is_none()
        {
            let Some(Owed { asked, content: Content::Reply(reply) }) = self.owed.pop_front() else {
                return;
            };
            self.give(now, asked, reply);
        }
    }

    fn give(&mut self, now: Tick, asked: Asked, reply: Reply) {
        self.quiet_since = now;
        reply.print(&mut self.output);
        if reply.code.is_permanent() {
            self.errors += 1;
        }
        if reply.code == crate::reply::ReplyCode::UNAVAILABLE {
            self.fatal = Some(Closing::Unavailable);
        } else if self.errors >= self.config.errors_limit.max(1) && reply.code.is_permanent() {
            self.fatal = Some(Closing::TooManyErrors);
        }
        if self.config.observe == Observe::Replies {
            let took = now.since(asked.since);
            let exchange = Exchange { verb: asked.verb, line: asked.line, reply, took };
            self.events.push_back(Event::Exchange(exchange));
        }
    }

    /// A letter was taken: earlier errors are forgiven.
    pub(super) fn forgive(&mut self) {
        self.errors = 0;
    }

    /// What is owed and cannot be answered any more.
    pub(super) fn forget_owed(&mut self) {
        self.owed.clear();
    }

    pub(super) fn has_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    /// The peer has to read, or the agent to answer, before more commands are looked at.
    pub(super) fn is_congested(&self) -> bool {
        self.output.len() >= limits::OUTPUT_WAITING
            || self.owed.len() >= limits::REPLIES_OWED
            || self.events.len() >= EVENTS_WAITING
    }

    // Output and events.

    pub(super) fn event(&mut self, event: Event) {
        self.events.push_back(event);
    }

    pub(super) fn next_event(&mut self) -> Option<Event> {
        let event = self.events.pop_front();
        if self.events.is_empty() && self.events.capacity() > 64 {
            self.events = VecDeque::new();
        }
        event
    }

    pub(super) fn take_output(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.output);
        self.output = BytesMut::new();
    }

    pub(super) fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    /// The moment at which patience ends.
    pub(super) fn quiet_until(&self, wait: Duration) -> Tick {
        self.quiet_since.after(wait)
    }
}

/// A line that can be a command: UTF-8 without control characters. RFC 5321 §4.1.2, RFC 6531 §3.3.
pub(super) fn as_text(line: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(line).ok()?;
    let clean = text.bytes().all(|b| b >= b' ' && b != 127 || b == b'\t')
        && memchr_iter(0, line).next().is_none();
    clean.then_some(text)
}
