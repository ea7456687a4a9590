//! The server's side of POP3.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;
use memchr::memchr;

use super::command::{Command, parse};
use crate::limits::{POP3_AUTOLOGOUT, POP3_ERRORS, POP3_LINE, POP3_OUTPUT, POP3_SASL_LINE};
use crate::machine::{Machine, Tick, TlsFacts};
use crate::secret::Secret;

/// What a session is begun with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Our name in the greeting.
    pub hostname: String,
    /// TLS facts, if TLS came first.
    pub tls: Option<TlsFacts>,
    /// STLS can be said.
    pub offers_tls: bool,
    /// Passwords may be sent without TLS.
    pub cleartext_login: bool,
    /// SASL mechanisms where logging in is allowed.
    pub mechanisms: Vec<String>,
}

/// RFC 1939 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Nobody has logged in.
    Authorization,
    /// The mailbox is open and locked.
    Transaction,
    /// QUIT was said; deletions are being done.
    Update,
}

/// What the agent is told. All but [`Event::Closed`] want an answer.
#[derive(Debug)]
pub enum Event {
    /// STLS was granted: take the output, do the handshake, then `tls_established`.
    StartTls,
    /// USER and PASS: [`Server::login`].
    Login(String, Secret<Vec<u8>>),
    /// AUTH begins: [`Server::challenge`] or [`Server::login`].
    Auth(String, Option<Secret<Vec<u8>>>),
    /// The response to a challenge.
    Response(Secret<Vec<u8>>),
    /// The client gave the exchange up; it has been told.
    AuthCancelled,
    /// A command of the transaction state: [`Server::ok`], [`Server::no`] or
    /// [`Server::begin_lines`] and so on.
    Command(Command),
    /// QUIT in the transaction state: delete what is marked, then [`Server::goodbye`].
    Quit,
    /// The session is over without QUIT: nothing is deleted (RFC 1939 §6).
    Closed,
}

/// RFC 2449 §8, RFC 3206: the reason of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// None.
    Plain,
    /// `[AUTH]`: the name or the password is wrong.
    Auth,
    /// `[IN-USE]`: another session has the mailbox.
    InUse,
    /// `[SYS/TEMP]`: try again later.
    Temporary,
    /// `[SYS/PERM]`: a person has to mend something.
    Permanent,
    /// `[LOGIN-DELAY]`: too often.
    LoginDelay,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// A command is awaited.
    Command,
    /// The agent owes an answer.
    Agent,
    /// The agent is in an exchange and owes a challenge or the end.
    Sasl,
    /// The client owes a response.
    Response,
    /// A handshake is owed.
    Handshake,
    Closed,
}

/// The machine.
#[derive(Debug)]
pub struct Server {
    options: Options,
    tls: Option<TlsFacts>,
    state: State,
    phase: Phase,
    /// USER was said; PASS is awaited.
    user: Option<String>,
    /// UTF8 was said (RFC 6856).
    utf8: bool,
    input: BytesMut,
    /// A line too long is being passed over.
    skipping: bool,
    out: BytesMut,
    errors: u32,
    heard: Tick,
    told_closed: bool,
    /// The last octet of what is being sent line by line.
    last: u8,
}

impl Server {
    /// A session that greets its client.
    pub fn new(now: Tick, options: Options) -> Self {
        let mut server = Server {
            tls: options.tls.clone(),
            options,
            state: State::Authorization,
            phase: Phase::Command,
            user: None,
            utf8: false,
            input: BytesMut::new(),
            skipping: false,
            out: BytesMut::new(),
            errors: 0,
            heard: now,
            told_closed: false,
            last: b'\n',
        };
        let greeting = format!("{} POP3 server ready", server.options.hostname);
        server.line("+OK ", &greeting);
        server
    }

    /// Where the session stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// What is known of TLS.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Octets that wait to be sent.
    pub fn pending_output(&self) -> usize {
        self.out.len()
    }

    /// Other mechanisms are offered, such as when TLS makes channel binding possible.
    pub fn set_mechanisms(&mut self, mechanisms: Vec<String>) {
        self.options.mechanisms = mechanisms;
    }

