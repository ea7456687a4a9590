//! The queue as a [`disk::Store`]: what is staged, logged, published and laid out. Runs in the
//! batch loop's thread; readers see the [`Index`](crate::index::Index).

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::custody::{Act, Book, Entry};
use disk::limits::LARGE_LETTER;
use disk::{
    Access, Appender, Body, Disk, Error, ErrorKind, LaidOut, Mode, Record, Result, Sequence, Stage,
    Store,
};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::change::Line;
use crate::file;
use crate::index::{Bytes, Item, Place, SharedIndex, lock};
use crate::letter::{Change, Letter, NewLetter, Origin, State};
use crate::limits::LOGGED_ENVELOPE;
use crate::scan;

/// What is asked of the queue; made by [`crate::Queue`].
#[derive(Debug)]
pub enum Request {
    /// Take a letter in.
    #[doc(hidden)]
    Accept(Box<NewLetter>),
    /// Make changes to a letter, and in the same breath take another one in that they speak of.
    #[doc(hidden)]
    Change {
        /// A report that the changes mention; durable no later than they are.
        report: Option<Box<NewLetter>>,
        /// Which letter changes.
        journey: JourneyId,
        /// When.
        time: Timestamp,
        /// How.
        changes: Vec<Change>,
        /// Whether the asker waits for the disk.
        wait: Wait,
    },
}

/// Whether an answer waits for the barrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// Answer when it is durable.
    Durable,
    /// Answer at once; durable with the next batch.
    Lazy,
}

/// What came of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It is in the queue, or the change is made.
    Done,
    /// It was in the queue already: the sender did not see the first answer.
    Already,
    /// There is no such letter (any more).
    Unknown,
}

/// A request whose records are appended.
#[derive(Debug)]
pub struct Staged {
    accepted: Option<(Sequence, Item, Timestamp)>,
    lines: Vec<Line>,
    journey: JourneyId,
}

/// Log record: envelope, headers, body.
const ACCEPT: u8 = 1;
/// Log record: envelope and headers; the file is in `incoming/`.
const ACCEPT_LARGE: u8 = 2;
/// Log record: journey, line end, changes as lines.
const CHANGE: u8 = 3;

/// The queue's side of the batch loop; [`crate::Queue`] opens it.
#[derive(Debug)]
pub struct QueueStore {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    index: SharedIndex,
    /// `None` when the queue is only looked at.
    book: Option<Book>,
    may_write: bool,
    /// Journeys of this batch that are not published yet.
    staged: HashSet<JourneyId>,
    /// Letters with something to lay out, oldest first.
    dirty: VecDeque<JourneyId>,
    /// Letters that have ended, whose files go.
    leaving: VecDeque<JourneyId>,
    /// Their changes files go after that is durable: a letter file without them would be taken
    /// for one that nothing has happened to.
    changes_next: Vec<JourneyId>,
    changes_now: Vec<JourneyId>,
    /// Laid out since the last checkpoint.
    laid: Vec<JourneyId>,
    entries: Vec<Entry>,
    /// Files that could not be read at the start, unless the replay writes them again.
    suspects: BTreeMap<PathBuf, Option<JourneyId>>,
    /// Large letters whose record was replayed and whose file is not there.
    fileless: Vec<JourneyId>,
    /// Letters that ended since the last checkpoint.
    ended: HashSet<JourneyId>,
}

