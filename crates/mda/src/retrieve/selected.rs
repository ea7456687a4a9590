//! The mailbox that a session has selected: the view that its client knows, what is recent in it,
//! and the telling of changes. Not the commands. Called by all of them.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;

use mailbox::{Letter, Mailbox, ModSeq, Uid, UidSet, View};
use protocol::imap::command::StoreAction;
use protocol::imap::fetch::FetchData;
use protocol::imap::response::VanishedTime;
use protocol::imap::{Flag, NumberSet, Numbering, SequenceSet, Untagged, server::Server};

use super::convert;
use super::enable::Enabled;
use super::failure::Failure;

/// A selected mailbox.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) mailbox: Mailbox,
    pub(super) access: Access,
    /// What the client knows: sequence numbers are places in it, counted from 1.
    pub(super) view: View,
    /// UIDs that are `\Recent` in this session.
    recent: NumberSet,
    /// How many of these there are, as told last.
    recent_told: u32,
    /// Changes of ours that the client knows of already, or asked not to be told.
    own: HashSet<ModSeq>,
    /// What the client takes the flags of letters for that it has changed since `view`.
    believed: HashMap<Uid, Vec<Flag>>,
    /// Keywords of the mailbox that the client was told of.
    keywords: usize,
    /// `\Recent` is told; IMAP4rev2 does not know it.
    pub(super) tells_recent: bool,
    /// UIDs of the result that SEARCH SAVE kept (RFC 5182); empty at first.
    pub(super) saved: NumberSet,
}

/// How changes are told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Telling {
    pub(super) expunges: Expunges,
    pub(super) enabled: Enabled,
    /// Letters from this UID on are recent in this session.
    pub(super) recent_from: Option<Uid>,
}

/// SELECT or EXAMINE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    /// Changes are allowed.
    ReadWrite,
    /// Nothing may change (RFC 3501 §6.3.2).
    ReadOnly,
}

/// Whether letters may disappear from the client's numbering now (RFC 3501 §7.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Expunges {
    /// Told.
    Told,
    /// Not while FETCH, STORE and SEARCH by sequence number run.
    Held,
}

/// A letter with its sequence number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Numbered {
    pub(super) sequence: NonZeroU32,
    pub(super) letter: Letter,
}

impl Numbered {
    /// Its place in the view, counted from 0.
    pub(super) fn place(&self) -> usize {
        usize::try_from(self.sequence.get()).unwrap_or(usize::MAX) - 1
    }

    /// The number that the client wants.
    pub(super) fn number(&self, numbering: Numbering) -> u32 {
        match numbering {
            Numbering::Uid => self.letter.uid.get(),
            Numbering::Sequence => self.sequence.get(),
        }
    }
}

impl Selected {
    /// A mailbox whose letters from `recent_from` on are recent.
    pub(super) fn new(mailbox: Mailbox, access: Access, recent_from: Uid) -> Self {
        let view = mailbox.view();
        let keywords = view.keywords().all().len();
        let mut selected = Selected {
            mailbox,
            access,
            view,
            recent: NumberSet::new(),
            recent_told: 0,
            own: HashSet::new(),
            believed: HashMap::new(),
            keywords,
            tells_recent: true,
            saved: NumberSet::new(),
        };
        selected.add_recent(recent_from);
        selected.recent_told = selected.count_recent();
        selected
    }

    /// Letters of the view from this UID on are recent here.
    fn add_recent(&mut self, from: Uid) {
        let last = self.view.len().checked_sub(1).and_then(|last| self.view.at(last));
        if let Some(last) = last.filter(|last| last.uid >= from) {
            let mut pairs: Vec<(u32, u32)> = self.recent.ranges().collect();
            pairs.push((from.get(), last.uid.get()));
            self.recent = NumberSet::from_pairs(pairs);
        }
    }

    /// How many letters of the view are recent.
    pub(super) fn count_recent(&self) -> u32 {
        let places = self.uid_places(&self.recent).into_iter();
        count(places.map(|(from, to)| to - from).sum())
    }

    /// The largest sequence number.
    pub(super) fn exists(&self) -> u32 {
        count(self.view.len())
    }

    /// The flags of a letter, `\Recent` included.
    pub(super) fn flags(&self, view: &View, letter: &Letter) -> Vec<Flag> {
        let mut flags = convert::wire_flags(view, letter);
        if self.tells_recent && self.is_recent(letter.uid) {
            flags.push(Flag::Recent);
        }
        flags
    }

