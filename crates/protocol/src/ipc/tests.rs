//! Dialogues between the two machines, hostile input, and the property that any chunking of the
//! input gives the same events.

use super::*;
use crate::machine::{Machine, Tick};
use bytes::BytesMut;
use proptest::prelude::*;
use std::time::Duration;

const START: Tick = Tick::from_micros(1_000_000);

fn output<M: Machine>(machine: &mut M) -> Vec<u8> {
    let mut out = BytesMut::new();
    machine.poll_output(&mut out);
    out.to_vec()
}

fn events<M: Machine>(machine: &mut M) -> Vec<M::Event> {
    std::iter::from_fn(|| machine.poll()).collect()
}

fn control() -> Server<ControlCall> {
    Server::new(START, "mta", "0.1.0")
}

/// A server past its hello.
fn open() -> Server<ControlCall> {
    let mut server = control();
    server.feed(
        START,
        b"{\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"control\"},\"id\":0}\n",
    );
    assert!(matches!(&events(&mut server)[..], [ServerEvent::Hello(_)]));
    let said = String::from_utf8(output(&mut server)).unwrap();
    assert!(
        said.starts_with(
            "{\"id\":0,\"result\":{\"version\":1,\"role\":\"control\",\"agent\":\"mta\""
        )
    );
    server
}

#[test]
fn a_call_and_its_answer_cross() {
    let mut server = control();
    let mut client = Client::new(START, Role::Control, "posthaste");
    let due = START.after(Duration::from_secs(5));
    let call = client.call(&DirectoryChanged { revision: 7 }, due).unwrap();
    server.feed(START, &output(&mut client));
    let heard = events(&mut server);
    let [
        ServerEvent::Hello(hello),
        ServerEvent::Call { id, call: ControlCall::DirectoryChanged(asked), .. },
    ] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!((hello.from.as_str(), asked.revision), ("posthaste", 7));
    server.answer(*id, &DirectoryTaken { revision: 7 });
    client.feed(START, &output(&mut server));
    let Some(ClientEvent::Welcome(welcome)) = client.poll() else { panic!() };
    assert_eq!(welcome.agent, "mta");
    let Some(ClientEvent::Answer { call: answered, result, last: true }) = client.poll() else {
        panic!()
    };
    assert_eq!(answered, call);
    assert_eq!(Client::read::<DirectoryChanged>(result).unwrap().revision, 7);
    assert_eq!((client.outstanding(), server.outstanding()), (0, 0));
}

#[test]
fn a_stream_goes_on_until_its_last_answer() {
    let mut server = open();
    server.feed(
        START,
        b"{\"method\":\"queue.list\",\"parameters\":{\"x\":1},\"id\":4,\"more\":true}\n",
    );
    let heard = events(&mut server);
    let [ServerEvent::Call { id, call: ControlCall::Own { method, .. }, more: true }] = &heard[..]
    else {
        panic!("{heard:?}")
    };
    assert_eq!(method, "queue.list");
    assert!(server.part(*id, &1));
    assert!(server.part(*id, &2));
    server.answer(*id, &3);
    assert!(!server.part(*id, &4), "the stream is over");
    let said = String::from_utf8(output(&mut server)).unwrap();
    let expected = "{\"id\":4,\"result\":1,\"continues\":true}\n{\"id\":4,\"result\":2,\"continues\":true}\n{\"id\":4,\"result\":3}\n";
    assert_eq!(said, expected);
}

#[test]
fn unknown_fields_pass_and_unknown_methods_do_not() {
    let mut server: Server<LoginCall> = Server::new(START, "auth", "0");
    server.feed(START, b"{\"id\":0,\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"login\",\"new\":2},\"other\":true}\n");
    server.feed(START, b"{\"id\":1,\"method\":\"login.frobnicate\"}\n");
    server.feed(START, b"{\"id\":2,\"method\":\"login.cancel\",\"parameters\":{}}\n");
    server.feed(
        START,
        b"{\"id\":3,\"method\":\"login.cancel\",\"parameters\":{\"exchange\":3,\"why\":1}}\n",
    );
    let heard = events(&mut server);
    assert!(matches!(
        &heard[..],
        [
            ServerEvent::Hello(_),
            ServerEvent::Call { call: LoginCall::Cancel(Cancel { exchange: 3 }), .. }
        ]
    ));
    let said = String::from_utf8(output(&mut server)).unwrap();
    assert!(said.contains("\"id\":1,\"error\":{\"kind\":\"unknown-method\""), "{said}");
    assert!(said.contains("\"id\":2,\"error\":{\"kind\":\"parameters\""), "{said}");
    assert!(!server.is_closed());
}

