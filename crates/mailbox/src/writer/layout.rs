//! From the log to the files: Maildirs, letters, lines of the state logs. No syncs here; the
//! checkpoint makes it all durable at once. A job that fails stays first in the queue and is
//! tried again, while the log keeps what it is about.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use disk::{Access, Disk, LaidOut, Mode};

use super::accounts::{ACCOUNT_LOG, maildir};
use super::leaving::{Leave, Leaving, remove_tree};
use super::look::QUARANTINE;
use super::{OWN_FOLDER, Writer};
use crate::account_change::FIRST_LINE;
use crate::ask::Address;
use crate::change::Change;
use crate::content;
use crate::flags::Flags;
use crate::ids::{AccountId, MailboxId, Uid};
use crate::letter::{Letter, OwnName, place, split_name};
use crate::line;
use crate::name::MailboxName;
use crate::standing::{FileIs, LogHas, NameIs, NameShows, RecordIs, Standing, standing};
use crate::statelog::{self, Identity};
use crate::transaction::Source;
use crate::uidset::UidSet;
use crate::view::View;

/// One thing to do in the files.
#[derive(Debug)]
pub(super) enum Job {
    /// Make the folders of a mailbox.
    Maildir(Address),
    /// Give a letter its file.
    Letter(Box<LayLetter>),
    /// Append what waits to a state log.
    Lines(Address),
    /// After a crash: write again what the state log of a mailbox was found to hold.
    LogAgain(Address),
    /// The same of an account log.
    ListAgain(AccountId),
    /// Append what waits to an account log.
    ListLines(AccountId),
    /// Rename files so that they show their letters' flags.
    Show(Address),
    /// The letter is gone: its file goes after the checkpoint.
    Leave(Box<Leave>),
    /// Move a Maildir to where this name says.
    Rename(Address, MailboxName),
    /// Move a Maildir away.
    Drop(Address),
}

/// A letter that gets its file.
#[derive(Debug)]
pub(super) struct LayLetter {
    pub(super) to: Address,
    pub(super) uid: Uid,
    /// The name without flags.
    pub(super) base: String,
    pub(super) flags: Flags,
    pub(super) size: u32,
    pub(super) hash: u64,
    pub(super) bytes: Bytes,
    /// After a crash: the file may be there, whole or not, perhaps renamed by another program.
    pub(super) replayed: bool,
}

/// The letter that was written last, while its octets are held.
#[derive(Debug)]
pub(super) struct Written {
    trace: bytes::Bytes,
    body: bytes::Bytes,
    path: PathBuf,
}

/// Where the bytes of the file come from.
#[derive(Debug)]
pub(super) enum Bytes {
    Memory(bytes::Bytes, bytes::Bytes),
    Staged(u64),
    Link(Address, String),
    There,
}

impl Bytes {
    /// What a transaction says of a letter of `account`, whose body is `body`.
    pub(super) fn of(source: &Source, account: &AccountId, body: &bytes::Bytes) -> Self {
        match source {
            Source::Inline(trace) => Bytes::Memory(trace.clone(), body.clone()),
            Source::Staged(serial) => Bytes::Staged(*serial),
            Source::Link(mailbox, base) => {
                Bytes::Link(Address { account: account.clone(), mailbox: *mailbox }, base.clone())
            }
            Source::There => Bytes::There,
        }
    }
}

impl Writer {
    /// Does at most `items` jobs.
    pub(super) fn lay_out_slice(&mut self, items: usize) -> disk::Result<LaidOut> {
        let mut left = items.max(1);
        self.write_custody()?;
        while left > 0 {
            let Some(job) = self.jobs.pop_front() else {
                return Ok(LaidOut::All);
            };
            match self.lay(&job, &mut left) {
                Ok(true) => {}
                Ok(false) => self.jobs.push_front(job),
                Err(error) => {
                    self.jobs.push_front(job);
                    return Err(error);
                }
            }
            left = left.saturating_sub(1);
        }
        Ok(if self.jobs.is_empty() { LaidOut::All } else { LaidOut::More })
    }

