//! Numbers that nobody can guess, as a value: from the system, or from a seed, so that a simulation
//! takes the same way each time. Agents take them from their [`crate::Context`]; the pure crates
//! take them as parameters.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

/// A source of numbers. Cheap to clone; clones are the same source.
#[derive(Clone, Default)]
pub struct Chance {
    seeded: Option<Arc<Mutex<u64>>>,
}

impl Chance {
    /// The system's.
    pub fn system() -> Self {
        Chance::default()
    }

    /// The same numbers each time. Never for anything that is secret.
    pub fn seeded(seed: u64) -> Self {
        Chance { seeded: Some(Arc::new(Mutex::new(seed))) }
    }

    /// 64 random bits. Where the system gives none (it always does, once it is up), the answer is
    /// fixed: ids stay unique by their time, and nothing secret is made of these.
    pub fn u64(&self) -> u64 {
        match &self.seeded {
            None => getrandom::u64().unwrap_or(0x5eed_1e55_5eed_1e55),
            Some(state) => {
                // SplitMix64.
                let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
                let mut mixed = *state;
                mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
                mixed ^ (mixed >> 31)
            }
        }
    }

    /// 32 random bits, as [`Chance::u64`].
    pub fn u32(&self) -> u32 {
        (self.u64() >> 32) as u32
    }
}

impl fmt::Debug for Chance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.seeded.is_some() { "Chance(seeded)" } else { "Chance(system)" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_the_system_others() {
        let numbers = |chance: Chance| [chance.u64(), chance.u64(), u64::from(chance.u32())];
        assert_eq!(numbers(Chance::seeded(7)), numbers(Chance::seeded(7)));
        assert_ne!(numbers(Chance::seeded(7)), numbers(Chance::seeded(8)));
        assert_ne!(Chance::system().u64(), Chance::system().u64());
    }
}
