//! Somebody who reads: alice of blue, over IMAP, with a folder of her own. What was answered OK is
//! remembered and must hold; what was not answered makes the letter's fate open.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use integration_tests::{Conversation, Instance};

use crate::cluster::{PASSWORD, imap};
use crate::{Course, Random};

/// A mailbox as its owner knows it.
#[derive(Debug, Default, Clone)]
struct Folder {
    uid_validity: Option<String>,
    /// What each UID ever was, by the subject of its letter.
    history: BTreeMap<u32, String>,
    /// Letters that are there: flagged or not.
    there: BTreeMap<u32, bool>,
    /// Letters of which a change had no answer.
    unsure: BTreeSet<u32>,
    uid_next: u32,
}

/// What was seen and done.
#[derive(Debug, Default)]
pub(crate) struct Read {
    folders: BTreeMap<&'static str, Folder>,
    pub(crate) acknowledged: usize,
    count: usize,
}

const INBOX: &str = "INBOX";
const ARCHIVE: &str = "Archive";

/// Appends, flags, moves and expunges until told to stop.
pub(crate) fn reader(at: SocketAddr, seed: u64, course: &Course) -> Read {
    let mut random = Random::new(seed ^ 0xABCD);
    let mut read = Read::default();
    while course.goes_on() {
        let Some(mut talk) = log_in(at) else { continue };
        while course.goes_on() {
            let folder = if random.below(3) == 0 { ARCHIVE } else { INBOX };
            if read.look(&mut talk, folder).is_none() {
                break;
            }
            let deeds = 1 + random.below(8);
            if (0..deeds).any(|_| read.act(&mut talk, folder, &mut random, course).is_none()) {
                break;
            }
        }
    }
    read
}

fn log_in(at: SocketAddr) -> Option<Conversation> {
    let mut talk = Conversation::open(at);
    talk.try_line()?;
    ask(&mut talk, &format!("LOGIN alice@blue.test \"{PASSWORD}\""))?.ok()?;
    // It is there already, mostly.
    let _ = ask(&mut talk, &format!("CREATE {ARCHIVE}"))?;
    Some(talk)
}

/// A command and its answer: `None` when the connection ended, `Err` for NO and BAD.
fn ask(talk: &mut Conversation, command: &str) -> Option<Result<Vec<String>, String>> {
    talk.try_raw(format!("x {command}\r\n").as_bytes()).ok()?;
    answer(talk)
}

fn answer(talk: &mut Conversation) -> Option<Result<Vec<String>, String>> {
    let mut lines = Vec::new();
    loop {
        let line = talk.try_line()?;
        if let Some(last) = line.strip_prefix("x ") {
            let last = last.to_owned();
            lines.push(line);
            return Some(if last.starts_with("OK") { Ok(lines) } else { Err(last) });
        }
        lines.push(line);
    }
}

/// The number after a word.
fn after<T: std::str::FromStr>(lines: &[String], word: &str) -> Option<T> {
    let rest = lines.iter().find_map(|line| line.split_once(word))?.1;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    rest[..end].parse().ok()
}

impl Read {
    /// Opens a mailbox and compares all of it with what is known. `None`: the connection ended.
    fn look(&mut self, talk: &mut Conversation, name: &'static str) -> Option<()> {
        let Ok(selected) = ask(talk, &format!("SELECT {name}"))? else { return Some(()) };
        let fetch = "UID FETCH 1:* (FLAGS BODY.PEEK[HEADER.FIELDS (Subject)])";
        let Ok(fetched) = ask(talk, fetch)? else { return Some(()) };
        let folder = self.folders.entry(name).or_default();
        let validity: String = after(&selected, "[UIDVALIDITY ").expect("SELECT tells it");
        let known = folder.uid_validity.get_or_insert_with(|| validity.clone());
        assert_eq!(*known, validity, "UIDVALIDITY of {name} has changed");
        let next: u32 = after(&selected, "[UIDNEXT ").expect("SELECT tells it");
        assert!(next >= folder.uid_next, "{name}: UIDNEXT went back from {}", folder.uid_next);
        folder.uid_next = next;
        folder.compare(name, letters_of(&fetched));
        Some(())
    }

    /// Does one thing in the open mailbox.
    fn act(
        &mut self,
        talk: &mut Conversation,
        name: &'static str,
        random: &mut Random,
        course: &Course,
    ) -> Option<()> {
        let folder = self.folders.entry(name).or_default();
        let sure: Vec<u32> =
            folder.there.keys().filter(|uid| !folder.unsure.contains(uid)).copied().collect();
        let pick = sure.get(random.below(sure.len())).copied();
        let done = match (random.below(8), pick) {
            (0, Some(uid)) => self.expunge(talk, name, uid)?,
            (1, Some(uid)) if name == INBOX => self.archive(talk, uid)?,
            (2..=4, Some(uid)) => self.flag(talk, name, uid)?,
            _ => self.append(talk, name)?,
        };
        if done {
            self.acknowledged += 1;
            course.step();
        }
        Some(())
    }

    fn folder(&mut self, name: &'static str) -> &mut Folder {
        self.folders.entry(name).or_default()
    }

