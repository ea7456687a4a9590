//! COPY, MOVE and their UID forms (RFC 3501 §6.4.7, RFC 4315, RFC 6851).

use std::num::NonZeroU32;

use mailbox::{MailboxId, Placed, Uid};
use protocol::imap::command::Transfer;
use protocol::imap::{Code, Condition, ConditionCode, Numbering, StatusText, Untagged};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;
use crate::tutor::{self, Course};

impl Session {
    /// COPY: all letters or none.
    pub(super) async fn copy(&mut self, transfer: &Transfer) -> Outcome {
        let to = self.destination(transfer).await?;
        let quota = self.quota();
        let selected = self.selected()?;
        let uids = selected.uids(transfer.numbering, &transfer.set)?;
        if uids.is_empty() {
            return Ok(StatusText::new("no letters to copy"));
        }
        let mailbox = selected.mailbox.clone();
        let asked = uids.len();
        let placed = self.shared.mailboxes.copy(&mailbox, uids, to, quota).await?;
        self.teach(mailbox.id(), (to, &placed.uids)).await;
        let code = copy_uid(&placed);
        if (placed.from.len() as u64) < asked && transfer.numbering == Numbering::Sequence {
            tracing::debug!("letters were expunged before they were copied");
        }
        Ok(StatusText { code, text: String::new() })
    }

    /// MOVE: the letters' new UIDs are told before they disappear (RFC 6851 §4.3).
    pub(super) async fn move_letters(&mut self, transfer: &Transfer) -> Outcome {
        let to = self.destination(transfer).await?;
        let selected = self.selected()?;
        selected.writable()?;
        let uids = selected.uids(transfer.numbering, &transfer.set)?;
        if uids.is_empty() {
            return Ok(StatusText::new("no letters to move"));
        }
        let mailbox = selected.mailbox.clone();
        if mailbox.id() == to {
            return Err(Failure::no(ConditionCode::Cannot, "the letters are there already"));
        }
        let placed = self.shared.mailboxes.move_letters(&mailbox, uids, to).await?;
        self.teach(mailbox.id(), (to, &placed.uids)).await;
        if let Some(code) = copy_uid(&placed) {
            let text = StatusText::with(code, "moved");
            self.machine().untagged(&Untagged::Status(Condition::Ok, text));
        }
        Ok(StatusText::default())
    }

    /// The account's junk filter learns from letters that went from one mailbox into another. It
    /// takes its time for that beside the session.
    async fn teach(&mut self, from: MailboxId, (to, uids): (MailboxId, &[Uid])) {
        let shared = self.shared.clone();
        let is_on = shared.config.current().antispam.junk_filter;
        let (true, Ok(view), Ok(user)) = (is_on, self.account().await, self.user()) else { return };
        let of = |id| tutor::use_of(&view.mailboxes, id);
        let course = Course { from: of(from), to: of(to) };
        if let Some(class) = course.filed() {
            let (account, uids) = (user.account.clone(), uids.to_vec());
            tokio::spawn(async move {
                shared.tutor.teach(&shared.mailboxes, (&account, to), &uids, class).await;
            });
        }
    }

    async fn destination(&mut self, transfer: &Transfer) -> Result<MailboxId, Failure> {
        let name = convert::name(&transfer.mailbox)?;
        let account = self.account().await?;
        let listed = account.find(&name).ok_or(mailbox::Error::NoSuchMailbox);
        Ok(listed.map_err(|error| Failure::from(error).try_create())?.id)
    }
}

/// `COPYUID`; none when nothing was copied (RFC 4315 §3).
fn copy_uid(placed: &Placed) -> Option<Code> {
    let validity = NonZeroU32::new(placed.uid_validity)?;
    let source = convert::numbers(placed.from.iter().copied());
    let destination = convert::numbers(placed.uids.iter().copied());
    // Both ascend, so that the sets, which have no order of their own, pair off rightly.
    let ascends = |uids: &[mailbox::Uid]| uids.is_sorted();
    (!source.is_empty() && ascends(&placed.from) && ascends(&placed.uids))
        .then_some(Code::CopyUid { validity, source, destination })
}
