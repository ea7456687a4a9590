//! The bounded pool of password checks: so many at once, so many waiting, the rest turned away. A
//! flood of logins then costs a known amount of memory and leaves the mail its processors.

use crate::limits::{CHECKS_MOST, CHECKS_WAITING};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The pool.
#[derive(Debug)]
pub(crate) struct Pool {
    running: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// Too many wait already.
#[derive(Debug)]
pub(crate) struct Full;

impl Pool {
    /// As many checks at once as there are processors, within [`CHECKS_MOST`].
    pub(crate) fn new() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        let running = Arc::new(Semaphore::new(processors.clamp(1, CHECKS_MOST)));
        Self { running, waiting: AtomicUsize::new(0) }
    }

    /// Waits for a turn.
    ///
    /// # Errors
    /// [`Full`]: too many wait already.
    pub(crate) async fn turn(&self) -> Result<Turn<'_>, Full> {
        let place = Place::take(&self.waiting)?;
        let permit = self.running.clone().acquire_owned().await.map_err(|_| Full)?;
        Ok(Turn { permit, _place: place })
    }
}

/// The right to run one check now.
pub(crate) struct Turn<'a> {
    permit: OwnedSemaphorePermit,
    _place: Place<'a>,
}

impl Turn<'_> {
    /// Runs a check on a thread of its own.
    ///
    /// # Errors
    /// [`Full`] when the check panicked: it has no answer, one who comes back may get one.
    pub(crate) async fn run<T: Send + 'static>(
        self,
        check: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Full> {
        let Self { permit, _place } = self;
        // The check goes on when the one who asked has left, and its place in memory is counted
        // until it ends.
        let checked = tokio::task::spawn_blocking(move || {
            let _permit = permit;
            check()
        });
        checked.await.map_err(|_| Full)
    }
}

/// One of the places to wait in; free again when dropped, also when the one who asked has left.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(waiting: &'a AtomicUsize) -> Result<Self, Full> {
        if waiting.fetch_add(1, Ordering::Relaxed) >= CHECKS_WAITING {
            waiting.fetch_sub(1, Ordering::Relaxed);
            return Err(Full);
        }
        Ok(Self(waiting))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
