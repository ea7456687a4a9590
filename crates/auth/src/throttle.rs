//! How many attempts are too many: failures are counted by network and by name, and forgiven one by
//! one. Pure: the time comes in. It refuses for a while and never for good, and it says when.
//!
//! Somebody who tries passwords on a name from everywhere must not lock its owner out: a network
//! from which the account has logged in well is asked by its own count only.

use crate::limits::{
    COUNTED, FAMILIAR, FAMILIAR_FOR, NAME_FAILURES, NAME_FORGIVEN, PEER_FAILURES, PEER_FORGIVEN,
};
use protocol::machine::Tick;
use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

/// The counts.
#[derive(Debug)]
pub(crate) struct Throttle {
    peers: Buckets<IpAddr>,
    names: Buckets<String>,
    familiar: HashMap<(String, IpAddr), Tick>,
    /// Networks that failed too often, and until when nothing is looked at.
    banned: HashMap<IpAddr, Tick>,
    ban: Duration,
}

impl Throttle {
    pub(crate) fn new() -> Self {
        Self {
            peers: Buckets::new(PEER_FAILURES, PEER_FORGIVEN),
            names: Buckets::new(NAME_FAILURES, NAME_FORGIVEN),
            familiar: HashMap::new(),
            banned: HashMap::new(),
            ban: Duration::ZERO,
        }
    }

    /// How many failures one network may have (none: they are not counted), and for how long it is
    /// not listened to after that.
    pub(crate) fn set_bounds(&mut self, failures: u32, ban: Duration) {
        self.peers.capacity = failures;
        self.ban = ban;
    }

    /// How long one from this network must wait before anything is looked at.
    pub(crate) fn peer_wait(&self, now: Tick, peer: Option<IpAddr>) -> Option<Duration> {
        let network = network(peer?);
        let banned = self.banned.get(&network).map(|until| until.since(now));
        let banned = banned.filter(|left| !left.is_zero());
        match self.peers.capacity {
            0 => None,
            _ => banned.max(self.peers.wait(now, &network)),
        }
    }

    /// How long a login by this name must wait.
    pub(crate) fn name_wait(
        &self,
        now: Tick,
        name: &str,
        peer: Option<IpAddr>,
    ) -> Option<Duration> {
        let known = peer.and_then(|peer| self.familiar.get(&(name.to_owned(), network(peer))));
        if known.is_some_and(|since| now.since(*since) < FAMILIAR_FOR) {
            return None;
        }
        self.names.wait(now, name)
    }

    /// A login failed.
    pub(crate) fn failed(&mut self, now: Tick, name: &str, peer: Option<IpAddr>) {
        self.names.add(now, name.to_owned());
        if let Some(peer) = peer {
            let network = network(peer);
            self.peers.add(now, network);
            let is_full = self.peers.wait(now, &network).is_some();
            if is_full && !self.ban.is_zero() && self.peers.capacity > 0 {
                if self.banned.len() >= COUNTED {
                    self.banned.retain(|_, until| *until > now);
                }
                if self.banned.len() < COUNTED {
                    self.banned.insert(network, now.after(self.ban));
                }
            }
        }
    }

    /// A login went well. Failures stay counted: whoever has one good password must not try
    /// others for free.
    pub(crate) fn succeeded(&mut self, now: Tick, name: &str, peer: Option<IpAddr>) {
        let Some(peer) = peer else { return };
        if self.familiar.len() >= FAMILIAR {
            self.familiar.retain(|_, since| now.since(*since) < FAMILIAR_FOR / 2);
        }
        if self.familiar.len() < FAMILIAR {
            self.familiar.insert((name.to_owned(), network(peer)), now);
        }
    }
}

/// One IPv6 customer has a /64 at least; counting single addresses would count nothing.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        v4 => v4,
    }
}

/// Leaky buckets: each failure adds one, each `forgiven` takes one away.
#[derive(Debug)]
struct Buckets<K> {
    capacity: u32,
    forgiven: Duration,
    /// When the bucket of each will be empty.
    empty_at: HashMap<K, Tick>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(capacity: u32, forgiven: Duration) -> Self {
        Self { capacity, forgiven, empty_at: HashMap::new() }
    }

