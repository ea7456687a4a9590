//! [`Repeats`]: the last deliveries of a mailbox by journey and recipient, so that a letter handed
//! over a second time gets the first answer (docs/mailbox.md §5).

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

use protocol::journey::JourneyId;

use crate::ids::Uid;
use crate::limits::REPEATS_REMEMBERED;

/// 80 bits of journey, 48 of the recipient's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RepeatKey(u128);

/// The deliveries that are remembered.
#[derive(Debug, Default)]
pub(crate) struct Repeats {
    known: HashMap<RepeatKey, Uid>,
    order: VecDeque<RepeatKey>,
}

impl RepeatKey {
    pub(crate) fn new(journey: JourneyId, recipient: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        recipient.to_lowercase().hash(&mut hasher);
        RepeatKey(journey.to_bits() << 48 | u128::from(hasher.finish() >> 16))
    }
}

impl Repeats {
    pub(crate) fn get(&self, key: RepeatKey) -> Option<Uid> {
        self.known.get(&key).copied()
    }

    pub(crate) fn insert(&mut self, key: RepeatKey, uid: Uid) {
        if self.known.insert(key, uid).is_none() {
            self.order.push_back(key);
        }
        while self.order.len() > REPEATS_REMEMBERED {
            if let Some(oldest) = self.order.pop_front() {
                self.known.remove(&oldest);
            }
        }
    }

    pub(crate) fn remove(&mut self, key: RepeatKey) {
        self.known.remove(&key);
        self.order.retain(|one| *one != key);
    }
}

#[cfg(test)]
mod tests {
    use protocol::time::Timestamp;

    use super::*;

    #[test]
    fn remembers_the_youngest() {
        let mut repeats = Repeats::default();
        let key = |n: u32| RepeatKey::new(JourneyId::new(Timestamp::from_seconds(1), n), "a@b");
        let count = u32::try_from(REPEATS_REMEMBERED).unwrap();
        for n in 0..=count {
            repeats.insert(key(n), Uid::new(n + 1).unwrap());
        }
        assert_eq!(repeats.get(key(0)), None);
        assert_eq!(repeats.get(key(count)), Uid::new(count + 1));
        let other = RepeatKey::new(JourneyId::new(Timestamp::from_seconds(1), 1), "c@b");
        assert_eq!(repeats.get(other), None, "another recipient is no repeat");
        repeats.remove(key(1));
        assert_eq!(repeats.get(key(1)), None);
    }
}
