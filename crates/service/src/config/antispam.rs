//! `[antispam]`: what is asked about mail from other systems, and what follows. The kinds of values
//! that only this section has stand here too. What the checks are is `verdict`'s.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `[antispam]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Antispam {
    /// Addresses and networks whose mail is taken without any of what follows.
    pub trusted_networks: Vec<NetworkRange>,
    /// Whether the sender's domain is asked who may send for it (SPF).
    pub spf: bool,
    /// Whether signatures are verified (DKIM).
    pub dkim: bool,
    /// Whether the author's domain is asked what it wants (DMARC).
    pub dmarc: bool,
    /// Whether the sender's address is asked for its name (IPREV).
    pub iprev: bool,
    /// What follows from an SPF "fail" that no signature mends.
    pub spf_fail: Measure,
    /// The most that is done of what a DMARC policy asks for.
    pub dmarc_policy: Measure,
    /// Whether letters are judged by what their owner taught by moving others into and out of Junk.
    pub junk_filter: bool,
    /// rspamd, by its HTTP port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rspamd: Option<FilterSocket>,
    /// Filters that speak the milter protocol, asked in this order.
    pub milters: Vec<FilterSocket>,
    /// How long each filter may take.
    #[serde(with = "super::values::duration")]
    pub filter_time: Duration,
    /// What follows when a filter does not answer.
    pub filters_away: WhenAway,
    /// How long a client waits for the greeting; who talks meanwhile is refused.
    #[serde(with = "super::values::duration")]
    pub greet_delay: Duration,
    /// What follows from a name in HELO that cannot be the client's own.
    pub helo: Measure,
    /// Lists of bad addresses (RFC 5782).
    pub dnsbl: Vec<String>,
    /// What follows for who is in one.
    pub dnsbl_listed: Measure,
    /// Lists of good addresses: neither the bad lists nor the greylist count for them.
    pub dnswl: Vec<String>,
    /// Whether senders that are not known are asked to come again.
    pub greylist: bool,
    /// After how long they may.
    #[serde(with = "super::values::duration")]
    pub greylist_delay: Duration,
    /// How much longer each further error of a session waits for its answer.
    #[serde(with = "super::values::duration")]
    pub tarpit: Duration,
    /// Recipients who do not exist, by one network, after which it is banned; 0: no bound.
    pub unknown_recipients_per_hour: u32,
    /// For how long.
    #[serde(with = "super::values::duration")]
    pub ban: Duration,
}

/// What is done about a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measure {
    /// It is written down.
    Note,
    /// It is filed as junk.
    Junk,
    /// It is refused.
    Reject,
}

/// What is done with letters while a filter does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenAway {
    /// They are taken without it.
    Accept,
    /// Senders are asked to come again.
    Defer,
}

/// Where a filter listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FilterSocket {
    /// On a Unix socket.
    Unix(PathBuf),
    /// At an address of this machine or another.
    Tcp(SocketAddr),
}

/// An address, or a network as `192.0.2.0/24`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkRange {
    address: IpAddr,
    bits: u8,
}

impl Default for Antispam {
    fn default() -> Self {
        Antispam {
            trusted_networks: Vec::new(),
            spf: true,
            dkim: true,
            dmarc: true,
            iprev: true,
            spf_fail: Measure::Note,
            dmarc_policy: Measure::Reject,
            junk_filter: true,
            rspamd: None,
            milters: Vec::new(),
            filter_time: Duration::from_secs(30),
            filters_away: WhenAway::Accept,
            greet_delay: Duration::ZERO,
            helo: Measure::Note,
            dnsbl: Vec::new(),
            dnsbl_listed: Measure::Reject,
            dnswl: Vec::new(),
            greylist: false,
            greylist_delay: Duration::from_secs(60),
            tarpit: Duration::ZERO,
            unknown_recipients_per_hour: 100,
            ban: Duration::from_secs(600),
        }
    }
}

impl Antispam {
    /// Whether mail from this address is taken unasked.
    pub fn trusts(&self, ip: IpAddr) -> bool {
        self.trusted_networks.iter().any(|network| network.contains(ip))
    }
}

impl NetworkRange {
    /// Whether it is the whole Internet, of one family.
    pub fn is_everybody(&self) -> bool {
        self.bits == 0
    }

    /// Whether the address lies in it.
    pub fn contains(&self, ip: IpAddr) -> bool {
        let whole = |ip: IpAddr| match ip {
            IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96, 32),
            IpAddr::V6(v6) => (v6.to_bits(), 128),
        };
        let ((ours, width), (theirs, other)) = (whole(self.address), whole(ip.to_canonical()));
        let differing = (ours ^ theirs).leading_zeros();
        width == other && differing >= u32::from(self.bits)
    }
}

impl FromStr for NetworkRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not an address or a network such as 192.0.2.0/24");
        let (address, bits) = text.split_once('/').unwrap_or((text, ""));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            "" if !text.contains('/') => most,
            bits => bits.parse().ok().filter(|bits| *bits <= most).ok_or_else(wrong)?,
        };
        Ok(NetworkRange { address, bits })
    }
}

impl fmt::Display for NetworkRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == most {
            true => self.address.fmt(f),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl FromStr for FilterSocket {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(path) = text.strip_prefix("unix:").filter(|path| path.starts_with('/')) {
            return Ok(FilterSocket::Unix(path.into()));
        }
        let address = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        address
            .parse()
            .map(FilterSocket::Tcp)
            .map_err(|_| format!("\"{text}\" is neither \"unix:/PATH\" nor \"ADDRESS:PORT\""))
    }
}

impl fmt::Display for FilterSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FilterSocket::Unix(path) => write!(f, "unix:{}", path.display()),
            FilterSocket::Tcp(address) => address.fmt(f),
        }
    }
}

impl Serialize for FilterSocket {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FilterSocket {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl Serialize for NetworkRange {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for NetworkRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_lies_in_them() {
        let within = |network: &str, ip: &str| {
            network.parse::<NetworkRange>().unwrap().contains(ip.parse().unwrap())
        };
        assert!(within("192.0.2.0/24", "192.0.2.255") && !within("192.0.2.0/24", "192.0.3.0"));
        assert!(within("127.0.0.1", "::ffff:127.0.0.1") && !within("127.0.0.1", "127.0.0.2"));
        assert!(within("0.0.0.0/0", "8.8.8.8") && !within("0.0.0.0/0", "::1"));
        assert!(within("2001:db8::/32", "2001:db8:1::1") && !within("2001:db8::/32", "2001:db9::"));
        for wrong in ["192.0.2.0/33", "192.0.2.0/", "example.org", "/8", ""] {
            assert!(wrong.parse::<NetworkRange>().is_err(), "{wrong}");
        }
        assert_eq!("10.0.0.0/8".parse::<NetworkRange>().unwrap().to_string(), "10.0.0.0/8");
    }
}
