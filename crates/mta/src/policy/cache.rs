//! MTA-STS policies as they were last seen, in memory and in `DATA/state/mta-sts/DOMAIN`: they hold
//! for their max_age even when neither DNS nor the web answers (RFC 8461 §3.3, §5.1), and across
//! restarts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use disk::{Disk, Mode as FileMode, RealDisk};
use protocol::time::Timestamp;

use super::sts::Policy;
use crate::limits::{STS_DOMAINS, STS_RETRY};

/// A policy with where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    pub(crate) policy: Policy,
    pub(crate) id: String,
    /// Until when it holds.
    pub(crate) until: Timestamp,
}

/// The policies of all domains.
#[derive(Debug)]
pub(crate) struct Cache {
    folder: PathBuf,
    held: Mutex<HashMap<String, Known>>,
}

#[derive(Debug, Clone, Default)]
struct Known {
    held: Option<Arc<Held>>,
    /// When fetching failed last.
    failed: Option<Timestamp>,
}

const FIRST_LINE: &str = "posthaste-sts 1";

impl Cache {
    pub(crate) fn new(state: &Path) -> Self {
        Cache { folder: state.join("mta-sts"), held: Mutex::default() }
    }

    /// The policy of a domain that still holds.
    pub(crate) fn held(&self, domain: &str, now: Timestamp) -> Option<Arc<Held>> {
        let known = self.lock().get(domain).cloned();
        let held = match known {
            Some(known) => known.held,
            None => {
                let read = std::fs::read_to_string(self.folder.join(domain)).ok();
                let held = read.and_then(|text| parse(&text)).map(Arc::new);
                self.put(domain, Known { held: held.clone(), failed: None });
                held
            }
        };
        held.filter(|held| held.until > now)
    }

    /// Whether a fetch failed a moment ago: a broken web server is not asked for each letter.
    pub(crate) fn is_resting(&self, domain: &str, now: Timestamp) -> bool {
        let failed = self.lock().get(domain).and_then(|known| known.failed);
        failed.is_some_and(|failed| now.since(failed) < STS_RETRY)
    }

    /// A fetch failed.
    pub(crate) fn failed(&self, domain: &str, now: Timestamp) {
        let held = self.lock().get(domain).and_then(|known| known.held.clone());
        self.put(domain, Known { held, failed: Some(now) });
    }

    /// Keeps a policy that was fetched.
    pub(crate) fn keep(
        &self,
        domain: &str,
        (id, text): (&str, &str),
        policy: Policy,
        now: Timestamp,
    ) -> Arc<Held> {
        let until = now.after(policy.max_age);
        let file = format!("{FIRST_LINE}\nid {id}\nuntil {}\n\n{text}", until.as_seconds());
        let written = RealDisk.make_dirs(&self.folder, FileMode(0o700)).and_then(|()| {
            let path = self.folder.join(domain);
            disk::replace_whole(&RealDisk, &path, FileMode(0o600), file.as_bytes())
        });
        if let Err(error) = written {
            // It holds in memory at least.
            tracing::warn!(domain, %error, "an MTA-STS policy is not kept on disk");
        }
        let held = Arc::new(Held { policy, id: id.to_owned(), until });
        self.put(domain, Known { held: Some(held.clone()), failed: None });
        held
    }

    fn put(&self, domain: &str, known: Known) {
        let mut all = self.lock();
        if all.len() >= STS_DOMAINS {
            // The files remain.
            all.clear();
        }
        all.insert(domain.to_owned(), known);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn parse(text: &str) -> Option<Held> {
    let (head, policy) = text.split_once("\n\n")?;
    let mut lines = head.lines();
    if lines.next()? != FIRST_LINE {
        return None;
    }
    let id = lines.next()?.strip_prefix("id ")?.to_owned();
    let until = lines.next()?.strip_prefix("until ")?.parse().ok()?;
    let policy = Policy::parse(policy).ok()?;
    Some(Held { policy, id, until: Timestamp::from_seconds(until) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_outlives_a_restart_and_ends_with_its_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let now = Timestamp::from_seconds(1_795_000_000);
        let text = "version: STSv1\nmode: enforce\nmx: mx.blue.test\nmax_age: 1000\n";
        let policy = Policy::parse(text).expect("a policy");
        let cache = Cache::new(folder.path());
        assert_eq!(cache.held("blue.test", now), None);
        cache.keep("blue.test", ("one", text), policy.clone(), now);
        let again = Cache::new(folder.path());
        let held = again.held("blue.test", now).expect("held");
        assert_eq!((held.id.as_str(), &held.policy), ("one", &policy));
        let later = now.after(std::time::Duration::from_secs(1000));
        assert_eq!(again.held("blue.test", later), None);
        std::fs::write(folder.path().join("mta-sts/red.test"), "garbage").expect("written");
        assert_eq!(again.held("red.test", now), None);
        again.failed("red.test", now);
        assert!(again.is_resting("red.test", now) && !again.is_resting("red.test", later));
    }
}
