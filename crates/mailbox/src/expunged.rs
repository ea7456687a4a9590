//! Letters that were expunged and are kept for a while: what they are called in
//! `ACCOUNT/posthaste-expunged/`, which of them there are, and their end (docs/mailbox.md §10).
//! The writer puts them there; `undelete` brings them back.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use disk::{Disk, FileType};
use protocol::time::Timestamp;

use crate::change::Why;
use crate::error::Result;
use crate::flags::Flags;
use crate::ids::{MailboxId, Uid};
use crate::keywords::Keyword;
use crate::letter::{self, Letter, OwnName, split_name};
use crate::limits::FILE_NAME_BYTES;
use crate::line;
use crate::name::MailboxName;
use crate::state::State;
use crate::statelog;
use crate::writer::remove_tree;

/// Below the account's folder.
pub(crate) const FOLDER: &str = "posthaste-expunged";

/// How long expunged letters are kept; asked each time, so that it may change.
#[derive(Clone)]
pub struct Retention(Arc<dyn Fn() -> Duration + Send + Sync>);

/// A letter that was expunged and is still kept.
#[derive(Debug, Clone)]
pub struct Expunged {
    /// What it is called by who wants it back.
    pub id: String,
    /// The mailbox that it was in.
    pub mailbox: MailboxId,
    /// That mailbox's name, where it was deleted since.
    pub deleted_mailbox: Option<MailboxName>,
    /// When it was expunged.
    pub expunged: Timestamp,
    /// INTERNALDATE.
    pub date: Timestamp,
    /// System flags as they were.
    pub flags: Flags,
    /// Keywords as they were.
    pub keywords: Vec<Keyword>,
    /// Octets.
    pub size: u64,
    /// Its file; more than one name where a crash came between.
    pub(crate) paths: Vec<PathBuf>,
}

/// What a purge came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Purged {
    /// Letters removed for good.
    pub letters: u64,
    /// Letters that stay.
    pub kept: u64,
    /// Their octets.
    pub kept_bytes: u64,
}

impl Retention {
    /// Expunged letters are kept as long as `time` says; zero: not at all.
    pub fn new(time: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Retention(Arc::new(time))
    }

    /// How long.
    pub(crate) fn time(&self) -> Duration {
        (self.0)()
    }

    pub(crate) fn keeps(&self) -> bool {
        !self.time().is_zero()
    }
}

impl Expunged {
    /// Removes it for good.
    pub(crate) fn remove(&self, disk: &dyn Disk) -> disk::Result<()> {
        for path in &self.paths {
            match disk.unlink(path) {
                Err(error) if error.is_missing() => {}
                other => other?,
            }
        }
        Ok(())
    }
}

impl Default for Retention {
    /// What is expunged is gone.
    fn default() -> Self {
        Retention::new(|| Duration::ZERO)
    }
}

impl fmt::Debug for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Retention({:?})", self.time())
    }
}

/// `WHEN.MAILBOX.DATE.NAME:2,FLAGS`, where NAME is what the file of a letter of ours is called,
/// with `,K=WORD+WORD` behind it where there are keywords and room for them.
pub(crate) fn file_name(when: i64, state: &State, letter: &Letter) -> String {
    let Letter { uid, size, saved, date, flags, .. } = *letter;
    let base = letter::own_name(saved, state.uid_validity, uid, size);
    let mut words: Vec<String> = state.keywords.of(letter.keywords).map(word).collect();
    words.sort();
    let keywords = if words.is_empty() { String::new() } else { format!(",K={}", words.join("+")) };
    let name = |keywords: &str| {
        format!("{when}.{}.{date}.{base}{keywords}:2,{}", state.id, flags.maildir())
    };
    let whole = name(&keywords);
    if whole.len() <= FILE_NAME_BYTES { whole } else { name("") }
}

/// The same of a letter of which only the file is known.
pub(crate) fn name_of_file(when: i64, mailbox: MailboxId, name: &OwnName, flags: Flags) -> String {
    let OwnName { saved, uid_validity, uid, size } = *name;
    let base = letter::own_name(saved, uid_validity, uid, size);
    format!("{when}.{mailbox}.{saved}.{base}:2,{}", flags.maildir())
}

