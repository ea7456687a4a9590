//! The demo's certificate authority: the hosts of its world show real certificates, and everyone
//! in it checks them. Called by `demo::world`.

use std::net::IpAddr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType,
};

use service::Fatal;

use super::fault;

/// An authority with a key of its own that lives as long as the demo.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    /// A new authority.
    pub(super) fn new() -> Result<Authority, Fatal> {
        let key = KeyPair::generate().map_err(unsigned)?;
        let mut params = CertificateParams::new(Vec::<String>::new()).map_err(unsigned)?;
        params.distinguished_name.push(DnType::CommonName, "Posthaste demo authority");
        // RFC 5280 §4.2.1.9: it signs hosts, not further authorities.
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let pem = params.self_signed(&key).map_err(unsigned)?.pem();
        Ok(Authority { issuer: Issuer::new(params, key), pem })
    }

    /// Its certificate, PEM.
    pub(super) fn pem(&self) -> &str {
        &self.pem
    }

    /// Certificate and key for a host in the folder, as `tls.crt` and `tls.key`: `init` keeps what
    /// it finds there.
    pub(super) fn issue(&self, host: &str, ip: IpAddr, folder: &Path) -> Result<(), Fatal> {
        let pair = KeyPair::generate().map_err(unsigned)?;
        let mut params = CertificateParams::new(vec![host.to_owned()]).map_err(unsigned)?;
        params.distinguished_name.push(DnType::CommonName, host);
        params.subject_alt_names.push(SanType::IpAddress(ip));
        let signed = params.signed_by(&pair, &self.issuer).map_err(unsigned)?;
        super::world::write(&folder.join("tls.key"), pair.serialize_pem().as_bytes())?;
        super::world::write(&folder.join("tls.crt"), signed.pem().as_bytes())
    }
}

fn unsigned(error: rcgen::Error) -> Fatal {
    fault(format!("no certificate can be made: {error}"))
}
