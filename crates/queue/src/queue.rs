//! [`Queue`]: the handle everybody holds. Cheap to clone; knows no runtime.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use disk::{
    Access, Body, CommitOptions, Committer, Disk, Error, ErrorKind, GroupCommit, Lock, Recovery,
    Result, Settled, Submitter,
};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::Ticket;
use crate::file;
use crate::index::{Bytes, Place, SharedIndex, lock};
use crate::letter::{Change, Letter, NewLetter, State};
use crate::scan;
use crate::store::{Answer, QueueStore, Request, Wait};

/// How a queue is opened.
#[derive(Debug, Clone)]
pub struct Options {
    /// `DATA/queue`.
    pub directory: PathBuf,
    /// Sizes and times of the intake log; its directory is set by [`Queue::open`].
    pub commit: CommitOptions,
}

/// What was found when a queue was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Report {
    /// What the log had to tell.
    pub log: Recovery,
    /// Letters that wait.
    pub letters: usize,
    /// Files that were moved to `aside/`.
    pub aside: Vec<PathBuf>,
}

/// The queue. Clones are the same queue.
#[derive(Debug, Clone)]
pub struct Queue {
    disk: Arc<dyn Disk>,
    root: Arc<Path>,
    index: SharedIndex,
    submitter: Submitter<Request, Answer>,
}

/// The one letter that somebody works on; given back when dropped.
#[derive(Debug)]
pub struct Lease {
    index: SharedIndex,
    letter: Arc<Letter>,
    /// Not to be given out again before.
    rest: Mutex<Option<Timestamp>>,
}

/// A letter with where its bytes are.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The letter.
    pub letter: Arc<Letter>,
    /// Where its bytes are.
    pub place: Place,
    /// Whether it is being tried now.
    pub active: bool,
}

/// What was seen of one letter's bytes on disk.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The letter.
    pub letter: Arc<Letter>,
    /// Where its bytes should be.
    pub place: Place,
    /// What is wrong, if something is.
    pub wrong: Option<String>,
}

/// Waits for changes of the queue; see [`Queue::watch`].
#[derive(Debug)]
pub struct Watch {
    index: SharedIndex,
    seen: u64,
}

impl Options {
    /// The usual sizes and times.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let directory = directory.into();
        let commit = CommitOptions::new(directory.join(scan::LOG));
        Options { directory, commit }
    }
}

/// A queue whose batch loop is stepped by the caller, for simulations and tests.
#[derive(Debug)]
pub struct Stepped {
    /// The handle.
    pub queue: Queue,
    /// The batch loop.
    pub commit: GroupCommit<QueueStore>,
    /// What was found.
    pub report: Report,
    /// Keeps other writers out.
    pub lock: Box<dyn Lock>,
}

