//! `posthaste sieve test SCRIPT LETTER`: what a script would do with a letter, and why: each test
//! with its answer, each action, with its line. Nothing is stored, sent or remembered.

use std::path::PathBuf;

use clap::Args;
use message::date::DateTime;
use serde::Serialize;
use service::{Exit, Fatal};
use sieve::{Act, Action, Explain, Facts, Outcome, Shelf, Stamp, World};

use super::{read, show_faults};
use crate::output;

/// A script and a letter.
#[derive(Args, Debug)]
#[command(
    after_help = "Exit 0 when the script ran, 1 when it has a fault. Where the envelope is not \
                        given, it is taken from the letter.\n\n\
                        Example:\n  posthaste sieve test rules.sieve letter.eml \
                        --from tim@example.com --to bob+lists@blue.test"
)]
pub(crate) struct TestArgs {
    /// The script; - is standard input
    #[arg(value_name = "SCRIPT")]
    script: PathBuf,
    /// The letter
    #[arg(value_name = "LETTER")]
    letter: PathBuf,
    /// The sender in the envelope; <> is the null one
    #[arg(long, value_name = "ADDRESS")]
    from: Option<String>,
    /// The recipient in the envelope
    #[arg(long, value_name = "ADDRESS")]
    to: Option<String>,
    /// A mailbox that exists, besides INBOX; repeatable
    #[arg(long = "mailbox", value_name = "NAME")]
    mailboxes: Vec<String>,
    /// A folder with the scripts that may be included
    #[arg(long, value_name = "DIR")]
    scripts: Option<PathBuf>,
    /// How likely it is that the letter is spam, 0 to 100
    #[arg(long, value_name = "PERCENT", value_parser = clap::value_parser!(u8).range(0..=100))]
    spam: Option<u8>,
    /// Print letters that would be stored changed, and answers that would be sent
    #[arg(long)]
    letters: bool,
    /// Everything as JSON Lines
    #[arg(long)]
    json: bool,
}

/// A step or an action as an object.
#[derive(Debug, Serialize)]
struct Shown {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    script: Option<String>,
    what: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    letter: Option<String>,
}

/// The world of a trial: nothing was ever seen.
struct Trial<'a> {
    args: &'a TestArgs,
}

impl World for Trial<'_> {
    fn mailbox_exists(&self, name: &str) -> bool {
        name.eq_ignore_ascii_case("INBOX") || self.args.mailboxes.iter().any(|known| known == name)
    }

    fn special_use_exists(&self, _: Option<&str>, _: &str) -> bool {
        false
    }

    fn script(&self, shelf: Shelf, name: &str) -> Option<String> {
        let is_plain = !name.contains(['/', '\\']) && !name.starts_with('.');
        let folder = self.args.scripts.as_ref().filter(|_| is_plain && shelf == Shelf::Personal)?;
        let text = read(&folder.join(format!("{name}.sieve"))).ok()?;
        String::from_utf8(text).ok()
    }

    fn is_duplicate(&self, _: &str) -> bool {
        false
    }

    fn environment(&self, item: &str) -> Option<String> {
        let known = match item {
            "name" => "Posthaste",
            "version" => env!("CARGO_PKG_VERSION"),
            "location" => "MDA",
            "phase" => "during",
            _ => return None,
        };
        Some(known.to_owned())
    }
}

pub(super) fn run(args: &TestArgs) -> Result<Exit, Fatal> {
    let program = match sieve::compile_text(&read(&args.script)?) {
        Ok(program) => program,
        Err(faults) => {
            show_faults(&faults, args.json);
            return Ok(Exit::No);
        }
    };
    let letter = std::fs::read(&args.letter)
        .map_err(|error| Fatal::io(&format!("cannot read {}", args.letter.display()), &error))?;
    let letter = message::line_ends::to_crlf(&letter);
    let facts = facts(args, &letter);
    let outcome = sieve::run(&program, &letter, (&facts, &Trial { args }), Explain::Yes);
    if !args.json {
        output::line(&format!("from <{}> to <{}>", facts.sender, facts.recipient));
    }
    for step in &outcome.explanation {
        let (line, column) = (Some(step.at.line), Some(step.at.column));
        let (script, what) = (step.script.clone(), step.what.clone());
        show(args, &Shown { kind: "step", line, column, script, what, letter: None });
    }
    show_actions(args, (&outcome, &facts));
    Ok(if outcome.fault.is_some() { Exit::No } else { Exit::Done })
}

