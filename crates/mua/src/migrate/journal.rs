//! [`Journal`]: which letters of a source have been carried, so that an import goes on where it
//! broke off and, run again, brings back nothing that its owner has moved or thrown away. One text
//! file per source: a version line, then `FOLDER<TAB>KEY` per letter.
//!
//! A line is written after its letter was answered OK and is not synced: what a power cut takes is
//! recognised by [`Identity`](super::Identity) in the target. Called by `import`.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;
use crate::limits::MAX_JOURNAL;

/// First line.
const VERSION: &str = "posthaste import journal 1";

/// How often each letter of a source was carried.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
    carried: HashMap<(String, String), u32>,
}

impl Journal {
    /// Opens the journal; it is made when missing, with its folder.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        let problem = |error| Failure::io(format!("cannot use {}", path.display()), &error);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(problem)?;
        }
        let mut options = OpenOptions::new();
        let mut file =
            options.read(true).append(true).create(true).mode(0o600).open(path).map_err(problem)?;
        let mut text = String::new();
        (&mut file).take(MAX_JOURNAL).read_to_string(&mut text).map_err(problem)?;
        let mut lines = text.lines();
        match lines.next() {
            None => file.write_all(format!("{VERSION}\n").as_bytes()).map_err(problem)?,
            Some(VERSION) => {}
            Some(_) => {
                let shown = path.display();
                return Err(Failure::no(format!(
                    "{shown} is no journal of this version; move it away to begin anew"
                )));
            }
        }
        if !text.is_empty() && !text.ends_with('\n') {
            // A process died while it wrote: its line is none.
            file.write_all(b"\n").map_err(problem)?;
        }
        let mut carried = HashMap::new();
        for line in lines {
            if let Some((folder, key)) = line.split_once('\t') {
                *carried.entry((folder.to_owned(), key.to_owned())).or_default() += 1;
            }
        }
        Ok(Journal { file, carried })
    }

    /// Takes one carrying of this letter off the account; `false`: it was not carried yet.
    pub(super) fn take(&mut self, folder: &str, key: &str) -> bool {
        match self.carried.get_mut(&(plain(folder), key.to_owned())) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }

    /// The letter is in the target.
    pub(super) fn carried(&mut self, folder: &str, key: &str) -> Result<(), Failure> {
        let line = format!("{}\t{key}\n", plain(folder));
        let written = self.file.write_all(line.as_bytes());
        written.map_err(|error| Failure::io("cannot write the journal of the import", &error))
    }
}

/// A folder's name on a line.
fn plain(folder: &str) -> String {
    folder.replace(|c: char| c.is_control(), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn remembers_across_runs() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal");
        let mut first = Journal::open(&path).unwrap();
        assert!(!first.take("INBOX", "k"));
        first.carried("INBOX", "k").unwrap();
        first.carried("A\tb", "k").unwrap();
        // A line cut short by a death does not spoil the next one.
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"INBOX\tcut").unwrap();
        let mut second = Journal::open(&path).unwrap();
        second.carried("INBOX", "l").unwrap();
        drop(second);
        let mut third = Journal::open(&path).unwrap();
        assert!(third.take("INBOX", "k") && third.take("A\tb", "k") && third.take("INBOX", "l"));
        assert!(!third.take("INBOX", "k"), "each only once");
        fs::write(&path, "something else\n").unwrap();
        assert!(Journal::open(&path).is_err());
    }
}
