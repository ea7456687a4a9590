//! Accounts and mailboxes come into memory here, and leave it when nobody uses them.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use disk::{Disk, FileType, read_whole};

use super::draft::{Draft, Undo, Work};
use super::layout::Job;
use super::{Account, Open, Writer};
use crate::account_change::{AccountChange, AccountState, Entry, FIRST_LINE};
use crate::ask::{Address, Answer, SpecialUse, Usage};
use crate::change::Change;
use crate::error::{Error, Result};
use crate::ids::{AccountId, MailboxId};
use crate::isolated::Isolated;
use crate::limits::{ACCOUNT_LOG_BYTES, ACCOUNTS_IDLE, LETTERS_IDLE, MAILBOXES_IDLE};
use crate::line::Lines;
use crate::mailbox::{Mailbox, Shared};
use crate::name::MailboxName;
use crate::state::State;
use crate::statelog::{self, Gaps, Identity, Loaded};
use crate::view::View;

/// The account log below the account's folder.
pub(super) const ACCOUNT_LOG: &str = "posthaste-account";

impl Writer {
    /// The account's view; LIST and the usage of RCPT.
    pub(super) fn list(&mut self, draft: &mut Draft, id: &AccountId) -> Result<Answer> {
        self.account(draft, id)?;
        let view = Arc::new(self.account_mut(id)?.view());
        if draft.transaction.is_empty() {
            // Else it is published after the barrier.
            self.published.views().insert(id.clone(), view.clone());
        }
        Ok(Answer::Account(view))
    }

    /// Opens a mailbox for a session.
    pub(super) fn open_for(&mut self, draft: &mut Draft, address: &Address) -> Result<Answer> {
        self.account(draft, &address.account)?;
        self.load_mailbox(address)?;
        Ok(Answer::Opened(Mailbox::new(self.open_mut(address)?.shared.clone())))
    }

    /// Has the account in memory; makes the usual mailboxes when there is none yet.
    pub(super) fn account(&mut self, draft: &mut Draft, id: &AccountId) -> Result<()> {
        self.load_account(id)?;
        if !self.account_mut(id)?.state.mailboxes.is_empty() {
            return Ok(());
        }
        draft.undo.push(Undo::Forget(id.clone()));
        self.make_mailbox(draft, id, MailboxName::inbox(), None)?;
        for special_use in SpecialUse::EACH {
            let name = MailboxName::new(special_use.as_str())?;
            self.make_mailbox(draft, id, name.clone(), Some(special_use))?;
            self.list_change(draft, id, AccountChange::Subscribe { name })?;
        }
        let name = MailboxName::inbox();
        self.list_change(draft, id, AccountChange::Subscribe { name })
    }

    /// A new mailbox with the next number and a UIDVALIDITY never used in this account.
    pub(super) fn make_mailbox(
        &mut self,
        draft: &mut Draft,
        account: &AccountId,
        name: MailboxName,
        special_use: Option<SpecialUse>,
    ) -> Result<MailboxId> {
        let seconds = u32::try_from(self.now.as_seconds()).unwrap_or(1).max(1);
        let state = &self.account_mut(account)?.state;
        let id = MailboxId(state.last_id + 1);
        // RFC 9051 §2.3.1.1: a mailbox made anew under an old name needs a greater one.
        let uid_validity = seconds.max(state.last_uid_validity.saturating_add(1));
        self.account_mut(account)?.begins_at(id, &name);
        let change = AccountChange::Mailbox { id, uid_validity, name, special_use };
        self.list_change(draft, account, change)?;
        let address = Address { account: account.clone(), mailbox: id };
        draft.work.push(Work::Job(Job::Maildir(address)));
        Ok(id)
    }

