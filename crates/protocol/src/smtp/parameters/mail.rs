//! The parameters of MAIL: SIZE, BODY, SMTPUTF8, AUTH, RET, ENVID, REQUIRETLS, HOLDFOR and
//! HOLDUNTIL, our XRECALL for who submits, and our private XJOURNEY and XHOLD, which exist on the
//! Unix sockets between our own agents only.

use std::fmt::Write as _;

use super::super::capabilities::SizeOffer;
use super::{
    Capabilities, DsnReturn, ParameterError, dsn, once, pairs, printed_xtext, unknown, xtext,
};
use crate::address::Address;
use crate::journey::JourneyId;
use crate::time::Timestamp;

/// What came with MAIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MailParameters {
    /// SIZE: octets the client declares. RFC 1870 §5.
    pub size: Option<u64>,
    /// BODY. RFC 6152 §2.
    pub body: Option<BodyType>,
    /// SMTPUTF8: envelope or header may hold UTF-8. RFC 6531 §3.4.
    pub smtputf8: bool,
    /// AUTH: who submitted the letter. RFC 4954 §5.
    pub auth: Option<AuthParameter>,
    /// RET. RFC 3461 §4.3.
    pub ret: Option<DsnReturn>,
    /// ENVID, decoded. RFC 3461 §4.4.
    pub envid: Option<Box<str>>,
    /// REQUIRETLS: TLS on the whole way, or not at all. RFC 8689 §2.
    pub requiretls: bool,
    /// HOLDFOR or HOLDUNTIL: when it may leave. RFC 4865 §5.
    pub release: Option<Release>,
    /// XRECALL: nothing is sent; this letter, which waits, is taken back.
    pub recall: Option<JourneyId>,
    /// XJOURNEY: the letter already has a journey.
    pub journey: Option<JourneyId>,
    /// XHOLD: keep the letter in the queue, for this reason.
    pub hold: Option<Box<str>>,
}

/// The value of BODY.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyType {
    /// 7BIT
    SevenBit,
    /// 8BITMIME
    EightBitMime,
}

/// When a letter may leave (RFC 4865 §5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// HOLDFOR: so many seconds after it was handed in.
    After(u64),
    /// HOLDUNTIL: at this time.
    At(Timestamp),
}

/// The value of AUTH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AuthParameter {
    /// `<>`: not known, or not trusted.
    Unknown,
    /// The account that submitted the letter.
    Account(Address),
}

impl MailParameters {
    /// Reads what follows the path of MAIL.
    pub fn parse(text: &str, offered: &Capabilities) -> Result<Self, ParameterError> {
        let mut read = MailParameters::default();
        let (mut smtputf8, mut requiretls) = (None, None);
        for (keyword, value) in pairs(text) {
            match keyword.as_str() {
                "SIZE" if offered.size != SizeOffer::Absent => {
                    once(&mut read.size, "SIZE", value.and_then(parse_size))?;
                }
                "BODY" if offered.eight_bit_mime => {
                    once(&mut read.body, "BODY", Some(parse_body(value)?))?;
                }
                "SMTPUTF8" if offered.smtputf8 => {
                    once(&mut smtputf8, "SMTPUTF8", value.is_none().then_some(()))?;
                }
                // RFC 4954 §5: known wherever AUTH is; our agents pass it on with XPOSTHASTE.
                "AUTH" if !offered.auth.is_empty() || offered.xposthaste => {
                    once(&mut read.auth, "AUTH", value.and_then(parse_auth))?;
                }
                "REQUIRETLS" if offered.requiretls || offered.xposthaste => {
                    once(&mut requiretls, "REQUIRETLS", value.is_none().then_some(()))?;
                }
                "HOLDFOR" if offered.future_release.is_some() => {
                    let seconds = value.and_then(parse_size).map(Release::After);
                    once(&mut read.release, "HOLDFOR", seconds)?;
                }
                "HOLDUNTIL" if offered.future_release.is_some() => {
                    let at = value.and_then(Timestamp::from_rfc3339).map(Release::At);
                    once(&mut read.release, "HOLDUNTIL", at)?;
                }
                "RET" if offered.dsn => once(&mut read.ret, "RET", value.and_then(dsn::ret))?,
                "ENVID" if offered.dsn => {
                    once(&mut read.envid, "ENVID", value.and_then(dsn::envid))?;
                }
                "XRECALL" if offered.recall => {
                    once(&mut read.recall, "XRECALL", value.and_then(|v| v.parse().ok()))?;
                }
                "XJOURNEY" if offered.xposthaste => {
                    once(&mut read.journey, "XJOURNEY", value.and_then(|v| v.parse().ok()))?;
                }
                "XHOLD" if offered.xposthaste => {
                    let reason = value.and_then(xtext::decode).map(String::into_boxed_str);
                    once(&mut read.hold, "XHOLD", reason)?;
                }
                _ => return Err(unknown(&keyword)),
            }
        }
        read.smtputf8 = smtputf8.is_some();
        read.requiretls = requiretls.is_some();
        Ok(read)
    }

