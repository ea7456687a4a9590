//! What leaves the Maildirs once a checkpoint has made durable what came instead: files of letters
//! that are gone, staged files, Maildirs of deleted mailboxes. What its owner expunged is set aside
//! for a while where [`crate::expunged`] finds it. Called by the layout and
//! after each checkpoint.

use std::path::{Path, PathBuf};

use disk::{Disk, ErrorKind, FileType, Mode};

use super::{OWN_FOLDER, Writer};
use crate::ask::Address;
use crate::expunged::{self, FOLDER};
use crate::ids::{MailboxId, Uid};

/// A letter that is gone and has its file still.
#[derive(Debug)]
pub(super) struct Leave {
    pub(super) of: Address,
    pub(super) uid: Uid,
    /// The name without flags.
    pub(super) base: String,
    /// What the file is to be called among the expunged ones; none: it is unlinked.
    pub(super) keep: Option<String>,
}

/// A name to be removed after the next checkpoint.
#[derive(Debug)]
pub(super) enum Leaving {
    /// A letter's file.
    Letter(Address, Uid, PathBuf),
    /// A file of ours that was replaced.
    File(PathBuf),
    /// The Maildir of a deleted mailbox.
    Tree(PathBuf),
}

impl Writer {
    /// Finds the file of a letter that is gone.
    pub(super) fn lay_leave(&mut self, letter: &Leave) -> disk::Result<()> {
        let Leave { of, uid, base, .. } = letter;
        let mut found = None;
        if let Some(maildir) = self.place(of) {
            found = self.file_of(of, &maildir, base, *uid)?;
        }
        match found {
            Some(path) => {
                self.keep_letter(letter, &path)?;
                self.leaving.push(Leaving::Letter(of.clone(), *uid, path));
            }
            None => self.has_left(of, *uid),
        }
        Ok(())
    }

    /// Moves the Maildir of a deleted mailbox away.
    pub(super) fn lay_drop(&mut self, address: &Address) -> disk::Result<()> {
        let own = self.identity(address);
        if let Some(place) = self.place(address)
            // Its own folder may have gone before, in a former life.
            && (own.is_none() || self.found_in(&place)?.is_none_or(|who| Some(who) == own))
        {
            self.put_away(&place, address.mailbox)?;
        }
        if let Some(account) = self.accounts.get_mut(&address.account) {
            account.places.remove(&address.mailbox);
            account.open.remove(&address.mailbox);
        }
        Ok(())
    }

    /// The Maildir of a deleted mailbox steps out of the account: among the expunged letters where
    /// those are kept, else to where the next checkpoint removes it.
    pub(super) fn put_away(&mut self, maildir: &Path, id: MailboxId) -> disk::Result<()> {
        let kept = self.retention.keeps().then(|| self.kept_tree(maildir, id)).flatten();
        let away = kept.clone().unwrap_or_else(|| self.next_removed());
        if let Some(folder) = kept.as_deref().and_then(Path::parent) {
            self.disk.make_dirs(folder, Mode::PRIVATE_DIR)?;
        }
        match self.disk.rename(maildir, &away) {
            Err(error) if error.is_missing() => return Ok(()),
            other => other?,
        }
        // Letters that wait for the checkpoint have moved with it.
        for leaving in &mut self.leaving {
            if let Leaving::Letter(_, _, path) = leaving
                && let Ok(inside) = path.strip_prefix(maildir)
            {
                *path = away.join(inside);
            }
        }
        if kept.is_none() {
            self.leaving.push(Leaving::Tree(away));
        }
        Ok(())
    }

    fn kept_tree(&self, maildir: &Path, id: MailboxId) -> Option<PathBuf> {
        let name = maildir.file_name()?.to_str()?;
        let name = expunged::tree_name(self.now.as_seconds(), id, name);
        let path = maildir.parent()?.join(FOLDER).join(name);
        // A former life came this far, and the folder is there again: nobody's letters.
        self.disk.metadata(&path).is_err_and(|error| error.is_missing()).then_some(path)
    }

    /// A name for a Maildir on its way out.
    pub(super) fn next_removed(&mut self) -> PathBuf {
        self.removed += 1;
        let name = format!("{}-{}", self.now.as_micros(), self.removed);
        self.root.join(OWN_FOLDER).join("removed").join(name)
    }

    /// After a checkpoint: what nothing needs any more goes.
    pub(super) fn clear_leaving(&mut self) {
        for leaving in std::mem::take(&mut self.leaving) {
            match leaving {
                Leaving::Letter(of, uid, path) => self.clear_letter(&of, uid, &path),
                Leaving::File(path) => {
                    let _ = self.disk.unlink(&path);
                }
                Leaving::Tree(path) => {
                    let _ = remove_tree(self.disk.as_ref(), &path);
                }
            }
        }
    }

    fn clear_letter(&mut self, of: &Address, uid: Uid, path: &Path) {
        let place = self.place(of);
        if let Some(maildir) = &place {
            self.own_change_begins(of, maildir);
        }
        // What does not go now is found by the next look.
        let _ = self.disk.unlink(path);
        if let Some(maildir) = &place {
            self.own_change_ends(of, maildir);
        }
        self.has_left(of, uid);
    }

    /// A second name among the expunged letters, durable with the checkpoint after which the first
    /// one goes.
    pub(super) fn keep_letter(&self, letter: &Leave, path: &Path) -> disk::Result<()> {
        let Some(name) = &letter.keep else { return Ok(()) };
        let folder = self.root.join(letter.of.account.folder()).join(FOLDER);
        let to = folder.join(name);
        let linked = match self.disk.link(path, &to) {
            // The first of the account, or the file is gone.
            Err(error) if error.is_missing() => {
                self.disk.make_dirs(&folder, Mode::PRIVATE_DIR)?;
                self.disk.link(path, &to)
            }
            other => other,
        };
        match linked {
            Err(error) if error.is_missing() || error.kind() == ErrorKind::Exists => Ok(()),
            // Who expunges to make room must get it.
            Err(error) if error.kind() == ErrorKind::Full => Ok(()),
            other => other,
        }
    }

    fn has_left(&mut self, of: &Address, uid: Uid) {
        if let Ok(open) = self.open_mut(of) {
            open.leaving.remove(&uid);
        }
    }
}

/// Removes what a former life left in our own folder. Called when everything is laid out, before
/// anything new is staged.
pub(crate) fn sweep(disk: &dyn Disk, root: &Path) -> disk::Result<()> {
    let own = root.join(OWN_FOLDER);
    for entry in disk.read_dir(&own.join("removed"))? {
        remove_tree(disk, &own.join("removed").join(entry.name))?;
    }
    for entry in disk.read_dir(&own.join("staged"))? {
        disk.unlink(&own.join("staged").join(entry.name))?;
    }
    Ok(())
}

/// Removes a folder with all that is in it.
pub(crate) fn remove_tree(disk: &dyn Disk, path: &Path) -> disk::Result<()> {
    let entries = match disk.read_dir(path) {
        Err(error) if error.is_missing() => return Ok(()),
        other => other?,
    };
    for entry in entries {
        let inside = path.join(&entry.name);
        match entry.file_type {
            FileType::Directory => remove_tree(disk, &inside)?,
            _ => disk.unlink(&inside)?,
        }
    }
    disk.remove_dir(path)
}
