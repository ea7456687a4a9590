//! The desk where logins are asked for: takes each message of an exchange to its machine, answers
//! the machine's questions from the directory and the verifiers, and counts what fails.
//!
//! One who asks learns the same, in the same time, whether a name does not exist or its password is
//! wrong.

use crate::{
    exchanges::{Exchange, Exchanges},
    limits::CHECKS_RETRY,
    pool::{Full, Pool},
    remembered::Remembered,
    throttle::Throttle,
    tokens::{Tokens, Worthless},
};
use directory::{
    APP_USE_FILE, Account, AppUses, PasswordVerifier, Renewing, RenewingVerifiers, Snapshot,
};
use disk::RealDisk;
use net::{Clock, ipc::Responder};
use protocol::{
    ipc::{Cancelled, Granted, LoginAnswer, LoginCall, Opaque, Start},
    sasl::{self, ChannelBinding, Mechanism, PasswordClaim, ScramVerifier, TokenClaim},
};
use service::{ConfigHandle, Counter, Fatal, Metrics, Paths, config::CleartextAuth};
use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// What of the process the desk works with.
#[derive(Debug)]
pub(crate) struct Tools {
    pub(crate) clock: Clock,
    pub(crate) config: ConfigHandle,
    pub(crate) metrics: Metrics,
}

/// The desk.
#[derive(Debug)]
pub(crate) struct Desk {
    clock: Clock,
    config: ConfigHandle,
    directory: Arc<Renewing>,
    verifiers: Arc<RenewingVerifiers>,
    pool: Pool,
    tokens: Tokens,
    state: Mutex<State>,
    counts: Counts,
    /// Where the last uses of app passwords are written.
    uses_at: PathBuf,
}

#[derive(Debug)]
struct State {
    uses: AppUses,
    exchanges: Exchanges,
    throttle: Throttle,
    remembered: Remembered,
}

#[derive(Debug)]
struct Counts {
    granted: Counter,
    refused: Counter,
    throttled: Counter,
    remembered: Counter,
    exchanges: Counter,
    checks: Counter,
}

impl Desk {
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn new(
        tools: Tools,
        directory: Arc<Renewing>,
        verifiers: Arc<RenewingVerifiers>,
    ) -> Result<Self, Fatal> {
        let key = random().map_err(|error| Fatal::no(error.to_string()))?;
        let Tools { clock, config, metrics } = tools;
        let state = Paths::new(&config.current().storage.data_dir).state();
        let uses_at = state.join(APP_USE_FILE);
        let uses = AppUses::load(&RealDisk, &uses_at);
        let number = |name: &str| metrics.counter(name);
        Ok(Self {
            tokens: Tokens::new(clock.clone(), config.clone()),
            clock,
            config,
            directory,
            verifiers,
            pool: Pool::new(),
            uses_at,
            state: Mutex::new(State {
                uses,
                exchanges: Exchanges::default(),
                throttle: Throttle::new(),
                remembered: Remembered::new(key),
            }),
            counts: Counts {
                granted: number("logins_granted"),
                refused: number("logins_refused"),
                throttled: number("logins_throttled"),
                remembered: number("logins_remembered"),
                exchanges: number("exchanges_open"),
                checks: number("password_checks"),
            },
        })
    }

    /// Begins an exchange.
    pub(crate) async fn start(&self, start: Start) -> LoginAnswer {
        let Some(mechanism) = Mechanism::by_name(&start.mechanism) else {
            return malformed("unknown mechanism");
        };
        if !start.secure && !self.may_be_cleartext(start.peer) {
            return malformed("logins need TLS here");
        }
        let wait = self.state().throttle.peer_wait(self.clock.tick(), start.peer);
        if let Some(wait) = wait {
            return self.later(&start, None, wait);
        }
        let octets = |binding: &Option<Opaque>| binding.as_ref().map(|it| it.as_bytes().to_vec());
        let binding = ChannelBinding {
            tls_exporter: octets(&start.tls_exporter),
            tls_server_end_point: octets(&start.tls_server_end_point),
        };
        let Ok(nonce) = nonce() else { return busy() };
        let server = sasl::Server::new(mechanism, binding, nonce);
        let initial = start.initial.clone();
        let exchange = Exchange { server, start, name: None, has_failed: false };
        self.advance(exchange, initial.as_ref().map(Opaque::as_bytes)).await
    }