    /// Whether the letter is recent in this session.
    pub(super) fn is_recent(&self, uid: Uid) -> bool {
        self.recent.contains(uid.get())
    }

    /// The sequence number of a UID of the view.
    pub(super) fn sequence(&self, uid: Uid) -> Option<NonZeroU32> {
        self.view.letter(uid)?;
        NonZeroU32::new(count(self.view.place(uid)).saturating_add(1))
    }

    /// The ranges of places that a set means. A sequence number beyond the last is an error
    /// (RFC 3501 §9, `seq-number`); a UID that does not exist is passed over (§6.4.8).
    pub(super) fn places(
        &self,
        numbering: Numbering,
        set: &SequenceSet,
    ) -> Result<Vec<(usize, usize)>, Failure> {
        if *set == SequenceSet::Saved {
            // RFC 5182 §2.1: letters that went meanwhile are passed over, an empty set is none.
            return Ok(self.uid_places(&self.saved));
        }
        if numbering == Numbering::Uid {
            let last = self.view.len().checked_sub(1).and_then(|place| self.view.at(place));
            let numbers = set.resolve(last.map_or(0, |letter| letter.uid.get()));
            return Ok(self.uid_places(&numbers));
        }
        let exists = self.exists();
        let numbers = set.resolve(exists);
        if numbers.last().is_some_and(|last| last > exists) || numbers.is_empty() {
            return Err(Failure::bad(format!("the mailbox has {exists} letters")));
        }
        let place = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
        Ok(numbers.ranges().map(|(from, to)| (place(from) - 1, place(to))).collect())
    }

    /// The ranges of places of the letters with these UIDs.
    pub(super) fn uid_places(&self, numbers: &NumberSet) -> Vec<(usize, usize)> {
        let ranges = numbers.ranges().filter_map(|(from, to)| {
            let start = self.view.place(Uid::new(from)?);
            let after = to.checked_add(1).and_then(Uid::new);
            let end = after.map_or(self.view.len(), |after| self.view.place(after));
            Some((start, end)).filter(|(start, end)| start < end)
        });
        ranges.collect()
    }

    /// The letter at a place.
    pub(super) fn at(&self, place: usize) -> Option<Numbered> {
        let letter = self.view.at(place)?;
        let sequence = NonZeroU32::new(count(place).saturating_add(1))?;
        Some(Numbered { sequence, letter })
    }

    /// The UIDs that a set means.
    pub(super) fn uids(&self, numbering: Numbering, set: &SequenceSet) -> Result<UidSet, Failure> {
        let mut uids = UidSet::new();
        for (from, to) in self.places(numbering, set)? {
            // All UIDs between two neighbours of the view are of letters that are gone.
            let last = to.checked_sub(1).and_then(|last| self.view.at(last));
            if let (Some(first), Some(last)) = (self.view.at(from), last) {
                uids.insert_range(first.uid.get()..=last.uid.get());
            }
        }
        Ok(uids)
    }

    /// UIDs as the numbers that the client used.
    pub(super) fn numbers(&self, numbering: Numbering, uids: &UidSet) -> NumberSet {
        match numbering {
            Numbering::Uid => convert::wire_numbers(uids),
            Numbering::Sequence => {
                let letters = self.view.within(uids);
                let numbers = letters.filter_map(|letter| self.sequence(letter.uid));
                numbers.map(NonZeroU32::get).collect()
            }
        }
    }

    /// The client knows of this change of ours, or asked not to be told.
    pub(super) fn knows(&mut self, change: Option<ModSeq>) {
        self.own.extend(change);
    }

    /// Whether there is something to tell.
    pub(super) fn is_behind(&self) -> bool {
        !self.view.is_same(&self.mailbox.view())
    }

    /// Letters came that no session has been told of as recent.
    pub(super) fn has_unclaimed(&self, later: &View) -> bool {
        self.access == Access::ReadWrite
            && later.len().checked_sub(1).and_then(|last| later.at(last)).is_some_and(|letter| {
                letter.uid >= later.recent_from() && letter.uid >= self.view.uid_next()
            })
    }

