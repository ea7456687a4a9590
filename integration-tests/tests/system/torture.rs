//! Letters that nobody should send: a hundred thousand parts, a thousand levels, headers without
//! end, NULs, charsets that do not exist. Each is stored as it came, listed, fetched and searched,
//! in a bounded time and memory.

use std::io::Write as _;
use std::time::{Duration, Instant};

use integration_tests::{Conversation, Instance, Service, wait};

use crate::cluster::{PASSWORD, domain};

/// What is searched for in each letter; it stands in its first text.
const NEEDLE: &str = "haystackneedle";

/// The longest that one command may take on a busy machine with a build that is not optimised.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the delivery agent may hold at most, in KiB: a few letters of some megabytes each.
const MEMORY: u64 = 400 * 1024;

fn letters() -> Vec<(&'static str, Vec<u8>)> {
    let head = format!("From: a@b.test\r\nSubject: {NEEDLE}\r\nMIME-Version: 1.0\r\n");
    let with = |rest: &str| format!("{head}{rest}").into_bytes();
    let parts = |boundary: &str, inner: &str| {
        format!("Content-Type: multipart/mixed; boundary=\"{boundary}\"\r\n\r\n{inner}")
    };
    let many = "--b\r\n\r\nx\r\n".repeat(100_000);
    let mut deep = String::new();
    let mut envelopes = String::new();
    for level in 0..1_000 {
        deep.push_str(&parts(&format!("b{level}"), &format!("--b{level}\r\n")));
        envelopes.push_str("Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n");
    }
    let text = |kind: &str, body: &[u8]| {
        let mut letter = with(&format!("Content-Type: {kind}\r\n\r\n{NEEDLE}\r\n"));
        letter.extend_from_slice(body);
        letter
    };
    let encoded = |encoding: &str, body: &str| {
        with(&format!("Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"))
    };
    vec![
        ("100,000 parts", with(&parts("b", &format!("--b\r\n\r\n{NEEDLE}\r\n{many}--b--\r\n")))),
        ("1,000 levels", with(&format!("{deep}\r\n{NEEDLE}\r\n"))),
        ("1,000 letters in letters", with(&format!("{envelopes}\r\n{NEEDLE}\r\n"))),
        (
            "a header of 4 MB",
            with(&format!("{}\r\n{NEEDLE}\r\n", "X-Field: y\r\n".repeat(350_000))),
        ),
        (
            "a field of 4 MB",
            with(&format!("X-F: y\r\n{}\r\n{NEEDLE}", " folded\r\n".repeat(450_000))),
        ),
        ("a header without end", with(&"To: <a@b.test>,\r\n <c@d.test>\r\n".repeat(100_000))),
        ("one line of 2 MB", with(&format!("\r\n{NEEDLE} {}", "x".repeat(2_000_000)))),
        ("no line end", with(&format!("\r\n{NEEDLE} and no more"))),
        ("nothing but a header", with("")),
        ("no charset of that name", text("text/plain; charset=x-nowhere", b"\xe9\xff\r\n")),
        ("UTF-16 of odd length", text("text/plain; charset=utf-16", b"\xff\xfea\x00b")),
        ("broken ISO-2022-JP", text("text/plain; charset=iso-2022-jp", b"\x1b$B\x80\x1b(\r\n")),
        ("UTF-8 that is none", text("text/plain; charset=utf-8", b"\xc3\x28\xf8\x80\r\n")),
        ("broken base64", encoded("base64", "aGF5c3RhY2tuZWVkbGU=\r\n=*!\r\nAAA\r\n")),
        ("broken quoted-printable", encoded("quoted-printable", &format!("{NEEDLE}=\r\n=XX=4"))),
        ("an encoding of no name", encoded("x-uuencode", &format!("{NEEDLE}\r\n"))),
        ("an empty boundary", with(&parts("", &format!("--\r\n\r\n{NEEDLE}\r\n----\r\n")))),
        ("an endless boundary", with(&parts(&"b".repeat(10_000), &format!("\r\n{NEEDLE}\r\n")))),
        ("lines that are no fields", with(&format!("no colon\r\n: none\r\n\r\n{NEEDLE}\r\n"))),
        ("bare CR and LF", with(&format!("X: a\rb\nY: c\n\r\n\r\n{NEEDLE}\r\r\n\n"))),
        (
            "encoded words to no end",
            with(&format!("X: {}\r\n\r\n{NEEDLE}", "=?utf-8?q?=?= =?x?b?y ".repeat(50_000))),
        ),
        (
            "addresses to no end",
            with(&format!("To: {}\r\n\r\n{NEEDLE}", "((((\"<a,:;@".repeat(100_000))),
        ),
        (
            "references to no end",
            with(&format!("References: {}\r\n\r\n{NEEDLE}", "<a@b>".repeat(90_000))),
        ),
    ]
}

