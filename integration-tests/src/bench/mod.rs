//! Speed and its cost, side by side: load generators, a sink, servers that are set up with their
//! default safety, and a runner that measures them in turn (A B A B) in one sitting.
//!
//! Called by `integration-tests/bench/run`. Not a test: it promises no figure, it prints them.

// The figures of each run, as they come.
#![allow(clippy::print_stdout)]

pub mod fill;
pub mod holding;
pub mod imap;
pub mod job;
pub mod letters;
pub mod load;
pub mod medium;
pub mod page;
pub mod peer;
pub mod place;
pub mod queue;
pub mod reading;
pub mod remote;
pub mod results;
pub mod runner;
pub mod server;
pub mod signed;
pub mod sink;
pub mod standard;
pub mod targets;
pub mod tls;
pub mod usage;

/// Whether a session carries one letter or all it can.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reuse {
    /// Letters follow each other on one connection.
    Session,
    /// Each letter brings a connection of its own.
    Nothing,
}

/// What is sent in one run.
#[derive(Debug, Clone)]
pub struct Workload {
    /// How many letters.
    pub letters: usize,
    /// How many connections at once.
    pub sessions: usize,
    /// Octets of a letter, about.
    pub size: usize,
    /// Over how many mailboxes the letters are spread, in turn.
    pub boxes: usize,
    /// Recipients of each letter.
    pub fan: usize,
    /// Whether connections are kept.
    pub reuse: Reuse,
}

/// Where the letters end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// In the mailboxes of the server, from anybody.
    Inbound,
    /// In the mailboxes of the server, from its users: TLS and AUTH first.
    Submission,
    /// In the sink.
    Relay,
}
