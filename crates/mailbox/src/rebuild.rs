//! A mailbox whose logs are lost, made again from the names of its files: UIDs, UIDVALIDITY, times
//! and flags are in them. Keywords and MODSEQ are not. Called when a Maildir has no state log at
//! all, which for a new mailbox means that it has no letters either.

use std::path::Path;

use disk::Disk;

use crate::change::{Added, Change};
use crate::content;
use crate::history::History;
use crate::ids::ModSeq;
use crate::letter::{OwnName, split_name};
use crate::state::State;
use crate::statelog::Loaded;

/// Takes the letters of ours back, in the order of their UIDs.
pub(crate) fn from_names(
    disk: &dyn Disk,
    maildir: &Path,
    mut state: State,
) -> disk::Result<Loaded> {
    let mut names = Vec::new();
    for directory in ["new", "cur"] {
        let directory = maildir.join(directory);
        let entries = match disk.read_dir(&directory) {
            Err(error) if error.is_missing() => continue,
            other => other?,
        };
        for entry in entries {
            let Some((base, flags)) = entry.name.to_str().map(split_name) else { continue };
            let own = OwnName::parse(base).filter(|own| own.uid_validity == state.uid_validity);
            if let Some(own) = own {
                names.push((own, flags, directory.join(&entry.name)));
            }
        }
    }
    names.sort_by_key(|(own, ..)| own.uid);
    let mut reports = Vec::new();
    if let Some((youngest, ..)) = names.last() {
        // Numbers must not go back below what clients have seen: they count changes, and there
        // were fewer changes than microseconds.
        let floor = ModSeq::from(youngest.saved).saturating_mul(1_000_000);
        state.modseq = state.modseq.max(floor);
        reports.push(format!("the log is lost; {} letters taken back by name", names.len()));
    }
    for (own, flags, path) in names {
        let (length, hash) = content::mark(disk, &path)?;
        if length != u64::from(own.size) {
            reports.push(format!("the file of letter {} is not whole", own.uid));
        }
        let added = Added {
            uid: own.uid,
            name: None,
            saved: own.saved,
            date: i64::from(own.saved),
            size: own.size,
            hash,
            flags,
            keywords: Vec::new(),
            delivery: None,
        };
        // A second file with the same UID is left to the next look.
        let _ = state.apply(state.modseq + 1, &Change::Add(Box::new(added)));
    }
    state.history = History::since(state.modseq);
    let mut loaded = Loaded::without_log(state);
    loaded.damage = reports;
    Ok(loaded)
}
