//! Group commit: the one batch loop that makes the changes of a store durable.
//!
//! Many sessions submit requests; the loop stages all that wait (the store validates them and
//! appends records to the intake log), commits once, publishes and answers them all. Files are
//! laid out afterwards, in slices between batches and without syncs; a checkpoint then makes them
//! durable and lets the log be reused. The loop can be stepped by hand with a time of the
//! caller's choice (simulation, tests) or run by a thread of its own ([`GroupCommit::spawn`]).
//!
//! It knows nothing of letters. The stores are `queue` and `mailbox`.

mod files;
mod gather;
mod store;
mod syncer;
mod thread;
mod ticket;
mod trouble;

pub use store::{LaidOut, Stage, Store};
pub use thread::Committer;
pub use ticket::{Settled, Submitter, Ticket};
pub use trouble::{Trouble, Troubles};

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::Error;
use crate::disk::{Disk, FileSystem, Mode, Result};
use crate::limits::{
    BATCH_BYTES, BATCH_REQUESTS, CHECKPOINT_AGE, CHECKPOINT_IDLE, GATHER_SLICE, LAY_OUT_IDLE,
    LAY_OUT_SLICE, LAZY_COMMIT, LOG_RESTARTS,
};
use crate::log::{Barrier, IntakeLog, LogOptions, Recovery};
use gather::Gather;
use syncer::Syncer;
use ticket::{Inbox, Pending, Reply};

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

impl CommitOptions {
    /// The usual times and sizes, with the log in `directory`.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        CommitOptions {
            directory: directory.into(),
            log: LogOptions::default(),
            checkpoint_idle: CHECKPOINT_IDLE,
            checkpoint_age: CHECKPOINT_AGE,
        }
    }
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
    /// Held since before anything was read, so that no error of writing back is missed.
    filesystem: Arc<dyn FileSystem>,
    options: CommitOptions,
    store: S,
    log: IntakeLog,
    inbox: Arc<Inbox<S::Request, S::Answer>>,
    /// Taken from the inbox, not staged for want of room in the log.
    held: VecDeque<Pending<S::Request, S::Answer>>,
    /// Since when records wait that nobody waits for.
    lazy_since: Option<Duration>,
    /// When the oldest record that is not checkpointed was committed, and the newest.
    oldest: Option<Duration>,
    newest: Duration,
    last_batch: usize,
    /// Something is published and not laid out for sure.
    unlaid: bool,
    /// Changes published since everything was laid out.
    behind: usize,
    /// Set where the loop has a thread of its own.
    gather: Option<Gather>,
    phase: Phase,
    syncer: Option<Syncer>,
    /// When lay-out may be tried again after an error.
    stalled: Option<(Duration, Error)>,
    restarts: u32,
    /// Answered when the checkpoint that is being made is done.
    settling: Vec<Reply<()>>,
}

/// An opened store: its batch loop, where requests go, and what the log had to tell.
pub type Opened<S> =
    (GroupCommit<S>, Submitter<<S as Store>::Request, <S as Store>::Answer>, Recovery);

/// Where the way from log to files stands.
#[derive(Debug)]
enum Phase {
    /// Changes collect.
    Collecting,
    /// A checkpoint is due: files are laid out, slice by slice.
    LayingOut,
    /// All is laid out up to the barrier; another thread syncs the file system.
    Syncing(Barrier),
    /// A sync has failed for good.
    Failed(Error),
}

/// A request that is staged, or answered without a change, and waits for the commit.
enum Waiting<S: Store> {
    Staged(S::Staged, Reply<S::Answer>),
    Answer(S::Answer, Reply<S::Answer>),
}

