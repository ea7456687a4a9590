//! The words of the command line. A command's own arguments stand in its module; here are the list
//! of commands and what several of them share.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use service::config::DEFAULT_PATH;
use service::{ConfigHandle, Fatal, Start};

/// A whole mail system: user, submission, transfer and delivery agents.
#[derive(Parser, Debug)]
#[command(
    name = "posthaste",
    version,
    about,
    max_term_width = 100,
    subcommand_required = true,
    after_help = "Example:\n  posthaste init /srv/mail --domain example.org --account alice\n  \
                  posthaste up -c /srv/mail/posthaste.toml"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be done. Each variant is one line here and one in `main`.
#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Shows the whole way of a letter on this machine, between two domains
    Demo(crate::demo::DemoArgs),
    /// Makes a mail domain: configuration, keys, accounts, DNS records to publish
    Init(crate::init::InitArgs),
    /// Runs all agents in the foreground
    Up(crate::up::UpArgs),
    /// Runs the authentication agent alone, in the foreground
    Auth(AgentArgs),
    /// Runs the submission agent alone, in the foreground
    Msa(AgentArgs),
    /// Runs the transfer agent alone, in the foreground
    Mta(AgentArgs),
    /// Runs the delivery agent alone, in the foreground
    Mda(AgentArgs),
    /// Asks every agent whether it is well
    Status(crate::status::StatusArgs),
    /// Takes the changed configuration and certificates, without dropping a connection
    Reload(crate::reload::ReloadArgs),
    /// Validates the configuration
    Check(crate::check::CheckArgs),
    /// Adds, lists, changes and removes people
    Account(crate::people::AccountArgs),
    /// Adds, lists, tries and removes names that stand for others
    Alias(crate::people::AliasArgs),
    /// Adds, lists and removes domains
    Domain(crate::people::DomainArgs),
    /// Reads and writes mail, as a user
    Mail(crate::mail::MailArgs),
    /// Verifies the letters of an account, or rebuilds its index
    Mailbox(crate::mailbox::MailboxArgs),
    /// Tries rules over a letter, and looks after people's Sieve scripts
    Sieve(crate::sieve::SieveArgs),
    /// Makes and shows the keys that sign letters
    Dkim(crate::dkim::DkimArgs),
    /// Shows the DNS records that our domains need, and whether they are there
    Dns(crate::dns::DnsArgs),
    /// Looks at letters that wait, and does something about them
    Queue(crate::queue::QueueArgs),
    /// Shows the journey of a letter
    Trace(crate::trace::TraceArgs),
    /// Counts every letter: what came in against what became of it
    Ledger(crate::ledger::LedgerArgs),
}

/// Which configuration file.
#[derive(Args, Debug, Clone)]
pub(crate) struct ConfigArgs {
    /// The configuration file
    #[arg(
        short = 'c',
        long = "config",
        value_name = "FILE",
        env = "POSTHASTE_CONFIG",
        default_value = DEFAULT_PATH
    )]
    pub(crate) config: PathBuf,
}

/// The arguments of each agent.
#[derive(Args, Debug, Clone)]
#[command(
    after_help = "Example:\n  posthaste mta -c /srv/mail/posthaste.toml --set log.level=debug"
)]
pub(crate) struct AgentArgs {
    #[command(flatten)]
    pub(crate) file: ConfigArgs,
    /// Overrides a key of the file, e.g. mta.remote_port=2525; repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
}

impl ConfigArgs {
    /// Reads the configuration.
    ///
    /// # Errors
    /// Every fault in it, exit 78.
    pub(crate) fn load(&self) -> Result<ConfigHandle, Fatal> {
        Ok(ConfigHandle::load(&self.config, &[])?)
    }
}

impl AgentArgs {
    /// What an agent is started with.
    pub(crate) fn start(&self) -> Start {
        Start { config: self.file.config.clone(), overrides: self.set.clone() }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn every_command_has_help_with_an_example() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        for sub in command.get_subcommands_mut() {
            let name = sub.get_name().to_owned();
            if sub.get_subcommands().next().is_some() {
                continue;
            }
            let help = sub.render_long_help().to_string();
            assert!(help.contains("Example"), "`posthaste {name} --help` shows no example");
        }
    }
}
