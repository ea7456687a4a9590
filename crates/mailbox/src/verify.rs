//! Reading letters through and comparing them with their records: what rots on a disk is found
//! before its owner does. What is found to be damaged is isolated, and what is well again released
//! (`writer::isolate`). A piece at a time, so that who asks decides how fast.

use crate::ask::Ask;
use crate::checksum::LetterHash;
use crate::content::Content;
use crate::error::{Error, Result};
use crate::ids::{AccountId, Uid};
use crate::letter::Letter;
use crate::limits::{FINDINGS, INDEX_READ};
use crate::mailbox::Mailbox;
use crate::name::MailboxName;
use crate::open::Mailboxes;

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Letters that are as they were stored.
    pub letters: u64,
    /// Octets read.
    pub bytes: u64,
    /// Letters that are not; at most [`FINDINGS`] of them.
    pub findings: Vec<Finding>,
    /// Letters that were isolated and are well again.
    pub released: u64,
    /// Where to go on in the mailbox; `None`: it was read to its end.
    pub next: Option<Uid>,
}

/// A letter that is not as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where it is.
    pub mailbox: MailboxName,
    /// Which one.
    pub uid: Uid,
    /// What is wrong, in words.
    pub what: String,
    /// It is isolated; otherwise it could not be read this time.
    pub isolated: bool,
    /// It was not known to be damaged.
    pub is_new: bool,
}

impl Verified {
    /// Both together, as far as the other one came.
    pub fn add(&mut self, other: Verified) {
        self.letters += other.letters;
        self.bytes += other.bytes;
        self.released += other.released;
        self.findings.extend(other.findings);
        self.findings.truncate(FINDINGS);
        self.next = other.next;
    }
}

impl Mailboxes {
    /// Reads letters of one mailbox from a UID on, until about `octets` were read, and compares
    /// them with their records. Works on a thread of its own; mail comes and goes meanwhile.
    ///
    /// # Errors
    /// When the mailbox is gone, or damage was found and could not be put on record.
    pub async fn verify_some(
        &self,
        mailbox: &Mailbox,
        name: &MailboxName,
        (from, octets): (Uid, u64),
    ) -> Result<Verified> {
        let (of, called) = (mailbox.clone(), name.clone());
        let work = move || read_through(&of, &called, (from, octets));
        let mut pass = crate::thread::run("verify a mailbox", work).await?;
        if !pass.missing.is_empty() {
            // Another program's doing, which is not damage; the rest is.
            self.look(mailbox).await?;
            let view = mailbox.view();
            pass.missing.retain(|finding| view.letter(finding.uid).is_some());
            pass.verified.findings.append(&mut pass.missing);
        }
        let new = |finding: &&Finding| finding.isolated && finding.is_new;
        let damaged: Vec<Uid> = pass.verified.findings.iter().filter(new).map(|f| f.uid).collect();
        let of = mailbox.address().clone();
        if !damaged.is_empty() {
            self.done(Ask::Isolate(of.clone(), damaged)).await?;
        }
        if !pass.well.is_empty() {
            pass.verified.released = pass.well.len() as u64;
            self.done(Ask::Release(of, pass.well)).await?;
        }
        Ok(pass.verified)
    }

    /// Reads every letter of an account, mailbox by mailbox.
    ///
    /// # Errors
    /// As [`Mailboxes::verify_some`].
    pub async fn verify(&self, account: &AccountId) -> Result<Verified> {
        let mut verified = Verified::default();
        for listed in self.account(account).await?.mailboxes.iter() {
            let mailbox = match self.open_mailbox(account, listed.id).await {
                Err(Error::NoSuchMailbox) => continue,
                other => other?,
            };
            self.look(&mailbox).await?;
            let whole = (Uid::MIN, u64::MAX);
            verified.add(self.verify_some(&mailbox, &listed.name, whole).await?);
        }
        Ok(verified)
    }
}

#[derive(Default)]
struct Pass {
    verified: Verified,
    missing: Vec<Finding>,
    well: Vec<Uid>,
}

/// Reads letters of one mailbox, as they were when it began.
fn read_through(mailbox: &Mailbox, name: &MailboxName, (from, octets): (Uid, u64)) -> Pass {
    let mut pass = Pass::default();
    let view = mailbox.view();
    for letter in view.letters().filter(|letter| letter.uid >= from) {
        if pass.verified.bytes >= octets {
            pass.verified.next = Some(letter.uid);
            break;
        }
        pass.verified.bytes += u64::from(letter.size);
        let was_isolated = mailbox.is_isolated(letter.uid);
        let outcome = read(mailbox, letter);
        let is_missing = !was_isolated && outcome == Err(Error::NoSuchLetter);
        let (what, isolated) = match outcome {
            Ok(true) => {
                pass.verified.letters += 1;
                pass.well.extend(was_isolated.then_some(letter.uid));
                continue;
            }
            // Expunged while we were reading others.
            _ if mailbox.view().letter(letter.uid).is_none() => continue,
            Err(Error::NoSuchLetter) if was_isolated => {
                ("it is damaged; its file is in the quarantine".to_owned(), true)
            }
            Err(Error::NoSuchLetter) => ("its file is missing".to_owned(), false),
            Ok(false) => ("its octets are not those that were stored".to_owned(), true),
            Err(Error::Damaged(why)) => (why, true),
            Err(error) => (format!("it cannot be read: {error}"), false),
        };
        let (mailbox, uid) = (name.clone(), letter.uid);
        let finding = Finding { mailbox, uid, what, isolated, is_new: !was_isolated };
        match is_missing {
            true => pass.missing.push(finding),
            false if pass.verified.findings.len() < FINDINGS => {
                pass.verified.findings.push(finding)
            }
            false => {}
        }
    }
    pass
}

/// Whether the letter has the octets that were stored. A second reading decides where the first one
/// says no: the letter may have been laid out or moved meanwhile.
fn read(mailbox: &Mailbox, letter: &Letter) -> Result<bool> {
    let is_right = || Ok(hash(&mailbox.content_of_any(letter)?)? == letter.hash);
    match is_right() {
        Ok(true) => Ok(true),
        _ => is_right(),
    }
}

fn hash(content: &Content) -> Result<u64> {
    let mut hash = LetterHash::default();
    let mut at = 0;
    while at < content.size() {
        let chunk = content.read(at, INDEX_READ)?;
        at += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(hash.finish())
}
