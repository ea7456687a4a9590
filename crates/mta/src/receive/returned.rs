//! Bounces from outside: those to an address that we wrote for a forwarded letter go on to its
//! sender; those to an address that sends nothing are refused. Answers at RCPT.

use directory::{Found, Snapshot};
use protocol::address::{Address, ForwardPath, ReversePath};
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::server::Rcpt;
use service::config::Config;

use super::{Desk, Door};
use crate::returns::{Original, Returns};

impl Desk {
    /// The recipient as it is meant, and by which door it is to be judged.
    ///
    /// # Errors
    /// Why a bounce to it is not taken.
    pub(super) fn returned(
        &self,
        (door, sender): (Door, &ReversePath),
        rcpt: Rcpt,
        directory: &Snapshot,
        config: &Config,
    ) -> Result<(Door, Rcpt), Rejection> {
        let (Some(returns), Some(address)) = (self.transport.returns(), rcpt.path.address()) else {
            return Ok((door, rcpt));
        };
        let now = self.context.clock.now();
        let ours = address.domain().is_some_and(|domain| directory.domain(domain).is_some());
        if door != Door::Internet || !ours {
            return Ok((door, rcpt));
        }
        match returns.original(address, now) {
            // Only a bounce may go this way: it is not a way to send through us.
            Some(Original::Address(original)) if sender.is_null() => {
                let rcpt = Rcpt { path: ForwardPath::from(original), ..rcpt };
                Ok((Door::Relay, rcpt))
            }
            Some(_) => Err(refused("this address takes bounces of forwarded letters only")),
            None if sender.is_null() => {
                self.bounced_to(returns, address, directory, config)?;
                Ok((door, rcpt))
            }
            None => Ok((door, rcpt)),
        }
    }

    /// A bounce to an address that never sent anything is about somebody else's letter.
    fn bounced_to(
        &self,
        returns: &Returns,
        address: &Address,
        directory: &Snapshot,
        config: &Config,
    ) -> Result<(), Rejection> {
        let local = address.local().as_str();
        // RFC 5321 §4.5.1, RFC 2142 §4: these take everything.
        let is_open = ["postmaster", "abuse"].iter().any(|name| local.eq_ignore_ascii_case(name));
        let exists = matches!(directory.lookup(address), Found::Account(_) | Found::Alias(_));
        let now = self.context.clock.now();
        if is_open || !exists || returns.may_bounce(address, config.mta.lifetime, now) {
            return Ok(());
        }
        Err(refused("no letter was sent from this address, so none can come back to it"))
    }
}

fn refused(text: &'static str) -> Rejection {
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(7, 1),
        Fault::Policy,
        text,
    )
}
