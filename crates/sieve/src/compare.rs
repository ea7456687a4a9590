//! Comparators and match types (RFC 5228 §2.7, RFC 5231, RFC 4790, the regex extension): does a
//! value match a key, and what did the wildcards stand for. Knows nothing of headers or scripts.

use std::cmp::Ordering;

use regex_lite::{Regex, RegexBuilder};

use crate::limits::{MATCH_VARIABLES, REGEX_BYTES, REGEX_LENGTH, REGEX_NESTING, REGEX_TEXT};
use crate::program::Template;

/// How values are compared with keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Matching {
    pub(crate) how: MatchType,
    pub(crate) comparator: Comparator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MatchType {
    Is,
    Contains,
    Matches,
    Regex,
    Value(Relation),
    Count(Relation),
}

/// RFC 5231 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Relation {
    Gt,
    Ge,
    Lt,
    Le,
    Eq,
    Ne,
}

/// RFC 4790 §9; the default is `i;ascii-casemap` (RFC 5228 §2.7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Comparator {
    Octet,
    AsciiCasemap,
    AsciiNumeric,
}

/// A key with its regular expression, if it is one without variables.
#[derive(Debug, Clone)]
pub(crate) struct Key {
    pub(crate) template: Template,
    pub(crate) regex: Option<Regex>,
}

impl Matching {
    pub(crate) const DEFAULT: Matching =
        Matching { how: MatchType::Is, comparator: Comparator::AsciiCasemap };

    /// Words for the explanation.
    pub(crate) fn verb(self) -> &'static str {
        match self.how {
            MatchType::Is => "is",
            MatchType::Contains => "contains",
            MatchType::Matches => "matches",
            MatchType::Regex => "matches the expression",
            MatchType::Value(relation) | MatchType::Count(relation) => match relation {
                Relation::Gt => "is greater than",
                Relation::Ge => "is at least",
                Relation::Lt => "is less than",
                Relation::Le => "is at most",
                Relation::Eq => "equals",
                Relation::Ne => "differs from",
            },
        }
    }
}

impl Relation {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        Some(match text.to_ascii_lowercase().as_str() {
            "gt" => Relation::Gt,
            "ge" => Relation::Ge,
            "lt" => Relation::Lt,
            "le" => Relation::Le,
            "eq" => Relation::Eq,
            "ne" => Relation::Ne,
            _ => return None,
        })
    }

    fn holds(self, order: Ordering) -> bool {
        match self {
            Relation::Gt => order == Ordering::Greater,
            Relation::Ge => order != Ordering::Less,
            Relation::Lt => order == Ordering::Less,
            Relation::Le => order != Ordering::Greater,
            Relation::Eq => order == Ordering::Equal,
            Relation::Ne => order != Ordering::Equal,
        }
    }
}

impl Comparator {
    /// The comparator of this name (RFC 4790 §3.1).
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "i;octet" => Comparator::Octet,
            "i;ascii-casemap" => Comparator::AsciiCasemap,
            "i;ascii-numeric" => Comparator::AsciiNumeric,
            _ => return None,
        })
    }

    fn order(self, left: &str, right: &str) -> Ordering {
        match self {
            Comparator::Octet => left.as_bytes().cmp(right.as_bytes()),
            // RFC 4790 §9.2.1: folded to upper case.
            Comparator::AsciiCasemap => {
                let folded = |text: &str| text.to_ascii_uppercase();
                folded(left).as_bytes().cmp(folded(right).as_bytes())
            }
            Comparator::AsciiNumeric => numeric(left, right),
        }
    }

    fn folds(self) -> bool {
        self == Comparator::AsciiCasemap
    }
}

/// RFC 4790 §9.1.1: the digits a text begins with; a text without is greater than every number
/// and equal to its like.
fn numeric(left: &str, right: &str) -> Ordering {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let digits = text.get(..end).unwrap_or_default();
        (!digits.is_empty()).then(|| digits.trim_start_matches('0').to_owned())
    };
    match (digits(left), digits(right)) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Greater,
        (Some(_), None) => Ordering::Less,
        (Some(left), Some(right)) => left.len().cmp(&right.len()).then_with(|| left.cmp(&right)),
    }
}

/// What the wildcards stood for: the whole first, `None` where a value cannot be told.
pub(crate) type Found = Vec<String>;

