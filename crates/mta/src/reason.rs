//! Why a letter did not arrive, in classes that people can act on. Worked out from reply code,
//! enhanced code, text and the verb that was answered; the same words serve bounces, `queue`,
//! `trace` and metrics. It decides nothing: whether to try again is in the reply's first digit.

mod advice;
mod classify;

use std::fmt;

use protocol::reply::{Class, EnhancedCode, Reply, ReplyCode};
use protocol::smtp::Verb;

pub use advice::Advice;
pub use classify::classify;

/// A kind of failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// No such person there.
    BadMailbox,
    /// No such domain, or it takes no mail.
    BadDomain,
    /// The mailbox is closed, moved or suspended.
    MailboxClosed,
    /// The mailbox or its system has no room.
    Full,
    /// Asked to come again later, as a test of patience.
    Greylisted,
    /// Too much at once, or too often.
    Rate,
    /// Our address or network is on a list or refused by name.
    BlockedAddress,
    /// The content was taken for junk or malware.
    Content,
    /// SPF, DKIM, DMARC or reverse DNS did not satisfy the receiver.
    Authentication,
    /// The receiver does not pass mail on for us.
    RelayDenied,
    /// The receiver refuses this sender or recipient by a rule of its own.
    Policy,
    /// The name could not be looked up for now.
    Dns,
    /// No protected connection could be made where one is needed.
    Tls,
    /// No connection, or it broke.
    Network,
    /// The letter is too large for the receiver.
    Size,
    /// The letter goes in circles.
    Loop,
    /// The receiver cannot take letters of this form (8-bit, UTF-8 addresses).
    Form,
    /// The two programs did not understand each other.
    Protocol,
    /// The receiver is not well for now.
    Unwell,
    /// It waited until its time was over.
    Expired,
    /// Somebody who runs this system gave it back.
    Operator,
    /// Something on our own side.
    Ours,
    /// None of the above.
    Other,
}

/// One failure: what was said, by whom, to which verb, and of what class it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The class.
    pub reason: Reason,
    /// What was said. Our own words where no server spoke.
    pub reply: Reply,
    /// Who said it; `None`: we did.
    pub host: Option<String>,
    /// What it answered, if a server spoke.
    pub verb: Option<Verb>,
}

impl Failure {
    /// What `host` replied to `verb`.
    pub fn said(host: impl Into<String>, verb: Verb, reply: Reply) -> Self {
        Failure { reason: classify(&reply, verb), reply, host: Some(host.into()), verb: Some(verb) }
    }

    /// A failure that may pass, in our own words.
    pub fn temporary(reason: Reason, enhanced: (u16, u16), text: impl Into<String>) -> Self {
        let code = EnhancedCode::temporary(enhanced.0, enhanced.1);
        Self::ours(reason, Reply::new(ReplyCode::LOCAL_ERROR, code, text.into()))
    }

    /// A failure for good, in our own words.
    pub fn permanent(reason: Reason, enhanced: (u16, u16), text: impl Into<String>) -> Self {
        let code = EnhancedCode::permanent(enhanced.0, enhanced.1);
        Self::ours(reason, Reply::new(ReplyCode::MAILBOX_UNAVAILABLE, code, text.into()))
    }

    fn ours(reason: Reason, reply: Reply) -> Self {
        Failure { reason, reply, host: None, verb: None }
    }

    /// Adds the host that the failure is about.
    #[must_use]
    pub fn at(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Asking again will not help (RFC 5321 §4.2.1: the first digit decides, even against the
    /// enhanced code).
    pub fn is_permanent(&self) -> bool {
        self.reply.code.is_permanent()
    }

    /// The enhanced code for a report: the server's, else the class of the reply with X.0.0
    /// (RFC 3464 §2.3.4 wants one always).
    pub fn status(&self) -> EnhancedCode {
        match (self.reply.enhanced, self.reply.code.class()) {
            // A server that says "550 4.2.2": the three digits win.
            (Some(code), Class::Permanent) => {
                EnhancedCode::permanent(code.subject(), code.detail())
            }
            (Some(code), Class::Success) => EnhancedCode::success(code.subject(), code.detail()),
            (None, Class::Success) => EnhancedCode::success(0, 0),
            (Some(code), _) => EnhancedCode::temporary(code.subject(), code.detail()),
            (None, Class::Permanent) => EnhancedCode::permanent(0, 0),
            (None, _) => EnhancedCode::temporary(0, 0),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.host, self.verb) {
            (Some(host), Some(verb)) => write!(f, "{host} said to {verb}: {}", self.reply),
            (Some(host), None) => write!(f, "{host}: {} ({})", self.reply.text, self.status()),
            // No server spoke: the three digits would be an invention.
            _ => write!(f, "{} ({})", self.reply.text, self.status()),
        }
    }
}

/// The words of journey events and `--json`.
const WORDS: [(Reason, &str); 23] = [
    (Reason::BadMailbox, "bad-mailbox"),
    (Reason::BadDomain, "bad-domain"),
    (Reason::MailboxClosed, "mailbox-closed"),
    (Reason::Full, "full"),
    (Reason::Greylisted, "greylisted"),
    (Reason::Rate, "rate"),
    (Reason::BlockedAddress, "blocked-address"),
    (Reason::Content, "content"),
    (Reason::Authentication, "authentication"),
    (Reason::RelayDenied, "relay-denied"),
    (Reason::Policy, "policy"),
    (Reason::Dns, "dns"),
    (Reason::Tls, "tls"),
    (Reason::Network, "network"),
    (Reason::Size, "size"),
    (Reason::Loop, "loop"),
    (Reason::Form, "form"),
    (Reason::Protocol, "protocol"),
    (Reason::Unwell, "unwell"),
    (Reason::Expired, "expired"),
    (Reason::Operator, "operator"),
    (Reason::Ours, "ours"),
    (Reason::Other, "other"),
];

impl Reason {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Reason> {
        WORDS.iter().map(|(reason, _)| *reason)
    }

    /// One word, for events and `--json`.
    pub fn word(self) -> &'static str {
        WORDS.iter().find(|(reason, _)| *reason == self).map_or("other", |(_, word)| word)
    }

    /// The class of that word.
    pub fn from_word(word: &str) -> Option<Reason> {
        WORDS.iter().find(|(_, known)| *known == word).map(|(reason, _)| *reason)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
