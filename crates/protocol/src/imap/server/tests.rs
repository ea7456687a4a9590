//! The server machine from outside: dialogues, bounds, and the same events for any chunking.

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::imap::command::LiteralKind;
use crate::imap::fetch::{Content, FetchData, Section};

fn options(tls: Tls) -> Options {
    Options {
        hostname: "imap.red.test".into(),
        tls,
        cleartext_login: CleartextLogin::Refused,
        mechanisms: vec!["PLAIN".into()],
        extensions: vec!["IDLE".into()],
        message_size: 1_000_000,
        autologout: limits::AUTOLOGOUT,
    }
}

fn server() -> Server {
    let mut server = Server::new(Tick::default(), options(Tls::Active(TlsFacts::default())));
    output(&mut server);
    server
}

fn output(server: &mut Server) -> String {
    let mut out = BytesMut::new();
    server.poll_output(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

/// Feeds, finishes every command with OK, and gives all that was said.
fn say(server: &mut Server, text: &str) -> String {
    server.feed(Tick::default(), text.as_bytes());
    while let Some(event) = server.poll() {
        match event {
            Event::Command(_, Command::Append(_)) => server.accept_message(),
            Event::Command(_, Command::Idle) => server.start_idle(),
            Event::Command(_, Command::Authenticate { initial: None, .. }) => server.challenge(b""),
            Event::MessageChunk(_) | Event::MessageAborted => {}
            Event::SaslCancelled => server.finish(Condition::Bad, &StatusText::new("cancelled")),
            _ => server.finish(Condition::Ok, &StatusText::new("done")),
        }
    }
    output(server)
}

fn logged_in() -> Server {
    let mut server = server();
    say(&mut server, "l LOGIN a b\r\n");
    server
}

#[test]
fn greeting_and_capabilities_follow_the_state() {
    let mut plain = Server::new(Tick::default(), options(Tls::Offered));
    let greeting = output(&mut plain);
    assert!(greeting.starts_with("* OK [CAPABILITY IMAP4rev1 IMAP4rev2 LITERAL+"), "{greeting}");
    assert!(greeting.contains("STARTTLS LOGINDISABLED]"), "{greeting}");
    assert!(!greeting.contains("AUTH=") && !greeting.contains("IDLE"), "{greeting}");
    let refused = say(&mut plain, "a LOGIN x y\r\n");
    assert!(refused.starts_with("a NO [PRIVACYREQUIRED]"), "{refused}");
    let started = say(&mut plain, "b STARTTLS\r\nc LOGIN x y\r\n");
    assert_eq!(started, "b OK done\r\n");
    assert!(!plain.wants_input());
    plain.tls_established(Tick::default(), TlsFacts::default());
    let caps = say(&mut plain, "d CAPABILITY\r\n");
    assert!(caps.contains("AUTH=PLAIN") && !caps.contains("STARTTLS"), "{caps}");
    let login = say(&mut plain, "e LOGIN x y\r\n");
    assert!(login.starts_with("e OK [CAPABILITY ") && login.contains(" IDLE] "), "{login}");
    assert!(say(&mut plain, "f STARTTLS\r\n").starts_with("f BAD"));
}

#[test]
fn commands_in_the_wrong_state_are_bad() {
    let mut server = server();
    assert!(
        say(&mut server, "a SELECT x\r\n").starts_with("a BAD SELECT is not possible now: log")
    );
    assert!(say(&mut server, "b FETCH 1 UID\r\n").starts_with("b BAD"));
    say(&mut server, "c LOGIN a b\r\n");
    assert_eq!(server.state(), SessionState::Authenticated);
    assert!(say(&mut server, "d FETCH 1 UID\r\n").contains("select a mailbox first"));
    assert!(say(&mut server, "e LOGIN a b\r\n").starts_with("e BAD"));
    say(&mut server, "f SELECT x\r\n");
    assert_eq!(server.state(), SessionState::Selected);
    assert_eq!(say(&mut server, "g FETCH 1 UID\r\n"), "g OK done\r\n");
    say(&mut server, "h CLOSE\r\n");
    assert_eq!(server.state(), SessionState::Authenticated);
    let bye = say(&mut server, "i LOGOUT\r\nj NOOP\r\n");
    assert_eq!(bye, "* BYE logging out\r\ni OK LOGOUT done\r\n");
    assert!(server.is_closed());
}

#[test]
fn a_failed_select_leaves_nothing_selected() {
    let mut server = logged_in();
    say(&mut server, "a SELECT x\r\n");
    server.feed(Tick::default(), b"b SELECT y\r\n");
    server.poll();
    server.finish(Condition::No, &StatusText::new("no such mailbox"));
    assert_eq!(server.state(), SessionState::Authenticated);
}

#[test]
fn one_command_at_a_time() {
    let mut server = logged_in();
    server.feed(Tick::default(), b"a NOOP\r\nb NOOP\r\n");
    assert!(matches!(server.poll(), Some(Event::Command(tag, _)) if tag.as_str() == "a"));
    assert_eq!(server.poll(), None);
    server.finish(Condition::Ok, &StatusText::new("x"));
    assert!(matches!(server.poll(), Some(Event::Command(tag, _)) if tag.as_str() == "b"));
    // While it runs, what is pipelined is bounded.
    server.feed(Tick::default(), &vec![b'x'; limits::PIPELINE_SIZE]);
    assert!(!server.wants_input());
}

#[test]
fn synchronizing_literals_are_asked_for() {
    let mut server = server();
    assert_eq!(say(&mut server, "a LOGIN {1}\r\n"), "+ go on\r\n");
    assert_eq!(say(&mut server, "x {1}\r\n"), "+ go on\r\n");
    assert!(say(&mut server, "y\r\n").starts_with("a OK"));
    let mut server = self::server();
    assert!(say(&mut server, "a LOGIN {1+}\r\nx {1+}\r\ny\r\n").starts_with("a OK"));
}

#[test]
fn literals_over_the_limit_are_refused_before_they_are_read() {
    let mut server = logged_in();
    assert_eq!(
        say(&mut server, "a SELECT {99999999}\r\n"),
        "a BAD [TOOBIG] the literal is too large\r\n"
    );
    assert_eq!(say(&mut server, "b NOOP\r\n"), "b OK done\r\n");
    // Unasked: swallowed, with the rest of its line and further literals.
    let long = format!("c SELECT {{40000+}}\r\n{} {{3+}}\r\nabc\r\nd NOOP\r\n", "x".repeat(40_000));
    let answer = say(&mut server, &long);
    assert_eq!(answer, "c BAD [TOOBIG] the literal is too large\r\nd OK done\r\n");
    // Unasked and huge: the connection ends.
    assert!(say(&mut server, "e SELECT {99999999+}\r\n").contains("* BYE"));
    assert!(server.is_closed());
}

#[test]
fn messages_are_streamed() {
    let mut server = logged_in();
    server.feed(Tick::default(), b"a APPEND x (\\Seen) {10}\r\n");
    let Some(Event::Command(_, Command::Append(append))) = server.poll() else { panic!() };
    assert_eq!((append.literal.size, append.literal.kind), (10, LiteralKind::Text));
    assert_eq!(output(&mut server), "");
    server.accept_message();
    assert_eq!(output(&mut server), "+ go on\r\n");
    server.feed(Tick::default(), b"12345");
    assert_eq!(server.poll(), Some(Event::MessageChunk(Bytes::from_static(b"12345"))));
    assert_eq!(server.poll(), None);
    server.feed(Tick::default(), b"67890\r");
    assert_eq!(server.poll(), Some(Event::MessageChunk(Bytes::from_static(b"67890"))));
    assert_eq!(server.poll(), None);
    server.feed(Tick::default(), b"\nb NOOP\r\n");
    assert_eq!(server.poll(), Some(Event::MessageEnd));
    server.finish(Condition::Ok, &StatusText::new("done"));
    assert!(matches!(server.poll(), Some(Event::Command(..))));
}

#[test]
fn messages_can_be_refused_before_and_while_they_come() {
    let mut server = logged_in();
    let no = StatusText::with(Code::TryCreate, "no such mailbox");
    server.feed(Tick::default(), b"a APPEND x {3}\r\n");
    server.poll();
    server.finish(Condition::No, &no);
    assert_eq!(output(&mut server), "a NO [TRYCREATE] no such mailbox\r\n");
    server.feed(Tick::default(), b"b APPEND x {3+}\r\nabc\r\nc NOOP\r\n");
    server.poll();
    server.finish(Condition::No, &no);
    assert!(matches!(server.poll(), Some(Event::Command(tag, _)) if tag.as_str() == "c"));
    server.finish(Condition::Ok, &no);
    server.feed(Tick::default(), b"d APPEND x {6+}\r\nabc");
    server.poll();
    server.accept_message();
    assert!(matches!(server.poll(), Some(Event::MessageChunk(_))));
    server.finish(Condition::No, &StatusText::new("disk full"));
    assert!(say(&mut server, "def\r\ne NOOP\r\n").ends_with("e OK done\r\n"));
    // Over the size that is announced.
    let big = say(&mut server, "f APPEND x {1000001}\r\n");
    assert!(big.starts_with("f NO [TOOBIG]"), "{big}");
    // Garbage behind the message: it does not count.
    let aborted = say(&mut server, "g APPEND x {1+}\r\nx garbage\r\nh NOOP\r\n");
    assert!(
        aborted.starts_with("g BAD expected a further message")
            && aborted.ends_with("h OK done\r\n")
    );
}

#[test]
fn idle_ends_with_done() {
    let mut server = logged_in();
    assert_eq!(say(&mut server, "a IDLE\r\n"), "+ idling\r\n");
    server.untagged(&Untagged::Exists(4));
    assert_eq!(output(&mut server), "* 4 EXISTS\r\n");
    assert_eq!(say(&mut server, "done\r\n"), "a OK done\r\n");
    assert_eq!(
        say(&mut server, "b IDLE\r\nc NOOP\r\n"),
        "+ idling\r\nb BAD expected DONE; IDLE is over\r\n"
    );
}

#[test]
fn a_line_that_is_too_long_is_so_however_it_comes() {
    let line = [vec![b'x'; limits::SASL_LINE + 1], b"\r\n".to_vec()].concat();
    for piece in [1, 1000, line.len()] {
        let mut server = logged_in();
        assert_eq!(say(&mut server, "a IDLE\r\n"), "+ idling\r\n");
        let mut said = String::new();
        for piece in line.chunks(piece) {
            said.push_str(&say(&mut server, std::str::from_utf8(piece).unwrap()));
        }
        assert_eq!(said, "* BYE the line is too long\r\n", "in pieces of {piece}");
    }
}

#[test]
fn sasl_is_an_exchange() {
    let mut server = server();
    server.feed(Tick::default(), b"a AUTHENTICATE plain\r\n");
    assert!(matches!(server.poll(), Some(Event::Command(_, Command::Authenticate { .. }))));
    server.challenge(b"");
    assert_eq!(output(&mut server), "+ \r\n");
    server.feed(Tick::default(), b"AGEAYg==\r\n");
    let expected = Event::SaslResponse(Secret::new(b"\0a\0b".to_vec()));
    assert_eq!(server.poll(), Some(expected));
    server.finish(Condition::No, &StatusText::new("no"));
    assert_eq!(server.state(), SessionState::NotAuthenticated);
    assert_eq!(
        say(&mut server, "b AUTHENTICATE PLAIN\r\n*\r\n"),
        "a NO no\r\n+ \r\nb BAD cancelled\r\n"
    );
    let bad = say(&mut server, "c AUTHENTICATE PLAIN\r\n!!\r\n");
    assert_eq!(bad, "+ \r\nc BAD the response is not base64\r\n");
}

#[test]
fn fetch_streams_its_bodies() {
    let mut server = logged_in();
    say(&mut server, "a SELECT x\r\n");
    server.feed(Tick::default(), b"b FETCH 1 (UID BODY[])\r\n");
    server.poll();
    server.fetch_begin(std::num::NonZeroU32::MIN);
    server.fetch_item(&FetchData::Uid(std::num::NonZeroU32::MIN));
    server.fetch_item(&FetchData::Section {
        section: Section::default(),
        offset: None,
        content: Content::Streamed(5),
    });
    server.fetch_chunk(b"ab");
    server.fetch_chunk(b"cdefg");
    server.fetch_end();
    server.finish(Condition::Ok, &StatusText::new("done"));
    assert_eq!(output(&mut server), "* 1 FETCH (UID 1 BODY[] {5}\r\nabcde)\r\nb OK done\r\n");
    // A body that breaks off cannot be mended.
    server.feed(Tick::default(), b"c FETCH 1 BODY[]\r\n");
    server.poll();
    server.fetch_begin(std::num::NonZeroU32::MIN);
    server.fetch_item(&FetchData::Rfc822(Content::Streamed(5)));
    server.fetch_chunk(b"ab");
    server.fetch_end();
    assert!(server.is_closed());
    assert_eq!(output(&mut server), "* 1 FETCH (RFC822 {5}\r\nab");
}

#[test]
fn other_protocols_get_one_line() {
    for text in [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00"] {
        for step in [1, text.len()] {
            let mut server = Server::new(Tick::default(), options(Tls::Offered));
            output(&mut server);
            for piece in text.chunks(step) {
                server.feed(Tick::default(), piece);
                while server.poll().is_some() {}
            }
            assert_eq!(output(&mut server), "* BYE this is IMAP\r\n");
            assert!(server.is_closed());
        }
    }
}

#[test]
fn long_lines_bare_lf_and_many_errors() {
    let mut server = logged_in();
    let long = format!("a SELECT {}\r\nb NOOP\r\n", "x".repeat(limits::COMMAND_SIZE));
    let answer = say(&mut server, &long);
    assert!(answer.starts_with("a BAD the command is over"), "{answer}");
    assert!(answer.ends_with("b OK done\r\n"), "{answer}");
    assert!(say(&mut server, "c NOOP\n").starts_with("c BAD a line ends with CR LF"));
    assert!(say(&mut server, "\r\n").starts_with("* BAD expected a tag"));
    assert!(say(&mut server, "d SELECT \"a\u{1}\"\r\n").starts_with("d NO [CANNOT]"));
    let answer = say(&mut server, &"x y\r\n".repeat(100));
    assert!(answer.ends_with("* BYE too many errors\r\n"));
    assert!(server.is_closed());
}

#[test]
fn silence_ends_the_session() {
    let mut server = server();
    let due = server.deadline().unwrap();
    assert_eq!(due.since(Tick::default()), limits::LOGIN_TIMEOUT);
    server.expire(due);
    assert!(output(&mut server).starts_with("* BYE"));
    let mut server = logged_in();
    server.expire(Tick::default().after(limits::AUTOLOGOUT));
    assert!(!server.is_closed(), "the client is given its time after a command");
    let due = server.deadline().unwrap();
    assert_eq!(due, Tick::default().after(limits::AUTOLOGOUT * 2));
    server.expire(due);
    assert!(server.is_closed());
    let mut server = logged_in();
    say(&mut server, "a NOOP\r\nb NO");
    let due = server.deadline().unwrap();
    assert!(due.since(Tick::default()) <= limits::COMMAND_TIMEOUT + Duration::from_secs(1));
}

#[test]
fn a_client_that_never_reads_is_not_read() {
    let mut server = logged_in();
    for _ in 0..20_000 {
        server.untagged(&Untagged::Exists(1_000_000_000));
    }
    assert!(server.pending_output() > limits::OUTPUT_HIGH_WATER);
    assert!(!server.wants_input());
    output(&mut server);
    assert!(server.wants_input());
}

/// Runs a dialogue in pieces; gives events with bodies joined, and output.
fn run(text: &[u8], cuts: &[usize]) -> (Vec<String>, String) {
    let mut server = server();
    let mut events = Vec::new();
    let mut body = Vec::new();
    let mut said = String::new();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    for pair in places.windows(2) {
        server.feed(Tick::default(), &text[pair[0]..pair[1]]);
        while let Some(event) = server.poll() {
            if let Event::MessageChunk(chunk) = &event {
                body.extend_from_slice(chunk);
                continue;
            }
            events.push(format!("{event:?} {:?}", std::mem::take(&mut body)));
            match event {
                Event::Command(_, Command::Append(_)) => server.accept_message(),
                Event::Command(_, Command::Idle) => server.start_idle(),
                Event::Command(_, Command::Authenticate { initial: None, .. }) => {
                    server.challenge(b"x");
                }
                Event::Command(_, Command::StartTls) | Event::MessageAborted => {}
                _ => server.finish(Condition::Ok, &StatusText::new("done")),
            }
        }
        said += &output(&mut server);
    }
    (events, said)
}

const PIECES: &[&str] = &[
    "a ",
    "b ",
    "NOOP",
    "LOGIN x y",
    "SELECT x",
    "IDLE",
    "DONE",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "APPEND x ",
    "{3}\r\n",
    "{3+}\r\n",
    "abc",
    "AUTHENTICATE PLAIN",
    "AGEAYg==",
    "*",
    "{40000+}\r\n",
    "FETCH 1 ALL",
    "LOGOUT",
    "(",
    "\"",
    "GET / HTTP/1.1",
    "~{2}\r\n",
    "c LOGIN x y\r\n",
    "d APPEND x {3+}\r\nabc\r\n",
    "e SELECT {1+}\r\nx\r\n",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_chunking_gives_the_same(
        words in proptest::collection::vec(proptest::sample::select(PIECES), 0..30),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let text = words.concat().into_bytes();
        let whole = run(&text, &[]);
        prop_assert_eq!(run(&text, &cuts), whole.clone());
        let bytewise: Vec<usize> = (0..=text.len()).collect();
        prop_assert_eq!(run(&text, &bytewise), whole);
    }

    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        run(&text, &[]);
    }
}

#[test]
fn commands_taken_together_are_answered_in_their_order() {
    let mut server = logged_in();
    say(&mut server, "s SELECT INBOX\r\n");
    let text = "a STORE 1 +FLAGS (\\Seen)\r\nb STORE 2 +FLAGS (\\Seen)\r\nc NOOP\r\nd STORE 3 ";
    server.feed(Tick::default(), text.as_bytes());
    assert!(matches!(server.poll(), Some(Event::Command(_, Command::Store(_)))));
    let stores = |command: &Command| matches!(command, Command::Store(_));
    assert!(server.take_following(stores).is_some());
    // Another command, and behind it half a one.
    assert_eq!(server.take_following(stores), None);
    assert!(server.poll().is_none(), "two are being executed");
    assert_eq!(server.tag().as_ref().map(Tag::as_str), Some("a"));
    server.finish(Condition::Ok, &StatusText::new("done"));
    assert_eq!(server.tag().as_ref().map(Tag::as_str), Some("b"));
    server.finish(Condition::No, &StatusText::new("not"));
    assert_eq!(output(&mut server), "a OK done\r\nb NO not\r\n");
    assert!(matches!(server.poll(), Some(Event::Command(_, Command::Noop))));
    assert_eq!(server.take_following(stores), None, "half a command");
    server.finish(Condition::Ok, &StatusText::new("done"));
    server.feed(Tick::default(), b"+FLAGS (\\Seen)\r\n");
    assert!(matches!(server.poll(), Some(Event::Command(_, Command::Store(_)))));
}
