//! Exit codes by the names that commands use; `service::Exit` has their meaning.

use std::process::ExitCode;

use service::{Exit, Fatal};

use crate::output;

/// 0.
pub(crate) const DONE: Exit = Exit::Done;
/// 1: the answer is no, or a check failed.
pub(crate) const NO: Exit = Exit::No;
/// 64.
pub(crate) const USAGE: Exit = Exit::Usage;
/// 75: may work later.
pub(crate) const TRY_AGAIN: Exit = Exit::TryAgain;
/// 77.
pub(crate) const NOT_ALLOWED: Exit = Exit::NotAllowed;
/// 78.
pub(crate) const BAD_CONFIGURATION: Exit = Exit::BadConfiguration;

/// Ends a command: says on standard error why it failed.
pub(crate) fn of(command: &str, outcome: Result<Exit, Fatal>) -> ExitCode {
    match outcome {
        Ok(exit) => exit.into(),
        Err(fatal) => {
            output::complain(&format!("posthaste {command}: {fatal}"));
            fatal.exit.into()
        }
    }
}
