//! `posthaste mail` as its users know it: letters written, read, answered, passed on, found, moved
//! and waited for. At another server: `mail_elsewhere`.

use std::path::Path;

use integration_tests::clients::{self, Said};
use integration_tests::{Instance, Service, wait};
use serde_json::Value;

use crate::cluster::{PASSWORD, greeted, single, transfer};

/// Adds an account of the user agent for somebody at an instance, who reads elsewhere perhaps.
pub(crate) fn account(here: &Instance, user: &str, imap: &str, roots: &Path) {
    let password = here.root().join(format!("{user}.password"));
    std::fs::write(&password, PASSWORD).expect("the folder is ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&password, mode).expect("the file is ours");
    let submission = format!("smtps://{}", here.at(Service::Submissions));
    let address = format!("{user}@{}", here.domain());
    here.run(&[
        "mail",
        "account",
        "add",
        &address,
        "--imap",
        imap,
        "--submission",
        &submission,
        "--person",
        user,
        "--password-file",
        &password.to_string_lossy(),
        "--extra-ca",
        &roots.to_string_lossy(),
    ])
    .ok();
}

/// Alice and bob with their user agents.
fn people() -> Instance {
    let here = single();
    for user in ["alice", "bob"] {
        let imap = format!("imaps://{}", here.at(Service::Imaps));
        account(&here, user, &imap, &here.roots());
    }
    here
}

pub(crate) fn mail(here: &Instance, user: &str, words: &[&str]) -> Said {
    here.run(&[&["mail", "--account", user], words].concat())
}

pub(crate) fn json(here: &Instance, user: &str, words: &[&str]) -> Vec<Value> {
    here.json(&[&["mail", "--account", user], words].concat())
}

/// Files of every kind, by name.
fn files(folder: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let octets: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    let files = vec![
        ("notes ü.txt", "Grüße\nzwei\n".as_bytes().to_vec()),
        ("picture.png", [b"\x89PNG\r\n\x1a\n", octets.as_slice()].concat()),
        ("sound.ogg", b"OggS\0\r\n\n\r".to_vec()),
        ("film.mp4", octets),
    ];
    for (name, content) in &files {
        std::fs::write(folder.join(name), content).expect("the folder is ours");
    }
    files
}

#[test]
fn a_letter_with_attachments_is_written_read_answered_and_passed_on() {
    let here = people();
    let files = files(here.root());
    let mut words = vec!["send", "--to", "Bob <bob@example.test>", "--bcc", "alice@example.test"];
    words.extend(["--subject", "Grüße", "--text", "Hallo.\n.\nFrom here"]);
    files.iter().for_each(|(name, _)| words.extend(["--attach", name]));
    let sent = json(&here, "alice", &words).remove(0);
    assert_eq!(sent["copy"], "Sent");
    let journey = sent["journey"].as_str().expect("ours has one").to_owned();
    here.run(&["trace", &journey]).ok();

    let listed = json(&here, "bob", &["list"]).remove(0);
    assert_eq!((&listed["subject"], &listed["seen"]), (&"Grüße".into(), &false.into()));
    mail(&here, "bob", &["read", "1", "--save", "saved"]).ok();
    for (name, content) in &files {
        let saved = std::fs::read(here.root().join("saved").join(name)).expect(name);
        assert!(saved == *content, "{name} came back changed");
    }
    let shown = mail(&here, "bob", &["read", "1"]).ok().out;
    assert!(shown.contains("Hallo.\n.\nFrom here\n") && !shown.contains("Bcc"), "{shown}");
    assert!(mail(&here, "alice", &["read", "1", "-f", "Sent"]).ok().out.contains("Bcc: "));

    mail(&here, "bob", &["reply", "1", "--text", "Danke."]).ok();
    mail(&here, "bob", &["forward", "1", "--to", "alice@example.test", "--text", "Da."]).ok();
    let answers = json(&here, "alice", &["list"]);
    assert_eq!(answers.len(), 3, "the blind copy, the reply, the forward: {answers:?}");
    assert_eq!(answers[1]["subject"], "Re: Grüße");
    assert_eq!(answers[0]["attachments"], true);
    assert_eq!(json(&here, "bob", &["list"])[0]["answered"], true);
    here.assert_balanced();
}

#[test]
fn letters_are_found_marked_moved_and_waited_for() {
    let here = people();
    for subject in ["one", "zwei für dich", "three"] {
        let words = ["send", "--to", "bob@example.test", "-s", subject, "--text", "x"];
        mail(&here, "alice", &words).ok();
    }
    let found = json(&here, "bob", &["search", "from:alice", "subject:für", "is:unread"]);
    assert_eq!((found.len(), &found[0]["uid"]), (1, &2.into()));
    assert_eq!(mail(&here, "bob", &["search", "-from:alice"]).code, 1);
    assert_eq!(mail(&here, "bob", &["search", "form:alice"]).code, 64);
    mail(&here, "bob", &["flag", "flagged,read,todo", "1,3"]).ok();
    assert_eq!(json(&here, "bob", &["search", "is:flagged", "tag:todo"]).len(), 2);
    mail(&here, "bob", &["folders", "--create", "Ordner/Süß"]).ok();
    mail(&here, "bob", &["move", "1-2", "--to", "Ordner/Süß"]).ok();
    assert_eq!(mail(&here, "bob", &["move", "1", "--to", "trash"]).code, 1, "it is gone");
    let folders = json(&here, "bob", &["folders"]);
    let moved = folders.iter().find(|folder| folder["name"] == "Ordner/Süß").expect("made");
    assert_eq!((&moved["letters"], &moved["unread"]), (&2.into(), &1.into()));

    let words = ["mail", "--account", "bob", "watch", "--count", "1", "--json"];
    let mut command = here.command(&words);
    let watcher = std::thread::spawn(move || clients::run(&mut command, b""));
    // Whatever comes after bob's client looked is told; what came before is not.
    wait::until("the new letter is told", || {
        let words = ["send", "--to", "bob@example.test", "-s", "news", "--text", "x"];
        mail(&here, "alice", &words).ok();
        watcher.is_finished().then_some(())
    });
    let told = watcher.join().expect("the thread ends").ok().out;
    assert!(told.contains("\"subject\":\"news\""), "{told}");
}

#[test]
fn what_goes_wrong_is_said_with_its_code() {
    let here = people();
    let nobody = ["send", "--to", "nobody@example.test", "-s", "x", "--text", "x"];
    let said = mail(&here, "alice", &nobody).says("550 5.1.1").says("unsent");
    assert_eq!(said.code, 1);
    assert_eq!(mail(&here, "alice", &["send", "--to", "no address", "--text", "x"]).code, 64);
    assert_eq!(mail(&here, "alice", &["read", "7"]).code, 1);
    assert_eq!(mail(&here, "carol", &["list"]).code, 78);
    std::fs::write(here.root().join("bob.password"), "wrong").expect("ours");
    assert_eq!(mail(&here, "bob", &["list"]).says("refused the login").code, 77);
    let mut here = here;
    here.stop();
    assert_eq!(mail(&here, "alice", &["list"]).code, 75);
}

#[test]
fn foreign_letters_command_nothing() {
    let here = people();
    drop(greeted(&here, Service::Smtp));
    let hostile = "From: =?utf-8?q?E=1B]0;x=07vil?= <evil@x.test>\r\n\
        Subject: =?utf-8?q?clear_=1B[2J?=\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n\
        --b\r\nContent-Type: text/html\r\n\r\n<p>Hi &#27;[2J \x1b]0;x\x07</p>\r\n\
        --b\r\nContent-Disposition: attachment; filename=\"../../../evil\x1b[2J\"\r\n\r\nx\r\n\
        --b--\r\n";
    transfer(&here, "evil@x.test", &["bob@example.test"], hostile);
    wait::until("it is there", || (json(&here, "bob", &["list"]).len() == 1).then_some(()));
    for words in [&["list"][..], &["read", "1"], &["read", "1", "--headers"], &["search", "Hi"]] {
        let said = mail(&here, "bob", words).ok();
        let obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
        assert!(!(said.out + &said.err).contains(obeyed), "{words:?}");
    }
    let saved = json(&here, "bob", &["read", "1", "--save", "deep/folder"]).remove(0);
    assert_eq!(saved["path"], "deep/folder/evil_[2J");
    assert!(here.root().join("deep/folder/evil_[2J").exists());
}

#[test]
fn a_letter_is_kept_for_later_and_taken_back() {
    let here = people();
    let write = ["send", "--to", "bob@example.test", "--text", "Hallo."];
    let send = |more: &[&str]| json(&here, "alice", &[&write, more].concat()).remove(0);
    let sent = send(&["--undo", "1h"]);
    let journey = sent["journey"].as_str().expect("ours has one").to_owned();
    assert_eq!(here.queue().len(), 1);
    // Nobody else's business, and not even told.
    let no = mail(&here, "bob", &["recall", &journey]);
    assert_eq!(no.code, 1, "{no:?}");
    assert!(no.err.contains("no letter of yours"), "{no:?}");
    assert_eq!(here.queue().len(), 1);
    mail(&here, "alice", &["recall", &journey]).ok().says("taken back");
    assert!(here.queue().is_empty());
    let events = crate::cluster::journey(&here, &journey, &["discarded"]);
    let recalled = |event: &Value| {
        event["kind"] == "discarded"
            && event["text"].as_str().is_some_and(|it| it.contains("recalled-by-sender"))
    };
    assert!(events.iter().any(recalled), "{events:#?}");
    assert_eq!(mail(&here, "alice", &["recall", &journey]).code, 1);
    // What may leave leaves by itself, and cannot be taken back any more.
    let sent = send(&["--later", "1s", "--subject", "in a moment"]);
    let subjects = || json(&here, "bob", &["list"]);
    let listed = wait::until("it has left", || subjects().pop());
    assert_eq!(listed["subject"], "in a moment");
    let journey = sent["journey"].as_str().expect("ours has one");
    assert_eq!(mail(&here, "alice", &["recall", journey]).code, 1);
    // RFC 4865 §4: longer than the server keeps letters.
    let long = mail(&here, "alice", &[&write[..], &["--later", "400d"]].concat());
    assert_eq!(long.code, 1, "{long:?}");
    assert!(long.err.contains("seconds at most"), "{long:?}");
    here.assert_balanced();
}
