//! [`FaultyDisk`]: a disk in memory that keeps what a real disk promises and not one bit more.
//!
//! Everything is deterministic. A power cut loses what was not synced, or (with a seed) any part
//! of it: single writes, halves of writes, directory changes in any selection. Space can run out,
//! single operations can fail, and a failed sync loses the pages it did not write, as Linux does.
//! Used by the crash tests of the stores and by simulations.

mod tree;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::disk::{
    Access, Disk, DiskFile, Entry, FileSystem, FileType, Lock, Metadata, Mode, Result, Space,
};
use crate::{Error, ErrorKind};
use tree::{Inode, Tree};

/// A kind of operation that changes the disk or makes it durable: what faults are aimed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Operation {
    /// Creating a file, named or not.
    Create,
    /// Writing, or changing the length.
    Write,
    /// rename, link, unlink, making and removing directories.
    Name,
    /// fsync and fdatasync of a file.
    Sync,
    /// fsync of a directory.
    SyncDir,
    /// syncfs.
    SyncFilesystem,
}

/// What survives a power cut of what was not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    LoseAll,
    /// Everything, as when only the process is killed.
    KeepAll,
    /// A selection that the seed decides: writes whole, torn at a sector, or lost; directory
    /// changes in any order.
    Some(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Debug, Clone, Default)]
pub struct FaultyDisk {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    tree: Tree,
    /// Operations done so far, of the kinds of [`Operation`].
    operations: u64,
    /// The power goes before the operation with this number.
    cut_at: Option<u64>,
    powered_off: bool,
    /// Open files of an earlier boot are dead.
    boot: u64,
    /// How many operations of a kind still succeed before one fails, and how.
    failures: BTreeMap<Operation, (u64, ErrorKind)>,
    capacity: Option<u64>,
    /// How often pages were lost in the background.
    lost_pages: u64,
    locks: HashSet<PathBuf>,
}

#[derive(Debug)]
struct OpenFile {
    disk: FaultyDisk,
    inode: u64,
    boot: u64,
    /// How many losses of pages its holder knows of.
    told: AtomicU64,
}

#[derive(Debug)]
struct OpenFileSystem {
    disk: FaultyDisk,
    boot: u64,
    /// How many losses its holder knows of.
    told: Mutex<u64>,
}

#[derive(Debug)]
struct HeldLock {
    disk: FaultyDisk,
    path: PathBuf,
    boot: u64,
}

impl Lock for HeldLock {}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut state = self.disk.state();
        if state.boot == self.boot {
            state.locks.remove(&self.path);
        }
    }
}

impl FaultyDisk {
    /// An empty disk without faults.
    pub fn new() -> Self {
        Self::default()
    }

    /// How many operations that change the disk were done.
    pub fn operations(&self) -> u64 {
        self.state().operations
    }

    /// The power goes when `more` further operations have been done: from then on every
    /// operation fails until [`FaultyDisk::restart`].
    pub fn cut_power_after(&self, more: u64) {
        let mut state = self.state();
        state.cut_at = Some(state.operations + more);
    }

    /// Cuts the power now, if it is not cut yet, and boots again. Open files and locks are gone.
    pub fn restart(&self, cut: Cut) {
        let mut state = self.state();
        state.tree.cut(cut);
        state.boot += 1;
        state.locks.clear();
        state.cut_at = None;
        state.powered_off = false;
        state.failures.clear();
    }

    /// The process dies, if it is not dead yet, and another one begins: open files and locks are
    /// gone, what was written is there to be read, and what was not synced can still be lost by a
    /// power cut that follows.
    pub fn restart_process(&self) {
        let mut state = self.state();
        state.boot += 1;
        state.locks.clear();
        state.cut_at = None;
        state.powered_off = false;
        state.failures.clear();
    }

    /// Whether the power is off, or the process dead, until the next restart.
    pub fn is_off(&self) -> bool {
        self.state().powered_off
    }

    /// Bytes of file contents on the disk: what [`FaultyDisk::set_capacity`] bounds.
    pub fn used(&self) -> u64 {
        self.state().tree.used()
    }

    /// Lets one operation of a kind fail once, after `successes` more that succeed.
    pub fn fail(&self, operation: Operation, successes: u64, kind: ErrorKind) {
        self.state().failures.insert(operation, (successes, kind));
    }

    /// The kernel writes back on its own, and cannot: what of one file is not durable yet never
    /// will be, although it can still be read. A sync tells of it, once, to those who held the
    /// file or the file system open.
    pub fn lose_pages(&self, seed: u64) {
        let mut state = self.state();
        if state.tree.lose_pages(seed) {
            state.lost_pages += 1;
        }
    }

