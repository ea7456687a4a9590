//! Rules: scripts at work over letters that really come, and our answers beside Pigeonhole's for
//! scripts and letters of our own (`integration-tests/sieve`).

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::instance::executable;
use integration_tests::source::workspace;
use integration_tests::{Conversation, Instance, Service, clients, wait};
use serde_json::Value;

use crate::cluster::{greeted, letter, letters, single, stuffed, transfer};

fn script(here: &Instance, name: &str, text: &str) {
    let path = here.root().join(format!("{name}.sieve"));
    std::fs::write(&path, text).expect("the folder is writable");
    let path = path.display().to_string();
    here.run(&["sieve", "put", "bob@example.test", name, &path, "--activate"]).ok();
}

fn files(folder: &Path) -> usize {
    let count = |name: &str| std::fs::read_dir(folder.join(name)).into_iter().flatten().count();
    count("new") + count("cur")
}

fn to_bob(subject: &str) -> String {
    letter("tim@elsewhere.test", "bob@example.test", subject)
}

const RULES: &str = r#"
require ["fileinto", "mailbox", "imap4flags", "vacation", "envelope", "subaddress", "ereject",
         "editheader", "copy", "duplicate"];
if header :contains "subject" "refuse" { ereject "not this one"; stop; }
if header :contains "subject" "drop" { discard; stop; }
if header :contains "subject" "forward" { redirect "alice@example.test"; stop; }
if header :contains "subject" "twice" { if duplicate { discard; } stop; }
if envelope :detail "to" "lists" {
    addheader "X-Sorted" "yes";
    fileinto :create :flags ["\\Seen", "$list"] "Lists/inner";
    stop;
}
vacation :subject "Away" "I am away";
"#;

#[test]
fn a_long_script_is_stored_whole() {
    let here = single();
    let mut text = "require \"fileinto\";\n".to_owned();
    for number in 0..2_000 {
        text.push_str(&format!(
            "if header :is \"X-U\" \"ü{number}\" {{ fileinto \"{number}\"; }}\n"
        ));
    }
    script(&here, "long", &text);
    let shown = here.run(&["sieve", "show", "bob@example.test", "long"]).ok();
    assert_eq!(shown.out, text);
}

#[test]
fn rules_file_forward_refuse_and_answer() {
    let here = single();
    script(&here, "main", RULES);
    let tim = "tim@elsewhere.test";
    let bob: &[&str] = &["bob@example.test"];
    transfer(&here, tim, &["bob+lists@example.test"], &to_bob("sorted"));
    transfer(&here, tim, bob, &to_bob("drop"));
    transfer(&here, tim, bob, &to_bob("forward"));
    transfer(&here, tim, bob, &to_bob("twice"));
    transfer(&here, tim, bob, &to_bob("twice"));
    // From somebody here, whom the answer can reach.
    let from_alice = letter("alice@example.test", "bob@example.test", "plain");
    transfer(&here, "alice@example.test", bob, &from_alice);
    transfer(&here, "alice@example.test", bob, &from_alice.replace("plain", "again"));
    let mut talk = greeted(&here, Service::Smtp);
    talk.say(&format!("MAIL FROM:<{tim}>"), "250");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(&to_bob("refuse")).as_bytes());
    let refused = talk.expect("550");
    assert!(refused.contains("5.7.1") && refused.contains("not this one"), "{refused}");

    let sorted = here.maildir("bob").join(".Lists.inner");
    wait::until("the letter is filed", || (files(&sorted) == 1).then_some(()));
    let subjects = |user: &str| {
        let texts = letters(&here, user).into_iter();
        let texts = texts.map(|text| String::from_utf8_lossy(&text).into_owned());
        texts.collect::<Vec<String>>()
    };
    let inbox = subjects("bob@example.test");
    assert_eq!(inbox.len(), 3, "plain, again, and twice but once");
    // One answer to two letters; and the letter that was sent on.
    wait::until("the answer is there", || {
        (subjects("alice@example.test").len() == 2).then_some(())
    });
    let alice = subjects("alice@example.test");
    let answer = alice.iter().find(|text| text.contains("Subject: Away")).expect("an answer");
    for part in
        ["Return-Path: <>\r\n", "Auto-Submitted: auto-replied", "In-Reply-To: <", "I am away"]
    {
        assert!(answer.contains(part), "{part}: {answer}");
    }
    let passed = alice.iter().find(|text| text.contains("Subject: forward")).expect("passed on");
    assert!(passed.starts_with("Return-Path: <tim@elsewhere.test>\r\n"), "{passed}");
    let filed = here.run(&["trace", "<sorted@test>"]);
    filed.ok().says("fileinto \"Lists/inner\"").says("Lists/inner, UID 1");
    let mut talk = crate::cluster::imap(&here, "bob@example.test");
    talk.imap("s", "SELECT Lists/inner");
    let shown = talk.imap("f", "FETCH 1 (FLAGS BODY.PEEK[HEADER.FIELDS (X-Sorted)])").join(" ");
    assert!(shown.contains("\\Seen") && shown.contains("$list"), "{shown}");
    assert!(shown.contains("X-Sorted: yes"), "{shown}");
    here.assert_balanced();
}

