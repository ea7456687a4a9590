//! The two checksums of this crate: CRC-32C against torn and rotten lines, and the first 64 bits of
//! SHA-256 as the mark of a letter's bytes.

use sha2::{Digest, Sha256};

/// CRC-32C, as in the intake log.
pub(crate) fn crc32c(bytes: &[u8]) -> u32 {
    disk::Crc32c::new().update(bytes).finish()
}

/// The mark of a letter in the making.
#[derive(Default)]
pub(crate) struct LetterHash(Sha256);

impl LetterHash {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> u64 {
        let digest = self.0.finalize();
        u64::from_be_bytes(std::array::from_fn(|at| digest[at]))
    }
}
