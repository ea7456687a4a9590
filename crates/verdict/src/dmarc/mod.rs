//! DMARC (RFC 9989; records of RFC 7489 are understood): does what SPF and DKIM proved stand for
//! the author that people see, and what does the author's domain ask for where it does not?
//! `record` reads policies, `walk` finds them in the tree of names. It acts on nothing.

mod record;
#[cfg(test)]
mod tests;
mod walk;

use std::fmt;

pub use self::record::{Policy, Record};

use self::walk::Walk;
use crate::dkim::{Dkim, DkimResult};
use crate::limits;
use crate::lookup::{Cause, Inquiry};
use crate::spf::{Spf, SpfResult};

/// RFC 8601 §2.7.3 (the method "dmarc", registered by RFC 7489).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DmarcResult {
    /// The domain has no policy.
    None,
    /// The author is proven.
    Pass,
    /// Nothing proves the author.
    Fail,
    /// DNS failed for now, and with it what might have proven the author.
    TempError,
    /// The letter names no author that could be asked about.
    PermError,
}

/// What one author's domain came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dmarc {
    /// The result.
    pub result: DmarcResult,
    /// The author's domain, lower case.
    pub domain: String,
    /// What is asked for of a letter that fails; after `t=y` and the like.
    pub policy: Policy,
    /// Why.
    pub reason: String,
    /// Where the policy stands, e.g. `_dmarc.red.test`.
    pub place: Option<String>,
    /// Its text.
    pub record: Option<String>,
}

/// Evaluates one author's domain.
pub async fn check(inquiry: &Inquiry<'_>, author: &str, spf: &Spf, dkim: &[Dkim]) -> Dmarc {
    let author = author.strip_suffix('.').unwrap_or(author).to_ascii_lowercase();
    let mut found = Dmarc {
        result: DmarcResult::None,
        domain: author.clone(),
        policy: Policy::None,
        reason: String::new(),
        place: None,
        record: None,
    };
    let walk = match Walk::from(inquiry, &author).await {
        Ok(walk) => walk,
        Err(cause) => {
            found.result = DmarcResult::TempError;
            found.reason = format!("the policy of {author}: {cause}");
            return found;
        }
    };
    let Some((at, record)) = walk.policy() else {
        found.reason = format!("{author} has no policy");
        return found;
    };
    found.place = Some(format!("_dmarc.{at}"));
    found.record = Some(record.text.clone());
    found.policy = match at == author {
        true => record.policy,
        false if record.nonexistent != record.subdomains && is_nowhere(inquiry, &author).await => {
            record.nonexistent
        }
        false => record.subdomains,
    };
    if record.testing {
        found.policy = found.policy.milder();
    }
    let alignment = Alignment { inquiry, author: &author, organisation: walk.organisation() };
    (found.result, found.reason) = alignment.judge(record, spf, dkim).await;
    found
}

/// Whether identifiers stand for the author.
struct Alignment<'a> {
    inquiry: &'a Inquiry<'a>,
    author: &'a str,
    organisation: String,
}

/// How an identifier relates to the author.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Relation {
    Aligned,
    Apart,
    Unknown,
}

impl Alignment<'_> {
    async fn judge(&self, record: &Record, spf: &Spf, dkim: &[Dkim]) -> (DmarcResult, String) {
        let mut doubt = None;
        for one in dkim {
            let tried = matches!(one.result, DkimResult::Pass | DkimResult::TempError);
            // A signature of a domain that only tests counts as none (RFC 6376 §3.6.1).
            if !tried || one.testing {
                continue;
            }
            match (self.of(&one.domain, record.strict_dkim).await, one.result) {
                (Relation::Aligned, DkimResult::Pass) => {
                    return (DmarcResult::Pass, format!("DKIM of {} is aligned", one.domain));
                }
                (Relation::Apart, _) => {}
                _ => doubt = Some(format!("DKIM of {} could not be judged", one.domain)),
            }
        }
        if matches!(spf.result, SpfResult::Pass | SpfResult::TempError) {
            match (self.of(&spf.domain, record.strict_spf).await, spf.result) {
                (Relation::Aligned, SpfResult::Pass) => {
                    return (DmarcResult::Pass, format!("SPF of {} is aligned", spf.domain));
                }
                (Relation::Apart, _) => {}
                _ => doubt = doubt.or(Some(format!("SPF of {} could not be judged", spf.domain))),
            }
        }
        match doubt {
            Some(why) => (DmarcResult::TempError, why),
            None => {
                let why = format!("neither SPF nor DKIM stands for {}", self.author);
                (DmarcResult::Fail, why)
            }
        }
    }

    /// RFC 9989 §4.4: strict is the same name, relaxed the same organisation.
    async fn of(&self, domain: &str, strict: record::Strictness) -> Relation {
        if domain == self.author {
            return Relation::Aligned;
        }
        if strict == record::Strictness::Strict {
            return Relation::Apart;
        }
        match Walk::from(self.inquiry, domain).await {
            Ok(walk) if walk.organisation() == self.organisation => Relation::Aligned,
            Ok(_) => Relation::Apart,
            Err(_) => Relation::Unknown,
        }
    }
}

/// RFC 9989 §3.2.14: a domain that DNS does not know at all.
async fn is_nowhere(inquiry: &Inquiry<'_>, domain: &str) -> bool {
    matches!(inquiry.exchangers(domain).await, Err(Cause::NoSuchName))
}

/// The worst of several authors: a letter in the name of two domains needs both.
pub fn worst(all: Vec<Dmarc>) -> Option<Dmarc> {
    all.into_iter().max_by_key(|one| match one.result {
        DmarcResult::Fail => (4, one.policy),
        DmarcResult::TempError => (3, one.policy),
        DmarcResult::PermError => (2, one.policy),
        DmarcResult::None => (1, one.policy),
        DmarcResult::Pass => (0, one.policy),
    })
}

/// The domains of the authors, from the values of the From fields: each once, lower case, at most
/// [`limits::DMARC_AUTHORS`].
pub fn authors(header: &[u8]) -> Vec<String> {
    let mut domains: Vec<String> = Vec::new();
    for field in message::header::fields(header).filter(|field| field.is(header, "From")) {
        for author in message::values::addresses(field.value(header)) {
            let Some((_, domain)) = author.address.rsplit_once('@') else { continue };
            // U-labels are compared as what DNS knows.
            let Ok(domain) = domain.parse::<protocol::address::Domain>() else { continue };
            let domain = domain.as_str().to_ascii_lowercase();
            if !domains.contains(&domain) && domains.len() < limits::DMARC_AUTHORS {
                domains.push(domain);
            }
        }
    }
    domains
}

impl DmarcResult {
    /// As in Authentication-Results.
    pub fn as_str(self) -> &'static str {
        match self {
            DmarcResult::None => "none",
            DmarcResult::Pass => "pass",
            DmarcResult::Fail => "fail",
            DmarcResult::TempError => "temperror",
            DmarcResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for DmarcResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
