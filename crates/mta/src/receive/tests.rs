//! Receiving, against a delivery agent that answers as it is told, over its real socket; letters
//! and queue on a real disk.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use directory::{Account, PasswordVerifier, Quota, Renewing, Store};
use disk::{Disk, RealDisk};
use net::drive::Driver;
use net::listen::{Accepted, Admission, Bounds, Endpoint, Hall, bind};
use net::stream::{Peer, Stream};
use net::{Cancel, Clock, Tasks};
use protocol::journey::JourneyId;
use protocol::rejection::Rejection;
use protocol::reply::{EnhancedCode, Reply, ReplyCode};
use protocol::smtp::Verb;
use protocol::smtp::server::{Config as ServerConfig, EndAnswer, Event, Server, Verdict};
use queue::{Listed, Queue, State, Writer};
use service::daemon::Context;
use service::{AgentName, ConfigHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::handover::{Judgement, Proven, Rest, judge};
use super::{Desk, Door};
use crate::courier::{Means, Transport};
use crate::reason::{Failure, Reason};
use crate::sign::Signer;

mod verdicts;

/// What the delivery agent got.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Delivered {
    journey: Option<JourneyId>,
    recipients: Vec<String>,
    body: String,
}

struct World {
    _folder: tempfile::TempDir,
    context: Context,
    desk: Arc<Desk>,
    queue: Queue,
    _writer: Writer,
    delivered: Arc<Mutex<Vec<Delivered>>>,
    mda: Cancel,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posthaste.toml");
    let text = "[server]\nhostname = \"mx.red.test\"\n[storage]\ndata_dir = \"data\"\n\
                [limits]\nmessage_size = \"100KB\"\nrecipients_per_letter = 100\n\
                [mta]\nmax_hops = 3\n[dns]\nservers = [\"127.0.0.1:1\"]\n";
    std::fs::write(&file, text).unwrap();
    let config = ConfigHandle::load(&file, &[]).unwrap();
    std::fs::create_dir_all(&config.current().storage.data_dir).unwrap();
    let clock = Clock::real();
    let context = Context::detached(AgentName::Mta, config, &clock);
    context.paths.prepare().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = Store::new(disk.clone(), context.paths.directory());
    store.create().unwrap();
    let password = PasswordVerifier::new("sesame").unwrap();
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        for name in ["alice@red.test", "bob@red.test"] {
            let (address, quota) = (name.parse().unwrap(), Quota::default());
            let account = Account { address, quota, subaddressing: true, gateway_for: Vec::new() };
            draft.add_account(account, password.clone())?;
        }
        let team = ["alice@red.test".parse().unwrap(), "carol@blue.test".parse().unwrap()];
        draft.add_alias(&"team@red.test".parse().unwrap(), &team)
    });
    made.unwrap();
    let directory = Arc::new(Renewing::open(disk.clone(), store.directory()).unwrap());
    let mut options = queue::Options::new(context.paths.queue());
    options.commit.log.segment = 1 << 20;
    let (queue, writer, _) = Queue::open(disk.clone(), options).unwrap();
    let means = Means::of(&context.config.current()).unwrap();
    let transport = Arc::new(Transport::new(context.clone(), means));
    let signer = Arc::new(Signer::open(&context.paths.keys()));
    let desk = Desk::new(&context, disk, (directory, queue.clone()), (transport, signer));
    World {
        _folder: folder,
        context,
        desk: Arc::new(desk),
        queue,
        _writer: writer,
        delivered: Arc::default(),
        mda: Cancel::new(),
    }
}

/// What the delivery agent says of a recipient: by its name.
fn opinion(recipient: &str) -> Verdict {
    match recipient {
        "<bob@red.test>" => Err(Rejection::mailbox_full()),
        _ => Ok("stored".into()),
    }
}

impl World {
    /// A delivery agent whose bob is full.
    fn with_mda(self) -> Self {
        let socket = Endpoint::Unix { path: self.context.paths.mda_socket(), mode: 0o600 };
        let listener = bind(&socket).unwrap().listen().unwrap();
        let hall = Hall {
            admission: Admission::new(Bounds { total: 100, per_address: 100 }),
            tasks: Tasks::new(),
            stop: self.mda.clone(),
            clock: self.context.clock.clone(),
        };
        let (delivered, clock, stop) =
            (self.delivered.clone(), self.context.clock.clone(), self.mda.clone());
        tokio::spawn(async move {
            let session = |accepted: Accepted| {
                mda(accepted.stream, delivered.clone(), (clock.clone(), stop.clone()))
            };
            listener.serve(&hall, b"", session).await;
        });
        self
    }

