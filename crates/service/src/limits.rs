//! Every bound of this crate, with its unit and its reason.

use std::time::Duration;

/// Events waiting for the trail's disk above which detail lines are dropped, in bytes.
pub const TRAIL_DETAIL: usize = 512 * 1024;

/// Events waiting for the trail's disk above which every line is dropped, in bytes.
pub const TRAIL_ALL: usize = 8 * 1024 * 1024;

/// Memory that the trail's buffer keeps between two writes, in bytes: what gathers under load in
/// [`TRAIL_GATHER`], so that it need not grow anew each time.
pub const TRAIL_KEPT: usize = 256 * 1024;

/// How long events gather before they are written: one write for many, and still at once to people.
pub const TRAIL_GATHER: Duration = Duration::from_millis(20);

/// Longest text of one event, in bytes: what the other side said may be anything.
pub const TRAIL_TEXT: usize = 1024;

/// Longest line that a reader of the trail takes, in bytes.
pub const TRAIL_LINE: usize = 64 * 1024;

/// How often a follower looks for new lines.
pub const TRAIL_POLL: Duration = Duration::from_millis(100);

/// Control connections of one agent at once.
pub const CONTROL_SESSIONS: usize = 64;

/// After the drain deadline sessions are cut; how long their tasks get to notice.
pub const AFTER_STOP: Duration = Duration::from_secs(2);

/// How long a raised log level lasts unless asked otherwise: a forgotten `trace` fills disks.
pub const LOG_LEVEL_FOR: Duration = Duration::from_secs(600);

/// How long one agent is given to answer a question of ours.
pub const ASK: Duration = Duration::from_secs(10);

/// How long `auth` is given for one step of a login: its queue of password checks included.
pub const LOGIN: Duration = Duration::from_secs(20);

/// Header fields that our own agents add to one letter, all together, in bytes: a handful of
/// Received lines, completions, signatures.
pub const HEADERS_ADDED: u64 = 64 * 1024;

/// What submission leaves free below `limits.message_size`, in bytes: a letter that we took from a
/// user fits a receiver with the same limit after the hops between, each of which adds a Received
/// line of some hundred bytes. Below the least `limits.message_size`.
pub const HEADERS_ON_THE_WAY: u64 = 8 * 1024;
