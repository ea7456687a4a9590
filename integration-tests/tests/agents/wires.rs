//! A network in memory: connections that are slow, break after any byte, or fall silent. Everything
//! that passes is added to a sum, so that two runs can be compared.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use net::Clock;
use net::network::{Destination, Wires};
use net::stream::{Peer, Stream};
use protocol::machine::Tick;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::random::Random;

/// Bytes that may be under way in one direction.
const HELD: usize = 64 * 1024;

/// The network. Clones are the same network.
#[derive(Clone)]
pub(crate) struct Net {
    clock: Clock,
    state: Arc<Mutex<State>>,
}

struct State {
    random: Random,
    listeners: BTreeMap<String, UnboundedSender<(Stream, Peer)>>,
    /// Connections between machines may break.
    storm: bool,
    connections: u64,
    /// Connections that broke or fell silent.
    broken: u64,
    events: u64,
    sum: u64,
    told: bool,
}

/// A connection: what each side has written and the other has not read.
struct Link {
    number: u64,
    pipes: [Pipe; 2],
    /// After so many bytes of this side it ends, for the world to see or not.
    end: Option<(usize, u64, Ending)>,
    delay: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    Broken,
    Silent,
}

#[derive(Default)]
struct Pipe {
    chunks: VecDeque<(Tick, Vec<u8>)>,
    held: usize,
    passed: u64,
    /// The writer has said its last word.
    ended: bool,
    /// Nobody reads any more.
    unread: bool,
    silent: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// One side of a connection.
struct End {
    net: Net,
    link: Arc<Mutex<Link>>,
    side: usize,
    sleeping: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Net {
    pub(crate) fn new(seed: u64, clock: &Clock) -> Self {
        let state = State {
            random: Random::new(seed ^ 0x6e65_7477),
            listeners: BTreeMap::new(),
            storm: false,
            connections: 0,
            broken: 0,
            events: 0,
            sum: 0xcbf2_9ce4_8422_2325,
            told: std::env::var_os("POSTHASTE_TRACE").is_some_and(|how| how == "all"),
        };
        Net { clock: clock.clone(), state: Arc::new(Mutex::new(state)) }
    }

    /// Where connections to `name` come out from now on.
    pub(crate) fn listen(&self, name: impl Into<String>) -> UnboundedReceiver<(Stream, Peer)> {
        let (sender, receiver) = unbounded_channel();
        lock(&self.state).listeners.insert(name.into(), sender);
        receiver
    }

    /// Whether connections between machines break.
    pub(crate) fn storm(&self, storm: bool) {
        lock(&self.state).storm = storm;
    }

    /// What happened so far: how much, and a sum over all of it.
    pub(crate) fn events(&self) -> (u64, u64) {
        let state = lock(&self.state);
        (state.events, state.sum)
    }

    /// How many connections have broken or fallen silent.
    pub(crate) fn broken(&self) -> u64 {
        lock(&self.state).broken
    }

    fn note(&self, what: (u64, usize), bytes: &[u8]) {
        let mut state = lock(&self.state);
        state.events += 1;
        let at = self.clock.tick().as_micros().to_le_bytes();
        let who = [what.0 as u8, (what.0 >> 8) as u8, what.1 as u8];
        let whole = at.iter().chain(&who).chain(bytes);
        state.sum = whole
            .fold(state.sum, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3));
        if state.told {
            let text = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]);
            let at = self.clock.tick().as_micros() as f64 / 1e6;
            eprintln!("{at:>9.3} s  #{} {}: {text:?}", what.0, ["->", "<-"][what.1]);
        }
    }

    fn link(&self, to: Destination<'_>) -> io::Result<Option<Stream>> {
        let (name, peer) = match to {
            Destination::Tcp(address) => (address.to_string(), peer_at(address)),
            Destination::Unix(path) => (path.display().to_string(), Peer::Memory),
        };
        let mut state = lock(&self.state);
        state.connections += 1;
        let number = state.connections;
        let far = matches!(to, Destination::Tcp(_));
        let stormy = far && state.storm;
        let micros = state.random.below(if far { 20_000 } else { 40 });
        let mut delay = Duration::from_micros(micros);
        let mut end = None;
        if stormy && state.random.once_in(3) {
            let side = state.random.below(2) as usize;
            let most = if side == 0 { 4000 } else { 700 };
            let ending = if state.random.once_in(6) { Ending::Silent } else { Ending::Broken };
            end = Some((side, state.random.below(most), ending));
            state.broken += 1;
        }
        if stormy && state.random.once_in(8) {
            delay = Duration::from_millis(state.random.below(4000));
        }
        if stormy && state.random.once_in(20) {
            return if state.random.once_in(2) { Ok(None) } else { Err(refused()) };
        }
        let Some(listener) = state.listeners.get(&name).cloned() else { return Err(refused()) };
        drop(state);
        let link = Link { number, pipes: Default::default(), end, delay };
        let link = Arc::new(Mutex::new(link));
        let side = |side| {
            let end = End { net: self.clone(), link: link.clone(), side, sleeping: None };
            Stream::Given(Box::new(end))
        };
        self.note((number, 0), name.as_bytes());
        // An agent that was killed listens no more.
        listener.send((side(1), peer)).map_err(|_| refused())?;
        Ok(Some(side(0)))
    }
}