    /// `false`: there is more to do of this job.
    fn lay(&mut self, job: &Job, left: &mut usize) -> disk::Result<bool> {
        match job {
            Job::Maildir(address) => self.lay_maildir(address).map(|()| true),
            Job::Letter(letter) => self.lay_letters(letter, left).map(|()| true),
            Job::Lines(address) => self.lay_lines(address).map(|()| true),
            Job::LogAgain(address) => match self.place(address) {
                Some(maildir) => statelog::write_again(self.disk.as_ref(), &maildir).map(|()| true),
                None => Ok(true),
            },
            Job::ListAgain(account) => self.lay_list_again(account).map(|()| true),
            Job::ListLines(account) => self.lay_list_lines(account).map(|()| true),
            Job::Show(address) => self.lay_flags(address, left),
            Job::Leave(letter) => self.lay_leave(letter).map(|()| true),
            Job::Rename(address, name) => self.lay_rename(address, name).map(|()| true),
            Job::Drop(address) => self.lay_drop(address).map(|()| true),
        }
    }

    fn write_custody(&mut self) -> disk::Result<()> {
        if self.custody.is_empty() {
            return Ok(());
        }
        // `begin_replay` has opened it.
        let Some(book) = &mut self.book else { return Ok(()) };
        book.write(&self.custody)?;
        self.custody.clear();
        Ok(())
    }

    /// Where the Maildir of a mailbox is now, if the mailbox is still there.
    pub(super) fn place(&self, address: &Address) -> Option<PathBuf> {
        self.accounts.get(&address.account)?.places.get(&address.mailbox).cloned()
    }

    pub(super) fn staged_path(&self, serial: u64) -> PathBuf {
        staged_path(&self.root, serial)
    }

    /// A new mailbox: its folders, and a log that says whose they are.
    fn lay_maildir(&mut self, address: &Address) -> disk::Result<()> {
        let Some(place) = self.make_maildir(address)? else { return Ok(()) };
        if self.load_mailbox(address).is_err() {
            // Deleted meanwhile.
            return Ok(());
        }
        let disk = self.disk.clone();
        let Ok(open) = self.open_mut(address) else { return Ok(()) };
        if open.tail.length == 0 {
            statelog::append(disk.as_ref(), &place, &open.state, &mut open.tail, &[])?;
        }
        Ok(())
    }

    fn make_maildir(&mut self, address: &Address) -> disk::Result<Option<PathBuf>> {
        let Some(place) = self.place(address) else { return Ok(None) };
        let is_ready = |open: &&mut super::Open| open.ready;
        if self.open_mut(address).ok().as_ref().is_some_and(is_ready) {
            return Ok(Some(place));
        }
        let own = self.identity(address);
        let found = self.found_in(&place)?;
        if found.is_some() && own.is_some() && found != own {
            self.set_aside(&address.account, &place, found)?;
        }
        for directory in ["tmp", "new", "cur"] {
            self.disk.make_dirs(&place.join(directory), Mode::PRIVATE_DIR)?;
        }
        let is_inbox =
            self.accounts.get(&address.account).is_some_and(|account| account.folder == place);
        if !is_inbox {
            drop(self.disk.open(&place.join("maildirfolder"), Access::Create(Mode::PRIVATE))?);
        }
        if let Some(account) = self.accounts.get_mut(&address.account) {
            account.unmade.remove(&address.mailbox);
        }
        if let Ok(open) = self.open_mut(address) {
            open.ready = true;
        }
        Ok(Some(place))
    }