    /// Reads an account's log and finds its Maildirs. An account without any has none.
    pub(super) fn load_account(&mut self, id: &AccountId) -> Result<()> {
        if self.accounts.contains_key(id) {
            return Ok(());
        }
        let folder = self.root.join(id.folder());
        let log = read_account(self.disk.as_ref(), &folder, self.gaps)?;
        let AccountLog { mut state, length: log_length, reports, undecided } = log;
        let whole = reports.is_empty() && log_length > 0 && !undecided;
        let list_whole = reports.is_empty();
        reports.into_iter().for_each(|what| self.report(format!("{id}: {what}")));
        let mut found = maildirs(self.disk.as_ref(), &folder)?;
        if whole {
            self.clear_deleted(&state, &mut found)?;
        }
        if log_length == 0 && self.gaps == Gaps::PassedOver {
            rebuild_list(&mut state, &found);
        }
        let places = self.settle_places(&folder, &state, &found)?;
        let known = |who: &Identity| state.mailboxes.contains_key(&who.id);
        let untold = found.iter().filter_map(|(path, who)| Some((path, who.as_ref()?)));
        let untold = untold.filter(|(_, who)| !known(who));
        let untold = untold.map(|(path, who)| (who.id, path.clone())).collect();
        let isolated = Isolated::read(self.disk.as_ref(), &folder)?;
        let account = Account {
            untold,
            undecided,
            list_whole,
            state,
            usage: Usage::default(),
            folder,
            places,
            unmade: BTreeSet::new(),
            open: HashMap::new(),
            isolated,
            lines: Vec::new(),
            log_length,
            listed: None,
            used: 0,
        };
        let mailboxes: Vec<MailboxId> = account.state.mailboxes.keys().copied().collect();
        self.accounts.insert(id.clone(), account);
        // The usage is the sum of the mailboxes.
        for mailbox in mailboxes {
            let address = Address { account: id.clone(), mailbox };
            if let Err(error) = self.load_mailbox(&address) {
                self.accounts.remove(id);
                return Err(error);
            }
            self.add_usage(&address);
        }
        if self.gaps == Gaps::PassedOver {
            self.put_in_place(id);
        }
        Ok(())
    }

    /// Queues what is still to be done so that each mailbox has its Maildir under its name, when
    /// nothing more will be told of them.
    pub(super) fn put_in_place(&mut self, id: &AccountId) {
        let Some(account) = self.accounts.get(id) else { return };
        for (&mailbox, entry) in &account.state.mailboxes {
            let Some(place) = account.places.get(&mailbox) else { continue };
            let address = Address { account: id.clone(), mailbox };
            if *place != maildir(&account.folder, &entry.name) {
                self.jobs.push_back(Job::Rename(address, entry.name.clone()));
            } else if self.disk.metadata(place).is_err_and(|error| error.is_missing()) {
                self.jobs.push_back(Job::Maildir(address));
            }
        }
    }

    /// Counts the letters of a mailbox that has just been read.
    pub(super) fn add_usage(&mut self, address: &Address) {
        let Ok(open) = self.open_mut(address) else { return };
        let counts = open.state.counts;
        if let Ok(account) = self.account_mut(&address.account) {
            account.usage.bytes += counts.bytes;
            account.usage.letters += u64::from(counts.letters);
        }
    }

    /// Reads what is behind the gap of an account log, too.
    pub(super) fn read_list_again(&mut self, id: &AccountId) -> Result<()> {
        let folder = self.root.join(id.folder());
        let log = read_account(self.disk.as_ref(), &folder, Gaps::PassedOver)?;
        let list_whole = log.reports.is_empty() && log.length > 0;
        log.reports.into_iter().for_each(|what| self.report(format!("{id}: {what}")));
        let found = maildirs(self.disk.as_ref(), &folder)?;
        let mut state = log.state;
        if log.length == 0 {
            rebuild_list(&mut state, &found);
        }
        let places = self.settle_places(&folder, &state, &found)?;
        let account = self.account_mut(id)?;
        let open: Vec<MailboxId> = account.open.keys().copied().collect();
        (account.state, account.places) = (state, places);
        account.list_whole = list_whole;
        (account.log_length, account.listed, account.undecided) = (log.length, None, false);
        let listed: Vec<MailboxId> = account.state.mailboxes.keys().copied().collect();
        for mailbox in open.iter().filter(|mailbox| !listed.contains(mailbox)) {
            self.forget_mailbox(&Address { account: id.clone(), mailbox: *mailbox });
        }
        for mailbox in listed.into_iter().filter(|mailbox| !open.contains(mailbox)) {
            let address = Address { account: id.clone(), mailbox };
            self.load_mailbox(&address)?;
            self.add_usage(&address);
        }
        Ok(())
    }

