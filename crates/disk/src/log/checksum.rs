//! CRC-32C, the checksum of log records: what disks, iSCSI and ext4 use against torn and rotten
//! blocks. Not a defence against forgery; the salt of a log is.
//!
//! RFC 3720 §12.1 and appendix B.4 have the polynomial and the test vectors.

/// A checksum in the making.
#[derive(Debug, Clone, Copy)]
pub struct Crc32c(u32);

impl Default for Crc32c {
    fn default() -> Self {
        Self::new()
    }
}

impl Crc32c {
    /// Of no bytes yet.
    pub const fn new() -> Self {
        Crc32c(!0)
    }

    /// Takes more bytes, eight at a time.
    #[must_use]
    pub fn update(self, bytes: &[u8]) -> Self {
        let mut crc = self.0;
        let (blocks, rest) = bytes.as_chunks::<8>();
        for block in blocks {
            let low = u32::from_le_bytes([block[0], block[1], block[2], block[3]]) ^ crc;
            crc = TABLES[7][(low & 0xff) as usize]
                ^ TABLES[6][(low >> 8 & 0xff) as usize]
                ^ TABLES[5][(low >> 16 & 0xff) as usize]
                ^ TABLES[4][(low >> 24) as usize]
                ^ TABLES[3][block[4] as usize]
                ^ TABLES[2][block[5] as usize]
                ^ TABLES[1][block[6] as usize]
                ^ TABLES[0][block[7] as usize];
        }
        for byte in rest {
            crc = crc >> 8 ^ TABLES[0][((crc ^ u32::from(*byte)) & 0xff) as usize];
        }
        Crc32c(crc)
    }

    /// The checksum.
    pub const fn finish(self) -> u32 {
        !self.0
    }
}

/// `TABLES[n][b]`: the effect of byte `b` followed by `n` zero bytes.
static TABLES: [[u32; 256]; 8] = tables();

const fn tables() -> [[u32; 256]; 8] {
    let mut tables = [[0u32; 256]; 8];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
            bit += 1;
        }
        tables[0][byte] = crc;
        byte += 1;
    }
    let mut table = 1;
    while table < 8 {
        let mut byte = 0;
        while byte < 256 {
            let before = tables[table - 1][byte];
            tables[table][byte] = before >> 8 ^ tables[0][(before & 0xff) as usize];
            byte += 1;
        }
        table += 1;
    }
    tables
}

#[cfg(test)]
mod tests {
    use super::*;

    fn crc(bytes: &[u8]) -> u32 {
        Crc32c::new().update(bytes).finish()
    }

    #[test]
    fn rfc_3720_appendix_b_4() {
        assert_eq!(crc(&[0; 32]), 0x8a91_36aa);
        assert_eq!(crc(&[0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc(&(0..32).collect::<Vec<u8>>()), 0x46dd_794e);
        assert_eq!(crc(&(0..32).rev().collect::<Vec<u8>>()), 0x113f_db5c);
        assert_eq!(crc(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn parts_give_the_sum_of_the_whole() {
        let bytes: Vec<u8> = (0..100).collect();
        for cut in 0..bytes.len() {
            let parts = Crc32c::new().update(&bytes[..cut]).update(&bytes[cut..]);
            assert_eq!(parts.finish(), crc(&bytes));
        }
    }
}
