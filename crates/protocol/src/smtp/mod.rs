//! SMTP (RFC 5321) and LMTP (RFC 2033): the server machine, the client machine, and what both
//! sides share: verbs, capabilities, parameters, transparency of the dot. `server/*` and
//! `client/*` mirror each other; LMTP is a [`Dialect`], not a copy.

pub mod capabilities;
pub mod client;
mod exchange;
pub mod parameters;
pub mod server;
mod transparency;
pub mod verb;

pub use self::capabilities::Capabilities;
pub use self::exchange::{Exchange, Observe};
pub use self::parameters::{
    AuthParameter, BodyType, DsnReturn, MailParameters, Notify, OriginalRecipient, RcptParameters,
    Release,
};
pub use self::verb::Verb;

/// Which of the two protocols is spoken. They differ in the greeting verb and in the replies after
/// the data: SMTP has one, LMTP one for each accepted recipient (RFC 2033 §4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// RFC 5321; also RFC 6409, whose differences are policy and belong to the MSA.
    Smtp,
    /// RFC 2033.
    Lmtp,
}
