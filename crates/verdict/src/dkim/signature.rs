//! A DKIM-Signature field, read (RFC 6376 §3.5). What makes it worth nothing is found here, before
//! anything is hashed or asked.

use base64::Engine as _;
use message::dkim::{Canonicalization, tag, tags, without_space};

use super::hash::Wanted;
use super::{DkimResult, form};
use crate::limits;

/// A signature that can be verified.
#[derive(Debug)]
pub(super) struct Signature {
    pub(super) algorithm: Algorithm,
    pub(super) signature: Vec<u8>,
    pub(super) signature_text: String,
    pub(super) body_hash: Vec<u8>,
    pub(super) header_form: Canonicalization,
    pub(super) body_form: Canonicalization,
    /// Lower case.
    pub(super) domain: String,
    pub(super) identity: String,
    pub(super) selector: String,
    pub(super) signed_fields: Vec<String>,
    pub(super) length: Option<u64>,
}

/// RFC 8301 §3.1, RFC 8463 §3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Algorithm {
    RsaSha256,
    Ed25519Sha256,
}

/// Why a signature is not verified.
#[derive(Debug)]
pub(super) struct SignatureError {
    pub(super) result: DkimResult,
    pub(super) reason: String,
    pub(super) domain: String,
}

impl Signature {
    /// Reads the value of the field.
    pub(super) fn parse(value: &[u8], now: u64) -> Result<Self, SignatureError> {
        let mut domain = String::new();
        let read = Self::read(value, now, &mut domain);
        read.map_err(|(result, reason)| SignatureError { result, reason, domain })
    }

    fn read(value: &[u8], now: u64, own: &mut String) -> Result<Self, (DkimResult, String)> {
        let neutral = |why: &str| (DkimResult::Neutral, why.to_owned());
        if value.len() > limits::DKIM_FIELD {
            return Err(neutral("the field is too long"));
        }
        let list = tags(value).map_err(neutral)?;
        let required = |name: &str| match tag(&list, name) {
            Some("") | None => Err((DkimResult::Neutral, format!("the tag {name}= is missing"))),
            Some(value) => Ok(value),
        };
        let domain = required("d")?.to_ascii_lowercase();
        if !domain.contains('.') || !domain.bytes().all(|octet| octet.is_ascii_graphic()) {
            return Err(neutral("d= is no domain"));
        }
        *own = domain.clone();
        if required("v")? != "1" {
            return Err(neutral("the version is not 1"));
        }
        let algorithm = algorithm(required("a")?)?;
        let (header_form, body_form) = forms(tag(&list, "c"))?;
        let selector = required("s")?.to_ascii_lowercase();
        let identity = match tag(&list, "i") {
            Some(identity) => without_space(identity),
            None => format!("@{domain}"),
        };
        let at = identity.rsplit_once('@').map(|(_, host)| host.to_ascii_lowercase());
        // §3.5: i= is d= or below it.
        if !at.is_some_and(|host| is_within(&host, &domain)) {
            return Err(neutral("i= is not within d="));
        }
        let signed_fields: Vec<String> =
            required("h")?.split(':').map(|name| name.trim().to_owned()).collect();
        if signed_fields.len() > limits::DKIM_SIGNED_FIELDS {
            return Err(neutral("h= names too many fields"));
        }
        // §5.4: From has to be among them.
        if !signed_fields.iter().any(|name| name.eq_ignore_ascii_case("from")) {
            return Err((DkimResult::PermError, "From is not signed".to_owned()));
        }
        if let Some(query) = tag(&list, "q")
            && !query.split(':').any(|method| method.trim() == "dns/txt")
        {
            return Err(neutral("q= names no way to the key that is known here"));
        }
        let length = number(tag(&list, "l")).map_err(neutral)?;
        check_times(&list, now)?;
        let text = without_space(required("b")?);
        Ok(Signature {
            algorithm,
            signature: base64(&text).ok_or_else(|| neutral("b= is not base64"))?,
            signature_text: text,
            body_hash: base64(required("bh")?).ok_or_else(|| neutral("bh= is not base64"))?,
            header_form,
            body_form,
            domain,
            identity,
            selector,
            signed_fields,
            length,
        })
    }

    pub(super) fn wanted(&self) -> Wanted {
        Wanted { form: self.body_form, length: self.length }
    }
}

impl Algorithm {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Algorithm::RsaSha256 => "rsa-sha256",
            Algorithm::Ed25519Sha256 => "ed25519-sha256",
        }
    }
}

fn algorithm(name: &str) -> Result<Algorithm, (DkimResult, String)> {
    match name.to_ascii_lowercase().as_str() {
        "rsa-sha256" => Ok(Algorithm::RsaSha256),
        "ed25519-sha256" => Ok(Algorithm::Ed25519Sha256),
        // RFC 8301 §3.1: it proves nothing any more.
        "rsa-sha1" => Err((DkimResult::PermError, "rsa-sha1 is not believed".to_owned())),
        _ => Err((DkimResult::Neutral, "a= names an algorithm that is not known".to_owned())),
    }
}

/// `c=header/body`; what is not said is simple.
fn forms(
    value: Option<&str>,
) -> Result<(Canonicalization, Canonicalization), (DkimResult, String)> {
    let value = value.unwrap_or("simple/simple").to_ascii_lowercase();
    let (header, body) = value.split_once('/').unwrap_or((&value, "simple"));
    match (form(header.trim()), form(body.trim())) {
        (Some(header), Some(body)) => Ok((header, body)),
        _ => Err((DkimResult::Neutral, "c= names a form that is not known".to_owned())),
    }
}

/// §3.5: `t=` not in the future, `x=` not in the past and after `t=`.
fn check_times(list: &[(&str, &str)], now: u64) -> Result<(), (DkimResult, String)> {
    let neutral = |why: &str| (DkimResult::Neutral, why.to_owned());
    let made = number(tag(list, "t")).map_err(neutral)?;
    let expires = number(tag(list, "x")).map_err(neutral)?;
    if made.is_some_and(|made| made > now.saturating_add(limits::DKIM_CLOCK_SKEW)) {
        return Err((DkimResult::Policy, "the signature is from the future".to_owned()));
    }
    match (made, expires) {
        (Some(made), Some(expires)) if expires < made => {
            Err(neutral("the signature expires before it was made"))
        }
        (_, Some(expires)) if expires < now => {
            Err((DkimResult::Policy, "the signature has expired".to_owned()))
        }
        _ => Ok(()),
    }
}

fn number(value: Option<&str>) -> Result<Option<u64>, &'static str> {
    let Some(value) = value else { return Ok(None) };
    let is_number = !value.is_empty() && value.bytes().all(|octet| octet.is_ascii_digit());
    match value.parse() {
        Ok(number) if is_number => Ok(Some(number)),
        // §3.5: more digits than we can count are as good as the greatest number.
        Err(_) if is_number => Ok(Some(u64::MAX)),
        _ => Err("a number is none"),
    }
}

/// Base64 as letters have it: folded, with or without its padding.
pub(super) fn base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet::STANDARD;
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    GeneralPurpose::new(&STANDARD, config).decode(without_space(text)).ok()
}

/// Whether `host` is `domain` or below it; both lower case.
pub(super) fn is_within(host: &str, domain: &str) -> bool {
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}
