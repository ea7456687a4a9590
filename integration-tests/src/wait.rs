//! Waiting for a condition, with a deadline. The one place in this crate that sleeps.

use std::time::{Duration, Instant};

/// What a test waits for at most where nothing else is said: generous, since CI has two cores for
/// everything, and never reached when things work.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until the condition gives a value; panics with the title at the deadline.
pub fn until<T>(title: &str, condition: impl FnMut() -> Option<T>) -> T {
    within(PATIENCE, title, condition)
}

/// [`until`] with a deadline of its own.
pub fn within<T>(limit: Duration, title: &str, condition: impl FnMut() -> Option<T>) -> T {
    try_within(limit, condition).unwrap_or_else(|| panic!("not within {limit:?}: {title}"))
}

/// Looks until the condition gives a value; `None` at the deadline.
pub fn try_within<T>(limit: Duration, mut condition: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = condition() {
            return Some(value);
        }
        if Instant::now() >= deadline {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
