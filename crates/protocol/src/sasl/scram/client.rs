//! The client side of SCRAM (RFC 5802 §5). The names of its states are the messages it waits for.

use super::{attribute, check_extensions, check_nonce, decode, escape, keys::Keys, text};
use crate::sasl::{Connection, Credentials, Mechanism, SaslError};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use std::fmt;

/// One exchange.
pub(crate) struct Scram {
    credentials: Credentials,
    header: String,
    bound: Vec<u8>,
    nonce: String,
    state: State,
}

enum State {
    Start,
    ServerFirst { bare: String },
    ServerFinal { keys: Keys, auth_message: String },
    Proven,
    Over,
}

impl fmt::Debug for Scram {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scram(..)")
    }
}

impl Scram {
    /// `credentials` are prepared.
    pub(crate) fn new(
        mechanism: Mechanism,
        credentials: Credentials,
        connection: Connection<'_>,
        nonce: &str,
    ) -> Result<Self, SaslError> {
        check_nonce(nonce)?;
        let binding = connection.binding.preferred();
        let (flag, data) = match (mechanism, binding) {
            (Mechanism::ScramSha256Plus, Some((name, data))) => (format!("p={name}"), data),
            (Mechanism::ScramSha256Plus, None) => return Err(SaslError::NoBinding),
            // RFC 5802 §6: we could bind, and believe that the server cannot. If it can, it will
            // see from this that its list was tampered with.
            (_, Some(_)) if !connection.offers.contains(&Mechanism::ScramSha256Plus) => {
                ("y".to_owned(), &b""[..])
            }
            _ => ("n".to_owned(), &b""[..]),
        };
        let authzid = credentials.authzid.as_deref();
        let authzid = authzid.map(|name| format!("a={}", escape(name))).unwrap_or_default();
        let header = format!("{flag},{authzid},");
        let bound = [header.as_bytes(), data].concat();
        Ok(Self { credentials, header, bound, nonce: nonce.to_owned(), state: State::Start })
    }

    pub(crate) fn is_proven(&self) -> bool {
        matches!(self.state, State::Proven)
    }

    pub(crate) fn message(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        let challenge = text(challenge)?;
        match std::mem::replace(&mut self.state, State::Over) {
            State::Start if challenge.is_empty() => {
                let bare = format!("n={},r={}", escape(&self.credentials.authcid), self.nonce);
                let first = format!("{}{bare}", self.header);
                self.state = State::ServerFirst { bare };
                Ok(first.into_bytes())
            }
            State::ServerFirst { bare } => self.client_final(&bare, challenge),
            State::ServerFinal { keys, auth_message } => {
                let mut fields = challenge;
                let signature = attribute(&mut fields, 'v', "server proof")
                    .and_then(|value| decode(value, "server proof"))
                    .map_err(|_| SaslError::ServerUnproven)?;
                if !keys.is_server_signature(&signature, &auth_message) {
                    return Err(SaslError::ServerUnproven);
                }
                self.state = State::Proven;
                Ok(Vec::new())
            }
            State::Start | State::Proven | State::Over => Err(SaslError::OutOfTurn),
        }
    }

    fn client_final(&mut self, bare: &str, challenge: &str) -> Result<Vec<u8>, SaslError> {
        let mut fields = challenge;
        let nonce = attribute(&mut fields, 'r', "server nonce")?;
        let salt = decode(attribute(&mut fields, 's', "salt")?, "salt")?;
        let iterations = attribute(&mut fields, 'i', "iteration count")?;
        check_extensions(fields)?;
        check_nonce(nonce)?;
        // RFC 5802 §5.1: the server's nonce begins with ours and adds to it, or this is a replay.
        if !nonce.starts_with(&self.nonce) || nonce.len() == self.nonce.len() {
            return Err(SaslError::ServerUnproven);
        }
        let iterations: u32 = iterations.parse().map_err(|_| SaslError::Iterations)?;
        if !(LEAST_ITERATIONS..=MOST_ITERATIONS).contains(&iterations) {
            return Err(SaslError::Iterations);
        }
        let without_proof = format!("c={},r={nonce}", STANDARD.encode(&self.bound));
        let auth_message = format!("{bare},{challenge},{without_proof}");
        let keys = Keys::derive(self.credentials.password.reveal(), &salt, iterations);
        let proof = STANDARD.encode(keys.proof(&auth_message));
        self.state = State::ServerFinal { keys, auth_message };
        Ok(format!("{without_proof},p={proof}").into_bytes())
    }
}

/// RFC 7677 §4: fewer would let a false server try passwords cheaply.
const LEAST_ITERATIONS: u32 = 4_096;

/// More would let a server keep our processor busy; this is about a second.
const MOST_ITERATIONS: u32 = 1_000_000;
