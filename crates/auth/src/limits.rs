//! Every limit of this crate, with unit and reason.

use std::time::Duration;

/// Connections of other agents at once. They keep a few each.
pub const SESSIONS: usize = 256;

/// Password checks at once, at most: each takes 19 MiB and a processor. Fewer on small machines.
pub const CHECKS_MOST: usize = 4;

/// Logins that may wait for a password check. Behind so many a client waits about two seconds;
/// further ones are told to come back.
pub const CHECKS_WAITING: usize = 128;

/// When one who was turned away for [`CHECKS_WAITING`] may come back.
pub const CHECKS_RETRY: Duration = Duration::from_secs(5);

/// SASL exchanges that are under way at once; beyond it the oldest is forgotten.
pub const EXCHANGES: usize = 4_096;

/// How long an exchange may take: a person answers a prompt of LOGIN by hand at worst.
pub const EXCHANGE: Duration = Duration::from_secs(60);

/// Failed logins that one network may have before it is refused for a while: an office behind one
/// address has people who mistype.
pub const PEER_FAILURES: u32 = 20;

/// How soon one failure of a network is forgiven.
pub const PEER_FORGIVEN: Duration = Duration::from_secs(30);

/// Failed logins that one name may have, from wherever they come.
pub const NAME_FAILURES: u32 = 10;

/// How soon one failure of a name is forgiven: slow guessing gets 1,440 guesses a day.
pub const NAME_FORGIVEN: Duration = Duration::from_secs(60);

/// Networks, and names, whose failures are counted at once.
pub const COUNTED: usize = 20_000;

/// Pairs of account and network that have logged in well and so are not shut out by what strangers
/// do to the account's name.
pub const FAMILIAR: usize = 20_000;

/// How long such a pair counts.
pub const FAMILIAR_FOR: Duration = Duration::from_secs(7 * 86_400);

/// Good logins that are remembered, so that clients that connect for each letter or folder do not
/// cost a password check each.
pub const REMEMBERED: usize = 4_096;

/// How long a good login is remembered.
pub const REMEMBERED_FOR: Duration = Duration::from_secs(300);

/// How often the directory's files are looked at when nobody logs in.
pub const LOOK: Duration = Duration::from_secs(10);

/// Questions to the authorization server at once; further ones wait for their turn.
pub const TOKEN_QUESTIONS: usize = 16;

/// How long one such question may take, waiting included: well below what the agents grant `auth`.
pub const TOKEN_QUESTION: Duration = Duration::from_secs(10);

/// Good tokens that are remembered.
pub const TOKENS_REMEMBERED: usize = 4_096;

/// How long a good token is remembered, if it lasts so long: after that time at the latest one that
/// was taken back counts no more.
pub const TOKENS_REMEMBERED_FOR: Duration = Duration::from_secs(60);
