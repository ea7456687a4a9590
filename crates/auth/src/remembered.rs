//! A short memory of good logins, so that a client that connects for every letter does not cost a
//! password check each time. Not a session: nothing can be done with an entry but skip the check.
//!
//! What is kept is an HMAC under a key that only this process has, over the account, the verifier
//! and the password. A changed password has another verifier, so its entries are dead at once.

use crate::limits::{REMEMBERED, REMEMBERED_FOR};
use hmac::{Hmac, Mac as _};
use protocol::machine::Tick;
use sha2::Sha256;
use std::collections::HashMap;

/// The memory.
pub(crate) struct Remembered {
    key: [u8; 32],
    until: HashMap<[u8; 32], Tick>,
}

impl Remembered {
    /// `key` is random and kept nowhere else.
    pub(crate) fn new(key: [u8; 32]) -> Self {
        Self { key, until: HashMap::new() }
    }

    /// The entry for a password that is being tried.
    pub(crate) fn entry(&self, account: &str, verifier: &str, password: &str) -> [u8; 32] {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 §2)")]
        let mut mac: Hmac<Sha256> =
            Hmac::new_from_slice(&self.key).expect("HMAC takes keys of any length");
        for part in [account, verifier, password] {
            // With its length, so that no two triples read the same.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    /// Whether this was good lately.
    pub(crate) fn knows(&self, now: Tick, entry: &[u8; 32]) -> bool {
        self.until.get(entry).is_some_and(|until| now < *until)
    }

    /// Remembers that it was good.
    pub(crate) fn remember(&mut self, now: Tick, entry: [u8; 32]) {
        if self.until.len() >= REMEMBERED {
            self.until.retain(|_, until| now < *until);
        }
        if self.until.len() < REMEMBERED {
            self.until.insert(entry, now.after(REMEMBERED_FOR));
        }
    }
}

impl std::fmt::Debug for Remembered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Remembered({} logins)", self.until.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_good_login_is_remembered_for_minutes_and_not_across_a_change() {
        let mut memory = Remembered::new([7; 32]);
        let start = Tick::from_micros(0);
        let entry = memory.entry("alice", "hash1", "sesame");
        assert!(!memory.knows(start, &entry));
        memory.remember(start, entry);
        assert!(memory.knows(start, &entry));
        assert!(!memory.knows(start.after(REMEMBERED_FOR), &entry));
        for other in [
            memory.entry("alice", "hash2", "sesame"),
            memory.entry("alice", "hash1", "open"),
            memory.entry("alic", "ehash1", "sesame"),
        ] {
            assert!(!memory.knows(start, &other));
        }
        for number in 0..REMEMBERED + 10 {
            let entry = memory.entry(&number.to_string(), "h", "p");
            memory.remember(start, entry);
        }
        assert!(memory.until.len() <= REMEMBERED);
    }
}
