//! `posthaste dkim`: the keys that sign a domain's letters: makes new ones, shows what each is used
//! for. It changes files in `DATA/keys/dkim/`; a running MTA is told. It publishes nothing: the
//! records go into DNS by the hands of whoever runs it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use disk::RealDisk;
use mta::sign::selectors::{self, Selectors, Use};
use mta::sign::{AskRenew, Renewed};
use protocol::address::Domain;
use protocol::ipc::FaultKind;
use serde_json::json;
use service::{AgentName, Exit, Fatal, Paths};

use crate::cli::ConfigArgs;
use crate::{ask, dns, exit, output};

/// Makes and shows the keys that sign letters.
#[derive(Args, Debug)]
pub(crate) struct DkimArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Makes new keys, which sign as soon as DNS shows them; the old ones stay published
    #[command(after_help = "Example:\n  posthaste dkim rotate example.org")]
    Rotate(DomainArgs),
    /// Lists keys and what is done with each
    #[command(after_help = "Example:\n  posthaste dkim list example.org")]
    List(DomainArgs),
    /// Removes an old key; its record can leave DNS then
    #[command(after_help = "Example:\n  posthaste dkim remove example.org posthaste-rsa-1")]
    Remove(RemoveArgs),
}

#[derive(Args, Debug)]
struct DomainArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The domain
    domain: Domain,
    /// JSON Lines instead of text
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct RemoveArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The domain
    domain: Domain,
    /// The key's name
    selector: String,
}

/// The command.
pub(crate) fn run(args: &DkimArgs) -> ExitCode {
    exit::of(
        "dkim",
        match &args.verb {
            Verb::Rotate(args) => rotate(args),
            Verb::List(args) => list(args),
            Verb::Remove(args) => remove(args),
        },
    )
}

/// The folder of a domain's keys.
fn place(file: &ConfigArgs, domain: &Domain) -> Result<(Paths, PathBuf), Fatal> {
    let config = file.load()?.current();
    let paths = Paths::new(&config.storage.data_dir);
    let folder = selectors::folder(&paths.keys()).join(domain.as_str());
    Ok((paths, folder))
}

fn rotate(args: &DomainArgs) -> Result<Exit, Fatal> {
    let (paths, folder) = place(&args.file, &args.domain)?;
    let mut keys = Selectors::read(&folder);
    if let Some(complaint) = keys.complaints.first() {
        return Err(Fatal::no(complaint.clone()));
    }
    if keys.next().next().is_some() {
        return Err(Fatal::no(format!(
            "new keys of {} are waiting to be published already; see `posthaste dns records {}`",
            args.domain, args.domain
        )));
    }
    let now = net::Clock::real().now();
    let made = keys.add((&RealDisk, &folder), now).map_err(Fatal::no)?;
    keep_owner(&folder)?;
    tell(&paths)?;
    let records: Vec<_> = keys
        .all
        .iter()
        .filter(|one| made.contains(&one.name))
        .map(|one| dns::Record::txt(one.record_name(args.domain.as_str()), one.key.record()))
        .collect();
    if args.json {
        records.iter().for_each(output::json);
        return Ok(exit::DONE);
    }
    output::line("Publish these records; the keys sign as soon as DNS shows them:\n");
    records.iter().for_each(|record| output::line(&record.to_string()));
    output::line(
        "\nThe old keys' records stay until letters that they signed have arrived: a week.",
    );
    Ok(exit::DONE)
}

fn list(args: &DomainArgs) -> Result<Exit, Fatal> {
    let (_, folder) = place(&args.file, &args.domain)?;
    let keys = Selectors::read(&folder);
    let mut rows = Vec::new();
    for one in &keys.all {
        let since = one.since.map(|at| at.to_rfc3339()).unwrap_or_default();
        if args.json {
            output::json(&json!({
                "domain": args.domain,
                "selector": one.name,
                "algorithm": one.key.algorithm().signature(),
                "use": one.used.to_string(),
                "since": since,
            }));
        } else {
            let algorithm = one.key.algorithm().signature().to_owned();
            rows.push(vec![one.name.clone(), algorithm, one.used.to_string(), since]);
        }
    }
    output::table(&rows).iter().for_each(|line| output::line(line));
    keys.complaints.iter().for_each(|complaint| output::complain(complaint));
    Ok(if keys.complaints.is_empty() { exit::DONE } else { exit::NO })
}

fn remove(args: &RemoveArgs) -> Result<Exit, Fatal> {
    let (paths, folder) = place(&args.file, &args.domain)?;
    let mut keys = Selectors::read(&folder);
    let named = keys.all.iter().position(|one| one.name == args.selector);
    let Some(index) = named else {
        return Err(Fatal::no(format!("{} has no key {}", args.domain, args.selector)));
    };
    if keys.all[index].used == Use::Signing {
        return Err(Fatal::no(format!(
            "{} signs letters; make new keys with `posthaste dkim rotate {}` first",
            args.selector, args.domain
        )));
    }
    let removed = keys.all.remove(index);
    let path = folder.join(format!("{}.pem", removed.name));
    std::fs::remove_file(&path).map_err(|error| Fatal::io(&path.display().to_string(), &error))?;
    keys.write(&RealDisk, &folder).map_err(|error| Fatal::no(error.to_string()))?;
    keep_owner(&folder)?;
    tell(&paths)?;
    output::line(&format!("removed {}", removed.name));
    Ok(exit::DONE)
}

/// Files that root makes must be readable for the user the agents run as.
fn keep_owner(folder: &std::path::Path) -> Result<(), Fatal> {
    use std::os::unix::fs::{MetadataExt, chown};
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    let cannot =
        |error| Fatal::io(&format!("cannot keep the owner of {}", folder.display()), &error);
    let above = folder.parent().and_then(std::path::Path::parent).unwrap_or(folder);
    let owner = std::fs::metadata(above).map_err(cannot)?;
    let entries = std::fs::read_dir(folder).map_err(cannot)?.flatten().map(|entry| entry.path());
    for path in entries.chain([folder.to_owned()]) {
        chown(&path, Some(owner.uid()), Some(owner.gid())).map_err(cannot)?;
    }
    Ok(())
}

/// Tells the MTA, if it runs.
fn tell(paths: &Paths) -> Result<(), Fatal> {
    let asking = ask::client(paths, AgentName::Mta);
    let answer: Result<Renewed, _> =
        ask::runtime()?.block_on(async { asking.call(&AskRenew::default(), ask::WAIT).await });
    match answer {
        Ok(renewed) => {
            renewed.complaints.iter().for_each(|complaint| output::complain(complaint));
            Ok(())
        }
        Err(fault) if fault.kind == FaultKind::Unavailable => Ok(()),
        Err(fault) => Err(ask::of_fault(AgentName::Mta, &fault)),
    }
}
