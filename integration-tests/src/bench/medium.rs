//! The disk's own limit, measured in the same run: what any server that answers 250 only after a
//! barrier could reach at most, with a barrier per letter, and with a batch behind one barrier.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long each way is measured.
const MEASURED: Duration = Duration::from_millis(1500);
/// The size of a letter here.
const LETTER: usize = 4096;

/// Letters of 4 KiB per second.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// One file each: create, write, sync, rename, sync the folder; one writer.
    pub file_each: f64,
    /// Appended to one written file, ten behind each barrier.
    pub batch_of_ten: f64,
    /// Appended to one written file, fifty behind each barrier.
    pub batch_of_fifty: f64,
}

/// What disk and processors can do, by name, per second.
///
/// # Errors
///
/// The folder cannot be written.
pub fn limits(folder: &Path) -> Result<super::runner::Figures, String> {
    use super::{Reuse, Workload, runner};
    let disk = measure(folder).map_err(|error| error.to_string())?;
    let mut figures = runner::Figures::from([
        ("disk: a file each".into(), disk.file_each),
        ("disk: ten behind one barrier".into(), disk.batch_of_ten),
        ("disk: fifty behind one barrier".into(), disk.batch_of_fifty),
    ]);
    for sessions in [1, 10, 50] {
        let (letters, reuse) = (8_000, Reuse::Session);
        let work = Workload { letters, sessions, size: 4096, boxes: 1, fan: 1, reuse };
        figures.insert(format!("bare exchange, {sessions} sessions"), runner::bare(&work)?);
    }
    Ok(figures)
}

/// Measures in a folder on the disk in question.
pub fn measure(folder: &Path) -> std::io::Result<Limits> {
    let place = tempfile::tempdir_in(folder)?;
    Ok(Limits {
        file_each: file_each(place.path())?,
        batch_of_ten: batches(place.path(), 10)?,
        batch_of_fifty: batches(place.path(), 50)?,
    })
}

fn file_each(folder: &Path) -> std::io::Result<f64> {
    let begun = Instant::now();
    let mut count = 0_u32;
    while begun.elapsed() < MEASURED {
        let (first, last) = (folder.join("t"), folder.join(count.to_string()));
        let mut file = File::create(&first)?;
        file.write_all(&[b'x'; LETTER])?;
        file.sync_data()?;
        std::fs::rename(first, last)?;
        File::open(folder)?.sync_all()?;
        count += 1;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

fn batches(folder: &Path, letters: u32) -> std::io::Result<f64> {
    use std::os::unix::fs::FileExt as _;
    const LENGTH: u64 = 16 << 20;
    let file = File::create(folder.join("log"))?;
    // Written before, as an intake log is: then a barrier need not change the file's own record.
    file.write_all_at(&vec![0; usize::try_from(LENGTH).expect("16 MiB")], 0)?;
    file.sync_all()?;
    let piece = vec![b'x'; LETTER * letters as usize];
    let (begun, mut count, mut at) = (Instant::now(), 0_u32, 0);
    while begun.elapsed() < MEASURED {
        file.write_all_at(&piece, at)?;
        file.sync_data()?;
        at = (at + piece.len() as u64) % (LENGTH - piece.len() as u64);
        count += letters;
    }
    Ok(f64::from(count) / begun.elapsed().as_secs_f64())
}

/// Empties the page cache, as root; the next read of anything is one of the disk. Without leave
/// the cache stays, on both sides alike.
pub fn drop_caches() {
    rustix::fs::sync();
    let _ = std::fs::write("/proc/sys/vm/drop_caches", "3");
}
