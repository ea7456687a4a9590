//! The text of an SPF record as terms (RFC 7208 §4.6.1 and §12). A record is right as a whole or
//! not at all: a fault anywhere is found here, before anything is asked. It evaluates nothing.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::SpfResult;
use super::expand::Template;
use crate::limits;

/// A record that is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) directives: Vec<Directive>,
    pub(super) redirect: Option<Template>,
    pub(super) explanation: Option<Template>,
}

/// A mechanism, and what its match means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) result: SpfResult,
    pub(super) mechanism: Mechanism,
    /// As it stands in the record.
    pub(super) text: String,
}

/// RFC 7208 §5.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mechanism {
    All,
    Include(Template),
    A(Hosts),
    Mx(Hosts),
    Ptr(Option<Template>),
    Ip4(Ipv4Addr, u8),
    Ip6(Ipv6Addr, u8),
    Exists(Template),
}

/// The argument of `a` and `mx`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hosts {
    pub(super) domain: Option<Template>,
    pub(super) v4: u8,
    pub(super) v6: u8,
}

/// What is wrong with a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordError(pub String);

/// Whether this TXT record is one of SPF (RFC 7208 §4.5).
pub(super) fn is_spf(text: &[u8]) -> bool {
    let version = text.get(..VERSION.len()).unwrap_or_default();
    let next = text.get(VERSION.len());
    version.eq_ignore_ascii_case(VERSION.as_bytes()) && matches!(next, None | Some(b' '))
}

impl Record {
    /// Reads a record that begins with `v=spf1`.
    ///
    /// # Errors
    /// The first term that is wrong.
    pub fn parse(text: &[u8]) -> Result<Self, RecordError> {
        if text.len() > limits::SPF_RECORD {
            return Err(RecordError("longer than any answer should be".to_owned()));
        }
        // §3.1: ASCII only.
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii());
        let text = text.ok_or_else(|| RecordError("not ASCII".to_owned()))?;
        let mut record = Record { directives: Vec::new(), redirect: None, explanation: None };
        let terms = text.get(VERSION.len()..).unwrap_or_default();
        for term in terms.split(' ').filter(|term| !term.is_empty()) {
            record.add(term).ok_or_else(|| RecordError(format!("cannot read {term:?}")))?;
        }
        Ok(record)
    }

    fn add(&mut self, term: &str) -> Option<()> {
        if let Some((name, value)) = modifier(term) {
            let place = match name.to_ascii_lowercase().as_str() {
                "redirect" => Some(&mut self.redirect),
                "exp" => Some(&mut self.explanation),
                _ => None,
            };
            match place {
                // §6: each at most once.
                Some(Some(_)) => return None,
                Some(place) => *place = Some(Template::domain(value)?),
                // An unknown one must still be written as macros are.
                None => drop(Template::text(value)?),
            }
            return Some(());
        }
        let (result, rest) = match term.as_bytes().first()? {
            b'+' => (SpfResult::Pass, term.get(1..)?),
            b'-' => (SpfResult::Fail, term.get(1..)?),
            b'~' => (SpfResult::SoftFail, term.get(1..)?),
            b'?' => (SpfResult::Neutral, term.get(1..)?),
            _ => (SpfResult::Pass, term),
        };
        let mechanism = mechanism(rest)?;
        self.directives.push(Directive { result, mechanism, text: term.to_owned() });
        Some(())
    }
}

/// `name=value`, where the name is one (§12: ALPHA *( ALPHA / DIGIT / "-" / "_" / "." )).
fn modifier(term: &str) -> Option<(&str, &str)> {
    let (name, value) = term.split_once('=')?;
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    is_name.then_some((name, value))
}

fn mechanism(text: &str) -> Option<Mechanism> {
    let end = text.find([':', '/']).unwrap_or(text.len());
    let (name, argument) = text.split_at_checked(end)?;
    let name = name.to_ascii_lowercase();
    let after_colon = argument.strip_prefix(':');
    Some(match name.as_str() {
        "all" if argument.is_empty() => Mechanism::All,
        "include" => Mechanism::Include(Template::domain(after_colon?)?),
        "exists" => Mechanism::Exists(Template::domain(after_colon?)?),
        "a" => Mechanism::A(hosts(argument)?),
        "mx" => Mechanism::Mx(hosts(argument)?),
        "ptr" if argument.is_empty() => Mechanism::Ptr(None),
        "ptr" => Mechanism::Ptr(Some(Template::domain(after_colon?)?)),
        "ip4" => {
            let (address, length) = network(after_colon?, 32)?;
            Mechanism::Ip4(address.parse().ok()?, length)
        }
        "ip6" => {
            let (address, length) = network(after_colon?, 128)?;
            Mechanism::Ip6(address.parse().ok()?, length)
        }
        _ => return None,
    })
}

/// `[ ":" domain-spec ] [ "/" length ] [ "//" length ]` (§5.3).
fn hosts(argument: &str) -> Option<Hosts> {
    // A slash can stand in a name too: lengths are numbers at the very end.
    let (rest, v6) = match argument.rsplit_once("//") {
        Some((rest, v6)) if is_digits(v6) => (rest, v6),
        _ => (argument, "128"),
    };
    let (domain, v4) = match rest.rsplit_once('/') {
        Some((domain, v4)) if is_digits(v4) => (domain, v4),
        _ => (rest, "32"),
    };
    let domain = match domain {
        "" => None,
        spec => Some(Template::domain(spec.strip_prefix(':')?)?),
    };
    Some(Hosts { domain, v4: length(v4, 32)?, v6: length(v6, 128)? })
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|octet| octet.is_ascii_digit())
}

fn network(text: &str, most: u8) -> Option<(&str, u8)> {
    match text.split_once('/') {
        Some((address, bits)) => Some((address, length(bits, most)?)),
        None => Some((text, most)),
    }
}

/// A prefix length: digits, no leading zero (§12).
fn length(text: &str, most: u8) -> Option<u8> {
    let is_number = text.len() <= 3 && is_digits(text) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|length| is_number && *length <= most)
}

const VERSION: &str = "v=spf1";
