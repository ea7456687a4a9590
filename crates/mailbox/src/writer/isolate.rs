//! Damaged letters step aside: the letter keeps its UID, its file goes to the quarantine, and what
//! would read it is told that it is damaged. Asked for by a verification; undone by the next one
//! that finds the right octets in the letter's place.

use disk::Mode;

use super::Writer;
use super::draft::Draft;
use super::look::QUARANTINE;
use crate::ask::{Address, Answer};
use crate::error::Result;
use crate::ids::Uid;

impl Writer {
    /// Isolates letters. The list is durable before a file moves.
    pub(super) fn isolate(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        uids: &[Uid],
    ) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let Some(maildir) = self.place(of) else { return Ok(Answer::Done) };
        let mut moves = Vec::new();
        for &uid in uids {
            let open = self.open_mut(of)?;
            let Some(letter) = open.state.letters.get(uid) else { continue };
            // What is not laid out yet is whole in the log.
            if open.unlaid.contains(&uid) {
                continue;
            }
            let base = open.state.base_name(&letter);
            let Some(path) = self.file_of(of, &maildir, &base, uid)? else { continue };
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
            let aside = format!("{}.{name}", of.mailbox);
            self.account_mut(&of.account)?.isolated.put(of.mailbox, uid, aside.clone());
            moves.push((uid, path, aside));
        }
        let account = self.account_mut(&of.account)?;
        let (folder, isolated) = (account.folder.clone(), account.isolated.clone());
        isolated.write(self.disk.as_ref(), &folder)?;
        self.disk.make_dirs(&folder.join(QUARANTINE), Mode::PRIVATE_DIR)?;
        self.own_change_begins(of, &maildir);
        for (uid, path, aside) in moves {
            self.disk.rename(&path, &folder.join(QUARANTINE).join(&aside))?;
            self.report_once(format!(
                "{}: letter {uid} of mailbox {} is damaged; its file was set aside as \
                 {QUARANTINE}/{aside}",
                of.account, of.mailbox
            ));
        }
        self.own_change_ends(of, &maildir);
        self.show_isolated(of);
        Ok(Answer::Done)
    }

    /// The right octets are in their places again.
    pub(super) fn release(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        uids: &[Uid],
    ) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let account = self.account_mut(&of.account)?;
        uids.iter().for_each(|uid| drop(account.isolated.take(of.mailbox, *uid)));
        let (folder, isolated) = (account.folder.clone(), account.isolated.clone());
        isolated.write(self.disk.as_ref(), &folder)?;
        self.show_isolated(of);
        Ok(Answer::Done)
    }

    /// Tells who reads the mailbox which of its letters are isolated.
    pub(super) fn show_isolated(&mut self, of: &Address) {
        let Some(account) = self.accounts.get(&of.account) else { return };
        if let Some(open) = account.open.get(&of.mailbox) {
            open.shared.isolate(account.isolated.of(of.mailbox).collect());
        }
    }

    /// Whether a letter is isolated.
    pub(super) fn is_isolated(&self, of: &Address, uid: Uid) -> bool {
        let account = self.accounts.get(&of.account);
        account.is_some_and(|account| account.isolated.has(of.mailbox, uid))
    }
}
