//! The clock of the machine jumps: forward by days, back by years. Only the time of day does (as
//! when somebody sets it, or NTP does after a bad battery); time that passes goes on passing. With
//! libfaketime, where it is installed.

use std::path::{Path, PathBuf};

use integration_tests::clients::note_skipped;
use integration_tests::{Instance, wait};

use crate::cluster::{await_letters, domain, exists, imap, letter, transfer};

/// Where Debian's package puts it, on any architecture.
fn library() -> Option<PathBuf> {
    let entries = std::fs::read_dir("/usr/lib").ok()?.flatten();
    let found = entries
        .map(|entry| entry.path().join("faketime/libfaketime.so.1"))
        .find(|path| path.is_file());
    if found.is_none() {
        note_skipped("libfaketime");
    }
    found
}

/// Sets how far off the clock is, for processes that run.
fn set(file: &Path, off: &str) {
    // Replaced in one step: the library reads it at any moment.
    let new = file.with_extension("new");
    std::fs::write(&new, format!("{off}\n")).expect("the folder is writable");
    std::fs::rename(&new, file).expect("the folder is writable");
}

/// An instance whose clock is that of the file.
fn with_clock() -> Option<(Instance, PathBuf)> {
    let library = library()?;
    let mut here = domain("example.test")
        .set("mta.retry.first", "\"1s\"")
        .set("mta.retry.max", "\"2s\"")
        .init();
    let file = here.root().join("clock");
    set(&file, "+0");
    here.set_environment("LD_PRELOAD", library.display().to_string());
    here.set_environment("FAKETIME_TIMESTAMP_FILE", file.display().to_string());
    here.set_environment("FAKETIME_NO_CACHE", "1");
    here.set_environment("FAKETIME_DONT_FAKE_MONOTONIC", "1");
    here.up();
    Some((here, file))
}

/// UIDVALIDITY, UIDNEXT and HIGHESTMODSEQ of the INBOX of bob.
fn numbers(here: &Instance) -> (u32, u32, u64) {
    let mut talk = imap(here, "bob@example.test");
    let lines = talk.imap("s", "STATUS INBOX (UIDVALIDITY UIDNEXT HIGHESTMODSEQ)");
    let line = lines.iter().find(|line| line.starts_with("* STATUS")).expect("an answer");
    let after = |word: &str| -> u64 {
        let rest = line.split_once(word).expect("it was asked for").1.trim_start();
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        rest[..end].parse().expect("a number")
    };
    let small = |word: &str| u32::try_from(after(word)).expect("32 bits");
    (small("UIDVALIDITY"), small("UIDNEXT"), after("HIGHESTMODSEQ"))
}

#[test]
fn a_clock_that_jumps_loses_nothing() {
    let Some((mut here, clock)) = with_clock() else { return };
    let mut journeys = std::collections::BTreeSet::new();
    let mut before = numbers(&here);
    let mut count = 0;
    for off in ["+0", "+400d", "-20y", "+3h", "-3h", "+0"] {
        set(&clock, off);
        for _ in 0..3 {
            count += 1;
            let subject = format!("at-{count}");
            let sent = letter("friend@far.test", "bob@example.test", &subject);
            let reply = transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
            let journey = reply.split_whitespace().nth(2).expect("a journey").to_owned();
            assert!(journeys.insert(journey.clone()), "{journey} was given twice");
        }
        await_letters(&here, "bob@example.test", count);
        let now = numbers(&here);
        assert_eq!(now.0, before.0, "{off}: UIDVALIDITY");
        assert!(now.1 > before.1 && now.2 > before.2, "{off}: {now:?} after {before:?}");
        before = now;
        here.assert_balanced();
    }
    // A letter that waits while the clock goes back by years is tried all the same.
    here.kill("mda");
    set(&clock, "-20y");
    let sent = letter("friend@far.test", "bob@example.test", "waits");
    transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
    await_letters(&here, "bob@example.test", count + 1);
    // And a start with a clock that is wrong keeps all numbers.
    set(&clock, "+400d");
    here.kill_all();
    here.up();
    let now = numbers(&here);
    assert_eq!(now.0, before.0, "UIDVALIDITY after a start");
    assert!(now.1 > before.1, "{now:?} after {before:?}");
    let mut talk = imap(&here, "bob@example.test");
    assert_eq!(exists(&talk.imap("s", "SELECT INBOX")), count + 1);
    wait::until("the queue is empty", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}
