//! Recipients per account within the last hour: what shows a stolen password before the world does.
//! Pure; kept in memory, so a restart forgets it.

use crate::limits::{RATE_ACCOUNTS, RATE_PARTS};
use protocol::machine::Tick;
use std::{collections::HashMap, time::Duration};

/// The counts.
#[derive(Debug, Default)]
pub(crate) struct Rate {
    accounts: HashMap<String, Parts>,
}

/// The counts of one account, by twelfths of an hour.
#[derive(Debug, Default)]
struct Parts {
    counts: [u32; RATE_PARTS],
    /// Number of the newest part since the clock's beginning.
    newest: u64,
}

const PART: Duration = Duration::from_secs(3600 / RATE_PARTS as u64);

impl Rate {
    /// Counts one more recipient; the sum of the last hour, this one included.
    pub(crate) fn count(&mut self, now: Tick, account: &str) -> u32 {
        if self.accounts.len() >= RATE_ACCOUNTS && !self.accounts.contains_key(account) {
            let part = part_of(now);
            self.accounts.retain(|_, parts| part - parts.newest.min(part) < RATE_PARTS as u64);
        }
        let parts = self.accounts.entry(account.to_owned()).or_default();
        parts.turn_to(part_of(now));
        if let Some(newest) = parts.counts.first_mut() {
            *newest = newest.saturating_add(1);
        }
        parts.sum()
    }

    /// The sum of the last hour.
    pub(crate) fn sum(&mut self, now: Tick, account: &str) -> u32 {
        let Some(parts) = self.accounts.get_mut(account) else { return 0 };
        parts.turn_to(part_of(now));
        parts.sum()
    }
}

impl Parts {
    /// Forgets what is older than an hour. The newest part is the first.
    fn turn_to(&mut self, part: u64) {
        let passed = part.saturating_sub(self.newest).min(RATE_PARTS as u64) as usize;
        self.counts.rotate_right(passed);
        self.counts.iter_mut().take(passed).for_each(|count| *count = 0);
        self.newest = self.newest.max(part);
    }

    fn sum(&self) -> u32 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }
}

fn part_of(now: Tick) -> u64 {
    now.as_micros() / PART.as_micros() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_counted_and_forgotten() {
        let mut rate = Rate::default();
        let at = |minutes: u64| Tick::from_micros(minutes * 60_000_000);
        assert_eq!(rate.sum(at(0), "alice"), 0);
        for number in 1..=10 {
            assert_eq!(rate.count(at(number), "alice"), number as u32);
        }
        assert_eq!(rate.sum(at(30), "alice"), 10);
        assert_eq!(rate.sum(at(30), "bob"), 0);
        assert_eq!(rate.count(at(59), "alice"), 11);
        assert_eq!(rate.sum(at(65), "alice"), 2, "those of the first ten minutes but the last");
        assert_eq!(rate.sum(at(119), "alice"), 0);
        assert_eq!(rate.sum(at(10_000), "alice"), 0);
    }
}
