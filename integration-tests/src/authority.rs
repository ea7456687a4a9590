//! A certificate authority for the hosts of a test.

use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, SanType,
};

use crate::address::Address;

/// An authority that vouches for whatever a test wants.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority with a key of its own.
    pub fn new() -> Authority {
        let key = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names, no fault");
        params.distinguished_name.push(DnType::CommonName, "Posthaste test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).expect("a certificate can be signed").pem();
        Authority { issuer: Issuer::new(params, key), pem }
    }

    /// The authority's certificate, PEM: what `tls.extra_roots_file` holds.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// A certificate for a name, good from the first to the second year, and its key, PEM.
    pub fn sign(&self, name: &str, years: (i32, i32)) -> (String, String) {
        let pair = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a host name");
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let signed = params.signed_by(&pair, &self.issuer).expect("a certificate can be signed");
        (signed.pem(), pair.serialize_pem())
    }

    /// A certificate of a person, which names a mailbox, and its key, PEM.
    pub fn sign_person(&self, mailbox: &str) -> (String, String) {
        let pair = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(Vec::new()).expect("no names, no fault");
        let name = mailbox.try_into().expect("ASCII");
        params.subject_alt_names.push(SanType::Rfc822Name(name));
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let signed = params.signed_by(&pair, &self.issuer).expect("a certificate can be signed");
        (signed.pem(), pair.serialize_pem())
    }

    /// Writes a certificate for the host (its name and its address) and its key, PEM.
    pub fn issue(&self, host: &str, address: &Address, certificate: &Path, key: &Path) {
        let pair = KeyPair::generate().expect("a key can be made");
        let mut params = CertificateParams::new(vec![host.to_owned()]).expect("a host name");
        params.subject_alt_names.push(SanType::IpAddress(address.ip()));
        params.distinguished_name.push(DnType::CommonName, host);
        let signed = params.signed_by(&pair, &self.issuer).expect("a certificate can be signed");
        std::fs::write(certificate, signed.pem()).expect("the folder is writable");
        std::fs::write(key, pair.serialize_pem()).expect("the folder is writable");
    }
}

impl Default for Authority {
    fn default() -> Self {
        Authority::new()
    }
}
