//! Reads Maildirs: a root with Maildir++ folders (`.Lists.rust`), with nested ones (Dovecot's
//! `LAYOUT=fs`), or a plain folder of Maildirs. Changes nothing in them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use protocol::imap::utf7;
use protocol::time::Timestamp;

use super::{Entry, Folder, Handle, Letter, flags, with_crlf};
use crate::failure::Failure;
use crate::limits::{MAX_FOLDER_DEPTH, MAX_FOLDERS, MAX_KEYWORDS_FILE, MAX_LETTER};

/// The folders below `root`, INBOX first. None: it is no Maildir.
pub(super) fn folders(root: &Path) -> Result<Vec<Folder>, Failure> {
    let mut found = Vec::new();
    if is_maildir(root) {
        found.push(folder("INBOX", root));
    }
    below(root, "", 0, &mut found)?;
    found.sort_by_key(|folder| (folder.name != "INBOX", folder.name.clone()));
    Ok(found)
}

fn below(place: &Path, prefix: &str, depth: usize, found: &mut Vec<Folder>) -> Result<(), Failure> {
    if depth > MAX_FOLDER_DEPTH || found.len() > MAX_FOLDERS {
        return Ok(());
    }
    for (name, path) in directories(place)? {
        if ["cur", "new", "tmp"].contains(&name.as_str()) {
            continue;
        }
        match name.strip_prefix('.') {
            // Maildir++: all levels in one name.
            Some(levels) if depth == 0 && is_maildir(&path) && !levels.is_empty() => {
                let levels: Vec<String> = levels.split('.').map(decoded).collect();
                found.push(folder(&levels.join("/"), &path));
            }
            Some(_) => {}
            None => {
                let name = format!("{prefix}{}", decoded(&name));
                if is_maildir(&path) {
                    let shown = if name.eq_ignore_ascii_case("inbox") { "INBOX" } else { &name };
                    found.push(folder(shown, &path));
                }
                below(&path, &format!("{name}/"), depth + 1, found)?;
            }
        }
    }
    Ok(())
}

fn folder(name: &str, place: &Path) -> Folder {
    Folder { name: name.to_owned(), role: None, place: place.to_owned() }
}

fn is_maildir(place: &Path) -> bool {
    place.join("cur").is_dir() && place.join("new").is_dir()
}

/// A level of a name: modified UTF-7 as Courier and Dovecot write it, or UTF-8 as it is. What may
/// not stand in a folder's name is encoded though it is ASCII, against RFC 3501 §5.1.3.
fn decoded(level: &str) -> String {
    let hidden = [("&AC4-", "."), ("&ADo-", ":"), ("&AH4-", "~"), ("&AC8-", "_")];
    let plain = hidden.iter().fold(level.to_owned(), |text, (code, c)| text.replace(code, c));
    utf7::decode(plain.as_bytes()).unwrap_or_else(|_| level.to_owned())
}

fn directories(place: &Path) -> Result<Vec<(String, PathBuf)>, Failure> {
    let problem = |error| Failure::io(format!("cannot read {}", place.display()), &error);
    let mut found = Vec::new();
    for entry in fs::read_dir(place).map_err(problem)? {
        let entry = entry.map_err(problem)?;
        if entry.path().is_dir()
            && let Some(name) = entry.file_name().to_str()
        {
            found.push((name.to_owned(), entry.path()));
        }
    }
    found.sort();
    Ok(found)
}

