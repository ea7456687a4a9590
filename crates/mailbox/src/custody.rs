//! What the ledger needs to know of mailboxes: for each letter that was ever delivered, whether it
//! is still there, has gone by a way that was recorded, or has vanished.

use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::ids::AccountId;

/// Whose letters a survey covers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whose {
    /// Every account's.
    All,
    /// One account's.
    Account(AccountId),
}

/// What is there of what was delivered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Survey {
    /// One for each delivery in the custody book, oldest first.
    pub deliveries: Vec<Kept>,
    /// Damage found since the start, in words for the operator.
    pub reports: Vec<String>,
}

/// One delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The letter.
    pub journey: JourneyId,
    /// The recipient, as in the envelope.
    pub recipient: String,
    /// When it was delivered.
    pub time: Timestamp,
    /// What became of it.
    pub fate: Fate,
}

/// What became of a delivered letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Record and file are there, and the file has its length.
    There,
    /// Expunged or moved by its owner, or with its mailbox or account.
    Taken,
    /// Its file was removed by another program, and that is recorded.
    RemovedExternally,
    /// Its file was found to be damaged, and is set aside; the record is there.
    Isolated,
    /// The record is there, the file is not or is not whole.
    FileVanished,
    /// There is neither a record nor a word of its end.
    RecordVanished,
}

impl Fate {
    /// Whether this is a letter lost: a violation in the ledger.
    pub fn is_violation(self) -> bool {
        matches!(self, Fate::FileVanished | Fate::RecordVanished)
    }
}