    /// Takes a mailbox out of memory, and its letters out of the account's usage.
    pub(super) fn forget_mailbox(&mut self, address: &Address) {
        let Ok(account) = self.account_mut(&address.account) else { return };
        if let Some(open) = account.open.remove(&address.mailbox) {
            let (usage, counts) = (&mut account.usage, open.state.counts);
            usage.bytes = usage.bytes.saturating_sub(counts.bytes);
            usage.letters = usage.letters.saturating_sub(u64::from(counts.letters));
        }
    }

    /// Each mailbox's Maildir, moved where the account log says it is: a rename may have been cut
    /// off, or another program may have moved it. As long as the intake log is about to tell of
    /// renames that the account log has lost, each stays where it is.
    fn settle_places(
        &mut self,
        folder: &Path,
        state: &AccountState,
        found: &[(PathBuf, Option<Identity>)],
    ) -> Result<BTreeMap<MailboxId, PathBuf>> {
        let mut places = BTreeMap::new();
        let mut misplaced = Vec::new();
        let replayed = self.gaps == Gaps::Replayed;
        let listed = |who: &Identity| {
            state.mailboxes.get(&who.id).map(|e| e.uid_validity) == Some(who.uid_validity)
        };
        // One on the list moves away below.
        let stays = |of: &Option<Identity>| of.as_ref().is_some_and(|of| replayed || !listed(of));
        for (&id, entry) in &state.mailboxes {
            let who = Identity { id, uid_validity: entry.uid_validity };
            let place = maildir(folder, &entry.name);
            let there = found.iter().find(|(_, of)| *of == Some(who));
            let taken = found.iter().any(|(path, of)| *path == place && stays(of));
            match there {
                Some((path, _)) if replayed && path != folder && place != *folder => {
                    places.insert(id, path.clone());
                }
                Some((path, _)) if *path != place => {
                    misplaced.push((id, path.clone(), place.clone()));
                    places.insert(id, place);
                }
                // Its own folder is gone already, and another mailbox is there: the intake log is
                // about to tell of both.
                None if taken && replayed => {
                    places.insert(id, self.next_removed());
                }
                _ => drop(places.insert(id, place)),
            }
        }
        // Two may have changed places: all step aside first.
        let mut moved = Vec::new();
        for (id, from, to) in misplaced {
            if from == *folder || to == *folder {
                self.report(format!("the logs of mailbox {id} lie in another mailbox's folder"));
                continue;
            }
            let mut between = from.clone().into_os_string();
            between.push(".moving");
            let between = PathBuf::from(between);
            self.disk.rename(&from, &between)?;
            moved.push((id, between, to));
        }
        let any = !moved.is_empty();
        for (id, between, to) in moved {
            if self.disk.metadata(&to).is_ok() {
                self.report(format!("{} is taken by a foreign folder", to.display()));
                places.insert(id, between);
            } else {
                self.disk.rename(&between, &to)?;
            }
        }
        if any {
            // Before anything is made under the old names.
            self.disk.sync_dir(folder)?;
        }
        Ok(places)
    }

    /// Maildirs of mailboxes that were deleted, as a whole account log says, are moved away: a
    /// crash may have come between the two.
    fn clear_deleted(
        &mut self,
        state: &AccountState,
        found: &mut Vec<(PathBuf, Option<Identity>)>,
    ) -> Result<()> {
        let is_deleted = |who: &Identity| {
            who.id.0 <= state.last_id
                && who.id != MailboxId::INBOX
                && !state.mailboxes.contains_key(&who.id)
        };
        let mut deleted = Vec::new();
        found.retain(|(path, who)| {
            let gone = who.filter(is_deleted);
            deleted.extend(gone.map(|who| (path.clone(), who.id)));
            gone.is_none()
        });
        for (path, id) in deleted {
            self.put_away(&path, id)?;
        }
        Ok(())
    }

