//! Letters move in from a Maildir, an mbox and another server, and out so that Dovecot opens them
//! as
//! they are: octets, flags, keywords, dates, UIDs and folders.

use std::path::Path;

use integration_tests::{Conversation, Instance};

use crate::cluster::{PASSWORD, imap, letter, single};
use crate::dovecot::{Dovecot, MAIL_ID};
use crate::mail_elsewhere::IMAP;

/// A mailbox as any IMAP server shows it: flags (without `\Recent`), date, octets, in order.
fn portrait(talk: &mut Conversation, mailbox: &str) -> Vec<String> {
    let selected = talk.imap("s", &format!("EXAMINE {mailbox}"));
    let count = crate::cluster::exists(&selected);
    let mut seen = Vec::new();
    for number in 1..=count {
        let lines = talk.imap("f", &format!("FETCH {number} (INTERNALDATE FLAGS)"));
        let line = lines.iter().find(|line| line.contains("INTERNALDATE")).expect("a letter");
        seen.push(format!("{:?} {}", flags(line), moment(line)));
        let octets = crate::cluster::fetch(talk, number);
        seen.push(String::from_utf8_lossy(&octets).into_owned());
    }
    seen
}

fn flags(line: &str) -> Vec<String> {
    let inside = line.split_once("FLAGS (").and_then(|(_, rest)| rest.split_once(')'));
    let names = inside.map_or("", |(names, _)| names).split_whitespace();
    let mut names: Vec<String> =
        names.filter(|name| *name != "\\Recent").map(str::to_owned).collect();
    names.sort();
    names
}

fn moment(line: &str) -> &str {
    let rest = line.split_once("INTERNALDATE \"").expect("a date").1;
    rest.split_once('"').expect("a date").0
}

fn uids(talk: &mut Conversation, mailbox: &str) -> Vec<String> {
    let mut all = talk.imap("s", &format!("EXAMINE {mailbox}"));
    all.retain(|line| line.contains("UIDVALIDITY") || line.contains("UIDNEXT"));
    let mut all: Vec<String> = all
        .iter()
        .filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned()))
        .collect();
    all.sort();
    all.extend(talk.imap("u", "UID SEARCH ALL").into_iter().filter(|l| l.starts_with("* SEARCH")));
    all
}

/// A Maildir as another server left it.
fn old_maildir(root: &Path) {
    for folder in ["", ".Lists.r&APw-st", ".Sent Items"] {
        for sub in ["cur", "new", "tmp"] {
            std::fs::create_dir_all(root.join(folder).join(sub)).expect("ours");
        }
    }
    let put = |path: &str, subject: &str, day: u64| {
        let text = letter("x@old.test", "alice@example.test", subject).replace("\r\n", "\n");
        let path = root.join(path);
        std::fs::write(&path, text).expect("ours");
        let moment = std::time::UNIX_EPOCH + std::time::Duration::from_secs(day * 86_400);
        let file = std::fs::File::options().write(true).open(path).expect("ours");
        file.set_modified(moment).expect("ours");
    };
    std::fs::write(root.join("dovecot-keywords"), "0 Reise\n").expect("ours");
    put("cur/1.a.old:2,RSa", "one", 15_000);
    put("cur/2.b.old:2,F", "two", 15_001);
    put("new/3.c.old", "three", 15_002);
    put(".Lists.r&APw-st/cur/4.d.old:2,S", "four", 15_003);
    put(".Sent Items/cur/5.e.old:2,S", "five", 15_004);
}

fn import(here: &Instance, account: &str, words: &[&str]) -> serde_json::Value {
    let first = ["mailbox", "import", account];
    here.json(&[&first[..], words].concat()).remove(0)
}

#[test]
fn a_maildir_moves_in_and_is_not_brought_twice() {
    let here = single();
    let old = here.root().join("old");
    old_maildir(&old);
    let source = old.display().to_string();
    let said = import(&here, "alice@example.test", &[&source, "--dry-run"]);
    assert_eq!((&said["copied"], &said["present"]), (&5.into(), &0.into()), "{said}");
    let said = import(&here, "alice@example.test", &[&source]);
    assert_eq!((&said["copied"], &said["failed"]), (&5.into(), &0.into()), "{said}");
    let mut talk = imap(&here, "alice@example.test");
    let inbox = portrait(&mut talk, "INBOX");
    assert_eq!(inbox[0], "[\"Reise\", \"\\\\Answered\", \"\\\\Seen\"] 26-Jan-2011 00:00:00 +0000");
    assert_eq!(inbox[1], letter("x@old.test", "alice@example.test", "one"));
    assert_eq!(inbox[4], "[] 28-Jan-2011 00:00:00 +0000");
    assert_eq!(portrait(&mut talk, "Lists/r&APw-st").len(), 2);
    assert_eq!(portrait(&mut talk, "Sent").len(), 2, "by what it is for, not by its name");
    // Thrown away after it came: it stays away.
    talk.imap("a", "SELECT INBOX");
    talk.imap("b", "STORE 2 +FLAGS (\\Deleted)");
    talk.imap("c", "EXPUNGE");
    let said = import(&here, "alice@example.test", &[&source]);
    assert_eq!((&said["copied"], &said["present"]), (&0.into(), &5.into()), "{said}");
    // Without the journal only what is really there is known.
    std::fs::remove_dir_all(here.data().join("state/import")).expect("it is there");
    let said = import(&here, "alice@example.test", &[&source]);
    assert_eq!((&said["copied"], &said["present"]), (&1.into(), &4.into()), "{said}");
    here.assert_balanced();
}