/// The letters of a folder in the order of their names, which begin with the time they came.
pub(super) fn entries(folder: &Folder) -> Result<Vec<Entry>, Failure> {
    let mut entries = Vec::new();
    for sub in ["cur", "new"] {
        let place = folder.place.join(sub);
        let problem = |error| Failure::io(format!("cannot read {}", place.display()), &error);
        for entry in fs::read_dir(&place).map_err(problem)? {
            let entry = entry.map_err(problem)?;
            let name = entry.file_name();
            let base = base(&name);
            let is_file = entry.file_type().map_err(problem)?.is_file();
            if is_file && !base.starts_with('.') {
                let handle = Handle::File(entry.path());
                entries.push(Entry { key: key(&base), handle, identity: None });
            }
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(entries)
}

/// The part of a file name that stays when flags change.
fn base(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    name.split(":2,").next().unwrap_or(&name).to_owned()
}

fn key(base: &str) -> String {
    base.chars().map(|c| if c.is_whitespace() || c.is_control() { '_' } else { c }).collect()
}

/// The names behind the letters `a` to `z`, as Dovecot keeps them: `0 Name` on a line.
pub(super) fn keywords(folder: &Folder) -> Vec<String> {
    let path = folder.place.join("dovecot-keywords");
    let small = fs::metadata(&path).is_ok_and(|found| found.len() <= MAX_KEYWORDS_FILE);
    let text = if small { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
    let mut names = vec![String::new(); flags::NAMED_KEYWORDS];
    for line in text.lines() {
        if let Some((place, name)) = line.split_once(' ')
            && let Some(slot) = place.parse().ok().and_then(|place: usize| names.get_mut(place))
        {
            *slot = name.to_owned();
        }
    }
    names
}

/// Reads a letter. A program may have renamed its file since it was listed: then it is gone for
/// this run.
pub(super) fn read(path: &Path, keywords: &[String]) -> Result<Letter, Failure> {
    let problem = |error| Failure::io(format!("cannot read {}", path.display()), &error);
    let metadata = fs::metadata(path).map_err(problem)?;
    if metadata.len() > u64::try_from(MAX_LETTER).unwrap_or(u64::MAX) {
        return Err(Failure::no(format!("{} is too large for a letter", path.display())));
    }
    let octets = fs::read(path).map_err(problem)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let info = name.split_once(":2,").map_or("", |(_, info)| info);
    // Dovecot and others keep the internal date as the time of the file.
    let date = metadata.modified().ok().and_then(|moment| {
        let seconds = moment.duration_since(UNIX_EPOCH).ok()?.as_secs();
        Some(Timestamp::from_seconds(i64::try_from(seconds).ok()?))
    });
    Ok(Letter { octets: with_crlf(&octets), flags: flags::of_maildir(info, keywords), date })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_every_layout() {
        let root = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            for sub in ["cur", "new", "tmp"] {
                fs::create_dir_all(root.path().join(name).join(sub)).unwrap();
            }
        };
        for name in ["", ".Lists.rust", ".Gr&APwA3w-e", "Archive", "Archive/2019", ".hidden.x"] {
            make(name);
        }
        fs::create_dir_all(root.path().join("plain")).unwrap();
        let names: Vec<String> =
            folders(root.path()).unwrap().into_iter().map(|folder| folder.name).collect();
        let expected = ["INBOX", "Archive", "Archive/2019", "Grüße", "Lists/rust", "hidden/x"];
        assert_eq!(names, expected);
        assert!(folders(&root.path().join("plain")).unwrap().is_empty());
    }

    #[test]
    fn reads_flags_keywords_and_date() {
        let root = tempfile::tempdir().unwrap();
        for sub in ["cur", "new", "tmp"] {
            fs::create_dir_all(root.path().join(sub)).unwrap();
        }
        fs::write(root.path().join("dovecot-keywords"), "0 Todo\n3 $Junk\n").unwrap();
        fs::write(root.path().join("cur/1.a.host,S=9:2,RSad"), "A: b\n\nx\n").unwrap();
        fs::write(root.path().join("new/2.b.host"), "\n").unwrap();
        let folder = folders(root.path()).unwrap().remove(0);
        let entries = entries(&folder).unwrap();
        let keys: Vec<&str> = entries.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, ["1.a.host,S=9", "2.b.host"]);
        let Handle::File(path) = &entries[0].handle else { panic!() };
        let letter = read(path, &keywords(&folder)).unwrap();
        assert_eq!(letter.octets, b"A: b\r\n\r\nx\r\n");
        let names: Vec<String> = letter.flags.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["\\Answered", "\\Seen", "Todo", "$Junk"]);
        assert!(letter.date.is_some());
    }
}
