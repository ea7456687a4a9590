//! Who exists in the domains that live elsewhere and whose mail is kept here (`mta.relay_domains`):
//! a list in a file, since their directory is not ours to ask. Answers at RCPT, so that what nobody
//! will take is refused while connected and never bounced. How the mail gets there is `relay`'s.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use disk::{RealDisk, read_whole};
use protocol::address::{Address, Domain};
use service::config::Mta;

use crate::limits::{RELAY_RECIPIENTS, RELAY_RECIPIENTS_BYTES};

/// The list in use; a reload puts another in its place.
#[derive(Debug, Default)]
pub(crate) struct Elsewhere(RwLock<Arc<Option<Known>>>);

/// Who exists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Whole addresses, in lower case.
    people: HashSet<String>,
    /// Domains in which everybody does.
    everybody: HashSet<Domain>,
}

impl Known {
    /// The list that the configuration names; `None`: it names none.
    ///
    /// # Errors
    /// One sentence with the file and the line.
    pub(crate) fn load(mta: &Mta) -> Result<Option<Self>, String> {
        let Some(path) = &mta.relay_recipients_file else { return Ok(None) };
        let unread = |error| format!("mta.relay_recipients_file: {error}");
        let bytes = read_whole(&RealDisk, path, RELAY_RECIPIENTS_BYTES).map_err(unread)?;
        Known::parse(&bytes, path).map(Some)
    }

    /// One address or `@domain` a line; `#` begins a remark.
    fn parse(bytes: &[u8], path: &Path) -> Result<Self, String> {
        let wrong = |line: usize, why: String| format!("{}:{line}: {why}", path.display());
        let text =
            std::str::from_utf8(bytes).map_err(|_| wrong(1, "this is no text".to_owned()))?;
        let mut known = Known::default();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            if known.people.len() + known.everybody.len() >= RELAY_RECIPIENTS {
                return Err(wrong(index + 1, format!("more than {RELAY_RECIPIENTS} recipients")));
            }
            match entry.strip_prefix('@') {
                Some(domain) => {
                    let domain = domain.parse().map_err(|why| {
                        wrong(index + 1, format!("{entry:?} is no domain: {why}"))
                    })?;
                    known.everybody.insert(domain);
                }
                None => {
                    let address: Address = entry.parse().map_err(|why| {
                        wrong(index + 1, format!("{entry:?} is no address: {why}"))
                    })?;
                    known.people.insert(key(&address, address.local().as_str()));
                }
            }
        }
        Ok(known)
    }

    /// Whether somebody is in the list, with or without a subaddress.
    fn has(&self, address: &Address) -> bool {
        let local = address.local().as_str();
        let bare = local.split(directory::limits::SUBADDRESS_SEPARATOR).next().unwrap_or(local);
        address.domain().is_some_and(|domain| self.everybody.contains(domain))
            || self.people.contains(&key(address, local))
            || self.people.contains(&key(address, bare))
    }
}

/// Receivers tell local parts apart by case only in theory.
fn key(address: &Address, local: &str) -> String {
    format!("{local}@{}", address.host()).to_ascii_lowercase()
}

impl Elsewhere {
    /// With the list of the configuration.
    pub(crate) fn new(known: Option<Known>) -> Self {
        Elsewhere(RwLock::new(Arc::new(known)))
    }

    /// Works with another list from the next recipient on.
    pub(crate) fn renew(&self, known: Option<Known>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
    }

    /// Whether mail for `address` is kept here: `None`, its domain is not one of those; else
    /// whether the person exists as far as is known.
    pub(crate) fn takes(&self, mta: &Mta, address: &Address) -> Option<bool> {
        let domain = address.domain()?;
        mta.relay_domains.contains(domain).then(|| {
            let known = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
            known.as_ref().as_ref().is_none_or(|known| known.has(address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    fn parse(text: &str) -> Result<Known, String> {
        Known::parse(text.as_bytes(), Path::new("list"))
    }

    #[test]
    fn people_and_whole_domains() {
        let text = "# the far office\n\nAmy@far.test  # the boss\n@open.test\n";
        let known = parse(text).expect("a list");
        for there in ["amy@far.test", "AMY@FAR.test", "amy+bills@far.test", "eve@open.test"] {
            assert!(known.has(&address(there)), "{there}");
        }
        for not in ["bob@far.test", "amy@open.test.far.test", "amy@[192.0.2.1]"] {
            assert!(!known.has(&address(not)), "{not}");
        }
        assert_eq!(parse("amy@far.test\nno address").unwrap_err().split(':').nth(1), Some("2"));
        assert!(parse("@no..domain").is_err());
    }

    #[test]
    fn without_a_list_everybody_of_those_domains_is_taken_and_nobody_else() {
        let mta =
            Mta { relay_domains: vec!["far.test".parse().expect("a domain")], ..Mta::default() };
        let open = Elsewhere::default();
        assert_eq!(open.takes(&mta, &address("x@far.test")), Some(true));
        assert_eq!(open.takes(&mta, &address("x@sub.far.test")), None);
        let known = Elsewhere::new(Some(parse("amy@far.test").expect("a list")));
        assert_eq!(known.takes(&mta, &address("x@far.test")), Some(false));
        known.renew(None);
        assert_eq!(known.takes(&mta, &address("x@far.test")), Some(true));
    }
}