fn show_actions(args: &TestArgs, (outcome, facts): (&Outcome, &Facts)) {
    for action in &outcome.actions {
        let shown = Shown {
            kind: "action",
            line: action.at.map(|at| at.line),
            column: action.at.map(|at| at.column),
            script: None,
            what: words(action),
            letter: if args.letters { letter_of(action, facts) } else { None },
        };
        show(args, &shown);
    }
    if let Some(fault) = &outcome.fault {
        let (line, column) = (Some(fault.at.line), Some(fault.at.column));
        let what = fault.what.clone();
        show(args, &Shown { kind: "fault", line, column, script: None, what, letter: None });
    }
}

fn show(args: &TestArgs, shown: &Shown) {
    if args.json {
        output::json(shown);
        return;
    }
    let place = match (shown.line, &shown.script) {
        (Some(line), Some(script)) => format!("{script}:{line}"),
        (Some(line), None) => format!("line {line}"),
        (None, _) => "implicit".to_owned(),
    };
    let mark = match shown.kind {
        "action" => "=> ",
        "fault" => "!! ",
        _ => "   ",
    };
    output::line(&format!("{mark}{place}: {}", output::safe(&shown.what)));
    for line in shown.letter.iter().flat_map(|letter| letter.lines()) {
        output::line(&format!("   | {}", output::safe(line)));
    }
}

fn words(action: &Action) -> String {
    let changed = if action.letter.is_some() { ", as changed by the script" } else { "" };
    let with = |flags: &[String]| match flags.is_empty() {
        true => String::new(),
        false => format!(" with {}", flags.join(" ")),
    };
    let text = match &action.what {
        Act::Keep { flags } => format!("keep in INBOX{}", with(flags)),
        Act::FileInto(filing) => {
            let create = if filing.create { ", made if need be" } else { "" };
            format!("file into {:?}{}{create}", filing.mailbox, with(&filing.flags))
        }
        Act::Redirect { address } => format!("redirect to {address}"),
        Act::Discard => "discard".to_owned(),
        Act::Reject { reason, .. } => format!("reject: {reason}"),
        Act::Vacation(answer) => format!(
            "answer {} with the subject {:?}, not again within {} s",
            answer.to, answer.subject, answer.seconds
        ),
        Act::Notify(notice) => format!("notify {}: {}", notice.to.join(", "), notice.subject),
    };
    text + changed
}

/// The letter that is stored changed, or made.
fn letter_of(action: &Action, facts: &Facts) -> Option<String> {
    let stamp = Stamp { owner: &facts.recipient, message_id: "<made@here>", date: facts.now };
    let letter = match &action.what {
        Act::Vacation(answer) => answer.to_letter(&stamp),
        Act::Notify(notice) => notice.to_letter(&stamp),
        _ => action.letter.clone()?,
    };
    Some(String::from_utf8_lossy(&letter).into_owned())
}

/// The envelope as given, else as the letter has it.
fn facts(args: &TestArgs, letter: &[u8]) -> Facts {
    let first = |names: &[&str]| {
        let values = names.iter().filter_map(|name| message::header::value(letter, name));
        let mut found = values.flat_map(|value| message::values::addresses(&value));
        found.next().map(|found| found.address)
    };
    let bare = |address: &String| address.trim_matches(['<', '>']).to_owned();
    let sender = args.from.as_ref().map(bare).or_else(|| first(&["Return-Path", "From"]));
    let recipient = args.to.as_ref().map(bare).or_else(|| first(&["Delivered-To", "To"]));
    let recipient = recipient.unwrap_or_else(|| "owner@localhost".to_owned());
    // The owner is who the detail is taken off.
    let owner = match recipient.rsplit_once('@') {
        Some((local, domain)) => {
            let user = local.split_once(SEPARATOR).map_or(local, |(user, _)| user);
            format!("{user}@{domain}")
        }
        None => recipient.clone(),
    };
    Facts {
        sender: sender.unwrap_or_default(),
        recipient,
        now: DateTime::utc(net::Clock::real().now()),
        delimiter: SEPARATOR,
        owner: vec![owner],
        spam: args.spam,
        virus: None,
    }
}

const SEPARATOR: char = directory::limits::SUBADDRESS_SEPARATOR;