/// Who comes to a port: strangers to 25, people on this machine to the others.
fn peer_at(address: SocketAddr) -> Peer {
    let stranger = address.port() == 25;
    let ip = if stranger { Ipv4Addr::new(192, 0, 2, 7) } else { Ipv4Addr::LOCALHOST };
    Peer::Inet(SocketAddr::new(IpAddr::V4(ip), 4711))
}

fn refused() -> io::Error {
    io::ErrorKind::ConnectionRefused.into()
}

impl fmt::Debug for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Net(..)")
    }
}

impl fmt::Debug for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "End({})", self.side)
    }
}

impl Wires for Net {
    fn connect(&self, to: Destination<'_>) -> io::Result<Option<Stream>> {
        self.link(to)
    }
}

impl Pipe {
    fn wake(&mut self) {
        self.reader.take().into_iter().chain(self.writer.take()).for_each(Waker::wake);
    }
}

impl Link {
    /// Lets bytes of one side pass, as far as the connection goes.
    fn pass(&mut self, side: usize, bytes: &[u8], now: Tick) {
        let pipe = &mut self.pipes[side];
        let mut whole = bytes;
        let mut ends = None;
        if let Some((which, after, ending)) = self.end
            && which == side
            && pipe.passed + bytes.len() as u64 >= after
        {
            whole = &bytes[..after.saturating_sub(pipe.passed) as usize];
            ends = Some(ending);
        }
        pipe.passed += bytes.len() as u64;
        if !whole.is_empty() && !pipe.silent {
            pipe.held += whole.len();
            pipe.chunks.push_back((now.after(self.delay), whole.to_vec()));
            pipe.reader.take().into_iter().for_each(Waker::wake);
        }
        match ends {
            Some(Ending::Broken) => self.pipes.iter_mut().for_each(|pipe| {
                (pipe.ended, pipe.unread) = (true, true);
                pipe.wake();
            }),
            Some(Ending::Silent) => self.pipes.iter_mut().for_each(|pipe| pipe.silent = true),
            None => {}
        }
    }
}

impl AsyncRead for End {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let end = self.get_mut();
        let now = end.net.clock.tick();
        let when = {
            let mut link = lock(&end.link);
            let pipe = &mut link.pipes[1 - end.side];
            match pipe.chunks.front_mut() {
                Some((when, chunk)) if *when <= now => {
                    let count = chunk.len().min(buffer.remaining());
                    buffer.put_slice(&chunk[..count]);
                    chunk.drain(..count);
                    if chunk.is_empty() {
                        pipe.chunks.pop_front();
                    }
                    pipe.held -= count;
                    pipe.writer.take().into_iter().for_each(Waker::wake);
                    return Poll::Ready(Ok(()));
                }
                Some((when, _)) => *when,
                None if pipe.ended => return Poll::Ready(Ok(())),
                None => {
                    pipe.reader = Some(context.waker().clone());
                    return Poll::Pending;
                }
            }
        };
        let clock = end.net.clock.clone();
        let sleeping = Box::pin(async move { clock.sleep_until(when).await });
        let sleeping = end.sleeping.insert(sleeping);
        match sleeping.as_mut().poll(context) {
            Poll::Ready(()) => {
                end.sleeping = None;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Poll::Pending => Poll::Pending,
        }
    }
}

impl AsyncWrite for End {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let (count, number) = {
            let mut link = lock(&self.link);
            let pipe = &mut link.pipes[self.side];
            if pipe.ended || pipe.unread {
                return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
            }
            if pipe.held >= HELD {
                pipe.writer = Some(context.waker().clone());
                return Poll::Pending;
            }
            let count = bytes.len().min(HELD - pipe.held);
            link.pass(self.side, &bytes[..count], self.net.clock.tick());
            (count, link.number)
        };
        self.net.note((number, self.side), &bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut link = lock(&self.link);
        let pipe = &mut link.pipes[self.side];
        if !pipe.silent {
            pipe.ended = true;
            pipe.wake();
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for End {
    fn drop(&mut self) {
        let mut link = lock(&self.link);
        if link.pipes[self.side].silent {
            return;
        }
        link.pipes[self.side].ended = true;
        link.pipes[self.side].wake();
        link.pipes[1 - self.side].unread = true;
        link.pipes[1 - self.side].wake();
    }
}
