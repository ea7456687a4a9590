//! LMTP over a pipe in memory, on a real store in a temporary folder: replies per recipient, trace
//! fields, quota, repeats.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use directory::{Account, PasswordVerifier, Quota, Store};
use disk::RealDisk;
use mailbox::{AccountId, Mailbox, MailboxName, Options};
use net::Stream;
use service::Metrics;
use service::paths::Paths;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// A store, a directory with alice (roomy) and bob (1000 bytes), and the stage.
struct House {
    deliveries: Arc<Deliveries>,
    _committer: disk::Committer,
    _folder: tempfile::TempDir,
}

impl House {
    fn build() -> House {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let config = folder.path().join("posthaste.toml");
        let text = format!(
            "[server]\nhostname = \"mx.example.test\"\n[limits]\nmessage_size = \"1MB\"\n\
             [storage]\ndata_dir = {:?}\nlow_water_bytes = \"1MB\"\nlow_water_inodes = 1\n",
            data.display().to_string()
        );
        std::fs::write(&config, text).unwrap();
        std::fs::create_dir(&data).unwrap();
        let paths = Paths::new(&data);
        paths.prepare().unwrap();
        let clock = Clock::real();
        let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk);
        people(disk.clone(), &paths.directory());
        let now = clock.clone();
        let options = Options::new(paths.mail(), Arc::new(move || now.now()));
        let opened = Mailboxes::open(disk.clone(), options).unwrap();
        let (stop, metrics) = (Cancel::new(), Metrics::default());
        let deliveries = Deliveries {
            tutor: Arc::new(crate::tutor::Tutor::new(disk.clone(), paths.state().join("junk"))),
            mailboxes: opened.mailboxes,
            directory: Arc::new(Renewing::open(disk, &paths.directory()).unwrap()),
            rules: crate::rules::Rules::beside(&paths, &clock),
            config: ConfigHandle::load(&config, &[]).unwrap(),
            trail: Trail::none(&clock),
            clock,
            drain: stop.child(),
            stop,
            stored: metrics.counter("stored"),
            refused: metrics.counter("refused"),
            put_off: metrics.counter("put_off"),
        };
        let deliveries = Arc::new(deliveries);
        House { deliveries, _committer: opened.committer, _folder: folder }
    }

    async fn connect(&self) -> Talk {
        let (ours, theirs) = Stream::pair(1 << 20);
        let mut session = Session::new(self.deliveries.clone());
        tokio::spawn(async move { session.run(theirs).await });
        let mut talk = Talk { stream: ours, buffer: Vec::new() };
        assert!(talk.reply().await.starts_with("220 mx.example.test LMTP"));
        let hello = talk.say("LHLO front.test").await;
        assert!(hello.contains("XPOSTHASTE") && hello.contains("PIPELINING"), "{hello}");
        talk
    }

    async fn inbox(&self, name: &str) -> Mailbox {
        let account = AccountId::new("example.test", name).unwrap();
        self.deliveries.mailboxes.open_by_name(&account, &MailboxName::inbox()).await.unwrap()
    }

    async fn letters(&self, name: &str) -> Vec<String> {
        let inbox = self.inbox(name).await;
        let view = inbox.view();
        let read = |letter| inbox.content(letter).unwrap().read_all().unwrap();
        view.letters().map(|letter| String::from_utf8_lossy(&read(letter)).into_owned()).collect()
    }
}

fn people(disk: Arc<dyn disk::Disk>, folder: &Path) {
    let store = Store::new(disk, folder);
    store.create().unwrap();
    store
        .change(|draft| {
            draft.add_domain("example.test".parse().unwrap())?;
            for (name, bytes) in [("alice", 1_000_000), ("bob", 1000)] {
                let account = Account {
                    address: format!("{name}@example.test").parse().unwrap(),
                    quota: Quota { bytes: Some(bytes), letters: None },
                    subaddressing: true,
                    gateway_for: Vec::new(),
                };
                draft.add_account(account, VERIFIER.clone())?;
            }
            let to = ["alice@example.test", "bob@example.test"].map(|to| to.parse().unwrap());
            draft.add_alias(&"all@example.test".parse().unwrap(), &to)
        })
        .unwrap();
}

/// Nobody logs in here; one derivation serves all tests.
static VERIFIER: LazyLock<PasswordVerifier> =
    LazyLock::new(|| PasswordVerifier::new("correct horse").unwrap());

struct Talk {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Talk {
    /// One reply, its lines joined.
    async fn reply(&mut self) -> String {
        let mut whole = String::new();
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                whole.push_str(&String::from_utf8_lossy(&line));
                if line.get(3) != Some(&b'-') {
                    return whole;
                }
                continue;
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk);
            let count = tokio::time::timeout(Duration::from_secs(20), read).await;
            let count = count.expect("the server said nothing for 20 s").unwrap();
            assert!(count > 0, "the server hung up after {whole:?}");
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.reply().await
    }

