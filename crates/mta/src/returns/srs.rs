//! The Sender Rewriting Scheme: `bob@blue.test`, forwarded by red.test, becomes
//! `SRS0=HASH=DAY=blue.test=bob@red.test`. The hash, made with a secret, keeps others from sending
//! through us; the day lets it end. An address that somebody else has rewritten already is wrapped
//! once (`SRS1`), however long the chain becomes.

use std::path::Path;

use aws_lc_rs::hmac;
use disk::{Disk, Mode};
use protocol::address::{Address, Domain, LocalPart};
use protocol::time::Timestamp;

/// For how many days bounces find their way: longer than letters are tried anywhere.
const DAYS: i64 = 21;

/// Days are counted round this.
const ROUND: i64 = 1024;

/// Octets of the secret.
const SECRET: usize = 32;

/// Octets of a local part (RFC 5321 §4.5.3.1.1).
const LOCAL_PART: usize = 64;

const LETTERS: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Writes and reads such addresses.
pub(super) struct Scheme {
    key: hmac::Key,
}

/// What an address of this form stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Original {
    /// This one.
    Address(Address),
    /// Nothing: it is forged or too old.
    Bad,
}

impl Scheme {
    pub(super) fn open(disk: &dyn Disk, path: &Path) -> Result<Self, String> {
        let secret = match std::fs::read(path) {
            Ok(secret) if secret.len() >= SECRET => secret,
            Ok(_) => return Err(format!("{} is too short for a secret", path.display())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let mut secret = vec![0; SECRET];
                getrandom::fill(&mut secret).map_err(|error| error.to_string())?;
                if let Some(folder) = path.parent() {
                    disk.make_dirs(folder, Mode(0o700)).map_err(|error| error.to_string())?;
                }
                disk::replace_whole(disk, path, Mode(0o600), &secret)
                    .map_err(|error| error.to_string())?;
                secret
            }
            Err(error) => return Err(format!("{} cannot be read: {error}", path.display())),
        };
        Ok(Scheme { key: hmac::Key::new(hmac::HMAC_SHA256, &secret) })
    }

    /// The address of ours for a sender; `None` where it would be too long, or is no domain's.
    pub(super) fn write(&self, sender: &Address, by: &Domain, now: Timestamp) -> Option<Address> {
        let local = sender.local().as_str();
        let domain = sender.domain()?.as_str();
        let (form, rest) = match prefix(local) {
            Some(("SRS0", rest)) => ("SRS1", format!("{domain}={rest}")),
            // Wrapped already: the first who rewrote it stays named, we take the place of the last.
            Some(("SRS1", rest)) => ("SRS1", rest.split_once('=')?.1.to_owned()),
            _ => ("SRS0", format!("{}={domain}={local}", day(now))),
        };
        let text = format!("{form}={}={rest}", self.hash(&rest));
        if text.len() > LOCAL_PART {
            return None;
        }
        Some(Address::new(LocalPart::from_meaning(&text).ok()?, by.clone()))
    }

    /// What an address stands for.
    pub(super) fn read(&self, address: &Address, now: Timestamp) -> Option<Original> {
        let (form, rest) = prefix(address.local().as_str())?;
        let original = rest
            .split_once('=')
            .filter(|(hash, rest)| self.hash(rest).eq_ignore_ascii_case(hash))
            .and_then(|(_, rest)| unwrapped(form, rest, now));
        Some(original.map_or(Original::Bad, Original::Address))
    }

    fn hash(&self, rest: &str) -> String {
        let tag = hmac::sign(&self.key, rest.to_ascii_lowercase().as_bytes());
        let bits =
            tag.as_ref().iter().take(5).fold(0_u64, |bits, octet| bits << 8 | u64::from(*octet));
        (0..8).rev().map(|place| char::from(LETTERS[(bits >> (place * 5) & 31) as usize])).collect()
    }
}

fn unwrapped(form: &str, rest: &str, now: Timestamp) -> Option<Address> {
    let (domain, local) = if form == "SRS1" {
        let (domain, rest) = rest.split_once('=')?;
        (domain, format!("SRS0={rest}"))
    } else {
        let (when, rest) = rest.split_once('=')?;
        let (domain, local) = rest.split_once('=')?;
        if !is_recent(when, now) {
            return None;
        }
        (domain, local.to_owned())
    };
    let domain: Domain = domain.parse().ok()?;
    Some(Address::new(LocalPart::from_meaning(&local).ok()?, domain))
}

