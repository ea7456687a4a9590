//! The kinds of values that keys can have, with their spelling in the file: durations, sizes,
//! routes, names. Each says in its error what is allowed.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use protocol::address::{Domain, Host};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The agents, in the order in which they start: each needs those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AgentName {
    /// Logins.
    Auth,
    /// Delivery and retrieval.
    Mda,
    /// Transfer.
    Mta,
    /// Submission.
    Msa,
}

impl AgentName {
    /// All of them.
    pub const ALL: [AgentName; 4] =
        [AgentName::Auth, AgentName::Mda, AgentName::Mta, AgentName::Msa];

    /// As in commands, file names and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            AgentName::Auth => "auth",
            AgentName::Mda => "mda",
            AgentName::Mta => "mta",
            AgentName::Msa => "msa",
        }
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether passwords may travel in clear.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CleartextAuth {
    /// Only under TLS.
    #[default]
    Never,
    /// Also without TLS, from 127.0.0.0/8 and ::1.
    Loopback,
}

impl CleartextAuth {
    /// Whether a session from `peer` may log in without TLS.
    pub fn allows(self, peer: Option<IpAddr>) -> bool {
        self == CleartextAuth::Loopback && peer.is_some_and(|ip| ip.to_canonical().is_loopback())
    }
}

/// What is worth a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Only what needs a hand.
    Error,
    /// And what is odd.
    Warn,
    /// And what happens.
    #[default]
    Info,
    /// And why.
    Debug,
    /// And every step.
    Trace,
}

impl LogLevel {
    /// As in the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            LogLevel::Error => "error",
            LogLevel::Warn => "warn",
            LogLevel::Info => "info",
            LogLevel::Debug => "debug",
            LogLevel::Trace => "trace",
        }
    }
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people and grep.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Who takes mail for our own domains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum LocalDelivery {
    /// Our MDA.
    #[default]
    Mda,
    /// An LMTP server on a Unix socket.
    LmtpUnix(PathBuf),
    /// An LMTP server over TCP.
    LmtpTcp(HostPort),
}

/// A host and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// A name, or an address.
    pub host: Target,
    /// The port.
    pub port: u16,
}

/// A name, or an address that needs no DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To be resolved (A and AAAA; no MX).
    Name(Domain),
    /// As it is.
    Address(IpAddr),
}

/// Where mail for a domain goes instead of its MX.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NextHop {
    /// SMTP, STARTTLS when offered.
    Smtp(HostPort),
    /// SMTP under TLS from the first byte.
    Smtps(HostPort),
    /// LMTP over TCP.
    Lmtp(HostPort),
    /// LMTP over a Unix socket.
    LmtpUnix(PathBuf),
    /// SMTP over a Unix socket.
    SmtpUnix(PathBuf),
}

/// For which recipients a route counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoutePattern {
    /// This domain alone.
    Domain(Domain),
    /// Every domain without a route of its own.
    Any,
}

/// A host that takes everything we send elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Smarthost {
    /// TLS from the first byte (`smtps`); else STARTTLS, which a smarthost with a user must offer.
    pub implicit_tls: ImplicitTls,
    /// Whom to log in as; the password is in a file.
    pub user: Option<String>,
    /// Where.
    pub at: HostPort,
}

/// When TLS begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImplicitTls {
    /// With STARTTLS.
    No,
    /// Before the first reply.
    Yes,
}

impl FromStr for HostPort {
    type Err = String;

    /// `name:port`, `192.0.2.1:port`, `[2001:db8::1]:port`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not HOST:PORT");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(wrong)?;
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
        let host = match bare.parse() {
            Ok(address) => Target::Address(address),
            Err(_) => Target::Name(bare.parse().map_err(|_| wrong())?),
        };
        Ok(HostPort { host, port })
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Target::Name(name) => write!(f, "{name}:{}", self.port),
            Target::Address(IpAddr::V4(v4)) => write!(f, "{v4}:{}", self.port),
            Target::Address(IpAddr::V6(v6)) => write!(f, "[{v6}]:{}", self.port),
        }
    }
}

impl FromStr for LocalDelivery {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "mda" => Ok(LocalDelivery::Mda),
            _ => match text.parse::<NextHop>() {
                Ok(NextHop::LmtpUnix(path)) => Ok(LocalDelivery::LmtpUnix(path)),
                Ok(NextHop::Lmtp(at)) => Ok(LocalDelivery::LmtpTcp(at)),
                _ => Err(format!(
                    "\"{text}\" is not one of \"mda\", \"lmtp:unix:PATH\", \"lmtp:HOST:PORT\""
                )),
            },
        }
    }
}

impl fmt::Display for LocalDelivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LocalDelivery::Mda => f.write_str("mda"),
            LocalDelivery::LmtpUnix(path) => write!(f, "lmtp:unix:{}", path.display()),
            LocalDelivery::LmtpTcp(at) => write!(f, "lmtp:{at}"),
        }
    }
}

