//! The custody book: one line for each time a letter's custody changes, from which `posthaste
//! ledger` counts. Daily append-only text files, one set for each store, written lazily at
//! lay-out, durable at checkpoints and regenerated from the intake log after a crash.
//!
//! It is not the trail: the trail may drop lines, this may not.
//!
//! ```text
//! posthaste custody 1
//! 57<TAB>1795382796123456<TAB>01k...<TAB>relayed<TAB>bob@blue.test<TAB>mx.blue.test
//! ```
//!
//! Fields: sequence of the intake-log record that says so, Unix microseconds, journey, act,
//! recipient, detail. Control characters and `%` in the last two are written as `%XX`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::disk::{Access, Disk, DiskFile, FileType, Mode, Result};
use crate::files::{read_all, read_whole};
use crate::limits::CUSTODY_FILE;
use crate::log::Sequence;
use crate::text::{Escaped, unescape};
use crate::{Error, ErrorKind};

/// What happened to a letter for one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Act {
    /// Taken from outside, answered 250.
    Accepted,
    /// Made here: a bounce, a notice, an answer.
    Generated,
    /// One recipient became others (alias, redirect).
    Expanded,
    /// Handed to a mailbox here.
    Delivered,
    /// Taken by another system.
    Relayed,
    /// Given back to the sender.
    Bounced,
    /// Dropped by a rule, which the detail names.
    Discarded,
    /// Put into the queue.
    Queued,
    /// Store side: a mailbox record and its file exist.
    Stored,
    /// Store side: expunged by its owner.
    Expunged,
    /// Store side: removed by another program.
    Removed,
}

/// One line of the book.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The record of the intake log that says so.
    pub sequence: Sequence,
    /// When.
    pub time: Timestamp,
    /// Which letter.
    pub journey: JourneyId,
    /// What.
    pub act: Act,
    /// For whom; as printed in SMTP.
    pub recipient: String,
    /// Rule, next hop, mailbox and UID...; free text.
    pub detail: String,
}

/// The book of one store, open for writing.
#[derive(Debug)]
pub struct Book {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    /// The file of the day, and how long it is.
    today: Option<(String, Box<dyn DiskFile>, u64)>,
}

impl Book {
    /// Opens the book in `directory`, made if missing. Lines of records above `checkpoint` are cut
    /// off: they may be incomplete, and the store writes them again when it lays those records
    /// out.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path, checkpoint: Sequence) -> Result<Self> {
        disk.make_dirs(directory, Mode::PRIVATE_DIR)?;
        for day in days(disk.as_ref(), directory)?.iter().rev() {
            if cut_after(disk.as_ref(), &directory.join(day), checkpoint)? {
                break;
            }
        }
        Ok(Book { disk, directory: directory.to_path_buf(), today: None })
    }

    /// Appends lines, without a sync. The day is that of each entry's time.
    pub fn write(&mut self, entries: &[Entry]) -> Result<()> {
        let mut entries = entries;
        while let Some(first) = entries.first() {
            let day = first.time.to_date();
            let same = entries.iter().take_while(|entry| entry.time.to_date() == day).count();
            let (now, later) = entries.split_at(same);
            let lines: String = now.iter().map(|entry| format!("{entry}\n")).collect();
            self.append(&day, lines.as_bytes())?;
            entries = later;
        }
        Ok(())
    }

    fn append(&mut self, day: &str, lines: &[u8]) -> Result<()> {
        if self.today.as_ref().is_none_or(|(open, ..)| open != day) {
            let path = self.directory.join(format!("{day}.custody"));
            let file = self.disk.open(&path, Access::Create(Mode::PRIVATE))?;
            let mut length = file.length()?;
            if length == 0 {
                file.write_at(0, FIRST_LINE.as_bytes())?;
                length = FIRST_LINE.len() as u64;
            }
            self.today = Some((day.to_owned(), file, length));
        }
        if let Some((_, file, length)) = &mut self.today {
            file.write_at(*length, lines)?;
            *length += lines.len() as u64;
        }
        Ok(())
    }
}

/// Gives every line of a book to `each`, oldest day first. `Corrupt` names the first line that
/// cannot be read.
pub fn read(disk: &dyn Disk, directory: &Path, each: &mut dyn FnMut(Entry)) -> Result<()> {
    let names = match days(disk, directory) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for name in names {
        let path = directory.join(name);
        let bytes = read_whole(disk, &path, CUSTODY_FILE)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines = text.strip_prefix(FIRST_LINE).unwrap_or_else(|| {
            // A file whose first write was cut: nothing in it was durable.
            if FIRST_LINE.starts_with(text.as_ref()) { "" } else { text.as_ref() }
        });
        for line in lines.lines() {
            each(line.parse().map_err(|error: NotAnEntry| {
                Error::new(ErrorKind::Corrupt, "read", format!("{error}: {line:?}")).at(&path)
            })?);
        }
    }
    Ok(())
}

fn days(disk: &dyn Disk, directory: &Path) -> Result<Vec<String>> {
    let mut days: Vec<String> = disk
        .read_dir(directory)?
        .into_iter()
        .filter(|entry| entry.file_type == FileType::File)
        .filter_map(|entry| entry.name.into_string().ok())
        .filter(|name| name.ends_with(".custody"))
        .collect();
    days.sort();
    Ok(days)
}

