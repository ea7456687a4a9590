//! What the client machine tells its agent.

use std::fmt;

use super::super::{Exchange, Verb};
use crate::reply::{Reply, ReplyError};

/// What happened.
#[derive(Debug)]
pub enum Event {
    /// STARTTLS was granted: take all output, do the handshake, then `tls_established`.
    StartTls,
    /// The server is ready for a login, a transaction or QUIT; see [`super::Client::capabilities`].
    Ready,
    /// The login succeeded, and the server proved itself where the mechanism can tell.
    Authenticated,
    /// The login failed; another can be tried.
    LoginFailed(Answer),
    /// MAIL is answered.
    Mail(Answer),
    /// RCPT is answered; the number counts from 0 in the order of the calls.
    Recipient(usize, Answer),
    /// The body may be pushed.
    BodyWanted,
    /// The transaction is over; the next can begin unless [`Event::Closed`] follows.
    Finished(Outcome),
    /// A reply came; only when the configuration asks for it.
    Exchange(Exchange),
    /// The connection is over. The last event.
    Closed(Closing),
}

/// An answer to a command, with the verb that it answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The command.
    pub verb: Verb,
    /// The reply.
    pub reply: Reply,
    /// Who gave it.
    pub by: By,
}

/// Who gave an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// The server.
    Peer,
    /// This machine: the server does not offer what the letter needs.
    Us,
}

impl Answer {
    /// 2yz.
    pub fn is_success(&self) -> bool {
        self.reply.code.is_success()
    }
}

/// How a transaction ended, by recipient, in the order of the calls.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// One for each recipient.
    pub recipients: Vec<Fate>,
}

/// What became of a letter for one recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The answer that decides: to MAIL, RCPT, DATA or the end of the data.
    Answered(Answer),
    /// The connection failed before there was one. After the end of the data it is not known
    /// whether the server took the letter.
    Unanswered(Failure),
}

/// Why the connection is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closing {
    /// We said QUIT, or gave the connection up.
    Quit,
    /// It failed.
    Failed(Failure),
}

/// Why a connection failed, and at which verb.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// The server turned us away: in its greeting, at EHLO, or by 421 at any time.
    Refused(Answer),
    /// The server closed the connection while it owed the reply to this.
    Lost(Verb),
    /// The server was silent for too long while it owed the reply to this.
    Timeout(Verb),
    /// What came is no reply.
    BadReply(Verb, ReplyError),
    /// A line of a reply is longer than we read.
    ReplyTooLong(Verb),
    /// TLS is required and not offered.
    TlsNotOffered,
    /// TLS is required and was refused.
    TlsRefused(Answer),
    /// Whoever answers does not know our password.
    ServerUnproven,
    /// The agent gave the connection up within a transaction.
    Abandoned,
}

impl Failure {
    /// The reply that caused it, if one did.
    pub fn answer(&self) -> Option<&Answer> {
        match self {
            Failure::Refused(answer) | Failure::TlsRefused(answer) => Some(answer),
            _ => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(answer) => {
                write!(f, "the server said in answer to {}: {}", answer.verb, answer.reply)
            }
            Failure::Lost(verb) => write!(f, "the server closed the connection ({verb})"),
            Failure::Timeout(verb) => write!(f, "the server did not answer in time ({verb})"),
            Failure::BadReply(verb, error) => write!(f, "{error} ({verb})"),
            Failure::ReplyTooLong(verb) => write!(f, "the server's line is too long ({verb})"),
            Failure::TlsNotOffered => f.write_str("the server does not offer STARTTLS"),
            Failure::TlsRefused(answer) => write!(f, "STARTTLS was refused: {}", answer.reply),
            Failure::ServerUnproven => {
                f.write_str("the server did not prove that it knows the password")
            }
            Failure::Abandoned => f.write_str("the transaction was given up"),
        }
    }
}

impl std::error::Error for Failure {}
