//! A listening Unix socket whose name somebody may delete: a cleaner of temporary files, an
//! administrator's slip. It notices and listens under its name again, without a restart. Who has a
//! connection keeps it. Called by `listen`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::net::{UnixListener, UnixStream};

use crate::clock::Clock;
use crate::limits::NAME_CHECK;

/// The socket and its name.
#[derive(Debug)]
pub(crate) struct NamedSocket {
    path: PathBuf,
    mode: u32,
    current: Mutex<Current>,
}

#[derive(Debug, Clone)]
struct Current {
    listener: Arc<UnixListener>,
    /// It could not be made again, and that was said.
    complained: bool,
}

impl NamedSocket {
    /// A socket that listens under `path`.
    pub(crate) fn new(listener: UnixListener, path: &Path, mode: u32) -> Self {
        let current = Current { listener: Arc::new(listener), complained: false };
        NamedSocket { path: path.to_owned(), mode, current: Mutex::new(current) }
    }

    /// The next connection. Looks after the name while it waits. Cancel-safe.
    pub(crate) async fn accept(&self, clock: &Clock) -> io::Result<UnixStream> {
        loop {
            let listener = self.current().listener;
            tokio::select! {
                biased;
                accepted = listener.accept() => return accepted.map(|(stream, _)| stream),
                () = clock.sleep(NAME_CHECK) => self.look_after_name(),
            }
        }
    }

    fn current(&self) -> Current {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn look_after_name(&self) {
        let mut current = self.current();
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // It is there, or another process has taken the name over, or we cannot tell.
            _ => return,
        }
        match super::listen::listen_unix(&self.path, self.mode) {
            Ok(listener) => {
                let path = self.path.display();
                tracing::warn!(%path, "the socket was deleted; it is made again");
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) =
                    Current { listener: Arc::new(listener), complained: false };
            }
            Err(error) if !current.complained => {
                let path = self.path.display();
                tracing::error!(%path, %error, "the socket was deleted and cannot be made again");
                current.complained = true;
                *self.current.lock().unwrap_or_else(PoisonError::into_inner) = current;
            }
            Err(_) => {}
        }
    }
}
