//! The directory at one moment, as agents look things up in it: immutable, shared, without secrets.
//! Reading it from its file is done in `file`, changing it in `store`.

use crate::limits::{ALIAS_DEPTH, EXPANSION, SUBADDRESS_SEPARATOR};
use protocol::address::{Address, Domain, ForwardPath, LocalPart};
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

/// A domain whose mail is ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostedDomain {
    /// Its name.
    pub name: Domain,
    /// Where letters for names that do not exist go; `None`: they are refused.
    pub catch_all: Option<Address>,
}

/// A person with a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The full address, in lower case: it names the mailbox too.
    pub address: Address,
    /// How much the mailbox may hold.
    pub quota: Quota,
    /// Whether `name+anything` is theirs too (RFC 5233).
    pub subaddressing: bool,
    /// Domains for which we are the smarthost: a system that logs in as this account hands us
    /// their mail, so it may send as any address of theirs. Empty for a person.
    pub gateway_for: Vec<Domain>,
}

/// How much a mailbox may hold. `None`: as much as there is room for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// In octets.
    pub bytes: Option<u64>,
    /// In letters.
    pub letters: Option<u64>,
}

/// A name that stands for other addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name, in lower case.
    pub address: Address,
    /// What it stands for: accounts, other aliases, addresses elsewhere.
    pub to: Vec<Address>,
    /// A file whose addresses it stands for too.
    pub include: Option<Include>,
}

/// A file of addresses, one a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Include {
    /// Its name, below the directory's folder.
    pub file: String,
    /// What stood in it when it was read.
    pub addresses: Vec<Address>,
}

impl Alias {
    /// All that it stands for, those of its file last.
    pub fn targets(&self) -> impl Iterator<Item = &Address> {
        let included = self.include.iter().flat_map(|include| &include.addresses);
        self.to.iter().chain(included)
    }
}

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A person's own, perhaps with a subaddress.
    Account(Recipient),
    /// A name that stands for others. The letter goes to each once.
    Alias(Expansion),
    /// An alias that leads to nobody: the admin must mend it. Not the sender's fault, so a
    /// temporary refusal fits.
    Nowhere(Nowhere),
    /// The domain is ours and has no such name: 550 5.1.1.
    Unknown,
    /// The domain is not ours: relaying.
    NotOurs,
}

/// Why an alias leads nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nowhere {
    /// Only back to itself.
    Loop,
    /// To names of ours that do not exist.
    Dangling,
    /// To more than [`EXPANSION`] addresses, or over more than [`ALIAS_DEPTH`] aliases.
    TooLarge,
}

/// An account as the recipient of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// Whose mailbox.
    pub account: Arc<Account>,
    /// The subaddress, without its separator.
    pub tag: Option<String>,
}

/// What an alias stands for in the end, nobody twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Expansion {
    /// Mailboxes here.
    pub accounts: Vec<Recipient>,
    /// Addresses elsewhere.
    pub outside: Vec<Address>,
}

/// The directory at one moment.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    revision: u64,
    domains: Vec<HostedDomain>,
    accounts: HashMap<Address, Arc<Account>>,
    aliases: HashMap<Address, Arc<Alias>>,
    /// The first account of the file: the postmaster where nobody else is.
    first: Option<Arc<Account>>,
}

impl Snapshot {
    /// Puts a snapshot together; the parts have been checked against each other.
    pub(crate) fn new(
        revision: u64,
        domains: Vec<HostedDomain>,
        accounts: Vec<Account>,
        aliases: Vec<Alias>,
    ) -> Self {
        let accounts: Vec<Arc<Account>> = accounts.into_iter().map(Arc::new).collect();
        let first = accounts.first().cloned();
        let by_address = |account: Arc<Account>| (account.address.clone(), account);
        let accounts = accounts.into_iter().map(by_address).collect();
        let by_address = |alias: Alias| (alias.address.clone(), Arc::new(alias));
        let aliases = aliases.into_iter().map(by_address).collect();
        Self { revision, domains, accounts, aliases, first }
    }

