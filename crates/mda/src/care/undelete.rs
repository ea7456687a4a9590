//! Expunged letters, listed and brought back: the work behind `mailbox.undelete`.

use mailbox::{Error, Expunged, Quota};
use message::{header, values};
use protocol::ipc::Fault;

use super::Care;
use super::verbs::{ExpungedLetter, UndeleteAct, UndeleteLetters, wrong};
use crate::limits::HEADER_LOOKED_AT;
use crate::verbs::{account, failed};

impl Care {
    /// The letters that are asked for.
    pub(super) async fn asked(&self, ask: &UndeleteLetters) -> Result<Vec<Expunged>, Fault> {
        let account = account(&ask.account)?;
        let view = self.mailboxes.account(&account).await.map_err(failed)?;
        let mut letters = self.mailboxes.expunged(&account).await.map_err(failed)?;
        for id in &ask.ids {
            if !letters.iter().any(|letter| letter.id == *id) {
                return Err(wrong(format!(
                    "{id} is not among the expunged letters of {}; `posthaste mailbox undelete {} \
                     --list` shows them",
                    ask.account, ask.account
                )));
            }
        }
        letters.retain(|letter| {
            let named = ask.ids.is_empty() || ask.ids.contains(&letter.id);
            let since = ask.since.is_none_or(|since| letter.expunged.as_seconds() >= since);
            let was_in = ask.mailbox.as_deref().is_none_or(|name| name == was_in(&view, letter));
            named && since && was_in
        });
        Ok(letters)
    }

    /// Does with one letter what is asked.
    pub(super) async fn take_up(&self, ask: &UndeleteLetters, letter: Expunged) -> ExpungedLetter {
        let mut told = self.describe(ask, &letter).await;
        if ask.act == UndeleteAct::Restore {
            match self.restore(ask, &letter).await {
                Ok(place) => told.restored = Some(place),
                Err(error) => told.failed = Some(error.to_string()),
            }
        }
        told
    }

    async fn describe(&self, ask: &UndeleteLetters, letter: &Expunged) -> ExpungedLetter {
        let view = match account(&ask.account) {
            Ok(account) => self.mailboxes.account(&account).await.ok(),
            Err(_) => None,
        };
        let start = self.mailboxes.peek(letter, HEADER_LOOKED_AT).unwrap_or_default();
        let block = start.get(..header::length(&start)).unwrap_or_default();
        let text = |name| {
            let value = header::value(block, name).unwrap_or_default();
            values::text(&value).trim().chars().take(SHOWN).collect()
        };
        ExpungedLetter {
            id: letter.id.clone(),
            mailbox: view.map(|view| was_in(&view, letter)).unwrap_or_default(),
            expunged: letter.expunged.as_seconds(),
            date: letter.date.as_seconds(),
            size: letter.size,
            from: text("From"),
            subject: text("Subject"),
            restored: None,
            failed: None,
        }
    }

    async fn restore(
        &self,
        ask: &UndeleteLetters,
        letter: &Expunged,
    ) -> Result<(String, u32), Error> {
        let account = account(&ask.account).map_err(|_| Error::NoSuchMailbox)?;
        let quota = self.quota_of(&ask.account);
        let (name, uid) = self.mailboxes.undelete(&account, letter, quota).await?;
        Ok((name.to_string(), uid.get()))
    }

    fn quota_of(&self, address: &str) -> Quota {
        let snapshot = self.directory.current(self.clock.tick());
        let account = snapshot.login(address);
        account.map_or_else(Quota::default, |account| Quota {
            bytes: account.quota.bytes,
            letters: account.quota.letters,
        })
    }
}

/// The name of the mailbox that a letter was in, as far as it is known.
fn was_in(view: &mailbox::AccountView, letter: &Expunged) -> String {
    let listed = view.mailboxes.iter().find(|one| one.id == letter.mailbox);
    let name = listed.map(|listed| &listed.name).or(letter.deleted_mailbox.as_ref());
    name.map_or_else(|| "(deleted)".to_owned(), ToString::to_string)
}

/// Characters of a header field in a list.
const SHOWN: usize = 120;
