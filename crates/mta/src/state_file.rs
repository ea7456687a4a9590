//! Small files of state in `DATA/state`, written whole in a thread of their own: the agent's own
//! thread serves every session, and must not wait for a disk.
//!
//! It knows no file's content. Called by whoever remembers something over restarts.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Disk, Mode, replace_whole};
use net::Clock;

/// A file that is replaced now and then.
#[derive(Clone)]
pub(crate) struct StateFile {
    inner: Arc<Inner>,
    /// Whether time is real: else nothing goes on beside the steps of a simulation.
    is_real: bool,
}

struct Inner {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    /// What is to be written; a later text takes the place of an earlier one.
    pending: Mutex<Option<String>>,
    /// Held while the file is written.
    writing: Mutex<()>,
}

impl StateFile {
    /// The file at `path`, which need not be there.
    pub(crate) fn new(disk: Arc<dyn Disk>, path: PathBuf, clock: &Clock) -> Self {
        let (pending, writing) = (Mutex::default(), Mutex::default());
        let inner = Arc::new(Inner { disk, path, pending, writing });
        StateFile { inner, is_real: !clock.is_virtual() }
    }

    /// Replaces the content soon.
    pub(crate) fn write(&self, text: String) {
        *lock(&self.inner.pending) = Some(text);
        let inner = self.inner.clone();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) if self.is_real => drop(runtime.spawn_blocking(move || inner.flush())),
            _ => inner.flush(),
        }
    }

    /// Waits until what was given to [`write`](Self::write) is written: at the end of the agent.
    pub(crate) fn finish(&self) {
        self.inner.flush();
    }
}

impl Inner {
    fn flush(&self) {
        let _writing = lock(&self.writing);
        let Some(text) = lock(&self.pending).take() else { return };
        let written = replace_whole(self.disk.as_ref(), &self.path, Mode::PRIVATE, text.as_bytes());
        if let Err(error) = written {
            tracing::warn!(%error, "what was learnt is not kept on disk; it is tried again later");
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for StateFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StateFile({})", self.inner.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_text_is_what_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("state");
        let file = StateFile::new(Arc::new(disk::RealDisk), path.clone(), &Clock::real());
        for number in 0..50 {
            file.write(format!("{number}\n"));
        }
        file.finish();
        assert_eq!(std::fs::read_to_string(path).expect("written"), "49\n");
    }
}
