//! A deterministic simulation of the agents: the real msa, mta and mda in one process, on a network
//! that breaks and disks that lose, with kills at any moment, out of one seed. What it checks is in
//! docs/durability.md; the stores alone, with more depth, are in `tests/simulation`.
//!
//! `POSTHASTE_SEEDS=n` runs so many seeds (from `POSTHASTE_FIRST=m` on), `POSTHASTE_SEED=n` one
//! alone, `POSTHASTE_FULL=1` 2,000; `POSTHASTE_TRACE=1` says what happens, `=all` also what is
//! said on the network. Not here: threads, real sockets and files (`tests/system`), TLS, and the
//! real `auth`, whose password checks are slow on purpose: a doorman stands in for it.

#![allow(clippy::print_stderr)]

mod house;
#[path = "../simulation/liar.rs"]
mod liar;
#[path = "../simulation/model.rs"]
#[expect(dead_code, reason = "the stores are asked for more than the agents")]
mod model;
mod people;
mod promises;
#[path = "../simulation/random.rs"]
mod random;
mod wires;

use std::env;
use std::time::Duration;

use crate::house::{ALL, House};
use crate::liar::Lie;
use crate::promises::{Known, Outcome, Sure, known};

/// Seeds of a usual run, and of the full one.
const SEEDS: u64 = 30;
const SEEDS_FULL: u64 = 2000;
/// Within so many a planted bug is found.
const SEEDS_OF_A_BUG: u64 = 200;
/// How often everything starts, and how much happens in between at most.
const LIVES: u64 = 3;
const ROUNDS: u64 = 7;

/// What a seed came to, for comparison.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct End {
    /// How much passed over the network, and the sum of it.
    events: (u64, u64),
    operations: (u64, u64),
    letters: usize,
    accepted: usize,
    relayed: u64,
}

/// One seed, from empty disks to the last letter.
fn live(seed: u64, lie: Option<Lie>) -> Result<End, String> {
    let mut house = House::new(seed, lie)?;
    let promises = Known::default();
    house.far_away(&promises);
    settle_in(&mut house, &promises)?;
    for _ in 0..LIVES {
        house.arm();
        for _ in 0..=house.random.below(ROUNDS) {
            round(&mut house, &promises);
            if house.is_off() {
                break;
            }
        }
        end_of_life(&mut house)?;
        make_well(&mut house)?;
        house.check(&promises, Sure::Underway)?;
    }
    come_to_rest(&mut house, &promises)?;
    house.check(&promises, Sure::AtRest)?;
    house.cut_power();
    start_all(&mut house)?;
    house.check(&promises, Sure::AtRest)?;
    let known = known(&promises);
    let accepted = known.sent.iter().filter(|sent| sent.outcome == Outcome::Accepted).count();
    Ok(End {
        events: house.net.events(),
        operations: (house.mail_disk.operations(), house.post_disk.operations()),
        letters: known.sent.len(),
        accepted,
        relayed: known.relayed.values().sum(),
    })
}

/// The usual folders are made when an account is first asked for.
fn settle_in(house: &mut House, promises: &Known) -> Result<(), String> {
    let mut seen = house.look(0)?;
    seen.remove("INBOX");
    known(promises).folders.mailboxes =
        seen.keys().map(|name| (name.clone(), Vec::new())).collect();
    house.check(promises, Sure::Underway)
}

fn round(house: &mut House, promises: &Known) {
    house.people(promises);
    let long = if house.random.once_in(3) { 30_000 } else { 1500 };
    let wait = 1 + house.random.below(long);
    house.run(Duration::from_millis(wait));
    house.write_back();
    if house.random.once_in(4) && !house.is_off() {
        let who = *house.random.pick(&ALL);
        house.kill(who);
        if house.random.once_in(2) {
            let away = house.random.below(3000);
            house.run(Duration::from_millis(away));
        }
    }
    // Who watches over the machine starts what is down; a disk that fails may forbid it.
    for who in house.failed() {
        house.kill(who);
    }
    for who in ALL {
        if !house.is_off() && !house.runs(who) {
            let started = house.start(who);
            house.tell(|| format!("{who:?} is started: {started:?}"));
        }
    }
}