    /// Reads a mailbox into memory.
    pub(super) fn load_mailbox(&mut self, address: &Address) -> Result<()> {
        let account = self.accounts.get(&address.account).ok_or(Error::NoSuchMailbox)?;
        if account.open.contains_key(&address.mailbox) {
            return Ok(());
        }
        let entry = account.state.mailboxes.get(&address.mailbox).ok_or(Error::NoSuchMailbox)?;
        let who = Identity { id: address.mailbox, uid_validity: entry.uid_validity };
        let place = account.places.get(&address.mailbox).ok_or(Error::NoSuchMailbox)?.clone();
        let mut loaded = match account.unmade.contains(&address.mailbox) {
            // What lies in its place is another's.
            true => Loaded::without_log(State::new(who.id, who.uid_validity)),
            false => statelog::load(self.disk.as_ref(), &place, who, self.gaps)?,
        };
        let whole = loaded.damage.is_empty();
        for what in std::mem::take(&mut loaded.damage) {
            self.report(format!("{} of {}: {what}", who.id, address.account));
        }
        let view = View::new(loaded.state.clone());
        let shared = Shared::new(address.clone(), self.disk.clone(), view, place.clone());
        let seen = self.noted.remove(address);
        let mut lines = Vec::new();
        if loaded.tail.snapshot_due {
            let mark = Change::Recent(loaded.state.uid_next);
            crate::line::push(&mut lines, &mark.to_line(loaded.state.modseq));
            self.jobs.push_back(Job::Lines(address.clone()));
        }
        let open = Open {
            shared: Arc::new(shared),
            state: loaded.state,
            tail: loaded.tail,
            repeats: loaded.repeats,
            lines,
            unlaid: BTreeSet::new(),
            behind: BTreeSet::new(),
            doubtful: BTreeSet::new(),
            leaving: BTreeSet::new(),
            seen,
            ready: false,
            whole,
            undecided: loaded.undecided,
            used: self.uses,
        };
        self.account_mut(&address.account)?.open.insert(address.mailbox, open);
        self.show_isolated(address);
        Ok(())
    }

    /// Gives back the memory of what nobody has used for longest.
    pub(super) fn forget_idle(&mut self) {
        let mut idle: Vec<(u64, usize, Address)> = Vec::new();
        let (mut mailboxes, mut letters) = (0, 0);
        for (id, account) in &self.accounts {
            for (&mailbox, open) in &account.open {
                mailboxes += 1;
                letters += open.state.letters.len();
                if open.is_idle() {
                    let address = Address { account: id.clone(), mailbox };
                    idle.push((open.used, open.state.letters.len(), address));
                }
            }
        }
        idle.sort();
        for (_, count, address) in idle {
            if mailboxes <= MAILBOXES_IDLE && letters <= LETTERS_IDLE {
                break;
            }
            let account = self.accounts.get_mut(&address.account);
            let open = account.and_then(|account| account.open.remove(&address.mailbox));
            self.note(address, open.and_then(|open| open.seen));
            mailboxes -= 1;
            letters -= count;
        }
        let more = self.accounts.len().saturating_sub(ACCOUNTS_IDLE);
        let closed = |account: &Account| account.open.is_empty() && account.lines.is_empty();
        let mut accounts: Vec<(u64, AccountId)> = self
            .accounts
            .iter()
            .filter(|(_, account)| closed(account))
            .map(|(id, account)| (account.used, id.clone()))
            .collect();
        accounts.sort();
        for (_, id) in accounts.into_iter().take(more) {
            self.accounts.remove(&id);
            self.published.views().remove(&id);
        }
    }
}

impl Account {
    /// Where the Maildir of a new mailbox is made. A rename that is decided before it is laid out
    /// moves it afterwards, when what was there before has gone.
    pub(super) fn begins_at(&mut self, id: MailboxId, name: &MailboxName) {
        let place = match self.untold.remove(&id) {
            // Laid out by a former life, and perhaps moved on already.
            Some(place) => place,
            None => {
                self.unmade.insert(id);
                maildir(&self.folder, name)
            }
        };
        self.places.insert(id, place);
    }
}

