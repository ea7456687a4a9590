//! Sequence sets: what a client writes (`1:5,9:*`) and what it means once the mailbox's last number
//! is known. Compact ranges throughout: a set of a million letters is one pair. Called by the
//! grammar, the delivery agent and the user agent.

use std::fmt;
use std::num::NonZeroU32;

/// A sequence number or UID in a set, or `*`, the largest in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SequenceBound {
    /// A number.
    Number(NonZeroU32),
    /// `*`.
    Last,
}

/// A set as written: not sorted, not merged (RFC 3501 §9 `sequence-set`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SequenceSet {
    /// Single numbers are ranges with equal ends; the ends may be in either order.
    Ranges(Vec<(SequenceBound, SequenceBound)>),
    /// `$`: the result of the last SEARCH RETURN (SAVE) (RFC 9051 §6.4.4.1).
    Saved,
}

impl SequenceSet {
    /// A set of numbers that are all known.
    pub fn from_numbers(numbers: &NumberSet) -> Self {
        let bound = |number: u32| NonZeroU32::new(number).map(SequenceBound::Number);
        let ranges = numbers.ranges();
        SequenceSet::Ranges(
            ranges.filter_map(|(from, to)| Some((bound(from)?, bound(to)?))).collect(),
        )
    }

    /// The numbers meant, sorted and merged, when `last` is the largest in use (0: none, then `*`
    /// means nothing). RFC 3501 §9: `559:*` contains the last even if that is below 559. A saved
    /// set is the caller's to know and is empty here.
    pub fn resolve(&self, last: u32) -> NumberSet {
        let mut pairs = Vec::new();
        if let SequenceSet::Ranges(ranges) = self {
            for (from, to) in ranges {
                if last == 0 && (*from == SequenceBound::Last || *to == SequenceBound::Last) {
                    continue;
                }
                let (from, to) = (from.number(last), to.number(last));
                pairs.push((from.min(to), from.max(to)));
            }
        }
        NumberSet::from_pairs(pairs)
    }
}

impl SequenceBound {
    fn number(self, last: u32) -> u32 {
        match self {
            SequenceBound::Number(number) => number.get(),
            SequenceBound::Last => last,
        }
    }
}

impl From<NonZeroU32> for SequenceSet {
    fn from(number: NonZeroU32) -> Self {
        let bound = SequenceBound::Number(number);
        SequenceSet::Ranges(vec![(bound, bound)])
    }
}

impl fmt::Display for SequenceBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SequenceBound::Number(number) => number.fmt(f),
            SequenceBound::Last => f.write_str("*"),
        }
    }
}

impl fmt::Display for SequenceSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SequenceSet::Ranges(ranges) = self else {
            return f.write_str("$");
        };
        for (index, (from, to)) in ranges.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match from == to {
                true => write!(f, "{comma}{from}")?,
                false => write!(f, "{comma}{from}:{to}")?,
            }
        }
        Ok(())
    }
}

/// A set of numbers, sorted, as merged inclusive ranges.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct NumberSet {
    ranges: Vec<(u32, u32)>,
}

impl NumberSet {
    /// The empty set.
    pub const fn new() -> Self {
        NumberSet { ranges: Vec::new() }
    }

    /// The set of all numbers in the inclusive ranges, which may overlap and be in any order.
    pub fn from_pairs(mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.retain(|(from, to)| from <= to);
        pairs.sort_unstable();
        let mut ranges: Vec<(u32, u32)> = Vec::with_capacity(pairs.len());
        for (from, to) in pairs {
            match ranges.last_mut() {
                Some((_, end)) if from <= end.saturating_add(1) => *end = (*end).max(to),
                _ => ranges.push((from, to)),
            }
        }
        NumberSet { ranges }
    }

    /// Adds a number; cheap when it is the largest so far.
    pub fn insert(&mut self, number: u32) {
        match self.ranges.last_mut() {
            Some((_, end)) if Some(number) == end.checked_add(1) => *end = number,
            Some((_, end)) if number <= *end => {
                if !self.contains(number) {
                    let mut pairs = std::mem::take(&mut self.ranges);
                    pairs.push((number, number));
                    *self = NumberSet::from_pairs(pairs);
                }
            }
            _ => self.ranges.push((number, number)),
        }
    }

