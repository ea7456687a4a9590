//! Receiving: port 25 from other systems, and the relay socket from our own agents. A session is
//! greeted and asked; its recipients are looked up in the directory; its letter is handed to the
//! delivery agent while the sender waits, or becomes durable in the queue; then it is answered.
//!
//! It sends nothing to other systems: that is `relay`, which works on what is queued here.

mod elsewhere;
mod envelope;
mod filters;
mod guard;
mod handover;
mod inspect;
mod letter;
mod notice;
mod recall;
mod returned;
mod session;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use directory::Renewing;
use disk::{Disk, Space, SpaceWatch};
use protocol::journey::JourneyId;
use protocol::rejection::Rejection;
use protocol::smtp::Observe;
use protocol::smtp::server::Config as ServerConfig;
use protocol::smtp::server::config::{Offer, Timeouts, TlsPolicy};
use queue::Queue;
use service::Counter;
use service::daemon::Context;

use crate::courier::Transport;
use crate::limits::RELAY_ERRORS;
use crate::sign::Signer;

pub(crate) use self::elsewhere::{Elsewhere, Known};
pub(crate) use self::session::session;

/// By which door somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// Port 25: anybody, for our own domains only.
    Internet,
    /// `run/mta.sock`: our own agents, for the whole world. Who sends has been proven.
    Relay,
}

/// What all sessions share.
pub(crate) struct Desk {
    context: Context,
    directory: Arc<Renewing>,
    queue: Queue,
    transport: Arc<Transport>,
    signer: Arc<Signer>,
    disk: Arc<dyn Disk>,
    /// Where letters too large for memory wait, in files without names.
    spool: PathBuf,
    space: SpaceWatch,
    elsewhere: Arc<Elsewhere>,
    /// For questions about those who bring letters.
    dns: verdict::lookup::Dns,
    guard: guard::Guard,
    notices: notice::Notices,
    accepted: Counter,
    refused: Counter,
}

impl Desk {
    pub(crate) fn new(
        context: &Context,
        disk: Arc<dyn Disk>,
        (directory, queue): (Arc<Renewing>, Queue),
        (transport, signer): (Arc<Transport>, Arc<Signer>),
    ) -> Self {
        let config = context.config.current();
        let low = Space {
            bytes: config.storage.low_water_bytes,
            inodes: config.storage.low_water_inodes,
        };
        let spool = context.paths.queue();
        Desk {
            context: context.clone(),
            directory,
            queue,
            dns: inspect::Names::dns(&transport, &context.clock),
            guard: guard::Guard::open(
                disk.clone(),
                context.paths.state().join("greylist"),
                &context.clock,
            ),
            transport,
            signer,
            elsewhere: Arc::default(),
            space: SpaceWatch::new(disk.clone(), spool.clone(), low),
            disk,
            spool,
            notices: notice::Notices::default(),
            accepted: context.metrics.counter("letters_accepted"),
            refused: context.metrics.counter("letters_refused"),
        }
    }

    /// Takes mail for domains elsewhere by this list.
    pub(crate) fn keep_for(mut self, elsewhere: Arc<Elsewhere>) -> Self {
        self.elsewhere = elsewhere;
        self
    }

    /// What is offered at this door now.
    fn server_config(&self, door: Door) -> ServerConfig {
        let config = self.context.config.current();
        let mut server = ServerConfig::smtp(config.hostname().as_str());
        server.recipients_limit = config.limits.recipients_per_letter;
        let idle = config.limits.idle;
        server.timeouts = Timeouts { command: idle, data: idle, ..Timeouts::default() };
        match door {
            Door::Internet => {
                server.size_limit = config.limits.message_size;
                server.errors_limit = config.limits.errors_per_session;
                server.observe = Observe::Replies;
                server.dsn = Offer::Yes;
                if self.context.tls.is_some() {
                    server.tls = TlsPolicy::Offered;
                }
            }
            Door::Relay => {
                server.size_limit = config.inner_message_size();
                server.errors_limit = RELAY_ERRORS;
                server.private = Offer::Yes;
                server.dsn = Offer::Yes;
                let longest = config.mta.send_later.as_secs();
                server.future_release = Some(longest).filter(|it| *it > 0);
            }
        }
        server
    }

    fn new_journey(&self) -> JourneyId {
        JourneyId::new(self.context.clock.now(), self.context.chance.u32())
    }
}

/// What a sender is told when the disk does not do as it should: what is full is told, everything
/// else is ours alone.
fn disk_rejection(error: &disk::Error) -> Rejection {
    match error.kind() {
        disk::ErrorKind::Full => Rejection::disk_low().because(error),
        _ => Rejection::internal(error),
    }
}