    /// A client that has heard the greeting and said EHLO.
    async fn client(&self, door: Door) -> Client {
        let (ours, theirs) = Stream::pair(64 * 1024);
        let accepted = Accepted { stream: theirs, peer: Peer::Memory };
        tokio::spawn(super::session(self.desk.clone(), accepted, door));
        let mut client = Client { stream: ours, heard: String::new() };
        client.expect("220 mx.red.test ").await;
        client.say("EHLO client.test", "250 ").await;
        client
    }

    fn queued(&self) -> Vec<Listed> {
        self.queue.list(|_| true)
    }

    /// Recipients of the only letter in the queue that wait.
    fn waiting(&self) -> Vec<String> {
        match self.queued().as_slice() {
            [only] => only.letter.waiting().map(|(_, one)| one.address.to_string()).collect(),
            other => panic!("{} letters are queued", other.len()),
        }
    }

    fn delivered(&self) -> Vec<Delivered> {
        self.delivered.lock().unwrap().clone()
    }
}

async fn mda(stream: Stream, delivered: Arc<Mutex<Vec<Delivered>>>, seam: (Clock, Cancel)) {
    let (clock, stop) = seam;
    let mut config = ServerConfig::lmtp("mda.red.test");
    config.size_limit = 1_000_000;
    let mut server = Server::new(Arc::new(config), clock.tick());
    server.greet(clock.tick());
    let mut driver = Driver::new(server, stream, &clock, &stop);
    let empty = || Delivered { journey: None, recipients: Vec::new(), body: String::new() };
    let mut letter = empty();
    while let Some(event) = driver.next().await {
        let now = clock.tick();
        match event {
            Event::Mail(question, mail) => {
                letter.journey = mail.parameters.journey;
                driver.machine().answer_mail(now, question, Ok(()));
            }
            Event::Rcpt(question, rcpt) => {
                letter.recipients.push(rcpt.path.to_string());
                driver.machine().answer_rcpt(now, question, Ok(()));
            }
            Event::Body(piece) => letter.body.push_str(&String::from_utf8_lossy(&piece)),
            Event::End(question, _) => {
                let whole = std::mem::replace(&mut letter, empty());
                let each = whole.recipients.iter().map(|name| opinion(name)).collect();
                delivered.lock().unwrap().push(whole);
                driver.machine().answer_end(now, question, EndAnswer::Each(each));
            }
            _ => {}
        }
    }
}

struct Client {
    stream: Stream,
    heard: String,
}

impl Client {
    /// Reads up to a last line that begins so; gives all that was read.
    async fn expect(&mut self, wanted: &str) -> String {
        let reading = async {
            loop {
                if let Some((said, line)) = self.last_line() {
                    assert!(line.starts_with(wanted), "wanted {wanted:?}, got {said:?}");
                    self.heard.clear();
                    return said;
                }
                let mut buffer = [0; 4096];
                let read = self.stream.read(&mut buffer).await.unwrap();
                assert!(read > 0, "closed; heard {:?}", self.heard);
                self.heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
            }
        };
        tokio::time::timeout(Duration::from_secs(20), reading).await.expect("an answer in time")
    }

    /// What was heard, when it ends with the last line of a reply.
    fn last_line(&self) -> Option<(String, String)> {
        let whole = self.heard.strip_suffix("\r\n")?;
        let line = whole.rsplit("\r\n").next()?;
        (line.as_bytes().get(3) == Some(&b' ')).then(|| (whole.to_owned(), line.to_owned()))
    }

    async fn say(&mut self, line: &str, wanted: &str) -> String {
        self.stream.write_all(format!("{line}\r\n").as_bytes()).await.unwrap();
        self.expect(wanted).await
    }

    /// A whole letter; the reply to its end.
    async fn send(&mut self, mail: &str, to: &[&str], wanted: &str) -> String {
        self.say(&format!("MAIL FROM:{mail}"), "250 ").await;
        for path in to {
            self.say(&format!("RCPT TO:{path}"), "250 ").await;
        }
        self.say("DATA", "354 ").await;
        self.say("Subject: x\r\nMessage-ID: <1@client.test>\r\n\r\nhello\r\n.", wanted).await
    }
}

#[tokio::test]
async fn local_mail_is_delivered_while_the_sender_waits() {
    let world = world().with_mda();
    let mut client = world.client(Door::Internet).await;
    for _ in 0..2 {
        let reply = client.send("<c@client.test>", &["<Alice+news@RED.test>"], "250 2.0.0 ").await;
        let id: JourneyId = reply.split(' ').nth(2).unwrap().parse().unwrap();
        let got = world.delivered().pop().unwrap();
        assert_eq!(got.journey, Some(id));
        assert_eq!(got.recipients, ["<alice+news@red.test>"]);
        let (stamp, rest) = got.body.split_once("Subject: x\r\n").unwrap();
        assert!(stamp.starts_with("Received: from client.test\r\n\tby mx.red.test with ESMTP id "));
        assert!(stamp.contains(&id.to_string()) && stamp.contains("for <Alice+news@red.test>"));
        assert!(rest.ends_with("\r\n\r\nhello\r\n"));
    }
    assert!(world.queued().is_empty());
}

