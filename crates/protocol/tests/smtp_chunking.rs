//! The property of every machine, on the SMTP server: however the input is cut, the events and
//! the output are the same. Input is made of commands good and bad, pieces of letters, and noise.
#![allow(missing_docs)]

use std::sync::Arc;

use bytes::BytesMut;
use proptest::prelude::*;
use protocol::machine::{Machine, Tick};
use protocol::rejection::Rejection;
use protocol::smtp::Observe;
use protocol::smtp::server::config::{Cleartext, Offer, TlsPolicy};
use protocol::smtp::server::{AuthAnswer, Config, EndAnswer, Event, Server};

/// What was seen: events in words, body octets joined, and what was sent.
#[derive(PartialEq, Eq, Default)]
struct Story {
    events: Vec<String>,
    /// Apart from the others: RCPTs that come together are asked before the first is answered.
    exchanges: Vec<String>,
    output: Vec<u8>,
}

impl std::fmt::Debug for Story {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let output = self.output.escape_ascii().to_string().replace("\\n", "\n    ");
        let exchanges = self.exchanges.join("\n  ");
        write!(f, "\n  {}\n  {exchanges}\n    {output}", self.events.join("\n  "))
    }
}

fn config(lmtp: bool) -> Config {
    let mut config = if lmtp { Config::lmtp("mx.test") } else { Config::smtp("mx.test") };
    config.size_limit = 60;
    config.recipients_limit = 3;
    config.text_line_limit = 30;
    // How many RCPTs are asked before the last error counts does depend on how they come.
    config.errors_limit = 1000;
    config.dsn = Offer::Yes;
    config.tls = TlsPolicy::Offered;
    config.auth.mechanisms = vec!["PLAIN".into()];
    config.auth.cleartext = Cleartext::Allowed;
    config.observe = Observe::Replies;
    config
}

fn tell(config: Config, wire: &[u8], sizes: &[usize]) -> Story {
    let now = Tick::from_micros(5);
    let mut server = Server::new(Arc::new(config), now);
    let mut story = Story::default();
    server.greet(now);
    settle(&mut server, &mut story, now);
    let (mut rest, mut sizes) = (wire, sizes.iter().cycle());
    while !rest.is_empty() {
        let size = sizes.next().copied().unwrap_or(1).clamp(1, rest.len());
        let (piece, more) = rest.split_at(size);
        server.feed(now, piece);
        rest = more;
        settle(&mut server, &mut story, now);
    }
    server.end_of_input(now);
    settle(&mut server, &mut story, now);
    story
}

fn settle(server: &mut Server, story: &mut Story, now: Tick) {
    while let Some(event) = server.poll() {
        let words = match event {
            Event::Body(piece) => {
                // How a body is cut is the one thing that may differ.
                match story.events.last_mut().filter(|last| last.starts_with("body")) {
                    Some(last) => last.push_str(&piece.escape_ascii().to_string()),
                    None => story.events.push(format!("body {}", piece.escape_ascii())),
                }
                continue;
            }
            Event::Mail(question, mail) => {
                let path = mail.path.to_string();
                let verdict = if path.contains("bad") { Err(no()) } else { Ok(()) };
                server.answer_mail(now, question, verdict);
                format!("mail {path} {:?}", mail.parameters)
            }
            Event::Rcpt(question, rcpt) => {
                let path = rcpt.path.to_string();
                let verdict = if path.contains("bad") { Err(no()) } else { Ok(()) };
                server.answer_rcpt(now, question, verdict);
                format!("rcpt {path}")
            }
            Event::End(question, facts) => {
                server.answer_end(now, question, EndAnswer::Whole(Ok("id".into())));
                format!("end {facts:?}")
            }
            Event::StartTls(question) => {
                server.answer_starttls(now, question, Err(no()));
                "starttls".into()
            }
            Event::Auth(question, step) => {
                server.answer_auth(now, question, AuthAnswer::Challenge(b"?".to_vec()));
                format!("auth {step:?}")
            }
            Event::Exchange(exchange) => {
                story.exchanges.push(format!("{exchange:?}"));
                continue;
            }
            other => {
                if matches!(other, Event::Aborted(_)) {
                    // How much of a letter passed before it was refused may differ too.
                    story.events.retain(|event| !event.starts_with("body"));
                }
                format!("{other:?}")
            }
        };
        story.events.push(words);
    }
    let mut output = BytesMut::new();
    server.poll_output(&mut output);
    story.output.extend_from_slice(&output);
}

fn no() -> Rejection {
    Rejection::relay_denied()
}

fn piece() -> impl Strategy<Value = Vec<u8>> {
    let said: Vec<&'static [u8]> = vec![
        b"EHLO c.test\r\n",
        b"LHLO c.test\r\n",
        b"HELO c.test\r\n",
        b"MAIL FROM:<a@c.test>\r\n",
        b"MAIL FROM:<bad@c.test>\r\n",
        b"MAIL FROM:<> SIZE=61\r\n",
        b"RCPT TO:<x@d.test>\r\n",
        b"RCPT TO:<bad@d.test>\r\n",
        b"RCPT TO:<y@d.test> NOTIFY=NEVER\r\n",
        b"DATA\r\n",
        b"Subject: x\r\n\r\n",
        b"..dots\r\n",
        b".\r\n",
        b"\n.\r\n",
        b".\n",
        b"a long line that is over thirty octets\r\n",
        b"BDAT 5\r\n12\r\n5",
        b"BDAT 4 LAST\r\nab\r\n",
        b"BDAT 0 LAST\r\n",
        b"BDAT 100\r\n",
        b"RSET\r\n",
        b"NOOP\r\n",
        b"VRFY x\r\n",
        b"AUTH PLAIN\r\n",
        b"AHg=\r\n",
        b"*\r\n",
        b"STARTTLS\r\n",
        b"FOO\r\n",
        b"QUIT\r\n",
        b"GET / HTTP/1.1\r\n",
        b"\r",
        b"\n",
        b"\x16\x03",
        b"\x00\xff\r\n",
    ];
    prop_oneof![
        20 => prop::sample::select(said).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => Just(vec![b'x'; 600]),
    ]
}

/// What the client says; shown as text when a test fails.
#[derive(Clone)]
struct Said(Vec<u8>);

impl std::fmt::Debug for Said {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

/// A session that gets somewhere before it goes astray.
fn session() -> impl Strategy<Value = Said> {
    let begin: Vec<&'static [u8]> = vec![
        b"",
        b"EHLO c.test\r\n",
        b"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<x@d.test>\r\n",
        b"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<x@d.test>\r\nDATA\r\n",
    ];
    (prop::sample::select(begin), proptest::collection::vec(piece(), 0..14))
        .prop_map(|(begin, pieces)| Said([begin.to_vec(), pieces.concat()].concat()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn any_chunking_tells_the_same_story(
        said in session(),
        sizes in proptest::collection::vec(1usize..40, 1..6),
        lmtp: bool,
    ) {
        let whole = tell(config(lmtp), &said.0, &[usize::MAX]);
        let cut = tell(config(lmtp), &said.0, &sizes);
        prop_assert_eq!(&whole, &cut);
        let bytewise = tell(config(lmtp), &said.0, &[1]);
        prop_assert_eq!(whole, bytewise);
    }

    #[test]
    fn noise_never_makes_the_machine_panic(wire in proptest::collection::vec(any::<u8>(), 0..300)) {
        let _ = tell(config(false), &wire, &[3]);
    }
}
