//! Questions to DNS, for everything that judges: answers are kept for as long as they may be
//! believed, failures for a short while, and all questions about one letter share one span of time.
//! A kept answer costs no wait. It knows nothing of what the answers mean.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use net::Clock;
pub use net::dns::Cause;
use net::dns::{Mx, Outcome, Resolver};
use protocol::machine::Tick;

use crate::limits;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Text.
    Txt,
    /// IPv4 addresses.
    A,
    /// IPv6 addresses.
    Aaaa,
    /// Mail exchangers.
    Mx,
    /// Names of an address; the name is the address as text.
    Ptr,
}

/// What was answered: at least one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Records {
    /// Text, each record with its strings joined.
    Txt(Vec<Vec<u8>>),
    /// Addresses of either family.
    Addresses(Vec<IpAddr>),
    /// Names: the exchangers in the order of their preference, or the names of an address.
    Names(Vec<String>),
}

/// What a question comes to.
pub type Answered = Result<Arc<Records>, Cause>;

/// The future of [`Source::ask`]: the answer, and how long it holds.
pub type Asking<'a> = Pin<Box<dyn Future<Output = (Answered, Duration)> + Send + 'a>>;

/// Who answers.
pub trait Source: Send + Sync {
    /// Asks. The name is lower case, complete and fit for DNS.
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a>;
}

/// DNS with a memory. Shared by all sessions.
pub struct Dns {
    source: Box<dyn Source>,
    clock: Clock,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    names: HashMap<Box<str>, Vec<Entry>>,
    /// Questions in a row that nobody answered in time.
    silent: u32,
    /// Until when questions get little time.
    out_of_order: Tick,
}

struct Entry {
    kind: Kind,
    answer: Answered,
    until: Tick,
}

/// All questions about one letter, or one connection.
pub struct Inquiry<'a> {
    dns: &'a Dns,
    deadline: Tick,
    asked: Mutex<Vec<Asked>>,
}

/// A question that was asked, for the journey. Kept answers are not in it.
#[derive(Debug, Clone)]
pub struct Asked {
    /// What for.
    pub kind: Kind,
    /// Of which name.
    pub name: String,
    /// What came.
    pub answer: Answered,
    /// How long it took.
    pub took: Duration,
}

impl Dns {
    /// Asks `source`, and keeps what it says.
    pub fn new(source: impl Source + 'static, clock: Clock) -> Self {
        Dns { source: Box::new(source), clock, kept: Mutex::default() }
    }

    /// Questions that may take [`limits::INQUIRY`] from now.
    pub fn inquire(&self) -> Inquiry<'_> {
        let deadline = self.clock.tick().after(limits::INQUIRY);
        Inquiry { dns: self, deadline, asked: Mutex::default() }
    }

    /// The clock that answers age by.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn recall(&self, kind: Kind, name: &str) -> Option<Answered> {
        let now = self.clock.tick();
        let kept = self.kept();
        let entry = kept.names.get(name)?.iter().find(|entry| entry.kind == kind)?;
        (entry.until > now).then(|| entry.answer.clone())
    }

    fn remember(&self, (kind, name): (Kind, &str), answer: &Answered, ttl: Duration) {
        let now = self.clock.tick();
        let keep = match answer {
            Ok(_) => ttl.clamp(limits::KEPT_LEAST, limits::KEPT_MOST),
            Err(cause) if cause.is_temporary() => limits::FAILURE_KEPT,
            Err(_) => limits::NOTHING_KEPT,
        };
        let mut kept = self.kept();
        match answer {
            Err(Cause::Timeout) => {
                kept.silent += 1;
                if kept.silent >= limits::SILENT_QUESTIONS {
                    kept.out_of_order = now.after(limits::OUT_OF_ORDER);
                }
            }
            _ => {
                kept.silent = 0;
                kept.out_of_order = now;
            }
        }
        if kept.names.len() >= limits::NAMES_KEPT {
            kept.names.retain(|_, entries| entries.iter().any(|entry| entry.until > now));
        }
        if kept.names.len() >= limits::NAMES_KEPT {
            // Everything is fresh: somebody asks for names without end. Begin again.
            kept.names.clear();
        }
        let entries = kept.names.entry(name.into()).or_default();
        entries.retain(|entry| entry.kind != kind);
        entries.push(Entry { kind, answer: answer.clone(), until: now.after(keep) });
    }

    fn is_out_of_order(&self) -> bool {
        let now = self.clock.tick();
        self.kept().out_of_order > now
    }
}

