//! Writes Maildirs and mbox files as other servers open them. Called by `export`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use protocol::imap::utf7;
use protocol::time::Timestamp;
use sha2::{Digest, Sha256};

use super::{Letter, flags};
use crate::failure::Failure;

/// A Maildir folder being written.
pub(super) struct Maildir {
    place: PathBuf,
    uid_validity: u32,
    keywords: Vec<String>,
    /// Lines of `dovecot-uidlist`.
    uids: String,
}

impl Maildir {
    /// Makes the folder: INBOX is `root` itself, others are Maildir++ folders in it.
    pub(super) fn create(root: &Path, name: &str, uid_validity: u32) -> Result<Self, Failure> {
        let place = match name {
            "INBOX" => root.to_owned(),
            _ => root.join(format!(".{}", maildir_name(name))),
        };
        for sub in ["cur", "new", "tmp"] {
            make_folder(&place.join(sub))?;
        }
        if name != "INBOX" {
            create(&place.join("maildirfolder"))?;
        }
        Ok(Maildir { place, uid_validity, keywords: Vec::new(), uids: String::new() })
    }

    /// Writes a letter to a file of its own, whose time is the internal date.
    pub(super) fn add(&mut self, uid: u32, letter: &Letter) -> Result<(), Failure> {
        let seconds = letter.date.map_or(0, Timestamp::as_seconds).max(0);
        let validity = self.uid_validity;
        let base = format!("{seconds}.P{validity:08x}_{uid}.posthaste,S={}", letter.octets.len());
        let info = flags::to_maildir(&letter.flags, &mut self.keywords);
        // Maildir: what nobody has seen in any way lies in new.
        let name = match info.is_empty() {
            true => format!("new/{base}"),
            false => format!("cur/{base}:2,{info}"),
        };
        let path = self.place.join(name);
        let problem = |error| Failure::io(format!("cannot write {}", path.display()), &error);
        let mut file = create(&path)?;
        file.write_all(&letter.octets).map_err(problem)?;
        let moment = UNIX_EPOCH + Duration::from_secs(seconds.unsigned_abs());
        file.set_modified(moment).map_err(problem)?;
        self.uids.push_str(&format!("{uid} :{base}\n"));
        Ok(())
    }

    /// Writes what Dovecot keeps beside the letters: UIDs and the names of keywords.
    pub(super) fn finish(self, uid_next: u32) -> Result<(), Failure> {
        let digest = Sha256::digest(format!("{} {}", self.place.display(), self.uid_validity));
        let guid: String = digest.iter().take(16).map(|octet| format!("{octet:02x}")).collect();
        let list = format!("3 V{} N{uid_next} G{guid}\n{}", self.uid_validity, self.uids);
        write(&self.place.join("dovecot-uidlist"), &list)?;
        if self.keywords.is_empty() {
            return Ok(());
        }
        let names =
            self.keywords.iter().enumerate().map(|(place, name)| format!("{place} {name}\n"));
        write(&self.place.join("dovecot-keywords"), &names.collect::<String>())
    }
}

/// A name as Maildir++ folders are called: modified UTF-7, levels joined by dots, dots within a
/// level encoded.
fn maildir_name(name: &str) -> String {
    let levels: Vec<String> =
        name.split('/').map(|level| utf7::encode(level).replace('.', "&AC4-")).collect();
    levels.join(".")
}

/// Writes the list of subscriptions as Dovecot reads it in a Maildir.
pub(super) fn subscriptions(root: &Path, names: &[String]) -> Result<(), Failure> {
    let mut text = String::new();
    for name in names {
        let name = if name == "INBOX" { name.clone() } else { maildir_name(name) };
        text.push_str(&name);
        text.push('\n');
    }
    write(&root.join("subscriptions"), &text)
}

/// An mbox file being written.
pub(super) struct Mbox {
    path: PathBuf,
    out: BufWriter<File>,
}

impl Mbox {
    /// Makes the file, `Lists/rust.mbox` for a folder `Lists/rust`.
    pub(super) fn create(root: &Path, name: &str) -> Result<Self, Failure> {
        let mut path = root.to_owned();
        // No level can lead out of the folder or hide.
        path.extend(name.split('/').map(|level| match level.strip_prefix('.') {
            Some(rest) => format!("_{rest}"),
            None => level.to_owned(),
        }));
        let mut file = path.into_os_string();
        file.push(".mbox");
        let path = PathBuf::from(file);
        if let Some(folder) = path.parent() {
            make_folder(folder)?;
        }
        let out = BufWriter::new(create(&path)?);
        Ok(Mbox { path, out })
    }

