//! The record of a key in DNS (RFC 6376 §3.6.1): fetched, read, and held against the signature.

use message::dkim::{tag, tags};

use super::DkimResult;
use super::signature::{Algorithm, Signature, base64};
use crate::limits;
use crate::lookup::{Inquiry, shortened};

/// A key that may verify a signature.
#[derive(Debug)]
pub(super) struct Key {
    /// RSA: SubjectPublicKeyInfo or RSAPublicKey in DER; Ed25519: the 32 octets.
    pub(super) data: Vec<u8>,
    pub(super) testing: bool,
    rsa: bool,
}

/// Why there is no key.
#[derive(Debug)]
pub(super) struct KeyError {
    pub(super) result: DkimResult,
    pub(super) reason: String,
    pub(super) record: Option<String>,
}

/// Asks for the key of a signature.
pub(super) async fn fetch(
    inquiry: &Inquiry<'_>,
    signature: &Signature,
) -> Result<(Key, String), KeyError> {
    let name = format!("{}._domainkey.{}", signature.selector, signature.domain);
    let texts = inquiry.txt(&name).await.map_err(|cause| {
        let result =
            if cause.is_temporary() { DkimResult::TempError } else { DkimResult::PermError };
        KeyError { result, reason: format!("the key at {name}: {cause}"), record: None }
    })?;
    // §3.6.2.2: of several records any may be taken; the first that can be read is.
    let mut last = None;
    for text in texts.iter().take(limits::SPF_NAMES) {
        let record = shortened(&String::from_utf8_lossy(text));
        match Key::parse(text, signature) {
            Ok(key) => return Ok((key, record)),
            Err(why) => last = last.or(Some((why, record))),
        }
    }
    let (why, record) = last.unwrap_or(("no record", String::new()));
    let reason = format!("the key at {name}: {why}");
    Err(KeyError { result: DkimResult::PermError, reason, record: Some(record) })
}

impl Key {
    fn parse(text: &[u8], signature: &Signature) -> Result<Self, &'static str> {
        let list = tags(text)?;
        // §3.6.1: v=, where it is, comes first.
        match list.iter().position(|(name, _)| *name == "v") {
            Some(0) if tag(&list, "v") == Some("DKIM1") => {}
            None => {}
            Some(_) => return Err("not a record of version DKIM1"),
        }
        let rsa = match tag(&list, "k").unwrap_or("rsa").to_ascii_lowercase().as_str() {
            "rsa" => true,
            "ed25519" => false,
            _ => return Err("k= names a kind of key that is not known"),
        };
        if rsa != (signature.algorithm == Algorithm::RsaSha256) {
            return Err("the key is of another kind than the signature");
        }
        let has = |name: &str, wanted: &[&str]| match tag(&list, name) {
            Some(value) => value.split(':').any(|one| wanted.contains(&one.trim())),
            None => true,
        };
        if !has("h", &["sha256"]) {
            return Err("h= does not allow sha256");
        }
        if !has("s", &["*", "email"]) {
            return Err("s= does not allow mail");
        }
        let flag = |wanted: &str| tag(&list, "t").is_some() && has("t", &[wanted]);
        let host = signature.identity.rsplit_once('@').map_or("", |(_, host)| host);
        if flag("s") && !host.eq_ignore_ascii_case(&signature.domain) {
            return Err("t=s allows no i= below d=");
        }
        let text = tag(&list, "p").ok_or("p= is missing")?;
        if text.is_empty() {
            return Err("the key has been withdrawn");
        }
        let data = base64(text).ok_or("p= is not base64")?;
        if data.len() > limits::DKIM_KEY {
            return Err("the key is too long");
        }
        // RFC 8463 §4.2.
        if !rsa && data.len() != 32 {
            return Err("the key is not one of Ed25519");
        }
        Ok(Key { data, testing: flag("y"), rsa })
    }

    /// RSA with fewer than 1024 bits: even bare, such a key is shorter than 140 octets.
    pub(super) fn is_short(&self) -> bool {
        self.rsa && self.data.len() < 140
    }
}
