//! `posthaste account app-password`: passwords for one device or program each, which can be taken
//! away
//! without changing the person's own. Made here, shown once, kept as verifiers.

use clap::Subcommand;
use directory::{APP_USE_FILE, AppPassword, AppUses, PasswordVerifier};
use disk::RealDisk;
use protocol::address::Address;
use serde_json::json;
use service::{Exit, Fatal};

use super::account::existing;
use super::{People, Where, of_change};
use crate::output;

#[derive(Subcommand, Debug)]
pub(super) enum Verb {
    /// Makes one and shows it, once
    #[command(after_help = "It works wherever the account's own password does, by PLAIN or LOGIN \
        (not SCRAM), or only at the services that are named.\n\n\
        Example:\n  posthaste account app-password add carol@example.org phone --service imap \
        --service submission")]
    Add {
        /// The full address
        address: Address,
        /// What the person calls it
        name: String,
        /// Only for this service; may be given more than once
        #[arg(long, value_parser = ["imap", "pop3", "managesieve", "submission"])]
        service: Vec<String>,
        #[command(flatten)]
        place: Where,
    },
    /// Lists names, services and last uses
    #[command(after_help = "Example:\n  posthaste account app-password list carol@example.org")]
    List {
        /// The full address
        address: Address,
        #[command(flatten)]
        place: Where,
    },
    /// Takes one away
    #[command(
        after_help = "Example:\n  posthaste account app-password remove carol@example.org phone"
    )]
    Remove {
        /// The full address
        address: Address,
        /// What it is called
        name: String,
        #[command(flatten)]
        place: Where,
    },
}

/// The verb.
pub(super) fn run(verb: &Verb) -> Result<(), Fatal> {
    match verb {
        Verb::Add { address, name, service, place } => {
            let people = People::open(place)?;
            existing(&people, address)?;
            let secret = generated()?;
            let password = PasswordVerifier::new(&secret)
                .map_err(|error| Fatal::new(Exit::Usage, error.to_string()))?;
            let app = AppPassword { name: name.clone(), services: service.clone(), password };
            people.change(|draft| draft.add_app_password(address, app))?;
            match place.json {
                true => output::json(&json!({
                    "account": address.to_string(), "name": name, "services": service,
                    "password": secret,
                })),
                // It is not shown again: nobody has it after this.
                false => output::line(&secret),
            }
        }
        Verb::List { address, place } => list(&People::open(place)?, address, place)?,
        Verb::Remove { address, name, place } => {
            let people = People::open(place)?;
            people.change(|draft| draft.remove_app_password(address, name))?;
            match place.json {
                true => output::json(&json!({ "removed": name, "account": address.to_string() })),
                false => output::line(&format!("removed the app password {name:?} of {address}")),
            }
        }
    }
    Ok(())
}

fn list(people: &People, address: &Address, place: &Where) -> Result<(), Fatal> {
    let account = existing(people, address)?.address.to_string();
    let found = people.store.change(|draft| draft.app_passwords(address)).map_err(of_change)?;
    let uses = AppUses::load(&RealDisk, &people.paths.state().join(APP_USE_FILE));
    let mut rows = Vec::new();
    for app in found.value {
        let last = uses.last(&account, &app.name).map(protocol::time::Timestamp::to_rfc3339);
        if place.json {
            output::json(&json!({
                "name": app.name, "services": app.services, "last_use": last,
            }));
            continue;
        }
        let services =
            if app.services.is_empty() { "everything".into() } else { app.services.join(" ") };
        rows.push(vec![app.name, services, last.unwrap_or_else(|| "never used".to_owned())]);
    }
    output::table(&rows).iter().for_each(|line| output::line(line));
    Ok(())
}

/// Twenty letters in groups of five: a hundred bits, and nothing that looks like something else.
fn generated() -> Result<String, Fatal> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut octets = [0; 20];
    aws_lc_rs::rand::fill(&mut octets)
        .map_err(|_| Fatal::no("the system has no random numbers".to_owned()))?;
    let letters: Vec<String> = octets
        .chunks(5)
        .map(|group| group.iter().map(|o| char::from(LETTERS[usize::from(o % 32)])).collect())
        .collect();
    Ok(letters.join("-"))
}
