//! A logged-in IMAP session: one command after the other, each with all that the server said to
//! it. Large bodies are put together again up to a bound. Works with IMAP4rev1 servers and later.

use bytes::BytesMut;
use net::{Driver, connect};
use protocol::imap::client::{Client, Event, Greeting};
use protocol::imap::code::{Code, ConditionCode};
use protocol::imap::command::{
    Append, Command, LiteralHeader, LiteralKind, LiteralSync, MessageForm,
};
use protocol::imap::date::DateTime;
use protocol::imap::fetch::{Content, FetchData};
use protocol::imap::flag::Flag;
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::{Condition, StatusText, Untagged};
use protocol::sasl::ChannelBinding;
use protocol::secret::Secret;

use super::{Desk, Dialled, handshake_failure};
use crate::account::{Security, Server};
use crate::failure::{Failure, Kind};
use crate::limits::{CONNECT, GOODBYE, MAX_LETTER, SEND_AHEAD};
use crate::show::safe;

/// What a server said to a command that it obeyed.
#[derive(Debug, Default)]
pub struct Said {
    /// All data, asked for or not, in order.
    pub data: Vec<Untagged>,
    /// The OK.
    pub done: StatusText,
}

/// A session, logged in.
pub struct Imap<'a> {
    desk: &'a Desk,
    server: Server,
    driver: Driver<Client>,
}

impl<'a> Imap<'a> {
    /// Connects and logs in.
    ///
    /// # Errors
    /// No connection, no TLS, or the login is refused.
    pub async fn open(desk: &'a Desk) -> Result<Self, Failure> {
        let server = desk.account.imap.clone();
        if server.security == Security::Socket {
            return Self::open_socket(desk, server).await;
        }
        let Dialled { stream, tls, name, mut binding } = desk.dial(&server).await?;
        let machine = Client::new(desk.clock.tick());
        let driver = Driver::new(machine, stream, &desk.clock, &desk.cancel);
        let mut session = Imap { desk, server, driver };
        let greeting = session.greeting().await?;
        if session.server.security == Security::StartTls {
            // RFC 9051 §11.1 (and RFC 8314): PREAUTH before TLS would keep us from asking for it.
            if greeting == Greeting::PreAuth {
                return Err(Failure::no(format!("{} offers no STARTTLS", session.server)));
            }
            session.run(&Command::StartTls).await?;
            let begun = session.driver.connect_tls(&tls, &name).await;
            begun.map_err(|error| handshake_failure(&session.server, &error))?;
            if let Some(facts) = session.driver.machine().tls() {
                binding = ChannelBinding::of(facts);
            }
        }
        if greeting != Greeting::PreAuth {
            session.log_in(&binding).await?;
        }
        Ok(session)
    }

    /// Over a Unix socket: who asks is known from outside, EXTERNAL names the account (RFC 4422
    /// appendix A).
    async fn open_socket(desk: &'a Desk, server: Server) -> Result<Self, Failure> {
        let path = std::path::Path::new(&server.host);
        let stream = connect::unix(path, CONNECT, &desk.clock)
            .await
            .map_err(|error| Failure::try_again(format!("cannot connect to {server}: {error}")))?;
        let driver = Driver::new(Client::new(desk.clock.tick()), stream, &desk.clock, &desk.cancel);
        let mut session = Imap { desk, server, driver };
        if session.greeting().await? != Greeting::PreAuth {
            let initial = Some(Secret::new(desk.account.user.clone().into_bytes()));
            let mechanism = "EXTERNAL".to_owned();
            session.login_outcome(&Command::Authenticate { mechanism, initial }, None).await?;
        }
        Ok(session)
    }

    async fn greeting(&mut self) -> Result<Greeting, Failure> {
        loop {
            match self.next().await? {
                Event::Greeting(Greeting::Bye, text) => {
                    let said = safe::line(&text.text);
                    return Err(Failure::try_again(format!("{} says: {said}", self.server)));
                }
                Event::Greeting(greeting, _) => return Ok(greeting),
                _ => {}
            }
        }
    }

    async fn log_in(&mut self, binding: &ChannelBinding) -> Result<(), Failure> {
        if self.driver.machine().capabilities().is_empty() {
            self.run(&Command::Capability).await?;
        }
        let offered: Vec<String> = self.driver.machine().mechanisms().map(str::to_owned).collect();
        let login_disabled = self.has("LOGINDISABLED");
        if offered.is_empty() && !login_disabled {
            // RFC 9051 §6.2.3: LOGIN is there unless the server says otherwise.
            let command = Command::Login {
                user: self.desk.account.user.clone().into_bytes(),
                password: Secret::new(self.desk.password().await?.reveal().clone().into_bytes()),
            };
            return self.login_outcome(&command, None).await;
        }
        let (mechanism, mut exchange) = self.desk.sasl(&offered, binding).await?;
        let initial = if self.has("SASL-IR") { exchange.initial().map(Secret::new) } else { None };
        let command = Command::Authenticate { mechanism: mechanism.name().to_owned(), initial };
        self.login_outcome(&command, Some(exchange)).await
    }

