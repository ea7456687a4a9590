//! The server's side of ManageSieve.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::BytesMut;

use super::command::{Command, Frame, frame, parse, parse_string};
use crate::limits::{
    MANAGESIEVE_AUTOLOGOUT, MANAGESIEVE_ERRORS, MANAGESIEVE_LINE, MANAGESIEVE_LOGIN,
    MANAGESIEVE_OUTPUT, MANAGESIEVE_SCRIPT, MANAGESIEVE_STRANGER,
};
use crate::machine::{Machine, Tick, TlsFacts};
use crate::secret::Secret;

/// What a session is begun with.
#[derive(Debug, Clone)]
pub struct Options {
    /// STARTTLS can be said.
    pub offers_tls: bool,
    /// Passwords may be sent without TLS.
    pub cleartext_login: bool,
    /// SASL mechanisms where logging in is allowed.
    pub mechanisms: Vec<String>,
    /// Sieve extensions, for SIEVE.
    pub extensions: Vec<String>,
    /// Methods of notification, for NOTIFY.
    pub notify: Vec<String>,
    /// For MAXREDIRECTS.
    pub redirects: usize,
}

/// What the agent is told. All but [`Event::Closed`] want an answer.
#[derive(Debug)]
pub enum Event {
    /// STARTTLS was granted: take the output, do the handshake, then `tls_established`.
    StartTls,
    /// AUTHENTICATE begins: [`Server::challenge`] or [`Server::login`].
    Auth(String, Option<Secret<Vec<u8>>>),
    /// The response to a challenge.
    Response(Secret<Vec<u8>>),
    /// The client gave the exchange up; it has been told.
    AuthCancelled,
    /// A command about scripts: [`Server::ok`], [`Server::no`], [`Server::script`] or
    /// [`Server::list`].
    Command(Command),
    /// The session is over.
    Closed,
}

/// Response codes (RFC 5804 §1.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// None.
    Plain,
    /// Too many scripts.
    MaxScripts,
    /// Too large.
    MaxSize,
    /// There is no such script.
    NonExistent,
    /// There is one already.
    AlreadyExists,
    /// It is active.
    Active,
    /// Try again later.
    TryLater,
    /// TLS first.
    EncryptNeeded,
}

impl Code {
    fn shown(self) -> &'static str {
        match self {
            Code::Plain => "",
            Code::MaxScripts => " (QUOTA/MAXSCRIPTS)",
            Code::MaxSize => " (QUOTA/MAXSIZE)",
            Code::NonExistent => " (NONEXISTENT)",
            Code::AlreadyExists => " (ALREADYEXISTS)",
            Code::Active => " (ACTIVE)",
            Code::TryLater => " (TRYLATER)",
            Code::EncryptNeeded => " (ENCRYPT-NEEDED)",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Command,
    Agent,
    Sasl,
    Response,
    Handshake,
    Closed,
}

/// The machine.
#[derive(Debug)]
pub struct Server {
    options: Options,
    tls: Option<TlsFacts>,
    /// Who has logged in.
    user: Option<String>,
    phase: Phase,
    input: BytesMut,
    out: BytesMut,
    errors: u32,
    heard: Tick,
    told_closed: bool,
}

impl Server {
    /// A session that greets its client with its capabilities (RFC 5804 §1.6).
    pub fn new(now: Tick, options: Options) -> Self {
        let mut server = Server {
            options,
            tls: None,
            user: None,
            phase: Phase::Command,
            input: BytesMut::new(),
            out: BytesMut::new(),
            errors: 0,
            heard: now,
            told_closed: false,
        };
        server.capabilities("Posthaste is ready");
        server
    }

    /// What is known of TLS.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.tls.as_ref()
    }

    /// Other mechanisms are offered.
    pub fn set_mechanisms(&mut self, mechanisms: Vec<String>) {
        self.options.mechanisms = mechanisms;
    }

    /// OK.
    pub fn ok(&mut self, text: &str) {
        self.status("OK", Code::Plain, text);
        self.answered();
    }

    /// NO.
    pub fn no(&mut self, code: Code, text: &str) {
        self.status("NO", code, text);
        self.answered();
    }

    /// The answer to GETSCRIPT.
    pub fn script(&mut self, script: &[u8]) {
        self.literal(script);
        self.out.extend_from_slice(b"\r\n");
        self.ok("");
    }

