//! Sessions against an MTA and an `auth` that do as they are told, over real Unix sockets. TLS is
//! left to the tests of the whole; the client here is on this machine, where AUTH may go in clear.

use super::{Counts, Entrance, Shared, rate::Rate, relay::Relays, session::Session};
use directory::{Account, PasswordVerifier, Quota, Renewing, Store};
use disk::{Disk, RealDisk};
use net::{
    Cancel, Clock, Driver, Stream, Tasks,
    ipc::Responder,
    listen::{Accepted, Admission, Bounds, Endpoint, Hall, bind},
};
use protocol::{
    ipc::{Granted, LoginAnswer, LoginCall},
    rejection::Rejection,
    smtp::{
        AuthParameter, MailParameters,
        server::{Config, EndAnswer, Event, Server, config::Offer},
    },
};
use service::{AgentName, Chance, ConfigHandle, Door, Logins, Metrics, Paths, Trail};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

/// What reached the MTA.
#[derive(Clone, Debug, Default)]
struct Letter {
    path: String,
    parameters: MailParameters,
    recipients: Vec<String>,
    body: Vec<u8>,
}

type Seen = Arc<Mutex<Vec<Letter>>>;

struct World {
    _folder: tempfile::TempDir,
    paths: Paths,
    clock: Clock,
    shared: Arc<Shared>,
    seen: Seen,
    stop_mta: Cancel,
}

/// red.test with alice, bob and aliases; `limits` are lines of `[limits]`.
fn world(limits: &str) -> World {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("posthaste.toml");
    let text = format!(
        "auth_without_tls = \"loopback\"\n[server]\nhostname = \"mail.red.test\"\n\
         [storage]\ndata_dir = \"data\"\n[limits]\n{limits}\n"
    );
    std::fs::write(&file, text).unwrap();
    let config = ConfigHandle::load(&file, &[]).unwrap();
    let paths = Paths::new(&config.current().storage.data_dir);
    std::fs::create_dir(paths.data()).unwrap();
    paths.prepare().unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = Store::new(disk.clone(), paths.directory());
    store.create().unwrap();
    let password = PasswordVerifier::new("sesame").unwrap();
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        for name in ["alice@red.test", "bob@red.test"] {
            let (address, quota) = (name.parse().unwrap(), Quota::default());
            let account = Account { address, quota, subaddressing: true, gateway_for: Vec::new() };
            draft.add_account(account, password.clone())?;
        }
        draft.add_alias(&"info@red.test".parse().unwrap(), &["alice@red.test".parse().unwrap()])
    });
    made.unwrap();
    let clock = Clock::real();
    let (drain, stop) = (Cancel::new(), Cancel::new());
    let metrics = Metrics::default();
    let shared = Shared {
        clock: clock.clone(),
        config,
        trail: Trail::none(&clock),
        tls: None,
        drain,
        stop: stop.clone(),
        directory: Arc::new(Renewing::open(disk, store.directory()).unwrap()),
        logins: Logins::new(&paths, AgentName::Msa, &clock),
        relays: Relays::new(&paths, &clock, &stop),
        chance: Chance::system(),
        rate: Mutex::new(Rate::default()),
        counts: Counts {
            sessions: metrics.counter("sessions"),
            accepted: metrics.counter("letters_accepted"),
            refused: metrics.counter("letters_refused"),
            held: metrics.counter("letters_held"),
        },
    };
    let (seen, stop_mta) = (Seen::default(), Cancel::new());
    World { _folder: folder, paths, clock, shared: Arc::new(shared), seen, stop_mta }
}

impl World {
    fn hall(&self, stop: &Cancel) -> Hall {
        let admission = Admission::new(Bounds { total: 100, per_address: 100 });
        Hall { admission, tasks: Tasks::new(), stop: stop.clone(), clock: self.clock.clone() }
    }

