//! What most tests need: a domain with people in it, or two of them that find each other by DNS
//! and trust each other's certificates.

use std::net::IpAddr;
use std::path::PathBuf;

use integration_tests::conversation::Conversation;
use integration_tests::instance::Builder;
use integration_tests::{Authority, Instance, NameServer, Service, Zone, wait};

/// The password of every account here.
pub(crate) const PASSWORD: &str = "correct horse";

/// Begins a domain with alice and bob, who may log in without TLS.
pub(crate) fn domain(name: &str) -> Builder {
    Instance::of(name).account("alice", PASSWORD).account("bob", PASSWORD).cleartext_login()
}

/// `example.test`, running.
pub(crate) fn single() -> Instance {
    let authority = Authority::new();
    domain("example.test").authority(&authority).start()
}

/// Two domains with their own DNS and authority.
pub(crate) struct Pair {
    pub(crate) red: Instance,
    pub(crate) blue: Instance,
    _names: NameServer,
}

/// `red.test` and `blue.test`, both running.
pub(crate) fn pair() -> Pair {
    let mut pair = unstarted_pair(|builder| builder);
    pair.red.up();
    pair.blue.up();
    pair
}

/// The same, initialised and not started, with further settings.
pub(crate) fn unstarted_pair(change: impl Fn(Builder) -> Builder) -> Pair {
    let authority = Authority::new();
    let (red, blue) = (domain("red.test"), domain("blue.test"));
    let names = NameServer::start(zone(&[("red.test", red.ip()), ("blue.test", blue.ip())]));
    let begin = |builder: Builder| {
        let builder = builder.dns(&names).authority(&authority);
        change(builder.set("mta.retry.first", "\"1s\"").set("mta.retry.max", "\"2s\"")).init()
    };
    Pair { red: begin(red), blue: begin(blue), _names: names }
}

/// With retries so far away that a test sees the first one only.
pub(crate) fn never_again(builder: Builder) -> Builder {
    builder.set("mta.retry.first", "\"1h\"").set("mta.retry.max", "\"2h\"")
}

/// MX and A records for domains whose host is `mx.DOMAIN`.
pub(crate) fn zone(domains: &[(&str, IpAddr)]) -> Zone {
    domains.iter().fold(Zone::new(), |zone, (domain, ip)| {
        let host = format!("mx.{domain}");
        zone.mx(domain, 10, &host).address(&host, *ip).txt(domain, "v=spf1 mx -all")
    })
}

/// A letter as a client would write it, with CRLF.
pub(crate) fn letter(from: &str, to: &str, subject: &str) -> String {
    format!(
        "From: <{from}>\r\nTo: <{to}>\r\nSubject: {subject}\r\n\
         Date: Sun, 22 Nov 2026 10:00:00 +0000\r\nMessage-ID: <{subject}@test>\r\n\r\n\
         A line, and\r\n..one with dots.\r\n"
    )
}

/// The letter as DATA carries it: dots doubled, the end marked.
pub(crate) fn stuffed(letter: &str) -> String {
    let mut out = String::with_capacity(letter.len() + 16);
    for line in letter.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    out.push_str(".\r\n");
    out
}

/// Logs in at the submission port and sends one letter; the reply to its data.
#[track_caller]
pub(crate) fn submit(at: &Instance, from: &str, to: &[&str], letter: &str) -> String {
    let mut talk = greeted(at, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain(from)), "235");
    talk.say(&format!("MAIL FROM:<{from}>"), "250");
    for recipient in to {
        talk.say(&format!("RCPT TO:<{recipient}>"), "250");
    }
    talk.say("DATA", "354");
    talk.raw(stuffed(letter).as_bytes());
    let reply = talk.expect("250");
    talk.say("QUIT", "221");
    reply
}

/// A connection past its greeting and EHLO.
#[track_caller]
pub(crate) fn greeted(at: &Instance, service: Service) -> Conversation {
    let mut talk = at.connect(service);
    talk.expect("220");
    talk.say("EHLO client.test", "250");
    talk
}

/// Sends one letter to port 25 as another server would.
#[track_caller]
pub(crate) fn transfer(at: &Instance, from: &str, to: &[&str], letter: &str) -> String {
    let mut talk = greeted(at, Service::Smtp);
    talk.say(&format!("MAIL FROM:<{from}>"), "250");
    for recipient in to {
        talk.say(&format!("RCPT TO:<{recipient}>"), "250");
    }
    talk.say("DATA", "354");
    talk.raw(stuffed(letter).as_bytes());
    let reply = talk.expect("250");
    talk.say("QUIT", "221");
    reply
}

