//! The thread that syncs the file system for the checkpoints of one store, so that batches of
//! letters do not wait for it. At most one sync is under way.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};

use crate::disk::{FileSystem, Result};
use crate::{Error, ErrorKind};

#[derive(Debug)]
pub(super) struct Syncer {
    begin: SyncSender<()>,
    done: Receiver<Result<()>>,
}

impl Syncer {
    /// `finished` is called after each sync.
    pub(super) fn spawn(
        name: &str,
        filesystem: Arc<dyn FileSystem>,
        finished: Box<dyn Fn() + Send>,
    ) -> Result<Self> {
        let (begin, wanted) = sync_channel::<()>(1);
        let (report, done) = sync_channel(1);
        std::thread::Builder::new()
            .name(format!("{name}-sync"))
            .spawn(move || {
                while let Ok(()) = wanted.recv() {
                    if report.send(filesystem.sync()).is_err() {
                        return;
                    }
                    finished();
                }
            })
            .map_err(|error| Error::from_io("start a thread", &error))?;
        Ok(Syncer { begin, done })
    }

    /// Begins a sync; the one before must have been reported.
    pub(super) fn begin(&self) {
        // If the thread is gone, `poll` and `wait` say so.
        let _ = self.begin.try_send(());
    }

    /// The result, if the sync is done.
    pub(super) fn poll(&self) -> Option<Result<()>> {
        match self.done.try_recv() {
            Ok(result) => Some(result),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(gone())),
        }
    }

    /// Waits for the result.
    pub(super) fn wait(&self) -> Result<()> {
        self.done.recv().unwrap_or_else(|_| Err(gone()))
    }
}

fn gone() -> Error {
    Error::new(ErrorKind::Io, "sync the file system", "the thread for it has ended")
}