    /// Adds a letter: separator, flags, the letter with LF and quoted `From ` (mboxrd).
    pub(super) fn add(&mut self, letter: &Letter) -> Result<(), Failure> {
        let mut text = separator(letter.date.unwrap_or_default()).into_bytes();
        let length = message::header::length(&letter.octets).min(letter.octets.len());
        let (header, body) = letter.octets.split_at(length);
        // The empty line that ends the header comes after the flags.
        let header = header.strip_suffix(b"\r\n").unwrap_or(header);
        quoted(header, &mut text);
        text.extend_from_slice(flags::to_mbox(&letter.flags).as_bytes());
        text.push(b'\n');
        quoted(body, &mut text);
        text.push(b'\n');
        self.out.write_all(&text).map_err(|error| self.problem(&error))
    }

    pub(super) fn finish(mut self) -> Result<(), Failure> {
        self.out.flush().map_err(|error| self.problem(&error))
    }

    fn problem(&self, error: &std::io::Error) -> Failure {
        Failure::io(format!("cannot write {}", self.path.display()), error)
    }
}

fn quoted(octets: &[u8], text: &mut Vec<u8>) {
    for line in octets.split_inclusive(|octet| *octet == b'\n') {
        let quotes = line.iter().take_while(|octet| **octet == b'>').count();
        if line[quotes..].starts_with(b"From ") {
            text.push(b'>');
        }
        match line.strip_suffix(b"\r\n") {
            Some(line) => {
                text.extend_from_slice(line);
                text.push(b'\n');
            }
            None => text.extend_from_slice(line),
        }
    }
    if text.last() != Some(&b'\n') {
        text.push(b'\n');
    }
}

/// RFC 4155: the time in UTC in the form of asctime.
fn separator(date: Timestamp) -> String {
    const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
    // `Thu, 19 Nov 2026 08:15:00 +0000`, in another order.
    let civil = date.civil();
    let text = date.to_rfc5322();
    let month = text.split_whitespace().nth(2).unwrap_or("Jan").to_owned();
    let day = DAYS.get(usize::from(civil.weekday)).copied().unwrap_or("Thu");
    format!(
        "From MAILER-DAEMON {day} {month} {:2} {:02}:{:02}:{:02} {}\n",
        civil.day, civil.hour, civil.minute, civil.second, civil.year
    )
}

fn make_folder(path: &Path) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| Failure::io(format!("cannot make {}", path.display()), &error))
}

fn create(path: &Path) -> Result<File, Failure> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = create(path)?.write_all(text.as_bytes());
    written.map_err(|error| Failure::io(format!("cannot write {}", path.display()), &error))
}

#[cfg(test)]
mod tests {
    use protocol::imap::flag::Flag;

    use super::*;
    use crate::migrate::{Handle, maildir, mbox};

    fn letter() -> Letter {
        Letter {
            octets: b"Subject: a\r\nMessage-ID: <a@b>\r\n\r\nFrom me\r\n>From you\r\nno end"
                .to_vec(),
            flags: vec![Flag::Seen, Flag::from_name("Todo").unwrap()],
            date: Some(Timestamp::from_seconds(1_795_076_100)),
        }
    }

    #[test]
    fn a_maildir_leads_back() {
        let root = tempfile::tempdir().unwrap();
        let mut out = Maildir::create(root.path(), "Grüße/v1.0", 7).unwrap();
        out.add(3, &letter()).unwrap();
        out.finish(4).unwrap();
        Maildir::create(root.path(), "INBOX", 7).unwrap().finish(1).unwrap();
        let folders = maildir::folders(root.path()).unwrap();
        assert_eq!(folders[1].name, "Grüße/v1.0");
        let entry = maildir::entries(&folders[1]).unwrap().remove(0);
        let Handle::File(path) = &entry.handle else { panic!() };
        assert_eq!(
            maildir::read(path, &maildir::keywords(&folders[1])).unwrap().flags,
            letter().flags
        );
        assert_eq!(fs::read(path).unwrap(), letter().octets);
        let back = maildir::read(path, &[]).unwrap();
        assert_eq!(back.date, letter().date);
        let list = fs::read_to_string(folders[1].place.join("dovecot-uidlist")).unwrap();
        assert!(
            list.starts_with("3 V7 N4 G") && list.contains("\n3 :1795076100.P00000007_3."),
            "{list}"
        );
    }

    #[test]
    fn an_mbox_leads_back() {
        let root = tempfile::tempdir().unwrap();
        let mut out = Mbox::create(root.path(), "Lists/.rust").unwrap();
        out.add(&letter()).unwrap();
        out.add(&letter()).unwrap();
        out.finish().unwrap();
        let folder = mbox::folders(root.path()).unwrap().remove(0);
        assert_eq!(folder.name, "Lists/_rust");
        let entries = mbox::entries(&folder).unwrap();
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].key, entries[1].key, "the same letter");
        let Handle::Range(start, length) = entries[1].handle else { panic!() };
        let back = mbox::read(&folder.place, start, length).unwrap().unwrap();
        let mut expected = letter();
        expected.octets.extend_from_slice(b"\r\n");
        assert_eq!(back, expected, "but for the line end that an mbox must have");
    }
}
