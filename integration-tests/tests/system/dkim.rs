//! DKIM: what people submit and what we write ourselves carries signatures that others' programs
//! believe; keys are changed while letters are on their way.

use std::path::Path;
use std::process::Command;

use integration_tests::receiver::{Manner, Receiver};
use integration_tests::{Instance, NameServer, Service, Zone, clients, wait};

use crate::cluster::{PASSWORD, await_letters, domain, journey, letters, single, submit};

/// Debian's Python, which has Debian's dkimpy.
const PYTHON: &str = "/usr/bin/python3";

/// Whether dkimpy is there.
fn has_dkimpy() -> bool {
    let found = Command::new(PYTHON).args(["-c", "import dkim, nacl"]).output();
    let is_there = found.is_ok_and(|output| output.status.success());
    if !is_there {
        clients::note_skipped("python3-dkim");
    }
    is_there
}

/// The records of an instance's domain, as JSON lines in a file.
fn records(here: &Instance) -> std::path::PathBuf {
    let path = here.root().join("records.json");
    let said = here.run(&["dns", "records", here.domain(), "--json"]).ok();
    std::fs::write(&path, said.out).expect("the folder is ours");
    path
}

/// dkimpy on this letter.
#[track_caller]
fn dkimpy(here: &Instance, letter: &[u8]) {
    let path = here.root().join("letter.eml");
    std::fs::write(&path, letter).expect("the folder is ours");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/verify_dkim.py");
    let mut command = Command::new(PYTHON);
    let said = clients::run(command.arg(script).arg(records(here)).arg(&path), b"").ok();
    assert!(said.out.contains("2 signatures"), "{}", said.out);
}

/// opendkim on this letter, if it is there. It knows RSA alone and judges by that.
#[track_caller]
fn opendkim(here: &Instance, letter: &[u8]) {
    let Some(program) = clients::find("opendkim") else { return };
    let root = here.root();
    let keys: String = std::fs::read_to_string(records(here))
        .expect("records")
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|record| {
            record["value"].as_str().is_some_and(|it| it.starts_with("v=DKIM1; k=rsa"))
        })
        .map(|record| {
            let text = |key: &str| record[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}\n", text("name"), text("value"))
        })
        .collect();
    std::fs::write(root.join("dkim.dns"), keys).expect("the folder is ours");
    let config = format!(
        "Mode v\nTestDNSData file:{0}/dkim.dns\nAlwaysAddARHeader yes\nAuthservID test\n\
         RequireSafeKeys no\n",
        root.display()
    );
    std::fs::write(root.join("opendkim.conf"), config).expect("the folder is ours");
    // It reads the letter as a user of its own, who cannot enter our folder.
    let name = format!("posthaste-opendkim-{}.eml", here.ip());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, letter).expect("the temporary folder is writable");
    let mut command = Command::new(program);
    command.arg("-x").arg(root.join("opendkim.conf")).arg("-t").arg(&path);
    let said = clients::run(command.arg("-vv"), b"");
    std::fs::remove_file(&path).expect("it was written");
    let all = format!("{}{}", said.out, said.err);
    assert!(all.contains("dkim=pass"), "{all}");
}

#[test]
fn others_believe_what_is_submitted_here() {
    if !has_dkimpy() {
        return;
    }
    let here = single();
    // The ends of bodies that programs get wrong, long lines, 8-bit text, dots.
    let bodies = [
        "hello\r\n",
        "hello\r\n   \r\n\t\r\n",
        "hello  world \r\n\r\n\r\n",
        "hello\r\n \r\n \t \r\nagain\r\n\r\n \r\n",
        "",
        "\r\n \r\n",
        "Grüße, größer\r\n.\r\n..dots\r\n",
    ];
    for (index, body) in bodies.iter().enumerate() {
        let text = format!(
            "From: Alice <alice@example.test>\r\nTo: bob@example.test\r\nSubject: number {index},\
             \r\n\tfolded\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 8bit\r\n\r\n{body}"
        );
        let reply = submit(&here, "alice@example.test", &["bob@example.test"], &text);
        let id = reply.split_whitespace().nth(2).expect("a journey id").to_owned();
        let events = journey(&here, &id, &["signed"]);
        let signed = events.iter().find(|event| event["kind"] == "signed").expect("signed");
        let said = signed["text"].as_str().unwrap_or_default();
        assert!(said.starts_with("d=example.test s=posthaste-rsa-1 rsa-sha256, s="), "{said}");
    }
    let found = letters(&here, "bob@example.test");
    assert_eq!(found.len(), bodies.len());
    for letter in &found {
        dkimpy(&here, letter);
        opendkim(&here, letter);
    }
}