    /// Goes on with an exchange.
    pub(crate) async fn step(&self, id: u64, response: &[u8]) -> LoginAnswer {
        let exchange = self.state().exchanges.take(self.clock.tick(), id);
        match exchange {
            Some(exchange) => self.advance(exchange, Some(response)).await,
            None => malformed("no such exchange, or it took too long"),
        }
    }

    /// Forgets an exchange.
    pub(crate) fn cancel(&self, id: u64) {
        self.state().exchanges.take(self.clock.tick(), id);
    }

    async fn advance(&self, mut exchange: Exchange, message: Option<&[u8]>) -> LoginAnswer {
        let mut step = exchange.server.step(message);
        if let Ok(sasl::Step::FindVerifier { authcid }) = &step {
            let (name, verifier) = self.scram_verifier(authcid);
            let wait = self.name_wait(&name, exchange.start.peer);
            if let Some(wait) = wait {
                return self.later(&exchange.start, Some(&name), wait);
            }
            exchange.name = Some(name);
            step = exchange.server.verifier(verifier);
        }
        match step {
            Ok(sasl::Step::Challenge(data)) => self.keep(exchange, data),
            Ok(sasl::Step::CheckPassword(claim)) => self.check(&exchange.start, claim).await,
            Ok(sasl::Step::Proven(identity)) => {
                let found = self.acting_as(&identity.authcid, identity.authzid.as_deref());
                match found {
                    Ok(account) => self.granted(&exchange.start, &account, None),
                    Err(name) => self.refused(&exchange.start, &name),
                }
            }
            Ok(sasl::Step::CheckToken(claim)) => self.check_token(exchange, claim).await,
            Ok(sasl::Step::CheckConnection { authzid }) => {
                self.check_connection(&exchange.start, authzid.as_deref())
            }
            Ok(sasl::Step::Refused) if exchange.has_failed => LoginAnswer::Refused,
            // It is not asked for twice.
            Ok(sasl::Step::Refused | sasl::Step::FindVerifier { .. }) => {
                let name = exchange.name.unwrap_or_default();
                self.refused(&exchange.start, &name)
            }
            Err(error) => malformed(&error.to_string()),
        }
    }

    fn keep(&self, exchange: Exchange, data: Vec<u8>) -> LoginAnswer {
        let Ok(id) = random().map(u64::from_be_bytes) else { return busy() };
        let mut state = self.state();
        state.exchanges.put(self.clock.tick(), id, exchange);
        self.counts.exchanges.set(state.exchanges.len() as i64);
        LoginAnswer::Challenge { exchange: id, data: Opaque(data) }
    }

    /// The name as it is counted by, and what is stored for it or pretended to be.
    fn scram_verifier(&self, authcid: &str) -> (String, ScramVerifier) {
        let now = self.clock.tick();
        let (snapshot, verifiers) = (self.directory.current(now), self.verifiers.current(now));
        let name = full_name(&snapshot, authcid);
        let stored = snapshot.login(authcid).and_then(|account| verifiers.get(&account.address));
        let stored = stored.and_then(|verifier| verifier.password.scram().cloned());
        let verifier =
            stored.unwrap_or_else(|| ScramVerifier::pretended(verifiers.pretence(), &name));
        (name, verifier)
    }

    /// Checks a password that was shown.
    async fn check(&self, start: &Start, claim: PasswordClaim) -> LoginAnswer {
        let now = self.clock.tick();
        let found = self.acting_as(&claim.authcid, claim.authzid.as_deref());
        let name = match &found {
            Ok(account) => account.address.to_string(),
            Err(name) => name.clone(),
        };
        if let Some(wait) = self.name_wait(&name, start.peer) {
            return self.later(start, Some(&name), wait);
        }
        let password = claim.password.into_inner();
        let verifiers = self.verifiers.current(now);
        let stored = found.as_ref().ok().and_then(|account| verifiers.get(&account.address));
        let mut candidates: Vec<Candidate> = Vec::new();
        if let Some(verifier) = stored {
            candidates.push((None, verifier.password.clone()));
            let apps = verifier
                .app_passwords
                .iter()
                .filter(|app| app.services.is_empty() || app.services.contains(&start.service));
            candidates.extend(apps.map(|app| (Some(app.name.clone()), app.password.clone())));
        }
        if let Some(app) = self.remembered(&name, &candidates, &password) {
            return self.answer(start, found, Some(app));
        }
        let Ok(turn) = self.pool.turn().await else {
            return self.later(start, Some(&name), CHECKS_RETRY);
        };
        // A client that opens five connections at once is checked once: the others waited.
        if let Some(app) = self.remembered(&name, &candidates, &password) {
            return self.answer(start, found, Some(app));
        }
        // Guesses that came all at once have waited for one another too.
        if let Some(wait) = self.name_wait(&name, start.peer) {
            return self.later(start, Some(&name), wait);
        }
        self.counts.checks.increment();
        let checked = turn.run(move || try_all(candidates, password)).await;
        match checked {
            Ok((Some((app, verifier)), password)) => {
                let mut state = self.state();
                let entry = state.remembered.entry(&name, verifier.identity(), &password);
                state.remembered.remember(self.clock.tick(), entry);
                drop(state);
                self.answer(start, found, Some(app))
            }
            Ok((None, _)) => self.answer(start, found, None),
            Err(Full) => self.later(start, Some(&name), CHECKS_RETRY),
        }
    }

