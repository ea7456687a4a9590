//! What the world was promised, and whether it was kept: every letter answered 250 is there, once
//! and whole, or was given back; what people did to their folders holds; numbers do not go back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mailbox::{AccountId, Mailboxes};
use service::ledger::{Fact, Ledger};

use crate::house::House;
use crate::model::{Account, Deed, Done, Seen};

/// The names before the `@` of our accounts.
pub(crate) const PEOPLE: [&str; 2] = ["alice", "bob"];

/// Elsewhere: one who takes letters, and one who does not exist.
pub(crate) const CAROL: &str = "carol@blue.test";
pub(crate) const NOBODY: &str = "nobody@blue.test";

/// What became of a letter, as its sender knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The end of its data was never sent.
    Unsent,
    /// The end was sent, and nothing was heard.
    Unknown,
    Accepted,
    Refused,
}

/// A letter that somebody sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    /// From its token on, as it was sent.
    pub(crate) text: Vec<u8>,
    pub(crate) to: Vec<String>,
    pub(crate) outcome: Outcome,
}

/// What must never go back, of one mailbox.
#[derive(Debug, Clone, Default)]
struct History {
    uid_validity: u32,
    highest_uid: u32,
    modseq: u64,
    /// Which letter a UID of INBOX is.
    letters: BTreeMap<u32, Vec<u8>>,
}

/// Everything that is known outside.
#[derive(Debug, Default)]
pub(crate) struct Promises {
    pub(crate) sent: Vec<Sent>,
    /// How often the other system said 250 for a letter and a recipient.
    pub(crate) relayed: BTreeMap<(usize, String), u64>,
    /// The folders of alice, without INBOX.
    pub(crate) folders: Account,
    /// Deeds without an answer: each happened or did not.
    pub(crate) unsure: Vec<Deed>,
    /// Somebody works with them now.
    pub(crate) busy: bool,
    /// A UID that was told twice, or another lie that a client has noticed at once.
    pub(crate) wrong: Option<String>,
    histories: BTreeMap<(usize, u32), History>,
    /// Clients that have not ended.
    pub(crate) people: usize,
}

/// Clones are the same.
pub(crate) type Known = Arc<Mutex<Promises>>;

pub(crate) fn known(of: &Known) -> MutexGuard<'_, Promises> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The token that a letter is known by.
pub(crate) fn token(number: usize) -> String {
    format!("X-Token: {number:06}\r\n")
}

fn token_of(bytes: &[u8]) -> Option<(usize, usize)> {
    let at = bytes.windows(9).position(|window| window == b"X-Token: ")?;
    let digits = std::str::from_utf8(bytes.get(at + 9..at + 15)?).ok()?;
    Some((at, digits.parse().ok()?))
}

impl Promises {
    /// A deed was answered with yes.
    pub(crate) fn answered(&mut self, deed: &Deed, done: &Done) {
        if let Err(why) = self.folders.apply(deed, Some(done)) {
            self.wrong.get_or_insert(format!("{deed:?} was answered {done:?}: {why}"));
        }
    }