    fn with_auth(self) -> Self {
        let socket = Endpoint::Unix { path: self.paths.auth_socket(), mode: 0o600 };
        let listener = bind(&socket).unwrap().listen().unwrap();
        let identity = net::ipc::Identity { agent: "auth".to_owned(), software: "0".to_owned() };
        let hall = self.hall(&self.shared.stop);
        tokio::spawn(net::ipc::serve(listener, hall, identity, Arc::new(Auth)));
        self
    }

    fn with_mta(self) -> Self {
        let socket = Endpoint::Unix { path: self.paths.mta_socket(), mode: 0o600 };
        let listener = bind(&socket).unwrap().listen().unwrap();
        let hall = self.hall(&self.stop_mta);
        let (seen, clock, stop) = (self.seen.clone(), self.clock.clone(), self.stop_mta.clone());
        tokio::spawn(async move {
            let session = |accepted: Accepted| {
                mta(accepted.stream, seen.clone(), (clock.clone(), stop.clone()))
            };
            listener.serve(&hall, b"", session).await;
        });
        self
    }

    /// A client that has heard the greeting and said EHLO.
    async fn client(&self) -> Client {
        let (ours, theirs) = Stream::pair(64 * 1024);
        let door = Door::new("submission", Some("127.0.0.1".parse().unwrap()));
        let mut session = Session::new(self.shared.clone(), door);
        tokio::spawn(async move { session.run(theirs, Entrance::StartTls).await });
        let mut client = Client { stream: ours, heard: Vec::new() };
        client.expect("220 ").await;
        client.say("EHLO client.example", "250 ").await;
        client
    }

    async fn logged_in(&self) -> Client {
        let mut client = self.client().await;
        client.say("AUTH PLAIN AGFsaWNlQHJlZC50ZXN0AHNlc2FtZQ==", "235 ").await;
        client
    }

    fn letters(&self) -> Vec<Letter> {
        self.seen.lock().unwrap().clone()
    }
}

/// Grants `alice@red.test` with `sesame`, and nothing else.
struct Auth;

impl net::ipc::Service<LoginCall> for Auth {
    async fn call(&self, call: LoginCall, respond: Responder) {
        let LoginCall::Start(start) = call else { return };
        let good = start.initial.is_some_and(|it| it.as_bytes() == b"\0alice@red.test\0sesame");
        let granted = Granted {
            account: "alice@red.test".to_owned(),
            mechanism: start.mechanism,
            app_password: None,
        };
        let answer = if good { LoginAnswer::Granted(granted) } else { LoginAnswer::Refused };
        respond.answer(&answer).await;
    }
}

/// Takes everything but recipients called `nobody`, and hangs up on a letter that says so.
async fn mta(stream: Stream, seen: Seen, (clock, stop): (Clock, Cancel)) {
    let config = Config { private: Offer::Yes, ..Config::smtp("mta.red.test") };
    let mut driver =
        Driver::new(Server::new(Arc::new(config), clock.tick()), stream, &clock, &stop);
    driver.machine().greet(clock.tick());
    let mut letter = Letter::default();
    while let Some(event) = driver.next().await {
        let now = clock.tick();
        match event {
            Event::Mail(question, mail) => {
                letter = Letter { path: mail.path.to_string(), ..Letter::default() };
                letter.parameters = mail.parameters;
                driver.machine().answer_mail(now, question, Ok(()));
            }
            Event::Rcpt(question, rcpt) => {
                let name = rcpt.path.to_string();
                let verdict = match name.starts_with("<nobody") {
                    true => Err(Rejection::no_such_mailbox()),
                    false => Ok(()),
                };
                if verdict.is_ok() {
                    letter.recipients.push(name);
                }
                driver.machine().answer_rcpt(now, question, verdict);
            }
            Event::Body(piece) => {
                letter.body.extend_from_slice(&piece);
                if piece.windows(7).any(|it| it == b"HANG UP") {
                    return;
                }
            }
            Event::End(question, _) => {
                seen.lock().unwrap().push(std::mem::take(&mut letter));
                let text = "journeyjourney01 taken".into();
                driver.machine().answer_end(now, question, EndAnswer::Whole(Ok(text)));
            }
            _ => {}
        }
    }
}

