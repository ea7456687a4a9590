//! The paths of MAIL and RCPT, with their angle brackets: the null reverse-path, the bare
//! `postmaster`, and source routes, which are read and forgotten (RFC 5321 §4.1.1.3, appendix C).

use std::fmt;
use std::str::FromStr;

use super::{Address, AddressError, Host};
use crate::limits;

/// Who is told when a letter cannot be delivered. Prints with angle brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReversePath {
    /// `<>`: nobody; bounces and other automatic letters. RFC 5321 §4.5.5.
    Null,
    /// Somebody.
    Address(Address),
}

/// To whom a letter goes. Prints with angle brackets.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForwardPath {
    /// `<postmaster>` without a domain, in any case. RFC 5321 §4.5.1.
    Postmaster,
    /// An address.
    Address(Address),
}

impl ReversePath {
    /// The address, unless the path is null.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ReversePath::Null => None,
            ReversePath::Address(address) => Some(address),
        }
    }

    /// `<>`.
    pub fn is_null(&self) -> bool {
        matches!(self, ReversePath::Null)
    }

    /// Reads a path in brackets from the beginning of `text` and gives what follows it.
    pub fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        if let Some(rest) = text.strip_prefix("<>") {
            return Ok((ReversePath::Null, rest));
        }
        let (address, rest) = scan_bracketed(text)?;
        Ok((ReversePath::Address(address), rest))
    }
}

impl ForwardPath {
    /// The address, unless the path is the bare `postmaster`.
    pub fn address(&self) -> Option<&Address> {
        match self {
            ForwardPath::Postmaster => None,
            ForwardPath::Address(address) => Some(address),
        }
    }

    /// Reads a path in brackets from the beginning of `text` and gives what follows it.
    pub fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        if text.starts_with("<>") {
            return Err(AddressError::NullForwardPath);
        }
        if let Some((name, rest)) = text.strip_prefix('<').and_then(|t| t.split_once('>'))
            && name.eq_ignore_ascii_case("postmaster")
        {
            return Ok((ForwardPath::Postmaster, rest));
        }
        let (address, rest) = scan_bracketed(text)?;
        Ok((ForwardPath::Address(address), rest))
    }
}

fn scan_bracketed(text: &str) -> Result<(Address, &str), AddressError> {
    let inner = text.strip_prefix('<').ok_or(AddressError::MissingOpenBracket)?;
    let inner = skip_source_route(inner)?;
    let (address, rest) = Address::scan(inner)?;
    let Some(rest) = rest.strip_prefix('>') else {
        return Err(match rest.chars().next() {
            Some(c) if c != ' ' => AddressError::DomainCharacter(c),
            _ => AddressError::MissingCloseBracket,
        });
    };
    // RFC 5321 §4.5.3.1.3: punctuation and source route are counted.
    if text.len() - rest.len() > limits::PATH {
        return Err(AddressError::PathTooLong);
    }
    Ok((address, rest))
}

/// RFC 5321 §4.1.1.3: `@a,@b:` MUST be recognised and SHOULD be ignored.
fn skip_source_route(text: &str) -> Result<&str, AddressError> {
    let Some(mut rest) = text.strip_prefix('@') else { return Ok(text) };
    loop {
        (_, rest) = Host::scan(rest).map_err(|_| AddressError::BadSourceRoute)?;
        if let Some(mailbox) = rest.strip_prefix(':') {
            return Ok(mailbox);
        }
        rest = rest.strip_prefix(",@").ok_or(AddressError::BadSourceRoute)?;
    }
}

impl FromStr for ReversePath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Self::scan(text)? {
            (path, "") => Ok(path),
            _ => Err(AddressError::TrailingText),
        }
    }
}

impl FromStr for ForwardPath {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Self::scan(text)? {
            (path, "") => Ok(path),
            _ => Err(AddressError::TrailingText),
        }
    }
}

impl fmt::Display for ReversePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReversePath::Null => f.write_str("<>"),
            ReversePath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl fmt::Display for ForwardPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ForwardPath::Postmaster => f.write_str("<postmaster>"),
            ForwardPath::Address(address) => write!(f, "<{address}>"),
        }
    }
}

impl From<Address> for ReversePath {
    fn from(address: Address) -> Self {
        ReversePath::Address(address)
    }
}

impl From<Address> for ForwardPath {
    fn from(address: Address) -> Self {
        ForwardPath::Address(address)
    }
}
