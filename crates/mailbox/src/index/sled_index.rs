//! [`Index`] on sled 0.34. Everything it does is guarded: it is known to panic on damaged files
//! (spacejam/sled#1387), and a stamp file tells the next start that an opening took the process
//! down with it.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use super::{Broken, Index};
use crate::limits::{INDEX_CACHE, INDEX_DISK};

/// One account's database.
pub(super) struct SledIndex {
    tree: sled::Db,
}

impl SledIndex {
    /// Opens or makes the database in `folder`.
    pub(super) fn open(folder: &Path) -> Result<Self, Broken> {
        let stamp = folder.with_extension("opening");
        if stamp.exists() {
            // The last opening never came to its end.
            let _ = fs::remove_dir_all(folder);
        }
        if let Some(above) = folder.parent() {
            fs::create_dir_all(above).map_err(|error| Broken(error.to_string()))?;
        }
        fs::write(&stamp, b"").map_err(|error| Broken(error.to_string()))?;
        let opened = guarded(|| {
            sled::Config::new().path(folder).cache_capacity(INDEX_CACHE).flush_every_ms(None).open()
        });
        let _ = fs::remove_file(&stamp);
        let tree = opened?;
        // sled gives no room back: beyond this it is cheaper to begin anew.
        if guarded(|| tree.size_on_disk())? > INDEX_DISK {
            return Err(Broken("it has grown too large".to_owned()));
        }
        Ok(SledIndex { tree })
    }
}

impl Index for SledIndex {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Broken> {
        guarded(|| self.tree.get(key)).map(|found| found.map(|value| value.to_vec()))
    }

    fn put(&self, key: &[u8], value: &[u8]) -> Result<(), Broken> {
        guarded(|| self.tree.insert(key, value)).map(drop)
    }

    fn flush(&self) -> Result<(), Broken> {
        guarded(|| self.tree.flush()).map(drop)
    }
}

/// Errors and panics of sled are the same to us.
fn guarded<T>(work: impl FnOnce() -> sled::Result<T>) -> Result<T, Broken> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(error)) => Err(Broken(error.to_string())),
        Err(_) => Err(Broken("the index engine panicked".to_owned())),
    }
}