    /// Counts the changes made so far.
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// The domains hosted here, in the file's order.
    pub fn domains(&self) -> &[HostedDomain] {
        &self.domains
    }

    /// The hosted domain of this name.
    pub fn domain(&self, name: &Domain) -> Option<&HostedDomain> {
        self.domains.iter().find(|domain| domain.name == *name)
    }

    /// Whether mail for this address ends here.
    pub fn is_ours(&self, address: &Address) -> bool {
        address.domain().is_some_and(|name| self.domain(name).is_some())
    }

    /// All accounts, in no order.
    pub fn accounts(&self) -> impl Iterator<Item = &Arc<Account>> {
        self.accounts.values()
    }

    /// All aliases, in no order.
    pub fn aliases(&self) -> impl Iterator<Item = &Arc<Alias>> {
        self.aliases.values()
    }

    /// The account of exactly this name, in any case; no aliases, no subaddress.
    pub fn account(&self, address: &Address) -> Option<&Arc<Account>> {
        self.accounts.get(&canonical(address))
    }

    /// The alias of exactly this name.
    pub(crate) fn alias(&self, address: &Address) -> Option<&Arc<Alias>> {
        self.aliases.get(&canonical(address))
    }

    /// The account that logs in with `name`: the full address, or the bare name where only one
    /// domain is hosted.
    pub fn login(&self, name: &str) -> Option<&Arc<Account>> {
        if name.contains('@') {
            return self.account(&name.parse().ok()?);
        }
        let [only] = &self.domains[..] else { return None };
        let local: LocalPart = name.parse().ok()?;
        self.account(&Address::new(local, only.name.clone()))
    }

    /// Whose the recipient of a RCPT is. The bare `postmaster` is that of the first domain.
    pub fn lookup_path(&self, path: &ForwardPath) -> Found {
        if let Some(address) = path.address() {
            return self.lookup(address);
        }
        match self.postmaster() {
            Some(account) => Found::Account(Recipient { account, tag: None }),
            None => Found::Unknown,
        }
    }

    /// Whose an address is.
    pub fn lookup(&self, address: &Address) -> Found {
        if !self.is_ours(address) {
            return Found::NotOurs;
        }
        let address = canonical(address);
        match self.name(&address) {
            Some(Name::Account(recipient)) => Found::Account(recipient),
            Some(Name::Alias(alias)) => self.expand(&alias),
            None => Found::Unknown,
        }
    }

    /// Whether this account gets the mail of that address, and so may send as it; or whether it is
    /// the gateway of that address's domain.
    pub fn may_send_as(&self, account: &Account, address: &Address) -> bool {
        if address.domain().is_some_and(|domain| account.gateway_for.contains(domain)) {
            return true;
        }
        match self.lookup(address) {
            Found::Account(recipient) => recipient.account.address == account.address,
            Found::Alias(expansion) => {
                expansion.accounts.iter().any(|to| to.account.address == account.address)
            }
            Found::Nowhere(_) | Found::Unknown | Found::NotOurs => false,
        }
    }

    /// What stands under a name of ours: itself, what it is without its tag, what every domain
    /// must have, the catch-all; in this order.
    fn name(&self, address: &Address) -> Option<Name> {
        if let Some(name) = self.exact(address, None) {
            return Some(name);
        }
        if let (base, Some(tag)) = address.local().split_tag(SUBADDRESS_SEPARATOR) {
            let base = Address::new(base, address.host().clone());
            if let Some(name) = self.exact(&base, Some(tag)) {
                return Some(name);
            }
        }
        // RFC 5321 §4.5.1 and RFC 2142 §4: these are read by somebody in every domain.
        if ["postmaster", "abuse"].contains(&address.local().as_str()) {
            let local = LocalPart::from_meaning("postmaster").ok()?;
            let own = Address::new(local, address.host().clone());
            return self.exact(&own, None).or_else(|| {
                let account = self.postmaster()?;
                Some(Name::Account(Recipient { account, tag: None }))
            });
        }
        let catch_all = self.domain(address.domain()?)?.catch_all.clone()?;
        Some(Name::Alias(Arc::new(Alias {
            address: address.clone(),
            to: vec![catch_all],
            include: None,
        })))
    }

