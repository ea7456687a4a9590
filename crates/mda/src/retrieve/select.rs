//! SELECT, EXAMINE, CLOSE, UNSELECT and STATUS (RFC 3501 §6.3.1, §6.3.2, §6.3.10, §6.4.2, RFC
//! 3691).

use std::num::NonZeroU32;

use mailbox::UidSet;
use protocol::imap::response::StatusItem;
use protocol::imap::{
    Code, Condition, MailboxName, PermanentFlag, StatusText, Untagged, server::Server,
};

use super::convert;
use super::failure::Outcome;
use super::selected::{Access, Selected, count};
use super::session::Session;

impl Session {
    /// SELECT.
    pub(super) async fn select(&mut self, name: &MailboxName) -> Outcome {
        self.open(name, Access::ReadWrite).await
    }

    /// EXAMINE: the same, and nothing may change.
    pub(super) async fn examine(&mut self, name: &MailboxName) -> Outcome {
        self.open(name, Access::ReadOnly).await
    }

    async fn open(&mut self, name: &MailboxName, access: Access) -> Outcome {
        // RFC 3501 §6.3.1: the mailbox selected before is deselected, whatever comes of this.
        self.selected = None;
        let name = convert::name(name)?;
        let mailboxes = &self.shared.mailboxes;
        let mailbox = mailboxes.open_by_name(&self.user()?.account, &name).await?;
        self.shared.look(&mailbox).await;
        let recent_from = match access {
            Access::ReadWrite => mailboxes.claim_recent(&mailbox).await?,
            // RFC 3501 §6.3.2: EXAMINE takes no letter's recency away.
            Access::ReadOnly => mailbox.view().recent_from(),
        };
        let selected = Selected::new(mailbox, access, recent_from);
        tell_selected(self.machine(), &selected);
        self.selected = Some(selected);
        let code = match access {
            Access::ReadWrite => Code::ReadWrite,
            Access::ReadOnly => Code::ReadOnly,
        };
        Ok(StatusText { code: Some(code), text: String::new() })
    }

    /// CLOSE: expunges without telling (RFC 3501 §6.4.2).
    pub(super) async fn close(&mut self) -> Outcome {
        if let Some(selected) = self.selected.take()
            && selected.access == Access::ReadWrite
            && !selected.mailbox.is_gone()
        {
            self.shared.mailboxes.expunge(&selected.mailbox, UidSet::all()).await?;
        }
        Ok(StatusText::default())
    }

    /// UNSELECT: expunges nothing.
    pub(super) fn unselect(&mut self) -> StatusText {
        self.selected = None;
        StatusText::default()
    }

    /// STATUS.
    pub(super) async fn status(&mut self, name: &MailboxName, items: &[StatusItem]) -> Outcome {
        let stored = convert::name(name)?;
        let found = self.status_of(&stored, items).await?;
        self.machine().untagged(&found);
        Ok(StatusText::default())
    }

    /// The STATUS response for a mailbox.
    pub(super) async fn status_of(
        &mut self,
        name: &mailbox::MailboxName,
        items: &[StatusItem],
    ) -> Result<Untagged, super::failure::Failure> {
        let account = &self.user()?.account;
        let view = self.shared.mailboxes.open_by_name(account, name).await?.view();
        let counts = view.counts();
        let mut values: Vec<(StatusItem, u64)> = Vec::with_capacity(items.len());
        for item in items {
            if values.iter().any(|(known, _)| known == item) {
                continue;
            }
            let value = match item {
                StatusItem::Messages => u64::from(count(view.len())),
                StatusItem::Recent => u64::from(count(view.len() - view.place(view.recent_from()))),
                StatusItem::UidNext => u64::from(view.uid_next().get()),
                StatusItem::UidValidity => u64::from(view.uid_validity()),
                StatusItem::Unseen => u64::from(counts.unseen),
                StatusItem::Deleted => u64::from(counts.deleted),
                StatusItem::Size => counts.bytes,
                StatusItem::HighestModSeq => view.highest_modseq(),
            };
            values.push((*item, value));
        }
        Ok(Untagged::MailboxStatus { mailbox: convert::wire_name(name), items: values })
    }
}

/// The untagged answers of SELECT and EXAMINE (RFC 3501 §6.3.1).
fn tell_selected(machine: &mut Server, selected: &Selected) {
    let view = &selected.view;
    machine.untagged(&Untagged::Flags(selected.known_flags()));
    machine.untagged(&Untagged::Exists(selected.exists()));
    machine.untagged(&Untagged::Recent(selected.count_recent()));
    let mut tell = |code: Code, text: &str| {
        machine.untagged(&Untagged::Status(Condition::Ok, StatusText::with(code, text)));
    };
    let unseen = view.first_unseen().and_then(|letter| selected.sequence(letter.uid));
    if let Some(unseen) = unseen {
        tell(Code::Unseen(unseen), "first unseen letter");
    }
    let permanent = match selected.access {
        Access::ReadOnly => Vec::new(),
        Access::ReadWrite => {
            let known = selected.known_flags().into_iter().map(PermanentFlag::Flag);
            known.chain([PermanentFlag::AnyKeyword]).collect()
        }
    };
    tell(Code::PermanentFlags(permanent), "what can be changed for good");
    tell(Code::UidNext(view.uid_next()), "next UID");
    if let Some(validity) = NonZeroU32::new(view.uid_validity()) {
        tell(Code::UidValidity(validity), "UIDs valid");
    }
}
