//! The clock as a value: the real one, or a virtual one that a test or the lab moves by hand. The
//! only place that reads the time of the machine below.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::machine::Tick;
use protocol::time::Timestamp;
use tokio::sync::watch;

/// Monotonic and wall-clock time. Cheap to clone; clones are the same clock.
#[derive(Clone)]
pub struct Clock {
    source: Source,
}

#[derive(Clone)]
enum Source {
    Real { epoch: Instant },
    Virtual(Arc<Virtual>),
}

/// What all clones of a virtual clock share.
struct Virtual {
    wall_at_zero: Timestamp,
    now: watch::Sender<Tick>,
    /// When somebody wants to wake, and how many.
    sleepers: Mutex<BTreeMap<Tick, usize>>,
}

/// The time did not come in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Elapsed;

impl fmt::Display for Elapsed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("timed out")
    }
}

impl std::error::Error for Elapsed {}

impl Clock {
    /// The clock of the machine below; ticks count from now.
    pub fn real() -> Self {
        Clock { source: Source::Real { epoch: Instant::now() } }
    }

    /// A clock that stands still at `wall` until it is moved with [`advance`](Clock::advance).
    pub fn virtual_at(wall: Timestamp) -> Self {
        let (now, _) = watch::channel(Tick::default());
        let shared = Virtual { wall_at_zero: wall, now, sleepers: Mutex::default() };
        Clock { source: Source::Virtual(Arc::new(shared)) }
    }

    /// Monotonic time since this clock was made.
    pub fn tick(&self) -> Tick {
        match &self.source {
            Source::Real { epoch } => Tick::default().after(epoch.elapsed()),
            Source::Virtual(shared) => *shared.now.borrow(),
        }
    }

    /// Wall-clock time.
    pub fn now(&self) -> Timestamp {
        match &self.source {
            Source::Real { .. } => {
                // A clock set before 1970 reads as 1970: nothing here needs more.
                let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
                Timestamp::from_micros(0).after(since)
            }
            Source::Virtual(shared) => {
                shared.wall_at_zero.after(shared.now.borrow().since(Tick::default()))
            }
        }
    }

    /// Waits until `when`. Cancel-safe.
    pub async fn sleep_until(&self, when: Tick) {
        match &self.source {
            Source::Real { epoch } => {
                let at = epoch.checked_add(when.since(Tick::default()));
                // Beyond what an Instant can say: never.
                match at {
                    Some(at) => tokio::time::sleep_until(at.into()).await,
                    None => std::future::pending().await,
                }
            }
            Source::Virtual(shared) => {
                let mut now = shared.now.subscribe();
                let _registered = Sleeper::register(shared, when);
                let _ = now.wait_for(|now| *now >= when).await;
            }
        }
    }

    /// Waits for `wait`. Cancel-safe.
    pub async fn sleep(&self, wait: Duration) {
        self.sleep_until(self.tick().after(wait)).await;
    }

    /// The result of `future`, if it comes within `wait`.
    ///
    /// # Errors
    /// [`Elapsed`] when it does not; the future is dropped.
    pub async fn timeout<F: Future>(
        &self,
        wait: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(wait) => Err(Elapsed),
        }
    }

    /// Moves a virtual clock forward and wakes who waited; on the real clock it does nothing.
    pub fn advance(&self, by: Duration) {
        if let Source::Virtual(shared) = &self.source {
            shared.now.send_modify(|now| *now = now.after(by));
        }
    }

    /// When the first sleeper of a virtual clock wants to wake; the simulation jumps there.
    pub fn next_wake(&self) -> Option<Tick> {
        match &self.source {
            Source::Real { .. } => None,
            Source::Virtual(shared) => shared.sleepers().keys().next().copied(),
        }
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.source {
            Source::Real { .. } => "real",
            Source::Virtual(_) => "virtual",
        };
        write!(f, "Clock({kind}, {} us)", self.tick().as_micros())
    }
}

impl Virtual {
    fn sleepers(&self) -> std::sync::MutexGuard<'_, BTreeMap<Tick, usize>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One entry in the list of sleepers, taken out when the sleep ends or is dropped.
struct Sleeper<'a> {
    shared: &'a Virtual,
    when: Tick,
}

impl<'a> Sleeper<'a> {
    fn register(shared: &'a Virtual, when: Tick) -> Self {
        *shared.sleepers().entry(when).or_insert(0) += 1;
        Sleeper { shared, when }
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        let mut sleepers = self.shared.sleepers();
        if let Some(count) = sleepers.get_mut(&self.when) {
            *count -= 1;
            if *count == 0 {
                sleepers.remove(&self.when);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_virtual_clock_moves_only_by_hand() {
        let clock = Clock::virtual_at(Timestamp::from_seconds(1_000_000));
        let five_days = Duration::from_secs(5 * 86_400);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep(five_days).await }
        });
        while clock.next_wake().is_none() {
            tokio::task::yield_now().await;
        }
        clock.advance(five_days - Duration::from_micros(1));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        clock.advance(Duration::from_micros(1));
        sleeper.await.expect("the sleeper wakes");
        assert_eq!(clock.next_wake(), None);
        assert_eq!(clock.now(), Timestamp::from_seconds(1_000_000 + 5 * 86_400));
    }

    #[tokio::test]
    async fn the_real_clock_times_out() {
        let clock = Clock::real();
        let before = clock.tick();
        let never = std::future::pending::<()>();
        assert_eq!(clock.timeout(Duration::from_millis(5), never).await, Err(Elapsed));
        assert!(clock.tick().since(before) >= Duration::from_millis(5));
        assert!(clock.now() > Timestamp::from_seconds(1_700_000_000));
    }
}