    /// MAIL, RCPTs and BDAT in one write, as our MTA does; the replies in order.
    async fn at_once(&mut self, mail: &str, rcpts: &[&str], letter: &str) -> Vec<String> {
        let mut all = format!("MAIL FROM:{mail}\r\n");
        rcpts.iter().for_each(|rcpt| all.push_str(&format!("RCPT TO:<{rcpt}>\r\n")));
        all.push_str(&format!("BDAT {} LAST\r\n{letter}", letter.len()));
        self.stream.write_all(all.as_bytes()).await.unwrap();
        let mut replies = Vec::new();
        for _ in 0..=rcpts.len() {
            replies.push(self.reply().await);
        }
        let taken = replies[1..].iter().filter(|reply| reply.starts_with("250")).count();
        for _ in 0..taken.max(1) {
            replies.push(self.reply().await);
        }
        replies
    }
}

#[tokio::test]
async fn each_recipient_gets_a_reply_and_a_letter_of_their_own() {
    let house = House::build();
    let mut talk = house.connect().await;
    let replies = talk
        .at_once(
            "<x@blue.test> XJOURNEY=0123456789abcdef",
            &["alice@example.test", "nobody@example.test", "bob+lists@example.test", "a@b.test"],
            "Subject: hi\r\n\r\nbody\r\n",
        )
        .await;
    let codes: Vec<&str> = replies.iter().map(|reply| &reply[..9]).collect();
    assert_eq!(codes[0], "250 2.1.0");
    assert_eq!(codes[1], "250 2.1.5");
    assert_eq!(codes[2], "550 5.1.1");
    assert_eq!(codes[3], "250 2.1.5");
    assert_eq!(codes[4], "550 5.7.1");
    assert_eq!(codes[5..], ["250 2.0.0", "250 2.0.0"]);
    assert!(replies[5].contains("0123456789abcdef"), "the journey is named: {}", replies[5]);
    let letter = house.letters("bob").await.remove(0);
    let fields = "Return-Path: <x@blue.test>\r\nDelivered-To: bob+lists@example.test\r\nReceived: ";
    assert!(letter.starts_with(fields), "{letter}");
    assert!(letter.contains("with LMTP id 0123456789abcdef"), "{letter}");
    assert!(letter.ends_with("Subject: hi\r\n\r\nbody\r\n"));
    assert!(house.letters("alice").await[0].contains("for <alice@example.test>"));
}

#[tokio::test]
async fn a_letter_handed_over_twice_is_there_once() {
    let house = House::build();
    let mail = "<> XJOURNEY=0123456789abcdef";
    for _ in 0..2 {
        let mut talk = house.connect().await;
        let replies = talk.at_once(mail, &["alice@example.test"], "Subject: hi\r\n\r\n").await;
        assert!(replies[2].starts_with("250 2.0.0 0123456789abcdef"), "{replies:?}");
    }
    let letters = house.letters("alice").await;
    assert_eq!(letters.len(), 1);
    assert!(letters[0].starts_with("Return-Path: <>\r\n"));
}

#[tokio::test]
async fn a_full_mailbox_is_refused_early_and_late() {
    let house = House::build();
    let mut talk = house.connect().await;
    let announced = talk.say("MAIL FROM:<x@blue.test> SIZE=2000").await;
    assert!(announced.starts_with("250"));
    let early = talk.say("RCPT TO:<bob@example.test>").await;
    assert!(early.starts_with("552 5.2.2"), "{early}");
    assert!(talk.say("RSET").await.starts_with("250"));
    let letter = format!("Subject: long\r\n\r\n{}\r\n", "x".repeat(990));
    let late =
        talk.at_once("<x@blue.test>", &["bob@example.test", "alice@example.test"], &letter).await;
    assert!(late[3].starts_with("552 5.2.2"), "{late:?}");
    assert!(late[4].starts_with("250 2.0.0"), "{late:?}");
    assert!(house.letters("bob").await.is_empty());
}

#[tokio::test]
async fn an_alias_that_came_this_far_goes_to_all_it_stands_for() {
    let house = House::build();
    let mut talk = house.connect().await;
    let replies = talk.at_once("<x@blue.test>", &["all@example.test"], "a: b\r\n\r\n").await;
    assert!(replies[2].starts_with("250 2.0.0"), "{replies:?}");
    assert_eq!(house.letters("alice").await.len(), 1);
    assert_eq!(house.letters("bob").await.len(), 1);
}

#[tokio::test]
async fn too_large_a_letter_is_refused_and_the_session_goes_on() {
    let house = House::build();
    let mut talk = house.connect().await;
    let refused = talk.say("MAIL FROM:<x@blue.test> SIZE=2000000").await;
    assert!(refused.starts_with("552 5.3.4"), "{refused}");
    let replies = talk.at_once("<x@blue.test>", &["alice@example.test"], "a: b\r\n\r\n").await;
    assert!(replies[2].starts_with("250 2.0.0"), "{replies:?}");
}

#[tokio::test]
async fn a_drain_lets_a_letter_finish_and_says_goodbye() {
    let house = House::build();
    let mut talk = house.connect().await;
    assert!(talk.say("MAIL FROM:<x@blue.test>").await.starts_with("250"));
    assert!(talk.say("RCPT TO:<alice@example.test>").await.starts_with("250"));
    house.deliveries.drain.cancel();
    assert!(talk.say("DATA").await.starts_with("354"));
    assert!(talk.say("a: b\r\n\r\nbody\r\n.").await.starts_with("250 2.0.0"));
    assert!(talk.reply().await.starts_with("421"));
}
