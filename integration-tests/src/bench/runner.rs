//! One run of a flow: load, the wait until every letter has arrived, and what it cost. And the
//! order of runs: each workload on each server in turn, several rounds, medians.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::load::{self, Target};
use super::results::Side;
use super::server::{DOMAIN, PASSWORD, Server};
use super::sink::Sink;
use super::{Way, Workload, usage};
use crate::wait;

/// Octets of the run before the first: processes started, pages read, a rate guessed.
const WARM_UP: usize = 300;
/// Letters of a run at most, whatever the rate.
const MOST: usize = 30_000;
/// From the last reply to the last arrival.
const ARRIVAL: Duration = Duration::from_secs(60);
/// How often memory is looked at during a run: each look costs, with many processes.
const LOOK: Duration = Duration::from_millis(400);

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// Work of one run.
    pub each: Duration,
    /// Measured runs of each server.
    pub rounds: usize,
}

/// Figures of one run by name.
pub type Figures = BTreeMap<String, f64>;

/// Measures a workload on each server in turn.
///
/// # Errors
///
/// What the load generator met, or letters that did not arrive.
pub fn compare(
    servers: &[Server],
    (way, work): (Way, &Workload),
    (sink, plan): (&Sink, Plan),
) -> Result<Vec<Side>, String> {
    let mut sizes = Vec::new();
    // Large letters and many recipients are as much work as many letters.
    let weight = (work.size / 65_536).max(work.fan / 4).max(1);
    let least = (WARM_UP / weight).max(work.sessions * 2).max(4);
    for server in servers {
        let warm = Workload { letters: least, ..work.clone() };
        let figures = one(server, (way, &warm), sink)?;
        let wanted = (figures["accepted/s"] * plan.each.as_secs_f64()) as usize;
        sizes.push(wanted.clamp(least, MOST));
    }
    let mut runs = vec![Vec::new(); servers.len()];
    for _ in 0..plan.rounds {
        for (place, server) in servers.iter().enumerate() {
            let work = Workload { letters: sizes[place], ..work.clone() };
            let figures = one(server, (way, &work), sink)?;
            println!("  {:9} {:5} letters  {}", server.name, work.letters, line(&figures));
            runs[place].push(figures);
        }
    }
    let sides = servers.iter().zip(&runs);
    Ok(sides.map(|(server, runs)| Side::median(&server.version, runs)).collect())
}

/// Figures in a line for the terminal.
pub fn line(figures: &Figures) -> String {
    let each = figures.iter().map(|(name, value)| match value.abs() {
        100.0.. => format!("{name} {value:.0}"),
        1.0.. => format!("{name} {value:.1}"),
        _ => format!("{name} {value:.3}"),
    });
    each.collect::<Vec<_>>().join("  ")
}

fn one(server: &Server, (way, work): (Way, &Workload), sink: &Sink) -> Result<Figures, String> {
    let roots = &server.roots;
    let mut readers = match way {
        Way::Relay => Vec::new(),
        _ => server.readers(work.boxes)?,
    };
    roots.iter().for_each(|&root| usage::settle(root));
    let mut arrived = || match way {
        Way::Relay => sink.taken(),
        _ => server.letters(&mut readers),
    };
    let goal = arrived() + work.letters * work.fan;
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let barriers = usage::Barriers::count(roots, folder.path());
    let before = processor(server);
    let over = AtomicBool::new(false);
    let (accepted, whole, memory) = std::thread::scope(|scope| {
        let peak = scope.spawn(|| peak(roots, &over));
        let begun = Instant::now();
        let accepted = target(server, way).and_then(|to| load::send(&to, work, &server.recipients));
        let goal = accepted.is_ok().then_some(goal);
        let all =
            goal.and_then(|goal| wait::try_within(ARRIVAL, || (arrived() >= goal).then_some(())));
        let whole = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        let memory = peak.join().unwrap_or(0);
        let accepted = accepted.map_err(|error| format!("{}: {error}", server.name))?;
        match all {
            Some(()) => Ok((accepted, whole, memory)),
            None => Err(format!("{}: not all letters arrived", server.name)),
        }
    })?;
    roots.iter().for_each(|&root| usage::settle(root));
    let letters = work.letters as f64;
    let mut figures = Figures::from([
        ("accepted/s".into(), letters / accepted.as_secs_f64()),
        ("arrived/s".into(), letters / whole.as_secs_f64()),
        ("CPU ms".into(), (processor(server) - before) * 1000.0 / letters),
        ("peak MiB".into(), memory as f64 / 1024.0),
    ]);
    if let Some(count) = barriers.and_then(usage::Barriers::end) {
        figures.insert("barriers".into(), count / letters);
    }
    Ok(figures)
}

/// Where letters of a way are given to a server.
fn target(server: &Server, way: Way) -> Result<Target, String> {
    let none = || format!("{} does not take such letters here", server.name);
    match way {
        Way::Submission => {
            let login = Some((format!("box0@{DOMAIN}"), PASSWORD.to_owned()));
            Ok(Target { server: server.submission.ok_or_else(none)?, login, letter: None })
        }
        _ => {
            let server_at = server.smtp.ok_or_else(none)?;
            Ok(Target { letter: server.letter.clone(), ..server_at.into() })
        }
    }
}

fn processor(server: &Server) -> f64 {
    server.roots.iter().map(|&root| usage::processor(root)).sum()
}

/// The most memory of a server until `over`, KiB.
fn peak(roots: &[u32], over: &AtomicBool) -> u64 {
    let mut most = 0;
    while !over.load(Ordering::Relaxed) {
        most = most.max(roots.iter().map(|&root| usage::memory(root)).sum());
        wait::try_within(LOOK, || over.load(Ordering::Relaxed).then_some(()));
    }
    most
}

/// The bare exchange: generator to sink, nothing kept. Letters per second.
///
/// # Errors
///
/// What the load generator met.
pub fn bare(work: &Workload) -> Result<f64, String> {
    let sink = Sink::start();
    let time = load::send(&sink.address().into(), work, &["box0@bench.test".into()])?;
    Ok(work.letters as f64 / time.as_secs_f64())
}
