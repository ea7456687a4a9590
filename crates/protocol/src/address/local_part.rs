//! The part before the `@`: kept without quotes and backslashes, printed with as few as will do,
//! so that `"joe"@x` and `joe@x` are the same (RFC 5321 §4.1.2). Never case-folded here: what a
//! mailbox name means is for its own domain to say.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use super::AddressError;
use crate::limits;

/// A local part, at most 192 octets; compares exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LocalPart(Box<str>);

impl LocalPart {
    /// The meaning, without quotes: `Joe Q. Public` of `"Joe Q. Public"`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Makes a local part from its meaning, quoting being left to printing.
    pub fn from_meaning(meaning: &str) -> Result<Self, AddressError> {
        if meaning.len() > limits::LOCAL_PART_LONGEST {
            return Err(AddressError::LocalPartTooLong);
        }
        match meaning.chars().find(|&c| !is_quotable(c)) {
            Some(c) => Err(AddressError::LocalPartCharacter(c)),
            None => Ok(LocalPart(meaning.into())),
        }
    }

    /// No character needs SMTPUTF8.
    pub fn is_ascii(&self) -> bool {
        self.0.is_ascii()
    }

    /// The octets of the printed form: what limits on the wire count.
    pub fn printed_len(&self) -> usize {
        if is_dot_string(&self.0) {
            return self.0.len();
        }
        2 + self.0.len() + self.0.bytes().filter(|b| matches!(b, b'"' | b'\\')).count()
    }

    /// The part before the first `separator`, and what follows it: the subaddress (RFC 5233 §1).
    /// A separator at the beginning divides nothing.
    pub fn split_tag(&self, separator: char) -> (LocalPart, Option<&str>) {
        match self.0.split_once(separator) {
            Some((base, tag)) if !base.is_empty() => (LocalPart(base.into()), Some(tag)),
            _ => (self.clone(), None),
        }
    }

    /// Reads a local part from the beginning of `text` and gives what follows it.
    pub(crate) fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        match text.strip_prefix('"') {
            Some(inner) => Self::scan_quoted(inner),
            None => Self::scan_dot_string(text),
        }
    }

    fn scan_dot_string(text: &str) -> Result<(Self, &str), AddressError> {
        let end = text.find(|c| !is_atext(c) && c != '.').unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).ok_or(AddressError::MissingAt)?;
        match rest.chars().next() {
            Some('@' | '>') | None => {}
            Some(c) => return Err(AddressError::LocalPartCharacter(c)),
        }
        if name.is_empty() {
            return Err(AddressError::MissingLocalPart);
        }
        if !is_dot_string(name) {
            return Err(AddressError::LocalPartDots);
        }
        Ok((Self::from_meaning(name)?, rest))
    }

    fn scan_quoted(inner: &str) -> Result<(Self, &str), AddressError> {
        let mut meaning = String::new();
        let mut characters = inner.chars();
        loop {
            let c = match characters.next().ok_or(AddressError::UnclosedQuote)? {
                '"' => return Ok((Self::from_meaning(&meaning)?, characters.as_str())),
                '\\' => characters.next().ok_or(AddressError::UnclosedQuote)?,
                c => c,
            };
            meaning.push(c);
        }
    }
}

/// RFC 5321 §4.1.2 Dot-string.
fn is_dot_string(text: &str) -> bool {
    !text.is_empty() && text.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// RFC 5322 §3.2.3 atext, with the UTF-8 of RFC 6531 §3.3 (without the C1 controls).
fn is_atext(c: char) -> bool {
    c.is_ascii_alphanumeric()
        || "!#$%&'*+-/=?^_`{|}~".contains(c)
        || (!c.is_ascii() && !c.is_control())
}

/// What can stand between quotes, with a backslash where needed: no control character.
fn is_quotable(c: char) -> bool {
    !c.is_control()
}

impl FromStr for LocalPart {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        match Self::scan(text)? {
            (local, "") => Ok(local),
            _ => Err(AddressError::TrailingText),
        }
    }
}

/// The form for the wire: plain where that is allowed, else quoted.
impl fmt::Display for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if is_dot_string(&self.0) {
            return f.pad(&self.0);
        }
        f.write_char('"')?;
        for c in self.0.chars() {
            if matches!(c, '"' | '\\') {
                f.write_char('\\')?;
            }
            f.write_char(c)?;
        }
        f.write_char('"')
    }
}

impl fmt::Debug for LocalPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}