#[test]
fn a_script_that_fails_keeps_the_letter_and_tells_its_owner_once() {
    let here = single();
    script(&here, "bad", "require \"include\"; include \"missing\"; discard;");
    for number in 0..3 {
        let subject = format!("n{number}");
        transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &to_bob(&subject));
    }
    let inbox = letters(&here, "bob@example.test");
    let told = inbox.iter().filter(|text| String::from_utf8_lossy(text).contains("filter failed"));
    assert_eq!((inbox.len(), told.count()), (4, 1));
    here.assert_balanced();
}

#[test]
fn letters_that_go_in_a_circle_come_to_rest() {
    let here = single();
    script(&here, "circle", "redirect \"alice@example.test\";");
    let path = here.root().join("back.sieve");
    std::fs::write(&path, "redirect \"bob@example.test\";").expect("the folder is writable");
    let path = path.display().to_string();
    here.run(&["sieve", "put", "alice@example.test", "back", &path, "--activate"]).ok();
    transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &to_bob("round"));
    wait::until("the letter rests", || {
        (!letters(&here, "bob@example.test").is_empty()).then_some(())
    });
    assert_eq!(letters(&here, "bob@example.test").len(), 1);
    here.assert_balanced();
}

#[test]
fn scripts_outlive_the_agent_and_faults_are_shown() {
    let mut here = single();
    script(&here, "main", "discard;");
    here.kill("mda");
    here.kill_all();
    here.up();
    here.run(&["sieve", "list", "bob@example.test"]).ok().says("main").says("active");
    transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &to_bob("gone"));
    assert!(letters(&here, "bob@example.test").is_empty());
    let path = here.root().join("faulty.sieve");
    std::fs::write(&path, "keep;\n  frob;\n").expect("the folder is writable");
    let path = path.display().to_string();
    let said = here.run(&["sieve", "put", "bob@example.test", "x", &path]);
    assert_eq!(said.code, 1);
    said.says("line 2, column 3");
    here.run(&["sieve", "deactivate", "bob@example.test"]).ok();
    here.run(&["sieve", "remove", "bob@example.test", "main"]).ok();
    transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &to_bob("here"));
    assert_eq!(letters(&here, "bob@example.test").len(), 1);
    here.assert_balanced();
}

#[test]
fn a_script_stored_over_managesieve_works() {
    let here = single();
    let mut talk: Conversation = here.connect(Service::ManageSieve);
    while !talk.read().starts_with("OK") {}
    let plain = crate::cluster::plain("bob@example.test");
    talk.line(&format!("AUTHENTICATE \"PLAIN\" \"{plain}\""));
    assert!(talk.read().starts_with("OK"));
    talk.line("PUTSCRIPT \"s\" \"require \\\"fileinto\\\"; fileinto \\\"Archive\\\";\"");
    assert!(talk.read().starts_with("OK"));
    talk.line("SETACTIVE \"s\"");
    assert!(talk.read().starts_with("OK"));
    transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &to_bob("filed"));
    let archive = here.maildir("bob").join(".Archive");
    wait::until("the letter is filed", || (files(&archive) == 1).then_some(()));
    here.assert_balanced();
}

/// Where we and Pigeonhole differ, script and letter; docs/interop.md says why.
const DIFFERENT: &[(&str, &str)] = &[
    ("actions", "list"),
    ("dates", "list"),
    ("encoded", "list"),
    ("encoded", "parts"),
    ("encoded", "plain"),
    ("encoded", "words"),
    ("mime", "words"),
];

/// What our `sieve test` would do, in words that both share.
fn ours(script: &Path, letter: &Path) -> Vec<String> {
    let mut command = Command::new(executable());
    command.args(["sieve", "test"]).arg(script).arg(letter);
    command.args(["--from", "sender@example.com", "--to", "bob+box@blue.test", "--json"]);
    let said = clients::run(&mut command, b"").ok();
    let lines = said.out.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let mut deeds: Vec<String> = lines.filter_map(|line| deed(&line)).collect();
    deeds.sort();
    deeds
}

