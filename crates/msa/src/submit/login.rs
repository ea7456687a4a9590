//! AUTH: each step of the client goes to `auth`, its answer comes back as a reply (RFC 4954 §6).
//! No secret stays here.

use protocol::{
    ipc::{Granted, LoginAnswer},
    rejection::{Fault, Rejection},
    reply::{EnhancedCode, ReplyCode},
    secret::Secret,
    smtp::server::{AuthAnswer, AuthStep},
};
use service::{Door, Logins, Unavailable};

/// The exchange of one session.
#[derive(Debug, Default)]
pub(crate) struct Exchange {
    open: Option<u64>,
}

/// What a step came to.
#[derive(Debug)]
pub(crate) struct Stepped {
    /// For the client.
    pub(crate) answer: AuthAnswer,
    /// Who has logged in, if so.
    pub(crate) granted: Option<Granted>,
}

impl Exchange {
    /// Takes a step of the client to `auth`.
    pub(crate) async fn step(&mut self, logins: &Logins, door: &Door, step: AuthStep) -> Stepped {
        let answer = match step {
            AuthStep::Begin { mechanism, initial } => {
                self.cancel(logins).await;
                let initial = initial.map(Secret::into_inner);
                logins.start(door, &mechanism, initial.as_deref()).await
            }
            AuthStep::Response(response) => match self.open.take() {
                Some(exchange) => logins.step(exchange, response.reveal()).await,
                None => Err(Unavailable("no exchange is open".to_owned())),
            },
        };
        self.obey(answer)
    }

    /// The client gave up.
    pub(crate) async fn cancel(&mut self, logins: &Logins) {
        if let Some(exchange) = self.open.take() {
            logins.cancel(exchange).await;
        }
    }

    fn obey(&mut self, answer: Result<LoginAnswer, Unavailable>) -> Stepped {
        let mut granted = None;
        let answer = match answer {
            Ok(LoginAnswer::Challenge { exchange, data }) => {
                self.open = Some(exchange);
                AuthAnswer::Challenge(data.0)
            }
            Ok(LoginAnswer::Granted(who)) => {
                granted = Some(who);
                AuthAnswer::Success { last: None }
            }
            Ok(LoginAnswer::Refused) => AuthAnswer::Failure(refused()),
            Ok(LoginAnswer::Malformed { message }) => AuthAnswer::Failure(malformed(message)),
            Ok(LoginAnswer::Later { retry_after_seconds }) => AuthAnswer::Failure(temporary(
                format!("too many attempts, try again in {retry_after_seconds} seconds"),
            )),
            Ok(LoginAnswer::Unavailable {}) => AuthAnswer::Failure(temporary(
                "logins of this kind are not possible at the moment, try again later".to_owned(),
            )),
            Err(unavailable) => {
                tracing::warn!(%unavailable, "a login must wait");
                let text = "logins are not possible at the moment, try again later";
                AuthAnswer::Failure(temporary(text.to_owned()).because(unavailable))
            }
        };
        Stepped { answer, granted }
    }
}

/// RFC 4954 §6: 535 5.7.8.
fn refused() -> Rejection {
    Rejection::permanent(
        ReplyCode::AUTH_FAILED,
        EnhancedCode::permanent(7, 8),
        Fault::Policy,
        "name or password is wrong",
    )
}

/// RFC 4954 §6: 454 4.7.0.
fn temporary(text: String) -> Rejection {
    let code = ReplyCode::AUTH_TEMPORARY;
    Rejection::temporary(code, EnhancedCode::temporary(7, 0), Fault::Ours, text)
}

/// RFC 4954 §4: 501.
fn malformed(text: String) -> Rejection {
    let code = ReplyCode::BAD_SYNTAX;
    Rejection::permanent(code, EnhancedCode::permanent(5, 2), Fault::Protocol, text)
}
