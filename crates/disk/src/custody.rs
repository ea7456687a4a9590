//! The custody book: one line for each time a letter's custody changes, from which `posthaste
//! ledger` counts. Daily append-only text files, written lazily by the stores, durable at
//! checkpoints and regenerated from the intake log after a crash.
//!
//! It is not the trail: the trail may drop lines, this may not.

use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::log::Sequence;

/// What happened to a letter for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Taken from outside, answered 250.
    Accepted,
    /// Made here: a bounce, a notice, an answer.
    Generated,
    /// One recipient became others (alias, redirect).
    Expanded,
    /// In a mailbox here.
    Delivered,
    /// Taken by another system.
    Relayed,
    /// Given back to the sender.
    Bounced,
    /// Dropped by a rule, which the detail names.
    Discarded,
    /// In the queue.
    Queued,
    /// Store side: a mailbox record and its file exist.
    Stored,
    /// Store side: expunged by its owner.
    Expunged,
    /// Store side: removed by another program.
    Removed,
}

/// One line of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record of the intake log that says so.
    pub sequence: Sequence,
    /// When.
    pub time: Timestamp,
    /// Which letter.
    pub journey: JourneyId,
    /// What.
    pub act: Act,
    /// For whom; as printed in SMTP.
    pub recipient: String,
    /// Rule, next hop, mailbox and UID...; free text.
    pub detail: String,
}
