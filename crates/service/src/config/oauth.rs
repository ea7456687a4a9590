//! `[oauth]`: whose tokens log people in. Only the keys; what a token is worth `auth` asks.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use protocol::address::Domain;
use serde::{Deserialize, Serialize};

use super::values::{self, HostPort, Target};

/// `[oauth]`. Without `introspection_url` no tokens are taken.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OAuth {
    /// Where the authorization server says what a token is worth (RFC 7662).
    #[serde(with = "values::optional_text", skip_serializing_if = "Option::is_none")]
    pub introspection_url: Option<WebAddress>,
    /// As whom we ask there.
    pub client_id: String,
    /// A file that holds our secret there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_file: Option<PathBuf>,
    /// The member of the answer that names the account.
    pub account_claim: String,
    /// Scopes that a token must have, separated by spaces; empty: none.
    pub scope: String,
    /// For whom a token must have been issued (`aud`); empty: for anybody.
    pub audience: String,
    /// Where clients find the authorization server (OpenID Connect discovery); empty: not told.
    pub discovery_url: String,
}

impl OAuth {
    /// Whether tokens are taken.
    pub const fn is_on(&self) -> bool {
        self.introspection_url.is_some()
    }
}

impl Default for OAuth {
    fn default() -> Self {
        OAuth {
            introspection_url: None,
            client_id: String::new(),
            client_secret_file: None,
            account_claim: "email".to_owned(),
            scope: String::new(),
            audience: String::new(),
            discovery_url: String::new(),
        }
    }
}

/// `https://HOST[:PORT]/PATH`; `http` only on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebAddress {
    /// Whether it is under TLS.
    pub security: Security,
    /// Where.
    pub at: HostPort,
    /// The host as it was written, for the Host field.
    pub authority: String,
    /// The path with its first slash, and the query.
    pub path: String,
}

/// How a web server is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// `https`.
    Tls,
    /// `http`.
    Clear,
}

impl FromStr for WebAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("\"{text}\" is not \"https://HOST[:PORT]/PATH\"");
        let (scheme, rest) = text.split_once("://").ok_or_else(wrong)?;
        let (security, standard) = match scheme {
            "https" => (Security::Tls, 443),
            "http" => (Security::Clear, 80),
            _ => return Err(wrong()),
        };
        let split = rest.find('/').unwrap_or(rest.len());
        let (authority, path) = rest.split_at(split);
        let path = if path.is_empty() { "/" } else { path };
        if authority.contains('@') || !path.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(wrong());
        }
        let with_port = format!("{authority}:{standard}");
        let at: HostPort =
            authority.parse().or_else(|_| with_port.parse()).map_err(|_: String| wrong())?;
        if security == Security::Clear && !is_here(&at.host) {
            return Err(format!(
                "\"{text}\" would send tokens in clear: only https, or http on this machine"
            ));
        }
        Ok(WebAddress { security, at, authority: authority.to_owned(), path: path.to_owned() })
    }
}

/// Whether a host is this machine.
fn is_here(host: &Target) -> bool {
    match host {
        Target::Address(address) => IpAddr::is_loopback(address),
        Target::Name(name) => name == &"localhost".parse::<Domain>().expect("a domain name"),
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Tls => "https",
            Security::Clear => "http",
        };
        write!(f, "{scheme}://{}{}", self.authority, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for good in [
            "https://id.example.org/oauth2/introspect",
            "https://id.example.org:8443/introspect?x=1",
            "http://127.0.0.1:8080/introspect",
            "http://[::1]:8080/",
            "http://localhost:80/x",
        ] {
            assert_eq!(good.parse::<WebAddress>().expect(good).to_string(), good);
        }
        let bare: WebAddress = "https://id.example.org".parse().expect("an address");
        assert_eq!((bare.at.port, bare.path.as_str()), (443, "/"));
        for bad in [
            "",
            "id.example.org",
            "ftp://id.example.org/",
            "https:///x",
            "https://user@id.example.org/",
            "https://id.example.org/a b",
            "https://id.example.org/\r\nX: y",
            "http://id.example.org/introspect",
            "http://192.0.2.1/introspect",
        ] {
            assert!(bad.parse::<WebAddress>().is_err(), "{bad}");
        }
    }
}
