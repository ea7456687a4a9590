//! The SMTP dialogue files, spoken with the pure machine, whole and byte by byte. The same files
//! are spoken with a running daemon by `integration-tests`, except those of `smtp-machine/`, which
//! set the machine up in a comment: `# config: size=100 recipients=2 ..`.
#![allow(missing_docs)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use protocol::address::ForwardPath;
use protocol::machine::{Machine, Tick};
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::server::config::{AuthPolicy, AuthRequirement, Cleartext, Offer, TlsPolicy};
use protocol::smtp::server::{AuthAnswer, AuthStep, Config, EndAnswer, Event, Server};

#[allow(dead_code, unreachable_pub)]
#[path = "../../../integration-tests/src/dialogue.rs"]
mod dialogue;

use dialogue::{Dialogue, Step, matches};

/// A machine with an agent that knows alice and bob of example.test.
struct Session {
    server: Server,
    output: BytesMut,
    now: Tick,
}

impl Session {
    fn begin(config: Config) -> Self {
        let now = Tick::from_micros(1);
        let mut server = Server::new(Arc::new(config), now);
        server.greet(now);
        let mut session = Session { server, output: BytesMut::new(), now };
        session.settle();
        session
    }

    fn feed(&mut self, bytes: &[u8]) {
        self.server.feed(self.now, bytes);
        self.settle();
    }

    fn settle(&mut self) {
        while let Some(event) = self.server.poll() {
            self.answer(event);
        }
        self.server.poll_output(&mut self.output);
        assert!(!self.server.has_output());
    }

    fn answer(&mut self, event: Event) {
        let (server, now) = (&mut self.server, self.now);
        match event {
            Event::Mail(question, _) => server.answer_mail(now, question, Ok(())),
            Event::Rcpt(question, rcpt) => {
                server.answer_rcpt(now, question, known(&rcpt.path));
            }
            Event::End(question, _) => {
                let accepted = EndAnswer::Whole(Ok("01jd3kq8z0000000 accepted".into()));
                server.answer_end(now, question, accepted);
            }
            Event::StartTls(question) => server.answer_starttls(now, question, Ok(())),
            Event::Auth(question, step) => server.answer_auth(now, question, login(step)),
            _ => {}
        }
    }

    /// The next line of the server, without its CRLF.
    fn line(&mut self) -> Option<String> {
        let end = self.output.windows(2).position(|pair| pair == b"\r\n")?;
        let line = self.output.split_to(end + 2);
        Some(String::from_utf8(line[..end].to_vec()).expect("replies are UTF-8"))
    }
}

fn known(path: &ForwardPath) -> Result<(), Rejection> {
    let Some(address) = path.address() else { return Ok(()) };
    match (address.host().to_string().as_str(), address.local().as_str()) {
        ("example.test", "alice" | "bob" | "postmaster") => Ok(()),
        ("example.test", local) if local.starts_with("alice+") => Ok(()),
        ("example.test", _) => Err(Rejection::no_such_mailbox()),
        _ => Err(Rejection::relay_denied()),
    }
}

/// PLAIN with alice's password, or a mechanism of one challenge whose answer is "yes".
fn login(step: AuthStep) -> AuthAnswer {
    let response = match step {
        AuthStep::Begin { initial: None, mechanism } if mechanism == "PLAIN" => {
            return AuthAnswer::Challenge(Vec::new());
        }
        AuthStep::Begin { initial: Some(response), .. } | AuthStep::Response(response) => response,
        AuthStep::Begin { .. } => return AuthAnswer::Challenge(b"well?".to_vec()),
    };
    match response.reveal().as_slice() {
        b"\0alice@example.test\0correct horse" => AuthAnswer::Success { last: None },
        b"yes" => AuthAnswer::Success { last: Some(b"v=proof".to_vec()) },
        _ => AuthAnswer::Failure(Rejection::permanent(
            ReplyCode::AUTH_FAILED,
            EnhancedCode::permanent(7, 8),
            Fault::Policy,
            "name or password is wrong",
        )),
    }
}