impl fmt::Debug for Dns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Dns({} names kept)", self.kept().names.len())
    }
}

impl Inquiry<'_> {
    /// The text records of a name, each with its strings joined (RFC 7208 §3.3).
    ///
    /// # Errors
    /// Why there are none.
    pub async fn txt(&self, name: &str) -> Result<Vec<Vec<u8>>, Cause> {
        match &*self.ask(Kind::Txt, name).await? {
            Records::Txt(texts) => Ok(texts.clone()),
            _ => Err(Cause::NoData),
        }
    }

    /// The addresses of a name, of the family of `like`.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn addresses(&self, name: &str, like: IpAddr) -> Result<Vec<IpAddr>, Cause> {
        let kind = if like.is_ipv4() { Kind::A } else { Kind::Aaaa };
        match &*self.ask(kind, name).await? {
            Records::Addresses(addresses) => Ok(addresses.clone()),
            _ => Err(Cause::NoData),
        }
    }

    /// The mail exchangers of a domain, best first; a null MX is the empty name.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn exchangers(&self, domain: &str) -> Result<Vec<String>, Cause> {
        self.names(Kind::Mx, domain).await
    }

    /// The names of an address.
    ///
    /// # Errors
    /// Why there are none.
    pub async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, Cause> {
        self.names(Kind::Ptr, &address.to_string()).await
    }

    /// What was asked and not known, in order.
    pub fn into_asked(self) -> Vec<Asked> {
        self.asked.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    async fn names(&self, kind: Kind, name: &str) -> Result<Vec<String>, Cause> {
        match &*self.ask(kind, name).await? {
            Records::Names(names) => Ok(names.clone()),
            _ => Err(Cause::NoData),
        }
    }

    async fn ask(&self, kind: Kind, name: &str) -> Answered {
        let lower;
        let name = name.strip_suffix('.').unwrap_or(name);
        let name = if name.bytes().any(|octet| octet.is_ascii_uppercase()) {
            lower = name.to_ascii_lowercase();
            &lower
        } else {
            name
        };
        if kind != Kind::Ptr && !is_name(name) {
            return Err(Cause::BadName);
        }
        if let Some(answer) = self.dns.recall(kind, name) {
            return answer;
        }
        let clock = &self.dns.clock;
        let begun = clock.tick();
        let most = match self.dns.is_out_of_order() {
            true => limits::HURRIED_QUESTION,
            false => limits::QUESTION,
        };
        let left = self.deadline.since(begun).min(most);
        if left.is_zero() {
            return Err(Cause::Timeout);
        }
        let (answer, ttl) = match clock.timeout(left, self.dns.source.ask(kind, name)).await {
            Ok(answered) => answered,
            Err(_) => (Err(Cause::Timeout), Duration::ZERO),
        };
        self.dns.remember((kind, name), &answer, ttl);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.len() < limits::QUESTIONS_SHOWN {
            let took = clock.tick().since(begun);
            asked.push(Asked { kind, name: name.to_owned(), answer: answer.clone(), took });
        }
        answer
    }
}

/// Whether DNS can be asked for it: RFC 1035 §2.3.4, and printable. Labels may hold anything else.
fn is_name(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|octet| (b' '..=b'~').contains(&octet) && octet != b'\\')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

impl Source for Resolver {
    fn ask<'a>(&'a self, kind: Kind, name: &'a str) -> Asking<'a> {
        Box::pin(async move {
            match kind {
                Kind::Txt => of(self.txt(name).await, Records::Txt),
                Kind::A => of(self.a(name).await, |found: Vec<Ipv4Addr>| {
                    Records::Addresses(found.into_iter().map(IpAddr::V4).collect())
                }),
                Kind::Aaaa => of(self.aaaa(name).await, |found: Vec<Ipv6Addr>| {
                    Records::Addresses(found.into_iter().map(IpAddr::V6).collect())
                }),
                Kind::Mx => of(self.mx(name).await, |mut found: Vec<Mx>| {
                    found.sort();
                    Records::Names(found.into_iter().map(|mx| mx.exchange).collect())
                }),
                Kind::Ptr => match name.parse::<IpAddr>() {
                    Ok(address) => of(self.ptr(address).await, Records::Names),
                    Err(_) => (Err(Cause::BadName), Duration::ZERO),
                },
            }
        })
    }
}

fn of<T>(outcome: Outcome<T>, records: impl Fn(Vec<T>) -> Records) -> (Answered, Duration) {
    match outcome {
        Ok(answer) => (Ok(Arc::new(records(answer.records))), answer.ttl),
        Err(failure) => (Err(failure.cause), Duration::ZERO),
    }
}