    /// What the logs of a mailbox begin with; of one that is deleted only while it is in memory.
    pub(super) fn identity(&self, address: &Address) -> Option<Identity> {
        let account = self.accounts.get(&address.account)?;
        let listed = account.state.mailboxes.get(&address.mailbox).map(|e| e.uid_validity);
        let open = || account.open.get(&address.mailbox).map(|open| open.state.uid_validity);
        let uid_validity = listed.or_else(open)?;
        Some(Identity { id: address.mailbox, uid_validity })
    }

    /// Makes way for a Maildir where another folder lies: one of ours steps beside and goes on to
    /// its own name, anything else is set aside.
    fn set_aside(
        &mut self,
        id: &AccountId,
        path: &Path,
        found: Option<Identity>,
    ) -> disk::Result<()> {
        let Some(account) = self.accounts.get(id) else { return Ok(()) };
        if path == account.folder {
            let what = "the logs of another mailbox lie in the folder of INBOX";
            self.report_once(format!("{id}: {what}"));
            return Ok(());
        }
        let lies_here =
            |mailbox: &MailboxId| account.places.get(mailbox).is_some_and(|place| place == path);
        let ours = match found {
            Some(who) => Some(who.id).filter(lies_here),
            // A former life made it, for a mailbox that comes later in the intake log, and a power
            // cut has taken the log in it.
            None => account.unmade.iter().copied().find(lies_here),
        };
        let ours = ours.map(|mailbox| Address { account: id.clone(), mailbox });
        let ours = ours.filter(|whose| found.is_none() || self.identity(whose) == found);
        if let Some(address) = ours {
            let mut beside = path.as_os_str().to_owned();
            beside.push(".moving");
            self.move_maildir(&address, path, Path::new(&beside))?;
            let account = self.accounts.get(id);
            if let Some(entry) = account.and_then(|a| a.state.mailboxes.get(&address.mailbox)) {
                let name = entry.name.clone();
                self.jobs.push_back(Job::Rename(address, name));
            }
            return Ok(());
        }
        let state = &account.state;
        let deleted =
            |who: Identity| who.id.0 <= state.last_id && !state.mailboxes.contains_key(&who.id);
        if account.list_whole
            && let Some(who) = found.filter(|who| deleted(*who))
        {
            // A crash came between the line that says so and the folder.
            return self.put_away(path, who.id);
        }
        let quarantine = account.folder.join(QUARANTINE);
        self.disk.make_dirs(&quarantine, Mode::PRIVATE_DIR)?;
        let folder = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
        self.removed += 1;
        let away = format!("{}-{}{folder}", self.now.as_micros(), self.removed);
        self.disk.rename(path, &quarantine.join(&away))?;
        self.report_once(format!(
            "{id}: a mailbox was given the name of the folder {folder}, which no mailbox of \
             the account owns; the folder was set aside as {QUARANTINE}/{away}"
        ));
        Ok(())
    }

    /// Renames a Maildir; who reads letters in it meanwhile looks in both places.
    fn move_maildir(&mut self, address: &Address, from: &Path, to: &Path) -> disk::Result<()> {
        if let Ok(open) = self.open_mut(address) {
            open.shared.moves_to(to.to_path_buf());
        }
        match self.disk.rename(from, to) {
            Err(error) if error.is_missing() => {}
            other => other?,
        }
        // The one sync of the layout: a new folder under the old name must not reach the disk
        // before this, or the letters would be under no name at all.
        if let Some(folder) = to.parent() {
            self.disk.sync_dir(folder)?;
        }
        if let Some(account) = self.accounts.get_mut(&address.account) {
            account.places.insert(address.mailbox, to.to_path_buf());
        }
        if let Ok(open) = self.open_mut(address) {
            open.shared.moved_to(to.to_path_buf());
        }
        Ok(())
    }

