//! `posthaste init`: what it makes, with which modes, and that it changes nothing that is there.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use integration_tests::clients::{self, Said};
use integration_tests::instance::executable;

fn init(folder: &Path, words: &[&str], input: &[u8]) -> Said {
    let mut command = std::process::Command::new(executable());
    command.arg("init").arg(folder).args(words).env("HOME", folder);
    clients::run(&mut command, input)
}

/// Every file and folder with its mode and contents.
fn inventory(folder: &Path, found: &mut BTreeMap<String, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        let mode = entry.metadata().expect("it is there").permissions().mode() & 0o777;
        let contents = if path.is_dir() { Vec::new() } else { std::fs::read(&path).expect("ours") };
        found.insert(path.display().to_string(), (mode, contents));
        if path.is_dir() {
            inventory(&path, found);
        }
    }
}

#[test]
fn makes_a_system_and_changes_nothing_when_run_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("mail");
    let words = [
        "--domain",
        "example.test",
        "--account",
        "alice",
        "--account",
        "bob@example.test",
        "--bind",
        "192.0.2.7",
        "--yes",
        "--password-stdin",
    ];
    let said = init(&root, &words, b"correct horse\nbattery staple\n").ok();
    for record in [
        "example.test. 3600 IN MX 10 mail.example.test.",
        "mail.example.test. 3600 IN A 192.0.2.7",
        "\"v=spf1 mx -all\"",
        "\"v=DKIM1; k=rsa; p=",
        "\"v=DKIM1; k=ed25519; p=",
        "_dmarc.example.test. 3600 IN TXT \"v=DMARC1;",
    ] {
        assert!(said.out.contains(record), "{record} in {}", said.out);
    }
    assert!(!said.out.contains("correct horse"), "passwords of the caller are not repeated");
    let mut before = BTreeMap::new();
    inventory(&root, &mut before);
    for (path, (mode, _)) in &before {
        // Who exists is no secret among our own agents, which may run as a group.
        let open = if path.ends_with("/directory.toml") { 0o007 } else { 0o077 };
        assert_eq!(mode & open, 0, "{path} is open to others: {mode:o}");
    }
    for name in ["posthaste.toml", "data/keys/tls.crt", "data/keys/tls.key", "data/mail"] {
        assert!(root.join(name).exists(), "{name}");
    }
    let config = root.join("posthaste.toml").display().to_string();
    let run = |words: &[&str]| {
        let mut command = std::process::Command::new(executable());
        clients::run(command.args(words).args(["-c", &config]), b"")
    };
    run(&["check"]).ok();
    let aliases = run(&["alias", "list"]).ok();
    for name in ["postmaster@example.test", "abuse@example.test"] {
        assert!(aliases.out.contains(name), "{}", aliases.out);
    }
    let again = init(&root, &words, b"other\nothers\n").ok();
    assert!(again.out.contains("nothing was changed"), "{}", again.out);
    let mut after = BTreeMap::new();
    inventory(&root, &mut after);
    before.retain(|path, _| !path.contains("/run/"));
    after.retain(|path, _| !path.contains("/run/"));
    assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>());
    for (path, (mode, contents)) in before {
        assert!(after[&path] == (mode, contents), "{path} was changed");
    }
}

#[test]
fn makes_passwords_and_shows_them_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("mail");
    let words = ["--domain", "example.test", "--account", "alice", "--json"];
    let said = init(&root, &words, b"").ok();
    let report: serde_json::Value = serde_json::from_str(&said.out).expect("JSON");
    let password = report["passwords"]["alice@example.test"].as_str().expect("a password");
    assert!(password.len() >= 16, "{password}");
    let again = init(&root, &words, b"").ok();
    assert!(!again.out.contains(password));
}

#[test]
fn says_what_is_wrong_with_its_arguments() {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("mail");
    let said = init(&root, &["--domain", "not a domain"], b"");
    assert_eq!(said.code, 64, "{}", said.err);
    said.says("--domain");
    assert!(!root.exists(), "nothing is written before the arguments are understood");
    let said = init(&root, &["--domain", "example.test", "--account", "x@other.test"], b"");
    assert_eq!(said.code, 64, "{}", said.err);
    let file = folder.path().join("file");
    std::fs::write(&file, "").expect("the folder is writable");
    let said = init(&file.join("below"), &["--domain", "example.test"], b"");
    assert_eq!(said.code, 1, "{}", said.err);
    said.says("file");
}
