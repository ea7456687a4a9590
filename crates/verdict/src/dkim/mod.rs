//! DomainKeys Identified Mail (RFC 6376, 8301, 8463): which domains stand for this letter, as it is
//! now. `signature` reads the fields, `key` the records in DNS, `hash` goes through the body once
//! for all signatures. It signs nothing, and what follows from a result is for the caller.

mod hash;
mod key;
mod signature;
#[cfg(test)]
mod tests;

use std::fmt;

use aws_lc_rs::signature as crypto;
use disk::Body;
use message::dkim::{Canonicalization, header_field, without_signature};
use message::header;

use self::hash::Wanted;
use self::key::{Key, KeyError};
use self::signature::{Algorithm, Signature, SignatureError};
use crate::limits;
use crate::lookup::Inquiry;

/// RFC 8601 §2.7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DkimResult {
    /// The domain stands for the letter.
    Pass,
    /// Letter, signature and key do not go together.
    Fail,
    /// It may be right, and is not taken here: expired, or part of the letter only.
    Policy,
    /// The signature cannot be read.
    Neutral,
    /// The key could not be asked for now.
    TempError,
    /// There is no usable key, or the signature is of a kind that proves nothing.
    PermError,
}

/// What one signature came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dkim {
    /// The result.
    pub result: DkimResult,
    /// Why.
    pub reason: String,
    /// The domain that signs (`d=`), lower case; empty where it cannot be read.
    pub domain: String,
    /// On whose behalf (`i=`).
    pub identity: String,
    /// Which key (`s=`).
    pub selector: String,
    /// How (`a=`).
    pub algorithm: String,
    /// The first eight characters of the signature, which tell several apart (RFC 8601 §2.7.1).
    pub start: String,
    /// The record of the key, as it stands.
    pub record: Option<String>,
    /// The domain says that it only tests (`t=y`).
    pub testing: bool,
}

/// A letter to be verified.
#[derive(Debug, Clone, Copy)]
pub struct Letter<'a> {
    /// The header block as it came, with the empty line.
    pub header: &'a [u8],
    /// The whole letter, header and all.
    pub whole: &'a Body,
}

/// Verifies the signatures of a letter, the first [`limits::DKIM_SIGNATURES`] of them, in the order
/// of the header. `now` is in seconds since 1970.
///
/// # Errors
/// When the letter cannot be read.
pub async fn verify(
    inquiry: &Inquiry<'_>,
    letter: Letter<'_>,
    now: u64,
) -> Result<Vec<Dkim>, disk::Error> {
    let block = letter.header;
    let fields: Vec<header::Field> = header::fields(block).collect();
    let mut signatures: Vec<(Signature, usize)> = Vec::new();
    let mut results = Vec::new();
    let signed = fields.iter().enumerate().filter(|(_, f)| f.is(block, "DKIM-Signature"));
    for (place, field) in signed.take(limits::DKIM_SIGNATURES) {
        match Signature::parse(field.value(block), now) {
            Ok(signature) => signatures.push((signature, place)),
            Err(error) => results.push((place, unreadable(error))),
        }
    }
    if signatures.is_empty() {
        return Ok(results.into_iter().map(|(_, result)| result).collect());
    }
    let wanted: Vec<Wanted> = signatures.iter().map(|(signature, _)| signature.wanted()).collect();
    let hashes = hash::bodies(letter.whole, block.len(), &wanted).await?;
    for ((signature, place), hash) in signatures.iter().zip(hashes) {
        let check = Check { signature, block, fields: &fields, place: *place };
        let result = check.run(inquiry, &hash).await;
        results.push((*place, result));
    }
    results.sort_by_key(|(place, _)| *place);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

fn unreadable(error: SignatureError) -> Dkim {
    Dkim {
        result: error.result,
        reason: error.reason,
        domain: error.domain,
        identity: String::new(),
        selector: String::new(),
        algorithm: String::new(),
        start: String::new(),
        record: None,
        testing: false,
    }
}

/// One signature beside the letter it stands in.
struct Check<'a> {
    signature: &'a Signature,
    block: &'a [u8],
    fields: &'a [header::Field],
    place: usize,
}

