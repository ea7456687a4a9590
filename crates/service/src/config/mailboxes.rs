//! `[mailbox]`: what the MDA does with letters at rest, by itself and in the background. Part of
//! the configuration; read by `mda`.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::values;

/// `[mailbox]`. Read anew each time: a reload is enough.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MailboxCare {
    /// Each letter is compared with what was stored once in this time; `0s`: never.
    #[serde(with = "values::duration")]
    pub verify_every: Duration,
    /// Octets that are read for it in a second; 0: none.
    #[serde(with = "values::size")]
    pub verify_rate: u64,
    /// A letter to so many mailboxes here or more is one file for all of them, without a header
    /// field
    /// that names one recipient; 0: never.
    pub one_file_from: usize,
    /// Percent of a quota at which its owner is told, once for each crossing; none: never.
    pub quota_notices: Vec<u8>,
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
            // Disks are scrubbed monthly, and backups kept for longer than that.
            verify_every: Duration::from_secs(30 * 86_400),
            // A hundredth of what a slow disk reads; 170 GB a day.
            verify_rate: 2_000_000,
            // Below it Delivered-To is worth more than the disk.
            one_file_from: 10,
            quota_notices: vec![80, 90, 100],
            // A mistake is seen within a week, also by who was away over the weekend.
            expunged_kept: Duration::from_secs(7 * 86_400),
            expunged_size: 1_000_000_000,
            // People decide for themselves what Trash is to them.
            empty_trash_after: Duration::ZERO,
            empty_junk_after: Duration::ZERO,
        }
    }
}
