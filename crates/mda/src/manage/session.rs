//! One ManageSieve session.

use mailbox::AccountId;
use net::Driver;
use net::listen::Accepted;
use protocol::ipc::LoginAnswer;
use protocol::managesieve::{Code, Command, Event, Options, Server};
use protocol::secret::Secret;
use service::login::Unavailable;

use super::Management;
use crate::retrieve::{Beginning, Turned, Visitor};
use crate::rules::{Shelf, ShelfError};

/// A session.
pub(super) struct Session {
    management: Management,
    visitor: Visitor,
    driver: Driver<Server>,
    /// Set by the login.
    account: Option<AccountId>,
    failures: u32,
}

impl Session {
    /// Greets.
    pub(super) async fn begin(management: Management, accepted: Accepted) -> Option<Session> {
        let shared = &management.shared;
        let entered = (accepted.stream, accepted.peer);
        let (visitor, stream, _) =
            Visitor::enter(shared, "managesieve", entered, Beginning::Clear).await?;
        let options = Options {
            offers_tls: shared.tls.is_some(),
            cleartext_login: visitor.cleartext,
            mechanisms: visitor.mechanisms(None),
            extensions: sieve::EXTENSIONS.iter().map(|name| (*name).to_owned()).collect(),
            notify: vec!["mailto".to_owned()],
            redirects: sieve::limits::REDIRECTS,
        };
        let machine = Server::new(shared.clock.tick(), options);
        let driver = Driver::new(machine, stream, &shared.clock, &shared.stop);
        Some(Session { visitor, driver, account: None, failures: 0, management })
    }

    /// Serves until either side ends it.
    pub(super) async fn run(mut self) {
        let drain = self.management.shared.drain.clone();
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
            Event::Auth(mechanism, initial) => self.exchange(mechanism, initial).await,
            Event::Command(command) => self.execute(command).await,
            Event::Response(_) | Event::AuthCancelled | Event::Closed => {}
        }
    }

    async fn start_tls(&mut self) {
        let Some(server) = self.management.shared.tls.clone() else { return };
        if let Err(error) = self.driver.accept_tls(&server).await {
            tracing::debug!(%error, "no TLS after STARTTLS");
            return;
        }
        let offered = self.visitor.mechanisms(self.driver.machine().tls());
        self.driver.machine().set_mechanisms(offered);
        self.driver.machine().greet_again();
    }

    async fn exchange(&mut self, mechanism: String, initial: Option<Secret<Vec<u8>>>) {
        let door = self.visitor.door(self.driver.machine().tls());
        let logins = self.management.shared.logins.clone();
        let initial = initial.as_ref().map(|secret| secret.reveal().as_slice());
        let mut answer = logins.start(&door, &mechanism, initial).await;
        while let Ok(LoginAnswer::Challenge { exchange, data }) = &answer {
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
        self.decided(answer);
    }

    fn decided(&mut self, answer: Result<LoginAnswer, Unavailable>) {
        let facts = self.driver.machine().tls().cloned();
        match self.visitor.decided(&self.management.shared, answer, facts.as_ref()) {
            Ok(known) => {
                self.account = Some(known.account);
                self.driver.machine().login(Ok(&known.address));
            }
            Err(turned) => {
                let code = match turned {
                    Turned::Wait(_) | Turned::Away => Code::TryLater,
                    Turned::Wrong | Turned::Malformed(_) => Code::Plain,
                };
                self.driver.machine().login(Err((code, &turned.to_string())));
                self.failures += 1;
                if self.failures >= FAILURES {
                    self.driver.machine().bye("too many failed logins");
                }
            }
        }
    }

    async fn execute(&mut self, command: Command) {
        let Some(account) = self.account.clone() else {
            return self.driver.machine().no(Code::Plain, "log in first");
        };
        let shelf = self.management.rules.shelf.clone();
        // The disk may take its time; other sessions go on.
        let work = move || carry_out(&shelf, &account, command);
        let done = tokio::task::spawn_blocking(work).await;
        let machine = self.driver.machine();
        match done {
            Ok(Ok(Done::Plainly)) => machine.ok(""),
            Ok(Ok(Done::Script(text))) => machine.script(&text),
            Ok(Ok(Done::Scripts(list))) => {
                machine.list(list.iter().map(|(name, active)| (name.as_str(), *active)));
            }
            Ok(Err(error)) => machine.no(code(&error), &error.to_string()),
            Err(error) => {
                tracing::error!(%error, "a script could not be looked after");
                machine.no(Code::TryLater, "that did not work, try again later");
            }
        }
    }
}

/// What a command came to.
enum Done {
    Plainly,
    Script(Vec<u8>),
    Scripts(Vec<(String, bool)>),
}

fn carry_out(shelf: &Shelf, account: &AccountId, command: Command) -> Result<Done, ShelfError> {
    match command {
        Command::HaveSpace(name, size) => shelf.has_room(account, &name, size)?,
        Command::PutScript(name, text) => shelf.put(account, &name, &text)?,
        Command::CheckScript(text) => {
            sieve::compile_text(&text).map_err(ShelfError::Faulty)?;
        }
        Command::ListScripts => {
            let active = shelf.active_name(account)?;
            let scripts = shelf.list(account)?.into_iter();
            let scripts = scripts.map(|(name, _)| {
                let is_active = active.as_ref() == Some(&name);
                (name, is_active)
            });
            return Ok(Done::Scripts(scripts.collect()));
        }
        // RFC 5804 §2.8: an empty name is none.
        Command::SetActive(name) => {
            shelf.activate(account, (!name.is_empty()).then_some(name.as_str()))?;
        }
        Command::GetScript(name) => return Ok(Done::Script(shelf.get(account, &name)?)),
        Command::DeleteScript(name) => shelf.delete(account, &name)?,
        Command::RenameScript(old, new) => shelf.rename(account, &old, &new)?,
        // The machine has answered the others.
        Command::Authenticate(..)
        | Command::StartTls
        | Command::Logout
        | Command::Capability
        | Command::Noop(_)
        | Command::Unauthenticate => {}
    }
    Ok(Done::Plainly)
}

fn code(error: &ShelfError) -> Code {
    match error {
        ShelfError::Missing => Code::NonExistent,
        ShelfError::Exists => Code::AlreadyExists,
        ShelfError::IsActive => Code::Active,
        ShelfError::TooMany => Code::MaxScripts,
        ShelfError::TooLarge => Code::MaxSize,
        ShelfError::Disk(error) => {
            tracing::error!(%error, "a script could not be looked after");
            Code::TryLater
        }
        ShelfError::BadName | ShelfError::Faulty(_) => Code::Plain,
    }
}

/// Failed logins after which a session ends.
const FAILURES: u32 = 3;
