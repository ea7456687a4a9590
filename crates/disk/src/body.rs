//! [`Spool`] takes a letter in as it arrives, [`Body`] gives it out as often as it is wanted.
//!
//! Small letters stay in memory, larger ones move to a file without a name, which no crash can
//! leave behind. A body is cheap to clone, knows its length, and takes headers in front without
//! copying what follows. Who needs it durable hands it to a store.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};

use crate::disk::{Disk, DiskFile, Mode, Result};
use crate::limits::{BODY_CHUNK, SPOOL_MEMORY};
use crate::{Error, ErrorKind};

/// Takes bytes in until the letter is complete.
#[derive(Debug)]
pub struct Spool {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    memory: BytesMut,
    file: Option<Box<dyn DiskFile>>,
    /// Bytes already in the file.
    written: u64,
}

/// A complete letter, or a part of one: a sequence of pieces in memory or in files.
#[derive(Clone, Default)]
pub struct Body {
    pieces: Arc<[Piece]>,
    length: u64,
}

#[derive(Clone)]
enum Piece {
    Memory(Bytes),
    File { file: Arc<dyn DiskFile>, offset: u64, length: u64 },
}

/// The chunks of a [`Body`], in order; see [`Body::chunks`].
#[derive(Debug)]
pub struct Chunks {
    body: Body,
    piece: usize,
    /// Bytes of the current piece already given out.
    done: u64,
}

impl Spool {
    /// A spool whose overflow goes to unnamed files on the file system of `directory`.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        Spool { disk, directory, memory: BytesMut::new(), file: None, written: 0 }
    }

    /// Takes the next bytes. [`ErrorKind::Full`] when the disk is full.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.memory.extend_from_slice(bytes);
        let most = if self.file.is_some() { BODY_CHUNK } else { SPOOL_MEMORY };
        if self.memory.len() > most { self.flush() } else { Ok(()) }
    }

    /// Bytes taken so far.
    pub fn length(&self) -> u64 {
        self.written + self.memory.len() as u64
    }

    /// The letter is complete.
    pub fn finish(mut self) -> Result<Body> {
        if self.file.is_some() {
            self.flush()?;
        }
        match self.file {
            Some(file) => Ok(Body::from_file(Arc::from(file), 0, self.written)),
            None => Ok(Body::from(self.memory.freeze())),
        }
    }

    fn flush(&mut self) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            None => self.disk.create_unnamed(&self.directory, Mode::PRIVATE)?,
        };
        let file = self.file.insert(file);
        file.write_at(self.written, &self.memory)?;
        self.written += self.memory.len() as u64;
        self.memory.clear();
        Ok(())
    }
}

impl Body {
    /// The given stretch of an open file, which must not change any more.
    pub fn from_file(file: Arc<dyn DiskFile>, offset: u64, length: u64) -> Self {
        Body { pieces: Arc::new([Piece::File { file, offset, length }]), length }
    }

    /// Length in bytes.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The same letter with bytes in front; neither is copied.
    #[must_use]
    pub fn prepend(&self, bytes: Bytes) -> Self {
        let length = self.length + bytes.len() as u64;
        let first = std::iter::once(Piece::Memory(bytes));
        Body { pieces: first.chain(self.pieces.iter().cloned()).collect(), length }
    }

    /// The same letter without its first `count` bytes; nothing is copied.
    #[must_use]
    pub fn without_start(&self, count: u64) -> Self {
        let mut skip = count.min(self.length);
        let length = self.length - skip;
        let mut pieces = Vec::with_capacity(self.pieces.len());
        for piece in self.pieces.iter() {
            let of_piece = match piece {
                Piece::Memory(bytes) => bytes.len() as u64,
                Piece::File { length, .. } => *length,
            };
            let gone = skip.min(of_piece);
            skip -= gone;
            match piece {
                _ if gone == of_piece => {}
                Piece::Memory(bytes) => pieces.push(Piece::Memory(bytes.slice(gone as usize..))),
                Piece::File { file, offset, length } => {
                    let (file, offset, length) = (file.clone(), offset + gone, length - gone);
                    pieces.push(Piece::File { file, offset, length });
                }
            }
        }
        Body { pieces: pieces.into(), length }
    }

    /// The chunks in order: pieces in memory whole, pieces in files at most
    /// [`BODY_CHUNK`] bytes at a time. After an error there are no more.
    pub fn chunks(&self) -> Chunks {
        Chunks { body: self.clone(), piece: 0, done: 0 }
    }

