//! One letter to ten thousand people: one stored body, grouped by destination, at the rate that is
//! set, with progress that can be seen and a brake that works while it runs.

use std::time::{Duration, Instant};

use integration_tests::receiver::{Manner, Receiver};
use integration_tests::{Instance, Service, clients, wait};
use serde_json::Value;

use crate::cluster::{domain, greeted, letter, plain, stuffed};

const DOMAINS: usize = 10;
const PEOPLE: usize = 1000;

/// People of each domain in the usual run, which is not about how long it takes.
const FEWER: usize = 200;

/// Submits a letter to this many people of each domain, with MAIL and RCPT in one go.
fn submit(here: &Instance, domains: &[String], people: usize) -> String {
    let mut talk = greeted(here, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain("alice@red.test")), "235");
    talk.say("MAIL FROM:<alice@red.test>", "250");
    for domain in domains {
        for chunk in (0..people).collect::<Vec<_>>().chunks(100) {
            let lines = chunk.iter().map(|number| format!("RCPT TO:<p{number}@{domain}>\r\n"));
            talk.raw(lines.collect::<String>().as_bytes());
            chunk.iter().for_each(|_| {
                talk.expect("250");
            });
        }
    }
    talk.say("DATA", "354");
    talk.raw(stuffed(&letter("alice@red.test", "everybody@red.test", "news")).as_bytes());
    let reply = talk.expect("250");
    talk.say("QUIT", "221");
    reply.split_whitespace().nth(2).expect("a journey id").to_owned()
}

fn shown(here: &Instance, id: &str) -> Option<Value> {
    here.json(&["queue", "list"]).into_iter().find(|letter| letter["id"] == id)
}

/// How many recipients are done; `None`: all, and the letter is gone.
fn done(here: &Instance, id: &str) -> Option<u64> {
    let letter = shown(here, id)?;
    Some(letter["total"].as_u64()? - letter["waiting"].as_u64()?)
}

/// The largest memory that an agent has had, in KiB.
fn peak(here: &Instance, agent: &str) -> u64 {
    let id = here.agent(agent).expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("Linux");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("its peak");
    line.split_whitespace().nth(1).and_then(|it| it.parse().ok()).expect("a number")
}

/// An instance whose other domains all live at one receiver.
fn world(rate: &str) -> (Instance, Receiver) {
    let receiver = Receiver::start(Manner { offers: &["8BITMIME"], ..Manner::default() });
    let port = Service::Smtp.port();
    let here = domain("red.test")
        .set("mta.routes", format!("{{\"*\" = \"smtp:{}:{port}\"}}", receiver.ip()))
        .set("mta.rates", rate)
        .set("limits.recipients_per_letter", "10000")
        .set("limits.submission_recipients_per_hour", "100000")
        .start();
    (here, receiver)
}

#[test]
fn ten_thousand_people_get_one_stored_letter() {
    let people = if clients::full() { PEOPLE } else { FEWER };
    let (here, receiver) = world("{}");
    let domains: Vec<String> = (0..DOMAINS).map(|number| format!("d{number}.test")).collect();
    let before = peak(&here, "mta");
    let begun = Instant::now();
    let id = submit(&here, &domains, people);
    let taken = begun.elapsed();
    let stored = here.data().join("queue");
    // Wherever it is at this moment, there is one body of it.
    let files = ["letters", "incoming"].map(|name| {
        let entries = std::fs::read_dir(stored.join(name)).into_iter().flatten().flatten();
        entries.filter(|it| it.path().extension().is_some_and(|it| it == "letter")).count()
    });
    assert!(files.iter().sum::<usize>() <= 1, "{files:?}");
    wait::within(Duration::from_secs(120), "everybody has it", || {
        here.queue().is_empty().then_some(())
    });
    let all = begun.elapsed();
    let letters = receiver.letters();
    assert_eq!(letters.len(), DOMAINS * people / 100, "a hundred at a time");
    let memory = peak(&here, "mta") - before;
    eprintln!("{} recipients: taken in {taken:?}, all in {all:?}, {memory} KiB", DOMAINS * people);
    assert!(memory < 64 * 1024, "{memory} KiB more");
    wait::until("the journey tells of each", || {
        let events = here.json(&["trace", &id]);
        let relayed = events.iter().filter(|event| event["kind"] == "relayed").count();
        (relayed == DOMAINS * people).then_some(())
    });
    here.assert_balanced();
}

#[test]
fn a_letter_to_many_is_slowed_seen_held_and_stopped() {
    // A transaction a second: a thousand people take ten seconds.
    let (here, receiver) = world("{\"slow.test\" = 60}");
    let id = submit(&here, &["slow.test".to_owned()], PEOPLE);
    wait::until("some are done", || done(&here, &id).filter(|done| *done >= 200));
    here.run(&["queue", "hold", &id]).ok();
    let rests = || shown(&here, &id).filter(|letter| letter["active"] == false);
    let held = wait::until("nothing goes on", rests);
    let so_far = done(&here, &id).expect("it is there");
    assert!((200..PEOPLE as u64).contains(&so_far), "{held}");
    assert_eq!(held["states"]["relayed"], so_far, "{held}");
    let said = here.run(&["queue", "show", &id]).ok().out;
    let words = format!("{so_far} of 1,000 recipients are done: {so_far} relayed");
    assert!(said.contains(&words), "{said}");
    // Held: whatever is due, nobody tries it.
    here.run(&["queue", "retry", &id]).ok();
    assert_eq!(done(&here, &id), Some(so_far));
    here.run(&["queue", "release", &id]).ok();
    wait::until("it goes on", || done(&here, &id).filter(|done| *done > so_far));
    // And away with the rest of it, while it runs.
    here.run(&["queue", "remove", &id]).ok();
    assert!(here.queue().is_empty(), "{:?}", here.queue());
    let got = receiver.letters().len();
    assert!((3..PEOPLE / 100).contains(&got), "{got}");
    here.assert_balanced();
}
