//! Every limit of this agent's own, with its unit and its reason. What people may want otherwise is
//! in `[limits]` of the configuration; the limits of IMAP sessions are in `retrieve::limits`.

/// Octets a letter may have above `limits.message_size` when it reaches us: the trace fields of
/// the agents before us (Received, Authentication-Results, signatures). A letter that the front
/// door took must not be refused inside the house.
pub const TRACE_ROOM: u64 = 64 * 1024;

/// Recipients of one LMTP transaction. The MTA groups by mailbox store and splits above this; each
/// gets a file of its own.
pub const RECIPIENTS: usize = 1000;

/// How much of a letter is looked at for the marks of the transfer agent, in bytes: as much as that
/// looks at itself.
pub(crate) const HEADER_LOOKED_AT: usize = 128 * 1024;

/// Time between two rounds through the mailboxes: ages are counted in days.
pub(crate) const CARE_EVERY: std::time::Duration = std::time::Duration::from_secs(86_400);

/// How long a round waits at least after a start: mail comes first.
pub(crate) const CARE_BEGINS: std::time::Duration = std::time::Duration::from_secs(60);

/// How often quotas are looked at: a lock and a comparison for each account in use.
pub(crate) const QUOTA_LOOKED_AT: std::time::Duration = std::time::Duration::from_secs(5);

/// Bytes of the note of who was told of a full mailbox: a hundred thousand accounts.
pub(crate) const NOTICES_BYTES: u64 = 16 << 20;

/// Octets that are verified at once, at most: between two such pieces the agent may stop.
pub(crate) const VERIFY_SLICE: u64 = 8 << 20;

/// How often it is noted where the verification is: so much is read twice after a kill.
pub(crate) const VERIFY_NOTE_EVERY: std::time::Duration = std::time::Duration::from_secs(10);

/// Junk filters of accounts that are kept in memory, about 3 MB each when full.
pub(crate) const FILTERS_IN_MEMORY: usize = 20;

/// Largest file of one filter that is read, in bytes: its bound on words, and room.
pub(crate) const FILTER_BYTES: u64 = 8 << 20;

/// Letters of one command that are taught: a thousand old letters moved at once teach as much.
pub(crate) const TAUGHT_AT_ONCE: usize = 200;
