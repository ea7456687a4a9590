//! DANE for mail (RFC 7672): whether a server's certificates are those that DNS names. It asks no
//! DNS; whoever calls it has seen to it that the records are proven by DNSSEC.

use std::sync::Arc;

use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256, Sha512};

use crate::dns::Tlsa;
use crate::tls;

/// Certificates of a chain that are looked at.
const CHAIN: usize = 16;

/// DANE-TA(2): an authority of the domain's own choice. RFC 7672 §3.1.2.
const TRUST_ANCHOR: u8 = 2;

/// DANE-EE(3): the server's own certificate or key. RFC 7672 §3.1.1.
const END_ENTITY: u8 = 3;

impl Tlsa {
    /// Whether mail can use it: usages 0 and 1 ask for authorities that nobody agreed upon (RFC
    /// 7672 §3.1.3), other selectors and matching types are not known.
    pub fn is_usable(&self) -> bool {
        matches!(self.usage, TRUST_ANCHOR | END_ENTITY)
            && matches!(self.selector, 0 | 1)
            && match self.matching {
                0 => !self.data.is_empty(),
                1 => self.data.len() == 32,
                2 => self.data.len() == 64,
                _ => false,
            }
    }

    /// Whether it names this certificate.
    fn names(&self, certificate: &CertificateDer<'_>) -> bool {
        let of_data = |data: &[u8]| match self.matching {
            0 => data == self.data,
            1 => Sha256::digest(data).as_slice() == self.data,
            2 => Sha512::digest(data).as_slice() == self.data,
            _ => false,
        };
        match self.selector {
            0 => of_data(certificate.as_ref()),
            1 => ParsedCertificate::try_from(certificate)
                .is_ok_and(|parsed| of_data(parsed.subject_public_key_info().as_ref())),
            _ => false,
        }
    }
}

impl std::fmt::Display for Tlsa {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let data = self.data.iter().take(6).map(|byte| format!("{byte:02x}")).collect::<String>();
        write!(f, "{} {} {} {data}...", self.usage, self.selector, self.matching)
    }
}

