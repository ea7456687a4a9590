//! IPC frames: a server that anybody may speak to, and a client whose server went mad.

use std::time::Duration;

use bytes::BytesMut;
use protocol::ipc::{
    Client, ClientEvent, ControlCall, FRAME_LIMIT, Fault, FaultKind, LoginCall, Role, Server,
    ServerEvent, Status, Welcome,
};
use protocol::machine::{Machine, Tick};

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"{\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"control\"},\"id\":0}\n",
    b"{\"method\":\"hello\",\"parameters\":{\"version\":1,\"role\":\"login\"},\"id\":0}\n",
    b"{\"method\":\"status\",\"parameters\":{},\"id\":1}\n",
    b"\"parameters\":",
    b"\"id\":",
    b"\"more\":true",
    b"{\"id\":1,\"result\":{}}\n",
    b"{\"id\":1,\"error\":{\"kind\":\"internal\",\"message\":\"x\"}}\n",
    b"null",
    b"true",
    b"[",
    b"]",
    b"{",
    b"}",
    b"\\u0000",
    b"\\ud800",
    b"1e999",
    b"-1",
    b"\n",
    b"\"login.start\"",
    b"\"login.step\"",
    b"\"cancel\"",
    b"\"reload\"",
    b"\"directory.changed\"",
    b"\"error\"",
    b"\"result\"",
];

const START: Tick = Tick::from_micros(1_000_000);

pub(crate) fn server(input: &[u8], seen: &mut Seen) {
    let (whole, cut) = (serve(input, usize::MAX, seen), serve(input, 5, seen));
    assert_eq!(whole, cut, "in pieces it differs");
    assert!(whole.iter().all(|line| line.len() <= FRAME_LIMIT), "a frame over the limit");
    for line in &whole {
        let value: Result<serde_json::Value, _> = serde_json::from_slice(line);
        assert!(value.is_ok(), "not JSON: {}", line.escape_ascii());
    }
    let mut login: Server<LoginCall> = Server::new(START, "auth", "fuzz");
    login.feed(START, input);
    while let Some(event) = login.poll() {
        seen.shape(&event);
        if let ServerEvent::Call { id, .. } = event {
            login.refuse(id, Fault::new(FaultKind::Internal, "no"));
        }
    }
}

/// The lines that the server answers.
fn serve(input: &[u8], size: usize, seen: &mut Seen) -> Vec<Vec<u8>> {
    let mut server: Server<ControlCall> = Server::new(START, "mta", "fuzz");
    let mut said = BytesMut::new();
    for piece in input.chunks(size.min(input.len().max(1))) {
        server.feed(START, piece);
        while let Some(event) = server.poll() {
            seen.shape(&event);
            match event {
                ServerEvent::Call { id, more: true, .. } => {
                    server.part(id, &1);
                    server.answer(id, &2);
                }
                ServerEvent::Call { id, .. } => {
                    server.refuse(id, Fault::new(FaultKind::Internal, "no\n\"one\""));
                }
                _ => {}
            }
        }
        server.poll_output(&mut said);
    }
    server.end_of_input(START);
    server.poll_output(&mut said);
    said.split_inclusive(|octet| *octet == b'\n').map(<[u8]>::to_vec).collect()
}

pub(crate) fn client(input: &[u8], seen: &mut Seen) {
    let mut client = Client::new(START, Role::Control, "fuzz");
    let due = START.after(Duration::from_secs(5));
    for _ in 0..3 {
        client.call(&Status {}, due).expect("three fit");
    }
    let mut out = BytesMut::new();
    client.poll_output(&mut out);
    for piece in input.chunks(50) {
        client.feed(START, piece);
        while let Some(event) = client.poll() {
            seen.shape(&event);
            if let ClientEvent::Answer { result, .. } = event {
                let _ = Client::read::<Status>(result);
            }
        }
    }
    client.end_of_input(START);
    while client.poll().is_some() {}
    assert_eq!(client.outstanding(), 0, "the connection is over, and calls still wait");
    let _: Option<Welcome> = serde_json::from_slice(input).ok();
}
