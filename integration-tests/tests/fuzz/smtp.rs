//! The SMTP machines, replies and parameters. A session is told whole and in pieces, and must tell
//! the same; what a machine says must be what the other side's parser reads.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use protocol::address::{ForwardPath, ReversePath};
use protocol::machine::{Machine, Tick, TlsFacts};
use protocol::rejection::Rejection;
use protocol::reply::ReplyParser;
use protocol::smtp::capabilities::{Capabilities, SizeOffer};
use protocol::smtp::client::{self, Client};
use protocol::smtp::server::config::{Cleartext, Offer, TlsPolicy};
use protocol::smtp::server::{AuthAnswer, Config, EndAnswer, Event, Server};
use protocol::smtp::{MailParameters, RcptParameters};

use crate::engine::Seen;

pub(crate) const WORDS: &[&[u8]] = &[
    b"EHLO c.test\r\n",
    b"LHLO c.test\r\n",
    b"HELO c\r\n",
    b"MAIL FROM:<a@c.test>",
    b"MAIL FROM:<>",
    b"RCPT TO:<b@d.test>",
    b"\r\nDATA\r\n",
    b"\r\n.\r\n",
    b"BDAT 5 LAST\r\n",
    b"BDAT 3\r\n",
    b"RSET\r\n",
    b"NOOP\r\n",
    b"VRFY x\r\n",
    b"AUTH PLAIN AGEAYg==\r\n",
    b"AUTH PLAIN\r\n",
    b"*\r\n",
    b"STARTTLS\r\n",
    b"QUIT\r\n",
    b" SIZE=10",
    b" BODY=8BITMIME",
    b" BODY=BINARYMIME",
    b" SMTPUTF8",
    b" RET=HDRS",
    b" ENVID=a+2Bb",
    b" NOTIFY=SUCCESS,FAILURE",
    b" NOTIFY=NEVER",
    b" ORCPT=rfc822;a+40b",
    b" AUTH=<>",
    b" AUTH=a+40b",
    b"<@x.test:a@b>",
    b"\"q p\"@x.test",
    b"@[127.0.0.1]",
    b"@[IPv6:::1]",
    b"\r\n",
    b".",
    b"..",
    b" ",
    b"\xc3\xa9",
    b"=",
    b"+",
    b"<",
    b">",
];
pub(crate) const REPLY_WORDS: &[&[u8]] = &[
    b"220 s.test ESMTP\r\n",
    b"250-s.test\r\n",
    b"250 ",
    b"250-",
    b"PIPELINING\r\n",
    b"SIZE 1000\r\n",
    b"8BITMIME\r\n",
    b"SMTPUTF8\r\n",
    b"CHUNKING\r\n",
    b"STARTTLS\r\n",
    b"AUTH PLAIN SCRAM-SHA-256\r\n",
    b"ENHANCEDSTATUSCODES\r\n",
    b"DSN\r\n",
    b"354 go\r\n",
    b"550 5.1.1 no\r\n",
    b"451 4.3.0 later\r\n",
    b"421 4.3.2 bye\r\n",
    b"5.7.1 ",
    b"\r\n",
    b"\n",
    b" ",
    b"-",
    b"2.0.0",
    b"xyz",
    b"\xff",
    b"999 ",
];

/// Octets a server may say for each that it hears, and besides: a lever for floods otherwise.
const SAID_FOR_ONE: usize = 200;
const SAID_BESIDES: usize = 64 * 1024;

/// What was seen of a session, without what may differ with the pieces it came in.
#[derive(Default)]
struct Story {
    events: Vec<String>,
    output: Vec<u8>,
}

pub(crate) fn server(input: &[u8], seen: &mut Seen) {
    let (config, wire) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
    let whole = tell(config, wire, usize::MAX);
    for size in [1, 7] {
        let cut = tell(config, wire, size);
        let (told, again) = (whole.lines(), cut.lines());
        let differs = told.iter().zip(&again).find(|(a, b)| a != b);
        assert_eq!(differs, None, "in pieces of {size} octets it differs");
        assert_eq!(told.len(), again.len(), "in pieces of {size} octets it ends elsewhere");
    }
    assert!(whole.output.len() <= input.len() * SAID_FOR_ONE + SAID_BESIDES, "it says too much");
    let mut parser = ReplyParser::new();
    let mut replies = String::new();
    for line in whole.output.split_inclusive(|octet| *octet == b'\n') {
        let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
        // RFC 5321 §4.5.3.1.5: 512 octets with the line end.
        assert!(line.len() <= 510, "a reply line of {} octets", line.len());
        if let Some(reply) = parser.line(line).expect("our replies are replies") {
            seen.note((replies.clone(), reply.code.as_u16()));
            replies = reply.code.as_u16().to_string();
        }
    }
    whole.events.iter().for_each(|event| seen.shape(event));
}

