//! CREATE, DELETE, RENAME, SUBSCRIBE and UNSUBSCRIBE (RFC 3501 §6.3.3 to §6.3.7, RFC 6154 §3).

use protocol::imap::{Code, ConditionCode, MailboxName, SpecialUse, StatusText};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;

impl Session {
    /// CREATE. Names above it need not exist and are shown by LIST anyway.
    pub(super) async fn create(&mut self, name: &MailboxName, uses: &[SpecialUse]) -> Outcome {
        let name = convert::name(&name.without_trailing(mailbox::MailboxName::SEPARATOR))?;
        let purpose = special_use(uses)?;
        let taken = |one: &mailbox::Listed| one.special_use.is_some() && one.special_use == purpose;
        if self.account().await?.mailboxes.iter().any(taken) {
            let text = "another mailbox has that special use";
            return Err(Failure::No(StatusText::with(Code::UseAttr, text)));
        }
        let account = self.user()?.account.clone();
        let id = self.shared.mailboxes.create(&account, name, purpose).await?;
        // RFC 8474 §4.2
        let view = self.shared.mailboxes.open_mailbox(&account, id).await?.view();
        let code = Some(convert::mailbox_code(view.uid_validity(), id));
        Ok(StatusText { code, text: String::new() })
    }

    /// DELETE. What lies below stays, and the name with it, as one that cannot be selected
    /// (RFC 3501 §6.3.4).
    pub(super) async fn delete(&mut self, name: &MailboxName) -> Outcome {
        let name = convert::name(name)?;
        let account = self.account().await?;
        if account.find(&name).is_none() && account.has_children(&name) {
            // RFC 3501 §6.3.4: it is an error to delete a \Noselect name that has inferiors.
            let text = "only a name above other mailboxes; delete those";
            return Err(Failure::no(ConditionCode::HasChildren, text));
        }
        // A session that deletes what it has selected has nothing selected afterwards.
        let ours = account.find(&name).map(|listed| listed.id);
        let selected = self.selected.as_ref().map(|selected| selected.mailbox.id());
        self.shared.mailboxes.delete(&self.user()?.account, name).await?;
        if ours.is_some() && ours == selected {
            self.selected = None;
            self.machine().deselect();
        }
        Ok(StatusText::default())
    }

    /// RENAME. Of INBOX the letters move and INBOX stays (RFC 3501 §6.3.5).
    pub(super) async fn rename(&mut self, from: &MailboxName, to: &MailboxName) -> Outcome {
        let from = convert::name(from)?;
        let to = convert::name(&to.without_trailing(mailbox::MailboxName::SEPARATOR))?;
        self.shared.mailboxes.rename(&self.user()?.account, from, to).await?;
        Ok(StatusText::default())
    }

    /// SUBSCRIBE. The name need not exist (RFC 3501 §6.3.6 lets servers decide).
    pub(super) async fn subscribe(&mut self, name: &MailboxName) -> Outcome {
        let name = convert::name(&name.without_trailing(mailbox::MailboxName::SEPARATOR))?;
        self.shared.mailboxes.subscribe(&self.user()?.account, name).await?;
        Ok(StatusText::default())
    }

    /// UNSUBSCRIBE.
    pub(super) async fn unsubscribe(&mut self, name: &MailboxName) -> Outcome {
        let name = convert::name(&name.without_trailing(mailbox::MailboxName::SEPARATOR))?;
        self.shared.mailboxes.unsubscribe(&self.user()?.account, name).await?;
        Ok(StatusText::default())
    }
}

/// A mailbox here has one use or none (RFC 6154 §3: a server may refuse others with USEATTR).
fn special_use(uses: &[SpecialUse]) -> Result<Option<mailbox::SpecialUse>, Failure> {
    let refuse = |text: &str| Failure::No(StatusText::with(Code::UseAttr, text));
    match uses {
        [] => Ok(None),
        [one] => mailbox::SpecialUse::parse(one.name())
            .map(Some)
            .ok_or_else(|| refuse("mailboxes with that special use cannot be made")),
        _ => Err(refuse("a mailbox has at most one special use")),
    }
}