    /// Whether a number is in the set; logarithmic in the number of ranges.
    pub fn contains(&self, number: u32) -> bool {
        let after = self.ranges.partition_point(|(from, _)| *from <= number);
        let candidate = after.checked_sub(1).and_then(|index| self.ranges.get(index));
        candidate.is_some_and(|(_, to)| number <= *to)
    }

    /// There are no numbers in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many numbers there are.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|(from, to)| u64::from(to - from) + 1).sum()
    }

    /// The smallest.
    pub fn first(&self) -> Option<u32> {
        self.ranges.first().map(|(from, _)| *from)
    }

    /// The largest.
    pub fn last(&self) -> Option<u32> {
        self.ranges.last().map(|(_, to)| *to)
    }

    /// The inclusive ranges, sorted, neither overlapping nor touching.
    pub fn ranges(&self) -> impl DoubleEndedIterator<Item = (u32, u32)> + '_ {
        self.ranges.iter().copied()
    }

    /// Every number, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = u32> + '_ {
        self.ranges.iter().flat_map(|(from, to)| *from..=*to)
    }

    /// The numbers in both sets.
    #[must_use]
    pub fn intersection(&self, other: &NumberSet) -> NumberSet {
        let mut out = Vec::new();
        let (mut left, mut right) = (self.ranges().peekable(), other.ranges().peekable());
        while let (Some(&(a, b)), Some(&(c, d))) = (left.peek(), right.peek()) {
            if a.max(c) <= b.min(d) {
                out.push((a.max(c), b.min(d)));
            }
            if b < d {
                left.next();
            } else {
                right.next();
            }
        }
        NumberSet { ranges: out }
    }
}

impl FromIterator<u32> for NumberSet {
    fn from_iter<I: IntoIterator<Item = u32>>(numbers: I) -> Self {
        NumberSet::from_pairs(numbers.into_iter().map(|number| (number, number)).collect())
    }
}

impl fmt::Display for NumberSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (from, to)) in self.ranges().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            match from == to {
                true => write!(f, "{comma}{from}")?,
                false => write!(f, "{comma}{from}:{to}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn number(value: u32) -> SequenceBound {
        SequenceBound::Number(NonZeroU32::new(value).unwrap())
    }

    #[test]
    fn stars_and_reversed_ranges() {
        let set = SequenceSet::Ranges(vec![
            (number(9), number(7)),
            (number(559), SequenceBound::Last),
            (number(1), number(1)),
        ]);
        assert_eq!(set.to_string(), "9:7,559:*,1");
        assert_eq!(set.resolve(20).to_string(), "1,7:9,20:559");
        assert_eq!(set.resolve(1000).to_string(), "1,7:9,559:1000");
        assert_eq!(set.resolve(0).to_string(), "1,7:9");
    }

    #[test]
    fn a_huge_set_is_one_range() {
        let set = SequenceSet::Ranges(vec![(number(1), number(u32::MAX))]).resolve(5);
        assert_eq!(set.len(), u64::from(u32::MAX));
        assert_eq!(set.ranges().count(), 1);
    }

    proptest! {
        #[test]
        fn behaves_as_a_set(numbers in proptest::collection::vec(1u32..60, 0..40), other in
            proptest::collection::vec(1u32..60, 0..40)) {
            let model: BTreeSet<u32> = numbers.iter().copied().collect();
            let mut set = NumberSet::new();
            for number in &numbers {
                set.insert(*number);
            }
            prop_assert_eq!(&set, &numbers.iter().copied().collect::<NumberSet>());
            let numbers: Vec<u32> = model.iter().copied().collect();
            prop_assert_eq!(set.iter().collect::<Vec<_>>(), numbers);
            prop_assert_eq!(set.len(), model.len() as u64);
            for number in 0..61 {
                prop_assert_eq!(set.contains(number), model.contains(&number));
            }
            let other_model: BTreeSet<u32> = other.iter().copied().collect();
            let both: Vec<u32> = model.intersection(&other_model).copied().collect();
            let set2: NumberSet = other.into_iter().collect();
            prop_assert_eq!(set.intersection(&set2).iter().collect::<Vec<_>>(), both);
        }
    }
}