impl FromStr for NextHop {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not one of \"smtp:HOST:PORT\", \"smtps:HOST:PORT\", \
                 \"lmtp:HOST:PORT\", \"lmtp:unix:PATH\", \"smtp:unix:PATH\""
            )
        };
        let (scheme, rest) = text.split_once(':').ok_or_else(wrong)?;
        let at = || rest.parse::<HostPort>().map_err(|_| wrong());
        match scheme {
            "smtp" | "lmtp" => match (scheme, rest.strip_prefix("unix:")) {
                (_, Some("")) => Err(wrong()),
                ("smtp", Some(path)) => Ok(NextHop::SmtpUnix(path.into())),
                (_, Some(path)) => Ok(NextHop::LmtpUnix(path.into())),
                ("smtp", None) => at().map(NextHop::Smtp),
                (_, None) => at().map(NextHop::Lmtp),
            },
            "smtps" => at().map(NextHop::Smtps),
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NextHop::Smtp(at) => write!(f, "smtp:{at}"),
            NextHop::Smtps(at) => write!(f, "smtps:{at}"),
            NextHop::Lmtp(at) => write!(f, "lmtp:{at}"),
            NextHop::LmtpUnix(path) => write!(f, "lmtp:unix:{}", path.display()),
            NextHop::SmtpUnix(path) => write!(f, "smtp:unix:{}", path.display()),
        }
    }
}

impl FromStr for RoutePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "*" => Ok(RoutePattern::Any),
            _ => text
                .parse()
                .map(RoutePattern::Domain)
                .map_err(|e| format!("\"{text}\" is neither a domain nor \"*\": {e}")),
        }
    }
}

impl fmt::Display for RoutePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RoutePattern::Domain(domain) => domain.fmt(f),
            RoutePattern::Any => f.write_str("*"),
        }
    }
}

impl FromStr for Smarthost {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not \"smtp://[USER@]HOST[:PORT]\" or \"smtps://[USER@]HOST[:PORT]\""
            )
        };
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (implicit_tls, standard) = match scheme {
            "smtp" => (ImplicitTls::No, 587),
            "smtps" => (ImplicitTls::Yes, 465),
            _ => return Err(wrong()),
        };
        // The user is often an address itself: the last @ counts.
        let (user, at) = match rest.rsplit_once('@') {
            Some((user, at)) if !user.is_empty() => (Some(user.replace("%40", "@")), at),
            Some(_) => return Err(wrong()),
            None => (None, rest),
        };
        if user.as_ref().is_some_and(|user| user.contains(':')) {
            return Err(
                "the password does not belong here; put it into a file and name that with \
                        mta.smarthost_password_file"
                    .to_owned(),
            );
        }
        let at = at.trim_end_matches('/');
        let at = at.parse().or_else(|_| format!("{at}:{standard}").parse()).map_err(|_| wrong())?;
        Ok(Smarthost { implicit_tls, user, at })
    }
}

impl fmt::Display for Smarthost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.implicit_tls {
            ImplicitTls::No => "smtp://",
            ImplicitTls::Yes => "smtps://",
        })?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        self.at.fmt(f)
    }
}

impl Target {
    /// As SMTP addresses write it.
    pub fn to_host(&self) -> Host {
        match self {
            Target::Name(name) => name.clone().into(),
            Target::Address(ip) => protocol::address::AddressLiteral::from(*ip).into(),
        }
    }
}

/// `Serialize` and `Deserialize` by the text form.
macro_rules! by_text {
    ($($kind:ty),*) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
            }
        }
    )*};
}

by_text!(LocalDelivery, NextHop, RoutePattern, Smarthost);

/// Durations as `"250ms"`, `"30s"`, `"5m"`, `"4h"`, `"5d"`.
pub mod duration {
    use super::{D, Deserialize, Deserializer, Duration, Serializer};
    use serde::de::Error as _;

    /// Reads one.
    ///
    /// # Errors
    /// When it is not a duration.
    pub fn parse(text: &str) -> Result<Duration, String> {
        let wrong = || {
            format!(
                "\"{text}\" is not a duration such as \"250ms\", \"30s\", \"5m\", \"4h\" or \"5d\""
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let millis = match unit.trim() {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return Err(wrong()),
        };
        // A century is as good as never, and leaves room for sums.
        number
            .checked_mul(millis)
            .filter(|total| *total <= 100 * D)
            .map(Duration::from_millis)
            .ok_or_else(|| format!("\"{text}\" is longer than a hundred years"))
    }

    /// The shortest exact spelling.
    pub fn text(value: Duration) -> String {
        let millis = u64::try_from(value.as_millis()).unwrap_or(u64::MAX);
        let units = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)];
        match units.into_iter().find(|(_, unit)| millis > 0 && millis.is_multiple_of(*unit)) {
            Some((name, unit)) => format!("{}{name}", millis / unit),
            None if millis == 0 => "0s".to_owned(),
            None => format!("{millis}ms"),
        }
    }

