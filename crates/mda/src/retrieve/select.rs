//! SELECT, EXAMINE, CLOSE, UNSELECT and STATUS (RFC 3501 §6.3.1, §6.3.2, §6.3.10, §6.4.2, RFC
//! 3691).

use std::num::NonZeroU32;

use mailbox::{Flags, UidSet};
use protocol::imap::command::{Resync, Selection};
use protocol::imap::fetch::FetchData;
use protocol::imap::response::{StatusItem, VanishedTime};
use protocol::imap::{
    Code, Condition, MailboxName, PermanentFlag, StatusText, Untagged, server::Server,
};

use super::convert;
use super::enable::Enabled;
use super::failure::{Failure, Outcome};
use super::limits;
use super::selected::{Access, Selected, count};
use super::session::Session;

impl Session {
    /// SELECT.
    pub(super) async fn select(&mut self, selection: &Selection) -> Outcome {
        self.open(selection, Access::ReadWrite).await
    }

    /// EXAMINE: the same, and nothing may change.
    pub(super) async fn examine(&mut self, selection: &Selection) -> Outcome {
        self.open(selection, Access::ReadOnly).await
    }

    async fn open(&mut self, selection: &Selection, access: Access) -> Outcome {
        if selection.resync.is_some() && !self.enabled.qresync {
            // RFC 7162 §3.2.5
            return Err(Failure::bad("QRESYNC must be enabled first"));
        }
        // RFC 3501 §6.3.1: the mailbox selected before is deselected, whatever comes of this.
        if self.selected.take().is_some() {
            let text = StatusText::with(Code::Closed, "the mailbox selected before is closed");
            self.machine().untagged(&Untagged::Status(Condition::Ok, text));
        }
        if selection.condstore {
            self.enable_condstore();
        }
        let name = convert::name(&selection.mailbox)?;
        let mailboxes = &self.shared.mailboxes;
        let mailbox = mailboxes.open_by_name(&self.user()?.account, &name).await?;
        self.shared.look(&mailbox).await;
        let recent_from = match access {
            Access::ReadWrite => match mailboxes.claim_recent(&mailbox).await {
                Ok(first) => first,
                // Who cannot write, because the disk is full, can read: nothing is recent then.
                Err(error) => {
                    tracing::debug!(%error, "recent letters were not claimed");
                    mailbox.view().uid_next()
                }
            },
            // RFC 3501 §6.3.2: EXAMINE takes no letter's recency away.
            Access::ReadOnly => mailbox.view().recent_from(),
        };
        let mut selected = Selected::new(mailbox, access, recent_from);
        selected.tells_recent = !self.enabled.rev2;
        let enabled = self.enabled;
        if enabled.rev2 {
            let listed = super::listing::plain_entry(&*self.account().await?, &name);
            self.machine().untagged(&Untagged::List(listed));
        }
        tell_selected(self.machine(), &selected, enabled);
        self.selected = Some(selected);
        if let Some(known) = &selection.resync {
            self.resynchronize(known).await;
        }
        let code = match access {
            Access::ReadWrite => Code::ReadWrite,
            Access::ReadOnly => Code::ReadOnly,
        };
        Ok(StatusText { code: Some(code), text: String::new() })
    }

    /// RFC 7162 §3.2.5: what went and what changed since the client last looked.
    async fn resynchronize(&mut self, known: &Resync) {
        let Some(selected) = &self.selected else { return };
        let view = selected.view.clone();
        // RFC 7162 §3.2.5.1: another UIDVALIDITY, and nothing that the client knows holds.
        if view.uid_validity() != known.uid_validity {
            return;
        }
        let mut gone = convert::wire_numbers(&view.gone_since(known.mod_seq));
        if let Some(uids) = &known.known {
            gone = gone.intersection(uids);
        }
        if !gone.is_empty() {
            self.machine()
                .untagged(&Untagged::Vanished { uids: gone, time: VanishedTime::Earlier });
        }
        for place in 0..view.len() {
            if place % limits::LETTERS_PER_TURN == 0 {
                tokio::task::yield_now().await;
            }
            let Some(selected) = &self.selected else { return };
            let Some(one) = selected.at(place) else { continue };
            let letter = one.letter;
            let wanted = known.known.as_ref().is_none_or(|uids| uids.contains(letter.uid.get()));
            if letter.modseq <= known.mod_seq || !wanted {
                continue;
            }
            let flags = selected.flags(&view, &letter);
            let machine = self.driver.machine();
            machine.fetch_begin(one.sequence);
            machine.fetch_item(&FetchData::Uid(letter.uid));
            machine.fetch_item(&FetchData::Flags(flags));
            machine.fetch_item(&FetchData::ModSeq(letter.modseq));
            machine.fetch_end();
            self.pace().await;
            if self.is_over() {
                return;
            }
        }
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
        if items.contains(&StatusItem::HighestModSeq) {
            self.enable_condstore();
        }
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
                StatusItem::AppendLimit => self.shared.config.current().limits.message_size,
                // RFC 9208 §4.1.4: in octets.
                StatusItem::DeletedStorage => {
                    let deleted =
                        view.letters().filter(|letter| letter.flags.contains(Flags::DELETED));
                    deleted.map(|letter| u64::from(letter.size)).sum()
                }
                StatusItem::MailboxId => convert::mailbox_id(view.uid_validity(), view.id()),
            };
            values.push((*item, value));
        }
        Ok(Untagged::MailboxStatus { mailbox: convert::wire_name(name), items: values })
    }
}

/// The untagged answers of SELECT and EXAMINE (RFC 3501 §6.3.1).
fn tell_selected(machine: &mut Server, selected: &Selected, enabled: Enabled) {
    let view = &selected.view;
    machine.untagged(&Untagged::Flags(selected.known_flags()));
    machine.untagged(&Untagged::Exists(selected.exists()));
    // RFC 9051 appendix E: neither RECENT nor UNSEEN in IMAP4rev2.
    if !enabled.rev2 {
        machine.untagged(&Untagged::Recent(selected.count_recent()));
    }
    let mut tell = |code: Code, text: &str| {
        machine.untagged(&Untagged::Status(Condition::Ok, StatusText::with(code, text)));
    };
    let unseen = view.first_unseen().and_then(|letter| selected.sequence(letter.uid));
    if let Some(unseen) = unseen.filter(|_| !enabled.rev2) {
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
    // RFC 7162 §3.1.2.1: told at each SELECT, enabled or not.
    tell(Code::HighestModSeq(view.highest_modseq()), "highest modification sequence");
    let id = convert::mailbox_code(view.uid_validity(), view.id());
    tell(id, "the mailbox's own identifier");
}
