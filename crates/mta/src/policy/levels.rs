//! How well each domain's connections were protected so far, in `DATA/state/tls-levels`. Whoever
//! strips STARTTLS or hides TLSA records makes a connection worse than the ones before: that is
//! noticed, and waited out for a while (RFC 7435 §3 would go on in the clear; nobody would know).

use std::collections::HashMap;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use disk::RealDisk;
use net::Clock;
use protocol::time::Timestamp;

use crate::limits::LEVELS;
use crate::state_file::StateFile;

/// How well a connection is protected, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    /// Not at all.
    Clear,
    /// By TLS, with whomever.
    Encrypted,
    /// By TLS, with a certificate that an authority vouches for.
    Believed,
    /// As MTA-STS demands.
    Sts,
    /// As DANE demands.
    Dane,
}

/// What is known of a domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remembered {
    /// The best level.
    pub(crate) level: Level,
    /// When it was seen last.
    pub(crate) seen: Timestamp,
    /// Since when only less is offered.
    pub(crate) less_since: Option<Timestamp>,
}

/// The memory.
#[derive(Debug)]
pub(crate) struct Levels {
    file: StateFile,
    all: Mutex<All>,
}

#[derive(Debug, Default)]
struct All {
    known: HashMap<String, Remembered>,
    unwritten: bool,
}

const FIRST_LINE: &str = "posthaste-tls-levels 1";

/// How old `seen` may be on disk: it changes with every letter.
const COARSE: Duration = Duration::from_secs(86_400);

impl Levels {
    /// As it was left.
    pub(crate) fn open(state: &Path, clock: &Clock) -> Self {
        let path = state.join("tls-levels");
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut lines = text.lines();
        let known = match lines.next() {
            Some(FIRST_LINE) => lines.filter_map(parse).take(LEVELS).collect(),
            _ => HashMap::new(),
        };
        let file = StateFile::new(Arc::new(RealDisk), path, clock);
        Levels { file, all: Mutex::new(All { known, unwritten: false }) }
    }

    /// What is known of a domain.
    pub(crate) fn of(&self, domain: &str) -> Option<Remembered> {
        self.lock().known.get(domain).copied()
    }

    /// A letter was carried over a connection of this level; a lower one than before is what the
    /// domain has from now on.
    pub(crate) fn carried(&self, domain: &str, level: Level, now: Timestamp) {
        let mut all = self.lock();
        let before = all.known.get(domain).copied();
        let is_news = before.is_none_or(|it| {
            it.level != level || it.less_since.is_some() || now.since(it.seen) >= COARSE
        });
        if !is_news || (before.is_none() && level == Level::Clear) {
            return;
        }
        if all.known.len() >= LEVELS && before.is_none() {
            let oldest = all.known.iter().min_by_key(|(_, it)| it.seen).map(|it| it.0.clone());
            oldest.map(|domain| all.known.remove(&domain));
        }
        all.known.insert(domain.to_owned(), Remembered { level, seen: now, less_since: None });
        all.unwritten = true;
    }

    /// Only less than before is offered. Gives since when.
    pub(crate) fn less(&self, domain: &str, now: Timestamp) -> Timestamp {
        let mut all = self.lock();
        let Some(known) = all.known.get_mut(domain) else { return now };
        if let Some(since) = known.less_since {
            return since;
        }
        known.less_since = Some(now);
        all.unwritten = true;
        now
    }

    /// Writes down what has changed.
    pub(crate) fn save(&self) {
        let mut all = self.lock();
        if !std::mem::take(&mut all.unwritten) {
            return;
        }
        let mut text = format!("{FIRST_LINE}\n");
        for (domain, it) in &all.known {
            let less = it.less_since.map_or(0, Timestamp::as_seconds);
            text.push_str(&format!("{domain} {} {} {less}\n", it.level, it.seen.as_seconds()));
        }
        drop(all);
        self.file.write(text);
    }

    /// Waits until it is written.
    pub(crate) fn finish(&self) {
        self.save();
        self.file.finish();
    }

    fn lock(&self) -> MutexGuard<'_, All> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Remembered {
    /// Whether less than this is still refused.
    pub(crate) fn is_insisted_on(&self, now: Timestamp, wait: Duration) -> bool {
        !wait.is_zero() && self.less_since.is_none_or(|since| now.since(since) < wait)
    }
}

const WORDS: [(Level, &str); 5] = [
    (Level::Clear, "clear"),
    (Level::Encrypted, "encrypted"),
    (Level::Believed, "believed"),
    (Level::Sts, "mta-sts"),
    (Level::Dane, "dane"),
];

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = WORDS.iter().find(|(level, _)| level == self).map_or("", |(_, word)| word);
        f.write_str(word)
    }
}

fn parse(line: &str) -> Option<(String, Remembered)> {
    let mut words = line.split(' ');
    let domain = words.next()?.to_owned();
    let word = words.next()?;
    let level = WORDS.iter().find(|(_, known)| *known == word)?.0;
    let seen = Timestamp::from_seconds(words.next()?.parse().ok()?);
    let less: i64 = words.next()?.parse().ok()?;
    let less_since = (less > 0).then(|| Timestamp::from_seconds(less));
    Some((domain, Remembered { level, seen, less_since }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_level_is_insisted_on_for_a_while_and_over_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |seconds: i64| Timestamp::from_seconds(1_795_000_000 + seconds);
        let wait = Duration::from_secs(100);
        let levels = Levels::open(folder.path(), &Clock::real());
        levels.carried("blue.test", Level::Clear, at(0));
        assert_eq!(levels.of("blue.test"), None, "nothing to remember");
        levels.carried("blue.test", Level::Dane, at(1));
        levels.save();
        let levels = Levels::open(folder.path(), &Clock::real());
        let known = levels.of("blue.test").expect("known");
        assert_eq!(known.level, Level::Dane);
        assert!(known.is_insisted_on(at(1000), wait));
        assert!(!known.is_insisted_on(at(1000), Duration::ZERO), "no memory is wanted");
        assert_eq!(levels.less("blue.test", at(50)), at(50));
        assert_eq!(levels.less("blue.test", at(60)), at(50));
        let known = levels.of("blue.test").expect("known");
        assert!(known.is_insisted_on(at(149), wait) && !known.is_insisted_on(at(150), wait));
        levels.carried("blue.test", Level::Dane, at(160));
        assert_eq!(levels.of("blue.test").expect("known").less_since, None, "it is back");
    }
}
