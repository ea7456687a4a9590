//! What can go wrong with the directory, for people: what, where, what to do. Not for the wire.

use std::{fmt, path::PathBuf};

/// A file of the directory cannot be read or understood.
#[derive(Debug)]
pub enum LoadError {
    /// The disk says no, or the file is missing.
    Disk(disk::Error),
    /// The file is not what it should be.
    Damaged {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
}

impl LoadError {
    /// Whether there is no such file.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Disk(error) if error.is_missing())
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk(error) if error.is_missing() => {
                write!(f, "{error}; `posthaste init` and `posthaste domain add` make it")
            }
            Self::Disk(error) => error.fmt(f),
            Self::Damaged { path, line, reason } => {
                let path = path.display();
                write!(f, "{path}, line {line}: {reason}; mend the line or restore the file")
            }
        }
    }
}

impl std::error::Error for LoadError {}

impl From<disk::Error> for LoadError {
    fn from(error: disk::Error) -> Self {
        Self::Disk(error)
    }
}

/// Why a change was not made. Nothing has changed then.
#[derive(Debug)]
pub enum ChangeError {
    /// What is to be added is there already, perhaps as another kind of thing.
    Exists(String),
    /// What is to be changed or removed is not there.
    Missing(String),
    /// The domain of an address is not hosted here.
    NotHosted(String),
    /// Something still depends on what is to be removed.
    InUse(String),
    /// The change makes no sense; the sentence says why.
    Invalid(String),
    /// Another change has held the lock for too long.
    Busy,
    /// The files as they are cannot be read.
    Load(LoadError),
    /// The changed files cannot be written.
    Disk(disk::Error),
}

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exists(what) => write!(f, "{what} exists already"),
            Self::Missing(what) => write!(f, "there is no {what}"),
            Self::NotHosted(domain) => {
                write!(f, "{domain} is not hosted here; `posthaste domain add {domain}` adds it")
            }
            Self::InUse(why) | Self::Invalid(why) => f.write_str(why),
            Self::Busy => f.write_str("another change is being made; try again"),
            Self::Load(error) => error.fmt(f),
            Self::Disk(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ChangeError {}

impl From<LoadError> for ChangeError {
    fn from(error: LoadError) -> Self {
        Self::Load(error)
    }
}

impl From<disk::Error> for ChangeError {
    fn from(error: disk::Error) -> Self {
        Self::Disk(error)
    }
}