impl<S: Store> GroupCommit<S> {
    /// Opens the log, replays it into the store, lays everything out and makes a checkpoint.
    pub fn open(disk: Arc<dyn Disk>, options: CommitOptions, mut store: S) -> Result<Opened<S>> {
        disk.make_dirs(&options.directory, Mode::PRIVATE_DIR)?;
        let filesystem: Arc<dyn FileSystem> = Arc::from(disk.filesystem(&options.directory)?);
        let (log, recovery) =
            IntakeLog::open(disk, options.directory.clone(), options.log, &mut store)?;
        let (submitter, inbox) = Submitter::new();
        let mut commit = GroupCommit {
            filesystem,
            options,
            store,
            log,
            inbox,
            held: VecDeque::new(),
            lazy_since: None,
            oldest: None,
            newest: Duration::ZERO,
            last_batch: 0,
            unlaid: false,
            behind: 0,
            gather: None,
            phase: Phase::Collecting,
            syncer: None,
            stalled: None,
            restarts: 0,
            settling: Vec::new(),
        };
        commit.checkpoint_now()?;
        if !commit.log.is_fresh() {
            commit.log.write_checkpoint()?;
        }
        Ok((commit, submitter, recovery))
    }

    /// Does one thing: a batch, a slice of lay-out or a checkpoint. `now` is any monotonic time.
    pub fn step(&mut self, now: Duration) -> Step {
        if let Phase::Failed(error) = &self.phase {
            let error = error.clone();
            return self.refuse_all(&error);
        }
        if self.has_requests() {
            return match self.company(now) {
                None => {
                    self.batch(now);
                    Step::Worked
                }
                Some(_) if self.meanwhile(now) => Step::Worked,
                Some(wait) => Step::Idle(wait),
            };
        }
        if self.lazy_since.is_some_and(|since| now >= since + LAZY_COMMIT) {
            self.commit_lazy();
            return Step::Worked;
        }
        if matches!(self.phase, Phase::Collecting) && self.inbox.has_settlers() {
            self.settle(now);
            return Step::Worked;
        }
        match self.phase {
            Phase::Syncing(barrier) => match self.poll_sync(barrier) {
                true => Step::Worked,
                false => Step::Idle(self.options.checkpoint_idle),
            },
            Phase::LayingOut if !self.is_stalled(now) => {
                self.lay_out(now, LAY_OUT_SLICE);
                Step::Worked
            }
            _ if !self.is_stalled(now) && self.checkpoint_due(now) => {
                self.phase = Phase::LayingOut;
                Step::Worked
            }
            _ if !self.inbox.is_open() => self.close(),
            Phase::Collecting if self.files_due(now) => {
                self.slice(now, LAY_OUT_SLICE);
                Step::Worked
            }
            Phase::Collecting if self.files_welcome(now) => {
                self.slice(now, GATHER_SLICE);
                Step::Worked
            }
            _ => Step::Idle(self.until_next(now)),
        }
    }

    /// The store, for readers in the same thread and for tests.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// Why files cannot be laid out at the moment, or why nothing is taken any more.
    pub fn trouble(&self) -> Option<&Error> {
        match &self.phase {
            Phase::Failed(error) => Some(error),
            _ => self.stalled.as_ref().map(|(_, error)| error),
        }
    }

    fn has_requests(&self) -> bool {
        !self.held.is_empty() || !self.inbox.is_empty()
    }

    /// How many requests a batch is worth.
    fn wanted(&self) -> usize {
        self.gather.as_ref().map_or(1, Gather::wanted)
    }

    /// How much longer those that wait are to wait for others.
    fn company(&mut self, now: Duration) -> Option<Duration> {
        if !self.held.is_empty() || !self.inbox.is_open() {
            return None;
        }
        let waiting = self.inbox.len();
        self.gather.as_mut()?.wait(waiting, now)
    }