impl Queue {
    /// Opens the queue for its one writer and runs its batch loop in a thread.
    /// [`ErrorKind::Busy`] when another process holds it. Dropping the [`Writer`] closes it.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<(Queue, Writer, Report)> {
        let Stepped { queue, commit, report, lock } = Self::open_stepped(disk, options)?;
        let committer = commit.spawn("queue")?;
        Ok((queue, Writer { committer, _lock: lock }, report))
    }

    /// Opens the queue with a batch loop that the caller steps.
    pub fn open_stepped(disk: Arc<dyn Disk>, options: Options) -> Result<Stepped> {
        let root = options.directory;
        disk.make_dirs(&root, disk::Mode::PRIVATE_DIR)?;
        let held = disk.lock(&root.join(scan::LOCK))?;
        scan::make_directories(disk.as_ref(), &root)?;
        let index = SharedIndex::default();
        let store = QueueStore::new(disk.clone(), &root, index.clone());
        let commit = CommitOptions { directory: root.join(scan::LOG), ..options.commit };
        let (commit, submitter, log) = GroupCommit::open(disk.clone(), commit, store)?;
        let (letters, aside) = {
            let index = lock(&index);
            (index.len(), index.aside().to_vec())
        };
        let queue = Queue { disk, root: Arc::from(root.as_path()), index, submitter };
        let report = Report { log, letters, aside };
        Ok(Stepped { queue, commit, report, lock: held })
    }

    /// What is in a queue whose writer is away, without changing a byte of it.
    pub fn look(disk: Arc<dyn Disk>, directory: &Path) -> Result<Vec<Listed>> {
        let index = SharedIndex::default();
        let mut store = QueueStore::looking(disk.clone(), directory, index.clone());
        disk::read_log(disk.as_ref(), &directory.join(scan::LOG), &mut store)?;
        let index = lock(&index);
        Ok(index.items().map(Listed::from).collect())
    }

    /// Takes a letter in. Done, or already known under its journey: both mean that we are
    /// responsible. An error means that nothing was kept.
    pub fn accept(&self, letter: NewLetter) -> Ticket {
        self.submitter.submit(Request::Accept(Box::new(letter)))
    }

    /// Records what happened to a letter.
    pub fn change(
        &self,
        (journey, time): (JourneyId, Timestamp),
        changes: Vec<Change>,
        wait: Wait,
    ) -> Ticket {
        self.submitter.submit(Request::Change { report: None, journey, time, changes, wait })
    }

    /// Takes in a report on a letter together with the changes it reports on.
    pub fn change_with_report(
        &self,
        (journey, time): (JourneyId, Timestamp),
        changes: Vec<Change>,
        report: NewLetter,
    ) -> Ticket {
        let report = Some(Box::new(report));
        let wait = Wait::Durable;
        self.submitter.submit(Request::Change { report, journey, time, changes, wait })
    }

    /// At most `most` letters that are due and nobody works on, the longest due first.
    pub fn take_due(&self, now: Timestamp, most: usize) -> Vec<Lease> {
        let taken = lock(&self.index).take_due(now, most);
        let lease = |letter| Lease { index: self.index.clone(), letter, rest: Mutex::default() };
        taken.into_iter().map(lease).collect()
    }

    /// When the next letter that nobody works on is due.
    pub fn next_due(&self) -> Option<Timestamp> {
        lock(&self.index).next_due()
    }

    /// Tells of changes from now on.
    pub fn watch(&self) -> Watch {
        Watch { index: self.index.clone(), seen: lock(&self.index).version() }
    }

    /// The letter as it is to be sent: our header fields, then what came.
    /// [`ErrorKind::Corrupt`] when the file is not what was written; it is left where it is.
    pub fn bytes(&self, journey: JourneyId) -> Result<Body> {
        let found = lock(&self.index)
            .get(journey)
            .map(|item| (item.letter.clone(), item.bytes.clone(), item.place));
        let Some((letter, bytes, place)) = found else {
            return Err(Error::new(ErrorKind::Missing, "open a letter", "it is not in the queue"));
        };
        let body = match bytes {
            Bytes::Memory(body) => body,
            Bytes::File { body, file, verified } => {
                self.open_file(&letter, place, (body, file, verified))?
            }
        };
        Ok(if letter.headers.is_empty() { body } else { body.prepend(letter.headers.clone()) })
    }

    fn open_file(
        &self,
        letter: &Letter,
        place: Place,
        (body, length, verified): (u64, u64, bool),
    ) -> Result<Body> {
        let journey = letter.journey;
        let (first, second) = match place {
            Place::LoggedLarge => (scan::INCOMING, scan::LETTERS),
            _ => (scan::LETTERS, scan::INCOMING),
        };
        let open = |directory| {
            self.disk.open(&scan::letter_path(&self.root, directory, journey), Access::Read)
        };
        // A large letter may be moved to its place at this moment.
        let open = match open(first) {
            Err(error) if error.is_missing() => open(second).map_err(|_| error)?,
            other => other?,
        };
        if open.length()? != length {
            return Err(file::corrupt("its length has changed"));
        }
        if !verified {
            file::verify(open.as_ref())?;
            if let Some(item) = lock(&self.index).get_mut(journey)
                && let Bytes::File { verified, .. } = &mut item.bytes
            {
                *verified = true;
            }
        }
        Ok(Body::from_file(Arc::from(open), body, letter.length))
    }

    /// One letter.
    pub fn show(&self, journey: JourneyId) -> Option<Listed> {
        lock(&self.index).get(journey).map(Listed::from)
    }

    /// The letters that `wanted` wants, oldest first.
    pub fn list(&self, wanted: impl Fn(&Letter) -> bool) -> Vec<Listed> {
        let index = lock(&self.index);
        index.items().filter(|item| wanted(&item.letter)).map(Listed::from).collect()
    }

    /// What the disk does to the queue, for who tells people and starts it again.
    pub fn troubles(&self) -> disk::Troubles {
        self.submitter.troubles()
    }

    /// How many letters there are.
    pub fn len(&self) -> usize {
        lock(&self.index).len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Files that were moved to `aside/` in this life.
    pub fn aside(&self) -> Vec<PathBuf> {
        lock(&self.index).aside().to_vec()
    }

    /// Lays everything out now; done when it is durable in the files.
    pub fn settle(&self) -> Settled {
        self.submitter.settle()
    }

    /// Looks at the file of every letter. After [`Queue::settle`] each has one.
    pub fn verify(&self) -> Vec<Verified> {
        let all: Vec<_> = {
            let index = lock(&self.index);
            index.items().map(|item| (item.letter.clone(), item.place, item.extent)).collect()
        };
        let look = |(letter, place, extent): (Arc<Letter>, Place, Option<file::Extent>)| {
            let directory = match place {
                Place::Logged => return Verified { letter, place, wrong: None },
                Place::LoggedLarge => scan::INCOMING,
                _ => scan::LETTERS,
            };
            let path = scan::letter_path(&self.root, directory, letter.journey);
            let wrong = match self.disk.metadata(&path) {
                Err(error) => Some(error.to_string()),
                Ok(found) if extent.is_some_and(|extent| extent.file != found.length) => {
                    Some("its file has another length than it had".to_owned())
                }
                Ok(_) => None,
            };
            // It may have left while we looked.
            let gone = lock(&self.index).get(letter.journey).is_none();
            Verified { letter, place, wrong: wrong.filter(|_| !gone) }
        };
        all.into_iter().map(look).collect()
    }

    /// Every line of the custody book; call [`Queue::settle`] first to have the newest too.
    pub fn custody(&self, each: &mut dyn FnMut(disk::custody::Entry)) -> Result<()> {
        disk::custody::read(self.disk.as_ref(), &self.root.join(scan::CUSTODY), each)
    }

    /// The custody book of a queue whose writer is away.
    pub fn look_at_custody(
        disk: &dyn Disk,
        directory: &Path,
        each: &mut dyn FnMut(disk::custody::Entry),
    ) -> Result<()> {
        disk::custody::read(disk, &directory.join(scan::CUSTODY), each)
    }

    /// Begins the end: requests that wait are answered, no more are taken.
    pub fn close(&self) {
        self.submitter.close();
    }
}