    fn wait<Q>(&self, now: Tick, key: &Q) -> Option<Duration>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        let left = self.empty_at.get(key)?.since(now);
        // The next failure must fit: the bucket holds at most `capacity - 1` then.
        let allowed = self.forgiven * self.capacity.saturating_sub(1);
        left.checked_sub(allowed).filter(|wait| !wait.is_zero())
    }

    fn add(&mut self, now: Tick, key: K) {
        if self.empty_at.len() >= COUNTED && !self.empty_at.contains_key(&key) {
            self.make_room(now);
        }
        let full = now.after(self.forgiven * self.capacity);
        let empty_at = self.empty_at.entry(key).or_insert(now);
        *empty_at = (*empty_at).max(now).after(self.forgiven).min(full);
    }

    /// Forgets the empty, then those nearest to it: one who fails often stays counted.
    fn make_room(&mut self, now: Tick) {
        let mut share = 0;
        while self.empty_at.len() >= COUNTED {
            let bound = now.after(self.forgiven * share);
            self.empty_at.retain(|_, empty_at| *empty_at > bound);
            share += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Tick {
        Tick::from_micros(seconds * 1_000_000)
    }

    fn peer(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_name_is_refused_for_a_while_and_its_owner_is_not() {
        let mut throttle = Throttle::new();
        let (home, stranger) = (peer("192.0.2.1"), peer("203.0.113.9"));
        throttle.succeeded(at(0), "alice", home);
        for attempt in 0..NAME_FAILURES {
            assert_eq!(throttle.name_wait(at(1), "alice", stranger), None, "attempt {attempt}");
            throttle.failed(at(1), "alice", stranger);
        }
        let wait = throttle.name_wait(at(1), "alice", stranger).unwrap();
        assert_eq!(wait, NAME_FORGIVEN);
        assert_eq!(throttle.name_wait(at(1), "alice", peer("198.51.100.7")), Some(NAME_FORGIVEN));
        assert_eq!(throttle.name_wait(at(1), "alice", home), None);
        assert_eq!(throttle.name_wait(at(1), "bob", stranger), None);
        assert_eq!(throttle.name_wait(at(1).after(wait), "alice", stranger), None);
    }

    #[test]
    fn a_network_is_refused_whatever_names_it_tries() {
        let mut throttle = Throttle::new();
        for number in 0..PEER_FAILURES {
            let from = peer(&format!("2001:db8:0:1::{number}"));
            assert_eq!(throttle.peer_wait(at(0), from), None);
            throttle.failed(at(0), &format!("name{number}"), from);
        }
        assert!(throttle.peer_wait(at(0), peer("2001:db8:0:1::ffff")).is_some());
        assert_eq!(throttle.peer_wait(at(0), peer("2001:db8:0:2::1")), None);
        assert_eq!(throttle.peer_wait(at(0), None), None);
        let mapped = peer("::ffff:192.0.2.1").unwrap();
        assert_eq!(network(mapped), peer("192.0.2.1").unwrap());
    }

    #[test]
    fn a_network_that_fails_too_often_is_banned() {
        let mut throttle = Throttle::new();
        let ban = Duration::from_secs(300);
        throttle.set_bounds(3, ban);
        let from = peer("192.0.2.1");
        for number in 0..3 {
            assert_eq!(throttle.peer_wait(at(0), from), None);
            throttle.failed(at(0), &format!("name{number}"), from);
        }
        assert_eq!(throttle.peer_wait(at(1), from), Some(Duration::from_secs(299)));
        assert_eq!(throttle.peer_wait(at(1), peer("192.0.2.2")), None);
        assert_eq!(throttle.peer_wait(at(301), from), None);
        throttle.set_bounds(0, ban);
        assert_eq!(throttle.peer_wait(at(1), from), None, "not counted");
    }

    #[test]
    fn the_tables_are_bounded_and_keep_the_worst() {
        let mut throttle = Throttle::new();
        for _ in 0..NAME_FAILURES {
            throttle.failed(at(0), "worst", None);
        }
        for number in 0..COUNTED + 100 {
            throttle.failed(at(0), &format!("n{number}"), None);
        }
        assert!(throttle.names.empty_at.len() <= COUNTED);
        assert!(throttle.name_wait(at(0), "worst", None).is_some());
        for number in 0..FAMILIAR + 100 {
            throttle.succeeded(at(0), &format!("n{number}"), peer("192.0.2.1"));
        }
        assert!(throttle.familiar.len() <= FAMILIAR);
    }
}
