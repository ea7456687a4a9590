//! EXPUNGE and UID EXPUNGE (RFC 3501 §6.4.3, RFC 4315 §2.1). The telling is the session's.

use mailbox::UidSet;
use protocol::imap::{Numbering, SequenceSet, StatusText};

use super::failure::Outcome;
use super::session::Session;

impl Session {
    /// Removes the letters with `\Deleted`, of the set if there is one.
    pub(super) async fn expunge(&mut self, set: Option<&SequenceSet>) -> Outcome {
        let selected = self.selected()?;
        selected.writable()?;
        let uids = match set {
            Some(set) => selected.uids(Numbering::Uid, set)?,
            None => UidSet::all(),
        };
        let mailbox = selected.mailbox.clone();
        self.shared.mailboxes.expunge(&mailbox, uids).await?;
        Ok(StatusText::default())
    }
}
