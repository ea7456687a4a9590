//! The one table: roles, methods, their parameters and answers. `docs/ipc.md` shows it to people.
//!
//! Rules: every struct tolerates unknown fields (serde's default) and gives new fields a default,
//! so that agents of neighbouring versions understand each other during an upgrade.

use super::{Calls, Fault, Method, Opaque};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{collections::BTreeMap, fmt, net::IpAddr};

/// What a socket serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// `run/auth.sock`: logins.
    Login,
    /// `run/AGENT.control.sock`: questions to a running agent.
    Control,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Login => "login",
            Self::Control => "control",
        })
    }
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub struct MethodRow {
    /// Who serves it.
    pub role: Role,
    /// Name on the wire.
    pub name: &'static str,
    /// The protocol version that brought it.
    pub since: u32,
}

/// Every method of every role but the agents' own verbs, which their crates define.
pub const METHODS: &[MethodRow] = &[
    MethodRow { role: Role::Login, name: Start::NAME, since: 1 },
    MethodRow { role: Role::Login, name: Step::NAME, since: 1 },
    MethodRow { role: Role::Login, name: Cancel::NAME, since: 1 },
    MethodRow { role: Role::Control, name: Status::NAME, since: 1 },
    MethodRow { role: Role::Control, name: Reload::NAME, since: 1 },
    MethodRow { role: Role::Control, name: DirectoryChanged::NAME, since: 1 },
];

/// `hello`, the first request on every connection. The machines send and answer it themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The version the client speaks.
    pub version: u32,
    /// The role it wants to talk to.
    pub role: Role,
    /// Who asks, for logs: an agent's name, or `posthaste`.
    #[serde(default)]
    pub from: String,
}

/// The answer to [`Hello`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The version the server speaks.
    pub version: u32,
    /// The role it serves.
    pub role: Role,
    /// The agent's name.
    #[serde(default)]
    pub agent: String,
    /// The version of its software.
    #[serde(default)]
    pub software: String,
}

impl Method for Hello {
    const NAME: &'static str = "hello";
    type Answer = Welcome;
}

/// `login.start`: a person at an agent's door has begun a SASL exchange.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The SASL mechanism, as the client named it.
    pub mechanism: String,
    /// The initial response; absent is not the same as empty (RFC 4422 §4).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub initial: Option<Opaque>,
    /// What is logged in to: `submission`, `imap`, `pop3`, `managesieve`.
    pub service: String,
    /// Where the person connects from; rate limits count by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peer: Option<IpAddr>,
    /// Whether the person's connection is under TLS.
    #[serde(default)]
    pub secure: bool,
    /// The `tls-exporter` channel binding of that connection (RFC 9266), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_exporter: Option<Opaque>,
    /// The `tls-server-end-point` channel binding (RFC 5929 §4), where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_server_end_point: Option<Opaque>,
    /// The mailboxes that the person's certificate has proven on that connection.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub client_mailboxes: Vec<String>,
}

/// `login.step`: the client's response to a challenge.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// The exchange, as [`LoginAnswer::Challenge`] named it.
    pub exchange: u64,
    /// The client's response.
    pub response: Opaque,
}

/// `login.cancel`: the client gave up (`*`), or its connection ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancel {
    /// The exchange to forget.
    pub exchange: u64,
}

/// The answer to [`Cancel`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cancelled {}

/// The answer to [`Start`] and [`Step`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "kebab-case")]
pub enum LoginAnswer {
    /// Pass this on to the client and bring its response with [`Step`].
    Challenge {
        /// Names the exchange in what follows.
        exchange: u64,
        /// The octets for the client.
        data: Opaque,
    },
    /// The client is who it says.
    Granted(Granted),
    /// It is not, or the account may not; the same answer for an unknown account.
    Refused,
    /// The message breaks the mechanism's grammar, or the mechanism is unknown or not allowed
    /// here. SMTP answers 501 or 504, IMAP `BAD` or `NO`.
    Malformed {
        /// For the log and the reply; holds nothing the client sent.
        message: String,
    },
    /// Too many attempts: no password was looked at.
    Later {
        /// When to try again.
        retry_after_seconds: u64,
    },
    /// Somebody who must be asked for this does not answer: SMTP answers 454, IMAP `NO
    /// [UNAVAILABLE]`.
    Unavailable {},
}

/// Who has logged in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Granted {
    /// The account's full address.
    pub account: String,
    /// The mechanism used.
    #[serde(default)]
    pub mechanism: String,
    /// The name of the app password, where one was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_password: Option<String>,
}

