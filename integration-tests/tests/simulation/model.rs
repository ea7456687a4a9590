//! What mailboxes must hold: simple enough to be right by looking at it. It knows what was answered
//! with yes, and for a deed without an answer that it may have happened.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use mailbox::{Flags, How};
use protocol::journey::JourneyId;

/// A change of one account's mailboxes.
#[derive(Debug, Clone)]
pub(crate) enum Deed {
    Deliver(JourneyId, Arc<[u8]>),
    Append(String, u8, Arc<[u8]>),
    Flags(String, (u32, u32), How, u8),
    Expunge(String),
    Copy(String, (u32, u32), String),
    Move(String, (u32, u32), String),
    Create(String),
    Rename(String, String),
    Delete(String),
}

/// What the store said of a deed that it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Done {
    /// Nothing but yes.
    Yes,
    /// The UIDs of letters that came.
    Uids(Vec<u32>),
    /// The delivery is a repeat: the UID it had.
    Repeated(u32),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Letter {
    /// `None`: it came by a deed without an answer.
    pub(crate) uid: Option<u32>,
    pub(crate) flags: u8,
    pub(crate) content: Arc<[u8]>,
}

/// The mailboxes of one account by name, and what was ever delivered to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Account {
    pub(crate) mailboxes: BTreeMap<String, Vec<Letter>>,
    pub(crate) delivered: BTreeSet<JourneyId>,
}

/// What a client sees of one mailbox.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) id: u32,
    pub(crate) uid_validity: u32,
    pub(crate) uid_next: u32,
    pub(crate) modseq: u64,
    /// UID, flags, size, and the content where it was read.
    pub(crate) letters: Vec<(u32, u8, usize, Option<Vec<u8>>)>,
}

impl Account {
    /// Does it; `Err` says that it cannot be done, or was done wrong.
    pub(crate) fn apply(&mut self, deed: &Deed, done: Option<&Done>) -> Result<(), String> {
        let mut came = Vec::new();
        let into = match deed {
            Deed::Deliver(journey, content) => {
                let first = self.delivered.insert(*journey);
                match (first, done) {
                    (true, Some(Done::Repeated(_))) => {
                        return Err(format!("{journey}: called a repeat, and is the first"));
                    }
                    (false, Some(Done::Uids(_))) => {
                        return Err(format!("{journey}: delivered twice"));
                    }
                    (false, _) => return Ok(()),
                    (true, _) => came.push((0, content.clone())),
                }
                "INBOX".to_owned()
            }
            Deed::Append(to, flags, content) => {
                came.push((*flags, content.clone()));
                to.clone()
            }
            Deed::Copy(from, range, to) | Deed::Move(from, range, to) => {
                let moves = matches!(deed, Deed::Move(..));
                let letters = self.letters(from)?;
                let wanted = |letter: &Letter| letter.uid.is_some_and(|uid| within(uid, *range));
                came.extend(
                    letters.iter().filter(|l| wanted(l)).map(|l| (l.flags, l.content.clone())),
                );
                if moves {
                    letters.retain(|letter| !wanted(letter));
                }
                to.clone()
            }
            _ => return self.rearrange(deed),
        };
        let uids = match done {
            Some(Done::Uids(uids)) if uids.len() != came.len() => {
                return Err(format!("{deed:?}: {uids:?} came, not {}", came.len()));
            }
            Some(Done::Uids(uids)) => Some(uids.clone()),
            _ => None,
        };
        let letters = self.letters(&into)?;
        for (place, (flags, content)) in came.into_iter().enumerate() {
            let uid = uids.as_ref().map(|uids| uids[place]);
            letters.push(Letter { uid, flags, content });
        }
        Ok(())
    }

    /// Deeds by which no letter comes.
    fn rearrange(&mut self, deed: &Deed) -> Result<(), String> {
        match deed {
            Deed::Flags(of, range, how, bits) => {
                let letters = self.letters(of)?.iter_mut();
                for letter in letters.filter(|l| l.uid.is_some_and(|uid| within(uid, *range))) {
                    letter.flags = match how {
                        How::Replace => *bits,
                        How::Add => letter.flags | bits,
                        How::Remove => letter.flags & !bits,
                    };
                }
            }
            Deed::Expunge(of) => {
                let deleted = Flags::DELETED.bits();
                self.letters(of)?.retain(|letter| letter.flags & deleted == 0);
            }
            Deed::Create(name) => match self.mailboxes.contains_key(name) {
                true => return Err(format!("{name} is there")),
                false => drop(self.mailboxes.insert(name.clone(), Vec::new())),
            },
            Deed::Rename(from, to) => {
                if self.mailboxes.contains_key(to) {
                    return Err(format!("{to} is there"));
                }
                let letters = self.mailboxes.remove(from).ok_or(format!("{from} is not there"))?;
                self.mailboxes.insert(to.clone(), letters);
            }
            Deed::Delete(name) => {
                self.mailboxes.remove(name).ok_or(format!("{name} is not there"))?;
            }
            _ => unreachable!("letters come by the others"),
        }
        Ok(())
    }

    fn letters(&mut self, name: &str) -> Result<&mut Vec<Letter>, String> {
        self.mailboxes.get_mut(name).ok_or_else(|| format!("{name} is not there"))
    }

    /// Whether clients see just this. UIDs that were not known are learnt.
    pub(crate) fn matches(&mut self, seen: &BTreeMap<String, Seen>) -> Result<(), String> {
        let names: Vec<_> = self.mailboxes.keys().collect();
        if names != seen.keys().collect::<Vec<_>>() {
            return Err(format!("mailboxes {names:?}, not {:?}", seen.keys()));
        }
        for ((name, letters), seen) in self.mailboxes.iter_mut().zip(seen.values()) {
            if letters.len() != seen.letters.len() {
                let uids = |s: &Seen| s.letters.iter().map(|l| l.0).collect::<Vec<_>>();
                let own: Vec<_> = letters.iter().map(|l| l.uid).collect();
                return Err(format!("{name} has UIDs {:?}, not {own:?}", uids(seen)));
            }
            for (letter, (uid, flags, size, content)) in letters.iter_mut().zip(&seen.letters) {
                if letter.uid.is_some_and(|known| known != *uid) {
                    return Err(format!("{name}: UID {uid}, not {:?}", letter.uid));
                }
                letter.uid = Some(*uid);
                if letter.flags != *flags {
                    return Err(format!("{name} {uid}: flags {flags}, not {}", letter.flags));
                }
                let whole = content.as_ref().is_none_or(|content| **content == *letter.content);
                if *size != letter.content.len() || !whole {
                    return Err(format!("{name} {uid}: not the letter that it was"));
                }
            }
        }
        Ok(())
    }
}

pub(crate) fn within(uid: u32, (from, to): (u32, u32)) -> bool {
    (from.min(to)..=from.max(to)).contains(&uid)
}
