//! `posthaste status`: asks every configured agent whether it is well.

use std::process::ExitCode;

use clap::Args;
use protocol::ipc::{Fault, Status, StatusReport};
use serde_json::json;
use service::{AgentName, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;

/// Asks every agent whether it is well.
#[derive(Args, Debug)]
#[command(after_help = "Exit 0 when every configured agent answers and is ready, else 1.\n\n\
                        Example:\n  posthaste status -c /srv/mail/posthaste.toml --json")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// One JSON object per agent
    #[arg(long)]
    json: bool,
}

/// The command.
pub(crate) fn run(args: &StatusArgs) -> ExitCode {
    exit::of("status", status(args))
}

fn status(args: &StatusArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    let paths = Paths::new(&config.storage.data_dir);
    let runtime = ask::runtime()?;
    let mut well = true;
    let mut rows = Vec::new();
    for agent in config.agents.run.iter().copied() {
        let answer = runtime.block_on(ask::client(&paths, agent).call(&Status {}, ask::WAIT));
        well &= answer.as_ref().is_ok_and(|report| report.ready && report.complaints.is_empty());
        if args.json {
            show_json(agent, &answer);
        } else {
            rows.extend(human(agent, &answer));
        }
    }
    for line in output::table(&rows) {
        output::line(&line);
    }
    Ok(if well { Exit::Done } else { Exit::No })
}

fn show_json(agent: AgentName, answer: &Result<StatusReport, Fault>) {
    match answer {
        Ok(report) => {
            let mut value = serde_json::to_value(report).unwrap_or_default();
            value["answers"] = true.into();
            output::json(&value);
        }
        Err(fault) => output::json(&json!({
            "agent": agent, "answers": false, "ready": false, "error": fault.to_string()
        })),
    }
}

fn human(agent: AgentName, answer: &Result<StatusReport, Fault>) -> Vec<Vec<String>> {
    let report = match answer {
        Ok(report) => report,
        Err(fault) => {
            let text = format!("{fault}; start it with `posthaste up`");
            return vec![vec![agent.to_string(), "away".to_owned(), String::new(), text]];
        }
    };
    let state = match (report.ready, report.complaints.is_empty()) {
        (false, _) => "starting",
        (true, true) => "ready",
        (true, false) => "unwell",
    };
    let process = format!("pid {}", report.pid);
    let first = vec![agent.to_string(), state.to_owned(), process, report.listeners.join(", ")];
    let complaints = report.complaints.iter().map(|complaint| {
        vec![String::new(), "!".to_owned(), String::new(), output::safe(complaint)]
    });
    std::iter::once(first).chain(complaints).collect()
}
