//! Bad input, and what it gets: each a conversation with a running daemon.

use std::time::Duration;

use integration_tests::{Conversation, Instance, Service, wait};

use crate::cluster::{
    PASSWORD, domain, greeted, imap, letter, letters, plain, single, stuffed, transfer,
};

/// Port 25, past EHLO.
fn smtp(here: &Instance) -> Conversation {
    greeted(here, Service::Smtp)
}

/// A transaction up to DATA.
fn into_data(here: &Instance) -> Conversation {
    let mut talk = smtp(here);
    talk.say("MAIL FROM:<x@elsewhere.test>", "250");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    talk
}

#[test]
fn orders_that_make_no_sense() {
    let here = single();
    let mut talk = here.connect(Service::Smtp);
    talk.expect("220");
    talk.say("MAIL FROM:<a@b.test>", "503 5.5.1");
    talk.say("HELO client.test", "250");
    talk.say("RCPT TO:<bob@example.test>", "503 5.5.1");
    talk.say("DATA", "503 5.5.1");
    talk.say("MAIL FROM:<a@b.test>", "250");
    talk.say("MAIL FROM:<a@b.test>", "503 5.5.1");
    talk.say("DATA", "503 5.5.1");
    talk.say("RSET", "250");
    talk.say("RCPT TO:<bob@example.test>", "503 5.5.1");
    talk.say("NOOP and more", "250");
    talk.say("VRFY bob", "252");
    talk.say("HELP", "214");
    talk.say("QUIT", "221");
    talk.expect_closed();
}

#[test]
fn syntax_that_is_wrong_is_named() {
    let here = single();
    let mut talk = smtp(&here);
    talk.say("GEHLO", "500 5.5");
    talk.say("MAIL FROM:bob", "501 5");
    talk.say("MAIL FROM:<a@b..test>", "501 5.1.7");
    talk.say("MAIL FROM:<a@b.test> SIZE=many", "501 5.5.4");
    talk.say("MAIL FROM:<a@b.test> COLOUR=red", "555 5.5.4");
    talk.say("MAIL FROM:<a@b.test>", "250");
    talk.say("RCPT TO:<>", "501 5.1.3");
    talk.say("RCPT TO:<bob@example.test> COLOUR=red", "555 5.5.4");
    talk.say("RCPT TO:<nobody@example.test>", "550 5.1.1");
    talk.say("RCPT TO:<someone@far.test>", "550 5.7.1");
    talk.say("EHLO", "501 5.5.4");
    talk.say("QUIT", "221");
}

#[test]
fn lines_and_letters_that_are_too_long() {
    let here = domain("example.test").set("limits.message_size", "\"100kB\"").start();
    let mut talk = smtp(&here);
    talk.say(&format!("NOOP {}", "x".repeat(5_000)), "500 5.5.2");
    talk.say("MAIL FROM:<a@b.test> SIZE=1000000", "552 5.3.4");
    talk.say("MAIL FROM:<a@b.test>", "250");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    let mut large = letter("a@b.test", "bob@example.test", "large");
    for _ in 0..3_000 {
        large.push_str("Sixty-odd characters of a letter that is far larger than allowed.\r\n");
    }
    talk.raw(stuffed(&large).as_bytes());
    talk.expect("552 5.3.4");
    talk.say("NOOP", "250");
    assert!(letters(&here, "bob@example.test").is_empty());
    here.assert_balanced();
}

#[test]
fn a_letter_that_just_fits_arrives() {
    // Sizes agree across the hops: what our headers add is not held against the sender.
    let here = domain("example.test").set("limits.message_size", "\"100kB\"").start();
    let mut text = letter("a@b.test", "bob@example.test", "just");
    while text.len() < 99_900 {
        text.push_str("x".repeat(90).as_str());
        text.push_str("\r\n");
    }
    transfer(&here, "a@b.test", &["bob@example.test"], &text);
    assert_eq!(letters(&here, "bob@example.test").len(), 1);
    here.assert_balanced();
}

#[test]
fn recipients_beyond_the_limit_wait() {
    let here = domain("example.test").set("limits.recipients_per_letter", "100").start();
    let mut talk = smtp(&here);
    talk.say("MAIL FROM:<a@b.test>", "250");
    for number in 0..100 {
        talk.say(&format!("RCPT TO:<bob+{number}@example.test>"), "250");
    }
    talk.say("RCPT TO:<bob@example.test>", "452 4.5.3");
    talk.say("DATA", "354");
    talk.raw(stuffed(&letter("a@b.test", "bob@example.test", "many")).as_bytes());
    talk.expect("250");
    here.assert_balanced();
}