/// SASL PLAIN for a user of these tests.
pub(crate) fn plain(user: &str) -> String {
    base64(format!("\0{user}\0{PASSWORD}").as_bytes())
}

/// A session of IMAP, logged in, INBOX selected; and how many letters it has.
#[track_caller]
pub(crate) fn inbox(at: &Instance, user: &str) -> (Conversation, usize) {
    let mut talk = imap(at, user);
    let count = exists(&talk.imap("sel", "SELECT INBOX"));
    (talk, count)
}

/// A session of IMAP, logged in.
#[track_caller]
pub(crate) fn imap(at: &Instance, user: &str) -> Conversation {
    let mut talk = at.connect(Service::Imap);
    let greeting = talk.read();
    assert!(greeting.starts_with("* OK"), "{greeting}");
    talk.imap("log", &format!("LOGIN {user} \"{PASSWORD}\""));
    talk
}

/// The count in `* N EXISTS`.
pub(crate) fn exists(lines: &[String]) -> usize {
    let count = lines.iter().rev().find_map(|line| line.strip_suffix(" EXISTS"));
    count.and_then(|line| line.trim_start_matches("* ").parse().ok()).unwrap_or_default()
}

/// Every letter of the INBOX, as it is stored.
#[track_caller]
pub(crate) fn letters(at: &Instance, user: &str) -> Vec<Vec<u8>> {
    let (mut talk, count) = inbox(at, user);
    (1..=count).map(|number| fetch(&mut talk, number)).collect()
}

/// One letter by its number.
#[track_caller]
pub(crate) fn fetch(talk: &mut Conversation, number: usize) -> Vec<u8> {
    talk.line(&format!("get FETCH {number} BODY.PEEK[]"));
    let mut body = Vec::new();
    loop {
        let line = talk.read();
        if let Some(size) = line.strip_suffix('}').and_then(|line| line.rsplit_once('{')) {
            body = talk.exactly(size.1.parse().expect("the size of a literal"));
        }
        if line.starts_with("get ") {
            assert!(line.starts_with("get OK"), "{line}\n{}", talk.log());
            return body;
        }
    }
}

/// Waits until the INBOX has this many letters, and gives them.
#[track_caller]
pub(crate) fn await_letters(at: &Instance, user: &str, count: usize) -> Vec<Vec<u8>> {
    wait::until(&format!("{count} letters for {user}"), || {
        let (_, there) = inbox(at, user);
        (there >= count).then_some(())
    });
    letters(at, user)
}

/// Whether the letter was delivered whole: what was sent, below nothing but our header lines.
#[track_caller]
pub(crate) fn assert_same(stored: &[u8], sent: &str) {
    let head = stored.len().checked_sub(sent.len()).unwrap_or_else(|| {
        panic!("shorter than what was sent:\n{}", String::from_utf8_lossy(stored))
    });
    let text = String::from_utf8_lossy(stored);
    assert_eq!(&stored[head..], sent.as_bytes(), "{text}");
    for line in String::from_utf8_lossy(&stored[..head]).lines() {
        let ours = [
            "Return-Path:",
            "Received:",
            "Authentication-Results:",
            "Delivered-To:",
            "DKIM-",
            "\t",
            " ",
        ];
        assert!(ours.iter().any(|start| line.starts_with(start)), "added: {line}");
    }
}

/// Writes a script of ours to a place where its interpreter finds it.
pub(crate) fn script(name: &str) -> PathBuf {
    integration_tests::source::workspace().join("integration-tests/clients").join(name)
}

/// Base64 with padding.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        let bits = bits << (8 * (3 - group.len()));
        for digit in 0..4 {
            if digit <= group.len() {
                out.push(DIGITS[(bits >> (18 - 6 * digit) & 63) as usize] as char);
            } else {
                out.push('=');
            }
        }
    }
    out
}

#[test]
fn base64_has_known_answers() {
    assert_eq!(base64(b"Man"), "TWFu");
    assert_eq!(base64(b"Ma"), "TWE=");
    assert_eq!(base64(b"M"), "TQ==");
}

/// The journey of a letter, once it tells of everything in `kinds`: the trail is written a moment
/// behind what it tells of.
pub(crate) fn journey(here: &Instance, id: &str, kinds: &[&str]) -> Vec<serde_json::Value> {
    wait::until(&format!("the journey tells of {kinds:?}"), || {
        let events = here.json(&["trace", id]);
        let has = |kind: &&str| events.iter().any(|event| event["kind"] == **kind);
        kinds.iter().all(has).then_some(events)
    })
}
