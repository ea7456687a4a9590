//! STARTTLS, LOGIN and AUTHENTICATE (RFC 3501 §6.2). No password is looked at here: `auth` is asked
//! over IPC.

use mailbox::AccountId;
use protocol::imap::server::Event;
use protocol::imap::{ConditionCode, StatusText};
use protocol::ipc::{Granted, LoginAnswer};
use protocol::secret::Secret;
use service::login::{Door, Unavailable};
use service::trail;

use super::failure::{Failure, Outcome};
use super::limits;
use super::session::{Entry, LOCAL_MECHANISM, Session, User, door, mechanisms};

impl Session {
    /// STARTTLS (RFC 3501 §6.2.1).
    pub(super) async fn start_tls(&mut self) {
        let Some(server) = self.shared.tls.clone() else {
            return self.finish("STARTTLS", Err(Failure::bad("there is no TLS here")));
        };
        self.finish("STARTTLS", Ok(StatusText::new("begin TLS now")));
        if let Err(error) = self.driver.accept_tls(&server).await {
            tracing::debug!(%error, "no TLS after STARTTLS");
            return;
        }
        // Channel binding becomes possible, and with it further mechanisms.
        let offered = mechanisms(&self.door());
        self.machine().set_mechanisms(offered);
    }

    fn door(&mut self) -> Door {
        let (config, peer) = (self.shared.config.current(), self.peer);
        door(&config, peer, self.machine().tls())
    }

    /// LOGIN.
    pub(super) async fn login(&mut self, user: Vec<u8>, password: Secret<Vec<u8>>) {
        let door = self.door();
        let answer = match (String::from_utf8(user), std::str::from_utf8(password.reveal())) {
            (Ok(user), Ok(password)) => self.shared.logins.password(&door, &user, password).await,
            // Nobody's name or password is anything but UTF-8.
            _ => Ok(LoginAnswer::Refused),
        };
        let outcome = match answer {
            Ok(LoginAnswer::Challenge { exchange, .. }) => {
                self.shared.logins.cancel(exchange).await;
                Err(Failure::no(ConditionCode::Unavailable, "logins do not work now"))
            }
            other => self.decided(other),
        };
        self.logged_in("LOGIN", outcome);
    }

    /// AUTHENTICATE: challenges and responses go through until `auth` has decided.
    pub(super) async fn authenticate(
        &mut self,
        mechanism: String,
        initial: Option<Secret<Vec<u8>>>,
    ) {
        let outcome = self.exchange(mechanism, initial).await;
        self.logged_in("AUTHENTICATE", outcome);
    }

    /// EXTERNAL at the local socket: the kernel has told who asks, and that user can read every
    /// Maildir anyway. The authorization identity is the account to open (RFC 4422 appendix A.1).
    async fn local_login(&mut self, initial: Option<Secret<Vec<u8>>>) -> Outcome {
        let identity = match initial {
            Some(initial) => initial,
            None => {
                self.driver.machine().challenge(b"");
                match self.driver.next().await {
                    Some(Event::SaslResponse(response)) => response,
                    _ => return Err(Failure::bad("AUTHENTICATE was cancelled")),
                }
            }
        };
        let account = std::str::from_utf8(identity.reveal()).unwrap_or_default().to_owned();
        let snapshot = self.shared.directory.current(self.shared.clock.tick());
        let Some(found) = snapshot.login(&account) else {
            let text = "there is no such account";
            return Err(Failure::no(ConditionCode::AuthorizationFailed, text));
        };
        let account = found.address.to_string();
        self.decided(Ok(LoginAnswer::Granted(Granted {
            account,
            mechanism: LOCAL_MECHANISM.to_owned(),
            app_password: None,
        })))
    }

    async fn exchange(&mut self, mechanism: String, initial: Option<Secret<Vec<u8>>>) -> Outcome {
        if self.entry == Entry::Local && mechanism == LOCAL_MECHANISM {
            return self.local_login(initial).await;
        }
        let door = self.door();
        if !mechanisms(&door).contains(&mechanism) {
            return Err(Failure::no(ConditionCode::Cannot, "that SASL mechanism is not offered"));
        }
        let initial = initial.as_ref().map(|secret| secret.reveal().as_slice());
        let mut answer = self.shared.logins.start(&door, &mechanism, initial).await;
        while let Ok(LoginAnswer::Challenge { exchange, data }) = &answer {
            let exchange = *exchange;
            self.driver.machine().challenge(&data.0);
            match self.driver.next().await {
                Some(Event::SaslResponse(response)) => {
                    answer = self.shared.logins.step(exchange, response.reveal()).await;
                }
                // Cancelled, or the connection is gone.
                _ => {
                    self.shared.logins.cancel(exchange).await;
                    return Err(Failure::bad("AUTHENTICATE was cancelled"));
                }
            }
        }
        self.decided(answer)
    }

    /// What `auth` decided.
    fn decided(&mut self, answer: Result<LoginAnswer, Unavailable>) -> Outcome {
        match answer {
            Ok(LoginAnswer::Granted(granted)) => {
                let snapshot = self.shared.directory.current(self.shared.clock.tick());
                let account = snapshot.login(&granted.account).and_then(|account| {
                    let domain = account.address.domain()?;
                    AccountId::new(domain.as_str(), account.address.local().as_str()).ok()
                });
                let Some(account) = account else {
                    let text = "the account is not known here yet, try again in a moment";
                    return Err(Failure::no(ConditionCode::Unavailable, text));
                };
                self.record(&granted.account, &granted.mechanism, trail::Outcome::Ok);
                self.user = Some(User { account, address: granted.account });
                Ok(StatusText::new("logged in"))
            }
            Ok(LoginAnswer::Malformed { message }) => Err(Failure::bad(message)),
            Ok(LoginAnswer::Later { retry_after_seconds }) => {
                let text = format!("too many attempts; try again in {retry_after_seconds} seconds");
                Err(Failure::no(ConditionCode::Unavailable, text))
            }
            Ok(LoginAnswer::Refused | LoginAnswer::Challenge { .. }) => {
                self.record("", "", trail::Outcome::Permanent);
                let text = "the name or the password is wrong";
                Err(Failure::no(ConditionCode::AuthenticationFailed, text))
            }
            Ok(LoginAnswer::Unavailable {}) => {
                let text = "logins of this kind do not work at the moment, try again later";
                Err(Failure::no(ConditionCode::Unavailable, text))
            }
            // RFC 5530 §3: mail is safe, only logins wait.
            Err(unavailable) => {
                tracing::warn!("{unavailable}");
                let text = "logins do not work at the moment, try again later";
                Err(Failure::no(ConditionCode::Unavailable, text))
            }
        }
    }

    fn record(&mut self, account: &str, mechanism: &str, outcome: trail::Outcome) {
        let mut event = trail::Event::anonymous(trail::Kind::Authenticated).outcome(outcome);
        if !account.is_empty() {
            event = event.to(account).text(format_args!("imap {mechanism}"));
        }
        if let Some(peer) = self.peer {
            event = event.peer(peer);
        }
        if self.machine().tls().is_some() {
            event = event.encrypted();
        }
        self.shared.trail.record(event);
    }

    fn logged_in(&mut self, name: &str, outcome: Outcome) {
        let failed = outcome.is_err();
        self.finish(name, outcome);
        if failed {
            self.login_failures += 1;
            if self.login_failures >= limits::LOGIN_FAILURES {
                self.machine().bye("too many failed logins");
            }
        }
    }
}
