//! The intake log: pre-written, recycled, checksummed segments in which changes become durable
//! with one fdatasync for many.
//!
//! One log per store. It is synchronous and knows no threads, no time and no meaning of records;
//! [`crate::GroupCommit`] is its only caller. The reasons: docs/decisions/0008-the-intake-log.md.
//!
//! Three numbers rule it. Every record has a *sequence*; *durable* is the last sequence a barrier
//! has covered; *checkpoint* is the last sequence whose change is durable in the files as well.
//! Each record carries the other two as they were when it was written, so that reading a log back
//! needs nothing else: what is above the highest checkpoint is replayed in order, and a sequence
//! that some record calls durable and that cannot be read is damage, not a torn batch.

mod checksum;
mod record;
mod recover;
mod segment;

pub use checksum::Crc32c;

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::{Disk, Mode, Result};
use crate::limits::{LOG_RECORD, LOG_SEGMENT, LOG_SEGMENT_MIN, LOG_SEGMENTS};
use crate::{Error, ErrorKind};
use record::{Header, MARK};
use segment::{START, Segment};

pub use recover::{Recovery, read_log};

/// Sizes of a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Bytes of one segment, at least [`LOG_SEGMENT_MIN`].
    pub segment: u64,
    /// How many segments there are, at least two.
    pub segments: usize,
    /// The salt of a new log; `None` takes a random one, which is what keeps letters from posing
    /// as records. Given only by simulations.
    pub salt: Option<u64>,
}

impl Default for LogOptions {
    fn default() -> Self {
        LogOptions { segment: LOG_SEGMENT, segments: LOG_SEGMENTS, salt: None }
    }
}

/// The place of a record in the order of all records a log ever held; the first is 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Sequence(pub u64);

/// A record read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the order.
    pub sequence: Sequence,
    /// What the store said it is.
    pub kind: u8,
    /// The bytes as appended.
    pub payload: &'a [u8],
}

/// Appends the records of one request.
#[derive(Debug)]
pub struct Appender<'a> {
    log: &'a mut IntakeLog,
    /// Payload bytes this request may still append.
    room: usize,
}

impl Appender<'_> {
    /// Appends a record whose payload is the concatenation of `parts`; `kind` is any number but
    /// 0. [`ErrorKind::Full`] when it is longer than [`LOG_RECORD`], or the records of the request
    /// together than the log. Each record must make sense alone: a torn batch may end between two.
    pub fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Sequence> {
        debug_assert_ne!(kind, MARK, "kind 0 is the log's own");
        let length: usize = parts.iter().map(|part| part.len()).sum();
        let extent = Header::extent(length);
        let Some(room) = self.room.checked_sub(extent).filter(|_| extent <= LOG_RECORD) else {
            let detail = "a change that is longer than a record, or than the log";
            return Err(Error::new(ErrorKind::Full, "append to the log", detail));
        };
        self.room = room;
        self.log.append(kind, parts)
    }
}

/// The log itself.
#[derive(Debug)]
pub struct IntakeLog {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    options: LogOptions,
    salt: u64,
    /// Counts the sets of segment files; a failed sync begins a new one.
    epoch: u64,
    segments: Vec<Segment>,
    /// Files of an earlier epoch, removed at the next checkpoint.
    replaced: Vec<PathBuf>,
    /// Encoded records that are not written yet.
    buffer: Vec<u8>,
    /// Which stretches of the buffer go where.
    runs: Vec<Run>,
    place: Place,
    durable: Sequence,
    checkpoint: Sequence,
    /// Bytes ever written, and how many of them are checkpointed.
    written: u64,
    laid_out: u64,
    failed: bool,
}

/// How far the log is durable at one moment: what a checkpoint that begins then will cover.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Barrier {
    through: Sequence,
    written: u64,
}

/// Where the next record goes.
#[derive(Debug, Clone, Copy)]
struct Place {
    segment: usize,
    offset: u64,
    generation: u64,
    sequence: u64,
}

/// A stretch of the buffer that goes to one place in one segment.
#[derive(Debug, Clone, Copy)]
struct Run {
    segment: usize,
    offset: u64,
    start: usize,
    end: usize,
    last: Sequence,
}

/// A point to which what was appended since can be taken back.
#[derive(Debug)]
pub(crate) struct Savepoint {
    buffer: usize,
    runs: usize,
    last_run: Option<Run>,
    place: Place,
}