    async fn login_outcome(
        &mut self,
        command: &Command,
        mut exchange: Option<protocol::sasl::Client>,
    ) -> Result<(), Failure> {
        self.send(command)?;
        loop {
            match self.next().await? {
                Event::Challenge(challenge) => {
                    let response = exchange.as_mut().map(|one| one.respond(&challenge));
                    match response {
                        Some(Ok(response)) => {
                            self.driver.machine().respond(&Secret::new(response));
                        }
                        _ => self.driver.machine().cancel(),
                    }
                }
                Event::Done(Condition::Ok, _) => {
                    // RFC 5802 §5.1: a server that did not prove itself is not believed.
                    let proven = exchange.is_none_or(|one| one.finish(None).is_ok());
                    return if proven {
                        Ok(())
                    } else {
                        Err(Failure::not_allowed(format!(
                            "{} did not prove that it knows the password; nothing was read",
                            self.server
                        )))
                    };
                }
                Event::Done(_, text) => return Err(self.login_refused(&text)),
                _ => {}
            }
        }
    }

    fn login_refused(&self, text: &StatusText) -> Failure {
        let said = safe::line(&text.text);
        let (server, user) = (&self.server, &self.desk.account.user);
        match text.code {
            // RFC 5530 §3.
            Some(Code::Condition(ConditionCode::Unavailable)) => {
                Failure::try_again(format!("{server} cannot check logins now: {said}"))
            }
            _ => Failure::not_allowed(format!("{server} refused the login of {user}: {said}")),
        }
    }

    /// Whether the server announced a capability.
    pub fn has(&mut self, capability: &str) -> bool {
        self.driver.machine().has_capability(capability)
    }

