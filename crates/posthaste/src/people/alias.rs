//! `posthaste alias`: names that stand for other addresses, here or elsewhere.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Expansion, Found, Nowhere};
use protocol::address::Address;
use serde_json::json;
use service::{Exit, Fatal};

use super::{People, Where};
use crate::{exit, output};

/// Names that stand for other addresses.
#[derive(Args, Debug)]
pub(crate) struct AliasArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Adds an alias, or further targets to one that is there
    #[command(after_help = "Example:\n  \
        posthaste alias add info@example.org carol@example.org dave@elsewhere.example")]
    Add {
        /// The name
        alias: Address,
        /// What it stands for: accounts, other aliases, addresses elsewhere
        #[arg(required_unless_present = "include")]
        to: Vec<Address>,
        /// A file below DATA/directory whose addresses it stands for too, one a line
        #[arg(long, value_name = "FILE")]
        include: Option<String>,
        #[command(flatten)]
        place: Where,
    },
    /// Lists aliases
    #[command(after_help = "Example:\n  posthaste alias list --json")]
    List {
        #[command(flatten)]
        place: Where,
    },
    /// Shows where a letter to an address would go, step by step
    #[command(after_help = "Exit 0 when somebody would get it, else 1.\n\n\
        Example:\n  posthaste alias test info@example.org")]
    Test {
        /// Any address
        address: Address,
        #[command(flatten)]
        place: Where,
    },
    /// Removes an alias, or some of its targets
    #[command(after_help = "Example:\n  posthaste alias remove info@example.org\n  \
        posthaste alias remove info@example.org dave@elsewhere.example")]
    Remove {
        /// The name
        alias: Address,
        /// Only these of its targets
        to: Vec<Address>,
        #[command(flatten)]
        place: Where,
    },
}

/// The command.
pub(crate) fn run(args: &AliasArgs) -> ExitCode {
    exit::of("alias", verb(&args.verb))
}

fn verb(verb: &Verb) -> Result<Exit, Fatal> {
    match verb {
        Verb::Add { alias, to, include, place } => {
            let people = People::open(place)?;
            people.change(|draft| {
                if let Some(file) = include {
                    draft.include(alias, file)?;
                }
                if to.is_empty() { Ok(()) } else { draft.add_alias(alias, to) }
            })?;
            done(place, "added", alias);
            Ok(Exit::Done)
        }
        Verb::List { place } => list(&People::open(place)?, place),
        Verb::Test { address, place } => test(&People::open(place)?, place, address),
        Verb::Remove { alias, to, place } => {
            let people = People::open(place)?;
            people.change(|draft| draft.remove_alias(alias, to))?;
            let still = people.snapshot()?.aliases().any(|left| left.address == *alias);
            done(place, if still { "removed targets of" } else { "removed" }, alias);
            Ok(Exit::Done)
        }
    }
}

fn done(place: &Where, what: &str, alias: &Address) {
    if place.json {
        output::json(&json!({ "alias": alias, "done": what }));
    } else {
        output::line(&format!("{what} {alias}"));
    }
}

fn list(people: &People, place: &Where) -> Result<Exit, Fatal> {
    let snapshot = people.snapshot()?;
    let mut aliases: Vec<_> = snapshot.aliases().cloned().collect();
    aliases.sort_by_key(|alias| {
        (alias.address.host().to_string(), alias.address.local().as_str().to_owned())
    });
    let mut rows = Vec::new();
    for alias in aliases {
        if place.json {
            let include = alias.include.as_ref().map(|include| include.file.as_str());
            output::json(&json!({ "address": alias.address, "to": alias.to, "include": include }));
        } else {
            let file = alias.include.iter().map(|include| format!("those in {}", include.file));
            let to: Vec<String> = alias.to.iter().map(Address::to_unicode).chain(file).collect();
            rows.push(vec![alias.address.to_unicode(), to.join(", ")]);
        }
    }
    output::table(&rows).iter().for_each(|line| output::line(line));
    Ok(Exit::Done)
}

/// What is to be said of an address.
struct Finding {
    /// One word for programs.
    kind: &'static str,
    /// One sentence for people.
    said: String,
    mailboxes: Vec<String>,
    outside: Vec<String>,
}

impl Finding {
    fn nobody(kind: &'static str, said: String) -> Self {
        Finding { kind, said, mailboxes: Vec::new(), outside: Vec::new() }
    }
}

fn test(people: &People, place: &Where, address: &Address) -> Result<Exit, Fatal> {
    let snapshot = people.snapshot()?;
    let way = snapshot.way(address);
    let found = finding(address, snapshot.lookup(address));
    let reaches = !found.mailboxes.is_empty() || !found.outside.is_empty();
    if place.json {
        output::json(&json!({
            "address": address,
            "result": found.kind,
            "mailboxes": found.mailboxes,
            "outside": found.outside,
            "way": way.iter().map(|step| json!({
                "depth": step.depth, "address": step.address, "is": step.is.as_str(),
            })).collect::<Vec<_>>(),
        }));
    } else {
        for step in &way {
            output::line(&format!("{}{step}", "  ".repeat(step.depth)));
        }
        output::line(&found.said);
        for mailbox in &found.mailboxes {
            output::line(&format!("  mailbox  {mailbox}"));
        }
        for outside in &found.outside {
            output::line(&format!("  outside  {outside}"));
        }
    }
    Ok(if reaches { Exit::Done } else { Exit::No })
}

fn finding(address: &Address, found: Found) -> Finding {
    match found {
        Found::Account(to) => Finding {
            kind: "account",
            said: match &to.tag {
                Some(tag) => format!("{address} is an account, with the subaddress {tag:?}"),
                None => format!("{address} is an account"),
            },
            mailboxes: vec![to.account.address.to_string()],
            outside: Vec::new(),
        },
        Found::Alias(Expansion { accounts, outside }) => Finding {
            kind: "alias",
            said: format!("{address} stands for {} addresses", accounts.len() + outside.len()),
            mailboxes: accounts.iter().map(|to| to.account.address.to_string()).collect(),
            outside: outside.iter().map(ToString::to_string).collect(),
        },
        Found::Nowhere(why) => {
            let why = match why {
                Nowhere::Loop => "leads only back to itself",
                Nowhere::Dangling => "leads only to names that do not exist",
                Nowhere::TooLarge => "leads to too many addresses",
            };
            Finding::nobody("nowhere", format!("{address} is an alias that {why}"))
        }
        Found::Unknown => Finding::nobody("unknown", format!("{address} does not exist here")),
        Found::NotOurs => {
            let said = format!("{address} is of a domain that is not hosted here");
            Finding::nobody("not-ours", said)
        }
    }
}
