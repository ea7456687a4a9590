//! One segment file of the intake log: made, pre-written, read back. What the records mean for
//! the log as a whole is decided in `log.rs`.

use std::path::{Path, PathBuf};

use super::Sequence;
use super::record::{Found, Header};
use crate::disk::{Access, Disk, DiskFile, Mode, Result};
use crate::{Error, ErrorKind};

/// Bytes before the first record: the versioned header, alone in its block.
pub(super) const START: u64 = 4096;

/// A segment file.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: Box<dyn DiskFile>,
    pub(super) path: PathBuf,
    /// The highest sequence in it; 0 when it holds none.
    pub(super) last: Sequence,
}

/// What was read from a segment file.
#[derive(Debug)]
pub(super) struct Scan {
    bytes: Vec<u8>,
    /// The unbroken run of records from the start of the segment.
    pub(super) run: Vec<Whole>,
    /// Whole records after the run: of an earlier use, or of a batch that was torn.
    pub(super) strays: Vec<Header>,
}

/// A whole record of the run.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole {
    pub(super) header: Header,
    start: usize,
}

impl Scan {
    pub(super) fn payload(&self, whole: &Whole) -> &[u8] {
        &self.bytes[whole.start..whole.start + whole.header.length as usize]
    }

    /// All headers that can be believed.
    pub(super) fn headers(&self) -> impl Iterator<Item = &Header> {
        self.run.iter().map(|whole| &whole.header).chain(&self.strays)
    }
}

/// The name of a segment file: its epoch (a new one after a failed sync) and its number.
pub(super) fn name(epoch: u64, number: usize) -> String {
    format!("segment-{epoch}-{number}")
}

/// Reads a name back.
pub(super) fn parse_name(name: &str) -> Option<(u64, usize)> {
    let (epoch, number) = name.strip_prefix("segment-")?.split_once('-')?;
    Some((epoch.parse().ok()?, number.parse().ok()?))
}

/// Makes a segment file: header and zeros for its whole length, durable, so that later commits
/// need not allocate blocks or touch metadata.
pub(super) fn create(disk: &dyn Disk, path: &Path, size: u64, salt: u64) -> Result<Segment> {
    // Under another name until it is whole: a segment with its own name is never half made.
    let making = path.with_extension("new");
    match disk.unlink(&making) {
        Err(error) if !error.is_missing() => return Err(error),
        _ => {}
    }
    let file = disk.create_new(&making, Mode::PRIVATE)?;
    let zeros = vec![0u8; 256 * 1024];
    let mut written = 0;
    while written < size {
        let count = (size - written).min(zeros.len() as u64);
        file.write_at(written, &zeros[..count as usize])?;
        written += count;
    }
    file.write_at(0, header_line(size, salt).as_bytes())?;
    file.sync()?;
    disk.rename(&making, path)?;
    Ok(Segment { file, path: path.to_path_buf(), last: Sequence(0) })
}

/// Opens a segment file and reads it.
pub(super) fn open(disk: &dyn Disk, path: &Path, size: u64) -> Result<Opened> {
    // Size 0: somebody only looks.
    let access = if size == 0 { Access::Read } else { Access::ReadWrite };
    let file = disk.open(path, access)?;
    let bytes = crate::files::read_all(file.as_ref())?;
    let salt = parse_header(&bytes, path)?;
    let fits = bytes.len() as u64 == size;
    let scan = scan(salt, bytes);
    let last = Sequence(scan.headers().map(|header| header.sequence).max().unwrap_or(0));
    let segment = Segment { file, path: path.to_path_buf(), last };
    Ok(Opened { segment: fits.then_some(segment), salt, scan })
}

/// A segment file that was found.
#[derive(Debug)]
pub(super) struct Opened {
    /// If it has the size that is wanted.
    pub(super) segment: Option<Segment>,
    pub(super) salt: u64,
    /// What stands in it.
    pub(super) scan: Scan,
}

fn header_line(size: u64, salt: u64) -> String {
    format!("posthaste-log 1 size {size} salt {salt:016x}\n")
}

fn parse_header(bytes: &[u8], path: &Path) -> Result<u64> {
    let bad = |detail: String| Error::new(ErrorKind::Corrupt, "read the log", detail).at(path);
    let block = &bytes[..bytes.len().min(START as usize)];
    let line = block.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let words: Vec<&str> = line.split(' ').collect();
    match words.as_slice() {
        ["posthaste-log", "1", "size", _, "salt", salt] => u64::from_str_radix(salt, 16)
            .map_err(|_| bad(format!("its salt is not a number: {line:?}"))),
        ["posthaste-log", version, ..] => {
            Err(bad(format!("its version is {version}, this program knows version 1")))
        }
        _ => Err(bad("it is not a log segment".to_owned())),
    }
}

fn scan(salt: u64, bytes: Vec<u8>) -> Scan {
    let mut run: Vec<Whole> = Vec::new();
    let mut at = START as usize;
    while let Found::Record(header, _) = Header::decode(bytes.get(at..).unwrap_or_default(), salt)
        && follows(run.last(), &header)
    {
        run.push(Whole { header, start: at + super::record::HEADER });
        at += Header::extent(header.length as usize);
    }
    // Every record begins at a multiple of eight and has the salt in its second eight bytes.
    let mut strays = Vec::new();
    let salt_bytes = salt.to_le_bytes();
    while let Some(rest) = bytes.get(at + 8..)
        && let Some(skip) = rest.as_chunks::<8>().0.iter().position(|eight| *eight == salt_bytes)
    {
        at += 8 * skip;
        match Header::decode(&bytes[at..], salt) {
            Found::Record(header, _) => {
                strays.push(header);
                at += Header::extent(header.length as usize);
            }
            Found::Nothing | Found::Bad => at += 8,
        }
    }
    Scan { bytes, run, strays }
}

/// Whether a record continues the one before it.
fn follows(before: Option<&Whole>, header: &Header) -> bool {
    before.is_none_or(|before| {
        header.generation == before.header.generation
            && header.sequence == before.header.sequence + 1
    })
}
