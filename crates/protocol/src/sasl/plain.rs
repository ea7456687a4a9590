//! PLAIN (RFC 4616): one message holds everything. Both sides; who may log in is decided elsewhere.

use super::{SaslError, prepare};
use crate::secret::Secret;

/// A name and a password that a client showed; whether they fit is for `auth` to say.
#[derive(Clone, Debug)]
pub struct PasswordClaim {
    /// Whose password it is.
    pub authcid: String,
    /// As whom the client wants to act; `None`: as the same.
    pub authzid: Option<String>,
    /// The password, prepared.
    pub password: Secret<String>,
}

/// Reads the client's message: `[authzid] NUL authcid NUL passwd`.
pub(super) fn read(message: &[u8]) -> Result<PasswordClaim, SaslError> {
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed("UTF-8"))?;
    let mut parts = text.split('\0');
    let (Some(authzid), Some(authcid), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(SaslError::Malformed("PLAIN message"));
    };
    if authcid.is_empty() || password.is_empty() {
        return Err(SaslError::Malformed("PLAIN message"));
    }
    // RFC 4616 §2: an authorization identity that is absent is derived from the other.
    let authzid = (!authzid.is_empty()).then(|| prepare(authzid)).transpose()?;
    Ok(PasswordClaim {
        authcid: prepare(authcid)?.into_owned(),
        authzid: authzid.map(|name| name.into_owned()),
        password: Secret::new(prepare(password)?.into_owned()),
    })
}

/// Writes the client's message.
pub(super) fn write(authzid: Option<&str>, authcid: &str, password: &str) -> Vec<u8> {
    format!("{}\0{authcid}\0{password}", authzid.unwrap_or_default()).into_bytes()
}
