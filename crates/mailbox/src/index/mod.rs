//! The index: what is inside letters, so that FETCH of a whole mailbox need not read each. A cache
//! and nothing else: every entry carries its letter's hash, and deleting all of it at any stop
//! loses nothing. No delivery and no opening of a mailbox waits for it.
//!
//! One thread opens and closes the accounts' databases and fills them; lookups of what is open
//! happen in the asker's thread. [`Shelf`] is all that `Mailboxes` knows; behind it [`Index`] is
//! the small trait that another engine would have to meet.

mod sled_index;

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::scan::{Scanner, Structure};

use crate::heads::Heads;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::letter::Letter;
use crate::limits::{
    INDEX_FLUSH_AFTER, INDEX_LETTER, INDEX_READ, INDEX_VALUE, INDEX_WAITING, INDEXES_OPEN,
};
use crate::mailbox::Mailbox;
use sled_index::SledIndex;

/// One account's index. Every method may fail; what fails is thrown away and made anew.
trait Index: Send + Sync {
    /// The value of a key.
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken>;
    /// Sets it.
    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Broken>;
    /// Writes what is only in memory; its loss would do no harm.
    fn flush(&self) -> Result<(), Broken>;
}

/// The index cannot be used: an error or a panic of its engine, in words for the log.
#[derive(Debug)]
struct Broken(String);

/// The indexes of all accounts. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shelf {
    /// `None`: there is no index.
    inner: Option<Arc<Inner>>,
}

struct Inner {
    root: PathBuf,
    heads: Heads,
    open: Mutex<HashMap<AccountId, OpenIndex>>,
    work: SyncSender<Work>,
}

struct OpenIndex {
    index: Arc<dyn Index>,
    used: u64,
    /// Entries since the last flush.
    changed: u32,
}

enum Work {
    /// Somebody reads in this account.
    Open(AccountId),
    /// A letter was read through on demand.
    Put(AccountId, Vec<u8>, Vec<u8>),
    /// A letter came into an account that is being read.
    Fill(Mailbox, Box<Letter>),
    /// Flush and close.
    Close,
}

impl Shelf {
    /// The indexes below `root`; `None`: none are kept.
    pub(crate) fn new(root: Option<PathBuf>, heads: Heads) -> Self {
        let Some(root) = root else { return Shelf { inner: None } };
        let (work, waiting) = sync_channel(INDEX_WAITING);
        let inner = Arc::new(Inner { root, heads, open: Mutex::default(), work });
        let worker = Arc::downgrade(&inner);
        let run = move || {
            Inner::run(&waiting, || worker.upgrade());
        };
        match std::thread::Builder::new().name("index".to_owned()).spawn(run) {
            Ok(_) => Shelf { inner: Some(inner) },
            // Without a thread there is no index; nothing depends on it.
            Err(_) => Shelf { inner: None },
        }
    }

    /// The structure of a letter, if it is known already. Never waits.
    pub(crate) fn get(&self, mailbox: &Mailbox, letter: &Letter) -> Option<Structure> {
        let inner = self.inner.as_ref()?;
        let account = mailbox.account();
        let Some(index) = inner.used(account) else {
            // Full: it is asked for again with the next letter.
            let _ = inner.work.try_send(Work::Open(account.clone()));
            return None;
        };
        let value = match index.get(&key(mailbox, letter.uid)) {
            Ok(value) => value?,
            Err(broken) => {
                inner.retire(account, &broken);
                return None;
            }
        };
        let (hash, structure) = value.split_first_chunk::<8>()?;
        (u64::from_be_bytes(*hash) == letter.hash)
            .then(|| Structure::from_bytes(structure).ok())
            .flatten()
    }

    /// Keeps the structure of a letter that was read through.
    pub(crate) fn keep(&self, mailbox: &Mailbox, letter: &Letter, structure: &Structure) {
        let Some(inner) = &self.inner else { return };
        if let Some(value) = value(letter, structure) {
            let put = Work::Put(mailbox.account().clone(), key(mailbox, letter.uid), value);
            // Full: it will be read through again.
            let _ = inner.work.try_send(put);
        }
    }

    /// A letter has come: it is read through when there is time, if anybody reads this account.
    pub(crate) fn came(&self, mailbox: &Mailbox, letter: &Letter) {
        let Some(inner) = &self.inner else { return };
        if inner.open().contains_key(mailbox.account()) {
            let _ = inner.work.try_send(Work::Fill(mailbox.clone(), Box::new(*letter)));
        }
    }

    /// Throws an account's index away; it fills again as letters are read.
    pub(crate) fn forget(&self, account: &AccountId) {
        if let Some(inner) = &self.inner {
            inner.retire(account, &Broken("asked for".to_owned()));
        }
    }

    /// Closes all indexes.
    pub(crate) fn close(&self) {
        if let Some(inner) = &self.inner {
            let _ = inner.work.try_send(Work::Close);
        }
    }
}

