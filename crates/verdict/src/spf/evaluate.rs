//! check_host() of RFC 7208 §4: walks a record term by term, asks DNS within the bounds of §4.6.4,
//! and says what the first match means.

use std::future::Future;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::pin::Pin;

use super::expand::{Template, Values};
use super::record::{Hosts, Mechanism, Record, is_spf};
use super::{Query, SpfResult};
use crate::limits;
use crate::lookup::{Cause, Inquiry};

/// Who is checked.
#[derive(Clone, Copy)]
pub(super) struct Sender<'a> {
    pub(super) query: Query<'a>,
    pub(super) local: &'a str,
    pub(super) domain: &'a str,
}

/// What it came to.
pub(super) struct End {
    pub(super) result: SpfResult,
    pub(super) reason: String,
    pub(super) record: Option<String>,
    pub(super) explanation: Option<String>,
}

/// The evaluation stops here, with this result.
type Stop = (SpfResult, String);

pub(super) async fn run(inquiry: &Inquiry<'_>, sender: Sender<'_>) -> End {
    let mut walk = Walk { inquiry, sender, lookups: 0, voids: 0, record: None, names: None };
    let (verdict, explanation) = match walk.check(sender.domain).await {
        Ok(found) => {
            let text = match (&found.explanation, found.result) {
                (Some(template), SpfResult::Fail) => {
                    walk.explain(template.clone(), found.domain.clone()).await
                }
                _ => None,
            };
            ((found.result, found.reason), text)
        }
        Err(stop) => (stop, None),
    };
    let (result, reason) = verdict;
    End { result, reason, record: walk.record, explanation }
}

struct Walk<'a> {
    inquiry: &'a Inquiry<'a>,
    sender: Sender<'a>,
    lookups: u32,
    voids: u32,
    /// The sender's own record, for the journey.
    record: Option<String>,
    /// Names of the address that lead back to it, once they were asked for.
    names: Option<Vec<String>>,
}

struct Found {
    result: SpfResult,
    reason: String,
    /// Of the record that decided; included ones do not explain (§6.2).
    explanation: Option<Template>,
    domain: String,
}

type Checking<'b> = Pin<Box<dyn Future<Output = Result<Found, Stop>> + Send + 'b>>;

