//! curl: smtp with STARTTLS, smtps, imap with STARTTLS, imaps; certificates checked.

use std::path::PathBuf;
use std::process::Command;

use integration_tests::clients::{self, Said};
use integration_tests::{Instance, Service};

use crate::cluster::{PASSWORD, assert_same, letter, letters, single};

/// curl speaks to the host by its name, so that it can check the certificate.
fn curl(at: &Instance, scheme: &str, service: Service, path: &str, words: &[&str]) -> Option<Said> {
    let program = clients::find("curl")?;
    let (host, port) = (at.hostname(), service.port());
    let mut command = Command::new(program);
    command.args(["--silent", "--show-error", "--max-time", "30", "--ssl-reqd"]);
    command.args(["--resolve", &format!("{host}:{port}:{}", at.ip())]);
    command.arg("--cacert").arg(at.roots());
    command.args(["--user", &format!("alice@example.test:{PASSWORD}")]);
    command.args(words).arg(format!("{scheme}://{host}:{port}/{path}"));
    Some(clients::run(&mut command, b""))
}

fn letter_file(at: &Instance, text: &str) -> PathBuf {
    let path = at.root().join("letter.eml");
    std::fs::write(&path, text).expect("the folder is writable");
    path
}

#[test]
fn sends_and_fetches() {
    let here = single();
    let sent = letter("alice@example.test", "alice@example.test", "curl");
    let file = letter_file(&here, &sent).display().to_string();
    let upload = [
        "--mail-from",
        "alice@example.test",
        "--mail-rcpt",
        "alice@example.test",
        "--upload-file",
        &file,
    ];
    for (scheme, service) in [("smtp", Service::Submission), ("smtps", Service::Submissions)] {
        let Some(said) = curl(&here, scheme, service, "client.test", &upload) else { return };
        said.ok();
    }
    for (scheme, service) in [("imap", Service::Imap), ("imaps", Service::Imaps)] {
        let path = "INBOX;MAILINDEX=1";
        let said = curl(&here, scheme, service, path, &[]).expect("curl is there").ok();
        assert_same(said.out.as_bytes(), &sent);
    }
    let folders = curl(&here, "imaps", Service::Imaps, "", &[]).expect("curl is there").ok();
    for folder in ["INBOX", "Sent", "Drafts", "Trash", "Junk", "Archive"] {
        assert!(folders.out.contains(folder), "{}", folders.out);
    }
    here.assert_balanced();
}

#[test]
fn appends_searches_and_flags() {
    let here = single();
    let sent = letter("alice@example.test", "bob@example.test", "kept");
    let file = letter_file(&here, &sent).display().to_string();
    let at = |path: &str, words: &[&str]| curl(&here, "imaps", Service::Imaps, path, words);
    let Some(said) = at("Drafts", &["--upload-file", &file]) else { return };
    said.ok();
    let said = at("Drafts", &["-X", "SEARCH SUBJECT kept"]).expect("curl is there").ok();
    assert_eq!(said.out.trim(), "* SEARCH 1");
    at("Drafts", &["-X", "STORE 1 +FLAGS (\\Flagged $Work)"]).expect("curl is there").ok();
    let said = at("Drafts", &["-X", "FETCH 1 FLAGS"]).expect("curl is there").ok();
    assert!(said.out.contains("\\Flagged") && said.out.contains("$Work"), "{}", said.out);
    let said = at("Drafts;MAILINDEX=1", &[]).expect("curl is there").ok();
    assert_eq!(said.out, sent, "what APPEND stores is what FETCH gives");
}

#[test]
fn a_wrong_password_and_a_wrong_certificate() {
    let here = single();
    let wrong = ["--user", "alice@example.test:wrong"];
    let Some(said) = curl(&here, "imaps", Service::Imaps, "", &wrong) else { return };
    // curl: 67, login denied.
    assert_eq!(said.code, 67, "{}", said.err);
    let none = ["--cacert", "/etc/ssl/certs/ca-certificates.crt"];
    let said = curl(&here, "imaps", Service::Imaps, "", &none).expect("curl is there");
    // curl: 60 or 77, the certificate is from nobody we know.
    assert!(matches!(said.code, 60 | 77), "{} {}", said.code, said.err);
    assert_eq!(letters(&here, "alice@example.test").len(), 0);
}
