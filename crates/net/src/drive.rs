//! The only loop that joins a protocol machine to a stream, a clock and a cancel token. It knows no
//! protocol. Agents pull events from it, answer into the machine, and pull again.
//!
//! One pass: events first (so that replies to pipelined commands leave in one write), then output,
//! then input, then deadlines. Nothing is held across an await, so [`Driver::next`] may be dropped
//! and called again at any time (`select!` with timers, other streams, mailbox changes).

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use protocol::machine::{Machine, Tick, TlsFacts};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::limits::{
    EVENTS_PER_TURN, HALF_CLOSED, LINGER, LINGER_BYTES, OUTPUT_HIGH, OUTPUT_KEEP, READ_CHUNK,
    WRITE_STALL,
};
use crate::stream::Stream;
use crate::tls;

/// Why a connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// The machine was done and everything it had to say was sent.
    Done,
    /// The peer closed its side and the machine had nothing more to do.
    PeerClosed,
    /// The peer took nothing of what waited for it, for so long.
    Stalled(Duration),
    /// The stream failed, in the system's words.
    Failed(String),
    /// The cancel token was cancelled.
    Cancelled,
}

/// What a driver needs besides machine and stream.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Where deadlines are looked up.
    pub clock: Clock,
    /// Ends the connection at once, without a word. For a polite end tell the machine.
    pub cancel: Cancel,
    /// How long the peer may take no byte of what waits for it.
    pub write_stall: Duration,
}

impl Setting {
    /// The usual bounds.
    pub fn new(clock: Clock, cancel: Cancel) -> Self {
        Setting { clock, cancel, write_stall: WRITE_STALL }
    }
}

/// Joins one machine to one stream until the connection is over.
pub struct Driver<M> {
    machine: M,
    stream: Stream,
    clock: Clock,
    cancelled: Pin<Box<dyn Future<Output = ()> + Send>>,
    write_stall: Duration,
    out: BytesMut,
    phase: Phase,
    input: Side,
    output: Side,
    needs_flush: bool,
    /// Something was read and nothing written since: the peer may be waiting for an ACK.
    heard: bool,
    /// When output that waits now must have moved.
    stalls_at: Option<Tick>,
    half_closed_until: Option<Tick>,
    alarm: Option<Alarm>,
    events_in_turn: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// Everything is sent; our side is being closed.
    Closing,
    /// Our side is closed; the peer is read and ignored until it closes too.
    Lingering {
        until: Tick,
        bytes: usize,
    },
    Ended(Ending),
}

/// One direction of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Side {
    Open,
    Closed,
    Broken(String),
}

/// A timer that is set again only when it would fire too late: deadlines that move later, the
/// usual case, cost nothing.
struct Alarm {
    at: Tick,
    sleep: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// What one step of the loop did.
enum Step {
    /// Something changed: look at everything again.
    Progress,
    /// Nothing to do before a waker fires.
    Idle,
}

thread_local! {
    /// One read buffer for all sessions of a thread; borrowed only while a read is polled.
    static SCRATCH: std::cell::RefCell<Box<[u8]>> =
        std::cell::RefCell::new(vec![0; READ_CHUNK].into_boxed_slice());
}

impl<M: Machine> Driver<M> {
    /// A driver with the usual bounds.
    pub fn new(machine: M, stream: Stream, clock: &Clock, cancel: &Cancel) -> Self {
        Self::with(machine, stream, Setting::new(clock.clone(), cancel.clone()))
    }

    /// A driver with bounds of the caller's.
    pub fn with(machine: M, stream: Stream, setting: Setting) -> Self {
        let Setting { clock, cancel, write_stall } = setting;
        Driver {
            machine,
            stream,
            clock,
            cancelled: Box::pin(async move { cancel.cancelled().await }),
            write_stall,
            out: BytesMut::new(),
            phase: Phase::Open,
            input: Side::Open,
            output: Side::Open,
            needs_flush: false,
            heard: false,
            stalls_at: None,
            half_closed_until: None,
            alarm: None,
            events_in_turn: 0,
        }
    }

    /// The next event of the machine; `None`: the connection is over and closed, and
    /// [`ending`](Driver::ending) says why. Meanwhile reads, writes and keeps deadlines.
    /// Cancel-safe.
    pub async fn next(&mut self) -> Option<M::Event> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// The machine, to ask and to answer.
    pub fn machine(&mut self) -> &mut M {
        &mut self.machine
    }

