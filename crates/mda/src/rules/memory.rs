//! [`Memory`]: what rules have to remember for an account: to whom an automatic answer went
//! (RFC 5230 §4.1, RFC 3834 §2), which identifiers were seen (RFC 7352), which faults the owner was
//! told of. One text file for each account, `posthaste sieve memory 1`, then lines
//! `EXPIRES KEY`: seconds, and the hash of what is remembered. What is over is forgotten.

use std::collections::{HashMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Access, Disk, Mode, read_whole, replace_whole};
use mailbox::AccountId;
use protocol::time::Timestamp;
use sha2::{Digest, Sha256};

use super::file_part;
use super::limits::{APPENDED, MEMORY_BYTES, REMEMBERED, SENT};

/// What rules remember, for all accounts.
#[derive(Debug)]
pub(crate) struct Memory {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    accounts: Mutex<HashMap<AccountId, Arc<Mutex<Kept>>>>,
    /// Letters sent on: journey, recipient and address.
    sent: Mutex<(HashSet<String>, VecDeque<String>)>,
}

/// What is remembered for one account.
#[derive(Debug, Default)]
struct Kept {
    /// Until when, in seconds, by key.
    until: HashMap<String, i64>,
    /// Lines in the file besides those of the last time it was written anew.
    appended: usize,
    read: bool,
}

impl Memory {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Memory { disk, root, accounts: Mutex::default(), sent: Mutex::default() }
    }

    /// Whether this is remembered.
    pub(crate) fn knows(&self, account: &AccountId, what: &str, now: Timestamp) -> bool {
        let kept = self.of(account);
        let mut kept = lock(&kept);
        self.read(account, &mut kept);
        kept.until.get(&key(what)).is_some_and(|until| *until > now.as_seconds())
    }

    /// Remembers this for so many seconds. On disk when it returns.
    ///
    /// # Errors
    /// When it cannot be written; it is remembered until the next start then.
    pub(crate) fn remember(
        &self,
        account: &AccountId,
        what: &str,
        (now, seconds): (Timestamp, u64),
    ) -> disk::Result<()> {
        let kept = self.of(account);
        let mut kept = lock(&kept);
        self.read(account, &mut kept);
        let until = now.as_seconds().saturating_add_unsigned(seconds);
        let key = key(what);
        let path = self.path(account);
        let is_new = !self.disk.metadata(&path).is_ok_and(|found| found.length > 0);
        kept.until.insert(key.clone(), until);
        if is_new || kept.appended >= APPENDED || kept.until.len() > REMEMBERED {
            return self.write_anew(&path, &mut kept, now);
        }
        kept.appended += 1;
        let file = self.disk.open(&path, Access::ReadWrite)?;
        file.write_at(file.length()?, format!("{until} {key}\n").as_bytes())?;
        file.sync_data()
    }

    fn write_anew(&self, path: &Path, kept: &mut Kept, now: Timestamp) -> disk::Result<()> {
        kept.until.retain(|_, until| *until > now.as_seconds());
        if kept.until.len() > REMEMBERED {
            let mut all: Vec<i64> = kept.until.values().copied().collect();
            all.sort_unstable();
            let soonest = all.get(all.len() - REMEMBERED).copied().unwrap_or_default();
            kept.until.retain(|_, until| *until >= soonest);
        }
        let mut text = FIRST_LINE.to_owned();
        for (key, until) in &kept.until {
            text.push_str(&format!("{until} {key}\n"));
        }
        if let Some(folder) = path.parent() {
            self.disk.make_dirs(folder, Mode::PRIVATE_DIR)?;
        }
        kept.appended = 0;
        replace_whole(self.disk.as_ref(), path, Mode::PRIVATE, text.as_bytes())
    }

    fn read(&self, account: &AccountId, kept: &mut Kept) {
        if kept.read {
            return;
        }
        kept.read = true;
        let bytes = match read_whole(self.disk.as_ref(), &self.path(account), MEMORY_BYTES) {
            Ok(bytes) => bytes,
            Err(error) if error.is_missing() => return,
            Err(error) => {
                tracing::warn!(%account, %error, "what rules remember cannot be read");
                return;
            }
        };
        // A line that was cut is passed over.
        for line in String::from_utf8_lossy(&bytes).lines().skip(1) {
            if let Some((until, key)) = line.split_once(' ')
                && let Ok(until) = until.parse()
            {
                kept.until.insert(key.to_owned(), until);
                kept.appended += 1;
            }
        }
    }

    /// Whether this letter was sent on before; remembered from now on, in memory alone.
    pub(crate) fn was_sent(&self, what: &str) -> bool {
        lock(&self.sent).0.contains(what)
    }

    /// The letter was sent on.
    pub(crate) fn sent(&self, what: String) {
        let mut sent = lock(&self.sent);
        if sent.0.insert(what.clone()) {
            sent.1.push_back(what);
        }
        while sent.1.len() > SENT {
            if let Some(oldest) = sent.1.pop_front() {
                sent.0.remove(&oldest);
            }
        }
    }

    fn of(&self, account: &AccountId) -> Arc<Mutex<Kept>> {
        lock(&self.accounts).entry(account.clone()).or_default().clone()
    }

    fn path(&self, account: &AccountId) -> PathBuf {
        self.root.join(file_part(account.domain())).join(file_part(account.name()))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Tables cannot be half changed.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(what: &str) -> String {
    let digest = Sha256::digest(what.as_bytes());
    digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect()
}

const FIRST_LINE: &str = "posthaste sieve memory 1\n";

#[cfg(test)]
mod tests {
    use disk::RealDisk;

    use super::*;

    #[test]
    fn what_is_remembered_is_there_after_a_start_and_gone_after_its_time() {
        let folder = tempfile::tempdir().unwrap();
        let bob = AccountId::new("blue.test", "bob").unwrap();
        let at = Timestamp::from_seconds;
        let open = || Memory::new(Arc::new(RealDisk), folder.path().join("m"));
        let memory = open();
        assert!(!memory.knows(&bob, "a", at(0)));
        memory.remember(&bob, "a", (at(0), 10)).unwrap();
        memory.remember(&bob, "b", (at(0), 100)).unwrap();
        let memory = open();
        assert!(memory.knows(&bob, "a", at(9)) && !memory.knows(&bob, "a", at(10)));
        for n in 0..=APPENDED as i64 {
            memory.remember(&bob, &format!("n{n}"), (at(20), 5)).unwrap();
        }
        let memory = open();
        assert!(memory.knows(&bob, "b", at(21)) && memory.knows(&bob, "n7", at(21)));
        let text = std::fs::read_to_string(folder.path().join("m/blue.test/bob")).unwrap();
        assert!(text.starts_with(FIRST_LINE));
        assert!(text.lines().count() < 2 * APPENDED);
        memory.sent("x".to_owned());
        assert!(memory.was_sent("x") && !memory.was_sent("y"));
    }
}
