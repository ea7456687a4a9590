//! `posthaste account`: people with a mailbox and a password.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use directory::{Account, Quota};
use protocol::address::{Address, Domain};
use serde_json::json;
use service::{Exit, Fatal, Paths};

use super::password::Source;
use super::{People, Where};
use crate::{exit, output};

/// People with a mailbox and a password.
#[derive(Args, Debug)]
pub(crate) struct AccountArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Adds an account; its folders are made when the first letter or client comes
    #[command(after_help = "Example:\n  \
        posthaste account add carol@example.org -c /srv/mail/posthaste.toml\n  \
        pass show mail/carol | posthaste account add carol@example.org --password-stdin")]
    Add {
        /// The full address
        address: Address,
        #[command(flatten)]
        password: Source,
        #[command(flatten)]
        quota: QuotaArgs,
        #[command(flatten)]
        place: Where,
    },
    /// Lists accounts
    #[command(after_help = "Example:\n  posthaste account list --domain example.org --json")]
    List {
        /// Only those of this domain
        #[arg(long)]
        domain: Option<Domain>,
        #[command(flatten)]
        place: Where,
    },
    /// Changes a password; app passwords of the account end with it
    #[command(after_help = "Example:\n  posthaste account password carol@example.org")]
    Password {
        /// The full address
        address: Address,
        #[command(flatten)]
        password: Source,
        #[command(flatten)]
        place: Where,
    },
    /// Passwords for one device or program each
    #[command(name = "app-password", subcommand)]
    AppPassword(super::app_password::Verb),
    /// Shows or changes how much a mailbox may hold
    #[command(after_help = "Example:\n  posthaste account quota carol@example.org 2GB\n  \
        posthaste account quota carol@example.org --bytes none --letters 100000")]
    Quota {
        /// The full address
        address: Address,
        /// The same as --bytes
        #[arg(value_name = "SIZE", value_parser = size_or_none, conflicts_with = "bytes")]
        size: Option<Bound>,
        #[command(flatten)]
        quota: QuotaArgs,
        #[command(flatten)]
        place: Where,
    },
    /// Removes an account; its letters stay on disk
    #[command(
        after_help = "The letters stay in DATA/mail/DOMAIN/NAME, and an account that is added \
        again under the same name finds them.\n\n\
        Example:\n  posthaste account remove carol@example.org"
    )]
    Remove {
        /// The full address
        address: Address,
        #[command(flatten)]
        place: Where,
    },
}

/// How much a mailbox may hold.
#[derive(Args, Debug, Clone, Default)]
struct QuotaArgs {
    /// Octets, e.g. 500MB or 2GiB; `none` for no limit
    #[arg(long, value_name = "SIZE", value_parser = size_or_none)]
    bytes: Option<Bound>,
    /// Letters; `none` for no limit
    #[arg(long, value_name = "COUNT", value_parser = count_or_none)]
    letters: Option<Bound>,
}

/// A bound, or the word that there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Bound(Option<u64>);

impl QuotaArgs {
    fn apply(&self, quota: Quota) -> Quota {
        Quota {
            bytes: self.bytes.map_or(quota.bytes, |Bound(bound)| bound),
            letters: self.letters.map_or(quota.letters, |Bound(bound)| bound),
        }
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_none() && self.letters.is_none()
    }
}

/// The command.
pub(crate) fn run(args: &AccountArgs) -> ExitCode {
    exit::of("account", verb(&args.verb))
}

