//! [`Stager`]: makes letters ready before they reach the writer. It marks them with their hash, and
//! writes large ones to synced files of their own on a thread of its own, so that neither the
//! writer nor the sessions wait for a long letter.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use disk::{Body, Disk, DiskFile, Mode, Spool};

use crate::ask::{Delivery, NewLetter, Prepared, PreparedBytes, PreparedLetter};
use crate::checksum::LetterHash;
use crate::error::{Error, Result};
use crate::limits::{INLINE_LETTER, LETTER_BYTES};
use crate::writer::staged_path;

/// Makes letters ready.
#[derive(Debug)]
pub(crate) struct Stager {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    place: Place,
    /// Number of the next staged file. Begins with the time, so that it is never an old one.
    next: AtomicU64,
}

/// Where long letters are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// On a thread of their own.
    Aside,
    /// Where they are asked for: of who steps the store by hand.
    Here,
}

impl Stager {
    pub(crate) fn new(disk: Arc<dyn Disk>, options: &crate::Options, place: Place) -> Result<Self> {
        let next = (options.clock)().as_micros().max(1).unsigned_abs();
        Ok(Stager { disk, root: options.directory.clone(), place, next: AtomicU64::new(next) })
    }

    /// The disk of the store.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        self.disk.clone()
    }

    /// The folder of all mail.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Takes a letter in; what is too long for memory goes to a file without a name.
    pub(crate) fn spool(&self) -> Spool {
        Spool::new(self.disk.clone(), self.root.join(".posthaste/staged"))
    }

    /// A delivery, ready.
    pub(crate) async fn delivery(&self, delivery: Delivery) -> Result<Prepared> {
        let Delivery { journey, body, recipients } = delivery;
        let longest = recipients.iter().map(|one| one.trace.len()).max().unwrap_or(0) as u64;
        let inline = body.length() + longest <= INLINE_LETTER;
        let whole = if inline { body.read_all(INLINE_LETTER)? } else { Bytes::new() };
        let mut prepared = Vec::with_capacity(recipients.len());
        for recipient in recipients {
            let letter = body.prepend(recipient.trace.clone());
            let bytes = if inline { mark(&letter)? } else { self.stage(letter).await? };
            prepared.push((recipient, bytes));
        }
        Ok(Prepared { journey, body: whole, recipients: prepared })
    }

    /// Letters to be appended, ready. All of them are one request: what one record of the log has
    /// no room for goes to files of its own, as long letters do.
    pub(crate) async fn letters(&self, letters: Vec<NewLetter>) -> Result<Vec<PreparedLetter>> {
        let mut prepared = Vec::with_capacity(letters.len());
        let mut room = INLINE_LETTER;
        for letter in letters {
            let NewLetter { body, flags, keywords, date } = letter;
            let inline = body.length() <= room;
            if inline {
                room -= body.length();
            }
            let bytes = if inline { mark(&body)? } else { self.stage(body.clone()).await? };
            let body = if inline { body.read_all(INLINE_LETTER)? } else { Bytes::new() };
            prepared.push(PreparedLetter { bytes, body, flags, keywords, date });
        }
        Ok(prepared)
    }

    /// Writes a large letter to a file of its own and makes it durable.
    async fn stage(&self, letter: Body) -> Result<PreparedBytes> {
        let serial = self.next.fetch_add(1, Ordering::Relaxed);
        let path = staged_path(&self.root, serial);
        let disk = self.disk.clone();
        let work = move || {
            let file = disk.create_new(&path, Mode::PRIVATE)?;
            let done = write_through(file.as_ref(), &letter).and_then(|marked| {
                // The name is durable before the log speaks of it.
                let folder = path.parent().unwrap_or(&path);
                disk.sync_dir(folder).map_err(Error::from).map(|()| marked)
            });
            if done.is_err() {
                // The next start removes what this does not.
                let _ = disk.unlink(&path);
            }
            done
        };
        let marked = match self.place {
            Place::Aside => crate::thread::run("stage a letter", work).await??,
            Place::Here => work()?,
        };
        Ok(PreparedBytes { staged: Some(serial), ..marked })
    }
}

/// Size and hash of a letter in memory.
fn mark(letter: &Body) -> Result<PreparedBytes> {
    let mut hash = LetterHash::default();
    for chunk in letter.chunks() {
        hash.update(&chunk?);
    }
    Ok(PreparedBytes { size: size(letter)?, hash: hash.finish(), staged: None })
}

fn write_through(file: &dyn DiskFile, letter: &Body) -> Result<PreparedBytes> {
    let mut hash = LetterHash::default();
    let mut offset = 0;
    for chunk in letter.chunks() {
        let chunk = chunk?;
        hash.update(&chunk);
        file.write_at(offset, &chunk)?;
        offset += chunk.len() as u64;
    }
    file.sync_data()?;
    Ok(PreparedBytes { size: size(letter)?, hash: hash.finish(), staged: None })
}

fn size(letter: &Body) -> Result<u32> {
    u32::try_from(letter.length().min(LETTER_BYTES + 1))
        .map_err(|_| Error::Limit("octets of a letter"))
}
