//! The clock as a value: the real one, or a virtual one that a test or the lab moves by hand. The
//! only place that reads the time of the machine below.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use protocol::machine::Tick;
use protocol::time::Timestamp;

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
    state: Mutex<Moment>,
}

/// A moment of a virtual clock.
#[derive(Debug, Default)]
struct Moment {
    now: Tick,
    /// Who sleeps, by when they want to wake and in the order in which they came.
    sleepers: BTreeMap<(Tick, u64), Waker>,
    /// Sleepers so far.
    came: u64,
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
        let shared = Virtual { wall_at_zero: wall, state: Mutex::default() };
        Clock { source: Source::Virtual(Arc::new(shared)) }
    }

    /// Whether somebody steps it: then nothing may go on beside the steps.
    pub fn is_virtual(&self) -> bool {
        matches!(self.source, Source::Virtual(_))
    }

    /// Monotonic time since this clock was made.
    pub fn tick(&self) -> Tick {
        match &self.source {
            Source::Real { epoch } => Tick::default().after(epoch.elapsed()),
            Source::Virtual(shared) => shared.state().now,
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
                shared.wall_at_zero.after(shared.state().now.since(Tick::default()))
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
                let sleeper = Sleeper::register(shared, when);
                std::future::poll_fn(|context| sleeper.poll(context)).await;
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
        // Boxed, or whoever waits here had room for it twice.
        let future = Box::pin(future);
        tokio::select! {
            biased;
            output = future => Ok(output),
            () = self.sleep(wait) => Err(Elapsed),
        }
    }

    /// Moves a virtual clock forward and wakes who waited; on the real clock it does nothing.
    pub fn advance(&self, by: Duration) {
        if let Source::Virtual(shared) = &self.source {
            let woken = shared.state().advance(by);
            woken.into_iter().for_each(Waker::wake);
        }
    }

    /// When the first sleeper of a virtual clock wants to wake; the simulation jumps there.
    pub fn next_wake(&self) -> Option<Tick> {
        match &self.source {
            Source::Real { .. } => None,
            Source::Virtual(shared) => shared.state().sleepers.keys().next().map(|key| key.0),
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
    fn state(&self) -> std::sync::MutexGuard<'_, Moment> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Moment {
    /// Time passes; who is to be woken, in order.
    fn advance(&mut self, by: Duration) -> Vec<Waker> {
        self.now = self.now.after(by);
        let later = self.sleepers.split_off(&(self.now, u64::MAX));
        std::mem::replace(&mut self.sleepers, later).into_values().collect()
    }
}

/// One entry in the list of sleepers, taken out when the sleep ends or is dropped.
struct Sleeper<'a> {
    shared: &'a Virtual,
    key: (Tick, u64),
}

impl<'a> Sleeper<'a> {
    fn register(shared: &'a Virtual, when: Tick) -> Self {
        let mut state = shared.state();
        state.came += 1;
        Sleeper { shared, key: (when, state.came) }
    }

    fn poll(&self, context: &mut std::task::Context<'_>) -> Poll<()> {
        let mut state = self.shared.state();
        if state.now >= self.key.0 {
            return Poll::Ready(());
        }
        state.sleepers.insert(self.key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleeper<'_> {
    fn drop(&mut self) {
        self.shared.state().sleepers.remove(&self.key);
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
