//! Logging in without a password: with a token of an authorization server (OAUTHBEARER, XOAUTH2) and
//! with a certificate (EXTERNAL), at every door, by curl and by hand.

use std::process::Command;

use integration_tests::clients::{self, Said};
use integration_tests::{Authority, Conversation, Instance, Issuer, Service};

use crate::cluster::{assert_same, domain, letter, letters};

const ALICE: &str = "alice@example.test";

/// `example.test`, whose tokens are those of the issuer.
fn with_issuer(issuer: &Issuer) -> Instance {
    let builder = domain("example.test").authority(&Authority::new());
    let mut here = builder
        .set("oauth.introspection_url", format!("{:?}", issuer.url()))
        .set("oauth.client_id", format!("{:?}", Issuer::CLIENT.0))
        .set("oauth.scope", "\"mail\"")
        .set("oauth.discovery_url", "\"https://id.test/.well-known/openid-configuration\"")
        .init();
    let file = here.root().join("oauth-secret");
    std::fs::write(&file, format!("{}\n", Issuer::CLIENT.1)).expect("the folder is writable");
    here.set("oauth.client_secret_file", format!("{:?}", file.display().to_string()));
    here.up();
    here
}

const DOORS: [(&str, Service); 3] =
    [("smtps", Service::Submissions), ("imaps", Service::Imaps), ("pop3s", Service::Pop3s)];

fn curl(at: &Instance, (scheme, service): (&str, Service), words: &[&str]) -> Option<Said> {
    let program = clients::find("curl")?;
    let (host, port) = (at.hostname(), service.port());
    let mut command = Command::new(program);
    command.args(["--silent", "--show-error", "--max-time", "30", "--ssl-reqd"]);
    command.args(["--resolve", &format!("{host}:{port}:{}", at.ip())]);
    command.arg("--cacert").arg(at.roots());
    let path = match scheme {
        "smtps" => "client.test",
        "imaps" => "INBOX;MAILINDEX=1",
        _ => "1",
    };
    command.args(words).arg(format!("{scheme}://{host}:{port}/{path}"));
    Some(clients::run(&mut command, b""))
}

/// Sends a letter to alice and reads it by IMAP and POP3.
fn sends_and_reads(here: &Instance, login: &[&str]) -> Option<()> {
    let sent = letter(ALICE, ALICE, "token");
    let path = here.root().join("letter.eml");
    std::fs::write(&path, &sent).expect("the folder is writable");
    let path = path.display().to_string();
    for (index, door) in DOORS.into_iter().enumerate() {
        let upload = ["--mail-from", ALICE, "--mail-rcpt", ALICE, "--upload-file", &path];
        let upload = if index == 0 { &upload[..] } else { &[] };
        let said = curl(here, door, &[login, upload].concat())?.ok();
        if index > 0 {
            assert_same(said.out.as_bytes(), &sent);
        }
    }
    Some(())
}

