//! The low-water mark: letters are refused for now (452) before the disk is really full.
//!
//! Asked for each letter, so the answer of the file system is believed for a moment.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::disk::{Disk, Result, Space};
use crate::limits::SPACE_BELIEVED;
use crate::{Error, ErrorKind};

/// Watches the room on the file system of one directory.
#[derive(Debug)]
pub struct SpaceWatch {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    low: Space,
    last: Mutex<Option<(Duration, Space)>>,
}

impl SpaceWatch {
    /// `low` is the least that must be left.
    pub fn new(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>, low: Space) -> Self {
        SpaceWatch { disk, directory: directory.into(), low, last: Mutex::new(None) }
    }

    /// [`ErrorKind::Full`] when taking `bytes` more would leave less than the mark. `now` is any
    /// monotonic time.
    pub fn check(&self, now: Duration, bytes: u64) -> Result<()> {
        let space = self.look(now)?;
        if space.inodes < self.low.inodes {
            let detail = format!("{} inodes left, {} are kept", space.inodes, self.low.inodes);
            return Err(Error::new(ErrorKind::Full, "take a letter", detail));
        }
        if space.bytes < self.low.bytes.saturating_add(bytes) {
            let detail = format!("{} bytes left, {} are kept", space.bytes, self.low.bytes);
            return Err(Error::new(ErrorKind::Full, "take a letter", detail));
        }
        Ok(())
    }

    fn look(&self, now: Duration) -> Result<Space> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        match *last {
            Some((when, space)) if now.saturating_sub(when) < SPACE_BELIEVED => Ok(space),
            _ => {
                let space = self.disk.space(&self.directory)?;
                *last = Some((now, space));
                Ok(space)
            }
        }
    }
}
