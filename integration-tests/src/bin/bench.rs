//! `integration-tests/bench/run` calls this: which workloads, which peers, how long, and where the
//! figures go. It decides nothing about mail; `integration_tests::bench` does the work.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use integration_tests::bench::job::Job;
use integration_tests::bench::peer::{self, Peer};
use integration_tests::bench::place::Place;
use integration_tests::bench::results::{Results, Row, Side};
use integration_tests::bench::runner::{self, Plan};
use integration_tests::bench::server::{self, Server};
use integration_tests::bench::signed::Signed;
use integration_tests::bench::sink::Sink;
use integration_tests::bench::standard;
use integration_tests::bench::{Way, fill, holding, medium, page, queue, reading, remote};

const HELP: &str = "\
integration-tests/bench/run [OPTION...] WORKLOAD...

Measures Posthaste and a peer in turn (A B A B), prints medians, and keeps them in a file from
which the tables of docs/performance.md are made.

WORKLOAD is one of
  inbound:KIB:SESSIONS[:BOXES][:conn]   letters from anybody, until all can be read
  submission:KIB:SESSIONS[:conn]        letters of a user, after STARTTLS and AUTH
  relay:KIB:SESSIONS[:conn]             letters to elsewhere, until the sink has them
  checked:KIB:SESSIONS                  inbound, SPF, DKIM and DMARC checked, and not
  big:MB:SESSIONS, fan:RECIPIENTS       large letters; letters with many local recipients
  imap:LETTERS                          what people do in a mailbox of so many letters
  hold-smtp:SESSIONS, hold-imap:SESSIONS, passing:MB    memory
  queue:LETTERS                         start and work with so many deferred letters
  limits                                what disk and processors can do at all
(conn: a connection per letter).
--tables: all workloads behind the page's tables, about twenty minutes; what fails is named at the
end and keeps its old figures.

  --peer NAME     postfix, postfix+dovecot, exim, opensmtpd, chasquid; dovecot; none
                  (postfix for letters, dovecot for readers)
  --rounds N      measured runs of each server (3)
  --seconds N     work of one run (2)
  --keep FOLDER   mailboxes of imap: stay there, filled, for the next run
  --fill          only fill the mailboxes of imap: workloads, with --keep
  --results FILE  where figures are kept (integration-tests/bench/results.json)
  --page FILE     write the tables into this page (docs/performance.md has a place for them);
                  without a workload, only that
  --target smtp:ADDRESS:PORT RECIPIENT COUNT
  --target imap:ADDRESS:PORT USER MAILBOX-LETTERS     (password in BENCH_PASSWORD)
                  no servers of ours: a server that runs";

struct Options {
    plan: Plan,
    peer: Option<String>,
    keep: Option<PathBuf>,
    fill_only: bool,
    results: PathBuf,
    page: Option<PathBuf>,
    jobs: Vec<Task>,
}

/// A workload to measure.
struct Task {
    name: String,
    job: Job,
    /// Another peer than for all.
    peer: Option<String>,
    /// Measured runs at most.
    rounds: usize,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.is_empty() || words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = match words.first().map(String::as_str) {
        Some("--target") => remote::measure(&words[1..]),
        _ => options(&words).and_then(|options| run(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("bench: {fault}");
            ExitCode::FAILURE
        }
    }
}

fn options(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        plan: Plan { each: Duration::from_secs(2), rounds: 3 },
        peer: None,
        keep: None,
        fill_only: false,
        results: "integration-tests/bench/results.json".into(),
        page: None,
        jobs: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word}: a value is missing"));
        let number = |text: &String| text.parse().map_err(|_| format!("{text}: not a number"));
        match word.as_str() {
            "--peer" => options.peer = Some(value()?.clone()),
            "--rounds" => options.plan.rounds = number(value()?)?,
            "--seconds" => {
                options.plan.each = Duration::from_secs(number(value()?)? as u64);
            }
            "--keep" => options.keep = Some(value()?.into()),
            "--fill" => options.fill_only = true,
            "--results" => options.results = value()?.into(),
            "--page" => options.page = Some(value()?.into()),
            "--tables" => {
                for line in standard::LINES {
                    let peer = line.peer.map(str::to_owned);
                    options.jobs.push(Task::of(line.workload, peer, line.rounds)?);
                }
            }
            _ => options.jobs.push(Task::of(word, None, usize::MAX)?),
        }
    }
    Ok(options)
}

impl Task {
    fn of(name: &str, peer: Option<String>, rounds: usize) -> Result<Task, String> {
        let job = Job::parse(name).ok_or_else(|| format!("{name}? see --help"))?;
        Ok(Task { name: name.to_owned(), job, peer, rounds })
    }
}

fn run(options: &Options) -> Result<(), String> {
    let mut results = Results::read(&options.results)?;
    let mut faults = Vec::new();
    for task in &options.jobs {
        // A server that does not start panics, as it should in a test.
        let done = catch_unwind(AssertUnwindSafe(|| perform(task, options)));
        match done.unwrap_or_else(|_| Err("it did not start".into())) {
            Ok(None) => {}
            Ok(Some(row)) => {
                results.put(row);
                // At once: what comes later takes nothing with it.
                results.write(&options.results)?;
            }
            Err(fault) => {
                println!("  not measured: {fault}");
                faults.push(format!("{}: {fault}", task.name));
            }
        }
    }
    if let Some(path) = &options.page {
        page::write(path, &results)?;
    }
    if faults.is_empty() { Ok(()) } else { Err(faults.join("\nbench: ")) }
}

