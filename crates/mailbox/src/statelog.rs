//! The state log of one mailbox on disk: segments and snapshots. Reads them into a
//! [`State`], appends lines, and begins a new segment behind a new snapshot when it is time.
//! What a line means is in [`crate::change`]; when lines are written, the writer decides.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use disk::{Access, Disk, DiskFile, Mode, read_whole};

use crate::change::{Change, Why};
use crate::ids::{MailboxId, Uid};
use crate::limits::{HISTORY_SEGMENTS, SNAPSHOT_AFTER};
use crate::line::Lines;
use crate::rebuild;
use crate::repeats::{RepeatKey, Repeats};
use crate::snapshot;
use crate::state::State;
use crate::uidset::UidSet;

/// What is to be made of a log with a gap, or none at all. A power cut loses any part of what was
/// not synced, also in the middle; the intake log tells of it again. What is lost otherwise is
/// lost, and the rest is to be made the best of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gaps {
    /// Stop there: the intake log may be about to tell.
    Replayed,
    /// Read on behind it, or by the names of files.
    PassedOver,
}

/// Where the next line goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tail {
    pub(crate) segment: u32,
    /// Bytes of the segment so far; 0: it has no first line yet.
    pub(crate) length: u64,
    /// Bytes of the snapshot before the segment.
    snapshot: u64,
    /// The segments are not what memory knows: a snapshot comes with the next lines.
    pub(crate) snapshot_due: bool,
}

impl Loaded {
    /// A mailbox of which the log knows nothing yet.
    pub(crate) fn without_log(state: State) -> Self {
        let tail = Tail { snapshot_due: state.letters.len() > 0, ..Tail::first() };
        Loaded { state, tail, repeats: Repeats::default(), damage: Vec::new(), undecided: false }
    }
}

/// A mailbox read back.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) state: State,
    pub(crate) tail: Tail,
    pub(crate) repeats: Repeats,
    /// What was damaged, for the log; empty when all was as written.
    pub(crate) damage: Vec<String>,
    /// There is a gap, and what comes after it was not read ([`Gaps::Replayed`]).
    pub(crate) undecided: bool,
}

/// Which mailbox a Maildir belongs to, by its own logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) id: MailboxId,
    pub(crate) uid_validity: u32,
}

/// Segments and snapshots there are, each sorted.
#[derive(Debug, Default)]
struct Files {
    segments: BTreeSet<u32>,
    snapshots: BTreeSet<u32>,
}

impl Loaded {
    /// Applies one line, if it is of the `current` state and not of its history.
    fn take(&mut self, line: &str, segment: u32, current: bool) {
        let Some((modseq, change)) = Change::parse(line) else {
            self.damage.push(format!("log segment {segment} has a line of no known meaning"));
            return;
        };
        remember(&mut self.repeats, &change);
        if current && let Err(why) = self.state.apply(modseq, &change) {
            self.damage.push(format!("log segment {segment}: {}", why.0));
        }
    }
}

impl Tail {
    fn first() -> Self {
        Tail { segment: 1, length: 0, snapshot: 0, snapshot_due: false }
    }

    /// Whether a snapshot would spare the next reader more than it costs.
    pub(crate) fn is_long(&self) -> bool {
        self.snapshot_due || self.length > SNAPSHOT_AFTER.max(self.snapshot / 4)
    }

    /// Whether the segment is shorter than it was written.
    pub(crate) fn is_cut(&self, disk: &dyn Disk, maildir: &Path) -> disk::Result<bool> {
        match disk.metadata(&maildir.join(segment_name(self.segment))) {
            Ok(found) => Ok(found.length < self.length),
            Err(error) if error.is_missing() => Ok(self.length > 0),
            Err(error) => Err(error),
        }
    }
}