#[test]
fn a_wrong_version_or_role_is_told_and_closed() {
    for hello in [
        "{\"id\":0,\"method\":\"hello\",\"parameters\":{\"version\":2,\"role\":\"control\"}}\n",
        "{\"id\":0,\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"login\"}}\n",
        "{\"id\":0,\"method\":\"status\",\"parameters\":{}}\n",
        "EHLO client.example\r\n",
    ] {
        let mut server = control();
        server.feed(START, hello.as_bytes());
        assert!(matches!(&events(&mut server)[..], [ServerEvent::Violation(_)]), "{hello}");
        assert!(server.is_closed() && server.has_output(), "{hello}");
        let mut client = Client::new(START, Role::Control, "x");
        client.feed(START, &output(&mut server));
        assert!(matches!(client.poll(), Some(ClientEvent::Failed(_))), "{hello}");
    }
}

#[test]
fn a_frame_over_the_limit_closes_whether_it_ends_or_not() {
    for ending in [&b""[..], b"\n"] {
        let mut server = open();
        server.feed(START, &vec![b' '; FRAME_LIMIT]);
        server.feed(START, ending);
        assert!(matches!(&events(&mut server)[..], [ServerEvent::Violation(_)]));
        assert!(String::from_utf8(output(&mut server)).unwrap().contains("too-large"));
        assert!(server.is_closed());
    }
    let mut server = open();
    let mut fits = b"{\"method\":\"status\",\"id\":9}".to_vec();
    fits.resize(FRAME_LIMIT - 1, b' ');
    fits.push(b'\n');
    server.feed(START, &fits);
    assert!(matches!(&events(&mut server)[..], [ServerEvent::Call { .. }]));
}

#[test]
fn an_answer_that_does_not_fit_becomes_a_fault() {
    let mut server = open();
    server.feed(START, b"{\"method\":\"status\",\"id\":1}\n");
    let Some(ServerEvent::Call { id, .. }) = server.poll() else { panic!() };
    server.answer(id, &"x".repeat(FRAME_LIMIT));
    let said = output(&mut server);
    assert!(said.len() < 200 && String::from_utf8(said).unwrap().contains("too-large"));
}

#[test]
fn requests_without_answers_stop_the_input() {
    let mut server = open();
    for id in 0..OUTSTANDING_LIMIT + 1 {
        server.feed(START, format!("{{\"method\":\"status\",\"id\":{id}}}\n").as_bytes());
    }
    let heard = events(&mut server);
    assert_eq!(heard.len(), OUTSTANDING_LIMIT);
    assert!(!server.wants_input());
    assert_eq!(server.deadline(), None, "we are the slow side, not the client");
    let ServerEvent::Call { id, .. } = &heard[0] else { panic!() };
    server.answer(*id, &1);
    assert_eq!(events(&mut server).len(), 1);
}

#[test]
fn one_id_for_two_open_requests_is_a_violation() {
    let mut server = open();
    server.feed(START, b"{\"method\":\"status\",\"id\":1}\n{\"method\":\"status\",\"id\":1}\n");
    assert!(matches!(
        &events(&mut server)[..],
        [ServerEvent::Call { .. }, ServerEvent::Violation(_)]
    ));
}

