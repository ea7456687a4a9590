//! The arithmetic of SCRAM (RFC 5802 §3) and what a server stores: salt, iterations, StoredKey and
//! ServerKey, with their text form (RFC 5803). No exchange here.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use std::{fmt, str::FromStr};
use subtle::ConstantTimeEq;

/// A SHA-256 hash, or a key of that size.
pub(super) type Key = [u8; 32];

/// Iterations for new passwords. RFC 7677 §4 wants at least 4,096; whoever steals the file tries
/// each guess this often. The client libraries of Cyrus SASL refuse more than 65,536.
pub const ITERATIONS: u32 = 60_000;

/// What a server knows of a password: enough to check a proof, not enough to log in elsewhere.
#[derive(Clone, PartialEq, Eq)]
pub struct ScramVerifier {
    pub(in crate::sasl) salt: Vec<u8>,
    pub(super) iterations: u32,
    pub(super) stored_key: Key,
    pub(super) server_key: Key,
}

impl ScramVerifier {
    /// Derives what to store. `password` is prepared ([`crate::sasl::prepare`]); `salt` is random,
    /// 16 octets. Takes as long as the iterations take.
    pub fn derive(password: &str, salt: Vec<u8>, iterations: u32) -> Self {
        let keys = Keys::derive(password, &salt, iterations);
        Self { stored_key: keys.stored(), server_key: keys.server, salt, iterations }
    }

    /// For a name that does not exist: the same salt each time it is asked for, as if it did, and
    /// a key that no proof fits. `secret` is the server's own and lasts as long as its verifiers.
    pub fn pretended(secret: &[u8], authcid: &str) -> Self {
        let of = |purpose: &[u8]| hmac(secret, &[purpose, authcid.as_bytes()]);
        let mut salt = of(b"salt:").to_vec();
        salt.truncate(SALT_OCTETS);
        Self {
            salt,
            iterations: ITERATIONS,
            stored_key: of(b"stored:"),
            server_key: of(b"server:"),
        }
    }

    /// Whether `password`, prepared, is the one.
    pub fn matches(&self, password: &str) -> bool {
        let keys = Keys::derive(password, &self.salt, self.iterations);
        keys.stored().ct_eq(&self.stored_key).into()
    }

    /// RFC 5802 §3: recovers the client's key from its proof and checks that it hashes to the
    /// stored one.
    pub(super) fn accepts(&self, proof: &[u8], auth_message: &str) -> bool {
        let Ok(mut client_key) = Key::try_from(proof) else { return false };
        let signature = hmac(&self.stored_key, &[auth_message.as_bytes()]);
        exclusive_or(&mut client_key, &signature);
        let hashed: Key = Sha256::digest(client_key).into();
        hashed.ct_eq(&self.stored_key).into()
    }

    /// What proves to the client that the server knows the password.
    pub(super) fn server_signature(&self, auth_message: &str) -> Key {
        hmac(&self.server_key, &[auth_message.as_bytes()])
    }
}

/// RFC 5803 §3, as other servers write it too.
impl fmt::Display for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { salt, iterations, stored_key, server_key } = self;
        let [salt, stored, server] =
            [&salt[..], &stored_key[..], &server_key[..]].map(|octets| STANDARD.encode(octets));
        write!(f, "{SCHEME}${iterations}:{salt}${stored}:{server}")
    }
}

impl fmt::Debug for ScramVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ScramVerifier(..)")
    }
}

impl FromStr for ScramVerifier {
    type Err = VerifierError;

    fn from_str(text: &str) -> Result<Self, VerifierError> {
        let mut parts = text.split('$');
        let (Some(SCHEME), Some(cost), Some(keys), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(VerifierError);
        };
        let (iterations, salt) = cost.split_once(':').ok_or(VerifierError)?;
        let (stored, server) = keys.split_once(':').ok_or(VerifierError)?;
        let decode = |text| STANDARD.decode(text).map_err(|_| VerifierError);
        let key = |text| Key::try_from(decode(text)?).map_err(|_| VerifierError);
        let iterations = iterations.parse().map_err(|_| VerifierError)?;
        let salt = decode(salt)?;
        if salt.is_empty() || iterations == 0 {
            return Err(VerifierError);
        }
        Ok(Self { salt, iterations, stored_key: key(stored)?, server_key: key(server)? })
    }
}

/// A text that is not a SCRAM-SHA-256 verifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifierError;

impl fmt::Display for VerifierError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not of the form {SCHEME}$ITERATIONS:SALT$STOREDKEY:SERVERKEY")
    }
}

impl std::error::Error for VerifierError {}

/// The keys of one who knows the password.
#[derive(Clone)]
pub(super) struct Keys {
    client: Key,
    server: Key,
}

impl Keys {
    pub(super) fn derive(password: &str, salt: &[u8], iterations: u32) -> Self {
        let salted = salted_password(password.as_bytes(), salt, iterations);
        Self { client: hmac(&salted, &[b"Client Key"]), server: hmac(&salted, &[b"Server Key"]) }
    }

    fn stored(&self) -> Key {
        Sha256::digest(self.client).into()
    }

    pub(super) fn proof(&self, auth_message: &str) -> Key {
        let mut proof = self.client;
        exclusive_or(&mut proof, &hmac(&self.stored(), &[auth_message.as_bytes()]));
        proof
    }

    pub(super) fn is_server_signature(&self, signature: &[u8], auth_message: &str) -> bool {
        hmac(&self.server, &[auth_message.as_bytes()]).ct_eq(signature).into()
    }
}

/// RFC 5802 §2.2: Hi(), which is PBKDF2 with one block.
fn salted_password(password: &[u8], salt: &[u8], iterations: u32) -> Key {
    // Both hashes of the key are computed once and copied for each iteration.
    let keyed = keyed(password);
    let mut last: Key = {
        let mut first = keyed.clone();
        first.update(salt);
        first.update(&1u32.to_be_bytes());
        first.finalize().into_bytes().into()
    };
    let mut salted = last;
    for _ in 1..iterations {
        let mut next = keyed.clone();
        next.update(&last);
        last = next.finalize().into_bytes().into();
        exclusive_or(&mut salted, &last);
    }
    salted
}

fn hmac(key: &[u8], parts: &[&[u8]]) -> Key {
    let mut keyed = keyed(key);
    parts.iter().for_each(|part| keyed.update(part));
    keyed.finalize().into_bytes().into()
}

#[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104 §2)")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

fn exclusive_or(into: &mut Key, with: &Key) {
    into.iter_mut().zip(with).for_each(|(octet, other)| *octet ^= other);
}

const SCHEME: &str = "SCRAM-SHA-256";

/// The length of a salt, in octets.
const SALT_OCTETS: usize = 16;
