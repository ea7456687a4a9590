//! The sockets of a name server: UDP and TCP on one address. It answers nothing itself; the demo
//! and the lab hand them to an authoritative server, which may not touch sockets either.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, UdpSocket};

/// RFC 7766 §5: who answers over UDP answers over TCP as well.
#[derive(Debug)]
pub struct Sockets {
    /// For questions that fit a datagram.
    pub udp: UdpSocket,
    /// For those that do not.
    pub tcp: TcpListener,
    /// Where both listen.
    pub address: SocketAddr,
}

impl Sockets {
    /// Binds both, within a runtime.
    ///
    /// # Errors
    /// What the system says: mostly that somebody has the address already.
    pub async fn bind(address: SocketAddr) -> io::Result<Sockets> {
        let udp = UdpSocket::bind(address).await?;
        let tcp = TcpListener::bind(address).await?;
        Ok(Sockets { udp, tcp, address })
    }
}