fn verb(verb: &Verb) -> Result<Exit, Fatal> {
    match verb {
        Verb::Add { address, password, quota, place } => {
            let people = People::open(place)?;
            let verifier = password.verifier()?;
            let quota = quota.apply(Quota::default());
            let account = Account {
                address: address.clone(),
                quota,
                subaddressing: true,
                gateway_for: Vec::new(),
            };
            people.change(|draft| draft.add_account(account, verifier))?;
            let account = existing(&people, address)?;
            done(place, "added", &account);
            if mail_folder(&people.paths, &account.address).is_some_and(|folder| folder.exists()) {
                output::complain(&format!(
                    "note: letters of an earlier account {} are there and are its letters now",
                    account.address
                ));
            }
        }
        Verb::List { domain, place } => list(&People::open(place)?, place, domain.as_ref())?,
        Verb::Password { address, password, place } => {
            let people = People::open(place)?;
            existing(&people, address)?;
            let verifier = password.verifier()?;
            people.change(|draft| draft.set_password(address, verifier))?;
            done(place, "changed the password of", &existing(&people, address)?);
        }
        Verb::AppPassword(verb) => super::app_password::run(verb)?,
        Verb::Quota { address, size, quota, place } => {
            let people = People::open(place)?;
            let quota = QuotaArgs { bytes: size.or(quota.bytes), letters: quota.letters };
            let account = existing(&people, address)?;
            if !quota.is_empty() {
                let wanted = quota.apply(account.quota);
                people.change(|draft| draft.set_quota(address, wanted))?;
            }
            show(place, &[existing(&people, address)?]);
        }
        Verb::Remove { address, place } => {
            let people = People::open(place)?;
            let removed = people.change(|draft| draft.remove_account(address))?;
            done(place, "removed", &removed);
            if let Some(folder) = mail_folder(&people.paths, &removed.address)
                && folder.exists()
                && !place.json
            {
                output::line(&format!("its letters stay in {}", folder.display()));
            }
        }
    }
    Ok(Exit::Done)
}

pub(super) fn existing(people: &People, address: &Address) -> Result<Account, Fatal> {
    let snapshot = people.snapshot()?;
    let account = snapshot.account(address);
    account.map(|account| account.as_ref().clone()).ok_or_else(|| {
        Fatal::no(format!("there is no account {address}; see `posthaste account list`"))
    })
}

fn list(people: &People, place: &Where, domain: Option<&Domain>) -> Result<(), Fatal> {
    let snapshot = people.snapshot()?;
    let wanted =
        |account: &Account| domain.is_none_or(|domain| account.address.domain() == Some(domain));
    let mut accounts: Vec<Account> =
        snapshot.accounts().map(|account| account.as_ref().clone()).filter(wanted).collect();
    accounts.sort_by_key(|account| {
        (account.address.host().to_string(), account.address.local().as_str().to_owned())
    });
    show(place, &accounts);
    Ok(())
}

fn show(place: &Where, accounts: &[Account]) {
    let bound = |bound: Option<u64>, unit: &str| match bound {
        Some(bound) => format!("{bound} {unit}"),
        None => format!("any {unit}"),
    };
    let row = |account: &Account| {
        vec![
            account.address.to_unicode(),
            bound(account.quota.bytes, "octets"),
            bound(account.quota.letters, "letters"),
        ]
    };
    if place.json {
        accounts.iter().for_each(|account| output::json(&as_json(account)));
    } else {
        let rows: Vec<Vec<String>> = accounts.iter().map(row).collect();
        output::table(&rows).iter().for_each(|line| output::line(line));
    }
}

fn done(place: &Where, what: &str, account: &Account) {
    if place.json {
        output::json(&as_json(account));
    } else {
        output::line(&format!("{what} {}", account.address));
    }
}

fn as_json(account: &Account) -> serde_json::Value {
    json!({
        "address": account.address,
        "quota_bytes": account.quota.bytes,
        "quota_letters": account.quota.letters,
        "subaddressing": account.subaddressing,
    })
}

/// Where the MDA keeps the letters of an account; its business, so only to look at.
fn mail_folder(paths: &Paths, address: &Address) -> Option<std::path::PathBuf> {
    let domain = address.domain()?.as_str();
    Some(paths.mail().join(domain).join(address.local().as_str()))
}

fn size_or_none(text: &str) -> Result<Bound, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    service::config::values::size::parse(text).map(|bound| Bound(Some(bound)))
}

fn count_or_none(text: &str) -> Result<Bound, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    text.parse().map(|bound| Bound(Some(bound))).map_err(|_| "not a number, nor `none`".to_owned())
}
