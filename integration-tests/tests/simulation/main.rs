//! A deterministic simulation of what must never be lost: the real code of both stores, stepped
//! without threads on disks that lose, tear, fill up and fail, under random people, random letters
//! and random deaths. What it checks is in docs/durability.md.
//!
//! `POSTHASTE_SEEDS=n` runs so many seeds (from `POSTHASTE_FIRST=m` on), `POSTHASTE_SEED=n` one
//! alone, and
//! `POSTHASTE_FULL=1` 2,500 of them. Not here: sockets, protocols, threads; whole processes under
//! `kill -9` are in `tests/system`.

#![allow(clippy::print_stderr)]

mod clients;
mod liar;
mod model;
mod post;
mod random;
mod world;

use std::env;
use std::time::Duration;

use crate::liar::Lie;
use crate::world::{Content, Outcome, Stop, World, wrong};

/// Seeds of a usual run, and of the full one.
const SEEDS: u64 = 150;
const SEEDS_FULL: u64 = 2500;
/// Within so many a planted bug is found.
const SEEDS_OF_A_BUG: u64 = 200;
/// How often everything starts, and how much happens in between.
const LIVES: u64 = 4;
const ROUNDS: u64 = 14;

/// One seed from the empty disk to the last letter.
fn live(seed: u64, lie: Option<Lie>) -> Outcome<World> {
    let mut world = World::new(seed, lie)?;
    for _ in 0..LIVES {
        world.arm();
        let rounds = 1 + world.random.below(ROUNDS);
        for _ in 0..rounds {
            match round(&mut world) {
                Err(Stop::Down) => break,
                other => other?,
            }
        }
        world.die_and_restart()?;
    }
    world.cut_power();
    if let Err(why) = world.start() {
        return wrong(format!("it does not start again: {why}"));
    }
    world.recovered()?;
    // All is well from now on: every letter comes to its end.
    for _ in 0..400 {
        if world.letters()?.is_empty() {
            break;
        }
        world.run_queue()?;
        world.pass(Duration::from_secs(2));
    }
    world.compare(Content::Read)?;
    world.settle_accounts()?;
    world.cut_power();
    if let Err(why) = world.start() {
        return wrong(format!("it does not start again: {why}"));
    }
    world.compare(Content::Read)?;
    world.recovered_queue()?;
    world.settle_accounts()?;
    Ok(world)
}

fn round(world: &mut World) -> Outcome<()> {
    match world.random.below(12) {
        0..=3 => world.clients()?,
        4..=6 => world.incoming()?,
        7 | 8 => world.run_queue()?,
        9 => world.count()?,
        _ => {
            let wait = 1 + world.random.below(12_000);
            world.pass(Duration::from_millis(wait));
        }
    }
    world.write_back();
    if world.random.once_in(2) {
        world.pass(Duration::from_millis(30));
    }
    Ok(())
}

/// What is wrong with a seed, if something is.
fn fault(seed: u64, lie: Option<Lie>) -> Option<String> {
    match live(seed, lie) {
        Ok(_) => None,
        Err(Stop::Wrong(why)) => Some(why),
        Err(Stop::Down) => Some("a store went down without a fault".to_owned()),
    }
}

fn number(name: &str) -> Option<u64> {
    env::var(name).ok()?.parse().ok()
}

#[test]
fn nothing_is_lost() {
    if let Some(seed) = number("POSTHASTE_SEED") {
        assert_eq!(fault(seed, None), None, "seed {seed}");
        return;
    }
    let full = env::var_os("POSTHASTE_FULL").is_some();
    let first = number("POSTHASTE_FIRST").unwrap_or(0);
    let seeds = number("POSTHASTE_SEEDS").unwrap_or(if full { SEEDS_FULL } else { SEEDS });
    for seed in first..first + seeds {
        if let Some(why) = fault(seed, None) {
            panic!("POSTHASTE_SEED={seed} replays this: {why}");
        }
    }
}

#[test]
fn a_seed_does_the_same_each_time() {
    for seed in 0..4 {
        let end = |world: Outcome<World>| match world {
            Ok(world) => Ok((
                world.mail_disk.operations(),
                world.post_disk.operations(),
                world.mail_disk.files(),
                world.post_disk.files(),
            )),
            Err(stop) => Err(format!("{stop:?}")),
        };
        let (first, second) = (end(live(seed, None)), end(live(seed, None)));
        assert!(first == second, "seed {seed} takes another way each time");
        assert!(first.is_ok_and(|end| end.0 > 100 && end.1 > 20), "seed {seed} does little");
    }
}

fn is_found(lie: Lie) {
    let found = (0..SEEDS_OF_A_BUG).find(|seed| fault(*seed, Some(lie)).is_some());
    assert!(found.is_some(), "{lie:?} was not found within {SEEDS_OF_A_BUG} seeds");
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
