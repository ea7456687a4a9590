//! What FETCH and SEARCH read of a letter: its header, its structure, ranges of its octets. Never
//! the whole letter at once, SEARCH excepted.

use std::sync::Arc;

use bytes::Bytes;
use mailbox::{Content, Error, MailboxId, Uid};
use message::header;
use message::scan::{Scanner, Structure};

use super::limits;

/// The structure looked at last: clients ask for the parts of a letter one after the other.
#[derive(Debug, Default)]
pub(super) struct Scanned {
    last: Option<((MailboxId, Uid), Arc<Structure>)>,
}

impl Scanned {
    /// The structure of a letter; reads all of it the first time, chunk by chunk.
    pub(super) async fn structure(
        &mut self,
        of: (MailboxId, Uid),
        content: &Content,
    ) -> Result<Arc<Structure>, Error> {
        if let Some((known, structure)) = &self.last
            && *known == of
        {
            return Ok(structure.clone());
        }
        let mut scanner = Scanner::new();
        let mut at = 0;
        while at < content.size() {
            let chunk = content.read(at, limits::BODY_CHUNK)?;
            at += chunk.len() as u64;
            scanner.feed(&chunk);
            if at < content.size() {
                tokio::task::yield_now().await;
            }
        }
        let structure = Arc::new(scanner.finish());
        self.last = Some((of, structure.clone()));
        Ok(structure)
    }
}

/// The header of a letter with the blank line that ends it, at most [`limits::HEADER`] octets.
pub(super) fn header_of(content: &Content) -> Result<Bytes, Error> {
    let mut most = FIRST_READ;
    loop {
        let start = content.read(0, most)?;
        let length = header::length(&start);
        let complete = length < start.len() || start.len() as u64 == content.size();
        if complete || most >= limits::HEADER {
            return Ok(start.slice(..length));
        }
        most = (most * 4).min(limits::HEADER);
    }
}

/// Octets that hold most headers.
const FIRST_READ: usize = 8 * 1024;
