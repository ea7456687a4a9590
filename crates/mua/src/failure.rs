//! Why something could not be done, for people and for scripts. Every text says what, why, and
//! where it helps what to do next; texts of foreign servers are made safe before they get in.

use std::fmt;
use std::io;

/// What kind of no it is; `posthaste mail` makes the exit code of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The question makes no sense.
    Usage,
    /// The answer is no.
    No,
    /// It may work later.
    TryAgain,
    /// Not allowed: wrong password, forbidden file.
    NotAllowed,
    /// The account file is wrong or missing.
    BadConfiguration,
}

/// A failure with its kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What kind of no.
    pub kind: Kind,
    /// One or two sentences without a final full stop.
    pub text: String,
}

impl Failure {
    /// A failure of some kind.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Failure { kind, text: text.into() }
    }

    /// The question makes no sense.
    pub fn usage(text: impl Into<String>) -> Self {
        Self::new(Kind::Usage, text)
    }

    /// The answer is no.
    pub fn no(text: impl Into<String>) -> Self {
        Self::new(Kind::No, text)
    }

    /// It may work later.
    pub fn try_again(text: impl Into<String>) -> Self {
        Self::new(Kind::TryAgain, text)
    }

    /// Not allowed.
    pub fn not_allowed(text: impl Into<String>) -> Self {
        Self::new(Kind::NotAllowed, text)
    }

    /// The account file is wrong or missing.
    pub fn configuration(text: impl Into<String>) -> Self {
        Self::new(Kind::BadConfiguration, text)
    }

    /// The system said no: `what` is what was tried.
    pub fn io(what: impl fmt::Display, error: &io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => Kind::NotAllowed,
            io::ErrorKind::StorageFull | io::ErrorKind::Interrupted => Kind::TryAgain,
            _ => Kind::No,
        };
        Self::new(kind, format!("{what}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for Failure {}