impl Open {
    /// Nobody holds it and nothing waits to be laid out.
    fn is_idle(&self) -> bool {
        Arc::strong_count(&self.shared) == 1
            && self.lines.is_empty()
            && self.unlaid.is_empty()
            && self.behind.is_empty()
            && self.leaving.is_empty()
    }
}

/// The Maildir of a mailbox of this name.
pub(super) fn maildir(account: &Path, name: &MailboxName) -> PathBuf {
    if name.is_inbox() { account.to_path_buf() } else { account.join(name.folder()) }
}

/// An account log read back.
struct AccountLog {
    state: AccountState,
    length: u64,
    reports: Vec<String>,
    /// It has a gap, or there is none, and what comes after it was not read.
    undecided: bool,
}

fn read_account(disk: &dyn Disk, folder: &Path, gaps: Gaps) -> disk::Result<AccountLog> {
    let undecided = gaps == Gaps::Replayed;
    let state = AccountState::default();
    let mut log = AccountLog { state, length: 0, reports: Vec::new(), undecided };
    let bytes = match read_whole(disk, &folder.join(ACCOUNT_LOG), ACCOUNT_LOG_BYTES) {
        Err(error) if error.is_missing() => return Ok(log),
        other => other?,
    };
    if !bytes.starts_with(FIRST_LINE.as_bytes()) {
        if gaps == Gaps::PassedOver {
            log.reports.push("the account log does not begin as one".to_owned());
        }
        return Ok(log);
    }
    let lines = Lines::read(&bytes, FIRST_LINE.len());
    let stops = lines.damaged > 0 && gaps == Gaps::Replayed;
    let (count, length) = if stops { lines.before } else { (lines.good.len(), lines.length) };
    log.undecided = stops;
    log.length = length as u64;
    if lines.damaged > 0 && !stops {
        log.reports.push(format!("{} damaged lines in the account log", lines.damaged));
    }
    for line in lines.good.iter().take(count) {
        match AccountChange::parse(line) {
            Some((serial, change)) => drop(log.state.apply(serial, &change)),
            None => {
                log.reports.push("a line of no known meaning in the account log".to_owned());
            }
        }
    }
    Ok(log)
}

/// The Maildirs of an account, INBOX's first, and whose logs lie in them.
pub(super) fn maildirs(
    disk: &dyn Disk,
    folder: &Path,
) -> disk::Result<Vec<(PathBuf, Option<Identity>)>> {
    let entries = match disk.read_dir(folder) {
        Err(error) if error.is_missing() => return Ok(Vec::new()),
        other => other?,
    };
    let mut found = vec![(folder.to_path_buf(), statelog::identify(disk, folder)?)];
    let mut names: Vec<_> = entries
        .into_iter()
        .filter(|entry| entry.file_type == FileType::Directory)
        .filter_map(|entry| entry.name.into_string().ok())
        .filter(|name| name.starts_with('.'))
        .collect();
    names.sort();
    for name in names {
        let path = folder.join(name);
        let who = statelog::identify(disk, &path)?;
        found.push((path, who));
    }
    Ok(found)
}

/// The account log is lost: the Maildirs say which mailboxes there are.
fn rebuild_list(state: &mut AccountState, found: &[(PathBuf, Option<Identity>)]) {
    for (at, (path, who)) in found.iter().enumerate() {
        let Some(who) = who else { continue };
        let name = match at {
            0 => Some(MailboxName::inbox()),
            _ => path.file_name().and_then(|n| n.to_str()).and_then(MailboxName::from_folder),
        };
        let Some(name) = name.filter(|name| state.find(name).is_none()) else { continue };
        let special_use = SpecialUse::parse(name.as_str());
        let entry = Entry { name, uid_validity: who.uid_validity, special_use };
        state.last_id = state.last_id.max(who.id.0);
        state.last_uid_validity = state.last_uid_validity.max(who.uid_validity);
        state.mailboxes.insert(who.id, entry);
    }
}