    /// The capabilities after the login; asks when the server did not tell.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn know_capabilities(&mut self) -> Result<(), Failure> {
        if self.driver.machine().capabilities().is_empty() {
            self.run(&Command::Capability).await?;
        }
        Ok(())
    }

    /// Sends a command and waits for its end.
    ///
    /// # Errors
    /// The server said NO or BAD, or the connection failed.
    pub async fn run(&mut self, command: &Command) -> Result<Said, Failure> {
        self.send(command)?;
        self.finish(command.name(), None).await
    }

    /// Adds a letter to a mailbox.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn append(
        &mut self,
        mailbox: &MailboxName,
        flags: &[Flag],
        letter: &[u8],
    ) -> Result<Said, Failure> {
        self.append_dated(mailbox, (flags, None), letter).await
    }

    /// The same with an internal date to keep.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn append_dated(
        &mut self,
        mailbox: &MailboxName,
        (flags, date): (&[Flag], Option<DateTime>),
        letter: &[u8],
    ) -> Result<Said, Failure> {
        let size = u64::try_from(letter.len()).unwrap_or(u64::MAX);
        // RFC 3516 §4.4: a letter with NUL in it needs the other kind of literal.
        let kind = match self.has("BINARY") && letter.contains(&0) {
            true => LiteralKind::Literal8,
            false => LiteralKind::Text,
        };
        let literal = LiteralHeader { size, sync: LiteralSync::Synchronizing, kind };
        let append = Append {
            mailbox: mailbox.clone(),
            flags: flags.to_vec(),
            date,
            literal,
            form: MessageForm::Plain,
            replaces: None,
        };
        self.send(&Command::Append(append))?;
        self.finish("APPEND", Some(letter)).await
    }

    /// Idles until the server says something new, or `wait` is over; gives what it said.
    ///
    /// # Errors
    /// As [`run`](Self::run).
    pub async fn idle(&mut self, wait: std::time::Duration) -> Result<Said, Failure> {
        self.send(&Command::Idle)?;
        let until = self.desk.clock.tick().after(wait);
        let mut data = Vec::new();
        loop {
            let left = until.since(self.desk.clock.tick());
            let Ok(event) = self.desk.clock.timeout(left, self.driver.next()).await else { break };
            match event {
                Some(Event::Untagged(untagged)) => {
                    let is_news = matches!(
                        untagged,
                        Untagged::Exists(_) | Untagged::Expunge(_) | Untagged::Fetch { .. }
                    );
                    data.push(untagged);
                    if is_news {
                        break;
                    }
                }
                Some(Event::Done(Condition::Ok, done)) => return Ok(Said { data, done }),
                Some(Event::Done(_, text)) => return Err(self.refused("IDLE", &text)),
                Some(_) => {}
                None => return Err(self.closed()),
            }
        }
        self.driver.machine().idle_done();
        let mut said = self.finish("IDLE", None).await?;
        data.append(&mut said.data);
        Ok(Said { data, done: said.done })
    }

    /// Says goodbye; waits a little, not for long.
    pub async fn close(mut self) {
        if self.send(&Command::Logout).is_ok() {
            let leaving = async { while self.driver.next().await.is_some() {} };
            // The server may just hang up: nothing is lost.
            let _ = self.desk.clock.timeout(GOODBYE, leaving).await;
        }
    }

    fn send(&mut self, command: &Command) -> Result<(), Failure> {
        self.driver.machine().send(command).map_err(|_| self.closed())
    }

    /// Everything until the command is over; `letter` is what APPEND sends.
    async fn finish(&mut self, name: &str, letter: Option<&[u8]>) -> Result<Said, Failure> {
        let mut data = Vec::new();
        let mut body = BytesMut::new();
        loop {
            match self.next().await? {
                Event::Untagged(Untagged::Fetch { sequence, data: mut items }) => {
                    put_back(&mut items, &mut body);
                    data.push(Untagged::Fetch { sequence, data: items });
                }
                Event::Untagged(untagged) => data.push(untagged),
                Event::BodyChunk(chunk) => {
                    if body.len() + chunk.len() > MAX_LETTER {
                        return Err(Failure::no(format!(
                            "the letter is larger than the {} MiB that this program reads",
                            MAX_LETTER / 1024 / 1024
                        )));
                    }
                    body.extend_from_slice(&chunk);
                }
                Event::SendMessage => self.push(letter.unwrap_or_default()).await,
                Event::Challenge(_) => self.driver.machine().cancel(),
                Event::Done(Condition::Ok, done) => return Ok(Said { data, done }),
                Event::Done(_, text) => return Err(self.refused(name, &text)),
                Event::Greeting(..) | Event::BodyBegin { .. } | Event::BodyEnd | Event::Idling => {}
            }
        }
    }

    async fn push(&mut self, letter: &[u8]) {
        for piece in letter.chunks(SEND_AHEAD / 4) {
            self.driver.drain(SEND_AHEAD).await;
            self.driver.machine().message_chunk(piece);
        }
        self.driver.machine().message_end();
    }

    async fn next(&mut self) -> Result<Event, Failure> {
        match self.driver.next().await {
            // RFC 9051 §7.1.5: the server goes away, for this reason.
            Some(Event::Untagged(Untagged::Bye(text))) => {
                let said = safe::line(&text.text);
                Err(Failure::try_again(format!("{} closed the connection: {said}", self.server)))
            }
            Some(event) => Ok(event),
            None => Err(self.closed()),
        }
    }

    fn closed(&mut self) -> Failure {
        let why = match self.driver.machine().fault() {
            Some(fault) => safe::line(&fault.to_string()),
            None => "the connection was closed".to_owned(),
        };
        Failure::try_again(format!("{}: {why}", self.server))
    }

    fn refused(&self, name: &str, text: &StatusText) -> Failure {
        let kind = match &text.code {
            Some(Code::Condition(
                ConditionCode::Unavailable | ConditionCode::InUse | ConditionCode::ServerBug,
            )) => Kind::TryAgain,
            Some(Code::Condition(
                ConditionCode::NoPerm
                | ConditionCode::AuthorizationFailed
                | ConditionCode::PrivacyRequired,
            )) => Kind::NotAllowed,
            _ => Kind::No,
        };
        let said = safe::line(&text.text);
        let hint = match &text.code {
            // RFC 9051 §7.1: it would work if the mailbox were there.
            Some(Code::TryCreate) => "; `posthaste mail folders --create NAME` makes a folder",
            _ => "",
        };
        Failure::new(kind, format!("{} refused {name}: {said}{hint}", self.server))
    }
}

/// The body that came in pieces takes its place among the items.
fn put_back(items: &mut [FetchData], body: &mut BytesMut) {
    for item in items {
        let content = match item {
            FetchData::Section { content, .. } | FetchData::Binary { content, .. } => content,
            FetchData::Rfc822(content)
            | FetchData::Rfc822Header(content)
            | FetchData::Rfc822Text(content) => content,
            _ => continue,
        };
        if let Content::Streamed(length) = content {
            let length = usize::try_from(*length).unwrap_or(usize::MAX).min(body.len());
            *content = Content::Inline(body.split_to(length).freeze());
        }
    }
}
