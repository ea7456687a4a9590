//! What a store is to the batch loop: it validates, appends, publishes and lays out; when, is the
//! loop's affair. Implemented by `queue` and `mailbox`.

use crate::disk::Result;
use crate::limits::LOG_RECORD;
use crate::log::{Appender, Record, Sequence};

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

    /// Records follow that a former life made durable; those up to `checkpoint` are in the files
    /// and do not come again. Called once, also when nothing follows.
    fn begin_replay(&mut self, checkpoint: Sequence) -> Result<()> {
        let _ = checkpoint;
        Ok(())
    }

    /// Takes a record that a former life made durable and did not lay out for sure.
    fn replay(&mut self, record: &Record<'_>) -> Result<()>;

    /// Validates a request and appends its records. Later requests of the same batch are staged
    /// on top of it, so the store takes staged changes into account when it hands out numbers.
    /// `Err` refuses this request alone; records already appended for it are taken back.
    fn stage(&mut self, request: Self::Request, log: &mut Appender<'_>) -> Result<Stage<Self>>;

    /// About how many bytes of records the request will append: for requests that need more than
    /// one record, room is made in the log before they are staged.
    fn needs(&self, request: &Self::Request) -> usize {
        let _ = request;
        LOG_RECORD
    }

    /// The change is durable: show it to readers and say what to answer.
    fn publish(&mut self, staged: Self::Staged) -> Self::Answer;

    /// The change will never be durable: forget it. Numbers it took are not given out again.
    fn abandon(&mut self, staged: Self::Staged);

    /// Writes at most `items` published changes to their files, without syncs.
    fn lay_out(&mut self, items: usize) -> Result<LaidOut>;

    /// Whether files are wanted soon: then they are laid out as soon as nobody asks for a moment,
    /// long before the checkpoint. Not where most changes are overtaken before it.
    fn wants_files_soon(&self) -> bool {
        false
    }

    /// All that was laid out when the sync began is durable: files that were replaced can go,
    /// memory can be given back.
    fn checkpointed(&mut self);

    /// The end: everything is laid out and durable, the log is empty. What would spare the next
    /// start some work can be noted; after a crash nothing of it is there.
    fn closed(&mut self) {}
}