impl Method for Start {
    const NAME: &'static str = "login.start";
    type Answer = LoginAnswer;
}

impl Method for Step {
    const NAME: &'static str = "login.step";
    type Answer = LoginAnswer;
}

impl Method for Cancel {
    const NAME: &'static str = "login.cancel";
    type Answer = Cancelled;
}

/// What `auth` is asked.
#[derive(Debug)]
pub enum LoginCall {
    /// [`Start`].
    Start(Start),
    /// [`Step`].
    Step(Step),
    /// [`Cancel`].
    Cancel(Cancel),
}

impl Calls for LoginCall {
    const ROLE: Role = Role::Login;

    fn read(method: String, parameters: Value) -> Result<Self, Fault> {
        match method.as_str() {
            Start::NAME => parse(parameters).map(Self::Start),
            Step::NAME => parse(parameters).map(Self::Step),
            Cancel::NAME => parse(parameters).map(Self::Cancel),
            _ => Err(Fault::unknown_method(&method)),
        }
    }
}

/// `status`: is the agent well, and what is it doing?
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {}

/// The answer to [`Status`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StatusReport {
    /// The agent's name.
    pub agent: String,
    /// Its process.
    pub pid: u32,
    /// When it started, Unix microseconds.
    pub started: i64,
    /// Whether every listener answers and every store is open.
    pub ready: bool,
    /// The addresses it listens on.
    #[serde(default)]
    pub listeners: Vec<String>,
    /// The directory revision it works by, 0 where it has none.
    #[serde(default)]
    pub directory: u64,
    /// Sentences for people about what is wrong; empty when all is well.
    #[serde(default)]
    pub complaints: Vec<String>,
    /// Counters and gauges by name.
    #[serde(default)]
    pub numbers: BTreeMap<String, i64>,
}

/// `reload`: read configuration and certificates again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reload {}

/// The answer to [`Reload`]; a bad file is a [`super::FaultKind::Configuration`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reloaded {
    /// The keys whose values changed, dotted.
    #[serde(default)]
    pub changed: Vec<String>,
    /// Those of them that need a restart to count.
    #[serde(default)]
    pub needs_restart: Vec<String>,
}

/// `directory_changed`: accounts, aliases, domains or passwords were changed on disk.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryChanged {
    /// The revision that was written.
    #[serde(default)]
    pub revision: u64,
}

/// The answer to [`DirectoryChanged`], sent once the agent works by what it names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DirectoryTaken {
    /// The revision the agent now works by.
    #[serde(default)]
    pub revision: u64,
}

impl Method for Status {
    const NAME: &'static str = "status";
    type Answer = StatusReport;
}

impl Method for Reload {
    const NAME: &'static str = "reload";
    type Answer = Reloaded;
}

impl Method for DirectoryChanged {
    const NAME: &'static str = "directory_changed";
    type Answer = DirectoryTaken;
}

/// What any running agent is asked.
#[derive(Debug)]
pub enum ControlCall {
    /// [`Status`].
    Status(Status),
    /// [`Reload`].
    Reload(Reload),
    /// [`DirectoryChanged`].
    DirectoryChanged(DirectoryChanged),
    /// A verb of the agent's own, e.g. `queue.list`; the agent knows whether it has it.
    Own {
        /// The name.
        method: String,
        /// The parameters as they came; [`ControlCall::own`] reads them.
        parameters: Value,
    },
}

impl ControlCall {
    /// Reads the parameters of an agent's own verb.
    ///
    /// # Errors
    /// [`super::FaultKind::Parameters`], to be sent as the answer.
    pub fn own<M: Method>(parameters: Value) -> Result<M, Fault> {
        parse(parameters)
    }
}

impl Calls for ControlCall {
    const ROLE: Role = Role::Control;

    fn read(method: String, parameters: Value) -> Result<Self, Fault> {
        match method.as_str() {
            Status::NAME => parse(parameters).map(Self::Status),
            Reload::NAME => parse(parameters).map(Self::Reload),
            DirectoryChanged::NAME => parse(parameters).map(Self::DirectoryChanged),
            _ => Ok(Self::Own { method, parameters }),
        }
    }
}

fn parse<M: Method + DeserializeOwned>(parameters: Value) -> Result<M, Fault> {
    serde_json::from_value(parameters).map_err(|error| Fault::parameters(M::NAME, &error))
}
