//! Annotations of mailboxes and of the server (RFC 5464). Not their storage. How they are written
//! is
//! in `grammar::metadata`.

use std::fmt;

use bytes::Bytes;

use super::limits;
use super::mailbox::MailboxName;

/// The name of an annotation, such as `/private/comment`: lower case, below `/private` or
/// `/shared` (RFC 5464 §4.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryName(Box<str>);

impl EntryName {
    /// A name, if it is one that can exist.
    pub fn new(name: &[u8]) -> Option<EntryName> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let below = name.strip_prefix("/private").or_else(|| name.strip_prefix("/shared"))?;
        // RFC 5464 §4.1: no "*", "%", control or non-ASCII, no empty component, no "/" at the end.
        let good = name.len() <= limits::ENTRY_NAME_SIZE
            && name
                .bytes()
                .all(|byte| (0x20..0x7f).contains(&byte) && byte != b'*' && byte != b'%')
            && below.starts_with('/')
            && below.split('/').skip(1).all(|component| !component.is_empty());
        good.then(|| EntryName(name.into()))
    }

    /// As kept: in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// RFC 5464 §4.2.2: whether this entry is meant by `wanted` at some depth below it.
    pub fn is_within(&self, wanted: &EntryName, depth: Depth) -> bool {
        let Some(rest) = self.0.strip_prefix(wanted.as_str()) else { return false };
        match depth {
            _ if rest.is_empty() => true,
            Depth::Itself => false,
            Depth::Children => rest.strip_prefix('/').is_some_and(|below| !below.contains('/')),
            Depth::All => rest.starts_with('/'),
        }
    }
}

impl fmt::Display for EntryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How far below its entries GETMETADATA looks (RFC 5464 §4.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Depth {
    /// `0`: not at all.
    #[default]
    Itself,
    /// `1`: one level.
    Children,
    /// `infinity`
    All,
}

/// GETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GetMetadata {
    /// Of which mailbox; `None`: of the server.
    pub mailbox: Option<MailboxName>,
    /// Octets above which a value is not told (RFC 5464 §4.2.1).
    pub max_size: Option<u32>,
    /// How far below the entries.
    pub depth: Depth,
    /// Which entries; never empty.
    pub entries: Vec<EntryName>,
}

/// SETMETADATA.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetMetadata {
    /// Of which mailbox; `None`: of the server.
    pub mailbox: Option<MailboxName>,
    /// What becomes of which entry; never empty.
    pub annotations: Vec<Annotation>,
}

/// An entry and its value; `None` (NIL): there is none, or it goes.
pub type Annotation = (EntryName, Option<Bytes>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for good in ["/private/comment", "/SHARED/Vendor/x/y", "/private/a b"] {
            assert!(EntryName::new(good.as_bytes()).is_some(), "{good}");
        }
        for bad in ["", "/private", "/private/", "/other/x", "/shared//x", "/shared/*", "comment"] {
            assert_eq!(EntryName::new(bad.as_bytes()), None, "{bad}");
        }
        let name = |text: &str| EntryName::new(text.as_bytes()).unwrap();
        let wanted = name("/private/filters");
        assert!(name("/private/filters").is_within(&wanted, Depth::Itself));
        assert!(name("/private/filters/a").is_within(&wanted, Depth::Children));
        assert!(!name("/private/filters/a/b").is_within(&wanted, Depth::Children));
        assert!(name("/private/filters/a/b").is_within(&wanted, Depth::All));
        assert!(!name("/private/filtersx").is_within(&wanted, Depth::All));
    }
}
