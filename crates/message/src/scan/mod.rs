//! The structure scanner: finds header fields, parts and their exact octet ranges in a letter of
//! any shape, in one pass, chunk by chunk, and never fails. It decodes nothing.
//!
//! The mailbox runs it once for each letter and keeps the result in its index; IMAP answers
//! BODYSTRUCTURE, ENVELOPE and BODY[...] from it. Broken letters get a structure too: what cannot
//! be told apart stays one part.

mod section;
pub mod structure;

pub use section::SectionText;
pub use structure::Structure;

/// The structure of a letter that is in memory.
pub fn scan(letter: &[u8]) -> Structure {
    let mut scanner = Scanner::new();
    scanner.feed(letter);
    scanner.finish()
}

/// Takes a letter chunk by chunk. Memory: the result, and one line's beginning.
#[derive(Debug)]
pub struct Scanner {}

impl Default for Scanner {
    fn default() -> Self {
        Self::new()
    }
}

impl Scanner {
    /// At the beginning of a letter.
    pub fn new() -> Self {
        Scanner {}
    }

    /// The next chunk.
    pub fn feed(&mut self, _chunk: &[u8]) {
        todo!()
    }

    /// The letter is complete.
    pub fn finish(self) -> Structure {
        todo!()
    }
}

/// Bytes of the index that are no structure of this version: scan the letter again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl std::fmt::Display for Unreadable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("not a stored letter structure of this version; scan the letter again")
    }
}

impl std::error::Error for Unreadable {}

impl Structure {
    /// The compact, versioned form for the index.
    pub fn to_bytes(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads [`to_bytes`](Self::to_bytes) back.
    ///
    /// # Errors
    /// [`Unreadable`] when the bytes are of another version or damaged.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Self, Unreadable> {
        todo!()
    }
}
