//! Values against keys, the way all tests do it, and what is noted about it.

use super::ask::shown;
use super::{Ran, Run};
use crate::compare::{self, MatchType, Matching};
use crate::fault::Position;
use crate::program::{Index, Test};

/// Whether wildcards that were found become match variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capture {
    Yes,
    No,
}

impl Run<'_> {
    /// Whether any value matches any key; with `:count`, whether their number does.
    pub(super) fn any_matches(
        &mut self,
        test: &Test,
        matching: Matching,
        values: &[String],
        (keys, capture): (&[compare::Key], Capture),
    ) -> Ran<bool> {
        for key in keys {
            let text = self.expand(&key.template)?;
            if let MatchType::Count(_) = matching.how {
                if compare::count_matches(matching, values.len(), &text) {
                    self.told(test, true, || {
                        format!("the count {} {} {}", values.len(), matching.verb(), shown(&text))
                    });
                    return Ok(true);
                }
                continue;
            }
            let compiled;
            let regex = match (&key.regex, matching.how) {
                (None, MatchType::Regex) => {
                    self.spend_text(test.at, text.len().saturating_mul(100))?;
                    // A bad expression in a variable is the letter's fault perhaps: no match.
                    compiled = compare::regex(&text, matching.comparator).ok();
                    compiled.as_ref()
                }
                (known, _) => known.as_ref(),
            };
            for value in values {
                self.spend_text(test.at, cost(matching, value, &text))?;
                let found = match (matching.how, regex) {
                    (MatchType::Regex, Some(regex)) => compare::regex_matches(regex, value),
                    _ => compare::matches(matching, value, &text),
                };
                let Some(found) = found else { continue };
                self.told(test, true, || {
                    format!("{} {} {}", shown(value), matching.verb(), shown(&text))
                });
                if capture == Capture::Yes
                    && matches!(matching.how, MatchType::Matches | MatchType::Regex)
                {
                    self.scope.found = found;
                }
                return Ok(true);
            }
        }
        self.told(test, false, || match (matching.how, values) {
            (MatchType::Count(_), _) => format!("the count is {}", values.len()),
            (_, []) => "there is no such value".to_owned(),
            (_, [one]) => format!("the value is {}", shown(one)),
            (_, [first, ..]) => {
                format!("none of {} values, the first is {}", values.len(), shown(first))
            }
        });
        Ok(false)
    }

    /// Notes what a test said.
    pub(super) fn told(&mut self, test: &Test, said: bool, why: impl FnOnce() -> String) {
        self.note(test.at, || {
            let word = if said { "true" } else { "false" };
            format!("{} is {word}: {}", test.name, why())
        });
    }

    /// Words of a place that is no test.
    pub(super) fn noted(&mut self, at: Position, what: &str) {
        self.note(at, || what.to_owned());
    }
}

/// Octets of work for one comparison.
fn cost(matching: Matching, value: &str, key: &str) -> usize {
    match matching.how {
        // Going back is bounded by the product; patterns without many stars cost their length.
        MatchType::Matches => {
            let stars = key.bytes().filter(|octet| *octet == b'*').count();
            let length = if stars > 1 { key.len().min(value.len()) } else { 4 };
            value.len().saturating_mul(length.max(1))
        }
        // The engine is linear in the text, with a factor of the expression's size.
        MatchType::Regex => value.len().saturating_mul(key.len().clamp(8, 512)),
        _ => value.len() + key.len(),
    }
}

/// The values that `:index` leaves (RFC 5260 §6).
pub(super) fn indexed<T>(mut values: Vec<T>, index: Option<Index>) -> Vec<T> {
    let Some(Index { number, last }) = index else { return values };
    let Some(number) = usize::try_from(number).ok().and_then(|number| number.checked_sub(1)) else {
        return Vec::new();
    };
    if last {
        values.reverse();
    }
    if number < values.len() { vec![values.swap_remove(number)] } else { Vec::new() }
}
