//! Python's smtplib and imaplib: the scripts are in `integration-tests/clients`.

use std::process::Command;

use integration_tests::{Instance, Service, clients};

use crate::cluster::{PASSWORD, letters, script, single};

fn python(here: &Instance, name: &str) -> Option<()> {
    let program = clients::find("python3")?;
    let mut command = Command::new(program);
    command.arg(script(name)).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("HOST", here.ip().to_string()).env("ROOTS", here.roots());
    command.env("PASSWORD", PASSWORD).env("DOMAIN", here.domain());
    for (name, service) in [
        ("SMTP", Service::Smtp),
        ("SUBMISSION", Service::Submission),
        ("SUBMISSIONS", Service::Submissions),
        ("IMAP", Service::Imap),
        ("IMAPS", Service::Imaps),
    ] {
        command.env(name, service.port().to_string());
    }
    clients::run(&mut command, b"").ok();
    Some(())
}

#[test]
fn smtplib() {
    let here = single();
    if python(&here, "smtp.py").is_none() {
        return;
    }
    assert_eq!(letters(&here, "bob@example.test").len(), 4);
    here.assert_balanced();
}

#[test]
fn imaplib() {
    let here = single();
    if python(&here, "imap.py").is_none() {
        return;
    }
    here.assert_balanced();
}
