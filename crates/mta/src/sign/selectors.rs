//! Which keys of a domain sign, which are only published yet, and which are published still. One
//! small text file beside the keys, `selectors`, written by `posthaste dkim` and by the MTA when it
//! begins to use a new key. A key without a line in it signs: so are those that `init` made.

use std::fmt;
use std::path::{Path, PathBuf};

use disk::{Disk, Mode};
use protocol::time::Timestamp;

use super::key::{Algorithm, Key, KeyError};

/// What is done with a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Published; it signs as soon as DNS shows it.
    Next,
    /// It signs.
    Signing,
    /// It signs no more. Published still: letters that it signed are on their way.
    Old,
}

/// One key of a domain.
#[derive(Debug)]
pub struct Selector {
    /// Its name in DNS, and its file's without `.pem`.
    pub name: String,
    /// What is done with it.
    pub used: Use,
    /// Since when; `None`: since it is there.
    pub since: Option<Timestamp>,
    /// The key.
    pub key: Key,
}

/// The keys of one domain.
#[derive(Debug, Default)]
pub struct Selectors {
    /// By name.
    pub all: Vec<Selector>,
    /// Files that cannot be used, and why.
    pub complaints: Vec<String>,
}

const FILE: &str = "selectors";
const FIRST_LINE: &str = "posthaste-dkim 1";

/// Keys of one domain that are looked at; more are somebody's archive.
const MOST: usize = 64;

/// `DATA/keys/dkim`, where each domain has a folder.
pub fn folder(keys: &Path) -> PathBuf {
    keys.join("dkim")
}

impl Selectors {
    /// Reads the keys in the folder of a domain. A folder that is not there has none.
    pub fn read(folder: &Path) -> Self {
        let mut read = Selectors::default();
        let states = std::fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        let mut names: Vec<String> = std::fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter_map(|name| name.strip_suffix(".pem").map(str::to_owned))
            .filter(|name| is_selector(name))
            .take(MOST)
            .collect();
        names.sort_by_key(|name| (number(name), name.clone()));
        for name in names {
            match Key::read(&folder.join(format!("{name}.pem"))) {
                Ok(key) => {
                    let (used, since) = state(&states, &name);
                    read.all.push(Selector { name, used, since, key });
                }
                Err(error @ (KeyError::Unreadable(..) | KeyError::Unusable(..))) => {
                    read.complaints.push(error.to_string());
                }
            }
        }
        read
    }

    /// Writes down what is done with each.
    ///
    /// # Errors
    /// The disk's.
    pub fn write(&self, disk: &dyn Disk, folder: &Path) -> disk::Result<()> {
        let mut text = format!("{FIRST_LINE}\n");
        for one in &self.all {
            let since = one.since.map_or(0, Timestamp::as_seconds);
            text.push_str(&format!("{} {} {since}\n", one.name, one.used));
        }
        disk::replace_whole(disk, &folder.join(FILE), Mode(0o600), text.as_bytes())
    }

    /// Makes a key of each algorithm for use later, or at once where the domain has none yet. Gives
    /// their names.
    ///
    /// # Errors
    /// One sentence: the disk's, or that there is no randomness.
    pub fn add(
        &mut self,
        (disk, folder): (&dyn Disk, &Path),
        now: Timestamp,
    ) -> Result<Vec<String>, String> {
        disk.make_dirs(folder, Mode(0o700)).map_err(|error| error.to_string())?;
        let used = if self.signing().next().is_some() { Use::Next } else { Use::Signing };
        let next = self.all.iter().filter_map(|one| number(&one.name)).max().unwrap_or(0) + 1;
        let mut made = Vec::new();
        for algorithm in Algorithm::ALL {
            let name = format!("posthaste-{}-{next}", algorithm.key_type());
            let path = folder.join(format!("{name}.pem"));
            let pem = Key::generate(algorithm)?;
            disk::replace_whole(disk, &path, Mode(0o600), pem.as_bytes())
                .map_err(|error| error.to_string())?;
            let key = Key::read(&path).map_err(|error| error.to_string())?;
            self.all.push(Selector { name: name.clone(), used, since: Some(now), key });
            made.push(name);
        }
        self.write(disk, folder).map_err(|error| error.to_string())?;
        Ok(made)
    }

