//! The way of a name, step by step, for people who want to see where their letters go. It follows
//! the rules of `snapshot`, which decide; this only tells.

use std::collections::HashSet;
use std::fmt;

use protocol::address::Address;

use crate::limits::{ALIAS_DEPTH, EXPANSION, SUBADDRESS_SEPARATOR};
use crate::snapshot::{Snapshot, canonical};

/// One step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// How many aliases lead here.
    pub depth: usize,
    /// The name that was looked at.
    pub address: Address,
    /// What it is.
    pub is: Stop,
}

/// What a name is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// A mailbox; this one, if the name was another form of it.
    Mailbox(Address),
    /// An alias for these.
    Alias(Vec<Address>),
    /// Nobody's; the domain's catch-all takes it.
    CatchAll(Address),
    /// A name that every domain must have; this is who reads it here.
    Postmaster(Address),
    /// Of a domain that is not hosted here: the letter leaves.
    Outside,
    /// Nobody's.
    Nobody,
    /// An alias that was met before: a loop, or a second way to the same.
    MetBefore,
    /// Too far, or too many: what follows is not looked at.
    TooMuch,
}

impl Snapshot {
    /// The way of a letter to `address`, in the order in which it is followed.
    pub fn way(&self, address: &Address) -> Vec<Step> {
        let mut way = Way { snapshot: self, steps: Vec::new(), met: HashSet::new() };
        way.follow(address, 0);
        way.steps
    }
}

struct Way<'a> {
    snapshot: &'a Snapshot,
    steps: Vec<Step>,
    met: HashSet<Address>,
}

impl Way<'_> {
    fn follow(&mut self, address: &Address, depth: usize) {
        let address = &canonical(address);
        if depth > ALIAS_DEPTH || self.steps.len() >= EXPANSION {
            self.say(address, depth, Stop::TooMuch);
            return;
        }
        if !self.snapshot.is_ours(address) {
            self.say(address, depth, Stop::Outside);
            return;
        }
        for name in [Some(address.clone()), base_of(address)].into_iter().flatten() {
            if let Some(account) = self.snapshot.account(&name) {
                if name == *address || account.subaddressing {
                    let mailbox = account.address.clone();
                    self.say(address, depth, Stop::Mailbox(mailbox));
                    return;
                }
            } else if let Some(alias) = self.snapshot.alias(&name) {
                if !self.met.insert(alias.address.clone()) {
                    self.say(address, depth, Stop::MetBefore);
                    return;
                }
                self.say(address, depth, Stop::Alias(alias.targets().cloned().collect()));
                alias.targets().for_each(|target| self.follow(target, depth + 1));
                return;
            }
        }
        self.fall_back(address, depth);
    }

    /// What becomes of a name that is not in the directory.
    fn fall_back(&mut self, address: &Address, depth: usize) {
        if ["postmaster", "abuse"].contains(&address.local().as_str()) {
            let found = self.snapshot.lookup(address);
            let reader = match found {
                crate::Found::Account(to) => Some(to.account.address.clone()),
                crate::Found::Alias(to) => to.accounts.first().map(|to| to.account.address.clone()),
                _ => None,
            };
            let stop = reader.map_or(Stop::Nobody, Stop::Postmaster);
            self.say(address, depth, stop);
            return;
        }
        let domain = address.domain().and_then(|name| self.snapshot.domain(name));
        match domain.and_then(|domain| domain.catch_all.clone()) {
            Some(target) => {
                if !self.met.insert(address.clone()) {
                    self.say(address, depth, Stop::MetBefore);
                    return;
                }
                self.say(address, depth, Stop::CatchAll(target.clone()));
                self.follow(&target, depth + 1);
            }
            None => self.say(address, depth, Stop::Nobody),
        }
    }

    fn say(&mut self, address: &Address, depth: usize, is: Stop) {
        self.steps.push(Step { depth, address: address.clone(), is });
    }
}

/// The name without its subaddress.
fn base_of(address: &Address) -> Option<Address> {
    let (base, tag) = address.local().split_tag(SUBADDRESS_SEPARATOR);
    tag.map(|_| Address::new(base, address.host().clone()))
}

impl Stop {
    /// One word for programs.
    pub fn as_str(&self) -> &'static str {
        match self {
            Stop::Mailbox(_) => "mailbox",
            Stop::Alias(_) => "alias",
            Stop::CatchAll(_) => "catch-all",
            Stop::Postmaster(_) => "postmaster",
            Stop::Outside => "outside",
            Stop::Nobody => "nobody",
            Stop::MetBefore => "met-before",
            Stop::TooMuch => "too-much",
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let address = &self.address;
        match &self.is {
            Stop::Mailbox(own) if own == address => write!(f, "{address}: a mailbox"),
            Stop::Mailbox(own) => write!(f, "{address}: the mailbox {own}"),
            Stop::Alias(to) => write!(f, "{address}: an alias for {} addresses", to.len()),
            Stop::CatchAll(to) => write!(f, "{address}: nobody's name; the catch-all is {to}"),
            Stop::Postmaster(to) => write!(f, "{address}: a name every domain has; {to} reads it"),
            Stop::Outside => write!(f, "{address}: leaves for another system"),
            Stop::Nobody => write!(f, "{address}: nobody here; refused"),
            Stop::MetBefore => write!(f, "{address}: met before; not followed again"),
            Stop::TooMuch => write!(f, "{address}: too far; not followed"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::snapshot::{Account, Alias, HostedDomain, Quota};

    fn snapshot() -> Snapshot {
        let address = |text: &str| text.parse::<Address>().unwrap();
        let alias = |name: &str, to: &[&str]| Alias {
            address: address(name),
            to: to.iter().map(|to| address(to)).collect(),
            include: None,
        };
        let domains = vec![HostedDomain {
            name: "red.test".parse().unwrap(),
            catch_all: Some(address("rest@red.test")),
        }];
        let account = |name: &str| Account {
            address: address(name),
            quota: Quota::default(),
            subaddressing: true,
            gateway_for: Vec::new(),
        };
        let accounts = vec![account("alice@red.test"), account("rest@red.test")];
        let aliases = vec![
            alias("team@red.test", &["alice@red.test", "all@red.test", "x@blue.test"]),
            alias("all@red.test", &["team@red.test", "alice+all@red.test", "typo@red.test"]),
        ];
        Snapshot::new(1, domains, accounts, aliases)
    }

    #[test]
    fn each_step_is_told_and_loops_end() {
        let way = snapshot().way(&"Team@red.test".parse().unwrap());
        let told: Vec<String> =
            way.iter().map(|step| format!("{} {}", step.depth, step.is.as_str())).collect();
        assert_eq!(
            told,
            [
                "0 alias",
                "1 mailbox",
                "1 alias",
                "2 met-before",
                "2 mailbox",
                "2 catch-all",
                "3 mailbox",
                "1 outside"
            ]
        );
        assert!(way.iter().any(|step| step.to_string().contains("the mailbox alice@red.test")));
    }

    #[test]
    fn what_is_not_in_the_directory() {
        let one = |name: &str| snapshot().way(&name.parse().unwrap()).remove(0).is;
        assert_eq!(one("x@elsewhere.test"), Stop::Outside);
        assert_eq!(one("postmaster@red.test"), Stop::Postmaster("alice@red.test".parse().unwrap()));
        assert!(matches!(one("nobody@red.test"), Stop::CatchAll(_)));
    }
}