fn deed(line: &Value) -> Option<String> {
    let what = line["what"].as_str().filter(|_| line["kind"] == "action")?;
    let (place, flags) = what.rsplit_once(" with ").unwrap_or((what, ""));
    let flags = if flags.is_empty() { String::new() } else { format!(" {}", flags.to_lowercase()) };
    Some(match what.split(' ').next().unwrap_or_default() {
        "keep" => format!("file INBOX{flags}"),
        "file" => {
            let name = place.strip_prefix("file into ").unwrap_or_default();
            let name: String = serde_json::from_str(name).expect("a name in quotes");
            format!("file {name}{flags}")
        }
        "answer" => "vacation".to_owned(),
        "reject:" => format!("reject {}", what.trim_start_matches("reject: ")),
        "redirect" => what.replace("redirect to ", "redirect "),
        _ => what.to_owned(),
    })
}

/// What Pigeonhole's sieve-test would do.
fn theirs(program: &Path, folder: &Path, letter: &Path) -> Vec<String> {
    let mut command = Command::new(program);
    command.arg("-c").arg(folder.join("dovecot.conf"));
    command.args(["-f", "sender@example.com", "-r", "bob+box@blue.test"]);
    command.args(["-a", "bob+box@blue.test"]).arg(folder.join("s.sieve")).arg(letter);
    let said = clients::run(&mut command, b"").ok();
    let mut deeds: Vec<String> = Vec::new();
    for line in said.out.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("* store message in folder: ") {
            deeds.push(format!("file {name}"));
        } else if let Some(flags) = line.strip_prefix("+ add IMAP flags: ") {
            let last = deeds.last_mut().expect("flags of something");
            last.push_str(&format!(" {}", flags.to_lowercase()));
        } else if let Some(to) = line.strip_prefix("* redirect message to: <") {
            deeds.push(format!("redirect {}", to.trim_end_matches('>')));
        } else if let Some(reason) = line.strip_prefix("* reject message with reason: ") {
            deeds.push(format!("reject {reason}"));
        } else if line == "* discard" {
            deeds.push("discard".to_owned());
        } else if line.starts_with("* send vacation") {
            deeds.push("vacation".to_owned());
        }
    }
    deeds.sort();
    deeds
}

fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).expect("the folder is there").flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    paths
}

/// sieve-test gives its rights away: what it reads must be readable for everybody.
fn pigeonhole() -> Option<(PathBuf, tempfile::TempDir)> {
    use std::os::unix::fs::PermissionsExt as _;
    let program = clients::find("sieve-test")?;
    let folder = tempfile::Builder::new().prefix("ph-sieve").tempdir_in("/tmp").expect("a folder");
    let mode = std::fs::Permissions::from_mode(0o777);
    std::fs::set_permissions(folder.path(), mode).expect("it is ours");
    let home = folder.path().join("home").display().to_string();
    let text = format!(
        "mail_uid = nobody\nmail_gid = nogroup\nfirst_valid_uid = 1\nmail_home = {home}\n\
         mail_location = maildir:{home}/mail\nplugin {{\n  recipient_delimiter = +\n  \
         sieve_extensions = +editheader +mime +foreverypart +extracttext\n}}\n"
    );
    std::fs::write(folder.path().join("dovecot.conf"), text).expect("the folder is writable");
    Some((program, folder))
}

#[test]
fn pigeonhole_does_the_same() {
    let Some((program, folder)) = pigeonhole() else { return };
    let cases = workspace().join("integration-tests/sieve");
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut report = String::new();
    for script in sorted(&cases.join("scripts")) {
        std::fs::copy(&script, folder.path().join("s.sieve")).expect("the folder is writable");
        for letter in sorted(&cases.join("letters")) {
            let copy = folder.path().join("letter.eml");
            std::fs::copy(&letter, &copy).expect("the folder is writable");
            let (ours, theirs) = (ours(&script, &letter), theirs(&program, folder.path(), &copy));
            let expected = DIFFERENT.contains(&(name(&script).as_str(), name(&letter).as_str()));
            if (ours == theirs) == expected {
                let (script, letter) = (name(&script), name(&letter));
                report.push_str(&format!("{script} {letter}: {ours:?}, Pigeonhole {theirs:?}\n"));
            }
        }
    }
    assert!(report.is_empty(), "{report}");
}