impl Kind {
    /// As in DNS.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Txt => "TXT",
            Kind::A => "A",
            Kind::Aaaa => "AAAA",
            Kind::Mx => "MX",
            Kind::Ptr => "PTR",
        }
    }
}

impl fmt::Display for Asked {
    /// `TXT red.test: "v=spf1 mx -all"`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: ", self.kind.as_str(), self.name)?;
        match &self.answer {
            Ok(records) => records.fmt(f),
            Err(cause) => cause.fmt(f),
        }
    }
}

impl fmt::Display for Records {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: Vec<String> = match self {
            Records::Txt(texts) => texts
                .iter()
                .map(|text| format!("{:?}", shortened(&String::from_utf8_lossy(text))))
                .collect(),
            Records::Addresses(all) => all.iter().map(IpAddr::to_string).collect(),
            Records::Names(names) => names.clone(),
        };
        let most = limits::RECORDS_SHOWN;
        let text = shown.iter().take(most).map(String::as_str).collect::<Vec<_>>().join(" ");
        f.write_str(&text)?;
        match shown.len() {
            count if count > most => write!(f, " and {} more", count - most),
            _ => Ok(()),
        }
    }
}

/// A text as it is told in journeys.
pub(crate) fn shortened(text: &str) -> String {
    match text.char_indices().nth(limits::RECORD_SHOWN) {
        Some((at, _)) => format!("{}...", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use protocol::time::Timestamp;

    use super::*;

    /// Answers some names, and counts questions.
    #[derive(Clone, Default)]
    struct Counting(Arc<AtomicU32>);

    impl Source for Counting {
        fn ask<'a>(&'a self, _: Kind, name: &'a str) -> Asking<'a> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Box::pin(async move {
                match name {
                    "silent.test" | "mute.test" | "still.test" => std::future::pending().await,
                    "none.test" => (Err(Cause::NoSuchName), Duration::ZERO),
                    _ => {
                        let texts = Records::Txt(vec![b"text".to_vec()]);
                        (Ok(Arc::new(texts)), Duration::from_secs(60))
                    }
                }
            })
        }
    }

    #[tokio::test]
    async fn answers_are_kept_as_long_as_they_hold() {
        let (source, clock) = (Counting::default(), Clock::virtual_at(Timestamp::from_seconds(1)));
        let dns = Dns::new(source.clone(), clock.clone());
        let asked = || source.0.load(Ordering::Relaxed);
        for _ in 0..3 {
            let inquiry = dns.inquire();
            assert_eq!(inquiry.txt("Red.Test.").await, Ok(vec![b"text".to_vec()]));
            assert_eq!(inquiry.txt("none.test").await, Err(Cause::NoSuchName));
        }
        assert_eq!(asked(), 2);
        clock.advance(Duration::from_secs(61));
        let inquiry = dns.inquire();
        assert!(inquiry.txt("red.test").await.is_ok());
        assert_eq!((asked(), inquiry.into_asked().len()), (3, 1));
        for wrong in ["", "a..b", &"x".repeat(64), &"a.".repeat(130), "a\\b.test", "a\u{e4}.test"] {
            assert_eq!(dns.inquire().txt(wrong).await, Err(Cause::BadName), "{wrong}");
        }
    }

    #[tokio::test]
    async fn silence_is_not_waited_for_again_and_again() {
        let clock = Clock::virtual_at(Timestamp::from_seconds(1));
        let dns = Dns::new(Counting::default(), clock.clone());
        // Whenever somebody waits, it is already that late.
        let hasten = async {
            loop {
                if let Some(wake) = clock.next_wake() {
                    clock.advance(wake.since(clock.tick()));
                }
                tokio::task::yield_now().await;
            }
        };
        let ask = async {
            for name in ["silent.test", "mute.test"] {
                assert_eq!(dns.inquire().txt(name).await, Err(Cause::Timeout));
            }
            let two = clock.tick();
            assert_eq!(two.since(Tick::default()), 2 * limits::QUESTION);
            assert_eq!(dns.inquire().txt("still.test").await, Err(Cause::Timeout));
            assert_eq!(clock.tick().since(two), limits::HURRIED_QUESTION);
            // One answer, and DNS is well again.
            assert!(dns.inquire().txt("red.test").await.is_ok());
            assert!(!dns.is_out_of_order());
        };
        tokio::select! {
            () = ask => {}
            () = hasten => {}
        }
    }
}
