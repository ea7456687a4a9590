//! Inodes and names of the faulty disk, each twice: as a process sees them, and as a power cut
//! would leave them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Component, Path};
use std::time::{Duration, UNIX_EPOCH};

use super::Cut;
use crate::disk::{FileType, Metadata, Mode, Result};
use crate::{Error, ErrorKind};

/// The inode of `/`.
pub(super) const ROOT: u64 = 1;

/// Bytes a real disk writes all of or nothing of.
const SECTOR: usize = 512;

/// One change of one name: directory, name, and what it stands for from then on.
type Edit = (u64, OsString, Option<u64>);

#[derive(Debug)]
pub(super) struct Tree {
    inodes: HashMap<u64, Inode>,
    next: u64,
    /// Changes of names that no sync has covered; each happens whole or not at all.
    pending: Vec<(u64, Vec<Edit>)>,
    clock: u64,
}

#[derive(Debug)]
pub(super) struct Inode {
    pub(super) mode: Mode,
    modified: u64,
    /// How often what was pending was lost.
    pub(super) losses: u64,
    body: Contents,
}

#[derive(Debug)]
enum Contents {
    File {
        now: Vec<u8>,
        durable: Vec<u8>,
        pending: Vec<Change>,
    },
    /// Durable names remember when they were changed: an older change never undoes a newer one.
    Directory {
        now: BTreeMap<OsString, u64>,
        durable: BTreeMap<OsString, (u64, Option<u64>)>,
    },
}

#[derive(Debug, Clone)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    Length(usize),
}

impl Default for Tree {
    fn default() -> Self {
        let root = Inode::directory(Mode::GROUP_DIR);
        let inodes = HashMap::from([(ROOT, root)]);
        Tree { inodes, next: ROOT + 1, pending: Vec::new(), clock: 0 }
    }
}

impl Inode {
    pub(super) fn file(mode: Mode) -> Self {
        let body = Contents::File { now: Vec::new(), durable: Vec::new(), pending: Vec::new() };
        Inode { mode, modified: 0, losses: 0, body }
    }

    pub(super) fn directory(mode: Mode) -> Self {
        let body = Contents::Directory { now: BTreeMap::new(), durable: BTreeMap::new() };
        Inode { mode, modified: 0, losses: 0, body }
    }

    pub(super) fn contents(&self) -> &[u8] {
        match &self.body {
            Contents::File { now, .. } => now,
            Contents::Directory { .. } => &[],
        }
    }

    /// A sync that succeeds makes all durable; one that fails forgets what was pending, although
    /// readers still see it.
    pub(super) fn sync(&mut self, succeeds: bool) {
        if let Contents::File { durable, pending, .. } = &mut self.body {
            for change in pending.drain(..).filter(|_| succeeds) {
                change.apply(durable);
            }
        }
    }
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Change::Write { offset, bytes } => {
                let end = offset + bytes.len();
                if to.len() < end {
                    to.resize(end, 0);
                }
                to[*offset..end].copy_from_slice(bytes);
            }
            Change::Length(length) => to.resize(*length, 0),
        }
    }

    /// The change as a cut in the middle leaves it: sectors of it, by the seed.
    fn apply_torn(&self, to: &mut Vec<u8>, random: &mut Random) {
        match self {
            Change::Write { offset, bytes } => {
                let mut at = *offset;
                let mut rest = bytes.as_slice();
                while !rest.is_empty() {
                    let (sector, after) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
                    if random.coin() {
                        Change::Write { offset: at, bytes: sector.to_vec() }.apply(to);
                    }
                    at += sector.len();
                    rest = after;
                }
            }
            Change::Length(_) => self.apply(to),
        }
    }
}

impl Tree {
    pub(super) fn add(&mut self, inode: Inode) -> u64 {
        self.next += 1;
        self.inodes.insert(self.next, inode);
        self.next
    }

    pub(super) fn inode(&self, inode: u64) -> &Inode {
        self.inodes.get(&inode).expect("open files keep their inode until the next restart")
    }

    pub(super) fn inode_mut(&mut self, inode: u64) -> &mut Inode {
        self.inodes.get_mut(&inode).expect("open files keep their inode until the next restart")
    }

    pub(super) fn file_type(&self, inode: u64) -> FileType {
        match self.inode(inode).body {
            Contents::File { .. } => FileType::File,
            Contents::Directory { .. } => FileType::Directory,
        }
    }

    pub(super) fn metadata(&self, inode: u64) -> Metadata {
        let of = self.inode(inode);
        Metadata {
            file_type: self.file_type(inode),
            length: of.contents().len() as u64,
            modified: UNIX_EPOCH + Duration::from_micros(of.modified),
            inode,
            mode: of.mode,
        }
    }

    /// Bytes of all contents that have a name.
    pub(super) fn used(&self) -> u64 {
        self.inodes.values().map(|inode| inode.contents().len() as u64).sum()
    }

    pub(super) fn child(&self, dir: u64, name: &OsString) -> Option<u64> {
        match &self.inode(dir).body {
            Contents::Directory { now, .. } => now.get(name).copied(),
            Contents::File { .. } => None,
        }
    }

    pub(super) fn names(&self, dir: u64) -> Result<Vec<(OsString, u64)>> {
        match &self.inode(dir).body {
            Contents::Directory { now, .. } => {
                Ok(now.iter().map(|(name, inode)| (name.clone(), *inode)).collect())
            }
            Contents::File { .. } => {
                Err(Error::new(ErrorKind::Io, "read directory", "it is a file"))
            }
        }
    }

    pub(super) fn resolve(&self, path: &Path) -> Result<u64> {
        let missing = || Error::new(ErrorKind::Missing, "find", "no such file").at(path);
        path.components().try_fold(ROOT, |dir, part| match part {
            Component::Normal(name) => self.child(dir, &name.to_os_string()).ok_or_else(missing),
            _ => Ok(dir),
        })
    }

