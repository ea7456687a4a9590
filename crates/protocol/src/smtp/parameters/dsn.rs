//! The parameters of RFC 3461 (delivery status notifications): read, carried and printed here;
//! what they mean is for whoever writes the notifications.

use std::fmt::Write as _;

use super::{Capabilities, ParameterError, once, pairs, printed_xtext, unknown, xtext};

/// RET: how much of the letter a failure notice returns. RFC 3461 §4.3.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DsnReturn {
    /// FULL
    Full,
    /// HDRS
    Headers,
}

/// NOTIFY: when the sender wants to hear. RFC 3461 §4.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notify {
    /// NEVER
    Never,
    /// Any of the others, at least one.
    On {
        /// SUCCESS
        success: bool,
        /// FAILURE
        failure: bool,
        /// DELAY
        delay: bool,
    },
}

/// ORCPT: the recipient as the sender wrote it. RFC 3461 §4.2.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OriginalRecipient {
    /// The address type, in lower case; nearly always `rfc822`.
    pub kind: Box<str>,
    /// The address, decoded.
    pub address: Box<str>,
}

/// What came with RCPT.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RcptParameters {
    /// NOTIFY
    pub notify: Option<Notify>,
    /// ORCPT
    pub orcpt: Option<OriginalRecipient>,
}

impl RcptParameters {
    /// Reads what follows the path of RCPT.
    pub fn parse(text: &str, offered: &Capabilities) -> Result<Self, ParameterError> {
        let mut read = RcptParameters::default();
        for (keyword, value) in pairs(text) {
            match keyword.as_str() {
                "NOTIFY" if offered.dsn => {
                    once(&mut read.notify, "NOTIFY", value.and_then(Notify::parse))?;
                }
                "ORCPT" if offered.dsn => {
                    once(&mut read.orcpt, "ORCPT", value.and_then(OriginalRecipient::parse))?;
                }
                _ => return Err(unknown(&keyword)),
            }
        }
        Ok(read)
    }

    /// Adds the parameters that the server offers to take, each after a space.
    pub fn print(&self, offered: &Capabilities, out: &mut String) {
        if !offered.dsn {
            return;
        }
        if let Some(notify) = self.notify {
            let _ = write!(out, " NOTIFY={}", notify.to_text());
        }
        if let Some(original) = &self.orcpt {
            let _ = write!(out, " ORCPT={}", original.to_text());
        }
    }
}

impl Notify {
    /// Reads the value of NOTIFY; `None` if it is not well formed.
    pub fn parse(value: &str) -> Option<Self> {
        if value.eq_ignore_ascii_case("NEVER") {
            return Some(Notify::Never);
        }
        let (mut success, mut failure, mut delay) = (false, false, false);
        for word in value.split(',') {
            let slot = match word.to_ascii_uppercase().as_str() {
                "SUCCESS" => &mut success,
                "FAILURE" => &mut failure,
                "DELAY" => &mut delay,
                _ => return None,
            };
            *slot = true;
        }
        Some(Notify::On { success, failure, delay })
    }

    /// The value as NOTIFY takes it.
    pub fn to_text(self) -> String {
        let Notify::On { success, failure, delay } = self else { return "NEVER".into() };
        let words = [(success, "SUCCESS"), (failure, "FAILURE"), (delay, "DELAY")];
        let asked: Vec<&str> = words.iter().filter(|(on, _)| *on).map(|(_, w)| *w).collect();
        asked.join(",")
    }
}

impl OriginalRecipient {
    /// Reads the value of ORCPT: `type;xtext`.
    pub fn parse(value: &str) -> Option<Self> {
        let (kind, address) = value.split_once(';')?;
        let good_kind = (1..=40).contains(&kind.len())
            && kind.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        // RFC 3461 §4.2: 500 octets at most.
        if !good_kind || address.is_empty() || value.len() > 500 {
            return None;
        }
        let address = xtext::decode(address)?;
        Some(OriginalRecipient { kind: kind.to_ascii_lowercase().into(), address: address.into() })
    }

    /// The value as ORCPT takes it.
    pub fn to_text(&self) -> String {
        format!("{};{}", self.kind, printed_xtext(&self.address))
    }
}

pub(super) fn ret(value: &str) -> Option<DsnReturn> {
    match value.to_ascii_uppercase().as_str() {
        "FULL" => Some(DsnReturn::Full),
        "HDRS" => Some(DsnReturn::Headers),
        _ => None,
    }
}

/// RFC 3461 §4.4: at most 100 octets of xtext, whose meaning is printable ASCII.
pub(super) fn envid(value: &str) -> Option<Box<str>> {
    if value.is_empty() || value.len() > 100 {
        return None;
    }
    let id = xtext::decode(value)?;
    id.bytes().all(|b| matches!(b, b' '..=b'~')).then(|| id.into())
}

pub(super) fn print_mail(ret: Option<DsnReturn>, envid: Option<&str>, out: &mut String) {
    match ret {
        Some(DsnReturn::Full) => out.push_str(" RET=FULL"),
        Some(DsnReturn::Headers) => out.push_str(" RET=HDRS"),
        None => {}
    }
    if let Some(id) = envid {
        let _ = write!(out, " ENVID={}", printed_xtext(id));
    }
}