#[test]
fn bare_line_ends_end_nothing() {
    let here = single();
    for smuggled in ["\n.\n", "\n.\r\n", "\r.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\r\r\n"] {
        let mut talk = into_data(&here);
        talk.raw(b"Subject: outer\r\n\r\nouter");
        talk.raw(smuggled.as_bytes());
        talk.raw(b"MAIL FROM:<evil@b.test>\r\nRCPT TO:<bob@example.test>\r\nDATA\r\n");
        talk.raw(b"Subject: inner\r\n\r\ninner\r\n.\r\n");
        let reply = talk.reply();
        assert!(reply.starts_with('5'), "{smuggled:?}: {reply}");
        assert!(reply.to_lowercase().contains("bare"), "the connection is told why: {reply}");
    }
    assert!(letters(&here, "bob@example.test").is_empty());
    let mut talk = smtp(&here);
    talk.raw(b"NOOP\nNOOP\r\n");
    assert!(talk.reply().starts_with('5'), "a bare LF ends no command");
    here.assert_balanced();
}

#[test]
fn eight_bits_and_nuls_where_not_declared() {
    let here = single();
    // RFC 6152 §3: who has not said 8BITMIME should not send it; everyone does, and we keep it.
    let mut talk = into_data(&here);
    talk.raw("Subject: x\r\n\r\ngr\u{fc}n\r\n.\r\n".as_bytes());
    talk.expect("250");
    // RFC 6531 §3.3: an international address needs SMTPUTF8.
    let mut talk = smtp(&here);
    talk.raw("MAIL FROM:<b\u{fc}cher@b.test>\r\n".as_bytes());
    let reply = talk.reply();
    assert!(reply.starts_with("501") || reply.starts_with("553"), "{reply}");
    talk.raw("MAIL FROM:<b\u{fc}cher@b.test> SMTPUTF8\r\n".as_bytes());
    talk.expect("250");
    // RFC 5321 §4.1.2: a command has no NUL.
    talk.say("RSET", "250");
    talk.raw(b"MAIL FROM:<a\0b@b.test>\r\n");
    assert!(talk.reply().starts_with("50"));
    here.assert_balanced();
}