    /// The directory a path is in, and its name there.
    pub(super) fn parent(&self, path: &Path) -> Result<(u64, OsString)> {
        match (path.parent(), path.file_name()) {
            (Some(parent), Some(name)) => Ok((self.resolve(parent)?, name.to_os_string())),
            _ => Err(Error::new(ErrorKind::Missing, "find", "it has no name").at(path)),
        }
    }

    pub(super) fn link(&mut self, inode: u64, path: &Path) -> Result<()> {
        let (dir, name) = self.parent(path)?;
        if self.child(dir, &name).is_some() {
            return Err(Error::new(ErrorKind::Exists, "link", "it is there").at(path));
        }
        self.edit(vec![(dir, name, Some(inode))]);
        Ok(())
    }

    pub(super) fn edit(&mut self, edits: Vec<Edit>) {
        self.clock += 1;
        let clock = self.clock;
        for (dir, name, inode) in &edits {
            self.inode_mut(*dir).modified = clock;
            if let Contents::Directory { now, .. } = &mut self.inode_mut(*dir).body {
                match inode {
                    Some(inode) => now.insert(name.clone(), *inode),
                    None => now.remove(name),
                };
            }
        }
        self.pending.push((self.clock, edits));
    }

    fn change(&mut self, inode: u64, change: Change) {
        self.clock += 1;
        let clock = self.clock;
        let of = self.inode_mut(inode);
        of.modified = clock;
        if let Contents::File { now, pending, .. } = &mut of.body {
            change.apply(now);
            pending.push(change);
        }
    }

    pub(super) fn write(&mut self, inode: u64, offset: usize, bytes: &[u8]) {
        self.change(inode, Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_length(&mut self, inode: u64, length: usize) {
        self.change(inode, Change::Length(length));
    }

    /// Makes the pending changes of the names in one directory durable, or of all.
    pub(super) fn sync_names(&mut self, of: Option<u64>) {
        let touches = |edits: &[Edit]| of.is_none_or(|of| edits.iter().any(|(dir, ..)| *dir == of));
        let (now, later) =
            std::mem::take(&mut self.pending).into_iter().partition(|(_, edits)| touches(edits));
        self.pending = later;
        for (when, edits) in Vec::from_iter::<Vec<_>>(now) {
            self.make_durable(when, edits);
        }
    }

    fn make_durable(&mut self, when: u64, edits: Vec<Edit>) {
        for (dir, name, inode) in edits {
            if let Some(Inode { body: Contents::Directory { durable, .. }, .. }) =
                self.inodes.get_mut(&dir)
            {
                let slot = durable.entry(name).or_insert((0, None));
                if slot.0 < when {
                    *slot = (when, inode);
                }
            }
        }
    }

    pub(super) fn sync_all(&mut self, succeeds: bool) {
        self.inodes.values_mut().for_each(|inode| inode.sync(succeeds));
        if succeeds {
            self.sync_names(None);
        }
    }

    /// What is pending of one file, by the seed, is forgotten, although readers still see it.
    pub(super) fn lose_pages(&mut self, seed: u64) -> bool {
        let dirty = |inode: &Inode| match &inode.body {
            Contents::File { pending, .. } => !pending.is_empty(),
            _ => false,
        };
        let mut files: Vec<u64> =
            self.inodes.iter().filter(|(_, inode)| dirty(inode)).map(|(n, _)| *n).collect();
        files.sort_unstable();
        let Some(&chosen) = files.get((seed % files.len().max(1) as u64) as usize) else {
            return false;
        };
        let inode = self.inode_mut(chosen);
        inode.sync(false);
        inode.losses += 1;
        true
    }

    /// What the next boot finds.
    pub(super) fn cut(&mut self, cut: Cut) {
        match cut {
            Cut::KeepAll => self.sync_all(true),
            Cut::LoseAll => {}
            Cut::Some(seed) => self.keep_some(&mut Random(seed)),
        }
        self.pending.clear();
        for inode in self.inodes.values_mut() {
            match &mut inode.body {
                Contents::File { now, durable, pending } => {
                    now.clone_from(durable);
                    pending.clear();
                }
                Contents::Directory { now, durable } => {
                    durable.retain(|_, (_, inode)| inode.is_some());
                    *now = durable
                        .iter()
                        .filter_map(|(name, (_, inode))| Some((name.clone(), (*inode)?)))
                        .collect();
                }
            }
        }
        self.forget_unreachable();
    }

    fn keep_some(&mut self, random: &mut Random) {
        for (when, edits) in std::mem::take(&mut self.pending) {
            if random.coin() {
                self.make_durable(when, edits);
            }
        }
        let mut files: Vec<_> = self.inodes.iter_mut().collect();
        files.sort_by_key(|(number, _)| **number);
        for (_, inode) in files {
            if let Contents::File { durable, pending, .. } = &mut inode.body {
                for change in pending.drain(..) {
                    match random.next() % 3 {
                        0 => change.apply(durable),
                        1 => change.apply_torn(durable, random),
                        _ => {}
                    }
                }
            }
        }
    }

    fn forget_unreachable(&mut self) {
        let mut reachable = HashSet::new();
        let mut left = vec![ROOT];
        while let Some(inode) = left.pop() {
            if reachable.insert(inode)
                && let Contents::Directory { now, .. } = &self.inode(inode).body
            {
                left.extend(now.values());
            }
        }
        self.inodes.retain(|inode, _| reachable.contains(inode));
    }
}

/// SplitMix64: small, seeded, the same on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn coin(&mut self) -> bool {
        self.next() & 1 == 0
    }
}