    /// The stream, to look at.
    pub fn stream(&self) -> &Stream {
        &self.stream
    }

    /// The clock that this driver goes by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Why the connection is over, once [`next`](Driver::next) has said `None`.
    pub fn ending(&self) -> Option<&Ending> {
        match &self.phase {
            Phase::Ended(ending) => Some(ending),
            _ => None,
        }
    }

    /// Writes until fewer than `below` bytes wait to be sent: call it between pieces of a long
    /// answer. Returns at once when the connection fails; `next` tells. Cancel-safe.
    pub async fn drain(&mut self, below: usize) {
        poll_fn(|cx| self.poll_drain(cx, below)).await;
    }

    /// Sends everything there is. Cancel-safe.
    pub async fn flush(&mut self) {
        self.drain(1).await;
    }

    /// Sends what waits (the reply to STARTTLS), then takes a TLS handshake as the server and
    /// tells the machine.
    ///
    /// # Errors
    /// When the handshake fails or is too slow; the connection is then over.
    pub async fn accept_tls(&mut self, server: &tls::Server) -> Result<(), tls::HandshakeError> {
        self.flush().await;
        let stream = self.stream.take();
        // Boxed: a session has no room for its handshake once that is over.
        let outcome = Box::pin(server.accept(stream, &self.clock)).await;
        self.tls_outcome(outcome)
    }

    /// Sends what waits, then begins TLS as the client and tells the machine.
    ///
    /// # Errors
    /// When the handshake fails or is too slow; the connection is then over.
    pub async fn connect_tls(
        &mut self,
        client: &tls::Client,
        name: &tls::PeerName,
    ) -> Result<(), tls::HandshakeError> {
        self.flush().await;
        let stream = self.stream.take();
        let outcome = Box::pin(client.connect(stream, name, &self.clock)).await;
        self.tls_outcome(outcome)
    }

    /// Sends what waits, then compresses what follows, both ways (RFC 4978).
    pub async fn compress(&mut self) {
        self.flush().await;
        self.stream = self.stream.take().compressed();
    }

