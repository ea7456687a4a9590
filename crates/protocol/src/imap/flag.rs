//! Flags of letters and attributes of mailboxes. Not their storage. Called by the grammar and by
//! both agents.

use std::fmt;
use std::hash::{Hash, Hasher};

use super::limits;

/// A flag of a letter (RFC 3501 §2.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Flag {
    /// `\Answered`
    Answered,
    /// `\Flagged`
    Flagged,
    /// `\Deleted`
    Deleted,
    /// `\Seen`
    Seen,
    /// `\Draft`
    Draft,
    /// `\Recent`: told by servers, never set by clients; gone in IMAP4rev2.
    Recent,
    /// A keyword, such as `$Forwarded` or the client's own.
    Keyword(Keyword),
    /// A system flag that we do not know, without its backslash.
    Other(Box<str>),
}

impl Flag {
    /// A flag from its written form, backslash included.
    pub fn from_name(name: &str) -> Option<Flag> {
        let Some(system) = name.strip_prefix('\\') else {
            return Keyword::new(name).map(Flag::Keyword);
        };
        let known = [Flag::Answered, Flag::Flagged, Flag::Deleted, Flag::Seen, Flag::Draft];
        for flag in known.into_iter().chain([Flag::Recent]) {
            if flag.name().get(1..).is_some_and(|name| name.eq_ignore_ascii_case(system)) {
                return Some(flag);
            }
        }
        Keyword::new(system).map(|other| Flag::Other(other.0))
    }

    /// The written form; unknown system flags lack their backslash here, `Display` has it.
    fn name(&self) -> &str {
        match self {
            Flag::Answered => "\\Answered",
            Flag::Flagged => "\\Flagged",
            Flag::Deleted => "\\Deleted",
            Flag::Seen => "\\Seen",
            Flag::Draft => "\\Draft",
            Flag::Recent => "\\Recent",
            Flag::Keyword(keyword) => keyword.as_str(),
            Flag::Other(name) => name,
        }
    }
}

impl fmt::Display for Flag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if matches!(self, Flag::Other(_)) {
            f.write_str("\\")?;
        }
        f.write_str(self.name())
    }
}

/// A keyword: an atom of bounded length. Compared without regard to case (RFC 9051 §2.3.2), kept as
/// it was written first.
#[derive(Debug, Clone)]
pub struct Keyword(Box<str>);

impl Keyword {
    /// A keyword, if the name is an atom (RFC 3501 §9) of acceptable length.
    pub fn new(name: &str) -> Option<Keyword> {
        let good = !name.is_empty()
            && name.len() <= limits::KEYWORD_SIZE
            && name.bytes().all(super::grammar::is_atom_byte);
        good.then(|| Keyword(name.into()))
    }

    /// As written.
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

impl Hash for Keyword {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for byte in self.0.bytes() {
            state.write_u8(byte.to_ascii_lowercase());
        }
    }
}

impl fmt::Display for Keyword {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What PERMANENTFLAGS may list: a flag, or `\*`: new keywords can be made (RFC 3501 §7.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PermanentFlag {
    /// This flag is kept.
    Flag(Flag),
    /// `\*`
    AnyKeyword,
}

impl fmt::Display for PermanentFlag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PermanentFlag::Flag(flag) => flag.fmt(f),
            PermanentFlag::AnyKeyword => f.write_str("\\*"),
        }
    }
}

/// An attribute of a mailbox in LIST (RFC 3501 §7.2.2, RFC 3348, RFC 5258, RFC 6154, RFC 9051
/// §7.3.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum MailboxAttribute {
    /// `\Noinferiors`
    NoInferiors,
    /// `\Noselect`
    NoSelect,
    /// `\Marked`
    Marked,
    /// `\Unmarked`
    Unmarked,
    /// `\NonExistent`
    NonExistent,
    /// `\HasChildren`
    HasChildren,
    /// `\HasNoChildren`
    HasNoChildren,
    /// `\Subscribed`
    Subscribed,
    /// `\Remote`
    Remote,
    /// What the mailbox is for.
    Use(SpecialUse),
    /// One that we do not know, without its backslash.
    Other(Box<str>),
}

/// What a mailbox is for (RFC 6154 §2, RFC 8457).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SpecialUse {
    /// `\All`
    All,
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Flagged`
    Flagged,
    /// `\Important`
    Important,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// All of them.
    pub const ALL: [SpecialUse; 8] = [
        SpecialUse::All,
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Flagged,
        SpecialUse::Important,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];

    /// The name without its backslash.
    pub fn name(self) -> &'static str {
        match self {
            SpecialUse::All => "All",
            SpecialUse::Archive => "Archive",
            SpecialUse::Drafts => "Drafts",
            SpecialUse::Flagged => "Flagged",
            SpecialUse::Important => "Important",
            SpecialUse::Junk => "Junk",
            SpecialUse::Sent => "Sent",
            SpecialUse::Trash => "Trash",
        }
    }

    /// From the name without its backslash, in any case.
    pub fn from_name(name: &str) -> Option<SpecialUse> {
        Self::ALL.into_iter().find(|purpose| purpose.name().eq_ignore_ascii_case(name))
    }
}

impl MailboxAttribute {
    /// From the name without its backslash, in any case.
    pub fn from_name(name: &str) -> Option<MailboxAttribute> {
        use MailboxAttribute as A;
        let known = [
            A::NoInferiors,
            A::NoSelect,
            A::Marked,
            A::Unmarked,
            A::NonExistent,
            A::HasChildren,
            A::HasNoChildren,
            A::Subscribed,
            A::Remote,
        ];
        let uses = SpecialUse::ALL.into_iter().map(A::Use);
        for attribute in known.into_iter().chain(uses) {
            if attribute.name().eq_ignore_ascii_case(name) {
                return Some(attribute);
            }
        }
        Keyword::new(name).map(|other| A::Other(other.0))
    }

    /// The name without its backslash.
    pub fn name(&self) -> &str {
        match self {
            MailboxAttribute::NoInferiors => "Noinferiors",
            MailboxAttribute::NoSelect => "Noselect",
            MailboxAttribute::Marked => "Marked",
            MailboxAttribute::Unmarked => "Unmarked",
            MailboxAttribute::NonExistent => "NonExistent",
            MailboxAttribute::HasChildren => "HasChildren",
            MailboxAttribute::HasNoChildren => "HasNoChildren",
            MailboxAttribute::Subscribed => "Subscribed",
            MailboxAttribute::Remote => "Remote",
            MailboxAttribute::Use(purpose) => purpose.name(),
            MailboxAttribute::Other(name) => name,
        }
    }
}

impl fmt::Display for MailboxAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\\{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_and_back() {
        for name in ["\\Seen", "\\Answered", "\\Recent", "$Forwarded", "\\Shiny", "NonJunk"] {
            assert_eq!(Flag::from_name(name).unwrap().to_string(), name);
        }
        assert_eq!(Flag::from_name("\\sEEN"), Some(Flag::Seen));
        assert_eq!(Flag::from_name("todo"), Flag::from_name("ToDo"));
        for bad in ["", "\\", "a b", "a(b", "\"a\"", "ä", "x]", "\\\\a", &"k".repeat(500)] {
            assert_eq!(Flag::from_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn attributes_and_back() {
        for name in ["HasChildren", "Sent", "Noselect", "X-Own"] {
            assert_eq!(MailboxAttribute::from_name(name).unwrap().name(), name);
        }
        let sent = MailboxAttribute::Use(SpecialUse::Sent);
        assert_eq!(MailboxAttribute::from_name("SENT"), Some(sent));
    }
}
