//! [`Writer`]: the one writer of all mailboxes, as the batch loop of `disk` drives it. It decides
//! and numbers changes (`deliver`, `letters`, `folders`), publishes them after the barrier, lays
//! them out (`layout`) and replays them after a crash (`replay`). It runs on one thread; sessions
//! see only what [`Shared`] publishes.

mod accounts;
mod draft;
mod folders;
mod isolate;
mod layout;
mod leaving;
mod letters;
mod look;
mod noted;
mod replay;
mod survey;

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use disk::custody::{self, Book};
use disk::limits::LOG_RECORD;
use disk::{Appender, Disk, LaidOut, Lock, Mode, Record, Sequence, SpaceWatch, Stage, Store};
use protocol::time::Timestamp;

use crate::account_change::AccountState;
use crate::ask::{AccountView, Address, Answer, Ask, Listed, Request, Usage};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::expunged::Retention;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::index::Shelf;
use crate::isolated::Isolated;
use crate::limits::{RECORD_OF_COPY, RECORD_OF_RANGE};
use crate::mailbox::{Mailbox, Shared};
use crate::name::MailboxName;
use crate::repeats::Repeats;
use crate::state::State;
use crate::statelog::{Gaps, Tail};
use crate::transaction::KIND;
use crate::view::View;
pub(crate) use draft::Staged;
use draft::{Draft, Numbers, Work};
pub(crate) use layout::staged_path;
use layout::{Job, Written};
use leaving::Leaving;
pub(crate) use leaving::{remove_tree, sweep};
use look::Seen;

/// The writer of all mailboxes.
#[derive(Debug)]
pub struct Writer {
    disk: Arc<dyn Disk>,
    /// The folder of all mail.
    root: PathBuf,
    _lock: Box<dyn Lock>,
    space: SpaceWatch,
    /// The moment of the request at hand.
    now: Timestamp,
    accounts: HashMap<AccountId, Account>,
    published: Arc<Accounts>,
    index: Shelf,
    /// How long expunged letters are kept.
    retention: Retention,
    jobs: VecDeque<Job>,
    /// Another mailbox may get the same letter.
    last_written: Option<Written>,
    /// Files that nothing needs once what is laid out now is durable.
    leaving: Vec<Leaving>,
    /// Custody entries of what is published and not laid out.
    custody: Vec<custody::Entry>,
    book: Option<Book>,
    /// Accounts and mailboxes of which the replay has told.
    replayed: (BTreeSet<AccountId>, BTreeSet<Address>),
    /// How logs with a gap are read: before replay has told more, otherwise than after it.
    gaps: Gaps,
    /// What is known of Maildirs whose mailboxes are not in memory.
    noted: HashMap<Address, Seen>,
    /// Counts uses, to tell which mailbox was used longest ago.
    uses: u64,
    /// Makes names of deleted Maildirs differ.
    removed: u64,
    /// Damage found, in words for the operator; bounded.
    reports: Vec<String>,
}

/// An account in memory.
#[derive(Debug)]
struct Account {
    state: AccountState,
    usage: Usage,
    folder: PathBuf,
    /// Where each Maildir is now; follows `state` when renames are laid out.
    places: BTreeMap<MailboxId, PathBuf>,
    /// Mailboxes whose Maildir is not made yet: until what was decided before is laid out, the
    /// folder of another may lie in its place.
    unmade: BTreeSet<MailboxId>,
    /// Maildirs whose logs name a mailbox that the account log does not know: replay tells.
    untold: BTreeMap<MailboxId, PathBuf>,
    open: HashMap<MailboxId, Open>,
    /// Letters whose files are damaged and set aside.
    isolated: Isolated,
    /// The account log has a gap, and replay has not told of the list yet.
    undecided: bool,
    /// The account log was read without damage: a mailbox it does not list was deleted.
    list_whole: bool,
    /// Lines of the account log that are published and not laid out.
    lines: Vec<u8>,
    log_length: u64,
    /// The lists as last published.
    listed: Option<Lists>,
    used: u64,
}

/// Mailboxes by name, and subscriptions.
type Lists = (Arc<[Listed]>, Arc<[MailboxName]>, Arc<crate::account_change::Annotations>);

