//! The ledger: balanced when all is well, and by name when a letter is taken behind its back.

use std::path::{Path, PathBuf};

use crate::cluster::{letter, never_again, submit, unstarted_pair};

/// Files below a folder, the newest last.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => found.push(path),
            }
        }
    }
    found
}

/// Removes the files of a folder that contain the text; how many.
fn remove_those_with(folder: &Path, text: &str) -> usize {
    let holds = |path: &PathBuf| {
        std::fs::read(path).is_ok_and(|bytes| String::from_utf8_lossy(&bytes).contains(text))
    };
    let found: Vec<PathBuf> = files(folder).into_iter().filter(holds).collect();
    for path in &found {
        std::fs::remove_file(path).expect("the file is ours");
    }
    found.len()
}

#[test]
fn a_queue_file_that_vanishes_is_missed() {
    let mut pair = unstarted_pair(never_again);
    pair.red.up();
    // Blue is not running: the letter waits.
    let sent = letter("alice@red.test", "bob@blue.test", "waiting-letter");
    let reply = submit(&pair.red, "alice@red.test", &["bob@blue.test"], &sent);
    let id = reply.split_whitespace().nth(2).expect("a journey id").to_owned();
    pair.red.assert_balanced();
    assert_eq!(pair.red.queue().len(), 1);
    pair.red.stop();
    let removed = remove_those_with(&pair.red.data().join("queue/letters"), "waiting-letter");
    assert!(removed > 0, "a queued letter is a file once the MTA has stopped");
    let said = pair.red.run(&["ledger"]);
    assert_eq!(said.code, 1, "{}", said.out);
    said.says(&id);
    pair.red.up();
    let said = pair.red.run(&["ledger"]);
    assert_eq!(said.code, 1, "{}", said.out);
    said.says(&id).says("bob@blue.test");
}

#[test]
fn a_stored_letter_that_vanishes_with_its_record_is_missed() {
    let mut pair = unstarted_pair(|builder| builder);
    pair.blue.up();
    let mut ids = Vec::new();
    for subject in ["first", "vanishing-letter"] {
        let sent = letter("x@red.test", "bob@blue.test", subject);
        let reply = crate::cluster::transfer(&pair.blue, "x@red.test", &["bob@blue.test"], &sent);
        ids.push(reply.split_whitespace().nth(2).expect("a journey id").to_owned());
    }
    pair.blue.assert_balanced();
    pair.blue.stop();
    let maildir = pair.blue.maildir("bob");
    assert_eq!(remove_those_with(&maildir, "vanishing-letter"), 1);
    cut_last_record(&maildir);
    let said = pair.blue.run(&["ledger"]);
    assert_eq!(said.code, 1, "{}", said.out);
    assert!(!said.out.contains(&ids[0]), "{}", said.out);
    said.says(&ids[1]);
}

/// Takes the end off the state log of the INBOX: the record of the last letter goes with it.
fn cut_last_record(maildir: &Path) {
    let logs: Vec<PathBuf> =
        files(maildir).into_iter().filter(|path| path.to_string_lossy().contains("log")).collect();
    assert!(!logs.is_empty(), "a state log in {}", maildir.display());
    for log in logs {
        let bytes = std::fs::read(&log).expect("ours");
        if bytes.len() > 64 {
            std::fs::write(&log, &bytes[..bytes.len() - 64]).expect("ours");
        }
    }
}

#[test]
fn removals_by_their_owner_are_no_loss() {
    let mut pair = unstarted_pair(|builder| builder);
    pair.blue.up();
    let sent = letter("x@red.test", "bob@blue.test", "expunged");
    crate::cluster::transfer(&pair.blue, "x@red.test", &["bob@blue.test"], &sent);
    let (mut talk, _) = crate::cluster::inbox(&pair.blue, "bob@blue.test");
    talk.imap("a", "STORE 1 +FLAGS (\\Deleted)");
    talk.imap("b", "EXPUNGE");
    pair.blue.assert_balanced();
    pair.blue.stop();
    pair.blue.assert_balanced();
}
