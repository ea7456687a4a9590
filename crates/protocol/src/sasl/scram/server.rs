//! The server side of SCRAM (RFC 5802 §5). The names of its states are the messages it waits for.

use super::{
    attribute, check_extensions, check_nonce, decode, keys::ScramVerifier, text, unescape,
};
use crate::sasl::{ChannelBinding, Identity, Mechanism, SaslError, prepare};
use base64::{Engine as _, engine::general_purpose::STANDARD};

/// What comes next; `sasl::Step` for the world.
pub(crate) enum Asked {
    Challenge(Vec<u8>),
    Verifier { authcid: String },
    Proven(Identity),
    Refused,
}

/// One exchange.
#[derive(Debug)]
pub(crate) struct Scram {
    is_plus: bool,
    binding: ChannelBinding,
    nonce: String,
    state: State,
}

#[derive(Debug)]
enum State {
    ClientFirst,
    /// Our owner looks for the verifier.
    Verifier(ClientFirst),
    ClientFinal {
        identity: Identity,
        /// What the client must repeat in `c=`.
        bound: Vec<u8>,
        /// What it must repeat in `r=`.
        nonce: String,
        /// `client-first-message-bare "," server-first-message`.
        messages: String,
        verifier: ScramVerifier,
    },
    /// The client's empty answer to our proof.
    Acknowledgement(Identity),
    Over,
}

/// What the first message said.
#[derive(Debug)]
struct ClientFirst {
    identity: Identity,
    bound: Vec<u8>,
    nonce: String,
    bare: String,
}

impl Scram {
    pub(crate) fn new(mechanism: Mechanism, binding: ChannelBinding, nonce: String) -> Self {
        let is_plus = mechanism == Mechanism::ScramSha256Plus;
        Self { is_plus, binding, nonce, state: State::ClientFirst }
    }

    pub(crate) fn message(&mut self, message: Option<&[u8]>) -> Result<Asked, SaslError> {
        match (std::mem::replace(&mut self.state, State::Over), message) {
            (State::ClientFirst, None) => {
                self.state = State::ClientFirst;
                Ok(Asked::Challenge(Vec::new()))
            }
            (State::ClientFirst, Some(message)) => {
                let Some(first) = self.client_first(text(message)?)? else {
                    return Ok(Asked::Refused);
                };
                let authcid = first.identity.authcid.clone();
                self.state = State::Verifier(first);
                Ok(Asked::Verifier { authcid })
            }
            (State::ClientFinal { identity, bound, nonce, messages, verifier }, Some(message)) => {
                let message = text(message)?;
                let said = ClientFinal::read(message)?;
                let auth_message = format!("{messages},{}", said.without_proof);
                // All three are looked at before any is answered for.
                let proven = verifier.accepts(&said.proof, &auth_message);
                if said.bound != bound || said.nonce != nonce || !proven {
                    return Ok(Asked::Refused);
                }
                let signature = STANDARD.encode(verifier.server_signature(&auth_message));
                self.state = State::Acknowledgement(identity);
                Ok(Asked::Challenge(format!("v={signature}").into_bytes()))
            }
            // RFC 4954 §4 and RFC 3501 §6.2.2: no data with success, so our proof went as a
            // challenge, and the client answers it with nothing.
            (State::Acknowledgement(identity), Some(b"")) => Ok(Asked::Proven(identity)),
            (State::Acknowledgement(_), Some(_)) => {
                Err(SaslError::Malformed("answer to the server's proof"))
            }
            _ => Err(SaslError::OutOfTurn),
        }
    }

    pub(crate) fn verifier(&mut self, verifier: ScramVerifier) -> Result<Vec<u8>, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Verifier(ClientFirst { identity, bound, nonce, bare }) => {
                let nonce = format!("{nonce}{}", self.nonce);
                let salt = STANDARD.encode(&verifier.salt);
                let ours = format!("r={nonce},s={salt},i={}", verifier.iterations);
                let messages = format!("{bare},{ours}");
                self.state = State::ClientFinal { identity, bound, nonce, messages, verifier };
                Ok(ours.into_bytes())
            }
            state => {
                self.state = state;
                Err(SaslError::OutOfTurn)
            }
        }
    }

    /// `gs2-header client-first-message-bare`; `None` where the channel binding forbids to go on.
    fn client_first(&self, message: &str) -> Result<Option<ClientFirst>, SaslError> {
        let malformed = || SaslError::Malformed("GS2 header");
        let (flag, rest) = message.split_once(',').ok_or_else(malformed)?;
        let (authzid, bare) = rest.split_once(',').ok_or_else(malformed)?;
        let data: &[u8] = match (flag, flag.strip_prefix("p=")) {
            (_, Some(name)) if self.is_plus => match self.binding.data(name) {
                Some(data) => data,
                None => return Ok(None),
            },
            // RFC 5802 §6: "y" says that we did not offer -PLUS. Where we did, somebody between us
            // took it out of the list.
            ("y", _) if self.binding.is_available() => return Ok(None),
            ("n" | "y", _) if !self.is_plus => b"",
            _ => return Err(malformed()),
        };
        let authzid = match authzid.strip_prefix("a=") {
            // RFC 5802 §7 wants a name here; GNU SASL writes an empty one for none.
            Some("") => None,
            Some(name) => Some(prepare(&unescape(name)?)?.into_owned()),
            None if authzid.is_empty() => None,
            None => return Err(malformed()),
        };
        let mut fields = bare;
        // `m=` in front of the name is the reserved extension and fails here.
        let name = attribute(&mut fields, 'n', "SCRAM name")?;
        let nonce = attribute(&mut fields, 'r', "SCRAM nonce")?;
        check_nonce(nonce)?;
        check_extensions(fields)?;
        let authcid = prepare(&unescape(name)?)?.into_owned();
        let header = message.len() - bare.len();
        let mut bound = message.as_bytes().get(..header).unwrap_or_default().to_vec();
        bound.extend_from_slice(data);
        Ok(Some(ClientFirst {
            identity: Identity { authcid, authzid },
            bound,
            nonce: nonce.to_owned(),
            bare: bare.to_owned(),
        }))
    }
}

/// What the last message said.
struct ClientFinal<'a> {
    bound: Vec<u8>,
    nonce: &'a str,
    proof: Vec<u8>,
    without_proof: &'a str,
}

impl<'a> ClientFinal<'a> {
    fn read(message: &'a str) -> Result<Self, SaslError> {
        let (without_proof, proof) =
            message.rsplit_once(",p=").ok_or(SaslError::Malformed("SCRAM proof"))?;
        let proof = decode(proof, "SCRAM proof")?;
        let mut fields = without_proof;
        let bound = decode(attribute(&mut fields, 'c', "channel binding")?, "channel binding")?;
        let nonce = attribute(&mut fields, 'r', "SCRAM nonce")?;
        check_extensions(fields)?;
        Ok(Self { bound, nonce, proof, without_proof })
    }
}
