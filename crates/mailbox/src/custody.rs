//! What the ledger needs to know of mailboxes.

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
    /// Letters delivered.
    pub stored: u64,
}
