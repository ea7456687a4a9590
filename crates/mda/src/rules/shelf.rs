//! [`Shelf`]: everybody's scripts, `DATA/sieve/DOMAIN/ACCOUNT/NAME.sieve`, and which one is active
//! (a file `active` that holds its name). A change is on disk when the answer comes. Knows what a
//! script's name may be, and that an active script has no fault; not what it says.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Disk, FileType, Mode, read_whole, replace_whole};
use mailbox::AccountId;
use sieve::{Fault, Program};

use super::limits::{ALL_SCRIPTS, KNOWN, SCRIPT_BYTES, SCRIPT_NAME, SCRIPTS};
use super::{file_part, name_of};

/// The scripts of all accounts.
#[derive(Debug)]
pub(crate) struct Shelf {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// The active scripts of accounts that were asked for; `None`: it has none.
    known: Mutex<HashMap<AccountId, Option<Arc<Active>>>>,
}

/// An account's active script.
#[derive(Debug)]
pub(crate) struct Active {
    /// Its name.
    pub(crate) name: String,
    /// What it says; a fault where it was put there behind our back, or by an older version.
    pub(crate) program: std::result::Result<Program, Fault>,
}

/// Why a script was not stored, found or made active.
#[derive(Debug)]
pub(crate) enum ShelfError {
    /// The name cannot be a script's.
    BadName,
    /// There is no script of that name.
    Missing,
    /// There is one already.
    Exists,
    /// The active script is not deleted (RFC 5804 §2.10).
    IsActive,
    /// More scripts than an account may have.
    TooMany,
    /// The script, or all of them together, are too large.
    TooLarge,
    /// It has faults.
    Faulty(Vec<Fault>),
    /// The disk failed.
    Disk(disk::Error),
}

type Result<T> = std::result::Result<T, ShelfError>;

impl Shelf {
    pub(super) fn new(disk: Arc<dyn Disk>, root: PathBuf) -> Self {
        Shelf { disk, root, known: Mutex::default() }
    }

    /// The active script of an account. Costs a look into a table, but for the first time.
    pub(crate) fn active(&self, account: &AccountId) -> Option<Arc<Active>> {
        if let Some(known) = self.known().get(account) {
            return known.clone();
        }
        let found = match self.read_active(account) {
            Ok(found) => found,
            Err(error) => {
                // The letter is delivered as if there were no rules; the next one asks again.
                tracing::error!(%account, %error, "the active script cannot be read");
                return None;
            }
        };
        let mut known = self.known();
        if known.len() >= KNOWN {
            known.clear();
        }
        known.insert(account.clone(), found.clone());
        found
    }

    fn read_active(&self, account: &AccountId) -> Result<Option<Arc<Active>>> {
        let Some(name) = self.active_name(account)? else { return Ok(None) };
        let text = match self.get(account, &name) {
            Err(ShelfError::Missing) => return Ok(None),
            other => other?,
        };
        let program = sieve::compile_text(&text).map_err(|faults| {
            let fault = faults.into_iter().next();
            fault.unwrap_or_else(|| Fault::new(Default::default(), "the script has a fault"))
        });
        Ok(Some(Arc::new(Active { name, program })))
    }

    /// The name of the active script.
    pub(crate) fn active_name(&self, account: &AccountId) -> Result<Option<String>> {
        let path = self.folder(account).join(ACTIVE);
        let bytes = match read_whole(self.disk.as_ref(), &path, 4096) {
            Err(error) if error.is_missing() => return Ok(None),
            other => other?,
        };
        let text = String::from_utf8_lossy(&bytes);
        let name = text.lines().next().unwrap_or_default();
        Ok((!name.is_empty()).then(|| name.to_owned()))
    }

    /// All scripts of an account by name, with their sizes.
    pub(crate) fn list(&self, account: &AccountId) -> Result<Vec<(String, u64)>> {
        let folder = self.folder(account);
        let entries = match self.disk.read_dir(&folder) {
            Err(error) if error.is_missing() => return Ok(Vec::new()),
            other => other?,
        };
        let mut scripts = Vec::new();
        for entry in entries.into_iter().filter(|entry| entry.file_type == FileType::File) {
            let Some(name) = entry.name.to_str().and_then(|name| name.strip_suffix(SUFFIX)) else {
                continue;
            };
            if let Some(name) = name_of(name) {
                let size = self.disk.metadata(&folder.join(&entry.name))?.length;
                scripts.push((name, size));
            }
        }
        scripts.sort();
        Ok(scripts)
    }

