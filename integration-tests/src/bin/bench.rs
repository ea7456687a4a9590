//! `integration-tests/bench/run` calls this: which servers, which workloads, how long.
//! It decides nothing about mail; `integration_tests::bench` does the work.

#![allow(clippy::print_stdout, clippy::print_stderr)]

use std::process::ExitCode;
use std::time::Duration;

use integration_tests::bench::report::{self, Row};
use integration_tests::bench::runner::{self, Plan};
use integration_tests::bench::server::Server;
use integration_tests::bench::sink::Sink;
use integration_tests::bench::{Reuse, Way, Workload, load, medium, postfix, server};

const HELP: &str = "\
integration-tests/bench/run [OPTION...] [WORKLOAD...]

Measures Posthaste and its peers in turn and prints medians and ratios.

WORKLOAD is WAY:SIZE:SESSIONS[:BOXES][:conn], e.g. inbound:4:10, relay:64:50, inbound:4:10:10:conn
(SIZE in KiB; conn: a connection per letter). Without any: the rows of docs/performance.md.

  --rounds N      measured runs of each server (3)
  --seconds N     work of one run (2)
  --ours          no peers
  --markdown FILE write the tables there too
  --target HOST:PORT RECIPIENT COUNT
                  no servers of ours: COUNT letters to a server that runs, accepted per second";

struct Options {
    plan: Plan,
    peers: bool,
    markdown: Option<String>,
    work: Vec<(Way, Workload)>,
}

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| word == "--help" || word == "-h") {
        println!("{HELP}");
        return ExitCode::SUCCESS;
    }
    let done = match words.first().map(String::as_str) {
        Some("--target") => target(&words[1..]),
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

fn target(words: &[String]) -> Result<(), String> {
    let [server, recipient, count] = words else { return Err(HELP.into()) };
    let letters = count.parse().map_err(|_| HELP)?;
    let server = server.parse().map_err(|error| format!("{server}: {error}"))?;
    for sessions in [1, 10, 50] {
        let work = Workload { letters, sessions, size: 4096, boxes: 1, reuse: Reuse::Session };
        let time = load::send(server, &work, std::slice::from_ref(recipient))?;
        println!("{sessions:3} sessions: {:.0}/s", letters as f64 / time.as_secs_f64());
    }
    Ok(())
}

fn options(words: &[String]) -> Result<Options, String> {
    let mut options = Options {
        plan: Plan { each: Duration::from_secs(2), rounds: 3 },
        peers: true,
        markdown: None,
        work: Vec::new(),
    };
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut value = || words.next().ok_or_else(|| format!("{word}: a value is missing"));
        match word.as_str() {
            "--rounds" => options.plan.rounds = value()?.parse().map_err(|_| HELP)?,
            "--seconds" => {
                options.plan.each = Duration::from_secs(value()?.parse().map_err(|_| HELP)?);
            }
            "--ours" => options.peers = false,
            "--markdown" => options.markdown = Some(value()?.clone()),
            _ => options.work.push(workload(word).ok_or_else(|| format!("{word}?\n{HELP}"))?),
        }
    }
    if options.work.is_empty() {
        options.work = ROWS.iter().filter_map(|row| workload(row)).collect();
    }
    Ok(options)
}

/// The rows of docs/performance.md.
const ROWS: [&str; 9] = [
    "inbound:4:1",
    "inbound:4:10",
    "inbound:4:50",
    "inbound:4:10:10",
    "inbound:4:10:1:conn",
    "inbound:64:10",
    "relay:4:1",
    "relay:4:10",
    "relay:4:50",
];

fn workload(text: &str) -> Option<(Way, Workload)> {
    let (text, reuse) = match text.strip_suffix(":conn") {
        Some(rest) => (rest, Reuse::Nothing),
        None => (text, Reuse::Session),
    };
    let mut parts = text.split(':');
    let way = match parts.next()? {
        "inbound" => Way::Inbound,
        "relay" => Way::Relay,
        _ => return None,
    };
    let mut number = || parts.next()?.parse::<usize>().ok();
    let (size, sessions) = (number()? * 1024, number()?);
    let boxes = number().unwrap_or(1);
    Some((way, Workload { letters: 0, sessions, size, boxes, reuse }))
}

fn run(options: &Options) -> Result<(), String> {
    let machine = report::machine();
    println!("{machine}");
    let place = std::env::temp_dir();
    let disk = || medium::measure(&place).map_err(|error| error.to_string());
    let before = disk()?;
    let mut rows: Vec<Row> = Vec::new();
    for way in [Way::Inbound, Way::Relay] {
        if !options.work.iter().any(|(wanted, _)| *wanted == way) {
            continue;
        }
        let sink = Sink::start();
        let servers = servers(way, &sink, options.peers)?;
        for (_, work) in options.work.iter().filter(|(wanted, _)| *wanted == way) {
            let row = Row { way, work: work.clone(), each: Vec::new() };
            println!("{}", row.title());
            rows.push(runner::compare(&servers, (way, work), (&sink, options.plan))?);
        }
    }
    let mut bare = Vec::new();
    for sessions in [1, 10, 50] {
        let work =
            Workload { letters: 5_000, sessions, size: 4096, boxes: 1, reuse: Reuse::Session };
        bare.push((sessions, runner::bare(&work)?));
    }
    let limits = report::limits(before, disk()?, &bare);
    let text = format!("Machine: {machine}.\n\n{}\n{limits}", report::markdown(&rows));
    println!("\n{text}");
    match &options.markdown {
        Some(file) => std::fs::write(file, text).map_err(|error| format!("{file}: {error}")),
        None => Ok(()),
    }
}

fn servers(way: Way, sink: &Sink, peers: bool) -> Result<Vec<Server>, String> {
    let mut all = vec![server::posthaste(way, sink.address())];
    if peers && postfix::is_here() {
        let peer = postfix::start(way, sink.address());
        all.push(peer.map_err(|error| format!("Postfix: {error}"))?);
    } else if peers {
        eprintln!("skipped: Postfix (apt-get install postfix, and be root)");
    }
    Ok(all)
}
