//! The client machine from outside, and against the server machine.

use proptest::prelude::*;

use super::*;
use crate::imap::command::{Append, Command, LiteralHeader, LiteralKind, LiteralSync, MessageForm};
use crate::imap::fetch::Content;
use crate::imap::mailbox::MailboxName;
use crate::imap::server;
use crate::secret::Secret;

fn client() -> Client {
    let mut client = Client::new(Tick::default());
    assert_eq!(client.send(&Command::Noop), Err(SendError::NotReady));
    client.feed(Tick::default(), b"* OK hello\r\n");
    assert!(matches!(client.poll(), Some(Event::Greeting(Greeting::Ok, _))));
    client
}

fn output(client: &mut Client) -> String {
    let mut out = BytesMut::new();
    client.poll_output(&mut out);
    String::from_utf8_lossy(&out).into_owned()
}

fn hear(client: &mut Client, text: &str) -> Vec<Event> {
    client.feed(Tick::default(), text.as_bytes());
    std::iter::from_fn(|| client.poll()).collect()
}

fn append(size: u64) -> Command {
    Command::Append(Append {
        mailbox: MailboxName::inbox(),
        flags: Vec::new(),
        date: None,
        literal: LiteralHeader { size, sync: LiteralSync::Synchronizing, kind: LiteralKind::Text },
        form: MessageForm::Plain,
        replaces: None,
    })
}

#[test]
fn a_command_and_its_answer() {
    let mut client = client();
    client.send(&Command::Noop).unwrap();
    assert_eq!(client.send(&Command::Noop), Err(SendError::Busy));
    assert_eq!(output(&mut client), "a0001 NOOP\r\n");
    let events = hear(&mut client, "* 3 EXISTS\r\na0001 OK done\r\n");
    let done = Event::Done(Condition::Ok, StatusText::new("done"));
    assert_eq!(events, [Event::Untagged(Untagged::Exists(3)), done]);
    assert!(client.is_ready());
}

#[test]
fn literals_wait_unless_the_server_needs_no_asking() {
    let mut client = client();
    let login = Command::Login {
        user: "jörg".as_bytes().to_vec(),
        password: Secret::new("ä".as_bytes().to_vec()),
    };
    client.send(&login).unwrap();
    assert_eq!(output(&mut client), "a0001 LOGIN {5}\r\n");
    assert!(hear(&mut client, "+ \r\n").is_empty());
    assert_eq!(output(&mut client), "jörg {2}\r\n");
    hear(&mut client, "+ \r\n");
    assert_eq!(output(&mut client), "ä\r\n");
    hear(&mut client, "a0001 OK [CAPABILITY IMAP4rev1 LITERAL+ AUTH=PLAIN] in\r\n");
    assert!(client.has_capability("imap4rev1"));
    assert_eq!(client.mechanisms().collect::<Vec<_>>(), ["PLAIN"]);
    client.send(&append(3)).unwrap();
    assert_eq!(client.poll(), Some(Event::SendMessage));
    client.message_chunk(b"abc");
    client.message_end();
    assert_eq!(output(&mut client), "a0002 APPEND INBOX {3+}\r\nabc\r\n");
}

#[test]
fn a_refused_message_is_not_sent() {
    let mut client = client();
    client.send(&append(3)).unwrap();
    let events = hear(&mut client, "a0001 NO [TRYCREATE] no\r\n");
    assert!(matches!(events.as_slice(), [Event::Done(Condition::No, _)]));
    client.send(&append(3)).unwrap();
    assert_eq!(hear(&mut client, "+ ok\r\n"), [Event::SendMessage]);
}

#[test]
fn bodies_are_inline_or_streams() {
    let mut client = client();
    client.send(&Command::Noop).unwrap();
    let small = hear(&mut client, "* 1 FETCH (BODY[] {3}\r\nabc UID 1)\r\n");
    assert_eq!(small.len(), 1);
    let big = "x".repeat(70_000);
    let text =
        format!("* 2 FETCH (UID 7 BODY[] {{70000}}\r\n{big} BODY[1] {{70000}}\r\n{big})\r\n");
    let events = hear(&mut client, &text);
    let Event::BodyBegin { sequence, data } = &events[0] else { panic!("{:?}", events[0]) };
    assert_eq!((sequence.get(), data.len()), (2, 2));
    let octets: usize = events
        .iter()
        .map(|event| if let Event::BodyChunk(chunk) = event { chunk.len() } else { 0 })
        .sum();
    assert_eq!(octets, 140_000);
    let Some(Event::Untagged(Untagged::Fetch { data, .. })) = events.last() else { panic!() };
    let FetchData::Section { content, .. } = &data[2] else { panic!() };
    assert_eq!(*content, Content::Streamed(70_000));
    assert!(matches!(hear(&mut client, "a0001 OK x\r\n").as_slice(), [Event::Done(..)]));
}

#[test]
fn what_is_too_large_ends_the_session() {
    let mut client = client();
    hear(&mut client, "* LIST () \"/\" {99999999}\r\n");
    assert_eq!(client.fault(), Some(&ClientFault::TooLarge("a literal")));
    assert!(client.is_closed());
    let mut client = self::client();
    hear(&mut client, "* 1 FETCH (ENVELOPE ({99999999}\r\n");
    assert!(client.is_closed());
}

#[test]
fn what_is_not_imap_ends_the_session() {
    for text in ["x OK done\r\n", "+ go\r\n", "* 1 FETCH x\r\n", "220 smtp ready\r\n"] {
        let mut client = client();
        hear(&mut client, text);
        assert!(matches!(client.fault(), Some(ClientFault::Protocol(_))), "{text}");
    }
    let mut client = Client::new(Tick::default());
    hear(&mut client, "220 smtp ready\r\n");
    assert!(client.is_closed());
}