/// What the comments of the file ask for.
fn configure(folder: &str, text: &str) -> Config {
    let mut config = match folder {
        "lmtp" => Config::lmtp("mx.example.test"),
        _ => Config::smtp("mx.example.test"),
    };
    if folder == "submission" {
        config.auth.requirement = AuthRequirement::BeforeMail;
        config.auth.mechanisms = vec!["PLAIN".into()];
        config.auth.cleartext = Cleartext::Allowed;
        config.tls = TlsPolicy::Offered;
    }
    for word in
        text.lines().filter_map(|l| l.strip_prefix("# config:")).flat_map(str::split_whitespace)
    {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        match key {
            "lmtp" => config = Config::lmtp("mx.example.test"),
            "size" => config.size_limit = value.parse().expect("a number"),
            "recipients" => config.recipients_limit = value.parse().expect("a number"),
            "errors" => config.errors_limit = value.parse().expect("a number"),
            "tls" => config.tls = TlsPolicy::Offered,
            "tls-required" => config.tls = TlsPolicy::Required,
            "private" => config.private = Offer::Yes,
            "dsn" => config.dsn = Offer::Yes,
            "auth" => {
                let mechanisms = value.split(',').map(str::to_owned).collect();
                config.auth = AuthPolicy { mechanisms, ..config.auth };
            }
            "auth-cleartext" => config.auth.cleartext = Cleartext::Allowed,
            "auth-required" => config.auth.requirement = AuthRequirement::BeforeMail,
            _ => panic!("unknown setting {word}"),
        }
    }
    config
}

/// Feeds at most `most` octets at a time.
fn speak(dialogue: &Dialogue, config: Config, most: usize) -> Result<(), String> {
    let mut session = Session::begin(config);
    for (number, step) in &dialogue.steps {
        match step {
            Step::Send(bytes) => bytes.chunks(most).for_each(|piece| session.feed(piece)),
            Step::Expect(pattern) => match session.line() {
                Some(line) if matches(pattern, &line) => {}
                line => return Err(format!("{number}: wanted {pattern:?}, got {line:?}")),
            },
            Step::Await(pattern) => loop {
                match session.line() {
                    Some(line) if matches(pattern, &line) => break,
                    Some(_) => {}
                    None => return Err(format!("{number}: {pattern:?} never came")),
                }
            },
            Step::Close => {
                session.server.end_of_input(session.now);
                session.settle();
            }
            Step::End => {
                if !session.server.is_closed() {
                    return Err(format!("{number}: the connection is open"));
                }
                if let Some(line) = session.line() {
                    return Err(format!("{number}: one line too many: {line:?}"));
                }
            }
        }
    }
    match session.line() {
        Some(line) => Err(format!("end: one line too many: {line:?}")),
        None => Ok(()),
    }
}

fn files(folder: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../integration-tests/dialogues");
    let Ok(entries) = std::fs::read_dir(root.join(folder)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("a file").path()).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files
}

fn speak_all(folder: &str) -> usize {
    let mut failures = Vec::new();
    let files = files(folder);
    for file in &files {
        let text = std::fs::read_to_string(file).expect("a dialogue is text");
        let name = file.display();
        let dialogue = Dialogue::parse(&text).unwrap_or_else(|error| panic!("{name}:{error}"));
        for most in [usize::MAX, 7, 1] {
            if let Err(error) = speak(&dialogue, configure(folder, &text), most) {
                failures.push(format!("{name}:{error} ({most} octets at a time)"));
            }
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
    files.len()
}

#[test]
fn smtp() {
    assert!(speak_all("smtp") >= 20);
}

#[test]
fn smtp_with_other_settings() {
    assert!(speak_all("smtp-machine") >= 10);
}

#[test]
fn submission() {
    speak_all("submission");
}

#[test]
fn a_silent_client_is_told_and_dropped() {
    let mut session = Session::begin(Config::smtp("mx.example.test"));
    let deadline = session.server.deadline().expect("the client owes a command");
    assert_eq!(deadline, session.now.after(Duration::from_secs(300)));
    session.now = deadline;
    session.server.expire(deadline);
    session.settle();
    assert!(session.line().expect("the greeting").starts_with("220 "));
    assert!(session.line().expect("a reason").starts_with("421 4.4.2 "));
    assert!(session.server.is_closed());
}
