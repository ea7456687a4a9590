//! What the MDA does by itself with letters at rest: expunged ones come back, old ones go, damaged
//! ones are isolated, owners hear of a full mailbox, one file serves many.

use std::path::{Path, PathBuf};

use integration_tests::{Authority, Conversation, Instance, wait};

use crate::cluster::{domain, fetch, imap, letter, submit};

const BOB: &str = "bob@example.test";

fn example(settings: &[(&str, &str)]) -> Instance {
    let builder = domain("example.test").authority(&Authority::new());
    settings.iter().fold(builder, |builder, (key, value)| builder.set(key, *value)).start()
}

fn send(here: &Instance, subject: &str) {
    let sent = letter("alice@example.test", BOB, subject);
    submit(here, "alice@example.test", &[BOB], &sent);
}

#[test]
fn expunged_letters_come_back_and_trash_empties_itself() {
    let mut here = example(&[("mailbox.empty_trash_after", "\"1s\"")]);
    for subject in ["one", "two", "three"] {
        send(&here, subject);
    }
    let mut talk = imap(&here, BOB);
    talk.imap("a", "CREATE Lists");
    talk.imap("b", "SELECT INBOX");
    let original = fetch(&mut talk, 2);
    talk.imap("c", "MOVE 1 Lists");
    talk.imap("d", "STORE 1 +FLAGS (\\Flagged \\Deleted $Work)");
    talk.imap("e", "EXPUNGE");
    talk.imap("f", "MOVE 1 Trash");
    talk.imap("g", "DELETE Lists");
    talk.imap("h", "LOGOUT");
    // Nothing is kept elsewhere than in files.
    here.stop();
    here.up();
    let list = || here.json(&["mailbox", "undelete", BOB, "--list"]);
    let kept = list();
    assert_eq!(kept.len(), 2, "{kept:?}");
    assert!(kept.iter().any(|one| one["subject"] == "two" && one["mailbox"] == "INBOX"));
    assert!(kept.iter().any(|one| one["subject"] == "one" && one["mailbox"] == "Lists"));
    // Time passes by itself.
    wait::until("Trash is empty", || {
        let round = here.json(&["mailbox", "tidy"]);
        (round[0]["expired"] == 1).then_some(())
    });
    assert_eq!(list().len(), 3);
    let said = here.run(&["mailbox", "undelete", BOB, "--mailbox", "Lists"]).ok();
    assert!(said.out.contains("-> Lists, UID 1"), "{}", said.out);
    let two = list().iter().find(|one| one["subject"] == "two").map(|one| one["id"].clone());
    let two = two.expect("it is kept");
    here.run(&["mailbox", "undelete", BOB, two.as_str().expect("a text")]).ok();
    assert_ne!(here.run(&["mailbox", "undelete", BOB, "9.9"]).code, 0);
    assert_ne!(here.run(&["mailbox", "undelete", BOB]).code, 0, "which?");
    let mut talk = imap(&here, BOB);
    talk.imap("a", "SELECT INBOX");
    assert_eq!(fetch(&mut talk, 1), original);
    let flags = talk.imap("b", "FETCH 1 (UID FLAGS)");
    assert!(flags[0].contains("UID 4") && flags[0].contains("\\Flagged"), "{flags:?}");
    assert!(flags[0].contains("$Work") && !flags[0].contains("Deleted"), "{flags:?}");
    assert_eq!(crate::cluster::exists(&talk.imap("c", "SELECT Lists")), 1);
    here.assert_balanced();
}

/// What is said to a command, well or not.
fn answer(talk: &mut Conversation, tag: &str, command: &str) -> String {
    talk.line(&format!("{tag} {command}"));
    talk.until_tagged(tag).join("\n")
}

/// The file of a letter, by its UID.
fn file_of(maildir: &Path, uid: u32) -> Option<PathBuf> {
    let name = format!("_{uid}.posthaste");
    ["new", "cur"].iter().find_map(|folder| {
        let mut entries = std::fs::read_dir(maildir.join(folder)).ok()?.flatten();
        let entry = entries.find(|entry| entry.file_name().to_string_lossy().contains(&name))?;
        Some(entry.path())
    })
}

#[test]
fn a_damaged_letter_is_isolated_and_comes_back() {
    let here = example(&[("mailbox.verify_every", "\"1s\"")]);
    for subject in ["one", "two", "three"] {
        send(&here, subject);
    }
    let maildir = here.maildir("bob");
    let path = wait::until("the letter has its file", || file_of(&maildir, 2));
    let good = std::fs::read(&path).expect("it is there");
    let mut bad = good.clone();
    let last = bad.len() - 3;
    bad[last] ^= 1;
    std::fs::write(&path, &bad).expect("it is ours");
    // The running system finds it by itself.
    let quarantine = maildir.join("posthaste-quarantine");
    wait::until("the letter is isolated", || {
        std::fs::read_dir(&quarantine).ok()?.flatten().next().map(|entry| entry.path())
    });
    let mut talk = imap(&here, BOB);
    assert_eq!(crate::cluster::exists(&talk.imap("a", "SELECT INBOX")), 3);
    let said = answer(&mut talk, "b", "FETCH 1:3 (UID BODY.PEEK[])");
    assert!(said.contains("b NO [CORRUPTION]"), "{said}");
    assert!(said.contains("UID 1 ") && said.contains("UID 3 ") && !said.contains("UID 2 "));
    let said = answer(&mut talk, "c", "COPY 2 Archive");
    assert!(said.starts_with("c NO [CORRUPTION]"), "{said}");
    assert!(talk.imap("d", "COPY 1,3 Archive").join("\n").contains("COPYUID"));
    assert!(talk.imap("e", "STORE 2 +FLAGS (\\Flagged)").join("\n").contains("e OK"));
    here.assert_balanced();
    let status = here.run(&["mailbox", "verify", "--status"]).ok();
    assert!(status.out.contains("began: 2"), "{}", status.out);
    let agents = here.json(&["status"]);
    let mda = agents.iter().find(|agent| agent["agent"] == "mda").expect("it runs");
    assert_eq!(mda["numbers"]["letters_damaged"], 1, "{mda}");
    let said = here.json(&["mailbox", "verify", BOB]);
    assert_eq!(said[0]["damaged"][0]["uid"], 2);
    // Another program is not told that it was removed, and the letter outlives a restart.
    let mut here = here;
    here.stop();
    here.up();
    let mut talk = imap(&here, BOB);
    assert_eq!(crate::cluster::exists(&talk.imap("a", "SELECT INBOX")), 3);
    // From the backup.
    std::fs::write(&path, &good).expect("it is ours");
    wait::until("it is well again", || {
        answer(&mut talk, "b", "FETCH 2 BODY.PEEK[]").contains("\nb OK").then_some(())
    });
    let body = fetch(&mut talk, 2);
    assert_eq!(body, good);
    here.run(&["mailbox", "verify", BOB]).ok();
    here.assert_balanced();
}

