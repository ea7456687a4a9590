//! `[mailbox]`: what the MDA does with letters at rest, by itself and in the background. Part of
//! the configuration; read by `mda`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values;

/// `[mailbox]`. Read anew each time: a reload is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxCare {
    /// How long expunged letters can be brought back; `0s`: not at all.
    #[serde(with = "values::duration")]
    pub expunged_kept: Duration,
    /// Octets of such letters that one account may have; beyond it the oldest go.
    #[serde(with = "values::size")]
    pub expunged_size: u64,
    /// Letters that have been in Trash for so long are expunged; `0s`: none.
    #[serde(with = "values::duration")]
    pub empty_trash_after: Duration,
    /// The same of Junk.
    #[serde(with = "values::duration")]
    pub empty_junk_after: Duration,
}

impl Default for MailboxCare {
    fn default() -> Self {
        MailboxCare {
            // A mistake is seen within a week, also by who was away over the weekend.
            expunged_kept: Duration::from_secs(7 * 86_400),
            expunged_size: 1_000_000_000,
            // People decide for themselves what Trash is to them.
            empty_trash_after: Duration::ZERO,
            empty_junk_after: Duration::ZERO,
        }
    }
}
