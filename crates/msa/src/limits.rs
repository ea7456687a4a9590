//! Every limit of this crate that is not a key of the configuration, with unit and reason.

use std::time::Duration;

/// The largest header of a letter, in octets. It is the only part of a letter that is held whole:
/// completions and checks need it.
pub const HEADER: usize = 256 * 1024;

/// Connecting to the MTA and hearing its greeting. It is on this machine.
pub const MTA_CONNECT: Duration = Duration::from_secs(10);

/// Connections to the MTA that wait for the next letter.
pub const MTA_IDLE: usize = 4;

/// Octets that wait for the MTA to take them before more are read from the client.
pub const BODY_WAITING: usize = 128 * 1024;

/// What the hourly limit counts over, in parts: a count is forgotten a twelfth of an hour late at
/// most.
pub const RATE_PARTS: usize = 12;

/// Accounts whose recipients are counted at once. Only those who sent within the hour are.
pub const RATE_ACCOUNTS: usize = 100_000;
