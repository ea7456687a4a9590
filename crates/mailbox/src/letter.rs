//! [`Letter`]: what is known of a letter without opening it, in 40 bytes, in memory as in a
//! snapshot. And the name of its file, which follows from it.

use protocol::time::Timestamp;

use crate::flags::Flags;
use crate::ids::{ModSeq, Uid};
use crate::keywords::KeywordSet;

/// A letter in a mailbox. Keywords are numbers that the mailbox's
/// [`Keywords`](crate::Keywords) spell out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Letter {
    /// Its UID.
    pub uid: Uid,
    /// System flags.
    pub flags: Flags,
    pub(crate) shown: Shown,
    /// Keywords.
    pub keywords: KeywordSet,
    /// Octets (RFC822.SIZE).
    pub size: u32,
    /// MODSEQ of its last change.
    pub modseq: ModSeq,
    /// INTERNALDATE in seconds since 1970; a second is what the protocol can tell.
    pub(crate) date: i64,
    /// The first 64 bits of the SHA-256 of its bytes.
    pub hash: u64,
    /// When it came into this mailbox, in seconds since 1970.
    pub(crate) saved: u32,
}

/// What the name of a letter's file says now, and who chose it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shown(u8);

/// Bytes of a letter in a snapshot.
pub(crate) const LETTER_RECORD: usize = 40;

impl Letter {
    /// INTERNALDATE.
    pub fn internal_date(&self) -> Timestamp {
        Timestamp::from_seconds(self.date)
    }

    /// When it came into this mailbox (RFC 8514 SAVEDATE).
    pub fn save_date(&self) -> Timestamp {
        Timestamp::from_seconds(i64::from(self.saved))
    }

    /// The record as it stands in a snapshot, little-endian.
    pub(crate) fn to_record(self) -> [u8; LETTER_RECORD] {
        let mut record = [0; LETTER_RECORD];
        record[0..4].copy_from_slice(&self.uid.get().to_le_bytes());
        record[4] = self.flags.bits();
        record[5] = self.shown.0;
        record[6..8].copy_from_slice(&self.keywords.0.to_le_bytes());
        record[8..16].copy_from_slice(&self.modseq.to_le_bytes());
        record[16..24].copy_from_slice(&self.date.to_le_bytes());
        record[24..32].copy_from_slice(&self.hash.to_le_bytes());
        record[32..36].copy_from_slice(&self.size.to_le_bytes());
        record[36..40].copy_from_slice(&self.saved.to_le_bytes());
        record
    }

    /// The letter of a record; `None` when the record cannot be one.
    pub(crate) fn from_record(record: &[u8; LETTER_RECORD]) -> Option<Self> {
        let four = |at: usize| -> [u8; 4] { std::array::from_fn(|i| record[at + i]) };
        let eight = |at: usize| -> [u8; 8] { std::array::from_fn(|i| record[at + i]) };
        Some(Letter {
            uid: Uid::new(u32::from_le_bytes(four(0)))?,
            flags: Flags::from_bits(record[4])?,
            shown: Shown(record[5]),
            keywords: KeywordSet(u16::from_le_bytes([record[6], record[7]])),
            modseq: u64::from_le_bytes(eight(8)),
            date: i64::from_le_bytes(eight(16)),
            hash: u64::from_le_bytes(eight(24)),
            size: u32::from_le_bytes(four(32)),
            saved: u32::from_le_bytes(four(36)),
        })
    }
}

impl Shown {
    const FOREIGN: u8 = 0x40;

    /// A name of ours that shows these flags.
    pub(crate) fn ours(flags: Flags) -> Self {
        Shown(flags.bits())
    }

    /// A name another program chose; the mailbox remembers it.
    pub(crate) fn foreign(flags: Flags) -> Self {
        Shown(flags.bits() | Self::FOREIGN)
    }

    /// The flags the name shows.
    pub(crate) fn flags(self) -> Flags {
        Flags::from_bits(self.0 & !Self::FOREIGN).unwrap_or(Flags::NONE)
    }

