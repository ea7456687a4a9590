//! After a change: the files keep their owner, and every running agent hears of it and answers once
//! it works by it. An agent that does not run has nothing to hear.

use std::os::unix::fs::{MetadataExt, chown};
use std::path::Path;

use protocol::ipc::{DirectoryChanged, FaultKind};
use service::{AgentName, Config, Exit, Fatal, Paths};

use crate::ask;

/// Tells all agents of this configuration.
///
/// # Errors
/// An agent that runs cannot take the change: it is on disk, and the sentence says so.
pub(super) fn tell(config: &Config, paths: &Paths, revision: u64) -> Result<(), Fatal> {
    let runtime = ask::runtime()?;
    for agent in config.agents.run.iter().copied() {
        let asked = DirectoryChanged { revision };
        let answer = runtime.block_on(ask::client(paths, agent).call(&asked, ask::WAIT));
        match answer {
            Ok(taken) if taken.revision >= revision => {}
            Ok(taken) => {
                return Err(stale(agent, &format!("it works by revision {}", taken.revision)));
            }
            Err(fault) if fault.kind == FaultKind::Unavailable => {}
            Err(fault) => return Err(stale(agent, &fault.to_string())),
        }
    }
    Ok(())
}

fn stale(agent: AgentName, why: &str) -> Fatal {
    Fatal::new(
        Exit::TryAgain,
        format!(
            "the change is made, but the {agent} has not taken it ({why}); look with \
             `posthaste status`"
        ),
    )
}

/// Files that root has replaced must stay readable for the user the agents run as.
pub(super) fn keep_owner(paths: &Paths) -> Result<(), Fatal> {
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let folder = paths.directory();
    let cannot = |path: &Path, error| {
        Fatal::io(&format!("cannot keep the owner of {}", path.display()), &error)
    };
    let owner = std::fs::metadata(&folder).map_err(|error| cannot(&folder, error))?;
    for name in ["directory.toml", "verifiers.toml", "lock"] {
        let path = folder.join(name);
        let now = std::fs::metadata(&path).map_err(|error| cannot(&path, error))?;
        if (now.uid(), now.gid()) != (owner.uid(), owner.gid()) {
            chown(&path, Some(owner.uid()), Some(owner.gid()))
                .map_err(|error| cannot(&path, error))?;
        }
    }
    Ok(())
}
