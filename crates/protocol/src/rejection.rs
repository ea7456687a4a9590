//! Why something was refused: what the peer is told and what the log is told, which are not the
//! same. One type for every agent, so that "temporary or permanent, and whose fault" is decided
//! where the failure is known and never guessed from text later.

use std::borrow::Cow;
use std::fmt;

use crate::reply::{EnhancedCode, Reply, ReplyCode};

/// A refusal, with a 4yz or 5yz code. Public text says what and, where it helps, what to do; it
/// never carries paths or other details of this host, which belong into the cause.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    code: ReplyCode,
    enhanced: EnhancedCode,
    text: Cow<'static, str>,
    cause: Option<String>,
    fault: Fault,
}

/// On whose side the reason lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The peer's program broke the protocol.
    Protocol,
    /// What the sender asked for cannot be: address, size, content.
    Sender,
    /// The recipient's mailbox: unknown, full, closed.
    Recipient,
    /// A rule of this server.
    Policy,
    /// This server or something that it needs is not well.
    Ours,
}

impl Rejection {
    /// A temporary refusal. A code that is not 4yz becomes 451.
    pub fn temporary(
        code: ReplyCode,
        enhanced: EnhancedCode,
        fault: Fault,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let code = if code.is_temporary() { code } else { ReplyCode::LOCAL_ERROR };
        let enhanced = EnhancedCode::temporary(enhanced.subject(), enhanced.detail());
        Rejection { code, enhanced, text: text.into(), cause: None, fault }
    }

    /// A permanent refusal. A code that is not 5yz becomes 554.
    pub fn permanent(
        code: ReplyCode,
        enhanced: EnhancedCode,
        fault: Fault,
        text: impl Into<Cow<'static, str>>,
    ) -> Self {
        let code = if code.is_permanent() { code } else { ReplyCode::FAILED };
        let enhanced = EnhancedCode::permanent(enhanced.subject(), enhanced.detail());
        Rejection { code, enhanced, text: text.into(), cause: None, fault }
    }

    /// Whatever we cannot name: 451, never 5yz, and the cause for the log only.
    pub fn internal(cause: impl fmt::Display) -> Self {
        Self::temporary(
            ReplyCode::LOCAL_ERROR,
            EnhancedCode::temporary(3, 0),
            Fault::Ours,
            "local error, try again later",
        )
        .because(cause)
    }

    /// A refusal that another server gave, passed on. `None` if the reply refuses nothing.
    pub fn from_reply(reply: &Reply) -> Option<Self> {
        let temporary = match reply.code.class() {
            crate::reply::Class::Temporary => true,
            crate::reply::Class::Permanent => false,
            _ => return None,
        };
        let enhanced = reply.enhanced.unwrap_or(if temporary {
            EnhancedCode::temporary(0, 0)
        } else {
            EnhancedCode::permanent(0, 0)
        });
        Some(Rejection {
            code: reply.code,
            enhanced,
            text: reply.text.clone(),
            cause: None,
            fault: Fault::Recipient,
        })
    }

    /// Adds what only the log may know.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.cause = Some(cause.to_string());
        self
    }

    /// Says on whose side the reason lies.
    #[must_use]
    pub fn with_fault(mut self, fault: Fault) -> Self {
        self.fault = fault;
        self
    }

    /// The three digits: 4yz or 5yz.
    pub fn code(&self) -> ReplyCode {
        self.code
    }

    /// The enhanced code.
    pub fn enhanced(&self) -> EnhancedCode {
        self.enhanced
    }

    /// What the peer is told.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What the log is told besides.
    pub fn cause(&self) -> Option<&str> {
        self.cause.as_deref()
    }

    /// On whose side the reason lies.
    pub fn fault(&self) -> Fault {
        self.fault
    }

    /// Trying again later may help.
    pub fn is_temporary(&self) -> bool {
        self.code.is_temporary()
    }

    /// RFC 5321 §3.8: 421 says that the connection is being closed.
    pub fn closes(&self) -> bool {
        self.code == ReplyCode::UNAVAILABLE
    }

    /// What goes over the wire.
    pub fn to_reply(&self) -> Reply {
        Reply::new(self.code, self.enhanced, self.text.clone())
    }
}

