//! DNS questions with outcomes that a mail system can act on. Hides hickory entirely: no other
//! module, and no other crate, names it. It chooses nothing: order and fallback are the relay's.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::config::{
    ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts,
};
use hickory_resolver::lookup::Lookup;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::dnssec::{Proof as HickoryProof, TrustAnchors};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver as Hickory, TokioResolver};

use crate::limits::{DNS_ATTEMPT, DNS_CACHE, DNS_MAX_TTL, DNS_RECORDS, DNS_TOTAL};

/// Asks DNS. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Resolver {
    inner: TokioResolver,
    /// Validates with DNSSEC. Apart from the other: what is only asked for need not be signed well.
    validating: TokioResolver,
    servers: String,
}

/// Which servers are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Setting {
    /// Keys of the root for DNSSEC, in the form of a zone file; none: those built in.
    pub trust_anchor_file: Option<PathBuf>,
    /// These, each with its port; empty: those of `/etc/resolv.conf`.
    pub servers: Vec<SocketAddr>,
}

/// How far DNSSEC vouches for an answer (RFC 4035 §4.3). A bogus one is none: [`Cause::Bogus`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Proof {
    /// Not at all: the zone is not signed.
    Insecure,
    /// All of it is signed, up to the root.
    Secure,
}

/// A good answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer<T> {
    /// The records, in the order of the answer, at most [`DNS_RECORDS`].
    pub records: Vec<T>,
    /// How long it may still be believed.
    pub ttl: Duration,
    /// How it was come by, for the journey.
    pub facts: Facts,
}

/// How an answer was come by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The name that was asked, without the final dot.
    pub name: String,
    /// The record type, e.g. `MX`.
    pub kind: &'static str,
    /// The servers that may have been asked.
    pub servers: String,
    /// How long it took. A cached answer takes no time.
    pub took: Duration,
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What it means.
    pub cause: Cause,
    /// How it was come by.
    pub facts: Facts,
}

/// What a failed question means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// The name does not exist (NXDOMAIN): permanent.
    NoSuchName,
    /// The name exists and has no such record: permanent.
    NoData,
    /// The name cannot be asked for: permanent.
    BadName,
    /// No answer in time: temporary.
    Timeout,
    /// The servers failed or refused, in their words: temporary.
    Server(String),
    /// DNSSEC says that the answer is forged; for mail as temporary as a failed server.
    Bogus,
}

/// A mail exchanger (RFC 5321 §5.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mx {
    /// Lower is tried first.
    pub preference: u16,
    /// The host, lower case, without the final dot; empty for the root.
    pub exchange: String,
}

/// A TLSA record (RFC 6698 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tlsa {
    /// Certificate usage: 2 is DANE-TA, 3 is DANE-EE.
    pub usage: u8,
    /// Selector: 0 the certificate, 1 its public key.
    pub selector: u8,
    /// Matching type: 0 exact, 1 SHA-256, 2 SHA-512.
    pub matching: u8,
    /// The association data.
    pub data: Vec<u8>,
}

/// What a question comes to.
pub type Outcome<T> = Result<Answer<T>, Failure>;

/// The same with DNSSEC's word on it.
pub type Proven<T> = Result<(Answer<T>, Proof), Failure>;

impl Resolver {
    /// A resolver for `setting`.
    ///
    /// # Errors
    /// A sentence, when the system's own configuration is to be used and cannot be read.
    pub fn new(setting: &Setting) -> Result<Self, String> {
        let builder = || {
            let mut builder = if setting.servers.is_empty() {
                Hickory::builder_tokio()
                    .map_err(|e| format!("cannot read /etc/resolv.conf: {e}; set dns.servers"))?
            } else {
                let servers = setting.servers.iter().map(name_server).collect();
                let config = ResolverConfig::from_name_servers(servers);
                Hickory::builder_with_config(config, TokioRuntimeProvider::default())
            };
            adjust(builder.options_mut());
            Ok::<_, String>(builder)
        };
        let unbuilt = |error: NetError| format!("cannot set up the resolver: {error}");
        let inner = builder()?.build().map_err(unbuilt)?;
        let mut validating = builder()?;
        validating.options_mut().validate = true;
        if let Some(path) = &setting.trust_anchor_file {
            let anchors = std::fs::read_to_string(path)
                .map_err(|e| e.to_string())
                .and_then(|text| anchors(&text))
                .map_err(|e| format!("dns.trust_anchor_file {}: {e}", path.display()))?;
            validating = validating.with_trust_anchor(Arc::new(anchors));
        }
        let validating = validating.build().map_err(unbuilt)?;
        let listed: Vec<_> = setting.servers.iter().map(SocketAddr::to_string).collect();
        let servers = if listed.is_empty() { "system".to_owned() } else { listed.join(" ") };
        Ok(Resolver { inner, validating, servers })
    }

    /// The mail exchangers of a domain, as they stand; see [`Answer::is_null_mx`].
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn mx(&self, domain: &str) -> Outcome<Mx> {
        self.ask(domain, RecordType::MX, mx).await
    }

