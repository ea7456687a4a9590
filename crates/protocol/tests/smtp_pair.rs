//! The SMTP server and the SMTP client, talking to each other in memory.
#![allow(missing_docs)]

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use proptest::prelude::*;
use protocol::address::{ForwardPath, ReversePath};
use protocol::machine::{Machine, Tick, TlsFacts};
use protocol::rejection::Rejection;
use protocol::smtp::client::config::{Chunking, Pace, TlsUse};
use protocol::smtp::client::{self, By, Client, Closing, Failure, Fate, Outcome};
use protocol::smtp::server::config::TlsPolicy;
use protocol::smtp::server::{self, EndAnswer, Server};
use protocol::smtp::{BodyType, Dialect, MailParameters, Observe, RcptParameters, Verb};

struct Pair {
    client: Client,
    server: Server,
    now: Tick,
    /// Octets that pass at a time, in either direction.
    step: usize,
    received: Vec<u8>,
    letters: Vec<Vec<u8>>,
    seen: Vec<client::Event>,
    /// The writes of the client.
    writes: Vec<Vec<u8>>,
}

impl Pair {
    fn new(client: client::Config, server: server::Config) -> Self {
        let now = Tick::from_micros(1);
        let mut server = Server::new(Arc::new(server), now);
        server.greet(now);
        Pair {
            client: Client::new(Arc::new(client), now),
            server,
            now,
            step: usize::MAX,
            received: Vec::new(),
            letters: Vec::new(),
            seen: Vec::new(),
            writes: Vec::new(),
        }
    }

    /// Lets both talk until neither has anything to say.
    fn run(&mut self) {
        loop {
            let mut moved = false;
            while let Some(event) = self.server.poll() {
                self.serve(event);
                moved = true;
            }
            let mut output = BytesMut::new();
            self.server.poll_output(&mut output);
            for piece in output.chunks(self.step.min(output.len().max(1))) {
                self.client.feed(self.now, piece);
                moved = true;
            }
            while let Some(event) = self.client.poll() {
                if matches!(event, client::Event::StartTls) {
                    let facts = TlsFacts { version: "TLSv1.3".into(), ..TlsFacts::default() };
                    self.server.tls_established(self.now, facts.clone());
                    self.client.tls_established(self.now, facts);
                }
                self.seen.push(event);
                moved = true;
            }
            let mut output = BytesMut::new();
            self.client.poll_output(&mut output);
            if !output.is_empty() {
                self.writes.push(output.to_vec());
            }
            for piece in output.chunks(self.step.min(output.len().max(1))) {
                self.server.feed(self.now, piece);
                moved = true;
            }
            if !moved {
                return;
            }
        }
    }

    fn serve(&mut self, event: server::Event) {
        let (server, now) = (&mut self.server, self.now);
        match event {
            server::Event::StartTls(question) => server.answer_starttls(now, question, Ok(())),
            server::Event::Mail(question, mail) => {
                let refused = mail.path.to_string().contains("bad");
                let verdict = if refused { Err(Rejection::relay_denied()) } else { Ok(()) };
                server.answer_mail(now, question, verdict);
            }
            server::Event::Rcpt(question, rcpt) => {
                let refused = rcpt.path.to_string().contains("bad");
                let verdict = if refused { Err(Rejection::no_such_mailbox()) } else { Ok(()) };
                server.answer_rcpt(now, question, verdict);
            }
            server::Event::Body(piece) => self.received.extend_from_slice(&piece),
            server::Event::End(question, _) => {
                self.letters.push(std::mem::take(&mut self.received));
                let full = || Err(Rejection::mailbox_full());
                let answer = EndAnswer::Each(vec![Ok("one".into()), full(), Ok("three".into())]);
                server.answer_end(now, question, answer);
            }
            _ => {}
        }
    }

