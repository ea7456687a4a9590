//! Dialogues of RFC 5804 with a machine alone; any chunking gives the same.

use bytes::BytesMut;
use proptest::prelude::*;

use super::*;
use crate::machine::{Machine, Tick, TlsFacts};

fn options() -> Options {
    Options {
        offers_tls: true,
        cleartext_login: true,
        mechanisms: vec!["PLAIN".to_owned()],
        extensions: vec!["fileinto".to_owned(), "vacation".to_owned()],
        notify: vec!["mailto".to_owned()],
        redirects: 4,
    }
}

fn serve(server: &mut Server) -> String {
    let mut said = String::new();
    while let Some(event) = server.poll() {
        match event {
            Event::Auth(_, None) => server.challenge(b"go"),
            Event::Auth(_, Some(data)) | Event::Response(data) => {
                let good = data.reveal() == b"\0bob\0pass";
                server.login(if good { Ok("bob@blue.test") } else { Err((Code::Plain, "wrong")) });
            }
            Event::Command(Command::ListScripts) => {
                server.list([("summer", false), ("a \"b\"", true)]);
            }
            Event::Command(Command::PutScript(name, script)) => {
                said.push_str(&format!("<{name} {}>", script.len()));
                match script.is_empty() {
                    true => server.no(Code::Plain, "line 2: fault\r\nline 3: fault"),
                    false => server.ok(""),
                }
            }
            Event::Command(Command::GetScript(_)) => server.script(b"keep;\r\n"),
            Event::Command(_) => server.no(Code::NonExistent, "there is no such script"),
            Event::StartTls | Event::AuthCancelled | Event::Closed => {}
        }
    }
    let mut out = BytesMut::new();
    server.poll_output(&mut out);
    said + std::str::from_utf8(&out).unwrap()
}

fn talk(input: &[u8], cut: usize) -> String {
    let mut server = Server::new(Tick::default(), options());
    let mut out = serve(&mut server);
    for piece in input.chunks(cut.max(1)) {
        server.feed(Tick::default(), piece);
        out.push_str(&serve(&mut server));
    }
    out
}

const LOGIN: &str = "AUTHENTICATE \"PLAIN\" \"AGJvYgBwYXNz\"\r\n";

#[test]
fn a_session_of_the_rfc() {
    let input = format!(
        "{LOGIN}Listscripts\r\nPutscript \"my {{s}}\" {{6+}}\r\nkeep;\n\r\nPUTSCRIPT \"b\" \"\"\r\n\
         GETSCRIPT \"b\"\r\nNOOP \"x\"\r\nSETACTIVE {{1+}}\r\nc\r\nLOGOUT\r\nNOOP\r\n"
    );
    let out = talk(input.as_bytes(), 1000);
    let (greeting, rest) = out.split_once("OK \"Posthaste is ready\"\r\n").unwrap();
    for line in [
        "\"SIEVE\" \"fileinto vacation\"",
        "\"SASL\" \"PLAIN\"",
        "\"STARTTLS\"",
        "\"VERSION\" \"1.0\"",
        "\"NOTIFY\" \"mailto\"",
        "\"MAXREDIRECTS\" \"4\"",
    ] {
        assert!(greeting.contains(&format!("{line}\r\n")), "{line}");
    }
    let begins = "<my {s} 6><b 0>OK \"logged in\"\r\n\
                  \"summer\"\r\n\"a \\\"b\\\"\" ACTIVE\r\nOK\r\nOK\r\n";
    assert!(rest.starts_with(begins), "{rest}");
    let has = "NO {28}\r\nline 2: fault\r\nline 3: fault\r\n{7}\r\nkeep;\r\n\r\nOK\r\n\
               OK (TAG \"x\") \"done\"\r\n";
    assert!(rest.contains(has), "{rest}");
    assert!(rest.ends_with("NO (NONEXISTENT) \"there is no such script\"\r\nOK \"goodbye\"\r\n"));
}

#[test]
fn strangers_may_do_little() {
    let out = talk(b"LISTSCRIPTS\r\nPUTSCRIPT \"x\" {9999999+}\r\n", 1000);
    assert!(out.contains("NO \"log in first\"\r\nBYE (TRYLATER) \"that is too large\""), "{out}");
    let out = talk(b"AUTHENTICATE \"PLAIN\"\r\n\"*\"\r\nAUTHENTICATE \"X\"\r\n", 1000);
    assert!(out.contains("\"Z28=\"\r\nNO \"the exchange was given up\"\r\nNO \"that mechanism"));
    let out = talk(b"AUTHENTICATE \"PLAIN\" {12+}\r\nAGJvYgBwYXNz\r\nUNAUTHENTICATE\r\n", 1000);
    assert!(out.ends_with("OK \"logged in\"\r\nOK \"nobody is logged in\"\r\n"), "{out}");
    let out = talk(b"NOOP {3}\r\nabc\r\n", 1000);
    assert!(out.contains("BYE"), "a synchronising literal cannot be answered: {out}");
}

#[test]
fn tls_comes_before_passwords_where_it_must() {
    let strict = Options { cleartext_login: false, ..options() };
    let mut server = Server::new(Tick::default(), strict);
    server.feed(Tick::default(), format!("{LOGIN}STARTTLS\r\n{LOGIN}").as_bytes());
    let out = serve(&mut server);
    assert!(out.contains("\"SASL\" \"\"\r\n") && out.contains("NO (ENCRYPT-NEEDED)"), "{out}");
    assert!(out.ends_with("OK \"begin TLS now\"\r\n"), "{out}");
    server.tls_established(Tick::default(), TlsFacts::default());
    server.greet_again();
    server.feed(Tick::default(), LOGIN.as_bytes());
    let out = serve(&mut server);
    assert!(!out.contains("STARTTLS") && out.contains("\"SASL\" \"PLAIN\""), "{out}");
    assert!(out.ends_with("OK \"logged in\"\r\n"));
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same(
        words in prop::collection::vec(prop::sample::select(vec![
            "AUTHENTICATE \"PLAIN\" \"AGJvYgBwYXNz\"", "LISTSCRIPTS",
            "PUTSCRIPT \"a\" {4+}\r\nstop",
            "NOOP", "GETSCRIPT \"x\\\"\"", "CAPABILITY", "\"", "{1+}", "FROB", "",
        ]), 0..12),
        cut in 1usize..40,
    ) {
        let input = words.join("\r\n") + "\r\n";
        let notes = |out: String| out.replace("<a 4>", "");
        prop_assert_eq!(notes(talk(input.as_bytes(), cut)), notes(talk(input.as_bytes(), 10_000)));
    }
}
