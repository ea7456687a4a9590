//! What the server machine tells and asks its agent, and how the agent answers. A question is
//! consumed by its answer; an answer that comes too late (the peer is gone) is dropped in silence.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::{Exchange, MailParameters, RcptParameters, Verb};
use crate::address::{ForwardPath, ReversePath};
use crate::rejection::Rejection;
use crate::secret::Secret;

/// What happened, or what is asked.
#[derive(Debug)]
pub enum Event {
    /// HELO, EHLO or LHLO was answered; a transaction that was open is gone.
    Hello(Hello),
    /// XCLIENT: whom a trusted peer speaks for from now on. It was answered with the greeting.
    XClient(XClient),
    /// STARTTLS: may TLS begin? After a yes: take all output, then do the handshake.
    StartTls(StartTlsQuestion),
    /// A step of AUTH.
    Auth(AuthQuestion, AuthStep),
    /// The client gave AUTH up; the question that was answered last was the last one.
    AuthCancelled,
    /// MAIL: is this sender taken?
    Mail(MailQuestion, Mail),
    /// RCPT: is this recipient taken? Many can be open at once; the replies leave in order.
    Rcpt(RcptQuestion, Rcpt),
    /// A piece of the body, never empty, without the dots of transparency. The first one says that
    /// the data have begun.
    Body(Bytes),
    /// The end of the data: is the letter taken? Every recipient is answered by then.
    End(EndQuestion, BodyFacts),
    /// The transaction that MAIL had begun is over without [`Event::End`].
    Aborted(Abort),
    /// A reply was given; only when the configuration asks for it.
    Exchange(Exchange),
    /// The connection is over, or will be when the output is taken. The last event.
    Closed(Closing),
}

/// How the client introduced itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// HELO, EHLO or LHLO.
    pub verb: Verb,
    /// What it calls itself: printable, without spaces, and otherwise unchecked.
    pub name: Box<str>,
}

/// What came with XCLIENT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct XClient {
    /// The client's address, if it is known.
    pub address: Option<std::net::IpAddr>,
    /// Its port.
    pub port: Option<u16>,
}

/// What came with MAIL.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// The sender.
    pub path: ReversePath,
    /// The parameters, all of them offered.
    pub parameters: MailParameters,
}

/// What came with RCPT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rcpt {
    /// The recipient.
    pub path: ForwardPath,
    /// The parameters, all of them offered.
    pub parameters: RcptParameters,
}

/// What is known of a body at its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BodyFacts {
    /// The sum of all [`Event::Body`].
    pub octets: u64,
    /// Some octet is over 127, whatever was declared. RFC 5321 §2.4 lets us pass such on.
    pub eight_bit: bool,
}

/// Why a transaction ended early.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Abort {
    /// RSET, or HELO, EHLO or LHLO in its midst.
    Reset,
    /// The machine itself refused the letter after the body had begun: too large, a bare LF, a
    /// line too long.
    Refused(Rejection),
    /// The connection is gone; [`Event::Closed`] follows.
    Gone,
}

/// Why the connection is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Closing {
    /// QUIT.
    Quit,
    /// The peer closed, or broke off.
    PeerGone,
    /// It was silent for too long.
    Timeout,
    /// It made too many errors.
    TooManyErrors,
    /// It does not speak SMTP: HTTP, TLS, garbage.
    NotSmtp,
    /// It sent something that cannot be told apart from an attack on other servers.
    Smuggling,
    /// A 421 of ours.
    Unavailable,
}

macro_rules! questions {
    ($($name:ident, $text:literal;)+) => {$(
        #[doc = $text]
        #[derive(Debug, PartialEq, Eq)]
        #[must_use = "the session waits for the answer"]
        pub struct $name(pub(super) u64);
    )+};
}

questions! {
    StartTlsQuestion, "Answered by [`super::Server::answer_starttls`].";
    AuthQuestion, "Answered by [`super::Server::answer_auth`].";
    MailQuestion, "Answered by [`super::Server::answer_mail`].";
    RcptQuestion, "Answered by [`super::Server::answer_rcpt`].";
    EndQuestion, "Answered by [`super::Server::answer_end`].";
}

/// A step of the client in AUTH.
#[derive(Debug)]
pub enum AuthStep {
    /// The exchange begins, with one of the mechanisms that were offered.
    Begin {
        /// In upper case.
        mechanism: String,
        /// The initial response (RFC 4954 §4), if there was one; it can be empty.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// The response to the last challenge.
    Response(Secret<Vec<u8>>),
}

/// The agent's answer to a step.
#[derive(Debug)]
pub enum AuthAnswer {
    /// Another challenge.
    Challenge(Vec<u8>),
    /// The client is who it says.
    Success {
        /// Data that come with success (RFC 4954 §4): sent as one more challenge, to which the
        /// machine itself awaits the empty response.
        last: Option<Vec<u8>>,
    },
    /// It is not, or we could not tell (454).
    Failure(Rejection),
}

/// The agent's answer to one letter or one recipient: what stands after `250 2.0.0`, or why not.
pub type Verdict = Result<Cow<'static, str>, Rejection>;

/// The agent's answer at the end of the data.
#[derive(Debug)]
pub enum EndAnswer {
    /// For the letter as a whole; over LMTP the same for each recipient.
    Whole(Verdict),
    /// For each accepted recipient, in the order of the RCPTs. Over SMTP, which has one reply, a
    /// yes for any is a yes, else the first no. Recipients without a verdict get 451.
    Each(Vec<Verdict>),
}
