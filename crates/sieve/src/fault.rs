//! What is wrong with a script, and where. Made by the parser, the checker and the run; shown by
//! ManageSieve, `posthaste sieve` and the notice to the owner.

use std::fmt;

/// A place in a script: both count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub struct Position {
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where.
    pub at: Position,
    /// What, in one sentence without a full stop.
    pub what: String,
}

impl Fault {
    /// This is wrong there.
    pub fn new(at: Position, what: impl Into<String>) -> Self {
        Fault { at, what: what.into() }
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.what)
    }
}

impl std::error::Error for Fault {}
