//! [`HeadFile`]: the heads of one mailbox on disk. `text` holds records one after the other,
//! `table` says where each begins, eight octets a letter; both are only ever appended to. Nothing
//! is synced: a record that a crash has torn fails its checksum and is made again. Called by
//! `heads`.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::head;
use crate::ids::Uid;
use crate::limits::{HEADS_DISK, HEADS_READ, HEADS_READ_FIRST};

/// The first octets of `text`: what it is and its version.
const MARK: &[u8; 24] = b"posthaste heads 1      \n";
/// Records begin at multiples of this, so that 32 bits tell where.
const STEP: u64 = 8;
/// Octets of an entry of the table.
const ENTRY: usize = 8;
/// Letters out of order that are looked up apart before they are sorted in.
const STRAY: usize = 4096;

/// One mailbox's heads.
#[derive(Debug)]
pub(super) struct HeadFile {
    folder: PathBuf,
    text: File,
    table: File,
    /// UIDs and where their records begin, in steps; sorted.
    places: Vec<(u32, u32)>,
    /// The same of letters that came out of order.
    strays: BTreeMap<u32, u32>,
    /// Octets of `text` that are in the file.
    written: u64,
    /// Records and entries that are not.
    pending: (Vec<u8>, Vec<u8>),
    /// Where in `places` the letter looked up last is.
    last: usize,
}

/// A part of `text` in memory: neighbours are read together.
#[derive(Debug, Default)]
pub(super) struct Window {
    octets: Vec<u8>,
    begins: u64,
    /// Octets read at once the next time.
    reach: usize,
}

/// A record within the window.
pub(super) type Found = std::ops::Range<usize>;

impl HeadFile {
    /// Opens or makes the files in `folder` for a mailbox of so many letters. `None`: they cannot
    /// be used.
    pub(super) fn open(folder: PathBuf, letters: usize) -> Option<Self> {
        std::fs::create_dir_all(&folder).ok()?;
        let file = |name: &str| {
            let path = folder.join(name);
            OpenOptions::new().read(true).append(true).create(true).open(path).ok()
        };
        let (text, table) = (file("text")?, file("table")?);
        // After a power cut the last record may have lost its end.
        let written = text.metadata().ok()?.len().next_multiple_of(STEP);
        text.set_len(written).ok()?;
        let mut opened = HeadFile {
            folder: folder.clone(),
            text,
            table,
            places: Vec::new(),
            strays: BTreeMap::new(),
            written,
            pending: Default::default(),
            last: 0,
        };
        let sound = opened.read_table(&folder.join("table")).is_some()
            // Expunged letters take room until it is mostly theirs.
            && opened.places.len() <= 2 * letters + STRAY
            && written <= HEADS_DISK;
        if !sound {
            opened.begin_anew().ok()?;
        }
        Some(opened)
    }

