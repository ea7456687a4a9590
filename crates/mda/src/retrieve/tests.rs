//! Sessions over a pipe in memory, on a real store in a temporary folder, with a stand-in for
//! `auth` on a real socket. The dialogues are those of `integration-tests/dialogues/imap`, which
//! the system tests also speak with a running agent.

mod extensions;

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use directory::{Account, PasswordVerifier, Store};
use disk::RealDisk;
use net::ipc::{Identity, Responder, Service};
use net::listen::{Admission, Bounds, Endpoint};
use net::stream::{Peer, Stream};
use protocol::ipc::{Granted, LoginAnswer, LoginCall};
use service::paths::Paths;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

/// Made once: that is slow on purpose. The directory wants one, though nobody looks at it here.
static VERIFIER: LazyLock<PasswordVerifier> =
    LazyLock::new(|| PasswordVerifier::new("correct horse").unwrap());

/// Knows alice, and speaks PLAIN alone.
struct Gatekeeper;

impl Service<LoginCall> for Gatekeeper {
    async fn call(&self, call: LoginCall, respond: Responder) {
        let message = match &call {
            LoginCall::Start(start) => start.initial.as_ref().map(|initial| initial.0.clone()),
            LoginCall::Step(step) => Some(step.response.0.clone()),
            LoginCall::Cancel(_) => return respond.answer(&protocol::ipc::Cancelled {}).await,
        };
        let answer = match message.as_deref() {
            None => LoginAnswer::Challenge { exchange: 1, data: Vec::new().into() },
            Some(b"\0alice@example.test\0correct horse") => LoginAnswer::Granted(Granted {
                account: "alice@example.test".into(),
                mechanism: "PLAIN".into(),
                app_password: None,
            }),
            Some(_) => LoginAnswer::Refused,
        };
        respond.answer(&answer).await;
    }
}

/// A store with an account, and what sessions need besides.
struct House {
    retrieval: Retrieval,
    _committer: disk::Committer,
    _folder: tempfile::TempDir,
}

impl House {
    fn build() -> House {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let config = folder.path().join("posthaste.toml");
        std::fs::write(
            &config,
            format!(
                "[server]\nhostname = \"mx.example.test\"\n[storage]\ndata_dir = {:?}\n\
                 low_water_bytes = \"1MB\"\nlow_water_inodes = 1\n",
                data.display().to_string()
            ),
        )
        .unwrap();
        std::fs::create_dir(&data).unwrap();
        let paths = Paths::new(&data);
        paths.prepare().unwrap();
        let clock = Clock::real();
        let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk);
        people(disk.clone(), &paths.directory());
        let hall = Hall {
            admission: Admission::new(Bounds { total: 100, per_address: 100 }),
            tasks: net::Tasks::new(),
            stop: Cancel::new(),
            clock: clock.clone(),
        };
        let socket = Endpoint::Unix { path: paths.auth_socket(), mode: 0o600 };
        let listener = net::listen::bind(&socket).unwrap().listen().unwrap();
        let identity = Identity { agent: "auth".into(), software: "test".into() };
        tokio::spawn(net::ipc::serve::<LoginCall, Gatekeeper>(
            listener,
            hall,
            identity,
            Arc::new(Gatekeeper),
        ));
        let now = clock.clone();
        let options = mailbox::Options::new(paths.mail(), Arc::new(move || now.now()));
        let opened = Mailboxes::open(disk.clone(), options).unwrap();
        let stop = Cancel::new();
        let retrieval = Retrieval {
            tutor: Arc::new(crate::tutor::Tutor::new(disk.clone(), paths.state().join("junk"))),
            mailboxes: opened.mailboxes,
            logins: Logins::new(&paths, service::AgentName::Mda, &clock),
            directory: Arc::new(Renewing::open(disk, &paths.directory()).unwrap()),
            config: ConfigHandle::load(&config, &[]).unwrap(),
            trail: Trail::none(&clock),
            clock,
            tls: None,
            drain: stop.child(),
            stop,
        };
        House { retrieval, _committer: opened.committer, _folder: folder }
    }

    fn connect(&self) -> Talk {
        let (ours, theirs) = Stream::pair(1 << 20);
        let accepted = Accepted { stream: theirs, peer: Peer::Memory };
        tokio::spawn(self.retrieval.clone().session(accepted, Entry::Plain));
        Talk { stream: ours, buffer: Vec::new() }
    }

    async fn log_in(&self) -> Talk {
        let mut talk = self.connect();
        talk.line().await;
        talk.say("l LOGIN alice@example.test \"correct horse\"").await;
        talk
    }
}

