//! Every bound of this crate that is not a key of the configuration and not only of one file, with
//! its unit and its reason.

use std::time::Duration;

/// How long a sender waits for our own delivery agent before the letter is queued instead. Short
/// enough for senders that give the end of the data less than the ten minutes of RFC 5321
/// §4.5.3.2.6.
pub(crate) const HANDOVER: Duration = Duration::from_secs(60);

/// When the queue looks after a recipient that is being handed over while it waits: after the
/// hand-over has surely ended. A process that died meanwhile left nothing in hand: the next one
/// looks after it at once.
pub(crate) const HANDOVER_OVER: Duration = Duration::from_secs(180);

/// How much of a letter is looked at for its header, in bytes: for loops and the Message-ID. More
/// header than this is somebody's mistake, and is passed on unread.
pub(crate) const HEADER_LOOKED_AT: usize = 128 * 1024;

/// Refusals on the relay socket before a session is closed. The MSA passes the mistakes of many
/// people on over one connection.
pub(crate) const RELAY_ERRORS: u32 = 10_000;

/// Spans of rates.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);
/// Likewise.
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// How long a filter may take to accept a connection.
pub(crate) const FILTER_CONNECT: Duration = Duration::from_secs(5);

/// How often what the greylist learnt is written down.
pub(crate) const GREYLIST_SAVED: Duration = Duration::from_secs(60);

/// Largest file of the greylist that is read, in bytes.
pub(crate) const GREYLIST_BYTES: u64 = 32 << 20;

/// How often the owner of an account is told that letters are held.
pub(crate) const HELD_NOTICE_EVERY: Duration = Duration::from_secs(3600);

/// Accounts whose last notice is remembered. Beyond it the oldest are forgotten, and may be told
/// again too early.
pub(crate) const HELD_NOTICES_REMEMBERED: usize = 10_000;

/// Replies of a session before its first letter that are kept for that letter's journey.
pub(crate) const LINES_BEFORE: usize = 8;

/// Letters of the queue that are worked on at once; the rest waits on disk and in the schedule.
pub(crate) const ACTIVE_LETTERS: usize = 500;

/// Trips along one way at once in the beginning, and after it could not be reached.
pub(crate) const TRIPS_FIRST: usize = 2;

/// How long a letter rests when enough others wait for its way: where trips go well, and where they
/// do not.
pub(crate) const CROWDED: Duration = Duration::from_millis(100);
pub(crate) const CROWDED_SLOW: Duration = Duration::from_millis(500);

/// How long nothing is sent to a way that asked for fewer: first, doubled each time, at most.
pub(crate) const PAUSE_FIRST: Duration = Duration::from_secs(2);
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(600);

/// How long a way that could not be reached is left alone at most.
pub(crate) const UNWELL: Duration = Duration::from_secs(60);

/// Ways about which something is remembered.
pub(crate) const WAYS_REMEMBERED: usize = 4096;

/// How long a letter rests when its outcome could not be written down: the disk has a problem, and
/// trying the letter again at once would send it again and again.
pub(crate) const UNWRITTEN: Duration = Duration::from_secs(30);

/// Bytes of a letter's header that go into a report about it.
pub(crate) const REPORTED_HEADER: usize = 32 * 1024;

/// Longest nap of the queue runner; everything that matters wakes it.
pub(crate) const NAP: Duration = Duration::from_secs(30);

/// Domains whose MTA-STS policies are held in memory; the others' are on disk.
pub(crate) const STS_DOMAINS: usize = 10_000;

/// How long a web server that gave no policy is left alone (RFC 8461 §3.3: at least five minutes).
pub(crate) const STS_RETRY: Duration = Duration::from_secs(300);

/// Domains whose TLS level is remembered; beyond it those that were not written to for longest are
/// forgotten.
pub(crate) const LEVELS: usize = 50_000;

/// How often what was learnt of TLS levels is written to disk, at most.
pub(crate) const LEVELS_EVERY: Duration = Duration::from_secs(5);

/// How long it is believed that the name servers can, or cannot, prove by DNSSEC.
pub(crate) const DNSSEC_PROBE: Duration = Duration::from_secs(600);

/// When they are asked again if they gave no answer. Until then they are taken for such that
/// cannot: without it every attempt of a time without DNS would wait for two questions.
pub(crate) const DNSSEC_PROBE_AGAIN: Duration = Duration::from_secs(30);

/// Bytes of a letter that is given back whole, where its sender asks for that (RFC 3461 §4.3:
/// larger ones may be reduced to their header).
pub(crate) const REPORTED_WHOLE: u64 = 256 * 1024;

/// Bytes of a letter that is re-encoded in memory for a hop without 8BITMIME.
pub(crate) const ADAPTED: u64 = 32 * 1024 * 1024;

/// Addresses that have sent letters and are remembered; beyond it those that were silent for
/// longest are forgotten.
pub(crate) const SENDERS: usize = 100_000;

/// Largest list of recipients who live elsewhere, in bytes and in entries: some 100 bytes of memory
/// each.
pub(crate) const RELAY_RECIPIENTS_BYTES: u64 = 64 << 20;
/// Likewise.
pub(crate) const RELAY_RECIPIENTS: usize = 1_000_000;

/// Recipients of a letter up to which repeats are looked for one by one.
pub(crate) const RECIPIENTS_COMPARED: usize = 32;