/// Cuts a file after its last line that the checkpoint covers. Whether there was one.
fn cut_after(disk: &dyn Disk, path: &Path, checkpoint: Sequence) -> Result<bool> {
    let file = disk.open(path, Access::ReadWrite)?;
    let bytes = read_all(file.as_ref())?;
    let mut keep = 0;
    let mut covered = false;
    let mut at = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        at += line.len();
        let text = std::str::from_utf8(line).unwrap_or_default();
        let Some(text) = text.strip_suffix('\n') else {
            break;
        };
        if at == line.len() && text == FIRST_LINE.trim_end() {
            // Kept only with a line that the checkpoint covers: what can be read back need not
            // be durable if a sync has failed since.
        } else if let Ok(entry) = text.parse::<Entry>()
            && entry.sequence <= checkpoint
        {
            keep = at;
            covered = true;
        } else {
            break;
        }
    }
    if keep < bytes.len() {
        file.set_length(keep as u64)?;
    }
    Ok(covered)
}

const FIRST_LINE: &str = "posthaste custody 1\n";

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\t{}\t{}\t{}\t{}\t{}",
            self.sequence.0,
            self.time.as_micros(),
            self.journey,
            self.act,
            Escaped(&self.recipient),
            Escaped(&self.detail)
        )
    }
}

/// The line is not an entry of a custody book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEntry;

impl fmt::Display for NotAnEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a line of a custody book")
    }
}

impl std::error::Error for NotAnEntry {}

impl FromStr for Entry {
    type Err = NotAnEntry;

    fn from_str(line: &str) -> Result<Self, NotAnEntry> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [sequence, time, journey, act, recipient, detail] = fields.as_slice() else {
            return Err(NotAnEntry);
        };
        Ok(Entry {
            sequence: Sequence(sequence.parse().map_err(|_| NotAnEntry)?),
            time: Timestamp::from_micros(time.parse().map_err(|_| NotAnEntry)?),
            journey: journey.parse().map_err(|_| NotAnEntry)?,
            act: act.parse()?,
            recipient: unescape(recipient).ok_or(NotAnEntry)?,
            detail: unescape(detail).ok_or(NotAnEntry)?,
        })
    }
}

impl Act {
    /// Every act with its word.
    pub const ALL: [(Act, &'static str); 11] = [
        (Act::Accepted, "accepted"),
        (Act::Generated, "generated"),
        (Act::Expanded, "expanded"),
        (Act::Delivered, "delivered"),
        (Act::Relayed, "relayed"),
        (Act::Bounced, "bounced"),
        (Act::Discarded, "discarded"),
        (Act::Queued, "queued"),
        (Act::Stored, "stored"),
        (Act::Expunged, "expunged"),
        (Act::Removed, "removed"),
    ];
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = Act::ALL.iter().find(|(act, _)| act == self).map_or("", |(_, word)| word);
        f.pad(word)
    }
}

impl FromStr for Act {
    type Err = NotAnEntry;

    fn from_str(text: &str) -> Result<Self, NotAnEntry> {
        Act::ALL.iter().find(|(_, word)| *word == text).map(|(act, _)| *act).ok_or(NotAnEntry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::FaultyDisk;
    use crate::faulty::Cut;

    fn entry(sequence: u64, seconds: i64) -> Entry {
        let time = Timestamp::from_seconds(seconds);
        Entry {
            sequence: Sequence(sequence),
            time,
            journey: JourneyId::new(time, 7),
            act: Act::Relayed,
            recipient: "bob@blue.test".into(),
            detail: format!("number {sequence}"),
        }
    }

    fn all(disk: &FaultyDisk) -> Vec<u64> {
        let mut found = Vec::new();
        read(disk, Path::new("/book"), &mut |entry| found.push(entry.sequence.0)).unwrap();
        found
    }

    #[test]
    fn what_the_checkpoint_does_not_cover_is_written_again_and_not_twice() {
        for seed in 0..50 {
            let disk = FaultyDisk::new();
            let shared: Arc<dyn Disk> = Arc::new(disk.clone());
            let dir = Path::new("/book");
            let mut book = Book::open(shared.clone(), dir, Sequence(0)).unwrap();
            book.write(&[entry(1, 86_000), entry(2, 86_000), entry(2, 86_500)]).unwrap();
            disk.filesystem(dir).unwrap().sync().unwrap();
            book.write(&[entry(3, 86_600), entry(4, 172_800 + seed)]).unwrap();
            disk.restart(Cut::Some(seed as u64));
            let mut book = Book::open(shared, dir, Sequence(2)).unwrap();
            assert_eq!(all(&disk), [1, 2, 2], "seed {seed}");
            book.write(&[entry(3, 86_600), entry(4, 172_800 + seed)]).unwrap();
            assert_eq!(all(&disk), [1, 2, 2, 3, 4], "seed {seed}");
        }
    }

    proptest! {
        #[test]
        fn printed_and_read_back(
            sequence: u64,
            micros in 0i64..4_000_000_000_000_000,
            act in proptest::sample::select(Act::ALL.as_slice()),
            recipient in "\\PC{0,60}",
            detail in "(.|\n|\t|%){0,60}",
        ) {
            let time = Timestamp::from_micros(micros);
            let journey = JourneyId::new(time, sequence as u32);
            let sequence = Sequence(sequence);
            let entry = Entry { sequence, time, journey, act: act.0, recipient, detail };
            let line = entry.to_string();
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(line.parse::<Entry>(), Ok(entry));
        }
    }
}
