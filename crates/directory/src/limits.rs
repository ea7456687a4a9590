//! Every limit of this crate, with unit and reason.

/// The longest `directory.toml` or `verifiers.toml` that is read, in octets: about 200,000
/// accounts. A larger domain belongs in a database.
pub const FILE: u64 = 64 * 1024 * 1024;

/// Addresses that one alias may lead to in the end. More is a mailing list, which is another thing.
pub const EXPANSION: usize = 1_000;

/// Aliases that may lead to one another in a row.
pub const ALIAS_DEPTH: usize = 16;

/// How long a change waits for another one to let go of the lock, in seconds.
pub const LOCK_SECONDS: u64 = 5;

/// How often an agent looks whether the files have changed, in seconds. The control socket tells
/// sooner; this is for the change made while an agent did not listen.
pub const STAT_SECONDS: u64 = 1;

/// Argon2id memory in KiB, passes and lanes: OWASP's first choice for password storage. They bound
/// the memory of `auth` together with the number of checks it runs at once.
pub const ARGON2: (u32, u32, u32) = (19_456, 2, 1);

/// The most memory a stored hash may ask for, in KiB: hashes made elsewhere may ask for more than
/// ours do, but not for all that the machine has.
pub const ARGON2_MEMORY_MOST: u32 = 128 * 1024;

/// The longest password, in octets.
pub const PASSWORD_LONGEST: usize = 1_024;

/// Octets of the name of an app password.
pub const APP_PASSWORD_NAME: usize = 64;

/// App passwords of one account; each is tried in turn when a client logs in with one.
pub const APP_PASSWORDS: usize = 20;

/// What divides an account's name from a subaddress (RFC 5233 §1).
pub const SUBADDRESS_SEPARATOR: char = '+';
