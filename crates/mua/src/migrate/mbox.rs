//! Reads mbox files: one, or a folder of them as Thunderbird (`Inbox`, `Inbox.sbd/`), mutt and
//! Apple Mail (`Name.mbox/mbox`) keep them. A letter begins at a line `From ` with a time in it,
//! at the start of the file or after an empty line (RFC 4155); `>From ` loses one `>`. Changes
//! nothing.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use protocol::imap::date::{Date, DateTime};
use protocol::time::Timestamp;
use sha2::{Digest, Sha256};

use super::{Entry, Folder, Handle, Letter, flags, with_crlf};
use crate::failure::Failure;
use crate::limits::{MAX_FOLDER_DEPTH, MAX_FOLDERS, MAX_LETTER};

/// The folders below `root`, or the one file that it is. None: there is no mbox.
pub(super) fn folders(root: &Path) -> Result<Vec<Folder>, Failure> {
    let mut found = Vec::new();
    if root.is_file() {
        let name = stem(&root.file_name().unwrap_or_default().to_string_lossy());
        found.push(Folder { name: inbox(&name), role: None, place: root.to_owned() });
    } else {
        below(root, "", 0, &mut found)?;
    }
    Ok(found)
}

fn below(place: &Path, prefix: &str, depth: usize, found: &mut Vec<Folder>) -> Result<(), Failure> {
    let problem = |error| Failure::io(format!("cannot read {}", place.display()), &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(place).map_err(problem)? {
        names.push(entry.map_err(problem)?.file_name());
    }
    names.sort();
    for name in names {
        let path = place.join(&name);
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        if depth > MAX_FOLDER_DEPTH || found.len() > MAX_FOLDERS {
            break;
        }
        if path.is_dir() {
            let apple = path.join("mbox");
            let level = format!("{prefix}{}", stem(name));
            if apple.is_file() {
                found.push(Folder { name: inbox(&level), role: None, place: apple });
            }
            below(&path, &format!("{level}/"), depth + 1, found)?;
        } else if is_mbox(&path) && name != "mbox" {
            let name = inbox(&format!("{prefix}{}", stem(name)));
            found.push(Folder { name, role: None, place: path });
        }
    }
    Ok(())
}

/// A name without what programs append to it.
fn stem(name: &str) -> String {
    let ends = [".mbox", ".sbd", ".mbx"];
    ends.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name).to_owned()
}

fn inbox(name: &str) -> String {
    if name.eq_ignore_ascii_case("inbox") { "INBOX".to_owned() } else { name.to_owned() }
}

fn is_mbox(path: &Path) -> bool {
    let mut begin = [0; 5];
    path.is_file()
        && File::open(path).and_then(|mut file| file.read_exact(&mut begin)).is_ok()
        && begin == *b"From "
}

/// The letters of a file in their order.
pub(super) fn entries(folder: &Folder) -> Result<Vec<Entry>, Failure> {
    let problem = |error| Failure::io(format!("cannot read {}", folder.place.display()), &error);
    let mut reader =
        BufReader::with_capacity(READ_AHEAD, File::open(&folder.place).map_err(problem)?);
    let mut found = Vec::new();
    let (mut begins, mut at) = (None, 0u64);
    let mut hash = Sha256::new();
    let mut after_empty = true;
    let mut line = Vec::new();
    loop {
        line.clear();
        // A line may be as long as a letter; what is longer is cut here, which only matters to
        // keys.
        let read = (&mut reader).take(LINE).read_until(b'\n', &mut line).map_err(problem)?;
        let is_separator = read > 0 && after_empty && separator_time(&line).is_some();
        if (read == 0 || is_separator)
            && let Some(start) = begins
        {
            let digest = std::mem::replace(&mut hash, Sha256::new()).finalize();
            let key = digest.iter().take(KEY).map(|octet| format!("{octet:02x}")).collect();
            found.push(Entry { key, handle: Handle::Range(start, at - start), identity: None });
        }
        if read == 0 {
            break;
        }
        if is_separator {
            begins = Some(at);
        }
        hash.update(&line);
        after_empty = line == b"\n" || line == b"\r\n";
        at += u64::try_from(read).unwrap_or(0);
    }
    if begins.is_none() && at > 0 {
        let shown = folder.place.display();
        return Err(Failure::no(format!("{shown} does not begin with a line \"From \": no mbox")));
    }
    Ok(found)
}

/// Reads a letter; `None` for what is none: the pseudo-letter that c-client programs keep first,
/// and
/// letters expunged and not yet cut out.
pub(super) fn read(path: &Path, start: u64, length: u64) -> Result<Option<Letter>, Failure> {
    let problem = |error| Failure::io(format!("cannot read {}", path.display()), &error);
    if length > u64::try_from(MAX_LETTER).unwrap_or(u64::MAX) {
        return Err(Failure::no(format!("a letter in {} is too large", path.display())));
    }
    let mut file = File::open(path).map_err(problem)?;
    file.seek(SeekFrom::Start(start)).map_err(problem)?;
    let mut raw = Vec::new();
    file.take(length).read_to_end(&mut raw).map_err(problem)?;
    Ok(letter(&raw))
}

