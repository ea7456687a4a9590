//! Greylisting: who is not known yet is asked to come again. Programs that send mail do; most that
//! send junk do not. Who came again, or whose domain vouches for the address (SPF), is known for
//! five weeks and not delayed again, from whichever of its addresses. Pure but for the text form:
//! the time comes in, and the caller keeps the text.
//!
//! A sender with many addresses does not wait for ever: where its domain vouches for them they are
//! one; else the third network that brings the same sender and recipient is let in.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::time::Duration;

use crate::limits;

/// Who wants to send what.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// From where.
    pub ip: IpAddr,
    /// The domain of the reverse-path, lower case; the HELO name for the null one.
    pub domain: &'a str,
    /// The reverse-path and the recipient, in any fixed form.
    pub pair: &'a str,
    /// Whether the domain vouches for the address (SPF pass).
    pub vouched: bool,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advice {
    /// Take it, and why.
    Pass(&'static str),
    /// Ask it to come again after so long.
    Wait(Duration),
}

/// Who is known, and who was asked to come again.
#[derive(Debug, Default)]
pub struct Greylist {
    known: HashMap<String, u64>,
    /// Since when somebody waits, and the networks it came from.
    waiting: HashMap<String, Waiting>,
    changed: bool,
}

#[derive(Debug)]
struct Waiting {
    since: u64,
    networks: Vec<String>,
}

impl Greylist {
    /// What is to be done with this attempt, where a new sender waits for `delay`.
    pub fn judge(&mut self, attempt: Attempt<'_>, delay: Duration) -> Advice {
        let place = place(attempt);
        if self.is_known(&place, attempt.now) {
            return Advice::Pass("known");
        }
        let network = network(attempt.ip);
        let key = format!("{} {}", attempt.domain, attempt.pair);
        let delay = delay.as_secs();
        let fresh = self.waiting.get(&key).is_some_and(|waiting| {
            attempt.now.saturating_sub(waiting.since) < limits::GREYLIST_RETRY.as_secs()
        });
        if !fresh {
            make_room(&mut self.waiting, |waiting| waiting.since);
            let waiting = Waiting { since: attempt.now, networks: vec![network] };
            self.waiting.insert(key, waiting);
            return Advice::Wait(Duration::from_secs(delay));
        }
        let Some(waiting) = self.waiting.get_mut(&key) else {
            return Advice::Pass("known");
        };
        let waited = attempt.now.saturating_sub(waiting.since);
        let same = waiting.networks.contains(&network) || attempt.vouched;
        if !same && waiting.networks.len() < limits::GREYLIST_NETWORKS {
            waiting.networks.push(network);
        }
        let many = waiting.networks.len() >= limits::GREYLIST_NETWORKS;
        if waited < delay {
            return Advice::Wait(Duration::from_secs(delay - waited));
        }
        if !same && !many {
            return Advice::Wait(Duration::from_secs(delay));
        }
        self.waiting.remove(&key);
        self.know(place, attempt.now);
        Advice::Pass(if same { "came again" } else { "came again from several networks" })
    }

    /// The sender has proven itself (its letter was taken, and SPF or DKIM stood for it): it is not
    /// delayed again, from this network or, vouched for, from any.
    pub fn proven(&mut self, attempt: Attempt<'_>) {
        let place = place(attempt);
        // Writing the same down for each letter would wear the disk for nothing.
        let fresh = self.known.get(&place).is_some_and(|known| {
            attempt.now.saturating_sub(*known) <= limits::GREYLIST_REFRESH.as_secs()
        });
        if !fresh {
            self.know(place, attempt.now);
        }
    }

    fn is_known(&mut self, place: &str, now: u64) -> bool {
        let Some(since) = self.known.get_mut(place) else { return false };
        if now.saturating_sub(*since) >= limits::GREYLIST_KNOWN.as_secs() {
            return false;
        }
        if now.saturating_sub(*since) > limits::GREYLIST_REFRESH.as_secs() {
            *since = now;
            self.changed = true;
        }
        true
    }

    fn know(&mut self, place: String, now: u64) {
        make_room(&mut self.known, |since| *since);
        self.known.insert(place, now);
        self.changed = true;
    }

    /// Whether there is something to be kept since the last call.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Who is known, as text: one line each.
    pub fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\n");
        let mut known: Vec<(&String, &u64)> = self.known.iter().collect();
        known.sort();
        for (place, since) in known {
            let _ = writeln!(text, "{since} {place}");
        }
        text
    }

    /// Reads what [`to_text`](Self::to_text) wrote; lines that cannot be read are passed over: who
    /// is forgotten waits once more.
    pub fn from_text(text: &str) -> Self {
        let mut lines = text.lines();
        let mut greylist = Greylist::default();
        if lines.next() != Some(FORMAT) {
            return greylist;
        }
        for line in lines.take(limits::GREYLIST_ENTRIES) {
            if let Some((since, place)) = line.split_once(' ')
                && let Ok(since) = since.parse()
            {
                greylist.known.insert(place.to_owned(), since);
            }
        }
        greylist
    }
}

