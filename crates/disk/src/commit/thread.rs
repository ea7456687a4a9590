//! The batch loop in a thread of its own. Stepped by hand it needs nothing of this.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::gather::Gather;
use super::syncer::Syncer;
use super::ticket::Inbox;
use super::{GroupCommit, Step, Store, Trouble};
use crate::disk::Result;
use crate::{Error, ErrorKind};

impl<S: Store> GroupCommit<S> {
    /// Runs the loop in a thread named `name` until it is closed; a second thread does the syncs
    /// of the file system, so that batches go on meanwhile.
    pub fn spawn(mut self, name: &str) -> Result<Committer> {
        let inbox = self.inbox.clone();
        let nudge = self.inbox.clone();
        let filesystem = self.filesystem.clone();
        self.gather = Some(Gather::default());
        self.syncer = Some(Syncer::spawn(name, filesystem, Box::new(move || nudge.nudge()))?);
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .spawn(move || self.run())
            .map_err(|error| Error::from_io("start a thread", &error))?;
        Ok(Committer { thread: Some(thread), close: Box::new(move || inbox.close()) })
    }

    fn run(mut self) {
        let _abandoned = Abandoned(self.inbox.clone());
        let start = Instant::now();
        loop {
            match self.step(start.elapsed()) {
                Step::Worked => {}
                Step::Idle(longest) => {
                    let wanted = if self.inbox.is_empty() { 1 } else { self.wanted() };
                    self.inbox.wait(longest, wanted);
                }
                Step::Failed => self.inbox.wait(FAILED_NAP, 1),
                Step::Closed => break,
            }
        }
    }
}

/// A panic of the loop's thread: nobody is to wait for it, and who runs the store hears of it.
struct Abandoned<R, A>(Arc<Inbox<R, A>>);

impl<R, A> Drop for Abandoned<R, A> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let error = Error::new(ErrorKind::Poisoned, "make changes durable", "a panic");
            self.0.abandon();
            self.0.troubles().tell(Trouble::Stopped(error));
        }
    }
}

/// The thread that runs a [`GroupCommit`]. Dropping it closes the store and waits for the end.
pub struct Committer {
    thread: Option<std::thread::JoinHandle<()>>,
    close: Box<dyn Fn() + Send + Sync>,
}

impl Committer {
    /// Closes the store and waits until everything is laid out and the log is empty.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        (self.close)();
        if let Some(thread) = self.thread.take() {
            // A panic there has already answered everybody with an error.
            drop(thread.join());
        }
    }
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

/// Sleep between refusals of a store that has failed.
const FAILED_NAP: Duration = Duration::from_secs(1);
