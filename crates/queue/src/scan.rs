//! What lies in the queue's directory: names of files, and reading them all at a start. It decides
//! nothing about letters; the store does.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use disk::{Access, Disk, ErrorKind, FileType, Mode, Result, Sequence, read_whole};
use protocol::journey::JourneyId;

use crate::change::Line;
use crate::file::{self, Extent};
use crate::index::{Bytes, Item, Place};
use crate::limits::CHANGES;

pub(crate) const LETTERS: &str = "letters";
pub(crate) const INCOMING: &str = "incoming";
pub(crate) const ASIDE: &str = "aside";
pub(crate) const CUSTODY: &str = "custody";
pub(crate) const LOG: &str = "log";
pub(crate) const LOCK: &str = "lock";

/// What was found at a start.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) items: Vec<Item>,
    /// Files that cannot be read, or that only the log can explain.
    pub(crate) suspects: BTreeMap<PathBuf, Option<JourneyId>>,
}

pub(crate) fn letter_path(root: &Path, directory: &str, journey: JourneyId) -> PathBuf {
    root.join(directory).join(format!("{journey}.letter"))
}

pub(crate) fn changes_path(root: &Path, journey: JourneyId) -> PathBuf {
    root.join(LETTERS).join(format!("{journey}.changes"))
}

pub(crate) fn changes_first_line(journey: JourneyId) -> String {
    format!("posthaste-changes 1 {journey}\n")
}

/// Makes the directories that are missing.
pub(crate) fn make_directories(disk: &dyn Disk, root: &Path) -> Result<()> {
    for name in [LETTERS, INCOMING, ASIDE] {
        disk.make_dirs(&root.join(name), Mode::PRIVATE_DIR)?;
    }
    Ok(())
}

/// Reads every letter; what was changed after the checkpoint is cut off the changes files,
/// because the log is about to tell it again.
pub(crate) fn read_and_cut(disk: &dyn Disk, root: &Path, checkpoint: Sequence) -> Result<Found> {
    let mut found = Found::default();
    for (name, journey) in names(disk, &root.join(LETTERS), ".changes")? {
        let path = root.join(LETTERS).join(name);
        match journey {
            Some(journey) => {
                let (_, keep) = read_changes(disk, root, journey, checkpoint)?;
                let file = disk.open(&path, Access::ReadWrite)?;
                if file.length()? != keep {
                    file.set_length(keep)?;
                }
                found.suspects.insert(path, Some(journey));
            }
            None => drop(found.suspects.insert(path, None)),
        }
    }
    read_letters(disk, root, checkpoint, &mut found)?;
    for (name, journey) in names(disk, &root.join(INCOMING), "")? {
        found.suspects.insert(root.join(INCOMING).join(name), journey);
    }
    Ok(found)
}

/// Reads every letter and changes nothing.
pub(crate) fn read(disk: &dyn Disk, root: &Path, checkpoint: Sequence) -> Result<Found> {
    let mut found = Found::default();
    read_letters(disk, root, checkpoint, &mut found)?;
    Ok(found)
}

fn read_letters(
    disk: &dyn Disk,
    root: &Path,
    checkpoint: Sequence,
    found: &mut Found,
) -> Result<()> {
    let directory = root.join(LETTERS);
    for (name, journey) in names(disk, &directory, ".letter")? {
        let path = directory.join(name);
        match journey.map(|journey| read_letter(disk, root, (&path, journey), checkpoint)) {
            Some(Ok(item)) => {
                found.suspects.remove(&changes_path(root, item.letter.journey));
                found.items.push(item);
            }
            Some(Err(error)) if error.kind() != ErrorKind::Corrupt => return Err(error),
            _ => drop(found.suspects.insert(path, journey)),
        }
    }
    Ok(())
}

fn read_letter(
    disk: &dyn Disk,
    root: &Path,
    (path, journey): (&Path, JourneyId),
    checkpoint: Sequence,
) -> Result<Item> {
    let open = disk.open(path, Access::Read)?;
    let (mut letter, extent) = file::read(open.as_ref()).map_err(|error| error.at(path))?;
    if letter.journey != journey {
        return Err(file::corrupt("its name is not its journey").at(path));
    }
    let (lines, _) = read_changes(disk, root, journey, checkpoint)?;
    for line in &lines {
        letter.apply(&line.change);
    }
    let bytes = Bytes::File { body: extent.body, file: extent.file, verified: false };
    let mut item = Item::new(letter, Place::Filed, bytes);
    item.extent = Some(extent);
    item.touched = true;
    Ok(item)
}

/// The lines of a changes file up to the checkpoint, and where they end in the file. What follows
/// the first line that cannot be read was never durable; nor is a first line that no such line
/// follows, although it can be read: a sync may have failed since, and it is written again.
fn read_changes(
    disk: &dyn Disk,
    root: &Path,
    journey: JourneyId,
    checkpoint: Sequence,
) -> Result<(Vec<Line>, u64)> {
    let bytes = match read_whole(disk, &changes_path(root, journey), CHANGES) {
        Err(error) if error.is_missing() => return Ok((Vec::new(), 0)),
        other => other?,
    };
    let first = changes_first_line(journey);
    let Some(rest) = bytes.strip_prefix(first.as_bytes()) else {
        return Ok((Vec::new(), 0));
    };
    let mut lines = Vec::new();
    let (mut keep, mut at) = (0, first.len() as u64);
    for line in rest.split_inclusive(|byte| *byte == b'\n') {
        let text = std::str::from_utf8(line).ok().and_then(|text| text.strip_suffix('\n'));
        match text.and_then(Line::parse) {
            Some(parsed) if parsed.sequence <= checkpoint => {
                lines.push(parsed);
                at += line.len() as u64;
                keep = at;
            }
            _ => break,
        }
    }
    Ok((lines, keep))
}

/// Where the body of a large letter is: in `incoming/`, or moved already.
pub(crate) fn find_extent(
    disk: &dyn Disk,
    root: &Path,
    journey: JourneyId,
) -> Result<Option<Extent>> {
    for directory in [INCOMING, LETTERS] {
        let path = letter_path(root, directory, journey);
        match disk.open(&path, Access::Read) {
            Ok(open) => return file::read(open.as_ref()).map(|(_, extent)| Some(extent)),
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves a file to `aside/`, under a name that is free there.
pub(crate) fn move_aside(disk: &dyn Disk, root: &Path, path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut number = 0u32;
    loop {
        let to = match number {
            0 => root.join(ASIDE).join(name.as_ref()),
            _ => root.join(ASIDE).join(format!("{name}.{number}")),
        };
        match disk.metadata(&to) {
            Ok(_) => number += 1,
            Err(error) if error.is_missing() => {
                disk.rename(path, &to)?;
                return Ok(to);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Names of regular files with a suffix, and the journey they begin with.
fn names(
    disk: &dyn Disk,
    directory: &Path,
    suffix: &str,
) -> Result<Vec<(String, Option<JourneyId>)>> {
    let mut names = Vec::new();
    for entry in disk.read_dir(directory)? {
        let name = entry.name.to_string_lossy().into_owned();
        if entry.file_type == FileType::File && name.ends_with(suffix) {
            let journey = name.split('.').next().and_then(|stem| stem.parse().ok());
            names.push((name, journey));
        }
    }
    names.sort();
    Ok(names)
}