    fn send(&mut self, from: &str, to: &[&str], body: &[u8]) {
        let from: ReversePath = from.parse().unwrap();
        let parameters =
            MailParameters { size: Some(body.len() as u64), ..MailParameters::default() };
        self.client.mail(self.now, &from, &parameters);
        for path in to {
            let path: ForwardPath = path.parse().unwrap();
            self.client.recipient(self.now, &path, &RcptParameters::default());
        }
        self.client.body(self.now, Some(body.len() as u64));
        let mut rest = body;
        loop {
            if self.client.wants_body() {
                let (piece, more) = rest.split_at(rest.len().min(1000));
                self.client.push_body(self.now, piece);
                rest = more;
                if rest.is_empty() {
                    self.client.end_body(self.now);
                    break;
                }
                continue;
            }
            self.run();
            if !self.client.is_taking_body() {
                break;
            }
        }
        self.run();
    }

    fn outcome(&mut self) -> Outcome {
        let finished = self.seen.iter().rposition(|e| matches!(e, client::Event::Finished(_)));
        match self.seen.remove(finished.expect("the transaction is over")) {
            client::Event::Finished(outcome) => outcome,
            _ => unreachable!("just matched"),
        }
    }

    fn replies(&mut self) -> Vec<(Verb, u16)> {
        let fates = self.outcome().recipients.into_iter();
        fates
            .map(|fate| match fate {
                Fate::Answered(answer) => (answer.verb, answer.reply.code.as_u16()),
                Fate::Unanswered(failure) => panic!("{failure}"),
            })
            .collect()
    }
}

fn smtp() -> (client::Config, server::Config) {
    (client::Config::smtp("c.test"), server::Config::smtp("s.test"))
}

fn lmtp() -> (client::Config, server::Config) {
    (client::Config::lmtp("c.test"), server::Config::lmtp("s.test"))
}

const LETTER: &[u8] = b"Subject: x\r\n\r\n.dot\r\nline\r\n";

#[test]
fn several_letters_over_one_connection() {
    let (client, server) = smtp();
    let mut pair = Pair::new(client, server);
    pair.run();
    for _ in 0..3 {
        pair.send("<a@c.test>", &["<x@s.test>", "<bad@s.test>"], LETTER);
        assert_eq!(pair.replies(), [(Verb::Bdat, 250), (Verb::Rcpt, 550)]);
    }
    assert_eq!(pair.letters, [LETTER; 3]);
    pair.client.quit(pair.now);
    pair.run();
    assert!(matches!(pair.seen.last(), Some(client::Event::Closed(Closing::Quit))));
    assert!(pair.server.is_closed() && pair.client.is_closed());
}

