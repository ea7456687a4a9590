//! [`History`]: which letters went when, as far back as memory goes. What QRESYNC (RFC 7162 §3.2.5)
//! asks for. Part of a [`State`](crate::state::State), so a view of the past knows its own past.

use std::sync::Arc;

use crate::ids::ModSeq;
use crate::limits::EXPUNGES_REMEMBERED;
use crate::uidset::UidSet;

/// Expunges in order. A copy costs one reference; a change copies a list of references.
#[derive(Debug, Clone, Default)]
pub(crate) struct History {
    /// Of what went up to here nothing is known.
    from: ModSeq,
    gone: Arc<Vec<(ModSeq, Arc<UidSet>)>>,
}

impl History {
    /// One that knows nothing of what went up to `modseq`.
    pub(crate) fn since(modseq: ModSeq) -> Self {
        History { from: modseq, gone: Arc::default() }
    }

    /// These went.
    pub(crate) fn add(&mut self, modseq: ModSeq, uids: &UidSet) {
        let gone = Arc::make_mut(&mut self.gone);
        gone.push((modseq, Arc::new(uids.clone())));
        if gone.len() >= EXPUNGES_REMEMBERED {
            // The older half becomes coarser: whoever asks for one of two gets both. To be told
            // twice that a letter is gone does no harm.
            let older: Vec<_> = gone.drain(..EXPUNGES_REMEMBERED / 2).collect();
            let merged = older.chunks(2).map(|pair| {
                let mut all = UidSet::new();
                pair.iter().flat_map(|(_, uids)| uids.ranges()).for_each(|r| all.insert_range(r));
                (pair.last().map_or(0, |(modseq, _)| *modseq), Arc::new(all))
            });
            gone.splice(..0, merged.collect::<Vec<_>>());
        }
    }

    /// What went after `modseq`; `None`: that is too long ago.
    pub(crate) fn gone_since(&self, modseq: ModSeq) -> Option<UidSet> {
        if modseq < self.from {
            return None;
        }
        let first = self.gone.partition_point(|(at, _)| *at <= modseq);
        let mut all = UidSet::new();
        self.gone[first..]
            .iter()
            .flat_map(|(_, uids)| uids.ranges())
            .for_each(|range| all.insert_range(range));
        Some(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> UidSet {
        UidSet::parse(text).expect("a set")
    }

    #[test]
    fn what_went_since() {
        let mut history = History::since(10);
        history.add(12, &set("5"));
        history.add(15, &set("1:3"));
        assert_eq!(history.gone_since(9), None);
        assert_eq!(history.gone_since(10), Some(set("1:3,5")));
        assert_eq!(history.gone_since(12), Some(set("1:3")));
        assert_eq!(history.gone_since(15), Some(UidSet::new()));
    }

    #[test]
    fn a_long_history_is_coarse_and_forgets_nothing() {
        let mut history = History::default();
        let count = u32::try_from(EXPUNGES_REMEMBERED).expect("small") * 10;
        for uid in 1..=count {
            history.add(ModSeq::from(uid), &set(&uid.to_string()));
        }
        assert!(history.gone.len() <= EXPUNGES_REMEMBERED);
        assert_eq!(history.gone_since(0), Some(set(&format!("1:{count}"))));
        let late = history.gone_since(ModSeq::from(count) - 5).expect("known");
        assert_eq!(late, set(&format!("{}:{count}", count - 4)));
    }
}
