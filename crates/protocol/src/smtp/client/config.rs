//! How a client machine behaves. Values only: whether TLS is wanted, or a letter may be sent
//! eagerly, is for the agents to say.

use std::time::Duration;

use super::super::{Dialect, Observe, Verb};

/// The configuration of a client machine; many machines share one.
#[derive(Debug, Clone)]
pub struct Config {
    /// SMTP or LMTP.
    pub dialect: Dialect,
    /// What we call ourselves in EHLO or LHLO: a domain or an address literal.
    pub hello_name: Box<str>,
    /// STARTTLS.
    pub tls: TlsUse,
    /// How far we go before the server has answered.
    pub pace: Pace,
    /// BDAT.
    pub chunking: Chunking,
    /// How long we wait.
    pub timeouts: Timeouts,
    /// Whether each reply is reported as an event.
    pub observe: Observe,
}

/// What we do about STARTTLS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsUse {
    /// Nothing: it lies under the connection already, or it is not wanted.
    Never,
    /// Say it where it is offered, go on without where it is not or is refused. RFC 7435.
    IfOffered,
    /// Say it, and say nothing else without it.
    Required,
}

/// How far we go before the server has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// The body waits until a recipient is accepted.
    Careful,
    /// With CHUNKING, envelope and body go out in one write: for the hops between our own agents,
    /// where the recipients have been asked about already.
    Eager,
}

/// What we do about CHUNKING.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chunking {
    /// Always DATA.
    Never,
    /// BDAT where it is offered and the size of the body is known.
    WhenOffered,
}

/// How long a client waits. The defaults are the least that RFC 5321 §4.5.3.2 asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the greeting. §4.5.3.2.1.
    pub greeting: Duration,
    /// For the reply to EHLO, AUTH, STARTTLS, RSET.
    pub command: Duration,
    /// For the reply to MAIL. §4.5.3.2.2.
    pub mail: Duration,
    /// For the reply to RCPT. §4.5.3.2.3.
    pub rcpt: Duration,
    /// For the reply to DATA. §4.5.3.2.4.
    pub data: Duration,
    /// For the server to take a piece of the body. §4.5.3.2.5.
    pub block: Duration,
    /// For the reply to the end of the data. §4.5.3.2.6: a shorter one makes duplicates.
    pub end: Duration,
    /// For the reply to QUIT, on which nothing depends.
    pub quit: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        Timeouts {
            greeting: minutes(5),
            command: minutes(5),
            mail: minutes(5),
            rcpt: minutes(5),
            data: minutes(2),
            block: minutes(3),
            end: minutes(10),
            quit: Duration::from_secs(10),
        }
    }
}

impl Timeouts {
    pub(super) fn of(&self, verb: Verb) -> Duration {
        match verb {
            Verb::Greeting => self.greeting,
            Verb::Mail => self.mail,
            Verb::Rcpt => self.rcpt,
            Verb::Data => self.data,
            Verb::EndOfData | Verb::Bdat => self.end,
            Verb::Quit => self.quit,
            _ => self.command,
        }
    }
}

impl Config {
    /// SMTP to servers that we know nothing of.
    pub fn smtp(hello_name: &str) -> Self {
        Config {
            dialect: Dialect::Smtp,
            hello_name: hello_name.into(),
            tls: TlsUse::IfOffered,
            pace: Pace::Careful,
            chunking: Chunking::WhenOffered,
            timeouts: Timeouts::default(),
            observe: Observe::Nothing,
        }
    }

    /// LMTP to a delivery agent, envelope and body in one write.
    pub fn lmtp(hello_name: &str) -> Self {
        Config {
            dialect: Dialect::Lmtp,
            tls: TlsUse::Never,
            pace: Pace::Eager,
            ..Config::smtp(hello_name)
        }
    }
}