    /// A letter, and those that follow it into the same mailbox: whether another program was there
    /// is looked at once for all of them.
    fn lay_letters(&mut self, first: &LayLetter, left: &mut usize) -> disk::Result<()> {
        let Some(maildir) = self.make_maildir(&first.to)? else {
            return Ok(());
        };
        self.own_change_begins(&first.to, &maildir);
        self.lay_letter(first, &maildir)?;
        let follows = |job: &mut Job| matches!(job, Job::Letter(letter) if letter.to == first.to);
        while *left > 1
            && let Some(job) = self.jobs.pop_front_if(follows)
        {
            if let Job::Letter(letter) = &job
                && self.lay_letter(letter, &maildir).is_err()
            {
                // It is tried again by itself, and fails for itself.
                self.jobs.push_front(job);
                return Ok(());
            }
            *left -= 1;
        }
        self.own_change_ends(&first.to, &maildir);
        Ok(())
    }

    fn lay_letter(&mut self, letter: &LayLetter, maildir: &Path) -> disk::Result<()> {
        let target = maildir.join(place(&letter.base, letter.flags));
        let standing = match letter.replayed {
            true => self.after_crash(maildir, letter)?,
            false => Standing::Logged,
        };
        if matches!(standing, Standing::Logged | Standing::Torn) {
            let beside = maildir.join("tmp").join(&letter.base);
            match &letter.bytes {
                Bytes::Memory(trace, body) => {
                    if !self.link_twin((trace, body), &target) {
                        write_letter(self.disk.as_ref(), &beside, &[trace, body])?;
                        self.disk.rename(&beside, &target)?;
                    }
                    let (trace, body) = (trace.clone(), body.clone());
                    self.last_written = Some(Written { trace, body, path: target });
                }
                Bytes::Staged(serial) => {
                    let staged = self.staged_path(*serial);
                    // A second name, and the first goes after the checkpoint: the folder of the
                    // second may be younger than that, and a power cut may take it with all in it.
                    match self.disk.link(&staged, &target) {
                        // Laid out before the crash, and removed by another program since.
                        Err(error) if error.is_missing() && letter.replayed => {}
                        Err(error) if error.kind() == disk::ErrorKind::Exists => {}
                        other => other?,
                    }
                    self.leaving.push(Leaving::File(staged));
                }
                Bytes::Link(of, base) => self.link_letter(of, base, &target)?,
                Bytes::There => {}
            }
        }
        if let Ok(open) = self.open_mut(&letter.to) {
            open.unlaid.remove(&letter.uid);
            open.shared.laid_out(letter.uid);
        }
        Ok(())
    }

    /// A letter to many mailboxes is one file with many names. `false`: this one is not the same as
    /// the one before, or the file system does not let it have another name (EMLINK, EXDEV).
    fn link_twin(&self, (trace, body): (&bytes::Bytes, &bytes::Bytes), target: &Path) -> bool {
        let Some(last) = &self.last_written else { return false };
        // The very same octets in memory: those of one delivery.
        let one = (last.body.as_ptr(), last.body.len()) == (body.as_ptr(), body.len());
        let is_twin = one && !body.is_empty() && last.trace == *trace;
        is_twin && self.disk.link(&last.path, target).is_ok()
    }

    /// After a crash: how a letter's file stands, under whatever flags. The log is trusted, with
    /// length and hash; a file that is not whole goes.
    fn after_crash(&self, maildir: &Path, letter: &LayLetter) -> disk::Result<Standing> {
        let target = maildir.join(place(&letter.base, letter.flags));
        let path = match self.disk.metadata(&target) {
            Ok(_) => Some(target),
            Err(error) if error.is_missing() => find(self.disk.as_ref(), maildir, &letter.base)?,
            Err(error) => return Err(error),
        };
        let is = match &path {
            None => FileIs::Missing,
            Some(path) => match content::mark(self.disk.as_ref(), path)? {
                mark if mark == (u64::from(letter.size), letter.hash) => FileIs::Whole,
                _ => FileIs::Wrong,
            },
        };
        let log = match letter.bytes {
            Bytes::There => LogHas::Nothing,
            _ => LogHas::Letter,
        };
        let shows = (is, NameShows::Record);
        let standing = standing(RecordIs::There, shows, NameIs::Ours, log);
        match path {
            Some(path) if standing == Standing::Torn => self.disk.unlink(&path)?,
            // It can be read, which after a failed sync does not mean that it is on the disk.
            Some(path) if is == FileIs::Whole => match &letter.bytes {
                Bytes::Memory(..) | Bytes::Link(..) => {
                    disk::write_again(self.disk.as_ref(), &path)?;
                }
                // Synced before its record was written; or another program's.
                Bytes::Staged(_) | Bytes::There => {}
            },
            _ => {}
        }
        Ok(standing)
    }