#[test]
fn an_mbox_moves_in_and_out() {
    let here = single();
    let folder = here.root().join("Mail");
    std::fs::create_dir_all(folder.join("Archive.sbd")).expect("ours");
    let text = |subject: &str, status: &str| {
        let letter = letter("x@old.test", "bob@example.test", subject).replace("\r\n", "\n");
        let letter = letter.replacen("\n\n", &format!("\nStatus: {status}\n\n>From here\n"), 1);
        format!("From x@old.test Thu Nov 19 08:15:00 2020\n{letter}\n")
    };
    let both = text("one", "RO") + &text("two", "O");
    std::fs::write(folder.join("Inbox"), both).expect("ours");
    std::fs::write(folder.join("Archive.sbd/2020"), text("three", "RO")).expect("ours");
    let source = folder.display().to_string();
    let said = import(&here, "bob@example.test", &[&source, "--rename", "Archive/2020=Old/2020"]);
    assert_eq!((&said["copied"], &said["folders"]), (&3.into(), &2.into()), "{said}");
    let mut talk = imap(&here, "bob@example.test");
    let inbox = portrait(&mut talk, "INBOX");
    assert_eq!(inbox[0], "[\"\\\\Seen\"] 19-Nov-2020 08:15:00 +0000");
    assert!(inbox[1].contains("\r\n\r\nFrom here\r\nA line"), "{}", inbox[1]);
    assert!(!inbox[1].contains("Status:"));
    assert_eq!(portrait(&mut talk, "Old/2020").len(), 2);
    let out = here.root().join("out");
    let shown = out.display().to_string();
    let export = ["mailbox", "export", "bob@example.test", &shown, "--format", "mbox"];
    here.run(&export).ok().says("3 letters");
    here.run(&export).says("not empty");
    // And back into another account: the same letters.
    let inside = out.display().to_string();
    let said = import(&here, "alice@example.test", &[&inside]);
    assert_eq!(said["copied"], 3, "{said}");
    let mut other = imap(&here, "alice@example.test");
    assert_eq!(portrait(&mut other, "INBOX"), inbox);
}

#[test]
fn dovecot_opens_what_we_export_and_we_take_in_what_dovecot_has() {
    let config = IMAP.replace("ssl = required", "ssl = yes\ndisable_plaintext_auth = no");
    let Some(dovecot) = Dovecot::start("imap", &config) else { return };
    drop(Conversation::open((dovecot.ip(), 10_143).into()));
    let here = single();
    let old = here.root().join("old");
    old_maildir(&old);
    import(&here, "alice@example.test", &[&old.display().to_string()]);
    let mut ours = imap(&here, "alice@example.test");
    ours.imap("a", "SELECT INBOX");
    ours.imap("b", "STORE 2 +FLAGS (\\Deleted)");
    ours.imap("c", "EXPUNGE");
    let out = dovecot.root().join("mail/alice");
    let words = ["mailbox", "export", "alice@example.test", &out.display().to_string()];
    here.run(&words).ok();
    give_away(&out);
    let mut theirs = login(&dovecot, "alice");
    for mailbox in ["INBOX", "Lists.r&APw-st", "Sent"] {
        let mine = mailbox.replace('.', "/");
        assert_eq!(portrait(&mut theirs, mailbox), portrait(&mut ours, &mine), "{mailbox}");
        assert_eq!(uids(&mut theirs, mailbox), uids(&mut ours, &mine), "{mailbox}");
    }
    // The other way: the same letters into bob's account, over IMAP with STARTTLS.
    let secret = here.root().join("secret");
    std::fs::write(&secret, PASSWORD).expect("ours");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).expect("ours");
    let source = format!("imap://alice@example.test@{}:10143", dovecot.ip());
    let roots = dovecot.root().join("ca.pem").display().to_string();
    let secret = secret.display().to_string();
    let words = [&source[..], "--password-file", &secret, "--extra-ca", &roots];
    let said = import(&here, "bob@example.test", &words);
    assert_eq!((&said["copied"], &said["failed"]), (&4.into(), &0.into()), "{said}");
    let mut bob = imap(&here, "bob@example.test");
    for mailbox in ["INBOX", "Lists/r&APw-st", "Sent"] {
        assert_eq!(portrait(&mut bob, mailbox), portrait(&mut ours, mailbox), "{mailbox}");
    }
    let said = import(&here, "bob@example.test", &words);
    assert_eq!((&said["copied"], &said["present"]), (&0.into(), &4.into()), "{said}");
    here.assert_balanced();
}

/// Everything below belongs to the user that Dovecot reads mail as.
fn give_away(path: &Path) {
    std::os::unix::fs::chown(path, Some(MAIL_ID), Some(MAIL_ID)).expect("root may");
    for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
        give_away(&entry.path());
    }
}

fn login(dovecot: &Dovecot, user: &str) -> Conversation {
    let mut talk = Conversation::open((dovecot.ip(), 10_143).into());
    talk.read();
    talk.imap("l", &format!("LOGIN {user}@example.test \"{PASSWORD}\""));
    talk
}