    /// Adds the parameters that the server offers to take, each after a space.
    pub fn print(&self, offered: &Capabilities, out: &mut String) {
        if let (Some(size), true) = (self.size, offered.size != SizeOffer::Absent) {
            let _ = write!(out, " SIZE={size}");
        }
        if let (Some(body), true) = (self.body, offered.eight_bit_mime) {
            out.push_str(match body {
                BodyType::SevenBit => " BODY=7BIT",
                BodyType::EightBitMime => " BODY=8BITMIME",
            });
        }
        if self.smtputf8 && offered.smtputf8 {
            out.push_str(" SMTPUTF8");
        }
        if let (Some(auth), true) = (&self.auth, !offered.auth.is_empty() || offered.xposthaste) {
            match auth {
                AuthParameter::Unknown => out.push_str(" AUTH=<>"),
                AuthParameter::Account(account) => {
                    let _ = write!(out, " AUTH={}", printed_xtext(&account.to_string()));
                }
            }
        }
        if self.requiretls && (offered.requiretls || offered.xposthaste) {
            out.push_str(" REQUIRETLS");
        }
        match (self.release, offered.future_release) {
            (Some(Release::After(seconds)), Some(_)) => {
                let _ = write!(out, " HOLDFOR={seconds}");
            }
            (Some(Release::At(when)), Some(_)) => {
                let _ = write!(out, " HOLDUNTIL={}", when.to_rfc3339());
            }
            _ => {}
        }
        if offered.dsn {
            dsn::print_mail(self.ret, self.envid.as_deref(), out);
        }
        if let (Some(journey), true) = (self.recall, offered.recall) {
            let _ = write!(out, " XRECALL={journey}");
        }
        if offered.xposthaste {
            if let Some(journey) = self.journey {
                let _ = write!(out, " XJOURNEY={journey}");
            }
            if let Some(reason) = &self.hold {
                let _ = write!(out, " XHOLD={}", printed_xtext(reason));
            }
        }
    }
}

/// RFC 1870 §5: 1 to 20 digits. What is beyond 64 bits is beyond any limit too.
fn parse_size(value: &str) -> Option<u64> {
    let digits = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    digits.then(|| value.parse().unwrap_or(u64::MAX))
}

fn parse_body(value: Option<&str>) -> Result<BodyType, ParameterError> {
    let value = value.ok_or(ParameterError::BadValue("BODY"))?;
    if value.eq_ignore_ascii_case("7BIT") {
        Ok(BodyType::SevenBit)
    } else if value.eq_ignore_ascii_case("8BITMIME") {
        Ok(BodyType::EightBitMime)
    } else if value.eq_ignore_ascii_case("BINARYMIME") {
        Err(ParameterError::NotImplemented("BODY=BINARYMIME"))
    } else {
        Err(ParameterError::BadValue("BODY"))
    }
}

/// RFC 4954 §5. An identity that is no address is as good as none.
fn parse_auth(value: &str) -> Option<AuthParameter> {
    if value == "<>" {
        return Some(AuthParameter::Unknown);
    }
    let identity = xtext::decode(value)?;
    Some(identity.parse().map_or(AuthParameter::Unknown, AuthParameter::Account))
}