    /// Whether another program chose the name.
    pub(crate) fn is_foreign(self) -> bool {
        self.0 & Self::FOREIGN != 0
    }

    /// The same name with other flags.
    pub(crate) fn with_flags(self, flags: Flags) -> Self {
        Shown(flags.bits() | self.0 & Self::FOREIGN)
    }
}

/// The part of a file name before `:2,`, for a letter whose name is ours.
pub(crate) fn own_name(saved: u32, uid_validity: u32, uid: Uid, size: u32) -> String {
    format!("{saved}.P{uid_validity:08x}_{uid}.posthaste,S={size}")
}

/// What a name of ours says: everything needed to take a letter back when all logs are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OwnName {
    pub(crate) saved: u32,
    pub(crate) uid_validity: u32,
    pub(crate) uid: Uid,
    pub(crate) size: u32,
}

impl OwnName {
    /// Reads the part of a name before `:2,`; `None` when it is not exactly one of ours.
    pub(crate) fn parse(base: &str) -> Option<Self> {
        let (saved, rest) = base.split_once(".P")?;
        let (uid_validity, rest) = rest.split_once('_')?;
        let (uid, size) = rest.split_once(".posthaste,S=")?;
        let name = OwnName {
            saved: saved.parse().ok()?,
            uid_validity: u32::from_str_radix(uid_validity, 16).ok()?,
            uid: uid.parse().ok()?,
            size: size.parse().ok()?,
        };
        (own_name(name.saved, name.uid_validity, name.uid, name.size) == base).then_some(name)
    }
}

/// A file name taken apart: the part that stays, and the flags after `:2,`.
pub(crate) fn split_name(file: &str) -> (&str, Flags) {
    match file.split_once(":2,") {
        Some((base, letters)) => (base, Flags::from_maildir(letters)),
        None => (file.split(':').next().unwrap_or(file), Flags::NONE),
    }
}

/// Folder and name of a letter's file below its Maildir: without flags in `new`, else in `cur`.
pub(crate) fn place(base: &str, flags: Flags) -> String {
    if flags.is_empty() {
        format!("new/{base}")
    } else {
        format!("cur/{base}:2,{}", flags.maildir())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_letter_takes_forty_bytes() {
        assert_eq!(std::mem::size_of::<Letter>(), LETTER_RECORD);
    }

    #[test]
    fn names_as_the_page_says() {
        let uid = Uid::new(57).unwrap();
        let base = own_name(1_795_381_596, 0x6a1f_0c12, uid, 4096);
        assert_eq!(base, "1795381596.P6a1f0c12_57.posthaste,S=4096");
        assert_eq!(place(&base, Flags::NONE), format!("new/{base}"));
        let place = place(&base, Flags::SEEN | Flags::ANSWERED);
        assert_eq!(place, format!("cur/{base}:2,RS"));
        assert_eq!(split_name("a.b:2,FSx"), ("a.b", Flags::FLAGGED | Flags::SEEN));
        assert_eq!(split_name("a.b:1,x"), ("a.b", Flags::NONE));
        for foreign in ["1.M2P3.host", "1.P00_7.posthaste,S=1", "1.P0000000A_7.posthaste,S=1"] {
            assert_eq!(OwnName::parse(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn own_names_lead_back(saved: u32, uid_validity: u32, uid: Uid, size: u32) {
            let name = OwnName { saved, uid_validity, uid, size };
            let base = own_name(saved, uid_validity, uid, size);
            prop_assert_eq!(OwnName::parse(&base), Some(name));
        }

        #[test]
        fn records_lead_back(
            bytes in proptest::array::uniform32(any::<u8>()),
            tail in proptest::array::uniform8(any::<u8>()),
        ) {
            let mut record = [0; LETTER_RECORD];
            record[..32].copy_from_slice(&bytes);
            record[32..].copy_from_slice(&tail);
            if let Some(letter) = Letter::from_record(&record) {
                prop_assert_eq!(letter.to_record(), record);
            }
        }
    }
}
