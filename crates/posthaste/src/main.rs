//! The one executable: every agent as a subcommand, the supervisor `up`, and the admin's verbs.
//! This file is only the table from words to modules; each module has its own arguments and `run`.

mod agents;
mod ask;
mod check;
mod cli;
mod demo;
mod dkim;
mod dns;
mod exit;
mod init;
mod ledger;
mod mail;
mod mailbox;
mod output;
mod people;
mod queue;
mod reload;
mod sieve;
mod status;
mod trace;
mod up;

use std::process::ExitCode;

use clap::Parser;
use clap::error::ErrorKind;

use crate::cli::{Cli, Command};

/// A letter is taken apart in one thread and written and freed in another: glibc's arenas make
/// both wait for one lock. docs/decisions/0021-mimalloc.md.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    net::tls::install_provider();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are answers; everything else is a misunderstanding. A closed
            // standard output leaves nobody to tell.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => exit::DONE.into(),
                _ => exit::USAGE.into(),
            };
        }
    };
    match &cli.command {
        Command::Demo(args) => demo::run(args),
        Command::Init(args) => init::run(args),
        Command::Up(args) => up::run(args),
        Command::Auth(args) => agents::auth(args),
        Command::Msa(args) => agents::msa(args),
        Command::Mta(args) => agents::mta(args),
        Command::Mda(args) => agents::mda(args),
        Command::Status(args) => status::run(args),
        Command::Reload(args) => reload::run(args),
        Command::Check(args) => check::run(args),
        Command::Account(args) => people::account(args),
        Command::Alias(args) => people::alias(args),
        Command::Domain(args) => people::domain(args),
        Command::Mail(args) => mail::run(args),
        Command::Mailbox(args) => mailbox::run(args),
        Command::Sieve(args) => sieve::run(args),
        Command::Dkim(args) => dkim::run(args),
        Command::Dns(args) => dns::run(args),
        Command::Queue(args) => queue::run(args),
        Command::Trace(args) => trace::run(args),
        Command::Ledger(args) => ledger::run(args),
    }
}
