//! One POP3 session.

use mailbox::{Error, FlagChange, Flags, How, Letter, Mailbox, MailboxName, UidSet};
use message::header;
use net::Driver;
use net::listen::Accepted;
use protocol::machine::Machine as _;
use protocol::pop3::{Code, Command, Event, Options, Server};
use protocol::secret::Secret;
use service::trail;

use super::{Held, Pop3};
use crate::retrieve::content::header_of;
use crate::retrieve::doorkeeper::{Beginning, Known, Turned, Visitor};
use crate::retrieve::fetch::journey_of;
use crate::retrieve::limits;

/// A session.
pub(super) struct Session {
    pop3: Pop3,
    visitor: Visitor,
    driver: Driver<Server>,
    /// Set by the login.
    open: Option<Open>,
    failures: u32,
}

/// The mailbox of who has logged in.
struct Open {
    known: Known,
    mailbox: Mailbox,
    uid_validity: u32,
    /// The letters when the session began, in the order of their numbers.
    letters: Vec<Numbered>,
    _held: Held,
}

/// A letter with its number, which is its place.
struct Numbered {
    letter: Letter,
    deleted: bool,
    read: bool,
}

impl Session {
    /// Greets. `None`: there was no TLS where there should be.
    pub(super) async fn begin(
        pop3: Pop3,
        accepted: Accepted,
        beginning: Beginning,
    ) -> Option<Session> {
        let shared = &pop3.shared;
        let entered = (accepted.stream, accepted.peer);
        let (visitor, stream, tls) = Visitor::enter(shared, "pop3", entered, beginning).await?;
        let options = Options {
            hostname: shared.config.current().hostname().to_string(),
            offers_tls: shared.tls.is_some(),
            cleartext_login: visitor.cleartext,
            mechanisms: visitor.mechanisms(tls.as_ref()),
            tls,
        };
        let machine = Server::new(shared.clock.tick(), options);
        let driver = Driver::new(machine, stream, &shared.clock, &shared.stop);
        Some(Session { visitor, driver, open: None, failures: 0, pop3 })
    }

    /// Serves until either side ends it.
    pub(super) async fn run(mut self) {
        let drain = self.pop3.shared.drain.clone();
        let mut is_leaving = false;
        loop {
            let event = tokio::select! {
                biased;
                event = self.driver.next() => event,
                () = drain.cancelled(), if !is_leaving => {
                    is_leaving = true;
                    self.driver.machine().bye("the server is stopping; come back in a moment");
                    continue;
                }
            };
            match event {
                Some(event) => self.obey(event).await,
                None => return,
            }
        }
    }

    async fn obey(&mut self, event: Event) {
        match event {
            Event::StartTls => self.start_tls().await,
            Event::Login(user, password) => self.password(&user, &password).await,
            Event::Auth(mechanism, initial) => self.exchange(mechanism, initial).await,
            Event::Command(command) => self.execute(command).await,
            Event::Quit => self.update().await,
            Event::Response(_) | Event::AuthCancelled | Event::Closed => {}
        }
    }

    async fn start_tls(&mut self) {
        let Some(server) = self.pop3.shared.tls.clone() else { return };
        if let Err(error) = self.driver.accept_tls(&server).await {
            tracing::debug!(%error, "no TLS after STLS");
            return;
        }
        let offered = self.visitor.mechanisms(self.driver.machine().tls());
        self.driver.machine().set_mechanisms(offered);
    }

    async fn password(&mut self, user: &str, password: &Secret<Vec<u8>>) {
        let door = self.visitor.door(self.driver.machine().tls());
        let logins = &self.pop3.shared.logins;
        let answer = match std::str::from_utf8(password.reveal()) {
            Ok(password) => logins.password(&door, user, password).await,
            Err(_) => Ok(protocol::ipc::LoginAnswer::Refused),
        };
        if let Ok(protocol::ipc::LoginAnswer::Challenge { exchange, .. }) = &answer {
            logins.cancel(*exchange).await;
        }
        self.decided(answer).await;
    }

    async fn exchange(&mut self, mechanism: String, initial: Option<Secret<Vec<u8>>>) {
        let door = self.visitor.door(self.driver.machine().tls());
        let logins = self.pop3.shared.logins.clone();
        let initial = initial.as_ref().map(|secret| secret.reveal().as_slice());
        let mut answer = logins.start(&door, &mechanism, initial).await;
        while let Ok(protocol::ipc::LoginAnswer::Challenge { exchange, data }) = &answer {
            let exchange = *exchange;
            self.driver.machine().challenge(&data.0);
            match self.driver.next().await {
                Some(Event::Response(response)) => {
                    answer = logins.step(exchange, response.reveal()).await;
                }
                // Given up, and told so; or gone.
                _ => return logins.cancel(exchange).await,
            }
        }
        self.decided(answer).await;
    }