    /// The IPv4 addresses of a host.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn a(&self, host: &str) -> Outcome<Ipv4Addr> {
        self.ask(host, RecordType::A, |data| match data {
            RData::A(a) => Some(a.0),
            _ => None,
        })
        .await
    }

    /// The IPv6 addresses of a host.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn aaaa(&self, host: &str) -> Outcome<Ipv6Addr> {
        self.ask(host, RecordType::AAAA, |data| match data {
            RData::AAAA(aaaa) => Some(aaaa.0),
            _ => None,
        })
        .await
    }

    /// The text records of a name, each with its strings joined (RFC 7208 §3.3).
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn txt(&self, name: &str) -> Outcome<Vec<u8>> {
        self.ask(name, RecordType::TXT, |data| match data {
            RData::TXT(txt) => Some(txt.txt_data.concat()),
            _ => None,
        })
        .await
    }

    /// The names of an address (RFC 1035 §3.5).
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn ptr(&self, address: IpAddr) -> Outcome<String> {
        let name = Name::from(address).to_ascii();
        self.ask(&name, RecordType::PTR, |data| match data {
            RData::PTR(name) => Some(plain(&name.0)),
            _ => None,
        })
        .await
    }

    /// The TLSA records of a service, e.g. `_25._tcp.mx.example.org`, with their proof: without
    /// [`Proof::Secure`] they mean nothing (RFC 7672 §2.1.1).
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn tlsa(&self, name: &str) -> Proven<Tlsa> {
        self.ask_proven(name, RecordType::TLSA, |data| match data {
            RData::TLSA(tlsa) => Some(Tlsa {
                usage: tlsa.cert_usage.into(),
                selector: tlsa.selector.into(),
                matching: tlsa.matching.into(),
                data: tlsa.cert_data.clone(),
            }),
            _ => None,
        })
        .await
    }

    /// The mail exchangers of a domain, with their proof.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn proven_mx(&self, domain: &str) -> Proven<Mx> {
        self.ask_proven(domain, RecordType::MX, mx).await
    }

    /// Whether the addresses of a host, with all aliases on the way, are signed. A family that it
    /// does not have says nothing.
    ///
    /// # Errors
    /// See [`Cause`].
    pub async fn address_proof(&self, host: &str) -> Result<Proof, Failure> {
        let four = self.ask_proven(host, RecordType::A, |_| Some(())).await;
        let six = match &four {
            Ok((_, Proof::Insecure)) => return Ok(Proof::Insecure),
            Ok((_, Proof::Secure)) => return Ok(Proof::Secure),
            Err(failure) if failure.cause == Cause::NoData => {
                self.ask_proven(host, RecordType::AAAA, |_| Some(())).await
            }
            Err(failure) => return Err(failure.clone()),
        };
        six.map(|(_, proof)| proof)
    }

    /// Whether DNSSEC can be used at all with these servers and root keys: the root's own records
    /// prove true. `None`: nobody has answered, which says nothing of what they could prove.
    pub async fn is_validating(&self) -> Option<bool> {
        match self.ask_proven(".", RecordType::SOA, |_| Some(())).await {
            Ok((_, proof)) => Some(proof == Proof::Secure),
            Err(failure) if matches!(failure.cause, Cause::Timeout | Cause::Server(_)) => None,
            Err(_) => Some(false),
        }
    }

    async fn ask_proven<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Proven<T> {
        let mut proof = Proof::Secure;
        let begun = Instant::now();
        let facts = || Facts {
            name: name.trim_end_matches('.').to_owned(),
            kind: kind.into(),
            servers: self.servers.clone(),
            took: begun.elapsed(),
        };
        let failed = |cause| Failure { cause, facts: facts() };
        let lookup = lookup(&self.validating, name, kind).await.map_err(failed)?;
        for record in lookup.answers() {
            match record.proof {
                HickoryProof::Secure => {}
                HickoryProof::Bogus => return Err(failed(Cause::Bogus)),
                _ if record.record_type() == RecordType::RRSIG => {}
                _ => proof = Proof::Insecure,
            }
        }
        Ok((picked(&lookup, facts(), pick)?, proof))
    }

    async fn ask<T>(
        &self,
        name: &str,
        kind: RecordType,
        pick: impl Fn(&RData) -> Option<T>,
    ) -> Outcome<T> {
        let begun = Instant::now();
        let outcome = lookup(&self.inner, name, kind).await;
        let facts = Facts {
            name: name.trim_end_matches('.').to_owned(),
            kind: kind.into(),
            servers: self.servers.clone(),
            took: begun.elapsed(),
        };
        let lookup = match outcome {
            Ok(lookup) => lookup,
            Err(cause) => return Err(Failure { cause, facts }),
        };
        picked(&lookup, facts, pick)
    }
}