/// The client's end: lines out, replies in.
struct Client {
    stream: Stream,
    heard: Vec<u8>,
}

impl Client {
    /// The next whole reply, which must begin so.
    async fn expect(&mut self, beginning: &str) -> String {
        let reply = self.reply().await;
        let last = reply.lines().last().unwrap_or_default();
        assert!(last.starts_with(beginning), "wanted {beginning:?}, heard {reply:?}");
        reply
    }

    async fn reply(&mut self) -> String {
        loop {
            if let Some(end) = whole_reply(&self.heard) {
                let rest = self.heard.split_off(end);
                return String::from_utf8(std::mem::replace(&mut self.heard, rest)).unwrap();
            }
            let mut buffer = [0; 4096];
            let read = self.stream.read(&mut buffer);
            let patience = std::time::Duration::from_secs(30);
            let count = tokio::time::timeout(patience, read).await.expect("a reply").unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&self.heard));
            self.heard.extend_from_slice(&buffer[..count]);
        }
    }

    async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
        self.stream.flush().await.unwrap();
    }

    async fn say(&mut self, line: &str, beginning: &str) -> String {
        self.send(&format!("{line}\r\n")).await;
        self.expect(beginning).await
    }

    /// A whole letter; the reply to its end.
    async fn letter(&mut self, from: &str, to: &[&str], letter: &str) -> String {
        self.say(&format!("MAIL FROM:<{from}>"), "250 ").await;
        for to in to {
            self.say(&format!("RCPT TO:<{to}>"), "250 ").await;
        }
        self.say("DATA", "354 ").await;
        self.send(&format!("{letter}\r\n.\r\n")).await;
        self.reply().await
    }
}

/// The length of the first reply, if it is whole.
fn whole_reply(heard: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = heard.get(at..)?;
        let end = line.windows(2).position(|it| it == b"\r\n")? + 2;
        at += end;
        if line.get(3) != Some(&b'-') {
            return Some(at);
        }
    }
}

#[tokio::test]
async fn a_letter_is_completed_and_passed_on() {
    let world = world("").with_auth().with_mta();
    let mut client = world.logged_in().await;
    let letter = "To: bob@red.test\r\nBcc: secret@x.example\r\nSubject: x\r\n\r\nbody\r\n..dot\r\n";
    let reply = client.letter("alice@red.test", &["bob@red.test"], letter).await;
    assert_eq!(reply, "250 2.0.0 journeyjourney01 taken\r\n", "the MTA's words are ours");
    let taken = world.letters().remove(0);
    assert_eq!(taken.path, "<alice@red.test>");
    assert_eq!(taken.recipients, ["<bob@red.test>"]);
    let account = "alice@red.test".parse().unwrap();
    assert_eq!(taken.parameters.auth, Some(AuthParameter::Account(account)));
    let journey = taken.parameters.journey.unwrap().to_string();
    assert_eq!(taken.parameters.hold, None);
    let text = String::from_utf8(taken.body).unwrap();
    let received = format!(
        "Received: from client.example ([127.0.0.1])\r\n\tby mail.red.test with ESMTPA id {journey}\
         \r\n\tfor <bob@red.test>;"
    );
    assert!(text.starts_with(&received), "{text}");
    for added in ["From: <alice@red.test>\r\n", "\r\nDate: ", "\r\nMessage-ID: <"] {
        assert!(text.contains(added), "{added}: {text}");
    }
    assert!(!text.contains("Bcc") && !text.contains("secret"), "{text}");
    assert!(text.ends_with("\r\nSubject: x\r\n\r\nbody\r\n.dot\r\n\r\n"), "{text}");
    // The same session, the same connection to the MTA.
    client.letter("alice@red.test", &["bob@red.test"], "Subject: y\r\n\r\n").await;
    assert_eq!(world.letters().len(), 2);
    client.say("QUIT", "221 ").await;
}

