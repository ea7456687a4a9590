//! One agent in the foreground: hands the command line to the agent's crate.

use std::process::ExitCode;

use crate::cli::AgentArgs;

/// `posthaste auth`.
pub(crate) fn auth(args: &AgentArgs) -> ExitCode {
    auth::run(&args.start()).into()
}

/// `posthaste mda`.
pub(crate) fn mda(args: &AgentArgs) -> ExitCode {
    mda::run(&args.start()).into()
}

/// `posthaste msa`.
pub(crate) fn msa(args: &AgentArgs) -> ExitCode {
    msa::run(&args.start()).into()
}

/// `posthaste mta`.
pub(crate) fn mta(args: &AgentArgs) -> ExitCode {
    mta::run(&args.start()).into()
}
