//! `posthaste queue`: what waits, why, and what an operator does about it. The running MTA is
//! asked; `list`, `show` and `shape` also work while it is away, by reading its files without
//! changing them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use disk::RealDisk;
use mta::control::{
    AskAct, AskExport, AskImport, AskLetter, AskLetters, AskShape, Batched, Filter, QueueLetter,
    QueueRecipient, Shape, Verb, letters_on_disk, shape_on_disk,
};
use protocol::address::Domain;
use protocol::ipc::{Fault, FaultKind};
use protocol::journey::JourneyId;
use service::{AgentName, Exit, Fatal, Paths};

use crate::ask;
use crate::cli::ConfigArgs;
use crate::exit;
use crate::output::{self, safe};

/// Looks at letters that wait, and does something about them.
#[derive(Args, Debug)]
pub(crate) struct QueueArgs {
    #[command(subcommand)]
    verb: QueueVerb,
}

#[derive(Subcommand, Debug)]
enum QueueVerb {
    /// Lists the letters that wait
    #[command(after_help = "Example:\n  posthaste queue list --to example.org --reason greylisted")]
    List(ListArgs),
    /// Shows one letter with each of its recipients
    #[command(after_help = "Example:\n  posthaste queue show 01k0f9s3m2v7q8ra")]
    Show(ShowArgs),
    /// Tries letters again now
    #[command(after_help = "Example:\n  posthaste queue retry --to example.org")]
    Retry(ActArgs),
    /// Keeps letters back until they are released
    #[command(after_help = "Example:\n  posthaste queue hold 01k0f9s3m2v7q8ra --why suspicious")]
    Hold(ActArgs),
    /// Lets held letters go
    #[command(after_help = "Example:\n  posthaste queue release --held --from alice@example.org")]
    Release(ActArgs),
    /// Gives letters back to their senders, with a report
    #[command(
        after_help = "Example:\n  posthaste queue bounce 01k0f9s3m2v7q8ra --why 'moved away'"
    )]
    Bounce(ActArgs),
    /// Drops letters without a word to anybody
    #[command(after_help = "Example:\n  posthaste queue remove 01k0f9s3m2v7q8ra")]
    Remove(ActArgs),
    /// Writes what waits for a domain into a file of SMTP commands, which takes it over
    #[command(
        after_help = "Example:\n  posthaste queue export far.example.net /media/stick/out.bsmtp"
    )]
    Export(ExportArgs),
    /// Takes the letters of such a file into the queue
    #[command(after_help = "Example:\n  posthaste queue import /media/stick/in.bsmtp")]
    Import(ImportArgs),
    /// Shows how many wait for each domain, by how long they have
    #[command(after_help = "Example:\n  posthaste queue shape")]
    Shape(ShapeArgs),
}

