//! Looking at a Maildir for what other programs did: letters brought, renamed, removed. What is
//! found becomes changes like any other, through the log.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use disk::{Disk, FileType, Mode};
use protocol::time::Timestamp;

use super::Writer;
use super::draft::{Draft, Work};
use super::layout::Job;
use super::leaving::{Leave, Leaving};
use crate::ask::{Address, Answer};
use crate::change::{Added, Change, How, Why};
use crate::content;
use crate::error::Result;
use crate::expunged;
use crate::flags::Flags;
use crate::ids::Uid;
use crate::letter::{Letter, OwnName, split_name};
use crate::limits::{DIRECTORY_TIME_STEP, LOOK_AGAIN, SCAN_CHANGES};
use crate::scan::Looked;
use crate::standing::{FileIs, LogHas, NameIs, NameShows, RecordIs, Standing, standing};
use crate::state::State;
use crate::statelog;
use crate::transaction::Source;
use crate::uidset::UidSet;

/// The directories as they were when nothing unknown was in them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) times: Times,
    /// When the directories were read through.
    pub(super) read: Timestamp,
    /// We have changed them since: another program may have, in the same moment.
    pub(super) unsure: bool,
}

/// Times of `new` and `cur`.
pub(super) type Times = (SystemTime, SystemTime);

/// A file of a Maildir.
#[derive(Debug)]
struct Found {
    path: PathBuf,
    flags: Flags,
}

/// What a look has found, before anything is changed.
#[derive(Debug, Default)]
struct Findings {
    missing: Vec<Letter>,
    renamed: Vec<(Letter, Flags)>,
    behind: Vec<Uid>,
    /// Files with no record, by name without flags.
    unknown: BTreeMap<String, Found>,
}

impl Findings {
    /// A letter's file, with the flags that its name shows. Met `again`, it was moved or renamed
    /// meanwhile: what counts is what it was met as last.
    fn take(&mut self, letter: Letter, flags: Flags, again: bool) {
        if again {
            self.renamed.retain(|(known, _)| known.uid != letter.uid);
            self.behind.retain(|uid| *uid != letter.uid);
        }
        let shows = if flags == letter.flags {
            NameShows::Record
        } else if flags == letter.shown.flags() {
            NameShows::LastShown
        } else {
            NameShows::SomethingElse
        };
        let is = (FileIs::Whole, shows);
        match standing(RecordIs::There, is, NameIs::Ours, LogHas::Nothing) {
            Standing::Renamed => self.renamed.push((letter, flags)),
            Standing::Behind => self.behind.push(letter.uid),
            _ => {}
        }
    }
}