/// A mailbox in memory.
#[derive(Debug)]
struct Open {
    shared: Arc<Shared>,
    /// The working state: what is published, and what the batch at hand adds.
    state: State,
    tail: Tail,
    repeats: Repeats,
    /// Lines of the state log that are published and not laid out.
    lines: Vec<u8>,
    /// Letters decided and not laid out.
    unlaid: BTreeSet<Uid>,
    /// Letters whose names do not show their flags.
    behind: BTreeSet<Uid>,
    /// Letters whose names a former life may have changed without a line that tells: what they
    /// show is not the deed of another program.
    doubtful: BTreeSet<Uid>,
    /// Letters that are gone, whose files wait for the checkpoint.
    leaving: BTreeSet<Uid>,
    seen: Option<Seen>,
    /// The Maildir is known to be there.
    ready: bool,
    /// The state log was read without damage.
    whole: bool,
    /// The state log has a gap, or there is none, and replay has not told of the mailbox yet.
    undecided: bool,
    used: u64,
}

/// The accounts as everybody may see them.
#[derive(Debug, Default)]
pub(crate) struct Accounts {
    views: Mutex<HashMap<AccountId, Arc<AccountView>>>,
}

impl Accounts {
    fn views(&self) -> MutexGuard<'_, HashMap<AccountId, Arc<AccountView>>> {
        self.views.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What each account in memory holds.
    pub(crate) fn usages(&self) -> Vec<(AccountId, Usage)> {
        self.views().iter().map(|(id, view)| (id.clone(), view.usage)).collect()
    }

    /// The account, if it is in memory.
    pub(crate) fn get(&self, account: &AccountId) -> Option<Arc<AccountView>> {
        self.views().get(account).cloned()
    }
}

impl Writer {
    /// Takes the store's lock and makes its folders.
    pub(crate) fn open(
        disk: Arc<dyn Disk>,
        options: &crate::Options,
        index: Shelf,
    ) -> Result<Self> {
        let root = options.directory.clone();
        let own = root.join(OWN_FOLDER);
        for folder in ["staged", "removed", "custody"] {
            disk.make_dirs(&own.join(folder), Mode::PRIVATE_DIR)?;
        }
        let lock = disk.lock(&own.join("lock"))?;
        let space = SpaceWatch::new(disk.clone(), &root, options.low_water);
        let noted = noted::take(disk.as_ref(), &own)?;
        Ok(Writer {
            disk,
            root,
            _lock: lock,
            space,
            now: (options.clock)(),
            accounts: HashMap::new(),
            published: Arc::default(),
            index,
            retention: options.retention.clone(),
            jobs: VecDeque::new(),
            last_written: None,
            leaving: Vec::new(),
            custody: Vec::new(),
            book: None,
            replayed: Default::default(),
            gaps: Gaps::PassedOver,
            noted,
            uses: 0,
            removed: 0,
            reports: Vec::new(),
        })
    }

    pub(crate) fn accounts_view(&self) -> Arc<Accounts> {
        self.published.clone()
    }

    /// Damage found so far, in words for the operator.
    pub fn reports(&self) -> &[String] {
        &self.reports
    }

    fn report(&mut self, what: String) {
        if self.reports.len() < REPORTS {
            self.reports.push(what);
        }
    }

    /// The same of what may be met again and again.
    fn report_once(&mut self, what: String) {
        if !self.reports.contains(&what) {
            self.report(what);
        }
    }

    fn decide(&mut self, draft: &mut Draft, ask: Ask) -> Result<Answer> {
        match ask {
            Ask::Account(account) => self.list(draft, &account),
            Ask::Open(account, mailbox) => self.open_for(draft, &Address { account, mailbox }),
            Ask::Deliver(delivery) => Ok(Answer::Delivered(self.deliver(draft, &delivery))),
            Ask::Append { to, letters, quota, replaces } => {
                let coming =
                    letters::Batch { letters: &letters, quota, replaces: replaces.as_ref() };
                self.append(draft, &to, &coming)
            }
            Ask::ChangeFlags(of, change) => self.change_flags(draft, &of, &change),
            Ask::Expunge(of, uids) => self.expunge(draft, &of, &uids),
            Ask::ExpungeSavedBefore(of, before) => self.expunge_old(draft, &of, before),
            Ask::Copy { from, uids, to, quota } => {
                self.copy(draft, &letters::Way { from, to, quota }, &uids)
            }
            Ask::Move { from, uids, to } => self.move_letters(draft, &from, &uids, to),
            Ask::Create(account, name, special_use) => {
                self.create(draft, &account, name, special_use)
            }
            Ask::Delete(account, name) => self.delete(draft, &account, &name),
            Ask::Rename(account, from, to) => self.rename(draft, &account, &from, &to),
            Ask::Subscribe(account, name) => self.subscribe(draft, &account, name),
            Ask::Unsubscribe(account, name) => self.unsubscribe(draft, &account, name),
            Ask::Annotate(account, mailbox, list) => self.annotate(draft, &account, mailbox, list),
            Ask::ClaimRecent(of) => self.claim_recent(draft, &of),
            Ask::Look(of) => self.look(draft, &of),
            Ask::LookAnew(of) => {
                if let Ok(open) = self.open_mut(&of) {
                    open.seen = None;
                }
                self.look(draft, &of)
            }
            Ask::Survey(whose) => self.survey(draft, &whose),
            Ask::Isolate(of, uids) => self.isolate(draft, &of, &uids),
            Ask::Release(of, uids) => self.release(draft, &of, &uids),
        }
    }

