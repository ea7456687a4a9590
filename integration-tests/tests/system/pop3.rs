//! POP3 as clients speak it: poplib, curl, fetchmail, mpop. Each that is not installed is skipped.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;

use integration_tests::{Instance, Service, clients};

use crate::cluster::{PASSWORD, letter, script, single, transfer};

/// An instance in which bob has so many letters.
fn with_letters(count: usize) -> Instance {
    let here = single();
    for number in 0..count {
        let subject = format!("pop{number}");
        let text = letter("tim@elsewhere.test", "bob@example.test", &subject);
        let (header, _) = text.split_once("\r\n\r\n").expect("a header");
        let text = format!("{header}\r\n\r\n.a line with a dot\r\nthe end\r\n");
        transfer(&here, "tim@elsewhere.test", &["bob@example.test"], &text);
    }
    here
}

/// A file with a password in it.
fn private(here: &Instance, name: &str, text: &str) -> PathBuf {
    let path = here.root().join(name);
    std::fs::write(&path, text).expect("the folder is writable");
    let mode = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(&path, mode).expect("it is ours");
    path
}

#[test]
fn poplib() {
    let Some(program) = clients::find("python3") else { return };
    let here = with_letters(3);
    let mut command = Command::new(program);
    command.arg(script("pop3.py")).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HOST", here.ip().to_string()).env("ROOTS", here.roots());
    command.env("PASSWORD", PASSWORD).env("DOMAIN", here.domain());
    command.env("POP3", Service::Pop3.port().to_string());
    command.env("POP3S", Service::Pop3s.port().to_string());
    clients::run(&mut command, b"").ok();
    here.assert_balanced();
}

#[test]
fn curl_lists_and_fetches() {
    let Some(program) = clients::find("curl") else { return };
    let here = with_letters(1);
    for (scheme, service) in [("pop3", Service::Pop3), ("pop3s", Service::Pop3s)] {
        let fetch = |path: &str| {
            let (host, port) = (here.hostname(), service.port());
            let mut command = Command::new(&program);
            command.args(["--silent", "--show-error", "--max-time", "30", "--ssl-reqd"]);
            command.args(["--resolve", &format!("{host}:{port}:{}", here.ip())]);
            command.arg("--cacert").arg(here.roots());
            command.args(["--user", &format!("bob@example.test:{PASSWORD}")]);
            command.arg(format!("{scheme}://{host}:{port}/{path}"));
            clients::run(&mut command, b"").ok().out
        };
        assert!(fetch("").starts_with("1 "));
        assert!(fetch("1").ends_with(".a line with a dot\r\nthe end\r\n"));
    }
}

#[test]
fn fetchmail_and_mpop_take_each_letter_once() {
    let here = with_letters(2);
    let (ip, port) = (here.ip(), Service::Pop3.port());
    let out = here.root().join("fetched").display().to_string();
    if let Some(program) = clients::find("fetchmail") {
        let text = format!(
            "poll {ip} service {port} proto pop3 uidl user \"bob@example.test\" password \
             \"{PASSWORD}\" keep sslproto \"\" mda \"cat >> {out}\"\n"
        );
        let file = private(&here, "fetchmailrc", &text);
        for code in [0, 1] {
            let mut command = Command::new(&program);
            command.arg("-f").arg(&file).arg("--nosyslog").env("HOME", here.root());
            // 1: there is no new mail.
            assert_eq!(clients::run(&mut command, b"").code, code);
        }
        let text = std::fs::read_to_string(&out).expect("letters came");
        assert_eq!(text.matches("\nthe end").count(), 2, "{text}");
    }
    if let Some(program) = clients::find("mpop") {
        let root = here.root().display().to_string();
        let text = format!(
            "account x\nhost {ip}\nport {port}\nuser bob@example.test\npassword {PASSWORD}\n\
             auth user\ntls off\nkeep off\nuidls_file {root}/uidls\ndelivery mbox {root}/mbox\n"
        );
        let file = private(&here, "mpoprc", &text);
        let mut command = Command::new(&program);
        command.arg("-C").arg(&file).arg("x");
        clients::run(&mut command, b"").ok();
        let mbox = std::fs::read_to_string(here.root().join("mbox")).expect("letters came");
        assert_eq!(mbox.matches("\nthe end").count(), 2, "{mbox}");
        assert!(crate::cluster::letters(&here, "bob@example.test").is_empty(), "they were deleted");
    }
    here.assert_balanced();
}
