//! Keywords of a mailbox: their names, and the sets of them that letters carry. A letter holds the
//! 16-bit number of its set; most letters have the empty one, number 0.
//!
//! Numbers are private to a mailbox in memory and its snapshot; logs spell keywords out.

use std::collections::HashMap;
use std::sync::Arc;

use crate::limits::{KEYWORD_BYTES, KEYWORD_SETS, KEYWORDS};

/// One keyword: an atom of RFC 9051 §9 that is no system flag. Kept as first written; compared
/// without regard to case (RFC 9051 §2.3.2).
#[derive(Debug, Clone)]
pub struct Keyword(Arc<str>);

/// The number of a set of keywords within one mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
pub struct KeywordSet(pub(crate) u16);

/// The keywords of one mailbox and their sets. Grows only; shared by the views of a mailbox.
#[derive(Debug, Clone)]
pub struct Keywords {
    names: Vec<Keyword>,
    /// Sorted places in `names`; the first set is empty.
    sets: Vec<Box<[u16]>>,
    numbers: HashMap<Box<[u16]>, u16>,
}

/// The mailbox has too many keywords, or sets of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManyKeywords;

impl Keyword {
    /// Checks a keyword as a client gives it.
    pub fn new(text: &str) -> Option<Self> {
        let special = |b: u8| b"(){%*\"\\]".contains(&b) || b <= b' ' || b >= 0x7f;
        let good = !text.is_empty() && text.len() <= KEYWORD_BYTES && !text.bytes().any(special);
        good.then(|| Keyword(text.into()))
    }

    /// The keyword as first written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Keyword {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for Keyword {}

impl Default for Keywords {
    fn default() -> Self {
        let empty: Box<[u16]> = Box::default();
        Keywords {
            names: Vec::new(),
            sets: vec![empty.clone()],
            numbers: HashMap::from([(empty, 0)]),
        }
    }
}

impl KeywordSet {
    /// No keyword.
    pub const EMPTY: KeywordSet = KeywordSet(0);
}

impl Keywords {
    /// Every keyword the mailbox knows, used or not: for FLAGS and PERMANENTFLAGS.
    pub fn all(&self) -> &[Keyword] {
        &self.names
    }

    /// The keywords of a set.
    pub fn of(&self, set: KeywordSet) -> impl Iterator<Item = &Keyword> {
        let places = self.sets.get(usize::from(set.0)).map(|set| &**set).unwrap_or_default();
        places.iter().filter_map(|&place| self.names.get(usize::from(place)))
    }

    /// Whether the keyword is in the set.
    pub fn contains(&self, set: KeywordSet, keyword: &Keyword) -> bool {
        self.of(set).any(|one| one == keyword)
    }

    /// The set of exactly these keywords, made if need be.
    pub(crate) fn set(&mut self, keywords: &[Keyword]) -> Result<KeywordSet, TooManyKeywords> {
        let places = keywords.iter().map(|keyword| self.place(keyword));
        let places = places.collect::<Result<Vec<_>, _>>()?;
        self.number(places)
    }

    /// The number of the set of exactly these keywords, if there is one.
    pub(crate) fn find(&self, keywords: &[Keyword]) -> Option<KeywordSet> {
        let place = |keyword| self.names.iter().position(|one| one == keyword);
        let places = keywords.iter().map(|keyword| u16::try_from(place(keyword)?).ok());
        let mut places = places.collect::<Option<Vec<u16>>>()?;
        places.sort_unstable();
        places.dedup();
        self.numbers.get(&places[..]).map(|&number| KeywordSet(number))
    }

    /// The set with these added.
    pub(crate) fn plus(
        &mut self,
        set: KeywordSet,
        keywords: &[Keyword],
    ) -> Result<KeywordSet, TooManyKeywords> {
        let mut all: Vec<Keyword> = self.of(set).cloned().collect();
        all.extend_from_slice(keywords);
        self.set(&all)
    }

    /// The set with these taken away.
    pub(crate) fn minus(
        &mut self,
        set: KeywordSet,
        keywords: &[Keyword],
    ) -> Result<KeywordSet, TooManyKeywords> {
        let rest: Vec<Keyword> =
            self.of(set).filter(|one| !keywords.contains(one)).cloned().collect();
        self.set(&rest)
    }

    /// The sets in the order of their numbers, without the empty one: for snapshots.
    pub(crate) fn sets(&self) -> impl Iterator<Item = impl Iterator<Item = &Keyword>> {
        (1..self.sets.len()).map(|at| self.of(KeywordSet(u16::try_from(at).unwrap_or(0))))
    }

    /// Makes keywords known, in this order, without a letter that has them.
    pub(crate) fn know(&mut self, keywords: &[Keyword]) -> Result<(), TooManyKeywords> {
        keywords.iter().try_for_each(|keyword| self.place(keyword).map(drop))
    }

    fn place(&mut self, keyword: &Keyword) -> Result<u16, TooManyKeywords> {
        let place = match self.names.iter().position(|one| one == keyword) {
            Some(place) => place,
            None if self.names.len() >= KEYWORDS => return Err(TooManyKeywords),
            None => {
                self.names.push(keyword.clone());
                self.names.len() - 1
            }
        };
        u16::try_from(place).map_err(|_| TooManyKeywords)
    }

    fn number(&mut self, mut places: Vec<u16>) -> Result<KeywordSet, TooManyKeywords> {
        places.sort_unstable();
        places.dedup();
        let places = places.into_boxed_slice();
        if let Some(&number) = self.numbers.get(&places) {
            return Ok(KeywordSet(number));
        }
        if self.sets.len() > KEYWORD_SETS {
            return Err(TooManyKeywords);
        }
        let number = u16::try_from(self.sets.len()).map_err(|_| TooManyKeywords)?;
        self.sets.push(places.clone());
        self.numbers.insert(places, number);
        Ok(KeywordSet(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keywords(names: &[&str]) -> Vec<Keyword> {
        names.iter().map(|name| Keyword::new(name).unwrap()).collect()
    }

    #[test]
    fn sets_have_one_number_whatever_the_order() {
        let mut of = Keywords::default();
        let ab = of.set(&keywords(&["$a", "b"])).unwrap();
        assert_eq!(of.set(&keywords(&["B", "$A", "b"])), Ok(ab), "case and repeats do not count");
        assert_eq!(of.minus(ab, &keywords(&["b", "$a"])), Ok(KeywordSet::EMPTY));
        let a = of.minus(ab, &keywords(&["b"])).unwrap();
        assert_eq!(of.plus(a, &keywords(&["b"])), Ok(ab));
        let names: Vec<&str> = of.of(ab).map(Keyword::as_str).collect();
        assert_eq!(names, ["$a", "b"]);
    }

    #[test]
    fn refuses_what_is_no_atom() {
        for bad in ["", "\\Seen", "a b", "a(", "ä", "a\"", "a]"] {
            assert_eq!(Keyword::new(bad), None, "{bad}");
        }
        let mut of = Keywords::default();
        for n in 0..KEYWORDS {
            of.set(&keywords(&[&format!("k{n}")])).unwrap();
        }
        assert_eq!(of.set(&keywords(&["more"])), Err(TooManyKeywords));
    }
}
