//! Whose certificate it is: the mailboxes that a certificate names (rfc822Name of its
//! subjectAltName, RFC 5280 §4.2.1.6). It reads DER as far as that needs and checks nothing: the
//! chain has been verified before `tls` asks.

/// The mailboxes in a certificate, in its order; none where it has no such names or is not DER.
pub(crate) fn of(certificate: &[u8]) -> Vec<String> {
    names(certificate).unwrap_or_default()
}

fn names(certificate: &[u8]) -> Option<Vec<String>> {
    let (whole, _) = element(certificate, SEQUENCE)?;
    let (mut fields, _) = element(whole, SEQUENCE)?;
    let mut extensions = None;
    while let Some((tag, content, rest)) = next(fields) {
        if tag == EXTENSIONS {
            extensions = Some(content);
        }
        fields = rest;
    }
    let (mut extensions, _) = element(extensions?, SEQUENCE)?;
    while let Some((SEQUENCE, extension, rest)) = next(extensions) {
        extensions = rest;
        let (identifier, mut value) = element(extension, OBJECT_IDENTIFIER)?;
        if identifier != SUBJECT_ALT_NAME {
            continue;
        }
        if let Some((_, after)) = element(value, BOOLEAN) {
            value = after;
        }
        let (octets, _) = element(value, OCTET_STRING)?;
        let (general_names, _) = element(octets, SEQUENCE)?;
        return Some(mailboxes(general_names));
    }
    None
}

fn mailboxes(mut general_names: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((tag, content, rest)) = next(general_names) {
        general_names = rest;
        // An IA5String; what is not ASCII, or has control characters, is nobody's name.
        let printable = content.iter().all(u8::is_ascii_graphic);
        if tag == RFC822_NAME && printable && found.len() < crate::limits::CLIENT_MAILBOXES {
            found.extend(std::str::from_utf8(content).ok().map(str::to_owned));
        }
    }
    found
}

/// The content of the element that must come next, and what follows it.
fn element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    next(der).filter(|(found, ..)| *found == tag).map(|(_, content, rest)| (content, rest))
}

/// Tag, content and rest. Tags of more than one octet do not occur in certificates.
fn next(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (octets, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            let length = octets.iter().fold(0, |sum, octet| sum << 8 | usize::from(*octet));
            (length, rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

const BOOLEAN: u8 = 0x01;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// `[3]`, explicit.
const EXTENSIONS: u8 = 0xa3;
/// `[1]`, implicit.
const RFC822_NAME: u8 = 0x81;
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(names: Vec<SanType>) -> Vec<u8> {
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.subject_alt_names = names;
        let key = KeyPair::generate().expect("a key");
        params.self_signed(&key).expect("signed").der().to_vec()
    }

    fn mail(name: &str) -> SanType {
        SanType::Rfc822Name(name.try_into().expect("ASCII"))
    }

    #[test]
    fn mailboxes_are_found_among_other_names() {
        let host = SanType::DnsName("host.test".try_into().expect("ASCII"));
        let both = certificate(vec![host.clone(), mail("ann@red.test"), mail("bob@red.test")]);
        assert_eq!(of(&both), ["ann@red.test", "bob@red.test"]);
        assert!(of(&certificate(vec![host])).is_empty());
        assert!(of(&certificate(Vec::new())).is_empty());
        assert!(of(&certificate(vec![mail("a b@red.test")])).is_empty());
    }

    #[test]
    fn anything_cut_off_or_changed_is_no_panic() {
        let good = certificate(vec![mail("ann@red.test")]);
        for end in 0..good.len() {
            assert!(of(&good[..end]).is_empty());
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0xff;
            let _ = of(&bad);
        }
    }
}