    /// Finds out what a token is worth. One who shows a bad one hears why before the no.
    async fn check_token(&self, mut exchange: Exchange, claim: TokenClaim) -> LoginAnswer {
        let start = exchange.start.clone();
        let found = match self.tokens.owner(&claim.token).await {
            Ok(owner) => self.acting_as(&owner, claim.authzid.as_deref()),
            Err(why @ Worthless::Unknown(_)) => {
                tracing::warn!("{why}");
                return LoginAnswer::Unavailable {};
            }
            Err(why @ Worthless::Refused(_)) => {
                tracing::info!(peer = ?start.peer, "{why}");
                Err(claim.authzid.unwrap_or_default())
            }
        };
        match found {
            Ok(account) => self.granted(&start, &account, None),
            Err(name) => {
                self.refused(&start, &name);
                exchange.has_failed = true;
                match exchange.server.token_refused(&self.tokens.hint()) {
                    Ok(sasl::Step::Challenge(why)) => self.keep(exchange, why),
                    _ => LoginAnswer::Refused,
                }
            }
        }
    }

    /// RFC 4422 appendix A: the client's certificate names a mailbox, which is the account. One who
    /// says as whom to act must be that account.
    fn check_connection(&self, start: &Start, authzid: Option<&str>) -> LoginAnswer {
        let mut proven = start.client_mailboxes.iter().filter(|mailbox| mailbox.contains('@'));
        match proven.find_map(|mailbox| self.acting_as(mailbox, authzid).ok()) {
            Some(account) if start.secure => self.granted(start, &account, None),
            _ => self.refused(start, authzid.unwrap_or_default()),
        }
    }

    /// The app password (or the own one: `None`) of a good login that is remembered.
    fn remembered(
        &self,
        name: &str,
        candidates: &[Candidate],
        password: &str,
    ) -> Option<Option<String>> {
        let (now, state) = (self.clock.tick(), self.state());
        let known = |verifier: &PasswordVerifier| {
            let entry = state.remembered.entry(name, verifier.identity(), password);
            state.remembered.knows(now, &entry)
        };
        let (app, _) = candidates.iter().find(|(_, it)| known(it))?;
        self.counts.remembered.increment();
        Some(app.clone())
    }

    /// `good`: the app password that fitted, or that the own one did.
    fn answer(
        &self,
        start: &Start,
        found: Result<Arc<Account>, String>,
        good: Option<Option<String>>,
    ) -> LoginAnswer {
        match (found, good) {
            (Ok(account), Some(app)) => self.granted(start, &account, app),
            (Ok(account), None) => self.refused(start, &account.address.to_string()),
            (Err(name), _) => self.refused(start, &name),
        }
    }

    /// The account that `authcid` logs in to, if it may act as `authzid`: nobody acts for others
    /// here. Else the name by which the attempt is counted.
    fn acting_as(&self, authcid: &str, authzid: Option<&str>) -> Result<Arc<Account>, String> {
        let snapshot = self.directory.current(self.clock.tick());
        let unknown = || full_name(&snapshot, authcid);
        let account = snapshot.login(authcid).ok_or_else(unknown)?;
        let other =
            |name: &str| snapshot.login(name).is_none_or(|other| other.address != account.address);
        if authzid.is_some_and(other) {
            return Err(unknown());
        }
        Ok(account.clone())
    }

