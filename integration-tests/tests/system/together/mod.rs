//! Several mail programs at work on one account at once, at random: each keeps its own view of a
//! mailbox from what the server tells it and from nothing else, and at quiet points that view must
//! be what a fresh session sees. Fifteen seconds, ten minutes with `--full`.

mod client;

use std::collections::BTreeMap;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use integration_tests::clients;
use integration_tests::{Conversation, Instance, Service};

use crate::cluster::{PASSWORD, domain};
use client::{Client, Kind};

/// Those who take part: each kind twice.
const CLIENTS: usize = 8;

/// What each does between two quiet points.
const STEPS: usize = 40;

/// Nobody waits longer for the others: one of them has failed then.
const PATIENCE: Duration = Duration::from_secs(120);

#[test]
fn nobody_sees_anything_that_is_not_there() {
    let here = domain("example.test").set("limits.sessions_per_address", "200").start();
    let length = if clients::full() { Duration::from_secs(600) } else { Duration::from_secs(15) };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos();
    let seed = std::env::var("POSTHASTE_SEED").ok().and_then(|text| text.parse().ok());
    let seed = seed.unwrap_or(now as u64);
    eprintln!("POSTHASTE_SEED={seed}");
    let mut first = session(&here);
    first.imap("a", "CREATE Work");
    let meeting = Meeting { places: Mutex::default(), moved: Condvar::new() };
    let end = Instant::now() + length;
    let steps: usize = std::thread::scope(|scope| {
        let start = |number: usize| {
            let (here, meeting) = (&here, &meeting);
            scope.spawn(move || take_part(here, meeting, (number, seed, end)))
        };
        let all: Vec<_> = (0..CLIENTS).map(start).collect();
        all.into_iter().map(|one| one.join().expect("a client failed, see above")).sum()
    });
    eprintln!("{steps} commands at random");
    assert!(steps > CLIENTS * STEPS, "only {steps} commands");
    here.assert_balanced();
    let verified = here.run(&["mailbox", "verify", "alice@example.test"]);
    assert_eq!(verified.code, 0, "{} {}", verified.out, verified.err);
}

/// A session that has logged in.
fn session(here: &Instance) -> Conversation {
    let mut talk = here.connect(Service::Imap);
    talk.read();
    talk.imap("l", &format!("LOGIN alice@example.test \"{PASSWORD}\""));
    talk
}

#[test]
fn a_silent_change_hides_nobody_elses() {
    let here = domain("example.test").start();
    let (mut one, mut other) = (session(&here), session(&here));
    one.line("a APPEND INBOX {14+}\r\nSubject: 1\r\n\r\n");
    one.until_tagged("a");
    one.imap("s", "SELECT INBOX");
    other.imap("s", "SELECT INBOX");
    other.imap("b", "STORE 1 +FLAGS.SILENT ($Work)");
    let told = one.imap("c", "STORE 1 +FLAGS.SILENT (\\Flagged)");
    let flags: Vec<_> = told.iter().filter_map(|line| client::fetched(line)?.flags).collect();
    assert_eq!(flags, [["$Work", "\\Flagged"]], "{told:?}");
    let told = one.imap("d", "STORE 1 -FLAGS.SILENT (\\Flagged)");
    assert_eq!(told.len(), 1, "it is silent: {told:?}");
    let told = one.imap("e", "NOOP");
    assert_eq!(told.len(), 1, "it knows: {told:?}");
}

fn take_part(here: &Instance, meeting: &Meeting, how: (usize, u64, Instant)) -> usize {
    let (number, seed, end) = how;
    let _leaving = Leaving(meeting);
    let kind = Kind::ALL[number % Kind::ALL.len()];
    let mut client = Client::new(here, kind, seed.wrapping_add(number as u64 * 7919) | 1);
    let mut rounds = 0;
    loop {
        for _ in 0..STEPS {
            client.step(here);
        }
        rounds += 1;
        // Nobody changes anything from here to the last call of `wait` in this round.
        meeting.wait();
        client.settle();
        client.compare(&fresh(here, client.mailbox()));
        let folders = folders(here);
        meeting.agree(number, &folders);
        pushed(meeting, &mut client, number);
        if number == 0 {
            meeting.decide(Instant::now() >= end);
        }
        meeting.wait();
        if meeting.is_over() {
            return rounds * STEPS;
        }
        client.forget();
    }
}

/// One changes a flag, and all who wait in IDLE at the same mailbox hear of it.
fn pushed(meeting: &Meeting, client: &mut Client, number: usize) {
    meeting.wait();
    let waits = number != 0 && client.mailbox() == "INBOX" && !client.is_empty();
    if waits {
        client.idle();
    }
    meeting.wait();
    if number == 0 {
        client.wave();
    }
    if waits {
        client.sees_the_wave();
    }
    meeting.wait();
    client.settle();
}

/// What a session that knows nothing is told: UID and flags by number.
fn fresh(here: &Instance, mailbox: &str) -> Vec<(u32, Vec<String>)> {
    let mut talk = session(here);
    talk.imap("s", &format!("EXAMINE {mailbox}"));
    let lines = talk.imap("f", "UID FETCH 1:* (UID FLAGS)");
    let told = lines.iter().filter_map(|line| client::fetched(line));
    let told = told.map(|one| (one.uid.expect("asked for"), one.flags.expect("asked for")));
    told.collect()
}

/// All mailboxes with their counts.
fn folders(here: &Instance) -> BTreeMap<String, String> {
    let mut talk = session(here);
    let lines = talk.imap("l", "LIST \"\" * RETURN (STATUS (MESSAGES UIDNEXT UNSEEN))");
    let told = lines.iter().filter(|line| line.starts_with("* "));
    told.map(|line| (line.clone(), String::new())).collect()
}

/// Where all wait for all.
struct Meeting {
    places: Mutex<Places>,
    moved: Condvar,
}

#[derive(Default)]
struct Places {
    round: u64,
    waiting: usize,
    agreed: Option<(u64, BTreeMap<String, String>)>,
    over: bool,
    failed: bool,
}

/// One who fails tells the others, who need not wait then.
struct Leaving<'a>(&'a Meeting);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.places.lock().unwrap_or_else(PoisonError::into_inner).failed = true;
            self.0.moved.notify_all();
        }
    }
}

impl Meeting {
    /// Waits until everybody is here.
    fn wait(&self) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let round = places.round;
        places.waiting += 1;
        if places.waiting == CLIENTS {
            (places.waiting, places.round) = (0, round + 1);
            self.moved.notify_all();
            return;
        }
        let waits = |places: &mut Places| places.round == round && !places.failed;
        let (places, waited) = self
            .moved
            .wait_timeout_while(places, PATIENCE, waits)
            .unwrap_or_else(PoisonError::into_inner);
        let failed = places.failed || waited.timed_out();
        drop(places);
        assert!(!failed, "another client did not come");
    }

    /// All see the same folders.
    fn agree(&self, number: usize, folders: &BTreeMap<String, String>) {
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let round = places.round;
        match &places.agreed {
            Some((when, known)) if *when == round => {
                assert_eq!(known, folders, "client {number} sees other folders");
            }
            _ => places.agreed = Some((round, folders.clone())),
        }
    }

    fn decide(&self, over: bool) {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).over = over;
    }

    fn is_over(&self) -> bool {
        self.places.lock().unwrap_or_else(PoisonError::into_inner).over
    }
}
