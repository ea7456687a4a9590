//! The keys of a domain: a certificate for TLS, and two for DKIM. Keys that are there are kept;
//! what they publish is read from them. Called by `init`.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{
    CertificateParams, DnType, KeyPair, PKCS_ED25519, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize,
    SanType,
};
use service::Fatal;

use super::Record;
use super::layout::{Plan, ensure_file, ensure_folder};
use crate::exit;

/// RFC 8301 §3.2: at least 1024 bits, 2048 for those who sign.
const RSA_SELECTOR: &str = "posthaste-rsa-1";
/// RFC 8463: smaller and faster; receivers that do not know it yet use the other.
const ED25519_SELECTOR: &str = "posthaste-ed25519-1";

/// Makes the keys that are missing; gives the DKIM records of all.
pub(super) fn ensure(plan: &Plan, made: &mut Vec<String>) -> Result<Vec<Record>, Fatal> {
    certificate(plan, made)?;
    let folder = plan.keys().join("dkim").join(plan.domain.to_string());
    ensure_folder(&folder, made)?;
    let rsa = dkim(&folder.join(format!("{RSA_SELECTOR}.pem")), made, || {
        KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)
    })?;
    let ed25519 = dkim(&folder.join(format!("{ED25519_SELECTOR}.pem")), made, || {
        KeyPair::generate_for(&PKCS_ED25519)
    })?;
    // RFC 6376 §3.6.1: RSA keys as SubjectPublicKeyInfo. RFC 8463 §4: Ed25519 keys bare.
    let rsa = format!("v=DKIM1; k=rsa; p={}", STANDARD.encode(rsa.subject_public_key_info()));
    let ed25519 = format!("v=DKIM1; k=ed25519; p={}", STANDARD.encode(ed25519.public_key_raw()));
    let name = |selector: &str| format!("{selector}._domainkey.{}", plan.domain);
    Ok(vec![Record::txt(name(RSA_SELECTOR), rsa), Record::txt(name(ED25519_SELECTOR), ed25519)])
}

/// A DKIM key, made if it is not there.
fn dkim(
    path: &Path,
    made: &mut Vec<String>,
    generate: impl FnOnce() -> Result<KeyPair, rcgen::Error>,
) -> Result<KeyPair, Fatal> {
    ensure_file(path, made, || {
        Ok(generate().map_err(|error| unmade(path, &error))?.serialize_pem())
    })?;
    let pem = std::fs::read_to_string(path)
        .map_err(|error| Fatal::io(&path.display().to_string(), &error))?;
    KeyPair::from_pem(&pem).map_err(|error| unmade(path, &error))
}

/// A certificate that signs itself: enough for mail between servers, and for clients whose owner
/// says so, until a real one takes its place.
fn certificate(plan: &Plan, made: &mut Vec<String>) -> Result<(), Fatal> {
    let (certificate, key) = (plan.keys().join("tls.crt"), plan.keys().join("tls.key"));
    if certificate.exists() {
        return Ok(());
    }
    let pair = if key.exists() {
        let pem = std::fs::read_to_string(&key)
            .map_err(|error| Fatal::io(&key.display().to_string(), &error))?;
        KeyPair::from_pem(&pem)
    } else {
        KeyPair::generate()
    };
    let pair = pair.map_err(|error| unmade(&key, &error))?;
    ensure_file(&key, made, || Ok(pair.serialize_pem()))?;
    let host = plan.hostname.to_string();
    let signed = CertificateParams::new(vec![host.clone()]).and_then(|mut params| {
        params.distinguished_name.push(DnType::CommonName, host);
        // People try things out by address.
        if let Some(bind) = plan.bind.filter(|bind| !bind.is_unspecified()) {
            params.subject_alt_names.push(SanType::IpAddress(bind));
        }
        params.self_signed(&pair)
    });
    let signed = signed.map_err(|error| unmade(&certificate, &error))?;
    ensure_file(&certificate, made, || Ok(signed.pem()))
}

fn unmade(path: &Path, error: &rcgen::Error) -> Fatal {
    let what = format!("{}: the key cannot be made or read: {error}", path.display());
    Fatal::new(exit::NO, what)
}