    fn granted(&self, start: &Start, account: &Account, app: Option<String>) -> LoginAnswer {
        let name = account.address.to_string();
        self.state().throttle.succeeded(self.clock.tick(), &name, start.peer);
        self.counts.granted.increment();
        if let Some(app) = &app {
            self.note_use(&name, app);
        }
        let mechanism = start.mechanism.to_ascii_uppercase();
        tracing::info!(
            account = name, peer = ?start.peer, service = start.service, mechanism, "logged in"
        );
        LoginAnswer::Granted(Granted { account: name, mechanism, app_password: app })
    }

    /// An app password was used. Written once a minute at most; a failure hinders no login.
    fn note_use(&self, account: &str, app: &str) {
        let mut state = self.state();
        if state.uses.note(account, app, self.clock.now())
            && let Err(error) = state.uses.save(&RealDisk, &self.uses_at)
        {
            tracing::warn!(%error, "the last use of an app password was not written");
        }
    }

    fn refused(&self, start: &Start, name: &str) -> LoginAnswer {
        let limits = &self.config.current().limits;
        let mut state = self.state();
        state.throttle.set_bounds(limits.login_failures, limits.login_ban);
        state.throttle.failed(self.clock.tick(), name, start.peer);
        drop(state);
        self.counts.refused.increment();
        let service = &start.service;
        tracing::warn!(account = name, peer = ?start.peer, service, "login refused");
        LoginAnswer::Refused
    }

    fn later(&self, start: &Start, name: Option<&str>, wait: Duration) -> LoginAnswer {
        self.counts.throttled.increment();
        tracing::warn!(account = name, peer = ?start.peer, wait = wait.as_secs(), "login put off");
        LoginAnswer::Later { retry_after_seconds: wait.as_secs().max(1) }
    }

    fn name_wait(&self, name: &str, peer: Option<IpAddr>) -> Option<Duration> {
        self.state().throttle.name_wait(self.clock.tick(), name, peer)
    }

    /// The agents refuse this at their doors already; this is the second wall.
    fn may_be_cleartext(&self, peer: Option<IpAddr>) -> bool {
        match self.config.current().auth_without_tls {
            CleartextAuth::Never => false,
            CleartextAuth::Loopback => peer.is_none_or(|it| it.to_canonical().is_loopback()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // A panic while it was held left at worst a count too low.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A verifier that a password may fit, with the name of the app password; `None`: the own one.
type Candidate = (Option<String>, PasswordVerifier);

impl net::ipc::Service<LoginCall> for Desk {
    async fn call(&self, call: LoginCall, respond: Responder) {
        match call {
            LoginCall::Start(start) => respond.answer(&self.start(start).await).await,
            LoginCall::Step(step) => {
                let answer = self.step(step.exchange, step.response.as_bytes()).await;
                respond.answer(&answer).await;
            }
            LoginCall::Cancel(cancel) => {
                self.cancel(cancel.exchange);
                respond.answer(&Cancelled {}).await;
            }
        }
    }
}

/// The first candidate that the password fits. Without candidates it takes as long as with one.
fn try_all(candidates: Vec<Candidate>, password: String) -> (Option<Candidate>, String) {
    if candidates.is_empty() {
        PasswordVerifier::verify_nobody(&password);
    }
    let good = candidates.into_iter().find(|(_, verifier)| verifier.verify(&password));
    (good, password)
}

/// The name by which attempts are counted and salts pretended: one for each way to write it, as an
/// account would have, so that what does not exist looks the same.
fn full_name(snapshot: &Snapshot, name: &str) -> String {
    let full = match snapshot.domains() {
        [only] if !name.contains('@') => format!("{name}@{}", only.name),
        _ => name.to_owned(),
    };
    full.to_lowercase()
}

fn malformed(message: &str) -> LoginAnswer {
    LoginAnswer::Malformed { message: message.to_owned() }
}

fn busy() -> LoginAnswer {
    LoginAnswer::Later { retry_after_seconds: CHECKS_RETRY.as_secs() }
}

fn random<const N: usize>() -> Result<[u8; N], getrandom::Error> {
    let mut octets = [0; N];
    getrandom::fill(&mut octets)?;
    Ok(octets)
}

/// 24 random octets in hexadecimal.
fn nonce() -> Result<String, getrandom::Error> {
    let octets: [u8; 24] = random()?;
    Ok(octets.iter().map(|octet| format!("{octet:02x}")).collect())
}