    /// Sets the size of the disk in bytes of file contents; `None` is without bound.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.state().capacity = bytes;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, state: &State, inode: u64) -> Box<dyn DiskFile> {
        let told = AtomicU64::new(state.tree.inode(inode).losses);
        Box::new(OpenFile { disk: self.clone(), inode, boot: state.boot, told })
    }
}

impl State {
    /// Counts an operation and lets it fail if it is to.
    fn operation(&mut self, operation: Operation) -> Result<()> {
        if self.cut_at == Some(self.operations) {
            self.powered_off = true;
        }
        self.alive()?;
        self.operations += 1;
        match self.failures.get_mut(&operation) {
            Some((0, kind)) => {
                let kind = *kind;
                self.failures.remove(&operation);
                Err(Error::new(kind, "use the disk", "a fault was injected"))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn alive(&self) -> Result<()> {
        if self.powered_off {
            return Err(Error::new(ErrorKind::Io, "use the disk", "the power is off"));
        }
        Ok(())
    }

    fn room(&self, more: u64) -> Result<()> {
        match self.capacity {
            Some(capacity) if self.tree.used() + more > capacity => {
                Err(Error::new(ErrorKind::Full, "write", "no space is left"))
            }
            _ => Ok(()),
        }
    }
}

impl Disk for FaultyDisk {
    fn create_new(&self, path: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operation(Operation::Create)?;
        let (dir, name) = state.tree.parent(path)?;
        if state.tree.child(dir, &name).is_some() {
            return Err(Error::new(ErrorKind::Exists, "create", "it is there").at(path));
        }
        let inode = state.tree.add(Inode::file(mode));
        state.tree.edit(vec![(dir, name, Some(inode))]);
        Ok(self.file(&state, inode))
    }

    fn open(&self, path: &Path, access: Access) -> Result<Box<dyn DiskFile>> {
        let state = self.state();
        state.alive()?;
        match (state.tree.resolve(path), access) {
            (Ok(inode), _) => Ok(self.file(&state, inode)),
            (Err(error), Access::Create(mode)) if error.is_missing() => {
                drop(state);
                self.create_new(path, mode)
            }
            (Err(error), _) => Err(error),
        }
    }

    fn create_unnamed(&self, directory: &Path, mode: Mode) -> Result<Box<dyn DiskFile>> {
        let mut state = self.state();
        state.operation(Operation::Create)?;
        state.tree.resolve(directory)?;
        let inode = state.tree.add(Inode::file(mode));
        Ok(self.file(&state, inode))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.operation(Operation::Name)?;
        let inode = state.tree.resolve(from)?;
        let (from_dir, from_name) = state.tree.parent(from)?;
        let (to_dir, to_name) = state.tree.parent(to)?;
        if (from_dir, &from_name) != (to_dir, &to_name) {
            state.tree.edit(vec![(to_dir, to_name, Some(inode)), (from_dir, from_name, None)]);
        }
        Ok(())
    }

    fn link(&self, from: &Path, to: &Path) -> Result<()> {
        let mut state = self.state();
        state.operation(Operation::Name)?;
        let inode = state.tree.resolve(from)?;
        state.tree.link(inode, to)
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.operation(Operation::Name)?;
        state.tree.resolve(path)?;
        let (dir, name) = state.tree.parent(path)?;
        state.tree.edit(vec![(dir, name, None)]);
        Ok(())
    }

    fn make_dirs(&self, path: &Path, mode: Mode) -> Result<()> {
        let mut state = self.state();
        state.alive()?;
        let mut whole = PathBuf::new();
        for part in path {
            whole.push(part);
            if part == "/" || state.tree.resolve(&whole).is_ok() {
                continue;
            }
            state.operation(Operation::Name)?;
            let (dir, name) = state.tree.parent(&whole)?;
            let inode = state.tree.add(Inode::directory(mode));
            state.tree.edit(vec![(dir, name, Some(inode))]);
        }
        Ok(())
    }

    fn remove_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.operation(Operation::Name)?;
        let inode = state.tree.resolve(path)?;
        if !state.tree.names(inode)?.is_empty() {
            return Err(Error::new(ErrorKind::Exists, "remove directory", "not empty").at(path));
        }
        let (dir, name) = state.tree.parent(path)?;
        state.tree.edit(vec![(dir, name, None)]);
        Ok(())
    }

    fn read_dir(&self, path: &Path) -> Result<Vec<Entry>> {
        let state = self.state();
        state.alive()?;
        let names = state.tree.names(state.tree.resolve(path)?)?;
        let entry = |(name, inode)| Entry { name, file_type: state.tree.file_type(inode) };
        Ok(names.into_iter().map(entry).collect())
    }

    fn metadata(&self, path: &Path) -> Result<Metadata> {
        let state = self.state();
        state.alive()?;
        Ok(state.tree.metadata(state.tree.resolve(path)?))
    }

    fn set_mode(&self, path: &Path, mode: Mode) -> Result<()> {
        let mut state = self.state();
        state.alive()?;
        let inode = state.tree.resolve(path)?;
        state.tree.inode_mut(inode).mode = mode;
        Ok(())
    }

    fn sync_dir(&self, path: &Path) -> Result<()> {
        let mut state = self.state();
        state.operation(Operation::SyncDir)?;
        let inode = state.tree.resolve(path)?;
        state.tree.sync_names(Some(inode));
        Ok(())
    }

    fn filesystem(&self, _path: &Path) -> Result<Box<dyn FileSystem>> {
        let state = self.state();
        state.alive()?;
        let told = Mutex::new(state.lost_pages);
        Ok(Box::new(OpenFileSystem { disk: self.clone(), boot: state.boot, told }))
    }

    fn space(&self, _path: &Path) -> Result<Space> {
        let state = self.state();
        state.alive()?;
        let free = state.capacity.map_or(u64::MAX, |size| size.saturating_sub(state.tree.used()));
        Ok(Space { bytes: free, inodes: u64::MAX })
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>> {
        let mut state = self.state();
        state.alive()?;
        if !state.locks.insert(path.to_path_buf()) {
            return Err(Error::new(ErrorKind::Busy, "lock", "another holds it").at(path));
        }
        Ok(Box::new(HeldLock { disk: self.clone(), path: path.to_path_buf(), boot: state.boot }))
    }
}

impl OpenFile {
    fn state(&self) -> Result<MutexGuard<'_, State>> {
        let state = self.disk.state();
        state.alive()?;
        if state.boot != self.boot {
            return Err(Error::new(ErrorKind::Io, "use a file", "it was open before the restart"));
        }
        Ok(state)
    }

    fn synced(&self) -> Result<()> {
        let mut state = self.state()?;
        let synced = state.operation(Operation::Sync);
        let losses = state.tree.inode(self.inode).losses;
        if !state.powered_off {
            state.tree.inode_mut(self.inode).sync(synced.is_ok());
        }
        if self.told.swap(losses, Ordering::Relaxed) < losses {
            let detail = "pages were lost when they were written back";
            return synced.and(Err(Error::new(ErrorKind::Io, "sync a file", detail)));
        }
        synced
    }
}

impl FileSystem for OpenFileSystem {
    fn sync(&self) -> Result<()> {
        let mut state = self.disk.state();
        state.alive()?;
        if state.boot != self.boot {
            let detail = "it was open before the restart";
            return Err(Error::new(ErrorKind::Io, "sync a file system", detail));
        }
        let synced = state.operation(Operation::SyncFilesystem);
        if !state.powered_off {
            state.tree.sync_all(synced.is_ok());
        }
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let lost = std::mem::replace(&mut *told, state.lost_pages);
        if lost < state.lost_pages {
            let detail = "pages were lost when they were written back";
            return synced.and(Err(Error::new(ErrorKind::Io, "sync a file system", detail)));
        }
        synced
    }
}

impl DiskFile for OpenFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize> {
        let state = self.state()?;
        let contents = state.tree.inode(self.inode).contents();
        let rest = contents.get(offset as usize..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        Ok(count)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let mut state = self.state()?;
        state.operation(Operation::Write)?;
        let length = state.tree.inode(self.inode).contents().len() as u64;
        state.room((offset + bytes.len() as u64).saturating_sub(length))?;
        state.tree.write(self.inode, offset as usize, bytes);
        Ok(())
    }

    fn length(&self) -> Result<u64> {
        Ok(self.state()?.tree.inode(self.inode).contents().len() as u64)
    }

    fn set_length(&self, length: u64) -> Result<()> {
        let mut state = self.state()?;
        state.operation(Operation::Write)?;
        state.tree.set_length(self.inode, length as usize);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.synced()
    }

    fn sync_data(&self) -> Result<()> {
        self.synced()
    }

    fn metadata(&self) -> Result<Metadata> {
        Ok(self.state()?.tree.metadata(self.inode))
    }

    fn link_as(&self, path: &Path) -> Result<()> {
        let mut state = self.state()?;
        state.operation(Operation::Name)?;
        state.tree.link(self.inode, path)
    }
}

impl FaultyDisk {
    /// Every regular file with its contents, for tests that compare whole disks.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.state();
        let mut files = BTreeMap::new();
        let mut left = vec![(PathBuf::from("/"), tree::ROOT)];
        while let Some((path, inode)) = left.pop() {
            match state.tree.file_type(inode) {
                FileType::Directory => {
                    for (name, child) in state.tree.names(inode).unwrap_or_default() {
                        left.push((path.join(name), child));
                    }
                }
                _ => {
                    files.insert(path, state.tree.inode(inode).contents().to_vec());
                }
            }
        }
        files
    }
}
