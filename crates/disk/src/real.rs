//! [`RealDisk`]: the operating system's file system behind [`Disk`].
//!
//! Thin on purpose: no caching, no retrying, no policy. Relative paths are taken as the process
//! takes them.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, OFlags};

use crate::disk::{
    Access, Disk, DiskFile, Entry, FileSystem, FileType, Lock, Metadata, Mode, Result, Space,
};
use crate::{Error, ErrorKind};

/// The file system the process sees.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

#[derive(Debug)]
struct RealFile {
    file: File,
    /// Where it was opened, for error texts; an unnamed file has its directory here.
    path: PathBuf,
}

#[derive(Debug)]
struct RealFileSystem {
    directory: File,
    path: PathBuf,
}

#[derive(Debug)]
struct RealLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl Lock for RealLock {}

fn fail(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    move |error| Error::from_io(doing, &error).at(path)
}

fn file_type(of: fs::FileType) -> FileType {
    if of.is_file() {
        FileType::File
    } else if of.is_dir() {
        FileType::Directory
    } else {
        FileType::Other
    }
}

fn metadata(of: &fs::Metadata) -> Metadata {
    Metadata {
        file_type: file_type(of.file_type()),
        length: of.len(),
        modified: of.modified().unwrap_or(std::time::UNIX_EPOCH),
        inode: of.ino(),
        mode: Mode(of.mode() & 0o7777),
    }
}

impl RealDisk {
    fn file(file: File, path: &Path) -> Box<dyn DiskFile> {
        Box::new(RealFile { file, path: path.to_path_buf() })
    }
}

impl Disk for RealDisk {
    fn create_new(&self, path: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create_new(true).mode(mode.0);
        options.open(path).map(|file| Self::file(file, path)).map_err(fail("create", path))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true);
        match access {
            Access::Read => {}
            Access::ReadWrite => {
                options.write(true);
            }
            Access::Create(mode) => {
                options.write(true).create(true).mode(mode.0);
            }
        }
        options.open(path).map(|file| Self::file(file, path)).map_err(fail("open", path))
    }

    fn create_unnamed(&self, directory: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).mode(mode.0);
        options.custom_flags(OFlags::TMPFILE.bits() as i32);
        options
            .open(directory)
            .map(|file| Self::file(file, directory))
            .map_err(fail("create an unnamed file in", directory))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(fail("rename", from))
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        fs::hard_link(from, to).map_err(fail("link", to))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(fail("remove", path))
    }

    fn make_dirs(&self, path: &Path, mode: Mode) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(mode.0)
            .create(path)
            .map_err(fail("make directory", path))
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(fail("remove directory", path))
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.each_in_dir(path, &mut |entry| entries.push(entry))?;
        Ok(entries)
    }

    fn each_in_dir(&self, path: &Path, tell: &mut dyn FnMut(Entry)) -> Result<()> {
        for entry in fs::read_dir(path).map_err(fail("read directory", path))? {
            let entry = entry.map_err(fail("read directory", path))?;
            let kind = entry.file_type().map_err(fail("read directory", path))?;
            tell(Entry { name: entry.file_name(), file_type: file_type(kind) });
        }
        Ok(())
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        fs::symlink_metadata(path).map(|of| metadata(&of)).map_err(fail("look at", path))
    }

    fn set_mode(&self, path: &Path, mode: Mode) -> Result<()> {
        fs::set_permissions(path, fs::Permissions::from_mode(mode.0))
            .map_err(fail("set permissions of", path))
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        File::open(path).and_then(|dir| dir.sync_all()).map_err(fail("sync directory", path))
    }

    fn filesystem(&self, path: &Path) -> Result<Box<dyn FileSystem>> {
        let directory = File::open(path).map_err(fail("open", path))?;
        Ok(Box::new(RealFileSystem { directory, path: path.to_path_buf() }))
    }

    fn space(&self, path: &Path) -> Result<Space> {
        let of = rustix::fs::statvfs(path)
            .map_err(|errno| fail("ask for the free space of", path)(errno.into()))?;
        // Some file systems (btrfs) allot inodes as they go and report none at all.
        let inodes = if of.f_files == 0 { u64::MAX } else { of.f_favail };
        Ok(Space { bytes: of.f_bavail.saturating_mul(of.f_frsize), inodes })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(Mode::PRIVATE.0)
            .open(path)
            .map_err(fail("open", path))?;
        match file.try_lock() {
            Ok(()) => Ok(Box::new(RealLock(file))),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(ErrorKind::Busy, "lock", "another process holds it").at(path))
            }
            Err(TryLockError::Error(error)) => Err(fail("lock", path)(error)),
        }
    }
}

impl FileSystem for RealFileSystem {
    fn sync(&self) -> Result<()> {
        rustix::fs::syncfs(&self.directory)
            .map_err(|errno| fail("sync the file system of", &self.path)(errno.into()))
    }
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        loop {
            match self.file.read_at(buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => return other.map_err(fail("read", &self.path)),
            }
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file.write_all_at(bytes, offset).map_err(fail("write", &self.path))
    }

    fn length(&self) -> Result<u64> {
        self.file.metadata().map(|of| of.len()).map_err(fail("look at", &self.path))
    }

    fn set_length(&self, length: u64) -> Result<()> {
        self.file.set_len(length).map_err(fail("cut", &self.path))
    }

    fn sync(&self) -> Result<()> {
        self.file.sync_all().map_err(fail("sync", &self.path))
    }

    fn sync_data(&self) -> Result<()> {
        self.file.sync_data().map_err(fail("sync", &self.path))
    }

    fn metadata(&self) -> Result<Metadata> {
        self.file.metadata().map(|of| metadata(&of)).map_err(fail("look at", &self.path))
    }

    fn link_as(&self, path: &Path) -> Result<()> {
        // open(2): naming an O_TMPFILE file through /proc needs no capability, unlike
        // AT_EMPTY_PATH.
        let unnamed = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        rustix::fs::linkat(CWD, &unnamed, CWD, path, AtFlags::SYMLINK_FOLLOW)
            .map_err(|errno| fail("name", path)(errno.into()))
    }
}