#[derive(Args, Debug)]
struct ListArgs {
    #[command(flatten)]
    file: ConfigArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// One JSON object for each letter
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ExportArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The domain of the recipients
    domain: Domain,
    /// The file, which must not exist
    batch: PathBuf,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ImportArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The file
    batch: PathBuf,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ShowArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// The queue id, as the 250 reply gave it
    id: JourneyId,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ShapeArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ActArgs {
    #[command(flatten)]
    file: ConfigArgs,
    /// Queue ids
    #[arg(value_name = "ID")]
    ids: Vec<JourneyId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// Every letter in the queue
    #[arg(long, conflicts_with_all = ["ids", "from", "to", "reason", "held"])]
    all: bool,
    /// Why, for the journey and for the sender
    #[arg(long, value_name = "TEXT")]
    why: Option<String>,
    /// The outcome as one JSON object
    #[arg(long)]
    json: bool,
}

/// Which letters; all that is given must hold.
#[derive(Args, Debug)]
struct FilterArgs {
    /// Sender, or a part of it; '<>' for reports
    #[arg(long, value_name = "TEXT")]
    from: Option<String>,
    /// Recipient that waits, or a part of it
    #[arg(long, value_name = "TEXT")]
    to: Option<String>,
    /// Class of the last failure, e.g. greylisted, dns, network
    #[arg(long, value_name = "CLASS")]
    reason: Option<String>,
    /// Only held letters
    #[arg(long)]
    held: bool,
}

/// How long the MTA may take to list or change a large queue.
const LONG: Duration = Duration::from_secs(120);

/// The command.
pub(crate) fn run(args: &QueueArgs) -> ExitCode {
    let outcome = match &args.verb {
        QueueVerb::List(args) => list(args),
        QueueVerb::Show(args) => show(args),
        QueueVerb::Shape(args) => shape(args),
        QueueVerb::Export(args) => export(args),
        QueueVerb::Import(args) => import(args),
        QueueVerb::Retry(args) => act(args, Verb::Retry, "tried again"),
        QueueVerb::Hold(args) => act(args, Verb::Hold, "held"),
        QueueVerb::Release(args) => act(args, Verb::Release, "released"),
        QueueVerb::Bounce(args) => act(args, Verb::Bounce, "given back"),
        QueueVerb::Remove(args) => act(args, Verb::Remove, "removed"),
    };
    exit::of("queue", outcome)
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        Filter {
            from: self.from.clone(),
            to: self.to.clone(),
            reason: self.reason.clone(),
            held: self.held.then_some(true),
        }
    }
}

fn list(args: &ListArgs) -> Result<Exit, Fatal> {
    let paths = paths(&args.file)?;
    let filter = args.filter.filter();
    let asked = ask::runtime()?.block_on(async {
        let ask = AskLetters { filter: filter.clone() };
        let mut pages = ask::client(&paths, AgentName::Mta).stream(&ask, LONG).await?;
        let mut letters = Vec::new();
        while let Some(page) = pages.next().await {
            letters.extend(page?.letters);
        }
        Ok::<_, Fault>(letters)
    });
    let letters = or_on_disk(asked, || {
        let mut letters = letters_on_disk(Arc::new(RealDisk), &paths.queue())?;
        letters.retain(|letter| filter.wants_shown(letter));
        Ok(letters)
    })?;
    if args.json {
        letters.iter().for_each(output::json);
        return Ok(Exit::Done);
    }
    for letter in &letters {
        brief(letter);
    }
    let word = if letters.len() == 1 { "letter" } else { "letters" };
    output::line(&format!("{} {word}", letters.len()));
    Ok(Exit::Done)
}

fn show(args: &ShowArgs) -> Result<Exit, Fatal> {
    let paths = paths(&args.file)?;
    let id = args.id;
    let asked = call(&paths, &AskLetter { journey: id });
    let letter = or_on_disk(asked.map(Some), || {
        let letters = letters_on_disk(Arc::new(RealDisk), &paths.queue())?;
        Ok(letters.into_iter().find(|letter| letter.id == id))
    })?;
    let Some(letter) = letter else {
        return Err(Fatal::no(format!(
            "{id} is not in the queue; `posthaste trace {id}` says what became of it"
        )));
    };
    if args.json {
        output::json(&letter);
    } else {
        whole(&letter);
    }
    Ok(Exit::Done)
}

fn export(args: &ExportArgs) -> Result<Exit, Fatal> {
    let file = absolute(&args.batch)?;
    let ask = AskExport { domain: args.domain.clone(), file };
    batched(call(&paths(&args.file)?, &ask), ("written into the file", args.json))
}

fn import(args: &ImportArgs) -> Result<Exit, Fatal> {
    let ask = AskImport { file: absolute(&args.batch)? };
    batched(call(&paths(&args.file)?, &ask), ("taken into the queue", args.json))
}

/// The MTA has a folder of its own.
fn absolute(path: &std::path::Path) -> Result<PathBuf, Fatal> {
    std::path::absolute(path).map_err(|error| Fatal::io(&path.display().to_string(), &error))
}