impl Writer {
    /// NOOP, SELECT: takes over at most [`SCAN_CHANGES`] changes.
    pub(super) fn look(&mut self, draft: &mut Draft, of: &Address) -> Result<Answer> {
        self.account(draft, &of.account)?;
        self.load_mailbox(of)?;
        let Some(maildir) = self.place(of) else { return Ok(Answer::Looked(Looked::default())) };
        let before = times(self.disk.as_ref(), &maildir)?;
        if self.is_unchanged(of, before)? {
            return Ok(Answer::Looked(Looked::default()));
        }
        if !self.is_its_own(of, &maildir)? {
            return Ok(Answer::Looked(Looked::default()));
        }
        let findings = self.compare(of, &maildir)?;
        let mut looked = Looked::default();
        self.take_gone(draft, of, &findings.missing, &mut looked)?;
        self.take_flags(draft, of, &findings, &mut looked)?;
        self.take_unknown(draft, (of, &maildir), findings.unknown, &mut looked)?;
        let now = self.now;
        let stamped = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
        };
        // A directory changed a moment ago may change again without showing a later time.
        let settled = stamped(before.0.max(before.1)) + DIRECTORY_TIME_STEP < now.as_micros();
        let open = self.open_mut(of)?;
        open.seen = (!looked.more).then_some(Seen { times: before, read: now, unsure: !settled });
        Ok(Answer::Looked(looked))
    }

    /// Whether what lies in a mailbox's place is its own Maildir. Before a new mailbox is laid out
    /// it may be that of one deleted or renamed just now, whose letters are not to be adopted.
    fn is_its_own(&mut self, of: &Address, maildir: &Path) -> Result<bool> {
        let unmade = |account: &super::Account| account.unmade.contains(&of.mailbox);
        if self.accounts.get(&of.account).is_none_or(unmade) {
            return Ok(false);
        }
        let own = self.identity(of);
        let found = statelog::identify(self.disk.as_ref(), maildir)?;
        Ok(found.is_none() || found == own)
    }

    fn is_unchanged(&mut self, of: &Address, times: Times) -> Result<bool> {
        let now = self.now;
        let seen = self.open_mut(of)?.seen;
        Ok(seen.is_some_and(|seen| {
            seen.times == times && (!seen.unsure || now.since(seen.read) < LOOK_AGAIN)
        }))
    }

    /// We are about to change a Maildir: has anybody else since we last looked?
    pub(super) fn own_change_begins(&mut self, of: &Address, maildir: &Path) {
        // Nobody has looked, or the next look will be thorough anyway.
        if self.open_mut(of).is_ok_and(|open| open.seen.is_none()) {
            return;
        }
        let times = times(self.disk.as_ref(), maildir).ok();
        if let Ok(open) = self.open_mut(of)
            && open.seen.is_some_and(|seen| Some(seen.times) != times)
        {
            open.seen = None;
        }
    }

    /// We have changed it: that alone is no reason to look.
    pub(super) fn own_change_ends(&mut self, of: &Address, maildir: &Path) {
        if self.open_mut(of).is_ok_and(|open| open.seen.is_none()) {
            return;
        }
        let times = times(self.disk.as_ref(), maildir).ok();
        if let Ok(open) = self.open_mut(of)
            && let (Some(seen), Some(times)) = (&mut open.seen, times)
        {
            seen.times = times;
            seen.unsure = true;
        }
    }

    /// Reads the Maildir through and compares each file with its letter's record. What is held of
    /// a letter that is as it should be is one bit.
    fn compare(&mut self, of: &Address, maildir: &Path) -> Result<Findings> {
        let disk = self.disk.clone();
        let isolated: Vec<Uid> = match self.accounts.get(&of.account) {
            Some(account) => account.isolated.of(of.mailbox).collect(),
            None => Vec::new(),
        };
        let open = self.open_mut(of)?;
        let state = &open.state;
        let foreign: HashMap<&str, Uid> =
            state.names.iter().map(|(uid, name)| (name.as_ref(), *uid)).collect();
        let mut findings = Findings::default();
        let mut found = vec![0_u64; state.letters.len().div_ceil(64)];
        // `new` first: a letter that is moved to `cur` meanwhile is met twice, never not at all.
        for folder in ["new", "cur"] {
            let directory = maildir.join(folder);
            let read = disk.each_in_dir(&directory, &mut |entry| {
                let Some(name) = entry.name.to_str() else { return };
                // Hidden files are nobody's letters.
                if entry.file_type != FileType::File || name.starts_with('.') {
                    return;
                }
                let (base, flags) = split_name(name);
                match letter_of(state, &foreign, base) {
                    Some(letter) => {
                        let place = state.letters.below(letter.uid);
                        let (word, bit) = (place / 64, 1 << (place % 64));
                        let known = found.get(word).is_some_and(|bits| bits & bit != 0);
                        found.iter_mut().skip(word).take(1).for_each(|bits| *bits |= bit);
                        if !open.doubtful.contains(&letter.uid) {
                            findings.take(letter, flags, known);
                        }
                    }
                    // A letter that is gone has its file until the checkpoint.
                    None if own(state, base).is_some_and(|n| open.leaving.contains(&n.uid)) => {}
                    None => {
                        let path = directory.join(name);
                        findings.unknown.insert(base.to_owned(), Found { path, flags });
                    }
                }
            });
            match read {
                // A Maildir that is not laid out yet has nothing in it.
                Err(error) if error.is_missing() => {}
                other => other?,
            }
        }
        for (place, letter) in state.letters.iter().enumerate() {
            if found.get(place / 64).is_some_and(|bits| bits & 1 << (place % 64) != 0) {
                continue;
            }
            let log = match open.unlaid.contains(&letter.uid) {
                true => LogHas::Letter,
                false => LogHas::Nothing,
            };
            // Its file was set aside by us.
            if isolated.contains(&letter.uid) {
                continue;
            }
            let is = (FileIs::Missing, NameShows::Record);
            if standing(RecordIs::There, is, NameIs::Ours, log) == Standing::Missing {
                findings.missing.push(*letter);
            }
        }
        Ok(findings)
    }

    fn take_gone(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        missing: &[Letter],
        looked: &mut Looked,
    ) -> Result<()> {
        let taken = &missing[..missing.len().min(SCAN_CHANGES)];
        looked.more |= taken.len() < missing.len();
        if taken.is_empty() {
            return Ok(());
        }
        let uids: UidSet = taken.iter().map(|letter| letter.uid).collect();
        for uids in uids.pieces(crate::limits::LINE_RANGES) {
            self.change(draft, of, Change::Gone { uids, why: Why::RemovedExternally })?;
        }
        looked.gone = u32::try_from(taken.len()).unwrap_or(u32::MAX);
        Ok(())
    }

    /// Flags another program put into a name: what it added and what it took away, so that what
    /// we changed meanwhile stays.
    fn take_flags(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        findings: &Findings,
        looked: &mut Looked,
    ) -> Result<()> {
        let mut changes: BTreeMap<(u8, u8, u8), UidSet> = BTreeMap::new();
        for (letter, now) in findings.renamed.iter().take(SCAN_CHANGES) {
            let before = letter.shown.flags();
            let (plus, minus) = (now.without(before), before.without(*now));
            let key = (plus.bits(), minus.bits(), now.bits());
            changes.entry(key).or_default().insert(letter.uid);
            looked.changed += 1;
        }
        looked.more |= findings.renamed.len() > SCAN_CHANGES;
        let flags = |bits| Flags::from_bits(bits).unwrap_or(Flags::NONE);
        for ((plus, minus, now), uids) in changes {
            for (how, bits) in [(How::Add, plus), (How::Remove, minus)] {
                if bits != 0 {
                    let change = Change::Flags {
                        uids: uids.clone(),
                        how,
                        flags: flags(bits),
                        keywords: Vec::new(),
                    };
                    self.change(draft, of, change)?;
                }
            }
            self.change(draft, of, Change::Shown { uids: uids.clone(), flags: flags(now) })?;
            draft.work.push(Work::Behind(of.clone(), uids));
        }
        if !findings.behind.is_empty() && !draft.transaction.is_empty() {
            let behind = findings.behind.iter().copied().collect();
            draft.work.push(Work::Behind(of.clone(), behind));
        }
        Ok(())
    }

    fn take_unknown(
        &mut self,
        draft: &mut Draft,
        (of, maildir): (&Address, &Path),
        unknown: BTreeMap<String, Found>,
        looked: &mut Looked,
    ) -> Result<()> {
        if unknown.is_empty() {
            return Ok(());
        }
        let whole = self.open_mut(of)?.whole;
        let gone = statelog::gone(self.disk.as_ref(), maildir)?;
        let whole = whole && statelog::has_beginning(self.disk.as_ref(), maildir)?;
        let mut adopt: Vec<(Option<OwnName>, String, Found)> = Vec::new();
        for (base, file) in unknown {
            let name = own(&self.open_mut(of)?.state, &base);
            let record = match name {
                Some(name) if statelog::is_gone(&gone, name.uid) => RecordIs::Gone,
                _ => RecordIs::Unknown,
            };
            let is = if name.is_some() { NameIs::Ours } else { NameIs::Foreign };
            let shown = (FileIs::Whole, NameShows::Record);
            match (standing(record, shown, is, LogHas::Nothing), name) {
                (Standing::Leaving, Some(name)) => {
                    self.open_mut(of)?.leaving.insert(name.uid);
                    let expunged = gone
                        .iter()
                        .any(|(uids, why)| *why == Why::Expunged && uids.contains(name.uid));
                    let when = self.now.as_seconds();
                    let keep = (expunged && self.retention.keeps())
                        .then(|| expunged::name_of_file(when, of.mailbox, &name, file.flags));
                    let leave = Leave { of: of.clone(), uid: name.uid, base, keep };
                    self.keep_letter(&leave, &file.path)?;
                    self.leaving.push(Leaving::Letter(of.clone(), name.uid, file.path));
                }
                (Standing::Stray, _) if whole => self.quarantine(of, &file.path)?,
                _ => adopt.push((name, base, file)),
            }
        }
        // Letters of ours in the order of their UIDs, so that each can keep its own.
        adopt.sort_by_key(|(name, base, _)| (name.map(|name| name.uid), base.clone()));
        looked.more |= adopt.len() > SCAN_CHANGES;
        for (name, base, file) in adopt.into_iter().take(SCAN_CHANGES) {
            if self.adopt(draft, of, name, (&base, &file))? {
                looked.came += 1;
            }
        }
        Ok(())
    }

    /// Takes a file into the mailbox: with the UID in its name if that can be, else with a new one.
    fn adopt(
        &mut self,
        draft: &mut Draft,
        of: &Address,
        name: Option<OwnName>,
        (base, file): (&str, &Found),
    ) -> Result<bool> {
        let Some((size, hash, modified)) = measure(self.disk.as_ref(), &file.path)? else {
            return Ok(false);
        };
        let saved = u32::try_from(self.now.as_seconds()).unwrap_or(0);
        let next = self.open_mut(of)?.state.uid_next;
        let kept = name.filter(|name| name.uid.get() >= next && name.size == size);
        let Some(uid) = kept.map(|name| name.uid).or(Uid::new(next)) else { return Ok(false) };
        let added = Added {
            uid,
            name: kept.is_none().then(|| base.to_owned()),
            saved: kept.map_or(saved, |name| name.saved),
            date: kept.map_or(modified, |name| i64::from(name.saved)),
            size,
            hash,
            flags: file.flags,
            keywords: Vec::new(),
            delivery: None,
        };
        self.change(draft, of, Change::Add(Box::new(added)))?;
        draft.source(Source::There);
        Ok(true)
    }

    /// Sets a file of ours aside that was never acknowledged.
    fn quarantine(&mut self, of: &Address, path: &Path) -> Result<()> {
        let Some(account) = self.accounts.get(&of.account) else { return Ok(()) };
        let folder = account.folder.join(QUARANTINE);
        self.disk.make_dirs(&folder, Mode::PRIVATE_DIR)?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("unnamed");
        self.disk.rename(path, &folder.join(format!("{}.{name}", of.mailbox)))?;
        self.report(format!(
            "{}: a file of mailbox {} has no record; it was set aside as {QUARANTINE}/{}.{name}",
            of.account, of.mailbox, of.mailbox
        ));
        Ok(())
    }

    /// Queues the layout of what the names of a mailbox do not show, after a crash.
    pub(super) fn show_again(&mut self, of: &Address, uids: &UidSet) {
        let Ok(open) = self.open_mut(of) else { return };
        let first = open.behind.is_empty();
        let touched: Vec<Uid> = open.state.within(uids).map(|letter| letter.uid).collect();
        open.doubtful.extend(touched.iter().copied());
        open.behind.extend(touched);
        if first && !open.behind.is_empty() {
            self.jobs.push_back(Job::Show(of.clone()));
        }
    }
}

