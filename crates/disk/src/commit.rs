//! Group commit: the one batch loop that makes the changes of a store durable.
//!
//! Many sessions submit requests; the loop stages all that wait (the store validates them and
//! appends records to the intake log), commits once, publishes and answers them all. Files are
//! laid out afterwards, in slices between batches and without syncs; a checkpoint then makes them
//! durable and lets the log be reused. The loop can be stepped by hand with a time of the
//! caller's choice (simulation, tests) or run by a thread of its own ([`GroupCommit::spawn`]).
//!
//! It knows nothing of letters. The stores are `queue` and `mailbox`.

mod gather;
mod syncer;
mod ticket;
mod trouble;

pub use ticket::{Settled, Submitter, Ticket};
pub use trouble::{Trouble, Troubles};

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

use crate::disk::{Disk, FileSystem, Mode, Result};
use crate::limits::{
    BATCH_BYTES, BATCH_REQUESTS, CHECKPOINT_AGE, CHECKPOINT_IDLE, GATHER_SLICE, LAY_OUT_IDLE,
    LAY_OUT_SLICE, LAZY_COMMIT, LOG_RECORD, LOG_RESTARTS,
};
use crate::log::{Appender, Barrier, IntakeLog, LogOptions, Record, Recovery, Sequence};
use crate::{Error, ErrorKind};
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

    /// Whether the store wants its files now, though no checkpoint is due.
    fn files_due(&self, now: Duration) -> bool {
        self.unlaid
            && self.store.wants_files_soon()
            && !self.is_stalled(now)
            && now >= self.newest + LAY_OUT_IDLE
    }

    /// Whether files that the store wants are laid out while nobody asks: what is done in these
    /// gaps need not be done between two batches. A few together, since they share lines of a log.
    /// Only with a thread of its own, where gaps are.
    fn files_welcome(&self, now: Duration) -> bool {
        self.gather.is_some()
            && self.behind >= LAY_OUT_SLICE
            && self.store.wants_files_soon()
            && !self.is_stalled(now)
    }

    /// Uses the time in which a batch waits for company. `false`: there is nothing to do.
    fn meanwhile(&mut self, now: Duration) -> bool {
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
    fn poll_sync(&mut self, barrier: Barrier) -> bool {
        let Some(synced) = self.syncer.as_ref().and_then(Syncer::poll) else {
            return false;
        };
        self.synced(barrier, synced);
        true
    }

    /// One slice of lay-out; after the last one the sync begins.
    fn lay_out(&mut self, now: Duration, items: usize) {
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
    fn slice(&mut self, now: Duration, items: usize) -> Option<LaidOut> {
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

    fn synced(&mut self, barrier: Barrier, synced: Result<()>) {
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

    /// Nothing is taken any more.
    fn fail(&mut self, error: Error) {
        self.inbox.troubles().tell(Trouble::Stopped(error.clone()));
        self.phase = Phase::Failed(error);
    }

    /// Somebody wants everything in the files: the checkpoint is begun now.
    fn settle(&mut self, now: Duration) {
        self.settling.extend(self.inbox.take_settlers());
        if self.oldest.is_none() && self.log.is_checkpointed() {
            self.settling.drain(..).for_each(|reply| reply.answer(Ok(())));
        } else {
            self.oldest.get_or_insert(now);
            self.stalled = None;
            self.phase = Phase::LayingOut;
        }
    }

    fn commit_lazy(&mut self) {
        if self.lazy_since.take().is_some()
            && let Err(error) = self.log.commit()
        {
            self.begin_anew(&error);
        }
    }

    /// Lays everything out, syncs and sets the checkpoint, all at once.
    fn checkpoint_now(&mut self) -> Result<()> {
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

    fn is_stalled(&self, now: Duration) -> bool {
        self.stalled.as_ref().is_some_and(|(until, _)| now < *until)
    }

    fn checkpoint_due(&self, now: Duration) -> bool {
        let Some(oldest) = self.oldest else {
            return false;
        };
        !self.inbox.is_open()
            || matches!(self.phase, Phase::LayingOut)
            || self.log.is_half_full()
            || now >= self.newest + self.options.checkpoint_idle
            || now >= oldest + self.options.checkpoint_age
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

/// Those who have their answers and sleep: woken when this is dropped, so also by a panic.
struct Sleepers(Vec<Waker>);

impl Drop for Sleepers {
    fn drop(&mut self) {
        self.0.drain(..).for_each(Waker::wake);
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

/// Longest sleep of an idle loop: a safety net, every event wakes it.
const NAP: Duration = Duration::from_secs(60);

/// Sleep between refusals of a store that has failed.
const FAILED_NAP: Duration = Duration::from_secs(1);

/// How long after an error of lay-out it is tried again.
const STALL: Duration = Duration::from_secs(1);