    /// A script's text.
    pub(crate) fn get(&self, account: &AccountId, name: &str) -> Result<Vec<u8>> {
        let path = self.path(account, name)?;
        match read_whole(self.disk.as_ref(), &path, SCRIPT_BYTES) {
            Err(error) if error.is_missing() => Err(ShelfError::Missing),
            other => Ok(other?),
        }
    }

    /// Whether a script of this size could be stored.
    pub(crate) fn has_room(&self, account: &AccountId, name: &str, size: u64) -> Result<()> {
        self.path(account, name)?;
        let others = self.list(account)?.into_iter().filter(|(other, _)| other != name);
        let (count, sum) = others.fold((0, 0), |(count, sum), (_, size)| (count + 1, sum + size));
        if count >= SCRIPTS {
            return Err(ShelfError::TooMany);
        }
        if size > SCRIPT_BYTES || sum + size > ALL_SCRIPTS {
            return Err(ShelfError::TooLarge);
        }
        Ok(())
    }

    /// Stores a script that has no fault, over one of the same name.
    pub(crate) fn put(&self, account: &AccountId, name: &str, text: &[u8]) -> Result<()> {
        self.has_room(account, name, text.len() as u64)?;
        sieve::compile_text(text).map_err(ShelfError::Faulty)?;
        self.write(account, self.path(account, name)?, text)
    }

    /// Makes a script the active one; `None`: none is.
    pub(crate) fn activate(&self, account: &AccountId, name: Option<&str>) -> Result<()> {
        let path = self.folder(account).join(ACTIVE);
        let Some(name) = name else {
            self.remove(account, path)?;
            return Ok(());
        };
        // RFC 5804 §2.8 lets us refuse; an old script may use what there is no more.
        sieve::compile_text(&self.get(account, name)?).map_err(ShelfError::Faulty)?;
        self.write(account, path, format!("{name}\n").as_bytes())
    }

    /// Deletes a script that is not active.
    pub(crate) fn delete(&self, account: &AccountId, name: &str) -> Result<()> {
        let path = self.path(account, name)?;
        if self.active_name(account)?.as_deref() == Some(name) {
            return Err(ShelfError::IsActive);
        }
        match self.remove(account, path)? {
            true => Ok(()),
            false => Err(ShelfError::Missing),
        }
    }

    /// Gives a script another name; it stays active if it was.
    pub(crate) fn rename(&self, account: &AccountId, from: &str, to: &str) -> Result<()> {
        let text = self.get(account, from)?;
        let target = self.path(account, to)?;
        if self.disk.metadata(&target).is_ok() {
            return Err(ShelfError::Exists);
        }
        // Written anew and then removed: whatever the power does, the active name has its script.
        self.write(account, target, &text)?;
        if self.active_name(account)?.as_deref() == Some(from) {
            let active = self.folder(account).join(ACTIVE);
            self.write(account, active, format!("{to}\n").as_bytes())?;
        }
        self.remove(account, self.path(account, from)?)?;
        Ok(())
    }

    fn write(&self, account: &AccountId, path: PathBuf, bytes: &[u8]) -> Result<()> {
        let folder = self.folder(account);
        self.disk.make_dirs(&folder, Mode::PRIVATE_DIR)?;
        // Also when they were there: who made them may have died before their names were durable.
        for above in folder.ancestors().skip(1).take(FOLDERS) {
            self.disk.sync_dir(above)?;
        }
        let written = replace_whole(self.disk.as_ref(), &path, Mode::PRIVATE, bytes);
        self.known().remove(account);
        Ok(written?)
    }

    /// Whether there was such a file.
    fn remove(&self, account: &AccountId, path: PathBuf) -> Result<bool> {
        let gone = match self.disk.unlink(&path) {
            Err(error) if error.is_missing() => Ok(false),
            other => other.map(|()| true),
        };
        // What is missing may have gone a moment ago, and be back after a power cut.
        let lasting = match self.disk.sync_dir(&self.folder(account)) {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        };
        self.known().remove(account);
        let gone = gone?;
        lasting?;
        Ok(gone)
    }