    /// `+OK`.
    pub fn ok(&mut self, text: &str) {
        self.line("+OK ", text);
        self.answered();
    }

    /// `-ERR`.
    pub fn no(&mut self, code: Code, text: &str) {
        let code = match code {
            Code::Plain => "",
            Code::Auth => "[AUTH] ",
            Code::InUse => "[IN-USE] ",
            Code::Temporary => "[SYS/TEMP] ",
            Code::Permanent => "[SYS/PERM] ",
            Code::LoginDelay => "[LOGIN-DELAY] ",
        };
        self.line(&format!("-ERR {code}"), text);
        self.answered();
    }

    /// Somebody has logged in and the mailbox is open, or why not.
    pub fn login(&mut self, outcome: Result<&str, (Code, &str)>) {
        self.user = None;
        match outcome {
            Ok(text) => {
                self.state = State::Transaction;
                self.ok(text);
            }
            Err((code, text)) => self.no(code, text),
        }
    }

    /// RFC 5034 §4: a challenge goes out; the client's response is awaited.
    pub fn challenge(&mut self, data: &[u8]) {
        let encoded = STANDARD.encode(data);
        self.line("+ ", &encoded);
        self.phase = Phase::Response;
    }

    /// A multi-line answer begins (RFC 1939 §3).
    pub fn begin_lines(&mut self, text: &str) {
        self.line("+OK ", text);
        self.last = b'\n';
    }

