//! Reading letters through and comparing them with their records: what rots on a disk is found
//! before its owner does. Changes nothing.

use crate::checksum::LetterHash;
use crate::error::{Error, Result};
use crate::ids::Uid;
use crate::letter::Letter;
use crate::limits::{FINDINGS, INDEX_READ};
use crate::mailbox::Mailbox;
use crate::name::MailboxName;

/// What a verification came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verified {
    /// Letters read.
    pub letters: u64,
    /// Their octets.
    pub bytes: u64,
    /// Letters that are not as they were stored; at most [`FINDINGS`] of them.
    pub findings: Vec<Finding>,
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
}

impl Verified {
    pub(crate) fn add(&mut self, other: Verified) {
        self.letters += other.letters;
        self.bytes += other.bytes;
        self.findings.extend(other.findings);
        self.findings.truncate(FINDINGS);
    }
}

/// Reads the letters of one mailbox, as they were when it began.
pub(crate) fn mailbox(mailbox: &Mailbox, name: &MailboxName) -> Verified {
    let mut verified = Verified::default();
    for letter in mailbox.view().letters() {
        match hash(mailbox, letter) {
            Ok(hash) if hash == letter.hash => {
                verified.letters += 1;
                verified.bytes += u64::from(letter.size);
            }
            // Expunged while we were reading others.
            Err(_) if mailbox.view().letter(letter.uid).is_none() => {}
            outcome => verified.add(Verified {
                findings: vec![Finding {
                    mailbox: name.clone(),
                    uid: letter.uid,
                    what: match outcome {
                        Ok(_) => "its octets are not those that were stored".to_owned(),
                        Err(Error::NoSuchLetter) => "its file is missing".to_owned(),
                        Err(Error::Damaged(why)) => why,
                        Err(error) => format!("it cannot be read: {error}"),
                    },
                }],
                ..Verified::default()
            }),
        }
    }
    verified
}

fn hash(mailbox: &Mailbox, letter: &Letter) -> Result<u64> {
    let content = mailbox.content(letter)?;
    let mut hash = LetterHash::default();
    let mut at = 0;
    while at < content.size() {
        let chunk = content.read(at, INDEX_READ)?;
        at += chunk.len() as u64;
        hash.update(&chunk);
    }
    Ok(hash.finish())
}
