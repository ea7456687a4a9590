//! Exit codes and the last words of a program that cannot go on.

use std::fmt;
use std::io;
use std::process::ExitCode;

use net::listen::BindError;

use crate::config::Faults;

/// How a command ends, as scripts see it (sysexits(3) where it has a word for it).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// 0: done.
    Done,
    /// 1: the answer is no, or a check failed.
    No,
    /// 64: the command was not understood.
    Usage,
    /// 75: it may work later.
    TryAgain,
    /// 77: not allowed.
    NotAllowed,
    /// 78: the configuration is wrong.
    BadConfiguration,
}

/// Why a program cannot go on: an exit code, and what, why and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fatal {
    /// The exit code.
    pub exit: Exit,
    /// For people, without a final full stop.
    pub message: String,
}

impl Exit {
    /// The number.
    pub const fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::No => 1,
            Exit::Usage => 64,
            Exit::TryAgain => 75,
            Exit::NotAllowed => 77,
            Exit::BadConfiguration => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl Fatal {
    /// With an exit code of the caller's choice.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Fatal { exit, message: message.into() }
    }

    /// 1: the answer is no.
    pub fn no(message: impl Into<String>) -> Self {
        Self::new(Exit::No, message)
    }

    /// 75: it may work later.
    pub fn try_again(message: impl Into<String>) -> Self {
        Self::new(Exit::TryAgain, message)
    }

    /// 78: the configuration is wrong.
    pub fn configuration(message: impl Into<String>) -> Self {
        Self::new(Exit::BadConfiguration, message)
    }

    /// What was done when the system said no, e.g. `cannot write /var/lib/posthaste/run`.
    pub fn io(what: &str, error: &io::Error) -> Self {
        let exit = match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Exit::NotAllowed,
            io::ErrorKind::StorageFull | io::ErrorKind::AddrInUse => Exit::TryAgain,
            _ => Exit::No,
        };
        Self::new(exit, format!("{what}: {error}"))
    }

    /// The same of a store's disk: permissions, a full disk and a second process each have their
    /// exit code.
    pub fn disk(what: &str, error: &disk::Error) -> Self {
        let exit = match error.kind() {
            disk::ErrorKind::Denied => Exit::NotAllowed,
            disk::ErrorKind::Full | disk::ErrorKind::Busy => Exit::TryAgain,
            _ => Exit::No,
        };
        Self::new(exit, format!("{what}: {error}"))
    }
}

impl From<Faults> for Fatal {
    fn from(faults: Faults) -> Self {
        Fatal::configuration(faults.to_string())
    }
}

impl From<BindError> for Fatal {
    fn from(error: BindError) -> Self {
        let exit = match error.io().kind() {
            io::ErrorKind::PermissionDenied => Exit::NotAllowed,
            io::ErrorKind::AddrInUse => Exit::TryAgain,
            _ => Exit::No,
        };
        Fatal::new(exit, error.to_string())
    }
}

impl fmt::Display for Fatal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fatal {}