fn batched(answer: Result<Batched, Fault>, (done, json): (&str, bool)) -> Result<Exit, Fatal> {
    let batched = answer.map_err(|fault| ask::of_fault(AgentName::Mta, &fault))?;
    if json {
        output::json(&batched);
    } else {
        let Batched { letters, recipients, busy } = batched;
        output::line(&format!("{letters} letters for {recipients} recipients {done}"));
        if busy > 0 {
            output::complain(&format!("{busy} letters are being tried at this moment; try again"));
        }
    }
    Ok(if batched.busy > 0 { Exit::TryAgain } else { Exit::Done })
}

fn shape(args: &ShapeArgs) -> Result<Exit, Fatal> {
    let paths = paths(&args.file)?;
    let shape = or_on_disk(call(&paths, &AskShape {}), || {
        let now = net::Clock::real().now();
        shape_on_disk(Arc::new(RealDisk), &paths.queue(), now)
    })?;
    if args.json {
        output::json(&shape);
    } else {
        table(&shape);
    }
    Ok(Exit::Done)
}

fn act(args: &ActArgs, verb: Verb, done: &str) -> Result<Exit, Fatal> {
    let filter = args.filter.filter();
    let filtered = args.all || filter != Filter::default();
    if args.ids.is_empty() && !filtered {
        return Err(Fatal::new(
            Exit::Usage,
            "which letters? Give ids, a filter (--from, --to, --reason, --held), or --all",
        ));
    }
    let paths = paths(&args.file)?;
    let ask = AskAct {
        verb,
        letters: args.ids.clone(),
        filter: filtered.then_some(filter),
        why: args.why.clone(),
    };
    let acted = call(&paths, &ask).map_err(|fault| ask::of_fault(AgentName::Mta, &fault))?;
    if args.json {
        output::json(&acted);
    } else {
        let word = if acted.done == 1 { "letter" } else { "letters" };
        output::line(&format!("{} {word} {done}", acted.done));
        for id in &acted.unknown {
            output::complain(&format!("{id} is not in the queue; try `posthaste trace {id}`"));
        }
        for id in &acted.busy {
            output::complain(&format!("{id} is being tried at this moment; ask again in a minute"));
        }
    }
    let whole = acted.unknown.is_empty() && acted.busy.is_empty();
    Ok(if whole { Exit::Done } else { Exit::No })
}

fn paths(file: &ConfigArgs) -> Result<Paths, Fatal> {
    Ok(Paths::new(&file.load()?.current().storage.data_dir))
}

fn call<M: protocol::ipc::Method>(paths: &Paths, ask: &M) -> Result<M::Answer, Fault> {
    let unavailable = |fatal: Fatal| Fault::new(FaultKind::Internal, fatal.to_string());
    let runtime = ask::runtime().map_err(unavailable)?;
    runtime.block_on(ask::client(paths, AgentName::Mta).call(ask, LONG))
}

/// What the MTA answered, or what its files say when it is away.
fn or_on_disk<T>(
    asked: Result<T, Fault>,
    look: impl FnOnce() -> disk::Result<T>,
) -> Result<T, Fatal> {
    match asked {
        Ok(answer) => Ok(answer),
        Err(fault) if fault.kind == FaultKind::Unavailable => look().map_err(|error| {
            let exit = match error.kind() {
                disk::ErrorKind::Denied => Exit::NotAllowed,
                _ => Exit::No,
            };
            Fatal::new(exit, format!("the MTA is away, and its queue cannot be read: {error}"))
        }),
        Err(fault) => Err(ask::of_fault(AgentName::Mta, &fault)),
    }
}

