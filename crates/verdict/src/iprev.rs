//! Does the address have a name that leads back to it (RFC 8601 §3)? Most senders of junk have
//! none.
//! What follows is for the caller.

use std::net::IpAddr;

use crate::limits;
use crate::lookup::Inquiry;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Iprev {
    /// RFC 8601 §2.7.3: `pass`, `fail`, `temperror` or `permerror`.
    pub result: &'static str,
    /// The name that leads back to the address.
    pub name: Option<String>,
    /// Why.
    pub reason: String,
}

/// Asks for the names of an address, and for the addresses of those.
pub async fn check(inquiry: &Inquiry<'_>, ip: IpAddr) -> Iprev {
    let names = match inquiry.names_of(ip).await {
        Ok(names) => names,
        Err(cause) => {
            let result = if cause.is_temporary() { "temperror" } else { "permerror" };
            return Iprev { result, name: None, reason: format!("the name of {ip}: {cause}") };
        }
    };
    let mut failed = None;
    for name in names.iter().take(limits::IPREV_NAMES) {
        match inquiry.addresses(name, ip).await {
            Ok(addresses) if addresses.contains(&ip) => {
                let reason = format!("{name} leads to {ip}");
                return Iprev { result: "pass", name: Some(name.clone()), reason };
            }
            Err(cause) if cause.is_temporary() => failed = Some(format!("{name}: {cause}")),
            _ => {}
        }
    }
    match failed {
        Some(reason) => Iprev { result: "temperror", name: None, reason },
        None => {
            let reason = format!("{} does not lead to {ip}", names.join(", "));
            Iprev { result: "fail", name: None, reason: crate::lookup::shortened(&reason) }
        }
    }
}
