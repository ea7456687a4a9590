//! Logging in where one line says it all: POP3 and ManageSieve. What `auth` decided becomes an
//! account or words for the client. Not IMAP's, which has codes of its own (`login`).

use std::net::IpAddr;

use mailbox::AccountId;
use net::stream::{Peer, Stream};
use protocol::ipc::LoginAnswer;
use protocol::machine::TlsFacts;
use service::config::OAuth;
use service::login::{Door, Unavailable};
use service::trail;

use super::Retrieval;

/// How the TLS of a connection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Beginning {
    /// In clear; TLS can be asked for.
    Clear,
    /// TLS from the first octet (RFC 8314 §3).
    Tls,
}

/// Somebody at the door.
#[derive(Debug, Clone)]
pub(crate) struct Visitor {
    pub(crate) service: &'static str,
    pub(crate) ip: Option<IpAddr>,
    /// Passwords may travel without TLS.
    pub(crate) cleartext: bool,
    /// Whose tokens are taken.
    pub(crate) oauth: OAuth,
}

/// Who has logged in.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) account: AccountId,
    pub(crate) address: String,
}

/// Why nobody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turned {
    /// The name or the password is wrong.
    Wrong,
    /// Too many attempts: wait so many seconds.
    Wait(u64),
    /// Logins do not work now.
    Away,
    /// The exchange is not well formed.
    Malformed(String),
}

impl Visitor {
    /// Takes the handshake where TLS comes first. `None`: it failed.
    pub(crate) async fn enter(
        shared: &Retrieval,
        service: &'static str,
        (mut stream, peer): (Stream, Peer),
        beginning: Beginning,
    ) -> Option<(Visitor, Stream, Option<TlsFacts>)> {
        let mut facts = None;
        if beginning == Beginning::Tls {
            let server = shared.tls.clone()?;
            match server.accept(stream, &shared.clock).await {
                Ok((secured, found)) => (stream, facts) = (secured, Some(found)),
                Err(error) => {
                    tracing::debug!(%peer, %error, "no TLS");
                    return None;
                }
            }
        }
        let ip = match &peer {
            Peer::Inet(address) => Some(address.ip()),
            Peer::Unix { .. } | Peer::Memory => None,
        };
        let config = shared.config.current();
        let cleartext = config.auth_without_tls.allows(ip) || matches!(peer, Peer::Memory);
        let oauth = config.oauth.clone();
        Some((Visitor { service, ip, cleartext, oauth }, stream, facts))
    }

    pub(crate) fn door(&self, facts: Option<&TlsFacts>) -> Door {
        let door = Door::new(self.service, self.ip).taking(&self.oauth);
        match facts {
            Some(facts) => door.under_tls(facts),
            None => door,
        }
    }

    pub(crate) fn mechanisms(&self, facts: Option<&TlsFacts>) -> Vec<String> {
        let door = self.door(facts);
        door.mechanisms().map(|mechanism| mechanism.name().to_owned()).collect()
    }

    /// What the answer of `auth` means; written into the journey.
    pub(crate) fn decided(
        &self,
        shared: &Retrieval,
        answer: Result<LoginAnswer, Unavailable>,
        facts: Option<&TlsFacts>,
    ) -> Result<Known, Turned> {
        let record = |event: trail::Event| {
            let event = match self.ip {
                Some(ip) => event.peer(ip),
                None => event,
            };
            shared.trail.record(if facts.is_some() { event.encrypted() } else { event });
        };
        let event = trail::Event::anonymous(trail::Kind::Authenticated);
        match answer {
            Ok(LoginAnswer::Granted(granted)) => {
                let snapshot = shared.directory.current(shared.clock.tick());
                let found = snapshot
                    .login(&granted.account)
                    .and_then(|account| crate::deliver::mailbox_of(account).ok());
                let Some((account, _)) = found else { return Err(Turned::Away) };
                let text = format!("{} {}", self.service, granted.mechanism);
                record(event.to(&granted.account).text(text));
                Ok(Known { account, address: granted.account })
            }
            Ok(LoginAnswer::Malformed { message }) => Err(Turned::Malformed(message)),
            Ok(LoginAnswer::Later { retry_after_seconds }) => {
                Err(Turned::Wait(retry_after_seconds))
            }
            Ok(LoginAnswer::Refused | LoginAnswer::Challenge { .. }) => {
                record(event.outcome(trail::Outcome::Permanent));
                Err(Turned::Wrong)
            }
            Ok(LoginAnswer::Unavailable {}) => Err(Turned::Away),
            Err(unavailable) => {
                tracing::warn!("{unavailable}");
                Err(Turned::Away)
            }
        }
    }
}

impl std::fmt::Display for Turned {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Turned::Wrong => f.write_str("the name or the password is wrong"),
            Turned::Wait(seconds) => {
                write!(f, "too many attempts; try again in {seconds} seconds")
            }
            Turned::Away => f.write_str("logins do not work at the moment, try again later"),
            Turned::Malformed(what) => f.write_str(what),
        }
    }
}