    fn link_letter(&mut self, of: &Address, base: &str, target: &Path) -> disk::Result<()> {
        let Some(maildir) = self.place(of) else { return Ok(()) };
        // The source may be under any flags; `find` looks through the directory.
        let direct = [place(base, Flags::NONE), format!("cur/{base}:2,S")];
        for from in direct {
            match self.disk.link(&maildir.join(from), target) {
                Err(error) if error.is_missing() => {}
                Err(error) if error.kind() == disk::ErrorKind::Exists => return Ok(()),
                other => return other,
            }
        }
        match find(self.disk.as_ref(), &maildir, base)? {
            Some(from) => match self.disk.link(&from, target) {
                Err(error) if error.kind() == disk::ErrorKind::Exists => Ok(()),
                other => other,
            },
            // Removed by another program before the copy was laid out: seen as missing later.
            None => Ok(()),
        }
    }

    fn lay_lines(&mut self, address: &Address) -> disk::Result<()> {
        let Some(place) = self.make_maildir(address)? else { return Ok(()) };
        let disk = self.disk.clone();
        let Ok(open) = self.open_mut(address) else { return Ok(()) };
        if open.lines.is_empty() {
            return Ok(());
        }
        if open.tail.is_cut(disk.as_ref(), &place)? {
            // Somebody has taken lines away that memory still knows.
            open.tail.snapshot_due = true;
        }
        statelog::append(disk.as_ref(), &place, &open.state, &mut open.tail, &open.lines)?;
        open.lines.clear();
        // The snapshot is of the working state, which the batch at hand may be changing: only
        // between batches, where this runs, are the two the same.
        if open.tail.is_long() {
            let old = statelog::roll(disk.as_ref(), &place, &open.state, &mut open.tail)?;
            self.leaving.extend(old.into_iter().map(Leaving::File));
        }
        Ok(())
    }

    fn lay_list_lines(&mut self, id: &AccountId) -> disk::Result<()> {
        let disk = self.disk.clone();
        let Some(account) = self.accounts.get_mut(id) else { return Ok(()) };
        disk.make_dirs(&account.folder, Mode::PRIVATE_DIR)?;
        let path = account.folder.join(ACCOUNT_LOG);
        let file = disk.open(&path, Access::Create(Mode::PRIVATE))?;
        if account.log_length == 0 {
            file.write_at(0, FIRST_LINE.as_bytes())?;
            account.log_length = FIRST_LINE.len() as u64;
        }
        file.write_at(account.log_length, &account.lines)?;
        account.log_length += account.lines.len() as u64;
        if file.length()? > account.log_length {
            file.set_length(account.log_length)?;
        }
        account.lines.clear();
        if account.log_length > LIST_SHORTEN {
            self.shorten_list(id)?;
        }
        Ok(())
    }

    fn lay_list_again(&self, id: &AccountId) -> disk::Result<()> {
        let Some(account) = self.accounts.get(id) else { return Ok(()) };
        match disk::write_again(self.disk.as_ref(), &account.folder.join(ACCOUNT_LOG)) {
            Err(error) if error.is_missing() => Ok(()),
            other => other,
        }
    }