    /// Tells the client what has changed, up to `later`. Letters from `recent_from` on, if given,
    /// are recent in this session. With expunges held back nothing is told if there are any: the
    /// client's numbers stay as they are.
    pub(super) fn tell(&mut self, machine: &mut Server, later: View, telling: Telling) {
        let Telling { expunges, enabled, recent_from } = telling;
        let changes = self.view.changes(&later);
        if expunges == Expunges::Held && !changes.gone.is_empty() {
            return;
        }
        if enabled.qresync && !changes.gone.is_empty() {
            // RFC 7162 §3.2.10: never EXPUNGE once QRESYNC is enabled.
            let uids = convert::numbers(changes.gone.iter().copied());
            machine.untagged(&Untagged::Vanished { uids, time: VanishedTime::Now });
        } else {
            // From the end on, no number changes under the next.
            for uid in changes.gone.iter().rev() {
                if let Some(sequence) = self.sequence(*uid) {
                    machine.untagged(&Untagged::Expunge(sequence));
                }
            }
        }
        self.view = later;
        self.tell_keywords(machine);
        if let Some(first) = recent_from {
            self.add_recent(first);
        }
        if !changes.came.is_empty() {
            machine.untagged(&Untagged::Exists(self.exists()));
        }
        let recent = self.count_recent();
        if !changes.came.is_empty() || recent != self.recent_told {
            // RFC 9051 appendix E: IMAP4rev2 knows nothing recent.
            if !enabled.rev2 {
                machine.untagged(&Untagged::Recent(recent));
            }
            self.recent_told = recent;
        }
        for letter in &changes.changed {
            if self.own.contains(&letter.modseq) {
                continue;
            }
            if let Some(sequence) = self.sequence(letter.uid) {
                // RFC 3501 §7.4.2: flags changed by others; the UID helps clients that wait.
                machine.fetch_begin(sequence);
                machine.fetch_item(&FetchData::Uid(letter.uid));
                machine.fetch_item(&FetchData::Flags(self.flags(&self.view, letter)));
                if enabled.condstore {
                    machine.fetch_item(&FetchData::ModSeq(letter.modseq));
                }
                machine.fetch_end();
            }
        }
        self.own.clear();
        self.believed.clear();
    }

    /// The client has changed a letter and is told its flags as they are `now`.
    pub(super) fn believes(&mut self, uid: Uid, now: Vec<Flag>) {
        self.believed.insert(uid, now);
    }

    /// The client has changed a letter and is told nothing of it: whether it takes the flags for
    /// what they are `now`. It does not if somebody else has changed them as well.
    pub(super) fn guesses(
        &self,
        letter: &Letter,
        (action, flags): (StoreAction, &[Flag]),
        now: &[Flag],
    ) -> bool {
        let before = || convert::wire_flags(&self.view, letter);
        let mut guess = match action {
            StoreAction::Replace => Vec::new(),
            _ => self.believed.get(&letter.uid).cloned().unwrap_or_else(before),
        };
        guess.retain(|flag| !flags.contains(flag));
        if action != StoreAction::Remove {
            guess.extend_from_slice(flags);
        }
        let is_in = |all: &[Flag], some: &[Flag]| some.iter().all(|flag| all.contains(flag));
        is_in(now, &guess) && is_in(&guess, now)
    }

    /// New keywords are told before the flags that hold them (RFC 3501 §7.2.6).
    fn tell_keywords(&mut self, machine: &mut Server) {
        let view = self.view.clone();
        self.tell_keywords_of(&view, machine);
    }

    /// The same, before the flags of letters as they are now are told.
    pub(super) fn tell_new_keywords(&mut self, machine: &mut Server) {
        let now = self.mailbox.view();
        self.tell_keywords_of(&now, machine);
    }

    fn tell_keywords_of(&mut self, view: &View, machine: &mut Server) {
        let count = view.keywords().all().len();
        if count != self.keywords {
            self.keywords = count;
            machine.untagged(&Untagged::Flags(flags_of(view)));
        }
    }

    /// Every flag that the mailbox knows.
    pub(super) fn known_flags(&self) -> Vec<Flag> {
        flags_of(&self.view)
    }

    /// Refuses what a mailbox opened with EXAMINE does not allow.
    pub(super) fn writable(&self) -> Result<(), Failure> {
        match self.access {
            Access::ReadWrite => Ok(()),
            Access::ReadOnly => Err(Failure::no(
                protocol::imap::ConditionCode::NoPerm,
                "the mailbox was opened read-only",
            )),
        }
    }
}

fn flags_of(view: &View) -> Vec<Flag> {
    let system = convert::SYSTEM.map(|(_, flag)| flag);
    let keywords = view.keywords().all().iter().filter_map(convert::wire_keyword);
    system.into_iter().chain(keywords).collect()
}

/// A number of letters for the wire; UIDs have 32 bits, so there are no more letters.
pub(super) fn count(letters: usize) -> u32 {
    u32::try_from(letters).unwrap_or(u32::MAX)
}
