//! MTA-STS as text: the record in DNS and the policy on the web (RFC 8461 §3.1, §3.2). Pure; who
//! fetches and keeps them is `cache`.

use std::time::Duration;

/// What a domain asks of those who send to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Policy {
    pub(crate) mode: Mode,
    /// Host names, or `*.` and a domain.
    pub(crate) mx: Vec<String>,
    pub(crate) max_age: Duration,
}

/// How much it means it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Hosts that do not match are not used.
    Enforce,
    /// It is told, and not acted upon.
    Testing,
    /// There is no policy (any more).
    None,
}

/// RFC 8461 §3.2: at most a year.
const MAX_AGE: u64 = 31_557_600;

/// Hosts of one policy that are looked at.
const HOSTS: usize = 200;

/// The id in the TXT records of `_mta-sts.DOMAIN`; `None`: there is no policy. RFC 8461 §3.1: if
/// there is not exactly one such record, there is none.
pub(crate) fn id(records: &[Vec<u8>]) -> Option<String> {
    let texts = records.iter().filter_map(|text| std::str::from_utf8(text).ok());
    let mut ours =
        texts.filter(|text| text.split(';').next().is_some_and(|first| first.trim() == "v=STSv1"));
    let (only, others) = (ours.next()?, ours.next());
    if others.is_some() {
        return None;
    }
    let tags = only.split(';').filter_map(|tag| tag.split_once('='));
    let id = tags.filter(|(name, _)| name.trim() == "id").map(|(_, id)| id.trim()).next()?;
    let good = (1..=32).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    good.then(|| id.to_owned())
}

impl Policy {
    /// Reads the document.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(text: &str) -> Result<Self, &'static str> {
        let mut version = None;
        let mut mode = None;
        let mut max_age = None;
        let mut mx = Vec::new();
        for line in text.lines() {
            let Some((name, value)) = line.split_once(':') else {
                if line.trim().is_empty() {
                    continue;
                }
                return Err("a line without a colon");
            };
            let value = value.trim();
            // §3.2: of a field that comes twice the first counts, but mx.
            match name.trim() {
                "version" if version.is_none() => version = Some(value),
                "mode" if mode.is_none() => {
                    mode = Some(match value {
                        "enforce" => Mode::Enforce,
                        "testing" => Mode::Testing,
                        "none" => Mode::None,
                        _ => return Err("its mode is not known"),
                    });
                }
                "max_age" if max_age.is_none() => {
                    let age: u64 = value.parse().map_err(|_| "its max_age is no number")?;
                    max_age = Some(Duration::from_secs(age.min(MAX_AGE)));
                }
                "mx" if mx.len() < HOSTS => {
                    mx.push(value.trim_end_matches('.').to_ascii_lowercase());
                }
                _ => {}
            }
        }
        if version != Some("STSv1") {
            return Err("its version is not STSv1");
        }
        let mode = mode.ok_or("it has no mode")?;
        if mode != Mode::None && mx.is_empty() {
            return Err("it names no mx");
        }
        Ok(Policy { mode, mx, max_age: max_age.ok_or("it has no max_age")? })
    }

    /// Whether a host may be used (RFC 8461 §4.1: a wildcard stands for one label).
    pub(crate) fn allows(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        self.mx.iter().any(|pattern| match pattern.strip_prefix("*.") {
            Some(domain) => host.split_once('.').is_some_and(|(_, rest)| rest == domain),
            None => *pattern == host,
        })
    }
}

impl std::fmt::Display for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Mode::Enforce => "enforce",
            Mode::Testing => "testing",
            Mode::None => "none",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "version: STSv1\r\nmode: enforce\r\nmx: mail.example.com\r\n\
                        mx: *.example.net\r\nmx: backupmx.example.com\r\nmax_age: 604800\r\n";

    #[test]
    fn the_example_of_the_rfc() {
        let policy = Policy::parse(TEXT).expect("a policy");
        assert_eq!((policy.mode, policy.max_age.as_secs()), (Mode::Enforce, 604_800));
        assert!(policy.allows("MAIL.example.com.") && policy.allows("a.example.net"));
        assert!(!policy.allows("a.b.example.net") && !policy.allows("example.net"));
        assert!(!policy.allows("evil.example.com"));
    }

    #[test]
    fn bad_policies_are_none() {
        for bad in [
            "",
            "version: STSv2\nmode: none\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmax_age: 1\n",
            "version: STSv1\nmode: strict\nmx: a\nmax_age: 1\n",
            "version: STSv1\nmode: enforce\nmx: a\n",
            "version: STSv1\nmode: enforce\nmx: a\nmax_age: soon\n",
            "<html>hello</html>",
        ] {
            assert!(Policy::parse(bad).is_err(), "{bad:?}");
        }
        let long = format!("version: STSv1\nmode: none\nmax_age: {}\n", u64::MAX);
        assert_eq!(Policy::parse(&long).expect("a policy").max_age.as_secs(), MAX_AGE);
    }

    #[test]
    fn exactly_one_record_counts() {
        let one = b"v=STSv1; id=20261123T000000;".to_vec();
        let other = b"v=spf1 -all".to_vec();
        assert_eq!(id(&[other.clone(), one.clone()]).as_deref(), Some("20261123T000000"));
        assert_eq!(id(&[one.clone(), one]), None);
        assert_eq!(id(&[other, b"v=STSv1; id=a-b".to_vec(), b"\xff".to_vec()]), None);
    }
}