impl Inner {
    fn open(&self) -> MutexGuard<'_, HashMap<AccountId, OpenIndex>> {
        // The map is whole whatever happened while it was held.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(waiting: &Receiver<Work>, inner: impl Fn() -> Option<Arc<Inner>>) {
        let mut uses = 0;
        for work in waiting {
            let Some(inner) = inner() else { return };
            uses += 1;
            match work {
                Work::Open(account) => drop(inner.opened(&account, uses)),
                Work::Put(account, key, value) => inner.put(&account, (&key, &value), uses),
                Work::Fill(mailbox, letter) => {
                    if let Some(structure) = read_through(&mailbox, &letter) {
                        inner.heads.keep(&mailbox, &letter, &structure.envelope);
                        let Some(value) = value(&letter, &structure) else { continue };
                        let key = key(&mailbox, letter.uid);
                        inner.put(mailbox.account(), (&key, &value), uses);
                    }
                }
                Work::Close => {
                    for (account, open) in inner.open().drain() {
                        if let Err(broken) = open.index.flush() {
                            discard(&inner.folder(&account), &broken);
                        }
                    }
                }
            }
        }
    }

    fn folder(&self, account: &AccountId) -> PathBuf {
        self.root.join(account.folder())
    }

    /// The index, if it is open.
    fn used(&self, account: &AccountId) -> Option<Arc<dyn Index>> {
        self.open().get(account).map(|open| open.index.clone())
    }

    /// The index, opened if need be; others are closed to make room.
    fn opened(&self, account: &AccountId, uses: u64) -> Option<Arc<dyn Index>> {
        if let Some(open) = self.open().get_mut(account) {
            open.used = uses;
            return Some(open.index.clone());
        }
        // Without the lock: opening may take a second.
        let index: Arc<dyn Index> = match SledIndex::open(&self.folder(account)) {
            Ok(index) => Arc::new(index),
            Err(broken) => {
                discard(&self.folder(account), &broken);
                return None;
            }
        };
        let mut all = self.open();
        while all.len() >= INDEXES_OPEN {
            let oldest = all.iter().min_by_key(|(_, open)| open.used).map(|(id, _)| id.clone());
            let Some(oldest) = oldest else { break };
            all.remove(&oldest);
        }
        all.insert(account.clone(), OpenIndex { index: index.clone(), used: uses, changed: 0 });
        Some(index)
    }

    fn put(&self, account: &AccountId, (key, value): (&[u8], &[u8]), uses: u64) {
        let Some(index) = self.opened(account, uses) else { return };
        let mut done = index.put(key, value);
        let due = {
            let mut all = self.open();
            let changed = all.get_mut(account).map(|open| {
                open.changed += 1;
                open.changed
            });
            if changed.is_some_and(|changed| changed >= INDEX_FLUSH_AFTER)
                && let Some(open) = all.get_mut(account)
            {
                open.changed = 0;
                true
            } else {
                false
            }
        };
        if due {
            done = done.and_then(|()| index.flush());
        }
        if let Err(broken) = done {
            self.retire(account, &broken);
        }
    }

    /// The engine failed: what it has is thrown away, and it begins anew with the next lookup.
    fn retire(&self, account: &AccountId, broken: &Broken) {
        self.open().remove(account);
        discard(&self.folder(account), broken);
    }
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.inner {
            Some(inner) => write!(f, "Shelf({})", inner.root.display()),
            None => f.write_str("Shelf(none)"),
        }
    }
}

/// Mailbox, UIDVALIDITY, UID: a mailbox made anew under an old number finds nothing old.
fn key(mailbox: &Mailbox, uid: Uid) -> Vec<u8> {
    let MailboxId(id) = mailbox.id();
    let parts = [id, mailbox.view().uid_validity(), uid.get()];
    parts.iter().flat_map(|part| part.to_be_bytes()).collect()
}

fn value(letter: &Letter, structure: &Structure) -> Option<Vec<u8>> {
    let mut value = letter.hash.to_be_bytes().to_vec();
    value.extend_from_slice(&structure.to_bytes());
    (value.len() <= INDEX_VALUE).then_some(value)
}

fn read_through(mailbox: &Mailbox, letter: &Letter) -> Option<Structure> {
    if u64::from(letter.size) > INDEX_LETTER {
        return None;
    }
    // A letter that went away meanwhile needs no entry.
    let content = mailbox.content(letter).ok()?;
    let mut scanner = Scanner::new();
    let mut at = 0;
    while at < content.size() {
        let chunk = content.read(at, INDEX_READ).ok()?;
        at += chunk.len() as u64;
        scanner.feed(&chunk);
    }
    Some(scanner.finish())
}

/// Throws an index away. Its name is changed first, so that a new one can begin at once.
fn discard(folder: &std::path::Path, broken: &Broken) {
    let aside = folder.with_extension(format!("broken-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&aside);
    if std::fs::rename(folder, &aside).is_ok() {
        let _ = std::fs::write(aside.join("why"), &broken.0);
        let _ = std::fs::remove_dir_all(&aside);
    }
}

#[cfg(test)]
mod tests;
