//! The places a way leads to, one after another: addresses of mail exchangers, a fixed next hop, a
//! Unix socket. Asks DNS; connects to nobody.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use net::dns::{Proof, Resolver, Tlsa};
use protocol::address::Domain;
use protocol::smtp::Dialect;
use service::config::values::{HostPort, ImplicitTls, Target as Named};
use service::config::{LocalDelivery, Mta, NextHop};

use super::Journal;
use crate::reason::{Failure, Reason};
use crate::relay::hosts::{self, Asks, Families, Learnt};
use crate::relay::route::Hop;

/// Where a connection goes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Endpoint {
    /// TCP.
    Inet(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// How TLS is treated there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum TlsRule {
    /// Not used: a socket of this machine.
    Never,
    /// Used where offered, believed or not (RFC 7435).
    Courtesy,
    /// STARTTLS, believed or not: the domain had it before.
    Remembered,
    /// STARTTLS, believed or not: TLSA records demand it and none is usable (RFC 7672 §2.2).
    Unproven,
    /// STARTTLS, with a certificate that holds: MTA-STS demands it (RFC 8461 §4.2).
    Sts,
    /// The same for a letter with REQUIRETLS (RFC 8689 §4.2.1).
    Believed,
    /// STARTTLS, with a certificate that these records name (RFC 7672).
    Dane(Arc<[Tlsa]>),
    /// STARTTLS, with a certificate that holds: a password will be sent.
    Required,
    /// From the first byte, with a certificate that holds.
    Implicit,
    /// From the first byte, believed or not.
    ImplicitCourtesy,
}

impl TlsRule {
    /// For the journey: by which policy a connection is made.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            TlsRule::Never => "none",
            TlsRule::Courtesy | TlsRule::ImplicitCourtesy => "opportunistic",
            TlsRule::Remembered => "as before",
            TlsRule::Unproven => "dane, unusable records",
            TlsRule::Sts => "mta-sts",
            TlsRule::Believed => "requiretls",
            TlsRule::Dane(_) => "dane",
            TlsRule::Required | TlsRule::Implicit => "smarthost",
        }
    }
}

/// One place to try.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Target {
    /// Its name, as shown and as looked for in its certificate.
    pub host: String,
    /// Where it is.
    pub endpoint: Endpoint,
    /// What is spoken there.
    pub dialect: Dialect,
    /// How TLS is treated.
    pub tls: TlsRule,
}

impl Target {
    fn unix(path: &Path, dialect: Dialect) -> Self {
        Target {
            host: path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned()),
            endpoint: Endpoint::Unix(path.to_owned()),
            dialect,
            tls: TlsRule::Never,
        }
    }
}

/// Host names to try, each of which may have several addresses.
#[derive(Debug)]
pub(crate) enum Places {
    /// Found without DNS.
    Known(Vec<Target>),
    /// Names whose addresses are asked for when their turn comes.
    Names { names: Vec<String>, port: u16, dialect: Dialect, tls: TlsRule },
    /// Mail exchangers of a domain, with DNSSEC's word on their names where it was asked for.
    Exchangers { names: Vec<String>, port: u16, proof: Option<Proof> },
}

/// What finding places needs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finder<'a> {
    /// Asked for MX, A and AAAA.
    pub resolver: &'a Resolver,
    /// With or without proof.
    pub asks: Asks,
    /// The configuration.
    pub mta: &'a Mta,
    /// The MDA's socket.
    pub mda_socket: &'a Path,
    /// Names by which we are known.
    pub ours: &'a [Domain],
    /// Where questions and answers are written down.
    pub journal: &'a Journal,
}

impl Finder<'_> {
    /// Where `hop` leads.
    pub(crate) async fn places(&self, hop: Hop<'_>) -> Result<Places, Failure> {
        let port = self.mta.remote_port;
        match hop {
            Hop::Local(LocalDelivery::Mda) => {
                Ok(Places::Known(vec![Target::unix(self.mda_socket, Dialect::Lmtp)]))
            }
            Hop::Local(LocalDelivery::LmtpUnix(path)) | Hop::Next(NextHop::LmtpUnix(path)) => {
                Ok(Places::Known(vec![Target::unix(path, Dialect::Lmtp)]))
            }
            Hop::Next(NextHop::SmtpUnix(path)) => {
                Ok(Places::Known(vec![Target::unix(path, Dialect::Smtp)]))
            }
            Hop::Local(LocalDelivery::LmtpTcp(at)) | Hop::Next(NextHop::Lmtp(at)) => {
                Ok(fixed(at, Dialect::Lmtp, TlsRule::Courtesy))
            }
            Hop::Next(NextHop::Smtp(at)) => Ok(fixed(at, Dialect::Smtp, TlsRule::Courtesy)),
            Hop::Next(NextHop::Smtps(at)) => {
                Ok(fixed(at, Dialect::Smtp, TlsRule::ImplicitCourtesy))
            }
            Hop::Smarthost(smarthost) => {
                let tls = match (smarthost.implicit_tls, &smarthost.user) {
                    (ImplicitTls::Yes, Some(_)) => TlsRule::Implicit,
                    (ImplicitTls::Yes, None) => TlsRule::ImplicitCourtesy,
                    (ImplicitTls::No, Some(_)) => TlsRule::Required,
                    (ImplicitTls::No, None) => TlsRule::Courtesy,
                };
                Ok(fixed(&smarthost.at, Dialect::Smtp, tls))
            }
            Hop::Literal(ip) => Ok(Places::Known(vec![Target {
                host: ip.to_string(),
                endpoint: Endpoint::Inet(SocketAddr::new(ip, port)),
                dialect: Dialect::Smtp,
                tls: TlsRule::Courtesy,
            }])),
            Hop::Exchangers(domain) => {
                let mut learnt = Vec::new();
                let found = hosts::exchangers(
                    self.resolver,
                    (domain, self.asks),
                    self.ours,
                    (crate::random::u32, &mut learnt),
                )
                .await;
                self.write_down(&learnt);
                let found = found?;
                Ok(Places::Exchangers { names: found.names, port, proof: found.proof })
            }
        }
    }

    /// The targets of one name.
    pub(crate) async fn targets(
        &self,
        name: &str,
        (port, dialect, tls): (u16, Dialect, TlsRule),
    ) -> Result<Vec<Target>, Failure> {
        let families = if self.mta.ipv6 { Families::Both } else { Families::V4 };
        let mut learnt = Vec::new();
        let found = hosts::addresses(self.resolver, name, families, &mut learnt).await;
        self.write_down(&learnt);
        let target = |ip: IpAddr| Target {
            host: name.to_owned(),
            endpoint: Endpoint::Inet(SocketAddr::new(ip, port)),
            dialect,
            tls: tls.clone(),
        };
        Ok(found?.into_iter().map(target).collect())
    }

    fn write_down(&self, learnt: &[Learnt]) {
        for one in learnt {
            self.journal.learnt(one);
        }
    }
}

fn fixed(at: &HostPort, dialect: Dialect, tls: TlsRule) -> Places {
    match &at.host {
        Named::Address(ip) => Places::Known(vec![Target {
            host: ip.to_string(),
            endpoint: Endpoint::Inet(SocketAddr::new(*ip, at.port)),
            dialect,
            tls,
        }]),
        Named::Name(name) => {
            Places::Names { names: vec![name.as_str().to_owned()], port: at.port, dialect, tls }
        }
    }
}

/// No place at all, which only an empty answer could give.
pub(crate) fn nowhere() -> Failure {
    Failure::temporary(Reason::Dns, (4, 4), "there is no host to hand the letter to")
}
