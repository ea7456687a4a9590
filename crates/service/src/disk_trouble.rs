//! What an agent does when the disk fails its store: it says so, and when the store takes nothing
//! more it drains and ends. Its successor (of `up`, of systemd) begins with what the log keeps:
//! nothing is lost by it, and nobody has to see that mail is refused before it flows again.
//!
//! Not the store, which has refused by then what it could not keep (`disk::Troubles`).

use std::sync::{Arc, OnceLock};

use disk::{Trouble, Troubles};

use crate::daemon::Context;
use crate::exit::{Exit, Fatal};

/// Whether a store has stopped; asked when the agent's work has ended.
#[derive(Debug, Clone, Default)]
pub struct Heeded(Arc<OnceLock<Fatal>>);

impl Context {
    /// Tells of what the disk does to a store, and begins the drain when it has stopped. To be
    /// called within the runtime.
    pub fn heed(&self, store: &'static str, mut troubles: Troubles) -> Heeded {
        let heeded = Heeded::default();
        let (context, ended) = (self.clone(), heeded.clone());
        tokio::spawn(async move {
            loop {
                match troubles.following().await {
                    Trouble::BegunAnew(error) => tracing::error!(
                        store,
                        %error,
                        "a sync of the log failed: what waited for it was refused, a new log is \
                         begun, the old one is kept aside; look after the disk"
                    ),
                    Trouble::Stopped(error) => {
                        let message = format!(
                            "the disk has failed the store of {store}: {error}. Nothing more is \
                             taken; this process ends, and the next one begins with what the log \
                             keeps. Look after the disk"
                        );
                        tracing::error!("{message}");
                        // Told once: the store has no second end.
                        let _ = ended.0.set(Fatal::new(Exit::TryAgain, message));
                        return context.drain.cancel();
                    }
                }
            }
        });
        heeded
    }
}

impl Heeded {
    /// # Errors
    /// When the store has stopped: the process is to end in a way that has it started again.
    pub fn verdict(&self) -> Result<(), Fatal> {
        self.0.get().map_or(Ok(()), |fatal| Err(fatal.clone()))
    }
}
