//! What is in the queue, in memory: letters by id and a schedule by time. Shared between the
//! batch loop, which changes it, and everybody who holds a [`crate::Queue`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use disk::Body;
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::change::Line;
use crate::file::Extent;
use crate::letter::{Change, Letter};
use crate::limits::REMEMBERED;

/// Where a letter's bytes are; docs/queue.md has the table of these states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the intake log and in memory, in no file.
    Logged,
    /// Its envelope in the intake log, its file synced in `incoming/`.
    LoggedLarge,
    /// Written to `letters/`, not yet durable there; the log still holds it.
    LaidOut,
    /// Durable in `letters/`.
    Filed,
    /// Ended; its files are about to go.
    Leaving,
    /// Moved to `aside/`, because it cannot be read or nothing claims it.
    Aside,
}

/// The bytes of a letter.
#[derive(Debug, Clone)]
pub(crate) enum Bytes {
    Memory(Body),
    /// In the file of the letter, at this offset.
    File {
        body: u64,
        file: u64,
        verified: bool,
    },
}

/// One letter in the queue.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) letter: Arc<Letter>,
    pub(crate) place: Place,
    pub(crate) bytes: Bytes,
    pub(crate) leased: bool,
    /// Its place in the schedule.
    scheduled: Option<Timestamp>,
    /// Changes that are not in the changes file yet.
    pub(crate) unwritten: Vec<Line>,
    /// Where the body is in the file, since it is laid out.
    pub(crate) extent: Option<Extent>,
    /// Whether lay-out was begun, so that there may be files.
    pub(crate) touched: bool,
    /// Length of the changes file, when it was written in this life. Not the open file: a long
    /// queue would have one for each letter that was ever deferred.
    pub(crate) changes: Option<u64>,
}

impl Bytes {
    /// In a file that this process wrote.
    pub(crate) fn file(extent: Extent) -> Self {
        Bytes::File { body: extent.body, file: extent.file, verified: true }
    }
}

impl Item {
    pub(crate) fn new(letter: Letter, place: Place, bytes: Bytes) -> Self {
        Item {
            letter: Arc::new(letter),
            place,
            bytes,
            leased: false,
            scheduled: None,
            unwritten: Vec::new(),
            extent: None,
            touched: false,
            changes: None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Index {
    items: BTreeMap<JourneyId, Item>,
    schedule: BTreeSet<(Timestamp, JourneyId)>,
    /// Ids of letters that have left, oldest first.
    left: VecDeque<JourneyId>,
    aside: Vec<PathBuf>,
    /// Counts changes, for those who wait for one.
    version: u64,
    wakers: Vec<Waker>,
}

pub(crate) type SharedIndex = Arc<Mutex<Index>>;

/// Locks the index. Nothing panics while it is held, so it is whole even when poisoned.
pub(crate) fn lock(index: &SharedIndex) -> MutexGuard<'_, Index> {
    index.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Index {
    pub(crate) fn get(&self, journey: JourneyId) -> Option<&Item> {
        self.items.get(&journey)
    }

    /// For changes that do not concern the schedule.
    pub(crate) fn get_mut(&mut self, journey: JourneyId) -> Option<&mut Item> {
        self.items.get_mut(&journey)
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &Item> {
        self.items.values()
    }

    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether a letter is here or has just left.
    pub(crate) fn knows(&self, journey: JourneyId) -> bool {
        self.items.contains_key(&journey) || self.left.contains(&journey)
    }

    pub(crate) fn insert(&mut self, item: Item) {
        let journey = item.letter.journey;
        self.items.insert(journey, item);
        self.schedule(journey, None);
        self.changed();
    }

    /// Puts a letter into its place in the schedule, no earlier than `rest`.
    fn schedule(&mut self, journey: JourneyId, rest: Option<Timestamp>) {
        let Some(item) = self.items.get_mut(&journey) else { return };
        if let Some(before) = item.scheduled.take() {
            self.schedule.remove(&(before, journey));
        }
        let next = item.letter.next().filter(|_| !item.leased);
        if let Some(next) = next.map(|next| rest.map_or(next, |rest| next.max(rest))) {
            item.scheduled = Some(next);
            self.schedule.insert((next, journey));
        }
    }

    /// Makes a change; `Some` with whether it meant something when the letter is here.
    pub(crate) fn apply(&mut self, journey: JourneyId, change: &Change) -> Option<bool> {
        let item = self.items.get_mut(&journey)?;
        let meant = Arc::make_mut(&mut item.letter).apply(change);
        self.schedule(journey, None);
        self.changed();
        Some(meant)
    }

    /// Takes a letter out that has ended.
    pub(crate) fn remove(&mut self, journey: JourneyId) -> Option<Item> {
        let item = self.items.remove(&journey)?;
        if let Some(before) = item.scheduled {
            self.schedule.remove(&(before, journey));
        }
        self.left.push_back(journey);
        if self.left.len() > REMEMBERED {
            self.left.pop_front();
        }
        self.changed();
        Some(item)
    }

    /// Leases at most `most` letters that are due.
    pub(crate) fn take_due(&mut self, now: Timestamp, most: usize) -> Vec<Arc<Letter>> {
        let due: Vec<(Timestamp, JourneyId)> =
            self.schedule.iter().take_while(|(when, _)| *when <= now).take(most).copied().collect();
        let mut leased = Vec::with_capacity(due.len());
        for key in due {
            self.schedule.remove(&key);
            if let Some(item) = self.items.get_mut(&key.1) {
                item.leased = true;
                item.scheduled = None;
                leased.push(item.letter.clone());
            }
        }
        leased
    }

    /// Ends a lease.
    pub(crate) fn give_back(&mut self, journey: JourneyId, rest: Option<Timestamp>) {
        if let Some(item) = self.items.get_mut(&journey) {
            item.leased = false;
            self.schedule(journey, rest);
            self.changed();
        }
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.schedule.first().map(|(when, _)| *when)
    }

    pub(crate) fn set_aside(&mut self, path: PathBuf) {
        self.aside.push(path);
    }

    pub(crate) fn aside(&self) -> &[PathBuf] {
        &self.aside
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn wake_on_change(&mut self, waker: &Waker) {
        if !self.wakers.iter().any(|known| known.will_wake(waker)) {
            self.wakers.push(waker.clone());
        }
    }

    fn changed(&mut self) {
        self.version += 1;
        self.wakers.drain(..).for_each(Waker::wake);
    }
}
