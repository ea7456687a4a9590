//! The tree walk (RFC 9989 §4.10): from a domain upwards, asking for policies, until one says where
//! the organisation begins or there are no more names.

use super::record::{PublicSuffix, Record};
use crate::limits;
use crate::lookup::{Cause, Inquiry};

/// What was found on the way, the longest name first.
pub(super) struct Walk {
    start: String,
    found: Vec<(String, Record)>,
}

impl Walk {
    /// Walks up from `domain`, lower case.
    pub(super) async fn from(inquiry: &Inquiry<'_>, domain: &str) -> Result<Self, Cause> {
        let mut walk = Walk { start: domain.to_owned(), found: Vec::new() };
        let mut target = domain;
        for _ in 0..limits::DMARC_WALK {
            if let Some(record) = policy_at(inquiry, target).await? {
                let says = record.public_suffix;
                walk.found.push((target.to_owned(), record));
                if says != PublicSuffix::Unsaid {
                    break;
                }
            }
            match above(target, domain) {
                Some(next) => target = next,
                None => break,
            }
        }
        Ok(walk)
    }

    /// §4.10.2: where the organisation that the domain belongs to begins.
    pub(super) fn organisation(&self) -> String {
        for (name, record) in &self.found {
            match record.public_suffix {
                PublicSuffix::No => return name.clone(),
                PublicSuffix::Yes if *name != self.start => return self.one_below(name),
                _ => {}
            }
        }
        // The shortest name that has a policy, else the domain itself.
        self.found.last().map_or_else(|| self.start.clone(), |(name, _)| name.clone())
    }

    /// §4.10.1: the policy that counts: the domain's own, else its organisation's, else that of the
    /// public suffix above.
    pub(super) fn policy(&self) -> Option<(&str, &Record)> {
        let organisation = self.organisation();
        let at = |wanted: &str| self.found.iter().find(|(name, _)| name == wanted);
        let suffix =
            || self.found.iter().find(|(_, record)| record.public_suffix == PublicSuffix::Yes);
        let found = at(&self.start).or_else(|| at(&organisation)).or_else(suffix)?;
        Some((&found.0, &found.1))
    }

    /// The part of the start that is one label longer than `suffix`.
    fn one_below(&self, suffix: &str) -> String {
        let before = self.start.strip_suffix(suffix).and_then(|rest| rest.strip_suffix('.'));
        match before.map(|before| before.rsplit_once('.').map_or(before, |(_, label)| label)) {
            Some(label) => format!("{label}.{suffix}"),
            None => self.start.clone(),
        }
    }
}

/// §4.10: the next name up; from a long one, at once to seven labels.
fn above<'a>(target: &'a str, start: &str) -> Option<&'a str> {
    let labels = target.split('.').count();
    let skip = if target == start && labels >= limits::DMARC_WALK {
        labels - (limits::DMARC_WALK - 1)
    } else {
        1
    };
    let mut rest = target;
    for _ in 0..skip {
        rest = rest.split_once('.')?.1;
    }
    Some(rest)
}

async fn policy_at(inquiry: &Inquiry<'_>, domain: &str) -> Result<Option<Record>, Cause> {
    let texts = match inquiry.txt(&format!("_dmarc.{domain}")).await {
        Ok(texts) => texts,
        Err(cause) if cause.is_temporary() => return Err(cause),
        Err(_) => return Ok(None),
    };
    let mut records = texts.iter().filter_map(|text| Record::parse(text));
    Ok(match (records.next(), records.next()) {
        // §4.10: of several policies none counts.
        (Some(_), Some(_)) | (None, _) => None,
        (Some(one), None) => Some(one),
    })
}
