//! How much goes on at once, overall and towards each way, how fast, and which ways are not well.
//!
//! A way begins with few trips at once, gets one more for each that went well and half of them when
//! it complains (slow start and back-off, as TCP does). Only a few letters wait for a way; the
//! others rest, so that a slow or dead one takes no place from anybody else.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use protocol::machine::Tick;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::route::Way;
use crate::limits::{
    ACTIVE_LETTERS, CROWDED, CROWDED_SLOW, PAUSE_FIRST, PAUSE_MAX, TRIPS_FIRST, UNWELL,
    WAYS_REMEMBERED,
};
use crate::reason::{Failure, Reason};

/// Places for trips, and what is known of ways.
#[derive(Debug)]
pub(crate) struct Slots {
    all: Arc<Semaphore>,
    ways: Arc<Mutex<HashMap<Way, Known>>>,
}

/// How much a way may be given, by the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Trips at once.
    pub(crate) most: usize,
    /// Letters in a minute; `None`: as they come.
    pub(crate) per_minute: Option<u32>,
}

#[derive(Debug)]
struct Known {
    /// Trips that may go on at once.
    window: usize,
    /// Trips that go on.
    going: usize,
    /// Letters that wait for one to end.
    waiting: usize,
    freed: Arc<Notify>,
    unwell: Option<(Tick, Failure)>,
    /// It asked for fewer: nothing goes before then.
    paused: Option<Tick>,
    pause: Duration,
    /// The earliest time of the next letter, where there is a rate.
    next: Tick,
}

/// What becomes of a trip that wants to begin.
#[derive(Debug)]
pub(crate) enum Admission {
    /// It may go on while this is held.
    Go(Slot),
    /// Not now: to be asked again after this time.
    Rest(Duration),
    /// The agent ends.
    Never,
}

/// A trip may go on while this is held.
#[derive(Debug)]
pub(crate) struct Slot {
    ways: Arc<Mutex<HashMap<Way, Known>>>,
    way: Way,
    _all: OwnedSemaphorePermit,
}

impl Drop for Slot {
    fn drop(&mut self) {
        if let Some(known) = lock(&self.ways).get_mut(&self.way) {
            known.going = known.going.saturating_sub(1);
            known.freed.notify_one();
        }
    }
}

/// What a look at a way came to.
enum Look {
    Place,
    Rest(Duration),
    Wait(Arc<Notify>),
}

impl Slots {
    /// Places for so many trips.
    pub(crate) fn new(trips: usize) -> Self {
        Slots { all: Arc::new(Semaphore::new(trips.max(1))), ways: Arc::default() }
    }

    /// Asks for a place. The way's own comes first, so that letters for a slow one do not take the
    /// places of others while they wait.
    pub(crate) async fn take(&self, way: &Way, pace: Pace, now: Tick) -> Admission {
        let mut waited = false;
        loop {
            let look = self.look(way, pace, now, std::mem::take(&mut waited));
            match look {
                Look::Place => break,
                Look::Rest(wait) => return Admission::Rest(wait),
                Look::Wait(freed) => {
                    freed.notified().await;
                    waited = true;
                }
            }
        }
        match self.all.clone().acquire_owned().await {
            Ok(permit) => {
                Admission::Go(Slot { ways: self.ways.clone(), way: way.clone(), _all: permit })
            }
            Err(_) => Admission::Never,
        }
    }

    fn look(&self, way: &Way, pace: Pace, now: Tick, has_waited: bool) -> Look {
        let mut ways = lock(&self.ways);
        if ways.len() >= WAYS_REMEMBERED {
            // Those without trips and in good health have nothing to remember.
            ways.retain(|_, it| {
                it.unwell.is_some() || it.paused.is_some() || it.going + it.waiting > 0
            });
        }
        let waiting: usize = ways.values().map(|it| it.waiting).sum();
        let known = ways.entry(way.clone()).or_insert_with(Known::new);
        if has_waited {
            known.waiting = known.waiting.saturating_sub(1);
        }
        if let Some(until) = known.paused.filter(|until| *until > now) {
            return Look::Rest(until.since(now));
        }
        if let Some(wait) = known.rated(pace, now) {
            return Look::Rest(wait);
        }
        if known.going < known.window.min(pace.most.max(1)) {
            known.going += 1;
            return Look::Place;
        }
        if let Some(rest) = known.is_crowded(waiting) {
            return Look::Rest(rest);
        }
        known.waiting += 1;
        Look::Wait(known.freed.clone())
    }

