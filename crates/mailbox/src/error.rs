//! Why something was not done. The agents turn [`Error`] into replies: SMTP codes in `deliver`,
//! IMAP response codes in `retrieve`. The text is for people and carries no paths.

use std::fmt;

use crate::name::BadName;

/// Why a request was refused or failed. Nothing of it was kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Error {
    /// There is no such mailbox (RFC 9051 `NONEXISTENT`, `TRYCREATE`).
    NoSuchMailbox,
    /// The mailbox exists already (`ALREADYEXISTS`).
    MailboxExists,
    /// The name cannot be a mailbox's (`CANNOT`).
    BadName(BadName),
    /// INBOX cannot be deleted, and nothing can be renamed to it (`CANNOT`).
    Inbox,
    /// There is no such letter, or no more: expunged (`EXPUNGEISSUED`).
    NoSuchLetter,
    /// The account has no room for it (`OVERQUOTA`, 552 5.2.2).
    OverQuota,
    /// A limit of ours, named (`LIMIT`).
    Limit(&'static str),
    /// The disk is full or nearly so (452 4.3.1, `UNAVAILABLE`).
    Full,
    /// The store cannot do it now: stopping, overloaded, or its log has failed (451 4.3.0).
    Unavailable(String),
    /// What is stored is damaged; the text says what, for the log (`CORRUPTION`).
    Damaged(String),
}

/// Result of what mailboxes do.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::NoSuchMailbox => f.write_str("there is no such mailbox"),
            Error::MailboxExists => f.write_str("there is a mailbox of that name"),
            Error::BadName(why) => why.fmt(f),
            Error::Inbox => f.write_str("INBOX stays: it cannot be deleted or replaced"),
            Error::NoSuchLetter => f.write_str("there is no such letter any more"),
            Error::OverQuota => f.write_str("the account is full"),
            Error::Limit(what) => write!(f, "too many or too large: {what}"),
            Error::Full => f.write_str("the disk is full, try again later"),
            Error::Unavailable(_) => f.write_str("mail storage is not available, try again later"),
            Error::Damaged(_) => f.write_str("the stored letter is damaged"),
        }
    }
}

impl std::error::Error for Error {}

impl From<BadName> for Error {
    fn from(why: BadName) -> Self {
        Error::BadName(why)
    }
}

impl From<disk::Error> for Error {
    fn from(error: disk::Error) -> Self {
        match error.kind() {
            disk::ErrorKind::Full => Error::Full,
            disk::ErrorKind::Corrupt => Error::Damaged(error.to_string()),
            _ => Error::Unavailable(error.to_string()),
        }
    }
}