/// The DNSKEY records of a text in the form of a zone file, with or without time to live and class.
fn anchors(text: &str) -> Result<TrustAnchors, String> {
    let mut lines = String::new();
    for line in text.lines() {
        let line = line.split(';').next().unwrap_or_default();
        let mut words = line.split_ascii_whitespace();
        let Some(name) = words.next() else { continue };
        let mut rest = words.skip_while(|word| !word.eq_ignore_ascii_case("DNSKEY")).skip(1);
        if let (Some(flags), Some(protocol), Some(algorithm)) =
            (rest.next(), rest.next(), rest.next())
        {
            let key: String = rest.collect();
            lines.push_str(&format!(
                "{name} 172800 IN DNSKEY {flags} {protocol} {algorithm} {key}\n"
            ));
        }
    }
    if lines.is_empty() {
        return Err("it holds no DNSKEY record".to_owned());
    }
    lines.parse::<TrustAnchors>().map_err(|error| error.to_string())
}

fn picked<T>(lookup: &Lookup, facts: Facts, pick: impl Fn(&RData) -> Option<T>) -> Outcome<T> {
    let answers = lookup.answers().iter();
    let records: Vec<T> =
        answers.filter_map(|record| pick(&record.data)).take(DNS_RECORDS).collect();
    if records.is_empty() {
        return Err(Failure { cause: Cause::NoData, facts });
    }
    let ttl = lookup.valid_until().saturating_duration_since(Instant::now());
    Ok(Answer { records, ttl, facts })
}

async fn lookup(asked: &TokioResolver, name: &str, kind: RecordType) -> Result<Lookup, Cause> {
    let mut name = Name::from_ascii(name).map_err(|_| Cause::BadName)?;
    // A name in mail is complete: the system's search list must not touch it.
    name.set_fqdn(true);
    match tokio::time::timeout(DNS_TOTAL, asked.lookup(name, kind)).await {
        Err(_) => Err(Cause::Timeout),
        Ok(Ok(lookup)) => Ok(lookup),
        Ok(Err(error)) => Err(cause(error)),
    }
}

fn mx(data: &RData) -> Option<Mx> {
    match data {
        RData::MX(mx) => Some(Mx { preference: mx.preference, exchange: plain(&mx.exchange) }),
        _ => None,
    }
}

fn name_server(address: &SocketAddr) -> NameServerConfig {
    let with_port = |mut connection: ConnectionConfig| {
        connection.port = address.port();
        connection
    };
    let connections = vec![with_port(ConnectionConfig::udp()), with_port(ConnectionConfig::tcp())];
    // Its "no such name" is believed: the next server is for one that does not answer.
    NameServerConfig::new(address.ip(), true, connections)
}

fn adjust(options: &mut ResolverOpts) {
    options.timeout = DNS_ATTEMPT;
    options.cache_size = DNS_CACHE;
    options.positive_max_ttl = Some(DNS_MAX_TTL);
    options.negative_max_ttl = Some(DNS_MAX_TTL);
    // A laptop's /etc/hosts says nothing about where mail goes.
    options.use_hosts_file = ResolveHosts::Never;
    options.edns0 = true;
}

fn cause(error: NetError) -> Cause {
    match error {
        NetError::Timeout => Cause::Timeout,
        NetError::Dns(DnsError::NoRecordsFound(none)) => match none.response_code {
            ResponseCode::NXDomain => Cause::NoSuchName,
            ResponseCode::NoError => Cause::NoData,
            other => Cause::Server(other.to_string()),
        },
        NetError::Dns(DnsError::ResponseCode(ResponseCode::NXDomain)) => Cause::NoSuchName,
        NetError::Dns(DnsError::ResponseCode(code)) => Cause::Server(code.to_string()),
        NetError::Dns(DnsError::DnssecBogus) => Cause::Bogus,
        // A no that is proven, or one of a zone that is not signed, is a no. One that should be
        // proven and is not may be anybody's.
        NetError::Dns(DnsError::Nsec { response, proof, .. }) => {
            match (proof, response.response_code) {
                (HickoryProof::Bogus, _) => Cause::Bogus,
                (_, ResponseCode::NXDomain) => Cause::NoSuchName,
                _ => Cause::NoData,
            }
        }
        other => Cause::Server(other.to_string()),
    }
}

/// As a host name is written: lower case, no final dot.
fn plain(name: &Name) -> String {
    let mut text = name.to_ascii().to_ascii_lowercase();
    if text.ends_with('.') {
        text.pop();
    }
    text
}

impl Answer<Mx> {
    /// RFC 7505 §3: a single MX of preference 0 for the root says that the domain takes no mail.
    pub fn is_null_mx(&self) -> bool {
        matches!(self.records.as_slice(), [only] if only.exchange.is_empty())
    }
}

impl Cause {
    /// Asking again later may help.
    pub fn is_temporary(&self) -> bool {
        matches!(self, Cause::Timeout | Cause::Server(_) | Cause::Bogus)
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::NoSuchName => f.write_str("no such name"),
            Cause::NoData => f.write_str("no such record"),
            Cause::BadName => f.write_str("not a name that DNS can hold"),
            Cause::Timeout => f.write_str("no answer in time"),
            Cause::Server(why) => write!(f, "the server failed ({why})"),
            Cause::Bogus => f.write_str("the answer fails DNSSEC"),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DNS {} {}: {}", self.facts.kind, self.facts.name, self.cause)
    }
}

impl std::error::Error for Failure {}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Resolver({})", self.servers)
    }
}

#[cfg(test)]
mod tests;
