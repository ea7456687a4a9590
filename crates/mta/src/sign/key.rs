//! One DKIM key: read from its PEM file, able to sign, and able to say what its DNS record is.

use std::fmt;
use std::path::{Path, PathBuf};

use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A private key with the algorithm it signs by.
pub struct Key {
    pair: Pair,
}

enum Pair {
    Rsa(RsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

/// Why a key cannot be used.
#[derive(Debug)]
pub enum KeyError {
    /// The file cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// It is no key of a kind that DKIM knows.
    Unusable(PathBuf, String),
}

/// RFC 8301 §3.2: who signs uses at least 1024 bits; receivers refuse fewer.
const LEAST_MODULUS: usize = 1024 / 8;

impl Key {
    /// Reads a PKCS #8 private key in PEM.
    ///
    /// # Errors
    /// When the file cannot be read or holds no such key.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| KeyError::Unreadable(path.to_owned(), error))?;
        Self::from_pem(&text).map_err(|why| KeyError::Unusable(path.to_owned(), why))
    }

    fn from_pem(text: &str) -> Result<Self, String> {
        let base64: String = text
            .lines()
            .skip_while(|line| line.trim() != "-----BEGIN PRIVATE KEY-----")
            .skip(1)
            .take_while(|line| !line.starts_with("-----END"))
            .map(str::trim)
            .collect();
        if base64.is_empty() {
            return Err("it holds no BEGIN PRIVATE KEY block".to_owned());
        }
        let der = STANDARD.decode(base64).map_err(|error| error.to_string())?;
        if let Ok(pair) = Ed25519KeyPair::from_pkcs8(&der) {
            return Ok(Key { pair: Pair::Ed25519(pair) });
        }
        let pair = RsaKeyPair::from_pkcs8(&der)
            .map_err(|error| format!("neither an RSA nor an Ed25519 key: {error}"))?;
        if pair.public_modulus_len() < LEAST_MODULUS {
            return Err(format!("{} bits are too few", pair.public_modulus_len() * 8));
        }
        Ok(Key { pair: Pair::Rsa(pair) })
    }

    /// A new key of this algorithm, as PEM.
    ///
    /// # Errors
    /// The provider's, when the system has no randomness.
    pub fn generate(algorithm: Algorithm) -> Result<String, String> {
        let failed = |error: aws_lc_rs::error::Unspecified| error.to_string();
        let der = match algorithm {
            Algorithm::Rsa => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(KeySize::Rsa2048).map_err(failed)?;
                let der: aws_lc_rs::encoding::Pkcs8V1Der<'_> = pair.as_der().map_err(failed)?;
                der.as_ref().to_vec()
            }
            Algorithm::Ed25519 => {
                let pair = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(failed)?;
                pair.as_ref().to_vec()
            }
        };
        let mut pem = String::from("-----BEGIN PRIVATE KEY-----\n");
        let mut rest = STANDARD.encode(der);
        while !rest.is_empty() {
            let more = rest.split_off(rest.len().min(64));
            pem.push_str(&rest);
            pem.push('\n');
            rest = more;
        }
        pem.push_str("-----END PRIVATE KEY-----\n");
        Ok(pem)
    }

    /// Its algorithm.
    pub fn algorithm(&self) -> Algorithm {
        match self.pair {
            Pair::Rsa(_) => Algorithm::Rsa,
            Pair::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// The text of its DNS record (RFC 6376 §3.6.1, RFC 8463 §4).
    pub fn record(&self) -> String {
        let public = match &self.pair {
            Pair::Rsa(pair) => {
                let der: Result<PublicKeyX509Der<'_>, _> = pair.public_key().as_der();
                der.map(|der| STANDARD.encode(der.as_ref())).unwrap_or_default()
            }
            Pair::Ed25519(pair) => STANDARD.encode(pair.public_key().as_ref()),
        };
        format!("v=DKIM1; k={}; p={public}", self.algorithm().key_type())
    }

    /// The signature over `input`, base64.
    pub(crate) fn sign(&self, input: &[u8]) -> Result<String, String> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), input, &mut signature)
                    .map_err(|error| error.to_string())?;
                Ok(STANDARD.encode(signature))
            }
            Pair::Ed25519(pair) => {
                // RFC 8463 §3: what is signed is the SHA-256 of the input.
                let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, input);
                Ok(STANDARD.encode(pair.sign(hash.as_ref())))
            }
        }
    }
}

/// What DKIM signs with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// What every receiver knows (RFC 8301 §3.1).
    Rsa,
    /// Smaller and faster (RFC 8463); receivers that do not know it use the other.
    Ed25519,
}

impl Algorithm {
    /// Both: a letter is signed with one of each.
    pub const ALL: [Algorithm; 2] = [Algorithm::Rsa, Algorithm::Ed25519];

    /// The value of `k=`, also a part of our selectors' names.
    pub fn key_type(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa",
            Algorithm::Ed25519 => "ed25519",
        }
    }

    /// The value of `a=`.
    pub fn signature(self) -> &'static str {
        match self {
            Algorithm::Rsa => "rsa-sha256",
            Algorithm::Ed25519 => "ed25519-sha256",
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.algorithm().key_type())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyError::Unreadable(path, error) => {
                write!(f, "the DKIM key {} cannot be read: {error}", path.display())
            }
            KeyError::Unusable(path, why) => {
                write!(f, "the DKIM key {} cannot be used: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_that_we_make_are_read_again_and_sign() {
        for algorithm in Algorithm::ALL {
            let pem = Key::generate(algorithm).expect("a key");
            let key = Key::from_pem(&pem).expect("the key");
            assert_eq!(key.algorithm(), algorithm);
            assert!(key.record().len() > 60, "{}", key.record());
            let one = key.sign(b"input").expect("a signature");
            assert_eq!(one, key.sign(b"input").expect("a signature"), "both are deterministic");
            assert_ne!(one, key.sign(b"other").expect("a signature"));
        }
        assert!(Key::from_pem("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END").is_err());
        assert!(Key::from_pem("nothing").is_err());
    }
}
