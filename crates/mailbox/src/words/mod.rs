//! The words of letters (docs/mailbox.md §7): an index for SEARCH TEXT and BODY that says which
//! letters need not be read. It never says that a letter is found: those that may be are read.
//!
//! It is made of what searches read anyway, and of nothing else: no delivery and no opening waits
//! for it. Files below `DATA/index/.words/`; deleting them at any time costs the next search.

mod query;
mod segment;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::ids::{AccountId, Uid};
use crate::letter::Letter;
use crate::limits::{
    WORDS_DISK, WORDS_KEPT_AFTER, WORDS_MEMORY, WORDS_SEGMENT, WORDS_SEGMENT_MEMORY,
};
use crate::mailbox::Mailbox;
use crate::view::View;

pub use query::{Field, Query};
use segment::{Builder, Doc, Segment, is_set};

/// The words of all mailboxes. Clones are the same.
#[derive(Debug, Clone)]
pub(crate) struct Words {
    shelf: Arc<Shelf>,
}

#[derive(Debug)]
struct Shelf {
    /// `None`: only what fits into memory is kept.
    root: Option<PathBuf>,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    mailboxes: HashMap<Key, Known>,
    uses: u64,
}

/// Whose words, which mailbox, which generation of it.
type Key = (AccountId, u32, u32);

/// The words of a mailbox.
#[derive(Debug, Default)]
struct Known {
    /// Finished segments with the numbers of their files.
    segments: Vec<(u32, Arc<Segment>)>,
    coming: Builder,
    used: u64,
}

/// Letters that a search need not read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuledOut {
    /// One bit for each UID.
    bits: Vec<u64>,
}

impl RuledOut {
    /// The letter does not hold what is looked for.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = usize::try_from(uid.get()).unwrap_or(usize::MAX);
        is_set(&self.bits, at)
    }

    fn insert(&mut self, uid: Uid) {
        let at = usize::try_from(uid.get()).unwrap_or(usize::MAX);
        if let Some(word) = self.bits.get_mut(at / 64) {
            *word |= 1 << (at % 64);
        }
    }
}

impl Words {
    /// Words below `root`, the folder of all indexes.
    pub(crate) fn new(root: Option<&Path>) -> Self {
        let root = root.map(|root| root.join(".words"));
        Words { shelf: Arc::new(Shelf { root, open: Mutex::default() }) }
    }

    /// Which letters cannot fulfil the condition.
    pub(crate) fn rule_out(&self, mailbox: &Mailbox, query: &Query) -> RuledOut {
        let view = mailbox.view();
        let last = usize::try_from(view.uid_next().get()).unwrap_or(usize::MAX);
        let mut out = RuledOut { bits: vec![0; last / 64 + 1] };
        let mut open = self.shelf.open();
        let known = self.shelf.known(&mut open, mailbox, &view);
        let mut take = |docs: &[Doc], found: &segment::Bits| {
            for (place, doc) in docs.iter().enumerate() {
                if !is_set(found, place) {
                    out.insert(doc.uid);
                }
            }
        };
        for (_, segment) in &known.segments {
            take(&segment.docs, &segment.find(query));
        }
        take(known.coming.docs(), &known.coming.find(query));
        out
    }

    /// Which letters of the mailbox are known, as numbers of UIDs.
    pub(crate) fn knows(&self, mailbox: &Mailbox) -> crate::UidSet {
        let view = mailbox.view();
        let mut open = self.shelf.open();
        let known = self.shelf.known(&mut open, mailbox, &view);
        let segments = known.segments.iter().flat_map(|(_, segment)| &segment.docs);
        let mut uids: Vec<Uid> = segments.chain(known.coming.docs()).map(|doc| doc.uid).collect();
        uids.sort_unstable();
        uids.into_iter().collect()
    }

    /// A search has read a letter that was not known: its header and text, in lower case.
    pub(crate) fn learn(&self, mailbox: &Mailbox, letter: &Letter, (header, body): (&str, &str)) {
        let view = mailbox.view();
        let mut open = self.shelf.open();
        let known = self.shelf.known(&mut open, mailbox, &view);
        known.coming.add(Doc { uid: letter.uid, hash: letter.hash }, header, body);
        let full =
            known.coming.len() >= WORDS_SEGMENT || known.coming.memory() >= WORDS_SEGMENT_MEMORY;
        if full {
            self.shelf.keep(known, mailbox, &view);
            self.shelf.make_room(&mut open, mailbox, &view);
        }
    }

    /// A search is over: what it learnt is written if that is worth a file.
    pub(crate) fn searched(&self, mailbox: &Mailbox) {
        let view = mailbox.view();
        let mut open = self.shelf.open();
        let known = self.shelf.known(&mut open, mailbox, &view);
        if known.coming.len() >= WORDS_KEPT_AFTER {
            self.shelf.keep(known, mailbox, &view);
        }
        self.shelf.make_room(&mut open, mailbox, &view);
    }

