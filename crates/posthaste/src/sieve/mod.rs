//! `posthaste sieve`: try a script over a letter without a server, and look after people's scripts
//! on a running one. What a script means is the crate `sieve`'s; where scripts lie is the MDA's.

mod test;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Subcommand};
use mda::sieve_verbs::{
    ActivateScript, ListScripts, PUT_MOST, PutScript, RemoveScript, ScriptText, ShowScript,
};
use serde::Serialize;
use service::{AgentName, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output;
use crate::people;

/// Tries a Sieve script over a letter; lists, shows and stores people's scripts.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  posthaste sieve test rules.sieve letter.eml --to bob@blue.test"
)]
pub(crate) struct SieveArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand, Debug)]
enum Verb {
    /// Shows what a script would do with a letter, and why
    Test(test::TestArgs),
    /// Looks for faults in a script
    Check(CheckArgs),
    /// Lists the scripts of an account
    List(Whose),
    /// Prints a script; the active one where none is named
    Show(Which),
    /// Stores a script; it is not active by that
    Put(PutArgs),
    /// Makes a script the one that letters go through
    Activate(Named),
    /// Lets letters go through no script
    Deactivate(Whose),
    /// Deletes a script that is not active
    Remove(Named),
}

/// A script to look at.
#[derive(Args, Debug)]
#[command(after_help = "Exit 0 when there is no fault, 1 when there are some.\n\n\
                        Example:\n  posthaste sieve check rules.sieve")]
struct CheckArgs {
    /// The script; - is standard input
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// Faults as JSON Lines
    #[arg(long)]
    json: bool,
}

/// Whose scripts.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste sieve list alice@example.org")]
struct Whose {
    #[command(flatten)]
    file: ConfigArgs,
    /// The account
    #[arg(value_name = "ADDRESS")]
    address: String,
    /// Answers as JSON Lines
    #[arg(long)]
    json: bool,
}

/// A script of an account, or the active one.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste sieve show alice@example.org vacation")]
struct Which {
    #[command(flatten)]
    whose: Whose,
    /// The script's name
    #[arg(value_name = "NAME")]
    name: Option<String>,
}

/// A script of an account.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  posthaste sieve activate alice@example.org vacation")]
struct Named {
    #[command(flatten)]
    whose: Whose,
    /// The script's name
    #[arg(value_name = "NAME")]
    name: String,
}

/// A script to be stored.
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  posthaste sieve put alice@example.org main rules.sieve --activate"
)]
struct PutArgs {
    #[command(flatten)]
    whose: Whose,
    /// The script's name
    #[arg(value_name = "NAME")]
    name: String,
    /// The script; - is standard input
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// Make it the active one
    #[arg(long)]
    activate: bool,
}

/// A fault as an object.
#[derive(Debug, Serialize)]
struct FaultShown {
    line: u32,
    column: u32,
    fault: String,
}

/// The MDA reads and writes a few small files.
const WAIT: Duration = Duration::from_secs(30);

/// The command.
pub(crate) fn run(args: &SieveArgs) -> ExitCode {
    let done = match &args.verb {
        Verb::Test(args) => test::run(args),
        Verb::Check(args) => check(args),
        Verb::List(whose) => list(whose),
        Verb::Show(which) => show(which),
        Verb::Put(args) => put(args),
        Verb::Activate(named) => named.whose.activate(Some(named.name.clone())),
        Verb::Deactivate(whose) => whose.activate(None),
        Verb::Remove(named) => {
            let whose = &named.whose;
            whose.account().and_then(|(paths, account)| {
                let asked = RemoveScript { account, name: named.name.clone() };
                call(&paths, &asked).map(|_| Exit::Done)
            })
        }
    };
    exit::of("sieve", done)
}

fn check(args: &CheckArgs) -> Result<Exit, Fatal> {
    match sieve::compile_text(&read(&args.script)?) {
        Ok(_) => {
            if !args.json {
                output::line("no fault");
            }
            Ok(Exit::Done)
        }
        Err(faults) => {
            show_faults(&faults, args.json);
            Ok(Exit::No)
        }
    }
}

