//! msmtp: a sendmail for people without a server, with its certificate check.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration_tests::{Service, clients};

use crate::cluster::{PASSWORD, assert_same, letter, letters, single};

#[test]
fn sends_by_both_ports() {
    let here = single();
    let Some(program) = clients::find("msmtp") else { return };
    let sent = letter("alice@example.test", "bob@example.test", "msmtp").replace("\r\n", "\n");
    for (service, starttls) in [(Service::Submission, "on"), (Service::Submissions, "off")] {
        let config = format!(
            "account default\nhost {}\nport {}\ntls on\ntls_starttls {starttls}\n\
             tls_trust_file {}\nauth on\nuser alice@example.test\npassword {PASSWORD:?}\n\
             from alice@example.test\n",
            here.ip(),
            service.port(),
            here.roots().display(),
        );
        let file = here.root().join("msmtprc");
        std::fs::write(&file, config).expect("the folder is writable");
        let mode = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, mode).expect("the file is ours");
        let mut command = Command::new(&program);
        command.arg("-C").arg(&file).arg("bob@example.test");
        clients::run(&mut command, sent.as_bytes()).ok();
    }
    let found = letters(&here, "bob@example.test");
    assert_eq!(found.len(), 2);
    for stored in found {
        assert_same(&stored, &sent.replace('\n', "\r\n"));
    }
    here.assert_balanced();
}
