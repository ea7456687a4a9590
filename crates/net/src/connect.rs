//! Outgoing connections: TCP with a source address and a deadline, and Unix sockets. It resolves no
//! names (`dns` does) and chooses no order among addresses (the caller does).

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use tokio::net::{TcpSocket, UnixSocket};

use crate::clock::Clock;
use crate::longpath::ShortPath;
use crate::stream::Stream;
use crate::unix::Unix;

/// How a TCP connection is to be made.
#[derive(Debug, Clone, Copy)]
pub struct Outgoing {
    /// Our own address, where the machine has several; used only for peers of the same family.
    pub source: Option<IpAddr>,
    /// How long the connection may take.
    pub timeout: Duration,
}

/// Why there is no connection.
#[derive(Debug)]
pub enum ConnectError {
    /// No answer in time.
    Timeout(Duration),
    /// The system said no.
    Io(io::Error),
}

/// Whether an address is one of this machine's: a socket can be bound to it.
pub fn is_local(address: IpAddr) -> bool {
    std::net::UdpSocket::bind((address, 0)).is_ok()
}

/// Connects over TCP.
///
/// # Errors
/// When the peer refuses, cannot be reached, or does not answer in time.
pub async fn tcp(
    peer: SocketAddr,
    outgoing: Outgoing,
    clock: &Clock,
) -> Result<Stream, ConnectError> {
    let connecting = async {
        let socket = if peer.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let Some(source) = outgoing.source
            && source.is_ipv4() == peer.is_ipv4()
        {
            socket.bind(SocketAddr::new(source, 0))?;
        }
        let stream = socket.connect(peer).await?;
        // Dialogues are short lines each of which waits for an answer.
        stream.set_nodelay(true)?;
        Ok(Stream::Tcp(stream))
    };
    within(connecting, outgoing.timeout, clock).await
}

/// Connects to a Unix stream socket, whose path may have any length.
///
/// # Errors
/// When nobody listens there, permission is missing, or the queue stays full for `timeout`.
pub async fn unix(path: &Path, timeout: Duration, clock: &Clock) -> Result<Stream, ConnectError> {
    let connecting = async {
        let short = ShortPath::of(path)?;
        let stream = UnixSocket::new_stream()?.connect(short.as_path()).await?;
        Unix::new(stream).map(Stream::Unix)
    };
    within(connecting, timeout, clock).await
}

async fn within(
    connecting: impl Future<Output = io::Result<Stream>>,
    timeout: Duration,
    clock: &Clock,
) -> Result<Stream, ConnectError> {
    match clock.timeout(timeout, connecting).await {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(ConnectError::Io(error)),
        Err(_) => Err(ConnectError::Timeout(timeout)),
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConnectError::Timeout(wait) => write!(f, "no answer within {} s", wait.as_secs()),
            ConnectError::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => f.write_str("connection refused"),
                io::ErrorKind::NotFound => f.write_str("nobody listens there"),
                io::ErrorKind::PermissionDenied => f.write_str("permission denied"),
                io::ErrorKind::NetworkUnreachable => f.write_str("network unreachable"),
                io::ErrorKind::HostUnreachable => f.write_str("host unreachable"),
                _ => error.fmt(f),
            },
        }
    }
}

impl std::error::Error for ConnectError {}
