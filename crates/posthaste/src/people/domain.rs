//! `posthaste domain`: the domains whose mail ends here.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use protocol::address::{Address, Domain};
use serde_json::json;
use service::{Exit, Fatal};

use super::{People, Where};
use crate::{exit, output};

/// The domains whose mail ends here.
#[derive(Args, Debug)]
pub(crate) struct DomainArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Hosts a domain; its postmaster is that of the first domain until it has its own
    #[command(after_help = "Example:\n  posthaste domain add example.net")]
    Add {
        /// The domain
        name: Domain,
        /// Where letters for names that do not exist go; without it they are refused
        #[arg(long, value_name = "ADDRESS")]
        catch_all: Option<Address>,
        #[command(flatten)]
        place: Where,
    },
    /// Lists domains
    #[command(after_help = "Example:\n  posthaste domain list --json")]
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Hosts a domain no longer; its accounts and aliases must be gone
    #[command(after_help = "Example:\n  posthaste domain remove example.net")]
    Remove {
        /// The domain
        name: Domain,
        #[command(flatten)]
        place: Where,
    },
}

/// The command.
pub(crate) fn run(args: &DomainArgs) -> ExitCode {
    exit::of("domain", verb(&args.verb))
}

fn verb(verb: &Verb) -> Result<Exit, Fatal> {
    match verb {
        Verb::Add { name, catch_all, place } => {
            People::open(place)?.change(|draft| {
                draft.add_domain(name.clone())?;
                draft.set_catch_all(name, catch_all.clone())
            })?;
            done(place, "added", name);
        }
        Verb::List { place } => list(&People::open(place)?, place)?,
        Verb::Remove { name, place } => {
            People::open(place)?.change(|draft| draft.remove_domain(name))?;
            done(place, "removed", name);
        }
    }
    Ok(Exit::Done)
}

fn done(place: &Where, what: &str, name: &Domain) {
    if place.json {
        output::json(&json!({ "domain": name, "done": what }));
    } else {
        output::line(&format!("{what} {}", name.to_unicode()));
    }
}

fn list(people: &People, place: &Where) -> Result<(), Fatal> {
    let snapshot = people.snapshot()?;
    let mut rows = Vec::new();
    for domain in snapshot.domains() {
        let of = |address: &Address| address.domain() == Some(&domain.name);
        let accounts = snapshot.accounts().filter(|account| of(&account.address)).count();
        let aliases = snapshot.aliases().filter(|alias| of(&alias.address)).count();
        if place.json {
            output::json(&json!({
                "domain": domain.name,
                "accounts": accounts,
                "aliases": aliases,
                "catch_all": domain.catch_all,
            }));
            continue;
        }
        let catch_all = domain.catch_all.as_ref();
        rows.push(vec![
            domain.name.to_unicode(),
            format!("{accounts} accounts"),
            format!("{aliases} aliases"),
            catch_all.map(|to| format!("others to {to}")).unwrap_or_default(),
        ]);
    }
    output::table(&rows).iter().for_each(|line| output::line(line));
    Ok(())
}