#[test]
fn by_data_where_chunking_is_not_wanted() {
    let (mut client, server) = smtp();
    client.chunking = Chunking::Never;
    let mut pair = Pair::new(client, server);
    pair.step = 1;
    pair.run();
    pair.send("<a@c.test>", &["<x@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::EndOfData, 250)]);
    assert_eq!(pair.letters, [LETTER]);
}

#[test]
fn nobody_wants_it_and_the_next_letter_goes_through() {
    for chunking in [Chunking::Never, Chunking::WhenOffered] {
        let (mut client, server) = smtp();
        client.chunking = chunking;
        let mut pair = Pair::new(client, server);
        pair.run();
        pair.send("<a@c.test>", &["<bad@s.test>", "<bad2@s.test>"], LETTER);
        assert_eq!(pair.replies(), [(Verb::Rcpt, 550), (Verb::Rcpt, 550)]);
        pair.send("<bad@c.test>", &["<x@s.test>"], LETTER);
        assert_eq!(pair.replies(), [(Verb::Mail, 550)]);
        pair.send("<a@c.test>", &["<x@s.test>"], LETTER);
        assert!(pair.replies().iter().all(|(_, code)| *code == 250));
        assert_eq!(pair.letters, [LETTER], "{chunking:?}");
    }
}

#[test]
fn lmtp_goes_in_one_write_and_has_a_reply_for_each_recipient() {
    let (client, server) = lmtp();
    let mut pair = Pair::new(client, server);
    pair.run();
    let before = pair.writes.len();
    let to = ["<x@s.test>", "<bad@s.test>", "<y@s.test>", "<z@s.test>"];
    pair.send("<>", &to, LETTER);
    let verdicts = [(Verb::Bdat, 250), (Verb::Rcpt, 550), (Verb::Bdat, 552), (Verb::Bdat, 250)];
    assert_eq!(pair.replies(), verdicts);
    assert_eq!(pair.writes.len(), before + 1);
    pair.send("<>", &["<bad@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::Rcpt, 550)]);
    pair.send("<bad@c.test>", &["<x@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::Mail, 550)]);
    pair.send("<>", &["<x@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::Bdat, 250)]);
    assert_eq!(pair.letters.len(), 2);
}

#[test]
fn lmtp_by_data() {
    let (mut client, server) = lmtp();
    client.chunking = Chunking::Never;
    let mut pair = Pair::new(client, server);
    pair.run();
    pair.send("<>", &["<x@s.test>", "<y@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::EndOfData, 250), (Verb::EndOfData, 552)]);
}

#[test]
fn tls_when_offered_required_and_missing() {
    let (client, mut server) = smtp();
    server.tls = TlsPolicy::Offered;
    let mut pair = Pair::new(client.clone(), server.clone());
    pair.run();
    assert!(pair.client.is_ready() && pair.client.tls().is_some());
    assert!(!pair.client.capabilities().unwrap().starttls);

    server.tls = TlsPolicy::Unavailable;
    let required = client::Config { tls: TlsUse::Required, ..client };
    let mut pair = Pair::new(required, server);
    pair.run();
    let last = pair.seen.last();
    assert!(
        matches!(last, Some(client::Event::Closed(Closing::Failed(Failure::TlsNotOffered)))),
        "{last:?}"
    );
}

#[test]
fn what_the_server_does_not_offer_is_refused_by_us() {
    let (client, mut server) = smtp();
    server.size_limit = 10;
    let mut pair = Pair::new(client, server);
    pair.run();
    pair.send("<a@c.test>", &["<x@s.test>"], LETTER);
    match &pair.outcome().recipients[..] {
        [Fate::Answered(answer)] => {
            assert_eq!((answer.by, answer.reply.code.as_u16()), (By::Us, 552));
        }
        other => panic!("{other:?}"),
    }
    assert!(pair.client.is_ready());
}

/// Feeds a client by hand.
fn alone(script: &[&str]) -> (Client, Vec<client::Event>) {
    let mut client = Client::new(Arc::new(client::Config::smtp("c.test")), Tick::default());
    let mut seen = Vec::new();
    for line in script {
        client.feed(Tick::default(), line.as_bytes());
        while let Some(event) = client.poll() {
            seen.push(event);
        }
    }
    (client, seen)
}

#[test]
fn an_old_server_without_any_extension() {
    let (mut client, _) = alone(&["220 old\r\n", "502 what?\r\n", "250 old\r\n"]);
    let now = Tick::default();
    assert!(client.is_ready());
    let eight = MailParameters {
        size: Some(5),
        body: Some(BodyType::SevenBit),
        ..MailParameters::default()
    };
    client.mail(now, &"<a@c.test>".parse().unwrap(), &eight);
    client.recipient(now, &"<x@s.test>".parse().unwrap(), &RcptParameters::default());
    client.body(now, Some(5));
    let mut sent = BytesMut::new();
    for reply in ["250 ok\r\n", "250 ok\r\n", "354 go\r\n"] {
        client.poll_output(&mut sent);
        client.feed(now, reply.as_bytes());
    }
    let said = String::from_utf8(sent.to_vec()).unwrap();
    // One at a time, and no parameter that was not offered.
    assert!(said.ends_with("MAIL FROM:<a@c.test>\r\nRCPT TO:<x@s.test>\r\nDATA\r\n"), "{said}");
    client.push_body(now, b"a\nb");
    client.end_body(now);
    let mut body = BytesMut::new();
    client.poll_output(&mut body);
    assert_eq!(&body[..], b"a\r\nb\r\n.\r\n");
}

#[test]
fn servers_that_misbehave() {
    use client::Event;
    for (script, wanted) in [
        (&["SSH-2.0-x\r\n"][..], "not an SMTP reply (greeting)"),
        (&["554 go away\r\n"], "in answer to greeting: 554 go away"),
        (&["220 x\r\n", "421 4.3.2 later\r\n"], "EHLO: 421 4.3.2 later"),
        (&["220 x\r\n250 surprise\r\n250 more\r\n"], "250 more"),
    ] {
        let (client, seen) = alone(script);
        assert!(client.is_closed());
        match seen.last() {
            Some(Event::Closed(Closing::Failed(failure))) => {
                assert!(failure.to_string().contains(wanted), "{failure}");
            }
            other => panic!("{other:?}"),
        }
    }
    let flood = "220-x\r\n".repeat(1000);
    assert!(alone(&[flood.as_str()]).0.is_closed());
    let endless = "2".repeat(5000);
    assert!(alone(&[endless.as_str()]).0.is_closed());
}

#[test]
fn a_lost_reply_leaves_the_letter_unanswered_and_what_was_refused_refused() {
    let (client, server) = smtp();
    let mut pair = Pair::new(client, server);
    pair.run();
    let now = pair.now;
    pair.client.mail(now, &ReversePath::Null, &MailParameters::default());
    for path in ["<x@s.test>", "<bad@s.test>"] {
        pair.client.recipient(now, &path.parse().unwrap(), &RcptParameters::default());
    }
    pair.client.body(now, None);
    pair.run();
    pair.client.push_body(now, LETTER);
    pair.client.end_body(now);
    let deadline = pair.client.deadline().expect("a reply is owed");
    assert_eq!(deadline, now.after(Duration::from_secs(600)));
    pair.client.end_of_input(now);
    pair.run();
    let fates = pair.outcome().recipients;
    assert_eq!(fates[0], Fate::Unanswered(Failure::Lost(Verb::EndOfData)));
    assert!(matches!(&fates[1], Fate::Answered(a) if a.reply.code.as_u16() == 550));
}

#[test]
fn a_dropped_letter_does_not_disturb_the_next() {
    let (client, server) = smtp();
    let mut pair = Pair::new(client, server);
    pair.run();
    let now = pair.now;
    pair.client.mail(now, &ReversePath::Null, &MailParameters::default());
    let path: ForwardPath = "<bad@s.test>".parse().unwrap();
    pair.client.recipient(now, &path, &RcptParameters::default());
    pair.client.reset(now);
    pair.send("<a@c.test>", &["<x@s.test>"], LETTER);
    assert_eq!(pair.replies(), [(Verb::Bdat, 250)]);
    assert_eq!(pair.letters, [LETTER]);
}

#[test]
fn every_reply_is_reported_with_its_verb() {
    let (mut client, server) = smtp();
    client.observe = Observe::Replies;
    let mut pair = Pair::new(client, server);
    pair.run();
    pair.send("<a@c.test>", &["<x@s.test>"], LETTER);
    let verbs: Vec<Verb> = pair
        .seen
        .iter()
        .filter_map(|event| match event {
            client::Event::Exchange(exchange) => Some(exchange.verb),
            _ => None,
        })
        .collect();
    assert_eq!(verbs, [Verb::Greeting, Verb::Ehlo, Verb::Mail, Verb::Rcpt, Verb::Bdat]);
}

proptest! {
    #[test]
    fn any_clean_letter_arrives_as_it_left(
        lines in proptest::collection::vec("[.a-zé]{0,12}", 0..200),
        step in 1usize..50,
        eager: bool,
        chunking: bool,
        dialect: bool,
    ) {
        let (mut client, mut server) = smtp();
        if dialect {
            client.dialect = Dialect::Lmtp;
            server.dialect = Dialect::Lmtp;
        }
        client.pace = if eager { Pace::Eager } else { Pace::Careful };
        client.chunking = if chunking { Chunking::WhenOffered } else { Chunking::Never };
        let letter: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
        let mut pair = Pair::new(client, server);
        pair.step = step;
        pair.run();
        pair.send("<a@c.test>", &["<x@s.test>"], letter.as_bytes());
        prop_assert_eq!(pair.letters.len(), 1);
        prop_assert_eq!(&pair.letters[0], letter.as_bytes());
        prop_assert!(pair.replies().iter().all(|(_, code)| *code == 250));
    }
}