    /// Writes the account log anew, without what has been overtaken.
    fn shorten_list(&mut self, id: &AccountId) -> disk::Result<()> {
        let Some(account) = self.accounts.get_mut(id) else { return Ok(()) };
        let Some(changes) = account.state.shortened() else { return Ok(()) };
        let mut bytes = FIRST_LINE.as_bytes().to_vec();
        for (serial, change) in changes {
            line::push(&mut bytes, &change.to_line(serial));
        }
        if bytes.len() as u64 > account.log_length / 2 {
            return Ok(());
        }
        disk::replace_whole(
            self.disk.as_ref(),
            &account.folder.join(ACCOUNT_LOG),
            Mode::PRIVATE,
            &bytes,
        )?;
        account.log_length = bytes.len() as u64;
        Ok(())
    }

    /// Renames files whose letters have other flags now.
    fn lay_flags(&mut self, address: &Address, left: &mut usize) -> disk::Result<bool> {
        let Some(maildir) = self.make_maildir(address)? else { return Ok(true) };
        self.own_change_begins(address, &maildir);
        let disk = self.disk.clone();
        let mut shown: BTreeMap<u8, UidSet> = BTreeMap::new();
        let finished = loop {
            let Ok(open) = self.open_mut(address) else { break true };
            // A letter without a file yet has no name to change.
            let next = open.behind.iter().find(|uid| !open.unlaid.contains(uid));
            let Some(&uid) = next else { break true };
            if *left == 0 {
                break false;
            }
            *left -= 1;
            if let Some(letter) = open.state.letters.get(uid)
                && (letter.shown.flags() != letter.flags || open.doubtful.contains(&uid))
            {
                let base = open.state.base_name(&letter);
                show_flags(disk.as_ref(), &maildir, &base, &letter)?;
                shown.entry(letter.flags.bits()).or_default().insert(uid);
            }
            open.behind.remove(&uid);
            open.doubtful.remove(&uid);
        };
        if let Ok(open) = self.open_mut(address) {
            for (bits, uids) in shown {
                let flags = Flags::from_bits(bits).unwrap_or(Flags::NONE);
                let change = Change::Shown { uids, flags };
                // A mark: it always fits. If it is lost, the change of flags is in the log still,
                // and `show_again` doubts the name.
                let _ = open.state.apply(open.state.modseq, &change);
                line::push(&mut open.lines, &change.to_line(open.state.modseq));
            }
            open.shared.publish(View::new(open.state.clone()));
            if finished && !open.behind.is_empty() {
                self.jobs.push_back(Job::Show(address.clone()));
            }
        }
        self.lay_lines(address)?;
        self.own_change_ends(address, &maildir);
        Ok(finished)
    }

    fn lay_rename(&mut self, address: &Address, name: &MailboxName) -> disk::Result<()> {
        let Some(from) = self.make_maildir(address)? else { return Ok(()) };
        let Some(account) = self.accounts.get(&address.account) else { return Ok(()) };
        let to = maildir(&account.folder, name);
        if from == to {
            return Ok(());
        }
        match self.disk.metadata(&to) {
            Ok(_) => match self.found_in(&to)? {
                None if self.is_half_made(address, &to)? => self.take_back(&to, &from)?,
                found => self.set_aside(&address.account, &to, found)?,
            },
            Err(error) if error.is_missing() => {}
            Err(error) => return Err(error),
        }
        self.move_maildir(address, &from, &to)
    }

