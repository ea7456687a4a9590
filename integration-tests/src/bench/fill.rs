//! Mailboxes with many letters, for readers: filed over IMAP by many sessions at once, which any
//! server lets us do, or written as the files of a Maildir where that is all there is to it.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use super::imap::{Door, Imap};
use super::letters::letter;
use super::peer::{OWNER, Peer};
use super::reading::door_of;
use super::server::Server;

/// Sessions that file letters at once: a server that answers many with one barrier shows it.
const SESSIONS: usize = 32;
/// Letters of a mailbox that are files of their own; further ones are copies of these, hard links
/// where the server makes them so. The disk is anybody's.
const OWN_FILES: usize = 20_000;
/// Every tenth letter has not been read.
const UNSEEN: usize = 10;

/// Octets of a letter in a mailbox of so many: a million small ones fit on anybody's disk.
pub fn size_for(letters: usize) -> usize {
    if letters > 200_000 { 512 } else { 4096 }
}

/// Whether the letter with this number has been seen.
fn is_seen(number: usize) -> bool {
    !number.is_multiple_of(UNSEEN)
}

/// Fills the mailbox of so many letters of a server, if a run before has not: the note of that is
/// in the server's folder.
///
/// # Errors
///
/// Letters that were refused.
pub fn mailbox(
    server: &mut Server,
    (folder, peer): (&Path, Option<Peer>),
    letters: usize,
) -> Result<(), String> {
    let note = folder.join(format!("filled-{letters}"));
    if letters == 0 || note.exists() {
        return Ok(());
    }
    let door = door_of(server, letters).ok_or("nobody reads there")?;
    let filled = match peer {
        Some(Peer::Dovecot) => {
            let name = door.user.split('@').next().unwrap_or_default();
            let found = server.maildirs.iter().find(|path| path.ends_with(name));
            found.map_or(Ok(()), |path| maildir(path, letters))
        }
        _ => append(&door, letters),
    };
    filled.and_then(|()| std::fs::write(note, "")).map_err(|error| error.to_string())
}

/// Files letters `1..=count` in INBOX: the first ones by APPEND, the others by COPY of these.
///
/// # Errors
///
/// The first letter that was refused.
pub fn append(door: &Door, count: usize) -> io::Result<()> {
    let size = size_for(count);
    file(door, count.min(OWN_FILES), size)?;
    let mut imap = Imap::enter(door)?;
    imap.command("SELECT INBOX")?;
    let mut there = OWN_FILES;
    while there < count {
        let more = (count - there).min(OWN_FILES);
        imap.command(&format!("COPY 1:{more} INBOX"))?;
        there += more;
    }
    Ok(())
}

/// APPEND of letters `1..=count`, many sessions at once.
fn file(door: &Door, count: usize, size: usize) -> io::Result<()> {
    let next = AtomicUsize::new(1);
    std::thread::scope(|scope| {
        let file = || -> io::Result<()> {
            let mut imap = Imap::enter(door)?;
            loop {
                let number = next.fetch_add(1, Ordering::Relaxed);
                if number > count {
                    return Ok(());
                }
                let flags = if is_seen(number) { "(\\Seen) " } else { "" };
                let text = letter(number, size);
                imap.append_with("INBOX", flags, &text)?;
            }
        };
        let sessions: Vec<_> = (0..SESSIONS).map(|_| scope.spawn(file)).collect();
        let mut done = Ok(());
        for session in sessions {
            done = done.and(session.join().map_err(|_| io::Error::other("a session panicked"))?);
        }
        done
    })
}

/// Writes letters `1..=count` as files of a Maildir, named as Dovecot names its own: sizes are in
/// the names, so that it need not look for them.
///
/// # Errors
///
/// A file that cannot be written.
pub fn maildir(maildir: &Path, count: usize) -> io::Result<()> {
    let begin = 1_700_000_000_u64;
    let path = |number: usize, size: usize| {
        let time = begin + number as u64;
        let flags = if is_seen(number) { "S" } else { "" };
        maildir.join("cur").join(format!("{time}.M1P1.bench,S={size},W={size}:2,{flags}"))
    };
    let mut sizes = Vec::new();
    for number in 1..=count {
        if number > OWN_FILES {
            let first = (number - 1) % OWN_FILES + 1;
            let size = sizes[first - 1];
            std::fs::hard_link(path(first, size), path(number, size))?;
            continue;
        }
        let text = letter(number, size_for(count));
        let (size, time) = (text.len(), begin + number as u64);
        sizes.push(size);
        let path = path(number, size);
        std::fs::write(&path, text)?;
        let file = std::fs::File::options().write(true).open(&path)?;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(time))?;
        std::os::unix::fs::chown(&path, Some(OWNER), Some(OWNER))?;
    }
    Ok(())
}
