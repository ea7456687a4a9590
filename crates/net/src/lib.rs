//! The only place with sockets: one driver loop for every protocol machine, listeners, outgoing
//! connections, TLS, DNS, the IPC transport and the clock. It decides nothing about mail; the
//! agents and `service` call it. No other crate touches `tokio::net`.

pub mod cancel;
pub mod clock;
pub mod connect;
pub mod dane;
mod deflate;
pub mod dns;
pub mod drive;
pub mod https;
pub mod ipc;
pub mod limits;
pub mod listen;
mod longpath;
mod mailboxes;
mod named;
pub mod nameserver;
pub mod network;
pub mod proxy;
pub mod stream;
pub mod tasks;
pub mod tls;
pub mod unix;

pub use cancel::Cancel;
pub use clock::Clock;
pub use drive::{Driver, Ending};
pub use network::Network;
pub use stream::{Peer, Stream};
pub use tasks::Tasks;