impl Check<'_> {
    async fn run(&self, inquiry: &Inquiry<'_>, hash: &hash::BodyHash) -> Dkim {
        let signature = self.signature;
        let mut found = Dkim {
            result: DkimResult::Fail,
            reason: String::new(),
            domain: signature.domain.clone(),
            identity: signature.identity.clone(),
            selector: signature.selector.clone(),
            algorithm: signature.algorithm.as_str().to_owned(),
            start: signature.signature_text.chars().take(8).collect(),
            record: None,
            testing: false,
        };
        if hash.digest.as_slice() != signature.body_hash.as_slice() {
            found.reason = "the body was changed: its hash is another one".to_owned();
            return found;
        }
        let key = match key::fetch(inquiry, signature).await {
            Ok((key, record)) => {
                found.record = Some(record);
                key
            }
            Err(KeyError { result, reason, record }) => {
                return Dkim { result, reason, record, ..found };
            }
        };
        found.testing = key.testing;
        if !self.verifies(&key) {
            found.reason = if key.is_short() {
                found.result = DkimResult::PermError;
                format!("the key is shorter than {} bits", limits::DKIM_RSA_BITS)
            } else {
                "the header was changed, or the key is another one".to_owned()
            };
            return found;
        }
        match signature.length {
            // RFC 6376 §8.2: what follows the signed octets may be anything.
            Some(length) if length < hash.octets => {
                found.result = DkimResult::Policy;
                found.reason = format!("only {length} of {} octets are signed", hash.octets);
            }
            _ => {
                found.result = DkimResult::Pass;
                found.reason = format!("{} verifies", signature.algorithm.as_str());
            }
        }
        found
    }

    fn verifies(&self, key: &Key) -> bool {
        let data = self.signed_data();
        let signature = &self.signature.signature;
        match self.signature.algorithm {
            Algorithm::RsaSha256 => {
                let method = &crypto::RSA_PKCS1_1024_8192_SHA256_FOR_LEGACY_USE_ONLY;
                crypto::UnparsedPublicKey::new(method, &key.data).verify(&data, signature).is_ok()
            }
            // RFC 8463 §3: the hash of the data is what Ed25519 signs.
            Algorithm::Ed25519Sha256 => {
                let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &data);
                crypto::UnparsedPublicKey::new(&crypto::ED25519, &key.data)
                    .verify(digest.as_ref(), signature)
                    .is_ok()
            }
        }
    }

    /// What was signed of the header (RFC 6376 §3.7): the fields that `h=` names, the last of a
    /// name first, then the signature's own field without its signature and line end.
    fn signed_data(&self) -> Vec<u8> {
        let mode = self.signature.header_form;
        let mut data = Vec::with_capacity(self.block.len().min(8192));
        let mut used = vec![false; self.fields.len()];
        for name in &self.signature.signed_fields {
            let next = self.fields.iter().zip(used.iter_mut()).rev();
            let mut unused = next.filter(|(field, used)| !**used && field.is(self.block, name));
            if let Some((field, used)) = unused.next() {
                *used = true;
                header_field(mode, field.whole(self.block), &mut data);
            }
        }
        if let Some(own) = self.fields.get(self.place) {
            header_field(mode, &without_signature(own.whole(self.block)), &mut data);
        }
        if data.ends_with(b"\r\n") {
            data.truncate(data.len() - 2);
        }
        data
    }
}

impl DkimResult {
    /// As in Authentication-Results (RFC 8601 §2.7.1).
    pub fn as_str(self) -> &'static str {
        match self {
            DkimResult::Pass => "pass",
            DkimResult::Fail => "fail",
            DkimResult::Policy => "policy",
            DkimResult::Neutral => "neutral",
            DkimResult::TempError => "temperror",
            DkimResult::PermError => "permerror",
        }
    }
}

impl fmt::Display for DkimResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The two forms that `c=` names.
fn form(name: &str) -> Option<Canonicalization> {
    match name {
        "simple" => Some(Canonicalization::Simple),
        "relaxed" => Some(Canonicalization::Relaxed),
        _ => None,
    }
}
