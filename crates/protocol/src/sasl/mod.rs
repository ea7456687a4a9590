//! SASL (RFC 4422): PLAIN, LOGIN, SCRAM-SHA-256 and SCRAM-SHA-256-PLUS, OAUTHBEARER, XOAUTH2 and
//! EXTERNAL, server and client sides, as step machines.
//!
//! What it is not: it does not know who exists, hashes no stored passwords, asks nobody about
//! tokens and draws no random numbers (nonces come in), and it leaves base64 and `*` to the
//! protocol around it (RFC 4954, IMAP).
//!
//! Who calls it: the agent `auth` the server side; the MUA and the smarthost client the other.

mod bearer;
mod client;
mod login;
mod plain;
mod prepare;
mod scram;
mod server;
#[cfg(test)]
mod tests;

pub use bearer::{TokenClaim, TokenHint};
pub use client::{Client, Connection, Credentials};
pub use plain::PasswordClaim;
pub use prepare::{Unprepared, prepare};
pub use scram::keys::{ITERATIONS, ScramVerifier, VerifierError};
pub use server::{Identity, Server, Step};

use crate::machine::TlsFacts;
use std::fmt;

/// A mechanism we speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Mechanism {
    /// RFC 4616.
    Plain,
    /// Never standardised (draft-murchison-sasl-login); Outlook has nothing better for SMTP.
    Login,
    /// RFC 5802 with RFC 7677.
    ScramSha256,
    /// The same, bound to the TLS connection (RFC 5802 §6, RFC 9266).
    ScramSha256Plus,
    /// RFC 7628: a token of an authorization server.
    OAuthBearer,
    /// Google's form of the same, older than the RFC.
    XOAuth2,
    /// RFC 4422 appendix A: the client is known from outside SASL, here by its certificate.
    External,
}

impl Mechanism {
    /// Those that need a password and nothing else, the best first.
    pub const PASSWORD: [Self; 4] =
        [Self::ScramSha256Plus, Self::ScramSha256, Self::Plain, Self::Login];

    /// Those that need a token.
    pub const TOKEN: [Self; 2] = [Self::OAuthBearer, Self::XOAuth2];

    /// All.
    pub const ALL: [Self; 7] = [
        Self::ScramSha256Plus,
        Self::ScramSha256,
        Self::Plain,
        Self::Login,
        Self::OAuthBearer,
        Self::XOAuth2,
        Self::External,
    ];

    /// The registered name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::ScramSha256Plus => "SCRAM-SHA-256-PLUS",
            Self::OAuthBearer => "OAUTHBEARER",
            Self::XOAuth2 => "XOAUTH2",
            Self::External => "EXTERNAL",
        }
    }

    /// By its name, in any case.
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    /// What a server offers to those who have a password, on a connection where logging in is
    /// allowed at all: -PLUS only where there is something to bind to.
    pub fn offered(binding: &ChannelBinding) -> impl Iterator<Item = Self> {
        let bindable = binding.is_available();
        Self::PASSWORD
            .into_iter()
            .filter(move |mechanism| bindable || *mechanism != Self::ScramSha256Plus)
    }

    /// The best of what a server offers, for a client that has a password and can bind to
    /// `binding`.
    pub fn best<'a>(
        offers: impl IntoIterator<Item = &'a str>,
        binding: &ChannelBinding,
    ) -> Option<Self> {
        let offered: Vec<Self> = offers.into_iter().filter_map(Self::by_name).collect();
        Self::offered(binding).find(|mechanism| offered.contains(mechanism))
    }

    /// Whether the client speaks first, so that an initial response saves a round trip.
    pub const fn is_client_first(self) -> bool {
        !matches!(self, Self::Login)
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What of the TLS connection a SCRAM exchange can be bound to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelBinding {
    /// `tls-exporter` (RFC 9266): keying material of this very connection.
    pub tls_exporter: Option<Vec<u8>>,
    /// `tls-server-end-point` (RFC 5929 §4): the hash of the server's certificate. For clients
    /// that cannot export keys.
    pub tls_server_end_point: Option<Vec<u8>>,
}

impl ChannelBinding {
    /// What the facts of an established TLS layer allow.
    pub fn of(facts: &TlsFacts) -> Self {
        Self {
            tls_exporter: facts.exporter.map(|octets| octets.to_vec()),
            tls_server_end_point: facts.server_end_point.clone(),
        }
    }

    /// Whether there is anything to bind to.
    pub fn is_available(&self) -> bool {
        self.tls_exporter.is_some() || self.tls_server_end_point.is_some()
    }

    /// The data of a binding by its registered name.
    fn data(&self, name: &str) -> Option<&[u8]> {
        match name {
            "tls-exporter" => self.tls_exporter.as_deref(),
            "tls-server-end-point" => self.tls_server_end_point.as_deref(),
            _ => None,
        }
    }

    /// The best binding there is: name and data.
    fn preferred(&self) -> Option<(&'static str, &[u8])> {
        ["tls-exporter", "tls-server-end-point"]
            .into_iter()
            .find_map(|name| self.data(name).map(|data| (name, data)))
    }
}

/// The longest message of one side, in octets, before base64. RFC 4954 §4 lets a line hold 12,288
/// octets of base64, which is 9,216 of these.
pub const MESSAGE_LIMIT: usize = 9_216;

/// Why an exchange cannot go on. Says nothing of what the peer sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaslError {
    /// The message is not of the mechanism's grammar; the part that is wrong.
    Malformed(&'static str),
    /// A name or password has characters that RFC 4013 does not allow.
    Unprepared(Unprepared),
    /// Nothing is expected now: the exchange is over, or an answer is owed by us.
    OutOfTurn,
    /// Client: the server's answer does not prove that it knows our password.
    ServerUnproven,
    /// Client: the server asks for fewer than 4,096 or more than a million iterations.
    Iterations,
    /// Client: -PLUS was chosen where there is nothing to bind to.
    NoBinding,
}

impl fmt::Display for SaslError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(part) => write!(f, "malformed {part}"),
            Self::Unprepared(why) => why.fmt(f),
            Self::OutOfTurn => f.write_str("no message is expected now"),
            Self::ServerUnproven => {
                f.write_str("the server did not prove that it knows the password")
            }
            Self::Iterations => f.write_str("the server's iteration count is out of bounds"),
            Self::NoBinding => f.write_str("there is no TLS connection to bind to"),
        }
    }
}

impl std::error::Error for SaslError {}

impl From<Unprepared> for SaslError {
    fn from(why: Unprepared) -> Self {
        Self::Unprepared(why)
    }
}