#[tokio::test]
async fn nobody_sends_without_a_login_or_as_somebody_else() {
    let world = world("").with_auth().with_mta();
    let mut client = world.client().await;
    client.say("MAIL FROM:<alice@red.test>", "530 5.7.0").await;
    client.say("AUTH PLAIN AGFsaWNlQHJlZC50ZXN0AHdyb25n", "535 5.7.8").await;
    let mut client = world.logged_in().await;
    for other in ["bob@red.test", "eve@red.test", "alice@blue.test"] {
        let reply = client.say(&format!("MAIL FROM:<{other}>"), "550 5.7.1").await;
        assert!(reply.contains(other), "{reply}");
    }
    for own in ["alice+lists@red.test", "info@red.test", "ALICE@red.test"] {
        let letter = format!("From: {own}\r\n\r\nx");
        assert!(client.letter(own, &["x@y.example"], &letter).await.starts_with("250 "), "{own}");
    }
    let before = world.letters().len();
    for header in [
        "From: Alice <bob@red.test>\r\n",
        "From: alice@red.test, eve@elsewhere.example\r\n",
        "From: alice@red.test\r\nFrom: eve@elsewhere.example\r\n",
        "From: alice@red.test\r\nSender: eve@elsewhere.example\r\n",
        "From: nobody in particular\r\n",
    ] {
        let letter = format!("{header}Subject: x\r\n\r\nx");
        let reply = client.letter("alice@red.test", &["bob@red.test"], &letter).await;
        assert!(reply.starts_with("55"), "{header}: {reply}");
    }
    assert_eq!(world.letters().len(), before, "the MTA got none of them");
    let good = client.letter("alice@red.test", &["bob@red.test"], "Subject: x\r\n\r\nx").await;
    assert!(good.starts_with("250 "), "the session goes on");
}

#[tokio::test]
async fn the_null_sender_is_for_notifications() {
    let world = world("").with_auth().with_mta();
    let mut client = world.logged_in().await;
    let plain = "From: alice@red.test\r\nSubject: x\r\n\r\nx";
    assert!(client.letter("", &["bob@red.test"], plain).await.starts_with("550 5.7.1"));
    let report = "From: alice@red.test\r\nContent-Type: multipart/report;\r\n boundary=b\r\n\r\nx";
    assert!(client.letter("", &["bob@red.test"], report).await.starts_with("250 "));
    let forged = report.replace("alice", "bob");
    assert!(client.letter("", &["bob@red.test"], &forged).await.starts_with("550 5.7.1"));
}

#[tokio::test]
async fn each_recipient_has_the_mtas_answer_in_a_pipeline() {
    let world = world("").with_auth().with_mta();
    let mut client = world.logged_in().await;
    client
        .send(
            "MAIL FROM:<alice@red.test>\r\nRCPT TO:<bob@red.test>\r\nRCPT TO:<nobody@red.test>\r\n\
             RCPT TO:<x@y.example>\r\nDATA\r\n",
        )
        .await;
    for code in ["250 ", "250 ", "550 5.1.1", "250 ", "354 "] {
        client.expect(code).await;
    }
    client.send("Subject: x\r\n\r\nbody\r\n.\r\n").await;
    client.expect("250 2.0.0 journeyjourney01").await;
    let taken = world.letters().remove(0);
    assert_eq!(taken.recipients, ["<bob@red.test>", "<x@y.example>"]);
    let text = String::from_utf8(taken.body).unwrap();
    assert!(!text.contains("\tfor <"), "several recipients are not shown to each other");
    // A letter that is dropped leaves nothing behind, and the next one works.
    client.say("MAIL FROM:<alice@red.test>", "250 ").await;
    client.say("RCPT TO:<bob@red.test>", "250 ").await;
    client.say("RSET", "250 ").await;
    client.letter("alice@red.test", &["bob@red.test"], "Subject: y\r\n\r\n").await;
    assert_eq!(world.letters().len(), 2);
}

