//! mbsync: a whole mailbox to a Maildir and back, twice, without a difference.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::{Instance, Service, clients};

use crate::cluster::{PASSWORD, imap, inbox, letter, single, submit};

fn config(here: &Instance, maildir: &Path) -> PathBuf {
    // mbsync looks for names, not addresses, in certificates; one that is given to it whole it
    // takes as it is.
    let certificate = here.root().join("trusted.pem");
    let pems = [here.roots(), here.certificate()].map(|path| std::fs::read(path).expect("ours"));
    std::fs::write(&certificate, pems.concat()).expect("the folder is writable");
    let text = format!(
        "IMAPAccount here\nHost {}\nPort {}\nUser bob@example.test\nPass {PASSWORD:?}\n\
         SSLType IMAPS\nCertificateFile {}\n\n\
         IMAPStore far\nAccount here\n\nMaildirStore near\nPath {dir}/\nInbox {dir}/INBOX\n\
         SubFolders Verbatim\n\n\
         Channel all\nFar :far:\nNear :near:\nPatterns *\nCreate Both\nExpunge Both\nSync All\n\
         SyncState *\n",
        here.ip(),
        Service::Imaps.port(),
        certificate.display(),
        dir = maildir.display(),
    );
    let file = here.root().join("mbsyncrc");
    std::fs::write(&file, text).expect("the folder is writable");
    file
}

/// The files of one folder of the Maildir.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for place in ["new", "cur"] {
        let entries = std::fs::read_dir(folder.join(place)).into_iter().flatten().flatten();
        found.extend(entries.map(|entry| entry.path()));
    }
    found.sort();
    found
}

#[test]
fn both_sides_become_the_same() {
    let here = single();
    let Some(program) = clients::find("mbsync") else { return };
    for number in 0..5 {
        let sent = letter("alice@example.test", "bob@example.test", &format!("number-{number}"));
        submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    }
    let maildir = here.root().join("copy");
    std::fs::create_dir_all(&maildir).expect("the folder is writable");
    let config = config(&here, &maildir);
    let sync = || clients::run(Command::new(&program).arg("-c").arg(&config).arg("all"), b"").ok();
    sync();
    let copied = files(&maildir.join("INBOX"));
    assert_eq!(copied.len(), 5);
    // One is read there, one is thrown away here.
    let name = copied[0].file_name().expect("a file").to_string_lossy().into_owned();
    let base = name.split(":2,").next().expect("a name");
    let seen = maildir.join("INBOX/cur").join(format!("{base}:2,FS"));
    std::fs::rename(&copied[0], seen).expect("the folder is writable");
    let (mut talk, count) = inbox(&here, "bob@example.test");
    assert_eq!(count, 5);
    talk.imap("x1", "STORE 5 +FLAGS (\\Deleted)");
    talk.imap("x2", "EXPUNGE");
    sync();
    assert_eq!(files(&maildir.join("INBOX")).len(), 4);
    let flags = talk.imap("x3", "FETCH 1:* FLAGS");
    // A change may be told beside the answer: lines are counted by their number.
    let flagged = flags.iter().filter(|line| line.contains("\\Flagged") && line.contains("\\Seen"));
    let numbers: BTreeSet<_> = flagged.filter_map(|line| line.split(' ').nth(1)).collect();
    assert_eq!(numbers.len(), 1, "{flags:?}");
    // A letter written here appears there.
    let draft = letter("bob@example.test", "alice@example.test", "draft").replace("\r\n", "\n");
    let folder = maildir.join("Drafts/cur");
    std::fs::create_dir_all(&folder).expect("the folder is writable");
    std::fs::write(folder.join("1.2.three:2,D"), &draft).expect("the folder is writable");
    sync();
    let mut talk = imap(&here, "bob@example.test");
    assert_eq!(crate::cluster::exists(&talk.imap("x4", "EXAMINE Drafts")), 1);
    let before: Vec<PathBuf> = files(&maildir.join("INBOX"));
    sync();
    assert_eq!(files(&maildir.join("INBOX")), before, "nothing left to do");
    here.assert_balanced();
}