/// `SRS0` or `SRS1` and what follows, whatever the case: mail systems on the way may change it.
fn prefix(local: &str) -> Option<(&'static str, &str)> {
    let (word, rest) = local.split_at_checked(4)?;
    let rest = rest.strip_prefix(['=', '+', '-'])?;
    let form = ["SRS0", "SRS1"].into_iter().find(|form| form.eq_ignore_ascii_case(word))?;
    Some((form, rest))
}

fn day(now: Timestamp) -> String {
    let day = now.as_seconds().div_euclid(86_400).rem_euclid(ROUND);
    [day / 32, day % 32].map(|place| char::from(LETTERS[place as usize])).iter().collect()
}

fn is_recent(text: &str, now: Timestamp) -> bool {
    (0..=DAYS).any(|ago| {
        let then = now.before(std::time::Duration::from_secs(ago.unsigned_abs() * 86_400));
        day(then).eq_ignore_ascii_case(text)
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn scheme() -> (tempfile::TempDir, Scheme) {
        let folder = tempfile::tempdir().expect("a folder");
        let scheme = Scheme::open(&disk::RealDisk, &folder.path().join("keys/srs.key"));
        (folder, scheme.expect("a secret"))
    }

    fn at(days: u64) -> Timestamp {
        Timestamp::from_seconds(1_795_000_000).after(Duration::from_secs(days * 86_400))
    }

    fn address(text: &str) -> Address {
        text.parse().expect("an address")
    }

    #[test]
    fn a_bounce_finds_back_for_three_weeks_and_over_a_restart() {
        let (folder, scheme) = scheme();
        let red: Domain = "red.test".parse().expect("a domain");
        let bob = address("bob@blue.test");
        let ours = scheme.write(&bob, &red, at(0)).expect("short enough");
        assert!(ours.to_string().starts_with("SRS0="), "{ours}");
        assert!(ours.to_string().ends_with("=blue.test=bob@red.test"), "{ours}");
        let again = Scheme::open(&disk::RealDisk, &folder.path().join("keys/srs.key"));
        let again = again.expect("the same secret");
        assert_eq!(again.read(&ours, at(21)), Some(Original::Address(bob.clone())));
        assert_eq!(again.read(&ours, at(22)), Some(Original::Bad), "too old");
        let shouted = address(&ours.to_string().to_ascii_uppercase());
        assert!(matches!(again.read(&shouted, at(1)), Some(Original::Address(_))));
        assert_eq!(again.read(&bob, at(0)), None, "not of this form");
    }

    #[test]
    fn what_others_made_up_leads_nowhere() {
        let (_folder, ours) = scheme();
        let (_folder, theirs) = scheme();
        let red: Domain = "red.test".parse().expect("a domain");
        let forged = theirs.write(&address("victim@blue.test"), &red, at(0)).expect("written");
        assert_eq!(ours.read(&forged, at(0)), Some(Original::Bad));
        for bad in ["SRS0=x@red.test", "srs1=a=b@red.test", "SRS0=@red.test", "SRS0===@red.test"] {
            if let Ok(bad) = bad.parse() {
                assert_eq!(ours.read(&bad, at(0)), Some(Original::Bad), "{bad}");
            }
        }
    }

    #[test]
    fn a_chain_of_forwarders_does_not_grow_without_end() {
        let ((_a, first), (_b, second), (_c, third)) = (scheme(), scheme(), scheme());
        let domain = |text: &str| text.parse::<Domain>().expect("a domain");
        let bob = address("bob@blue.test");
        let one = first.write(&bob, &domain("one.test"), at(0)).expect("written");
        let two = second.write(&one, &domain("two.test"), at(0)).expect("written");
        let three = third.write(&two, &domain("three.test"), at(0)).expect("written");
        assert!(two.to_string().starts_with("SRS1=") && three.to_string().starts_with("SRS1="));
        // The last goes back to the first at once.
        assert_eq!(third.read(&three, at(1)), Some(Original::Address(one.clone())));
        assert_eq!(second.read(&two, at(1)), Some(Original::Address(one.clone())));
        assert_eq!(first.read(&one, at(1)), Some(Original::Address(bob)));
        let long = address(&format!("{}@blue.test", "x".repeat(60)));
        assert_eq!(first.write(&long, &domain("one.test"), at(0)), None);
    }
}
