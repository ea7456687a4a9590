//! `posthaste mail account`: the account file of the user agent. Not the accounts of a server of
//! ours: those are `posthaste account`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use mua::Failure;
use mua::account::{Account, Accounts, PasswordSource, Server, ServerKind};
use protocol::address::Address;
use serde_json::json;
use service::Exit;

use crate::output;

/// Accounts of the user agent.
#[derive(Args, Debug)]
pub(super) struct AccountArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Adds an account to the account file
    Add(Box<AddArgs>),
    /// Lists the accounts of the account file
    #[command(after_help = "Example:\n  posthaste mail account list --json")]
    List {
        /// One JSON object per account
        #[arg(long)]
        json: bool,
    },
}

/// Adds an account to the account file.
#[derive(Args, Debug)]
#[command(after_help = "The file is $XDG_CONFIG_HOME/posthaste/accounts.toml. It never holds a \
    password: name a file that only you can read, or a program that prints it; with neither it is \
    asked for.\n\n\
    Servers: imaps://HOST and smtps://HOST begin with TLS, imap://HOST and smtp://HOST use \
    STARTTLS; :PORT may follow.\n\n\
    Example:\n  posthaste mail account add alice@example.org --imap imaps://mail.example.org \\\n    \
    --submission smtps://mail.example.org --password-command 'pass show mail'")]
struct AddArgs {
    /// The address letters come from
    address: Address,
    /// Server to read from
    #[arg(long, value_name = "URL")]
    imap: String,
    /// Server to send through
    #[arg(long, value_name = "URL")]
    submission: String,
    /// Name of the account in the file [default: the local part of the address]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Your name as others see it
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Login name [default: the address]
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// A further address of yours; repeatable
    #[arg(long = "alias", value_name = "ADDRESS")]
    aliases: Vec<Address>,
    /// File whose first line is the password
    #[arg(long, value_name = "FILE", conflicts_with = "password_command")]
    password_file: Option<PathBuf>,
    /// Program, with arguments, whose first line of output is the password
    #[arg(long, value_name = "COMMAND")]
    password_command: Option<String>,
    /// Further certificate authorities to trust, a PEM file
    #[arg(long, value_name = "FILE")]
    extra_ca: Option<PathBuf>,
    /// Folder for copies of sent letters [default: the server's folder for it]
    #[arg(long, value_name = "NAME")]
    sent: Option<String>,
}

/// The command.
pub(super) fn run(args: &AccountArgs) -> Result<Exit, Failure> {
    match &args.verb {
        Verb::Add(args) => add(args),
        Verb::List { json } => list(*json),
    }
}

fn add(args: &AddArgs) -> Result<Exit, Failure> {
    let server = |text: &str, kind| {
        Server::parse(text, kind).map_err(|why| Failure::usage(format!("{text}: {why}")))
    };
    let password = match (&args.password_file, &args.password_command) {
        (Some(path), _) => PasswordSource::File(absolute(path)?),
        (None, Some(command)) => PasswordSource::Command(words(command)?),
        (None, None) => PasswordSource::Prompt,
    };
    let account = Account {
        name: args.name.clone().unwrap_or_else(|| args.address.local().as_str().to_owned()),
        address: args.address.clone(),
        person: args.person.clone(),
        aliases: args.aliases.clone(),
        imap: server(&args.imap, ServerKind::Imap)?,
        submission: server(&args.submission, ServerKind::Submission)?,
        user: args.user.clone().unwrap_or_else(|| args.address.to_string()),
        password,
        extra_ca: args.extra_ca.as_ref().map(absolute).transpose()?,
        sent: args.sent.clone(),
    };
    let path = Accounts::usual_path()?;
    Accounts::add(&path, &account)?;
    output::line(&format!("account {} is in {}", account.name, path.display()));
    Ok(Exit::Done)
}

/// The file is read from anywhere later.
fn absolute(path: &PathBuf) -> Result<PathBuf, Failure> {
    std::path::absolute(path)
        .map_err(|error| Failure::io(format!("cannot use {}", path.display()), &error))
}

/// A command as it would be typed: words, with single or double quotes around spaces. A pipe or a
/// variable is what `sh -c` is for.
fn words(command: &str) -> Result<Vec<String>, Failure> {
    let mut found = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in command.chars() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => found.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(Failure::usage("--password-command: a quote is not closed"));
    }
    found.extend(word);
    if found.is_empty() {
        return Err(Failure::usage("--password-command names no program"));
    }
    Ok(found)
}

fn list(as_json: bool) -> Result<Exit, Failure> {
    let accounts = Accounts::load(&Accounts::usual_path()?)?;
    let default = accounts.choose(None).ok().map(|account| account.name.clone());
    let mut rows = Vec::new();
    for account in &accounts.all {
        let is_default = default.as_deref() == Some(account.name.as_str());
        if as_json {
            output::json(&json!({
                "name": account.name,
                "address": account.address.to_string(),
                "aliases": account.aliases.iter().map(ToString::to_string).collect::<Vec<_>>(),
                "imap": account.imap.to_string(),
                "submission": account.submission.to_string(),
                "user": account.user,
                "default": is_default,
            }));
        } else {
            rows.push(vec![
                if is_default { "*" } else { " " }.to_owned(),
                account.name.clone(),
                account.address.to_string(),
                account.imap.to_string(),
                account.submission.to_string(),
            ]);
        }
    }
    for line in output::table(&rows) {
        output::line(&line);
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn commands_become_words() {
        let read = |text: &str| words(text).unwrap();
        assert_eq!(read("pass show mail"), ["pass", "show", "mail"]);
        assert_eq!(
            read("sh -c 'pass show \"a b\" | head -1' ''"),
            ["sh", "-c", "pass show \"a b\" | head -1", ""]
        );
        assert!(words("sh 'open").is_err() && words("  ").is_err());
    }
}