/// The right to write. Dropping it answers what waits, lays everything out and ends the thread.
#[derive(Debug)]
pub struct Writer {
    committer: Committer,
    _lock: Box<dyn Lock>,
}

impl Writer {
    /// Closes the queue: everything is laid out, the log is empty.
    pub fn close(self) {
        self.committer.close();
    }
}

impl Lease {
    /// The letter, as it was when it was leased.
    pub fn letter(&self) -> &Arc<Letter> {
        &self.letter
    }

    /// The letter is not given out again before `until`, whatever is due. In memory only: nothing
    /// has happened to it.
    pub fn rest_until(&self, until: Timestamp) {
        let mut rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner);
        *rest = (*rest).max(Some(until));
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let rest = self.rest.lock().unwrap_or_else(PoisonError::into_inner).take();
        lock(&self.index).give_back(self.letter.journey, rest);
    }
}

impl Watch {
    /// Ready when the queue has changed since the last time, or since [`Queue::watch`].
    pub fn changed(&mut self) -> impl Future<Output = ()> + '_ {
        Changed { watch: self }
    }
}

struct Changed<'a> {
    watch: &'a mut Watch,
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let watch = &mut *self.get_mut().watch;
        let mut index = lock(&watch.index);
        if index.version() == watch.seen {
            index.wake_on_change(context.waker());
            return Poll::Pending;
        }
        watch.seen = index.version();
        Poll::Ready(())
    }
}

impl From<&crate::index::Item> for Listed {
    fn from(item: &crate::index::Item) -> Self {
        Listed { letter: item.letter.clone(), place: item.place, active: item.leased }
    }
}

impl Listed {
    /// Recipients that wait.
    pub fn waiting(&self) -> usize {
        let waits = |recipient: &&crate::Recipient| recipient.progress.state == State::Waiting;
        self.letter.recipients.iter().filter(waits).count()
    }
}