/// Faults, one a line.
fn show_faults(faults: &[sieve::Fault], json: bool) {
    for fault in faults {
        let sieve::Position { line, column } = fault.at;
        match json {
            true => output::json(&FaultShown { line, column, fault: fault.what.clone() }),
            false => output::line(&output::safe(&fault.to_string())),
        }
    }
}

fn list(whose: &Whose) -> Result<Exit, Fatal> {
    let (paths, account) = whose.account()?;
    let answer = call(&paths, &ListScripts { account })?;
    for script in &answer.scripts {
        if whose.json {
            output::json(script);
        } else {
            let mark = if script.active { "active" } else { "" };
            let name = output::safe(&script.name);
            output::line(format!("{name:30} {:>8}  {mark}", script.size).trim_end());
        }
    }
    if answer.scripts.is_empty() && !whose.json {
        output::line("no scripts");
    }
    Ok(Exit::Done)
}

fn show(which: &Which) -> Result<Exit, Fatal> {
    let (paths, account) = which.whose.account()?;
    let asked = ShowScript { account, name: which.name.clone() };
    let client = ask::client(&paths, AgentName::Mda);
    let read = async {
        let mut text = String::new();
        let mut parts = client.stream(&asked, WAIT).await?;
        while let Some(part) = parts.next().await {
            text.push_str(&part?.text);
        }
        Ok(text)
    };
    let text =
        ask::runtime()?.block_on(read).map_err(|fault| ask::of_fault(AgentName::Mda, &fault))?;
    if which.whose.json {
        output::json(&ScriptText { text });
    } else {
        output::line(text.trim_end());
    }
    Ok(Exit::Done)
}

fn put(args: &PutArgs) -> Result<Exit, Fatal> {
    let bytes = read(&args.script)?;
    if let Err(faults) = sieve::compile_text(&bytes) {
        show_faults(&faults, args.whose.json);
        return Ok(Exit::No);
    }
    let (paths, account) = args.whose.account()?;
    // It parsed: it is UTF-8.
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (mut rest, mut before) = (text.as_str(), 0);
    loop {
        let (part, after) = rest.split_at(rest.floor_char_boundary(PUT_MOST));
        let (account, name) = (account.clone(), args.name.clone());
        let text = part.to_owned();
        call(&paths, &PutScript { account, name, text, before, after: after.len() as u64 })?;
        if after.is_empty() {
            break;
        }
        (rest, before) = (after, before + part.len() as u64);
    }
    if args.activate {
        return args.whose.activate(Some(args.name.clone()));
    }
    Ok(Exit::Done)
}

fn call<M: protocol::ipc::Method>(paths: &Paths, asked: &M) -> Result<M::Answer, Fatal> {
    let client = ask::client(paths, AgentName::Mda);
    ask::runtime()?
        .block_on(client.call(asked, WAIT))
        .map_err(|fault| ask::of_fault(AgentName::Mda, &fault))
}

/// A file, or standard input; no larger than a script may be.
fn read(path: &std::path::Path) -> Result<Vec<u8>, Fatal> {
    use std::io::Read as _;
    let most = sieve::limits::SCRIPT_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    let done = if path.as_os_str() == "-" {
        std::io::stdin().lock().take(most).read_to_end(&mut bytes)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(most).read_to_end(&mut bytes))
    };
    done.map_err(|error| Fatal::io(&format!("cannot read {}", path.display()), &error))?;
    Ok(bytes)
}

impl Whose {
    /// The data folder, and the account, which must exist.
    fn account(&self) -> Result<(Paths, String), Fatal> {
        people::existing(&self.file, &self.address)
    }

    fn activate(&self, name: Option<String>) -> Result<Exit, Fatal> {
        let (paths, account) = self.account()?;
        call(&paths, &ActivateScript { account, name })?;
        Ok(Exit::Done)
    }
}
