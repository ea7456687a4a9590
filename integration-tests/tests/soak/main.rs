//! The soak: two domains under load, and `kill -9` of one agent, or of everything of a domain, at
//! random points, again and again. Then: each letter that was answered 250 is there, byte for byte;
//! what IMAP acknowledged holds; no UID ever meant two letters; the ledgers balance.
//!
//! 10 deaths in the short form, 200 with `--full`; `POSTHASTE_KILLS=n` says otherwise, and
//! `POSTHASTE_SEED=n` replays the choices (not the moments: these are real processes).

#![allow(missing_docs, clippy::print_stderr)]

#[allow(dead_code)] // What the tests of single cases need besides.
#[path = "../system/cluster.rs"]
mod cluster;
mod people;
mod post;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::clients::full;
use integration_tests::instance::AGENTS;
use integration_tests::{Instance, Service, wait};

use crate::cluster::{Pair, unstarted_pair};

/// What all threads look at.
#[derive(Default)]
pub(crate) struct Course {
    pub(crate) over: AtomicBool,
    /// Everything that was answered yes, of whatever kind.
    pub(crate) progress: AtomicUsize,
}

impl Course {
    pub(crate) fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    pub(crate) fn step(&self) {
        self.progress.fetch_add(1, Ordering::Relaxed);
    }
}

/// xorshift64*.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap_or(0) % end.max(1)
    }
}

fn number(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// How long a system may take to answer anything yes again after a death.
const BACK: Duration = Duration::from_secs(60);

#[test]
fn nothing_is_lost_however_often_they_die() {
    let kills = number("POSTHASTE_KILLS", if full() { 200 } else { 10 });
    let seed = number("POSTHASTE_SEED", 1) as u64;
    let mut pair: Pair = unstarted_pair(|builder| {
        // Each sends from where its SPF record says: what fails may be filed as junk.
        let source = format!("[\"{}\"]", builder.ip());
        builder
            .set("mta.source_address", source)
            .set("limits.sessions_per_address", "1000")
            .set("limits.errors_per_session", "1000")
            .set("limits.submission_recipients_per_hour", "1000000")
    });
    let Pair { red, blue, .. } = &mut pair;
    red.up();
    blue.up();
    let (inbound, submission) = (blue.at(Service::Smtp), red.at(Service::Submission));
    let reading = blue.at(Service::Imap);
    let course = Course::default();
    let (sent, read) = std::thread::scope(|scope| {
        let course = &course;
        let strangers: Vec<_> =
            (0..2).map(|n| scope.spawn(move || post::stranger(inbound, n, course))).collect();
        let writer = scope.spawn(move || post::writer(submission, course));
        let reader = scope.spawn(move || people::reader(reading, seed, course));
        let slain = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            slay(red, blue, (kills, seed), course);
        }));
        course.over.store(true, Ordering::Relaxed);
        let mut sent = post::Sent::default();
        for stranger in strangers {
            sent.add(stranger.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        sent.add(writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        slain.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        (sent, read)
    });
    let Pair { red, blue, .. } = &pair;
    for instance in [red, blue] {
        wait::within(Duration::from_secs(180), "the queue is empty", || {
            instance.queue().is_empty().then_some(())
        });
    }
    let told = post::compare(red, blue, &sent);
    people::compare(blue, &read);
    red.assert_balanced();
    blue.assert_balanced();
    eprintln!(
        "soak: {kills} deaths, {} letters answered 250, {told}, {} changes by IMAP",
        sent.accepted.len(),
        read.acknowledged
    );
}

/// Kills until there were enough deaths. After each one something must be answered yes again.
fn slay(red: &mut Instance, blue: &mut Instance, (kills, seed): (usize, u64), course: &Course) {
    let mut random = Random::new(seed);
    let mut deaths = BTreeMap::<String, usize>::new();
    let mut done = 0;
    while done < kills {
        // A random point: so many answers after the last one.
        let until = course.progress.load(Ordering::Relaxed) + 1 + random.below(40);
        wait::within(BACK, "mail goes on after a death", || {
            (course.progress.load(Ordering::Relaxed) >= until).then_some(())
        });
        let (name, instance) =
            if random.below(3) == 0 { ("red", &mut *red) } else { ("blue", &mut *blue) };
        let victim = if random.below(12) == 0 {
            instance.kill_all();
            instance.up();
            "all"
        } else {
            let agent = AGENTS[random.below(AGENTS.len())];
            // It may be on its way back still.
            let there = wait::try_within(BACK, || instance.agent(agent));
            assert!(
                there.is_some(),
                "{agent} of {name} does not come back:\n{}",
                instance.log("up")
            );
            instance.kill_below_up(agent);
            agent
        };
        done += 1;
        *deaths.entry(format!("{name} {victim}")).or_default() += 1;
    }
    let until = course.progress.load(Ordering::Relaxed) + 20;
    wait::within(BACK, "mail goes on after the last death", || {
        (course.progress.load(Ordering::Relaxed) >= until).then_some(())
    });
    eprintln!("soak: deaths {deaths:?}");
}
