//! Making and checking the verifiers of one password: argon2id for mechanisms that show the
//! password, SCRAM keys for those that do not. Slow on purpose; the caller bounds how many run.

use crate::limits::{ARGON2, ARGON2_MEMORY_MOST, PASSWORD_LONGEST};
use argon2::{
    Algorithm, Argon2, Params, Version,
    password_hash::{PasswordHasher as _, PasswordVerifier as _, phc::PasswordHash},
};
use protocol::sasl::{ITERATIONS, ScramVerifier, Unprepared, prepare};
use std::fmt;

/// Why a password cannot be taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Unhashable {
    /// It has characters that RFC 4013 does not allow, or none.
    Unprepared(Unprepared),
    /// It is longer than 1,024 octets.
    TooLong,
    /// The system has no random numbers, or no memory for the hash.
    System(String),
}

impl fmt::Display for Unhashable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unprepared(why) => why.fmt(f),
            Self::TooLong => write!(f, "the password is longer than {PASSWORD_LONGEST} octets"),
            Self::System(why) => write!(f, "the password cannot be hashed: {why}"),
        }
    }
}

impl std::error::Error for Unhashable {}

/// What is kept of one password.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordVerifier {
    /// A PHC string.
    argon2id: String,
    /// `None` for a hash brought from another system, until the first login renews it.
    scram: Option<ScramVerifier>,
}

impl PasswordVerifier {
    /// Makes the verifiers of a new password, with fresh salts. Takes a tenth of a second.
    ///
    /// # Errors
    /// See [`Unhashable`].
    pub fn new(password: &str) -> Result<Self, Unhashable> {
        if password.len() > PASSWORD_LONGEST {
            return Err(Unhashable::TooLong);
        }
        let password = prepare(password).map_err(Unhashable::Unprepared)?;
        let salts: [u8; 32] = crate::verifiers::random().map_err(Unhashable::System)?;
        let (salt, scram_salt) = salts.split_at(16);
        let argon2id = ours()
            .and_then(|argon2| {
                argon2
                    .hash_password_with_salt(password.as_bytes(), salt)
                    .map_err(|error| error.to_string())
            })
            .map_err(Unhashable::System)?
            .to_string();
        let scram = Some(ScramVerifier::derive(&password, scram_salt.to_vec(), ITERATIONS));
        Ok(Self { argon2id, scram })
    }

    /// Reads what was stored.
    ///
    /// # Errors
    /// A sentence about what is wrong; it does not repeat the hash.
    pub(crate) fn from_stored(argon2id: String, scram: Option<&str>) -> Result<Self, String> {
        let hash = PasswordHash::new(&argon2id).map_err(|_| "not a PHC string".to_owned())?;
        let params = Params::try_from(&hash).map_err(|_| "not an argon2 hash".to_owned())?;
        if params.m_cost() > ARGON2_MEMORY_MOST {
            return Err(format!("a hash that needs over {ARGON2_MEMORY_MOST} KiB of memory"));
        }
        let scram = scram.map(str::parse).transpose().map_err(|error| format!("{error}"))?;
        Ok(Self { argon2id, scram })
    }

    /// Whether this, prepared, is the password. Takes tens of milliseconds and 19 MiB.
    pub fn verify(&self, password: &str) -> bool {
        let Ok(hash) = PasswordHash::new(&self.argon2id) else { return false };
        // The parameters are those of the stored hash.
        Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
    }

    /// Costs as much as [`PasswordVerifier::verify`] and says nothing: for names that do not exist.
    pub fn verify_nobody(password: &str) {
        let mut hash = [0; 32];
        if let Ok(argon2) = ours() {
            // The outcome is of no interest; the time it took is.
            let _ = argon2.hash_password_into(password.as_bytes(), &[0; 16], &mut hash);
        }
        std::hint::black_box(hash);
    }

    /// The SCRAM keys, where there are some.
    pub fn scram(&self) -> Option<&ScramVerifier> {
        self.scram.as_ref()
    }

    /// Tells this verifier from any other, also from the next one of the same password. As secret
    /// as the verifier.
    pub fn identity(&self) -> &str {
        &self.argon2id
    }
}

impl fmt::Debug for PasswordVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordVerifier(..)")
    }
}

fn ours() -> Result<Argon2<'static>, String> {
    let (memory, passes, lanes) = ARGON2;
    let params = Params::new(memory, passes, lanes, None).map_err(|error| error.to_string())?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}