#[test]
fn what_comes_before_tls_does_not_count() {
    let mut client = client();
    hear(&mut client, "* CAPABILITY STARTTLS AUTH=PLAIN\r\n");
    client.send(&Command::StartTls).unwrap();
    let events = hear(&mut client, "a0001 OK go\r\n* CAPABILITY EVIL\r\n");
    assert!(matches!(events.as_slice(), [Event::Done(Condition::Ok, _)]));
    assert!(!client.wants_input());
    client.tls_established(Tick::default(), TlsFacts::default());
    assert!(client.capabilities().is_empty());
    assert!(client.is_ready() && client.poll().is_none());
}

#[test]
fn idle_and_sasl() {
    let mut client = client();
    let mechanism = "PLAIN".to_owned();
    client.send(&Command::Authenticate { mechanism, initial: None }).unwrap();
    assert_eq!(hear(&mut client, "+ \r\n"), [Event::Challenge(Vec::new())]);
    output(&mut client);
    client.respond(&Secret::new(b"\0a\0b".to_vec()));
    assert_eq!(output(&mut client), "AGEAYg==\r\n");
    hear(&mut client, "a0001 OK in\r\n");
    client.send(&Command::Idle).unwrap();
    output(&mut client);
    let events = hear(&mut client, "+ idling\r\n* 4 EXISTS\r\n");
    assert_eq!(events, [Event::Idling, Event::Untagged(Untagged::Exists(4))]);
    assert_eq!(client.deadline(), None);
    client.idle_done();
    assert_eq!(output(&mut client), "DONE\r\n");
    assert!(client.deadline().is_some());
    assert_eq!(hear(&mut client, "a0002 OK done\r\n").len(), 1);
}

#[test]
fn a_server_that_hangs_up_after_its_goodbye() {
    let mut client = client();
    client.feed(Tick::default(), b"* BYE going down\r\n");
    client.end_of_input(Tick::default());
    assert!(matches!(client.poll(), Some(Event::Untagged(Untagged::Bye(_)))));
    assert_eq!(client.poll(), None);
    assert!(client.is_closed());
}

#[test]
fn client_and_server_understand_each_other() {
    let options = server::Options {
        hostname: "x".into(),
        tls: server::Tls::Absent,
        cleartext_login: server::CleartextLogin::Allowed,
        mechanisms: Vec::new(),
        extensions: Vec::new(),
        message_size: 1000,
        autologout: limits::AUTOLOGOUT,
    };
    let mut server = server::Server::new(Tick::default(), options);
    let mut client = Client::new(Tick::default());
    let mut todo = vec![
        append(5),
        Command::Login { user: b"a\r\nb".to_vec(), password: Secret::new(b"\"\\".to_vec()) },
    ];
    let mut log = Vec::new();
    for _ in 0..200 {
        let mut bytes = BytesMut::new();
        server.poll_output(&mut bytes);
        client.feed(Tick::default(), &bytes);
        while let Some(event) = client.poll() {
            if event == Event::SendMessage {
                client.message_chunk(b"a\0b\r\n");
                client.message_end();
            }
            log.push(format!("C {event:?}"));
        }
        if let Some(command) = todo.pop_if(|_| client.is_ready()) {
            client.send(&command).unwrap();
        }
        let mut bytes = BytesMut::new();
        client.poll_output(&mut bytes);
        server.feed(Tick::default(), &bytes);
        while let Some(event) = server.poll() {
            match &event {
                server::Event::Command(_, Command::Append(_)) => server.accept_message(),
                server::Event::MessageChunk(_) => {}
                _ => server.finish(Condition::Ok, &StatusText::new("done")),
            }
            log.push(format!("S {event:?}"));
        }
    }
    assert!(
        log.iter().any(|line| line.starts_with("S MessageChunk(b\"a\\0b\\r\\n\")")),
        "{log:#?}"
    );
    assert_eq!(log.iter().filter(|line| line.starts_with("C Done(Ok")).count(), 2, "{log:#?}");
}

const PIECES: &[&str] = &[
    "* OK x\r\n",
    "* 1 FETCH (",
    "BODY[] ",
    "{3}\r\nabc",
    "{70000}\r\n",
    "xxxx",
    ")\r\n",
    "\r\n",
    "UID 4",
    " ",
    "a0001 OK done\r\n",
    "+ \r\n",
    "* LIST () \"/\" a\r\n",
    "* BYE x\r\n",
    "\n",
];

fn run(text: &[u8], cuts: &[usize]) -> (Vec<Event>, bool) {
    let mut client = client();
    client.send(&Command::Noop).unwrap();
    let mut events = Vec::new();
    let mut places: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
    places.extend([0, text.len()]);
    places.sort_unstable();
    for pair in places.windows(2) {
        client.feed(Tick::default(), &text[pair[0]..pair[1]]);
        while let Some(event) = client.poll() {
            match (&event, events.last_mut()) {
                (Event::BodyChunk(more), Some(Event::BodyChunk(chunk))) => {
                    *chunk = [&chunk[..], &more[..]].concat().into();
                }
                _ => events.push(event),
            }
        }
    }
    (events, client.is_closed())
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        words in proptest::collection::vec(proptest::sample::select(PIECES), 0..30),
        cuts in proptest::collection::vec(any::<usize>(), 0..12),
    ) {
        let text = words.concat().into_bytes();
        prop_assert_eq!(run(&text, &cuts), run(&text, &[]));
    }

    #[test]
    fn any_bytes_are_survived(text in proptest::collection::vec(any::<u8>(), 0..300)) {
        run(&text, &[]);
    }
}
