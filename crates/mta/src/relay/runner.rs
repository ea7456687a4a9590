//! The queue runner: takes what is due, a bounded number of letters at once, and gives each to an
//! attempt. It decides nothing about a letter.

use std::sync::Arc;

use directory::Renewing;
use protocol::time::Timestamp;
use queue::{Lease, Queue};
use service::daemon::Context;
use tokio::sync::Notify;

use super::attempt::Trip;
use super::slots::Slots;
use crate::courier::Transport;
use crate::limits::{ACTIVE_LETTERS, NAP};
use crate::sign::Signer;

/// Everything an attempt needs.
pub(crate) struct Relay {
    pub(crate) context: Context,
    pub(crate) queue: Queue,
    pub(crate) transport: Arc<Transport>,
    pub(crate) directory: Arc<Renewing>,
    pub(crate) slots: Slots,
    pub(crate) signer: Arc<Signer>,
    active: Arc<Active>,
}

/// Counts letters that are worked on.
#[derive(Debug, Default)]
struct Active {
    count: std::sync::atomic::AtomicUsize,
    fewer: Notify,
}

/// One letter that is worked on, from lease to last outcome.
struct Working(Arc<Active>);

impl Drop for Working {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        self.0.fewer.notify_one();
    }
}

impl Relay {
    /// A relay over the queue; `transport` is shared with reception.
    pub(crate) fn new(
        context: Context,
        queue: Queue,
        (transport, signer): (Arc<Transport>, Arc<Signer>),
        directory: Arc<Renewing>,
    ) -> Arc<Self> {
        let trips = context.config.current().limits.outgoing;
        let (slots, active) = (Slots::new(trips), Arc::default());
        Arc::new(Relay { context, queue, transport, directory, slots, signer, active })
    }

    /// Runs until the agent drains; attempts that are under way are tasks of the context.
    pub(crate) async fn run(self: Arc<Self>) {
        let waiting = self.context.metrics.counter("queue");
        let mut watch = self.queue.watch();
        loop {
            if self.context.drain.is_cancelled() {
                break;
            }
            let now = self.context.clock.now();
            let room = ACTIVE_LETTERS.saturating_sub(self.active());
            for lease in self.queue.take_due(now, room) {
                self.begin(lease);
            }
            waiting.set(i64::try_from(self.queue.len()).unwrap_or(i64::MAX));
            self.transport.tidy();
            tokio::select! {
                biased;
                () = self.context.drain.cancelled() => break,
                () = watch.changed(), if self.active() < ACTIVE_LETTERS => {}
                () = self.active.fewer.notified(), if self.active() >= ACTIVE_LETTERS => {}
                () = self.context.clock.sleep(self.nap(now)) => {}
            }
        }
        self.transport.close();
    }

    fn active(&self) -> usize {
        self.active.count.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Until the next letter is due. When all places are taken that does not matter.
    fn nap(&self, now: Timestamp) -> std::time::Duration {
        match self.queue.next_due() {
            Some(due) if self.active() < ACTIVE_LETTERS => due.since(now).min(NAP),
            _ => NAP,
        }
    }

    fn begin(self: &Arc<Self>, lease: Lease) {
        self.active.count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let working = Working(self.active.clone());
        let relay = self.clone();
        self.context.tasks.spawn(async move {
            let _working = working;
            Trip::go(relay, lease).await;
        });
    }
}
