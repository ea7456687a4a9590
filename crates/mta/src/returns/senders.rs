//! The addresses from which letters were sent, in `DATA/state/senders`: a bounce to any other is
//! not about a letter of ours. Subaddresses count for their address.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::RealDisk;
use net::Clock;
use protocol::address::Address;
use protocol::time::Timestamp;

use crate::limits::SENDERS;
use crate::state_file::StateFile;

const FIRST_LINE: &str = "posthaste-senders 1";

const DAY: i64 = 86_400;

/// Days after which an address that sends no more is forgotten.
const DAYS: i64 = 60;

/// The memory.
#[derive(Debug)]
pub(super) struct Senders {
    file: StateFile,
    since: Timestamp,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    /// The day of the last letter.
    known: HashMap<String, i64>,
    unwritten: bool,
}

impl Senders {
    pub(super) fn open(state: &Path, clock: &Clock, now: Timestamp) -> Self {
        let path = state.join("senders");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        let today = now.as_seconds() / DAY;
        let since = (lines.next() == Some(FIRST_LINE))
            .then(|| lines.next()?.strip_prefix("since ")?.parse().ok())
            .flatten();
        let known: HashMap<String, i64> = lines
            .filter_map(|line| line.split_once(' '))
            .filter_map(|(day, address)| Some((address.to_owned(), day.parse().ok()?)))
            .filter(|(_, day)| today - day <= DAYS)
            .take(SENDERS)
            .collect();
        let all = All { known, unwritten: since.is_none() };
        let since = since.map_or(now, Timestamp::from_seconds);
        let file = StateFile::new(Arc::new(RealDisk), path, clock);
        Senders { file, since, all: Mutex::new(all) }
    }

    /// When this was begun.
    pub(super) fn since(&self) -> Timestamp {
        self.since
    }

    pub(super) fn sent(&self, address: &Address, now: Timestamp) {
        let today = now.as_seconds() / DAY;
        let mut all = self.lock();
        let key = key(address);
        if all.known.get(&key) == Some(&today) {
            return;
        }
        if all.known.len() >= SENDERS {
            let oldest = all.known.iter().min_by_key(|(_, day)| **day).map(|it| it.0.clone());
            oldest.map(|address| all.known.remove(&address));
        }
        all.known.insert(key, today);
        all.unwritten = true;
    }

    pub(super) fn knows(&self, address: &Address) -> bool {
        self.lock().known.contains_key(&key(address))
    }

    pub(super) fn save(&self) {
        let mut all = self.lock();
        if !std::mem::take(&mut all.unwritten) {
            return;
        }
        let mut text = format!("{FIRST_LINE}\nsince {}\n", self.since.as_seconds());
        for (address, day) in &all.known {
            text.push_str(&format!("{day} {address}\n"));
        }
        drop(all);
        self.file.write(text);
    }

    /// Waits until it is written.
    pub(super) fn finish(&self) {
        self.save();
        self.file.finish();
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(address: &Address) -> String {
    let (local, _) = address.local().split_tag(directory::limits::SUBADDRESS_SEPARATOR);
    Address::new(local, address.host().clone()).to_string().to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_sent_is_known_over_a_restart_with_subaddresses() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |days: i64| Timestamp::from_seconds(1_795_000_000 + days * DAY);
        let address = |text: &str| text.parse::<Address>().expect("an address");
        let senders = Senders::open(folder.path(), &Clock::real(), at(0));
        senders.sent(&address("Alice+news@red.test"), at(0));
        senders.save();
        let senders = Senders::open(folder.path(), &Clock::real(), at(59));
        assert_eq!(senders.since(), at(0));
        assert!(senders.knows(&address("alice@red.test")));
        assert!(senders.knows(&address("alice+other@red.test")));
        assert!(!senders.knows(&address("bob@red.test")));
        assert!(
            !Senders::open(folder.path(), &Clock::real(), at(61)).knows(&address("alice@red.test"))
        );
    }
}
