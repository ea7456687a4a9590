//! The text of a DMARC policy (RFC 9989 §4.7), with what older records say (RFC 7489 §6.3).

use std::fmt;

use message::dkim::{tag, tags};

use crate::lookup::shortened;

/// What a domain asks for, from mild to strict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// Nothing.
    None,
    /// To put it where suspicious letters go.
    Quarantine,
    /// To refuse it.
    Reject,
}

/// `adkim` and `aspf`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strictness {
    /// The same organisation is enough.
    Relaxed,
    /// The same name only.
    Strict,
}

/// `psd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PublicSuffix {
    /// The domain is one under which others register.
    Yes,
    /// It is an organisation's own.
    No,
    /// It does not say.
    Unsaid,
}

/// A policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub(super) policy: Policy,
    pub(super) subdomains: Policy,
    pub(super) nonexistent: Policy,
    pub(super) strict_dkim: Strictness,
    pub(super) strict_spf: Strictness,
    pub(super) public_suffix: PublicSuffix,
    pub(super) testing: bool,
    pub(super) text: String,
}

impl Record {
    /// Reads a text; `None` if it is no policy, or one that does not count.
    pub fn parse(text: &[u8]) -> Option<Self> {
        // §4.7: the version comes first, and its value is compared as it is.
        let list = tags(text).ok()?;
        let (first, version) = list.first()?;
        if !first.eq_ignore_ascii_case("v") || *version != "DMARC1" {
            return None;
        }
        let get = |name: &str| tag(&list, name).map(str::to_ascii_lowercase);
        let reports = tag(&list, "rua").is_some_and(|uri| uri.contains(':'));
        let policy = match (get("p").as_deref().map(Policy::of), reports) {
            (Some(Some(policy)), _) => policy,
            // §4.7: without a usable p, a domain that wants reports asks for nothing else.
            (Some(None) | None, true) => Policy::None,
            _ => return None,
        };
        // What cannot be read counts as not said.
        let other = |name: &str| get(name).as_deref().and_then(Policy::of);
        let subdomains = other("sp").unwrap_or(policy);
        let strictness = |name: &str| match get(name).as_deref() {
            Some("s") => Strictness::Strict,
            _ => Strictness::Relaxed,
        };
        // RFC 7489 had percentages; RFC 9989 appendix A.6 keeps only their "not at all", as t=y.
        let testing = get("t").as_deref() == Some("y") || get("pct").as_deref() == Some("0");
        Some(Record {
            policy,
            subdomains,
            nonexistent: other("np").unwrap_or(subdomains),
            strict_dkim: strictness("adkim"),
            strict_spf: strictness("aspf"),
            public_suffix: match get("psd").as_deref() {
                Some("y") => PublicSuffix::Yes,
                Some("n") => PublicSuffix::No,
                _ => PublicSuffix::Unsaid,
            },
            testing,
            text: shortened(&String::from_utf8_lossy(text)),
        })
    }
}

impl Policy {
    fn of(text: &str) -> Option<Self> {
        match text {
            "none" => Some(Policy::None),
            "quarantine" => Some(Policy::Quarantine),
            "reject" => Some(Policy::Reject),
            _ => None,
        }
    }

    /// RFC 9989 §4.7, `t=y`: one level below.
    #[must_use]
    pub(super) fn milder(self) -> Self {
        match self {
            Policy::Reject => Policy::Quarantine,
            _ => Policy::None,
        }
    }

    /// As in records.
    pub fn as_str(self) -> &'static str {
        match self {
            Policy::None => "none",
            Policy::Quarantine => "quarantine",
            Policy::Reject => "reject",
        }
    }
}

impl fmt::Display for Policy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
