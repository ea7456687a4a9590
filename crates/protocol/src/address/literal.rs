//! What may stand after the `@`: a domain, or an address literal in square brackets (RFC 5321
//! §4.1.3). Not a network address type: a general literal of an unknown tag is kept as text.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use super::{AddressError, Domain};
use crate::limits;

/// What stands after the `@`, or as the argument of EHLO.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Host {
    /// A name.
    Domain(Domain),
    /// An address in brackets.
    Literal(AddressLiteral),
}

/// An address in square brackets. RFC 5321 §4.1.3.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AddressLiteral {
    /// `[192.0.2.1]`
    V4(Ipv4Addr),
    /// `[IPv6:2001:db8::1]`
    V6(Ipv6Addr),
    /// `[tag:content]`, of a tag that we do not know.
    General {
        /// Lower case; letters, digits and hyphens.
        tag: Box<str>,
        /// Printable ASCII without brackets and backslash.
        content: Box<str>,
    },
}

impl AddressLiteral {
    /// The IP address, if it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            AddressLiteral::V4(ip) => Some(IpAddr::V4(*ip)),
            AddressLiteral::V6(ip) => Some(IpAddr::V6(*ip)),
            AddressLiteral::General { .. } => None,
        }
    }

    /// Reads what stands between the brackets.
    fn from_content(inner: &str) -> Result<Self, AddressError> {
        let Some((tag, content)) = inner.split_once(':') else {
            return inner.parse().map(AddressLiteral::V4).map_err(|_| AddressError::BadLiteral);
        };
        if tag.eq_ignore_ascii_case("IPv6") {
            return content.parse().map(AddressLiteral::V6).map_err(|_| AddressError::BadLiteral);
        }
        let good_tag = !tag.is_empty()
            && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
            && !tag.ends_with('-');
        let good_content = !content.is_empty()
            && content.bytes().all(|b| matches!(b, 33..=90 | 94..=126))
            && inner.len() <= limits::DOMAIN;
        if !good_tag || !good_content {
            return Err(AddressError::BadLiteral);
        }
        Ok(AddressLiteral::General {
            tag: tag.to_ascii_lowercase().into(),
            content: content.into(),
        })
    }
}

impl From<IpAddr> for AddressLiteral {
    fn from(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => AddressLiteral::V4(ip),
            IpAddr::V6(ip) => AddressLiteral::V6(ip),
        }
    }
}

impl fmt::Display for AddressLiteral {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AddressLiteral::V4(ip) => write!(f, "[{ip}]"),
            AddressLiteral::V6(ip) => write!(f, "[IPv6:{ip}]"),
            AddressLiteral::General { tag, content } => write!(f, "[{tag}:{content}]"),
        }
    }
}

impl Host {
    /// The name, if it is one.
    pub fn as_domain(&self) -> Option<&Domain> {
        match self {
            Host::Domain(domain) => Some(domain),
            Host::Literal(_) => None,
        }
    }

    /// Reads a host from the beginning of `text` and gives what follows it.
    pub(crate) fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        let Some(inner) = text.strip_prefix('[') else {
            let (domain, rest) = Domain::scan(text)?;
            return Ok((Host::Domain(domain), rest));
        };
        let (inner, rest) = inner.split_once(']').ok_or(AddressError::BadLiteral)?;
        Ok((Host::Literal(AddressLiteral::from_content(inner)?), rest))
    }
}

impl FromStr for Host {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Self::scan(text)? {
            (host, "") => Ok(host),
            _ => Err(AddressError::TrailingText),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(domain) => domain.fmt(f),
            Host::Literal(literal) => literal.fmt(f),
        }
    }
}

impl From<Domain> for Host {
    fn from(domain: Domain) -> Self {
        Host::Domain(domain)
    }
}

impl From<AddressLiteral> for Host {
    fn from(literal: AddressLiteral) -> Self {
        Host::Literal(literal)
    }
}