#[tokio::test]
async fn recipients_are_refused_at_once() {
    let world = world();
    let mut client = world.client(Door::Internet).await;
    client.say("MAIL FROM:<c@client.test>", "250 ").await;
    client.say("RCPT TO:<nobody@red.test>", "550 5.1.1 ").await;
    client.say("RCPT TO:<x@elsewhere.test>", "550 5.7.1 ").await;
    client.say("RCPT TO:<postmaster>", "250 ").await;
    client.say("RCPT TO:<Postmaster@MX.red.test>", "250 ").await;
    client.say("RCPT TO:<bob@mx.red.test>", "550 5.7.1 ").await;
    client.say("RCPT TO:<bob@red.test>", "250 ").await;
    client.say("RCPT TO:<team@red.test>", "250 ").await;
    client.say("MAIL FROM:<c@client.test> XJOURNEY=01jd3kq8z0000000", "503 ").await;
}

#[tokio::test]
async fn a_full_mailbox_is_refused_and_not_bounced() {
    let world = world().with_mda();
    let mut client = world.client(Door::Internet).await;
    client.send("<c@client.test>", &["<bob@red.test>"], "552 5.2.2 ").await;
    assert!(world.queued().is_empty());
}

#[tokio::test]
async fn with_the_delivery_agent_away_the_letter_is_queued() {
    let world = world();
    let mut client = world.client(Door::Internet).await;
    let to = ["<alice@red.test>", "<bob@red.test>"];
    client.send("<c@client.test>", &to, "250 2.0.0 ").await;
    assert_eq!(world.waiting(), ["alice@red.test", "bob@red.test"]);
    let held = world.queued().remove(0);
    assert!(held.letter.headers.starts_with(b"Received: "));
    assert!(held.letter.recipients.iter().all(|one| one.progress.attempts == 1));
}

#[tokio::test]
async fn mixed_opinions_of_a_stranger_s_letter_are_a_yes_without_backscatter() {
    let world = world().with_mda();
    let mut client = world.client(Door::Internet).await;
    let to = ["<alice@red.test>", "<bob@red.test>"];
    let reply = client.send("<c@client.test>", &to, "250 2.0.0 ").await;
    assert!(world.queued().is_empty(), "nobody is to be told");
    world.queue.settle().await.unwrap();
    let mut acts = Vec::new();
    world.queue.custody(&mut |entry| acts.push((entry.act.to_string(), entry.recipient))).unwrap();
    let bob = |act: &str| (act.to_owned(), "bob@red.test".to_owned());
    assert_eq!(acts, [bob("accepted"), bob("discarded")], "{reply}");
}

#[tokio::test]
async fn mixed_opinions_of_a_submitted_letter_are_the_queue_s() {
    let world = world().with_mda();
    let mut client = world.client(Door::Relay).await;
    let to = ["<alice@red.test>", "<bob@red.test>"];
    let mail = "<alice@red.test> XJOURNEY=01jd3kq8z0000000 AUTH=alice@red.test";
    client.send(mail, &to, "250 2.0.0 01jd3kq8z0000000 ").await;
    assert_eq!(world.waiting(), ["bob@red.test"]);
    client.send("<alice@red.test>", &["<bob@red.test>"], "552 5.2.2 ").await;
}

#[tokio::test]
async fn what_goes_elsewhere_is_durable_before_a_copy_is_handed_over() {
    let world = world().with_mda();
    let mut client = world.client(Door::Relay).await;
    client.send("<alice@red.test>", &["<team@red.test>", "<d@green.test>"], "250 2.0.0 ").await;
    assert_eq!(world.delivered()[0].recipients, ["<alice@red.test>"]);
    let letter = world.queued().remove(0).letter;
    let waiting: Vec<String> = letter.waiting().map(|(_, one)| one.address.to_string()).collect();
    assert_eq!(waiting, ["carol@blue.test", "d@green.test"]);
    let alice = &letter.recipients[0];
    assert_eq!(
        (&*alice.address.to_string(), alice.progress.state),
        ("alice@red.test", State::Delivered)
    );
    let from = letter.recipients[1].from.as_ref().map(ToString::to_string);
    assert_eq!(from.as_deref(), Some("team@red.test"));
}