impl QueueStore {
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path, index: SharedIndex) -> Self {
        QueueStore {
            disk,
            root: root.to_path_buf(),
            index,
            book: None,
            may_write: true,
            staged: HashSet::new(),
            dirty: VecDeque::new(),
            leaving: VecDeque::new(),
            changes_next: Vec::new(),
            changes_now: Vec::new(),
            laid: Vec::new(),
            entries: Vec::new(),
            suspects: BTreeMap::new(),
            fileless: Vec::new(),
            ended: HashSet::new(),
        }
    }

    /// A store that changes nothing on disk: to look at a queue whose writer is away.
    pub(crate) fn looking(disk: Arc<dyn Disk>, root: &Path, index: SharedIndex) -> Self {
        QueueStore { may_write: false, ..Self::new(disk, root, index) }
    }

    fn stage_accept(&mut self, new: NewLetter, log: &mut Appender<'_>) -> Result<Option<Staged>> {
        let journey = new.journey;
        if lock(&self.index).knows(journey) || self.staged.contains(&journey) {
            return Ok(None);
        }
        let letter = Letter::new(&new);
        let envelope = file::envelope(&letter);
        let headers = &letter.headers[..];
        let logged = new.body.length() <= LARGE_LETTER && envelope.len() <= LOGGED_ENVELOPE;
        let mut length = headers.len().to_string();
        length.push('\n');
        let mut parts: Vec<&[u8]> = vec![length.as_bytes(), envelope.as_bytes(), headers];
        let (sequence, place, bytes) = if logged {
            let chunks = new.body.chunks().collect::<Result<Vec<_>>>()?;
            parts.extend(chunks.iter().map(|chunk| &chunk[..]));
            let sequence = log.append(ACCEPT, &parts)?;
            let body: Body = chunks.iter().rev().fold(Body::default(), |body, chunk| {
                if chunk.is_empty() { body } else { body.prepend(chunk.clone()) }
            });
            (sequence, Place::Logged, Bytes::Memory(body))
        } else {
            let extent = self.write_incoming(&letter, &new.body)?;
            let bytes = Bytes::file(extent);
            (log.append(ACCEPT_LARGE, &parts)?, Place::LoggedLarge, bytes)
        };
        self.staged.insert(journey);
        let item = Item::new(letter, place, bytes);
        Ok(Some(Staged {
            accepted: Some((sequence, item, new.arrived)),
            lines: Vec::new(),
            journey,
        }))
    }

    /// A large letter goes to its own file, which is durable before its record is.
    fn write_incoming(&self, letter: &Letter, body: &Body) -> Result<file::Extent> {
        let directory = self.root.join(scan::INCOMING);
        let path = scan::letter_path(&self.root, scan::INCOMING, letter.journey);
        let open = self.disk.create_unnamed(&directory, Mode::PRIVATE)?;
        let extent = file::write(open.as_ref(), letter, body)?;
        match open.link_as(&path) {
            // A first attempt that was refused after this point has left it.
            Err(error) if error.kind() == ErrorKind::Exists => {
                self.disk.unlink(&path)?;
                open.link_as(&path)?;
            }
            other => other?,
        }
        open.sync()?;
        self.disk.sync_dir(&directory)?;
        Ok(extent)
    }

    fn stage_lines(
        &mut self,
        (journey, time): (JourneyId, Timestamp),
        changes: Vec<Change>,
        log: &mut Appender<'_>,
    ) -> Result<Option<Vec<Line>>> {
        let Some(letter) = lock(&self.index).get(journey).map(|item| item.letter.clone()) else {
            return Ok(None);
        };
        let time = crate::letter::whole_millis(time);
        let mut lines: Vec<Line> = changes
            .into_iter()
            .map(|change| {
                let to = Line::address(&letter, &change);
                Line { sequence: Sequence(0), time, change, to }
            })
            .collect();
        let mut text = format!("{journey}\n");
        for line in &lines {
            text.push_str(&line.text());
            text.push('\n');
        }
        let sequence = log.append(CHANGE, &[text.as_bytes()])?;
        lines.iter_mut().for_each(|line| line.sequence = sequence);
        Ok(Some(lines))
    }

    /// Makes an accepted letter visible.
    fn insert(&mut self, sequence: Sequence, item: Item, time: Timestamp) {
        let letter = item.letter.clone();
        let came = match letter.origin {
            Origin::Accepted | Origin::Unproven => Act::Accepted,
            Origin::Generated => Act::Generated,
        };
        for recipient in &letter.recipients {
            let (act, detail) = match &recipient.from {
                Some(from) => (Act::Expanded, from.to_string()),
                None => (came, letter.cause.map(|cause| cause.to_string()).unwrap_or_default()),
            };
            let recipient = recipient.address.to_string();
            let journey = letter.journey;
            self.entries.push(Entry { sequence, time, journey, act, recipient, detail });
        }
        self.dirty.push_back(letter.journey);
        lock(&self.index).insert(item);
    }

    /// Makes one change visible, and ends the letter when it was the last one.
    fn apply(&mut self, journey: JourneyId, line: Line) {
        let index = self.index.clone();
        let mut index = lock(&index);
        let Some(meant) = index.apply(journey, &line.change) else {
            return;
        };
        if !meant {
            return;
        }
        self.entries.extend(custody(journey, &line));
        let Some(item) = index.get_mut(journey) else {
            return;
        };
        if item.letter.is_done() {
            let fresh = item.place == Place::Logged && !item.touched;
            item.place = Place::Leaving;
            index.remove(journey);
            self.ended.insert(journey);
            // A letter that leaves before it was laid out never becomes a file.
            if !fresh {
                self.leaving.push_back(journey);
            }
        } else {
            item.unwritten.push(line);
            self.dirty.push_back(journey);
        }
    }

    fn lay_out_letter(&mut self, journey: JourneyId) -> Result<()> {
        let mut index = lock(&self.index);
        let Some(item) = index.get_mut(journey) else {
            return Ok(());
        };
        item.touched = true;
        let (place, bytes, letter) = (item.place, item.bytes.clone(), item.letter.clone());
        let lines = std::mem::take(&mut item.unwritten);
        let changes = item.changes;
        drop(index);
        let laid = self.write_letter(place, &bytes, &letter);
        let written =
            laid.and_then(|extent| Ok((extent, self.write_changes(journey, changes, &lines)?)));
        let mut index = lock(&self.index);
        let Some(item) = index.get_mut(journey) else {
            return Ok(());
        };
        let (extent, changes) = match written {
            Ok(written) => written,
            Err(error) => {
                item.unwritten.splice(..0, lines);
                return Err(error);
            }
        };
        item.changes = changes;
        if let Some((extent, place)) = extent {
            item.place = place;
            item.extent = Some(extent);
            self.laid.push(journey);
        }
        Ok(())
    }

    /// Writes or moves the letter's file if it is not in its place yet.
    fn write_letter(
        &self,
        place: Place,
        bytes: &Bytes,
        letter: &Letter,
    ) -> Result<Option<(file::Extent, Place)>> {
        let path = scan::letter_path(&self.root, scan::LETTERS, letter.journey);
        match (place, bytes) {
            (Place::Logged, Bytes::Memory(body)) => {
                // A file of an earlier life may be there, empty or torn.
                let open = self.disk.open(&path, Access::Create(Mode::PRIVATE))?;
                // The file is as the letter came; what changed since stands beside it.
                let first = as_it_came(letter);
                Ok(Some((file::write(open.as_ref(), &first, body)?, Place::LaidOut)))
            }
            (Place::LoggedLarge, Bytes::File { body, file, .. }) => {
                let incoming = scan::letter_path(&self.root, scan::INCOMING, letter.journey);
                match self.disk.rename(&incoming, &path) {
                    // Moved in an earlier life, before the crash.
                    Err(error) if error.is_missing() => {
                        self.disk.metadata(&path)?;
                    }
                    other => other?,
                }
                let extent = file::Extent { body: *body, file: *file };
                Ok(Some((extent, Place::LaidOut)))
            }
            _ => Ok(None),
        }
    }

    fn write_changes(
        &self,
        journey: JourneyId,
        written: Option<u64>,
        lines: &[Line],
    ) -> Result<Option<u64>> {
        if lines.is_empty() {
            return Ok(written);
        }
        let path = scan::changes_path(&self.root, journey);
        let file = self.disk.open(&path, Access::Create(Mode::PRIVATE))?;
        let length = match written {
            Some(length) => length,
            None => file.length()?,
        };
        let mut text = String::new();
        if length == 0 {
            text.push_str(&scan::changes_first_line(journey));
        }
        for line in lines {
            text.push_str(&line.print());
            text.push('\n');
        }
        file.write_at(length, text.as_bytes())?;
        Ok(Some(length + text.len() as u64))
    }

    fn remove_letter(&self, journey: JourneyId) -> Result<()> {
        for directory in [scan::LETTERS, scan::INCOMING] {
            self.remove(&scan::letter_path(&self.root, directory, journey))?;
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> Result<()> {
        match self.disk.unlink(path) {
            Err(error) if !error.is_missing() => Err(error),
            _ => Ok(()),
        }
    }

    /// Moves what nobody could read or claims out of the way, and gives up large letters whose
    /// file is gone.
    fn settle_suspects(&mut self) -> Result<()> {
        let mut index = lock(&self.index);
        for journey in self.fileless.drain(..) {
            if index.remove(journey).is_some() {
                let path = scan::letter_path(&self.root, scan::INCOMING, journey);
                index.set_aside(path);
            }
        }
        drop(index);
        while let Some((path, journey)) = self.suspects.first_key_value() {
            let (path, journey) = (path.clone(), *journey);
            let known = journey.is_some_and(|journey| {
                lock(&self.index).knows(journey) || self.ended.contains(&journey)
            });
            let letter = journey.map(|it| scan::letter_path(&self.root, scan::LETTERS, it));
            let orphan = path.extension().is_some_and(|suffix| suffix == "changes")
                && letter.is_some_and(|letter| self.disk.metadata(&letter).is_err());
            if orphan && !known {
                // Its letter has left for good; this is the rest of it.
                self.disk.unlink(&path)?;
            } else if !known {
                let aside = scan::move_aside(self.disk.as_ref(), &self.root, &path)?;
                lock(&self.index).set_aside(aside);
            }
            self.suspects.remove(&path);
        }
        Ok(())
    }

    fn replay_accept(&mut self, record: &Record<'_>, place: Place) -> Result<()> {
        let bad = |detail: &str| Error::new(ErrorKind::Corrupt, "replay the queue's log", detail);
        let line = record.payload.iter().position(|byte| *byte == b'\n');
        let line = line.ok_or_else(|| bad("a record has no first line"))?;
        let (first, rest) = record.payload.split_at(line);
        let headers: usize = std::str::from_utf8(first)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| bad("a record's first line is not a number"))?;
        let rest = &rest[1..];
        let (mut letter, end) = file::parse_envelope(rest).map_err(bad)?;
        let tail = &rest[end..];
        let (headers, body) =
            tail.split_at_checked(headers).ok_or_else(|| bad("a record is too short"))?;
        if place == Place::Logged && body.len() as u64 != letter.length {
            // Laid out like this it would be a file that nobody can read.
            return Err(bad("a letter is not as long as its envelope says"));
        }
        letter.headers = bytes::Bytes::copy_from_slice(headers);
        let journey = letter.journey;
        let bytes = match place {
            Place::Logged => Bytes::Memory(bytes::Bytes::copy_from_slice(body).into()),
            _ => match scan::find_extent(self.disk.as_ref(), &self.root, journey)? {
                Some(extent) => Bytes::file(extent),
                // It has left since and its file is gone; the record of that follows.
                None => {
                    self.fileless.push(journey);
                    Bytes::Memory(Body::default())
                }
            },
        };
        let arrived = letter.arrived;
        lock(&self.index).remove(journey);
        self.insert(record.sequence, Item::new(letter, place, bytes), arrived);
        // Files of an earlier life may be there even if it leaves before it is laid out.
        self.leaving.retain(|left| *left != journey);
        Ok(())
    }

    fn replay_changes(&mut self, record: &Record<'_>) -> Result<()> {
        let bad = || Error::new(ErrorKind::Corrupt, "replay the queue's log", "a bad change");
        let text = std::str::from_utf8(record.payload).map_err(|_| bad())?;
        let (journey, lines) = text.split_once('\n').ok_or_else(bad)?;
        let journey: JourneyId = journey.parse().map_err(|_| bad())?;
        for line in lines.lines() {
            let line = Line::parse_text(record.sequence, line).ok_or_else(bad)?;
            let here = lock(&self.index).get(journey).is_some();
            if here {
                self.apply(journey, line);
                if self.ended.contains(&journey) && !self.leaving.contains(&journey) {
                    self.leaving.push_back(journey);
                }
            } else if !self.ended.contains(&journey) {
                // It ended in the former life and its files went; the book may not know yet.
                self.entries.extend(custody(journey, &line));
                self.leaving.push_back(journey);
            }
        }
        Ok(())
    }
}