    /// `tag`: what was taken off the name, if something was.
    fn exact(&self, address: &Address, tag: Option<&str>) -> Option<Name> {
        if let Some(account) = self.accounts.get(address) {
            if tag.is_some() && !account.subaddressing {
                return None;
            }
            let tag = tag.map(str::to_owned);
            return Some(Name::Account(Recipient { account: account.clone(), tag }));
        }
        self.aliases.get(address).map(|alias| Name::Alias(alias.clone()))
    }

    /// The postmaster of the first domain: its account or the first mailbox its alias leads to,
    /// else the first account there is.
    fn postmaster(&self) -> Option<Arc<Account>> {
        let local = LocalPart::from_meaning("postmaster").ok()?;
        let name = Address::new(local, self.domains.first()?.name.clone());
        let found = match self.exact(&name, None) {
            Some(Name::Account(recipient)) => Some(recipient.account),
            Some(Name::Alias(alias)) => match self.expand(&alias) {
                Found::Alias(to) => to.accounts.into_iter().next().map(|to| to.account),
                _ => None,
            },
            None => None,
        };
        found.or_else(|| self.first.clone())
    }

    fn expand(&self, alias: &Arc<Alias>) -> Found {
        let mut walk = Walk::default();
        if walk.follow(self, alias, 0).is_err() {
            return Found::Nowhere(Nowhere::TooLarge);
        }
        let Walk { expansion, looped, .. } = walk;
        if expansion.accounts.is_empty() && expansion.outside.is_empty() {
            return Found::Nowhere(if looped { Nowhere::Loop } else { Nowhere::Dangling });
        }
        Found::Alias(expansion)
    }
}

/// The form in which names of ours are compared and kept: in lower case. RFC 5321 §2.4 leaves the
/// case of a local part to its host; nobody wants `Alice` and `alice` to be two people.
pub(crate) fn canonical(address: &Address) -> Address {
    let local = address.local().as_str();
    if !local.chars().any(char::is_uppercase) {
        return address.clone();
    }
    let Ok(lower) = LocalPart::from_meaning(&local.to_lowercase()) else { return address.clone() };
    Address::new(lower, address.host().clone())
}

enum Name {
    Account(Recipient),
    Alias(Arc<Alias>),
}

/// One expansion under way.
#[derive(Default)]
struct Walk {
    seen: HashSet<Address>,
    expansion: Expansion,
    looped: bool,
}

/// More than an alias may hold.
struct TooLarge;

impl Walk {
    fn follow(&mut self, snapshot: &Snapshot, alias: &Alias, depth: usize) -> Result<(), TooLarge> {
        if depth > ALIAS_DEPTH {
            return Err(TooLarge);
        }
        if !self.seen.insert(alias.address.clone()) {
            self.looped = true;
            return Ok(());
        }
        for target in alias.targets() {
            if self.expansion.accounts.len() + self.expansion.outside.len() >= EXPANSION {
                return Err(TooLarge);
            }
            if !snapshot.is_ours(target) {
                if !self.expansion.outside.contains(target) {
                    self.expansion.outside.push(target.clone());
                }
                continue;
            }
            match snapshot.name(&canonical(target)) {
                Some(Name::Alias(next)) => self.follow(snapshot, &next, depth + 1)?,
                // One letter for one mailbox, under whichever of its names came first.
                Some(Name::Account(to)) => {
                    let known = |had: &Recipient| had.account.address == to.account.address;
                    if !self.expansion.accounts.iter().any(known) {
                        self.expansion.accounts.push(to);
                    }
                }
                None => {}
            }
        }
        Ok(())
    }
}
