//! From the log to the files: when files are laid out, in which slices, and the checkpoint after
//! them that lets the log be reused. Part of the batch loop; what the files are is the store's
//! affair.

use std::time::Duration;

use super::syncer::Syncer;
use super::{GroupCommit, LaidOut, Phase, STALL, Store};
use crate::disk::Result;
use crate::limits::{GATHER_SLICE, LAY_OUT_IDLE, LAY_OUT_SLICE};
use crate::log::Barrier;

impl<S: Store> GroupCommit<S> {
    /// Whether the store wants its files now, though no checkpoint is due.
    pub(super) fn files_due(&self, now: Duration) -> bool {
        self.unlaid
            && self.store.wants_files_soon()
            && !self.is_stalled(now)
            && now >= self.newest + LAY_OUT_IDLE
    }

    /// Whether files that the store wants are laid out while nobody asks: what is done in these
    /// gaps need not be done between two batches. A few together, since they share lines of a log.
    /// Only with a thread of its own, where gaps are.
    pub(super) fn files_welcome(&self, now: Duration) -> bool {
        self.gather.is_some()
            && self.behind >= LAY_OUT_SLICE
            && self.store.wants_files_soon()
            && !self.is_stalled(now)
    }

    /// Uses the time in which a batch waits for company. `false`: there is nothing to do.
    pub(super) fn meanwhile(&mut self, now: Duration) -> bool {
        match self.phase {
            Phase::LayingOut if !self.is_stalled(now) => {
                self.lay_out(now, GATHER_SLICE);
                true
            }
            Phase::Syncing(barrier) => self.poll_sync(barrier),
            Phase::Collecting if self.files_welcome(now) => {
                self.slice(now, GATHER_SLICE);
                true
            }
            _ => false,
        }
    }

    /// Looks whether the sync of the file system is done.
    pub(super) fn poll_sync(&mut self, barrier: Barrier) -> bool {
        let Some(synced) = self.syncer.as_ref().and_then(Syncer::poll) else {
            return false;
        };
        self.synced(barrier, synced);
        true
    }

    /// One slice of lay-out; after the last one the sync begins.
    pub(super) fn lay_out(&mut self, now: Duration, items: usize) {
        if self.slice(now, items) != Some(LaidOut::All) {
            return;
        }
        let barrier = self.log.barrier();
        self.oldest = None;
        match &self.syncer {
            Some(syncer) => {
                syncer.begin();
                self.phase = Phase::Syncing(barrier);
            }
            None => {
                let synced = self.filesystem.sync();
                self.synced(barrier, synced);
            }
        }
    }

    /// One slice of lay-out; `None` where it failed.
    pub(super) fn slice(&mut self, now: Duration, items: usize) -> Option<LaidOut> {
        // Nothing is shown in the files before it is durable in the log.
        self.commit_lazy();
        if let Phase::Failed(_) = self.phase {
            return None;
        }
        match self.store.lay_out(items) {
            Ok(done) => {
                self.stalled = None;
                self.unlaid = done == LaidOut::More;
                if done == LaidOut::All {
                    self.behind = 0;
                }
                Some(done)
            }
            Err(error) => {
                // Those too who asked since: nothing may become better for a long time.
                self.settling.extend(self.inbox.take_settlers());
                self.settling.drain(..).for_each(|reply| reply.answer(Err(error.clone())));
                self.stalled = Some((now + STALL, error));
                None
            }
        }
    }

    pub(super) fn synced(&mut self, barrier: Barrier, synced: Result<()>) {
        match synced.and_then(|()| self.log.set_checkpoint(barrier)) {
            Ok(()) => {
                self.store.checkpointed();
                self.phase = Phase::Collecting;
                self.settling.drain(..).for_each(|reply| reply.answer(Ok(())));
            }
            // The log still holds every record; a restart replays them. To go on as if nothing
            // had happened would be to believe a second sync.
            Err(error) => self.fail(error),
        }
    }

    /// Somebody wants everything in the files: the checkpoint is begun now.
    pub(super) fn settle(&mut self, now: Duration) {
        self.settling.extend(self.inbox.take_settlers());
        if self.oldest.is_none() && self.log.is_checkpointed() {
            self.settling.drain(..).for_each(|reply| reply.answer(Ok(())));
        } else {
            self.oldest.get_or_insert(now);
            self.stalled = None;
            self.phase = Phase::LayingOut;
        }
    }

    /// Lays everything out, syncs and sets the checkpoint, all at once.
    pub(super) fn checkpoint_now(&mut self) -> Result<()> {
        if self.lazy_since.take().is_some() {
            self.log.commit()?;
        }
        while self.store.lay_out(usize::MAX)? == LaidOut::More {}
        self.unlaid = false;
        self.behind = 0;
        let barrier = self.log.barrier();
        let synced = self.filesystem.sync();
        self.synced(barrier, synced);
        self.oldest = None;
        self.stalled = None;
        match &self.phase {
            Phase::Failed(error) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    pub(super) fn is_stalled(&self, now: Duration) -> bool {
        self.stalled.as_ref().is_some_and(|(until, _)| now < *until)
    }

    pub(super) fn checkpoint_due(&self, now: Duration) -> bool {
        let Some(oldest) = self.oldest else {
            return false;
        };
        !self.inbox.is_open()
            || matches!(self.phase, Phase::LayingOut)
            || self.log.is_half_full()
            || now >= self.newest + self.options.checkpoint_idle
            || now >= oldest + self.options.checkpoint_age
    }
}
