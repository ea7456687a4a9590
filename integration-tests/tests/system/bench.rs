//! The runner of `integration-tests/bench` checks itself on a few letters: generators, sink,
//! counting, results and tables. It promises no figure.

use std::time::Duration;

use integration_tests::bench::load::{self, Target};
use integration_tests::bench::place::Place;
use integration_tests::bench::reading::PageCache;
use integration_tests::bench::results::{Results, Row, Side};
use integration_tests::bench::runner::{self, Plan};
use integration_tests::bench::server::{self, DOMAIN};
use integration_tests::bench::signed::Signed;
use integration_tests::bench::sink::Sink;
use integration_tests::bench::{Reuse, Way, Workload, fill, page, reading, remote};

const MACHINE: &str = "a machine, load 0 before";

fn place() -> Place {
    Place::temporary("posthaste").expect("a folder")
}

#[test]
fn letters_in_and_through_are_counted_and_become_a_table() {
    let mut results = Results::default();
    for (way, name) in [(Way::Inbound, "inbound:4:3"), (Way::Relay, "relay:4:3")] {
        let sink = Sink::start();
        let servers = [server::posthaste(way, sink.address(), place(), 2)];
        let (reuse, size) = (Reuse::Session, 4096);
        let work = Workload { letters: 0, sessions: 3, size, boxes: 2, fan: 1, reuse };
        let plan = Plan { each: Duration::from_millis(100), rounds: 1 };
        let sides = runner::compare(&servers, (way, &work), (&sink, plan)).unwrap();
        assert!(sides[0].values["arrived/s"] > 0.0, "{sides:?}");
        results.put(Row { id: format!("{name}@"), machine: MACHINE.into(), sides });
    }
    let tables = page::tables(&results);
    assert!(tables.contains("| inbound, 4 KiB, 3 sessions | Posthaste"), "{tables}");
    assert!(tables.contains("| relay, 4 KiB, 3 sessions | Posthaste"), "{tables}");
}

#[test]
fn a_server_that_runs_is_measured_by_address_and_port() {
    let sink = Sink::start();
    let server = server::posthaste(Way::Inbound, sink.address(), place(), 1);
    let smtp = server.smtp.expect("it takes mail");
    let rate = remote::letters(smtp, &format!("box0@{DOMAIN}"), (10, 2)).unwrap();
    assert!(rate > 0.0);
    let mut readers = server.readers(1).unwrap();
    assert_eq!(server.letters(&mut readers), 10);
    assert!(remote::measure(&["smtp:nowhere".into(), "a".into(), "1".into()]).is_err());
}

#[test]
fn what_people_do_in_a_mailbox_is_timed_and_becomes_a_table() {
    const LETTERS: usize = 250;
    let sink = Sink::start();
    let server = server::posthaste(Way::Inbound, sink.address(), place(), 1);
    let door = reading::door_of(&server, LETTERS).expect("people read there");
    fill::append(&door, LETTERS).unwrap();
    // Each row checks that its answers are whole: so many letters, so many hits.
    let rows = reading::visit(&door, LETTERS, PageCache::Kept).unwrap();
    let mut results = Results::default();
    let sides = vec![Side::median(&server.version, &[rows])];
    results.put(Row { id: format!("imap:{LETTERS}@"), machine: MACHINE.into(), sides });
    let tables = page::tables(&results);
    for row in ["login", "FLAGS", "ENVELOPE", "SEARCH BODY", "STORE, one by one", "EXPUNGE"] {
        assert!(tables.contains(&format!("| {row} | ")), "{row}: {tables}");
    }
}

#[test]
fn a_signed_letter_of_the_generator_stands_every_check() {
    let (sink, world) = (Sink::start(), Signed::make(4096).unwrap());
    let server = server::checking(sink.address(), place(), &world);
    let target = Target { letter: server.letter.clone(), ..server.smtp.expect("SMTP").into() };
    let (size, reuse) = (4096, Reuse::Nothing);
    let work = Workload { letters: 1, sessions: 1, size, boxes: 1, fan: 1, reuse };
    load::send(&target, &work, &server.recipients).unwrap();
    let mut reader = server.readers(1).unwrap().remove(0);
    reader.command("SELECT INBOX").unwrap();
    let header = reader.command("FETCH 1 BODY[HEADER]").unwrap().start;
    for passed in ["spf=pass", "dkim=pass", "dmarc=pass"] {
        assert!(header.contains(passed), "{passed}: {header}");
    }
}
