//! The keys in memory, by domain, and the signatures they make.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;
use message::dkim_signature::{Claim, Unsigned};
use message::{envelope, header, received};
use protocol::address::Address;
use protocol::time::Timestamp;
use queue::NewLetter;
use service::trail::{Event, Kind, Trail};

use super::hash::LetterHash;
use super::selectors::{Selector, Selectors, folder};
use crate::limits::HEADER_LOOKED_AT;

/// Signatures of one letter: receivers look at few (RFC 6376 §8.4).
const SIGNATURES: usize = 4;

/// Domains whose keys are held.
const DOMAINS: usize = 10_000;

/// Signs for the domains that have keys.
pub(crate) struct Signer {
    folder: PathBuf,
    ring: RwLock<Arc<Ring>>,
}

type Ring = HashMap<String, Vec<Selector>>;

/// Fields to put in front of a letter, and what they are, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    /// Whole lines.
    pub(crate) fields: Bytes,
    /// For the journey.
    pub(crate) text: String,
}

impl Signer {
    /// The keys below `keys` (`DATA/keys`), as they are now.
    pub(crate) fn open(keys: &std::path::Path) -> Self {
        let signer = Signer { folder: folder(keys), ring: RwLock::default() };
        for complaint in signer.renew() {
            tracing::error!("{complaint}");
        }
        signer
    }

    /// Reads the keys again; files that cannot be used are named.
    pub(crate) fn renew(&self) -> Vec<String> {
        let mut ring = Ring::new();
        let mut complaints = Vec::new();
        for (domain, path) in self.domains() {
            let mut keys = Selectors::read(&path);
            complaints.append(&mut keys.complaints);
            keys.all.retain(|one| one.used == super::selectors::Use::Signing);
            keys.all.sort_by_key(|one| one.key.algorithm());
            if !keys.all.is_empty() {
                ring.insert(domain, keys.all);
            }
        }
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(ring);
        complaints
    }

    /// The domains with a folder for keys.
    pub(super) fn domains(&self) -> Vec<(String, PathBuf)> {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        folders
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                Some((name.to_ascii_lowercase(), entry.path()))
            })
            .take(DOMAINS)
            .collect()
    }

    /// How many domains sign.
    pub(crate) fn len(&self) -> usize {
        self.ring().len()
    }

    fn ring(&self) -> Arc<Ring> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Signs a letter with this header block and this hash of its body, by the keys of its author's
    /// domain or of one above it. `None`: there are no such keys.
    pub(crate) fn sign(&self, block: &[u8], body_hash: &str, at: Timestamp) -> Option<Signed> {
        let ring = self.ring();
        let author = author_domain(block)?;
        let mut domain = author.as_str();
        let keys = loop {
            if let Some(keys) = ring.get(domain) {
                break keys;
            }
            // RFC 9989's relaxed alignment: a host signs with its domain's key.
            domain =
                domain.split_once('.').map(|(_, above)| above).filter(|it| it.contains('.'))?;
        };
        let mut fields = Vec::new();
        let mut words = Vec::new();
        for one in keys.iter().take(SIGNATURES) {
            let algorithm = one.key.algorithm().signature();
            let claim =
                Claim { algorithm, domain, selector: &one.name, at: at.as_seconds(), body_hash };
            let unsigned = Unsigned::new(claim, block);
            match one.key.sign(&unsigned.input) {
                Ok(signature) => {
                    fields.extend(unsigned.complete(&signature));
                    words.push(format!("s={} {algorithm}", one.name));
                }
                Err(error) => tracing::error!(domain, selector = %one.name, "DKIM: {error}"),
            }
        }
        if words.is_empty() {
            return None;
        }
        Some(Signed { fields: fields.into(), text: format!("d={domain} {}", words.join(", ")) })
    }

    /// Signs a letter that was made here and is in memory; says so in its journey.
    pub(crate) fn sign_own(&self, letter: &mut NewLetter, trail: &Trail) {
        let Ok(text) = letter.body.read_all(OWN_LETTER) else { return };
        let mut hash = LetterHash::new();
        hash.feed(&text);
        let start = text.get(..text.len().min(HEADER_LOOKED_AT)).unwrap_or_default();
        let block = start.get(..header::length(start)).unwrap_or(start);
        let Some(signed) = self.sign(block, &hash.finish(), letter.arrived) else { return };
        letter.headers = [signed.fields.as_ref(), letter.headers.as_ref()].concat().into();
        trail.record(Event::new(Kind::Signed, letter.journey).text(&signed.text));
    }
}