/// The name, if it is one of ours of this mailbox.
fn own(state: &State, base: &str) -> Option<OwnName> {
    OwnName::parse(base).filter(|name| name.uid_validity == state.uid_validity)
}

fn times(disk: &dyn Disk, maildir: &Path) -> disk::Result<Times> {
    let time = |directory| match disk.metadata(&maildir.join(directory)) {
        Ok(found) => Ok(found.modified),
        // A Maildir that is not laid out yet has nothing in it.
        Err(error) if error.is_missing() => Ok(SystemTime::UNIX_EPOCH),
        Err(error) => Err(error),
    };
    Ok((time("new")?, time("cur")?))
}

/// The letter whose file has this name without flags.
fn letter_of(state: &State, foreign: &HashMap<&str, Uid>, base: &str) -> Option<Letter> {
    let own = own(state, base).and_then(|name| {
        let letter = state.letters.get(name.uid)?;
        let same = (letter.saved, letter.size) == (name.saved, name.size);
        (same && !letter.shown.is_foreign()).then_some(letter)
    });
    if own.is_some() {
        return own;
    }
    state.letters.get(*foreign.get(base)?)
}

/// Size, mark and time of a foreign file; `None` when it went away or cannot be a letter.
fn measure(disk: &dyn Disk, path: &Path) -> Result<Option<(u32, u64, i64)>> {
    let found = match disk.metadata(path) {
        Err(error) if error.is_missing() => return Ok(None),
        other => other?,
    };
    let modified = found.modified.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let modified = i64::try_from(modified.as_secs()).unwrap_or(0);
    let (length, hash) = content::mark(disk, path)?;
    // A file longer than a mailbox can hold stays where it is.
    Ok(u32::try_from(length).ok().map(|size| (size, hash, modified)))
}

/// Below the account's folder.
pub(super) const QUARANTINE: &str = "posthaste-quarantine";
