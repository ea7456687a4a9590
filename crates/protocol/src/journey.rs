//! The name of a letter's journey, given in the 250 reply and followed by `posthaste trace`. It is
//! also the queue id. Not a Message-ID: that belongs to the letter, this to its passage here.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Sixteen characters of lower-case Crockford base 32: 48 bits of milliseconds, then 32 random
/// bits. Sorts by time of birth.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JourneyId(u128);

/// The text is not a journey id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotAJourney;

impl JourneyId {
    /// Characters of the printed form.
    pub const LENGTH: usize = 16;

    /// The id of a journey that begins now; `random` makes it unique within the millisecond.
    pub fn new(now: Timestamp, random: u32) -> Self {
        let millis = u128::try_from(now.as_millis().max(0)).unwrap_or(0) & ((1 << 48) - 1);
        JourneyId(millis << 32 | u128::from(random))
    }

    /// The printed form, without a string.
    pub fn to_ascii(self) -> [u8; Self::LENGTH] {
        let mut text = [0u8; Self::LENGTH];
        let mut rest = self.0;
        for slot in text.iter_mut().rev() {
            let digit = usize::try_from(rest & 31).unwrap_or(0);
            *slot = ALPHABET.get(digit).copied().unwrap_or(b'0');
            rest >>= 5;
        }
        text
    }

    /// When the journey began, to the millisecond.
    pub fn born(self) -> Timestamp {
        let millis = i64::try_from(self.0 >> 32).unwrap_or(i64::MAX);
        Timestamp::from_micros(millis.saturating_mul(1000))
    }

    /// The id as a number, for compact storage; below 2^80.
    pub const fn to_bits(self) -> u128 {
        self.0
    }

    /// The id from [`to_bits`](Self::to_bits); `None` at 2^80 and above.
    pub const fn from_bits(bits: u128) -> Option<Self> {
        if bits < 1 << 80 { Some(JourneyId(bits)) } else { None }
    }
}

impl fmt::Display for JourneyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(std::str::from_utf8(&self.to_ascii()).unwrap_or_default())
    }
}

impl fmt::Debug for JourneyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JourneyId {
    type Err = NotAJourney;

    /// Upper case is read as lower case, so that an id survives a telephone.
    fn from_str(text: &str) -> Result<Self, NotAJourney> {
        if text.len() != Self::LENGTH {
            return Err(NotAJourney);
        }
        let mut bits = 0u128;
        for byte in text.bytes() {
            let lower = byte.to_ascii_lowercase();
            let digit = ALPHABET.iter().position(|&c| c == lower).ok_or(NotAJourney)?;
            bits = bits << 5 | u128::try_from(digit).map_err(|_| NotAJourney)?;
        }
        Self::from_bits(bits).ok_or(NotAJourney)
    }
}

impl fmt::Display for NotAJourney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not a journey id (sixteen characters of 0-9 and a-z without i, l, o, u)")
    }
}

impl std::error::Error for NotAJourney {}

impl Serialize for JourneyId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JourneyId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Douglas Crockford's base 32: no i, l, o, u.
const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sorts_by_birth_and_keeps_it() {
        let early = JourneyId::new(Timestamp::from_seconds(1_000), u32::MAX);
        let late = JourneyId::new(Timestamp::from_seconds(1_001), 0);
        assert!(early < late);
        assert!(early.to_string() < late.to_string());
        assert_eq!(late.born(), Timestamp::from_seconds(1_001));
    }

    #[test]
    fn refuses_what_it_did_not_print() {
        for bad in ["", "0123456789abcde", "0123456789abcdei", "0123456789abcdef0"] {
            assert_eq!(bad.parse::<JourneyId>(), Err(NotAJourney), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn printed_and_read_back(millis in 0i64..(1 << 48), random: u32) {
            let id = JourneyId::new(Timestamp::from_micros(millis * 1000), random);
            let text = id.to_string();
            prop_assert_eq!(text.len(), JourneyId::LENGTH);
            prop_assert_eq!(text.parse::<JourneyId>(), Ok(id));
            prop_assert_eq!(text.to_uppercase().parse::<JourneyId>(), Ok(id));
        }
    }
}
