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
use crate::limits::{INLINE_LETTER, LETTER_BYTES, STAGED_TOGETHER};
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
        let mut last: Option<(Bytes, PreparedBytes)> = None;
        for recipient in recipients {
            // The same octets for many are marked once, and staged once.
            let same = last.as_ref().filter(|(trace, _)| *trace == recipient.trace);
            let bytes = match same {
                Some((_, bytes)) => *bytes,
                None => {
                    let letter = body.prepend(recipient.trace.clone());
                    if inline { mark(&letter)? } else { self.stage(letter).await? }
                }
            };
            last = Some((recipient.trace.clone(), bytes));
            prepared.push((recipient, bytes));
        }
        Ok(Prepared { journey, body: whole, recipients: prepared })
    }

    /// Letters to be appended, ready. All of them are one request: what one record of the log has
    /// no room for goes to files of its own, as long letters do.
    pub(crate) async fn letters(&self, letters: Vec<NewLetter>) -> Result<Vec<PreparedLetter>> {
        let mut room = INLINE_LETTER;
        let mut fits = Vec::with_capacity(letters.len());
        for letter in &letters {
            let length = letter.body.length();
            fits.push(length <= room);
            room = if length <= room { room - length } else { room };
        }
        let long = letters.iter().zip(&fits).filter(|(_, fits)| !**fits);
        let long: Vec<Body> = long.map(|(letter, _)| letter.body.clone()).collect();
        let mut staged = self.stage_all(long).await?.into_iter();
        let mut prepared = Vec::with_capacity(letters.len());
        for (letter, inline) in letters.into_iter().zip(fits) {
            let NewLetter { body, flags, keywords, date } = letter;
            let staged = if inline { None } else { staged.next() };
            let (bytes, body) = match staged {
                Some(bytes) => (bytes, Bytes::new()),
                None => (mark(&body)?, body.read_all(INLINE_LETTER)?),
            };
            prepared.push(PreparedLetter { bytes, body, flags, keywords, date });
        }
        Ok(prepared)
    }

    /// Writes a large letter to a file of its own and makes it durable.
    async fn stage(&self, letter: Body) -> Result<PreparedBytes> {
        let staged = self.stage_all(vec![letter]).await?;
        staged.into_iter().next().ok_or(Error::NoSuchLetter)
    }

    /// Writes letters to files of their own and makes them durable, all or none.
    async fn stage_all(&self, letters: Vec<Body>) -> Result<Vec<PreparedBytes>> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let named = letters.into_iter().map(|letter| {
            let serial = self.next.fetch_add(1, Ordering::Relaxed);
            (serial, staged_path(&self.root, serial), letter)
        });
        let named: Vec<Named> = named.collect();
        let disk = self.disk.clone();
        let work = move || {
            let done = write_all(disk.as_ref(), &named);
            if done.is_err() {
                // The next start removes what this does not.
                named.iter().for_each(|(_, path, _)| drop(disk.unlink(path)));
            }
            done
        };
        match self.place {
            Place::Aside => crate::thread::run("stage a letter", work).await?,
            Place::Here => work(),
        }
    }
}

/// Number and path of a file to be staged, and its letter.
type Named = (u64, PathBuf, Body);

/// A few letters are synced one by one; beyond that one sync of the file system is less.
fn write_all(disk: &dyn Disk, named: &[Named]) -> Result<Vec<PreparedBytes>> {
    let Some(folder) = named.first().and_then(|(_, path, _)| path.parent()) else {
        return Ok(Vec::new());
    };
    // Held since before anything is written, so that no error of writing back is missed.
    let together = match named.len() > STAGED_TOGETHER {
        true => Some(disk.filesystem(folder)?),
        false => None,
    };
    let mut all = Vec::with_capacity(named.len());
    for (serial, path, letter) in named {
        let file = disk.create_new(path, Mode::PRIVATE)?;
        let marked = write_through(file.as_ref(), letter)?;
        if together.is_none() {
            file.sync_data()?;
        }
        all.push(PreparedBytes { staged: Some(*serial), ..marked });
    }
    // The names are durable before the log speaks of them.
    match together {
        Some(together) => together.sync()?,
        None => disk.sync_dir(folder)?,
    }
    Ok(all)
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
    Ok(PreparedBytes { size: size(letter)?, hash: hash.finish(), staged: None })
}

fn size(letter: &Body) -> Result<u32> {
    u32::try_from(letter.length().min(LETTER_BYTES + 1))
        .map_err(|_| Error::Limit("octets of a letter"))
}