/// Measures one workload; `None`: nothing was to be measured.
fn perform(task: &Task, options: &Options) -> Result<Option<Row>, String> {
    let job = &task.job;
    let peer = peer_of(task.peer.as_deref().or(options.peer.as_deref()), job)?;
    println!("{}", job.title());
    let machine = page::machine();
    let plan = Plan { rounds: options.plan.rounds.min(task.rounds), ..options.plan };
    let sides = measure(job, peer, (plan, options))?;
    if options.fill_only {
        return Ok(None);
    }
    for side in &sides {
        println!("  {}: {}", side.server, runner::line(&side.values));
    }
    let beside = match sides.len() {
        2.. => peer.map_or("itself", Peer::name),
        _ => "",
    };
    Ok(Some(Row { id: format!("{}@{beside}", task.name), machine, sides }))
}

/// The peer of a job, if it is to have one and this machine can run it.
fn peer_of(wanted: Option<&str>, job: &Job) -> Result<Option<Peer>, String> {
    let usual = if job.is_reading() { "dovecot" } else { "postfix" };
    let name = wanted.unwrap_or(usual);
    if name == "none" || matches!(job, Job::Limits | Job::Checked(_)) {
        return Ok(None);
    }
    if !peer::is_root() {
        return Err("peers are run by root only; --peer none leaves them out".into());
    }
    Peer::parse(name).map(Some).ok_or_else(|| format!("{name}? see --help"))
}

fn measure(
    job: &Job,
    peer: Option<Peer>,
    (plan, options): (Plan, &Options),
) -> Result<Vec<Side>, String> {
    let rounds = plan.rounds;
    let turns = |servers: &[Server], one: &dyn Fn(&Server) -> Result<_, String>| {
        let runs = servers.iter().map(|server| Ok(Side::median(&server.version, &[one(server)?])));
        runs.collect::<Result<Vec<Side>, String>>()
    };
    match job {
        Job::Flow(way, work) => {
            let sink = Sink::start();
            let servers = servers(*way, &sink, (work.boxes, peer))?;
            runner::compare(&servers, (*way, work), (&sink, plan))
        }
        Job::Checked(work) => {
            let (sink, world) = (Sink::start(), Signed::make(work.size)?);
            let mut plain = server::posthaste(Way::Inbound, sink.address(), temporary()?, 1);
            (plain.letter, plain.version) = (Some(world.letter.clone()), "not checking".into());
            let servers = [server::checking(sink.address(), temporary()?, &world), plain];
            runner::compare(&servers, (Way::Inbound, work), (&sink, plan))
        }
        Job::Reading(letters) => {
            let mut readers = readers(*letters, peer, options.keep.as_deref())?;
            if options.fill_only {
                return Ok(Vec::new());
            }
            let mut runs = vec![Vec::new(); readers.len()];
            for _ in 0..rounds {
                for (server, runs) in readers.iter_mut().zip(&mut runs) {
                    let rows = reading::run(server, *letters)
                        .map_err(|error| format!("{}: {error}", server.name))?;
                    println!("  {}: {}", server.name, runner::line(&rows));
                    runs.push(rows);
                }
            }
            let sides = readers.iter().zip(&runs);
            Ok(sides.map(|(server, runs)| Side::median(&server.version, runs)).collect())
        }
        Job::HoldingSmtp(sessions) => {
            let sink = Sink::start();
            let servers = servers(Way::Inbound, &sink, (1, peer))?;
            turns(&servers, &|server| holding::smtp(server, *sessions))
        }
        Job::HoldingImap(sessions) => {
            let readers = readers(0, peer, None)?;
            turns(&readers, &|server| holding::imap(server, *sessions))
        }
        Job::Passing(mb) => {
            let sink = Sink::start();
            let servers = servers(Way::Inbound, &sink, (1, None))?;
            turns(&servers, &|server| holding::passing(server, *mb))
        }
        Job::Queue(letters) => {
            let server = server::posthaste(Way::Relay, queue::nobody(), temporary()?, 2);
            let figures = queue::run(server, *letters)?;
            Ok(vec![Side::median("Posthaste", &[figures])])
        }
        Job::Limits => {
            let place = std::env::temp_dir();
            let runs =
                (0..rounds).map(|_| medium::limits(&place)).collect::<Result<Vec<_>, _>>()?;
            Ok(vec![Side::median("this machine", &runs)])
        }
    }
}

fn temporary() -> Result<Place, String> {
    Place::temporary("posthaste").map_err(|error| error.to_string())
}

fn servers(
    way: Way,
    sink: &Sink,
    (boxes, peer): (usize, Option<Peer>),
) -> Result<Vec<Server>, String> {
    let mut all = vec![server::posthaste(way, sink.address(), temporary()?, boxes)];
    if let Some(peer) = peer {
        let started = peer.start(way, sink.address());
        all.push(started.map_err(|error| format!("{}: {error}", peer.name()))?);
    }
    Ok(all)
}

/// Servers whose mailboxes hold so many letters, filled where they are not yet.
fn readers(letters: usize, peer: Option<Peer>, keep: Option<&Path>) -> Result<Vec<Server>, String> {
    let place = |name: &str| match keep {
        Some(folder) => Place::kept(folder, name),
        None => Place::temporary(name),
    };
    let failed = |error: std::io::Error| error.to_string();
    let mut all = vec![(None, place("posthaste").map_err(failed)?)];
    if let Some(peer) = peer {
        all.push((Some(peer), place(peer.name()).map_err(failed)?));
    }
    let mut servers = Vec::new();
    for (peer, place) in all {
        let folder = place.path().to_owned();
        let mut server = match peer {
            None => server::posthaste(Way::Inbound, queue::nobody(), place, 10),
            Some(peer) => peer.reader(place).map_err(failed)?,
        };
        fill::mailbox(&mut server, (&folder, peer), letters)?;
        servers.push(server);
    }
    Ok(servers)
}
