//! [`Book`]: the custody book of letters that a rule made an end of: discarded, or sent on and not
//! kept. The ledger reads it beside the mailboxes' own (docs/mailbox.md §8). A line is on disk
//! before the letter is answered for.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use disk::custody::{self, Act, Entry};
use disk::{Access, Disk, Sequence};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;
use service::ledger::Fact;

/// The book.
#[derive(Debug)]
pub(crate) struct Book {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
    open: Mutex<Option<custody::Book>>,
}

impl Book {
    pub(super) fn new(disk: Arc<dyn Disk>, directory: PathBuf) -> Self {
        Book { disk, directory, open: Mutex::default() }
    }

    /// Writes that a rule, which `detail` names, made an end of a letter. On disk when it returns.
    ///
    /// # Errors
    /// When the disk does not take it; then the letter is not to be given up.
    pub(crate) fn discarded(
        &self,
        (journey, recipient): (JourneyId, &str),
        now: Timestamp,
        detail: &str,
    ) -> disk::Result<()> {
        let entry = Entry {
            sequence: Sequence(0),
            time: now,
            journey,
            act: Act::Discarded,
            recipient: recipient.to_owned(),
            detail: detail.to_owned(),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.is_none() {
            // Nothing is laid out later here: every line counts.
            let everything = Sequence(u64::MAX);
            *open = Some(custody::Book::open(self.disk.clone(), &self.directory, everything)?);
        }
        let Some(book) = open.as_mut() else { return Ok(()) };
        let path = self.directory.join(format!("{}.custody", now.to_date()));
        let is_new = self.disk.metadata(&path).is_err();
        book.write(std::slice::from_ref(&entry))?;
        self.disk.open(&path, Access::ReadWrite)?.sync_data()?;
        if is_new {
            self.disk.sync_dir(&self.directory)?;
        }
        Ok(())
    }

    /// All that the book says, for the ledger.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) fn facts(&self) -> disk::Result<Vec<Fact>> {
        let mut facts = Vec::new();
        custody::read(self.disk.as_ref(), &self.directory, &mut |entry| {
            facts.extend(Fact::try_from(&entry));
        })?;
        Ok(facts)
    }
}
