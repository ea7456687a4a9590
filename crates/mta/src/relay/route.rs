//! Which way a recipient's mail goes: a route of the configuration, the smarthost, an address
//! literal, or the domain's mail exchangers. It asks nobody; `hosts` asks DNS. Recipients of one
//! way travel together.

use std::fmt;
use std::net::IpAddr;

use protocol::address::{Address, Domain, Host};
use service::config::{LocalDelivery, Mta, NextHop, RoutePattern, Smarthost};

use crate::reason::{Failure, Reason};

/// Where a group of recipients is to be handed over. Letters for the same way share connections
/// and are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Way {
    /// Our own MDA, or what stands in its place.
    Local,
    /// The mail exchangers of a domain (RFC 5321 §5.1).
    Exchangers(Domain),
    /// A host by its address (RFC 5321 §4.1.3).
    Literal(IpAddr),
    /// A next hop of `mta.routes`, by its text.
    Route(String),
    /// `mta.smarthost`.
    Smarthost,
}

/// What belongs to a way in the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Hop<'a> {
    /// `mta.local_delivery`.
    Local(&'a LocalDelivery),
    /// To be found by DNS.
    Exchangers(&'a Domain),
    /// An address.
    Literal(IpAddr),
    /// A fixed next hop.
    Next(&'a NextHop),
    /// The smarthost.
    Smarthost(&'a Smarthost),
}

/// The way to `recipient`. `is_ours` says whether a domain is hosted here; a route of its own wins
/// even over that, so that one of our domains can live elsewhere during a move.
pub(crate) fn way(
    mta: &Mta,
    recipient: &Address,
    is_ours: impl Fn(&Domain) -> bool,
) -> Result<Way, Failure> {
    let domain = match recipient.host() {
        Host::Domain(domain) => domain,
        Host::Literal(literal) => {
            return literal.ip().map(Way::Literal).ok_or_else(|| {
                let text = format!("{literal} is an address literal of a kind we cannot reach");
                Failure::permanent(Reason::BadDomain, (1, 2), text)
            });
        }
    };
    if let Some(hop) = mta.routes.get(&RoutePattern::Domain(domain.clone())) {
        return Ok(Way::Route(hop.to_string()));
    }
    if is_ours(domain) {
        return Ok(Way::Local);
    }
    if let Some(hop) = mta.routes.get(&RoutePattern::Any) {
        return Ok(Way::Route(hop.to_string()));
    }
    if mta.smarthost.is_some() {
        return Ok(Way::Smarthost);
    }
    Ok(Way::Exchangers(domain.clone()))
}

/// What `way` means now. A route or smarthost that a reload took away: `None`, work it out again.
pub(crate) fn hop<'a>(mta: &'a Mta, way: &'a Way) -> Option<Hop<'a>> {
    match way {
        Way::Local => Some(Hop::Local(&mta.local_delivery)),
        Way::Exchangers(domain) => Some(Hop::Exchangers(domain)),
        Way::Literal(ip) => Some(Hop::Literal(*ip)),
        Way::Route(text) => mta.routes.values().find(|hop| hop.to_string() == *text).map(Hop::Next),
        Way::Smarthost => mta.smarthost.as_ref().map(Hop::Smarthost),
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Local => f.write_str("local"),
            Way::Exchangers(domain) => domain.fmt(f),
            Way::Literal(ip) => write!(f, "[{ip}]"),
            Way::Route(text) => f.write_str(text),
            Way::Smarthost => f.write_str("smarthost"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mta(routes: &[(&str, &str)], smarthost: Option<&str>) -> Mta {
        let routes = routes.iter().map(|(pattern, hop)| {
            (pattern.parse().expect("a pattern"), hop.parse().expect("a next hop"))
        });
        Mta {
            routes: routes.collect(),
            smarthost: smarthost.map(|text| text.parse().expect("a smarthost")),
            ..Mta::default()
        }
    }

    fn to(mta: &Mta, recipient: &str) -> String {
        let recipient: Address = recipient.parse().expect("an address");
        let way = way(mta, &recipient, |domain| domain.as_str() == "red.test");
        way.expect("a way").to_string()
    }

    #[test]
    fn the_most_particular_way_wins() {
        let routes = [("blue.test", "smtp:127.0.0.1:2525"), ("*", "lmtp:unix:/run/x")];
        let mta = mta(&routes, Some("smtp://relay.test"));
        assert_eq!(to(&mta, "bob@blue.test"), "smtp:127.0.0.1:2525");
        assert_eq!(to(&mta, "amy@red.test"), "local");
        assert_eq!(to(&mta, "eve@green.test"), "lmtp:unix:/run/x");
        assert_eq!(to(&mta, "eve@[192.0.2.7]"), "[192.0.2.7]");
    }

    #[test]
    fn without_routes_the_smarthost_takes_what_is_not_ours() {
        let with = mta(&[], Some("smtp://relay.test"));
        assert_eq!(to(&with, "eve@green.test"), "smarthost");
        assert_eq!(to(&with, "amy@red.test"), "local");
        assert_eq!(to(&mta(&[], None), "eve@green.test"), "green.test");
    }

    #[test]
    fn a_route_of_its_own_moves_even_a_domain_of_ours() {
        let moved = mta(&[("red.test", "smtp:192.0.2.9:25")], None);
        assert_eq!(to(&moved, "amy@red.test"), "smtp:192.0.2.9:25");
    }
}
