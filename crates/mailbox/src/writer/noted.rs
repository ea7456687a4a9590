//! What is known of Maildirs whose mailboxes are not in memory: the times of their directories when
//! nothing unknown was in them. It spares whoever opens one of them reading a directory of many
//! letters, also after a clean stop. After a crash nothing is known: the note on disk is taken away
//! before anything is changed, and written again only at the end.

use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

use disk::{Access, Disk, Mode};
use protocol::time::Timestamp;

use super::look::Seen;
use super::{OWN_FOLDER, Writer};
use crate::ask::Address;
use crate::checksum::crc32c;
use crate::error::Result;
use crate::ids::{AccountId, MailboxId};
use crate::limits::{NOTED_BYTES, NOTED_MAILBOXES};

const FIRST_LINE: &str = "posthaste seen 1";
const FILE: &str = "seen";

/// Reads the note of a clean stop, and takes it away for good.
pub(super) fn take(disk: &dyn Disk, own: &Path) -> Result<HashMap<Address, Seen>> {
    let path = own.join(FILE);
    let file = match disk.open(&path, Access::Read) {
        Err(error) if error.is_missing() => return Ok(HashMap::new()),
        other => other?,
    };
    let length = file.length()?.min(NOTED_BYTES);
    let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
    let mut done = 0;
    while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
        match file.read_at(done as u64, rest)? {
            0 => break,
            read => done += read,
        }
    }
    disk.unlink(&path)?;
    disk.sync_dir(own)?;
    // Whatever is wrong with it: then nothing is known.
    Ok(std::str::from_utf8(&bytes).ok().and_then(parse).unwrap_or_default())
}

fn parse(text: &str) -> Option<HashMap<Address, Seen>> {
    let (sum, rest) = text.strip_prefix(FIRST_LINE)?.strip_prefix(' ')?.split_once('\n')?;
    (u32::from_str_radix(sum, 16).ok()? == crc32c(rest.as_bytes())).then_some(())?;
    rest.lines().map(parse_line).collect()
}

/// `ACCOUNT MAILBOX NEW CUR READ UNSURE`: times of directories in nanoseconds, of the reading in
/// microseconds.
fn parse_line(line: &str) -> Option<(Address, Seen)> {
    let mut words = line.rsplitn(6, ' ');
    let unsure = words.next()? == "1";
    let read = Timestamp::from_micros(words.next()?.parse().ok()?);
    let mut time = || {
        let nanos: u64 = words.next()?.parse().ok()?;
        SystemTime::UNIX_EPOCH.checked_add(Duration::from_nanos(nanos))
    };
    let (cur, new) = (time()?, time()?);
    let mailbox = MailboxId(words.next()?.parse().ok()?);
    let (name, domain) = words.next()?.rsplit_once('@')?;
    let account = AccountId::new(domain, name).ok()?;
    Some((Address { account, mailbox }, Seen { times: (new, cur), read, unsure }))
}

fn line(address: &Address, seen: &Seen) -> Option<String> {
    let nanos = |time: SystemTime| {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
        u64::try_from(since.as_nanos()).ok()
    };
    let (new, cur) = (nanos(seen.times.0)?, nanos(seen.times.1)?);
    let Address { account, mailbox } = address;
    let (read, unsure) = (seen.read.as_micros(), u8::from(seen.unsure));
    Some(format!("{account} {mailbox} {new} {cur} {read} {unsure}\n"))
}

impl Writer {
    /// Remembers a mailbox that leaves memory.
    pub(super) fn note(&mut self, address: Address, seen: Option<Seen>) {
        match seen {
            Some(seen) if self.noted.len() < NOTED_MAILBOXES => {
                self.noted.insert(address, seen);
            }
            // A full table costs whoever comes next a look, no more.
            _ => drop(self.noted.remove(&address)),
        }
    }

    /// The clean end. A note that cannot be written is none: the next start looks itself.
    pub(super) fn note_seen(&mut self) {
        let mut all = std::mem::take(&mut self.noted);
        for (id, account) in &self.accounts {
            for (&mailbox, open) in &account.open {
                let address = Address { account: id.clone(), mailbox };
                all.extend(open.seen.map(|seen| (address, seen)));
            }
        }
        let lines: String = all.iter().filter_map(|(address, seen)| line(address, seen)).collect();
        if lines.is_empty() {
            return;
        }
        let text = format!("{FIRST_LINE} {:08x}\n{lines}", crc32c(lines.as_bytes()));
        let path = self.root.join(OWN_FOLDER).join(FILE);
        let written = self
            .disk
            .create_new(&path, Mode::PRIVATE)
            .and_then(|file| file.write_at(0, text.as_bytes()));
        if written.is_err() {
            let _ = self.disk.unlink(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_leads_back_and_a_damaged_note_says_nothing() {
        let address = Address {
            account: AccountId::new("a.test", "with space").unwrap(),
            mailbox: MailboxId(7),
        };
        let time = |nanos| SystemTime::UNIX_EPOCH + Duration::from_nanos(nanos);
        let seen = Seen {
            times: (time(1_795_381_596_123_456_789), time(5)),
            read: Timestamp::from_micros(77),
            unsure: true,
        };
        let lines = line(&address, &seen).unwrap();
        let (found, read) = parse_line(lines.trim_end()).unwrap();
        assert_eq!((found, read.times, read.read), (address.clone(), seen.times, seen.read));
        assert!(read.unsure);
        let text = format!("{FIRST_LINE} {:08x}\n{lines}", crc32c(lines.as_bytes()));
        assert_eq!(parse(&text).unwrap().len(), 1);
        assert!(parse(&text.replace(" 7 ", " 8 ")).is_none());
        assert!(parse(&text[..text.len() - 3]).is_none());
    }
}