/// Whether a value matches a key. With `:matches` and `:regex`, what was found.
pub(crate) fn matches(matching: Matching, value: &str, key: &str) -> Option<Found> {
    let Matching { how, comparator } = matching;
    let is = match how {
        MatchType::Is => comparator.order(value, key) == Ordering::Equal,
        MatchType::Contains => contains(comparator, value, key),
        MatchType::Matches => return glob(comparator.folds(), value, key),
        MatchType::Value(relation) => relation.holds(comparator.order(value, key)),
        // Counts are compared by who counts; expressions with `regex_matches`.
        MatchType::Regex | MatchType::Count(_) => false,
    };
    is.then(Vec::new)
}

/// RFC 5231 §4.2: a count compared with a key, by numbers whatever the comparator but the two that
/// compare texts.
pub(crate) fn count_matches(matching: Matching, count: usize, key: &str) -> bool {
    let MatchType::Count(relation) = matching.how else { return false };
    relation.holds(numeric(&count.to_string(), key))
}

fn contains(comparator: Comparator, value: &str, key: &str) -> bool {
    if key.is_empty() {
        return true;
    }
    match comparator {
        Comparator::Octet => memchr::memmem::find(value.as_bytes(), key.as_bytes()).is_some(),
        _ => {
            let value = value.to_ascii_lowercase();
            let key = key.to_ascii_lowercase();
            memchr::memmem::find(value.as_bytes(), key.as_bytes()).is_some()
        }
    }
}

enum Pattern {
    Any,
    One,
    Exactly(char),
}

/// RFC 5228 §2.7.1 `:matches`: `*` stands for any run of characters, `?` for one. Each wildcard
/// takes as little as it can, the first ones first (RFC 5229 §3.2). Going back no further than to
/// the last star bounds the time by the product of the lengths.
fn glob(folds: bool, value: &str, pattern: &str) -> Option<Found> {
    let mut parts = Vec::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        parts.push(match character {
            '*' => Pattern::Any,
            '?' => Pattern::One,
            '\\' => Pattern::Exactly(characters.next().unwrap_or('\\')),
            other => Pattern::Exactly(other),
        });
    }
    let text: Vec<char> = value.chars().collect();
    let same = |a: char, b: char| if folds { a.eq_ignore_ascii_case(&b) } else { a == b };
    // Where each wildcard's text begins and ends.
    let mut captures: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut part) = (0, 0);
    // The last star: its place in the pattern, the end of its text, captures before it.
    let mut star: Option<(usize, usize, usize)> = None;
    loop {
        let fits = match parts.get(part) {
            Some(Pattern::Any) => {
                star = Some((part, at, captures.len()));
                captures.push((at, at));
                part += 1;
                continue;
            }
            Some(Pattern::One) if at < text.len() => {
                captures.push((at, at + 1));
                true
            }
            Some(Pattern::Exactly(wanted)) => text.get(at).is_some_and(|c| same(*c, *wanted)),
            Some(Pattern::One) => false,
            None if at == text.len() => break,
            None => false,
        };
        if fits {
            (at, part) = (at + 1, part + 1);
            continue;
        }
        let (of_star, end, kept) = star?;
        if end >= text.len() {
            return None;
        }
        captures.truncate(kept + 1);
        let begin = captures.get(kept)?.0;
        *captures.get_mut(kept)? = (begin, end + 1);
        star = Some((of_star, end + 1, kept));
        (at, part) = (end + 1, of_star + 1);
    }
    let mut found = vec![value.to_owned()];
    for (begin, end) in captures.into_iter().take(MATCH_VARIABLES - 1) {
        found.push(text.get(begin..end).unwrap_or_default().iter().collect());
    }
    Some(found)
}

/// A POSIX extended regular expression, as the regex draft has it, for an engine whose time is
/// linear in the text: no expression can blow up.
pub(crate) fn regex(expression: &str, comparator: Comparator) -> Result<Regex, String> {
    if expression.len() > REGEX_LENGTH {
        return Err(format!("the expression is longer than {REGEX_LENGTH} octets"));
    }
    RegexBuilder::new(&from_posix(expression))
        .case_insensitive(comparator.folds())
        .size_limit(REGEX_BYTES)
        .nest_limit(REGEX_NESTING)
        .build()
        .map_err(|error| error.to_string())
}

