//! When a letter is tried again: first, first × factor, ... up to max, each a little off so that
//! letters that failed together do not come back together. Knows no clock.

use std::time::Duration;

use protocol::time::Timestamp;
use service::config::Retry;

/// By how much a wait may be longer than planned, in parts of a hundred. Never shorter: a
/// receiver that greylists counts.
const JITTER_PERCENT: u32 = 10;

/// What follows a failed attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Try again then.
    At(Timestamp),
    /// Its time is over: give it back.
    GiveUp,
}

/// The first wait for our own delivery agent while it is away: it is started again in moments.
const NEXT_DOOR_FIRST: Duration = Duration::from_secs(1);

/// The longest wait for it: asking next door costs nothing, and people wait for their mail.
const NEXT_DOOR_MAX: Duration = Duration::from_secs(60);

/// The schedule for our own delivery agent while it is away. What it refuses itself (a full
/// mailbox) goes by the usual one.
pub(crate) fn next_door(usual: &Retry) -> Retry {
    Retry {
        first: usual.first.min(NEXT_DOOR_FIRST),
        factor: 2.0,
        max: usual.max.min(NEXT_DOOR_MAX),
    }
}

/// The wait after attempt number `attempts` (from 1). `random` is any number.
pub(crate) fn wait(retry: &Retry, attempts: u32, random: u32) -> Duration {
    let exponent = i32::try_from(attempts.saturating_sub(1)).unwrap_or(i32::MAX);
    let planned = retry.first.as_secs_f64() * retry.factor.powi(exponent);
    let planned = planned.min(retry.max.as_secs_f64());
    let jitter = f64::from(random % (JITTER_PERCENT * 100)) / 10_000.0;
    Duration::from_secs_f64(planned * (1.0 + jitter))
}

/// What follows attempt number `attempts`, which failed at `now`. The last attempt is made at the
/// very end of the lifetime, rather than some hours before it (RFC 5321 §4.5.4.1).
pub(crate) fn next(
    retry: &Retry,
    attempts: u32,
    random: u32,
    (now, expires): (Timestamp, Timestamp),
) -> Next {
    if now >= expires {
        return Next::GiveUp;
    }
    let planned = now.after(wait(retry, attempts, random));
    Next::At(planned.min(expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(first: u64, factor: f64, max: u64) -> Retry {
        Retry { first: Duration::from_secs(first), factor, max: Duration::from_secs(max) }
    }

    #[test]
    fn waits_grow_to_the_longest_and_never_shrink_by_chance() {
        let retry = retry(60, 2.0, 600);
        let planned = [60, 120, 240, 480, 600, 600];
        for (attempt, planned) in (1..).zip(planned) {
            for random in [0, 1, 999, u32::MAX] {
                let wait = wait(&retry, attempt, random).as_secs_f64();
                let planned = f64::from(planned);
                assert!((planned..=planned * 1.1).contains(&wait), "{attempt}: {wait}");
            }
        }
        assert!(wait(&retry, u32::MAX, 0) <= Duration::from_secs(600));
    }

    #[test]
    fn the_last_attempt_is_at_the_end_of_the_lifetime() {
        let retry = retry(3600, 2.0, 3600);
        let now = Timestamp::from_micros(0);
        let expires = now.after(Duration::from_secs(100));
        assert_eq!(next(&retry, 1, 0, (now, expires)), Next::At(expires));
        assert_eq!(next(&retry, 2, 0, (expires, expires)), Next::GiveUp);
    }
}
