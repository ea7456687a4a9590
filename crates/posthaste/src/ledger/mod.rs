//! `posthaste ledger`: the equation of custody, and each letter for which it does not hold. Running
//! agents are asked (they lay out and look at their files first); the store of one that is down is
//! opened here.

mod closed;
pub(crate) mod daily;

use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use protocol::ipc::{Fault, FaultKind};
use service::config::LocalDelivery;
use service::ledger::{AskCustody, Balance, Ledger};
use service::trail::{Query, find};
use service::{AgentName, Config, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;

/// Counts every letter.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit 0 when every letter is accounted for, 1 with each one that is not.\n\n\
                        Example:\n  posthaste ledger -c /srv/mail/posthaste.toml"
)]
pub(crate) struct LedgerArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The balance as one JSON object
    #[arg(long)]
    json: bool,
}

/// How long an agent may take to look at all its files before it answers.
const LOOK: Duration = Duration::from_secs(300);

/// Violations whose letters are looked up in the trail: each is a pass over its files.
const NAMED: usize = 20;

/// The command.
pub(crate) fn run(args: &LedgerArgs) -> ExitCode {
    exit::of("ledger", ledger(args))
}

fn ledger(args: &LedgerArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    let balance = ask::runtime()?.block_on(take(&config))?;
    if args.json {
        let mut value = serde_json::to_value(&balance).unwrap_or_default();
        value["came"] = balance.came().into();
        value["went"] = balance.went().into();
        value["holds"] = balance.holds().into();
        output::json(&value);
    } else {
        show(&balance);
    }
    Ok(if balance.holds() { Exit::Done } else { Exit::No })
}

/// Asks both stores and counts.
///
/// # Errors
/// When a store can neither be asked nor opened.
pub(crate) async fn take(config: &Config) -> Result<Balance, Fatal> {
    let paths = Paths::new(&config.storage.data_dir);
    let mut ledger = Ledger::new();
    if config.mta.local_delivery == LocalDelivery::Mda
        && config.agents.run.contains(&AgentName::Mda)
    {
        ledger.mailboxes_are_known();
    }
    // First what came, then what lies in mailboxes: a letter that arrives between the two questions
    // is then one that the MDA has from elsewhere, not one that the MTA delivered and nobody has.
    for agent in [AgentName::Mta, AgentName::Mda] {
        match asked(&paths, agent, &mut ledger).await {
            Ok(()) => {}
            Err(fault) if fault.kind == FaultKind::Unavailable => {
                let facts = match agent {
                    AgentName::Mta => closed::queue(config).await?,
                    _ => closed::mailboxes(config).await?,
                };
                facts.into_iter().for_each(|fact| ledger.take(fact));
            }
            Err(fault) => return Err(ask::of_fault(agent, &fault)),
        }
    }
    let mut balance = ledger.balance();
    name_letters(&paths, &mut balance);
    Ok(balance)
}

/// What a lost letter was called, only the trail may still know. It explains; it proves nothing.
fn name_letters(paths: &Paths, balance: &mut Balance) {
    let nameless = balance.violations.iter_mut().filter(|v| v.message_id.is_none());
    for violation in nameless.take(NAMED) {
        let events = find(&paths.trail(), &Query::Journey(violation.journey)).unwrap_or_default();
        let of_letter = events.into_iter().filter(|r| r.event.journey == Some(violation.journey));
        violation.message_id = of_letter.filter_map(|recorded| recorded.event.message_id).next();
    }
}

async fn asked(paths: &Paths, agent: AgentName, ledger: &mut Ledger) -> Result<(), Fault> {
    let mut pages = ask::client(paths, agent).stream(&AskCustody {}, LOOK).await?;
    // Taken only when complete: half of the facts would name letters lost that are not.
    let mut facts = Vec::new();
    while let Some(page) = pages.next().await {
        facts.extend(page?.facts);
    }
    facts.into_iter().for_each(|fact| ledger.take(fact));
    Ok(())
}

fn show(balance: &Balance) {
    let rows = balance.rows();
    let (came, went) = rows.split_at(3);
    for index in 0..came.len().max(went.len()) {
        let cell = |side: &[(&str, i64)]| match side.get(index) {
            Some((name, number)) => format!("{name:<10} {number:>10}"),
            None => " ".repeat(21),
        };
        output::line(format!("{}     {}", cell(came), cell(went)).trim_end());
    }
    let sides = (balance.came(), balance.went());
    output::line(&format!("{:<10} {:>10}  =  {:<10} {:>10}", "came", sides.0, "went", sides.1));
    let word = if balance.violations.len() == 1 { "violation" } else { "violations" };
    output::line(&format!("{} {word}", balance.violations.len()));
    for violation in &balance.violations {
        let id = violation.message_id.as_deref().unwrap_or("Message-ID unknown");
        output::line(&output::safe(&format!(
            "  {}  {}  {id}  {}; look with `posthaste trace {}`",
            violation.journey, violation.recipient, violation.wrong, violation.journey
        )));
    }
    if balance.holds() {
        return;
    }
    if balance.violations.is_empty() {
        output::line(
            "the two sides differ, and no letter explains it: this is a fault of Posthaste",
        );
    }
}
