//! [`Mailboxes`]: the store as agents hold it. Every method that changes something returns when the
//! change is durable; a dropped future does not take back what was asked.

use std::collections::BTreeSet;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{Body, CommitOptions, Committer, Disk, GroupCommit, Recovery, Space, Spool, Submitter};
use message::envelope::Envelope;
use message::scan::Structure;
use protocol::time::Timestamp;

use crate::ask::{
    AccountView, Answer, Ask, Delivered, Delivery, FlagChange, FlagsChanged, NewLetter, Placed,
    Quota, Request, SpecialUse,
};
use crate::custody::{Survey, Whose};
use crate::error::{Error, Result};
use crate::expunged::Retention;
use crate::heads::{HeadReader, Heads};
use crate::ids::{AccountId, MailboxId, Uid};
use crate::index::Shelf;
use crate::letter::Letter;
use crate::limits::REFUSED_REMEMBERED;
use crate::mailbox::Mailbox;
use crate::name::MailboxName;
use crate::scan::Looked;
use crate::stage::{Place, Stager};
use crate::uidset::UidSet;
use crate::words::{Query, RuledOut, Words};
use crate::writer::{Accounts, Writer, sweep};

/// Wall-clock time, from whoever has a clock.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Where the store is and how it behaves.
#[derive(Clone)]
pub struct Options {
    /// The folder of all mail: `DATA/mail`.
    pub directory: PathBuf,
    /// Times and sizes of the intake log, without its directory.
    pub commit: CommitOptions,
    /// Letters are refused when less than this is left.
    pub low_water: Space,
    /// The folder of all indexes: `DATA/index`; `None`: letters are read through each time.
    pub index: Option<PathBuf>,
    /// How long expunged letters are kept.
    pub retention: Retention,
    /// The time.
    pub clock: Clock,
}

/// An opened store.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub mailboxes: Mailboxes,
    /// Its thread; dropping it closes the store.
    pub committer: Committer,
    /// What recovery found.
    pub recovery: Recovery,
}

/// All mailboxes of this machine. Clones are the same store.
#[derive(Debug, Clone)]
pub struct Mailboxes {
    submitter: Submitter<Request, Answer>,
    stager: Arc<Stager>,
    accounts: Arc<Accounts>,
    index: Shelf,
    heads: Heads,
    words: Words,
    clock: ClockOf,
    /// Accounts for which letters were refused because of their quotas.
    refused: Arc<Mutex<BTreeSet<AccountId>>>,
}

#[derive(Clone)]
struct ClockOf(Clock);

impl Options {
    /// The usual options for the store in `directory`.
    pub fn new(directory: impl Into<PathBuf>, clock: Clock) -> Self {
        let directory = directory.into();
        let commit = CommitOptions::new(directory.join(".posthaste/log"));
        let low_water = Space { bytes: 0, inodes: 0 };
        let retention = Retention::default();
        Options { directory, commit, low_water, index: None, retention, clock }
    }
}

impl Mailboxes {
    /// Opens the store, recovers what a crash left, and starts its thread.
    pub fn open(disk: Arc<dyn Disk>, options: Options) -> Result<Opened> {
        let (mailboxes, commit, recovery) = Self::open_staging(disk, options, Place::Aside)?;
        let committer = commit.spawn("mailbox")?;
        Ok(Opened { mailboxes, committer, recovery })
    }

    /// The same without a thread: who calls this steps the batch loop.
    pub fn open_stepped(
        disk: Arc<dyn Disk>,
        options: Options,
    ) -> Result<(Mailboxes, GroupCommit<Writer>, Recovery)> {
        Self::open_staging(disk, options, Place::Here)
    }

    fn open_staging(
        disk: Arc<dyn Disk>,
        options: Options,
        place: Place,
    ) -> Result<(Mailboxes, GroupCommit<Writer>, Recovery)> {
        let heads = Heads::new(options.index.as_deref());
        let index = Shelf::new(options.index.clone(), heads.clone());
        let words = Words::new(options.index.as_deref());
        let writer = Writer::open(disk.clone(), &options, index.clone())?;
        let accounts = writer.accounts_view();
        let (commit, submitter, recovery) =
            GroupCommit::open(disk.clone(), options.commit.clone(), writer)?;
        sweep(disk.as_ref(), &options.directory)?;
        let stager = Arc::new(Stager::new(disk, &options, place)?);
        let (clock, refused) = (ClockOf(options.clock), Arc::default());
        Ok((
            Mailboxes { submitter, stager, accounts, index, heads, words, clock, refused },
            commit,
            recovery,
        ))
    }