/// The letter without what its recipients have come to since.
fn as_it_came(letter: &Letter) -> Letter {
    let mut first = letter.clone();
    first.delay_told = false;
    for recipient in &mut first.recipients {
        if recipient.progress.attempts > 0 {
            recipient.progress.next = letter.arrived;
        }
        recipient.progress.state = State::Waiting;
        recipient.progress.attempts = 0;
        recipient.progress.last = None;
        recipient.in_hand = None;
    }
    first
}

/// What the custody book says of a change.
fn custody(journey: JourneyId, line: &Line) -> Option<Entry> {
    let Change::Recipient(_, progress) = &line.change else {
        return None;
    };
    let act = match progress.state {
        State::Waiting => return None,
        State::Delivered => Act::Delivered,
        State::Relayed => Act::Relayed,
        State::Bounced => Act::Bounced,
        State::Discarded => Act::Discarded,
    };
    let detail = progress.last.as_ref().map(|said| match said.host.as_str() {
        "" => said.text.clone(),
        host => format!("{host}: {}", said.text),
    });
    Some(Entry {
        sequence: line.sequence,
        time: line.time,
        journey,
        act,
        recipient: line.to.clone(),
        detail: detail.unwrap_or_default(),
    })
}

impl Store for QueueStore {
    type Request = Request;
    type Staged = Staged;
    type Answer = Answer;

