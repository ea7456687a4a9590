//! Lists of addresses in DNS, of bad ones and of good ones (RFC 5782). An answer is believed only
//! where it can be one: lists that refuse to answer us, or that have gone away, list nobody.

use std::net::IpAddr;

use crate::limits;
use crate::lookup::{Cause, Inquiry};

/// What a list says of an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is in the list, with this code; and why, where the list says it.
    Listed {
        /// `127.0.0.x`.
        code: IpAddr,
        /// The list's words, printable.
        text: Option<String>,
    },
    /// It is not in the list.
    Absent,
    /// The list does not answer us, and why: it counts for nothing, and somebody should look.
    Refused(String),
    /// DNS failed for now.
    Unknown(Cause),
}

/// A list and what it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The list, e.g. `zen.spamhaus.org`.
    pub list: String,
    /// What it says.
    pub standing: Standing,
}

/// Asks each list about an address, in order.
pub async fn check(inquiry: &Inquiry<'_>, ip: IpAddr, lists: &[String]) -> Vec<Answer> {
    let mut answers = Vec::with_capacity(lists.len());
    for list in lists.iter().take(limits::LISTS) {
        answers.push(Answer { list: list.clone(), standing: ask(inquiry, ip, list).await });
    }
    answers
}

async fn ask(inquiry: &Inquiry<'_>, ip: IpAddr, list: &str) -> Standing {
    let name = format!("{}.{list}", reversed(ip));
    // RFC 5782 §2.1 and §2.4: A, for addresses of either family.
    let found = match inquiry.addresses(&name, IpAddr::from([0, 0, 0, 0])).await {
        Ok(found) => found,
        Err(cause) if cause.is_temporary() => return Standing::Unknown(cause),
        Err(_) => return Standing::Absent,
    };
    let mut refusal = None;
    for code in found {
        match meaning(code) {
            Meaning::Listed => {
                let text = inquiry.txt(&name).await.ok();
                let text = text.and_then(|texts| texts.into_iter().next());
                return Standing::Listed { code, text: text.map(|text| printable(&text)) };
            }
            Meaning::Refusal(why) => refusal = Some(format!("{code}: {why}")),
        }
    }
    match refusal {
        Some(why) => Standing::Refused(why),
        None => Standing::Absent,
    }
}

enum Meaning {
    Listed,
    Refusal(&'static str),
}

/// What an answer of a list means.
fn meaning(code: IpAddr) -> Meaning {
    let IpAddr::V4(code) = code else { return Meaning::Refusal("not an answer of a list") };
    match code.octets() {
        [127, 255, 255, 252] => Meaning::Refusal("the name of the list is mistyped"),
        [127, 255, 255, 254] => Meaning::Refusal("the list does not answer public resolvers"),
        [127, 255, 255, 255] => Meaning::Refusal("the list says that we ask too often"),
        [127, 255, 255, _] => Meaning::Refusal("the list refuses to answer us"),
        // RFC 5782 §5: 127.0.0.1 is never listed; a list that says so lists everybody.
        [127, 0, 0, 1] => Meaning::Refusal("the list is out of order"),
        [127, ..] => Meaning::Listed,
        // §2.1: all answers lie in 127.0.0.0/8; others come from whoever bought the name.
        _ => Meaning::Refusal("the list is gone, and its name is somebody else's"),
    }
}

/// RFC 5782 §2.1 and §2.4: octets, or half octets in hexadecimal, last first.
pub fn reversed(ip: IpAddr) -> String {
    match ip.to_canonical() {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            format!("{d}.{c}.{b}.{a}")
        }
        IpAddr::V6(v6) => {
            let digits = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            digits.map(|digit| format!("{digit:x}")).collect::<Vec<_>>().join(".")
        }
    }
}

fn printable(text: &[u8]) -> String {
    String::from_utf8_lossy(text)
        .chars()
        .map(|c| if c.is_ascii_graphic() { c } else { ' ' })
        .take(limits::LIST_TEXT)
        .collect()
}

impl Answer {
    /// In one line, for the journey.
    pub fn told(&self) -> String {
        let list = &self.list;
        match &self.standing {
            Standing::Listed { code, text: Some(text) } => format!("{list}: {code}, {text}"),
            Standing::Listed { code, text: None } => format!("{list}: {code}"),
            Standing::Absent => format!("{list}: not listed"),
            Standing::Refused(why) => format!("{list} does not count: {why}"),
            Standing::Unknown(cause) => format!("{list}: {cause}"),
        }
    }

    /// Whether the address is in the list.
    pub fn is_listed(&self) -> bool {
        matches!(self.standing, Standing::Listed { .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lookup::Dns;
    use crate::memory::Zone;

    async fn standing(name: &str, code: &str, ip: &str) -> Standing {
        let mut zone = Zone::default();
        zone.address(name, code.parse().unwrap());
        zone.txt(name, "see https://list.test");
        let dns = Dns::new(zone, net::Clock::real());
        let found = check(&dns.inquire(), ip.parse().unwrap(), &["list.test".to_owned()]).await;
        found[0].standing.clone()
    }

    #[tokio::test]
    async fn listed_absent_and_refusing() {
        let name = "5.2.0.192.list.test";
        let listed = standing(name, "127.0.0.4", "192.0.2.5").await;
        let text = Some("see https://list.test".to_owned());
        assert_eq!(listed, Standing::Listed { code: [127, 0, 0, 4].into(), text });
        assert_eq!(standing(name, "127.0.0.4", "192.0.2.6").await, Standing::Absent);
        for code in
            ["127.255.255.252", "127.255.255.254", "127.255.255.255", "127.0.0.1", "8.8.8.8"]
        {
            let refused = standing(name, code, "192.0.2.5").await;
            assert!(matches!(refused, Standing::Refused(_)), "{code}: {refused:?}");
        }
        let six = format!("{}1.0.0.0.8.b.d.0.1.0.0.2.list.test", "0.".repeat(20));
        let six = six.replacen("0.", "1.", 1);
        let found = standing(&six, "127.0.0.2", "2001:db8:1::1").await;
        assert!(matches!(found, Standing::Listed { .. }), "{found:?}");
        let mut zone = Zone::default();
        zone.silent("5.2.0.192.list.test");
        let dns = Dns::new(zone, net::Clock::real());
        let silent = check(&dns.inquire(), [192, 0, 2, 5].into(), &["list.test".to_owned()]).await;
        assert_eq!(silent[0].standing, Standing::Unknown(Cause::Timeout));
    }
}