    /// What the disk does to the store, for who tells people and starts it again.
    pub fn troubles(&self) -> disk::Troubles {
        self.submitter.troubles()
    }

    /// The disk that the store lies on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        self.stager.disk()
    }

    /// The folder of all mail.
    pub(crate) fn root(&self) -> &std::path::Path {
        self.stager.root()
    }

    /// Takes a letter in as it arrives: [`Spool::write`], then [`Spool::finish`].
    pub fn spool(&self) -> Spool {
        self.stager.spool()
    }

    /// An account's mailboxes, subscriptions and usage. INBOX and the usual folders are made when
    /// an account is asked for the first time.
    pub async fn account(&self, account: &AccountId) -> Result<Arc<AccountView>> {
        if let Some(view) = self.accounts.get(account) {
            return Ok(view);
        }
        match self.ask(Ask::Account(account.clone())).await? {
            Answer::Account(view) => Ok(view),
            other => other.unexpected(),
        }
    }

    /// Opens a mailbox: its letters are read into memory if they are not there.
    pub async fn open_mailbox(&self, account: &AccountId, id: MailboxId) -> Result<Mailbox> {
        match self.ask(Ask::Open(account.clone(), id)).await? {
            Answer::Opened(mailbox) => Ok(mailbox),
            other => other.unexpected(),
        }
    }

    /// Opens a mailbox by its name.
    pub async fn open_by_name(&self, account: &AccountId, name: &MailboxName) -> Result<Mailbox> {
        let id = self.account(account).await?.find(name).map(|listed| listed.id);
        self.open_mailbox(account, id.ok_or(Error::NoSuchMailbox)?).await
    }

    /// Delivers a letter: one result for each recipient, in their order, each durable.
    pub async fn deliver(&self, delivery: Delivery) -> Vec<Result<Delivered>> {
        let count = delivery.recipients.len();
        let all = |error: Error| vec![Err(error); count];
        let prepared = match self.stager.delivery(delivery).await {
            Ok(prepared) => prepared,
            Err(error) => return all(error),
        };
        match self.ask(Ask::Deliver(Box::new(prepared))).await {
            Ok(Answer::Delivered(results)) => results,
            Ok(other) => all(other.unexpected::<()>().err().unwrap_or(Error::NoSuchMailbox)),
            Err(error) => all(error),
        }
    }

    /// Whether `size` bytes more would fit now.
    pub async fn fits(&self, account: &AccountId, quota: Quota, size: u64) -> Result<()> {
        let usage = self.account(account).await?.usage;
        if quota.admits(usage, size, 1) {
            return Ok(());
        }
        self.note_refused(account);
        Err(Error::OverQuota)
    }

    fn note_refused(&self, account: &AccountId) {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.len() < REFUSED_REMEMBERED {
            refused.insert(account.clone());
        }
    }

    /// Accounts for which letters were refused for lack of room since this was asked last.
    pub fn take_refused(&self) -> BTreeSet<AccountId> {
        std::mem::take(&mut self.refused.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The accounts in memory, and what they hold.
    pub fn in_use(&self) -> Vec<(AccountId, crate::ask::Usage)> {
        self.accounts.usages()
    }

    /// Adds letters a client brings; all or none.
    pub async fn append(
        &self,
        mailbox: &Mailbox,
        letters: Vec<NewLetter>,
        quota: Quota,
    ) -> Result<Placed> {
        let letters = self.stager.letters(letters).await?;
        let to = mailbox.address().clone();
        self.placed(Ask::Append { to, letters, quota, replaces: None }).await
    }

    /// Adds a letter and expunges the one that it replaces, in one step (RFC 8508).
    pub async fn replace(
        &self,
        mailbox: &Mailbox,
        letter: NewLetter,
        quota: Quota,
        (from, old): (&Mailbox, Uid),
    ) -> Result<Placed> {
        let letters = self.stager.letters(vec![letter]).await?;
        let to = mailbox.address().clone();
        let replaces = Some((from.address().clone(), old));
        self.placed(Ask::Append { to, letters, quota, replaces }).await
    }

    /// Changes flags and keywords. Asked for when this is called, not when the future is awaited:
    /// who calls it several times and then waits for all has them behind one barrier.
    pub fn change_flags(
        &self,
        mailbox: &Mailbox,
        change: FlagChange,
    ) -> impl Future<Output = Result<FlagsChanged>> + Send + use<> {
        let ask = Ask::ChangeFlags(mailbox.address().clone(), change);
        let ticket = self.submitter.submit(Request { now: (self.clock.0)(), ask });
        async move {
            match ticket.await? {
                Answer::Refused(error) => Err(error),
                Answer::FlagsChanged(changed) => Ok(changed),
                other => other.unexpected(),
            }
        }
    }

    /// Expunges those letters of the set that have `\Deleted`; the answer is which.
    pub async fn expunge(&self, mailbox: &Mailbox, uids: UidSet) -> Result<UidSet> {
        match self.ask(Ask::Expunge(mailbox.address().clone(), uids)).await? {
            Answer::Gone(uids) => Ok(uids),
            other => other.unexpected(),
        }
    }

    /// Expunges letters that came into the mailbox before `before`, whatever their flags; at most
    /// [`EXPIRED_AT_ONCE`](crate::limits::EXPIRED_AT_ONCE) of them; the answer is which.
    pub async fn expunge_saved_before(
        &self,
        mailbox: &Mailbox,
        before: Timestamp,
    ) -> Result<UidSet> {
        let before = u32::try_from(before.as_seconds().max(0)).unwrap_or(u32::MAX);
        match self.ask(Ask::ExpungeSavedBefore(mailbox.address().clone(), before)).await? {
            Answer::Gone(uids) => Ok(uids),
            other => other.unexpected(),
        }
    }

    /// Copies letters with flags, keywords and dates; all or none.
    pub async fn copy(
        &self,
        from: &Mailbox,
        uids: UidSet,
        to: MailboxId,
        quota: Quota,
    ) -> Result<Placed> {
        self.placed(Ask::Copy { from: from.address().clone(), uids, to, quota }).await
    }

    /// Moves letters (RFC 6851): each is in one of the two mailboxes at any time.
    pub async fn move_letters(
        &self,
        from: &Mailbox,
        uids: UidSet,
        to: MailboxId,
    ) -> Result<Placed> {
        self.placed(Ask::Move { from: from.address().clone(), uids, to }).await
    }

    /// Makes a mailbox; those above it are not made with it.
    pub async fn create(
        &self,
        account: &AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        match self.ask(Ask::Create(account.clone(), name, special_use)).await? {
            Answer::Created(id) => Ok(id),
            other => other.unexpected(),
        }
    }

    /// Deletes a mailbox with its letters. Those below it stay.
    pub async fn delete(&self, account: &AccountId, name: MailboxName) -> Result<()> {
        self.done(Ask::Delete(account.clone(), name)).await
    }

    /// Renames a mailbox and those below it. Of INBOX the letters are moved and INBOX stays
    /// (RFC 9051 §6.3.6).
    pub async fn rename(
        &self,
        account: &AccountId,
        from: MailboxName,
        to: MailboxName,
    ) -> Result<()> {
        self.done(Ask::Rename(account.clone(), from, to)).await
    }

    /// Subscribes to a name, which need not exist.
    pub async fn subscribe(&self, account: &AccountId, name: MailboxName) -> Result<()> {
        self.done(Ask::Subscribe(account.clone(), name)).await
    }

    /// The reverse.
    pub async fn unsubscribe(&self, account: &AccountId, name: MailboxName) -> Result<()> {
        self.done(Ask::Unsubscribe(account.clone(), name)).await
    }

    /// Sets annotations (RFC 5464) of a mailbox, or of the account; all or none. `None` takes one
    /// away.
    pub async fn annotate(
        &self,
        account: &AccountId,
        mailbox: Option<MailboxId>,
        annotations: Vec<(String, Option<bytes::Bytes>)>,
    ) -> Result<()> {
        self.done(Ask::Annotate(account.clone(), mailbox, annotations)).await
    }

    /// What is inside a letter, if the index knows it. Never waits.
    pub fn structure(&self, mailbox: &Mailbox, letter: &Letter) -> Option<Structure> {
        self.index.get(mailbox, letter)
    }

    /// Gives the index what was found by reading a letter through. Never waits.
    pub fn keep_structure(&self, mailbox: &Mailbox, letter: &Letter, structure: &Structure) {
        self.index.keep(mailbox, letter, structure);
    }

    /// Reads the heads of a mailbox's letters: what lists show, without opening letters.
    pub fn heads(&self, mailbox: &Mailbox) -> HeadReader {
        self.heads.reader(mailbox)
    }

    /// The item ENVELOPE of one letter, if its head is known.
    pub fn envelope(&self, mailbox: &Mailbox, letter: &Letter) -> Option<Vec<u8>> {
        self.heads.envelope(mailbox, letter)
    }

    /// Keeps the head of a letter whose envelope was read.
    pub fn keep_head(&self, mailbox: &Mailbox, letter: &Letter, envelope: &Envelope) {
        self.heads.keep(mailbox, letter, envelope);
    }

    /// Which letters a search for this need not read. What it does not know it does not rule out.
    pub fn rule_out(&self, mailbox: &Mailbox, query: &Query) -> RuledOut {
        self.words.rule_out(mailbox, query)
    }

    /// Letters whose words are known.
    pub fn words_known(&self, mailbox: &Mailbox) -> UidSet {
        self.words.knows(mailbox)
    }

    /// A search has read a letter whose words were not known: header and text, in lower case.
    pub fn learn_words(&self, mailbox: &Mailbox, letter: &Letter, text: (&str, &str)) {
        self.words.learn(mailbox, letter, text);
    }

    /// A search in the mailbox is over.
    pub fn searched(&self, mailbox: &Mailbox) {
        self.words.searched(mailbox);
    }

    /// Closes the indexes; for the end of the service.
    pub fn close_index(&self) {
        self.index.close();
        self.heads.close();
    }

    /// The first UID that no session was told of as `\Recent`; from now on those up to UIDNEXT
    /// are told.
    pub async fn claim_recent(&self, mailbox: &Mailbox) -> Result<Uid> {
        match self.ask(Ask::ClaimRecent(mailbox.address().clone())).await? {
            Answer::Recent(uid) => Ok(uid),
            other => other.unexpected(),
        }
    }

    /// Takes over what other programs changed in the mailbox. Cheap when nothing did.
    pub async fn look(&self, mailbox: &Mailbox) -> Result<Looked> {
        match self.ask(Ask::Look(mailbox.address().clone())).await? {
            Answer::Looked(looked) => Ok(looked),
            other => other.unexpected(),
        }
    }

    /// Lays everything out, looks at the files, and says what is there of what was delivered.
    pub async fn survey(&self, whose: Whose) -> Result<Survey> {
        match self.ask(Ask::Survey(whose)).await? {
            Answer::Survey(survey) => Ok(survey),
            other => other.unexpected(),
        }
    }

    /// Makes anew what can be made anew: the index goes, and every Maildir is read through for
    /// what other programs did. The answer is what was found; letters stay as they are.
    pub async fn rebuild(&self, account: &AccountId) -> Result<Looked> {
        self.index.forget(account);
        self.heads.forget(account);
        self.words.forget(account);
        let mut all = Looked::default();
        for listed in self.account(account).await?.mailboxes.iter() {
            let mailbox = self.open_mailbox(account, listed.id).await?;
            loop {
                let ask = Ask::LookAnew(mailbox.address().clone());
                let Answer::Looked(looked) = self.ask(ask).await? else { break };
                all.came += looked.came;
                all.changed += looked.changed;
                all.gone += looked.gone;
                if !looked.more {
                    break;
                }
            }
        }
        Ok(all)
    }

    async fn placed(&self, ask: Ask) -> Result<Placed> {
        match self.ask(ask).await? {
            Answer::Placed(placed) => Ok(placed),
            other => other.unexpected(),
        }
    }

    pub(crate) async fn done(&self, ask: Ask) -> Result<()> {
        match self.ask(ask).await? {
            Answer::Done => Ok(()),
            other => other.unexpected(),
        }
    }

    pub(crate) async fn ask(&self, ask: Ask) -> Result<Answer> {
        match self.submitter.submit(Request { now: (self.clock.0)(), ask }).await? {
            Answer::Refused(error) => Err(error),
            answer => Ok(answer),
        }
    }
}

impl Answer {
    /// The writer answers each kind of request with its own kind of answer.
    pub(crate) fn unexpected<T>(self) -> Result<T> {
        Err(Error::Unavailable("the mailbox writer mixed up its answers".to_owned()))
    }
}

impl Quota {
    /// Whether this much more stays within.
    pub(crate) fn admits(&self, usage: crate::ask::Usage, bytes: u64, letters: u64) -> bool {
        let within = |most: Option<u64>, used: u64, more: u64| {
            most.is_none_or(|most| used.saturating_add(more) <= most)
        };
        within(self.bytes, usage.bytes, bytes) && within(self.letters, usage.letters, letters)
    }
}

impl std::fmt::Debug for ClockOf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// Bodies are made from bytes in tests and by small generated letters.
impl From<Body> for NewLetter {
    fn from(body: Body) -> Self {
        NewLetter { body, flags: crate::Flags::NONE, keywords: Vec::new(), date: None }
    }
}