    /// Throws an account's words away.
    pub(crate) fn forget(&self, account: &AccountId) {
        let mut open = self.shelf.open();
        open.mailboxes.retain(|(of, ..), _| of != account);
        if let Some(root) = &self.shelf.root {
            let _ = std::fs::remove_dir_all(root.join(account.folder()));
        }
    }
}

impl Shelf {
    fn open(&self) -> MutexGuard<'_, Open> {
        // Words that were half taken up when somebody panicked only cost reading.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known<'a>(&self, open: &'a mut Open, mailbox: &Mailbox, view: &View) -> &'a mut Known {
        open.uses += 1;
        let key = key(mailbox, view);
        let known = open
            .mailboxes
            .entry(key)
            .or_insert_with(|| Known { segments: self.read(mailbox, view), ..Known::default() });
        known.used = open.uses;
        known
    }

    fn folder(&self, mailbox: &Mailbox, view: &View) -> Option<PathBuf> {
        let generation = format!("{}-{}", mailbox.id(), view.uid_validity());
        Some(self.root.as_ref()?.join(mailbox.account().folder()).join(generation))
    }

    /// The segments on disk. What is not whole, or speaks of other letters than are there, goes.
    fn read(&self, mailbox: &Mailbox, view: &View) -> Vec<(u32, Arc<Segment>)> {
        let Some(folder) = self.folder(mailbox, view) else { return Vec::new() };
        let Ok(entries) = std::fs::read_dir(&folder) else { return Vec::new() };
        let mut segments = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path();
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
            let segment = number.and_then(|_| Segment::read(&std::fs::read(&path).ok()?));
            let right = |doc: &Doc| view.letter(doc.uid).is_none_or(|l| l.hash == doc.hash);
            match (number, segment.filter(|segment| segment.docs.iter().all(right))) {
                (Some(number), Some(segment)) => segments.push((number, Arc::new(segment))),
                _ => {
                    let _ = std::fs::remove_file(&path);
                }
            }
        }
        segments.sort_by_key(|(number, _)| *number);
        // A crash between writing a merged segment and removing its parts leaves letters twice.
        let mut seen = std::collections::HashSet::new();
        segments.retain(|(number, segment)| {
            let whole = segment.docs.iter().all(|doc| seen.insert(doc.uid));
            if !whole {
                let _ = std::fs::remove_file(folder.join(number.to_string()));
            }
            whole
        });
        segments
    }

    /// Writes what was learnt as a segment, together with the last one if that is small.
    fn keep(&self, known: &mut Known, mailbox: &Mailbox, view: &View) {
        let mut builder = std::mem::take(&mut known.coming);
        let small = known.segments.last().filter(|(_, segment)| {
            segment.docs.len() < WORDS_SEGMENT / 2
                && segment.memory() + builder.memory() < WORDS_SEGMENT_MEMORY
        });
        let merged = small.map(|(number, segment)| {
            builder.absorb(segment, |uid| view.letter(uid).is_some());
            *number
        });
        let number = known.segments.last().map_or(1, |(number, _)| number + 1);
        let bytes = builder.to_bytes();
        let Some(segment) = Segment::read(&bytes) else { return };
        let written = self.folder(mailbox, view).filter(|_| {
            let all: usize = known.segments.iter().map(|(_, segment)| segment.memory()).sum();
            all + bytes.len() <= WORDS_DISK
        });
        if let Some(folder) = written {
            // A failure costs the next search; there is nobody to tell.
            let _ = std::fs::create_dir_all(&folder)
                .and_then(|()| std::fs::write(folder.join("coming"), &bytes))
                .and_then(|()| {
                    std::fs::rename(folder.join("coming"), folder.join(number.to_string()))
                })
                .map(|()| merged.map(|old| std::fs::remove_file(folder.join(old.to_string()))));
        }
        if merged.is_some() {
            known.segments.pop();
        }
        known.segments.push((number, Arc::new(segment)));
    }

    /// Mailboxes that were searched longest ago leave memory.
    fn make_room(&self, open: &mut Open, mailbox: &Mailbox, view: &View) {
        let current = key(mailbox, view);
        let memory = |known: &Known| {
            known.coming.memory() + known.segments.iter().map(|(_, s)| s.memory()).sum::<usize>()
        };
        while open.mailboxes.values().map(memory).sum::<usize>() > WORDS_MEMORY {
            let oldest = open.mailboxes.iter().filter(|(key, _)| **key != current);
            let oldest = oldest.min_by_key(|(_, known)| known.used).map(|(key, _)| key.clone());
            let Some(oldest) = oldest else { return };
            open.mailboxes.remove(&oldest);
        }
    }
}

fn key(mailbox: &Mailbox, view: &View) -> Key {
    (mailbox.account().clone(), mailbox.id().0, view.uid_validity())
}