#[test]
fn silence_is_bounded_on_both_sides() {
    let late = START.after(Duration::from_secs(60));
    let mut server = control();
    assert!(server.deadline().is_some());
    server.expire(late);
    assert!(server.is_closed());
    let mut server = open();
    assert_eq!(server.deadline(), None, "an idle connection may stay");
    server.feed(START, b"{\"meth");
    assert!(events(&mut server).is_empty());
    server.expire(server.deadline().unwrap());
    assert!(server.is_closed());

    let mut client = Client::new(START, Role::Control, "x");
    client.feed(START, b"{\"id\":0,\"result\":{\"version\":1,\"role\":\"control\"}}\n");
    assert_eq!(events(&mut client).len(), 1);
    let due = START.after(Duration::from_secs(1));
    client.call(&Status {}, due).unwrap();
    assert_eq!(client.deadline(), Some(due));
    client.expire(due);
    let Some(ClientEvent::Answer { result: Err(fault), last: true, .. }) = client.poll() else {
        panic!()
    };
    assert_eq!(fault.kind, FaultKind::Deadline);
    client.feed(due, b"{\"id\":1,\"result\":{}}\n");
    assert!(client.poll().is_none() && !client.is_closed(), "a late answer harms nobody");
}

#[test]
fn the_end_of_the_connection_answers_every_call() {
    let mut client = Client::new(START, Role::Control, "x");
    client.call(&Status {}, START.after(Duration::from_secs(1))).unwrap();
    client.end_of_input(START);
    let heard = events(&mut client);
    assert!(matches!(
        &heard[..],
        [ClientEvent::Answer { result: Err(_), .. }, ClientEvent::Failed(_)]
    ));
    assert_eq!(client.call(&Status {}, START), Err(CallError::Closed));
    let mut server = open();
    server.feed(START, b"{\"method\":\"status\",\"id\":1}\n");
    let Some(ServerEvent::Call { id, .. }) = server.poll() else { panic!() };
    server.end_of_input(START);
    assert!(!server.is_closed(), "the answer is still owed");
    server.answer(id, &1);
    assert!(server.is_closed() && server.has_output());
}

#[test]
fn what_may_hold_a_password_is_not_shown() {
    let start = Start {
        mechanism: "PLAIN".to_owned(),
        initial: Some(Opaque(b"\0alice\0sesame".to_vec())),
        service: "imap".to_owned(),
        peer: None,
        secure: true,
        tls_exporter: None,
        tls_server_end_point: None,
        client_mailboxes: Vec::new(),
    };
    assert!(!format!("{start:?}").contains("sesame"));
    assert!(serde_json::to_string(&start).unwrap().contains("AGFsaWNlAHNlc2FtZQ=="));
}

#[test]
fn the_page_shows_the_same_table() {
    let page = include_str!("../../../../docs/ipc.md");
    for row in METHODS {
        let needle = format!("| {} | `{}` | {} |", row.role, row.name, row.since);
        assert!(page.contains(&needle), "docs/ipc.md has no row {needle}");
    }
    let rows = page
        .lines()
        .filter(|line| line.starts_with("| login |") || line.starts_with("| control |"));
    assert_eq!(rows.count(), METHODS.len(), "docs/ipc.md has rows that the code does not");
}

#[test]
fn fault_kinds_survive_the_wire() {
    for kind in ["version", "busy", "configuration", "something-new"] {
        let text = format!("\"{kind}\"");
        let read: FaultKind = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_events(cuts in proptest::collection::vec(1usize..40, 1..60)) {
        let input = b"{\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"control\"},\"id\":0}\n\
            {\"method\":\"status\",\"id\":1}\n{\"method\":\"x.y\",\"parameters\":[1],\"id\":2,\"more\":true}\n\
            {\"method\":\"reload\",\"parameters\":3,\"id\":3}\nnot json\n{\"method\":\"status\",\"id\":4}\n";
        let mut whole = control();
        whole.feed(START, input);
        let expected = format!("{:?}", events(&mut whole));
        let mut pieces = control();
        let mut heard = Vec::new();
        let mut rest = &input[..];
        for cut in cuts.iter().cycle() {
            let (now, later) = rest.split_at((*cut).min(rest.len()));
            pieces.feed(START, now);
            heard.extend(events(&mut pieces));
            rest = later;
            if rest.is_empty() { break; }
        }
        prop_assert_eq!(format!("{heard:?}"), expected);
        prop_assert_eq!(output(&mut pieces), output(&mut whole));
    }

    #[test]
    fn octets_of_any_kind_break_nothing(octets in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut server = open();
        server.feed(START, &octets);
        events(&mut server);
        let mut client = Client::new(START, Role::Login, "x");
        client.feed(START, &octets);
        events(&mut client);
    }
}
