//! Sieve (RFC 5228): what a person's rules say about a letter.
//!
//! ```text
//! bytes ── parse ──▶ Script ── compile ──▶ Program ── run(letter, facts) ──▶ Outcome
//!                      │
//!                      └── print ──▶ text that parses to the same
//! ```
//!
//! Pure: no file, clock or socket. The letter, the envelope, the time and a [`World`] that answers
//! questions about mailboxes come in; [`Outcome::actions`] go out, and the delivery agent carries
//! them out. Nothing a script or a letter says can make a run endless, large or fail: it is counted
//! (`limits`), and a run that stops early keeps the letter.
//!
//! Called by the delivery agent, by ManageSieve and by `posthaste sieve`.
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

mod check;
mod compare;
mod fault;
mod letters;
mod lexer;
pub mod limits;
mod outcome;
mod parser;
mod printer;
mod program;
mod run;
pub mod syntax;

pub use check::{EXTENSIONS, compile};
pub use fault::{Fault, Position};
pub use letters::Stamp;
pub use outcome::{
    Act, Action, Answer, Explain, Facts, Filing, Notice, Outcome, Shelf, Step, World,
};
pub use parser::parse;
pub use printer::print;
pub use program::{Program, Refusal};
pub use run::run;

/// Parses and checks in one go.
///
/// # Errors
/// The fault of the grammar, or all faults of meaning.
pub fn compile_text(script: &[u8]) -> Result<Program, Vec<Fault>> {
    compile(&parse(script).map_err(|fault| vec![fault])?)
}
