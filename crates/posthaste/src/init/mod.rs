//! `posthaste init`: from an empty folder to a mail domain that `up` can run: configuration, data
//! folders, keys, certificate, accounts, and the DNS records to publish.
//!
//! It never changes what is there: run again, it makes what is missing and prints the records
//! again. It asks no server and needs no network. Called by the command line and by `demo`.

mod accounts;
mod keys;
mod layout;

use std::io::{BufRead, IsTerminal, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use protocol::secret::Secret;
use service::{Exit, Fatal};

pub(crate) use crate::dns::Record;

use crate::{dns, exit, output};

/// What to make.
#[derive(clap::Args, Debug, Clone)]
#[command(after_help = "Example:\n  posthaste init /srv/mail --domain example.org --account alice")]
pub(crate) struct InitArgs {
    /// The folder that gets posthaste.toml and data/
    #[arg(value_name = "DIR")]
    pub(crate) folder: PathBuf,
    /// The mail domain
    #[arg(long)]
    pub(crate) domain: String,
    /// The name of this host, as its MX record names it [default: mail.DOMAIN]
    #[arg(long)]
    pub(crate) hostname: Option<String>,
    /// An account, by its bare name or in full; repeatable. The first gets postmaster and abuse
    #[arg(long = "account", value_name = "NAME")]
    pub(crate) accounts: Vec<String>,
    /// Read one password per account from standard input, in order, instead of making them up
    #[arg(long)]
    pub(crate) password_stdin: bool,
    /// The address to listen on [default: all, or 127.0.0.1 with --port-offset]
    #[arg(long, value_name = "ADDR")]
    pub(crate) bind: Option<IpAddr>,
    /// Added to the standard ports 25, 465, 587, 143, 993
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) port_offset: u16,
    /// Do not ask before writing
    #[arg(long)]
    pub(crate) yes: bool,
    /// Report as JSON
    #[arg(long)]
    pub(crate) json: bool,
}

/// What was made, or was there already.
#[derive(serde::Serialize, Debug)]
pub(crate) struct Report {
    /// The configuration.
    pub(crate) config: PathBuf,
    /// Files and accounts that were not there before.
    pub(crate) made: Vec<String>,
    /// Accounts with passwords that were made up: address, password. Shown once.
    #[serde(serialize_with = "reveal")]
    pub(crate) passwords: Vec<(String, Secret<String>)>,
    /// The DNS records to publish.
    pub(crate) records: Vec<Record>,
}

/// The passwords are the answer here: this is the one time they are shown.
fn reveal<S: serde::Serializer>(
    passwords: &[(String, Secret<String>)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(passwords.iter().map(|(name, password)| (name, password.reveal())))
}

/// The command: asks, makes, prints.
pub(crate) fn run(args: &InitArgs) -> ExitCode {
    exit::of("init", ask_and_make(args))
}

fn ask_and_make(args: &InitArgs) -> Result<Exit, Fatal> {
    let passwords = passwords(args)?;
    confirm(args)?;
    let report = make(args, passwords)?;
    if args.json {
        output::json(&report);
    } else {
        output::line(&describe(&args.folder, &report));
    }
    Ok(exit::DONE)
}

/// Makes what is missing. `passwords`: one per account in order, or empty to make them up.
pub(crate) fn make(args: &InitArgs, passwords: Vec<Secret<String>>) -> Result<Report, Fatal> {
    let plan = layout::Plan::new(args)?;
    let mut made = Vec::new();
    plan.folders(&mut made)?;
    plan.configuration(&mut made)?;
    let keys = keys::ensure(&plan, &mut made)?;
    let passwords = accounts::ensure(&plan, passwords, &mut made)?;
    let site = dns::Site {
        domain: plan.domain.to_string(),
        hostname: plan.hostname.to_string(),
        public: plan.bind,
    };
    let records = dns::of(&site, &keys);
    Ok(Report { config: plan.config(), made, passwords, records })
}

/// One line of standard input per account.
fn passwords(args: &InitArgs) -> Result<Vec<Secret<String>>, Fatal> {
    if !args.password_stdin {
        return Ok(Vec::new());
    }
    let mut passwords = Vec::new();
    for line in std::io::stdin().lock().lines().take(args.accounts.len()) {
        let line = line.map_err(|error| Fatal::io("standard input", &error))?;
        passwords.push(Secret::new(line));
    }
    if passwords.len() < args.accounts.len() {
        let (lines, accounts) = (passwords.len(), args.accounts.len());
        let what = format!("{lines} passwords on standard input for {accounts} accounts");
        return Err(Fatal::new(exit::USAGE, what));
    }
    Ok(passwords)
}

/// Asks a person at a terminal before writing into a folder; scripts are not asked.
fn confirm(args: &InitArgs) -> Result<(), Fatal> {
    if args.yes || args.password_stdin || !std::io::stdin().is_terminal() {
        return Ok(());
    }
    let mut err = std::io::stderr();
    let folder = args.folder.display();
    let _ = write!(err, "Make a mail system for {} in {folder}? [y/N] ", args.domain);
    let _ = err.flush();
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    match read {
        Ok(_) if matches!(answer.trim(), "y" | "Y" | "yes") => Ok(()),
        _ => Err(Fatal::new(exit::NO, "nothing was written")),
    }
}

fn describe(folder: &Path, report: &Report) -> String {
    let mut lines = Vec::new();
    let mut say = |line: String| lines.push(line);
    if report.made.is_empty() {
        say(format!("{}: everything is there already; nothing was changed.", folder.display()));
    }
    for made in &report.made {
        say(format!("made {made}"));
    }
    if !report.passwords.is_empty() {
        say("\nPasswords, shown this once:".into());
        for (address, password) in &report.passwords {
            say(format!("  {address}  {}", password.reveal()));
        }
    }
    say("\nDNS records to publish:\n".into());
    for record in &report.records {
        say(record.to_string());
    }
    say(format!(
        "\nNext: posthaste up -c {}\nReverse DNS of the machine's address should name the host.",
        report.config.display()
    ));
    lines.join("\n")
}
