//! The two traits every byte we store goes through: [`Disk`] (names) and [`DiskFile`] (contents).
//!
//! They are as small as the stores need and object-safe, so that a simulation can put a faulty
//! disk under a whole agent. What survives a power cut is exactly what the four `sync` methods
//! promised: contents after [`DiskFile::sync_data`] or [`DiskFile::sync`], names after
//! [`Disk::sync_dir`], everything after [`FileSystem::sync`]. Nothing else is ordered.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::time::SystemTime;

use crate::Error;

/// Result of a disk operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Permission bits of a new file or directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub u32);

impl Mode {
    /// 0600: letters, logs, verifiers.
    pub const PRIVATE: Mode = Mode(0o600);
    /// 0640: what the agents' common group may read.
    pub const GROUP: Mode = Mode(0o640);
    /// 0700: directories of a store.
    pub const PRIVATE_DIR: Mode = Mode(0o700);
    /// 0750: directories the agents' common group may enter.
    pub const GROUP_DIR: Mode = Mode(0o750);
}

/// How an existing file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Reading only.
    Read,
    /// Reading and writing.
    ReadWrite,
    /// Reading and writing; created empty with this mode if it is missing.
    Create(Mode),
}

/// What kind of thing a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileType {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// Anything else: never ours, never followed.
    Other,
}

/// One name in a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without the directory.
    pub name: OsString,
    /// What it is.
    pub file_type: FileType,
}

/// What the file system says of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metadata {
    /// What it is.
    pub file_type: FileType,
    /// Length in bytes.
    pub length: u64,
    /// Last change of the contents.
    pub modified: SystemTime,
    /// Inode number: with a name, tells a replaced file from the old one.
    pub inode: u64,
    /// Permission bits.
    pub mode: Mode,
}

/// Room on a file system, for processes without privilege.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Space {
    /// Free bytes.
    pub bytes: u64,
    /// Free inodes; `u64::MAX` where the file system has no such limit.
    pub inodes: u64,
}

/// A lock on a store; let go when dropped or when the process ends.
pub trait Lock: Send + Sync + fmt::Debug {}

/// A file system, real or faulty.
pub trait Disk: Send + Sync + fmt::Debug {
    /// Creates a file that must not exist ([`crate::ErrorKind::Exists`]).
    fn create_new(&self, path: &Path, mode: Mode) -> Result<Box<dyn DiskFile>>;
    /// Opens a file.
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn DiskFile>>;
    /// A file without a name on the file system of `directory`; gone unless
    /// [`DiskFile::link_as`] names it.
    fn create_unnamed(&self, directory: &Path, mode: Mode) -> Result<Box<dyn DiskFile>>;
    /// Renames, replacing `to` if it exists. Atomic, durable only after [`Disk::sync_dir`] of
    /// both directories; does NOT make the contents durable.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    /// A second name for a file; `to` must not exist.
    fn link(&self, from: &Path, to: &Path) -> Result<()>;
    /// Removes a file's name.
    fn unlink(&self, path: &Path) -> Result<()>;
    /// Makes a directory and its missing parents; no error if it is there.
    fn make_dirs(&self, path: &Path, mode: Mode) -> Result<()>;
    /// Removes an empty directory.
    fn remove_dir(&self, path: &Path) -> Result<()>;
    /// The names in a directory, in no order, without `.` and `..`.
    fn read_dir(&self, path: &Path) -> Result<Vec<Entry>>;
    /// Tells each name in a directory, as [`Disk::read_dir`] does, without holding all of them: a
    /// Maildir may have a million.
    fn each_in_dir(&self, path: &Path, tell: &mut dyn FnMut(Entry)) -> Result<()> {
        self.read_dir(path)?.into_iter().for_each(tell);
        Ok(())
    }
    /// Metadata of a name; a symbolic link is not followed.
    fn metadata(&self, path: &Path) -> Result<Metadata>;
    /// Sets the permission bits.
    fn set_mode(&self, path: &Path, mode: Mode) -> Result<()>;
    /// Makes the names in a directory durable (fsync of the directory).
    fn sync_dir(&self, path: &Path) -> Result<()>;
    /// Holds the file system of `path` open, so that every error of writing back from now on is
    /// told by a later [`FileSystem::sync`].
    fn filesystem(&self, path: &Path) -> Result<Box<dyn FileSystem>>;
    /// Room left on the file system of `path`.
    fn space(&self, path: &Path) -> Result<Space>;
    /// Takes the exclusive lock of a lock file, making the file if needed;
    /// [`crate::ErrorKind::Busy`] at once if another holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>>;
}

/// A file system held open. Linux tells an error of writing back once to each who held the file
/// system open when it came (syncfs(2), Linux 5.8); one who opens it later may never hear of it,
/// because somebody else has.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Makes everything written so far durable (syncfs). An error means that something written
    /// since the last sync is not, and never will be: which, nobody knows.
    fn sync(&self) -> Result<()>;
}

/// An open file. Methods take `&self`: writes at a place of the caller's choice need no cursor.
pub trait DiskFile: Send + Sync + fmt::Debug {
    /// Reads at most `buffer.len()` bytes at `offset`; 0 at the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize>;
    /// Writes all of `bytes` at `offset`.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// Length in bytes.
    fn length(&self) -> Result<u64>;
    /// Cuts or extends (with zeros) to `length`.
    fn set_length(&self, length: u64) -> Result<()>;
    /// Contents and metadata durable (fsync).
    fn sync(&self) -> Result<()>;
    /// Contents durable, and the metadata needed to read them (fdatasync).
    fn sync_data(&self) -> Result<()>;
    /// Metadata of the open file.
    fn metadata(&self) -> Result<Metadata>;
    /// Gives an unnamed file a name, which must not exist.
    fn link_as(&self, path: &Path) -> Result<()>;
}
