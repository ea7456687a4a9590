//! Tests of the driver loop with a small line machine: chunking, slow and silent peers, deadlines,
//! lost connections, TLS in mid-stream, cancelling.

use std::time::Duration;

use bytes::{Buf, BytesMut};
use proptest::prelude::*;
use protocol::machine::{Machine, Tick, TlsFacts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Driver, Ending, Setting};
use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::limits::OUTPUT_HIGH;
use crate::stream::Stream;
use crate::tls;

/// Gives each line as an event, echoes what it is told to, ends at `quit` or after 60 silent
/// seconds.
#[derive(Default)]
struct Lines {
    input: BytesMut,
    output: BytesMut,
    closed: bool,
    ended: bool,
    tls: Option<TlsFacts>,
    last: Tick,
    expired: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Event {
    Line(String),
    Expired,
    End,
}

impl Lines {
    fn say(&mut self, text: &str) {
        self.output.extend_from_slice(text.as_bytes());
    }
}

impl Machine for Lines {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        self.last = now;
        self.input.extend_from_slice(input);
    }

    fn end_of_input(&mut self, _now: Tick) {
        self.ended = true;
    }

    fn tls_established(&mut self, _now: Tick, facts: TlsFacts) {
        self.input.clear();
        self.tls = Some(facts);
    }

    fn expire(&mut self, _now: Tick) {
        self.expired = true;
    }

    fn poll(&mut self) -> Option<Event> {
        if self.expired && !self.closed {
            self.closed = true;
            return Some(Event::Expired);
        }
        if self.closed {
            return None;
        }
        if let Some(end) = self.input.iter().position(|byte| *byte == b'\n') {
            let line = self.input.split_to(end);
            self.input.advance(1);
            let line = String::from_utf8_lossy(&line).into_owned();
            self.closed |= line == "quit";
            return Some(Event::Line(line));
        }
        if self.ended {
            self.closed = true;
            return Some(Event::End);
        }
        None
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        out.unsplit(self.output.split());
    }

    fn has_output(&self) -> bool {
        !self.output.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        (!self.closed).then(|| self.last.after(Duration::from_secs(60)))
    }