/// The refusals that more than one agent gives, in one wording.
impl Rejection {
    /// 550 5.1.1.
    pub fn no_such_mailbox() -> Self {
        Self::permanent(
            ReplyCode::MAILBOX_UNAVAILABLE,
            EnhancedCode::permanent(1, 1),
            Fault::Recipient,
            "no such mailbox here",
        )
    }

    /// 550 5.7.1.
    pub fn relay_denied() -> Self {
        Self::permanent(
            ReplyCode::MAILBOX_UNAVAILABLE,
            EnhancedCode::permanent(7, 1),
            Fault::Policy,
            "relaying denied: this server takes mail for its own domains only",
        )
    }

    /// 452 4.5.3, RFC 5321 §4.5.3.1.10: the client sends the rest in another transaction.
    pub fn too_many_recipients() -> Self {
        Self::temporary(
            ReplyCode::NO_STORAGE,
            EnhancedCode::temporary(5, 3),
            Fault::Sender,
            "too many recipients, send the rest in another transaction",
        )
    }

    /// 552 5.3.4, RFC 1870 §6.1; `limit` in octets.
    pub fn too_large(limit: u64) -> Self {
        Self::permanent(
            ReplyCode::TOO_MUCH,
            EnhancedCode::permanent(3, 4),
            Fault::Sender,
            format!("letter is too large, the limit is {limit} octets"),
        )
    }

    /// 552 5.2.2.
    pub fn mailbox_full() -> Self {
        Self::permanent(
            ReplyCode::TOO_MUCH,
            EnhancedCode::permanent(2, 2),
            Fault::Recipient,
            "mailbox is full",
        )
    }

    /// 452 4.3.1: before the disk is full.
    pub fn disk_low() -> Self {
        Self::temporary(
            ReplyCode::NO_STORAGE,
            EnhancedCode::temporary(3, 1),
            Fault::Ours,
            "not enough storage here, try again later",
        )
    }

    /// 554 5.4.6.
    pub fn loop_detected() -> Self {
        Self::permanent(
            ReplyCode::FAILED,
            EnhancedCode::permanent(4, 6),
            Fault::Sender,
            "too many hops, this letter is going in circles",
        )
    }

    /// 421 4.3.2.
    pub fn shutting_down() -> Self {
        Self::temporary(
            ReplyCode::UNAVAILABLE,
            EnhancedCode::temporary(3, 2),
            Fault::Ours,
            "server is going down, try again later",
        )
    }

    /// 421 4.7.0.
    pub fn too_many_sessions() -> Self {
        Self::temporary(
            ReplyCode::UNAVAILABLE,
            EnhancedCode::temporary(7, 0),
            Fault::Policy,
            "too many connections, try again later",
        )
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.code, self.enhanced, self.text)?;
        match &self.cause {
            Some(cause) => write!(f, " ({cause})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Rejection {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_for_the_log_only() {
        let rejection = Rejection::internal("open /var/x: no space");
        assert!(rejection.to_string().contains("/var/x"));
        assert_eq!(rejection.to_reply().to_string(), "451 4.3.0 local error, try again later");
    }

    #[test]
    fn code_and_enhanced_code_agree() {
        let odd = Rejection::temporary(
            ReplyCode::FAILED,
            EnhancedCode::permanent(1, 1),
            Fault::Ours,
            "x",
        );
        assert_eq!(odd.to_reply().to_string(), "451 4.1.1 x");
        assert!(odd.is_temporary() && !odd.closes());
        assert!(Rejection::shutting_down().closes());
    }

    #[test]
    fn passed_on_from_another_server() {
        let reply = Reply::plain(ReplyCode::MAILBOX_BUSY, "greylisted");
        let rejection = Rejection::from_reply(&reply).unwrap();
        assert_eq!(rejection.to_reply().to_string(), "450 4.0.0 greylisted");
        assert_eq!(Rejection::from_reply(&Reply::plain(ReplyCode::OK, "fine")), None);
    }
}