#[tokio::test]
async fn beyond_the_hourly_limit_letters_are_held() {
    let world = world("submission_recipients_per_hour = 3").with_auth().with_mta();
    let mut client = world.logged_in().await;
    let two = ["a@x.example", "b@x.example"];
    for _ in 0..3 {
        let reply = client.letter("alice@red.test", &two, "Subject: x\r\n\r\n").await;
        assert!(reply.starts_with("250 "), "held letters are taken: {reply}");
    }
    let seen: Vec<_> = world
        .letters()
        .iter()
        .map(|it| (it.parameters.hold.clone(), it.recipients.len()))
        .collect();
    let held = Some("rate".into());
    assert_eq!(seen, [(None, 2), (held.clone(), 2), (held, 2)]);
}

#[tokio::test]
async fn when_others_are_away_the_client_may_come_back() {
    let world = world("");
    let mut client = world.client().await;
    client.say("AUTH PLAIN AGFsaWNlQHJlZC50ZXN0AHNlc2FtZQ==", "454 4.7.0").await;
    let world = world.with_auth();
    client.say("AUTH PLAIN AGFsaWNlQHJlZC50ZXN0AHNlc2FtZQ==", "235 ").await;
    client.say("MAIL FROM:<alice@red.test>", "451 4.3.0").await;
    let world = world.with_mta();
    let lost = "Subject: x\r\n\r\nHANG UP\r\nmore";
    let reply = client.letter("alice@red.test", &["bob@red.test"], lost).await;
    assert!(reply.starts_with("451 4.3.0"), "{reply}");
    assert!(world.letters().is_empty());
    let reply = client.letter("alice@red.test", &["bob@red.test"], "Subject: x\r\n\r\nx").await;
    assert!(reply.starts_with("250 "), "{reply}");
}

#[tokio::test]
async fn a_large_letter_streams_through_octet_by_octet() {
    let world = world("message_size = \"8MB\"").with_auth().with_mta();
    let mut client = world.logged_in().await;
    let line = "0123456789abcdef".repeat(4);
    let body = format!("{line}\r\n").repeat(100_000);
    let letter = format!("Subject: big\r\n\r\n{body}");
    let reply = client.letter("alice@red.test", &["bob@red.test"], &letter).await;
    assert!(reply.starts_with("250 "), "{reply}");
    let taken = world.letters().remove(0).body;
    assert!(taken.ends_with(format!("\r\n\r\n{body}\r\n").as_bytes()));
    // Room is left for the header fields of the way.
    let too_large = "x".repeat(70) + "\r\n";
    let too_large = too_large.repeat(8_000_000 / 72 - 1);
    let reply = client.letter("alice@red.test", &["bob@red.test"], &too_large).await;
    assert!(reply.starts_with("55"), "{reply}");
    assert_eq!(world.letters().len(), 1);
}

#[tokio::test]
async fn an_endless_header_is_refused() {
    let world = world("").with_auth().with_mta();
    let mut client = world.logged_in().await;
    let header = format!("X-Long: {}\r\n", "x".repeat(900)).repeat(400);
    let letter = format!("{header}\r\nbody");
    let reply = client.letter("alice@red.test", &["bob@red.test"], &letter).await;
    assert!(reply.starts_with("552 5.3.4"), "{reply}");
    assert!(world.letters().is_empty());
}

#[tokio::test]
async fn told_to_stop_it_finishes_the_letter_and_says_goodbye() {
    let world = world("").with_auth().with_mta();
    let mut idle = world.client().await;
    let mut busy = world.logged_in().await;
    busy.say("MAIL FROM:<alice@red.test>", "250 ").await;
    world.shared.drain.cancel();
    idle.expect("421 4.3.2").await;
    busy.say("RCPT TO:<bob@red.test>", "250 ").await;
    busy.say("DATA", "354 ").await;
    busy.send("Subject: x\r\n\r\nx\r\n.\r\n").await;
    busy.expect("250 ").await;
    busy.expect("421 4.3.2").await;
    assert_eq!(world.letters().len(), 1);
}