    fn count(&self, which: usize, inbox: &Seen, sure: Sure) -> Result<(), String> {
        let person = PEOPLE[which];
        let address = format!("{person}@red.test");
        let mut here: BTreeMap<usize, u64> = BTreeMap::new();
        let mut returned: BTreeMap<usize, u64> = BTreeMap::new();
        for (uid, _, _, content) in &inbox.letters {
            let content = content.as_deref().unwrap_or_default();
            let Some((at, number)) = token_of(content) else {
                return Err(format!("{person} INBOX {uid} is nobody's letter"));
            };
            let Some(sent) = self.sent.get(number) else {
                return Err(format!("{person} INBOX {uid} has the token {number}"));
            };
            let is_report = content.windows(12).any(|window| window == b"Action: fail");
            if is_report {
                *returned.entry(number).or_default() += 1;
                continue;
            }
            *here.entry(number).or_default() += 1;
            if content[at..] != sent.text {
                return Err(format!("{person} INBOX {uid}: letter {number} is not whole"));
            }
            if sent.outcome == Outcome::Unsent || !sent.to.contains(&address) {
                return Err(format!("{person} has letter {number}, which never came"));
            }
        }
        if let Some((number, times)) = here.iter().find(|(_, times)| **times > 1) {
            return Err(format!("{person} has letter {number} {times} times"));
        }
        for (number, sent) in self.sent.iter().enumerate() {
            let is_promised = sent.outcome == Outcome::Accepted && sure == Sure::AtRest;
            if is_promised && sent.to.contains(&address) && !here.contains_key(&number) {
                return Err(format!("{person} does not have letter {number}"));
            }
            let failed = sent.to.iter().any(|to| to == NOBODY);
            let reports = returned.get(&number).copied().unwrap_or(0);
            if reports > 1 || (reports == 1 && !failed) {
                return Err(format!("letter {number} was given back {reports} times"));
            }
            if is_promised && failed && which == 0 && reports == 0 {
                return Err(format!("letter {number} was neither relayed nor given back"));
            }
        }
        Ok(())
    }

    fn check_relayed(&self, excuses: u64) -> Result<(), String> {
        for ((number, to), times) in &self.relayed {
            if *times > 1 + excuses {
                return Err(format!("letter {number} was relayed to {to} {times} times"));
            }
            if self.sent.get(*number).is_none_or(|sent| sent.outcome == Outcome::Unsent) {
                return Err(format!("letter {number} was relayed, and never came"));
            }
        }
        for (number, sent) in self.sent.iter().enumerate() {
            let key = (number, CAROL.to_owned());
            let wanted = sent.outcome == Outcome::Accepted && sent.to.contains(&key.1);
            if wanted && !self.relayed.contains_key(&key) {
                return Err(format!("letter {number} never reached {CAROL}"));
            }
        }
        Ok(())
    }

    /// Which of the deeds without an answer happened is found out by looking.
    fn settle_folders(&mut self, seen: &BTreeMap<String, Seen>) -> Result<(), String> {
        let unsure = std::mem::take(&mut self.unsure);
        let mut why = String::new();
        let found = (0..1u64 << unsure.len().min(8)).find_map(|which| {
            let mut folders = self.folders.clone();
            for (_, deed) in unsure.iter().enumerate().filter(|(n, _)| which >> n & 1 == 1) {
                folders.apply(deed, None).ok()?;
            }
            match folders.matches(seen) {
                Ok(()) => Some(folders),
                Err(differs) => {
                    why = format!("{why}; {differs}");
                    None
                }
            }
        });
        self.folders = found.ok_or_else(|| format!("alice's folders{why}; unsure: {unsure:?}"))?;
        Ok(())
    }

    fn remember(&mut self, which: usize, name: &str, seen: &Seen) -> Result<(), String> {
        let old = self.histories.entry((which, seen.id)).or_default();
        if old.uid_validity != 0 && old.uid_validity != seen.uid_validity {
            return Err(format!("{name}: UIDVALIDITY has changed"));
        }
        let highest = seen.letters.iter().map(|letter| letter.0).max().unwrap_or(0);
        if seen.modseq < old.modseq || seen.uid_next <= old.highest_uid.max(highest) {
            let (uid, modseq) = (seen.uid_next, seen.modseq);
            return Err(format!("{name}: UIDNEXT is {uid}, MODSEQ {modseq}, after {old:?}"));
        }
        old.uid_validity = seen.uid_validity;
        old.modseq = seen.modseq;
        old.highest_uid = old.highest_uid.max(highest);
        if name != "INBOX" {
            return Ok(());
        }
        for (uid, _, _, content) in &seen.letters {
            let content = content.clone().unwrap_or_default();
            let known = old.letters.entry(*uid).or_insert_with(|| content.clone());
            if *known != content {
                return Err(format!("INBOX {uid} is another letter than it was"));
            }
        }
        let there: BTreeSet<u32> = seen.letters.iter().map(|letter| letter.0).collect();
        match old.letters.keys().find(|uid| !there.contains(uid)) {
            Some(uid) => Err(format!("INBOX {uid} was seen and is gone")),
            None => Ok(()),
        }
    }
}

