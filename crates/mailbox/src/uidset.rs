//! [`UidSet`]: UIDs as sorted, disjoint ranges. Printed as IMAP prints them (RFC 9051
//! `sequence-set`), without `*`: what that stands for is known only where a mailbox is open.

use std::fmt;
use std::ops::RangeInclusive;

use crate::ids::Uid;

/// A set of UIDs: sorted, disjoint, not adjacent ranges.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UidSet {
    ranges: Vec<(u32, u32)>,
}

impl UidSet {
    /// The empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every UID there can be.
    pub fn all() -> Self {
        UidSet { ranges: vec![(1, u32::MAX)] }
    }

    /// Adds one UID.
    pub fn insert(&mut self, uid: Uid) {
        self.insert_range(uid.get()..=uid.get());
    }

    /// Adds a range; 0 is passed over. At the end of the set this costs nothing.
    pub fn insert_range(&mut self, range: RangeInclusive<u32>) {
        let (first, last) = ((*range.start()).max(1), *range.end());
        if first > last {
            return;
        }
        match self.ranges.last_mut() {
            Some((start, end)) if first >= *start => {
                if first <= end.saturating_add(1) {
                    *end = last.max(*end);
                } else {
                    self.ranges.push((first, last));
                }
            }
            None => self.ranges.push((first, last)),
            Some(_) => self.insert_inside(first, last),
        }
    }

    fn insert_inside(&mut self, mut first: u32, mut last: u32) {
        let from = self.ranges.partition_point(|&(_, end)| end.saturating_add(1) < first);
        let to = self.ranges.partition_point(|&(start, _)| start <= last.saturating_add(1));
        if let (Some(&(start, _)), Some(&(_, end))) =
            (self.ranges.get(from), to.checked_sub(1).and_then(|at| self.ranges.get(at)))
            && from < to
        {
            first = first.min(start);
            last = last.max(end);
        }
        self.ranges.splice(from..to.max(from), [(first, last)]);
    }

    /// Whether the UID is in the set.
    pub fn contains(&self, uid: Uid) -> bool {
        let at = self.ranges.partition_point(|&(_, end)| end < uid.get());
        self.ranges.get(at).is_some_and(|&(start, _)| start <= uid.get())
    }

    /// Whether a UID is in both sets.
    pub fn overlaps(&self, other: &UidSet) -> bool {
        other.ranges.iter().any(|&(first, last)| {
            let at = self.ranges.partition_point(|&(_, end)| end < first);
            self.ranges.get(at).is_some_and(|&(start, _)| start <= last)
        })
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.ranges.is_empty()
    }

    /// How many UIDs are in it.
    pub fn len(&self) -> u64 {
        self.ranges.iter().map(|&(start, end)| u64::from(end - start) + 1).sum()
    }

    /// The ranges, in order.
    pub fn ranges(&self) -> impl Iterator<Item = RangeInclusive<u32>> + '_ {
        self.ranges.iter().map(|&(start, end)| start..=end)
    }

    /// The UIDs, in order. Only where the set is known to be small or bounded by a mailbox.
    pub fn iter(&self) -> impl Iterator<Item = Uid> + '_ {
        self.ranges().flatten().filter_map(Uid::new)
    }

    /// The set in pieces of at most `ranges` ranges.
    pub fn pieces(&self, ranges: usize) -> impl Iterator<Item = UidSet> + '_ {
        self.ranges.chunks(ranges.max(1)).map(|piece| UidSet { ranges: piece.to_vec() })
    }

    /// Reads what [`Display`](fmt::Display) wrote, or any `sequence-set` without `*`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut set = UidSet::new();
        for range in text.split(',') {
            let (first, last) = range.split_once(':').unwrap_or((range, range));
            let number = |text: &str| {
                let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
                digits.then(|| text.parse::<Uid>().ok()).flatten()
            };
            let (a, b) = (number(first)?.get(), number(last)?.get());
            set.insert_range(a.min(b)..=a.max(b));
        }
        Some(set)
    }
}

impl FromIterator<Uid> for UidSet {
    fn from_iter<I: IntoIterator<Item = Uid>>(uids: I) -> Self {
        let mut set = UidSet::new();
        uids.into_iter().for_each(|uid| set.insert(uid));
        set
    }
}

impl fmt::Display for UidSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, &(start, end)) in self.ranges.iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            if start == end {
                write!(f, "{comma}{start}")?;
            } else {
                write!(f, "{comma}{start}:{end}")?;
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

    #[test]
    fn prints_as_imap_does() {
        let set = UidSet::parse("9,1:3,5:4,2:6").unwrap();
        assert_eq!(set.to_string(), "1:6,9");
        assert_eq!(set.len(), 7);
        for bad in ["", "0", "1:", "*", "1,,2", "+1", "4294967296"] {
            assert_eq!(UidSet::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn is_a_set(ranges in proptest::collection::vec((1u32..60, 0u32..6), 1..20)) {
            let mut set = UidSet::new();
            let mut model = BTreeSet::new();
            for (start, more) in ranges {
                set.insert_range(start..=start + more);
                model.extend(start..=start + more);
            }
            let all: Vec<u32> = set.iter().map(Uid::get).collect();
            prop_assert_eq!(&all, &model.iter().copied().collect::<Vec<_>>());
            prop_assert_eq!(set.len(), model.len() as u64);
            for uid in 1..70 {
                prop_assert_eq!(set.contains(Uid::new(uid).unwrap()), model.contains(&uid));
            }
            prop_assert_eq!(UidSet::parse(&set.to_string()), Some(set.clone()));
            let ends: Vec<_> = set.ranges().collect();
            prop_assert!(ends.windows(2).all(|w| *w[0].end() + 1 < *w[1].start()));
        }
    }
}
