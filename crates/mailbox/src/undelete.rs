//! [`Mailboxes`] and what was expunged: which letters are still kept, bringing them back, and
//! removing them for good when their time is over. The files are nobody else's, so that the writer
//! is asked only for the letters that come back.

use std::path::PathBuf;
use std::sync::Arc;

use disk::{Access, Body, Disk, DiskFile};
use protocol::time::Timestamp;

use crate::ask::{NewLetter, Quota};
use crate::error::{Error, Result};
use crate::expunged::{self, Expunged, Purged};
use crate::flags::Flags;
use crate::ids::{AccountId, Uid};
use crate::mailbox::Mailbox;
use crate::name::MailboxName;
use crate::open::Mailboxes;

impl Mailboxes {
    /// The expunged letters of an account that are still kept, the oldest first. Reads directories
    /// on a thread of its own.
    ///
    /// # Errors
    /// When a directory cannot be read.
    pub async fn expunged(&self, account: &AccountId) -> Result<Vec<Expunged>> {
        let (disk, folder) = (self.disk(), self.folder_of(account));
        let read = move || expunged::read(disk.as_ref(), &folder).map(|shelf| shelf.letters);
        crate::thread::run("list expunged letters", read).await?
    }

    /// The first octets of an expunged letter.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn peek(&self, letter: &Expunged, most: usize) -> Result<bytes::Bytes> {
        Ok(self.body_of(letter)?.read_start(most)?)
    }

    /// Brings an expunged letter back as a new one: with a new UID, its flags but `\Deleted`, its
    /// keywords and INTERNALDATE. It goes where it was; into INBOX where that cannot be. If the
    /// power goes in the midst of it, the letter may come back and still be among the expunged.
    ///
    /// # Errors
    /// [`Error::NoSuchLetter`] when its time was over meanwhile; [`Error::OverQuota`].
    pub async fn undelete(
        &self,
        account: &AccountId,
        letter: &Expunged,
        quota: Quota,
    ) -> Result<(MailboxName, Uid)> {
        let body = self.body_of(letter)?;
        let (mailbox, name) = self.home_of(account, letter).await?;
        let new = NewLetter {
            body,
            flags: letter.flags.without(Flags::DELETED),
            keywords: letter.keywords.clone(),
            date: Some(letter.date),
        };
        let placed = self.append(&mailbox, vec![new], quota).await?;
        letter.remove(self.disk().as_ref())?;
        Ok((name, placed.uids.first().copied().ok_or(Error::NoSuchLetter)?))
    }

    /// Removes for good what was expunged before `before`, and the oldest of the rest until at most
    /// `most` octets are kept.
    ///
    /// # Errors
    /// When a directory cannot be read or a file not be removed.
    pub async fn purge_expunged(
        &self,
        account: &AccountId,
        (before, most): (Timestamp, u64),
    ) -> Result<Purged> {
        let (disk, folder) = (self.disk(), self.folder_of(account));
        let work = move || expunged::purge(disk.as_ref(), &folder, (before, most));
        crate::thread::run("purge expunged letters", work).await?
    }

    fn folder_of(&self, account: &AccountId) -> PathBuf {
        self.root().join(account.folder())
    }

    fn body_of(&self, letter: &Expunged) -> Result<Body> {
        let disk: Arc<dyn Disk> = self.disk();
        let path = letter.paths.first().ok_or(Error::NoSuchLetter)?;
        let file: Arc<dyn DiskFile> = match disk.open(path, Access::Read) {
            Err(error) if error.is_missing() => return Err(Error::NoSuchLetter),
            other => Arc::from(other?),
        };
        let length = file.length()?;
        Ok(Body::from_file(file, 0, length))
    }

    /// The mailbox an expunged letter was in; made again if it was deleted.
    async fn home_of(
        &self,
        account: &AccountId,
        letter: &Expunged,
    ) -> Result<(Mailbox, MailboxName)> {
        let view = self.account(account).await?;
        let listed = view.mailboxes.iter().find(|one| one.id == letter.mailbox);
        let name = match (listed, &letter.deleted_mailbox) {
            (Some(listed), _) => listed.name.clone(),
            (None, Some(name)) => name.clone(),
            (None, None) => MailboxName::inbox(),
        };
        if view.find(&name).is_none() {
            match self.create(account, name.clone(), None).await {
                // Somebody else made it meanwhile.
                Ok(_) | Err(Error::MailboxExists) => {}
                Err(error) => return Err(error),
            }
        }
        Ok((self.open_by_name(account, &name).await?, name))
    }
}