    /// Those that sign.
    pub fn signing(&self) -> impl Iterator<Item = &Selector> {
        self.all.iter().filter(|one| one.used == Use::Signing)
    }

    /// Those that are to sign when DNS shows them.
    pub fn next(&self) -> impl Iterator<Item = &Selector> {
        self.all.iter().filter(|one| one.used == Use::Next)
    }

    /// Begins to use what was next; what signed with the same algorithms becomes old.
    pub fn switch(&mut self, now: Timestamp) {
        let new: Vec<Algorithm> = self.next().map(|one| one.key.algorithm()).collect();
        for one in &mut self.all {
            let becomes = match one.used {
                Use::Next => Use::Signing,
                Use::Signing if new.contains(&one.key.algorithm()) => Use::Old,
                other => other,
            };
            if becomes != one.used {
                one.used = becomes;
                one.since = Some(now);
            }
        }
    }
}

impl Selector {
    /// The name of its record in DNS.
    pub fn record_name(&self, domain: &str) -> String {
        format!("{}._domainkey.{domain}", self.name)
    }
}

/// Whether it can stand in a DNS name (RFC 6376 §3.1: sub-domains).
fn is_selector(name: &str) -> bool {
    (1..=63).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'.')
}

/// The number at the end of a name of ours.
fn number(name: &str) -> Option<u32> {
    name.rsplit_once('-').and_then(|(_, number)| number.parse().ok())
}

fn state(text: &str, name: &str) -> (Use, Option<Timestamp>) {
    let line = text.lines().skip(1).find_map(|line| {
        let mut words = line.split_ascii_whitespace();
        (words.next() == Some(name)).then(|| (words.next(), words.next()))
    });
    let Some((used, since)) = line else { return (Use::Signing, None) };
    let used = match used {
        Some("next") => Use::Next,
        Some("old") => Use::Old,
        _ => Use::Signing,
    };
    let seconds = since.and_then(|text| text.parse::<i64>().ok()).filter(|since| *since > 0);
    (used, seconds.map(Timestamp::from_seconds))
}

impl fmt::Display for Use {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Use::Next => "next",
            Use::Signing => "signing",
            Use::Old => "old",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_keys_wait_and_old_ones_stay() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, path) = (disk::RealDisk, folder.path().join("red.test"));
        let at = Timestamp::from_seconds;
        let mut keys = Selectors::read(&path);
        assert!(keys.all.is_empty() && keys.complaints.is_empty());
        let first = keys.add((&disk, &path), at(100)).expect("keys");
        assert_eq!(first, ["posthaste-rsa-1", "posthaste-ed25519-1"]);
        assert_eq!(keys.signing().count(), 2, "the first are used at once");
        keys.add((&disk, &path), at(200)).expect("keys");
        let mut keys = Selectors::read(&path);
        let shown = |keys: &Selectors| -> Vec<String> {
            keys.all.iter().map(|one| format!("{} {}", one.name, one.used)).collect()
        };
        assert_eq!(
            shown(&keys),
            [
                "posthaste-ed25519-1 signing",
                "posthaste-rsa-1 signing",
                "posthaste-ed25519-2 next",
                "posthaste-rsa-2 next",
            ]
        );
        keys.switch(at(300));
        keys.write(&disk, &path).expect("written");
        let keys = Selectors::read(&path);
        assert_eq!(
            shown(&keys),
            [
                "posthaste-ed25519-1 old",
                "posthaste-rsa-1 old",
                "posthaste-ed25519-2 signing",
                "posthaste-rsa-2 signing",
            ]
        );
        assert_eq!(keys.all[0].since, Some(at(300)));
    }

    #[test]
    fn a_file_that_is_no_key_is_complained_about_and_the_others_are_used() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("bad.pem"), "not a key").expect("written");
        let pem = Key::generate(Algorithm::Ed25519).expect("a key");
        std::fs::write(folder.path().join("good.pem"), pem).expect("written");
        let keys = Selectors::read(folder.path());
        assert_eq!(keys.signing().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["good"]);
        assert_eq!(keys.complaints.len(), 1);
    }
}
