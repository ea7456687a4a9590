//! Asks running agents over their control sockets, for the admin's verbs.

use std::time::Duration;

use net::Clock;
use net::ipc::Client;
use protocol::ipc::{Fault, FaultKind, Role};
use service::{AgentName, Exit, Fatal, Paths};

/// How long an agent is given for one answer.
pub(crate) const WAIT: Duration = Duration::from_secs(10);

/// A runtime for one command.
///
/// # Errors
/// When the system gives none.
pub(crate) fn runtime() -> Result<tokio::runtime::Runtime, Fatal> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::io("cannot start the runtime", &error))
}

/// A client of an agent's control socket. Connects when first asked.
pub(crate) fn client(paths: &Paths, agent: AgentName) -> Client {
    Client::new(&paths.control_socket(agent), Role::Control, "posthaste", &Clock::real())
}

/// An agent's fault as the end of a command.
pub(crate) fn of_fault(agent: AgentName, fault: &Fault) -> Fatal {
    match fault.kind {
        FaultKind::Unavailable | FaultKind::Deadline | FaultKind::Busy => {
            Fatal::try_again(format!(
                "the {agent} does not answer ({fault}); look with `posthaste status`, start it \
             with `posthaste up`"
            ))
        }
        FaultKind::Configuration => Fatal::new(Exit::BadConfiguration, fault.to_string()),
        _ => Fatal::no(fault.to_string()),
    }
}