/// Reads a mailbox. Missing files are an empty mailbox.
pub(crate) fn load(
    disk: &dyn Disk,
    maildir: &Path,
    who: Identity,
    gaps: Gaps,
) -> disk::Result<Loaded> {
    let files = Files::list(disk, maildir)?;
    let mut damage = Vec::new();
    if files.segments.is_empty() {
        let state = State::new(who.id, who.uid_validity);
        return match gaps {
            Gaps::PassedOver => rebuild::from_names(disk, maildir, state),
            Gaps::Replayed => Ok(Loaded { undecided: true, ..Loaded::without_log(state) }),
        };
    }
    if identify(disk, maildir)?.is_some_and(|found| found != who) {
        // Its own folder is still to be made, where another mailbox is still to be moved away.
        return Ok(Loaded::without_log(State::new(who.id, who.uid_validity)));
    }
    let (state, first) = base(disk, maildir, who, &files, &mut damage)?;
    let mut loaded_tail = Tail { segment: first, ..Tail::first() };
    if first > 1 {
        let path = maildir.join(snapshot_name(first));
        loaded_tail.snapshot = disk.metadata(&path).map_or(0, |found| found.length);
    }
    let mut loaded = Loaded { tail: loaded_tail, damage, ..Loaded::without_log(state) };
    let last = files.segments.last().copied().unwrap_or(first);
    // The segment before the snapshot is read for its deliveries only.
    for &segment in files.segments.range(first.saturating_sub(1)..) {
        let bytes = read_whole(disk, &maildir.join(segment_name(segment)), u64::MAX)?;
        let lines = segment_lines(&bytes);
        let current = segment >= first;
        let stops = lines.damaged > 0 && gaps == Gaps::Replayed && current;
        let (count, length) = if stops { lines.before } else { (lines.good.len(), lines.length) };
        if lines.damaged > 0 && !stops {
            let what = format!("{} damaged lines in log segment {segment}", lines.damaged);
            loaded.damage.push(what);
        }
        lines.good.iter().take(count).for_each(|line| loaded.take(line, segment, current));
        if current {
            loaded.tail.segment = segment;
            loaded.tail.length = length as u64;
        }
        if stops {
            loaded.undecided = true;
            if segment < last {
                // Lines cannot go on in the midst: they go to the end, and a snapshot follows.
                loaded.tail = Tail { segment: last, snapshot_due: true, ..loaded.tail };
            }
            break;
        }
    }
    Ok(loaded)
}

/// The youngest good snapshot, or nothing at all when the log begins with segment 1.
fn base(
    disk: &dyn Disk,
    maildir: &Path,
    who: Identity,
    files: &Files,
    damage: &mut Vec<String>,
) -> disk::Result<(State, u32)> {
    for &segment in files.snapshots.iter().rev() {
        let file = disk.open(&maildir.join(snapshot_name(segment)), Access::Read)?;
        match snapshot::read(file.length()?, &mut |at, piece| {
            read_exactly(file.as_ref(), at, piece)
        })? {
            Some((state, after)) if after == segment && identity(&state) == who => {
                return Ok((state, segment));
            }
            // After a crash that is expected; the log goes further back.
            _ => damage.push(format!("snapshot {segment} is not whole")),
        }
    }
    let first = files.segments.first().copied().unwrap_or(1);
    if first == 1 {
        // Snapshots that were cut short have lost nothing.
        damage.clear();
    } else {
        damage.push("the log does not go back to the beginning".to_owned());
    }
    Ok((State::new(who.id, who.uid_validity), first))
}

fn identity(state: &State) -> Identity {
    Identity { id: state.id, uid_validity: state.uid_validity }
}

pub(crate) fn remember(repeats: &mut Repeats, change: &Change) {
    if let Change::Add(added) = change
        && let Some((journey, recipient)) = &added.delivery
    {
        repeats.insert(RepeatKey::new(*journey, recipient), added.uid);
    }
}

/// Appends lines (with their checksums). A torn end is written over.
pub(crate) fn append(
    disk: &dyn Disk,
    maildir: &Path,
    state: &State,
    tail: &mut Tail,
    lines: &[u8],
) -> disk::Result<()> {
    let path = maildir.join(segment_name(tail.segment));
    let file = disk.open(&path, Access::Create(Mode::PRIVATE))?;
    if tail.snapshot_due {
        tail.length = file.length()?;
    }
    if tail.length == 0 {
        let first = first_line(state, tail.segment);
        file.write_at(0, first.as_bytes())?;
        tail.length = first.len() as u64;
    }
    file.write_at(tail.length, lines)?;
    tail.length += lines.len() as u64;
    if file.length()? > tail.length {
        file.set_length(tail.length)?;
    }
    Ok(())
}

/// Fills a buffer; what the file does not have any more stays zero, and no checksum will fit it.
fn read_exactly(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> disk::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..])? {
            0 => {
                buffer[done..].fill(0);
                return Ok(());
            }
            read => done += read,
        }
    }
    Ok(())
}

/// Writes a snapshot and begins the segment after it; answers which files are not needed any more
/// once the next checkpoint has passed.
pub(crate) fn roll(
    disk: &dyn Disk,
    maildir: &Path,
    state: &State,
    tail: &mut Tail,
) -> disk::Result<Vec<PathBuf>> {
    let next = tail.segment + 1;
    let beside = maildir.join("tmp").join(snapshot_name(next));
    let file = disk.open(&beside, Access::Create(Mode::PRIVATE))?;
    file.set_length(0)?;
    let length = snapshot::write(state, next, &mut |at, piece| file.write_at(at, piece))?;
    disk.rename(&beside, &maildir.join(snapshot_name(next)))?;
    *tail = Tail { segment: next, snapshot: length, ..Tail::first() };

    let files = Files::list(disk, maildir)?;
    let kept: BTreeSet<u32> = files.snapshots.iter().rev().take(2).copied().collect();
    let needed = kept.first().copied().unwrap_or(1).min(next.saturating_sub(HISTORY_SEGMENTS));
    let snapshots = files.snapshots.difference(&kept).map(|n| snapshot_name(*n));
    let segments = files.segments.range(..needed).map(|n| segment_name(*n));
    Ok(snapshots.chain(segments).map(|name| maildir.join(name)).collect())
}

