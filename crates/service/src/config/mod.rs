//! The configuration: one file, `posthaste.toml`, every key of which has a default that is right
//! for a small domain. This module holds the keys and their defaults; `values` their kinds, `load`
//! the layers and the faults, `handle` what happens at reload. `deploy/posthaste.toml` is the same
//! list with comments for people, and a test compares the two.

mod antispam;
mod handle;
mod load;
mod mailboxes;
mod oauth;
pub mod values;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use protocol::address::{Address, Domain};
use serde::{Deserialize, Serialize};

pub use antispam::{Antispam, FilterSocket, Measure, NetworkRange, WhenAway};
pub use handle::{ConfigHandle, Reload};
pub use load::{DEFAULT_PATH, Fault, Faults, allowed_keys, load, parse};
pub use mailboxes::MailboxCare;
pub use oauth::{OAuth, Security, WebAddress};
pub use values::{
    AgentName, CleartextAuth, LocalDelivery, LogFormat, LogLevel, NextHop, RoutePattern, Smarthost,
};

/// All keys. [`Default`] is what an empty file means.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Whether passwords may travel without TLS: `never`, or `loopback` for tests and labs.
    pub auth_without_tls: CleartextAuth,
    /// Who we are.
    pub server: Server,
    /// Which agents run.
    pub agents: Agents,
    /// Where they listen.
    pub listen: Listen,
    /// Where everything lives.
    pub storage: Storage,
    /// Certificates.
    pub tls: Tls,
    /// Whose tokens log people in.
    pub oauth: OAuth,
    /// Whom we ask for names.
    pub dns: Dns,
    /// How mail leaves.
    pub mta: Mta,
    /// What we sign.
    pub dkim: Dkim,
    /// What is asked about mail from other systems.
    pub antispam: Antispam,
    /// What becomes of letters at rest.
    pub mailbox: MailboxCare,
    /// Bounds.
    pub limits: Limits,
    /// The journey.
    pub trail: Trail,
    /// The log.
    pub log: Log,
}

/// `[server]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The name in greetings, Received lines and certificates; none: the machine's own.
    #[serde(with = "values::optional_text", skip_serializing_if = "Option::is_none")]
    pub hostname: Option<Domain>,
}

/// `[agents]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Agents {
    /// Those that `up` starts, and `status` asks.
    pub run: Vec<AgentName>,
}

/// `[listen]`. A port of 0 is not opened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Listen {
    /// Addresses; `::` means IPv6 only, and is left out on machines without it.
    pub bind: Vec<IpAddr>,
    /// Added to each port, so that tests and labs need no root.
    pub port_offset: u16,
    /// Addresses and networks of load balancers that say by the PROXY protocol who is connected;
    /// they must say it.
    pub proxy_from: Vec<NetworkRange>,
    /// Addresses and networks of servers that say by XCLIENT, at port 25, who their client is.
    pub xclient_from: Vec<NetworkRange>,
    /// Mail from other systems (RFC 5321), by the MTA.
    pub smtp: u16,
    /// Submission under TLS (RFC 8314 §3.3), by the MSA.
    pub submissions: u16,
    /// Submission with STARTTLS (RFC 6409), by the MSA.
    pub submission: u16,
    /// IMAP with STARTTLS, by the MDA.
    pub imap: u16,
    /// IMAP under TLS (RFC 8314 §3.2), by the MDA.
    pub imaps: u16,
    /// POP3 with STLS (RFC 2595), by the MDA.
    pub pop3: u16,
    /// POP3 under TLS (RFC 8314 §3.2), by the MDA; only where there is a certificate.
    pub pop3s: u16,
    /// ManageSieve with STARTTLS (RFC 5804), by the MDA.
    pub managesieve: u16,
}

/// `[storage]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Storage {
    /// Everything lives below this folder. Relative paths count from the configuration file.
    pub data_dir: PathBuf,
    /// With fewer bytes free, mail is refused for the time being (452).
    #[serde(with = "values::size")]
    pub low_water_bytes: u64,
    /// With fewer inodes free, likewise. File systems without a fixed number count as full of them.
    pub low_water_inodes: u64,
    /// Size of one segment of an intake log; each store has two or more.
    #[serde(with = "values::size")]
    pub log_segment: u64,
}