    fn tls_outcome(
        &mut self,
        outcome: Result<(Stream, TlsFacts), tls::HandshakeError>,
    ) -> Result<(), tls::HandshakeError> {
        match outcome {
            Ok((stream, facts)) => {
                self.stream = stream;
                self.machine.tls_established(self.clock.tick(), facts);
                Ok(())
            }
            Err(error) => {
                let why = error.to_string();
                self.output = Side::Broken(why.clone());
                self.input_over(Side::Broken(why));
                Err(error)
            }
        }
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<M::Event>> {
        loop {
            if matches!(self.phase, Phase::Ended(_)) {
                return Poll::Ready(None);
            }
            if self.cancelled.as_mut().poll(cx).is_ready() {
                self.end(Ending::Cancelled);
                return Poll::Ready(None);
            }
            if self.phase == Phase::Open && self.out.len() < OUTPUT_HIGH {
                if self.events_in_turn >= EVENTS_PER_TURN {
                    self.events_in_turn = 0;
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                if let Some(event) = self.machine.poll() {
                    self.events_in_turn += 1;
                    return Poll::Ready(Some(event));
                }
            }
            self.events_in_turn = 0;
            let step = match self.phase {
                Phase::Open => self.step_open(cx),
                Phase::Closing => self.step_closing(cx),
                Phase::Lingering { .. } => self.step_lingering(cx),
                Phase::Ended(_) => Step::Progress,
            };
            if let Step::Idle = step
                && let Step::Idle = self.step_time(cx)
            {
                if self.heard && self.machine.awaits_peer() {
                    self.heard = false;
                    self.stream.acknowledge();
                }
                return Poll::Pending;
            }
        }
    }

    /// Output, then the end if the machine is done, then input.
    fn step_open(&mut self, cx: &mut Context<'_>) -> Step {
        if let Step::Progress = self.write_some(cx) {
            return Step::Progress;
        }
        let all_sent = self.out.is_empty() && !self.needs_flush && !self.machine.has_output();
        if let Side::Broken(why) = &self.output
            && self.input != Side::Open
        {
            // Neither direction works: whatever the machine still had to say has no reader.
            let ending = Ending::Failed(why.clone());
            self.end(ending);
            return Step::Progress;
        }
        if self.machine.is_closed() && all_sent {
            self.phase = Phase::Closing;
            return Step::Progress;
        }
        if self.input != Side::Open {
            return Step::Idle;
        }
        if self.machine.is_closed() {
            // A peer that pushes on while our last words wait may read nothing before it has
            // pushed everything: two full pipes.
            return self.ignore_some(cx);
        }
        if self.machine.wants_input() && self.out.len() < OUTPUT_HIGH {
            return self.read_some(cx);
        }
        Step::Idle
    }

    fn write_some(&mut self, cx: &mut Context<'_>) -> Step {
        if self.machine.has_output() && self.out.len() < OUTPUT_HIGH {
            self.machine.poll_output(&mut self.out);
        }
        if self.output != Side::Open {
            // Replies to a peer that is gone.
            self.out.clear();
            return Step::Idle;
        }
        let mut moved = false;
        while !self.out.is_empty() {
            match Pin::new(&mut self.stream).poll_write(cx, &self.out) {
                Poll::Ready(Ok(0)) => return self.write_broke("the stream takes nothing"),
                Poll::Ready(Ok(count)) => {
                    self.out.advance(count);
                    self.needs_flush = true;
                    self.heard = false;
                    moved = true;
                }
                Poll::Ready(Err(error)) => return self.write_broke(&error.to_string()),
                Poll::Pending => break,
            }
        }
        if self.out.is_empty() && self.needs_flush {
            match Pin::new(&mut self.stream).poll_flush(cx) {
                Poll::Ready(Ok(())) => self.needs_flush = false,
                Poll::Ready(Err(error)) => return self.write_broke(&error.to_string()),
                Poll::Pending => {}
            }
        }
        if self.out.is_empty() && !self.needs_flush {
            self.stalls_at = None;
            if self.out.capacity() > OUTPUT_KEEP {
                self.out = BytesMut::new();
            }
        } else if moved || self.stalls_at.is_none() {
            self.stalls_at = Some(self.clock.tick().after(self.write_stall));
        }
        if moved { Step::Progress } else { Step::Idle }
    }

    /// The peer may have said why before it closed: go on reading.
    fn write_broke(&mut self, why: &str) -> Step {
        self.output = Side::Broken(why.to_owned());
        self.out.clear();
        self.needs_flush = false;
        self.stalls_at = None;
        self.half_closed_until = Some(self.clock.tick().after(HALF_CLOSED));
        Step::Progress
    }

    fn read_some(&mut self, cx: &mut Context<'_>) -> Step {
        let Driver { stream, machine, clock, .. } = self;
        let outcome = with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let outcome = Pin::new(stream).poll_read(cx, &mut buffer);
            if matches!(outcome, Poll::Ready(Ok(()))) && !buffer.filled().is_empty() {
                machine.feed(clock.tick(), buffer.filled());
            }
            outcome.map_ok(|()| buffer.filled().len())
        });
        match outcome {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(0)) => self.input_over(Side::Closed),
            Poll::Ready(Ok(_)) => self.heard = true,
            // Many peers close TLS without close_notify; our protocols mark their own ends.
            Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                self.input_over(Side::Closed);
            }
            Poll::Ready(Err(error)) => self.input_over(Side::Broken(error.to_string())),
        }
        Step::Progress
    }

    fn input_over(&mut self, how: Side) {
        if let Side::Broken(why) = &how
            && self.output == Side::Open
        {
            self.output = Side::Broken(why.clone());
        }
        self.input = how;
        let now = self.clock.tick();
        self.half_closed_until = Some(now.after(HALF_CLOSED));
        self.machine.end_of_input(now);
    }

    fn step_closing(&mut self, cx: &mut Context<'_>) -> Step {
        let why = if self.input == Side::Open { Ending::Done } else { Ending::PeerClosed };
        match Pin::new(&mut self.stream).poll_shutdown(cx) {
            Poll::Pending => {
                let stalls_at = self.clock.tick().after(self.write_stall);
                self.stalls_at.get_or_insert(stalls_at);
                return Step::Idle;
            }
            Poll::Ready(Ok(())) if why == Ending::Done => {
                self.stalls_at = None;
                let until = self.clock.tick().after(LINGER);
                self.phase = Phase::Lingering { until, bytes: 0 };
            }
            Poll::Ready(_) => self.end(why),
        }
        Step::Progress
    }

    fn step_lingering(&mut self, cx: &mut Context<'_>) -> Step {
        let Phase::Lingering { until, bytes } = self.phase else { return Step::Idle };
        match self.discard(cx) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(count)) if count > 0 && bytes + count < LINGER_BYTES => {
                self.phase = Phase::Lingering { until, bytes: bytes + count };
            }
            Poll::Ready(_) => self.end(Ending::Done),
        }
        Step::Progress
    }

    /// Reads and forgets, after the machine is closed and before all it said is sent.
    fn ignore_some(&mut self, cx: &mut Context<'_>) -> Step {
        match self.discard(cx) {
            Poll::Pending => return Step::Idle,
            Poll::Ready(Ok(count)) if count > 0 => {}
            Poll::Ready(Ok(_)) => self.input = Side::Closed,
            Poll::Ready(Err(error)) => self.input = Side::Broken(error.to_string()),
        }
        Step::Progress
    }

    fn discard(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stream = &mut self.stream;
        with_scratch(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            let outcome = Pin::new(stream).poll_read(cx, &mut buffer);
            outcome.map_ok(|()| buffer.filled().len())
        })
    }

    /// Lets time pass: the machine's deadline and our own.
    fn step_time(&mut self, cx: &mut Context<'_>) -> Step {
        let now = self.clock.tick();
        let own = match self.phase {
            Phase::Open => [self.stalls_at, self.half_closed_until],
            Phase::Closing => [self.stalls_at, None],
            Phase::Lingering { until, .. } => [Some(until), None],
            Phase::Ended(_) => return Step::Progress,
        };
        if own.iter().flatten().any(|at| *at <= now) {
            let ending = match self.phase {
                Phase::Lingering { .. } => Ending::Done,
                _ if self.stalls_at.is_some_and(|at| at <= now) => {
                    Ending::Stalled(self.write_stall)
                }
                _ => Ending::PeerClosed,
            };
            self.end(ending);
            return Step::Progress;
        }
        let machine = if self.phase == Phase::Open { self.machine.deadline() } else { None };
        if let Some(at) = machine
            && at <= now
        {
            self.machine.expire(now);
            return Step::Progress;
        }
        match own.into_iter().flatten().chain(machine).min() {
            Some(at) => self.wait_until(at, cx),
            None => Step::Idle,
        }
    }

    fn wait_until(&mut self, at: Tick, cx: &mut Context<'_>) -> Step {
        if self.alarm.as_ref().is_none_or(|alarm| alarm.at > at) {
            let clock = self.clock.clone();
            let sleep = Box::pin(async move { clock.sleep_until(at).await });
            self.alarm = Some(Alarm { at, sleep });
        }
        let rang =
            self.alarm.as_mut().is_some_and(|alarm| alarm.sleep.as_mut().poll(cx).is_ready());
        if rang {
            self.alarm = None;
            return Step::Progress;
        }
        Step::Idle
    }

    fn poll_drain(&mut self, cx: &mut Context<'_>, below: usize) -> Poll<()> {
        loop {
            if self.phase != Phase::Open || self.output != Side::Open {
                return Poll::Ready(());
            }
            let step = self.write_some(cx);
            let waiting = self.out.len() + usize::from(self.needs_flush);
            if waiting < below && !self.machine.has_output() {
                return Poll::Ready(());
            }
            if let Step::Progress = step {
                continue;
            }
            if self.cancelled.as_mut().poll(cx).is_ready() {
                self.end(Ending::Cancelled);
                continue;
            }
            let Some(at) = self.stalls_at else { return Poll::Ready(()) };
            if at <= self.clock.tick() {
                self.end(Ending::Stalled(self.write_stall));
                continue;
            }
            if let Step::Idle = self.wait_until(at, cx) {
                return Poll::Pending;
            }
        }
    }

    fn end(&mut self, ending: Ending) {
        self.phase = Phase::Ended(ending);
        self.alarm = None;
        self.out = BytesMut::new();
        // Dropping the stream closes it.
        drop(self.stream.take());
    }
}

/// Runs `body` with the thread's read buffer.
fn with_scratch<T>(body: impl FnOnce(&mut [u8]) -> T) -> T {
    SCRATCH.with(|scratch| match scratch.try_borrow_mut() {
        Ok(mut scratch) => body(&mut scratch),
        // A machine that drives another machine from inside `feed`: a buffer of its own.
        Err(_) => body(&mut vec![0; READ_CHUNK]),
    })
}

#[cfg(test)]
mod tests;
