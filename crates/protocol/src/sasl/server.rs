//! The server side of an exchange: takes the client's messages, gives challenges, and asks its
//! owner the two things it cannot know: whether a password fits, and what is stored for SCRAM.

use super::{
    ChannelBinding, MESSAGE_LIMIT, Mechanism, PasswordClaim, SaslError, ScramVerifier, login,
    plain,
    scram::server::{Asked, Scram},
};

/// What comes next.
#[derive(Debug)]
pub enum Step {
    /// Send this and bring the response with [`Server::step`].
    Challenge(Vec<u8>),
    /// The mechanism has done its part: grant if the password is right.
    CheckPassword(PasswordClaim),
    /// Bring what is stored for this name with [`Server::verifier`]; for one that does not exist,
    /// [`ScramVerifier::pretended`].
    FindVerifier {
        /// Whose password it is.
        authcid: String,
    },
    /// The client has proven that it knows the password.
    Proven(Identity),
    /// It has not.
    Refused,
}

/// Who a client has proven to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose password it knew.
    pub authcid: String,
    /// As whom it wants to act; `None`: as the same.
    pub authzid: Option<String>,
}

/// One exchange.
#[derive(Debug)]
pub struct Server {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain,
    LoginName,
    LoginPassword { authcid: String },
    Scram(Box<Scram>),
    Over,
}

impl Server {
    /// An exchange not yet begun. `nonce` is fresh, random, printable and without a comma: at
    /// least 18 octets of randomness in base64.
    pub fn new(mechanism: Mechanism, binding: ChannelBinding, nonce: String) -> Self {
        let state = match mechanism {
            Mechanism::Plain => State::Plain,
            Mechanism::Login => State::LoginName,
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                State::Scram(Box::new(Scram::new(mechanism, binding, nonce)))
            }
        };
        Self { state }
    }

    /// Takes the client's next message; `None` only at the start, where it sent no initial
    /// response.
    ///
    /// # Errors
    /// The exchange is over then.
    pub fn step(&mut self, message: Option<&[u8]>) -> Result<Step, SaslError> {
        if message.is_some_and(|octets| octets.len() > MESSAGE_LIMIT) {
            self.state = State::Over;
            return Err(SaslError::Malformed("message: it is too long"));
        }
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain => match message {
                // RFC 4422 §3: a client that must speak first is asked with an empty challenge.
                None => {
                    self.state = State::Plain;
                    Ok(Step::Challenge(Vec::new()))
                }
                Some(message) => plain::read(message).map(Step::CheckPassword),
            },
            State::LoginName => match message {
                None => {
                    self.state = State::LoginName;
                    Ok(Step::Challenge(login::USERNAME.to_vec()))
                }
                Some(message) => {
                    let authcid = login::username(message)?;
                    self.state = State::LoginPassword { authcid };
                    Ok(Step::Challenge(login::PASSWORD.to_vec()))
                }
            },
            State::LoginPassword { authcid } => {
                let message = message.ok_or(SaslError::OutOfTurn)?;
                login::password(authcid, message).map(Step::CheckPassword)
            }
            State::Scram(mut scram) => {
                let step = match scram.message(message)? {
                    Asked::Challenge(octets) => Step::Challenge(octets),
                    Asked::Verifier { authcid } => Step::FindVerifier { authcid },
                    Asked::Proven(identity) => return Ok(Step::Proven(identity)),
                    Asked::Refused => return Ok(Step::Refused),
                };
                self.state = State::Scram(scram);
                Ok(step)
            }
            State::Over => Err(SaslError::OutOfTurn),
        }
    }

    /// Answers [`Step::FindVerifier`].
    ///
    /// # Errors
    /// [`SaslError::OutOfTurn`] when it was not asked for.
    pub fn verifier(&mut self, verifier: ScramVerifier) -> Result<Step, SaslError> {
        match &mut self.state {
            State::Scram(scram) => scram.verifier(verifier).map(Step::Challenge),
            _ => Err(SaslError::OutOfTurn),
        }
    }
}