    fn wants_input(&self) -> bool {
        self.output.len() < 1024
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

fn driver(stream: Stream, clock: &Clock) -> Driver<Lines> {
    Driver::new(Lines::default(), stream, clock, &Cancel::new())
}

fn still() -> Clock {
    Clock::virtual_at(protocol::time::Timestamp::from_seconds(1_795_381_596))
}

/// Answers every line with itself until the end; returns the lines.
async fn echo(mut driver: Driver<Lines>) -> (Vec<Event>, Driver<Lines>) {
    let mut events = Vec::new();
    while let Some(event) = driver.next().await {
        if let Event::Line(line) = &event {
            let line = format!("{line}\n");
            driver.machine().say(&line);
        }
        events.push(event);
    }
    (events, driver)
}

#[tokio::test]
async fn the_last_reply_arrives_although_the_peer_goes_on_talking() {
    let (near, mut far) = Stream::pair(64);
    let serving = tokio::spawn(echo(driver(near, &Clock::real())));
    // More than the pipe holds: the reply and this would block each other without reading and
    // writing at once.
    let sending = async {
        let big = format!("{}\nquit\n", "x".repeat(1000));
        far.write_all(big.as_bytes()).await.expect("the driver reads");
        // Ignored, yet taken, so that our reply is not reset away.
        let _ = far.write_all(b"and more\n").await;
        let mut answer = String::new();
        far.read_to_string(&mut answer).await.expect("whole text");
        answer
    };
    let answer = sending.await;
    assert!(answer.ends_with("x\nquit\n") && answer.len() == 1006);
    drop(far);
    let (events, driver) = serving.await.expect("no panic");
    assert_eq!(events.len(), 2);
    assert_eq!(driver.ending(), Some(&Ending::Done));
}

#[tokio::test]
async fn a_peer_that_never_reads_is_dropped_and_memory_is_bounded() {
    let clock = still();
    let (near, mut far) = Stream::pair(1024);
    let setting = Setting {
        write_stall: Duration::from_secs(5),
        ..Setting::new(clock.clone(), Cancel::new())
    };
    let mut driver = Driver::with(Lines::default(), near, setting);
    let serving = tokio::spawn(async move {
        let mut lines = 0_usize;
        while let Some(event) = driver.next().await {
            assert!(driver.out.len() <= OUTPUT_HIGH + 4096, "output grows without bound");
            if matches!(event, Event::Line(_)) {
                lines += 1;
                driver.machine().say(&"y".repeat(2048));
            }
        }
        (lines, driver.ending().cloned())
    });
    let flood = tokio::spawn(async move {
        while far.write_all(b"more\n").await.is_ok() {}
        far
    });
    while !serving.is_finished() {
        if clock.next_wake().is_some() {
            clock.advance(Duration::from_millis(500));
        }
        tokio::task::yield_now().await;
    }
    let (lines, ending) = serving.await.expect("no panic");
    assert_eq!(ending, Some(Ending::Stalled(Duration::from_secs(5))));
    assert!(lines > 0);
    flood.await.expect("the writer ends when we close");
}

#[tokio::test]
async fn deadlines_come_from_the_machine() {
    let clock = still();
    let (near, _far) = Stream::pair(64);
    let serving = tokio::spawn(echo(driver(near, &clock)));
    while clock.next_wake().is_none() {
        tokio::task::yield_now().await;
    }
    clock.advance(Duration::from_secs(60));
    // Until the driver sleeps again, now to linger.
    while clock.next_wake().is_none_or(|wake| wake <= clock.tick()) {
        tokio::task::yield_now().await;
    }
    // The peer says nothing and closes nothing: lingering has an end too.
    clock.advance(Duration::from_secs(2));
    let (events, driver) = serving.await.expect("no panic");
    assert_eq!(events, [Event::Expired]);
    assert_eq!(driver.ending(), Some(&Ending::Done));
}

#[tokio::test]
async fn a_half_closed_peer_still_gets_its_answers() {
    let (near, mut far) = Stream::pair(64);
    let serving = tokio::spawn(echo(driver(near, &Clock::real())));
    far.write_all(b"one\ntwo\n").await.expect("room in the pipe");
    far.shutdown().await.expect("our side closes");
    let mut answer = String::new();
    far.read_to_string(&mut answer).await.expect("text");
    assert_eq!(answer, "one\ntwo\n");
    let (events, driver) = serving.await.expect("no panic");
    assert_eq!(events.last(), Some(&Event::End));
    assert_eq!(driver.ending(), Some(&Ending::PeerClosed));
}

#[tokio::test]
async fn cancelling_ends_at_once() {
    let cancel = Cancel::new();
    let (near, _far) = Stream::pair(64);
    let mut driver = Driver::new(Lines::default(), near, &Clock::real(), &cancel);
    cancel.cancel();
    assert_eq!(driver.next().await, None);
    assert_eq!(driver.ending(), Some(&Ending::Cancelled));
}

#[tokio::test]
async fn next_may_be_dropped_at_any_time() {
    let (near, mut far) = Stream::pair(7);
    let mut driver = driver(near, &Clock::real());
    let sending = tokio::spawn(async move {
        for number in 0..200 {
            far.write_all(format!("line {number}\n").as_bytes()).await.expect("the driver reads");
        }
        far
    });
    let mut seen = 0;
    while seen < 200 {
        tokio::select! {
            biased;
            // Wins whenever the driver has to wait even once.
            event = driver.next() => {
                assert_eq!(event, Some(Event::Line(format!("line {seen}"))));
                seen += 1;
            }
            () = tokio::task::yield_now() => {}
        }
    }
    sending.await.expect("no panic");
}

#[tokio::test]
async fn tls_begins_in_mid_stream_and_forgets_what_was_injected() {
    let key = rcgen::generate_simple_self_signed(["mx.blue.test".to_owned()]).expect("a key");
    let certificate = tls::Certificate::from_pem(&key.cert.pem(), &key.signing_key.serialize_pem())
        .expect("usable");
    let server = tls::Server::new(&certificate).expect("a server");
    let roots = tls::Roots::load(None).expect("roots");
    let (near, far) = Stream::pair(4096);
    let serving = tokio::spawn(async move {
        let mut driver = driver(near, &Clock::real());
        assert_eq!(driver.next().await, Some(Event::Line("starttls".to_owned())));
        driver.machine().say("go\n");
        driver.accept_tls(&server).await.expect("a handshake");
        let (events, mut driver) = echo(driver).await;
        (events, driver.machine().tls.clone().expect("facts"))
    });
    let mut client = driver(far, &Clock::real());
    client.machine().say("starttls\n");
    assert_eq!(client.next().await, Some(Event::Line("go".to_owned())));
    let name = tls::PeerName::new("mx.blue.test.").expect("a name");
    client.connect_tls(&tls::Client::opportunistic(&roots), &name).await.expect("a handshake");
    client.machine().say("quit\n");
    assert_eq!(client.next().await, Some(Event::Line("quit".to_owned())));
    assert_eq!(client.next().await, None);
    let ours = client.machine().tls.clone().expect("facts");
    let (events, theirs) = serving.await.expect("no panic");
    assert_eq!(events, [Event::Line("quit".to_owned())]);
    assert_eq!(ours.exporter, theirs.exporter);
    assert!(ours.exporter.is_some());
    assert_eq!(theirs.sni.as_deref(), Some("mx.blue.test"));
    assert!(matches!(ours.verified, protocol::machine::Verification::Unverified(_)), "{ours:?}");
    assert_eq!((ours.version.as_str(), theirs.version.as_str()), ("TLSv1.3", "TLSv1.3"));
}

#[tokio::test]
async fn plain_text_after_starttls_ends_the_connection() {
    let key = rcgen::generate_simple_self_signed(["mx.blue.test".to_owned()]).expect("a key");
    let certificate = tls::Certificate::from_pem(&key.cert.pem(), &key.signing_key.serialize_pem())
        .expect("usable");
    let server = tls::Server::new(&certificate).expect("a server");
    let (near, mut far) = Stream::pair(4096);
    let mut driver = driver(near, &Clock::real());
    far.write_all(b"RSET\r\nMAIL FROM:<mallory@red.test>\r\n").await.expect("room");
    let error = driver.accept_tls(&server).await.expect_err("no handshake");
    assert_eq!(error.to_string(), "TLS: the peer does not speak TLS");
    assert_eq!(driver.next().await, Some(Event::End));
    assert_eq!(driver.next().await, None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any chunking gives the same events and the same output.
    #[test]
    fn chunking_does_not_matter(cuts in prop::collection::vec(1usize..40, 1..30)) {
        let text = "first\nsecond line\n\nfourth\nquit\n";
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let (events, answer) = runtime.block_on(async {
            let (near, far) = Stream::pair(16);
            let serving = tokio::spawn(echo(driver(near, &still())));
            let (mut reading, mut writing) = tokio::io::split(far);
            let answer = tokio::spawn(async move {
                let mut answer = Vec::new();
                reading.read_to_end(&mut answer).await.expect("a clean end");
                answer
            });
            let mut rest = text.as_bytes();
            for cut in cuts.iter().cycle() {
                let (piece, later) = rest.split_at((*cut).min(rest.len()));
                writing.write_all(piece).await.expect("the driver reads");
                if later.is_empty() {
                    break;
                }
                rest = later;
                tokio::task::yield_now().await;
            }
            let answer = answer.await.expect("no panic");
            drop(writing);
            (serving.await.expect("no panic").0, answer)
        });
        let lines: Vec<Event> = text.lines().map(|line| Event::Line(line.to_owned())).collect();
        prop_assert_eq!(events, lines);
        prop_assert_eq!(answer, text.as_bytes());
    }
}
