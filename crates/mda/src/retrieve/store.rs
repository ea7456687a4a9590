//! STORE and UID STORE (RFC 3501 §6.4.6).

use mailbox::{FlagChange, How};
use protocol::imap::command::{Store, StoreAction, StoreEcho};
use protocol::imap::fetch::FetchData;
use protocol::imap::{ConditionCode, Numbering, SequenceSet, StatusText};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;

impl Session {
    /// Changes flags; each letter's new flags are told unless the client does not want that.
    pub(super) async fn store(&mut self, store: Store) -> Outcome {
        let Store { numbering, set, action, echo, flags } = store;
        let (flags, keywords) = convert::flags(&flags)?;
        let selected = self.selected()?;
        selected.writable()?;
        let uids = selected.uids(numbering, &set)?;
        let how = match action {
            StoreAction::Replace => How::Replace,
            StoreAction::Add => How::Add,
            StoreAction::Remove => How::Remove,
        };
        let change = FlagChange { uids, how, flags, keywords, unchanged_since: None };
        let mailbox = selected.mailbox.clone();
        let changed = self.shared.mailboxes.change_flags(&mailbox, change).await?;
        self.selected()?.knows(changed.modseq);
        if echo == StoreEcho::Told && self.tell_stored(numbering, &set).await? {
            let text = "some of the letters have been expunged meanwhile";
            return Err(Failure::no(ConditionCode::ExpungeIssued, text));
        }
        Ok(StatusText::default())
    }

    /// Tells the flags of the letters of a set. Whether some have none any more, and that is worth
    /// a word: RFC 2180 §4.2 for sequence numbers; UIDs that are gone are passed over.
    async fn tell_stored(
        &mut self,
        numbering: Numbering,
        set: &SequenceSet,
    ) -> Result<bool, Failure> {
        let mut gone = false;
        let places = self.selected()?.places(numbering, set)?;
        for place in places.into_iter().flat_map(|(from, to)| from..to) {
            let selected = self.selected()?;
            let Some(one) = selected.at(place) else { continue };
            let now = selected.mailbox.view();
            let Some(letter) = now.letter(one.letter.uid) else {
                gone = true;
                continue;
            };
            let flags = selected.flags(&now, &letter);
            let machine = self.driver.machine();
            machine.fetch_begin(one.sequence);
            if numbering == Numbering::Uid {
                machine.fetch_item(&FetchData::Uid(letter.uid));
            }
            machine.fetch_item(&FetchData::Flags(flags));
            machine.fetch_end();
            self.pace().await;
        }
        Ok(gone && numbering == Numbering::Sequence)
    }
}
