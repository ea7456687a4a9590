//! SPF, DKIM, DMARC and IPREV together, for one letter: what is found out when the sender names
//! itself, what when the letter is there, and what follows under the rules of this host. It does
//! not act: the transfer agent refuses or marks.

use std::net::IpAddr;

use message::authentication_results::MethodResult;
use protocol::address::ReversePath;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};

use crate::dkim::{self, Dkim, DkimResult};
use crate::dmarc::{self, Dmarc, DmarcResult, Policy};
use crate::iprev::{self, Iprev};
use crate::lookup::Inquiry;
use crate::spf::{self, Identity, Spf, SpfResult};

/// What to do where a check speaks against a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Only tell it.
    Note,
    /// File the letter as junk.
    Junk,
    /// Refuse it.
    Reject,
}

/// Which checks are made, and what follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// SPF is asked.
    pub spf: bool,
    /// DKIM is verified.
    pub dkim: bool,
    /// DMARC is asked, if SPF or DKIM are.
    pub dmarc: bool,
    /// The name of the address is looked for.
    pub iprev: bool,
    /// What an SPF `fail` means where no signature stands for the sender or author.
    pub spf_fail: Action,
    /// The most that is done of what a DMARC policy asks for.
    pub dmarc_most: Action,
}

/// Who brings a letter.
#[derive(Debug, Clone, Copy)]
pub struct Bringer<'a> {
    /// The address.
    pub ip: IpAddr,
    /// What it calls itself.
    pub helo: &'a str,
    /// Our name.
    pub receiver: &'a str,
    /// Now, in seconds since 1970.
    pub now: u64,
}

/// What is known before the letter comes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Early {
    /// May the address send for the sender's domain?
    pub spf: Option<Spf>,
    /// Has the address a name?
    pub iprev: Option<Iprev>,
}

/// What is known of a letter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Authentication {
    /// What was known before it came.
    pub early: Early,
    /// Its signatures.
    pub dkim: Vec<Dkim>,
    /// Its author.
    pub dmarc: Option<Dmarc>,
    /// The domains of its authors.
    pub authors: Vec<String>,
    ip: Option<IpAddr>,
}

/// What follows for a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Nothing speaks against it.
    Take,
    /// It is junk, for this reason.
    Junk(String),
    /// It is refused.
    Refuse(Rejection),
}

/// Asks what can be asked when the sender is known.
pub async fn early(
    inquiry: &Inquiry<'_>,
    bringer: Bringer<'_>,
    (sender, rules): (&ReversePath, Rules),
) -> Early {
    let address = sender.address();
    let host = address.map(|address| address.host().to_string());
    let sender = address.zip(host.as_deref()).map(|(a, host)| (a.local().as_str(), host));
    let Bringer { ip, helo, receiver, now } = bringer;
    let query = spf::Query { ip, helo, sender, receiver, now };
    let spf = async {
        match rules.spf {
            true => Some(spf::check(inquiry, query).await),
            false => None,
        }
    };
    let iprev = async {
        match rules.iprev {
            true => Some(iprev::check(inquiry, ip).await),
            false => None,
        }
    };
    let (spf, iprev) = tokio::join!(spf, iprev);
    Early { spf, iprev }
}