    pub(crate) fn serialize<S: Serializer>(value: &Duration, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&text(*value))
    }

    pub(crate) fn deserialize<'de, De: Deserializer<'de>>(de: De) -> Result<Duration, De::Error> {
        parse(&String::deserialize(de)?).map_err(De::Error::custom)
    }
}

/// Milliseconds of a year.
const D: u64 = 366 * 86_400_000;

/// Sizes as `"25MB"` (decimal), `"64MiB"` (binary), or a plain number of bytes.
pub mod size {
    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    const UNITS: [(&str, u64); 8] = [
        ("GiB", 1 << 30),
        ("MiB", 1 << 20),
        ("KiB", 1 << 10),
        ("GB", 1_000_000_000),
        ("MB", 1_000_000),
        ("kB", 1000),
        ("KB", 1000),
        ("B", 1),
    ];

    /// Reads one, in bytes.
    ///
    /// # Errors
    /// When it is not a size.
    pub fn parse(text: &str) -> Result<u64, String> {
        let wrong = || format!("\"{text}\" is not a size such as \"64KiB\", \"25MB\" or \"2GB\"");
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let factor = match unit.trim() {
            "" => 1,
            unit => UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1,
        };
        number.checked_mul(factor).filter(|size| *size <= 1 << 60).ok_or_else(wrong)
    }

    /// The shortest exact spelling.
    pub fn text(value: u64) -> String {
        let exact = UNITS.iter().filter(|(_, unit)| value > 0 && value.is_multiple_of(*unit));
        match exact.min_by_key(|(_, unit)| value / unit) {
            Some((name, unit)) => format!("{}{name}", value / unit),
            None => format!("{value}B"),
        }
    }

    pub(crate) fn serialize<S: Serializer>(value: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&text(*value))
    }

    pub(crate) fn deserialize<'de, De: Deserializer<'de>>(de: De) -> Result<u64, De::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a size such as \"25MB\"")]
        enum Either {
            Bytes(u64),
            Text(String),
        }
        match Either::deserialize(de)? {
            Either::Bytes(bytes) => Ok(bytes),
            Either::Text(text) => parse(&text).map_err(De::Error::custom),
        }
    }
}

/// An optional value written as its text; the empty string is none.
pub(crate) mod optional_text {
    use super::{Deserialize, Deserializer, FromStr, Serializer, fmt};
    use serde::de::Error as _;

    pub(crate) fn serialize<T, S>(value: &Option<T>, s: S) -> Result<S::Ok, S::Error>
    where
        T: fmt::Display,
        S: Serializer,
    {
        match value {
            Some(value) => s.collect_str(value),
            None => s.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, T, De>(de: De) -> Result<Option<T>, De::Error>
    where
        T: FromStr<Err: fmt::Display>,
        De: Deserializer<'de>,
    {
        let text = String::deserialize(de)?;
        if text.is_empty() {
            return Ok(None);
        }
        let read = text.parse().map(Some);
        read.map_err(|e| De::Error::custom(format!("\"{text}\" is not allowed: {e}")))
    }
}

/// One value, or a list of them.
pub(crate) mod one_or_many {
    use super::{Deserialize, Deserializer, IpAddr, Serialize, Serializer};

    pub(crate) fn serialize<S: Serializer>(value: &[IpAddr], s: S) -> Result<S::Ok, S::Error> {
        match value {
            [one] => one.serialize(s),
            many => many.serialize(s),
        }
    }

    pub(crate) fn deserialize<'de, De>(de: De) -> Result<Vec<IpAddr>, De::Error>
    where
        De: Deserializer<'de>,
    {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "an IP address, or a list of them")]
        enum Either {
            One(IpAddr),
            Many(Vec<IpAddr>),
        }
        Ok(match Either::deserialize(de)? {
            Either::One(one) => vec![one],
            Either::Many(many) => many,
        })
    }
}

/// Lists of values that are written as text.
pub(crate) mod texts {
    use std::fmt::Display;
    use std::str::FromStr;

    use super::{Deserialize, Deserializer, Serializer};
    use serde::de::Error as _;

    pub(crate) fn serialize<T: Display, S: Serializer>(all: &[T], s: S) -> Result<S::Ok, S::Error> {
        s.collect_seq(all.iter().map(T::to_string))
    }

    pub(crate) fn deserialize<'de, T, De>(de: De) -> Result<Vec<T>, De::Error>
    where
        T: FromStr<Err: Display>,
        De: Deserializer<'de>,
    {
        let texts = Vec::<String>::deserialize(de)?;
        let read = |text: String| {
            text.parse().map_err(|error| De::Error::custom(format!("\"{text}\": {error}")))
        };
        texts.into_iter().map(read).collect()
    }
}