/// Some agents die, or the power goes; then all run, on good disks.
fn end_of_life(house: &mut House) -> Result<(), String> {
    if house.is_off() || house.random.once_in(2) {
        house.cut_power();
        if house.random.once_in(4) {
            // The power goes while all that starts.
            let after = house.random.below(80);
            house.mail_disk.cut_power_after(after);
            house.post_disk.cut_power_after(after);
            let _ = start_all(house);
            house.run(Duration::from_millis(after));
            house.cut_power();
        }
    } else {
        for who in ALL {
            if house.random.once_in(2) {
                house.kill(who);
            }
        }
        house.heal();
        for who in house.failed() {
            house.kill(who);
        }
    }
    start_all(house)
}

/// A fault that was armed may strike only now.
fn make_well(house: &mut House) -> Result<(), String> {
    for _ in 0..4 {
        house.run(Duration::from_secs(3));
        let failed = house.failed();
        if !house.is_off() && failed.is_empty() {
            return Ok(());
        }
        failed.into_iter().for_each(|who| house.kill(who));
        if house.is_off() {
            house.cut_power();
        }
        start_all(house)?;
    }
    Err("the machine does not become well".to_owned())
}

fn start_all(house: &mut House) -> Result<(), String> {
    for who in ALL {
        house.start(who).map_err(|why| format!("{who:?} does not start again: {why}"))?;
    }
    Ok(())
}

/// All is well from now on: every letter comes to its end.
fn come_to_rest(house: &mut House, promises: &Known) -> Result<(), String> {
    for _ in 0..200 {
        make_well(house)?;
        house.run(Duration::from_secs(60));
        let idle = known(promises).people == 0;
        if idle && !house.is_off() && house.letters()?.is_empty() {
            return Ok(());
        }
    }
    Err(format!("letters wait for ever: {:?}", house.letters()?.list(|_| true)))
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn agents_keep_what_they_promise() {
    if let Some(seed) = number("POSTHASTE_SEED") {
        let end = live(seed, None);
        assert!(end.is_ok(), "seed {seed}: {end:?}");
        return;
    }
    let full = env::var_os("POSTHASTE_FULL").is_some();
    let first = number("POSTHASTE_FIRST").unwrap_or(0);
    let seeds = number("POSTHASTE_SEEDS").unwrap_or(if full { SEEDS_FULL } else { SEEDS });
    let (mut accepted, mut relayed) = (0, 0);
    for seed in first..first + seeds {
        match live(seed, None) {
            Ok(end) => (accepted, relayed) = (accepted + end.accepted, relayed + end.relayed),
            Err(why) => panic!("POSTHASTE_SEED={seed} replays this: {why}"),
        }
    }
    // A simulation in which nothing happens finds nothing.
    assert!(
        accepted as u64 > seeds && relayed > seeds / 4,
        "{accepted} accepted, {relayed} relayed"
    );
}

#[test]
fn a_seed_takes_the_same_way_each_time() {
    for seed in 0..3 {
        let (first, second) = (live(seed, None), live(seed, None));
        assert!(first == second, "seed {seed}: {first:?}, then {second:?}");
        assert!(first.is_ok_and(|end| end.events.0 > 100), "seed {seed} does little");
    }
}

fn is_found(lie: Lie) {
    let wrong = |seed| live(seed, Some(lie)).err().map(|why| (seed, why));
    let Some((seed, why)) = (0..SEEDS_OF_A_BUG).find_map(wrong) else {
        panic!("{lie:?} was not found within {SEEDS_OF_A_BUG} seeds");
    };
    eprintln!("{lie:?} is found by seed {seed}: {why}");
}

#[test]
fn a_barrier_left_out_is_found() {
    is_found(Lie::NoBarrier);
}

#[test]
fn a_log_reused_before_the_checkpoint_is_found() {
    is_found(Lie::EarlyReuse);
}

#[test]
fn a_uid_shown_before_its_barrier_is_found() {
    is_found(Lie::LateBarrier);
}
