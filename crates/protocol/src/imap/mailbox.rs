//! Mailbox names and LIST patterns as types that cannot be wrong. Not the store's idea of where a
//! mailbox lies (`mailbox` maps names to folders). Called by the grammar and by both agents.

use std::fmt;

use super::limits;
use super::utf7;

/// The name of a mailbox, in Unicode. `INBOX` in any case is the one INBOX (RFC 3501 §5.1); there
/// are no control characters; the length is bounded.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(Box<str>);

/// Why a name cannot be the name of a mailbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MailboxNameError {
    /// Nothing at all.
    Empty,
    /// Longer than [`limits::MAILBOX_NAME_SIZE`].
    TooLong,
    /// A control character, NUL, CR and LF among them.
    Control,
    /// Not modified UTF-7.
    Utf7(utf7::Utf7Error),
    /// An empty level of hierarchy: the delimiter first, last, or twice in a row.
    EmptyLevel,
    /// A level called `.` or `..`.
    Dots,
}

impl fmt::Display for MailboxNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MailboxNameError::Empty => f.write_str("the mailbox name is empty"),
            MailboxNameError::TooLong => {
                write!(f, "the mailbox name is over {} octets", limits::MAILBOX_NAME_SIZE)
            }
            MailboxNameError::Control => f.write_str("the mailbox name has a control character"),
            MailboxNameError::Utf7(error) => error.fmt(f),
            MailboxNameError::EmptyLevel => {
                f.write_str("the mailbox name has an empty level between delimiters")
            }
            MailboxNameError::Dots => {
                f.write_str("the mailbox name has a level called \".\" or \"..\"")
            }
        }
    }
}

impl std::error::Error for MailboxNameError {}

impl MailboxName {
    /// The name that every account has.
    pub fn inbox() -> Self {
        MailboxName(INBOX.into())
    }

    /// A name in Unicode.
    ///
    /// # Errors
    /// Empty, too long, or with control characters.
    pub fn new(name: &str) -> Result<Self, MailboxNameError> {
        if name.is_empty() {
            return Err(MailboxNameError::Empty);
        }
        if name.len() > limits::MAILBOX_NAME_SIZE {
            return Err(MailboxNameError::TooLong);
        }
        if name.chars().any(char::is_control) {
            return Err(MailboxNameError::Control);
        }
        // RFC 3501 §5.1: INBOX is case-insensitive. So is, by custom, the first level of a name
        // below it, lest "inbox/x" and "INBOX/x" be two mailboxes.
        if let (Some(head), Some(tail)) = (name.get(..INBOX.len()), name.get(INBOX.len()..)) {
            let whole_level = tail.is_empty() || tail.starts_with(['/', '.', '\\']);
            if whole_level && head.eq_ignore_ascii_case(INBOX) {
                return Ok(MailboxName(format!("{INBOX}{tail}").into()));
            }
        }
        Ok(MailboxName(name.into()))
    }

    /// A name as IMAP4rev1 sends it, in modified UTF-7.
    ///
    /// # Errors
    /// Not modified UTF-7, or not a name.
    pub fn from_utf7(wire: &[u8]) -> Result<Self, MailboxNameError> {
        Self::new(&utf7::decode(wire).map_err(MailboxNameError::Utf7)?)
    }

    /// The name in Unicode.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name as IMAP4rev1 sends it.
    pub fn to_utf7(&self) -> String {
        utf7::encode(&self.0)
    }

    /// This is the INBOX.
    pub fn is_inbox(&self) -> bool {
        &*self.0 == INBOX
    }

    /// The levels of hierarchy from the top down, checked: none is empty, `.` or `..`.
    ///
    /// # Errors
    /// A level that no store should ever see.
    pub fn levels(&self, delimiter: char) -> Result<Vec<&str>, MailboxNameError> {
        let levels: Vec<&str> = self.0.split(delimiter).collect();
        for level in &levels {
            match *level {
                "" => return Err(MailboxNameError::EmptyLevel),
                "." | ".." => return Err(MailboxNameError::Dots),
                _ => {}
            }
        }
        Ok(levels)
    }

    /// The name one level up; `None` at the top.
    pub fn parent(&self, delimiter: char) -> Option<MailboxName> {
        let (parent, _) = self.0.rsplit_once(delimiter)?;
        MailboxName::new(parent).ok()
    }

    /// This name lies below `other`, at any depth.
    pub fn is_below(&self, other: &MailboxName, delimiter: char) -> bool {
        self.0.strip_prefix(other.as_str()).is_some_and(|rest| rest.starts_with(delimiter))
    }