    /// One more transaction on a way that is held already: how long it has to wait, by the rate of
    /// the way and because the other side asked for fewer. `None`: it may begin, and is counted.
    pub(crate) fn rated(&self, way: &Way, pace: Pace, now: Tick) -> Option<Duration> {
        let mut ways = lock(&self.ways);
        let known = ways.get_mut(way)?;
        if let Some(until) = known.paused.filter(|until| *until > now) {
            return Some(until.since(now));
        }
        known.rated(pace, now)
    }

    /// Whether a letter for `way` need not even be opened now, and how long it is to rest.
    pub(crate) fn crowded(&self, way: &Way, now: Tick) -> Option<Duration> {
        let ways = lock(&self.ways);
        let known = ways.get(way)?;
        if let Some(until) = known.paused.filter(|until| *until > now) {
            return Some(until.since(now));
        }
        if known.going < known.window {
            return None;
        }
        known.is_crowded(ways.values().map(|it| it.waiting).sum())
    }

    /// Why `way` is not worth a connection at the moment.
    pub(crate) fn unwell(&self, way: &Way, now: Tick) -> Option<Failure> {
        let mut ways = lock(&self.ways);
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
        for known in lock(&self.ways).values_mut() {
            known.unwell = None;
            known.paused = None;
        }
    }

    /// What a trip said about the way itself: nobody could be spoken to, it wants fewer, or it went
    /// well.
    pub(crate) fn learn(
        &self,
        way: &Way,
        failure: Option<&Failure>,
        (now, first): (Tick, Duration),
    ) {
        let mut ways = lock(&self.ways);
        let Some(known) = ways.get_mut(way) else { return };
        match failure {
            None => {
                known.window += 1;
                known.pause = Duration::ZERO;
                known.paused = None;
                known.unwell = None;
                // One more place than the one that is given back.
                known.freed.notify_one();
            }
            Some(failure) if is_about_the_way(failure) => {
                known.window = TRIPS_FIRST;
                // Never so long that a letter's own next attempt would fall into it.
                known.unwell = Some((now.after(UNWELL.min(first / 2)), failure.clone()));
            }
            Some(failure) if wants_fewer(failure) => {
                known.window = (known.window.min(known.going.max(1)) / 2).max(1);
                known.pause = (known.pause * 2).clamp(PAUSE_FIRST, PAUSE_MAX).min(first);
                known.paused = Some(now.after(known.pause));
            }
            Some(_) => {}
        }
    }
}

fn lock(ways: &Mutex<HashMap<Way, Known>>) -> MutexGuard<'_, HashMap<Way, Known>> {
    ways.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Known {
    /// Whether enough letters wait for this way, of `waiting` for all: each may have half of the
    /// places that are left, so that however many are slow, there are places for others.
    fn is_crowded(&self, waiting: usize) -> Option<Duration> {
        let left = ACTIVE_LETTERS.saturating_sub(waiting);
        let is_slow = self.window <= TRIPS_FIRST;
        let rest = if is_slow { CROWDED_SLOW } else { CROWDED };
        (self.waiting >= left / 2).then_some(rest)
    }

    /// How long the next letter has to wait by the rate; `None`: it may go, and is counted.
    fn rated(&mut self, pace: Pace, now: Tick) -> Option<Duration> {
        let per_minute = pace.per_minute.filter(|rate| *rate > 0)?;
        if self.next > now {
            return Some(self.next.since(now));
        }
        self.next = now.after(Duration::from_secs(60) / per_minute);
        None
    }

    fn new() -> Self {
        Known {
            window: TRIPS_FIRST,
            going: 0,
            waiting: 0,
            freed: Arc::default(),
            unwell: None,
            paused: None,
            pause: Duration::ZERO,
            next: Tick::from_micros(0),
        }
    }
}

/// Whether another letter would have fared the same.
fn is_about_the_way(failure: &Failure) -> bool {
    let kinds = [Reason::Network, Reason::Dns, Reason::Tls];
    !failure.is_permanent() && failure.verb.is_none() && kinds.contains(&failure.reason)
}