impl Story {
    fn lines(&self) -> Vec<String> {
        let said = self.output.split(|octet| *octet == b'\n');
        let said = said.map(|line| line.escape_ascii().to_string());
        self.events.iter().cloned().chain(said).collect()
    }
}

fn config(choice: u8) -> Config {
    let mut config =
        if choice & 1 == 0 { Config::smtp("mx.test") } else { Config::lmtp("mx.test") };
    config.size_limit = 300;
    config.recipients_limit = 3;
    config.text_line_limit = if choice & 2 == 0 { 40 } else { 998 };
    // How many RCPTs are asked before the last error counts depends on how they come.
    config.errors_limit = 1_000_000;
    config.dsn = Offer::Yes;
    config.tls = if choice & 4 == 0 { TlsPolicy::Offered } else { TlsPolicy::Unavailable };
    config.auth.mechanisms = vec!["PLAIN".into()];
    config.auth.cleartext = Cleartext::Allowed;
    config
}

fn tell(choice: u8, wire: &[u8], size: usize) -> Story {
    let now = Tick::from_micros(5);
    let mut server = Server::new(Arc::new(config(choice)), now);
    let mut story = Story::default();
    server.greet(now);
    settle(&mut server, &mut story, now);
    for piece in wire.chunks(size.min(wire.len().max(1))) {
        if server.is_closed() {
            break;
        }
        server.feed(now, piece);
        settle(&mut server, &mut story, now);
    }
    server.end_of_input(now);
    settle(&mut server, &mut story, now);
    story
}

