//! When a batch begins. Whoever is alone is served at once. Where several ask at the same time, a
//! batch waits for a little more than half of them, so that it and the next one take turns: while
//! one part waits for its barrier, the other brings its next letters. A little more, because some
//! are always late. The wait is bounded by the time that a barrier takes, which is what company
//! saves.
//!
//! It decides and does nothing: no clock, no thread. Only the loop that runs in a thread of its own
//! uses it; stepped by hand, a batch is what waits.

use std::time::Duration;

use crate::limits::{GATHER_BARRIERS, GATHER_MOST};

#[derive(Debug, Default)]
pub(super) struct Gather {
    /// How many ask at the same time, as far as the last batches have shown.
    together: usize,
    /// How long the last barrier took.
    barrier: Duration,
    /// Since when a request waits.
    since: Option<Duration>,
}

impl Gather {
    /// How many requests a batch is worth.
    pub(super) fn wanted(&self) -> usize {
        match self.together {
            few @ 0..5 => few.div_ceil(2).max(1),
            many => (many * 3).div_ceil(5),
        }
    }

    /// How much longer those that wait are to wait for others; `None`: not at all.
    pub(super) fn wait(&mut self, waiting: usize, now: Duration) -> Option<Duration> {
        if waiting >= self.wanted() {
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let until = since + (self.barrier * GATHER_BARRIERS).min(GATHER_MOST);
        until.checked_sub(now).filter(|wait| !wait.is_zero())
    }

    /// A batch is done. `waiting` came while it was made: none of them can be of those in it.
    pub(super) fn done(&mut self, batch: usize, waiting: usize, barrier: Option<Duration>) {
        self.since = None;
        self.barrier = barrier.unwrap_or(self.barrier);
        let seen = batch + waiting;
        self.together = match self.together.checked_sub(seen) {
            // Some may have been slow, or have gone.
            Some(missing) => self.together - missing.div_ceil(8),
            None => seen,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BARRIER: Duration = Duration::from_micros(300);

    #[test]
    fn who_is_alone_never_waits() {
        let mut gather = Gather::default();
        for second in 0..50 {
            assert_eq!(gather.wait(1, Duration::from_secs(second)), None);
            gather.done(1, 0, Some(BARRIER));
        }
    }

    #[test]
    fn most_of_those_who_were_here_are_waited_for_and_no_longer_than_it_pays() {
        let mut gather = Gather::default();
        gather.done(6, 4, Some(BARRIER));
        assert_eq!(gather.wanted(), 6);
        let begun = Duration::from_secs(1);
        let most = BARRIER * GATHER_BARRIERS;
        assert_eq!(gather.wait(2, begun), Some(most));
        assert_eq!(gather.wait(4, begun + most / 2), Some(most / 2));
        assert_eq!(gather.wait(4, begun + most), None, "they do not come");
        assert_eq!(gather.wait(6, begun), None, "enough are here");
        gather.done(1, 0, Some(Duration::from_secs(3)));
        assert!(gather.wait(1, begun).is_some_and(|wait| wait <= GATHER_MOST), "a slow disk");
    }

    #[test]
    fn who_stays_alone_is_served_at_once_again_soon() {
        let mut gather = Gather::default();
        gather.done(50, 0, Some(BARRIER));
        let waits = (0..).take_while(|second| {
            let waits = gather.wait(1, Duration::from_secs(*second)).is_some();
            gather.done(1, 0, Some(BARRIER));
            waits
        });
        assert!(waits.count() < 30);
    }
}
