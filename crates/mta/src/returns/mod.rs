//! The ways back. A letter that an alias sends on gets a return path of ours that leads to its
//! sender (the Sender Rewriting Scheme), since SPF lets nobody else use the sender's own; and a
//! bounce to an address from which nothing was sent is refused: it belongs to somebody else's
//! letter.
//!
//! `relay` asks how to write a sender, `receive` what an address of that form stands for.

mod senders;
mod srs;

use std::path::Path;

use directory::Snapshot;
use disk::RealDisk;
use net::Clock;
use protocol::address::{Address, Domain, ReversePath};
use protocol::time::Timestamp;
use queue::Recipient;

use senders::Senders;
pub(crate) use srs::Original;
use srs::Scheme;

/// What is known of ways back.
pub(crate) struct Returns {
    scheme: Scheme,
    senders: Senders,
}

impl Returns {
    /// With the secret in `keys` (made if it is not there) and the senders in `state`.
    ///
    /// # Errors
    /// One sentence.
    pub(crate) fn open(keys: &Path, state: &Path, clock: &Clock) -> Result<Self, String> {
        Ok(Returns {
            scheme: Scheme::open(&RealDisk, &keys.join("srs.key"))?,
            senders: Senders::open(state, clock, clock.now()),
        })
    }

    /// The reverse-path with which a letter goes to `recipient`.
    pub(crate) fn path(
        &self,
        sender: &ReversePath,
        recipient: &Recipient,
        directory: &Snapshot,
        now: Timestamp,
    ) -> ReversePath {
        let Some(address) = sender.address() else { return sender.clone() };
        let ours = |domain: &Domain| directory.domain(domain).is_some();
        let alias = recipient.from.as_ref().and_then(Address::domain).filter(|it| ours(it));
        let foreign = address.domain().is_none_or(|domain| !ours(domain));
        match alias {
            Some(by) if foreign => {
                let written = self.scheme.write(address, by, now);
                written.map_or_else(|| sender.clone(), ReversePath::Address)
            }
            _ => sender.clone(),
        }
    }

    /// What an address of this form stands for; `None`: it is not of this form.
    pub(crate) fn original(&self, address: &Address, now: Timestamp) -> Option<Original> {
        self.scheme.read(address, now)
    }

    /// A letter was sent from this address.
    pub(crate) fn sent(&self, address: &Address, now: Timestamp) {
        self.senders.sent(address, now);
    }

    /// Whether a bounce to this address can be one of ours. In the first days, for as long as
    /// letters live (`lifetime`), it always can: what was sent before is not known.
    pub(crate) fn may_bounce(
        &self,
        address: &Address,
        lifetime: std::time::Duration,
        now: Timestamp,
    ) -> bool {
        self.senders.knows(address) || now.since(self.senders.since()) < lifetime
    }

    /// Writes down what was learnt.
    pub(crate) fn save(&self) {
        self.senders.save();
    }

    /// Waits until it is written.
    pub(crate) fn finish(&self) {
        self.senders.finish();
    }
}