/// `WHEN.MAILBOX.FOLDER`: the Maildir of a deleted mailbox.
pub(crate) fn tree_name(when: i64, mailbox: MailboxId, folder: &str) -> String {
    format!("{when}.{mailbox}.{folder}")
}

/// A keyword in a file name: `/` cannot be there, and `+ : ,` mean something.
fn word(keyword: &Keyword) -> String {
    let mut out = String::new();
    for byte in keyword.as_str().bytes() {
        match byte {
            b'%' | b'/' | b'+' | b':' | b',' => out.push_str(&format!("%{byte:02X}")),
            _ => out.push(char::from(byte)),
        }
    }
    out
}

/// The parts before the name: when, which mailbox, and the rest.
fn head(name: &str) -> Option<(i64, MailboxId, &str)> {
    let (when, rest) = name.split_once('.')?;
    let (mailbox, rest) = rest.split_once('.')?;
    Some((when.parse().ok()?, MailboxId(mailbox.parse().ok()?), rest))
}

fn parse_file(folder: &Path, name: &str) -> Option<Expunged> {
    let (when, mailbox, rest) = head(name)?;
    let (date, rest) = rest.split_once('.')?;
    let (base, flags) = split_name(rest);
    let (base, words) = base.split_once(",K=").map_or((base, None), |(base, k)| (base, Some(k)));
    let own = OwnName::parse(base)?;
    let words = words.into_iter().flat_map(|words| words.split('+'));
    let words = words.filter_map(|word| String::from_utf8(line::octets(word)?).ok());
    Some(Expunged {
        id: format!("{mailbox}.{}", own.uid),
        mailbox,
        deleted_mailbox: None,
        expunged: Timestamp::from_seconds(when),
        date: Timestamp::from_seconds(date.parse().ok()?),
        flags,
        keywords: words.filter_map(|word| Keyword::new(&word)).collect(),
        size: u64::from(own.size),
        paths: vec![folder.join(name)],
    })
}

/// All that is kept of an account's expunged letters, the oldest first; and the Maildirs of deleted
/// mailboxes.
pub(crate) struct Shelf {
    pub(crate) letters: Vec<Expunged>,
    trees: Vec<(Timestamp, PathBuf)>,
}

/// Reads what is kept of the account whose folder this is.
pub(crate) fn read(disk: &dyn Disk, account: &Path) -> Result<Shelf> {
    let folder = account.join(FOLDER);
    let mut shelf = Shelf { letters: Vec::new(), trees: Vec::new() };
    let entries = match disk.read_dir(&folder) {
        Err(error) if error.is_missing() => return Ok(shelf),
        other => other?,
    };
    let mut names: BTreeMap<MailboxId, MailboxName> = BTreeMap::new();
    for entry in entries {
        let Some(name) = entry.name.to_str() else { continue };
        if entry.file_type == FileType::Directory {
            let Some((when, mailbox, place)) = head(name) else { continue };
            let tree = folder.join(name);
            names.extend(MailboxName::from_folder(place).map(|name| (mailbox, name)));
            shelf.letters.extend(in_tree(disk, &tree, (when, mailbox))?);
            shelf.trees.push((Timestamp::from_seconds(when), tree));
        } else {
            shelf.letters.extend(parse_file(&folder, name));
        }
    }
    for letter in &mut shelf.letters {
        letter.deleted_mailbox = names.get(&letter.mailbox).cloned();
    }
    shelf.letters.sort_by(|a, b| (a.expunged, &a.id).cmp(&(b.expunged, &b.id)));
    let mut known: HashMap<String, usize> = HashMap::new();
    for letter in std::mem::take(&mut shelf.letters) {
        match known.get(&letter.id).and_then(|&at| shelf.letters.get_mut(at)) {
            Some(first) => first.paths.extend(letter.paths),
            None => {
                known.insert(letter.id.clone(), shelf.letters.len());
                shelf.letters.push(letter);
            }
        }
    }
    Ok(shelf)
}

