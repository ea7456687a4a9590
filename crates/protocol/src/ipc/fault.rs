//! The typed error of an IPC answer. Not an error of the transport: see [`super::CallError`].

use serde::{Deserialize, Serialize};
use std::fmt;

/// Why a request has no good answer: a kind for programs and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What programs decide by.
    pub kind: FaultKind,
    /// What went wrong and what to do; no secrets.
    #[serde(default)]
    pub message: String,
}

impl Fault {
    /// A fault of a kind, with its sentence.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }

    /// The answer to a method that this role does not have.
    pub fn unknown_method(method: &str) -> Self {
        Self::new(FaultKind::UnknownMethod, format!("there is no method {method:?} here"))
    }

    /// The answer to parameters that do not fit the method.
    pub fn parameters(method: &str, error: &dyn fmt::Display) -> Self {
        Self::new(FaultKind::Parameters, format!("parameters of {method:?}: {error}"))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.message.is_empty() {
            return f.write_str(self.kind.as_str());
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Fault {}

/// The kinds of [`Fault`], as they stand on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum FaultKind {
    /// The two sides speak different versions, or the socket serves another role.
    Version,
    /// The role has no such method.
    UnknownMethod,
    /// The parameters do not fit the method.
    Parameters,
    /// The question or the answer does not fit a frame.
    TooLarge,
    /// Too much under way; ask again later.
    Busy,
    /// No answer in time.
    Deadline,
    /// The one who was asked is going away, or what it needs is away.
    Unavailable,
    /// What was named does not exist.
    NotFound,
    /// The answer is no.
    Refused,
    /// The configuration file has faults; the old one stays.
    Configuration,
    /// A fault of the agent itself.
    Internal,
    /// A kind that this version does not know.
    Other(String),
}

/// Wire name and kind; both directions read this one list.
const KINDS: [(&str, FaultKind); 11] = [
    ("version", FaultKind::Version),
    ("unknown-method", FaultKind::UnknownMethod),
    ("parameters", FaultKind::Parameters),
    ("too-large", FaultKind::TooLarge),
    ("busy", FaultKind::Busy),
    ("deadline", FaultKind::Deadline),
    ("unavailable", FaultKind::Unavailable),
    ("not-found", FaultKind::NotFound),
    ("refused", FaultKind::Refused),
    ("configuration", FaultKind::Configuration),
    ("internal", FaultKind::Internal),
];

impl FaultKind {
    /// The name on the wire.
    pub fn as_str(&self) -> &str {
        if let Self::Other(name) = self {
            return name;
        }
        KINDS.iter().find(|(_, kind)| kind == self).map_or("internal", |(name, _)| name)
    }
}

impl From<String> for FaultKind {
    fn from(name: String) -> Self {
        match KINDS.iter().find(|(known, _)| *known == name) {
            Some((_, kind)) => kind.clone(),
            None => Self::Other(name),
        }
    }
}

impl From<FaultKind> for String {
    fn from(kind: FaultKind) -> Self {
        kind.as_str().to_owned()
    }
}
