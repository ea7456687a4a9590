//! The names of things: accounts, mailboxes, letters. No paths: how an account's name becomes a
//! folder is decided here and in [`crate::name`], and used by nobody outside this crate.

use std::fmt;
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::limits::ACCOUNT_PART_BYTES;

/// Unique identifier of a letter in its mailbox (RFC 9051 §2.3.1.1).
pub type Uid = NonZeroU32;

/// Modification sequence (RFC 7162 §3.1): 63 bits at most.
pub type ModSeq = u64;

/// Number of a mailbox within its account. Never given twice, unchanged by a rename.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxId(pub u32);

impl MailboxId {
    /// INBOX, in every account.
    pub const INBOX: MailboxId = MailboxId(1);
}

impl fmt::Display for MailboxId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// Whose mailboxes: an account of the directory, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId {
    domain: Arc<str>,
    name: Arc<str>,
}

/// The account's name cannot be a folder's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadAccount;

impl AccountId {
    /// The account `name` (local part, without quotes) of `domain`.
    pub fn new(domain: &str, name: &str) -> Result<Self, BadAccount> {
        let fits = |part: &str| !part.is_empty() && folder(part).len() <= ACCOUNT_PART_BYTES;
        let (domain, name) = (domain.to_lowercase(), name.to_lowercase());
        if fits(&domain) && fits(&name) {
            Ok(AccountId { domain: domain.into(), name: name.into() })
        } else {
            Err(BadAccount)
        }
    }

    /// The domain, in lower case.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The local part, in lower case.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The account's folder below the folder of all mail.
    pub(crate) fn folder(&self) -> String {
        format!("{}/{}", folder(&self.domain), folder(&self.name))
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.domain)
    }
}

impl fmt::Display for BadAccount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the account's name is empty or too long")
    }
}

impl std::error::Error for BadAccount {}

/// A folder name for one part of an address: what could be read as a path, an option, a hidden
/// file or a format of ours is written `%XX`. Letters beyond ASCII (SMTPUTF8) stay readable.
fn folder(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    for (at, c) in part.char_indices() {
        let inside = at > 0 && matches!(c, '.' | '-');
        if inside || c.is_ascii_alphanumeric() || "_+=@".contains(c) || !c.is_ascii() {
            out.push(c);
        } else {
            out.push_str(&format!("%{:02X}", u32::from(c)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_names_stay_readable() {
        let account = AccountId::new("Red.Test", "Alice.B-c").unwrap();
        assert_eq!(account.folder(), "red.test/alice.b-c");
        assert_eq!(account.to_string(), "alice.b-c@red.test");
    }

    #[test]
    fn no_name_leaves_its_folder() {
        for (name, want) in [("..", "%2E."), (".posthaste", "%2Eposthaste"), ("a/b", "a%2Fb")] {
            let account = AccountId::new("d.test", name).unwrap();
            assert_eq!(account.folder(), format!("d.test/{want}"));
        }
        assert!(AccountId::new("d.test", "").is_err());
    }

    proptest! {
        #[test]
        fn folders_stay_apart(name in "\\PC{1,20}", other in "\\PC{1,20}") {
            let account = AccountId::new("d.test", &name).unwrap();
            let folder = account.folder();
            let (_, local) = folder.split_once('/').unwrap();
            prop_assert!(!local.contains('/') && !local.starts_with('.'));
            let second = AccountId::new("d.test", &other).unwrap();
            prop_assert_eq!(account == second, folder == second.folder());
        }
    }
}