/// `[tls]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Tls {
    /// Certificate chain, PEM, ours first. Without it there is no TLS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
    /// Further authorities to trust, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub extra_roots_file: Option<PathBuf>,
    /// Authorities whose certificates people may log in with, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_authorities_file: Option<PathBuf>,
}

/// `[dns]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dns {
    /// Servers, `ADDR:PORT`; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// Root keys for DNSSEC; none: those built in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trust_anchor_file: Option<PathBuf>,
}

/// `[mta]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mta {
    /// Port of other transfer agents.
    pub remote_port: u16,
    /// Next hop by recipient domain; `*` for all others.
    pub routes: BTreeMap<RoutePattern, NextHop>,
    /// Who takes mail for our own domains.
    pub local_delivery: LocalDelivery,
    /// Everything for elsewhere goes through this host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smarthost: Option<Smarthost>,
    /// A file that holds the smarthost's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smarthost_password_file: Option<PathBuf>,
    /// Domains that live elsewhere and whose mail is kept here while their own hosts are away
    /// (backup MX).
    #[serde(with = "values::texts")]
    pub relay_domains: Vec<Domain>,
    /// A file with the recipients of those domains; none: all are taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub relay_recipients_file: Option<PathBuf>,
    /// How long a letter for one of them waits before it is given back.
    #[serde(with = "values::duration")]
    pub relay_lifetime: Duration,
    /// Addresses and networks whose hosts may send to everywhere by port 25, without a login.
    pub relay_from: Vec<NetworkRange>,
    /// Who gets the mail for the postmaster of a host that has no accounts.
    #[serde(with = "values::optional_text", skip_serializing_if = "Option::is_none")]
    pub postmaster: Option<Address>,
    /// Our own address for outgoing connections: one, or one of each family.
    #[serde(with = "values::one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub source_address: Vec<IpAddr>,
    /// The name we give in EHLO; none: `server.hostname`.
    #[serde(with = "values::optional_text", skip_serializing_if = "Option::is_none")]
    pub helo_name: Option<Domain>,
    /// Whether to use IPv6 where the other side has it.
    pub ipv6: bool,
    /// How long a letter waits before it is given back (RFC 5321 §4.5.4.1: 4 to 5 days).
    #[serde(with = "values::duration")]
    pub lifetime: Duration,
    /// When a letter is tried again.
    pub retry: Retry,
    /// When the sender is told that a letter waits; `0s`: never.
    #[serde(with = "values::duration")]
    pub delay_notice: Duration,
    /// Received lines in a letter above which it is taken to be in a loop (RFC 5321 §6.3).
    pub max_hops: u32,
    /// Connections to one domain at once; each begins with fewer and earns them.
    pub outgoing_per_domain: usize,
    /// Letters in a minute, by recipient domain; `*` for all others.
    pub rates: BTreeMap<RoutePattern, u32>,
    /// Whether TLSA records are obeyed (RFC 7672); needs name servers that pass DNSSEC on.
    pub dane: bool,
    /// Whether MTA-STS policies are obeyed (RFC 8461).
    pub mta_sts: bool,
    /// Port of the web servers with those policies.
    pub mta_sts_port: u16,
    /// How long a domain's mail waits when its connections are less protected than before; `0s`:
    /// nothing is remembered.
    #[serde(with = "values::duration")]
    pub tls_downgrade_wait: Duration,
    /// The longest time that a letter can be handed in before it is to leave (RFC 4865); `0s`: not
    /// offered.
    #[serde(with = "values::duration")]
    pub send_later: Duration,
}

/// `[mta.retry]`: first, first × factor, ... up to max.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Retry {
    /// The first wait.
    #[serde(with = "values::duration")]
    pub first: Duration,
    /// Each wait is so many times the one before.
    pub factor: f64,
    /// The longest wait.
    #[serde(with = "values::duration")]
    pub max: Duration,
}

