//! The dialogue files, spoken with a running daemon. The same files are spoken with the pure
//! machines in `crates/protocol/tests`.

use std::path::Path;

use integration_tests::dialogue::{Dialogue, Step, matches};
use integration_tests::source::workspace;
use integration_tests::{Authority, Conversation, Instance, Service};

/// Speaks one dialogue; the line and what went wrong.
fn speak(talk: &mut Conversation, dialogue: &Dialogue) -> Result<(), String> {
    for (number, step) in &dialogue.steps {
        match step {
            Step::Send(bytes) => {
                talk.raw(bytes);
            }
            Step::Expect(pattern) => {
                let line = talk.try_read().unwrap_or_else(|| "(closed)".into());
                if !matches(pattern, &line) {
                    return Err(format!("{number}: wanted {pattern}, got {line}"));
                }
            }
            Step::Await(pattern) => loop {
                let Some(line) = talk.try_read() else {
                    return Err(format!("{number}: closed before {pattern}"));
                };
                if matches(pattern, &line) {
                    break;
                }
            },
            Step::End => {
                if let Some(line) = talk.try_read() {
                    return Err(format!("{number}: wanted the end, got {line}"));
                }
            }
            Step::Close => talk.close(),
        }
    }
    Ok(())
}

/// Removes every letter and every further folder of alice's, so that files do not see each other.
fn empty(here: &Instance) {
    let mut talk = here.connect(Service::Imap);
    talk.read();
    talk.imap("l", "LOGIN alice@example.test \"correct horse\"");
    let folders = talk.imap("f", "LIST \"\" *");
    // Children first; a name that only stands above others goes with them.
    for line in folders.iter().rev().filter(|line| line.starts_with("* LIST")) {
        let name = line.rsplit_once("\"/\" ").map_or("", |(_, name)| name);
        let usual = ["INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"];
        if !usual.contains(&name.trim_matches('"')) {
            if !line.contains("\\Noselect") {
                talk.imap("d", &format!("DELETE {name}"));
            }
            continue;
        }
        if crate::cluster::exists(&talk.imap("s", &format!("SELECT {name}"))) > 0 {
            talk.imap("t", "STORE 1:* +FLAGS.SILENT (\\Deleted)");
            talk.imap("x", "EXPUNGE");
        }
    }
}

fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<_> = entries.map(|entry| entry.path()).collect();
    files.sort();
    files
}

fn speak_all(folder: &str, connect: impl Fn(&Instance) -> Conversation) {
    let folder = workspace().join("integration-tests/dialogues").join(folder);
    let files = files(&folder);
    if files.is_empty() {
        return;
    }
    let authority = Authority::new();
    let here = Instance::of("example.test")
        .account("alice", "correct horse")
        .account("bob", "battery staple")
        .authority(&authority)
        .cleartext_login()
        .start();
    let mut report = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).expect("a dialogue is text");
        let name = file.file_name().expect("a file").to_string_lossy().into_owned();
        let dialogue = Dialogue::parse(&text).unwrap_or_else(|error| panic!("{name}:{error}"));
        empty(&here);
        let mut talk = connect(&here);
        if let Err(error) = speak(&mut talk, &dialogue) {
            report.push_str(&format!("{name}:{error}\n{}\n", talk.log()));
        }
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn smtp() {
    speak_all("smtp", |here| here.connect(Service::Smtp));
}

#[test]
fn submission() {
    speak_all("submission", |here| here.connect(Service::Submission));
}

#[test]
fn lmtp() {
    speak_all("lmtp", |here| Conversation::open_unix(&here.data().join("run/mda.sock")));
}

#[test]
fn imap() {
    speak_all("imap", |here| here.connect(Service::Imap));
}

#[test]
fn pop3() {
    speak_all("pop3", |here| here.connect(Service::Pop3));
}

#[test]
fn managesieve() {
    speak_all("managesieve", |here| here.connect(Service::ManageSieve));
}