    fn begin_replay(&mut self, checkpoint: Sequence) -> Result<()> {
        let found = if self.may_write {
            let directory = self.root.join(scan::CUSTODY);
            self.book = Some(Book::open(self.disk.clone(), &directory, checkpoint)?);
            scan::read_and_cut(self.disk.as_ref(), &self.root, checkpoint)?
        } else {
            scan::read(self.disk.as_ref(), &self.root, checkpoint)?
        };
        self.suspects = found.suspects;
        let mut index = lock(&self.index);
        for item in found.items {
            if item.letter.is_done() {
                self.leaving.push_back(item.letter.journey);
            } else {
                index.insert(item);
            }
        }
        Ok(())
    }

    fn replay(&mut self, record: &Record<'_>) -> Result<()> {
        match record.kind {
            ACCEPT => self.replay_accept(record, Place::Logged),
            ACCEPT_LARGE => self.replay_accept(record, Place::LoggedLarge),
            CHANGE => self.replay_changes(record),
            kind => {
                let detail = format!("a record of kind {kind}, which this program does not know");
                Err(Error::new(ErrorKind::Corrupt, "replay the queue's log", detail))
            }
        }
    }

    fn stage(&mut self, request: Request, log: &mut Appender<'_>) -> Result<Stage<Self>> {
        match request {
            Request::Accept(new) => Ok(match self.stage_accept(*new, log)? {
                Some(staged) => Stage::Durable(staged),
                None => Stage::Nothing(Answer::Already),
            }),
            Request::Change { report, journey, time, changes, wait } => {
                if lock(&self.index).get(journey).is_none() {
                    return Ok(Stage::Nothing(Answer::Unknown));
                }
                let report = match report {
                    Some(report) => self.stage_accept(*report, log)?,
                    None => None,
                };
                let accepted = report.and_then(|staged| staged.accepted);
                let reported = accepted.as_ref().map(|(_, item, _)| item.letter.journey);
                match self.stage_lines((journey, time), changes, log) {
                    Ok(lines) => {
                        let lines = lines.unwrap_or_default();
                        let staged = Staged { accepted, lines, journey };
                        Ok(match wait {
                            Wait::Durable => Stage::Durable(staged),
                            Wait::Lazy => Stage::Lazy(staged),
                        })
                    }
                    Err(error) => {
                        reported.map(|journey| self.staged.remove(&journey));
                        Err(error)
                    }
                }
            }
        }
    }