impl IntakeLog {
    /// For the records of one request.
    pub(crate) fn appender(&mut self) -> Appender<'_> {
        let room = self.room().max(LOG_RECORD);
        Appender { log: self, room }
    }

    fn append(&mut self, kind: u8, parts: &[&[u8]]) -> Result<Sequence> {
        let length = parts.iter().map(|part| part.len()).sum();
        let extent = Header::extent(length);
        if self.place.offset + extent as u64 > self.options.segment {
            self.place = self.next_segment().ok_or_else(|| {
                Error::new(ErrorKind::Busy, "append to the log", "every segment is in use")
            })?;
        }
        let header = Header {
            length: length as u32,
            salt: self.salt,
            generation: self.place.generation,
            sequence: self.place.sequence,
            durable: self.durable.0,
            checkpoint: self.checkpoint.0,
            kind,
        };
        let start = self.buffer.len();
        header.encode(parts, &mut self.buffer);
        let end = self.buffer.len();
        let last = Sequence(self.place.sequence);
        match self.runs.last_mut() {
            Some(run) if run.segment == self.place.segment => {
                run.end = end;
                run.last = last;
            }
            _ => {
                let Place { segment, offset, .. } = self.place;
                self.runs.push(Run { segment, offset, start, end, last });
            }
        }
        self.place.offset += extent as u64;
        self.place.sequence += 1;
        Ok(last)
    }

    /// The start of a segment that holds nothing above the checkpoint.
    fn next_segment(&self) -> Option<Place> {
        let free = (1..self.segments.len())
            .map(|step| (self.place.segment + step) % self.segments.len())
            .find(|candidate| self.is_free(*candidate))?;
        Some(Place {
            segment: free,
            offset: START,
            generation: self.place.generation + 1,
            sequence: self.place.sequence,
        })
    }

    /// Whether a segment is not the current one and holds nothing above the checkpoint.
    fn is_free(&self, segment: usize) -> bool {
        segment != self.place.segment
            && self.segments[segment].last <= self.checkpoint
            && self.runs.iter().all(|run| run.segment != segment)
    }

    /// Whether the records of one more request certainly fit.
    pub(crate) fn has_room(&self) -> bool {
        let left = self.options.segment.saturating_sub(self.place.offset);
        left >= LOG_RECORD as u64 || self.next_segment().is_some()
    }

    /// Whether the records of one more request certainly fit that has so many bytes of them.
    pub(crate) fn has_room_for(&self, bytes: usize) -> bool {
        if bytes <= LOG_RECORD { self.has_room() } else { self.room() >= bytes }
    }

    /// Bytes of records that certainly fit now.
    fn room(&self) -> usize {
        // A record is in one segment: up to one record's length at the end of each is lost.
        let usable =
            |from: u64| self.options.segment.saturating_sub(from).saturating_sub(LOG_RECORD as u64);
        let others = (0..self.segments.len()).filter(|at| self.is_free(*at));
        let all: u64 = others.map(|_| usable(START)).sum::<u64>() + usable(self.place.offset);
        usize::try_from(all).unwrap_or(usize::MAX)
    }

    /// Bytes of records that fit after a checkpoint, whatever is in the log before it.
    pub(crate) fn capacity(&self) -> usize {
        let one = self.options.segment.saturating_sub(START).saturating_sub(LOG_RECORD as u64);
        let others = self.segments.len().saturating_sub(1);
        usize::try_from(one).unwrap_or(usize::MAX).saturating_mul(others).max(LOG_RECORD)
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending(&self) -> usize {
        self.buffer.len()
    }

    pub(crate) fn savepoint(&self) -> Savepoint {
        Savepoint {
            buffer: self.buffer.len(),
            runs: self.runs.len(),
            last_run: self.runs.last().copied(),
            place: self.place,
        }
    }

    /// Takes back what was appended since.
    pub(crate) fn roll_back(&mut self, to: &Savepoint) {
        self.buffer.truncate(to.buffer);
        self.runs.truncate(to.runs);
        if let (Some(run), Some(before)) = (self.runs.last_mut(), to.last_run) {
            *run = before;
        }
        self.place = to.place;
    }

    /// Writes what was appended and makes it durable: one fdatasync, two when a segment is
    /// switched. After an error nothing of it may be called durable, and the log takes no more:
    /// the kernel forgets the pages it could not write, so a second sync would lie.
    pub(crate) fn commit(&mut self) -> Result<()> {
        if self.failed {
            let detail = "a sync of it has failed before";
            return Err(Error::new(ErrorKind::Poisoned, "write the log", detail));
        }
        let runs = std::mem::take(&mut self.runs);
        let written = runs.iter().try_for_each(|run| {
            let segment = &mut self.segments[run.segment];
            segment.last = run.last;
            segment.file.write_at(run.offset, &self.buffer[run.start..run.end])?;
            segment.file.sync_data()
        });
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        match written {
            Ok(()) => {
                self.durable = Sequence(self.place.sequence - 1);
                Ok(())
            }
            Err(error) => {
                self.failed = true;
                Err(error)
            }
        }
    }

    /// How far the log is durable now.
    pub(crate) fn barrier(&self) -> Barrier {
        Barrier { through: self.durable, written: self.written }
    }

    /// Whether it holds no record and never held one.
    pub(crate) fn is_fresh(&self) -> bool {
        self.place.sequence == 1
    }

    /// Whether every durable record is checkpointed.
    pub(crate) fn is_checkpointed(&self) -> bool {
        self.checkpoint == self.durable
    }

    /// Whether a checkpoint should be made so that a free segment is there in time.
    pub(crate) fn is_half_full(&self) -> bool {
        self.checkpoint < self.durable
            && (self.written - self.laid_out >= self.options.segment / 2
                || self.next_segment().is_none())
    }

    /// Everything up to the barrier is durable in the files. The next record says so; until then
    /// a crash only means that it is replayed once more.
    pub(crate) fn set_checkpoint(&mut self, barrier: Barrier) -> Result<()> {
        self.checkpoint = self.checkpoint.max(barrier.through);
        self.laid_out = self.laid_out.max(barrier.written);
        for path in std::mem::take(&mut self.replaced) {
            self.disk.unlink(&path)?;
        }
        Ok(())
    }

    /// Makes the checkpoint itself durable, with a record that says nothing else.
    pub(crate) fn write_checkpoint(&mut self) -> Result<()> {
        self.append(MARK, &[])?;
        self.commit()?;
        // A mark needs no lay-out.
        self.checkpoint = self.durable;
        self.laid_out = self.written;
        Ok(())
    }

    /// After a failed sync: a new set of files. The old ones are moved aside, not removed, so
    /// that the bad blocks under them are not used again. What was appended and not committed is
    /// forgotten, its sequences are not used again.
    ///
    /// Only once the caller has laid out and synced everything may it set the checkpoint and
    /// write it; until then the old files, under their old names, are what a restart reads.
    pub(crate) fn begin_anew(&mut self) -> Result<Vec<PathBuf>> {
        self.buffer.clear();
        self.runs.clear();
        let old = self.segments.iter().map(|segment| segment.path.clone()).collect();
        let sequence = self.place.sequence;
        let generation = self.place.generation + 1;
        self.segments = self.make_segments(self.epoch + 1)?;
        self.epoch += 1;
        self.place = Place { segment: 0, offset: START, generation, sequence };
        self.durable = Sequence(sequence - 1);
        self.failed = false;
        Ok(old)
    }

    /// Moves the files of a failed epoch aside.
    pub(crate) fn set_aside(&self, files: &[PathBuf]) -> Result<()> {
        for path in files {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            self.disk.rename(path, &self.directory.join(format!("failed-{name}")))?;
        }
        self.disk.sync_dir(&self.directory)
    }

    fn make_segments(&self, epoch: u64) -> Result<Vec<Segment>> {
        let mut segments = Vec::with_capacity(self.options.segments);
        for number in 0..self.options.segments {
            let path = self.directory.join(segment::name(epoch, number));
            let size = self.options.segment;
            segments.push(segment::create(self.disk.as_ref(), &path, size, self.salt)?);
        }
        self.disk.sync_dir(&self.directory)?;
        Ok(segments)
    }
}

impl LogOptions {
    fn check(&self) -> Result<()> {
        if self.segments < 2 || self.segment < LOG_SEGMENT_MIN {
            let detail = format!(
                "a log needs at least two segments of {LOG_SEGMENT_MIN} bytes; set \
                 storage.log_segment higher"
            );
            return Err(Error::new(ErrorKind::Full, "open the log", detail));
        }
        Ok(())
    }

    fn salt(&self) -> Result<u64> {
        match self.salt {
            Some(salt) => Ok(salt),
            None => getrandom::u64().map_err(|error| {
                Error::new(ErrorKind::Io, "draw a random number", error.to_string())
            }),
        }
    }
}

/// Mode of the log's directory.
const DIRECTORY_MODE: Mode = Mode::PRIVATE_DIR;