    /// The places; `None`: the files are not ours, or not whole.
    fn read_table(&mut self, path: &Path) -> Option<()> {
        let mut mark = [0; MARK.len()];
        self.text.read_exact_at(&mut mark, 0).ok().filter(|()| mark == *MARK)?;
        let table = std::fs::read(path).ok()?;
        let (entries, rest) = table.as_chunks::<ENTRY>();
        if !rest.is_empty() {
            return None;
        }
        let number = |four: &[u8]| four.try_into().map(u32::from_le_bytes).unwrap_or_default();
        let split = |entry: &[u8; ENTRY]| (number(&entry[..4]), number(&entry[4..]));
        self.places = entries.iter().map(split).collect();
        if !self.places.is_sorted_by_key(|&(uid, _)| uid) {
            self.places.sort_by_key(|&(uid, _)| uid);
        }
        // The later of two is the one that counts.
        self.places.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                earlier.1 = later.1;
            }
            same
        });
        Some(())
    }

    fn begin_anew(&mut self) -> io::Result<()> {
        self.places = Vec::new();
        self.strays.clear();
        self.pending = Default::default();
        self.text.set_len(0)?;
        self.table.set_len(0)?;
        self.text.write_all(MARK)?;
        self.written = MARK.len() as u64;
        Ok(())
    }

    /// Octets of records that are in memory only.
    pub(super) fn pending(&self) -> usize {
        self.pending.0.len()
    }

    /// Octets of memory, about.
    pub(super) fn memory(&self) -> usize {
        self.places.capacity() * ENTRY + self.strays.len() * 4 * ENTRY + self.pending.0.capacity()
    }

    /// Takes a record up.
    pub(super) fn add(&mut self, uid: Uid, record: &[u8]) {
        let begins = self.written + self.pending.0.len() as u64;
        let Ok(step) = u32::try_from(begins / STEP) else { return };
        if begins > HEADS_DISK {
            return;
        }
        self.pending.0.extend_from_slice(record);
        let padded = self.pending.0.len().next_multiple_of(STEP as usize);
        self.pending.0.resize(padded, 0);
        self.pending.1.extend_from_slice(&uid.get().to_le_bytes());
        self.pending.1.extend_from_slice(&step.to_le_bytes());
        match self.places.last() {
            Some(&(last, _)) if last >= uid.get() => {
                self.strays.insert(uid.get(), step);
                if self.strays.len() >= STRAY {
                    self.sort_in();
                }
            }
            _ => self.places.push((uid.get(), step)),
        }
    }

    fn sort_in(&mut self) {
        let strays = std::mem::take(&mut self.strays);
        self.places.retain(|(uid, _)| !strays.contains_key(uid));
        self.places.extend(strays);
        self.places.sort_by_key(|&(uid, _)| uid);
    }

    /// Writes what is in memory only. What cannot be written is forgotten.
    pub(super) fn write(&mut self) {
        if self.pending.0.is_empty() {
            return;
        }
        let (records, entries) = std::mem::take(&mut self.pending);
        let done = self.text.write_all(&records).and_then(|()| self.table.write_all(&entries));
        self.written += records.len() as u64;
        if done.is_err() && self.begin_anew().is_err() {
            let _ = std::fs::remove_dir_all(&self.folder);
        }
    }

    /// Brings the record of a letter into the window.
    pub(super) fn find(&mut self, uid: Uid, window: &mut Window) -> Option<Found> {
        let begins = u64::from(self.place(uid.get())?) * STEP;
        if begins >= self.written {
            let at = usize::try_from(begins - self.written).ok()?;
            let record = self.pending.0.get(at..)?;
            let record = record.get(..head::length(record)?)?;
            *window = Window { octets: record.to_vec(), begins, reach: 0 };
            return Some(0..record.len());
        }
        let start = window.cover(&self.text, begins, 4)?;
        let length = head::length(window.octets.get(start..)?)?;
        let start = window.cover(&self.text, begins, length)?;
        Some(start..start + length)
    }

    fn place(&mut self, uid: u32) -> Option<u32> {
        if let Some(step) = self.strays.get(&uid) {
            return Some(*step);
        }
        // Mostly the neighbour of the one before.
        let next = self.last.saturating_add(1);
        self.last = match self.places.get(next) {
            Some(&(found, _)) if found == uid => next,
            _ => self.places.binary_search_by_key(&uid, |&(uid, _)| uid).ok()?,
        };
        self.places.get(self.last).map(|&(_, step)| step)
    }
}

impl Window {
    /// Where in the window `length` octets from `begins` on are, read if they are not there. Who
    /// reads on and on reads more at once.
    fn cover(&mut self, text: &File, begins: u64, length: usize) -> Option<usize> {
        let end = self.begins + self.octets.len() as u64;
        if begins >= self.begins && begins + length as u64 <= end {
            return usize::try_from(begins - self.begins).ok();
        }
        let follows = begins >= self.begins && begins <= end + HEADS_READ_FIRST as u64;
        self.reach = match follows {
            true => (self.reach * 2).clamp(HEADS_READ_FIRST, HEADS_READ),
            false => HEADS_READ_FIRST,
        };
        self.octets.resize(self.reach.max(length), 0);
        self.begins = begins;
        let mut done = 0;
        while let Some(rest) = self.octets.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match text.read_at(rest, begins + done as u64) {
                Ok(0) => break,
                Ok(read) => done += read,
                Err(_) => {
                    self.octets.clear();
                    return None;
                }
            }
        }
        self.octets.truncate(done);
        (done >= length).then_some(0)
    }

    /// The octets of a record that was found.
    pub(super) fn record(&self, found: Found) -> Option<&[u8]> {
        self.octets.get(found)
    }
}
