//! What the store could not do, in the words of IMAP (RFC 5530). Called by every command.

use mailbox::Error;
use protocol::imap::{Code, ConditionCode, StatusText};

/// What a command came to: its OK, or its NO or BAD.
pub(super) type Outcome = Result<StatusText, Failure>;

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// NO.
    No(StatusText),
    /// BAD.
    Bad(StatusText),
}

impl Failure {
    /// NO with a code of RFC 5530.
    pub(super) fn no(code: ConditionCode, text: impl Into<String>) -> Self {
        Failure::No(StatusText::with(Code::Condition(code), text))
    }

    /// BAD: the client did what it must not.
    pub(super) fn bad(text: impl Into<String>) -> Self {
        Failure::Bad(StatusText::new(text))
    }

    /// The same failure where a mailbox is written to: one that is missing could be created
    /// (RFC 3501 §6.3.11, §6.4.7).
    pub(super) fn try_create(self) -> Self {
        match self {
            Failure::No(text) if text.code == Some(Code::Condition(ConditionCode::NonExistent)) => {
                Failure::No(StatusText { code: Some(Code::TryCreate), text: text.text })
            }
            other => other,
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let code = match &error {
            Error::NoSuchMailbox => ConditionCode::NonExistent,
            Error::MailboxExists => ConditionCode::AlreadyExists,
            Error::BadName(_) | Error::Inbox => ConditionCode::Cannot,
            Error::NoSuchLetter => ConditionCode::ExpungeIssued,
            Error::OverQuota => ConditionCode::OverQuota,
            Error::Limit(_) => ConditionCode::Limit,
            Error::Damaged(why) => {
                tracing::error!(%why, "a stored letter is damaged");
                ConditionCode::Corruption
            }
            Error::Unavailable(why) => {
                tracing::warn!(%why, "mail storage is not available");
                ConditionCode::Unavailable
            }
            // Full, and what is new: try again later.
            _ => ConditionCode::Unavailable,
        };
        Failure::no(code, error.to_string())
    }
}

impl From<disk::Error> for Failure {
    fn from(error: disk::Error) -> Self {
        Error::from(error).into()
    }
}