    async fn decided(
        &mut self,
        answer: Result<protocol::ipc::LoginAnswer, service::login::Unavailable>,
    ) {
        let facts = self.driver.machine().tls().cloned();
        let outcome = match self.visitor.decided(&self.pop3.shared, answer, facts.as_ref()) {
            Ok(known) => self.open(known).await,
            Err(turned) => {
                let code = match turned {
                    Turned::Wrong => Code::Auth,
                    Turned::Malformed(_) => Code::Plain,
                    Turned::Wait(_) => Code::LoginDelay,
                    Turned::Away => Code::Temporary,
                };
                Err((code, turned.to_string()))
            }
        };
        match outcome {
            Ok(text) => self.driver.machine().login(Ok(&text)),
            Err((code, text)) => {
                self.driver.machine().login(Err((code, &text)));
                self.failures += 1;
                if self.failures >= limits::LOGIN_FAILURES {
                    self.driver.machine().bye("too many failed logins");
                }
            }
        }
    }

    /// Takes the lock and looks at what is there.
    async fn open(&mut self, known: Known) -> Result<String, (Code, String)> {
        let Some(held) = self.pop3.lock(&known.account) else {
            let text = "another POP3 session has the mailbox; try again when it is over";
            return Err((Code::InUse, text.to_owned()));
        };
        let shared = &self.pop3.shared;
        let opened = shared.mailboxes.open_by_name(&known.account, &MailboxName::inbox()).await;
        let mailbox = opened.map_err(|error| (Code::Temporary, error.to_string()))?;
        shared.look(&mailbox).await;
        let view = mailbox.view();
        let letters =
            view.letters().map(|letter| Numbered { letter: *letter, deleted: false, read: false });
        let letters: Vec<Numbered> = letters.collect();
        let text = format!("{} letters", letters.len());
        let uid_validity = view.uid_validity();
        self.open = Some(Open { known, mailbox, uid_validity, letters, _held: held });
        Ok(text)
    }

    async fn execute(&mut self, command: Command) {
        let Some(open) = &mut self.open else {
            return self.driver.machine().no(Code::Plain, "log in first");
        };
        let machine = self.driver.machine();
        match command {
            Command::Stat => {
                let (count, octets) = open.totals();
                machine.ok(&format!("{count} {octets}"));
            }
            Command::List(None) => {
                let (count, octets) = open.totals();
                machine.begin_lines(&format!("{count} letters, {octets} octets"));
                for (number, one) in open.present() {
                    machine.one_line(&format!("{number} {}", one.letter.size));
                }
                machine.end_lines();
            }
            Command::Uidl(None) => {
                machine.begin_lines("unique names follow");
                for (number, one) in open.present() {
                    machine.one_line(&format!("{number} {}", open.unique(one)));
                }
                machine.end_lines();
            }
            Command::List(Some(number)) => match open.one(number) {
                Some(one) => machine.ok(&format!("{number} {}", one.letter.size)),
                None => machine.no(Code::Plain, GONE),
            },
            Command::Uidl(Some(number)) => match open.one(number) {
                Some(one) => machine.ok(&format!("{number} {}", open.unique(one))),
                None => machine.no(Code::Plain, GONE),
            },
            Command::Dele(number) => match open.one_mut(number) {
                Some(one) => {
                    one.deleted = true;
                    machine.ok("it goes when you say QUIT");
                }
                None => machine.no(Code::Plain, GONE),
            },
            Command::Rset => {
                open.letters.iter_mut().for_each(|one| one.deleted = false);
                let (count, octets) = open.totals();
                machine.ok(&format!("{count} letters, {octets} octets"));
            }
            Command::Noop => machine.ok("here"),
            Command::Retr(number) => self.send(number, None).await,
            Command::Top(number, lines) => self.send(number, Some(lines)).await,
            // The machine has no others in this state.
            _ => machine.no(Code::Plain, "that cannot be said now"),
        }
        self.pace().await;
    }

    /// RETR and TOP: the letter, or its header and so many lines of its body.
    async fn send(&mut self, number: u32, lines: Option<u32>) {
        let Some(open) = &mut self.open else { return };
        let Some(one) = open.one_mut(number) else {
            return self.driver.machine().no(Code::Plain, GONE);
        };
        let letter = one.letter;
        let content = match open.mailbox.content(&letter) {
            Ok(content) => content,
            Err(Error::NoSuchLetter) => {
                let text = "another session has removed that letter";
                return self.driver.machine().no(Code::Plain, text);
            }
            Err(error) => {
                return self.driver.machine().no(Code::Temporary, &error.to_string());
            }
        };
        let Ok(header) = header_of(&content) else {
            return self.driver.machine().no(Code::Temporary, "the letter cannot be read now");
        };
        if lines.is_none() {
            if let Some(one) = self.open.as_mut().and_then(|open| open.one_mut(number)) {
                one.read = true;
            }
            self.record(&letter, &header);
        }
        let machine = self.driver.machine();
        machine.begin_lines(&format!("{} octets", letter.size));
        machine.piece(&header);
        if header::length(&header) == header.len() && !ends_blank(&header) {
            // A letter that is nothing but a header still has an end of it.
            machine.piece(b"\r\n");
        }
        let mut at = header.len() as u64;
        let mut left = lines.map(u64::from);
        while at < content.size() && left != Some(0) && !self.driver.machine().is_closed() {
            let Ok(chunk) = content.read(at, limits::BODY_CHUNK) else {
                // Half a letter must not look like a whole one.
                self.driver.machine().bye("the letter cannot be read to its end");
                return;
            };
            if chunk.is_empty() {
                break;
            }
            at += chunk.len() as u64;
            let end = match &mut left {
                None => chunk.len(),
                Some(left) => first_lines(&chunk, left),
            };
            self.driver.machine().piece(chunk.get(..end).unwrap_or_default());
            self.pace().await;
        }
        self.driver.machine().end_lines();
    }

