//! LOGIN: a prompt for the name, a prompt for the password. Never standardised; what is here is
//! what clients do (draft-murchison-sasl-login), with the prompts that Outlook knows.

use super::{PasswordClaim, SaslError, prepare};
use crate::secret::Secret;

/// The first prompt; in base64 `VXNlcm5hbWU6`, which some clients compare octet by octet.
pub(super) const USERNAME: &[u8] = b"Username:";

/// The second prompt; in base64 `UGFzc3dvcmQ6`.
pub(super) const PASSWORD: &[u8] = b"Password:";

/// Reads the answer to the first prompt.
pub(super) fn username(message: &[u8]) -> Result<String, SaslError> {
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed("UTF-8"))?;
    if text.is_empty() || text.contains('\0') {
        return Err(SaslError::Malformed("user name"));
    }
    Ok(prepare(text)?.into_owned())
}

/// Reads the answer to the second prompt.
pub(super) fn password(authcid: String, message: &[u8]) -> Result<PasswordClaim, SaslError> {
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed("UTF-8"))?;
    let password = Secret::new(prepare(text)?.into_owned());
    Ok(PasswordClaim { authcid, authzid: None, password })
}
