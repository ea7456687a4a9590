//! Counts of what addresses do, forgotten evenly over time, and bans that follow. Pure: the time
//! comes in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use protocol::machine::Tick;

use crate::limits;

/// So many within so long, for each network.
#[derive(Debug)]
pub struct Meter {
    levels: HashMap<IpAddr, Level>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    /// Events that are not forgotten yet.
    count: f64,
    at: Tick,
}

/// Who is not let in, and until when.
#[derive(Debug, Default)]
pub struct Bans {
    until: HashMap<IpAddr, Tick>,
}

impl Meter {
    /// A meter that has seen nothing.
    pub fn new() -> Self {
        Meter { levels: HashMap::new() }
    }

    /// Counts one more, unless `most` within `span` are reached: then it says how long until the
    /// next is taken. Zero `most`: there is no bound.
    ///
    /// # Errors
    /// How long to wait.
    pub fn take(
        &mut self,
        ip: IpAddr,
        (most, span): (u32, Duration),
        now: Tick,
    ) -> Result<(), Duration> {
        if most == 0 {
            return Ok(());
        }
        let count = self.level(ip, (most, span), now);
        if count + 1.0 > f64::from(most) {
            let each = span.as_secs_f64() / f64::from(most);
            return Err(Duration::from_secs_f64(each.max(1.0)));
        }
        self.set(ip, count + 1.0, now);
        Ok(())
    }

    /// Counts one, whatever the count is; whether `most` within `span` are passed now.
    pub fn add(&mut self, ip: IpAddr, (most, span): (u32, Duration), now: Tick) -> bool {
        if most == 0 {
            return false;
        }
        let count = self.level(ip, (most, span), now) + 1.0;
        self.set(ip, count, now);
        count > f64::from(most)
    }

    fn level(&self, ip: IpAddr, (most, span): (u32, Duration), now: Tick) -> f64 {
        let Some(level) = self.levels.get(&network(ip)) else { return 0.0 };
        let forgotten = now.since(level.at).as_secs_f64() * f64::from(most) / span.as_secs_f64();
        (level.count - forgotten).max(0.0)
    }

    fn set(&mut self, ip: IpAddr, count: f64, now: Tick) {
        if self.levels.len() >= limits::NETWORKS_COUNTED {
            // Who was quiet longest is forgotten first.
            let mut times: Vec<Tick> = self.levels.values().map(|level| level.at).collect();
            times.sort_unstable();
            let middle = times.get(times.len() / 2).copied().unwrap_or_default();
            self.levels.retain(|_, level| level.at > middle);
        }
        self.levels.insert(network(ip), Level { count, at: now });
    }
}

impl Default for Meter {
    fn default() -> Self {
        Meter::new()
    }
}

impl Bans {
    /// Keeps a network out for `span`; nothing for zero.
    pub fn add(&mut self, ip: IpAddr, span: Duration, now: Tick) {
        if span.is_zero() {
            return;
        }
        if self.until.len() >= limits::NETWORKS_COUNTED {
            self.until.retain(|_, until| *until > now);
        }
        if self.until.len() >= limits::NETWORKS_COUNTED {
            self.until.clear();
        }
        self.until.insert(network(ip), now.after(span));
    }

    /// For how much longer a network is kept out.
    pub fn left(&self, ip: IpAddr, now: Tick) -> Option<Duration> {
        let until = self.until.get(&network(ip))?;
        Some(until.since(now)).filter(|left| !left.is_zero())
    }
}

/// By what is counted: the address, or the /64 of IPv6 that one customer has (RFC 6177).
pub fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(v6) => Ipv6Addr::from_bits(v6.to_bits() >> 64 << 64).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPAN: Duration = Duration::from_secs(60);

    #[test]
    fn so_many_within_so_long() {
        let (mut meter, ip) = (Meter::new(), [192, 0, 2, 1].into());
        let at = |seconds: u64| Tick::from_micros(seconds * 1_000_000);
        for _ in 0..3 {
            assert_eq!(meter.take(ip, (3, SPAN), at(1)), Ok(()));
        }
        assert_eq!(meter.take(ip, (3, SPAN), at(1)), Err(Duration::from_secs(20)));
        assert_eq!(meter.take([192, 0, 2, 2].into(), (3, SPAN), at(1)), Ok(()));
        assert_eq!(meter.take(ip, (3, SPAN), at(22)), Ok(()));
        assert!(meter.take(ip, (3, SPAN), at(22)).is_err());
        assert_eq!(meter.take(ip, (0, SPAN), at(22)), Ok(()));
        let neighbours: [IpAddr; 2] =
            ["2001:db8::1".parse().unwrap(), "2001:db8::2".parse().unwrap()];
        assert!(!meter.add(neighbours[0], (1, SPAN), at(22)));
        assert!(meter.add(neighbours[1], (1, SPAN), at(22)), "one customer has a whole /64");
    }

    #[test]
    fn a_ban_ends() {
        let (mut bans, ip) = (Bans::default(), [192, 0, 2, 1].into());
        bans.add(ip, SPAN, Tick::default());
        assert_eq!(bans.left(ip, Tick::from_micros(20_000_000)), Some(Duration::from_secs(40)));
        assert_eq!(bans.left(ip, Tick::from_micros(60_000_000)), None);
        bans.add([192, 0, 2, 2].into(), Duration::ZERO, Tick::default());
        assert_eq!(bans.left([192, 0, 2, 2].into(), Tick::default()), None);
    }

    #[test]
    fn it_stays_within_its_bound() {
        let mut meter = Meter::new();
        for n in 0..(limits::NETWORKS_COUNTED as u32 + 10) {
            let ip = std::net::Ipv4Addr::from_bits(n).into();
            meter.add(ip, (5, SPAN), Tick::from_micros(u64::from(n)));
        }
        assert!(meter.levels.len() <= limits::NETWORKS_COUNTED);
    }
}
