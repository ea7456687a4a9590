//! Letters carried from one home to another, whole: from mbox, Maildir or any IMAP server into an
//! account ([`import`]), and out of an account into a Maildir or mbox that others open
//! ([`export`]).
//! Flags, keywords, dates and folders come along. Both speak IMAP to the account's own server, so
//! nothing here knows how mailboxes are stored.
//!
//! Not a backup (that copies files) and not a synchroniser: what leaves the source stays in the
//! target. Called by `posthaste mailbox import` and `export`.

pub mod export;
mod flags;
pub mod import;
mod journal;
mod maildir;
mod mbox;
mod server;
mod target;
mod write;

use std::path::PathBuf;

use protocol::imap::flag::{Flag, SpecialUse};
use protocol::time::Timestamp;

use crate::failure::Failure;
use crate::session::Desk;

/// Where letters come from.
pub enum Source {
    /// A Maildir with its Maildir++ folders, or a folder of Maildirs.
    Maildir(PathBuf),
    /// An mbox file, or a folder of them.
    Mbox(PathBuf),
    /// An account on an IMAP server.
    Server(Box<Desk>),
}

/// What a file or folder looks like.
///
/// # Errors
/// It cannot be read, or is neither.
pub fn recognise(path: PathBuf) -> Result<Source, Failure> {
    let shown = path.display().to_string();
    let metadata = std::fs::metadata(&path)
        .map_err(|error| Failure::io(format!("cannot read {shown}"), &error))?;
    if metadata.is_file() {
        return Ok(Source::Mbox(path));
    }
    if !maildir::folders(&path)?.is_empty() {
        return Ok(Source::Maildir(path));
    }
    if !mbox::folders(&path)?.is_empty() {
        return Ok(Source::Mbox(path));
    }
    Err(Failure::no(format!(
        "{shown} holds neither a Maildir (cur, new, tmp) nor an mbox (a file that begins with \
         \"From \")"
    )))
}

/// A folder of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder {
    /// Its name there: Unicode, levels joined by `/`.
    pub(crate) name: String,
    /// What it is for, where the source says so.
    pub(crate) role: Option<SpecialUse>,
    /// Where it lies; the server's own name for one on a server.
    pub(crate) place: PathBuf,
}

/// A letter that is to be carried, before its octets are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Names it in its folder for as long as the source stays as it is; no white space.
    pub(crate) key: String,
    /// How to get it.
    pub(crate) handle: Handle,
    /// What is known without reading it.
    pub(crate) identity: Option<Identity>,
}

/// How to get a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Handle {
    /// A file of its own.
    File(PathBuf),
    /// Offset and length in an mbox file.
    Range(u64, u64),
    /// A UID on a server.
    Uid(u32),
}

/// A letter that is carried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Letter {
    /// With CRLF line ends.
    pub(crate) octets: Vec<u8>,
    pub(crate) flags: Vec<Flag>,
    /// Internal date.
    pub(crate) date: Option<Timestamp>,
}

/// By what the same letter is known in both homes: UIDs and names differ.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Identity {
    /// Octets with CRLF line ends.
    size: u64,
    /// `Message-ID`; of a letter without one, its date in seconds.
    name: String,
}

impl Identity {
    /// Of a letter of that size with these header fields.
    pub(crate) fn new(size: u64, header: &[u8], date: Option<Timestamp>) -> Self {
        let id = message::header::value(header, "Message-ID").unwrap_or_default();
        let id = String::from_utf8_lossy(&message::header::unfold(&id)).trim().to_owned();
        let seconds = date.map_or(0, Timestamp::as_seconds);
        let name = if id.is_empty() { format!("at {seconds}") } else { id };
        Identity { size, name }
    }
}

impl Letter {
    pub(crate) fn identity(&self) -> Identity {
        let header = &self.octets[..message::header::length(&self.octets).min(self.octets.len())];
        let size = u64::try_from(self.octets.len()).unwrap_or(u64::MAX);
        Identity::new(size, header, self.date)
    }
}

/// Line ends made CRLF; those that are stay.
pub(crate) fn with_crlf(octets: &[u8]) -> Vec<u8> {
    let mut whole = Vec::with_capacity(octets.len() + octets.len() / 32);
    let mut last = 0;
    for (at, octet) in octets.iter().enumerate() {
        if *octet == b'\n' && (at == 0 || octets[at - 1] != b'\r') {
            whole.extend_from_slice(&octets[last..at]);
            whole.extend_from_slice(b"\r\n");
            last = at + 1;
        }
    }
    whole.extend_from_slice(&octets[last..]);
    whole
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends() {
        assert_eq!(with_crlf(b"a\nb\r\n\nc\r"), b"a\r\nb\r\n\r\nc\r");
        assert_eq!(with_crlf(b"\n"), b"\r\n");
        assert_eq!(with_crlf(b""), b"");
    }

    #[test]
    fn the_same_letter_is_known() {
        let letter = |text: &[u8], date| Letter {
            octets: text.to_vec(),
            flags: Vec::new(),
            date: Some(Timestamp::from_seconds(date)),
        };
        let one = letter(b"Message-ID: <a@b>\r\n\r\nxy", 1).identity();
        assert_eq!(one, letter(b"Message-ID:\r\n <a@b>\r\n\r\n", 9).identity(), "size is the same");
        assert_ne!(one, letter(b"Message-ID: <a@b>\r\n\r\nx", 1).identity());
        assert_ne!(letter(b"\r\nx", 1).identity(), letter(b"\r\nx", 2).identity());
    }
}