fn people(disk: Arc<dyn disk::Disk>, folder: &Path) {
    let store = Store::new(disk, folder);
    store.create().unwrap();
    store
        .change(|draft| {
            draft.add_domain("example.test".parse().unwrap())?;
            let account = Account {
                address: "alice@example.test".parse().unwrap(),
                quota: directory::Quota { bytes: Some(1_000_000), letters: None },
                subaddressing: true,
                gateway_for: Vec::new(),
            };
            draft.add_account(account, VERIFIER.clone())
        })
        .unwrap();
}

/// The client's end.
struct Talk {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Talk {
    async fn raw(&mut self, bytes: &[u8]) {
        // A server that has hung up is noticed by what it no longer says.
        let _ = self.stream.write_all(bytes).await;
        let _ = self.stream.flush().await;
    }

    /// The next line, without its end; `None`: closed.
    async fn try_line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.buffer.drain(..=end).collect();
                let line = line.strip_suffix(b"\r\n").unwrap_or(&line);
                return Some(String::from_utf8_lossy(line).into_owned());
            }
            let mut chunk = [0; 4096];
            let read = self.stream.read(&mut chunk);
            let count = tokio::time::timeout(Duration::from_secs(10), read);
            match count.await.expect("the server said nothing for 10 s") {
                Ok(0) | Err(_) => return None,
                Ok(count) => self.buffer.extend_from_slice(&chunk[..count]),
            }
        }
    }

    async fn line(&mut self) -> String {
        self.try_line().await.unwrap_or_else(|| "(closed)".into())
    }

    /// Sends a command and gives all lines up to its answer.
    async fn say(&mut self, command: &str) -> Vec<String> {
        self.raw(format!("{command}\r\n").as_bytes()).await;
        let tag = command.split(' ').next().unwrap_or_default().to_owned();
        let mut lines = Vec::new();
        loop {
            let line = self.line().await;
            let done = line.starts_with(&format!("{tag} ")) || line == "(closed)";
            lines.push(line);
            if done {
                return lines;
            }
        }
    }

    async fn append(&mut self, mailbox: &str, letter: &str) -> Vec<String> {
        self.say(&format!("p APPEND {mailbox} {{{}+}}\r\n{letter}", letter.len())).await
    }
}

/// `*` stands for any run of characters.
fn fits(pattern: &str, line: &str) -> bool {
    let mut rest = line;
    let mut pieces = pattern.split('*').peekable();
    let Some(first) = pieces.next() else { return rest.is_empty() };
    let Some(after) = rest.strip_prefix(first) else { return false };
    rest = after;
    if pieces.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(piece) = pieces.next() {
        if pieces.peek().is_none() {
            return rest.ends_with(piece);
        }
        let Some(at) = rest.find(piece) else { return false };
        rest = &rest[at + piece.len()..];
    }
    true
}

fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, c == '\\') {
            (_, true) => match chars.next() {
                Some('r') => out.push(b'\r'),
                Some('n') => out.push(b'\n'),
                Some('0') => out.push(0),
                Some('\\') => out.push(b'\\'),
                Some('x') => {
                    let digits: String = chars.by_ref().take(2).collect();
                    out.push(u8::from_str_radix(&digits, 16).unwrap());
                }
                other => out.extend(other.map(|c| c as u8)),
            },
            (c, _) => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// The form of these files is told in `integration-tests/dialogues/README.md`.
async fn speak(house: &House, text: &str) -> Result<(), String> {
    let mut talk = house.connect();
    for (index, line) in text.lines().enumerate() {
        let wrong = |got: String| Err(format!("line {}: wanted {line}, got {got}", index + 1));
        let argument = line.get(3..).unwrap_or_default();
        match line.get(..2).unwrap_or(line) {
            "C:" => talk.raw(format!("{argument}\r\n").as_bytes()).await,
            "C~" => talk.raw(&unescape(argument)).await,
            "S:" => {
                let got = talk.line().await;
                if !fits(argument, &got) {
                    return wrong(got);
                }
            }
            "S?" => loop {
                match talk.try_line().await {
                    Some(got) if fits(argument, &got) => break,
                    Some(_) => {}
                    None => return wrong("the end".into()),
                }
            },
            "EN" => {
                if let Some(got) = talk.try_line().await {
                    return wrong(got);
                }
            }
            "CL" => return Ok(()),
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test]
async fn dialogues() {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integration-tests/dialogues/imap");
    let mut files: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(!files.is_empty());
    let mut report = String::new();
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        if let Err(error) = speak(&House::build(), &text).await {
            report += &format!("{}: {error}\n", file.file_name().unwrap().to_string_lossy());
        }
    }
    assert!(report.is_empty(), "\n{report}");
}

#[tokio::test]
async fn sessions_see_each_other() {
    let house = House::build();
    let (mut one, mut other) = (house.log_in().await, house.log_in().await);
    one.say("a SELECT INBOX").await;
    other.say("a SELECT INBOX").await;
    other.raw(b"i IDLE\r\n").await;
    assert!(other.line().await.starts_with('+'));
    let told = one.append("INBOX", "Subject: 1\r\n\r\n").await;
    assert_eq!(told[0], "* 1 EXISTS");
    assert!(told[2].starts_with("p OK [APPENDUID"), "{told:?}");
    assert_eq!(other.line().await, "* 1 EXISTS");
    // Only the session that tells of a letter first has it as recent.
    let mut recent = [told[1].clone(), other.line().await];
    recent.sort();
    assert_eq!(recent, ["* 0 RECENT", "* 1 RECENT"]);
    one.say("b STORE 1 +FLAGS.SILENT (\\Flagged new)").await;
    assert_eq!(other.line().await, "* FLAGS (\\Answered \\Flagged \\Deleted \\Seen \\Draft new)");
    assert!(other.line().await.contains("FLAGS (\\Flagged new"));
    one.say("c STORE 1 +FLAGS (\\Deleted)").await;
    assert!(other.line().await.contains("\\Deleted"));
    one.say("d EXPUNGE").await;
    assert_eq!(other.line().await, "* 1 EXPUNGE");
    other.raw(b"DONE\r\n").await;
    let mut line = other.line().await;
    while line == "* 0 RECENT" {
        line = other.line().await;
    }
    assert!(line.starts_with("i OK"), "{line}");
}

#[tokio::test]
async fn expunges_wait_while_numbers_are_used() {
    let house = House::build();
    let (mut one, mut other) = (house.log_in().await, house.log_in().await);
    for number in 1..=3 {
        one.append("INBOX", &format!("Subject: {number}\r\n\r\n")).await;
    }
    one.say("a SELECT INBOX").await;
    other.say("a SELECT INBOX").await;
    one.say("b STORE 1 +FLAGS (\\Deleted)").await;
    one.say("c EXPUNGE").await;
    let fetched = other.say("d FETCH 3 BODY.PEEK[HEADER.FIELDS (SUBJECT)]").await;
    assert_eq!(fetched[1], "Subject: 3", "the client's numbers hold: {fetched:?}");
    assert!(!fetched.iter().any(|line| line.contains("EXPUNGE")), "{fetched:?}");
    // RFC 2180 §4.1: a letter that others expunged is either still shown or reported as such.
    let gone = other.say("e FETCH 1 BODY.PEEK[]").await;
    let shown = gone.get(1).is_some_and(|line| line == "Subject: 1");
    assert!(shown || gone[0].starts_with("e NO [EXPUNGEISSUED]"), "{gone:?}");
    let searched = other.say("f SEARCH ALL").await;
    assert_eq!(searched[0], "* SEARCH 1 2 3");
    let told = other.say("g NOOP").await;
    assert_eq!(told[0], "* 1 EXPUNGE");
    assert_eq!(other.say("h SEARCH ALL").await[0], "* SEARCH 1 2");
}

#[tokio::test]
async fn a_full_account_takes_no_more() {
    let house = House::build();
    let mut talk = house.log_in().await;
    talk.append("INBOX", &"x".repeat(600_000)).await;
    let refused = talk.say("a APPEND INBOX {600000}").await;
    assert!(refused[0].starts_with("a NO [OVERQUOTA]"), "{refused:?}");
    let refused = talk.append("INBOX", &"x".repeat(600_000)).await;
    assert!(refused[0].starts_with("p NO [OVERQUOTA]"), "{refused:?}");
    assert!(talk.say("b NOOP").await[0].starts_with("b OK"));
    talk.say("c SELECT INBOX").await;
    let refused = talk.say("d COPY 1 Archive").await;
    assert!(refused[0].starts_with("d NO [OVERQUOTA]"), "{refused:?}");
}

#[tokio::test]
async fn a_large_letter_comes_back_byte_for_byte() {
    let house = House::build();
    let mut talk = house.log_in().await;
    let letter: String = (0..20_000).map(|n| format!("line {n} with some text\r\n")).collect();
    let letter = format!("Subject: large\r\n\r\n{letter}");
    assert!(talk.append("INBOX", &letter).await[0].starts_with("p OK"));
    talk.say("a SELECT INBOX").await;
    let answer = talk.say("b UID FETCH 1 BODY[]").await;
    assert!(answer[0].ends_with(&format!("BODY[] {{{}}}", letter.len())), "{}", answer[0]);
    let body = answer[1..answer.len() - 2].join("\r\n") + "\r\n";
    assert!(body == letter, "the octets differ");
    let text = talk.say("c FETCH 1 (RFC822.SIZE BODY)").await;
    assert!(text[0].contains(&format!("RFC822.SIZE {}", letter.len())));
}

#[tokio::test]
async fn a_session_that_waits_is_small() {
    let house = House::build();
    let (_ours, theirs) = Stream::pair(1 << 10);
    let accepted = Accepted { stream: theirs, peer: Peer::Memory };
    let session = house.retrieval.clone().session(accepted, Entry::Tls);
    let octets = std::mem::size_of_val(&session);
    // Two thousand of them wait at once; TLS and the selected mailbox come on top of it.
    assert!(octets < 8 * 1024, "{octets}");
}

#[tokio::test]
async fn stopping_says_goodbye() {
    let house = House::build();
    let mut idle = house.log_in().await;
    let mut quiet = house.log_in().await;
    idle.raw(b"i IDLE\r\n").await;
    idle.line().await;
    house.retrieval.drain.cancel();
    assert!(idle.line().await.starts_with("* BYE"));
    assert!(quiet.line().await.starts_with("* BYE"));
    assert_eq!(quiet.try_line().await, None);
}

#[tokio::test]
async fn a_mailbox_deleted_by_another_session_ends_the_session() {
    let house = House::build();
    let (mut one, mut other) = (house.log_in().await, house.log_in().await);
    one.say("a CREATE Gone").await;
    other.say("a SELECT Gone").await;
    one.say("b DELETE Gone").await;
    let said = other.say("c NOOP").await;
    assert!(said[0].starts_with("* BYE"), "{said:?}");
}
