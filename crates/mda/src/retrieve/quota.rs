//! GETQUOTA and GETQUOTAROOT (RFC 9208). Each account has one root, with an empty name; who sets
//! its limits is the administrator, so there is no SETQUOTA.

use protocol::imap::response::QuotaResource;
use protocol::imap::{ConditionCode, MailboxName, StatusText, Untagged};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;

impl Session {
    /// GETQUOTA.
    pub(super) async fn get_quota(&mut self, root: &str) -> Outcome {
        if !root.is_empty() {
            return Err(Failure::no(ConditionCode::NonExistent, "there is no such quota root"));
        }
        self.tell_quota().await?;
        Ok(StatusText::default())
    }

    /// GETQUOTAROOT.
    pub(super) async fn get_quota_root(&mut self, name: &MailboxName) -> Outcome {
        let stored = convert::name(name)?;
        if self.account().await?.find(&stored).is_none() {
            return Err(mailbox::Error::NoSuchMailbox.into());
        }
        let roots = vec![String::new()];
        self.machine().untagged(&Untagged::QuotaRoot { mailbox: name.clone(), roots });
        self.tell_quota().await?;
        Ok(StatusText::default())
    }

    async fn tell_quota(&mut self) -> Result<(), Failure> {
        let (quota, usage) = (self.quota(), self.account().await?.usage);
        let mut resources = Vec::new();
        let mut add = |name: &str, usage, limit: Option<u64>| {
            let name = name.to_owned();
            resources.extend(limit.map(|limit| QuotaResource { name, usage, limit }));
        };
        // RFC 9208 §5.1: STORAGE counts units of 1024 octets.
        let bytes = quota.bytes.map(|bytes| bytes / UNIT);
        add("STORAGE", usage.bytes.div_ceil(UNIT), bytes);
        add("MESSAGE", usage.letters, quota.letters);
        self.machine().untagged(&Untagged::Quota { root: String::new(), resources });
        Ok(())
    }
}

/// Octets of one unit of STORAGE.
const UNIT: u64 = 1024;