    /// About how many bytes of records a request appends: those that name many letters need more
    /// than one.
    fn record_bytes(&self, ask: &Ask) -> usize {
        let (of, uids, each) = match ask {
            Ask::Copy { from, uids, .. } | Ask::Move { from, uids, .. } => {
                (from, uids, RECORD_OF_COPY)
            }
            Ask::ChangeFlags(of, change) => (of, &change.uids, RECORD_OF_RANGE),
            Ask::Expunge(of, uids) => (of, uids, RECORD_OF_RANGE),
            _ => return LOG_RECORD,
        };
        let open = self.accounts.get(&of.account).and_then(|a| a.open.get(&of.mailbox));
        let there = open.map_or(u64::MAX, |open| open.state.letters.len() as u64);
        let letters = usize::try_from(uids.len().min(there)).unwrap_or(usize::MAX);
        letters.saturating_mul(each).max(LOG_RECORD)
    }

    /// Refuses before the disk is full; for what makes it fuller.
    fn check_space(&self, bytes: u64) -> Result<()> {
        let now = Duration::from_micros(self.now.as_micros().max(0).unsigned_abs());
        Ok(self.space.check(now, bytes)?)
    }

    fn account_mut(&mut self, account: &AccountId) -> Result<&mut Account> {
        self.uses += 1;
        let uses = self.uses;
        let found = self.accounts.get_mut(account).ok_or(Error::NoSuchMailbox)?;
        found.used = uses;
        Ok(found)
    }

    fn open_mut(&mut self, address: &Address) -> Result<&mut Open> {
        let uses = self.uses + 1;
        self.uses = uses;
        let account = self.accounts.get_mut(&address.account).ok_or(Error::NoSuchMailbox)?;
        let open = account.open.get_mut(&address.mailbox).ok_or(Error::NoSuchMailbox)?;
        open.used = uses;
        Ok(open)
    }

    /// Shows the working state of mailboxes and accounts to everybody.
    fn show(&mut self, mailboxes: &[Address], accounts: &[AccountId]) {
        for address in mailboxes {
            if let Ok(open) = self.open_mut(address) {
                open.shared.publish(View::new(open.state.clone()));
            }
        }
        for id in accounts {
            if let Some(account) = self.accounts.get_mut(id) {
                let view = Arc::new(account.view());
                self.published.views().insert(id.clone(), view);
            }
        }
    }
}

impl Account {
    fn view(&mut self) -> AccountView {
        let state = &self.state;
        let (mailboxes, subscriptions, annotations) = self
            .listed
            .get_or_insert_with(|| {
                let mut listed: Vec<Listed> = state
                    .mailboxes
                    .iter()
                    .map(|(&id, entry)| Listed {
                        id,
                        name: entry.name.clone(),
                        special_use: entry.special_use,
                    })
                    .collect();
                listed.sort_by(|a, b| a.name.cmp(&b.name));
                let subscriptions = state.subscriptions.iter().cloned().collect();
                (listed.into(), subscriptions, Arc::new(state.annotations.clone()))
            })
            .clone();
        AccountView { mailboxes, subscriptions, annotations, usage: self.usage }
    }
}

impl Store for Writer {
    type Request = Request;
    type Staged = Staged;
    type Answer = Answer;

    fn begin_replay(&mut self, checkpoint: Sequence) -> disk::Result<()> {
        let directory = self.root.join(OWN_FOLDER).join("custody");
        self.book = Some(Book::open(self.disk.clone(), &directory, checkpoint)?);
        self.gaps = Gaps::Replayed;
        Ok(())
    }

    fn replay(&mut self, record: &Record<'_>) -> disk::Result<()> {
        self.replay_record(record)
    }

