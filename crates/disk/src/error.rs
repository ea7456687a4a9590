//! The typed error of everything that touches a disk.
//!
//! It is not an SMTP reply: the agents turn [`ErrorKind`] into one (Full: 452 4.3.1, anything
//! else: 451 4.3.0). It can be cloned, because one failed barrier answers many requests.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// What went wrong, as far as a caller has to tell cases apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// No space or no inodes left, or less than the low-water mark (ENOSPC, EDQUOT).
    Full,
    /// What was read is not what was written: checksum, length or format.
    Corrupt,
    /// Somebody else holds the lock, or a queue of requests is full.
    Busy,
    /// There is no such file.
    Missing,
    /// There is such a file already.
    Exists,
    /// The system denies it: permissions, or a read-only file system.
    Denied,
    /// The disk failed to read or write.
    Io,
    /// A barrier has failed before, or the store is closed: nothing more is taken.
    Poisoned,
}

/// An error with the operation and the path it happened on, for logs. Never for the wire: paths
/// are private.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    doing: &'static str,
    path: Option<PathBuf>,
    detail: String,
}

impl Error {
    /// An error of our own making.
    pub fn new(kind: ErrorKind, doing: &'static str, detail: impl Into<String>) -> Self {
        Error { kind, doing, path: None, detail: detail.into() }
    }

    /// An error of the system, while `doing` something.
    pub fn from_io(doing: &'static str, error: &io::Error) -> Self {
        let kind = match error.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
            Some(rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT) => ErrorKind::Full,
            Some(rustix::io::Errno::ROFS) => ErrorKind::Denied,
            _ => match error.kind() {
                io::ErrorKind::NotFound => ErrorKind::Missing,
                io::ErrorKind::AlreadyExists => ErrorKind::Exists,
                io::ErrorKind::PermissionDenied => ErrorKind::Denied,
                io::ErrorKind::WouldBlock => ErrorKind::Busy,
                io::ErrorKind::UnexpectedEof => ErrorKind::Corrupt,
                _ => ErrorKind::Io,
            },
        };
        Error { kind, doing, path: None, detail: error.to_string() }
    }

    /// The same error, naming the file it happened on.
    #[must_use]
    pub fn at(mut self, path: &Path) -> Self {
        self.path = Some(path.to_path_buf());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The file it happened on, if it is known.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// The same error as the reason why a store takes nothing more.
    #[must_use]
    pub(crate) fn poisoned(mut self) -> Self {
        self.kind = ErrorKind::Poisoned;
        self
    }

    /// Whether this is a missing file.
    pub fn is_missing(&self) -> bool {
        self.kind == ErrorKind::Missing
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.doing)?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        write!(f, ": {}", self.detail)
    }
}

impl std::error::Error for Error {}