/// `[dkim]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Dkim {
    /// Whether letters that are submitted or made here are signed, where the author's domain has
    /// keys in `DATA/keys/dkim/DOMAIN/`.
    pub sign: bool,
    /// How often we look whether DNS shows keys that are to sign next.
    #[serde(with = "values::duration")]
    pub check_every: Duration,
    /// After this time new keys sign even if DNS cannot be asked about them.
    #[serde(with = "values::duration")]
    pub switch_after: Duration,
}

/// `[limits]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// The largest letter taken from other systems, as announced by SIZE; submission announces a
    /// little less.
    #[serde(with = "values::size")]
    pub message_size: u64,
    /// Recipients of one letter; RFC 5321 §4.5.3.1.8 asks for at least 100.
    pub recipients_per_letter: usize,
    /// Sessions of one agent at once.
    pub sessions: usize,
    /// Sessions of one address at once.
    pub sessions_per_address: usize,
    /// Wrong commands after which a session is closed.
    pub errors_per_session: u32,
    /// Commands of a session without a letter after which it is closed; 0: no bound.
    pub commands_per_session: u32,
    /// Connections to port 25 that one address (one /64 of IPv6) may open in a minute; 0: no bound.
    pub connections_per_minute: u32,
    /// Letters that one address may bring to port 25 in an hour; 0: no bound.
    pub letters_per_hour: u32,
    /// How long an SMTP session may say nothing (RFC 5321 §4.5.3.2.7: 5 minutes).
    #[serde(with = "values::duration")]
    pub idle: Duration,
    /// How long an IMAP session may say nothing (RFC 9051 §5.4: at least 30 minutes).
    #[serde(with = "values::duration")]
    pub imap_idle: Duration,
    /// Failed logins of one network, forgiven one by one, after which it is banned; 0: not counted.
    pub login_failures: u32,
    /// For how long such a network is not listened to.
    #[serde(with = "values::duration")]
    pub login_ban: Duration,
    /// Recipients that one account may write to within an hour; the rest is held.
    pub submission_recipients_per_hour: u32,
    /// Letters on their way to other systems at once.
    pub outgoing: usize,
    /// How long an agent that is told to stop waits for its sessions.
    #[serde(with = "values::duration")]
    pub drain: Duration,
}

/// `[trail]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Trail {
    /// How long the events of journeys are kept, in whole days.
    #[serde(with = "values::duration")]
    pub keep: Duration,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// What is worth a line.
    pub level: LogLevel,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for Agents {
    fn default() -> Self {
        Agents { run: AgentName::ALL.to_vec() }
    }
}

impl Default for Listen {
    fn default() -> Self {
        Listen {
            bind: vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            port_offset: 0,
            proxy_from: Vec::new(),
            xclient_from: Vec::new(),
            smtp: 25,
            submissions: 465,
            submission: 587,
            imap: 143,
            imaps: 993,
            pop3: 110,
            pop3s: 995,
            managesieve: 4190,
        }
    }
}

impl Default for Storage {
    fn default() -> Self {
        Storage {
            data_dir: PathBuf::from("/var/lib/posthaste"),
            low_water_bytes: 256_000_000,
            low_water_inodes: 2_000,
            log_segment: 16_000_000,
        }
    }
}

impl Default for Mta {
    fn default() -> Self {
        Mta {
            remote_port: 25,
            routes: BTreeMap::new(),
            local_delivery: LocalDelivery::default(),
            smarthost: None,
            smarthost_password_file: None,
            relay_domains: Vec::new(),
            relay_recipients_file: None,
            relay_lifetime: Duration::from_secs(14 * 86_400),
            relay_from: Vec::new(),
            postmaster: None,
            source_address: Vec::new(),
            helo_name: None,
            ipv6: true,
            lifetime: Duration::from_secs(5 * 86_400),
            retry: Retry::default(),
            delay_notice: Duration::from_secs(4 * 3600),
            max_hops: 100,
            outgoing_per_domain: 20,
            rates: BTreeMap::new(),
            dane: true,
            mta_sts: true,
            mta_sts_port: 443,
            tls_downgrade_wait: Duration::from_secs(12 * 3600),
            send_later: Duration::from_secs(30 * 86_400),
        }
    }
}

