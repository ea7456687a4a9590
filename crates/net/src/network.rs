//! Where outgoing connections come from: the system, or a network in memory with delays and losses
//! of its own, which a simulation brings. How the system connects is `connect`'s; what listens on
//! a network in memory is made by [`crate::listen::Bound::incoming`].

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Clock;
use crate::connect::{self, ConnectError, Outgoing};
use crate::stream::Stream;

/// A network. Cheap to clone; clones are the same network.
#[derive(Debug, Clone, Default)]
pub struct Network {
    wires: Option<Arc<dyn Wires>>,
}

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination<'a> {
    /// A TCP port.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(&'a Path),
}

/// A network in memory.
pub trait Wires: Send + Sync + fmt::Debug {
    /// A connection; `Ok(None)`: nobody answers, however long one waits.
    ///
    /// # Errors
    /// As the system's: `ConnectionRefused`, `NotFound`.
    fn connect(&self, to: Destination<'_>) -> io::Result<Option<Stream>>;
}

impl Network {
    /// The network of the machine below.
    pub fn system() -> Self {
        Network::default()
    }

    /// A network in memory.
    pub fn of(wires: Arc<dyn Wires>) -> Self {
        Network { wires: Some(wires) }
    }

    /// Connects over TCP; see [`connect::tcp`].
    ///
    /// # Errors
    /// When the peer refuses, cannot be reached, or does not answer in time.
    pub async fn tcp(
        &self,
        peer: SocketAddr,
        outgoing: Outgoing,
        clock: &Clock,
    ) -> Result<Stream, ConnectError> {
        match &self.wires {
            None => connect::tcp(peer, outgoing, clock).await,
            Some(wires) => {
                answered(wires.connect(Destination::Tcp(peer)), outgoing.timeout, clock).await
            }
        }
    }

    /// Connects to a Unix socket; see [`connect::unix`].
    ///
    /// # Errors
    /// When nobody listens there, permission is missing, or the queue stays full for `timeout`.
    pub async fn unix(
        &self,
        path: &Path,
        timeout: Duration,
        clock: &Clock,
    ) -> Result<Stream, ConnectError> {
        match &self.wires {
            None => connect::unix(path, timeout, clock).await,
            Some(wires) => answered(wires.connect(Destination::Unix(path)), timeout, clock).await,
        }
    }
}

async fn answered(
    connected: io::Result<Option<Stream>>,
    timeout: Duration,
    clock: &Clock,
) -> Result<Stream, ConnectError> {
    match connected {
        Ok(Some(stream)) => Ok(stream),
        Ok(None) => {
            clock.sleep(timeout).await;
            Err(ConnectError::Timeout(timeout))
        }
        Err(error) => Err(ConnectError::Io(error)),
    }
}