    fn publish(&mut self, staged: Staged) -> Answer {
        let Staged { accepted, lines, journey } = staged;
        if let Some((sequence, item, time)) = accepted {
            self.staged.remove(&item.letter.journey);
            self.insert(sequence, item, time);
        }
        for line in lines {
            self.apply(journey, line);
        }
        Answer::Done
    }

    fn abandon(&mut self, staged: Staged) {
        if let Some((_, item, _)) = staged.accepted {
            let journey = item.letter.journey;
            self.staged.remove(&journey);
            if item.place == Place::LoggedLarge {
                // If this fails the next start moves the file aside.
                drop(self.remove_letter(journey));
            }
        }
    }

    fn lay_out(&mut self, items: usize) -> Result<LaidOut> {
        self.settle_suspects()?;
        if let Some(book) = &mut self.book {
            book.write(&self.entries)?;
            self.entries.clear();
        }
        while let Some(journey) = self.changes_now.last() {
            self.remove(&scan::changes_path(&self.root, *journey))?;
            self.changes_now.pop();
        }
        for _ in 0..items {
            if let Some(journey) = self.leaving.front().copied() {
                self.remove_letter(journey)?;
                self.changes_next.push(journey);
                self.leaving.pop_front();
            } else if let Some(journey) = self.dirty.front().copied() {
                self.lay_out_letter(journey)?;
                self.dirty.pop_front();
            } else {
                return Ok(LaidOut::All);
            }
        }
        let all = self.leaving.is_empty() && self.dirty.is_empty() && self.entries.is_empty();
        Ok(if all { LaidOut::All } else { LaidOut::More })
    }

    fn checkpointed(&mut self) {
        self.ended.clear();
        self.changes_now.append(&mut self.changes_next);
        let mut index = lock(&self.index);
        for journey in self.laid.drain(..) {
            if let Some(item) = index.get_mut(journey)
                && item.place == Place::LaidOut
            {
                item.place = Place::Filed;
                if let Some(extent) = item.extent {
                    item.bytes = Bytes::file(extent);
                }
            }
        }
    }
}