/// How much can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sure {
    /// Letters are on their way.
    Underway,
    /// Nothing moves any more.
    AtRest,
}

impl House {
    /// Everything that was promised holds.
    pub(crate) fn check(&mut self, promises: &Known, sure: Sure) -> Result<(), String> {
        if let Some(wrong) = known(promises).wrong.take() {
            return Err(wrong);
        }
        for which in 0..PEOPLE.len() {
            let mut seen = self.look(which)?;
            let mut promises = known(promises);
            for (name, mailbox) in &seen {
                promises.remember(which, name, mailbox)?;
            }
            let inbox = seen.remove("INBOX").ok_or("there is no INBOX")?;
            promises.count(which, &inbox, sure)?;
            if which == 0 && !promises.busy {
                promises.settle_folders(&seen)?;
            }
        }
        if sure == Sure::AtRest {
            known(promises).check_relayed(self.deaths + self.net.broken())?;
            self.balance()?;
        }
        Ok(())
    }

    /// Everything that a client of this account can see.
    pub(crate) fn look(&mut self, which: usize) -> Result<BTreeMap<String, Seen>, String> {
        let mailboxes = self.mailboxes()?;
        let account = AccountId::new("red.test", PEOPLE[which]).map_err(|e| format!("{e:?}"))?;
        let seen = self.drive(async move { look(&mailboxes, &account).await })?;
        seen.map_err(|why| {
            self.tell(|| format!("files: {:?}", self.mail_disk.files().keys()));
            format!("{}: {why}", PEOPLE[which])
        })
    }

    /// The ledger balances.
    fn balance(&mut self) -> Result<(), String> {
        let (queue, mailboxes) = (self.letters()?, self.mailboxes()?);
        let facts = self.drive(async move {
            let mut facts = mta::control::facts(&queue).await.map_err(|e| e.to_string())?;
            facts.extend(mda::facts(&mailboxes).await.map_err(|e| format!("{e:?}"))?);
            Ok::<Vec<Fact>, String>(facts)
        })??;
        let mut ledger = Ledger::new();
        ledger.mailboxes_are_known();
        facts.into_iter().for_each(|fact| ledger.take(fact));
        let balance = ledger.balance();
        if balance.holds() { Ok(()) } else { Err(format!("the ledger: {balance:?}")) }
    }
}

async fn look(
    mailboxes: &Mailboxes,
    account: &AccountId,
) -> Result<BTreeMap<String, Seen>, String> {
    let text = |error: mailbox::Error| format!("{error:?}");
    let view = mailboxes.account(account).await.map_err(text)?;
    let mut all = BTreeMap::new();
    for listed in view.mailboxes.iter() {
        let mailbox = mailboxes.open_mailbox(account, listed.id).await.map_err(text)?;
        let view = mailbox.view();
        let mut letters = Vec::new();
        for letter in view.letters() {
            let read = mailbox.content(letter).and_then(|content| content.read_all());
            let content =
                read.map_err(|error| format!("{} {}: {error:?}", listed.name, letter.uid))?;
            let (uid, flags) = (letter.uid.get(), letter.flags.bits());
            letters.push((uid, flags, letter.size as usize, Some(content.to_vec())));
        }
        let seen = Seen {
            id: mailbox.id().0,
            uid_validity: view.uid_validity(),
            uid_next: view.uid_next().get(),
            modseq: view.highest_modseq(),
            letters,
        };
        all.insert(listed.name.as_str().to_owned(), seen);
    }
    Ok(all)
}
