//! APPEND (RFC 3501 §6.3.11): a letter streamed from the client to the store, never held whole.

use std::num::NonZeroU32;

use mailbox::{MailboxId, NewLetter, Uid};
use protocol::imap::command::Append;
use protocol::imap::server::Event;
use protocol::imap::{Code, ConditionCode, StatusText};

use super::convert;
use super::failure::{Failure, Outcome};
use super::session::Session;
use crate::tutor::{self, Course};

impl Session {
    /// Everything that can be refused is refused before the message is asked for.
    pub(super) async fn append(&mut self, append: Append) -> Outcome {
        let name = convert::name(&append.mailbox)?;
        let (flags, keywords) = convert::flags(&append.flags)?;
        let size = append.literal.size;
        if size == 0 {
            return Err(Failure::no(ConditionCode::Cannot, "an empty letter is not kept"));
        }
        let quota = self.quota();
        let account = self.user()?.account.clone();
        let mailbox = self.shared.mailboxes.open_by_name(&account, &name).await;
        let mailbox = mailbox.map_err(|error| Failure::from(error).try_create())?;
        self.shared.mailboxes.fits(&account, quota, size).await?;
        let body = self.receive().await?;
        let date = append.date.map(|date| date.timestamp());
        let letter = NewLetter { body, flags, keywords, date };
        let placed = self.shared.mailboxes.append(&mailbox, vec![letter], quota).await?;
        self.teach_new(mailbox.id(), &placed.uids).await;
        let code = NonZeroU32::new(placed.uid_validity).map(|validity| Code::AppendUid {
            validity,
            uids: convert::numbers(placed.uids.iter().copied()),
        });
        Ok(StatusText { code, text: String::new() })
    }

    /// A letter that is put into Junk teaches what junk is.
    async fn teach_new(&mut self, to: MailboxId, uids: &[Uid]) {
        let shared = self.shared.clone();
        let is_on = shared.config.current().antispam.junk_filter;
        let (true, Ok(view), Ok(user)) = (is_on, self.account().await, self.user()) else { return };
        let course = Course { from: None, to: tutor::use_of(&view.mailboxes, to) };
        if let Some(class) = course.class() {
            let (account, uids) = (user.account.clone(), uids.to_vec());
            tokio::spawn(async move {
                shared.tutor.teach(&shared.mailboxes, (&account, to), &uids, class).await;
            });
        }
    }

    /// Takes the message in.
    async fn receive(&mut self) -> Result<disk::Body, Failure> {
        let mut spool = self.shared.mailboxes.spool();
        self.machine().accept_message();
        loop {
            match self.driver.next().await {
                // A failure here leaves the rest to the machine, which swallows it.
                Some(Event::MessageChunk(chunk)) => spool.write(&chunk)?,
                Some(Event::MessageEnd) => return Ok(spool.finish()?),
                // Answered by the machine, or the connection is gone: nothing is kept.
                _ => return Err(Failure::bad("the message did not come whole")),
            }
        }
    }
}