/// Whether the other side has enough of us for now (RFC 5321 §3.8: 421; RFC 3463 §3.5: 4.4.5).
fn wants_fewer(failure: &Failure) -> bool {
    let closes = failure.reply.code == protocol::reply::ReplyCode::UNAVAILABLE;
    !failure.is_permanent() && (failure.reason == Reason::Rate || closes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { most: 5, per_minute: None };

    fn way() -> Way {
        Way::Exchangers("blue.test".parse().expect("a domain"))
    }

    async fn go(slots: &Slots, way: &Way) -> Slot {
        match slots.take(way, PACE, Tick::from_micros(0)).await {
            Admission::Go(slot) => slot,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_way_that_cannot_be_reached_is_left_alone_for_a_while() {
        let slots = Slots::new(100);
        let slot = go(&slots, &way()).await;
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
    async fn a_way_begins_small_and_grows_and_is_halved() {
        let (slots, way, now) = (Slots::new(100), way(), Tick::from_micros(1));
        let fits = |slots: &Slots| {
            let mut held = 0;
            while matches!(slots.look(&way, PACE, now, false), Look::Place) {
                held += 1;
            }
            for known in lock(&slots.ways).values_mut() {
                (known.going, known.waiting) = (0, 0);
            }
            held
        };
        assert_eq!(fits(&slots), TRIPS_FIRST);
        for _ in 0..20 {
            slots.learn(&way, None, (now, Duration::from_secs(60)));
        }
        assert_eq!(fits(&slots), PACE.most, "never more than allowed");
        let mut held = Vec::new();
        for _ in 0..4 {
            held.push(go(&slots, &way).await);
        }
        let busy = Failure::temporary(Reason::Rate, (7, 0), "too many");
        slots.learn(&way, Some(&busy), (now, Duration::from_secs(60)));
        drop(held);
        assert!(
            matches!(slots.look(&way, PACE, now, false), Look::Rest(wait) if wait == PAUSE_FIRST)
        );
        let later = now.after(PAUSE_FIRST);
        assert!(matches!(slots.look(&way, PACE, later, false), Look::Place));
        assert!(matches!(slots.look(&way, PACE, later, false), Look::Place));
        assert!(!matches!(slots.look(&way, PACE, later, false), Look::Place), "half of four");
    }

    #[tokio::test]
    async fn those_who_wait_are_few_and_others_go_on() {
        let (slots, way, now) = (Slots::new(100), way(), Tick::from_micros(1));
        let held = [go(&slots, &way).await, go(&slots, &way).await];
        let mut waiting = 0;
        while matches!(slots.look(&way, PACE, now, false), Look::Wait(_)) {
            waiting += 1;
        }
        assert!(waiting <= ACTIVE_LETTERS / 2, "the rest rests: {waiting}");
        assert!(slots.crowded(&way, now).is_some());
        assert_eq!(slots.crowded(&Way::Smarthost, now), None);
        go(&slots, &Way::Smarthost).await;
        let waiting = slots.take(&Way::Smarthost, PACE, now);
        assert!(matches!(waiting.await, Admission::Go(_)));
        drop(held);
    }

    #[tokio::test]
    async fn a_place_that_is_given_back_wakes_who_waits() {
        let (slots, way, now) = (Slots::new(100), way(), Tick::from_micros(1));
        let mut held = vec![go(&slots, &way).await, go(&slots, &way).await];
        let mut waiting = std::pin::pin!(slots.take(&way, PACE, now));
        let mut nobody = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waiting.as_mut().poll(&mut nobody).is_pending());
        held.pop();
        assert!(matches!(waiting.await, Admission::Go(_)));
    }

    #[test]
    fn a_rate_is_kept() {
        let (slots, way) = (Slots::new(100), way());
        let pace = Pace { most: 100, per_minute: Some(60) };
        let at = |ms: u64| Tick::from_micros(1_000_000 + ms * 1000);
        assert!(matches!(slots.look(&way, pace, at(0), false), Look::Place));
        let Look::Rest(wait) = slots.look(&way, pace, at(10), false) else { panic!("too early") };
        assert_eq!(wait.as_millis(), 990);
        let wait = slots.rated(&way, pace, at(20)).expect("its other transactions keep to it too");
        assert_eq!(wait.as_millis(), 980);
        assert!(matches!(slots.look(&way, pace, at(1000), false), Look::Place));
        assert_eq!(slots.rated(&way, pace, at(2000)), None);
        assert!(slots.rated(&way, pace, at(2001)).is_some());
    }
}
