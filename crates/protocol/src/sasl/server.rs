//! The server side of an exchange: takes the client's messages, gives challenges, and asks its
//! owner what it cannot know: whether a password fits, what is stored for SCRAM, what a token is
//! worth, whom the connection belongs to.

use super::{
    ChannelBinding, MESSAGE_LIMIT, Mechanism, PasswordClaim, SaslError, ScramVerifier, TokenClaim,
    TokenHint, bearer, login, plain, prepare,
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
    /// Grant if the token is good; else say so with [`Server::token_refused`].
    CheckToken(TokenClaim),
    /// Grant if the connection itself proves who the client is (RFC 4422 appendix A).
    CheckConnection {
        /// As whom it wants to act; `None`: as whom the connection says.
        authzid: Option<String>,
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
    LoginPassword {
        authcid: String,
    },
    Scram(Box<Scram>),
    Token(Mechanism),
    /// The client reads why its token was refused, and says when it has.
    TokenRefused,
    External,
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
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => State::Token(mechanism),
            Mechanism::External => State::External,
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
            // RFC 4422 §3: a client that must speak first is asked with an empty challenge.
            first @ (State::Plain | State::Token(_) | State::External) if message.is_none() => {
                self.state = first;
                Ok(Step::Challenge(Vec::new()))
            }
            State::Plain => plain::read(message.unwrap_or_default()).map(Step::CheckPassword),
            State::Token(mechanism) => {
                let claim = bearer::read(mechanism, message.unwrap_or_default())?;
                self.state = State::Token(mechanism);
                Ok(Step::CheckToken(claim))
            }
            // RFC 7628 §3.2.3: whatever the client says now, it has failed.
            State::TokenRefused => Ok(Step::Refused),
            State::External => {
                let authzid = std::str::from_utf8(message.unwrap_or_default())
                    .map_err(|_| SaslError::Malformed("UTF-8"))?;
                let authzid = (!authzid.is_empty()).then(|| prepare(authzid)).transpose()?;
                Ok(Step::CheckConnection { authzid: authzid.map(|name| name.into_owned()) })
            }
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

    /// Answers [`Step::CheckToken`] with no: the client is told why, and its next message ends the
    /// exchange (RFC 7628 §3.2.2).
    ///
    /// # Errors
    /// [`SaslError::OutOfTurn`] when it was not asked for.
    pub fn token_refused(&mut self, hint: &TokenHint) -> Result<Step, SaslError> {
        match std::mem::replace(&mut self.state, State::TokenRefused) {
            State::Token(mechanism) => Ok(Step::Challenge(bearer::refusal(mechanism, hint))),
            _ => Err(SaslError::OutOfTurn),
        }
    }
}