#[test]
fn a_token_opens_every_door() {
    let issuer = Issuer::start();
    issuer.says("good", r#"{"active":true,"email":"alice@example.test","scope":"openid mail"}"#);
    let here = with_issuer(&issuer);
    let login = ["--user", "alice@example.test", "--oauth2-bearer", "good"];
    if sends_and_reads(&here, &login).is_none() {
        return;
    }
    assert_eq!(issuer.questions(), 1, "a good token is remembered");
    let old = [&login[..], &["--login-options", "AUTH=XOAUTH2"]].concat();
    for door in &DOORS[1..] {
        curl(&here, *door, &old).expect("curl is there").ok();
    }
    for (token, answer) in [
        ("unknown", ""),
        ("bob", r#"{"active":true,"email":"bob@example.test","scope":"mail"}"#),
        ("nobody", r#"{"active":true,"email":"eve@example.test","scope":"mail"}"#),
        ("narrow", r#"{"active":true,"email":"alice@example.test","scope":"openid"}"#),
        ("old", r#"{"active":true,"email":"alice@example.test","scope":"mail","exp":1}"#),
    ] {
        if !answer.is_empty() {
            issuer.says(token, answer);
        }
        let login = ["--user", "alice@example.test", "--oauth2-bearer", token];
        let said = curl(&here, DOORS[1], &login).expect("curl is there");
        // curl: 67, login denied.
        assert_eq!(said.code, 67, "{token}: {} {}", said.out, said.err);
    }
    assert_eq!(letters(&here, ALICE).len(), 1);
    here.assert_balanced();
}

#[test]
fn a_refused_token_is_explained_and_a_silent_server_is_our_fault() {
    let issuer = Issuer::start();
    issuer.says("good", r#"{"active":true,"email":"alice@example.test","scope":"mail"}"#);
    issuer.says("later", r#"{"active":true,"email":"alice@example.test","scope":"mail"}"#);
    let here = with_issuer(&issuer);
    // RFC 7628 §4.3: what a token lacks, and where to get one.
    let mut imap = here.connect(Service::Imap);
    let greeting = imap.expect("* OK");
    assert!(greeting.contains("AUTH=OAUTHBEARER AUTH=XOAUTH2"), "{greeting}");
    assert!(!greeting.contains("AUTH=EXTERNAL"), "{greeting}");
    imap.line(&format!("a AUTHENTICATE OAUTHBEARER {BAD}"));
    // {"openid-configuration":"https://id.test/.well-known/openid-configuration",
    //  "scope":"mail","status":"invalid_token"}
    imap.expect("+ eyJvcGVuaWQtY29uZmlndXJhdGlvbiI6");
    imap.line("AQ==");
    imap.expect("a NO [AUTHENTICATIONFAILED]");
    let good = format!("b AUTHENTICATE OAUTHBEARER {GOOD}");
    imap.line(&good);
    imap.expect("b OK");
    // RFC 5804: the same at ManageSieve.
    let mut sieve = here.connect(Service::ManageSieve);
    while !sieve.reply().starts_with("OK") {}
    sieve.line(&format!("AUTHENTICATE \"OAUTHBEARER\" \"{GOOD}\""));
    sieve.expect("OK");
    drop(issuer);
    let mut pop = here.connect(Service::Pop3);
    pop.expect("+OK");
    pop.line(&format!("AUTH OAUTHBEARER {LATER}"));
    pop.expect("-ERR [SYS/TEMP]");
    let mut smtp: Conversation = crate::cluster::greeted(&here, Service::Submission);
    smtp.line(&format!("AUTH OAUTHBEARER {LATER}"));
    smtp.expect("454 4.7.0");
}

/// `n,,` and `auth=Bearer bad`, in base64 with its separators; the others likewise.
const BAD: &str = "biwsAWF1dGg9QmVhcmVyIGJhZAEB";
const GOOD: &str = "biwsAWF1dGg9QmVhcmVyIGdvb2QBAQ==";
const LATER: &str = "biwsAWF1dGg9QmVhcmVyIGxhdGVyAQE=";

#[test]
fn a_certificate_opens_every_door() {
    let (hosts, people) = (Authority::new(), Authority::new());
    let mut here = domain("example.test").authority(&hosts).init();
    let file = |name: &str, text: &str| {
        let path = here.root().join(name);
        std::fs::write(&path, text).expect("the folder is writable");
        path.display().to_string()
    };
    let authorities = file("people.pem", people.pem());
    let person = |by: &Authority, mailbox: &str, name: &str| {
        let (certificate, key) = by.sign_person(mailbox);
        (file(&format!("{name}.pem"), &certificate), file(&format!("{name}.key"), &key))
    };
    let (certificate, key) = person(&people, ALICE, "alice");
    let (eve_certificate, eve_key) = person(&people, "eve@example.test", "eve");
    let (forged_certificate, forged_key) = person(&Authority::new(), ALICE, "forged");
    here.set("tls.client_authorities_file", format!("{authorities:?}"));
    here.up();
    let external = ["--login-options", "AUTH=EXTERNAL"];
    let own = ["--user", "alice@example.test:", "--cert", &certificate, "--key", &key];
    if sends_and_reads(&here, &[&own[..], &external].concat()).is_none() {
        return;
    }
    // A certificate of somebody else, of nobody we believe, or none.
    let others = ["--user", "bob@example.test:", "--cert", &certificate, "--key", &key];
    let eve = ["--user", "alice@example.test:", "--cert", &eve_certificate, "--key", &eve_key];
    let forged =
        ["--user", "alice@example.test:", "--cert", &forged_certificate, "--key", &forged_key];
    let none = ["--user", "alice@example.test:"];
    for words in [&others[..], &eve, &forged, &none] {
        for door in &DOORS[1..] {
            let words = [words, &external].concat();
            let said = curl(&here, *door, &words).expect("curl is there");
            assert_ne!(said.code, 0, "{words:?}: {}", said.out);
        }
    }
    // A password is as good as before, with a certificate and without.
    let login = format!("alice@example.test:{}", crate::cluster::PASSWORD);
    for words in
        [&["--user", &login][..], &["--user", &login, "--cert", &certificate, "--key", &key]]
    {
        curl(&here, DOORS[1], words).expect("curl is there").ok();
    }
    here.assert_balanced();
}