/// In POSIX brackets a backslash is itself, and a bracket inside is no nested class.
fn from_posix(expression: &str) -> String {
    let mut out = String::with_capacity(expression.len() + 8);
    let mut rest = expression.chars().peekable();
    while let Some(next) = rest.next() {
        out.push(next);
        match next {
            '\\' => out.extend(rest.next()),
            '[' => {
                if rest.peek() == Some(&'^') {
                    out.extend(rest.next());
                }
                // A closing bracket that comes first is one of the characters.
                if rest.peek() == Some(&']') {
                    rest.next();
                    out.push_str("\\]");
                }
                bracket(&mut rest, &mut out);
            }
            _ => {}
        }
    }
    out
}

fn bracket(rest: &mut std::iter::Peekable<std::str::Chars<'_>>, out: &mut String) {
    while let Some(next) = rest.next() {
        match next {
            ']' => {
                out.push(']');
                return;
            }
            // `[:alpha:]` is understood by the engine as it stands.
            '[' if rest.peek() == Some(&':') => {
                out.push('[');
                for inner in rest.by_ref() {
                    out.push(inner);
                    if inner == ']' {
                        break;
                    }
                }
            }
            '[' | '&' | '~' => {
                out.push('\\');
                out.push(next);
            }
            // POSIX takes it as it is; expressions written for PCRE escape with it.
            '\\' => match rest.peek() {
                Some(escaped) if "wWdDsS\\]^-[".contains(*escaped) => {
                    out.push('\\');
                    out.extend(rest.next());
                }
                _ => out.push_str("\\\\"),
            },
            other => out.push(other),
        }
    }
}

/// Whether the expression is found in the value, and its groups.
pub(crate) fn regex_matches(regex: &Regex, value: &str) -> Option<Found> {
    let value = value.get(..value.floor_char_boundary(REGEX_TEXT)).unwrap_or(value);
    let captures = regex.captures(value)?;
    let text = |group: Option<regex_lite::Match<'_>>| {
        group.map(|group| group.as_str().to_owned()).unwrap_or_default()
    };
    Some(captures.iter().take(MATCH_VARIABLES).map(text).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_take_as_little_as_they_can() {
        let found = |value, pattern| glob(true, value, pattern);
        assert_eq!(found("frop", "FR?P").unwrap(), ["frop", "o"]);
        let list = found("[acme-users] [fwd] version 1.0 is out", "[*] *").unwrap();
        assert_eq!(list[1..], ["acme-users", "[fwd] version 1.0 is out"]);
        assert_eq!(found("abcbcd", "a*bc*").unwrap()[1..], ["", "bcd"]);
        assert_eq!(found("aXbXc", "*X?").unwrap()[1..], ["aXb", "c"]);
        assert_eq!(found("", "*").unwrap(), ["", ""]);
        assert_eq!(found("a*b", "a\\*b").unwrap(), ["a*b"]);
        assert!(found("ab", "a\\*b").is_none());
        assert!(found("abc", "b*").is_none());
        assert!(found("aaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "*a*a*a*a*a*a*b").is_none());
    }

    #[test]
    fn numbers_are_compared_as_numbers() {
        let equal = |a, b| numeric(a, b);
        assert_eq!(equal("0010", "10 apples"), Ordering::Equal);
        assert_eq!(equal("9", "10"), Ordering::Less);
        assert_eq!(equal("x", "99999999999999999999999"), Ordering::Greater);
        assert_eq!(equal("x", ""), Ordering::Equal);
    }

    #[test]
    fn posix_brackets_keep_their_meaning() {
        let is = |expression, text: &str| {
            regex_matches(&regex(expression, Comparator::AsciiCasemap).unwrap(), text).is_some()
        };
        assert!(is("^[[:digit:]]+$", "4711"));
        assert!(is("^[]a]+$", "]A]"));
        assert!(is("^[^]a]+$", "xyz"));
        assert!(is("x[\\\\]y", "x\\y"));
        assert!(!is("^a{2}$", "aaa"));
        let groups = regex_matches(
            &regex("^(re|fw): (.*)$", Comparator::AsciiCasemap).unwrap(),
            "Re: dinner",
        );
        assert_eq!(groups.unwrap(), ["Re: dinner", "Re", "dinner"]);
        assert!(regex("(", Comparator::Octet).is_err());
        assert!(regex("(((((a{999}){999}){999}){999}){999})", Comparator::Octet).is_err());
    }
}