    fn folder(&self, account: &AccountId) -> PathBuf {
        self.root.join(file_part(account.domain())).join(file_part(account.name()))
    }

    /// RFC 5804 §1.6: a name has no control characters and is not empty.
    fn path(&self, account: &AccountId, name: &str) -> Result<PathBuf> {
        let is_bad = |c: char| c.is_control() || ('\u{2028}'..='\u{2029}').contains(&c);
        if name.is_empty() || name.len() > SCRIPT_NAME || name.contains(is_bad) {
            return Err(ShelfError::BadName);
        }
        Ok(self.folder(account).join(format!("{}{SUFFIX}", file_part(name))))
    }

    fn known(&self) -> MutexGuard<'_, HashMap<AccountId, Option<Arc<Active>>>> {
        // A table cannot be half changed.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl From<disk::Error> for ShelfError {
    fn from(error: disk::Error) -> Self {
        ShelfError::Disk(error)
    }
}

impl fmt::Display for ShelfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ShelfError::BadName => {
                write!(f, "a script's name has 1 to {SCRIPT_NAME} octets and no control characters")
            }
            ShelfError::Missing => f.write_str("there is no script of that name"),
            ShelfError::Exists => f.write_str("there is a script of that name already"),
            ShelfError::IsActive => {
                f.write_str("the script is active; activate another one, or none, first")
            }
            ShelfError::TooMany => write!(f, "an account has at most {SCRIPTS} scripts"),
            ShelfError::TooLarge => {
                write!(f, "a script has at most {SCRIPT_BYTES} octets, all together {ALL_SCRIPTS}")
            }
            ShelfError::Faulty(faults) => {
                for (index, fault) in faults.iter().take(FAULTS_TOLD).enumerate() {
                    if index > 0 {
                        f.write_str("\r\n")?;
                    }
                    fault.fmt(f)?;
                }
                Ok(())
            }
            ShelfError::Disk(_) => f.write_str("the script cannot be stored now, try again later"),
        }
    }
}

const ACTIVE: &str = "active";
const SUFFIX: &str = ".sieve";

/// Folders above an account's that may be new: its domain's, that of all scripts, and what the
/// latter is in.
const FOLDERS: usize = 3;

/// Faults named in one answer.
const FAULTS_TOLD: usize = 20;

#[cfg(test)]
#[path = "shelf/tests.rs"]
mod crash;

#[cfg(test)]
mod tests {
    use disk::RealDisk;

    use super::*;

    #[test]
    fn scripts_come_go_and_are_active() {
        let folder = tempfile::tempdir().unwrap();
        let shelf = Shelf::new(Arc::new(RealDisk), folder.path().join("sieve"));
        let bob = AccountId::new("blue.test", "bob").unwrap();
        assert!(shelf.active(&bob).is_none());
        shelf.put(&bob, "main", b"keep;").unwrap();
        shelf.put(&bob, "Grüße/..", b"discard;").unwrap();
        assert!(matches!(shelf.put(&bob, "bad", b"kep;"), Err(ShelfError::Faulty(_))));
        assert!(matches!(shelf.put(&bob, "", b""), Err(ShelfError::BadName)));
        let names: Vec<_> = shelf.list(&bob).unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Grüße/..", "main"]);
        shelf.activate(&bob, Some("main")).unwrap();
        assert_eq!(shelf.active(&bob).unwrap().name, "main");
        assert!(matches!(shelf.delete(&bob, "main"), Err(ShelfError::IsActive)));
        shelf.rename(&bob, "main", "new").unwrap();
        assert_eq!(shelf.active(&bob).unwrap().name, "new");
        assert!(matches!(shelf.rename(&bob, "new", "Grüße/.."), Err(ShelfError::Exists)));
        assert!(matches!(shelf.activate(&bob, Some("main")), Err(ShelfError::Missing)));
        shelf.activate(&bob, None).unwrap();
        assert!(shelf.active(&bob).is_none());
        shelf.delete(&bob, "new").unwrap();
        assert!(matches!(shelf.delete(&bob, "new"), Err(ShelfError::Missing)));
        let again = Shelf::new(Arc::new(RealDisk), folder.path().join("sieve"));
        assert_eq!(again.get(&bob, "Grüße/..").unwrap(), b"discard;");
    }
}
