//! [`MailboxName`]: what a mailbox is called, and the folder that stands for it.
//!
//! At the interface UTF-8 with `/` between levels; on disk Maildir++ in modified UTF-7
//! (docs/mailbox.md §1). The mapping is one to one, so two names never share a folder.

use std::fmt;

use crate::limits::{FOLDER_BYTES, NAME_LEVELS};
use crate::utf7;

/// The name of a mailbox that can exist. INBOX is always in capitals.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MailboxName(String);

/// Why a name was refused; the text can be shown to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadName {
    /// Nothing, or nothing between two separators.
    EmptyLevel,
    /// A control character.
    Control,
    /// `*` or `%`, which LIST takes for wildcards.
    Wildcard,
    /// More than [`NAME_LEVELS`] levels.
    TooDeep,
    /// More than [`FOLDER_BYTES`] bytes when encoded.
    TooLong,
}

impl MailboxName {
    /// The separator between levels.
    pub const SEPARATOR: char = '/';

    /// INBOX.
    pub fn inbox() -> Self {
        MailboxName("INBOX".to_owned())
    }

    /// Checks a name as a client gives it, already decoded to UTF-8.
    pub fn new(text: &str) -> Result<Self, BadName> {
        if text.chars().any(char::is_control) {
            return Err(BadName::Control);
        }
        if text.contains(['*', '%']) {
            return Err(BadName::Wildcard);
        }
        let mut levels: Vec<&str> = text.split(Self::SEPARATOR).collect();
        if levels.iter().any(|level| level.is_empty()) {
            return Err(BadName::EmptyLevel);
        }
        if levels.len() > NAME_LEVELS {
            return Err(BadName::TooDeep);
        }
        // RFC 9051 §5.1: INBOX is the same name in any case, and so is it above others.
        if let Some(first) = levels.first_mut().filter(|level| level.eq_ignore_ascii_case("inbox"))
        {
            *first = "INBOX";
        }
        let name = MailboxName(levels.join("/"));
        if name.folder().len() > FOLDER_BYTES { Err(BadName::TooLong) } else { Ok(name) }
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is INBOX itself.
    pub fn is_inbox(&self) -> bool {
        self.0 == "INBOX"
    }

    /// The name one level up.
    pub fn parent(&self) -> Option<MailboxName> {
        self.0.rsplit_once(Self::SEPARATOR).map(|(above, _)| MailboxName(above.to_owned()))
    }

    /// The name below `from`, moved below `to`; `None` when it is neither `from` nor below it.
    pub(crate) fn moved(&self, from: &MailboxName, to: &MailboxName) -> Option<String> {
        let rest = self.0.strip_prefix(&from.0)?;
        (rest.is_empty() || rest.starts_with(Self::SEPARATOR)).then(|| format!("{}{rest}", to.0))
    }

    /// The folder below the account's, empty for INBOX.
    pub(crate) fn folder(&self) -> String {
        if self.is_inbox() {
            return String::new();
        }
        self.0.split(Self::SEPARATOR).map(|level| format!(".{}", utf7::encode(level))).collect()
    }

    /// The name a Maildir++ folder stands for, if it stands for one.
    pub(crate) fn from_folder(folder: &str) -> Option<Self> {
        let levels = folder.strip_prefix('.')?.split('.').map(utf7::decode);
        let levels = levels.collect::<Option<Vec<_>>>()?;
        if levels.iter().any(|level| level.contains(Self::SEPARATOR)) {
            return None;
        }
        MailboxName::new(&levels.join("/")).ok().filter(|name| !name.is_inbox())
    }
}

impl fmt::Display for MailboxName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for BadName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            BadName::EmptyLevel => f.write_str("a level of the mailbox name is empty"),
            BadName::Control => f.write_str("control characters cannot be in mailbox names"),
            BadName::Wildcard => f.write_str("* and % cannot be in mailbox names"),
            BadName::TooDeep => write!(f, "mailbox names have at most {NAME_LEVELS} levels"),
            BadName::TooLong => f.write_str("the mailbox name is too long"),
        }
    }
}

impl std::error::Error for BadName {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn name(text: &str) -> MailboxName {
        MailboxName::new(text).unwrap()
    }

    #[test]
    fn folders_as_the_page_says() {
        assert_eq!(name("Lists/v1.0").folder(), ".Lists.v1&AC4-0");
        assert_eq!(name("..").folder(), ".&AC4ALg-");
        assert_eq!(name("inbox").folder(), "");
        assert_eq!(name("inBox/a").as_str(), "INBOX/a");
        assert_eq!(MailboxName::from_folder(".Sent").unwrap().as_str(), "Sent");
        assert_eq!(MailboxName::from_folder(".INBOX"), None, "INBOX is the account's own folder");
        assert_eq!(MailboxName::from_folder(".a&AC8-b"), None, "a separator inside a level");
        assert_eq!(MailboxName::from_folder(".a..b"), None);
        assert_eq!(MailboxName::from_folder("posthaste-quarantine"), None);
    }

    #[test]
    fn refuses_what_cannot_be() {
        assert_eq!(MailboxName::new(""), Err(BadName::EmptyLevel));
        assert_eq!(MailboxName::new("a//b"), Err(BadName::EmptyLevel));
        assert_eq!(MailboxName::new("a\0"), Err(BadName::Control));
        assert_eq!(MailboxName::new("a%"), Err(BadName::Wildcard));
        assert_eq!(MailboxName::new(&"a/".repeat(NAME_LEVELS)), Err(BadName::EmptyLevel));
        assert_eq!(MailboxName::new(&["a"; NAME_LEVELS + 1].join("/")), Err(BadName::TooDeep));
        assert_eq!(MailboxName::new(&"a".repeat(FOLDER_BYTES)), Err(BadName::TooLong));
    }

    #[test]
    fn moves_with_its_children_only() {
        let (from, to) = (name("a/b"), name("c"));
        assert_eq!(name("a/b/x").moved(&from, &to).as_deref(), Some("c/x"));
        assert_eq!(name("a/b").moved(&from, &to).as_deref(), Some("c"));
        assert_eq!(name("a/bc").moved(&from, &to), None);
    }

    proptest! {
        #[test]
        fn folders_lead_back(text in "\\PC{1,20}(/\\PC{1,10}){0,3}") {
            let Ok(name) = MailboxName::new(&text) else { return Ok(()) };
            let folder = name.folder();
            prop_assert!(!folder.contains('/') && folder != "." && folder != "..");
            if !name.is_inbox() {
                prop_assert_eq!(MailboxName::from_folder(&folder), Some(name));
            }
        }
    }
}