impl Mta {
    /// Whether the host at this address may send to everywhere without a login.
    pub fn relays_for(&self, ip: IpAddr) -> bool {
        self.relay_from.iter().any(|network| network.contains(ip))
    }
}

impl Default for Dkim {
    fn default() -> Self {
        Dkim {
            sign: true,
            check_every: Duration::from_secs(5 * 60),
            switch_after: Duration::from_secs(3 * 86_400),
        }
    }
}

impl Default for Retry {
    /// RFC 5321 §4.5.4.1: two attempts in the first hour, then one every two or three hours.
    fn default() -> Self {
        Retry {
            first: Duration::from_secs(15 * 60),
            factor: 2.0,
            max: Duration::from_secs(3 * 3600),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            message_size: 50_000_000,
            recipients_per_letter: 1000,
            sessions: 1000,
            sessions_per_address: 50,
            errors_per_session: 20,
            commands_per_session: 5000,
            connections_per_minute: 0,
            letters_per_hour: 0,
            idle: Duration::from_secs(300),
            imap_idle: Duration::from_secs(1800),
            login_failures: 20,
            login_ban: Duration::from_secs(300),
            submission_recipients_per_hour: 500,
            outgoing: 50,
            drain: Duration::from_secs(20),
        }
    }
}

impl Default for Trail {
    fn default() -> Self {
        Trail { keep: Duration::from_secs(7 * 86_400) }
    }
}

impl Config {
    /// Our name: `server.hostname`, else the machine's own, else `localhost`.
    pub fn hostname(&self) -> Domain {
        let machine = || {
            let uname = rustix::system::uname();
            uname.nodename().to_str().ok().and_then(|name| name.parse().ok())
        };
        self.server
            .hostname
            .clone()
            .or_else(machine)
            .unwrap_or_else(|| "localhost".parse().expect("localhost is a domain name"))
    }

    /// The name for EHLO.
    pub fn helo_name(&self) -> Domain {
        self.mta.helo_name.clone().unwrap_or_else(|| self.hostname())
    }

    /// Whether mail from this address is taken unasked.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.antispam.trusts(ip) || self.mta.relays_for(ip)
    }

    /// The largest letter taken on the hops between our own agents: what came through the outer
    /// door fits through every inner one, with the header fields that were added on the way.
    pub fn inner_message_size(&self) -> u64 {
        self.limits.message_size.saturating_add(crate::limits::HEADERS_ADDED)
    }

    /// The largest letter taken from users: less than what systems take from each other, so that
    /// it is not bounced on the way for the header fields it got on the way.
    pub fn submission_message_size(&self) -> u64 {
        self.limits.message_size.saturating_sub(crate::limits::HEADERS_ON_THE_WAY)
    }

    /// A standard port with `listen.port_offset`; `None`: it is not to be opened.
    pub fn port(&self, standard: u16) -> Option<u16> {
        if standard == 0 {
            return None;
        }
        // `load` has refused configurations where this overflows.
        standard.checked_add(self.listen.port_offset)
    }

    /// Paths in the file count from the folder of the file.
    fn resolve_paths(&mut self, base: &Path) {
        let optional = [
            &mut self.tls.certificate,
            &mut self.tls.key,
            &mut self.tls.extra_roots_file,
            &mut self.tls.client_authorities_file,
            &mut self.oauth.client_secret_file,
            &mut self.dns.trust_anchor_file,
            &mut self.mta.smarthost_password_file,
            &mut self.mta.relay_recipients_file,
        ];
        for path in optional.into_iter().flatten() {
            *path = base.join(&*path);
        }
        self.storage.data_dir = base.join(&self.storage.data_dir);
        if let LocalDelivery::LmtpUnix(path) = &mut self.mta.local_delivery {
            *path = base.join(&*path);
        }
        for hop in self.mta.routes.values_mut() {
            if let NextHop::LmtpUnix(path) | NextHop::SmtpUnix(path) = hop {
                *path = base.join(&*path);
            }
        }
    }
}

#[cfg(test)]
mod tests;