    /// Stages what waits, commits it once, publishes and answers.
    fn batch(&mut self, now: Duration) {
        let more = BATCH_REQUESTS.saturating_sub(self.held.len());
        self.held.extend(self.inbox.take(more));
        if !self.fits_next() && !self.make_room(now) {
            return;
        }
        let mut waiting = Vec::with_capacity(self.held.len());
        let mut durable = false;
        let mut lazy = false;
        while self.log.pending() < BATCH_BYTES
            && self.fits_next()
            && let Some(Pending { request, reply }) = self.held.pop_front()
        {
            let savepoint = self.log.savepoint();
            match self.store.stage(request, &mut self.log.appender()) {
                Ok(Stage::Durable(staged)) => {
                    durable = true;
                    waiting.push(Waiting::Staged(staged, reply));
                }
                Ok(Stage::Lazy(staged)) => {
                    lazy = true;
                    waiting.push(Waiting::Staged(staged, reply));
                }
                Ok(Stage::Nothing(answer)) => waiting.push(Waiting::Answer(answer, reply)),
                Err(error) => {
                    self.log.roll_back(&savepoint);
                    reply.answer(Err(error));
                }
            }
        }
        self.last_batch = waiting.len();
        if durable {
            let begun = self.gather.as_ref().map(|_| Instant::now());
            let committed = self.log.commit();
            self.gathered(begun.map(|begun| begun.elapsed()));
            if let Err(error) = committed {
                return self.abandon(waiting, &error);
            }
            self.lazy_since = None;
        } else if lazy {
            self.lazy_since.get_or_insert(now);
        }
        if !durable {
            self.gathered(None);
        }
        if durable || lazy {
            self.unlaid = true;
            self.behind += self.last_batch;
            self.oldest.get_or_insert(now);
            self.newest = now;
        }
        self.answer(waiting);
        if let Phase::Syncing(barrier) = self.phase {
            self.poll_sync(barrier);
        }
        // Under load the files follow in slices too, or the log would fill before they are done.
        if self.checkpoint_due(now) && !self.is_stalled(now) {
            match self.phase {
                Phase::Collecting => self.phase = Phase::LayingOut,
                Phase::LayingOut => self.lay_out(now, LAY_OUT_SLICE.max(2 * self.last_batch)),
                Phase::Syncing(_) | Phase::Failed(_) => {}
            }
        }
    }

    /// Whether the log has room for the request that is staged next.
    fn fits_next(&self) -> bool {
        let needs = self.held.front().map_or(0, |next| self.store.needs(&next.request));
        self.log.has_room_for(needs.min(self.log.capacity()))
    }

    /// Shows what is durable, and answers.
    fn answer(&mut self, waiting: Vec<Waiting<S>>) {
        // All have their answers before the first is woken: whoever it is finds the others ready.
        let mut sleepers = Sleepers(Vec::with_capacity(waiting.len()));
        for one in waiting {
            sleepers.0.extend(match one {
                Waiting::Staged(staged, reply) => {
                    reply.answer_unwoken(Ok(self.store.publish(staged)))
                }
                Waiting::Answer(answer, reply) => reply.answer_unwoken(Ok(answer)),
            });
        }
    }

    /// The log is full: the checkpoint is made while everybody waits. `false`: it cannot be made,
    /// and requests that would write were refused.
    fn make_room(&mut self, now: Duration) -> bool {
        if let Phase::Syncing(barrier) = self.phase {
            let synced = self.syncer.as_ref().map_or(Ok(()), Syncer::wait);
            self.synced(barrier, synced);
            if self.fits_next() {
                return true;
            }
        }
        if let Phase::Failed(_) = self.phase {
            return false;
        }
        let made = match &self.stalled {
            Some((until, error)) if now < *until => Err(error.clone()),
            _ => self.checkpoint_now(),
        };
        let Err(error) = made else {
            return true;
        };
        let waiting = self.held.drain(..).chain(self.inbox.take(BATCH_REQUESTS));
        for Pending { request, reply } in waiting.collect::<Vec<_>>() {
            // Who only reads is answered all the same; of what would be written nothing stays.
            let savepoint = self.log.savepoint();
            let answer = match self.store.stage(request, &mut self.log.appender()) {
                Ok(Stage::Nothing(answer)) => Ok(answer),
                Ok(Stage::Durable(staged) | Stage::Lazy(staged)) => {
                    self.store.abandon(staged);
                    Err(error.clone())
                }
                Err(_) => Err(error.clone()),
            };
            self.log.roll_back(&savepoint);
            reply.answer(answer);
        }
        if !matches!(self.phase, Phase::Failed(_)) {
            self.stalled.get_or_insert((now + STALL, error));
        }
        false
    }

    /// A batch was made: what it shows of those who ask.
    fn gathered(&mut self, barrier: Option<Duration>) {
        if let Some(gather) = &mut self.gather {
            gather.done(self.last_batch, self.inbox.len(), barrier);
        }
    }

