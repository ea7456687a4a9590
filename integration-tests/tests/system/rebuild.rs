//! Files are the truth: with every index deleted while stopped, the next start shows the same
//! UIDs, flags, keywords and letters.

use std::path::{Path, PathBuf};

use integration_tests::{Conversation, Instance};

use crate::cluster::{fetch, imap, letter, single, submit};

/// All that a client can see of a mailbox.
fn portrait(here: &Instance, mailboxes: &[&str]) -> Vec<String> {
    let mut talk = imap(here, "bob@example.test");
    let mut seen = Vec::new();
    for mailbox in mailboxes {
        seen.push(format!("== {mailbox}"));
        let selected = talk.imap("s", &format!("SELECT {mailbox}"));
        let count = crate::cluster::exists(&selected);
        let lasting = ["UIDVALIDITY", "UIDNEXT"];
        seen.extend(
            selected.into_iter().filter(|line| lasting.iter().any(|word| line.contains(word))),
        );
        if count == 0 {
            continue;
        }
        seen.extend(flags(&mut talk));
        for number in 1..=count {
            seen.push(String::from_utf8_lossy(&fetch(&mut talk, number)).into_owned());
        }
    }
    seen
}

/// UID, date and flags of every letter; `\Recent` is a matter of the session.
fn flags(talk: &mut Conversation) -> Vec<String> {
    let lines = talk.imap("f", "FETCH 1:* (UID INTERNALDATE FLAGS)");
    let lines = lines.into_iter().filter(|line| line.starts_with("* "));
    lines.map(|line| line.replace("\\Recent", "").replace("( ", "(").replace(" )", ")")).collect()
}

/// Every folder that sled has made: it keeps a file `db` and a file `conf`.
fn sled_folders(folder: &Path, found: &mut Vec<PathBuf>) {
    if folder.join("conf").is_file() && folder.join("db").is_file() {
        found.push(folder.to_owned());
        return;
    }
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            sled_folders(&entry.path(), found);
        }
    }
}

#[test]
fn without_its_indexes_a_mailbox_is_the_same() {
    let mut here = single();
    for number in 0..12 {
        let sent = letter("alice@example.test", "bob@example.test", &format!("number-{number}"));
        submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    }
    let mut talk = imap(&here, "bob@example.test");
    talk.imap("a", "SELECT INBOX");
    talk.imap("b", "STORE 1:3 +FLAGS (\\Seen)");
    talk.imap("c", "STORE 2,4 +FLAGS (\\Flagged $Important Reise)");
    talk.imap("d", "COPY 5:6 Archive");
    talk.imap("e", "MOVE 7 Trash");
    talk.imap("f", "STORE 8 +FLAGS (\\Deleted)");
    talk.imap("g", "EXPUNGE");
    talk.imap("h", "CREATE \"Work &- more\"");
    talk.imap("i", "LOGOUT");
    let mailboxes = ["INBOX", "Archive", "Trash", "Sent", "\"Work &- more\""];
    let before = portrait(&here, &mailboxes);
    here.stop();
    let mut folders = Vec::new();
    sled_folders(&here.data(), &mut folders);
    for folder in folders {
        std::fs::remove_dir_all(folder).expect("the folder is ours");
    }
    // And what the layout says may go at any stop.
    let _ = std::fs::remove_dir_all(here.data().join("index"));
    here.up();
    assert_eq!(portrait(&here, &mailboxes), before);
    here.assert_balanced();
    // UIDs go on where they were.
    let sent = letter("alice@example.test", "bob@example.test", "afterwards");
    submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    let mut talk = imap(&here, "bob@example.test");
    talk.imap("a", "SELECT INBOX");
    let found = talk.imap("b", "UID SEARCH SUBJECT afterwards");
    assert_eq!(found[0], "* SEARCH 13");
}

#[test]
fn a_damaged_index_is_made_anew() {
    let mut here = single();
    let sent = letter("alice@example.test", "bob@example.test", "one");
    submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    let before = portrait(&here, &["INBOX"]);
    here.stop();
    let mut folders = Vec::new();
    sled_folders(&here.data(), &mut folders);
    for folder in folders {
        for name in ["conf", "db"] {
            std::fs::write(folder.join(name), b"neither here nor there").expect("it is ours");
        }
    }
    here.up();
    assert_eq!(portrait(&here, &["INBOX"]), before);
    let mut talk = imap(&here, "bob@example.test");
    talk.imap("a", "SELECT INBOX");
    assert_eq!(talk.imap("b", "SEARCH SUBJECT one")[0], "* SEARCH 1");
}
