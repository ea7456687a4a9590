//! The DNS records that a domain needs: to receive (MX, A) and to be believed (SPF, DKIM, DMARC).
//! Not a DNS client: nothing here looks anything up. Called by `init`, `dns` and `dkim`.

use std::fmt;
use std::net::IpAddr;

/// What the records of a domain depend on.
pub(crate) struct Site {
    /// The domain.
    pub(crate) domain: String,
    /// The host that takes its mail.
    pub(crate) hostname: String,
    /// The host's address, where it is known.
    pub(crate) public: Option<IpAddr>,
}

/// One record to publish.
#[derive(serde::Serialize, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Record {
    /// The name, without the final dot.
    pub(crate) name: String,
    /// `MX`, `A`, `AAAA`, `TXT`.
    #[serde(rename = "type")]
    pub(crate) kind: &'static str,
    /// The value as a zone file has it, unquoted.
    pub(crate) value: String,
}

impl Record {
    /// A TXT record.
    pub(crate) fn txt(name: String, value: String) -> Record {
        Record { name, kind: "TXT", value }
    }

    /// RFC 1035 §3.3: a character-string holds 255 octets; longer texts are several of them.
    pub(crate) fn strings(&self) -> impl Iterator<Item = &str> {
        let mut rest = self.value.as_str();
        std::iter::from_fn(move || {
            if rest.is_empty() {
                return None;
            }
            // Our values are ASCII: any octet is a boundary.
            let (part, more) = rest.split_at_checked(STRING).unwrap_or((rest, ""));
            rest = more;
            Some(part)
        })
    }
}

impl fmt::Display for Record {
    /// A line of a zone file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}. 3600 IN {} ", self.name, self.kind)?;
        if self.kind != "TXT" {
            return f.write_str(&self.value);
        }
        for (index, part) in self.strings().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(f, "{space}\"{part}\"")?;
        }
        Ok(())
    }
}

/// Octets in one string of a TXT record.
const STRING: usize = 255;

/// Every record of the domain.
pub(crate) fn of(site: &Site, dkim: &[Record]) -> Vec<Record> {
    let (domain, host) = (site.domain.clone(), site.hostname.clone());
    let mut records =
        vec![Record { name: domain.clone(), kind: "MX", value: format!("10 {host}.") }];
    let public = site.public.filter(|bind| !bind.is_unspecified());
    let address = match public {
        Some(bind) if bind.is_ipv6() => ("AAAA", bind.to_string()),
        Some(bind) => ("A", bind.to_string()),
        None => ("A", "<the public address of this machine>".to_owned()),
    };
    records.push(Record { name: host.clone(), kind: address.0, value: address.1 });
    // RFC 7208 §5.4: what the MX records name may send; nobody else.
    records.push(Record::txt(domain.clone(), "v=spf1 mx -all".into()));
    // RFC 7208 §2.3: the host sends bounces under its own name.
    records.push(Record::txt(host, "v=spf1 a -all".into()));
    records.extend(dkim.iter().cloned());
    // Begin by looking; tighten to quarantine or reject when the reports are clean.
    let dmarc = format!("v=DMARC1; p=none; rua=mailto:postmaster@{domain}");
    records.push(Record::txt(format!("_dmarc.{domain}"), dmarc));
    records
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_several_strings() {
        let record = Record::txt("a.test".into(), "x".repeat(300));
        let line = record.to_string();
        let parts: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
        assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [255, 45]);
        assert!(line.starts_with("a.test. 3600 IN TXT \""));
    }
}
