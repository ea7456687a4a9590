//! How much goes on at once, overall and towards each way, and which ways are not well: after a
//! connection that failed, the other letters of that way wait without trying it one by one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::machine::Tick;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::route::Way;
use crate::limits::{TRIPS, TRIPS_PER_WAY, UNWELL, WAYS_REMEMBERED};
use crate::reason::{Failure, Reason};

/// Places for trips, and what is known of ways.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    ways: Mutex<HashMap<Way, Known>>,
}

#[derive(Debug)]
struct Known {
    places: Arc<Semaphore>,
    unwell: Option<(Tick, Failure)>,
}

/// A trip may go on while this is held.
#[derive(Debug)]
pub(crate) struct Slot {
    _way: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Default for Slots {
    fn default() -> Self {
        Slots { all: Arc::new(Semaphore::new(TRIPS)), ways: Mutex::default() }
    }
}

impl Slots {
    /// Waits for a place. The way's own comes first, so that letters for a slow one do not take
    /// the places of others while they wait.
    pub(crate) async fn take(&self, way: &Way) -> Option<Slot> {
        let places = {
            let mut ways = self.ways();
            if ways.len() >= WAYS_REMEMBERED {
                // Those without trips and in good health have nothing to remember.
                ways.retain(|_, known| {
                    known.unwell.is_some() || known.places.available_permits() < TRIPS_PER_WAY
                });
            }
            ways.entry(way.clone()).or_insert_with(Known::new).places.clone()
        };
        let way = places.acquire_owned().await.ok()?;
        let all = self.all.clone().acquire_owned().await.ok()?;
        Some(Slot { _way: way, _all: all })
    }

    /// Why `way` is not worth a connection at the moment.
    pub(crate) fn unwell(&self, way: &Way, now: Tick) -> Option<Failure> {
        let mut ways = self.ways();
        let known = ways.get_mut(way)?;
        match &known.unwell {
            Some((until, failure)) if now < *until => Some(failure.clone()),
            Some(_) => {
                known.unwell = None;
                None
            }
            None => None,
        }
    }

    /// Takes every way for well again: an operator who asks for a retry wants it tried.
    pub(crate) fn forgive(&self) {
        for known in self.ways().values_mut() {
            known.unwell = None;
        }
    }

    /// What a trip said about the way itself: nobody could be spoken to, or somebody was.
    pub(crate) fn learn(
        &self,
        way: &Way,
        failure: Option<&Failure>,
        (now, first): (Tick, Duration),
    ) {
        let mut ways = self.ways();
        let Some(known) = ways.get_mut(way) else { return };
        known.unwell = failure
            .filter(|failure| is_about_the_way(failure))
            // Never so long that a letter's own next attempt would fall into it.
            .map(|failure| (now.after(UNWELL.min(first / 2)), failure.clone()));
    }

    fn ways(&self) -> MutexGuard<'_, HashMap<Way, Known>> {
        self.ways.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn new() -> Self {
        Known { places: Arc::new(Semaphore::new(TRIPS_PER_WAY)), unwell: None }
    }
}

/// Whether another letter would have fared the same.
fn is_about_the_way(failure: &Failure) -> bool {
    let kinds = [Reason::Network, Reason::Dns, Reason::Tls];
    !failure.is_permanent() && failure.verb.is_none() && kinds.contains(&failure.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn way() -> Way {
        Way::Exchangers("blue.test".parse().expect("a domain"))
    }

    #[tokio::test]
    async fn a_way_that_cannot_be_reached_is_left_alone_for_a_while() {
        let slots = Slots::default();
        let slot = slots.take(&way()).await;
        let now = Tick::from_micros(1_000_000);
        let gone = Failure::temporary(Reason::Network, (4, 1), "no connection");
        let first = Duration::from_secs(60);
        slots.learn(&way(), Some(&gone), (now, first));
        assert_eq!(slots.unwell(&way(), now), Some(gone));
        assert_eq!(slots.unwell(&way(), now.after(first / 2)), None, "then it is tried again");
        let greylisted = Failure::temporary(Reason::Greylisted, (7, 1), "later");
        slots.learn(&way(), Some(&greylisted), (now, first));
        assert_eq!(slots.unwell(&way(), now), None, "a matter of the letter");
        drop(slot);
    }

    #[tokio::test]
    async fn places_of_one_way_are_bounded_and_given_back() {
        let (slots, way) = (Slots::default(), way());
        let mut held = Vec::new();
        for _ in 0..TRIPS_PER_WAY {
            held.push(slots.take(&way).await.expect("a place"));
        }
        let mut waiting = std::pin::pin!(slots.take(&way));
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        assert!(slots.take(&Way::Smarthost).await.is_some(), "another way has places");
        held.pop();
        assert!(waiting.await.is_some());
    }
}
