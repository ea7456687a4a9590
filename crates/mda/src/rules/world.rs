//! [`Surroundings`]: the answers to what a script may ask about the world, from what was looked up
//! before it runs.

use std::sync::Arc;

use mailbox::{AccountId, AccountView, MailboxName, SpecialUse};
use protocol::time::Timestamp;
use sieve::Shelf as Where;

use super::{Memory, Shelf};

/// The world as one account's script sees it.
#[derive(Debug)]
pub(crate) struct Surroundings {
    /// Whose script it is.
    pub(crate) account: AccountId,
    /// The account's mailboxes.
    pub(crate) mailboxes: Arc<AccountView>,
    /// All scripts.
    pub(crate) shelf: Arc<Shelf>,
    /// What was seen.
    pub(crate) memory: Arc<Memory>,
    /// Now.
    pub(crate) now: Timestamp,
    /// The name of this host.
    pub(crate) hostname: String,
}

impl sieve::World for Surroundings {
    fn mailbox_exists(&self, name: &str) -> bool {
        MailboxName::new(name).is_ok_and(|name| self.mailboxes.find(&name).is_some())
    }

    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool {
        let Some(wanted) = parse_use(special_use) else { return false };
        let name = mailbox.map(MailboxName::new);
        self.mailboxes.mailboxes.iter().any(|listed| {
            let is_named = match &name {
                None => true,
                Some(Ok(name)) => listed.name == *name,
                Some(Err(_)) => false,
            };
            is_named && listed.special_use == Some(wanted)
        })
    }

    fn script(&self, shelf: Where, name: &str) -> Option<String> {
        // There are no scripts for everybody.
        if shelf == Where::Global {
            return None;
        }
        let text = self.shelf.get(&self.account, name).ok()?;
        String::from_utf8(text).ok()
    }

    fn is_duplicate(&self, id: &str) -> bool {
        self.memory.knows(&self.account, &duplicate_key(id), self.now)
    }

    fn environment(&self, item: &str) -> Option<String> {
        // RFC 5183 §4.1. The host that brought the letter is the transfer agent's to know.
        Some(match item {
            "name" => "Posthaste".to_owned(),
            "version" => env!("CARGO_PKG_VERSION").to_owned(),
            "location" => "MDA".to_owned(),
            "phase" => "during".to_owned(),
            "host" => self.hostname.clone(),
            "domain" => self.account.domain().to_owned(),
            _ => return None,
        })
    }
}

/// `\Junk` and its like.
pub(crate) fn parse_use(text: &str) -> Option<SpecialUse> {
    SpecialUse::parse(text.strip_prefix('\\')?)
}

/// Under what an identifier of `duplicate` is remembered.
pub(crate) fn duplicate_key(id: &str) -> String {
    format!("duplicate\n{id}")
}
