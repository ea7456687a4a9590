//! The newest snapshot, for an agent: looked at for changes at most once a second, and at once when
//! the control socket says `directory_changed`. A file that cannot be read leaves the last good one
//! in place: mail goes on.

use crate::{
    error::LoadError,
    file::{self, Contents},
    limits,
    snapshot::Snapshot,
    verifiers::{self, Verifiers},
};
use disk::{Disk, Metadata};
use protocol::machine::Tick;
use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The directory, always new.
#[derive(Debug)]
pub struct Renewing {
    watched: Watched<Snapshot>,
    /// The files that aliases include, as they were when they were read.
    included: Mutex<Included>,
}

#[derive(Debug)]
struct Included {
    looked: Option<Tick>,
    files: Vec<(PathBuf, Option<Metadata>)>,
}

impl Renewing {
    /// Reads `directory.toml` in this folder.
    ///
    /// # Errors
    /// It is missing or damaged: an agent that knew nobody would refuse everybody, so it must not
    /// start.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, LoadError> {
        let load = |disk: &dyn Disk, path: &Path| {
            Contents::load(disk, path).map(|contents| Arc::new(contents.into_snapshot()))
        };
        let watched = Watched::open(disk, directory, (file::FILE_NAME, load))?;
        let included = Mutex::new(Included { looked: None, files: Vec::new() });
        let renewing = Renewing { watched, included };
        renewing.note_included();
        Ok(renewing)
    }

    /// The newest snapshot known; looks at the files when the last look is a second old.
    pub fn current(&self, now: Tick) -> Arc<Snapshot> {
        if self.has_other_includes(now) {
            // What went wrong is kept as the complaint.
            let _ = self.refresh(now);
        }
        self.watched.current(now)
    }

    /// Looks at the files now.
    ///
    /// # Errors
    /// One cannot be read; the last good snapshot stays.
    pub fn refresh(&self, now: Tick) -> Result<Arc<Snapshot>, LoadError> {
        let outcome = self.watched.refresh(now);
        self.note_included();
        outcome
    }

    /// Why the newest file could not be read, for the agent's status.
    pub fn complaint(&self) -> Option<String> {
        self.watched.complaint()
    }

    fn note_included(&self) {
        let snapshot = self.watched.state().value.clone();
        let files = snapshot.aliases().filter_map(|alias| alias.include.as_ref());
        let stamped = |file: &str| {
            let path = self.watched.directory.join(file);
            let stamp = self.watched.disk.metadata(&path).ok();
            (path, stamp)
        };
        let files = files.map(|include| stamped(&include.file)).collect();
        self.included.lock().unwrap_or_else(PoisonError::into_inner).files = files;
    }

    /// Whether an included file is another one than was read.
    fn has_other_includes(&self, now: Tick) -> bool {
        let mut included = self.included.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = Duration::from_secs(limits::STAT_SECONDS);
        if included.files.is_empty()
            || included.looked.is_some_and(|looked| now.since(looked) < pause)
        {
            return false;
        }
        included.looked = Some(now);
        let is_other = |(path, seen): &(PathBuf, Option<Metadata>)| {
            self.watched.disk.metadata(path).ok() != *seen
        };
        included.files.iter().any(is_other)
    }
}

/// The verifiers, always new. For `auth` alone.
#[derive(Debug)]
pub struct RenewingVerifiers(Watched<Verifiers>);

impl RenewingVerifiers {
    /// Reads `verifiers.toml` in this folder.
    ///
    /// # Errors
    /// It is missing, damaged, or not ours to read.
    pub fn open(disk: Arc<dyn Disk>, directory: &Path) -> Result<Self, LoadError> {
        let load = |disk: &dyn Disk, path: &Path| Verifiers::load(disk, path).map(Arc::new);
        Watched::open(disk, directory, (verifiers::FILE_NAME, load)).map(Self)
    }

    /// The newest verifiers known; looks at the file when the last look is a second old.
    pub fn current(&self, now: Tick) -> Arc<Verifiers> {
        self.0.current(now)
    }

    /// Looks at the file now.
    ///
    /// # Errors
    /// It cannot be read; the last good verifiers stay.
    pub fn refresh(&self, now: Tick) -> Result<Arc<Verifiers>, LoadError> {
        self.0.refresh(now)
    }

    /// Why the newest file could not be read, for the agent's status.
    pub fn complaint(&self) -> Option<String> {
        self.0.complaint()
    }
}

type Load<T> = fn(&dyn Disk, &Path) -> Result<Arc<T>, LoadError>;

#[derive(Debug)]
struct Watched<T> {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    file: &'static str,
    load: Load<T>,
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    value: Arc<T>,
    seen: Option<Metadata>,
    looked: Option<Tick>,
    complaint: Option<String>,
}

impl<T> Watched<T> {
    fn open(
        disk: Arc<dyn Disk>,
        directory: &Path,
        (file, load): (&'static str, Load<T>),
    ) -> Result<Self, LoadError> {
        // The stamp is taken before the file is read: a change in between is then read again.
        let seen = disk.metadata(&directory.join(file)).ok();
        let value = load(disk.as_ref(), directory)?;
        let state = Mutex::new(State { value, seen, looked: None, complaint: None });
        Ok(Self { disk, directory: directory.to_owned(), file, load, state })
    }

    fn current(&self, now: Tick) -> Arc<T> {
        let mut state = self.state();
        let pause = Duration::from_secs(limits::STAT_SECONDS);
        if state.looked.is_none_or(|looked| now.since(looked) >= pause) {
            // What went wrong is kept as the complaint; the last good value is given.
            let _ = self.look(&mut state, now);
        }
        state.value.clone()
    }

    fn refresh(&self, now: Tick) -> Result<Arc<T>, LoadError> {
        let mut state = self.state();
        state.seen = None;
        self.look(&mut state, now)?;
        Ok(state.value.clone())
    }

    fn complaint(&self) -> Option<String> {
        self.state().complaint.clone()
    }

    fn look(&self, state: &mut State<T>, now: Tick) -> Result<(), LoadError> {
        state.looked = Some(now);
        let outcome = self.disk.metadata(&self.directory.join(self.file)).map_err(LoadError::from);
        if outcome.is_err() {
            // When it is there again it is read again, be it the same one.
            state.seen = None;
        }
        let outcome = outcome.and_then(|stamp| {
            if state.seen.as_ref() != Some(&stamp) {
                let value = (self.load)(self.disk.as_ref(), &self.directory);
                state.seen = Some(stamp);
                state.value = value?;
                state.complaint = None;
            }
            Ok(())
        });
        if let Err(error) = &outcome {
            state.complaint = Some(error.to_string());
        }
        outcome
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State<T>> {
        // A panic while it was held left at worst an old value.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