fn letter(raw: &[u8]) -> Option<Letter> {
    let first = raw.iter().position(|octet| *octet == b'\n').map_or(raw.len(), |at| at + 1);
    let (separator, rest) = raw.split_at(first);
    // The empty line before the next letter belongs to the format; the last letter may lack it.
    let rest = match rest {
        [.., b'\n', b'\r', b'\n'] => &rest[..rest.len() - 2],
        [.., b'\n', b'\n'] => &rest[..rest.len() - 1],
        _ => rest,
    };
    let mut unquoted = Vec::with_capacity(rest.len());
    for line in rest.split_inclusive(|octet| *octet == b'\n') {
        let quoted = line.iter().take_while(|octet| **octet == b'>').count();
        let is_quoted = quoted > 0 && line[quoted..].starts_with(b"From ");
        unquoted.extend_from_slice(if is_quoted { &line[1..] } else { line });
    }
    let whole = with_crlf(&unquoted);
    let (header, body) = whole.split_at(message::header::length(&whole).min(whole.len()));
    let internal = message::header::value(header, "X-IMAP").is_some()
        && String::from_utf8_lossy(header).contains("FOLDER INTERNAL DATA");
    if internal || flags::is_expunged(header) {
        return None;
    }
    let found = flags::of_mbox(header);
    let mut octets = message::header::without(header, &flags::MBOX_FIELDS);
    octets.extend_from_slice(body);
    Some(Letter { octets, flags: found, date: separator_time(separator) })
}

/// The time of a line `From sender Thu Nov 19 08:15:00 2026`, zones and all the forms that
/// programs have found for it allowed; `None`: it is no separator.
fn separator_time(line: &[u8]) -> Option<Timestamp> {
    let text = std::str::from_utf8(line.strip_prefix(b"From ")?).ok()?;
    let words: Vec<&str> = text.split_whitespace().collect();
    let clock = words.iter().rposition(|word| time_of_day(word).is_some())?;
    let time = time_of_day(words.get(clock)?)?;
    let (month, day) = (words.get(clock.checked_sub(2)?)?, words.get(clock - 1)?);
    let month = MONTHS.iter().position(|known| known.eq_ignore_ascii_case(month))?;
    let year = words.get(clock + 1..)?.iter().find_map(|word| {
        word.parse::<u16>().ok().filter(|_| word.len() == 4 && !word.starts_with(['+', '-']))
    })?;
    let zone = words.get(clock + 1..)?.iter().find_map(|word| zone(word)).unwrap_or(0);
    let date = Date::new(year, u8::try_from(month + 1).ok()?, day.parse().ok()?)?;
    Some(DateTime::new(date, time, zone)?.timestamp())
}

fn time_of_day(word: &str) -> Option<[u8; 3]> {
    let mut parts = word.split(':');
    let hour = parts.next()?.parse().ok()?;
    let minute = parts.next()?.parse().ok()?;
    let second = parts.next().map_or(Some(0), |second| second.parse().ok())?;
    (parts.next().is_none() && hour < 24 && minute < 60 && second < 61)
        .then_some([hour, minute, second])
}

/// `+0100` in minutes.
fn zone(word: &str) -> Option<i16> {
    let (sign, digits) = match (word.strip_prefix('+'), word.strip_prefix('-')) {
        (Some(digits), _) => (1, digits),
        (_, Some(digits)) => (-1, digits),
        _ => return None,
    };
    let number: i16 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 60 + number % 100))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Octets of a hash that name a letter in its file.
const KEY: usize = 16;

/// Octets read from a file at once.
const READ_AHEAD: usize = 256 * 1024;

/// Octets of a line that are looked at together.
const LINE: u64 = 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators() {
        let line = |text: &str| separator_time(text.as_bytes()).map(Timestamp::as_seconds);
        let plain = line("From alice@red.test Thu Nov 19 08:15:00 2026\n").unwrap();
        assert_eq!(line("From - Thu Nov 19 08:15:00 2026\r\n"), Some(plain));
        assert_eq!(line("From a  Thu Nov 19 09:15:00 +0100 2026\n"), Some(plain));
        assert_eq!(line("From a Thu Nov 19 08:15 2026\n"), Some(plain));
        assert_eq!(line("From a Thu Nov 19 08:15:00 2026 remote from b\n"), Some(plain));
        for other in
            ["From here we go\n", "From 2026 at 08:15:00\n", ">From a Thu Nov 19 08:15:00 2026"]
        {
            assert_eq!(line(other), None, "{other}");
        }
    }

    #[test]
    fn letters_are_cut_out_and_unquoted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Old.mbox");
        let text = "From a Thu Nov 19 08:15:00 2026\nSubject: one\nStatus: RO\n\n>From me\n>>From\n\
                    From the start, no separator\n\nFrom b Thu Nov 19 08:16:00 2026\n\
                    Subject: two\nX-Mozilla-Status: 0008\n\nbye\n\n\
                    From c Thu Nov 19 08:17:00 2026\nSubject: three\n\nlast\n";
        fs::write(&path, text).unwrap();
        let found = folders(folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].name, "Old");
        let entries = entries(&found[0]).unwrap();
        let letters: Vec<Option<Letter>> = entries
            .iter()
            .map(|entry| match entry.handle {
                Handle::Range(start, length) => read(&path, start, length).unwrap(),
                _ => panic!(),
            })
            .collect();
        assert_eq!(letters.len(), 3);
        let one = letters[0].as_ref().unwrap();
        assert_eq!(
            one.octets.as_slice(),
            b"Subject: one\r\n\r\nFrom me\r\n>>From\r\nFrom the start, no separator\r\n"
        );
        assert_eq!(one.flags.len(), 1);
        assert!(letters[1].is_none(), "expunged");
        assert_eq!(letters[2].as_ref().unwrap().octets, b"Subject: three\r\n\r\nlast\r\n");
    }
}
