//! Couriers: what carries a letter one hop further, over SMTP or LMTP, and says for each recipient
//! what became of it. Used by `relay` (other systems) and `receive` (the MDA, while the sender
//! waits). It chooses no host and keeps no queue.

mod adapt;
mod journal;
mod login;
mod pool;
mod session;
mod target;
mod transport;

pub(crate) use journal::Journal;
pub(crate) use session::Load;
pub(crate) use target::TlsRule;
pub use transport::Means;
pub(crate) use transport::{Taken, Transport};
