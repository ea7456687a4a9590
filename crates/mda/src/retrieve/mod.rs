//! Stage *retrieve*: people read their letters over IMAP, on port 143 (with STARTTLS) and 993
//! (under TLS). Not delivery (`deliver`), and no storage: all of that is the `mailbox` crate's.
//! Called by the agent's `serve`.
//!
//! A session joins three things: the protocol machine (`protocol::imap::server`), which knows what
//! may be said; an open mailbox, of which it holds the *view* that its client knows; and `auth`,
//! which knows who people are. Sequence numbers are places in that view. The view moves on only
//! where RFC 3501 §7.4.1 lets expunges be told, so a number never means another letter than the
//! client thinks.

mod append;
mod content;
mod convert;
mod doorkeeper;
mod enable;
mod expunge;
mod failure;
mod fetch;
mod fetch_item;
mod idle;
mod limits;
mod listing;
mod login;
mod mailboxes;
mod metadata;
mod pattern;
pub(crate) mod pop3;
mod quota;
mod search;
mod select;
mod selected;
mod session;
mod sort;
mod store;
mod transfer;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use directory::Renewing;
use mailbox::{Mailbox, Mailboxes};
use net::listen::{Accepted, Bound, Hall};
use net::{Cancel, Clock};
use service::config::ConfigHandle;
use service::login::Logins;
use service::trail::Trail;

pub use doorkeeper::Beginning;
pub(crate) use doorkeeper::{Turned, Visitor};
pub use session::Entry;
use session::Session;

/// What all IMAP sessions share. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Retrieval {
    /// The store.
    pub(crate) mailboxes: Mailboxes,
    /// Whom the owners teach what junk is.
    pub(crate) tutor: Arc<crate::tutor::Tutor>,
    /// Who asks `auth`.
    pub(crate) logins: Logins,
    /// Quotas are in there.
    pub(crate) directory: Arc<Renewing>,
    /// The configuration, now and later.
    pub(crate) config: ConfigHandle,
    /// The clock.
    pub(crate) clock: Clock,
    /// The journey.
    pub(crate) trail: Trail,
    /// Our certificate; `None`: no STARTTLS.
    pub(crate) tls: Option<net::tls::Server>,
    /// Cancelled first: sessions say goodbye.
    pub(crate) drain: Cancel,
    /// Cancelled when that takes too long.
    pub(crate) stop: Cancel,
}

impl Retrieval {
    /// Serves a listening socket until the hall stops.
    pub(crate) async fn serve(self, bound: Bound, entry: Entry, hall: Hall) {
        let address = bound.address().to_string();
        let listener = match bound.listen() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!(%address, %error, "cannot watch the IMAP socket");
                return;
            }
        };
        // Under TLS nothing can be said before the handshake.
        let refusal: &'static [u8] = match entry {
            Entry::Plain | Entry::Local => {
                b"* BYE [UNAVAILABLE] too many sessions, try again later\r\n"
            }
            Entry::Tls => b"",
        };
        let session = move |accepted| self.clone().session(accepted, entry);
        listener.serve(&hall, refusal, session).await;
    }

    /// Takes over what other programs did to a mailbox, as much of it as a client can wait for. A
    /// failure hides letters of others, never ours, and is no reason to refuse the mailbox.
    pub(crate) async fn look(&self, mailbox: &Mailbox) {
        let until = self.clock.tick().after(limits::LOOKING);
        loop {
            match self.mailboxes.look(mailbox).await {
                Ok(looked) if looked.more && self.clock.tick() < until => {}
                Ok(_) => return,
                Err(error) => return tracing::debug!(%error, "the mailbox was not looked at"),
            }
        }
    }

    /// One session from its first octet to its last.
    async fn session(self, accepted: Accepted, entry: Entry) {
        let Accepted { stream, peer } = accepted;
        let shown = peer.to_string();
        // Boxed: a session has no room for its handshake once that is over.
        if let Some(session) = Box::pin(Session::begin(self, stream, peer, entry)).await {
            session.run().await;
        }
        tracing::debug!(peer = %shown, "IMAP session over");
    }
}
