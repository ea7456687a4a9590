//! [`Mailbox`]: an open mailbox as sessions see it. Reads only: every change goes through
//! [`crate::Mailboxes`]. The writer publishes into it after each barrier and wakes who waits.

use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use disk::Disk;

use crate::ask::Address;
use crate::content::{self, Content};
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::letter::Letter;
use crate::view::View;

/// An open mailbox. Clones are the same mailbox; it stays in memory while one is held.
#[derive(Debug, Clone)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

/// What the writer and the sessions share of a mailbox.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) address: Address,
    pub(crate) disk: Arc<dyn Disk>,
    state: Mutex<Published>,
}

#[derive(Debug)]
struct Published {
    view: View,
    /// Where the Maildir is now.
    folder: PathBuf,
    /// Where it is being moved to at this moment.
    next_folder: Option<PathBuf>,
    /// Letters that are durable but not in their files yet.
    unlaid: HashMap<Uid, Unlaid>,
    /// Letters whose files are damaged and set aside.
    isolated: Vec<Uid>,
    /// The mailbox was deleted.
    gone: bool,
    waiting: Vec<Waker>,
}

/// Where a letter is read from before its file is laid out.
#[derive(Debug, Clone)]
pub(crate) enum Unlaid {
    /// From memory: our header fields, and the rest.
    Memory(Bytes, Bytes),
    /// From its staged file.
    Staged(PathBuf),
    /// From the letter it is a copy of: the part of its name that stays.
    Copied(Arc<Shared>, String),
}

/// Waits until a mailbox is not what a view shows; see [`Mailbox::changed`].
#[derive(Debug)]
#[must_use = "a future does nothing unless it is awaited"]
pub struct Changed<'a> {
    mailbox: &'a Mailbox,
    known: &'a View,
}

impl Mailbox {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Mailbox { shared }
    }

    /// Whose it is.
    pub fn account(&self) -> &AccountId {
        &self.shared.address.account
    }

    /// Its number.
    pub fn id(&self) -> MailboxId {
        self.shared.address.mailbox
    }

    pub(crate) fn address(&self) -> &Address {
        &self.shared.address
    }

    /// The mailbox as it is now. Costs a lock and a reference.
    pub fn view(&self) -> View {
        self.shared.published().view.clone()
    }

    /// Whether the mailbox was deleted while it was open.
    pub fn is_gone(&self) -> bool {
        self.shared.published().gone
    }

    /// Ready when the mailbox differs from `known` or was deleted; at once if it does already.
    /// Changes that come together wake once.
    pub fn changed<'a>(&'a self, known: &'a View) -> Changed<'a> {
        Changed { mailbox: self, known }
    }

    /// The bytes of a letter of a view of this mailbox.
    /// [`NoSuchLetter`](crate::Error::NoSuchLetter) when it has gone meanwhile.
    pub fn content(&self, letter: &Letter) -> Result<Content> {
        if self.is_isolated(letter.uid) {
            return Err(Error::Damaged(format!("letter {} is isolated", letter.uid)));
        }
        self.content_of_any(letter)
    }

    /// Whether the letter was found to be damaged.
    pub(crate) fn is_isolated(&self, uid: Uid) -> bool {
        self.shared.published().isolated.contains(&uid)
    }

    /// The same of a letter that may be isolated.
    pub(crate) fn content_of_any(&self, letter: &Letter) -> Result<Content> {
        // The writer may lay the letter out or move the Maildir while it is looked for: what was
        // not where it was said to be is looked for where it is said to be now.
        match self.content_as_published(letter) {
            Err(Error::NoSuchLetter) => self.content_as_published(letter),
            other => other,
        }
    }

    fn content_as_published(&self, letter: &Letter) -> Result<Content> {
        let (unlaid, folders, base) = {
            let published = self.shared.published();
            let base = published.view.state().base_name(letter);
            let folders = [Some(published.folder.clone()), published.next_folder.clone()];
            (published.unlaid.get(&letter.uid).cloned(), folders, base)
        };
        let disk = self.shared.disk.as_ref();
        let mut found = match unlaid {
            Some(unlaid) => unlaid.content(disk, letter),
            None => Err(Error::NoSuchLetter),
        };
        for folder in folders.iter().flatten() {
            if !matches!(found, Err(Error::NoSuchLetter)) {
                break;
            }
            found = content::open(disk, folder, &base, letter);
        }
        found
    }
}

impl Unlaid {
    fn content(self, disk: &dyn Disk, letter: &Letter) -> Result<Content> {
        match self {
            Unlaid::Memory(trace, body) => Ok(Content::from_memory(&trace, body)),
            Unlaid::Staged(path) => content::open_path(disk, &path, letter),
            Unlaid::Copied(from, base) => {
                // The first letter may itself not be laid out yet.
                let (folder, unlaid) = {
                    let published = from.published();
                    let uid = crate::letter::OwnName::parse(&base).map(|name| name.uid);
                    let unlaid = uid.and_then(|uid| published.unlaid.get(&uid).cloned());
                    (published.folder.clone(), unlaid)
                };
                match unlaid {
                    Some(unlaid) => unlaid.content(disk, letter),
                    None => content::open(disk, &folder, &base, letter),
                }
            }
        }
    }
}

impl Shared {
    pub(crate) fn new(address: Address, disk: Arc<dyn Disk>, view: View, folder: PathBuf) -> Self {
        let state = Published {
            view,
            folder,
            next_folder: None,
            unlaid: HashMap::new(),
            isolated: Vec::new(),
            gone: false,
            waiting: Vec::new(),
        };
        Shared { address, disk, state: Mutex::new(state) }
    }

    fn published(&self) -> MutexGuard<'_, Published> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows a new view and wakes who waits for one.
    pub(crate) fn publish(&self, view: View) {
        let mut published = self.published();
        let visible = !published.view.is_same(&view);
        published.view = view;
        let waiting = if visible { std::mem::take(&mut published.waiting) } else { Vec::new() };
        drop(published);
        waiting.into_iter().for_each(Waker::wake);
    }

    /// These letters are damaged, and no others.
    pub(crate) fn isolate(&self, uids: Vec<Uid>) {
        self.published().isolated = uids;
    }

    /// Where a letter is read from until [`Shared::laid_out`].
    pub(crate) fn not_laid_out(&self, uid: Uid, unlaid: Unlaid) {
        self.published().unlaid.insert(uid, unlaid);
    }

    pub(crate) fn laid_out(&self, uid: Uid) {
        self.published().unlaid.remove(&uid);
    }

    /// The Maildir is about to be moved: until [`Shared::moved_to`] it is in either place.
    pub(crate) fn moves_to(&self, folder: PathBuf) {
        self.published().next_folder = Some(folder);
    }

    pub(crate) fn moved_to(&self, folder: PathBuf) {
        let mut published = self.published();
        published.folder = folder;
        published.next_folder = None;
    }

    /// The mailbox is deleted: who waits is woken and will see it.
    pub(crate) fn gone(&self) {
        let mut published = self.published();
        published.gone = true;
        let waiting = std::mem::take(&mut published.waiting);
        drop(published);
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Future for Changed<'_> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut published = self.mailbox.shared.published();
        if published.gone || !published.view.is_same(self.known) {
            return Poll::Ready(());
        }
        // A task that waits anew each time it is polled must not fill the list.
        if !published.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
            published.waiting.push(context.waker().clone());
        }
        Poll::Pending
    }
}