impl Authentication {
    /// Finds out what the letter itself says.
    ///
    /// # Errors
    /// When the letter cannot be read.
    pub async fn of(
        inquiry: &Inquiry<'_>,
        letter: dkim::Letter<'_>,
        (bringer, early): (Bringer<'_>, Early),
        rules: Rules,
    ) -> Result<Self, disk::Error> {
        let dkim = match rules.dkim {
            true => dkim::verify(inquiry, letter, bringer.now).await?,
            false => Vec::new(),
        };
        let authors = dmarc::authors(letter.header);
        let mut found = Authentication { early, dkim, dmarc: None, authors, ip: Some(bringer.ip) };
        if rules.dmarc && (rules.spf || rules.dkim) {
            found.dmarc = found.author(inquiry).await;
        }
        Ok(found)
    }

    async fn author(&self, inquiry: &Inquiry<'_>) -> Option<Dmarc> {
        if self.authors.is_empty() {
            return Some(Dmarc {
                result: DmarcResult::PermError,
                domain: String::new(),
                policy: Policy::None,
                reason: "the letter names no author".to_owned(),
                place: None,
                record: None,
            });
        }
        let unasked = Spf {
            result: SpfResult::None,
            domain: String::new(),
            identity: Identity::MailFrom,
            reason: String::new(),
            record: None,
            explanation: None,
        };
        let spf = self.early.spf.as_ref().unwrap_or(&unasked);
        let mut all = Vec::new();
        for author in &self.authors {
            all.push(dmarc::check(inquiry, author, spf, &self.dkim).await);
        }
        dmarc::worst(all)
    }

    /// Whether the reverse-path is proven: a report to it reaches who sent the letter, and is no
    /// backscatter.
    pub fn proves(&self, sender: &ReversePath) -> bool {
        let Some(domain) = sender.address().and_then(|address| address.domain()) else {
            return false;
        };
        let spf = self.early.spf.as_ref();
        let by_spf = spf
            .is_some_and(|spf| spf.result == SpfResult::Pass && spf.identity == Identity::MailFrom);
        by_spf || self.is_signed_for(domain.as_str())
    }

    /// Whether a signature stands for this domain.
    fn is_signed_for(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        self.dkim.iter().any(|one| {
            let is_for = domain == one.domain
                || domain.strip_suffix(&one.domain).is_some_and(|rest| rest.ends_with('.'));
            one.result == DkimResult::Pass && !one.testing && is_for
        })
    }

    /// What follows under `rules`.
    pub fn decide(&self, sender: &ReversePath, rules: Rules) -> Decision {
        if let Some(dmarc) = &self.dmarc
            && let Some(decision) = decide_author(dmarc, rules)
        {
            return decision;
        }
        let Some(spf) = self.early.spf.as_ref().filter(|spf| spf.result == SpfResult::Fail) else {
            return Decision::Take;
        };
        // What a forwarder or a list breaks of SPF, DKIM mends.
        let saved = self.dmarc.as_ref().is_some_and(|dmarc| dmarc.result == DmarcResult::Pass)
            || self.authors.iter().any(|author| self.is_signed_for(author))
            || self.proves(sender);
        match rules.spf_fail {
            _ if saved => Decision::Take,
            Action::Note => Decision::Take,
            Action::Junk => Decision::Junk(format!("SPF: {} does not send from here", spf.domain)),
            Action::Reject => Decision::Refuse(spf_rejection(spf)),
        }
    }

    /// For Authentication-Results (RFC 8601 §2.7).
    pub fn results(&self, sender: &ReversePath) -> Vec<MethodResult> {
        let mut results = Vec::new();
        if let Some(spf) = &self.early.spf {
            let value = match (spf.identity, sender.address()) {
                (Identity::MailFrom, Some(address)) => ("mailfrom", address.to_string()),
                _ => ("helo", spf.domain.clone()),
            };
            results.push(MethodResult {
                method: "spf",
                result: spf.result.as_str(),
                comment: Some(spf.reason.clone()),
                properties: vec![("smtp", value.0, value.1)],
            });
        }
        for one in &self.dkim {
            let mut properties = Vec::new();
            if !one.domain.is_empty() {
                properties.push(("header", "d", one.domain.clone()));
            }
            if !one.selector.is_empty() {
                properties.push(("header", "s", one.selector.clone()));
                properties.push(("header", "a", one.algorithm.clone()));
                properties.push(("header", "b", one.start.clone()));
            }
            let comment = Some(one.reason.clone());
            let result = one.result.as_str();
            results.push(MethodResult { method: "dkim", result, comment, properties });
        }
        if let Some(dmarc) = &self.dmarc {
            let mut properties = Vec::new();
            if !dmarc.domain.is_empty() {
                properties.push(("header", "from", dmarc.domain.clone()));
            }
            if dmarc.record.is_some() {
                properties.push(("policy", "dmarc", dmarc.policy.to_string()));
            }
            let comment = Some(dmarc.reason.clone());
            let result = dmarc.result.as_str();
            results.push(MethodResult { method: "dmarc", result, comment, properties });
        }
        if let (Some(iprev), Some(ip)) = (&self.early.iprev, self.ip) {
            results.push(MethodResult {
                method: "iprev",
                result: iprev.result,
                comment: Some(iprev.reason.clone()),
                properties: vec![("policy", "iprev", ip.to_string())],
            });
        }
        results
    }

    /// One line for each check, with the record that it rests on, for the journey.
    pub fn lines(&self) -> Vec<(&'static str, String)> {
        let with = |record: &Option<String>| match record {
            Some(record) => format!("; record: {record}"),
            None => String::new(),
        };
        let mut lines = Vec::new();
        if let Some(spf) = &self.early.spf {
            let text = format!("spf={} ({}){}", spf.result, spf.reason, with(&spf.record));
            lines.push(("spf", text));
        }
        for one in &self.dkim {
            let who = if one.domain.is_empty() { "?" } else { &one.domain };
            let text =
                format!("dkim={} of {who} ({}){}", one.result, one.reason, with(&one.record));
            lines.push(("dkim", text));
        }
        if let Some(dmarc) = &self.dmarc {
            let policy = dmarc.place.as_ref().map(|place| format!(", {} by {place}", dmarc.policy));
            let text = format!(
                "dmarc={} ({}{}){}",
                dmarc.result,
                dmarc.reason,
                policy.unwrap_or_default(),
                with(&dmarc.record)
            );
            lines.push(("dmarc", text));
        }
        if let Some(iprev) = &self.early.iprev {
            lines.push(("iprev", format!("iprev={} ({})", iprev.result, iprev.reason)));
        }
        lines
    }
}

/// What a DMARC result asks for.
fn decide_author(dmarc: &Dmarc, rules: Rules) -> Option<Decision> {
    let asked = match dmarc.policy {
        Policy::None => Action::Note,
        Policy::Quarantine => Action::Junk,
        Policy::Reject => Action::Reject,
    };
    let action = match (asked, rules.dmarc_most) {
        (Action::Reject, Action::Reject) => Action::Reject,
        (Action::Note, _) | (_, Action::Note) => Action::Note,
        _ => Action::Junk,
    };
    match (dmarc.result, action) {
        (DmarcResult::Fail, Action::Reject) => Some(Decision::Refuse(Rejection::permanent(
            ReplyCode::MAILBOX_UNAVAILABLE,
            // RFC 7372 §3.3: several checks failed.
            EnhancedCode::permanent(7, 26),
            Fault::Policy,
            format!(
                "{} asks to refuse what neither SPF nor DKIM proves (DMARC policy reject)",
                dmarc.domain
            ),
        ))),
        (DmarcResult::Fail, Action::Junk) => Some(Decision::Junk(format!(
            "DMARC: {} asks for quarantine or more, and nothing proves it",
            dmarc.domain
        ))),
        // A letter that may be right is not refused for good because DNS is slow.
        (DmarcResult::TempError, Action::Reject) => Some(Decision::Refuse(Rejection::temporary(
            ReplyCode::LOCAL_ERROR,
            EnhancedCode::temporary(7, 26),
            Fault::Policy,
            format!("{} cannot be asked for what proves this letter, try again", dmarc.domain),
        ))),
        _ => None,
    }
}

fn spf_rejection(spf: &Spf) -> Rejection {
    let text = match &spf.explanation {
        // RFC 7208 §6.2: marked as the words of the other side.
        Some(words) => format!("SPF: {} does not send from here; it says: {words}", spf.domain),
        None => format!("SPF: {} does not send from here", spf.domain),
    };
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        // RFC 7372 §3.2: SPF validation failed.
        EnhancedCode::permanent(7, 23),
        Fault::Policy,
        text,
    )
}
