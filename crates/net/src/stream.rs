//! One type for every byte stream an agent can have: TCP, a Unix socket, TLS over either, or a pipe
//! in memory for tests. Not a protocol: `drive` reads and writes it, `listen` and `connect` make
//! it.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};
use tokio::net::TcpStream;

use crate::unix::Unix;

/// A connected byte stream.
#[derive(Debug)]
pub enum Stream {
    /// TCP, with Nagle's algorithm off.
    Tcp(TcpStream),
    /// A Unix stream socket.
    Unix(Unix),
    /// An in-memory pipe, for tests and the simulation.
    Memory(DuplexStream),
    /// A stream that somebody brings: of a network in memory with delays and losses.
    Given(Box<dyn Given>),
    /// TLS over one of the others.
    Tls(Box<tokio_rustls::TlsStream<Stream>>),
    /// Compression over one of the others.
    Deflated(Box<crate::deflate::Deflated>),
    /// Nothing: a connection after it was closed.
    Closed,
}

/// A byte stream of another kind than the system's.
pub trait Given: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + fmt::Debug> Given for T {}

/// Who is at the other end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer. IPv4 addresses mapped into IPv6 are unwrapped.
    Inet(SocketAddr),
    /// A process of this machine, by what the kernel says of it.
    Unix {
        /// Its effective user.
        uid: u32,
        /// Its process, if known.
        pid: Option<i32>,
    },
    /// The other end of a pipe in memory.
    Memory,
}

impl Stream {
    /// Both ends of a pipe in memory that holds `capacity` bytes each way.
    pub fn pair(capacity: usize) -> (Self, Self) {
        let (one, other) = tokio::io::duplex(capacity);
        (Stream::Memory(one), Stream::Memory(other))
    }

    /// Acknowledges at once what has come over TCP. A client that sends a request in two pieces
    /// (a literal, then its line end) holds the second back until the first is acknowledged (RFC
    /// 9293 §3.7.4), and a receiver that has nothing to say waits 40 ms before it does: called
    /// when we wait for more, it saves those. Failure costs only time.
    pub(crate) fn acknowledge(&self) {
        match self {
            Stream::Tcp(tcp) => {
                let _ = rustix::net::sockopt::set_tcp_quickack(tcp, true);
            }
            Stream::Tls(tls) => tls.get_ref().0.acknowledge(),
            Stream::Deflated(deflated) => deflated.inner().acknowledge(),
            Stream::Unix(_) | Stream::Memory(_) | Stream::Given(_) | Stream::Closed => {}
        }
    }

    /// The same stream, compressed from here on both ways (RFC 4978).
    #[must_use]
    pub fn compressed(self) -> Self {
        Stream::Deflated(Box::new(crate::deflate::Deflated::new(self)))
    }

    /// Who is at the other end.
    ///
    /// # Errors
    /// When the connection is already gone.
    pub fn peer(&self) -> io::Result<Peer> {
        match self {
            Stream::Tcp(tcp) => Ok(Peer::Inet(unmapped(tcp.peer_addr()?))),
            Stream::Unix(unix) => Ok(unix.peer()),
            Stream::Memory(_) | Stream::Given(_) => Ok(Peer::Memory),
            Stream::Tls(tls) => tls.get_ref().0.peer(),
            Stream::Deflated(deflated) => deflated.inner().peer(),
            Stream::Closed => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    /// Our own address, for TCP.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match self {
            Stream::Tcp(tcp) => tcp.local_addr().ok().map(unmapped),
            Stream::Tls(tls) => tls.get_ref().0.local_address(),
            Stream::Deflated(deflated) => deflated.inner().local_address(),
            _ => None,
        }
    }

    /// What is sent goes through TLS.
    pub fn is_tls(&self) -> bool {
        match self {
            Stream::Deflated(deflated) => deflated.inner().is_tls(),
            other => matches!(other, Stream::Tls(_)),
        }
    }

    /// Takes the stream out, leaving [`Stream::Closed`].
    #[must_use]
    pub fn take(&mut self) -> Self {
        std::mem::replace(self, Stream::Closed)
    }
}

impl Peer {
    /// The address without the port, for TCP peers.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Peer::Inet(address) => Some(address.ip()),
            _ => None,
        }
    }

    /// Whether it is a process of our own user or of root on this machine, as the kernel says.
    pub fn is_ours(&self) -> bool {
        match self {
            Peer::Unix { uid, .. } => *uid == 0 || *uid == rustix::process::geteuid().as_raw(),
            Peer::Memory => true,
            Peer::Inet(_) => false,
        }
    }
}

impl fmt::Display for Peer {
    /// As in logs: `192.0.2.1:4711`, `unix uid 1000 pid 77`, `memory`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Inet(address) => address.fmt(f),
            Peer::Unix { uid, pid: Some(pid) } => write!(f, "unix uid {uid} pid {pid}"),
            Peer::Unix { uid, pid: None } => write!(f, "unix uid {uid}"),
            Peer::Memory => f.write_str("memory"),
        }
    }
}

/// `::ffff:192.0.2.1` is an IPv4 peer on a socket for both families.
pub(crate) fn unmapped(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(inner) => Pin::new(inner).poll_read(cx, buf),
            Stream::Unix(inner) => Pin::new(inner).poll_read(cx, buf),
            Stream::Memory(inner) => Pin::new(inner).poll_read(cx, buf),
            Stream::Given(inner) => Pin::new(inner.as_mut()).poll_read(cx, buf),
            Stream::Tls(inner) => Pin::new(inner.as_mut()).poll_read(cx, buf),
            Stream::Deflated(inner) => Pin::new(inner.as_mut()).poll_read(cx, buf),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Stream::Tcp(inner) => Pin::new(inner).poll_write(cx, bytes),
            Stream::Unix(inner) => Pin::new(inner).poll_write(cx, bytes),
            Stream::Memory(inner) => Pin::new(inner).poll_write(cx, bytes),
            Stream::Given(inner) => Pin::new(inner.as_mut()).poll_write(cx, bytes),
            Stream::Tls(inner) => Pin::new(inner.as_mut()).poll_write(cx, bytes),
            Stream::Deflated(inner) => Pin::new(inner.as_mut()).poll_write(cx, bytes),
            Stream::Closed => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(inner) => Pin::new(inner).poll_flush(cx),
            Stream::Unix(inner) => Pin::new(inner).poll_flush(cx),
            Stream::Memory(inner) => Pin::new(inner).poll_flush(cx),
            Stream::Given(inner) => Pin::new(inner.as_mut()).poll_flush(cx),
            Stream::Tls(inner) => Pin::new(inner.as_mut()).poll_flush(cx),
            Stream::Deflated(inner) => Pin::new(inner.as_mut()).poll_flush(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Stream::Tcp(inner) => Pin::new(inner).poll_shutdown(cx),
            Stream::Unix(inner) => Pin::new(inner).poll_shutdown(cx),
            Stream::Memory(inner) => Pin::new(inner).poll_shutdown(cx),
            Stream::Given(inner) => Pin::new(inner.as_mut()).poll_shutdown(cx),
            Stream::Tls(inner) => Pin::new(inner.as_mut()).poll_shutdown(cx),
            Stream::Deflated(inner) => Pin::new(inner.as_mut()).poll_shutdown(cx),
            Stream::Closed => Poll::Ready(Ok(())),
        }
    }
}