/// Writes what was read back once more, in its place. A sync may have failed since it was written:
/// then it can be read until the next reboot and is not on the disk, and no later sync tells.
pub(crate) fn write_again(disk: &dyn Disk, maildir: &Path) -> disk::Result<()> {
    let files = Files::list(disk, maildir)?;
    let oldest = files.snapshots.first().map_or(0, |first| first.saturating_sub(1));
    let segments = files.segments.range(oldest..).map(|n| segment_name(*n));
    let snapshots = files.snapshots.iter().map(|n| snapshot_name(*n));
    for name in snapshots.chain(segments) {
        disk::write_again(disk, &maildir.join(name))?;
    }
    Ok(())
}

/// Which mailbox the logs in a folder are of.
pub(crate) fn identify(disk: &dyn Disk, maildir: &Path) -> disk::Result<Option<Identity>> {
    let files = Files::list(disk, maildir)?;
    for &segment in files.segments.iter().rev() {
        let file = disk.open(&maildir.join(segment_name(segment)), Access::Read)?;
        let mut start = [0; 256];
        let length = file.read_at(0, &mut start)?;
        if let Some(who) = parse_first_line(&start[..length]) {
            return Ok(Some(who));
        }
    }
    Ok(None)
}

/// UIDs that some kept segment says are gone, and why.
pub(crate) fn gone(disk: &dyn Disk, maildir: &Path) -> disk::Result<Vec<(UidSet, Why)>> {
    let mut gone = Vec::new();
    for &segment in &Files::list(disk, maildir)?.segments {
        let bytes = read_whole(disk, &maildir.join(segment_name(segment)), u64::MAX)?;
        for line in segment_lines(&bytes).good {
            if let Some((_, Change::Gone { uids, why })) = Change::parse(line) {
                gone.push((uids, why));
            }
        }
    }
    Ok(gone)
}

/// Whether any of the sets holds the UID.
pub(crate) fn is_gone(gone: &[(UidSet, Why)], uid: Uid) -> bool {
    gone.iter().any(|(uids, _)| uids.contains(uid))
}

/// Whether the history reaches back to the beginning of the mailbox.
pub(crate) fn has_beginning(disk: &dyn Disk, maildir: &Path) -> disk::Result<bool> {
    let files = Files::list(disk, maildir)?;
    Ok(files.segments.first().is_none_or(|&first| first == 1))
}

fn segment_lines(bytes: &[u8]) -> Lines<'_> {
    match memchr::memchr(b'\n', bytes) {
        Some(end) if parse_first_line(bytes).is_some() => Lines::read(bytes, end + 1),
        // The first line is not whole: as good as no segment, unless good ones follow.
        _ => Lines::read(bytes, 0),
    }
}

fn first_line(state: &State, segment: u32) -> String {
    let State { id, uid_validity, modseq, uid_next, .. } = state;
    format!(
        "posthaste mailbox log 1 mailbox={id} uidvalidity={uid_validity} segment={segment} \
         modseq={modseq} uidnext={uid_next}\n"
    )
}

fn parse_first_line(bytes: &[u8]) -> Option<Identity> {
    let end = memchr::memchr(b'\n', bytes)?;
    let line = std::str::from_utf8(&bytes[..end]).ok()?;
    let mut words = line.strip_prefix("posthaste mailbox log 1 ")?.split(' ');
    let mut number = |key: &str| -> Option<u32> {
        words.next()?.strip_prefix(key)?.strip_prefix('=')?.parse().ok()
    };
    Some(Identity { id: MailboxId(number("mailbox")?), uid_validity: number("uidvalidity")? })
}

/// Whether a file of this name is a segment or a snapshot.
pub(crate) fn is_file(name: &str) -> bool {
    name.starts_with("posthaste-log.") || name.starts_with("posthaste-snapshot.")
}

fn segment_name(segment: u32) -> String {
    format!("posthaste-log.{segment}")
}

fn snapshot_name(segment: u32) -> String {
    format!("posthaste-snapshot.{segment}")
}

impl Files {
    fn list(disk: &dyn Disk, maildir: &Path) -> disk::Result<Self> {
        let mut files = Files::default();
        let entries = match disk.read_dir(maildir) {
            Err(error) if error.is_missing() => return Ok(files),
            other => other?,
        };
        for entry in entries {
            let Some(name) = entry.name.to_str() else { continue };
            let number = |prefix: &str| name.strip_prefix(prefix)?.parse::<u32>().ok();
            if let Some(segment) = number("posthaste-log.") {
                files.segments.insert(segment);
            } else if let Some(segment) = number("posthaste-snapshot.") {
                files.snapshots.insert(segment);
            }
        }
        Ok(files)
    }
}