impl Signer {
    /// Signs a letter again that was signed here and has changed since: our old signatures give way
    /// to new ones. `None`: it was not signed here, and stays as it is.
    pub(crate) fn again(&self, letter: &[u8], at: Timestamp) -> Option<(Vec<u8>, String)> {
        let ring = self.ring();
        let mut rest = letter;
        // What we signed has our signatures on top, above our Received line (RFC 6376 §5.6).
        while let Some(field) = header::fields(rest).next() {
            let is_ours = field.is(rest, "DKIM-Signature")
                && signing_domain(field.value(rest)).is_some_and(|it| ring.contains_key(&it));
            if !is_ours {
                break;
            }
            rest = rest.get(field.range().end..)?;
        }
        if rest.len() == letter.len() {
            return None;
        }
        let start = rest.get(..rest.len().min(HEADER_LOOKED_AT)).unwrap_or(rest);
        let block = start.get(..header::length(start)).unwrap_or(start);
        let mut hash = LetterHash::new();
        hash.feed(rest);
        Some(match self.sign(block, &hash.finish(), at) {
            Some(signed) => {
                let text = format!("signed again: {}", signed.text);
                ([signed.fields.as_ref(), rest].concat(), text)
            }
            None => (rest.to_vec(), "its signature is taken away".to_owned()),
        })
    }
}

/// `d=` of a signature, in lower case.
fn signing_domain(value: &[u8]) -> Option<String> {
    let value = String::from_utf8_lossy(value);
    let mut tags = value.split(';').filter_map(|tag| tag.split_once('='));
    let domain = tags.find(|(name, _)| name.trim() == "d").map(|(_, it)| it.trim())?;
    Some(domain.to_ascii_lowercase())
}

/// Longest letter of our own making, in bytes: a report with a header in it.
const OWN_LETTER: u64 = 1024 * 1024;

/// Whether a letter that came over the relay socket was born here: submitted by an account, or made
/// by an agent of ours. One that came from outside and is only sent on carries the lines of its
/// way.
pub(crate) fn is_born_here(account: Option<&Address>, block: &[u8]) -> bool {
    account.is_some() || received::hops(block) == 0
}

/// The domain of the author: of From (RFC 6376 §3.11 leaves the choice; DMARC looks at this one).
fn author_domain(block: &[u8]) -> Option<String> {
    let value = header::value(block, "From")?;
    let addresses = envelope::parse_addresses(&value);
    let host = addresses.into_iter().find_map(|one| one.host)?;
    let host = std::str::from_utf8(&host).ok()?.trim().parse::<protocol::address::Domain>().ok()?;
    Some(host.as_str().to_ascii_lowercase())
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Signer({} domains)", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signer() -> (tempfile::TempDir, Signer) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = super::folder(folder.path()).join("red.test");
        let now = Timestamp::from_seconds(1);
        Selectors::default().add((&disk::RealDisk, &path), now).expect("keys");
        let signer = Signer::open(folder.path());
        (folder, signer)
    }

    #[test]
    fn both_algorithms_sign_for_the_domain_of_the_author_and_hosts_below_it() {
        let (_folder, signer) = signer();
        let sign = |from: &str| {
            let block = format!("From: {from}\r\nSubject: x\r\n\r\n");
            signer.sign(block.as_bytes(), "hash", Timestamp::from_seconds(5))
        };
        let signed = sign("Alice <alice@RED.test>").expect("signed");
        let text = String::from_utf8(signed.fields.to_vec()).expect("text");
        assert_eq!(text.matches("DKIM-Signature:").count(), 2);
        assert!(text.contains("a=rsa-sha256;") && text.contains("a=ed25519-sha256;"), "{text}");
        assert!(signed.text.starts_with("d=red.test s=posthaste-rsa-1"), "{}", signed.text);
        let host = sign("postmaster@mx.red.test").expect("signed");
        assert!(host.text.starts_with("d=red.test "));
        assert_eq!(sign("bob@blue.test"), None);
        assert_eq!(sign("nobody"), None);
        assert_eq!(
            signer.sign(b"Subject: no author\r\n\r\n", "hash", Timestamp::from_seconds(5)),
            None
        );
    }

    #[test]
    fn a_letter_that_changed_on_the_way_is_signed_again_if_it_was_signed_here() {
        let (_folder, signer) = signer();
        let at = Timestamp::from_seconds(5);
        let block = b"Received: by us\r\nFrom: alice@red.test\r\n\r\n";
        let signed = signer.sign(block, "old-hash", at).expect("signed");
        let before = [signed.fields.as_ref(), block, b"new body\r\n"].concat();
        let (after, text) = signer.again(&before, at).expect("it was ours");
        let after = String::from_utf8(after).expect("text");
        assert_eq!(after.matches("DKIM-Signature:").count(), 2, "{after}");
        assert!(!after.contains("old-hash") && text.contains("d=red.test"), "{text}\n{after}");
        assert!(after.ends_with("\r\n\r\nnew body\r\n"), "{after}");
        let foreign = b"DKIM-Signature: v=1; d=blue.test; s=x\r\nFrom: alice@red.test\r\n\r\n";
        assert_eq!(signer.again(foreign, at), None);
        assert_eq!(signer.again(block, at), None);
    }

    #[test]
    fn what_came_from_outside_is_not_born_here() {
        let alice: Address = "alice@red.test".parse().expect("an address");
        assert!(!is_born_here(None, b"Received: from x\r\nFrom: a@red.test\r\n\r\n"));
        assert!(is_born_here(Some(&alice), b"Received: from x\r\n\r\n"));
        assert!(is_born_here(None, b"From: a@red.test\r\n\r\n"));
    }
}
