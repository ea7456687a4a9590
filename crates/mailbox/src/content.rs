//! [`Content`]: the bytes of a stored letter, read in ranges. Where they are, in a file or still in
//! memory, is nobody's business but ours.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use disk::{Access, Body, Disk, DiskFile};

use crate::checksum::LetterHash;
use crate::error::{Error, Result};
use crate::letter::{Letter, place, split_name};

/// A letter's bytes.
#[derive(Debug, Clone)]
pub struct Content {
    bytes: Bytes,
    /// `None`: all in `bytes`.
    file: Option<Arc<dyn DiskFile>>,
    size: u64,
}

impl Content {
    pub(crate) fn from_memory(trace: &Bytes, body: Bytes) -> Self {
        let bytes = if trace.is_empty() {
            body
        } else {
            let mut all = BytesMut::with_capacity(trace.len() + body.len());
            all.extend_from_slice(trace);
            all.extend_from_slice(&body);
            all.freeze()
        };
        let size = bytes.len() as u64;
        Content { bytes, file: None, size }
    }

    /// Length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// At most `most` bytes from `offset` on; fewer only at the end of the letter. Reads from the
    /// page cache or the disk: bound `most` by what a session may hold.
    pub fn read(&self, offset: u64, most: usize) -> Result<Bytes> {
        let left = self.size.saturating_sub(offset);
        let want = usize::try_from(left).map_or(most, |left| left.min(most));
        let Some(file) = &self.file else {
            // What is in memory is below the size of a large letter.
            let from = usize::try_from(offset.min(self.size)).unwrap_or(self.bytes.len());
            return Ok(self.bytes.slice(from..from + want));
        };
        let mut buffer = BytesMut::zeroed(want);
        let mut done = 0;
        while done < want {
            match file.read_at(offset + done as u64, &mut buffer[done..])? {
                0 => return Err(Error::Damaged("a letter's file was cut".to_owned())),
                read => done += read,
            }
        }
        Ok(buffer.freeze())
    }

    /// The same letter, read into memory if it is at most `most` bytes long: one read for all that
    /// follows, and the file is let go.
    pub fn held(self, most: u64) -> Result<Self> {
        if self.file.is_none() || self.size > most {
            return Ok(self);
        }
        Ok(Content { bytes: self.read_all()?, file: None, size: self.size })
    }

    /// All of it; for letters whose size is known to be bearable.
    pub fn read_all(&self) -> Result<Bytes> {
        self.read(0, usize::MAX)
    }

    /// The letter as a body that can be handed on, without reading it.
    pub fn to_body(&self) -> Body {
        match &self.file {
            Some(file) => Body::from_file(file.clone(), 0, self.size),
            None => Body::from(self.bytes.clone()),
        }
    }
}

/// Opens a letter's file: where its record says, else where another program may have renamed it to.
pub(crate) fn open(
    disk: &dyn Disk,
    maildir: &Path,
    base: &str,
    letter: &Letter,
) -> Result<Content> {
    let guesses: [&dyn Fn() -> String; 3] = [
        &|| place(base, letter.shown.flags()),
        &|| place(base, letter.flags),
        // Seen by another program, which gave it no flag.
        &|| format!("cur/{base}:2,"),
    ];
    for guess in guesses {
        match open_path(disk, &maildir.join(guess()), letter) {
            Err(Error::NoSuchLetter) => {}
            other => return other,
        }
    }
    match find(disk, maildir, base)? {
        Some(path) => open_path(disk, &path, letter),
        None => Err(Error::NoSuchLetter),
    }
}

pub(crate) fn open_path(disk: &dyn Disk, path: &Path, letter: &Letter) -> Result<Content> {
    whole(disk, path, letter.size)
}

/// Opens a file that must be `size` bytes long.
pub(crate) fn whole(disk: &dyn Disk, path: &Path, size: u32) -> Result<Content> {
    let file = match disk.open(path, Access::Read) {
        Err(error) if error.is_missing() => return Err(Error::NoSuchLetter),
        other => other?,
    };
    let length = file.length()?;
    if length != u64::from(size) {
        // Another program may have rewritten a letter, which no client expects of IMAP.
        return Err(Error::Damaged(format!("{} has {length} bytes", path.display())));
    }
    Ok(Content { bytes: Bytes::new(), file: Some(Arc::from(file)), size: length })
}

/// Length and hash of a file.
pub(crate) fn mark(disk: &dyn Disk, path: &Path) -> disk::Result<(u64, u64)> {
    let file: Arc<dyn DiskFile> = Arc::from(disk.open(path, Access::Read)?);
    let length = file.length()?;
    let mut hash = LetterHash::default();
    for chunk in Body::from_file(file, 0, length).chunks() {
        hash.update(&chunk?);
    }
    Ok((length, hash.finish()))
}

/// The file whose name begins with `base`, looking through the whole Maildir.
pub(crate) fn find(disk: &dyn Disk, maildir: &Path, base: &str) -> disk::Result<Option<PathBuf>> {
    for directory in ["cur", "new"] {
        let directory = maildir.join(directory);
        let entries = match disk.read_dir(&directory) {
            Err(error) if error.is_missing() => continue,
            other => other?,
        };
        let ours = entries
            .into_iter()
            .find(|entry| entry.name.to_str().is_some_and(|name| split_name(name).0 == base));
        if let Some(entry) = ours {
            return Ok(Some(directory.join(entry.name)));
        }
    }
    Ok(None)
}
