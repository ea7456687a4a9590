//! OAUTHBEARER (RFC 7628) and XOAUTH2 (Google's earlier form of it): one message holds a token that
//! an authorization server has issued. Both sides. What the token is worth is asked elsewhere.

use super::{Mechanism, SaslError, prepare};
use crate::secret::Secret;

/// A token that a client showed; whose it is, and whether it holds, is for `auth` to find out.
#[derive(Clone, Debug)]
pub struct TokenClaim {
    /// As whom the client wants to act; `None`: as the one whose token it is.
    pub authzid: Option<String>,
    /// The token (RFC 6750 §2.1).
    pub token: Secret<String>,
}

/// What a client whose token was refused is told, so that it can get a better one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenHint {
    /// The scopes a token must have, separated by spaces; empty: none is asked for.
    pub scope: String,
    /// Where the issuer describes itself (OpenID Connect discovery); empty: not told.
    pub openid_configuration: String,
}

/// Separates the parts of both forms.
const SEPARATOR: char = '\x01';

/// What the client says when it has read why its token was refused (RFC 7628 §3.2.3).
pub(super) const READ: &[u8] = b"\x01";

/// Reads the client's message.
pub(super) fn read(mechanism: Mechanism, message: &[u8]) -> Result<TokenClaim, SaslError> {
    let wrong = SaslError::Malformed("token message");
    let text = std::str::from_utf8(message).map_err(|_| SaslError::Malformed("UTF-8"))?;
    let (head, pairs) = text.split_once(SEPARATOR).ok_or(wrong.clone())?;
    // Both forms end in an empty pair.
    let pairs = pairs.strip_suffix("\x01\x01").ok_or(wrong.clone())?;
    let authzid = match mechanism {
        Mechanism::XOAuth2 => Some(head.strip_prefix("user=").ok_or(wrong.clone())?.to_owned()),
        _ => gs2_header(head)?,
    };
    let mut token = None;
    for pair in pairs.split(SEPARATOR) {
        let (key, value) = pair.split_once('=').ok_or(wrong.clone())?;
        // RFC 7628 §3.1: keys that are not known (host, port, others to come) are passed over.
        if key.eq_ignore_ascii_case("auth") && token.replace(bearer(value)?).is_some() {
            return Err(wrong);
        }
    }
    let authzid = authzid.filter(|name| !name.is_empty());
    Ok(TokenClaim {
        authzid: authzid.map(|name| prepare(&name).map(|name| name.into_owned())).transpose()?,
        token: Secret::new(token.ok_or(wrong)?),
    })
}

/// `n,a=user@example.com,` (RFC 5801 §4). There is no channel binding here.
fn gs2_header(text: &str) -> Result<Option<String>, SaslError> {
    let wrong = SaslError::Malformed("GS2 header");
    let mut parts = text.split(',');
    let (Some("n" | "y"), Some(name), Some(""), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(wrong);
    };
    if name.is_empty() {
        return Ok(None);
    }
    let name = name.strip_prefix("a=").ok_or(wrong)?;
    Ok(Some(name.replace("=2C", ",").replace("=3D", "=")))
}

/// `Bearer TOKEN` (RFC 6750 §2.1), the scheme in any case. An empty token is a question where to
/// get one.
fn bearer(value: &str) -> Result<String, SaslError> {
    let wrong = SaslError::Malformed("bearer token");
    let (scheme, token) = value.split_once(' ').ok_or(wrong.clone())?;
    let token = token.trim_matches(' ');
    let allowed = |octet: u8| octet.is_ascii_alphanumeric() || b"-._~+/=".contains(&octet);
    if !scheme.eq_ignore_ascii_case("bearer") || !token.bytes().all(allowed) {
        return Err(wrong);
    }
    Ok(token.to_owned())
}

/// Writes the client's message. OAUTHBEARER names nobody unless somebody is to be acted for: the
/// token says whose it is.
pub(super) fn write(
    mechanism: Mechanism,
    user: &str,
    authzid: Option<&str>,
    token: &str,
) -> Vec<u8> {
    match mechanism {
        Mechanism::XOAuth2 => format!("user={user}\x01auth=Bearer {token}\x01\x01"),
        _ => {
            let name = authzid.unwrap_or(user).replace('=', "=3D").replace(',', "=2C");
            format!("n,a={name},\x01auth=Bearer {token}\x01\x01")
        }
    }
    .into_bytes()
}

/// Writes the challenge that says why a token was refused (RFC 7628 §3.2.2).
pub(super) fn refusal(mechanism: Mechanism, hint: &TokenHint) -> Vec<u8> {
    let mut said = serde_json::Map::new();
    let status = match mechanism {
        Mechanism::XOAuth2 => "401",
        _ => "invalid_token",
    };
    said.insert("status".into(), status.into());
    if mechanism == Mechanism::XOAuth2 {
        said.insert("schemes".into(), "bearer".into());
    }
    if !hint.scope.is_empty() {
        said.insert("scope".into(), hint.scope.clone().into());
    }
    if !hint.openid_configuration.is_empty() && mechanism != Mechanism::XOAuth2 {
        said.insert("openid-configuration".into(), hint.openid_configuration.clone().into());
    }
    serde_json::Value::Object(said).to_string().into_bytes()
}
