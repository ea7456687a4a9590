//! The way out, against a receiver that answers as it is told, over real sockets; the queue on a
//! real disk. What is asserted is what the sender and the ledger see.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::{Renewing, Store};
use disk::custody::{Act, Entry};
use disk::{Disk, RealDisk};
use net::Clock;
use protocol::journey::JourneyId;
use queue::{Letter, NewLetter, NewRecipient, Origin, Queue, Writer};
use service::daemon::Context;
use service::{AgentName, ConfigHandle};

use super::Relay;
use crate::control::facts;
use crate::courier::{Means, Transport};
use crate::sign::Signer;

/// What a receiver got: recipients and body.
type Got = Arc<Mutex<Vec<(Vec<String>, String)>>>;

struct World {
    _folder: tempfile::TempDir,
    context: Context,
    queue: Queue,
    _writer: Writer,
    got: Got,
    connections: Arc<AtomicU32>,
}

/// A receiver on a thread: `no...` does not exist, `grey...` must come twice, others are welcome.
fn receiver() -> (SocketAddr, Got, Arc<AtomicU32>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (got, connections) = (Got::default(), Arc::new(AtomicU32::new(0)));
    let (seen, count) = (got.clone(), connections.clone());
    std::thread::spawn(move || {
        let grey = Arc::new(AtomicU32::new(0));
        for stream in listener.incoming().flatten() {
            count.fetch_add(1, Ordering::Relaxed);
            let (seen, grey) = (seen.clone(), grey.clone());
            std::thread::spawn(move || receive(stream, &seen, &grey));
        }
    });
    (address, got, connections)
}

fn receive(stream: TcpStream, got: &Got, grey: &AtomicU32) -> Option<()> {
    let mut out = stream.try_clone().ok()?;
    let mut say = move |text: &str| out.write_all(format!("{text}\r\n").as_bytes()).ok();
    let mut lines = BufReader::new(stream);
    let mut line = || {
        let mut text = String::new();
        lines.read_line(&mut text).ok().filter(|count| *count > 0)?;
        Some(text.trim_end().to_owned())
    };
    say("220 fake ESMTP")?;
    let mut recipients = Vec::new();
    loop {
        let command = line()?;
        let upper = command.to_ascii_uppercase();
        if upper.starts_with("EHLO") {
            say("250-fake")?;
            say("250-PIPELINING")?;
            say("250 ENHANCEDSTATUSCODES")?;
        } else if upper.starts_with("MAIL") {
            recipients.clear();
            say("250 2.1.0 ok")?;
        } else if upper.starts_with("RCPT TO:<NO") {
            say("550 5.1.1 no such person")?;
        } else if upper.starts_with("RCPT TO:<GREY") && grey.fetch_add(1, Ordering::Relaxed) == 0 {
            say("451 4.7.1 greylisted, come back")?;
        } else if upper.starts_with("RCPT") {
            recipients.push(command["RCPT TO:".len()..].to_owned());
            say("250 2.1.5 ok")?;
        } else if upper.starts_with("DATA") {
            if recipients.is_empty() {
                say("554 5.5.1 nobody to send it to")?;
                continue;
            }
            say("354 go on")?;
            let mut body = String::new();
            loop {
                match line()?.as_str() {
                    "." => break,
                    text => body.push_str(&format!("{text}\n")),
                }
            }
            got.lock().unwrap().push((std::mem::take(&mut recipients), body));
            say("250 2.0.0 thank you")?;
        } else if upper.starts_with("QUIT") {
            say("221 2.0.0 bye")?;
            return None;
        } else {
            say("250 2.0.0 ok")?;
        }
    }
}

