//! Mail addresses as types that cannot be wrong: each is made by parsing and only so, prints as
//! what parses back to itself, and compares as RFC 5321 §2.4 says (domain without case, local part
//! exactly). Envelope addresses only: display names, groups and comments belong to `message`.
//! Used by everything that speaks of senders and recipients.

mod domain;
mod literal;
mod local_part;
mod path;
#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

pub use self::domain::Domain;
pub use self::literal::{AddressLiteral, Host};
pub use self::local_part::LocalPart;
pub use self::path::{ForwardPath, ReversePath};

/// `local-part@host`: RFC 5321 §4.1.2 `Mailbox`, with the UTF-8 of RFC 6531 §3.3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address {
    local: LocalPart,
    host: Host,
}

impl Address {
    /// Joins two parts that are right by themselves.
    pub fn new(local: LocalPart, host: impl Into<Host>) -> Self {
        Address { local, host: host.into() }
    }

    /// What stands before the `@`.
    pub fn local(&self) -> &LocalPart {
        &self.local
    }

    /// What stands after the `@`.
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// The domain, unless the host is an address literal.
    pub fn domain(&self) -> Option<&Domain> {
        match &self.host {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }

    /// The same mailbox with the domain as people write it (U-labels). To show, not for the wire.
    pub fn to_unicode(&self) -> String {
        match &self.host {
            Host::Domain(domain) => format!("{}@{}", self.local, domain.to_unicode()),
            Host::Literal(literal) => format!("{}@{literal}", self.local),
        }
    }

    /// The printed form holds UTF-8, so that it needs SMTPUTF8 (RFC 6531 §3.4) on the wire. A
    /// domain never does: it is printed as A-labels.
    pub fn needs_smtputf8(&self) -> bool {
        !self.local.is_ascii()
    }

    /// Reads an address from the beginning of `text` and gives what follows it.
    pub(crate) fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        let (local, rest) = LocalPart::scan(text)?;
        let rest = rest.strip_prefix('@').ok_or(AddressError::MissingAt)?;
        let (host, rest) = Host::scan(rest)?;
        Ok((Address { local, host }, rest))
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::Empty);
        }
        let (address, rest) = Self::scan(text)?;
        if !rest.is_empty() {
            return Err(AddressError::TrailingText);
        }
        Ok(address)
    }
}

/// The form for the wire: local part quoted where it must be, domain as A-labels.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.host)
    }
}

/// What is wrong with an address; the text is fit for a 501 reply and for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddressError {
    /// There is nothing.
    Empty,
    /// No `@` after the local part.
    MissingAt,
    /// Nothing after the `@`.
    MissingDomain,
    /// Nothing before the `@`.
    MissingLocalPart,
    /// A character that the local part may hold only between quotes, or not at all.
    LocalPartCharacter(char),
    /// A dot at either end of the local part, or two in a row.
    LocalPartDots,
    /// The closing quote is missing.
    UnclosedQuote,
    /// The local part is longer than we take.
    LocalPartTooLong,
    /// A character that no domain holds.
    DomainCharacter(char),
    /// An empty label, or one that begins or ends with a hyphen.
    DomainLabel,
    /// The domain, or one of its labels, is too long.
    DomainTooLong,
    /// The international domain name is not valid (UTS 46).
    DomainUnicode,
    /// The text between `[` and `]` is no address.
    BadLiteral,
    /// The path does not begin with `<`.
    MissingOpenBracket,
    /// The path does not end with `>`.
    MissingCloseBracket,
    /// The source route before the address is not well formed.
    BadSourceRoute,
    /// The path is longer than RFC 5321 §4.5.3.1.3 allows.
    PathTooLong,
    /// The null path is good for MAIL only.
    NullForwardPath,
    /// Something stands after the address.
    TrailingText,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use AddressError as E;
        let text = match self {
            E::Empty => "address is empty",
            E::MissingAt => "no @ after the local part",
            E::MissingDomain => "no domain after the @",
            E::MissingLocalPart => "nothing before the @",
            E::LocalPartDots => "local part has a dot at an end or two in a row",
            E::UnclosedQuote => "quoted local part is not closed",
            E::LocalPartTooLong => "local part is too long",
            E::DomainLabel => "domain has an empty label or a hyphen at an end of one",
            E::DomainTooLong => "domain is too long",
            E::DomainUnicode => "international domain name is not valid",
            E::BadLiteral => "address literal in [ ] is not valid",
            E::MissingOpenBracket => "path does not begin with <",
            E::MissingCloseBracket => "path does not end with >",
            E::BadSourceRoute => "source route is not valid",
            E::PathTooLong => "path is too long",
            E::NullForwardPath => "<> is not a recipient",
            E::TrailingText => "text after the address",
            E::LocalPartCharacter(c) => {
                return write!(f, "local part may not hold {}", shown(*c));
            }
            E::DomainCharacter(c) => return write!(f, "domain may not hold {}", shown(*c)),
        };
        f.write_str(text)
    }
}

impl std::error::Error for AddressError {}

/// A character for an error message; never a control character itself.
fn shown(c: char) -> String {
    if c.is_control() || c == ' ' { format!("U+{:04X}", u32::from(c)) } else { format!("'{c}'") }
}

/// Reading and writing as text for serde, for every type that has `FromStr` and `Display`.
macro_rules! serde_as_text {
    ($($type:ty),+) => {$(
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

serde_as_text!(Address, Domain, LocalPart, Host, ReversePath, ForwardPath);
