//! Whole files: read at once, replaced at once. For small things such as the directory or a queue
//! file's envelope; letters go through [`crate::Body`].

use std::path::Path;

use crate::disk::{Access, Disk, DiskFile, Mode, Result};
use crate::{Error, ErrorKind};

/// Reads a whole file of at most `most` bytes.
pub fn read_whole(disk: &dyn Disk, path: &Path, most: u64) -> Result<Vec<u8>> {
    let file = disk.open(path, Access::Read)?;
    let length = file.length()?;
    if length > most {
        let detail = format!("it is {length} bytes long, at most {most} are expected");
        return Err(Error::new(ErrorKind::Corrupt, "read", detail).at(path));
    }
    read_all(file.as_ref())
}

/// Writes a file's own bytes over it, without a sync: what an earlier process wrote and could not
/// sync is on its way to the disk again, instead of only in memory.
pub fn write_again(disk: &dyn Disk, path: &Path) -> Result<()> {
    let file = disk.open(path, Access::ReadWrite)?;
    let mut buffer = vec![0; WRITE_AGAIN];
    let mut at = 0;
    loop {
        match file.read_at(at, &mut buffer)? {
            0 => return Ok(()),
            count => {
                file.write_at(at, &buffer[..count])?;
                at += count as u64;
            }
        }
    }
}

/// Bytes that [`write_again`] holds at a time.
const WRITE_AGAIN: usize = 256 * 1024;

pub(crate) fn read_all(file: &dyn DiskFile) -> Result<Vec<u8>> {
    let mut bytes = vec![0; file.length()? as usize];
    let mut done = 0;
    while done < bytes.len() {
        match file.read_at(done as u64, &mut bytes[done..])? {
            0 => break,
            count => done += count,
        }
    }
    bytes.truncate(done);
    Ok(bytes)
}

/// Replaces a file so that after a power cut either the old or the new contents are there, whole:
/// written beside it, synced, renamed, directory synced.
pub fn replace_whole(disk: &dyn Disk, path: &Path, mode: Mode, bytes: &[u8]) -> Result<()> {
    let (Some(name), Some(directory)) = (path.file_name(), path.parent()) else {
        return Err(Error::new(ErrorKind::Missing, "replace", "it has no name").at(path));
    };
    let mut beside = std::ffi::OsString::from(".");
    beside.push(name);
    beside.push(".new");
    let beside = directory.join(beside);
    match disk.unlink(&beside) {
        Err(error) if !error.is_missing() => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&beside, mode)?;
    let written = file
        .write_at(0, bytes)
        .and_then(|()| file.sync())
        .and_then(|()| disk.rename(&beside, path))
        .and_then(|()| disk.sync_dir(directory));
    if written.is_err() {
        // The error that matters is the first one; a left-over is replaced next time.
        drop(disk.unlink(&beside));
    }
    written
}