    /// The answer to LISTSCRIPTS: names, and whether each is active.
    pub fn list<'a>(&mut self, scripts: impl IntoIterator<Item = (&'a str, bool)>) {
        for (name, active) in scripts {
            self.string(name);
            self.out.extend_from_slice(if active { b" ACTIVE\r\n" } else { b"\r\n" });
        }
        self.ok("");
    }

    /// Somebody has logged in, or why not.
    pub fn login(&mut self, outcome: Result<&str, (Code, &str)>) {
        match outcome {
            Ok(user) => {
                self.user = Some(user.to_owned());
                self.ok("logged in");
            }
            Err((code, text)) => self.no(code, text),
        }
    }

    /// A challenge goes out; the client's response is awaited (RFC 5804 §2.1).
    pub fn challenge(&mut self, data: &[u8]) {
        let encoded = STANDARD.encode(data);
        self.string(&encoded);
        self.out.extend_from_slice(b"\r\n");
        self.phase = Phase::Response;
    }

    /// BYE.
    pub fn bye(&mut self, text: &str) {
        if self.phase != Phase::Closed {
            self.status("BYE", Code::TryLater, text);
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

    fn status(&mut self, word: &str, code: Code, text: &str) {
        self.out.extend_from_slice(word.as_bytes());
        self.out.extend_from_slice(code.shown().as_bytes());
        if !text.is_empty() {
            self.out.extend_from_slice(b" ");
            // Clients in use end a text at its first quote, escaped or not.
            match text.contains(['"', '\\']) {
                true => self.literal(text.as_bytes()),
                false => self.string(text),
            }
        }
        self.out.extend_from_slice(b"\r\n");
    }

    /// Quoted where that can be, else a literal (RFC 5804 §4).
    fn string(&mut self, text: &str) {
        let is_plain = text.len() <= 1024 && !text.contains(['\r', '\n', '\0']);
        if !is_plain {
            return self.literal(text.as_bytes());
        }
        let escaped = text.replace('\\', "\\\\").replace('"', "\\\"");
        self.out.extend_from_slice(format!("\"{escaped}\"").as_bytes());
    }

    fn literal(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(format!("{{{}}}\r\n", octets.len()).as_bytes());
        self.out.extend_from_slice(octets);
    }

    /// RFC 5804 §1.7.
    fn capabilities(&mut self, text: &str) {
        let Options { offers_tls, mechanisms, extensions, notify, redirects, .. } =
            self.options.clone();
        let sasl = match self.login_allowed() {
            true => mechanisms.join(" "),
            false => String::new(),
        };
        let mut pairs = vec![
            ("IMPLEMENTATION", Some("Posthaste".to_owned())),
            ("SIEVE", Some(extensions.join(" "))),
            ("NOTIFY", Some(notify.join(" "))),
            ("SASL", Some(sasl)),
            ("MAXREDIRECTS", Some(redirects.to_string())),
            ("VERSION", Some("1.0".to_owned())),
            ("UNAUTHENTICATE", None),
        ];
        if self.tls.is_none() && offers_tls {
            pairs.push(("STARTTLS", None));
        }
        if let Some(user) = &self.user {
            pairs.push(("OWNER", Some(user.clone())));
        }
        for (name, value) in pairs {
            self.string(name);
            if let Some(value) = value {
                self.out.extend_from_slice(b" ");
                self.string(&value);
            }
            self.out.extend_from_slice(b"\r\n");
        }
        self.status("OK", Code::Plain, text);
    }

    fn login_allowed(&self) -> bool {
        self.tls.is_some() || self.options.cleartext_login
    }

    fn wrong(&mut self, text: &str) {
        self.errors += 1;
        if self.errors >= MANAGESIEVE_ERRORS {
            self.bye("too many errors");
        } else {
            self.no(Code::Plain, text);
        }
    }

    fn most(&self) -> usize {
        match self.user {
            Some(_) => MANAGESIEVE_SCRIPT + MANAGESIEVE_LINE,
            None => MANAGESIEVE_STRANGER,
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Option<Event> {
        if self.phase == Phase::Response {
            return self.response(bytes);
        }
        // A line with nothing in it is passed over.
        if bytes.iter().all(u8::is_ascii_whitespace) {
            return None;
        }
        match parse(bytes) {
            Ok(command) => self.command(command),
            Err(why) => {
                self.wrong(why);
                None
            }
        }
    }

    fn response(&mut self, bytes: &[u8]) -> Option<Event> {
        self.phase = Phase::Sasl;
        match parse_string(bytes) {
            // RFC 5804 §2.1: "*" gives up.
            Ok(text) if text == b"*" => {
                self.no(Code::Plain, "the exchange was given up");
                Some(Event::AuthCancelled)
            }
            Ok(text) => match STANDARD.decode(text) {
                Ok(data) => Some(Event::Response(Secret::new(data))),
                Err(_) => {
                    self.wrong("that is not base64");
                    Some(Event::AuthCancelled)
                }
            },
            Err(why) => {
                self.wrong(why);
                Some(Event::AuthCancelled)
            }
        }
    }

    fn command(&mut self, command: Command) -> Option<Event> {
        match (command, self.user.is_some()) {
            (Command::Logout, _) => {
                self.status("OK", Code::Plain, "goodbye");
                self.close();
            }
            (Command::Capability, _) => self.capabilities("that is all"),
            (Command::Noop(None), _) => self.ok("nothing was done"),
            (Command::Noop(Some(tag)), _) => {
                // RFC 5804 §2.13: the tag comes back.
                self.out.extend_from_slice(b"OK (TAG ");
                self.string(&tag);
                self.out.extend_from_slice(b") ");
                self.string("done");
                self.out.extend_from_slice(b"\r\n");
            }
            (Command::StartTls, false) => {
                if self.tls.is_some() || !self.options.offers_tls {
                    self.wrong("there is no TLS to begin here");
                    return None;
                }
                self.status("OK", Code::Plain, "begin TLS now");
                // RFC 5804 §2.2: what was sent along in the clear does not count.
                self.input.clear();
                self.phase = Phase::Handshake;
                return Some(Event::StartTls);
            }
            (Command::Authenticate(mechanism, initial), false) => {
                return self.authenticate(mechanism, initial);
            }
            (Command::Unauthenticate, true) => {
                self.user = None;
                self.ok("nobody is logged in");
            }
            (Command::StartTls | Command::Authenticate(..), true) => {
                self.wrong("somebody has logged in already");
            }
            (_, false) => self.wrong("log in first"),
            (command, true) => {
                self.phase = Phase::Agent;
                return Some(Event::Command(command));
            }
        }
        None
    }

    fn authenticate(
        &mut self,
        mechanism: String,
        initial: Option<Secret<Vec<u8>>>,
    ) -> Option<Event> {
        if !self.login_allowed() {
            self.no(Code::EncryptNeeded, "logins are taken under TLS only; say STARTTLS first");
            return None;
        }
        if !self.options.mechanisms.contains(&mechanism) {
            self.wrong("that mechanism is not offered");
            return None;
        }
        let decoded = initial.map(|text| STANDARD.decode(text.reveal()));
        let initial = match decoded {
            None => None,
            Some(Ok(data)) => Some(Secret::new(data)),
            Some(Err(_)) => {
                self.wrong("that is not base64");
                return None;
            }
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
        self.answered();
    }

    fn expire(&mut self, now: Tick) {
        if self.deadline().is_some_and(|at| at <= now) {
            self.bye("nothing was said for too long");
        }
    }

    fn poll(&mut self) -> Option<Event> {
        while matches!(self.phase, Phase::Command | Phase::Response)
            && self.out.len() < MANAGESIEVE_OUTPUT
        {
            match frame(&self.input, self.most()) {
                Frame::More => break,
                Frame::Broken(why) => self.bye(why),
                Frame::Whole(length) => {
                    let bytes = self.input.split_to(length);
                    if let Some(event) = self.take(&bytes) {
                        return Some(event);
                    }
                }
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
        let wait = if self.user.is_some() { MANAGESIEVE_AUTOLOGOUT } else { MANAGESIEVE_LOGIN };
        matches!(self.phase, Phase::Command | Phase::Response | Phase::Handshake)
            .then(|| self.heard.after(wait))
    }

    fn wants_input(&self) -> bool {
        matches!(self.phase, Phase::Command | Phase::Response)
            && self.input.len() <= self.most() + MANAGESIEVE_LINE
            && self.out.len() < MANAGESIEVE_OUTPUT
    }

    fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }
}

impl Server {
    /// RFC 5804 §2.2: after STARTTLS the server tells its capabilities anew, unasked. To be called
    /// once the mechanisms for the secured connection are set.
    pub fn greet_again(&mut self) {
        self.capabilities("TLS is in place");
    }
}