impl Walk<'_> {
    /// check_host() for one domain.
    fn check<'b>(&'b mut self, domain: &'b str) -> Checking<'b> {
        Box::pin(async move {
            let text = match self.fetch(domain).await? {
                Some(text) => text,
                None => {
                    let reason = format!("{domain} has no SPF record");
                    let (domain, result) = (domain.to_owned(), SpfResult::None);
                    return Ok(Found { result, reason, explanation: None, domain });
                }
            };
            if self.record.is_none() {
                self.record = Some(String::from_utf8_lossy(&text).into_owned());
            }
            let record = Record::parse(&text)
                .map_err(|error| permanent(format!("the record of {domain}: {}", error.0)))?;
            for directive in &record.directives {
                if self.matches(&directive.mechanism, domain).await? {
                    let reason = format!("{} matches in the record of {domain}", directive.text);
                    let (result, domain) = (directive.result, domain.to_owned());
                    let explanation = record.explanation;
                    return Ok(Found { result, reason, explanation, domain });
                }
            }
            let Some(redirect) = &record.redirect else {
                let reason = format!("nothing in the record of {domain} matches");
                let (result, domain) = (SpfResult::Neutral, domain.to_owned());
                return Ok(Found { result, reason, explanation: None, domain });
            };
            self.count_lookup()?;
            let next = self.domain_of(redirect, domain).await?;
            match self.check(&next).await? {
                // §6.1.
                Found { result: SpfResult::None, .. } => {
                    Err(permanent(format!("redirect leads to {next}, which has no record")))
                }
                found => Ok(found),
            }
        })
    }

    /// The SPF record of a domain (§4.4, §4.5).
    async fn fetch(&mut self, domain: &str) -> Result<Option<Vec<u8>>, Stop> {
        let texts = match self.inquiry.txt(domain).await {
            Ok(texts) => texts,
            Err(cause) if cause.is_temporary() => return Err(temporary("TXT", domain, &cause)),
            Err(_) => return Ok(None),
        };
        let mut records = texts.into_iter().filter(|text| is_spf(text));
        match (records.next(), records.next()) {
            (Some(_), Some(_)) => Err(permanent(format!("{domain} has more than one record"))),
            (first, _) => Ok(first),
        }
    }

    async fn matches(&mut self, mechanism: &Mechanism, domain: &str) -> Result<bool, Stop> {
        let ip = self.sender.query.ip;
        match mechanism {
            Mechanism::All => Ok(true),
            Mechanism::Ip4(network, length) => Ok(match ip {
                IpAddr::V4(v4) => is_within_v4(v4, *network, *length),
                IpAddr::V6(_) => false,
            }),
            Mechanism::Ip6(network, length) => Ok(match ip {
                IpAddr::V6(v6) => is_within_v6(v6, *network, *length),
                IpAddr::V4(_) => false,
            }),
            Mechanism::Include(template) => {
                self.count_lookup()?;
                let name = self.domain_of(template, domain).await?;
                self.included(&name).await
            }
            Mechanism::A(hosts) => {
                self.count_lookup()?;
                let name = self.host_name(hosts, domain).await?;
                let addresses = self.addresses(&name, Void::Counts).await?;
                Ok(is_among(ip, &addresses, hosts))
            }
            Mechanism::Mx(hosts) => {
                self.count_lookup()?;
                let name = self.host_name(hosts, domain).await?;
                self.is_exchanger(&name, hosts).await
            }
            Mechanism::Ptr(template) => {
                self.count_lookup()?;
                let name = match template {
                    Some(template) => self.domain_of(template, domain).await?,
                    None => domain.to_owned(),
                };
                Ok(self.own_names().await.iter().any(|own| is_under(own, &name)))
            }
            Mechanism::Exists(template) => {
                self.count_lookup()?;
                let name = self.domain_of(template, domain).await?;
                // §5.7: A, even for a peer with IPv6.
                let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
                let found = self.inquiry.addresses(&name, any).await;
                Ok(!self.or_void((found, "A", &name), Void::Counts)?.is_empty())
            }
        }
    }

    /// §5.2.
    async fn included(&mut self, name: &str) -> Result<bool, Stop> {
        match self.check(name).await?.result {
            SpfResult::Pass => Ok(true),
            SpfResult::None => Err(permanent(format!("include:{name} has no record"))),
            _ => Ok(false),
        }
    }

    /// §5.4.
    async fn is_exchanger(&mut self, name: &str, hosts: &Hosts) -> Result<bool, Stop> {
        let found = self.inquiry.exchangers(name).await;
        let exchangers = self.or_void((found, "MX", name), Void::Counts)?;
        if exchangers.len() > limits::SPF_NAMES {
            return Err(permanent(format!("{name} has more than {} MX", limits::SPF_NAMES)));
        }
        for exchanger in exchangers.iter().filter(|name| !name.is_empty()) {
            let addresses = self.addresses(exchanger, Void::Ignored).await?;
            if is_among(self.sender.query.ip, &addresses, hosts) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    async fn addresses(&mut self, name: &str, void: Void) -> Result<Vec<IpAddr>, Stop> {
        let found = self.inquiry.addresses(name, self.sender.query.ip).await;
        self.or_void((found, "address", name), void)
    }

    /// §5.5: names of the address that lead back to it. Failures are no match, never an error.
    async fn own_names(&mut self) -> Vec<String> {
        if let Some(names) = &self.names {
            return names.clone();
        }
        let ip = self.sender.query.ip;
        let mut valid = Vec::new();
        for name in self.inquiry.names_of(ip).await.unwrap_or_default() {
            if valid.len() >= limits::SPF_NAMES {
                break;
            }
            let found = self.inquiry.addresses(&name, ip).await;
            if found.is_ok_and(|addresses| addresses.contains(&ip)) {
                valid.push(name.to_ascii_lowercase());
            }
        }
        self.names = Some(valid.clone());
        valid
    }

    async fn host_name(&mut self, hosts: &Hosts, domain: &str) -> Result<String, Stop> {
        match &hosts.domain {
            Some(template) => self.domain_of(template, domain).await,
            None => Ok(domain.to_owned()),
        }
    }

    async fn domain_of(&mut self, template: &Template, domain: &str) -> Result<String, Stop> {
        let name = self.name_for(template, domain).await;
        Ok(template.expand_domain(&self.values(domain, name.as_deref())))
    }

    /// What `%{p}` stands for (§7.3): the domain itself, else a name below it, else any.
    async fn name_for(&mut self, template: &Template, domain: &str) -> Option<String> {
        if !template.wants_name() {
            return None;
        }
        let names = self.own_names().await;
        let same = names.iter().find(|name| *name == domain);
        let below = || names.iter().find(|name| is_under(name, domain));
        same.or_else(below).or(names.first()).cloned()
    }

    fn values<'v>(&'v self, domain: &'v str, name: Option<&'v str>) -> Values<'v> {
        let query = &self.sender.query;
        Values {
            local: self.sender.local,
            origin: self.sender.domain,
            domain,
            ip: query.ip,
            helo: query.helo,
            receiver: query.receiver,
            now: query.now,
            name,
        }
    }

    /// §6.2: what the domain says to whom it rejects; any fault in it is silence.
    async fn explain(&mut self, template: Template, domain: String) -> Option<String> {
        let name = self.domain_of(&template, &domain).await.ok()?;
        let texts = self.inquiry.txt(&name).await.ok()?;
        let [text] = texts.as_slice() else { return None };
        let text = std::str::from_utf8(text).ok().filter(|text| text.is_ascii())?;
        let template = Template::explanation(text)?;
        let own = self.name_for(&template, &domain).await;
        let text = template.expand(&self.values(&domain, own.as_deref()));
        let shown: String = text
            .chars()
            .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
            .take(limits::SPF_EXPLANATION)
            .collect();
        Some(shown).filter(|shown| !shown.is_empty())
    }

    fn count_lookup(&mut self) -> Result<(), Stop> {
        self.lookups += 1;
        if self.lookups > limits::SPF_LOOKUPS {
            let text = format!("more than {} terms that ask DNS", limits::SPF_LOOKUPS);
            return Err(permanent(text));
        }
        Ok(())
    }

    /// What was found; nothing where there is nothing, within the bound of §4.6.4.
    fn or_void<T>(
        &mut self,
        (found, kind, name): (Result<Vec<T>, Cause>, &str, &str),
        void: Void,
    ) -> Result<Vec<T>, Stop> {
        match found {
            Ok(records) => Ok(records),
            Err(cause) if cause.is_temporary() => Err(temporary(kind, name, &cause)),
            Err(_) => {
                self.voids += u32::from(void == Void::Counts);
                if self.voids > limits::SPF_VOID_LOOKUPS {
                    let text = format!(
                        "more than {} questions that come to nothing",
                        limits::SPF_VOID_LOOKUPS
                    );
                    return Err(permanent(text));
                }
                Ok(Vec::new())
            }
        }
    }
}

