//! APPEND, with several messages (RFC 3502), and REPLACE (RFC 8508): letters streamed from the
//! client to the store, never held whole.

use std::num::NonZeroU32;

use mailbox::{Error, Mailbox, MailboxId, NewLetter, Quota, Uid};
use protocol::imap::command::{Append, LiteralHeader, MessageForm, NextMessage};
use protocol::imap::server::Event;
use protocol::imap::{
    Code, Condition, ConditionCode, DateTime, Flag, Numbering, SequenceBound, SequenceSet,
    StatusText, Untagged,
};

use super::convert;
use super::failure::{Failure, Outcome};
use super::limits;
use super::session::Session;
use crate::tutor::{self, Course};

impl Session {
    /// Everything that can be refused is refused before the message is asked for.
    pub(super) async fn append(&mut self, append: Append) -> Outcome {
        let Append { mailbox, flags, date, literal, form, replaces } = append;
        let name = convert::name(&mailbox)?;
        let old = match replaces {
            Some((numbering, letter)) => Some(self.replaced(numbering, letter)?),
            None => None,
        };
        let quota = self.quota();
        let account = self.user()?.account.clone();
        let mailbox = self.shared.mailboxes.open_by_name(&account, &name).await;
        let mailbox = mailbox.map_err(|error| Failure::from(error).try_create())?;
        let mut letters = Vec::new();
        let mut octets = 0_u64;
        let mut next = Some(NextMessage { flags, date, literal, form });
        while let Some(message) = next.take() {
            octets = octets.saturating_add(message.literal.size);
            if old.is_none() {
                self.shared.mailboxes.fits(&account, quota, octets).await?;
            }
            let (letter, following) = self.message(message).await?;
            letters.push(letter);
            next = following;
            if next.is_some() && (letters.len() >= limits::MESSAGES || old.is_some()) {
                return Err(Failure::no(ConditionCode::Limit, "too many messages at once"));
            }
        }
        match old {
            Some(old) => self.replace(&mailbox, letters, quota, old).await,
            None => {
                let placed = self.shared.mailboxes.append(&mailbox, letters, quota).await?;
                self.teach_new(mailbox.id(), &placed.uids).await;
                Ok(StatusText { code: append_uid(&placed), text: String::new() })
            }
        }
    }

    /// One message, and what follows it, if anything does.
    async fn message(
        &mut self,
        message: NextMessage,
    ) -> Result<(NewLetter, Option<NextMessage>), Failure> {
        let NextMessage { flags, date, literal, form } = message;
        let (flags, keywords) = self.accepts(&flags, literal, form)?;
        let (body, next) = self.receive().await?;
        let date = date.map(DateTime::timestamp);
        Ok((NewLetter { body, flags, keywords, date }, next))
    }

    fn accepts(
        &self,
        flags: &[Flag],
        literal: LiteralHeader,
        form: MessageForm,
    ) -> Result<(mailbox::Flags, Vec<mailbox::Keyword>), Failure> {
        if literal.size == 0 {
            return Err(Failure::no(ConditionCode::Cannot, "an empty letter is not kept"));
        }
        if form == MessageForm::Utf8 && !self.enabled.utf8 {
            // RFC 6855 §4
            return Err(Failure::bad("UTF8 needs ENABLE UTF8=ACCEPT first"));
        }
        convert::flags(flags)
    }

    /// The letter that REPLACE takes away.
    fn replaced(
        &mut self,
        numbering: Numbering,
        letter: SequenceBound,
    ) -> Result<(Mailbox, Uid), Failure> {
        let selected = self.selected()?;
        selected.writable()?;
        let set = SequenceSet::Ranges(vec![(letter, letter)]);
        let uids = selected.uids(numbering, &set)?;
        let uid = uids.iter().next().ok_or(Error::NoSuchLetter)?;
        Ok((selected.mailbox.clone(), uid))
    }

    /// REPLACE: told as APPEND and EXPUNGE would be (RFC 8508 §3.3).
    async fn replace(
        &mut self,
        mailbox: &Mailbox,
        mut letters: Vec<NewLetter>,
        quota: Quota,
        (from, old): (Mailbox, Uid),
    ) -> Outcome {
        let letter = letters.pop().ok_or(Error::NoSuchLetter)?;
        let placed = self.shared.mailboxes.replace(mailbox, letter, quota, (&from, old)).await?;
        if let Some(code) = append_uid(&placed) {
            let text = StatusText::with(code, "replaced");
            self.machine().untagged(&Untagged::Status(Condition::Ok, text));
        }
        Ok(StatusText::default())
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

    /// Takes one message in.
    async fn receive(&mut self) -> Result<(disk::Body, Option<NextMessage>), Failure> {
        let mut spool = self.shared.mailboxes.spool();
        self.machine().accept_message();
        loop {
            match self.driver.next().await {
                // A failure here leaves the rest to the machine, which swallows it.
                Some(Event::MessageChunk(chunk)) => spool.write(&chunk)?,
                Some(Event::MessageEnd) => return Ok((spool.finish()?, None)),
                Some(Event::NextMessage(next)) => return Ok((spool.finish()?, Some(next))),
                // Answered by the machine, or the connection is gone: nothing is kept.
                _ => return Err(Failure::bad("the message did not come whole")),
            }
        }
    }
}

fn append_uid(placed: &mailbox::Placed) -> Option<Code> {
    NonZeroU32::new(placed.uid_validity).map(|validity| Code::AppendUid {
        validity,
        uids: convert::numbers(placed.uids.iter().copied()),
    })
}
