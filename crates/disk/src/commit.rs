//! Group commit: the one batch loop that makes the changes of a store durable.
//!
//! Many sessions submit requests; the loop stages all that wait (the store validates them and
//! appends records to the intake log), commits once, publishes and answers them all. Files are
//! laid out afterwards, in slices between batches and without syncs; a checkpoint then makes them
//! durable and lets the log be reused. The loop can be stepped by hand with a time of the
//! caller's choice (simulation, tests) or run by a thread of its own ([`GroupCommit::spawn`]).
//!
//! It knows nothing of letters. The stores are `queue` and `mailbox`.

mod ticket;

pub use ticket::{Submitter, Ticket};

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, Result};
use crate::log::{Appender, LogOptions, Record, Recovery};

/// Where a store's log lives and how large it is.
#[derive(Debug, Clone)]
pub struct CommitOptions {
    /// Directory of the log's segments; made if missing.
    pub directory: PathBuf,
    /// Sizes of the log.
    pub log: LogOptions,
    /// How long nothing must happen before a checkpoint lays everything out.
    pub checkpoint_idle: Duration,
    /// How old a record may get before a checkpoint is made under load.
    pub checkpoint_age: Duration,
}

/// What a request came to, before anything is durable.
#[derive(Debug)]
pub enum Stage<S: Store + ?Sized> {
    /// Records were appended; [`Store::publish`] follows when they are durable.
    Durable(S::Staged),
    /// Records were appended, nobody needs them on disk soon: published at once, committed with
    /// the next batch or after [`crate::limits::LAZY_COMMIT`]. Only where a repeat after a power
    /// cut does no harm.
    Lazy(S::Staged),
    /// Nothing was appended; this is the answer. It is given only after the commit of the batch,
    /// because it may tell of what the batch has changed.
    Nothing(S::Answer),
}

/// What a slice of lay-out came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LaidOut {
    /// Every published change is in the files.
    All,
    /// There is more to do.
    More,
}

/// A store whose changes are made durable by [`GroupCommit`].
///
/// The store owns its state in memory and its files. Order of calls: `replay` for each record
/// found at start; then batches of `stage`..., and `publish` for each in the same order (or
/// `abandon` in the opposite order); between batches `lay_out`, and `checkpointed` after a sync
/// of the file system. Replay must be able to meet files that are laid out already.
pub trait Store: Send + 'static {
    /// What is asked.
    type Request: Send + Unpin + 'static;
    /// A change that is staged: validated, appended, not visible yet.
    type Staged: Send;
    /// What the asker gets.
    type Answer: Send + 'static;

    /// Takes a record that a former life made durable and did not lay out for sure.
    fn replay(&mut self, record: &Record<'_>) -> Result<()>;

    /// Validates a request and appends its records. Later requests of the same batch are staged
    /// on top of it, so the store takes staged changes into account when it hands out numbers.
    /// `Err` refuses this request alone; records already appended for it are taken back.
    fn stage(&mut self, request: Self::Request, log: &mut Appender<'_>) -> Result<Stage<Self>>;

    /// The change is durable: show it to readers and say what to answer.
    fn publish(&mut self, staged: Self::Staged) -> Self::Answer;

    /// The change will never be durable: forget it. Numbers it took are not given out again.
    fn abandon(&mut self, staged: Self::Staged);

    /// Writes at most `items` published changes to their files, without syncs.
    fn lay_out(&mut self, items: usize) -> Result<LaidOut>;

    /// All that was laid out when the sync began is durable: files that were replaced can go,
    /// memory can be given back.
    fn checkpointed(&mut self);
}

/// What [`GroupCommit::step`] did and what it waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Something was done; step again at once.
    Worked,
    /// Nothing to do before this much time has passed, unless a request arrives.
    Idle(Duration),
    /// Closed: everything is laid out, the log is empty.
    Closed,
    /// The disk has failed for good: requests are refused.
    Failed,
}

/// The batch loop of one store.
#[derive(Debug)]
pub struct GroupCommit<S: Store> {
    store: S,
}

/// The thread that runs a [`GroupCommit`]. Dropping it closes the store and waits for the end.
#[derive(Debug)]
pub struct Committer {
    thread: Option<std::thread::JoinHandle<()>>,
}

impl<S: Store> GroupCommit<S> {
    /// Opens the log, replays it into the store, lays everything out and makes a checkpoint.
    pub fn open(
        disk: Arc<dyn Disk>,
        options: CommitOptions,
        store: S,
    ) -> Result<(Self, Submitter<S::Request, S::Answer>, Recovery)> {
        todo!("{disk:?} {options:?} {}", std::mem::size_of_val(&store))
    }

    /// Does one thing: a batch, a slice of lay-out or a checkpoint. `now` is any monotonic time.
    pub fn step(&mut self, now: Duration) -> Step {
        todo!("{now:?}")
    }

    /// The store, for readers in the same thread and for tests.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Runs the loop in a thread named `name` until the submitters close it.
    pub fn spawn(self, name: &str) -> Result<Committer> {
        todo!("{name}")
    }
}

impl Committer {
    /// Closes the store and waits until everything is laid out and the log is empty.
    pub fn close(mut self) {
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
