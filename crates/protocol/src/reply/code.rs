//! The numbers in a reply: the three digits of RFC 5321 §4.2.1 and the enhanced status code of
//! RFC 3463. Their meaning in a given place is for the machines.

use std::fmt;
use std::str::FromStr;

/// The first digit's meaning, of either code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// 2yz: done.
    Success,
    /// 3yz: go on.
    Intermediate,
    /// 4yz: not now.
    Temporary,
    /// 5yz: no.
    Permanent,
}

/// Three digits, 200 to 599. RFC 5321 §4.2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplyCode(u16);

impl ReplyCode {
    /// The code, unless it is outside of 200 to 599.
    pub const fn new(code: u16) -> Option<Self> {
        if 200 <= code && code <= 599 { Some(ReplyCode(code)) } else { None }
    }

    /// The number.
    pub const fn as_u16(self) -> u16 {
        self.0
    }

    /// What the first digit says.
    pub const fn class(self) -> Class {
        match self.0 / 100 {
            2 => Class::Success,
            3 => Class::Intermediate,
            4 => Class::Temporary,
            _ => Class::Permanent,
        }
    }

    /// 2yz.
    pub const fn is_success(self) -> bool {
        matches!(self.class(), Class::Success)
    }

    /// 4yz.
    pub const fn is_temporary(self) -> bool {
        matches!(self.class(), Class::Temporary)
    }

    /// 5yz.
    pub const fn is_permanent(self) -> bool {
        matches!(self.class(), Class::Permanent)
    }

    /// The three digits in ASCII.
    pub(super) fn digits(self) -> [u8; 3] {
        let digit = |value: u16| b'0' + u8::try_from(value % 10).unwrap_or(0);
        [digit(self.0 / 100), digit(self.0 / 10), digit(self.0)]
    }
}

/// The codes that our machines write; a constant cannot be out of range.
macro_rules! codes {
    ($($name:ident = $number:literal, $text:literal;)+) => {
        impl ReplyCode {$(
            #[doc = $text]
            pub const $name: ReplyCode = ReplyCode($number);
        )+}
    };
}

codes! {
    HELP = 214, "Help message.";
    READY = 220, "Service ready.";
    CLOSING = 221, "Service closing transmission channel.";
    AUTHENTICATED = 235, "Authentication succeeded. RFC 4954 §6.";
    OK = 250, "Requested mail action okay, completed.";
    CANNOT_VERIFY = 252, "Cannot VRFY user, but will accept message and attempt delivery.";
    CHALLENGE = 334, "A SASL challenge follows. RFC 4954 §4.";
    START_DATA = 354, "Start mail input.";
    UNAVAILABLE = 421, "Service not available, closing transmission channel.";
    MAILBOX_BUSY = 450, "Mailbox unavailable for now.";
    LOCAL_ERROR = 451, "Local error in processing.";
    NO_STORAGE = 452, "Insufficient storage, or too many recipients.";
    AUTH_TEMPORARY = 454, "Temporary authentication failure, or TLS not available for now.";
    PARAMETERS_NOT_NOW = 455, "Server unable to accommodate parameters.";
    UNKNOWN_COMMAND = 500, "Syntax error, command unrecognised, or line too long.";
    BAD_SYNTAX = 501, "Syntax error in parameters or arguments.";
    NOT_IMPLEMENTED = 502, "Command not implemented.";
    BAD_SEQUENCE = 503, "Bad sequence of commands.";
    PARAMETER_NOT_IMPLEMENTED = 504, "Command parameter not implemented.";
    AUTH_REQUIRED = 530, "Authentication or STARTTLS required. RFC 4954 §6, RFC 3207 §4.";
    AUTH_FAILED = 535, "Authentication credentials invalid. RFC 4954 §6.";
    ENCRYPTION_REQUIRED = 538, "Encryption required for the mechanism. RFC 4954 §6.";
    MAILBOX_UNAVAILABLE = 550, "Mailbox unavailable, or refused by policy.";
    TOO_MUCH = 552, "Exceeded storage allocation.";
    BAD_MAILBOX_NAME = 553, "Mailbox name not allowed.";
    FAILED = 554, "Transaction failed.";
    UNKNOWN_PARAMETERS = 555, "MAIL or RCPT parameters not recognised or not implemented.";
}

impl fmt::Display for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03}", self.0)
    }
}

impl fmt::Debug for ReplyCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// `class.subject.detail`, RFC 3463 §2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EnhancedCode {
    class: u8,
    subject: u16,
    detail: u16,
}

impl EnhancedCode {
    /// The code; `None` when the class is not 2, 4 or 5, or a number has more than three digits.
    pub const fn new(class: u8, subject: u16, detail: u16) -> Option<Self> {
        if matches!(class, 2 | 4 | 5) && subject <= 999 && detail <= 999 {
            Some(EnhancedCode { class, subject, detail })
        } else {
            None
        }
    }

    /// 2.subject.detail.
    pub const fn success(subject: u16, detail: u16) -> Self {
        EnhancedCode { class: 2, subject: subject % 1000, detail: detail % 1000 }
    }

    /// 4.subject.detail.
    pub const fn temporary(subject: u16, detail: u16) -> Self {
        EnhancedCode { class: 4, subject: subject % 1000, detail: detail % 1000 }
    }

    /// 5.subject.detail.
    pub const fn permanent(subject: u16, detail: u16) -> Self {
        EnhancedCode { class: 5, subject: subject % 1000, detail: detail % 1000 }
    }

    /// What the first number says.
    pub const fn class(self) -> Class {
        match self.class {
            2 => Class::Success,
            4 => Class::Temporary,
            _ => Class::Permanent,
        }
    }

    /// The second number: address, mailbox, system, network, protocol, content, policy.
    pub const fn subject(self) -> u16 {
        self.subject
    }

    /// The third number.
    pub const fn detail(self) -> u16 {
        self.detail
    }
}

impl fmt::Display for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.class, self.subject, self.detail)
    }
}

impl fmt::Debug for EnhancedCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The text is not an enhanced status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAnEnhancedCode;

impl FromStr for EnhancedCode {
    type Err = NotAnEnhancedCode;

    fn from_str(text: &str) -> Result<Self, NotAnEnhancedCode> {
        let mut numbers = text.splitn(3, '.').map(|part| {
            // RFC 3463 §2: digits only, no leading zero.
            let plain = !part.is_empty()
                && part.len() <= 3
                && part.bytes().all(|b| b.is_ascii_digit())
                && (part == "0" || !part.starts_with('0'));
            if plain { part.parse::<u16>().ok() } else { None }
        });
        let mut next = || numbers.next().flatten().ok_or(NotAnEnhancedCode);
        let (class, subject, detail) = (next()?, next()?, next()?);
        let class = u8::try_from(class).map_err(|_| NotAnEnhancedCode)?;
        EnhancedCode::new(class, subject, detail).ok_or(NotAnEnhancedCode)
    }
}