    /// Lets the client read what it has been sent, if that is much.
    async fn pace(&mut self) {
        if self.driver.machine().pending_output() > limits::OUTPUT {
            self.driver.drain(limits::OUTPUT).await;
        }
    }

    /// QUIT: what was marked goes now, and is gone on disk before the answer (RFC 1939 §6).
    async fn update(&mut self) {
        let Some(open) = self.open.take() else {
            return self.driver.machine().goodbye(Ok("goodbye"));
        };
        let uids = |wanted: fn(&Numbered) -> bool| {
            let mut uids = UidSet::new();
            let chosen = open.letters.iter().filter(|one| wanted(one));
            chosen.for_each(|one| uids.insert(one.letter.uid));
            uids
        };
        let store = &self.pop3.shared.mailboxes;
        let flag = |uids: UidSet, flags: Flags| {
            let keywords = Vec::new();
            let change = FlagChange { uids, how: How::Add, flags, keywords, unchanged_since: None };
            store.change_flags(&open.mailbox, change)
        };
        let read = uids(|one| one.read && !one.deleted);
        if !read.is_empty()
            && let Err(error) = flag(read, Flags::SEEN).await
        {
            tracing::debug!(%error, "letters were not marked as seen");
        }
        let deleted = uids(|one| one.deleted);
        let count = deleted.len();
        let mut outcome = Ok(());
        if !deleted.is_empty() {
            outcome = flag(deleted.clone(), Flags::DELETED).await.map(drop);
            if outcome.is_ok() {
                outcome = store.expunge(&open.mailbox, deleted).await.map(drop);
            }
        }
        let machine = self.driver.machine();
        match outcome {
            Ok(()) => machine.goodbye(Ok(&format!("{count} letters deleted"))),
            Err(error) => {
                machine.goodbye(Err(&format!("[SYS/TEMP] some letters are not deleted: {error}")));
            }
        }
    }

    fn record(&mut self, letter: &Letter, header: &[u8]) {
        let (Some(open), Some(journey)) = (&self.open, journey_of(header)) else { return };
        let mut event = trail::Event::new(trail::Kind::Retrieved, journey)
            .bytes(u64::from(letter.size))
            .to(&open.known.address);
        if let Some(ip) = self.visitor.ip {
            event = event.peer(ip);
        }
        if self.driver.machine().tls().is_some() {
            event = event.encrypted();
        }
        self.pop3.shared.trail.record(event);
    }
}

impl Open {
    /// Letters that are not marked as deleted, with their numbers.
    fn present(&self) -> impl Iterator<Item = (usize, &Numbered)> {
        self.letters
            .iter()
            .enumerate()
            .filter(|(_, one)| !one.deleted)
            .map(|(at, one)| (at + 1, one))
    }

    fn totals(&self) -> (usize, u64) {
        let sizes = self.present().map(|(_, one)| u64::from(one.letter.size));
        sizes.fold((0, 0), |(count, octets), size| (count + 1, octets + size))
    }

    fn one(&self, number: u32) -> Option<&Numbered> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.letters.get(place).filter(|one| !one.deleted)
    }

    fn one_mut(&mut self, number: u32) -> Option<&mut Numbered> {
        let place = usize::try_from(number).ok()?.checked_sub(1)?;
        self.letters.get_mut(place).filter(|one| !one.deleted)
    }

    /// RFC 1939 §7: a name that stays the letter's for ever, whatever the session.
    fn unique(&self, one: &Numbered) -> String {
        format!("{:08x}{:08x}", self.uid_validity, one.letter.uid)
    }
}

/// Octets of the first lines of a chunk; `left` is counted down.
fn first_lines(chunk: &[u8], left: &mut u64) -> usize {
    let mut end = 0;
    while *left > 0 {
        let rest = chunk.get(end..).unwrap_or_default();
        match rest.iter().position(|octet| *octet == b'\n') {
            Some(at) => {
                end += at + 1;
                *left -= 1;
            }
            None => return chunk.len(),
        }
    }
    end
}

fn ends_blank(header: &[u8]) -> bool {
    [&b"\r\n"[..], b"\n"].iter().any(|blank| {
        header
            .strip_suffix(*blank)
            .is_some_and(|before| before.is_empty() || before.ends_with(b"\n"))
    })
}

const GONE: &str = "there is no such letter";