#[test]
fn strangers_to_the_protocol_are_shown_out() {
    let here = single();
    // HTTP.
    let mut talk = here.connect(Service::Smtp);
    talk.expect("220");
    talk.raw(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    let first = talk.read();
    assert!(first.starts_with('5') || first.starts_with("421"), "{first}");
    talk.expect_closed();
    // A TLS ClientHello on a plain port.
    let mut talk = here.connect(Service::Smtp);
    talk.expect("220");
    talk.raw(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    let line = talk.try_read().unwrap_or_else(|| "closed".into());
    assert!(line.starts_with('5') || line.starts_with("421") || line == "closed", "{line}");
    talk.expect_closed();
    // Noise: many wrong commands.
    let mut talk = smtp(&here);
    for _ in 0..200 {
        if talk.try_raw(b"\xff\xfe\x01\x02 noise\r\n").is_err() {
            break;
        }
    }
    talk.expect_closed();
    // Plain SMTP on the port of TLS.
    let mut talk = here.connect(Service::Submissions);
    talk.raw(b"EHLO client.test\r\n");
    talk.expect_closed();
    greeted(&here, Service::Smtp);
}

#[test]
fn slow_peers_are_timed_out() {
    let here = domain("example.test").set("limits.idle", "\"1s\"").start();
    let mut talk = here.connect(Service::Smtp);
    talk.expect("220");
    let line = talk.read();
    assert!(line.starts_with("421 4.4.2"), "{line}");
    talk.expect_closed();
    let mut talk = into_data(&here);
    talk.raw(b"Subject: and then no");
    assert!(talk.read().starts_with("421 4.4.2"));
    talk.expect_closed();
}

#[test]
fn a_client_that_never_reads_is_dropped() {
    let here = domain("example.test").set("limits.idle", "\"2s\"").start();
    let mut talk = smtp(&here);
    let flood = "HELP\r\n".repeat(10_000);
    // It stops taking our bytes long before the flood is over, and then gives up on us.
    wait::within(Duration::from_secs(60), "the session is closed", || {
        talk.try_raw(flood.as_bytes()).is_err().then_some(())
    });
    greeted(&here, Service::Smtp);
}

#[test]
fn starttls_does_not_carry_plaintext_over() {
    let here = single();
    let mut talk = smtp(&here);
    // RFC 3207 §4.2, and CVE-2011-0411: what came before the handshake is gone after it.
    talk.raw(b"STARTTLS\r\nMAIL FROM:<a@b.test>\r\n");
    let reply = talk.reply();
    if reply.starts_with("220") {
        // Whatever is said now is a handshake; the injected command gets no answer.
        talk.close();
        let rest = talk.try_read();
        assert!(rest.is_none_or(|line| !line.starts_with("250")));
    } else {
        assert!(reply.starts_with('5'), "{reply}");
    }
}

#[test]
fn logins_need_tls() {
    let authority = integration_tests::Authority::new();
    let here =
        Instance::of("example.test").account("alice", PASSWORD).authority(&authority).start();
    let mut talk = here.connect(Service::Submission);
    talk.expect("220");
    let offered = talk.say("EHLO client.test", "250");
    assert!(!offered.contains("AUTH"), "{offered}");
    assert!(offered.contains("STARTTLS"), "{offered}");
    let reply = talk.say(&format!("AUTH PLAIN {}", plain("alice@example.test")), "5");
    assert!(reply.starts_with("538 5.7.11") || reply.starts_with("530 5.7.0"), "{reply}");
    let mut talk = here.connect(Service::Imap);
    assert!(talk.read().contains("LOGINDISABLED"));
    talk.line(&format!("a LOGIN alice@example.test \"{PASSWORD}\""));
    let lines = talk.until_tagged("a");
    assert!(lines[0].starts_with("a NO [PRIVACYREQUIRED]"), "{lines:?}");
}

#[test]
fn imap_says_what_and_where() {
    let here = single();
    let mut talk = here.connect(Service::Imap);
    talk.read();
    for (line, start) in [
        ("a FROBNICATE", "a BAD"),
        ("a FETCH 1 FLAGS", "a BAD"),
        ("a LOGIN alice", "a BAD"),
        ("a LOGIN alice@example.test wrong", "a NO [AUTHENTICATIONFAILED]"),
    ] {
        talk.line(line);
        let lines = talk.until_tagged("a");
        let last = lines.last().expect("a tagged line");
        assert!(last.starts_with(start), "{line}: {lines:?}");
    }
    talk.line("no-command-at-all");
    let line = talk.read();
    assert!(line.contains("BAD"), "{line}");
    let mut talk = imap(&here, "bob@example.test");
    for (line, start) in [
        ("a SELECT Nowhere", "a NO"),
        ("a FETCH 1 (FLAGS", "a BAD"),
        ("a SEARCH SMALLER many", "a BAD"),
        ("a CREATE INBOX", "a NO"),
        ("a DELETE INBOX", "a NO"),
    ] {
        talk.line(line);
        let lines = talk.until_tagged("a");
        let last = lines.last().expect("a tagged line");
        assert!(last.starts_with(start), "{line}: {lines:?}");
    }
}

#[test]
fn no_name_gets_out_of_its_folder() {
    let here = single();
    let mut talk = imap(&here, "bob@example.test");
    for name in ["../../escape", "..", "../alice/escape", "/etc/escape", "a/../../escape"] {
        // Refused or kept under a harmless name: both are fine.
        talk.line(&format!("a CREATE {name}"));
        talk.until_tagged("a");
    }
    let mut folders = vec![here.root().to_owned()];
    while let Some(folder) = folders.pop() {
        let inside = folder.starts_with(here.maildir("bob"));
        for entry in std::fs::read_dir(&folder).expect("ours").flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            assert!(inside || !name.contains("escape"), "{}", entry.path().display());
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
}

#[test]
fn literals_over_the_limit_are_refused_before_they_are_read() {
    let here = single();
    let mut talk = imap(&here, "bob@example.test");
    talk.line("a APPEND INBOX {99999999999}");
    let line = talk.read();
    assert!(line.starts_with("a NO [TOOBIG]") || line.starts_with("a BAD"), "{line}");
    let mut talk = here.connect(Service::Imap);
    talk.read();
    talk.line("a LOGIN {1000000}");
    let line = talk.read();
    assert!(line.starts_with("a BAD") || line.starts_with("a NO"), "{line}");
    // Non-synchronising: what follows cannot be told from commands, so the connection ends.
    let mut talk = here.connect(Service::Imap);
    talk.read();
    talk.line("a LOGIN {1000000000+}");
    talk.expect_closed();
}

#[test]
fn loops_end() {
    let here = single();
    let mut talk = into_data(&here);
    for hop in 0..150 {
        talk.raw(format!("Received: from a{hop}.test by b{hop}.test; date\r\n").as_bytes());
    }
    talk.raw(b"Subject: round and round\r\n\r\n.\r\n");
    talk.expect("554 5.4.6");
    assert!(letters(&here, "bob@example.test").is_empty());
    here.assert_balanced();
}

#[test]
fn a_full_mailbox_is_refused() {
    let here = single();
    here.run(&["account", "quota", "bob@example.test", "20kB"]).ok();
    let mut large = letter("a@b.test", "bob@example.test", "large");
    for _ in 0..250 {
        large.push_str("Sixty-odd characters of a letter that nearly fills the mailbox.\r\n");
    }
    transfer(&here, "a@b.test", &["bob@example.test"], &large);
    let mut talk = smtp(&here);
    talk.say("MAIL FROM:<a@b.test>", "250");
    talk.line("RCPT TO:<bob@example.test>");
    let mut reply = talk.reply();
    if reply.starts_with("250") {
        talk.say("DATA", "354");
        talk.raw(stuffed(&large).as_bytes());
        reply = talk.reply();
    }
    assert!(reply.starts_with("452 4.2.2") || reply.starts_with("552 5.2.2"), "{reply}");
    here.assert_balanced();
}