#[test]
fn a_letter_to_many_is_one_file() {
    use std::os::unix::fs::MetadataExt as _;
    let here = example(&[("mailbox.one_file_from", "2")]);
    let both = ["alice@example.test", BOB];
    let small = letter("alice@example.test", "undisclosed:;", "small");
    submit(&here, "alice@example.test", &both, &small);
    let line = format!("{}\r\n", "x".repeat(70));
    let large = letter("alice@example.test", "undisclosed:;", "large") + &line.repeat(4_000);
    submit(&here, "alice@example.test", &both, &large);
    send(&here, "for bob alone");
    for uid in [1, 2] {
        let of =
            |user| wait::until("the letter has its file", || file_of(&here.maildir(user), uid));
        let (one, other) = (of("alice"), of("bob"));
        let same = wait::until("nothing else names the file", || {
            let found = [&one, &other].map(|path| std::fs::metadata(path).ok());
            let [Some(one), Some(other)] = found else { return None };
            (one.nlink() == 2).then_some(one.ino() == other.ino())
        });
        assert!(same, "letter {uid}: one file");
    }
    let mut talk = imap(&here, BOB);
    talk.imap("a", "SELECT INBOX");
    let shared = String::from_utf8_lossy(&fetch(&mut talk, 1)).into_owned();
    assert!(!shared.contains("Delivered-To") && !shared.contains("for <"), "{shared}");
    assert!(shared.starts_with("Return-Path: <alice@example.test>"), "{shared}");
    let own = String::from_utf8_lossy(&fetch(&mut talk, 3)).into_owned();
    assert!(own.contains("Delivered-To: bob@example.test"), "{own}");
    // One of them goes; the other one stays.
    talk.imap("b", "STORE 1:2 +FLAGS (\\Deleted)");
    talk.imap("c", "EXPUNGE");
    assert_eq!(crate::cluster::letters(&here, "alice@example.test").len(), 2);
    here.run(&["mailbox", "verify", "alice@example.test"]).ok();
    here.assert_balanced();
}

#[test]
fn the_owner_hears_once_that_the_mailbox_fills_up() {
    let mut here = example(&[]);
    here.run(&["account", "quota", BOB, "100kB"]).ok();
    let filler = |size: usize| {
        let line = format!("{}\r\n", "x".repeat(98));
        letter("alice@example.test", BOB, "filler") + &line.repeat(size / 100)
    };
    let subjects = |here: &Instance| -> Vec<String> {
        let all = crate::cluster::letters(here, BOB);
        let all = all.iter().map(|letter| String::from_utf8_lossy(letter).into_owned());
        let line = |text: String| {
            text.lines().find_map(|l| l.strip_prefix("Subject: ").map(str::to_owned))
        };
        all.filter_map(line).collect()
    };
    wait::until("the quota is known", || {
        submit(&here, "alice@example.test", &[BOB], &filler(20_000));
        (subjects(&here).len() >= 4).then_some(())
    });
    let told =
        |here: &Instance, what: &str| subjects(here).iter().filter(|s| s.contains(what)).count();
    wait::until("80 % are told", || (told(&here, "80 % full") == 1).then_some(()));
    submit(&here, "alice@example.test", &[BOB], &filler(8_000));
    wait::until("90 % are told", || (told(&here, "90 % full") == 1).then_some(()));
    let mut talk = crate::cluster::greeted(&here, integration_tests::Service::Smtp);
    talk.say("MAIL FROM:<x@b.test>", "250");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    talk.raw(crate::cluster::stuffed(&filler(50_000)).as_bytes());
    let said = talk.reply();
    assert!(said.starts_with("552 "), "{said}");
    wait::until("a refusal is told", || (told(&here, "was refused") == 1).then_some(()));
    here.stop();
    here.up();
    // Below and above again: another crossing.
    let mut talk = imap(&here, BOB);
    talk.imap("a", "SELECT INBOX");
    talk.imap("b", "STORE 1:2 +FLAGS (\\Deleted)");
    talk.imap("c", "EXPUNGE");
    assert_eq!(told(&here, "80 % full") + told(&here, "90 % full"), 2, "nothing twice");
    here.assert_balanced();
}
