//! The parameters of MAIL and RCPT, read by the server and printed by the client. Whether a
//! parameter may be used is decided against the [`Capabilities`] that were offered.

mod dsn;
mod mail;
/// A value of XCLIENT: xtext (RFC 3461 §4).
pub(super) fn decode_xtext(text: &str) -> Option<String> {
    xtext::decode(text)
}

#[cfg(test)]
mod tests;
mod xtext;

use std::borrow::Cow;
use std::fmt;

pub use self::dsn::{DsnReturn, Notify, OriginalRecipient, RcptParameters};
pub use self::mail::{AuthParameter, BodyType, MailParameters, Release};
use super::Capabilities;

/// Why a parameter was refused; decides between 501, 504 and 555.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParameterError {
    /// The keyword is unknown, or belongs to an extension that was not offered (555).
    Unknown(String),
    /// The keyword is known, this value of it is not implemented (504).
    NotImplemented(&'static str),
    /// The value is not well formed (501).
    BadValue(&'static str),
    /// The same keyword twice (501).
    Twice(&'static str),
}

impl fmt::Display for ParameterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ParameterError::Unknown(keyword) => write!(f, "parameter {keyword} is not known here"),
            ParameterError::NotImplemented(what) => write!(f, "{what} is not implemented"),
            ParameterError::BadValue(keyword) => write!(f, "value of {keyword} is not valid"),
            ParameterError::Twice(keyword) => write!(f, "{keyword} is given twice"),
        }
    }
}

impl std::error::Error for ParameterError {}

/// `KEYWORD[=value]` pairs, RFC 5321 §4.1.2 esmtp-param; a keyword in upper case.
fn pairs(text: &str) -> impl Iterator<Item = (String, Option<&str>)> {
    text.split_ascii_whitespace().map(|pair| match pair.split_once('=') {
        Some((keyword, value)) => (keyword.to_ascii_uppercase(), Some(value)),
        None => (pair.to_ascii_uppercase(), None),
    })
}

/// For an error reply: bounded and printable.
fn unknown(keyword: &str) -> ParameterError {
    let shown: String =
        keyword.chars().take(40).map(|c| if c.is_ascii_graphic() { c } else { '?' }).collect();
    ParameterError::Unknown(shown)
}

/// Puts a value into its place, once.
fn once<T>(
    slot: &mut Option<T>,
    keyword: &'static str,
    value: Option<T>,
) -> Result<(), ParameterError> {
    let value = value.ok_or(ParameterError::BadValue(keyword))?;
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(ParameterError::Twice(keyword)),
    }
}

/// A value that may be shown as xtext.
fn printed_xtext(text: &str) -> Cow<'_, str> {
    xtext::encode(text)
}