#[tokio::test]
async fn held_letters_wait_and_their_owner_is_told_once() {
    let world = world().with_mda();
    let mut client = world.client(Door::Relay).await;
    for _ in 0..2 {
        let mail = "<alice@red.test> XHOLD=too+20many+20recipients AUTH=alice@red.test";
        let reply = client.send(mail, &["<d@green.test>"], "250 2.0.0 ").await;
        assert!(reply.ends_with(" held"), "{reply}");
    }
    let queued = world.queued();
    let held: Vec<_> = queued.iter().filter(|one| one.letter.held.is_some()).collect();
    assert_eq!(held.len(), 2);
    let notices: Vec<_> = queued.iter().filter(|one| one.letter.held.is_none()).collect();
    assert_eq!(notices.len(), 1);
    assert_eq!(notices[0].letter.cause, Some(held[0].letter.journey));
    assert!(notices[0].letter.sender.is_null());
}

#[tokio::test]
async fn a_repeat_of_a_journey_is_taken_once() {
    let world = world();
    let mut client = world.client(Door::Relay).await;
    for _ in 0..2 {
        let mail = "<alice@red.test> XJOURNEY=01jd3kq8z0000000";
        client.send(mail, &["<d@green.test>"], "250 2.0.0 01jd3kq8z0000000 ").await;
    }
    assert_eq!(world.queued().len(), 1);
}

#[tokio::test]
async fn circles_and_sizes_are_refused() {
    let world = world().with_mda();
    let mut client = world.client(Door::Internet).await;
    client.say("MAIL FROM:<c@client.test> SIZE=100001", "552 5.3.4 ").await;
    client.say("MAIL FROM:<c@client.test>", "250 ").await;
    client.say("RCPT TO:<alice@red.test>", "250 ").await;
    client.say("DATA", "354 ").await;
    let hops = "Received: from a by b; Sun, 22 Nov 2026 21:06:36 +0000\r\n".repeat(4);
    client.say(&format!("{hops}\r\nx\r\n."), "554 5.4.6 ").await;
    // What the outer door takes, the inner one takes with what was added.
    let relayed = world.client(Door::Relay).await.say("EHLO msa", "250 ").await;
    assert!(relayed.contains(&format!("SIZE {}\r\n", 100_000 + 64 * 1024)), "{relayed}");
    assert!(relayed.contains("XPOSTHASTE"));
}

#[tokio::test]
async fn a_drain_waits_for_the_letter_and_says_goodbye() {
    let world = world().with_mda();
    let mut busy = world.client(Door::Internet).await;
    let mut idle = world.client(Door::Internet).await;
    busy.say("MAIL FROM:<c@client.test>", "250 ").await;
    world.context.drain.cancel();
    idle.expect("421 4.3.2 ").await;
    busy.say("RCPT TO:<alice@red.test>", "250 ").await;
    busy.say("DATA", "354 ").await;
    let end = busy.say("Subject: x\r\n\r\nx\r\n.", "").await;
    assert!(end.starts_with("250 2.0.0 "), "{end}");
}

fn said(code: ReplyCode) -> Failure {
    let class = if code.is_permanent() {
        EnhancedCode::permanent(2, 0)
    } else {
        EnhancedCode::temporary(2, 0)
    };
    Failure::said("mda", Verb::EndOfData, Reply::new(code, class, "no"))
}

#[test]
fn opinions_are_joined_as_the_design_says() {
    let yes = || Ok("mda: 250".to_owned());
    let no = || Err(said(ReplyCode::TOO_MUCH));
    let later = || Err(said(ReplyCode::LOCAL_ERROR));
    let away = || Err(Failure::temporary(Reason::Network, (4, 1), "away"));
    let refused = |judgement: Judgement| match judgement {
        Judgement::Refuse(rejection) => rejection.code().as_u16(),
        Judgement::Keep(rest) => panic!("{rest:?}"),
    };
    for proven in [Proven::Yes, Proven::No] {
        assert_eq!(judge(&[yes(), yes()], proven), Judgement::Keep(vec![]));
        assert_eq!(refused(judge(&[no(), no()], proven)), 552);
        assert_eq!(judge(&[away()], proven), Judgement::Keep(vec![(0, Rest::Later)]));
        assert_eq!(judge(&[yes(), later()], proven), Judgement::Keep(vec![(1, Rest::Later)]));
    }
    assert_eq!(refused(judge(&[no(), later()], Proven::No)), 451);
    assert_eq!(judge(&[later()], Proven::Yes), Judgement::Keep(vec![(0, Rest::Later)]));
    assert_eq!(judge(&[yes(), no()], Proven::Yes), Judgement::Keep(vec![(1, Rest::Bounce)]));
    assert_eq!(judge(&[yes(), no()], Proven::No), Judgement::Keep(vec![(1, Rest::Discard)]));
    assert_eq!(
        judge(&[away(), no()], Proven::No),
        Judgement::Keep(vec![(0, Rest::Later), (1, Rest::Discard)])
    );
}
