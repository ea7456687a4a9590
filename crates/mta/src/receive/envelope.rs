//! Recipients: whose each is, by the directory, before anything is promised. Decides at RCPT, so
//! that what cannot be delivered is refused at once and never bounced. Sends nothing.

use std::collections::HashSet;

use directory::{Found, Nowhere, Snapshot};
use protocol::address::{Address, Domain, ForwardPath, LocalPart};
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::RcptParameters;
use protocol::smtp::server::Rcpt;
use service::config::Mta;

use super::Door;
use super::elsewhere::Elsewhere;
use crate::limits::RECIPIENTS_COMPARED;
use crate::relay::route::{self, Way};

/// The recipients of one letter so far.
#[derive(Debug, Default)]
pub(super) struct Envelope {
    /// To whom it goes in the end, nobody twice.
    pub(super) targets: Vec<Target>,
    /// The recipients as the client named them.
    pub(super) named: Vec<Address>,
    /// The addresses of `targets`, once there are many.
    known: HashSet<Address>,
}

/// What recipients are judged by.
#[derive(Clone, Copy)]
pub(super) struct Houses<'a> {
    /// Who is here.
    pub(super) directory: &'a Snapshot,
    /// Who is elsewhere, and taken all the same.
    pub(super) elsewhere: &'a Elsewhere,
    /// The ways.
    pub(super) mta: &'a Mta,
    /// The host itself, which has a postmaster.
    pub(super) hostname: &'a Domain,
}

/// One recipient in the end.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// Where the letter goes.
    pub(super) address: Address,
    /// What came with RCPT.
    pub(super) parameters: RcptParameters,
    /// The name that stood for it, if it was an alias.
    pub(super) from: Option<Address>,
    /// How it gets there.
    pub(super) way: Way,
}

impl Envelope {
    /// Adds the recipient of a RCPT, or says why not. Gives what an alias stood for.
    pub(super) fn add(
        &mut self,
        rcpt: Rcpt,
        door: Door,
        houses: Houses<'_>,
    ) -> Result<usize, Rejection> {
        let Houses { directory, elsewhere, mta, hostname } = houses;
        let found = match directory.lookup_path(&rcpt.path) {
            // RFC 5321 §4.5.1: the postmaster of the host itself, to whom our reports point.
            Found::NotOurs if is_postmaster_of(hostname, &rcpt.path) => {
                directory.lookup_path(&ForwardPath::Postmaster)
            }
            found => found,
        };
        let (addresses, from) = match found {
            Found::Account(recipient) => {
                let address = tagged(&recipient.account.address, recipient.tag.as_deref());
                (vec![address], None)
            }
            Found::Alias(expansion) => {
                let accounts = expansion
                    .accounts
                    .iter()
                    .map(|one| tagged(&one.account.address, one.tag.as_deref()));
                let all = accounts.chain(expansion.outside.iter().cloned()).collect();
                (all, rcpt.path.address().cloned())
            }
            Found::Nowhere(why) => return Err(nowhere(why)),
            Found::Unknown => match &mta.postmaster {
                Some(person) if is_for_postmaster(hostname, &rcpt.path) => {
                    (vec![person.clone()], rcpt.path.address().cloned())
                }
                _ => return Err(Rejection::no_such_mailbox()),
            },
            Found::NotOurs => (vec![outside(&rcpt.path, door, (elsewhere, mta))?], None),
        };
        let mut targets = Vec::with_capacity(addresses.len());
        for address in addresses {
            let way = route::way(mta, &address, |domain| directory.domain(domain).is_some())
                .map_err(|failure| {
                    Rejection::from_reply(&failure.reply)
                        .unwrap_or_else(|| Rejection::internal(&failure))
                })?;
            let (parameters, from) = (rcpt.parameters.clone(), from.clone());
            targets.push(Target { address, parameters, from, way });
        }
        let named = rcpt.path.address().or(targets.first().map(|target| &target.address));
        self.named.extend(named.cloned());
        let before = self.targets.len();
        for target in targets {
            if !self.has(&target.address) {
                self.targets.push(target);
            }
        }
        Ok(before)
    }

    /// Whether an address is a target already. A letter to thousands must not cost their square.
    fn has(&mut self, address: &Address) -> bool {
        if self.targets.len() < RECIPIENTS_COMPARED {
            return self.targets.iter().any(|known| known.address == *address);
        }
        let fresh = self.targets.get(self.known.len()..).unwrap_or_default();
        self.known.extend(fresh.iter().map(|target| target.address.clone()));
        self.known.contains(address)
    }

    /// Takes back the recipient that was added last, who is refused after all; `before` is what
    /// [`add`](Self::add) gave.
    pub(super) fn forget(&mut self, before: usize) {
        self.targets.truncate(before);
        self.known.clear();
        self.named.pop();
    }
}

/// A recipient who is not ours: for our own agents to anybody, for others to the domains whose mail
/// is kept here.
fn outside(
    path: &ForwardPath,
    door: Door,
    (elsewhere, mta): (&Elsewhere, &Mta),
) -> Result<Address, Rejection> {
    let ForwardPath::Address(address) = path else { return Err(Rejection::relay_denied()) };
    match (door, elsewhere.takes(mta, address)) {
        // RFC 5321 §3.6.2: a relay refuses what it knows to be undeliverable.
        (_, Some(false)) => Err(Rejection::no_such_mailbox()),
        (Door::Relay, _) | (_, Some(true)) => Ok(address.clone()),
        (Door::Internet, None) => Err(Rejection::relay_denied()),
    }
}

/// RFC 5321 §4.5.1: both spellings.
fn is_for_postmaster(hostname: &Domain, path: &ForwardPath) -> bool {
    matches!(path, ForwardPath::Postmaster) || is_postmaster_of(hostname, path)
}

fn is_postmaster_of(hostname: &Domain, path: &ForwardPath) -> bool {
    path.address().is_some_and(|address| {
        address.domain() == Some(hostname)
            && address.local().as_str().eq_ignore_ascii_case("postmaster")
    })
}

/// The account's address with the subaddress it was named by, for rules that sort by it.
fn tagged(account: &Address, tag: Option<&str>) -> Address {
    let Some(tag) = tag.filter(|tag| !tag.is_empty()) else { return account.clone() };
    let separator = directory::limits::SUBADDRESS_SEPARATOR;
    let local = format!("{}{separator}{tag}", account.local().as_str());
    match LocalPart::from_meaning(&local) {
        Ok(local) => Address::new(local, account.host().clone()),
        Err(_) => account.clone(),
    }
}

/// The admin has to mend it, and will; the sender's system tries again meanwhile.
fn nowhere(why: Nowhere) -> Rejection {
    let cause = match why {
        Nowhere::Loop => "the alias leads back to itself",
        Nowhere::Dangling => "the alias leads to names that do not exist",
        Nowhere::TooLarge => "the alias leads to too many addresses",
    };
    Rejection::temporary(
        ReplyCode::LOCAL_ERROR,
        EnhancedCode::temporary(3, 5),
        Fault::Ours,
        "this name is not set up rightly here, try again later",
    )
    .because(cause)
}
