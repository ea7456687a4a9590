//! When app passwords were used last: `DATA/state/app-passwords`, one line for each. Written by
//! `auth` as logins happen, read by `posthaste account app-password list`. Nothing depends on it:
//! a line that is lost or not understood is an app password that seems unused.

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Disk, Mode};
use protocol::time::Timestamp;

/// The file's name in `DATA/state`.
pub const APP_USE_FILE: &str = "app-passwords";

/// First line of the file.
const FIRST_LINE: &str = "posthaste app password use 1";

/// How much later a use must be to be written: mail programs log in every few minutes.
const COARSE_SECONDS: i64 = 60;

/// Lines kept; more accounts than this on one host are no small domain.
const MOST: usize = 100_000;

/// Last uses by account and name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppUses {
    last: BTreeMap<(String, String), i64>,
}

impl AppUses {
    /// Reads the file; an absent or unreadable one is empty.
    pub fn load(disk: &dyn Disk, path: &Path) -> Self {
        let text = disk::read_whole(disk, path, 64 * 1024 * 1024).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&text))
    }

    fn parse(text: &str) -> Self {
        let line = |line: &str| {
            let (seconds, rest) = line.split_once(' ')?;
            let (account, name) = rest.split_once(' ')?;
            Some(((account.to_owned(), name.to_owned()), seconds.parse().ok()?))
        };
        let mut lines = text.lines();
        let known = lines.next() == Some(FIRST_LINE);
        AppUses { last: lines.filter(|_| known).filter_map(line).take(MOST).collect() }
    }

    fn print(&self) -> String {
        let mut text = format!("{FIRST_LINE}\n");
        for ((account, name), seconds) in &self.last {
            text.push_str(&format!("{seconds} {account} {name}\n"));
        }
        text
    }

    /// When it was used last.
    pub fn last(&self, account: &str, name: &str) -> Option<Timestamp> {
        let seconds = self.last.get(&(account.to_owned(), name.to_owned()))?;
        Some(Timestamp::from_seconds(*seconds))
    }

    /// It is used now. Whether that is worth writing.
    pub fn note(&mut self, account: &str, name: &str, now: Timestamp) -> bool {
        let key = (account.to_owned(), name.to_owned());
        let seconds = now.as_seconds();
        if !self.last.contains_key(&key) && self.last.len() >= MOST {
            return false;
        }
        let before = self.last.get(&key).copied();
        if before.is_some_and(|before| seconds - before < COARSE_SECONDS) {
            return false;
        }
        self.last.insert(key, seconds);
        true
    }

    /// Writes the file.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn save(&self, disk: &dyn Disk, path: &Path) -> disk::Result<()> {
        disk::replace_whole(disk, path, Mode::PRIVATE, self.print().as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut uses = AppUses::default();
        let at = Timestamp::from_seconds;
        assert!(uses.note("a@x.test", "my phone", at(1000)));
        assert!(!uses.note("a@x.test", "my phone", at(1030)), "too soon to be worth it");
        assert!(uses.note("a@x.test", "my phone", at(1100)));
        let read = AppUses::parse(&uses.print());
        assert_eq!(read, uses);
        assert_eq!(read.last("a@x.test", "my phone"), Some(at(1100)));
        assert_eq!(read.last("a@x.test", "other"), None);
        assert_eq!(AppUses::parse("nonsense\n1 a b\n"), AppUses::default());
    }
}
