//! The heads of letters (docs/mailbox.md §7): what a list of letters shows and what a search for
//! subjects and dates looks at, one after the other in a file for each mailbox, so that a client
//! which asks for the envelopes of all letters is answered by copying. A cache and nothing else:
//! each head carries its letter's hash and a checksum, nothing is synced, and deleting all of it
//! at any time costs the next reader. Not the structure of letters: that is `index`.
//!
//! Filled with what is read anyway: by sessions, and by the thread of the index when a letter
//! comes. [`Heads`] is all that `Mailboxes` knows; `file` is one mailbox's file.

mod file;
mod head;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use message::envelope::Envelope;

use crate::ids::AccountId;
use crate::letter::Letter;
use crate::limits::{HEADS_MEMORY, HEADS_PENDING};
use crate::mailbox::Mailbox;
use file::HeadFile;
pub use head::Head;

/// The heads of all mailboxes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Heads {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    /// `None`: none are kept.
    root: Option<PathBuf>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    mailboxes: HashMap<Key, Known>,
    uses: u64,
}

#[derive(Debug)]
struct Known {
    file: Shared,
    used: u64,
}

/// Whose, which mailbox, which generation of it.
type Key = (AccountId, u32, u32);

/// A mailbox's file, or nothing where it could not be opened.
type Shared = Arc<Mutex<HeadFile>>;

/// Reads the heads of one mailbox, best in the order of their UIDs. Made for one command.
#[derive(Debug)]
pub struct HeadReader {
    file: Option<Shared>,
    window: file::Window,
}

impl Heads {
    /// Heads below `root`, the folder of all indexes.
    pub(crate) fn new(root: Option<&Path>) -> Self {
        let root = root.map(|root| root.join(".heads"));
        Heads { shelf: Arc::new(Shelf { root, open: Mutex::default() }) }
    }

    /// Begins to read in a mailbox.
    pub(crate) fn reader(&self, mailbox: &Mailbox) -> HeadReader {
        HeadReader { file: self.shelf.file(mailbox), window: file::Window::default() }
    }

    /// Keeps the head of a letter whose envelope was read.
    pub(crate) fn keep(&self, mailbox: &Mailbox, letter: &Letter, envelope: &Envelope) {
        if let (Some(file), Some(record)) =
            (self.shelf.file(mailbox), head::record(letter, envelope))
        {
            let mut file = guard(&file);
            file.add(letter.uid, &record);
            if file.pending() >= HEADS_PENDING {
                file.write();
            }
        }
    }

    /// The envelope of one letter, as [`Head::envelope`].
    pub(crate) fn envelope(&self, mailbox: &Mailbox, letter: &Letter) -> Option<Vec<u8>> {
        let mut reader = self.reader(mailbox);
        let found = reader.get(letter).map(|head| head.envelope.to_vec());
        // One letter of many, perhaps: what waits to be written waits on.
        reader.file = None;
        found
    }

    /// Throws an account's heads away.
    pub(crate) fn forget(&self, account: &AccountId) {
        self.shelf.open().mailboxes.retain(|(of, ..), _| of != account);
        if let Some(root) = &self.shelf.root {
            let _ = std::fs::remove_dir_all(root.join(account.folder()));
        }
    }

    /// Writes what is in memory only; for the end of the service.
    pub(crate) fn close(&self) {
        for known in self.shelf.open().mailboxes.values() {
            guard(&known.file).write();
        }
    }
}

impl Shelf {
    fn open(&self) -> MutexGuard<'_, Open> {
        guard(&self.open)
    }

    fn file(&self, mailbox: &Mailbox) -> Option<Shared> {
        let root = self.root.as_ref()?;
        let view = mailbox.view();
        let key = (mailbox.account().clone(), mailbox.id().0, view.uid_validity());
        let mut open = self.open();
        open.uses += 1;
        let uses = open.uses;
        if let Some(known) = open.mailboxes.get_mut(&key) {
            known.used = uses;
            return Some(known.file.clone());
        }
        let generation = format!("{}-{}", mailbox.id(), view.uid_validity());
        let folder = root.join(mailbox.account().folder()).join(generation);
        let file = Arc::new(Mutex::new(HeadFile::open(folder, view.len())?));
        open.make_room();
        open.mailboxes.insert(key, Known { file: file.clone(), used: uses });
        Some(file)
    }
}

impl Open {
    /// Tables that were used longest ago leave memory. Those that are being read stay with their
    /// readers.
    fn make_room(&mut self) {
        let memory = |all: &HashMap<Key, Known>| -> usize {
            all.values().map(|known| guard(&known.file).memory()).sum()
        };
        while memory(&self.mailboxes) > HEADS_MEMORY {
            let idle = self.mailboxes.iter().filter(|(_, known)| {
                // One who holds it could add to a file that is opened anew meanwhile.
                Arc::strong_count(&known.file) == 1
            });
            let oldest = idle.min_by_key(|(_, known)| known.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            if let Some(known) = self.mailboxes.remove(&oldest) {
                guard(&known.file).write();
            }
        }
    }
}

impl HeadReader {
    /// The head of a letter, if it is known.
    pub fn get(&mut self, letter: &Letter) -> Option<Head<'_>> {
        let found = guard(self.file.as_ref()?).find(letter.uid, &mut self.window)?;
        head::parse(self.window.record(found)?, letter)
    }
}

impl Drop for HeadReader {
    fn drop(&mut self) {
        // What the command has read is for the next one, and for the next start.
        if let Some(file) = &self.file {
            guard(file).write();
        }
    }
}

fn guard<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What was half done when somebody panicked is found out by the checksums.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
