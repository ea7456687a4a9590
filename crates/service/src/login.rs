//! Asking `auth` who somebody is, for every agent at whose door people log in. No passwords are
//! checked here and no SASL is spoken: messages go to `auth` and its answers come back.
//!
//! When `auth` is away the answer is [`Unavailable`]: SMTP says 454 4.7.0, IMAP `NO [UNAVAILABLE]`;
//! mail goes on, only logins wait.

use std::fmt;
use std::net::IpAddr;

use net::Clock;
use protocol::ipc::{Cancel, LoginAnswer, Opaque, Role, Start, Step};
use protocol::machine::TlsFacts;
use protocol::sasl::{ChannelBinding, Mechanism};

use crate::config::{AgentName, OAuth};
use crate::daemon::Context;
use crate::limits::LOGIN;
use crate::paths::Paths;

/// A client of `auth`. Cheap to clone; clones share connections.
#[derive(Debug, Clone)]
pub struct Logins {
    client: net::ipc::Client,
}

/// Where somebody wants to log in, and over what kind of connection.
#[derive(Debug, Clone)]
pub struct Door {
    /// What is logged in to: `submission`, `imap`, `pop3`, `managesieve`.
    pub service: &'static str,
    /// Where they connect from; `None`: from this machine, not over the network.
    pub peer: Option<IpAddr>,
    /// Whether the connection is under TLS.
    pub secure: bool,
    /// What of it an exchange can be bound to.
    pub binding: ChannelBinding,
    /// The mailboxes that the client's certificate has proven.
    pub client_mailboxes: Vec<String>,
    /// Whether tokens are taken besides passwords.
    tokens: bool,
}

impl Door {
    /// A door without TLS.
    pub fn new(service: &'static str, peer: Option<IpAddr>) -> Self {
        let binding = ChannelBinding::default();
        Door { service, peer, secure: false, binding, client_mailboxes: Vec::new(), tokens: false }
    }

    /// The same with what the configuration says of tokens.
    #[must_use]
    pub fn taking(mut self, tokens: &OAuth) -> Self {
        self.tokens = tokens.is_on();
        self
    }

    /// The same under TLS.
    #[must_use]
    pub fn under_tls(mut self, facts: &TlsFacts) -> Self {
        self.secure = true;
        self.binding = ChannelBinding::of(facts);
        self.client_mailboxes.clone_from(&facts.client_mailboxes);
        self
    }

    /// The mechanisms to offer at this door, where logging in is allowed at all.
    pub fn mechanisms(&self) -> impl Iterator<Item = Mechanism> {
        let tokens = Mechanism::TOKEN.into_iter().filter(|_| self.tokens);
        let known = !self.client_mailboxes.is_empty();
        let external = known.then_some(Mechanism::External);
        Mechanism::offered(&self.binding).chain(tokens).chain(external)
    }
}

/// `auth` did not answer; the sentence is for the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable(pub String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "logins are not available: {}", self.0)
    }
}

impl std::error::Error for Unavailable {}

impl Logins {
    /// A client for `agent`; connects when first asked.
    pub fn new(paths: &Paths, agent: AgentName, clock: &Clock) -> Self {
        let client =
            net::ipc::Client::new(&paths.auth_socket(), Role::Login, agent.as_str(), clock);
        Logins { client }
    }

    /// The client of an agent, over its own network.
    pub fn of(context: &Context) -> Self {
        let asked = (Role::Login, context.agent.as_str());
        let path = context.paths.auth_socket();
        let client = net::ipc::Client::over(&context.network, &path, asked, &context.clock);
        Logins { client }
    }

    /// Begins an exchange. `initial` is the initial response, decoded; absent is not empty.
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn start(
        &self,
        door: &Door,
        mechanism: &str,
        initial: Option<&[u8]>,
    ) -> Result<LoginAnswer, Unavailable> {
        let opaque = |octets: &Option<Vec<u8>>| octets.clone().map(Opaque);
        let start = Start {
            mechanism: mechanism.to_owned(),
            initial: initial.map(Opaque::from),
            service: door.service.to_owned(),
            peer: door.peer,
            secure: door.secure,
            tls_exporter: opaque(&door.binding.tls_exporter),
            tls_server_end_point: opaque(&door.binding.tls_server_end_point),
            client_mailboxes: door.client_mailboxes.clone(),
        };
        self.client.call(&start, LOGIN).await.map_err(|fault| Unavailable(fault.to_string()))
    }

    /// Brings the client's response to a challenge.
    ///
    /// # Errors
    /// [`Unavailable`]; the exchange is lost.
    pub async fn step(&self, exchange: u64, response: &[u8]) -> Result<LoginAnswer, Unavailable> {
        let step = Step { exchange, response: response.into() };
        self.client.call(&step, LOGIN).await.map_err(|fault| Unavailable(fault.to_string()))
    }

    /// Forgets an exchange that the client gave up. `auth` forgets it in a minute anyway, so a
    /// failure is nobody's business.
    pub async fn cancel(&self, exchange: u64) {
        let _ = self.client.call(&Cancel { exchange }, LOGIN).await;
    }

    /// Checks a name and a password that came outside SASL (IMAP LOGIN, POP3 USER and PASS).
    ///
    /// # Errors
    /// [`Unavailable`].
    pub async fn password(
        &self,
        door: &Door,
        name: &str,
        password: &str,
    ) -> Result<LoginAnswer, Unavailable> {
        if name.contains('\0') || password.contains('\0') {
            return Ok(LoginAnswer::Refused);
        }
        let message = format!("\0{name}\0{password}");
        self.start(door, Mechanism::Plain.name(), Some(message.as_bytes())).await
    }
}