    /// One line of it, without its end.
    pub fn one_line(&mut self, text: &str) {
        if text.starts_with('.') {
            self.out.extend_from_slice(b".");
        }
        self.out.extend_from_slice(text.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    /// A piece of a letter: dots at the beginnings of lines are doubled, bare LF becomes CRLF.
    pub fn piece(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while !rest.is_empty() {
            if self.last == b'\n' && rest.first() == Some(&b'.') {
                self.out.extend_from_slice(b".");
            }
            let end = memchr(b'\n', rest);
            let line = rest.get(..end.unwrap_or(rest.len())).unwrap_or_default();
            self.out.extend_from_slice(line);
            if let Some(last) = line.last() {
                self.last = *last;
            }
            let Some(end) = end else { return };
            let ended = if self.last == b'\r' { &b"\n"[..] } else { b"\r\n" };
            self.out.extend_from_slice(ended);
            self.last = b'\n';
            rest = rest.get(end + 1..).unwrap_or_default();
        }
    }

    /// The multi-line answer ends.
    pub fn end_lines(&mut self) {
        if self.last != b'\n' {
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b".\r\n");
        self.last = b'\n';
        self.answered();
    }

    /// The answer to QUIT.
    pub fn goodbye(&mut self, outcome: Result<&str, &str>) {
        match outcome {
            Ok(text) => self.line("+OK ", text),
            Err(text) => self.line("-ERR ", text),
        }
        self.close();
    }

    /// Ends the session from our side; nothing is deleted.
    pub fn bye(&mut self, text: &str) {
        if self.phase != Phase::Closed {
            self.line("-ERR [SYS/TEMP] ", text);
            self.close();
        }
    }

    fn answered(&mut self) {
        if self.phase != Phase::Closed {
            self.phase = Phase::Command;
        }
    }

    fn close(&mut self) {
        self.phase = Phase::Closed;
        self.input.clear();
    }

    fn line(&mut self, head: &str, text: &str) {
        self.out.extend_from_slice(head.as_bytes());
        let clean = text.chars().map(|c| if c.is_control() { ' ' } else { c });
        let clean: String = clean.collect();
        self.out.extend_from_slice(clean.as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn login_allowed(&self) -> bool {
        self.tls.is_some() || self.options.cleartext_login
    }

    /// RFC 2449 §5 and §6, RFC 6856 §2.
    fn capabilities(&mut self) {
        self.begin_lines("capabilities follow");
        let mut list = vec![
            "TOP".to_owned(),
            "UIDL".to_owned(),
            "RESP-CODES".to_owned(),
            "AUTH-RESP-CODE".to_owned(),
            "PIPELINING".to_owned(),
            "EXPIRE NEVER".to_owned(),
            "UTF8 USER".to_owned(),
            "LANG".to_owned(),
        ];
        if self.state == State::Authorization {
            if self.login_allowed() {
                list.push("USER".to_owned());
                list.push(format!("SASL {}", self.options.mechanisms.join(" ")));
            }
            if self.tls.is_none() && self.options.offers_tls {
                list.push("STLS".to_owned());
            }
        }
        // RFC 2449 §6.9: only to those who are known, where it could help an attacker.
        if self.state == State::Transaction {
            list.push("IMPLEMENTATION Posthaste".to_owned());
        }
        list.iter().for_each(|line| self.one_line(line));
        self.end_lines();
    }

    /// The next line of the client, without its end; `None`: there is none yet.
    fn next_line(&mut self) -> Option<Result<Vec<u8>, ()>> {
        let most = if self.phase == Phase::Response { POP3_SASL_LINE } else { POP3_LINE };
        loop {
            match memchr(b'\n', &self.input) {
                Some(end) => {
                    let mut line = self.input.split_to(end + 1).to_vec();
                    line.pop();
                    if line.last() == Some(&b'\r') {
                        line.pop();
                    }
                    if std::mem::take(&mut self.skipping) || line.len() > most {
                        return Some(Err(()));
                    }
                    return Some(Ok(line));
                }
                None if self.input.len() > most => {
                    self.input.clear();
                    self.skipping = true;
                }
                None => return None,
            }
        }
    }

    fn wrong(&mut self, text: &str) {
        self.errors += 1;
        if self.errors >= POP3_ERRORS {
            self.bye("too many errors");
            return;
        }
        self.no(Code::Plain, text);
    }

    /// A line in the phase that awaits one.
    fn take_line(&mut self, line: &[u8]) -> Option<Event> {
        if self.phase == Phase::Response {
            return self.response(line);
        }
        match parse(line) {
            Ok(command) => self.command(command),
            Err(why) => {
                self.user = None;
                self.wrong(why);
                None
            }
        }
    }

    fn response(&mut self, line: &[u8]) -> Option<Event> {
        self.phase = Phase::Sasl;
        // RFC 5034 §4: a single asterisk gives up.
        if line == b"*" {
            self.no(Code::Plain, "the exchange was given up");
            return Some(Event::AuthCancelled);
        }
        match STANDARD.decode(line) {
            Ok(data) => Some(Event::Response(Secret::new(data))),
            Err(_) => {
                self.wrong("that is not base64");
                Some(Event::AuthCancelled)
            }
        }
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        let user = self.user.take();
        match (command, self.state) {
            (Command::Capa, _) => self.capabilities(),
            (Command::Quit, State::Authorization) => self.goodbye(Ok("goodbye")),
            (Command::Quit, _) => {
                self.state = State::Update;
                self.phase = Phase::Agent;
                return Some(Event::Quit);
            }
            (Command::Lang(None), _) => {
                self.begin_lines("languages follow");
                self.one_line("en English");
                self.end_lines();
            }
            // RFC 6856 §3.1: * is the server's own choice.
            (Command::Lang(Some(tag)), _) => {
                match tag == "*" || tag.to_ascii_lowercase().starts_with("en") {
                    true => self.ok("en texts are in English"),
                    false => self.no(Code::Plain, "only English is spoken here"),
                }
            }
            (Command::Utf8, State::Authorization) => {
                self.utf8 = true;
                self.ok("UTF-8 it is");
            }
            (Command::Stls, State::Authorization) => return self.start_tls(),
            (Command::User(name), State::Authorization) => self.name(name),
            (Command::Pass(password), State::Authorization) => {
                let Some(user) = user else {
                    self.wrong("say USER first");
                    return None;
                };
                self.phase = Phase::Agent;
                return Some(Event::Login(user, password));
            }
            (Command::Auth(None), State::Authorization) => {
                // Before RFC 2449, clients asked so.
                self.begin_lines("mechanisms follow");
                if self.login_allowed() {
                    let mechanisms = self.options.mechanisms.clone();
                    mechanisms.iter().for_each(|mechanism| self.one_line(mechanism));
                }
                self.end_lines();
            }
            (Command::Auth(Some((mechanism, initial))), State::Authorization) => {
                return self.authenticate(mechanism, initial);
            }
            (command, State::Transaction)
                if !matches!(
                    command,
                    Command::Utf8
                        | Command::Stls
                        | Command::User(_)
                        | Command::Pass(_)
                        | Command::Auth(_)
                ) =>
            {
                self.phase = Phase::Agent;
                return Some(Event::Command(command));
            }
            _ => self.wrong("that cannot be said now"),
        }
        None
    }

    fn name(&mut self, name: String) {
        if !self.login_allowed() {
            self.wrong("passwords are taken under TLS only; say STLS first");
            return;
        }
        self.user = Some(name);
        self.ok("now the password");
    }

    fn start_tls(&mut self) -> Option<Event> {
        if self.tls.is_some() || !self.options.offers_tls {
            self.wrong("there is no TLS to begin here");
            return None;
        }
        self.line("+OK ", "begin TLS now");
        // RFC 2595 §4: what was sent along in the clear does not count.
        self.input.clear();
        self.phase = Phase::Handshake;
        Some(Event::StartTls)
    }

    fn authenticate(
        &mut self,
        mechanism: String,
        initial: Option<Secret<Vec<u8>>>,
    ) -> Option<Event> {
        if !self.login_allowed() {
            self.wrong("logins are taken under TLS only; say STLS first");
            return None;
        }
        if !self.options.mechanisms.contains(&mechanism) {
            self.wrong("that mechanism is not offered");
            return None;
        }
        let initial = match initial {
            None => None,
            // RFC 5034 §4: an equals sign is an empty response.
            Some(text) if text.reveal() == b"=" => Some(Secret::new(Vec::new())),
            Some(text) => match STANDARD.decode(text.reveal()) {
                Ok(data) => Some(Secret::new(data)),
                Err(_) => {
                    self.wrong("that is not base64");
                    return None;
                }
            },
        };
        self.phase = Phase::Sasl;
        Some(Event::Auth(mechanism, initial))
    }
}

impl Machine for Server {
    type Event = Event;

    fn feed(&mut self, now: Tick, input: &[u8]) {
        self.heard = now;
        if self.phase != Phase::Closed {
            self.input.extend_from_slice(input);
        }
    }

    fn end_of_input(&mut self, _now: Tick) {
        self.close();
    }

    fn tls_established(&mut self, now: Tick, facts: TlsFacts) {
        self.heard = now;
        self.tls = Some(facts);
        self.input.clear();
        self.user = None;
        self.answered();
    }

    fn expire(&mut self, now: Tick) {
        if self.phase != Phase::Closed && self.deadline().is_some_and(|at| at <= now) {
            // RFC 1939 §3: a timer closes without entering the update state.
            self.bye("nothing was said for too long");
        }
    }

    fn poll(&mut self) -> Option<Event> {
        while matches!(self.phase, Phase::Command | Phase::Response) && self.out.len() < POP3_OUTPUT
        {
            let event = match self.next_line()? {
                Ok(line) => self.take_line(&line),
                Err(()) => {
                    self.user = None;
                    self.wrong("the line is too long");
                    None
                }
            };
            if event.is_some() {
                return event;
            }
        }
        if self.phase == Phase::Closed && !std::mem::replace(&mut self.told_closed, true) {
            return Some(Event::Closed);
        }
        None
    }

    fn poll_output(&mut self, out: &mut BytesMut) {
        out.extend_from_slice(&self.out);
        self.out.clear();
    }

    fn has_output(&self) -> bool {
        !self.out.is_empty()
    }

    fn deadline(&self) -> Option<Tick> {
        let wait: Duration = POP3_AUTOLOGOUT;
        matches!(self.phase, Phase::Command | Phase::Response | Phase::Handshake)
            .then(|| self.heard.after(wait))
    }

    fn wants_input(&self) -> bool {
        matches!(self.phase, Phase::Command | Phase::Response)
            && self.input.len() < POP3_SASL_LINE
            && self.out.len() < POP3_OUTPUT
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}