    fn stage(&mut self, request: Request, log: &mut Appender<'_>) -> disk::Result<Stage<Self>> {
        self.now = request.now;
        let mut draft = Draft::default();
        let answer = match self.decide(&mut draft, request.ask) {
            Ok(answer) => answer,
            Err(error) => {
                self.undo(draft.undo, Numbers::Back);
                return Ok(Stage::Nothing(Answer::Refused(error)));
            }
        };
        if draft.transaction.is_empty() {
            return Ok(Stage::Nothing(answer));
        }
        let mut staged = Staged::new(draft.undo, draft.work, answer);
        for transaction in draft.transaction.split() {
            let text = transaction.text();
            let parts: Vec<&[u8]> =
                std::iter::once(text.as_bytes()).chain(transaction.letters()).collect();
            match log.append(KIND, &parts) {
                Ok(sequence) => staged.sequence = sequence,
                Err(error) => {
                    self.undo(staged.undo, Numbers::Back);
                    return Err(error);
                }
            }
        }
        Ok(Stage::Durable(staged))
    }

    fn needs(&self, request: &Request) -> usize {
        self.record_bytes(&request.ask)
    }

    fn publish(&mut self, staged: Staged) -> Answer {
        let (mailboxes, accounts) = staged.touched();
        for work in staged.work {
            self.take_up(work, staged.sequence);
        }
        self.show(&mailboxes, &accounts);
        staged.answer
    }

    fn abandon(&mut self, staged: Staged) {
        let (mailboxes, _) = staged.touched();
        self.undo(staged.undo, Numbers::Keep);
        // Numbers that were given may be told from now on, and no record has them: a snapshot has.
        for address in mailboxes {
            let Ok(open) = self.open_mut(&address) else { continue };
            open.tail.snapshot_due = true;
            let first = open.lines.is_empty();
            let mark = Change::Recent(open.state.recent_from);
            crate::line::push(&mut open.lines, &mark.to_line(open.state.modseq));
            if first {
                self.jobs.push_back(Job::Lines(address));
            }
        }
    }

    fn lay_out(&mut self, items: usize) -> disk::Result<LaidOut> {
        if self.gaps == Gaps::Replayed {
            self.end_replay()?;
        }
        self.lay_out_slice(items)
    }

    /// Other Maildir programs see letters as files.
    fn wants_files_soon(&self) -> bool {
        true
    }

    fn checkpointed(&mut self) {
        self.last_written = None;
        self.clear_leaving();
        self.forget_idle();
    }

    fn closed(&mut self) {
        self.note_seen();
    }
}

impl Writer {
    /// Queues what follows from a change that is durable now.
    fn take_up(&mut self, work: Work, sequence: Sequence) {
        match work {
            Work::Line(address, line) => {
                if let Ok(open) = self.open_mut(&address) {
                    let first = open.lines.is_empty();
                    crate::line::push(&mut open.lines, &line);
                    if first {
                        self.jobs.push_back(Job::Lines(address));
                    }
                }
            }
            Work::ListLine(id, line) => {
                if let Ok(account) = self.account_mut(&id) {
                    let first = account.lines.is_empty();
                    crate::line::push(&mut account.lines, &line);
                    if first {
                        self.jobs.push_back(Job::ListLines(id));
                    }
                }
            }
            Work::Unlaid(address, uid, unlaid) => {
                if let Ok(open) = self.open_mut(&address) {
                    open.shared.not_laid_out(uid, unlaid);
                    if let Some(letter) = open.state.letters.get(uid) {
                        let mailbox = Mailbox::new(open.shared.clone());
                        self.index.came(&mailbox, &letter);
                    }
                }
            }
            Work::Behind(address, uids) => {
                if let Ok(open) = self.open_mut(&address) {
                    let first = open.behind.is_empty();
                    let touched: Vec<Uid> = open.state.within(&uids).map(|l| l.uid).collect();
                    open.behind.extend(touched);
                    if first && !open.behind.is_empty() {
                        self.jobs.push_back(Job::Show(address));
                    }
                }
            }
            Work::Gone(address) => {
                if let Ok(open) = self.open_mut(&address) {
                    open.shared.gone();
                }
            }
            Work::Job(job) => self.jobs.push_back(job),
            Work::Custody(mut entry) => {
                entry.sequence = sequence;
                self.custody.push(*entry);
            }
        }
    }
}

/// Our own folder in the folder of all mail. No domain begins with a dot.
const OWN_FOLDER: &str = ".posthaste";

/// Reports kept for the operator.
const REPORTS: usize = 1_000;
