//! The Sender Policy Framework (RFC 7208): may this address send for that domain? A record is read
//! whole by `record`, its macros are expanded by `expand`, and `evaluate` walks it and asks DNS.
//! What follows from the answer is for the caller.

mod evaluate;
mod expand;
mod record;

use std::fmt;
use std::net::IpAddr;

pub use self::record::{Record, RecordError};

use crate::lookup::Inquiry;

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// Who is connected.
    pub ip: IpAddr,
    /// What it called itself.
    pub helo: &'a str,
    /// The reverse-path, local part and domain; none for the null one.
    pub sender: Option<(&'a str, &'a str)>,
    /// Who asks: for the explanations of others.
    pub receiver: &'a str,
    /// Now, in seconds since 1970: likewise.
    pub now: u64,
}

/// RFC 7208 §2.6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpfResult {
    /// The domain says nothing.
    None,
    /// It says that it says nothing.
    Neutral,
    /// The address may send.
    Pass,
    /// It may not.
    Fail,
    /// It probably may not.
    SoftFail,
    /// DNS failed for now.
    TempError,
    /// The record cannot be understood.
    PermError,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spf {
    /// The result.
    pub result: SpfResult,
    /// Whose record decided, lower case.
    pub domain: String,
    /// The reverse-path, or the name in HELO.
    pub identity: Identity,
    /// What matched or went wrong.
    pub reason: String,
    /// The record that was read, as it stands.
    pub record: Option<String>,
    /// What the domain says to those it rejects, printable ASCII (RFC 7208 §6.2).
    pub explanation: Option<String>,
}

/// What was checked (RFC 7208 §2.3 and §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Identity {
    /// MAIL FROM.
    MailFrom,
    /// HELO, because the reverse-path is null.
    Helo,
}

/// Checks the reverse-path; where it is null, the name in HELO (RFC 7208 §2.4).
pub async fn check(inquiry: &Inquiry<'_>, query: Query<'_>) -> Spf {
    let (identity, local, domain) = match query.sender {
        Some((local, domain)) => (Identity::MailFrom, local, domain),
        None => (Identity::Helo, "postmaster", query.helo),
    };
    // §4.3: without a local part it is postmaster.
    let local = if local.is_empty() { "postmaster" } else { local };
    let domain = domain.strip_suffix('.').unwrap_or(domain).to_ascii_lowercase();
    if !is_checkable(&domain) {
        let reason = "the domain is no name in DNS".to_owned();
        let (result, record, explanation) = (SpfResult::None, None, None);
        return Spf { result, domain, identity, reason, record, explanation };
    }
    let ip = query.ip.to_canonical();
    let sender = evaluate::Sender { query: Query { ip, ..query }, local, domain: &domain };
    let end = evaluate::run(inquiry, sender).await;
    Spf {
        result: end.result,
        identity,
        reason: end.reason,
        record: end.record,
        explanation: end.explanation,
        domain,
    }
}

/// RFC 7208 §4.3: labels of 1 to 63 octets, more than one of them, and no address.
fn is_checkable(domain: &str) -> bool {
    let is_label = |label: &str| (1..=63).contains(&label.len());
    domain.len() <= 253
        && domain.contains('.')
        && !domain.starts_with('[')
        && domain.split('.').all(is_label)
}

impl SpfResult {
    /// As in Authentication-Results (RFC 8601 §2.7.2).
    pub fn as_str(self) -> &'static str {
        match self {
            SpfResult::None => "none",
            SpfResult::Neutral => "neutral",
            SpfResult::Pass => "pass",
            SpfResult::Fail => "fail",
            SpfResult::SoftFail => "softfail",
            SpfResult::TempError => "temperror",
            SpfResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for SpfResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