    /// RFC 3501 §6.3.3: `CREATE foo/` only announces that names below will follow; the delimiter is
    /// not part of the name.
    #[must_use]
    pub fn without_trailing(&self, delimiter: char) -> MailboxName {
        let trimmed = self.0.strip_suffix(delimiter).unwrap_or(&self.0);
        MailboxName::new(trimmed).unwrap_or_else(|_| self.clone())
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A mailbox name with the wildcards of LIST and LSUB: `*` matches anything, `%` anything but the
/// hierarchy delimiter (RFC 3501 §6.3.8). May be empty.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ListPattern(Box<str>);

impl ListPattern {
    /// A pattern in Unicode.
    ///
    /// # Errors
    /// Too long, or with control characters.
    pub fn new(pattern: &str) -> Result<Self, MailboxNameError> {
        if pattern.len() > limits::MAILBOX_NAME_SIZE {
            return Err(MailboxNameError::TooLong);
        }
        if pattern.chars().any(char::is_control) {
            return Err(MailboxNameError::Control);
        }
        Ok(ListPattern(pattern.into()))
    }

    /// A pattern as IMAP4rev1 sends it. A stray `&` stands for itself: a pattern that no name can
    /// match is no error.
    ///
    /// # Errors
    /// Too long, or with control characters.
    pub fn from_utf7(wire: &[u8]) -> Result<Self, MailboxNameError> {
        match utf7::decode(wire) {
            Ok(pattern) => Self::new(&pattern),
            Err(_) => Self::new(&String::from_utf8_lossy(wire)),
        }
    }

    /// The pattern in Unicode.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The pattern as IMAP4rev1 sends it; the wildcards are printable and stay as they are.
    pub fn to_utf7(&self) -> String {
        utf7::encode(&self.0)
    }

    /// The canonical form of reference and pattern: the reference goes in front (RFC 3501 §6.3.8).
    #[must_use]
    pub fn under(&self, reference: &str) -> ListPattern {
        let mut whole = format!("{reference}{}", self.0);
        // The INBOX is the same in any case, in a pattern too.
        let is_inbox =
            whole.get(..INBOX.len()).is_some_and(|head| head.eq_ignore_ascii_case(INBOX))
                && whole
                    .get(INBOX.len()..)
                    .is_some_and(|tail| !tail.starts_with(char::is_alphanumeric));
        if is_inbox {
            whole.replace_range(..INBOX.len(), INBOX);
        }
        ListPattern(whole.into())
    }

    /// Whether a name matches. Takes time proportional to both lengths multiplied, at worst.
    pub fn matches(&self, name: &str, delimiter: char) -> bool {
        let pattern: Vec<char> = self.0.chars().collect();
        // `reached[i]`: the first i characters of the pattern match what was read of the name.
        let mut reached = vec![false; pattern.len() + 1];
        if let Some(first) = reached.first_mut() {
            *first = true;
        }
        skip_wildcards(&pattern, &mut reached);
        for character in name.chars() {
            let mut next = vec![false; pattern.len() + 1];
            for (index, wanted) in pattern.iter().enumerate() {
                if !reached.get(index).copied().unwrap_or(false) {
                    continue;
                }
                let (stay, advance) = match wanted {
                    '*' => (true, false),
                    '%' => (character != delimiter, false),
                    literal => (false, *literal == character),
                };
                let target = if stay { index } else { index + 1 };
                if let (true, Some(slot)) = (stay || advance, next.get_mut(target)) {
                    *slot = true;
                }
            }
            skip_wildcards(&pattern, &mut next);
            reached = next;
        }
        reached.last().copied().unwrap_or(false)
    }
}

/// A wildcard may match nothing: whoever stands before it also stands behind it.
fn skip_wildcards(pattern: &[char], reached: &mut [bool]) {
    for (index, wanted) in pattern.iter().enumerate() {
        let here = reached.get(index).copied().unwrap_or(false);
        if let (true, '*' | '%', Some(next)) = (here, wanted, reached.get_mut(index + 1)) {
            *next = true;
        }
    }
}

impl fmt::Display for ListPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const INBOX: &str = "INBOX";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inbox_has_one_spelling() {
        for name in ["inbox", "InBox", "INBOX"] {
            assert!(MailboxName::new(name).unwrap().is_inbox());
        }
        assert_eq!(MailboxName::new("inbox/Work").unwrap().as_str(), "INBOX/Work");
        assert_eq!(MailboxName::new("Inboxes").unwrap().as_str(), "Inboxes");
    }

    #[test]
    fn what_is_no_name() {
        assert_eq!(MailboxName::new(""), Err(MailboxNameError::Empty));
        assert_eq!(MailboxName::new("a\r\nb"), Err(MailboxNameError::Control));
        assert_eq!(MailboxName::new("a\0"), Err(MailboxNameError::Control));
        assert_eq!(MailboxName::new(&"x".repeat(5000)), Err(MailboxNameError::TooLong));
        for (name, error) in [
            ("/etc/passwd", MailboxNameError::EmptyLevel),
            ("a//b", MailboxNameError::EmptyLevel),
            ("a/", MailboxNameError::EmptyLevel),
            ("../x", MailboxNameError::Dots),
            ("a/./b", MailboxNameError::Dots),
        ] {
            assert_eq!(MailboxName::new(name).unwrap().levels('/'), Err(error));
        }
    }

    #[test]
    fn family() {
        let name = MailboxName::new("a/b/c").unwrap();
        assert_eq!(name.parent('/'), MailboxName::new("a/b").ok());
        assert!(name.is_below(&MailboxName::new("a").unwrap(), '/'));
        assert!(!name.is_below(&MailboxName::new("a/b/c").unwrap(), '/'));
        assert!(!MailboxName::new("ab").unwrap().is_below(&MailboxName::new("a").unwrap(), '/'));
        assert_eq!(MailboxName::new("x/").unwrap().without_trailing('/').as_str(), "x");
    }

    #[test]
    fn wildcards() {
        for (pattern, name, expected) in [
            ("*", "a/b/c", true),
            ("%", "a", true),
            ("%", "a/b", false),
            ("a/%", "a/b", true),
            ("a/%", "a/b/c", false),
            ("a*c", "a/b/c", true),
            ("%/%", "a/b", true),
            ("%b", "ab", true),
            ("", "", true),
            ("", "a", false),
            ("*%", "a/b", true),
            ("ö%", "öl", true),
        ] {
            assert_eq!(
                ListPattern::new(pattern).unwrap().matches(name, '/'),
                expected,
                "{pattern}"
            );
        }
        let hostile = ListPattern::new(&"*a".repeat(400)).unwrap();
        assert!(!hostile.matches(&"a".repeat(300), '/'));
        assert_eq!(ListPattern::new("inbox").unwrap().under("").as_str(), "INBOX");
        assert_eq!(ListPattern::new("%").unwrap().under("Work/").as_str(), "Work/%");
    }
}
