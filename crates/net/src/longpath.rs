//! Unix socket paths of any length. `sockaddr_un` takes 107 bytes; a longer path is reached through
//! the folder's file descriptor. Called by `listen`, `connect` and `ipc`.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::limits::UNIX_PATH;

/// A path short enough for the kernel; what it goes through stays open as long as this lives.
pub(crate) struct ShortPath {
    path: PathBuf,
    _folder: Option<File>,
}

impl ShortPath {
    pub(crate) fn of(path: &Path) -> io::Result<Self> {
        if path.as_os_str().as_bytes().len() <= UNIX_PATH {
            return Ok(ShortPath { path: path.to_owned(), _folder: None });
        }
        let too_long = || io::Error::new(io::ErrorKind::InvalidInput, "not a path to a socket");
        let parent = path.parent().ok_or_else(too_long)?;
        let name = path.file_name().ok_or_else(too_long)?;
        let folder = File::open(parent)?;
        let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
        Ok(ShortPath { path: short, _folder: Some(folder) })
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.path
    }
}