    fn append(&mut self, talk: &mut Conversation, name: &'static str) -> Option<bool> {
        self.count += 1;
        let subject = format!("note-{}", self.count);
        let lines = if self.count.is_multiple_of(9) { 4_000 } else { 5 };
        let body = "One of many lines, none of them new.\r\n".repeat(lines);
        let letter = format!("Subject: {subject}\r\n\r\n{body}");
        talk.try_raw(format!("x APPEND {name} {{{}+}}\r\n{letter}\r\n", letter.len()).as_bytes())
            .ok()?;
        let Ok(lines) = answer(talk)? else { return Some(false) };
        let code = lines.iter().find_map(|line| line.split_once("[APPENDUID ")).expect("UIDPLUS").1;
        let uid = code.split([' ', ']']).nth(1).and_then(|uid| uid.parse().ok()).expect("a UID");
        let folder = self.folder(name);
        let before = folder.history.insert(uid, subject.clone());
        assert!(before.is_none_or(|old| old == subject), "{name}: UID {uid} was given before");
        folder.there.insert(uid, false);
        Some(true)
    }

    fn flag(&mut self, talk: &mut Conversation, name: &'static str, uid: u32) -> Option<bool> {
        let flagged = self.folder(name).there[&uid];
        let sign = if flagged { '-' } else { '+' };
        self.folder(name).unsure.insert(uid);
        let done = ask(talk, &format!("UID STORE {uid} {sign}FLAGS.SILENT (\\Flagged)"))?.is_ok();
        let folder = self.folder(name);
        if done {
            folder.unsure.remove(&uid);
            folder.there.insert(uid, !flagged);
        }
        Some(done)
    }

    fn expunge(&mut self, talk: &mut Conversation, name: &'static str, uid: u32) -> Option<bool> {
        self.folder(name).unsure.insert(uid);
        if ask(talk, &format!("UID STORE {uid} +FLAGS.SILENT (\\Deleted)"))?.is_err() {
            return Some(false);
        }
        let done = ask(talk, &format!("UID EXPUNGE {uid}"))?.is_ok();
        if done {
            self.folder(name).unsure.remove(&uid);
            self.folder(name).there.remove(&uid);
        }
        Some(done)
    }

    /// From INBOX into the archive.
    fn archive(&mut self, talk: &mut Conversation, uid: u32) -> Option<bool> {
        self.folder(INBOX).unsure.insert(uid);
        let Ok(lines) = ask(talk, &format!("UID MOVE {uid} {ARCHIVE}"))? else {
            return Some(false);
        };
        let code = lines.iter().find_map(|line| line.split_once("[COPYUID ")).expect("UIDPLUS").1;
        let new = code.split([' ', ']']).nth(2).and_then(|uid| uid.parse().ok()).expect("a UID");
        let (subject, flagged) = {
            let folder = self.folder(INBOX);
            folder.unsure.remove(&uid);
            (folder.history[&uid].clone(), folder.there.remove(&uid).expect("it was there"))
        };
        let archive = self.folder(ARCHIVE);
        let before = archive.history.insert(new, subject.clone());
        assert!(before.is_none_or(|old| old == subject), "{ARCHIVE}: UID {new} was given before");
        archive.there.insert(new, flagged);
        Some(true)
    }
}

/// UID, subject and whether it is flagged, of each letter of an answer to FETCH.
fn letters_of(lines: &[String]) -> BTreeMap<u32, (String, bool)> {
    let mut letters = BTreeMap::new();
    let mut at_hand = None;
    for line in lines {
        if line.contains(" FETCH (") {
            let uid = after(std::slice::from_ref(line), "UID ");
            at_hand = uid.map(|uid: u32| (uid, line.contains("\\Flagged")));
        }
        if let (Some((uid, flagged)), Some((_, subject))) = (at_hand, line.split_once("Subject: "))
        {
            letters.insert(uid, (subject.trim().to_owned(), flagged));
        }
    }
    letters
}

impl Folder {
    fn compare(&mut self, name: &str, letters: BTreeMap<u32, (String, bool)>) {
        for (uid, (subject, flagged)) in &letters {
            let before = self.history.entry(*uid).or_insert_with(|| subject.clone());
            assert_eq!(before, subject, "{name}: UID {uid} is another letter now");
            match self.there.get(uid) {
                _ if self.unsure.contains(uid) => drop(self.there.insert(*uid, *flagged)),
                Some(known) => assert_eq!(known, flagged, "{name}: \\Flagged of UID {uid}"),
                // An APPEND or MOVE without an answer.
                None => drop(self.there.insert(*uid, *flagged)),
            }
        }
        self.there.retain(|uid, _| {
            let open = self.unsure.contains(uid);
            assert!(open || letters.contains_key(uid), "{name}: UID {uid} is gone");
            letters.contains_key(uid)
        });
        // What a look has told is sure again.
        self.unsure.clear();
    }
}

/// Once more, when all is quiet; and no letter is in both places.
pub(crate) fn compare(blue: &Instance, read: &Read) {
    let mut read = Read { folders: read.folders.clone(), ..Read::default() };
    let mut talk = imap(blue, "alice@blue.test");
    for name in [INBOX, ARCHIVE] {
        read.look(&mut talk, name).expect("nobody dies any more");
    }
    let subjects = |name: &'static str| -> BTreeSet<String> {
        let folder = &read.folders[name];
        folder.there.keys().map(|uid| folder.history[uid].clone()).collect()
    };
    let (inbox, archive) = (subjects(INBOX), subjects(ARCHIVE));
    let both: Vec<_> = inbox.intersection(&archive).collect();
    assert!(both.is_empty(), "in both mailboxes: {both:?}");
}
