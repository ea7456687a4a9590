//! `posthaste dns`: the records that our domains need, and whether DNS shows them. It changes
//! nothing in DNS.

mod check;
mod records;

use std::process::ExitCode;
use std::sync::Arc;

use clap::{Args, Subcommand};
use directory::Store;
use disk::RealDisk;
use mta::sign::selectors::{self, Selectors};
use protocol::address::Domain;
use service::{Config, Exit, Fatal, Paths};

pub(crate) use records::{Record, Site, of};

use crate::cli::ConfigArgs;
use crate::{exit, output};

/// Shows the DNS records that our domains need, and whether they are there.
#[derive(Args, Debug)]
pub(crate) struct DnsArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Prints the records to publish, as lines of a zone file
    #[command(after_help = "Example:\n  posthaste dns records example.org")]
    Records(DomainArgs),
    /// Asks DNS whether it shows them; exit 1 if not
    #[command(after_help = "Example:\n  posthaste dns check example.org")]
    Check(DomainArgs),
}

#[derive(Args, Debug)]
struct DomainArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The domain; without it, all that are hosted here
    domain: Option<Domain>,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

/// The command.
pub(crate) fn run(args: &DnsArgs) -> ExitCode {
    exit::of(
        "dns",
        match &args.verb {
            Verb::Records(args) => show(args),
            Verb::Check(args) => check(args),
        },
    )
}

fn show(args: &DomainArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    for domain in domains(args, &config)? {
        for record in wanted(&config, &domain) {
            if args.json {
                output::json(&record);
            } else {
                output::line(&record.to_string());
            }
        }
    }
    Ok(exit::DONE)
}

fn check(args: &DomainArgs) -> Result<Exit, Fatal> {
    let config = args.file.load()?.current();
    let mut all = Vec::new();
    for domain in domains(args, &config)? {
        all.extend(wanted(&config, &domain));
    }
    check::run(&config, &all, args.json)
}

/// Those that are asked about.
fn domains(args: &DomainArgs, config: &Config) -> Result<Vec<Domain>, Fatal> {
    if let Some(domain) = &args.domain {
        return Ok(vec![domain.clone()]);
    }
    let paths = Paths::new(&config.storage.data_dir);
    let store = Store::new(Arc::new(RealDisk), paths.directory());
    let snapshot = store.snapshot().map_err(|error| Fatal::no(error.to_string()))?;
    Ok(snapshot.domains().iter().map(|domain| domain.name.clone()).collect())
}

/// Every record of a domain.
fn wanted(config: &Config, domain: &Domain) -> Vec<Record> {
    let keys = selectors::folder(&Paths::new(&config.storage.data_dir).keys());
    let keys = Selectors::read(&keys.join(domain.as_str()));
    let dkim: Vec<Record> = keys
        .all
        .iter()
        .map(|one| Record::txt(one.record_name(domain.as_str()), one.key.record()))
        .collect();
    let public = match config.listen.bind.as_slice() {
        [one] => Some(*one),
        _ => None,
    };
    let site = Site { domain: domain.to_string(), hostname: config.hostname().to_string(), public };
    of(&site, &dkim)
}