fn settle(server: &mut Server, story: &mut Story, now: Tick) {
    let no = Rejection::relay_denied;
    while let Some(event) = server.poll() {
        let words = match event {
            Event::Body(piece) => {
                let piece = piece.escape_ascii().to_string();
                match story.events.last_mut().filter(|last| last.starts_with("body ")) {
                    Some(last) => last.push_str(&piece),
                    None => story.events.push(format!("body {piece}")),
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
            Event::Exchange(_) => continue,
            other => {
                if matches!(other, Event::Aborted(_)) {
                    // How much of a letter passed before it was refused may differ.
                    story.events.retain(|event| !event.starts_with("body "));
                }
                format!("{other:?}")
            }
        };
        story.events.push(words);
    }
    if server.has_output() {
        let mut output = BytesMut::new();
        server.poll_output(&mut output);
        story.output.extend_from_slice(&output);
        // What waited for its output to be taken goes on.
        settle(server, story, now);
    }
}

/// A client with a letter for two people, and a server that says anything.
pub(crate) fn client(input: &[u8], seen: &mut Seen) {
    let (choice, wire) = input.split_first().map_or((0, input), |(first, rest)| (*first, rest));
    let whole = send(choice, wire, usize::MAX);
    // When a letter is begun depends on when the server is ready, and so on the pieces: each way
    // has to end well, not in the same way.
    let cut = send(choice, wire, 3);
    cut.story.iter().for_each(|event| seen.shape(event));
    whole.story.iter().for_each(|event| seen.shape(event));
}

#[derive(Default)]
struct Sent {
    fates: Vec<String>,
    story: Vec<String>,
}

fn send(choice: u8, wire: &[u8], size: usize) -> Sent {
    let now = Tick::from_micros(5);
    let config = if choice & 1 == 0 {
        client::Config::smtp("c.test")
    } else {
        client::Config::lmtp("c.test")
    };
    let mut client = Client::new(Arc::new(config), now);
    let mut sent = Sent::default();
    let mut begun = false;
    let mut pieces = wire.chunks(size.min(wire.len().max(1)));
    // Each turn feeds a piece, so that there are as many as pieces, and some for the end.
    loop {
        let mut output = BytesMut::new();
        while let Some(event) = client.poll() {
            match &event {
                client::Event::StartTls => client.tls_established(now, TlsFacts::default()),
                client::Event::Ready if !begun => {
                    begun = true;
                    let from: ReversePath = "<a@c.test>".parse().expect("a path");
                    client.mail(now, &from, &MailParameters::default());
                    for to in ["<x@s.test>", "<y@s.test>"] {
                        let to: ForwardPath = to.parse().expect("a path");
                        client.recipient(now, &to, &RcptParameters::default());
                    }
                    client.body(now, Some(20));
                }
                client::Event::Finished(outcome) => sent.fates.push(format!("{outcome:?}")),
                _ => {}
            }
            sent.story.push(format!("{event:?}"));
        }
        if client.wants_body() {
            client.push_body(now, b"Subject: x\r\n\r\n.dot\r\n");
            client.end_body(now);
            continue;
        }
        client.poll_output(&mut output);
        if client.is_closed() {
            break;
        }
        match pieces.next() {
            Some(piece) => client.feed(now, piece),
            None => break,
        }
    }
    if !client.is_closed() {
        client.end_of_input(now);
        client.expire(now.after(Duration::from_secs(86_400)));
    }
    while let Some(event) = client.poll() {
        if let client::Event::Finished(outcome) = &event {
            sent.fates.push(format!("{outcome:?}"));
        }
        sent.story.push(format!("{event:?}"));
    }
    assert!(client.is_closed(), "the connection ended, and the client goes on");
    assert!(sent.fates.len() <= 1, "a letter ended twice: {:?}", sent.fates);
    // A letter that was begun ends, whatever the server does: with its outcome, or with the
    // connection, if that was over before it began.
    let closed = sent.story.iter().any(|event| event.starts_with("Closed"));
    assert!(!begun || closed || sent.fates.len() == 1, "a letter has no end");
    sent
}

/// Replies: parse, print, parse.
pub(crate) fn replies(input: &[u8], seen: &mut Seen) {
    let mut parser = ReplyParser::new();
    for line in input.split(|octet| *octet == b'\n') {
        match parser.line(line.strip_suffix(b"\r").unwrap_or(line)) {
            Ok(Some(reply)) => {
                seen.shape(&reply);
                let mut printed = BytesMut::new();
                reply.print(&mut printed);
                let mut again = ReplyParser::new();
                let mut parsed = None;
                for line in printed.split_inclusive(|octet| *octet == b'\n') {
                    assert!(parsed.is_none(), "more than one reply was printed");
                    let line = line.strip_suffix(b"\r\n").expect("lines end with CRLF");
                    parsed = again.line(line).expect("what we print is a reply");
                }
                let parsed = parsed.expect("what we print is whole");
                assert_eq!((parsed.code, parsed.enhanced), (reply.code, reply.enhanced));
                let _ = Rejection::from_reply(&reply).map(|rejection| rejection.to_reply());
                let _ = Capabilities::from_reply(&reply);
            }
            Ok(None) => seen.note(parser.is_midway()),
            Err(error) => {
                seen.note(format!("{error:?}"));
                parser = ReplyParser::new();
            }
        }
    }
}

/// Parameters of MAIL and RCPT: parse, print, parse.
pub(crate) fn parameters(input: &[u8], seen: &mut Seen) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let all = Capabilities {
        size: SizeOffer::Unlimited,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        xposthaste: true,
        ..Capabilities::default()
    };
    match MailParameters::parse(text, &all) {
        Ok(parsed) => {
            seen.shape(&parsed);
            let mut printed = String::new();
            parsed.print(&all, &mut printed);
            assert!(!printed.contains(['\r', '\n']), "a line end: {printed:?}");
            let again = MailParameters::parse(&printed, &all);
            assert_eq!(again.as_ref(), Ok(&parsed), "printed as {printed:?}");
        }
        Err(error) => seen.shape(&error),
    }
    match RcptParameters::parse(text, &all) {
        Ok(parsed) => {
            seen.shape(&parsed);
            let mut printed = String::new();
            parsed.print(&all, &mut printed);
            assert!(!printed.contains(['\r', '\n']), "a line end: {printed:?}");
            let again = RcptParameters::parse(&printed, &all);
            assert_eq!(again.as_ref(), Ok(&parsed), "printed as {printed:?}");
        }
        Err(error) => seen.shape(&error),
    }
}
