//! What a server machine offers and how much it bears. Values only: where they come from (the
//! configuration file, the kind of socket) is for the agents.

use std::time::Duration;

use super::super::{Dialect, Observe};
use crate::limits;

/// The configuration of a server machine; many machines share one.
#[derive(Debug, Clone)]
pub struct Config {
    /// SMTP or LMTP.
    pub dialect: Dialect,
    /// Our name, in the greeting and in replies.
    pub hostname: Box<str>,
    /// What follows the name in the greeting.
    pub banner: Box<str>,
    /// The most octets of a letter, announced by SIZE.
    pub size_limit: u64,
    /// The most recipients of one letter; RFC 5321 §4.5.3.1.8 asks for 100 at least.
    pub recipients_limit: usize,
    /// The most octets of a text line with its CRLF.
    pub text_line_limit: usize,
    /// STARTTLS.
    pub tls: TlsPolicy,
    /// AUTH.
    pub auth: AuthPolicy,
    /// The parameters between our own agents.
    pub private: Offer,
    /// DSN (RFC 3461).
    pub dsn: Offer,
    /// FUTURERELEASE (RFC 4865): the longest wait in seconds; `None`: not offered.
    pub future_release: Option<u64>,
    /// XCLIENT: for a peer that is trusted to say who its client is.
    pub xclient: Offer,
    /// Refusals since the last accepted letter after which the session is closed.
    pub errors_limit: u32,
    /// How long we wait.
    pub timeouts: Timeouts,
    /// Whether each reply is reported as an event.
    pub observe: Observe,
}

/// Whether an extension is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Offer {
    /// Neither announced nor taken.
    No,
    /// Announced and taken.
    Yes,
}

/// What STARTTLS is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsPolicy {
    /// We have no certificate, or TLS is under the connection already, or it is a Unix socket.
    Unavailable,
    /// Who wants it can have it.
    Offered,
    /// Nothing goes without it. RFC 3207 §4.
    Required,
}

/// What AUTH is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuthPolicy {
    /// In upper case, best first; empty: no AUTH. A mechanism ending in `-PLUS` is offered only
    /// where TLS gives a channel binding.
    pub mechanisms: Vec<String>,
    /// Whether passwords may cross an unencrypted connection.
    pub cleartext: Cleartext,
    /// Whether mail is taken without it.
    pub requirement: AuthRequirement,
}

/// Whether AUTH is offered without TLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cleartext {
    /// No: RFC 4954 §4, 538.
    Never,
    /// Yes: TLS lies under the connection already, or the configuration says so.
    Allowed,
}

/// Whether MAIL is taken without AUTH.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthRequirement {
    /// It is.
    Optional,
    /// It is not: 530. RFC 6409 §4.3.
    BeforeMail,
}

impl AuthPolicy {
    /// No AUTH at all.
    pub const fn none() -> Self {
        AuthPolicy {
            mechanisms: Vec::new(),
            cleartext: Cleartext::Never,
            requirement: AuthRequirement::Optional,
        }
    }
}

/// How long a server waits for the peer. It never times out while it owes an answer itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the next command. RFC 5321 §4.5.3.2.7: 5 minutes at least.
    pub command: Duration,
    /// For the next piece of the body.
    pub data: Duration,
    /// For a whole body, so that a piece now and then does not hold a session for ever.
    pub letter: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            command: Duration::from_secs(300),
            data: Duration::from_secs(180),
            letter: Duration::from_secs(3600),
        }
    }
}

impl Config {
    /// SMTP with every extension that needs no decision; no TLS, no AUTH.
    pub fn smtp(hostname: &str) -> Self {
        Config {
            dialect: Dialect::Smtp,
            hostname: hostname.into(),
            banner: "ESMTP Posthaste".into(),
            size_limit: 25_000_000,
            recipients_limit: 100,
            text_line_limit: limits::TEXT_LINE,
            tls: TlsPolicy::Unavailable,
            auth: AuthPolicy::none(),
            private: Offer::No,
            dsn: Offer::No,
            future_release: None,
            xclient: Offer::No,
            errors_limit: 20,
            timeouts: Timeouts::default(),
            observe: Observe::Nothing,
        }
    }

    /// LMTP between our own agents.
    pub fn lmtp(hostname: &str) -> Self {
        Config {
            dialect: Dialect::Lmtp,
            banner: "LMTP Posthaste".into(),
            private: Offer::Yes,
            ..Config::smtp(hostname)
        }
    }
}
