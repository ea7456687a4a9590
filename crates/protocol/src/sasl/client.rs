//! The client side of an exchange. After the last message the protocol around it hears yes or no;
//! a yes counts only when [`Client::finish`] agrees: the server must have proven itself too.

use super::{ChannelBinding, Mechanism, SaslError, bearer, plain, prepare, scram::client::Scram};
use crate::secret::Secret;

/// Who logs in, and how.
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The name, for our servers the full address.
    pub authcid: String,
    /// As whom to act; `None`: as the same.
    pub authzid: Option<String>,
    /// The password as typed; for OAUTHBEARER and XOAUTH2, the token.
    pub password: Secret<String>,
}

/// One exchange.
#[derive(Debug)]
pub struct Client {
    state: State,
}

#[derive(Debug)]
enum State {
    Plain(Credentials),
    LoginName(Credentials),
    LoginPassword(Secret<String>),
    Scram(Box<Scram>),
    Token(Mechanism, Credentials),
    /// The authorization identity.
    External(String),
    /// The token is shown; a challenge now says why it was refused.
    Shown,
    /// All is said; what is left is the server's yes or no.
    Said,
    Over,
}

impl Client {
    /// An exchange not yet begun. `nonce` as for [`super::Server::new`].
    ///
    /// # Errors
    /// A name or password that cannot be prepared, or -PLUS with nothing to bind to.
    pub fn new(
        mechanism: Mechanism,
        credentials: Credentials,
        connection: Connection<'_>,
        nonce: &str,
    ) -> Result<Self, SaslError> {
        let Credentials { authcid, authzid, password } = credentials;
        let credentials = Credentials {
            authcid: prepare(&authcid)?.into_owned(),
            authzid: authzid
                .map(|name| prepare(&name).map(|name| name.into_owned()))
                .transpose()?,
            password: Secret::new(prepare(password.reveal())?.into_owned()),
        };
        let state = match mechanism {
            Mechanism::Plain => State::Plain(credentials),
            Mechanism::Login => State::LoginName(credentials),
            Mechanism::ScramSha256 | Mechanism::ScramSha256Plus => {
                State::Scram(Box::new(Scram::new(mechanism, credentials, connection, nonce)?))
            }
            Mechanism::OAuthBearer | Mechanism::XOAuth2 => State::Token(mechanism, credentials),
            Mechanism::External => State::External(credentials.authzid.unwrap_or_default()),
        };
        Ok(Self { state })
    }

    /// The initial response; `None` when the server speaks first. Where the protocol has no room
    /// for it, do not call this: the server's empty challenge asks for it through
    /// [`Client::respond`].
    pub fn initial(&mut self) -> Option<Vec<u8>> {
        if matches!(self.state, State::LoginName(_)) {
            return None;
        }
        self.respond(b"").ok()
    }

    /// Answers a challenge.
    ///
    /// # Errors
    /// The exchange must be cancelled then (`*`).
    pub fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, SaslError> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Plain(Credentials { authcid, authzid, password }) => {
                self.state = State::Said;
                Ok(plain::write(authzid.as_deref(), &authcid, password.reveal()))
            }
            // The texts of the prompts vary between servers; only their order is common.
            State::LoginName(Credentials { authcid, password, .. }) => {
                self.state = State::LoginPassword(password);
                Ok(authcid.into_bytes())
            }
            State::LoginPassword(password) => {
                self.state = State::Said;
                Ok(password.into_inner().into_bytes())
            }
            State::Scram(mut scram) => {
                let message = scram.message(challenge)?;
                self.state = State::Scram(scram);
                Ok(message)
            }
            State::Token(mechanism, Credentials { authcid, authzid, password }) => {
                self.state = State::Shown;
                Ok(bearer::write(mechanism, &authcid, authzid.as_deref(), password.reveal()))
            }
            State::External(identity) => {
                self.state = State::Said;
                Ok(identity.into_bytes())
            }
            // RFC 7628 §3.2.3: the refusal is acknowledged; the server's no follows.
            State::Shown => Ok(bearer::READ.to_vec()),
            State::Said | State::Over => Err(SaslError::OutOfTurn),
        }
    }

    /// The server said yes; `data` is what came with it, where the protocol carries that.
    ///
    /// # Errors
    /// [`SaslError::ServerUnproven`]: whoever said yes does not know our password. Close.
    pub fn finish(mut self, data: Option<&[u8]>) -> Result<(), SaslError> {
        match (&mut self.state, data) {
            (State::Said | State::Shown, _) => Ok(()),
            (State::Scram(scram), Some(data)) if !scram.is_proven() => {
                scram.message(data).map(|_| ())
            }
            (State::Scram(scram), _) if scram.is_proven() => Ok(()),
            _ => Err(SaslError::ServerUnproven),
        }
    }
}

/// The connection as the client sees it.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// What there is to bind to.
    pub binding: &'a ChannelBinding,
    /// The mechanisms the server offers here.
    pub offers: &'a [Mechanism],
}
