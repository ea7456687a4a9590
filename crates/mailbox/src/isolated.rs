//! Letters that are isolated: their files were found not to be what was stored, and lie in
//! `posthaste-quarantine` until somebody restores them (docs/mailbox.md §11). The list of one
//! account; the writer owns it, and `verify` finds what comes on it and what goes.

use std::collections::BTreeMap;
use std::path::Path;

use disk::{Disk, Mode, read_whole, replace_whole};

use crate::ids::{MailboxId, Uid};
use crate::limits::ISOLATED_BYTES;
use crate::line::{self, Lines};

/// Below the account's folder.
const FILE: &str = "posthaste-isolated";

const FIRST_LINE: &str = "posthaste isolated 1\n";

/// An account's isolated letters, each with the name of its file in the quarantine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Isolated(BTreeMap<(MailboxId, Uid), String>);

impl Isolated {
    /// Reads the list. What cannot be read of it is found again by the next verification.
    pub(crate) fn read(disk: &dyn Disk, account: &Path) -> disk::Result<Self> {
        let bytes = match read_whole(disk, &account.join(FILE), ISOLATED_BYTES) {
            Err(error) if error.is_missing() => return Ok(Isolated::default()),
            other => other?,
        };
        if !bytes.starts_with(FIRST_LINE.as_bytes()) {
            return Ok(Isolated::default());
        }
        let lines = Lines::read(&bytes, FIRST_LINE.len());
        Ok(Isolated(lines.good.iter().filter_map(|line| parse(line)).collect()))
    }

    /// Writes the list; durable when it returns.
    pub(crate) fn write(&self, disk: &dyn Disk, account: &Path) -> disk::Result<()> {
        let mut bytes = FIRST_LINE.as_bytes().to_vec();
        for ((mailbox, uid), file) in &self.0 {
            line::push(&mut bytes, &format!("{mailbox} {uid} {}", line::word(Some(file))));
        }
        replace_whole(disk, &account.join(FILE), Mode::PRIVATE, &bytes)
    }

    pub(crate) fn has(&self, mailbox: MailboxId, uid: Uid) -> bool {
        self.0.contains_key(&(mailbox, uid))
    }

    /// The UIDs of one mailbox.
    pub(crate) fn of(&self, mailbox: MailboxId) -> impl Iterator<Item = Uid> + '_ {
        self.0.range((mailbox, Uid::MIN)..=(mailbox, Uid::MAX)).map(|((_, uid), _)| *uid)
    }

    pub(crate) fn put(&mut self, mailbox: MailboxId, uid: Uid, file: String) {
        self.0.insert((mailbox, uid), file);
    }

    pub(crate) fn take(&mut self, mailbox: MailboxId, uid: Uid) -> Option<String> {
        self.0.remove(&(mailbox, uid))
    }
}

fn parse(line: &str) -> Option<((MailboxId, Uid), String)> {
    let mut words = line.splitn(3, ' ');
    let mailbox = MailboxId(words.next()?.parse().ok()?);
    let uid = words.next()?.parse().ok()?;
    Some(((mailbox, uid), line::text(words.next()?)??))
}
