//! mutt and neomutt, whichever there are: send an attachment by submission, and read by IMAP with
//! the keys that people press.

use std::path::{Path, PathBuf};
use std::process::Command;

use integration_tests::{Instance, Service, clients, wait};

use crate::cluster::{PASSWORD, await_letters, inbox, single};

/// Those that are installed; none is a gap that the run tells.
fn programs() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |name: &&str| std::env::split_paths(&path).any(|place| place.join(name).is_file());
    let mut found: Vec<&str> = ["neomutt", "mutt"].into_iter().filter(there).collect();
    if found.is_empty() {
        found.push("mutt");
    }
    found.into_iter().filter_map(clients::find).collect()
}

fn config(here: &Instance, program: &Path, user: &str) -> PathBuf {
    let (ip, roots) = (here.ip(), here.roots());
    let login = user.replace('@', "%40");
    // Mutt 2.2 with GNU SASL takes SCRAM-SHA-256-PLUS when it is offered, has no channel binding
    // to go with it (RFC 9266), and gives up: it must be told what to use for submission. Neomutt's
    // list of what may be told is older than SCRAM-SHA-256.
    let mechanisms = if program.ends_with("neomutt") { "plain" } else { "scram-sha-256:plain" };
    let text = format!(
        "set smtp_authenticators='{mechanisms}'\nset from='{user}'\nset realname='Alice'\nset ssl_verify_host=no\n\
         set certificate_file='{roots}'\nset ssl_ca_certificates_file='{roots}'\n\
         set imap_user='{user}'\nset imap_pass='{PASSWORD}'\nset smtp_pass='{PASSWORD}'\n\
         set smtp_url='smtps://{login}@{ip}:{submissions}'\n\
         set folder='imaps://{login}@{ip}:{imaps}'\nset spoolfile='+INBOX'\nset record=''\n\
         set copy=no\nset ssl_force_tls=yes\nset ssl_starttls=yes\n\
         set sleep_time=0\nset wait_key=no\nset quit=yes\nset confirmappend=no\n\
         set delete=yes\nset timeout=5\nset net_inc=0\n",
        roots = roots.display(),
        submissions = Service::Submissions.port(),
        imaps = Service::Imaps.port(),
    );
    let file = here.root().join("muttrc");
    std::fs::write(&file, text).expect("the folder is writable");
    file
}

#[test]
fn sends_an_attachment() {
    programs().iter().for_each(|program| send_with(program));
}

fn send_with(program: &Path) {
    let here = single();
    let config = config(&here, program, "alice@example.test");
    let picture: Vec<u8> = (0..=255u8).cycle().take(5_000).collect();
    let file = here.root().join("picture.bin");
    std::fs::write(&file, &picture).expect("the folder is writable");
    let mut command = here_command(&here, program);
    command.arg("-n").arg("-F").arg(&config).args(["-s", "With a picture", "-a"]).arg(&file);
    command.args(["--", "bob@example.test"]);
    clients::run(&mut command, "Look: grüße.\n".as_bytes()).ok();
    let found = await_letters(&here, "bob@example.test", 1);
    let text = String::from_utf8_lossy(&found[0]);
    assert!(text.contains("Subject: With a picture"), "{text}");
    assert!(text.contains("picture.bin"), "{text}");
    here.assert_balanced();
}

#[test]
fn reads_and_deletes() {
    let Some(script) = clients::find("script") else { return };
    programs().iter().for_each(|program| read_with(program, &script));
}

fn read_with(program: &Path, script: &Path) {
    let here = single();
    for subject in ["first", "second"] {
        let sent = crate::cluster::letter("alice@example.test", "bob@example.test", subject);
        crate::cluster::submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    }
    let config = config(&here, program, "bob@example.test");
    let keys = "push '<first-entry><display-message><exit><next-undeleted>\
                <delete-message><sync-mailbox><quit>'";
    let line = format!("{} -n -F {} -e \"{keys}\"", program.display(), config.display());
    let mut command = here_command(&here, script);
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).env("TERM", "xterm");
    let said = clients::run(&mut command, b"");
    wait::until("one letter is left", || (inbox(&here, "bob@example.test").1 == 1).then_some(()));
    let (mut talk, _) = inbox(&here, "bob@example.test");
    let flags = talk.imap("f", "FETCH 1 FLAGS");
    assert!(flags[0].contains("\\Seen"), "{flags:?}\n{}", said.out);
    here.assert_balanced();
}

/// A terminal of its own, and no files of whoever runs the tests.
fn here_command(here: &Instance, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("HOME", here.root()).env("LC_ALL", "C.UTF-8").current_dir(here.root());
    command
}
