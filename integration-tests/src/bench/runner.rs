//! One run: load, the wait until every letter has arrived, and what it cost. And the order of runs:
//! each workload on each server in turn, several rounds, medians.

use std::time::{Duration, Instant};

use super::report::{Figures, Row};
use super::server::Server;
use super::sink::Sink;
use super::{Way, Workload, load, usage};
use crate::wait;

/// Letters of the run before the first: processes started, pages read, a rate guessed.
const WARM_UP: usize = 300;
/// Letters of a run at most, whatever the rate.
const MOST: usize = 12_000;
/// From the last reply to the last arrival.
const ARRIVAL: Duration = Duration::from_secs(60);

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Work of one run.
    pub each: Duration,
    /// Measured runs of each server.
    pub rounds: usize,
}

/// Measures a workload on each server in turn.
///
/// # Errors
///
/// What the load generator met, or letters that did not arrive.
pub fn compare(
    servers: &[Server],
    (way, work): (Way, &Workload),
    (sink, plan): (&Sink, Plan),
) -> Result<Row, String> {
    let mut sizes = Vec::new();
    for server in servers {
        let warm = Workload { letters: WARM_UP, ..work.clone() };
        let figures = one(server, (way, &warm), sink)?;
        let wanted = (figures.accepted * plan.each.as_secs_f64()) as usize;
        sizes.push(wanted.clamp(WARM_UP, MOST));
    }
    let mut runs = vec![Vec::new(); servers.len()];
    for _ in 0..plan.rounds {
        for (place, server) in servers.iter().enumerate() {
            let work = Workload { letters: sizes[place], ..work.clone() };
            let figures = one(server, (way, &work), sink)?;
            println!("  {:9} {:5} letters  {figures}", server.name, work.letters);
            runs[place].push(figures);
        }
    }
    let each = servers.iter().zip(&runs).map(|(server, runs)| (server.name, Figures::median(runs)));
    Ok(Row { way, work: work.clone(), each: each.collect() })
}

fn one(server: &Server, (way, work): (Way, &Workload), sink: &Sink) -> Result<Figures, String> {
    usage::settle(server.root);
    let arrived = || match way {
        Way::Inbound => server.letters(),
        Way::Relay => sink.taken(),
    };
    let goal = arrived() + work.letters;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let barriers = usage::Barriers::count(server.root, folder.path());
    let before = usage::processor(server.root);
    let begun = Instant::now();
    let accepted = load::send(server.smtp, work, &server.recipients)
        .map_err(|error| format!("{}: {error}", server.name))?;
    let all = wait::try_within(ARRIVAL, || (arrived() >= goal).then_some(()));
    if all.is_none() {
        return Err(format!("{}: {} letters did not arrive", server.name, goal - arrived()));
    }
    let whole = begun.elapsed();
    let memory = usage::memory(server.root);
    usage::settle(server.root);
    let letters = work.letters as f64;
    Ok(Figures {
        accepted: letters / accepted.as_secs_f64(),
        rate: letters / whole.as_secs_f64(),
        processor: (usage::processor(server.root) - before) * 1000.0 / letters,
        barriers: barriers.and_then(usage::Barriers::end).map(|count| count / letters),
        memory: memory as f64 / 1024.0,
    })
}

/// The bare exchange: generator to sink, nothing kept. Letters per second.
///
/// # Errors
///
/// What the load generator met.
pub fn bare(work: &Workload) -> Result<f64, String> {
    let sink = Sink::start();
    let time = load::send(sink.address(), work, &["box0@bench.test".into()])?;
    Ok(work.letters as f64 / time.as_secs_f64())
}
