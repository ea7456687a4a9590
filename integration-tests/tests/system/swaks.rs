//! swaks: submission on 587 with STARTTLS, on 465 with TLS at once, and port 25 as a stranger.

use std::process::Command;

use integration_tests::clients::{self, Said};
use integration_tests::{Instance, Service};

use crate::cluster::{PASSWORD, letters, single};

fn swaks(at: &Instance, service: Service, words: &[&str]) -> Option<Said> {
    let program = clients::find("swaks")?;
    let mut command = Command::new(program);
    command.args(["--server", &at.ip().to_string(), "--port", &service.port().to_string()]);
    command.args(["--helo", "client.test", "--from", "alice@example.test"]);
    command.args(["--to", "bob@example.test", "--body", "From swaks.\n.\n..two dots"]);
    Some(clients::run(command.args(words), b""))
}

const LOGIN: [&str; 4] = ["--auth-user", "alice@example.test", "--auth-password", PASSWORD];

#[test]
fn submission_with_starttls() {
    let here = single();
    for mechanism in ["PLAIN", "LOGIN"] {
        let mut words = vec!["--tls", "--auth", mechanism, "--attach", "@/etc/hostname"];
        words.extend(LOGIN);
        let Some(said) = swaks(&here, Service::Submission, &words) else { return };
        said.ok().says("250 2.0.0");
    }
    assert_eq!(letters(&here, "bob@example.test").len(), 2);
    here.assert_balanced();
}

#[test]
fn submission_with_tls_at_once() {
    let here = single();
    let mut words = vec!["--tlsc", "--auth", "PLAIN", "--pipeline"];
    words.extend(LOGIN);
    let Some(said) = swaks(&here, Service::Submissions, &words) else { return };
    said.ok().says("250 2.0.0");
    let found = letters(&here, "bob@example.test");
    let text = String::from_utf8_lossy(&found[0]);
    assert!(text.contains("From swaks.\r\n.\r\n..two dots"), "{text}");
    assert!(text.contains("with ESMTPSA"), "{text}");
}

#[test]
fn a_stranger_on_port_25() {
    let here = single();
    let Some(said) = swaks(&here, Service::Smtp, &["--tls", "--from", "x@elsewhere.test"]) else {
        return;
    };
    said.ok().says("250 2.0.0");
    let relay = ["--to", "someone@far.test", "--from", "x@elsewhere.test"];
    let said = swaks(&here, Service::Smtp, &relay).expect("it was there a moment ago");
    // swaks: 24 means that no recipient was accepted.
    assert_eq!(said.code, 24, "{}", said.out);
    said.says("550 5.7.1");
    assert_eq!(letters(&here, "bob@example.test").len(), 1);
}

#[test]
fn a_wrong_password() {
    let here = single();
    let words =
        ["--tls", "--auth", "PLAIN", "--auth-user", "alice@example.test", "--auth-password", "no"];
    let Some(said) = swaks(&here, Service::Submission, &words) else { return };
    // swaks: 28 means that the login was refused.
    assert_eq!(said.code, 28, "{}", said.out);
    said.says("535 5.7.8");
}