/// By what a sender is known: its domain where that vouches, else its network and domain.
fn place(attempt: Attempt<'_>) -> String {
    let domain: String = attempt.domain.chars().filter(char::is_ascii_graphic).collect();
    match attempt.vouched {
        true => format!("* {domain}"),
        false => format!("{} {domain}", network(attempt.ip)),
    }
}

/// The network of an address: 256 neighbours in IPv4, a /64 in IPv6.
pub fn network(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            format!("{a}.{b}.{c}.0/24")
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits() >> 64 << 64;
            format!("{}/64", std::net::Ipv6Addr::from_bits(bits))
        }
    }
}

/// Drops the older half of a map that is full.
fn make_room<V>(map: &mut HashMap<String, V>, since: impl Fn(&V) -> u64) {
    if map.len() < limits::GREYLIST_ENTRIES {
        return;
    }
    let mut times: Vec<u64> = map.values().map(&since).collect();
    times.sort_unstable();
    let middle = times.get(times.len() / 2).copied().unwrap_or(0);
    map.retain(|_, value| since(value) > middle);
}

/// The first line of the text.
const FORMAT: &str = "posthaste-greylist 1";

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_secs(60);

    fn attempt(ip: &str, now: u64) -> Attempt<'static> {
        let ip = ip.parse().unwrap();
        Attempt { ip, domain: "red.test", pair: "a@red.test b@blue.test", vouched: false, now }
    }

    #[test]
    fn who_comes_again_is_known() {
        let mut list = Greylist::default();
        assert_eq!(list.judge(attempt("192.0.2.1", 1000), DELAY), Advice::Wait(DELAY));
        let early = list.judge(attempt("192.0.2.1", 1020), DELAY);
        assert_eq!(early, Advice::Wait(Duration::from_secs(40)));
        assert_eq!(list.judge(attempt("192.0.2.9", 1061), DELAY), Advice::Pass("came again"));
        assert_eq!(list.judge(attempt("192.0.2.1", 90_000), DELAY), Advice::Pass("known"));
        let text = list.to_text();
        let mut read = Greylist::from_text(&text);
        assert_eq!(read.to_text(), text);
        assert_eq!(read.judge(attempt("192.0.2.2", 90_001), DELAY), Advice::Pass("known"));
        let weeks = limits::GREYLIST_KNOWN.as_secs() + 90_002;
        assert_eq!(read.judge(attempt("192.0.2.2", weeks), DELAY), Advice::Wait(DELAY));
    }

    #[test]
    fn a_sender_with_many_addresses_does_not_wait_for_ever() {
        let mut list = Greylist::default();
        let vouched = |ip, now| Attempt { vouched: true, ..attempt(ip, now) };
        assert_eq!(list.judge(vouched("192.0.2.1", 1000), DELAY), Advice::Wait(DELAY));
        assert_eq!(list.judge(vouched("198.51.100.1", 1100), DELAY), Advice::Pass("came again"));
        assert_eq!(list.judge(vouched("2001:db8::1", 1200), DELAY), Advice::Pass("known"));
        let mut list = Greylist::default();
        let mut waits = 0;
        for n in 0..20u64 {
            let ip = format!("10.{n}.0.1");
            match list.judge(attempt(&ip, 1000 + n * 100), DELAY) {
                Advice::Wait(_) => waits += 1,
                Advice::Pass(_) => break,
            }
        }
        assert!(waits < 4, "{waits} waits");
    }

    #[test]
    fn a_proven_sender_is_never_delayed() {
        let mut list = Greylist::default();
        list.proven(attempt("192.0.2.1", 1000));
        assert!(list.take_changed() && !list.take_changed());
        assert_eq!(list.judge(attempt("192.0.2.7", 1001), DELAY), Advice::Pass("known"));
    }

    #[test]
    fn it_stays_within_its_bound() {
        let mut list = Greylist::default();
        for n in 0..(limits::GREYLIST_ENTRIES as u64 + 100) {
            let domain = format!("d{n}.test");
            list.judge(Attempt { domain: &domain, ..attempt("192.0.2.1", n) }, DELAY);
        }
        assert!(list.waiting.len() <= limits::GREYLIST_ENTRIES);
        assert!(Greylist::from_text("garbage\n1 x").known.is_empty());
    }
}
