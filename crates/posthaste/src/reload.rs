//! `posthaste reload`: has every running agent take the configuration and certificates again. The
//! file is looked at here first, so that a bad one reaches no agent.

use std::process::ExitCode;

use clap::Args;
use protocol::ipc::Reload;
use serde_json::json;
use service::{Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;

/// Takes the changed configuration and certificates.
#[derive(Args, Debug)]
#[command(after_help = "A bad file is refused with exit 78, and the old configuration stays.\n\n\
                        Example:\n  posthaste reload -c /srv/mail/posthaste.toml")]
pub(crate) struct ReloadArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// One JSON object per agent
    #[arg(long)]
    json: bool,
}

/// The command.
pub(crate) fn run(args: &ReloadArgs) -> ExitCode {
    exit::of("reload", reload(args))
}

fn reload(args: &ReloadArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    let paths = Paths::new(&config.storage.data_dir);
    let runtime = ask::runtime()?;
    let mut worst = Exit::Done;
    for agent in config.agents.run.iter().copied() {
        let answer = runtime.block_on(ask::client(&paths, agent).call(&Reload {}, ask::WAIT));
        if args.json {
            let (changed, needs, error) = match &answer {
                Ok(done) => (done.changed.clone(), done.needs_restart.clone(), None),
                Err(fault) => (Vec::new(), Vec::new(), Some(fault.to_string())),
            };
            output::json(&json!({
                "agent": agent, "changed": changed, "needs_restart": needs, "error": error
            }));
        }
        match answer {
            Ok(_) if args.json => {}
            Ok(done) if done.changed.is_empty() => {
                output::line(&format!("{agent}: certificates taken again; no key changed"));
            }
            Ok(done) => {
                output::line(&format!("{agent}: changed {}", done.changed.join(", ")));
                if !done.needs_restart.is_empty() {
                    let keys = done.needs_restart.join(", ");
                    output::line(&format!("{agent}: a restart is needed for {keys}"));
                }
            }
            Err(fault) => {
                let fatal = ask::of_fault(agent, &fault);
                output::complain(&format!("posthaste reload: {fatal}"));
                worst = if worst == Exit::BadConfiguration { worst } else { fatal.exit };
            }
        }
    }
    Ok(worst)
}
