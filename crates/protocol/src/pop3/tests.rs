//! Dialogues of RFC 1939 and its extensions with a machine alone; any chunking gives the same.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::machine::{Machine, Tick, TlsFacts};

fn options() -> Options {
    Options {
        hostname: "mail.test".to_owned(),
        tls: None,
        offers_tls: true,
        cleartext_login: true,
        mechanisms: vec!["PLAIN".to_owned()],
    }
}

/// An agent with two letters.
fn serve(server: &mut Server, deleted: &mut Vec<u32>) -> String {
    while let Some(event) = server.poll() {
        match event {
            Event::Login(user, password) => {
                let good = user == "bob" && password.reveal() == b"a b";
                server.login(if good { Ok("2 letters") } else { Err((Code::Auth, "no")) });
            }
            Event::Auth(_, None) => server.challenge(b""),
            Event::Auth(_, Some(data)) | Event::Response(data) => {
                let good = data.reveal() == b"\0bob\0a b";
                server.login(if good { Ok("2 letters") } else { Err((Code::Auth, "no")) });
            }
            Event::Command(Command::Stat) => server.ok("2 320"),
            Event::Command(Command::Retr(1)) => {
                server.begin_lines("follows");
                server.piece(b"a: b\r\n\r\n.dot\nbare\r\n");
                server.piece(b".");
                server.piece(b"x\r");
                server.piece(b"\nlast");
                server.end_lines();
            }
            Event::Command(Command::Dele(number)) => {
                deleted.push(number);
                server.ok("marked");
            }
            Event::Command(_) => server.no(Code::Plain, "no such letter"),
            Event::Quit => server.goodbye(Ok("done")),
            Event::StartTls | Event::AuthCancelled | Event::Closed => {}
        }
    }
    let mut out = BytesMut::new();
    server.poll_output(&mut out);
    String::from_utf8(out.to_vec()).unwrap()
}

fn talk(input: &[u8], cut: usize) -> (String, Vec<u32>) {
    let mut server = Server::new(Tick::default(), options());
    let mut deleted = Vec::new();
    let mut out = serve(&mut server, &mut deleted);
    for piece in input.chunks(cut.max(1)) {
        server.feed(Tick::default(), piece);
        out.push_str(&serve(&mut server, &mut deleted));
    }
    (out, deleted)
}

#[test]
fn a_session_with_pipelined_commands() {
    let input = b"USER bob\r\nPASS a b\r\nSTAT\r\nRETR 1\r\nDELE 2\r\nLIST 0\r\nQUIT\r\nSTAT\r\n";
    let (out, deleted) = talk(input, 1000);
    assert_eq!(
        out,
        "+OK mail.test POP3 server ready\r\n+OK now the password\r\n+OK 2 letters\r\n\
         +OK 2 320\r\n+OK follows\r\na: b\r\n\r\n..dot\r\nbare\r\n..x\r\nlast\r\n.\r\n\
         +OK marked\r\n-ERR letters count from 1\r\n+OK done\r\n"
    );
    assert_eq!(deleted, [2]);
}

#[test]
fn states_and_capabilities() {
    let (out, _) = talk(b"STAT\r\nPASS x\r\nUSER\r\nFROB\r\nCAPA\r\nQUIT\r\n", 1000);
    assert!(out.contains("-ERR that cannot be said now\r\n-ERR say USER first\r\n"));
    assert!(out.contains("-ERR wrong number of arguments\r\n-ERR unknown command\r\n"));
    for line in ["TOP", "UIDL", "PIPELINING", "SASL PLAIN", "STLS", "UTF8 USER", "USER"] {
        assert!(out.contains(&format!("\r\n{line}\r\n")), "{line}");
    }
    let (auth, _) = talk(b"AUTH PLAIN\r\nAGJvYgBhIGI=\r\nSTAT\r\n", 1000);
    assert!(auth.ends_with("+ \r\n+OK 2 letters\r\n+OK 2 320\r\n"), "{auth}");
    let (auth, _) = talk(b"AUTH PLAIN AGJvYgBhIGI=\r\nAUTH PLAIN\r\n", 1000);
    assert!(auth.ends_with("+OK 2 letters\r\n-ERR that cannot be said now\r\n"), "{auth}");
    let (auth, _) = talk(b"AUTH PLAIN\r\n*\r\nAUTH NTLM\r\n", 1000);
    assert!(auth.ends_with(
        "+ \r\n-ERR the exchange was given up\r\n-ERR that mechanism is not offered\r\n"
    ));
}

#[test]
fn no_password_in_the_clear() {
    let strict = Options { cleartext_login: false, ..options() };
    let mut server = Server::new(Tick::default(), strict);
    server.feed(Tick::default(), b"USER bob\r\nSTLS\r\nUSER bob\r\n");
    let out = serve(&mut server, &mut Vec::new());
    assert!(out.ends_with("say STLS first\r\n+OK begin TLS now\r\n"), "{out}");
    server.tls_established(Tick::default(), TlsFacts::default());
    server.feed(Tick::default(), b"STLS\r\nUSER bob\r\n");
    let out = serve(&mut server, &mut Vec::new());
    assert_eq!(out, "-ERR there is no TLS to begin here\r\n+OK now the password\r\n");
}

#[test]
fn lines_errors_and_time_are_bounded() {
    let long = [&[b'x'; 100_000][..], b"\r\nQUIT\r\n"].concat();
    let (out, _) = talk(&long, 4096);
    assert!(out.contains("-ERR the line is too long\r\n+OK goodbye"), "{out}");
    let (out, _) = talk(&b"FROB\r\n".repeat(100), 4096);
    assert!(out.ends_with("too many errors\r\n"));
    let mut server = Server::new(Tick::default(), options());
    let at = server.deadline().unwrap();
    server.expire(at);
    assert!(server.is_closed());
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        words in prop::collection::vec(prop::sample::select(vec![
            "USER bob", "PASS a b", "STAT", "RETR 1", "DELE 1", "AUTH PLAIN", "*", "CAPA", "NOOP",
            "AGJvYgBhIGI=", "", " ", "LIST 1 2", "\u{e9}",
        ]), 0..12),
        cut in 1usize..40,
    ) {
        let input = words.join("\r\n") + "\r\n";
        prop_assert_eq!(talk(input.as_bytes(), cut), talk(input.as_bytes(), 10_000));
    }
}
