//! Opening a log: what a former life left is read, judged and replayed.

use std::path::PathBuf;
use std::sync::Arc;

use super::record::MARK;
use super::segment::{self, Opened, START, Scan, Whole};
use super::{DIRECTORY_MODE, IntakeLog, LogOptions, Place, Record, Sequence};
use crate::ErrorKind;
use crate::commit::Store;
use crate::disk::{Disk, FileType, Result};

/// What was found when a log was opened.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovery {
    /// Records that were replayed.
    pub replayed: u64,
    /// Records of a batch that was never acknowledged and is not whole: passed over.
    pub torn: u64,
    /// Records that had been acknowledged and cannot be read. The segments that held them were
    /// kept beside the log under names that begin with `damaged-`.
    pub lost: u64,
}

impl IntakeLog {
    /// Opens a log, or makes one, and replays every record above the checkpoint in order.
    /// The caller then lays everything out, syncs, and sets the checkpoint: until that is done
    /// nothing may be appended.
    pub(crate) fn open<S: Store>(
        disk: Arc<dyn Disk>,
        directory: PathBuf,
        options: LogOptions,
        store: &mut S,
    ) -> Result<(Self, Recovery)> {
        options.check()?;
        disk.make_dirs(&directory, DIRECTORY_MODE)?;
        let found = find(disk.as_ref(), &directory, options.segment)?;
        let scans: Vec<&Scan> = found.iter().map(|file| &file.opened.scan).collect();
        let Judgement { records, checkpoint, last, generation, recovery } = judge(&scans);
        store.begin_replay(checkpoint)?;
        replay(&records, store)?;
        drop(records);
        let salt = found.first().map(|file| file.opened.salt);
        let mut log = IntakeLog {
            salt: salt.map_or_else(|| options.salt(), Ok)?,
            epoch: found.iter().map(|file| file.epoch).max().unwrap_or(0),
            segments: Vec::new(),
            replaced: Vec::new(),
            buffer: Vec::new(),
            runs: Vec::new(),
            place: Place { segment: 0, offset: START, generation: generation + 1, sequence: 0 },
            durable: last,
            checkpoint,
            written: 0,
            laid_out: 0,
            failed: false,
            disk,
            directory,
            options,
        };
        log.place.sequence = last.0 + 1;
        log.adopt(found, recovery.lost > 0)?;
        Ok((log, recovery))
    }

    /// Uses the files that were found, or makes new ones when they do not fit.
    fn adopt(&mut self, found: Vec<SegmentFile>, damaged: bool) -> Result<()> {
        let epoch = self.epoch;
        let fits = found.len() == self.options.segments
            && found.iter().all(|file| file.epoch == epoch && file.opened.segment.is_some());
        let paths: Vec<PathBuf> = found.iter().map(|file| file.path.clone()).collect();
        if fits && !damaged {
            self.segments = found.into_iter().filter_map(|file| file.opened.segment).collect();
            // Everything in them is replayed and about to be laid out; writing begins in the one
            // whose records are oldest, so that the newest survive the longest.
            let oldest = (0..self.segments.len()).min_by_key(|at| self.segments[*at].last);
            self.place.segment = oldest.unwrap_or(0);
            return Ok(());
        }
        self.segments = self.make_segments(if found.is_empty() { epoch } else { epoch + 1 })?;
        self.epoch = if found.is_empty() { epoch } else { epoch + 1 };
        if damaged {
            for path in &paths {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                self.disk.link(path, &self.directory.join(format!("damaged-{name}")))?;
            }
        }
        self.replaced = paths;
        Ok(())
    }
}

/// Replays the records of a log that another process may write later, and changes nothing: for
/// looking at a store whose writer is away. A missing log is an empty one.
pub fn read_log<S: Store>(
    disk: &dyn Disk,
    directory: &std::path::Path,
    store: &mut S,
) -> Result<Recovery> {
    let found = match find(disk, directory, 0) {
        Err(error) if error.is_missing() => Vec::new(),
        other => other?,
    };
    let scans: Vec<&Scan> = found.iter().map(|file| &file.opened.scan).collect();
    let judged = judge(&scans);
    store.begin_replay(judged.checkpoint)?;
    replay(&judged.records, store)?;
    Ok(judged.recovery)
}

fn replay<S: Store>(records: &[(&Scan, Whole)], store: &mut S) -> Result<()> {
    for (scan, whole) in records {
        let sequence = Sequence(whole.header.sequence);
        if whole.header.kind != MARK {
            let payload = scan.payload(whole);
            store.replay(&Record { sequence, kind: whole.header.kind, payload })?;
        }
    }
    Ok(())
}

/// A segment file by its name.
struct SegmentFile {
    epoch: u64,
    path: PathBuf,
    opened: Opened,
}

fn find(disk: &dyn Disk, directory: &std::path::Path, size: u64) -> Result<Vec<SegmentFile>> {
    let mut found = Vec::new();
    for entry in disk.read_dir(directory)? {
        let parsed = entry.name.to_str().and_then(segment::parse_name);
        if let (FileType::File, Some((epoch, number))) = (entry.file_type, parsed) {
            let path = directory.join(&entry.name);
            let opened = segment::open(disk, &path, size)?;
            found.push((number, SegmentFile { epoch, path, opened }));
        }
    }
    found.sort_by_key(|(number, file)| (file.epoch, *number));
    Ok(found.into_iter().map(|(_, file)| file).collect())
}

struct Judgement<'a> {
    /// What is to be replayed, in order.
    records: Vec<(&'a Scan, Whole)>,
    checkpoint: Sequence,
    /// The last sequence that was replayed or checkpointed.
    last: Sequence,
    generation: u64,
    recovery: Recovery,
}

fn judge<'a>(scans: &[&'a Scan]) -> Judgement<'a> {
    let headers = || scans.iter().flat_map(|scan| scan.headers());
    let checkpoint = headers().map(|header| header.checkpoint).max().unwrap_or(0);
    let durable = headers().map(|header| header.durable).max().unwrap_or(0);
    let mut records: Vec<(&Scan, Whole)> = scans
        .iter()
        .flat_map(|scan| scan.run.iter().map(|whole| (*scan, *whole)))
        .filter(|(_, whole)| whole.header.sequence > checkpoint)
        .collect();
    records.sort_by_key(|(_, whole)| whole.header.sequence);
    // An unbroken order: a record after a gap is not replayed, whatever the gap is.
    let mut last = checkpoint;
    let whole = records
        .iter()
        .take_while(|(_, whole)| {
            let next = whole.header.sequence == last + 1;
            last += u64::from(next);
            next
        })
        .count();
    records.truncate(whole);
    let strays = headers().filter(|header| header.sequence > last);
    let recovery = Recovery {
        replayed: records.iter().filter(|(_, whole)| whole.header.kind != MARK).count() as u64,
        torn: strays.filter(|header| header.sequence > durable).count() as u64,
        lost: durable.saturating_sub(last),
    };
    // Sequences that were ever used are not used again, whole or not.
    let used = headers().map(|header| header.sequence).max().unwrap_or(0);
    Judgement {
        records,
        checkpoint: Sequence(checkpoint),
        last: Sequence(last.max(durable).max(used)),
        generation: headers().map(|header| header.generation).max().unwrap_or(0),
        recovery,
    }
}

impl Recovery {
    /// The error kind that describes damage, if there is any.
    pub fn damage(&self) -> Option<ErrorKind> {
        (self.lost > 0).then_some(ErrorKind::Corrupt)
    }
}