fn world(times: &str) -> World {
    let (address, got, connections) = receiver();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posthaste.toml");
    let text = format!(
        "[server]\nhostname = \"mx.red.test\"\n[storage]\ndata_dir = \"data\"\n\
         [dns]\nservers = [\"127.0.0.1:1\"]\n[mta]\n{times}\n\
         routes = {{ \"blue.test\" = \"smtp:{address}\", \"gone.test\" = \"smtp:127.0.0.1:1\", \
         \"home.test\" = \"smtp:{address}\" }}\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = ConfigHandle::load(&file, &[]).unwrap();
    std::fs::create_dir_all(&config.current().storage.data_dir).unwrap();
    let context = Context::detached(AgentName::Mta, config, &Clock::real());
    context.paths.prepare().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = Store::new(disk.clone(), context.paths.directory());
    store.create().unwrap();
    let directory = Arc::new(Renewing::open(disk.clone(), store.directory()).unwrap());
    let mut options = queue::Options::new(context.paths.queue());
    options.commit.log.segment = 1 << 20;
    let (queue, writer, _) = Queue::open(disk, options).unwrap();
    let means = Means::of(&context.config.current()).unwrap();
    let transport = Arc::new(Transport::new(context.clone(), means));
    let signer = Arc::new(Signer::open(&context.paths.keys()));
    let relay = Relay::new(context.clone(), queue.clone(), (transport, signer), directory);
    tokio::spawn(relay.run());
    World { _folder: folder, context, queue, _writer: writer, got, connections }
}

const FAST: &str = "retry.first = \"20ms\"\nretry.factor = 1.0\nretry.max = \"20ms\"\n\
                    delay_notice = \"1h\"\nlifetime = \"1d\"";

impl World {
    async fn accept(&self, sender: &str, recipients: &[&str], held: Option<&str>) -> JourneyId {
        let now = self.context.clock.now();
        let recipient = |address: &&str| NewRecipient {
            address: address.parse().unwrap(),
            parameters: Default::default(),
            from: None,
            first_try: now,
            in_hand: None,
        };
        let journey = JourneyId::new(now, crate::random::u32());
        let letter = NewLetter {
            journey,
            cause: None,
            origin: Origin::Accepted,
            arrived: now,
            expires: now.after(self.context.config.current().mta.lifetime),
            sender: sender.parse().unwrap(),
            parameters: Default::default(),
            recipients: recipients.iter().map(recipient).collect(),
            held: held.map(str::to_owned),
            headers: bytes::Bytes::from_static(b"Received: here\r\n"),
            body: b"Subject: a test\r\n\r\nhello\r\n".to_vec().into(),
        };
        self.queue.accept(letter).await.unwrap();
        journey
    }

    /// Waits until the queue is as wanted; what it is instead after ten seconds.
    async fn until(&self, wanted: impl Fn(&[Arc<Letter>]) -> bool) {
        let waiting = async {
            let mut watch = self.queue.watch();
            loop {
                let letters: Vec<Arc<Letter>> =
                    self.queue.list(|_| true).into_iter().map(|listed| listed.letter).collect();
                if wanted(&letters) {
                    return;
                }
                watch.changed().await;
            }
        };
        if tokio::time::timeout(Duration::from_secs(10), waiting).await.is_err() {
            panic!("still {:#?}", self.queue.list(|_| true));
        }
    }

    async fn book(&self) -> Vec<Entry> {
        self.queue.settle().await.unwrap();
        let mut entries = Vec::new();
        self.queue.custody(&mut |entry| entries.push(entry)).unwrap();
        entries
    }

    async fn ends(&self, journey: JourneyId) -> Vec<(String, Act)> {
        let mut ends: Vec<(String, Act)> = self
            .book()
            .await
            .into_iter()
            .filter(|entry| entry.journey == journey && entry.act != Act::Accepted)
            .map(|entry| (entry.recipient, entry.act))
            .collect();
        ends.sort();
        ends
    }

    fn bodies_to(&self, recipient: &str) -> Vec<String> {
        let got = self.got.lock().unwrap();
        let to = |(to, _): &&(Vec<String>, String)| to.iter().any(|one| one.contains(recipient));
        got.iter().filter(to).map(|(_, body)| body.clone()).collect()
    }
}

#[tokio::test]
async fn each_recipient_comes_to_an_end_of_its_own() {
    let world = world(FAST);
    let people = ["bob@blue.test", "nobody@blue.test", "grey@blue.test", "x@gone.test"];
    let journey = world.accept("<alice@home.test>", &people, None).await;
    let one_waits = |letters: &[Arc<Letter>]| {
        letters.len() == 1 && letters[0].waiting().map(|(index, _)| index).eq([3])
    };
    world.until(one_waits).await;
    let ends = world.ends(journey).await;
    let end = |name: &str| ends.iter().find(|(to, _)| to.starts_with(name)).map(|(_, act)| *act);
    assert_eq!(end("bob"), Some(Act::Relayed));
    assert_eq!(end("grey"), Some(Act::Relayed), "it came back after the 451");
    assert_eq!(end("nobody"), Some(Act::Bounced));
    assert_eq!(end("x@gone"), None);
    let letters = world.bodies_to("bob@blue.test");
    assert_eq!(letters, ["Received: here\nSubject: a test\n\nhello\n"]);
    let reports = world.bodies_to("alice@home.test");
    assert_eq!(reports.len(), 1, "one report, relayed like any letter");
    assert!(reports[0].contains("Final-Recipient: rfc822; nobody@blue.test"), "{}", reports[0]);
    assert!(reports[0].contains("Status: 5.1.1"));
    assert!(!reports[0].contains("bob@blue.test"), "who got it is not reported");
    let known = facts(&world.queue).await.unwrap();
    let mut ledger = service::ledger::Ledger::new();
    known.into_iter().for_each(|fact| ledger.take(fact));
    let balance = ledger.balance();
    assert!(balance.holds(), "{balance:?}");
    assert_eq!((balance.queued, balance.relayed, balance.bounced), (1, 3, 1));
}

#[tokio::test]
async fn the_sender_is_told_of_a_delay_once_and_then_of_the_end() {
    let world = world(
        "retry.first = \"20ms\"\nretry.factor = 1.0\nretry.max = \"20ms\"\n\
         delay_notice = \"100ms\"\nlifetime = \"700ms\"",
    );
    let journey = world.accept("<alice@home.test>", &["x@gone.test"], None).await;
    world.until(<[_]>::is_empty).await;
    assert_eq!(world.ends(journey).await, [("x@gone.test".to_owned(), Act::Bounced)]);
    let told = world.bodies_to("alice@home.test");
    let actions: Vec<&str> = told
        .iter()
        .filter_map(|body| body.lines().find(|line| line.starts_with("Action: ")))
        .collect();
    assert_eq!(actions, ["Action: delayed", "Action: failed"]);
    assert!(told[1].contains("Status: 5.4.7"), "{}", told[1]);
}

#[tokio::test]
async fn nobody_is_told_when_a_report_fails() {
    let world = world(FAST);
    let journey = world.accept("<>", &["nobody@blue.test"], None).await;
    world.until(<[_]>::is_empty).await;
    let book = world.book().await;
    let end = book.iter().find(|entry| entry.journey == journey && entry.act != Act::Accepted);
    let end = end.expect("an end");
    assert_eq!(end.act, Act::Discarded);
    assert!(end.detail.contains("rule null-reverse-path"), "{}", end.detail);
    assert!(book.iter().all(|entry| entry.act != Act::Generated), "no report about a report");
}

#[tokio::test]
async fn a_held_letter_waits_for_its_release() {
    let world = world(FAST);
    let held = world.accept("<alice@home.test>", &["bob@blue.test"], Some("hourly limit")).await;
    let other = world.accept("<alice@home.test>", &["carol@blue.test"], None).await;
    world.until(|letters| letters.len() == 1).await;
    assert_eq!(world.ends(other).await.len(), 1);
    assert!(world.bodies_to("bob@blue.test").is_empty());
    let when = (held, world.context.clock.now());
    let release = vec![queue::Change::Release];
    world.queue.change(when, release, queue::Wait::Durable).await.unwrap();
    world.until(<[_]>::is_empty).await;
    assert_eq!(world.bodies_to("bob@blue.test").len(), 1);
}

#[tokio::test]
async fn a_connection_serves_many_letters() {
    let world = world(FAST);
    for _ in 0..10 {
        world.accept("<alice@home.test>", &["bob@blue.test"], None).await;
        world.until(<[_]>::is_empty).await;
    }
    assert_eq!(world.bodies_to("bob@blue.test").len(), 10);
    assert_eq!(world.connections.load(Ordering::Relaxed), 1);
}