    /// The whole letter in one buffer; [`ErrorKind::Full`] if it is longer than `most` bytes.
    pub fn read_all(&self, most: u64) -> Result<Bytes> {
        if let [Piece::Memory(bytes)] = self.pieces.as_ref()
            && self.length <= most
        {
            return Ok(bytes.clone());
        }
        if self.length > most {
            let detail = format!("{} bytes, at most {most} are read at once", self.length);
            return Err(Error::new(ErrorKind::Full, "read a letter into memory", detail));
        }
        let mut all = BytesMut::with_capacity(self.length as usize);
        for chunk in self.chunks() {
            all.extend_from_slice(&chunk?);
        }
        Ok(all.freeze())
    }

    /// The first bytes, at most `most`: enough for the header fields.
    pub fn read_start(&self, most: usize) -> Result<Bytes> {
        let mut start = BytesMut::new();
        for chunk in self.chunks() {
            let chunk = chunk?;
            let room = most - start.len();
            if start.is_empty() && chunk.len() >= room {
                return Ok(chunk.slice(..room));
            }
            start.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if start.len() == most {
                break;
            }
        }
        Ok(start.freeze())
    }

    /// The pieces in memory, in order, if all of it is there.
    pub fn in_memory(&self) -> Option<Vec<Bytes>> {
        let one = |piece: &Piece| match piece {
            Piece::Memory(bytes) => Some(bytes.clone()),
            Piece::File { .. } => None,
        };
        self.pieces.iter().map(one).collect()
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        let length = bytes.len() as u64;
        Body { pieces: Arc::new([Piece::Memory(bytes)]), length }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl fmt::Debug for Body {
    /// Without content: letters never reach the log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes in {} pieces)", self.length, self.pieces.len())
    }
}

impl Iterator for Chunks {
    type Item = Result<Bytes>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.body.pieces.get(self.piece)? {
                Piece::Memory(bytes) => {
                    self.piece += 1;
                    if !bytes.is_empty() {
                        return Some(Ok(bytes.clone()));
                    }
                }
                Piece::File { length, .. } if self.done >= *length => {
                    self.piece += 1;
                    self.done = 0;
                }
                Piece::File { file, offset, length } => {
                    let want = (*length - self.done).min(BODY_CHUNK as u64) as usize;
                    let mut chunk = BytesMut::zeroed(want);
                    let read = match file.read_at(*offset + self.done, &mut chunk) {
                        Ok(0) => Err(Error::new(
                            ErrorKind::Corrupt,
                            "read a letter",
                            "its file is shorter than it was",
                        )),
                        other => other,
                    };
                    match read {
                        Ok(count) => {
                            chunk.truncate(count);
                            self.done += count as u64;
                            return Some(Ok(chunk.freeze()));
                        }
                        Err(error) => {
                            self.piece = usize::MAX;
                            return Some(Err(error));
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealDisk;

    fn pattern(length: usize) -> Vec<u8> {
        (0..length).map(|i| (i * 31 % 251) as u8).collect()
    }

    #[test]
    fn what_goes_in_comes_out_at_every_size_and_chunking() {
        let dir = tempfile::tempdir().unwrap();
        for length in [0, 1, SPOOL_MEMORY, SPOOL_MEMORY + 1, 3 * SPOOL_MEMORY + 17] {
            for step in [1021, BODY_CHUNK, SPOOL_MEMORY * 2] {
                let letter = pattern(length);
                let mut spool = Spool::new(Arc::new(RealDisk), dir.path());
                letter.chunks(step).for_each(|part| spool.write(part).unwrap());
                assert_eq!(spool.length(), length as u64);
                let body = spool.finish().unwrap();
                assert_eq!(body.in_memory().is_some(), length <= SPOOL_MEMORY);
                let whole = body.prepend(Bytes::from_static(b"Received: x\r\n"));
                assert_eq!(whole.length(), length as u64 + 13);
                let read = whole.read_all(u64::MAX).unwrap();
                assert_eq!(&read[..13], b"Received: x\r\n");
                assert_eq!(&read[13..], &letter[..]);
                assert_eq!(&body.read_start(100).unwrap()[..], &letter[..length.min(100)]);
                for cut in [0, 5, 13, 13 + length / 2, 13 + length] {
                    let rest = whole.without_start(cut as u64);
                    assert_eq!(rest.length(), (13 + length - cut) as u64);
                    assert_eq!(&rest.read_all(u64::MAX).unwrap()[..], &read[cut..]);
                }
            }
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no file has a name");
    }

    #[test]
    fn a_letter_longer_than_asked_for_is_not_read() {
        let body = Body::from(vec![0; 10]);
        assert_eq!(body.read_all(9).unwrap_err().kind(), ErrorKind::Full);
    }
}