#[test]
fn what_is_re_encoded_for_a_hop_is_signed_again() {
    if !has_dkimpy() {
        return;
    }
    // Without 8BITMIME.
    let receiver = Receiver::start(Manner::default());
    let port = Service::Smtp.port();
    let route = format!("{{\"*\" = \"smtp:{}:{port}\"}}", receiver.ip());
    let here = domain("example.test").set("mta.routes", route).start();
    let text = "From: Alice <alice@example.test>\r\nTo: bob@blue.test\r\nSubject: eight\r\n\
                MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
                Content-Transfer-Encoding: 8bit\r\n\r\nGr\u{fc}\u{df}e, gr\u{f6}\u{df}er\r\n  \r\n";
    submit(&here, "alice@example.test", &["bob@blue.test"], text);
    let letter = wait::until("the hop has it", || receiver.letters().pop());
    assert!(letter.is_ascii() && letter.contains("quoted-printable"), "{letter}");
    assert_eq!(letter.matches("DKIM-Signature:").count(), 2, "{letter}");
    dkimpy(&here, letter.as_bytes());
    opendkim(&here, letter.as_bytes());
}

#[test]
fn a_bounce_is_signed_and_a_stranger_is_not() {
    if !has_dkimpy() {
        return;
    }
    let dns = NameServer::start(Zone::new().mx("nomail.test", 0, ""));
    let here =
        Instance::of("example.test").account("alice", PASSWORD).cleartext_login().dns(&dns).start();
    let text = "From: alice@example.test\r\nTo: x@nomail.test\r\nSubject: to nobody\r\n\r\nhi\r\n";
    submit(&here, "alice@example.test", &["x@nomail.test"], text);
    let bounce = await_letters(&here, "alice@example.test", 1).remove(0);
    dkimpy(&here, &bounce);
    // Somebody outside who writes in alice's name gets no signature of ours.
    let mut talk = crate::cluster::greeted(&here, integration_tests::Service::Smtp);
    talk.say("MAIL FROM:<alice@example.test>", "250");
    talk.say("RCPT TO:<alice@example.test>", "250");
    talk.say("DATA", "354");
    talk.raw(b"From: alice@example.test\r\nSubject: forged\r\n\r\nhi\r\n.\r\n");
    let reply = talk.reply();
    if reply.starts_with("250") {
        let found = await_letters(&here, "alice@example.test", 2);
        let forged =
            found.iter().map(|it| String::from_utf8_lossy(it)).find(|it| it.contains("forged"));
        assert!(!forged.expect("stored").contains("DKIM-Signature"));
    }
}

#[test]
fn new_keys_sign_when_dns_shows_them_and_the_old_stay_published() {
    let here = Instance::of("example.test").account("alice", PASSWORD).cleartext_login();
    // Nothing is published: DNS says so clearly, and the new keys wait.
    let dns = NameServer::start(Zone::new());
    let mut here = here.dns(&dns).set("dkim.check_every", "\"1s\"").start();
    let said = here.run(&["dkim", "rotate", "example.test"]).ok();
    assert!(said.out.contains("posthaste-rsa-2._domainkey.example.test."), "{}", said.out);
    here.run(&["dkim", "rotate", "example.test"]).says("waiting to be published");
    let uses = |here: &Instance| -> Vec<String> {
        let listed = here.json(&["dkim", "list", "example.test"]);
        listed
            .iter()
            .map(|one| format!("{} {}", one["selector"], one["use"]).replace('"', ""))
            .collect()
    };
    let listed = uses(&here);
    assert!(listed.contains(&"posthaste-rsa-2 next".to_owned()), "{listed:?}");
    let send = |here: &Instance| {
        let text = "From: alice@example.test\r\nTo: alice@example.test\r\nSubject: x\r\n\r\nhi\r\n";
        submit(here, "alice@example.test", &["alice@example.test"], text);
        let found = letters(here, "alice@example.test");
        String::from_utf8_lossy(found.last().expect("a letter")).into_owned()
    };
    assert!(send(&here).contains("s=posthaste-rsa-1;"));
    // All four records are there to be published; then they are.
    let mut zone = Zone::new();
    let records = here.json(&["dns", "records", "example.test"]);
    let keys: Vec<_> =
        records.iter().filter(|it| it["name"].to_string().contains("domainkey")).collect();
    assert_eq!(keys.len(), 4, "{records:#?}");
    for record in keys {
        let text = |key: &str| record[key].as_str().expect("text").to_owned();
        zone = zone.txt_long(&text("name"), &text("value"));
    }
    let shown = NameServer::start(zone);
    here.stop();
    here.set("dns.servers", format!("[\"{}\"]", shown.address()));
    here.up();
    wait::until("the new keys sign", || {
        uses(&here).contains(&"posthaste-rsa-2 signing".to_owned()).then_some(())
    });
    let listed = uses(&here);
    assert!(listed.contains(&"posthaste-ed25519-1 old".to_owned()), "{listed:?}");
    assert!(send(&here).contains("s=posthaste-rsa-2;"));
    assert_eq!(here.json(&["dns", "records", "example.test"]).len(), records.len(), "old ones too");
    here.run(&["dkim", "remove", "example.test", "posthaste-rsa-2"]).says("signs letters");
    here.run(&["dkim", "remove", "example.test", "posthaste-rsa-1"]).ok();
    assert!(!uses(&here).iter().any(|one| one.starts_with("posthaste-rsa-1")));
}
