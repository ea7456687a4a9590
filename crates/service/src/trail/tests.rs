//! Tests of writing, reading and following the trail.

use std::time::Duration;

use net::Clock;
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use super::*;

const KEEP: Duration = Duration::from_secs(7 * 86_400);

fn clock() -> Clock {
    Clock::virtual_at(Timestamp::from_seconds(1_795_381_596))
}

fn id(number: u32) -> JourneyId {
    JourneyId::new(Timestamp::from_seconds(1_795_381_596), number)
}

fn kinds(events: &[Recorded]) -> Vec<Kind> {
    events.iter().map(|recorded| recorded.event.kind).collect()
}

#[test]
fn agents_are_merged_by_time_and_found_by_every_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let mta = Trail::open(folder.path(), "mta", &clock, KEEP).expect("open");
    let mda = Trail::open(folder.path(), "mda", &clock, KEEP).expect("open");
    let step = || clock.advance(Duration::from_millis(1));
    let accepted = Event::new(Kind::Accepted, id(1)).from("alice@red.test").message_id("<m@red>");
    mta.record(accepted.bytes(1204));
    step();
    mda.record(Event::new(Kind::Stored, id(1)).to("bob@blue.test").text("INBOX uid 1"));
    step();
    mta.record(Event::new(Kind::Bounced, id(1)).to("nobody@blue.test").outcome(Outcome::Permanent));
    step();
    mta.record(Event::new(Kind::Generated, id(2)).because_of(id(1)).to("alice@red.test"));
    step();
    mda.record(Event::new(Kind::Stored, id(2)).to("alice@red.test"));
    step();
    mta.record(Event::new(Kind::Accepted, id(3)).from("carol@green.test"));
    mta.flush();
    mda.flush();

    use Kind::{Accepted, Bounced, Generated, Stored};
    let whole = [Accepted, Stored, Bounced, Generated, Stored];
    for query in [id(1).to_string().as_str(), "<m@red>", "m@red", "Nobody@blue.test"] {
        let found = find(folder.path(), &Query::of(query)).expect("readable");
        assert_eq!(kinds(&found), whole, "{query}");
    }
    // The bounce leads not back to its letter, but to what became of itself.
    let bounce = find(folder.path(), &Query::of(&id(2).to_string())).expect("readable");
    assert_eq!(kinds(&bounce), [Generated, Stored]);
    assert_eq!(find(folder.path(), &Query::of("dave@red.test")).expect("readable"), []);
    assert_eq!(find(folder.path(), &Query::All).expect("readable").len(), 6);
}

#[test]
fn a_follower_sees_what_is_added_and_no_half_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let trail = Trail::open(folder.path(), "mta", &clock, KEEP).expect("open");
    let mut follower = Follower::new(folder.path(), Query::of("bob@blue.test"));
    assert_eq!(follower.next_batch().expect("readable"), []);
    trail.record(Event::new(Kind::Queued, id(1)).to("bob@blue.test"));
    trail.flush();
    assert_eq!(kinds(&follower.next_batch().expect("readable")), [Kind::Queued]);
    // Later events of a known letter need not name the address again.
    trail.record(Event::new(Kind::Dns, id(1)).text("MX blue.test"));
    trail.flush();
    assert_eq!(kinds(&follower.next_batch().expect("readable")), [Kind::Dns]);

    let path = folder.path().join("2026-11-22.mta.jsonl");
    let text = std::fs::read_to_string(&path).expect("readable");
    let line = text.lines().next().expect("a line");
    let (half, rest) = line.split_at(20);
    std::fs::write(&path, format!("{text}not JSON\n{half}")).expect("written");
    assert_eq!(follower.next_batch().expect("readable"), []);
    std::fs::write(&path, format!("{text}not JSON\n{half}{rest}\n")).expect("written");
    assert_eq!(kinds(&follower.next_batch().expect("readable")), [Kind::Queued]);
}

#[test]
fn days_rotate_and_old_ones_go() {
    let folder = tempfile::tempdir().expect("a folder");
    let clock = clock();
    let trail = Trail::open(folder.path(), "mta", &clock, KEEP).expect("open");
    std::fs::write(folder.path().join("2026-11-22.mda.jsonl"), "").expect("another agent's");
    for _ in 0..10 {
        trail.record(Event::new(Kind::Queued, id(1)));
        trail.flush();
        clock.advance(Duration::from_secs(86_400));
    }
    let mut names: Vec<String> = std::fs::read_dir(folder.path())
        .expect("readable")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(names.first().map(String::as_str), Some("2026-11-22.mda.jsonl"));
    assert_eq!(names.get(1).map(String::as_str), Some("2026-11-24.mta.jsonl"));
    assert_eq!(names.last().map(String::as_str), Some("2026-12-01.mta.jsonl"));
}

#[test]
fn what_others_say_stays_in_one_bounded_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let trail = Trail::open(folder.path(), "mta", &clock(), KEEP).expect("open");
    let said = format!("550 \"no\"\r\n\u{1b}[31m{}", "ü".repeat(5000));
    trail.record(Event::new(Kind::SmtpLine, id(1)).line(Direction::In, said).encrypted());
    drop(trail);
    let text = std::fs::read_to_string(folder.path().join("2026-11-22.mta.jsonl")).expect("text");
    assert_eq!(text.lines().count(), 1);
    assert!(text.len() < 3000);
    let found = find(folder.path(), &Query::All).expect("readable");
    assert!(found[0].event.text.as_deref().is_some_and(|text| text.starts_with("550 \"no\"\r\n")));
}

/// A writer that is stuck must not hold up anybody: detail goes first, and is counted.
#[test]
fn a_slow_disk_costs_detail_and_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let trail = Trail::open(folder.path(), "mta", &clock(), KEEP).expect("open");
    let before = std::time::Instant::now();
    for _ in 0..20_000 {
        let line = Event::new(Kind::SmtpLine, id(1)).line(Direction::Out, "x".repeat(900));
        trail.record(line);
    }
    trail.record(Event::new(Kind::Relayed, id(1)).to("bob@blue.test"));
    assert!(before.elapsed() < Duration::from_secs(10));
    drop(trail);
    let found = find(folder.path(), &Query::All).expect("readable");
    assert!(found.iter().any(|recorded| recorded.event.kind == Kind::Relayed));
    let lines = found.iter().filter(|r| r.event.kind == Kind::SmtpLine).count();
    let dropped: u64 = found.iter().filter_map(|recorded| recorded.event.count).sum();
    assert_eq!(u64::try_from(lines).expect("small") + dropped, 20_000);
}

#[test]
fn the_page_lists_every_kind() {
    let page = include_str!("../../../../docs/journey.md");
    let rows = page.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, Kind::ALL.len());
    for kind in Kind::ALL {
        let detail = if kind.is_detail() { "yes |" } else { "| |" };
        let row = page.lines().find(|line| line.starts_with(&format!("| `{kind}` |")));
        assert!(row.is_some_and(|row| row.ends_with(detail)), "docs/journey.md: {kind}");
        let json = serde_json::to_string(&kind).expect("a word");
        assert_eq!(json, format!("\"{kind}\""));
    }
}