fn brief(letter: &QueueLetter) {
    let more = match letter.waiting.saturating_sub(1) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let to = letter.recipients.first().map_or("", |recipient| recipient.to.as_str());
    let from = &letter.from;
    output::line(&safe(&format!("{}  {}  {from} -> {to}{more}", letter.id, letter.arrived)));
    if letter.waiting < letter.total {
        output::line(&safe(&format!("    {}", progress(letter))));
    }
    if let Some(why) = &letter.held {
        output::line(&safe(&format!("    held: {why}")));
    } else if letter.active {
        output::line("    being tried now");
    } else if let Some(first) = letter.recipients.first() {
        output::line(&safe(&format!("    {}", waits(first))));
    }
}

/// `6,200 of 10,000 recipients are done: 6,198 relayed, 2 bounced`.
fn progress(letter: &QueueLetter) -> String {
    let done = letter.total.saturating_sub(letter.waiting);
    let ended = letter.states.iter().filter(|(state, _)| *state != "waiting");
    let ended: Vec<String> =
        ended.map(|(state, count)| format!("{} {state}", grouped(*count))).collect();
    let (done, total) = (grouped(done), grouped(letter.total));
    format!("{done} of {total} recipients are done: {}", ended.join(", "))
}

/// A number with its thousands set apart.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn waits(recipient: &QueueRecipient) -> String {
    let next = recipient.next.as_deref().map(|next| format!("next attempt {next}"));
    let next = next.unwrap_or_else(|| recipient.state.clone());
    if recipient.attempts == 0 {
        return next;
    }
    let host = match recipient.host.as_str() {
        "" => String::new(),
        host => format!("{host}: "),
    };
    let tried = if recipient.attempts == 1 { "once" } else { "times" };
    let tried = match recipient.attempts {
        1 => tried.to_owned(),
        attempts => format!("{attempts} {tried}"),
    };
    let class = match recipient.reason.as_str() {
        "" => String::new(),
        reason => format!(" ({reason})"),
    };
    format!("{next}; tried {tried}{class}: {host}{}", recipient.said)
}

fn whole(letter: &QueueLetter) {
    let mut rows = vec![
        ("id", letter.id.to_string()),
        ("from", letter.from.clone()),
        ("arrived", letter.arrived.clone()),
        ("expires", letter.expires.clone()),
        ("size", format!("{} bytes", letter.size)),
        ("bytes are", letter.place.clone()),
    ];
    if letter.waiting < letter.total {
        rows.push(("progress", progress(letter)));
    }
    if let Some(cause) = letter.cause {
        rows.push(("because of", cause.to_string()));
    }
    if let Some(why) = &letter.held {
        rows.push(("held", why.clone()));
    }
    if letter.active {
        rows.push(("now", "being tried".to_owned()));
    }
    if letter.delay_told {
        rows.push(("told", "the sender knows that it is late".to_owned()));
    }
    for (key, value) in rows {
        output::line(&safe(&format!("{key:<11}{value}")));
    }
    for recipient in &letter.recipients {
        output::line(&safe(&format!("to         {}", recipient.to)));
        output::line(&safe(&format!("           {}", waits(recipient))));
    }
    let more = letter.total.saturating_sub(letter.recipients.len());
    if more > 0 {
        output::line(&format!("           and {more} more recipients"));
    }
}

fn table(shape: &Shape) {
    let head = ["domain", "waiting", "held", "<5m", "<1h", "<6h", "<1d", "<3d", "older", "mostly"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for row in &shape.rows {
        let mut cells = vec![safe(&row.domain), row.waiting.to_string(), row.held.to_string()];
        cells.extend(row.ages.iter().map(u64::to_string));
        cells.push(safe(&row.reason));
        rows.push(cells);
    }
    output::table(&rows).iter().for_each(|line| output::line(line));
    let word = if shape.letters == 1 { "letter" } else { "letters" };
    output::line(&format!("{} {word}", shape.letters));
}

#[cfg(test)]
mod tests {
    use super::grouped;

    #[test]
    fn thousands_are_set_apart() {
        let cases = [(0, "0"), (999, "999"), (6200, "6,200"), (1_234_567, "1,234,567")];
        cases.into_iter().for_each(|(number, text)| assert_eq!(grouped(number), text));
    }
}
