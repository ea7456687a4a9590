//! A disk that lies: the bugs that a store could have in its use of the disk, planted below it, so
//! that the simulation can be seen to find them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use disk::{Access, DiskFile, Entry, FileSystem, Lock, Metadata, Mode, Result, Space};
use disk::{Disk, FaultyDisk};

/// What the disk does not do although it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lie {
    /// The log's barrier is left out.
    NoBarrier,
    /// The checkpoint is set, and the log may be reused, before the files are durable.
    EarlyReuse,
    /// The log's barrier comes one batch after the answer.
    LateBarrier,
}

/// A faulty disk that also lies.
#[derive(Debug, Clone)]
pub(crate) struct Liar {
    pub(crate) disk: FaultyDisk,
    pub(crate) lie: Lie,
    late: Arc<Mutex<Option<PathBuf>>>,
}

#[derive(Debug)]
struct LyingFile {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    liar: Liar,
}

impl Liar {
    pub(crate) fn new(disk: FaultyDisk, lie: Lie) -> Self {
        Liar { disk, lie, late: Arc::default() }
    }

    fn wrap(&self, file: Box<dyn DiskFile>, path: &Path) -> Box<dyn DiskFile> {
        let is_log = path.components().any(|part| part.as_os_str() == "log");
        if !is_log {
            return file;
        }
        Box::new(LyingFile { file, path: path.to_path_buf(), liar: self.clone() })
    }
}

impl Disk for Liar {
    fn create_new(&self, path: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.disk.create_new(path, mode)?, path))
    }
    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn DiskFile>> {
        Ok(self.wrap(self.disk.open(path, access)?, path))
    }
    fn create_unnamed(&self, directory: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        self.disk.create_unnamed(directory, mode)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.rename(from, to)
    }
    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk.link(from, to)
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        self.disk.unlink(path)
    }
    fn make_dirs(&self, path: &Path, mode: Mode) -> Result<()> {
        self.disk.make_dirs(path, mode)
    }
    fn remove_dir(&self, path: &Path) -> Result<()> {
        self.disk.remove_dir(path)
    }
    fn read_dir(&self, path: &Path) -> Result<Vec<Entry>> {
        self.disk.read_dir(path)
    }
    fn metadata(&self, path: &Path) -> Result<Metadata> {
        self.disk.metadata(path)
    }
    fn set_mode(&self, path: &Path, mode: Mode) -> Result<()> {
        self.disk.set_mode(path, mode)
    }
    fn sync_dir(&self, path: &Path) -> Result<()> {
        self.disk.sync_dir(path)
    }
    fn filesystem(&self, path: &Path) -> Result<Box<dyn FileSystem>> {
        match self.lie {
            Lie::EarlyReuse => Ok(Box::new(Idler)),
            _ => self.disk.filesystem(path),
        }
    }
    fn space(&self, path: &Path) -> Result<Space> {
        self.disk.space(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        self.disk.lock(path)
    }
}

/// A file system that is never synced.
#[derive(Debug)]
struct Idler;

impl FileSystem for Idler {
    fn sync(&self) -> Result<()> {
        Ok(())
    }
}

impl DiskFile for LyingFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        self.file.read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let late = self.liar.late.lock().expect("nobody panics holding it").take();
        if let Some(path) = late {
            // The barrier of the batch before, at last.
            if let Ok(file) = self.liar.disk.open(&path, Access::Read) {
                file.sync_data()?;
            }
        }
        self.file.write_at(offset, bytes)
    }
    fn length(&self) -> Result<u64> {
        self.file.length()
    }
    fn set_length(&self, length: u64) -> Result<()> {
        self.file.set_length(length)
    }
    fn sync(&self) -> Result<()> {
        self.file.sync()
    }
    fn sync_data(&self) -> Result<()> {
        match self.liar.lie {
            Lie::NoBarrier => Ok(()),
            Lie::EarlyReuse => self.file.sync_data(),
            Lie::LateBarrier => {
                let mut late = self.liar.late.lock().expect("nobody panics holding it");
                *late = Some(self.path.clone());
                Ok(())
            }
        }
    }
    fn metadata(&self) -> Result<Metadata> {
        self.file.metadata()
    }
    fn link_as(&self, path: &Path) -> Result<()> {
        self.file.link_as(path)
    }
}