#[test]
fn letters_that_nobody_should_send() {
    let here = domain("example.test").start();
    let mut talk = session(&here);
    let letters = letters();
    for (name, letter) in &letters {
        let sized = format!("a APPEND INBOX {{{}+}}\r\n", letter.len());
        talk.raw(&[sized.as_bytes(), letter, b"\r\n"].concat());
        let said = talk.until_tagged("a");
        let last = said.last().map(String::as_str).unwrap_or_default();
        assert!(last.starts_with("a OK"), "{name}: {last}");
        talk.forget();
    }
    talk.imap("s", "SELECT INBOX");
    for (index, (name, letter)) in letters.iter().enumerate() {
        is_whole(&mut talk, index + 1, (name, letter));
    }
    on_all(&mut talk, letters.len());
    let agent = here.agent("mda").expect("it runs");
    let status = std::fs::read_to_string(format!("/proc/{agent}/status")).expect("it runs");
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("Linux says");
    let most: u64 = most.trim().trim_end_matches(" kB").parse().expect("a number");
    eprintln!("the delivery agent held {most} KiB at most");
    assert!(most < MEMORY, "{most} KiB");
    let verified = here.run(&["mailbox", "verify", "alice@example.test"]);
    assert_eq!(verified.code, 0, "{} {}", verified.out, verified.err);
}

/// One letter: its size and octets, and every question about it is answered in time.
fn is_whole(talk: &mut Conversation, number: usize, (name, letter): (&str, &[u8])) {
    assert_eq!(literal(talk, &format!("FETCH {number} BODY.PEEK[]")), letter, "{name}");
    let first = literal(talk, &format!("FETCH {number} BODY.PEEK[]<0.100>"));
    assert_eq!(first, letter[..letter.len().min(100)], "{name}");
    for items in [
        "RFC822.SIZE",
        "(ENVELOPE BODYSTRUCTURE)",
        "BODY",
        "BODY.PEEK[HEADER.FIELDS (SUBJECT)]",
        "BODY.PEEK[1]",
        "BODY.PEEK[1.MIME]",
        "BODY.PEEK[1.1.1.1.1.1]",
        "BODY.PEEK[99999]",
        "BINARY.SIZE[1]",
        "PREVIEW",
    ] {
        let since = Instant::now();
        let lines = talk_literals(talk, &format!("FETCH {number} {items}"));
        let last = lines.last().map(String::as_str).unwrap_or_default();
        // RFC 3516 §4.3: an encoding that is not known.
        let good = last.starts_with("q OK") || last.contains("[UNKNOWN-CTE]");
        assert!(good, "{name}: {items}: {last}");
        assert!(since.elapsed() < PATIENCE, "{name}: {items} took {:?}", since.elapsed());
        if items == "RFC822.SIZE" {
            let said = format!("RFC822.SIZE {}", letter.len());
            assert!(lines[0].contains(&said), "{name}: {}", lines[0]);
        }
        talk.forget();
    }
}