/// Whether an answer without records counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Void {
    Counts,
    Ignored,
}

fn permanent(reason: String) -> Stop {
    (SpfResult::PermError, reason)
}

fn temporary(kind: &str, name: &str, cause: &Cause) -> Stop {
    (SpfResult::TempError, format!("{kind} of {name}: {cause}"))
}

/// Whether `name` is `domain` or below it.
fn is_under(name: &str, domain: &str) -> bool {
    let domain = domain.strip_suffix('.').unwrap_or(domain);
    name.len().checked_sub(domain.len()).is_some_and(|start| {
        name.get(start..).is_some_and(|end| end.eq_ignore_ascii_case(domain))
            && (start == 0 || name.as_bytes().get(start - 1) == Some(&b'.'))
    })
}

fn is_among(ip: IpAddr, addresses: &[IpAddr], hosts: &Hosts) -> bool {
    addresses.iter().any(|address| match (ip, *address) {
        (IpAddr::V4(ip), IpAddr::V4(network)) => is_within_v4(ip, network, hosts.v4),
        (IpAddr::V6(ip), IpAddr::V6(network)) => is_within_v6(ip, network, hosts.v6),
        _ => false,
    })
}

fn is_within_v4(ip: Ipv4Addr, network: Ipv4Addr, length: u8) -> bool {
    let shift = 32 - u32::from(length.min(32));
    u64::from(ip.to_bits()) >> shift == u64::from(network.to_bits()) >> shift
}

fn is_within_v6(ip: Ipv6Addr, network: Ipv6Addr, length: u8) -> bool {
    match 128 - u32::from(length.min(128)) {
        128 => true,
        shift => ip.to_bits() >> shift == network.to_bits() >> shift,
    }
}
