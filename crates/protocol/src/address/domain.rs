//! Domain names as mail uses them, kept in the form of the wire (lower-case A-labels). Not a
//! resolver's name type: no trailing dot, no escapes. The letters of other scripts come in and go
//! out through IDNA (UTS 46, non-transitional).

use std::fmt;
use std::str::FromStr;

use super::AddressError;
use crate::limits;

/// A domain name: one or more labels, at most 255 octets, lower-case ASCII.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Domain(Box<str>);

impl Domain {
    /// The form for the wire and for DNS: A-labels, lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form to show: U-labels (RFC 5890 §2.3.2.1), or the A-label where it is not valid IDNA.
    pub fn to_unicode(&self) -> String {
        if !self.is_international() {
            return self.0.to_string();
        }
        match idna::domain_to_unicode(&self.0) {
            (unicode, Ok(())) => unicode,
            (_, Err(_)) => self.0.to_string(),
        }
    }

    /// One label at least is the A-label of another script.
    pub fn is_international(&self) -> bool {
        self.0.split('.').any(|label| label.starts_with("xn--"))
    }

    /// The labels from the left.
    pub fn labels(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('.')
    }

    /// The domain one label up, if there is one: `b.c` of `a.b.c`.
    pub fn parent(&self) -> Option<Domain> {
        self.0.split_once('.').map(|(_, parent)| Domain(parent.into()))
    }

    /// This domain is `other` or lies below it.
    pub fn is_within(&self, other: &Domain) -> bool {
        match self.0.strip_suffix(&*other.0) {
            Some(before) => before.is_empty() || before.ends_with('.'),
            None => false,
        }
    }

    /// Reads the longest run of what a domain may hold, and gives what follows it.
    pub(super) fn scan(text: &str) -> Result<(Self, &str), AddressError> {
        let end = text.find(|c: char| !belongs(c)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).ok_or(AddressError::DomainUnicode)?;
        if name.is_empty() {
            return Err(match rest.chars().next() {
                None | Some('>' | ' ') => AddressError::MissingDomain,
                Some(c) => AddressError::DomainCharacter(c),
            });
        }
        Ok((name.parse()?, rest))
    }
}

/// A character that can be within a domain name, in either form. `_` is no letter of RFC 5321
/// §4.1.2, but DNS has it and so do some return paths.
fn belongs(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_') || (!c.is_ascii() && !c.is_control())
}

impl FromStr for Domain {
    type Err = AddressError;

    /// Takes A-labels and U-labels, in any case.
    fn from_str(text: &str) -> Result<Self, AddressError> {
        if text.is_empty() {
            return Err(AddressError::MissingDomain);
        }
        // A U-label may shrink in its ASCII form, but not to a fifth.
        if text.len() > 5 * limits::DOMAIN {
            return Err(AddressError::DomainTooLong);
        }
        if let Some(c) = text.chars().find(|&c| !belongs(c)) {
            return Err(AddressError::DomainCharacter(c));
        }
        let ascii = if text.is_ascii() {
            text.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(text).map_err(|_| AddressError::DomainUnicode)?
        };
        if ascii.len() > limits::DOMAIN {
            return Err(AddressError::DomainTooLong);
        }
        for label in ascii.split('.') {
            if label.is_empty() || label.starts_with('-') || label.ends_with('-') {
                return Err(AddressError::DomainLabel);
            }
            if label.len() > limits::LABEL {
                return Err(AddressError::DomainTooLong);
            }
            // Mapping (UTS 46) may bring out characters that the input did not show.
            if !label.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')) {
                return Err(AddressError::DomainUnicode);
            }
        }
        Ok(Domain(ascii.into()))
    }
}

impl fmt::Display for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Domain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Domain {
    fn as_ref(&self) -> &str {
        &self.0
    }
}