/// What is asked of all letters at once.
fn on_all(talk: &mut Conversation, count: usize) {
    let everything: Vec<String> = (1..=count).map(|number| number.to_string()).collect();
    for command in [
        &format!("SEARCH SUBJECT {NEEDLE}"),
        &format!("SEARCH TEXT {NEEDLE}"),
        "SEARCH BODY nowhereinanyofthem",
        "SORT (SUBJECT FROM DATE SIZE) UTF-8 ALL",
        "THREAD REFERENCES UTF-8 ALL",
        "THREAD ORDEREDSUBJECT UTF-8 ALL",
    ] {
        let since = Instant::now();
        let lines = talk.imap("q", command);
        assert!(since.elapsed() < PATIENCE * 2, "{command} took {:?}", since.elapsed());
        let found: Vec<&str> = lines[0].split([' ', '(', ')']).collect();
        let is_found = |number: &&String| found.contains(&number.as_str());
        let found = everything.iter().filter(is_found).count();
        let expected = if command.contains("nowhere") { 0 } else { count };
        assert_eq!(found, expected, "{command}: {}", lines[0]);
    }
}

#[test]
fn letters_of_other_programs_with_nuls() {
    let here = domain("example.test").start();
    let mut talk = session(&here);
    // With a first letter the Maildir comes to be.
    talk.line("a APPEND INBOX {24+}\r\nSubject: 1\r\n\r\nthe text\r\n");
    talk.until_tagged("a");
    talk.imap("s", "SELECT INBOX");
    let folder = here.maildir("alice").join("new");
    wait::until("the Maildir is there", || folder.is_dir().then_some(()));
    let letter =
        format!("Subject: a\0b {NEEDLE}\r\nX\0: \0\r\n\r\n\0\0{NEEDLE}\0\r\n").into_bytes();
    let path = here.maildir("alice").join("new/1700000000.1.elsewhere");
    let part = here.maildir("alice").join("tmp/1700000000.1.elsewhere");
    let mut file = std::fs::File::create(&part).expect("the Maildir is there");
    file.write_all(&letter).expect("there is room");
    std::fs::rename(&part, &path).expect("the Maildir is there");
    wait::until("the letter is adopted", || {
        talk.imap("n", "NOOP").iter().any(|line| line == "* 2 EXISTS").then_some(())
    });
    // A NUL cannot be said in a literal of IMAP4rev1; BINARY can say it (RFC 3516 §4.2).
    let said = literal(&mut talk, "FETCH 2 BINARY.PEEK[]");
    assert_eq!(said, letter);
    let found = talk.imap("q", &format!("SEARCH BODY {NEEDLE}"));
    assert_eq!(found[0], "* SEARCH 2");
    talk.imap("q", "FETCH 2 (ENVELOPE BODYSTRUCTURE RFC822.SIZE)");
}

fn session(here: &Instance) -> Conversation {
    let mut talk = here.connect(Service::Imap);
    talk.read();
    talk.imap("l", &format!("LOGIN alice@example.test \"{PASSWORD}\""));
    talk
}

/// The literal in the one answer to a command.
fn literal(talk: &mut Conversation, command: &str) -> Vec<u8> {
    talk.line(&format!("q {command}"));
    let head = talk.read();
    let size = head.rsplit('{').next().and_then(|rest| rest.trim_end_matches('}').parse().ok());
    let octets = talk.exactly(size.unwrap_or_else(|| panic!("{command}: {head}")));
    let last = talk.until_tagged("q").pop().unwrap_or_default();
    assert!(last.starts_with("q OK"), "{command}: {last}");
    octets
}

/// The lines of an answer; what stands in literals is passed over.
fn talk_literals(talk: &mut Conversation, command: &str) -> Vec<String> {
    talk.line(&format!("q {command}"));
    let mut lines = Vec::new();
    loop {
        let line = talk.read();
        let size = line.strip_suffix('}').and_then(|line| line.rsplit('{').next()?.parse().ok());
        let is_last = line.starts_with("q ");
        lines.push(line);
        if let Some(size) = size {
            talk.exactly(size);
        } else if is_last {
            return lines;
        }
    }
}
