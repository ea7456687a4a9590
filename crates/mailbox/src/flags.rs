//! System flags of a letter and their letters in Maildir names. Keywords are in
//! [`crate::keywords`]; `\Recent` is no flag of a letter but of a session's view.

use std::fmt;

/// The system flags (RFC 9051 §2.3.2).
#[derive(Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Flags(u8);

impl Flags {
    /// No flag.
    pub const NONE: Flags = Flags(0);
    /// `\Seen`.
    pub const SEEN: Flags = Flags(1);
    /// `\Answered`.
    pub const ANSWERED: Flags = Flags(2);
    /// `\Flagged`.
    pub const FLAGGED: Flags = Flags(4);
    /// `\Deleted`.
    pub const DELETED: Flags = Flags(8);
    /// `\Draft`.
    pub const DRAFT: Flags = Flags(16);

    /// Each flag, in the order of the bits.
    pub const EACH: [Flags; 5] =
        [Flags::SEEN, Flags::ANSWERED, Flags::FLAGGED, Flags::DELETED, Flags::DRAFT];

    /// The flags as bits, for compact storage.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The flags from [`bits`](Self::bits); `None` when a bit has no meaning.
    pub const fn from_bits(bits: u8) -> Option<Flags> {
        if bits < 32 { Some(Flags(bits)) } else { None }
    }

    /// Whether all of `other` are set.
    pub const fn contains(self, other: Flags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether any of `other` is set.
    pub const fn intersects(self, other: Flags) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether no flag is set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// These and those.
    #[must_use]
    pub const fn union(self, other: Flags) -> Flags {
        Flags(self.0 | other.0)
    }

    /// These without those.
    #[must_use]
    pub const fn without(self, other: Flags) -> Flags {
        Flags(self.0 & !other.0)
    }

    /// The letters of a Maildir name (`:2,` and these), in ASCII order as Maildir wants it.
    pub fn maildir(self) -> String {
        let set = LETTERS.iter().filter(|(_, flag)| self.contains(*flag));
        set.map(|&(letter, _)| letter).collect()
    }

    /// The flags a Maildir name shows. Letters we have no flag for (`P` for passed on, Dovecot's
    /// keywords in lower case) are passed over.
    pub fn from_maildir(letters: &str) -> Flags {
        let flag = |c| LETTERS.iter().find(|(letter, _)| *letter == c).map(|&(_, flag)| flag);
        letters.chars().filter_map(flag).fold(Flags::NONE, Flags::union)
    }
}

impl std::ops::BitOr for Flags {
    type Output = Flags;

    fn bitor(self, other: Flags) -> Flags {
        self.union(other)
    }
}

impl fmt::Debug for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flags({})", self.maildir())
    }
}

const LETTERS: [(char, Flags); 5] = [
    ('D', Flags::DRAFT),
    ('F', Flags::FLAGGED),
    ('R', Flags::ANSWERED),
    ('S', Flags::SEEN),
    ('T', Flags::DELETED),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maildir_letters_lead_back() {
        for bits in 0..32 {
            let flags = Flags::from_bits(bits).unwrap();
            assert_eq!(Flags::from_maildir(&flags.maildir()), flags);
        }
        assert_eq!((Flags::SEEN | Flags::ANSWERED | Flags::DRAFT).maildir(), "DRS");
        assert_eq!(Flags::from_maildir("PSab"), Flags::SEEN);
        assert_eq!(Flags::from_bits(32), None);
    }
}
