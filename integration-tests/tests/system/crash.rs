//! `kill -9` of any agent at any time, while letters are on their way: every letter that was
//! answered 250 arrives, whole, and the ledger balances.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use integration_tests::clients::full;
use integration_tests::instance::AGENTS;
use integration_tests::{Conversation, Instance, Service, wait};

use crate::cluster::{Pair, imap, letter, stuffed, unstarted_pair};

/// Letters that must be answered 250; the whole test goes on until then.
const LETTERS: usize = 1_000;
/// Sessions that send at the same time.
const SENDERS: usize = 4;

/// The subject of every letter answered 250 and the letter itself.
type Accepted = BTreeMap<String, String>;

/// Sends letters one after another until the count is reached; what fails without an answer is
/// sent again under a new name, as the rules of SMTP leave its fate open.
fn send(here: &Instance, sender: usize, count: &AtomicUsize) -> Accepted {
    let mut accepted = Accepted::new();
    let mut attempt = 0;
    while count.load(Ordering::Relaxed) < LETTERS {
        let mut talk = Conversation::open(here.at(Service::Smtp));
        if talk.try_reply().and_then(|_| talk.try_say("EHLO client.test")).is_none() {
            continue;
        }
        // Some letters per connection, as real senders do.
        for _ in 0..10 {
            attempt += 1;
            let subject = format!("letter-{sender}-{attempt}");
            let text = long_letter(&subject, attempt);
            match try_send(&mut talk, &text) {
                Some(true) => {
                    accepted.insert(subject, text);
                    count.fetch_add(1, Ordering::Relaxed);
                }
                Some(false) => {}
                None => break,
            }
        }
    }
    accepted
}

/// Every seventh letter is larger than what goes into the intake log.
fn long_letter(subject: &str, attempt: usize) -> String {
    let mut text = letter("friend@red.test", "bob@blue.test", subject);
    let lines = if attempt.is_multiple_of(7) { 3_000 } else { 20 };
    for line in 0..lines {
        text.push_str(&format!("{subject} says this line {line} by heart, again and again.\r\n"));
    }
    text
}

/// `Some(true)`: 250. `Some(false)`: another reply. `None`: the connection ended.
fn try_send(talk: &mut Conversation, text: &str) -> Option<bool> {
    talk.try_say("RSET")?;
    let ready = talk.try_say("MAIL FROM:<friend@red.test>")?.starts_with("250")
        && talk.try_say("RCPT TO:<bob@blue.test>")?.starts_with("250")
        && talk.try_say("DATA")?.starts_with("354");
    if !ready {
        return Some(false);
    }
    talk.try_raw(stuffed(text).as_bytes()).ok()?;
    Some(talk.try_reply()?.starts_with("250"))
}

/// Kills agents in turn until told to stop; how many deaths there were.
fn reap(here: &Instance, agents: &[&str], count: &AtomicUsize, over: &AtomicBool) -> usize {
    let mut deaths = 0;
    let mut next_at = 40;
    while !over.load(Ordering::Relaxed) {
        let reached = count.load(Ordering::Relaxed) >= next_at;
        if !reached {
            std::thread::yield_now();
            continue;
        }
        let agent = agents[deaths % agents.len()];
        // It may be on its way back still.
        if here.agent(agent).is_some() {
            here.kill_below_up(agent);
            deaths += 1;
        }
        // An agent that dies again and again is started again after ever longer waits.
        next_at += LETTERS / 10;
    }
    deaths
}

/// Every accepted letter is in bob's mailbox, whole, and nothing else is.
fn compare(here: &Instance, accepted: &Accepted) {
    wait::within(std::time::Duration::from_secs(120), "the queue is empty", || {
        here.queue().is_empty().then_some(())
    });
    let mut talk = imap(here, "bob@blue.test");
    let count = crate::cluster::exists(&talk.imap("s", "SELECT INBOX"));
    let mut missing: BTreeMap<&str, &str> =
        accepted.iter().map(|(subject, text)| (subject.as_str(), text.as_str())).collect();
    for number in 1..=count {
        let stored = crate::cluster::fetch(&mut talk, number);
        let text = String::from_utf8_lossy(&stored);
        let subject = text.split("\r\nSubject: ").nth(1).and_then(|rest| rest.lines().next());
        let subject = subject.unwrap_or_else(|| panic!("a letter without subject: {text}"));
        // A letter that was stored but whose 250 was lost with the process is nobody's loss.
        if let Some(sent) = accepted.get(subject) {
            assert!(stored.ends_with(sent.as_bytes()), "{subject} was changed");
        }
        missing.remove(subject);
    }
    assert!(missing.is_empty(), "lost: {:?}", missing.keys().collect::<Vec<_>>());
    here.assert_balanced();
}

fn storm(agents: &[&str]) {
    let Pair { mut blue, .. } = unstarted_pair(|builder| {
        builder.set("limits.sessions_per_address", "1000").set("limits.errors_per_session", "1000")
    });
    blue.up();
    let (count, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let here = &blue;
    let (accepted, deaths) = std::thread::scope(|scope| {
        let reaper = scope.spawn(|| reap(here, agents, &count, &over));
        let count = &count;
        let senders: Vec<_> =
            (0..SENDERS).map(|sender| scope.spawn(move || send(here, sender, count))).collect();
        let joined: Vec<_> = senders.into_iter().map(|sender| sender.join()).collect();
        over.store(true, Ordering::Relaxed);
        let deaths = reaper.join().expect("the reaper does not fail");
        let mut accepted = Accepted::new();
        for sent in joined {
            accepted.extend(sent.unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        (accepted, deaths)
    });
    assert!(accepted.len() >= LETTERS);
    assert!(deaths >= 4, "only {deaths} deaths in {LETTERS} letters");
    compare(&blue, &accepted);
}

#[test]
fn killed_delivery_agents_lose_nothing() {
    storm(&["mda"]);
}

#[test]
fn killed_transfer_agents_lose_nothing() {
    storm(&["mta"]);
}

#[test]
fn agents_killed_in_turn_lose_nothing() {
    let rounds = if full() { 5 } else { 1 };
    for _ in 0..rounds {
        storm(&AGENTS);
    }
}

#[test]
fn everything_killed_at_once_comes_back() {
    let Pair { mut blue, .. } = unstarted_pair(|builder| builder);
    blue.up();
    let mut accepted = Accepted::new();
    for round in 0..3 {
        for number in 0..20 {
            let subject = format!("round-{round}-{number}");
            let text = long_letter(&subject, number);
            crate::cluster::transfer(&blue, "friend@red.test", &["bob@blue.test"], &text);
            accepted.insert(subject, text);
        }
        blue.kill_all();
        blue.up();
    }
    compare(&blue, &accepted);
}