    /// Nothing is taken any more.
    fn fail(&mut self, error: Error) {
        self.inbox.troubles().tell(Trouble::Stopped(error.clone()));
        self.phase = Phase::Failed(error);
    }

    fn commit_lazy(&mut self) {
        if self.lazy_since.take().is_some()
            && let Err(error) = self.log.commit()
        {
            self.begin_anew(&error);
        }
    }

    fn abandon(&mut self, mut waiting: Vec<Waiting<S>>, error: &Error) {
        while let Some(one) = waiting.pop() {
            match one {
                Waiting::Staged(staged, reply) => {
                    self.store.abandon(staged);
                    reply.answer(Err(error.clone()));
                }
                Waiting::Answer(_, reply) => reply.answer(Err(error.clone())),
            }
        }
        self.lazy_since = None;
        self.begin_anew(error);
    }

    /// A sync of the log has failed: everything that was ever acknowledged goes to the files and
    /// a new log is begun, or the store takes nothing more.
    fn begin_anew(&mut self, cause: &Error) {
        self.restarts += 1;
        if self.restarts > LOG_RESTARTS {
            self.fail(cause.clone());
            return;
        }
        // A sync that is under way ends first; what it says does not matter, another follows.
        if let (Phase::Syncing(_), Some(syncer)) = (&self.phase, &self.syncer) {
            drop(syncer.wait());
        }
        self.phase = Phase::Collecting;
        let begun = self.log.begin_anew().and_then(|old| {
            self.checkpoint_now()?;
            self.log.write_checkpoint()?;
            self.log.set_aside(&old)
        });
        match begun {
            Ok(()) => self.inbox.troubles().tell(Trouble::BegunAnew(cause.clone())),
            Err(error) => self.fail(error),
        }
    }

    fn until_next(&self, now: Duration) -> Duration {
        let lazy = self.lazy_since.map(|since| since + LAZY_COMMIT);
        let soon =
            (self.unlaid && self.store.wants_files_soon()).then_some(self.newest + LAY_OUT_IDLE);
        let idle = self.oldest.map(|_| self.newest + self.options.checkpoint_idle);
        let idle = soon.or(idle);
        let stalled = self.stalled.as_ref().map(|(until, _)| *until);
        let next = match stalled.filter(|until| now < *until) {
            Some(until) => lazy.map_or(until, |lazy| lazy.min(until)),
            None => lazy.into_iter().chain(idle).min().unwrap_or(now + NAP),
        };
        next.saturating_sub(now).max(Duration::from_millis(1))
    }

    /// Everything has been answered and nothing can come: the log is emptied.
    fn close(&mut self) -> Step {
        self.commit_lazy();
        let closed = match &self.stalled {
            // The disk is full: the log keeps the records, the next start lays them out.
            Some((_, error)) => Err(error.clone()),
            None if self.log.is_checkpointed() => Ok(()),
            None => self.checkpoint_now(),
        };
        match closed.and_then(|()| self.log.write_checkpoint()) {
            Ok(()) => {
                self.store.closed();
                Step::Closed
            }
            Err(error) => {
                self.fail(error);
                Step::Closed
            }
        }
    }

    fn refuse_all(&mut self, error: &Error) -> Step {
        let refusal = error.clone().poisoned();
        self.settling.extend(self.inbox.take_settlers());
        self.settling.drain(..).for_each(|reply| reply.answer(Err(refusal.clone())));
        let waiting = self.held.drain(..).chain(self.inbox.take(usize::MAX));
        waiting.for_each(|pending| pending.reply.answer(Err(refusal.clone())));
        if self.inbox.is_open() { Step::Failed } else { Step::Closed }
    }
}

/// Those who have their answers and sleep: woken when this is dropped, so also by a panic.
struct Sleepers(Vec<Waker>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
    }
}

/// Longest sleep of an idle loop: a safety net, every event wakes it.
const NAP: Duration = Duration::from_secs(60);

/// How long after an error of lay-out it is tried again.
const STALL: Duration = Duration::from_secs(1);