/// Whether the chain that a server showed satisfies one of the records: one match suffices (RFC
/// 7672 §3.1), of either usage.
///
/// # Errors
/// Why not, in words for people.
pub fn judge(
    chain: &[CertificateDer<'_>],
    records: &[Tlsa],
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), String> {
    let Some((end_entity, intermediates)) = chain.split_first() else {
        return Err("the server showed no certificate".to_owned());
    };
    let usable = || records.iter().filter(|record| record.is_usable());
    // RFC 7672 §3.1.1: names and times in the certificate do not count here.
    if usable().any(|it| it.usage == END_ENTITY && it.names(end_entity)) {
        return Ok(());
    }
    let mut reason = "none of the TLSA records names the certificate".to_owned();
    let anchors = usable().filter(|it| it.usage == TRUST_ANCHOR);
    for record in anchors {
        for anchor in chain.iter().take(CHAIN).filter(|it| record.names(it)) {
            match below(anchor, (end_entity, intermediates), name, now) {
                Ok(()) => return Ok(()),
                Err(why) => reason = format!("below the anchor that TLSA names: {why}"),
            }
        }
    }
    Err(reason)
}

/// Whether the chain leads to this anchor and is for this name and time (RFC 7672 §3.1.2, §3.2).
fn below(
    anchor: &CertificateDer<'_>,
    (end_entity, intermediates): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    name: &ServerName<'_>,
    now: UnixTime,
) -> Result<(), String> {
    let mut store = RootCertStore::empty();
    store.add(anchor.clone().into_owned()).map_err(|error| tls::plain_reason(&error))?;
    let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(store), tls::provider())
        .build()
        .map_err(|error| error.to_string())?;
    verifier
        .verify_server_cert(end_entity, intermediates, name, &[], now)
        .map(drop)
        .map_err(|error| tls::plain_reason(&error))
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

    use super::*;

    struct Chain {
        chain: Vec<CertificateDer<'static>>,
    }

    /// A server's certificate below an authority of its own.
    fn chain(name: &str, years: (i32, i32)) -> Chain {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("signed").der().clone();
        let issuer = Issuer::new(params, key);
        let leaf_key = KeyPair::generate().expect("a key");
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        leaf.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        leaf.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let leaf = leaf.signed_by(&leaf_key, &issuer).expect("signed").der().clone();
        Chain { chain: vec![leaf, authority] }
    }

    impl Chain {
        fn record(&self, usage: u8, selector: u8, matching: u8, of: usize) -> Tlsa {
            let certificate = &self.chain[of];
            let data = match selector {
                0 => certificate.to_vec(),
                _ => ParsedCertificate::try_from(certificate)
                    .expect("a certificate")
                    .subject_public_key_info()
                    .to_vec(),
            };
            let data = match matching {
                0 => data,
                1 => Sha256::digest(&data).to_vec(),
                _ => Sha512::digest(&data).to_vec(),
            };
            Tlsa { usage, selector, matching, data }
        }

        fn judge(&self, records: &[Tlsa], name: &str) -> Result<(), String> {
            let name = ServerName::try_from(name.to_owned()).expect("a name");
            let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(1_795_000_000));
            judge(&self.chain, records, &name, now)
        }
    }

    #[test]
    fn every_selector_and_matching_type_of_both_usages() {
        let good = chain("mx.test", (2026, 2030));
        for selector in [0, 1] {
            for matching in [0, 1, 2] {
                let ee = good.record(3, selector, matching, 0);
                assert_eq!(good.judge(&[ee], "mx.test"), Ok(()), "3 {selector} {matching}");
                let ta = good.record(2, selector, matching, 1);
                assert_eq!(good.judge(&[ta], "mx.test"), Ok(()), "2 {selector} {matching}");
            }
        }
    }

    #[test]
    fn name_and_time_count_for_an_anchor_and_not_for_an_end_entity() {
        let old = chain("other.test", (2020, 2021));
        assert_eq!(old.judge(&[old.record(3, 1, 1, 0)], "mx.test"), Ok(()));
        assert!(old.judge(&[old.record(2, 0, 1, 1)], "other.test").is_err(), "expired");
        let named = chain("other.test", (2026, 2030));
        let ta = named.record(2, 0, 1, 1);
        assert!(named.judge(std::slice::from_ref(&ta), "mx.test").is_err(), "another name");
        assert_eq!(named.judge(&[ta], "other.test"), Ok(()));
    }

    #[test]
    fn one_match_suffices_and_none_is_a_no() {
        let good = chain("mx.test", (2026, 2030));
        let foreign = chain("mx.test", (2026, 2030));
        let wrong = foreign.record(3, 1, 1, 0);
        assert!(good.judge(std::slice::from_ref(&wrong), "mx.test").is_err());
        assert!(good.judge(&[foreign.record(2, 0, 1, 1)], "mx.test").is_err(), "not in the chain");
        assert_eq!(good.judge(&[wrong, good.record(2, 1, 2, 1)], "mx.test"), Ok(()));
        // The server's own certificate is no anchor unless it is named by usage 3.
        assert!(good.judge(&[good.record(3, 1, 1, 1)], "mx.test").is_err());
    }

    #[test]
    fn what_mail_cannot_use() {
        let good = chain("mx.test", (2026, 2030));
        let usable = |usage, selector, matching, data: &[u8]| {
            Tlsa { usage, selector, matching, data: data.to_vec() }.is_usable()
        };
        assert!(good.record(3, 1, 1, 0).is_usable());
        assert!(!usable(1, 1, 1, &[0; 32]) && !usable(0, 1, 1, &[0; 32]));
        assert!(!usable(3, 2, 1, &[0; 32]) && !usable(3, 1, 3, &[0; 32]));
        assert!(!usable(3, 1, 1, &[0; 31]) && !usable(3, 0, 0, &[]));
        let pkix = Tlsa { usage: 1, ..good.record(3, 1, 1, 0) };
        assert!(good.judge(&[pkix], "mx.test").is_err());
    }
}