/// Letters still in the Maildir of a deleted mailbox: a crash came before they were set aside one
/// by one, or another program brought them just before. Those that were moved out are elsewhere.
fn in_tree(
    disk: &dyn Disk,
    tree: &Path,
    (when, mailbox): (i64, MailboxId),
) -> Result<Vec<Expunged>> {
    let gone = statelog::gone(disk, tree)?;
    let moved = |uid: Uid| gone.iter().any(|(uids, why)| *why == Why::Moved && uids.contains(uid));
    let mut letters = Vec::new();
    for directory in ["new", "cur"] {
        let entries = match disk.read_dir(&tree.join(directory)) {
            Err(error) if error.is_missing() => continue,
            other => other?,
        };
        for entry in entries {
            let Some(name) = entry.name.to_str().filter(|name| !name.starts_with('.')) else {
                continue;
            };
            let path = tree.join(directory).join(name);
            let (base, flags) = split_name(name);
            let own = OwnName::parse(base);
            if own.is_some_and(|own| moved(own.uid)) {
                continue;
            }
            let found = disk.metadata(&path)?;
            let modified = found.modified.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
            let modified = i64::try_from(modified.as_secs()).unwrap_or(0);
            letters.push(Expunged {
                id: own.map_or_else(|| base.to_owned(), |own| format!("{mailbox}.{}", own.uid)),
                mailbox,
                deleted_mailbox: None,
                expunged: Timestamp::from_seconds(when),
                date: Timestamp::from_seconds(own.map_or(modified, |own| i64::from(own.saved))),
                flags,
                keywords: Vec::new(),
                size: found.length,
                paths: vec![path],
            });
        }
    }
    Ok(letters)
}

/// Removes what was expunged before `before`, and the oldest of the rest until at most `most`
/// octets are kept.
pub(crate) fn purge(
    disk: &dyn Disk,
    account: &Path,
    (before, most): (Timestamp, u64),
) -> Result<Purged> {
    let shelf = read(disk, account)?;
    let mut bytes: u64 = shelf.letters.iter().map(|letter| letter.size).sum();
    let mut purged = Purged::default();
    for letter in shelf.letters {
        if letter.expunged < before || bytes > most {
            letter.remove(disk)?;
            bytes = bytes.saturating_sub(letter.size);
            purged.letters += 1;
        } else {
            purged.kept += 1;
        }
    }
    for (when, tree) in shelf.trees {
        if when < before {
            remove_tree(disk, &tree)?;
        }
    }
    purged.kept_bytes = bytes;
    Ok(purged)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::change::{Added, Change};

    #[test]
    fn a_name_leads_back() {
        let mut state = State::new(MailboxId(7), 0x6a1f_0c12);
        let words = ["$Work", "a/b+c:d,e", "Reise"];
        let add = |uid: u32, keywords: Vec<Keyword>| {
            Change::Add(Box::new(Added {
                uid: Uid::new(uid).unwrap(),
                name: Some("1.host".to_owned()),
                saved: 1_795_381_596,
                date: -5,
                size: 4096,
                hash: 1,
                flags: Flags::SEEN | Flags::FLAGGED,
                keywords,
                delivery: None,
            }))
        };
        let words: Vec<Keyword> = words.iter().filter_map(|word| Keyword::new(word)).collect();
        state.apply(2, &add(9, words.clone())).unwrap();
        let letter = state.letters.iter().next().copied().unwrap();
        let name = file_name(1_795_400_000, &state, &letter);
        assert!(name.starts_with("1795400000.7.-5.1795381596.P6a1f0c12_9.posthaste,S=4096,K="));
        let back = parse_file(Path::new("/x"), &name).unwrap();
        assert_eq!((back.id.as_str(), back.size, back.flags), ("7.9", 4096, letter.flags));
        assert_eq!((back.date.as_seconds(), back.expunged.as_seconds()), (-5, 1_795_400_000));
        assert_eq!(back.keywords.len(), 3);
        assert!(words.iter().all(|word| back.keywords.contains(word)));
        // What has no room is left out, and the name still leads back.
        let long = (0..30).filter_map(|n| Keyword::new(&format!("keyword-number-{n}"))).collect();
        state.apply(3, &add(10, long)).unwrap();
        let letter = state.letters.iter().nth(1).copied().unwrap();
        let name = file_name(1, &state, &letter);
        assert!(name.len() <= FILE_NAME_BYTES && parse_file(Path::new("/x"), &name).is_some());
    }
}