    /// Whether a folder without a log is what a former life made of this mailbox under the name
    /// that it is to have, before the power took the log: nothing in it but letters of its own.
    fn is_half_made(&self, address: &Address, folder: &Path) -> disk::Result<bool> {
        let Some(own) = self.identity(address) else { return Ok(false) };
        for entry in self.disk.read_dir(folder)? {
            let inside = match entry.name.to_str() {
                Some(name @ ("new" | "cur" | "tmp")) => folder.join(name),
                Some("maildirfolder") => continue,
                // Whose it is can not be read, or it would not be asked.
                Some(name) if statelog::is_file(name) => continue,
                _ => return Ok(false),
            };
            for letter in self.disk.read_dir(&inside)? {
                if letter.name.to_str().is_some_and(statelog::is_file) {
                    continue;
                }
                let name = letter.name.to_str().map(split_name).and_then(|n| OwnName::parse(n.0));
                if name.is_none_or(|name| name.uid_validity != own.uid_validity) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Takes letters that the log has only by their names out of such a folder, and removes it.
    fn take_back(&self, half_made: &Path, maildir: &Path) -> disk::Result<()> {
        for part in ["new", "cur"] {
            let entries = match self.disk.read_dir(&half_made.join(part)) {
                Err(error) if error.is_missing() => continue,
                other => other?,
            };
            for entry in entries {
                let base = entry.name.to_str().map_or("", |name| split_name(name).0);
                if find(self.disk.as_ref(), maildir, base)?.is_none() {
                    let from = half_made.join(part).join(&entry.name);
                    self.disk.rename(&from, &maildir.join(part).join(&entry.name))?;
                }
            }
        }
        remove_tree(self.disk.as_ref(), half_made)
    }

    pub(super) fn found_in(&self, place: &Path) -> disk::Result<Option<Identity>> {
        statelog::identify(self.disk.as_ref(), place)
    }

    /// The file of a letter, under whatever flags.
    pub(super) fn file_of(
        &mut self,
        address: &Address,
        maildir: &Path,
        base: &str,
        uid: Uid,
    ) -> disk::Result<Option<PathBuf>> {
        let flags = self.open_mut(address).ok().and_then(|open| {
            let letter = open.shared_letter(uid)?;
            Some(letter.shown.flags())
        });
        let guesses = [flags.unwrap_or(Flags::NONE), Flags::SEEN, Flags::DELETED | Flags::SEEN];
        for flags in guesses {
            let path = maildir.join(place(base, flags));
            match self.disk.metadata(&path) {
                Ok(_) => return Ok(Some(path)),
                Err(error) if error.is_missing() => {}
                Err(error) => return Err(error),
            }
        }
        find(self.disk.as_ref(), maildir, base)
    }
}

impl super::Open {
    fn shared_letter(&self, uid: Uid) -> Option<Letter> {
        self.state.letters.get(uid)
    }
}

/// The file of a large letter before it is laid out.
pub(crate) fn staged_path(root: &Path, serial: u64) -> PathBuf {
    root.join(OWN_FOLDER).join("staged").join(serial.to_string())
}

/// Writes a letter to a file that may be left over from a crash.
fn write_letter(disk: &dyn Disk, path: &Path, parts: &[&bytes::Bytes]) -> disk::Result<()> {
    let file = match disk.create_new(path, Mode::PRIVATE) {
        Err(error) if error.kind() == disk::ErrorKind::Exists => {
            disk.unlink(path)?;
            disk.create_new(path, Mode::PRIVATE)?
        }
        other => other?,
    };
    let mut offset = 0;
    for part in parts.iter().filter(|part| !part.is_empty()) {
        file.write_at(offset, part)?;
        offset += part.len() as u64;
    }
    Ok(())
}

/// Renames a letter's file so that it shows the letter's flags; none at all is left to the next
/// look.
fn show_flags(disk: &dyn Disk, maildir: &Path, base: &str, letter: &Letter) -> disk::Result<()> {
    let to = maildir.join(place(base, letter.flags));
    match disk.rename(&maildir.join(place(base, letter.shown.flags())), &to) {
        Err(error) if error.is_missing() => match find(disk, maildir, base)? {
            Some(from) => disk.rename(&from, &to),
            None => Ok(()),
        },
        other => other,
    }
}

fn find(disk: &dyn Disk, maildir: &Path, base: &str) -> disk::Result<Option<PathBuf>> {
    content::find(disk, maildir, base)
}

/// Bytes of account log after which it is written anew, if that halves it.
const LIST_SHORTEN: u64 = 256 * 1024;
