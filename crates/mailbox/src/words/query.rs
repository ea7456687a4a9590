//! What a letter must hold to be found: a condition on words that is necessary, never sufficient.
//! Made by the searcher from its keys, answered by the segments.

/// Which text of a letter is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Its text without the header.
    Body,
    /// Header or text.
    Any,
}

/// A condition that every letter fulfils that can be found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// The text holds these pieces, each within a word.
    Holds(Field, Vec<Vec<u8>>),
    /// All of these; never empty.
    All(Vec<Query>),
    /// One of these.
    One(Vec<Query>),
}

impl Query {
    /// What a text must hold that holds this string (both in lower case). `None`: there is no word
    /// in it that is long enough to tell.
    pub fn holds(field: Field, wanted: &str) -> Option<Query> {
        let pieces: Vec<Vec<u8>> = words(wanted.as_bytes())
            .filter(|word| word.len() >= SHORTEST)
            // A longer one is held in pieces of which one holds this much of it.
            .map(|word| word[..word.len().min(STEP)].to_vec())
            .collect();
        (!pieces.is_empty()).then_some(Query::Holds(field, pieces))
    }
}

/// The words of a text: runs of letters and digits, and of all octets above 127. A string that
/// holds none of the separators lies within one of them.
pub(super) fn words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| byte.is_ascii() && !byte.is_ascii_alphanumeric())
        .filter(|word| !word.is_empty())
}

/// The words of a text as they are kept: long ones in overlapping windows, such that any part of
/// one that is not longer than [`STEP`] lies within a window.
pub(super) fn kept_words(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    words(text).flat_map(|word| {
        let windows = word.len().saturating_sub(WINDOW).div_ceil(STEP) + 1;
        (0..windows).map(move |n| &word[n * STEP..word.len().min(n * STEP + WINDOW)])
    })
}

/// Octets of the shortest piece that is looked up: shorter ones are nearly everywhere.
const SHORTEST: usize = 3;

/// Octets of a window of a long word.
const WINDOW: usize = 64;

/// Octets between two windows.
const STEP: usize = 32;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn pieces() {
        let wanted = Query::Holds(Field::Any, vec![b"hello".to_vec(), b"world".to_vec()]);
        assert_eq!(Query::holds(Field::Any, "hello, a world"), Some(wanted));
        assert_eq!(Query::holds(Field::Body, "a b"), None);
        assert_eq!(Query::holds(Field::Body, ""), None);
    }

    proptest! {
        #[test]
        fn what_is_in_a_text_is_in_its_words(
            text in "[a-z\u{e4}\u{4e2d} .]{0,300}", from in 0usize..300, length in 0usize..60,
        ) {
            let chars: Vec<char> = text.chars().collect();
            let wanted: String = chars.iter().skip(from).take(length).collect();
            if let Some(Query::Holds(_, pieces)) = Query::holds(Field::Any, &wanted) {
                for piece in pieces {
                    let found = kept_words(text.as_bytes())
                        .any(|word| memchr::memmem::find(word, &piece).is_some());
                    prop_assert!(found, "{:?}", String::from_utf8_lossy(&piece));
                }
            }
        }
    }
}
