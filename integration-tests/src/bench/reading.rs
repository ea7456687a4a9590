//! What people do in a mailbox over IMAP, timed on one server: from the first login after a start
//! to EXPUNGE. Every row is in milliseconds. What a row needs is restored before it ends, so that
//! the next run finds the same mailbox.

use std::collections::BTreeMap;
use std::io;
use std::time::Instant;

use super::fill::size_for;
use super::imap::{Answer, Door, Imap};
use super::letters::{BODY_MARK, SUBJECT_MARK, letter, marked};
use super::medium::drop_caches;
use super::server::{DOMAIN, Keeping, Server};
use super::usage;

/// Rows of one run, milliseconds each.
pub type Rows = BTreeMap<String, f64>;

/// Letters of commands that take a part of a mailbox.
pub const PART: usize = 1_000;
/// Letters whose headers or bodies are asked for at once at most: of a million the rest would only
/// take longer.
pub const MOST: usize = 100_000;

/// The mailbox of a server that has so many letters: each size has an account of its own.
pub fn door_of(server: &Server, letters: usize) -> Option<Door> {
    let number = match letters {
        0..=1_000 => 0,
        1_001..=100_000 => 1,
        _ => 2,
    };
    server.imap.as_ref().map(|door| Door { user: format!("box{number}@{DOMAIN}"), ..door.clone() })
}

/// Runs all rows on a mailbox of so many letters.
///
/// # Errors
///
/// The first command that failed, or an answer that is not whole.
pub fn run(server: &mut Server, letters: usize) -> Result<Rows, String> {
    let door = door_of(server, letters).ok_or("nobody reads there")?;
    let mut rows = Rows::new();
    server.restart(Keeping::Truth)?;
    opening(&door, letters, &mut rows).map_err(|error| error.to_string())?;
    let memory: u64 = server.roots.iter().map(|&root| usage::memory(root)).sum();
    rows.insert("memory open MiB".into(), memory as f64 / 1024.0);
    server.restart(Keeping::Everything)?;
    rows.extend(visit(&door, letters, PageCache::Emptied)?);
    Ok(rows)
}

/// The rows that need no restart, on any server: a mailbox that [`super::fill`] filled.
///
/// # Errors
///
/// As [`run`].
pub fn visit(door: &Door, letters: usize, cache: PageCache) -> Result<Rows, String> {
    let mut rows = Rows::new();
    let all = |rows: &mut Rows| -> io::Result<()> {
        reopening(door, cache, rows)?;
        let mut imap = Imap::enter(door)?;
        imap.command("SELECT INBOX")?;
        fetching(&mut imap, letters, rows)?;
        searching(&mut imap, (letters, cache), rows)?;
        storing(&mut imap, letters, rows)?;
        filing(&mut imap, letters, rows)
    };
    all(&mut rows).map_err(|error| error.to_string())?;
    Ok(rows)
}

/// Whether the machine's page cache is emptied before the rows that are called cold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageCache {
    /// It is: everybody on the machine feels it.
    Emptied,
    /// It is not, and there are no such rows.
    Kept,
}

fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<(f64, T)> {
    let begun = Instant::now();
    let done = work()?;
    Ok((begun.elapsed().as_secs_f64() * 1000.0, done))
}

/// The middle one of several times.
fn median(times: usize, mut work: impl FnMut() -> io::Result<f64>) -> io::Result<f64> {
    let mut all = (0..times).map(|_| work()).collect::<io::Result<Vec<f64>>>()?;
    all.sort_by(f64::total_cmp);
    Ok(all[times / 2])
}

/// The first time after a start, with nothing in memory that could be made again.
fn opening(door: &Door, letters: usize, rows: &mut Rows) -> io::Result<()> {
    let mut imap = Imap::connect(door.server, None)?;
    rows.insert("login, first".into(), timed(|| imap.login(door))?.0);
    let (time, answer) = timed(|| imap.command("SELECT INBOX"))?;
    rows.insert("SELECT, no index".into(), time);
    expect(answer.start.contains(&format!("* {letters} EXISTS")), "EXISTS")?;
    let all = letters.min(MOST);
    let (time, answer) = timed(|| imap.command(&format!("FETCH 1:{all} (UID ENVELOPE)")))?;
    rows.insert("ENVELOPE, first".into(), time);
    expect(answer.untagged == all, "ENVELOPE of all")
}

/// Logins and SELECT: after a start, with what is kept to be faster; then warm.
fn reopening(door: &Door, cache: PageCache, rows: &mut Rows) -> io::Result<()> {
    let mut imap = Imap::enter(door)?;
    rows.insert("SELECT, first".into(), timed(|| imap.command("SELECT INBOX"))?.0);
    imap.command("LOGOUT").ok();
    if cache == PageCache::Emptied {
        drop_caches();
        let mut imap = Imap::enter(door)?;
        rows.insert("SELECT, cold".into(), timed(|| imap.command("SELECT INBOX"))?.0);
        imap.command("LOGOUT").ok();
    }
    let login = median(15, || {
        let mut imap = Imap::connect(door.server, None)?;
        let (time, _) = timed(|| imap.login(door))?;
        imap.command("LOGOUT").ok();
        Ok(time)
    })?;
    rows.insert("login".into(), login);
    let select = median(9, || {
        let mut imap = Imap::enter(door)?;
        let (time, _) = timed(|| imap.command("SELECT INBOX"))?;
        imap.command("LOGOUT").ok();
        Ok(time)
    })?;
    rows.insert("SELECT".into(), select);
    Ok(())
}

fn fetching(imap: &mut Imap, letters: usize, rows: &mut Rows) -> io::Result<()> {
    let all = letters.min(MOST);
    let mut row = |name: &str, times: usize, command: &str, count: usize| -> io::Result<()> {
        let time = median(times, || {
            let (time, answer) = timed(|| imap.command(command))?;
            expect(answer.untagged >= count, command)?;
            Ok(time)
        })?;
        rows.insert(name.into(), time);
        Ok(())
    };
    row("FLAGS", 5, "FETCH 1:* (UID FLAGS)", letters)?;
    row("ENVELOPE", 3, &format!("FETCH 1:{all} (UID ENVELOPE)"), all)?;
    let list = format!("FETCH 1:{all} (UID FLAGS INTERNALDATE RFC822.SIZE ENVELOPE)");
    row("list", 3, &list, all)?;
    let (first, last) = middle(letters);
    row("bodies", 5, &format!("FETCH {first}:{last} (UID BODY.PEEK[])"), last - first + 1)?;
    let one = |number: usize| format!("FETCH {number} (UID BODY.PEEK[])");
    let (time, ()) =
        timed(|| (first..=last).try_for_each(|number| imap.command(&one(number)).map(drop)))?;
    rows.insert("bodies, one by one".into(), time);
    let commands: Vec<Vec<u8>> = (first..=last).map(|number| one(number).into_bytes()).collect();
    rows.insert("bodies, pipelined".into(), timed(|| imap.pipeline(&commands))?.0);
    Ok(())
}

/// [`PART`] letters in the middle of a mailbox.
fn middle(letters: usize) -> (usize, usize) {
    let part = PART.min(letters);
    let first = (letters / 2).saturating_sub(part / 2).max(1);
    (first, first + part - 1)
}

fn searching(
    imap: &mut Imap,
    (letters, cache): (usize, PageCache),
    rows: &mut Rows,
) -> io::Result<()> {
    let all = letters.min(MOST);
    let (subjects, bodies) = marked(all);
    let mut row = |name: &str, times: usize, key: String, hits: usize| -> io::Result<()> {
        let time = median(times, || {
            let (time, answer) = timed(|| imap.command(&format!("SEARCH {key}")))?;
            expect(found(&answer) == hits, &key)?;
            Ok(time)
        })?;
        rows.insert(name.into(), time);
        Ok(())
    };
    row("SEARCH UNSEEN", 5, "UNSEEN".into(), letters / 10)?;
    row("SEARCH SUBJECT", 3, format!("1:{all} SUBJECT {SUBJECT_MARK}"), subjects)?;
    if cache == PageCache::Emptied {
        drop_caches();
        row("SEARCH BODY, cold", 1, format!("1:{all} BODY {BODY_MARK}"), bodies)?;
    }
    row("SEARCH BODY", 1, format!("1:{all} BODY {BODY_MARK}"), bodies)
}

/// How many numbers the SEARCH response has: each has a space before it, and so has SEARCH.
fn found(answer: &Answer) -> usize {
    answer.numbers.saturating_sub(1)
}

fn storing(imap: &mut Imap, letters: usize, rows: &mut Rows) -> io::Result<()> {
    let part = PART.min(letters);
    let undo = format!("STORE 1:{part} -FLAGS (\\Flagged)");
    let one = |number: usize| format!("STORE {number} +FLAGS (\\Flagged)");
    imap.command(&undo)?;
    let all = format!("STORE 1:{part} +FLAGS (\\Flagged)");
    rows.insert("STORE, one command".into(), timed(|| imap.command(&all))?.0);
    imap.command(&undo)?;
    let (time, ()) =
        timed(|| (1..=part).try_for_each(|number| imap.command(&one(number)).map(drop)))?;
    rows.insert("STORE, one by one".into(), time);
    imap.command(&undo)?;
    let commands: Vec<Vec<u8>> = (1..=part).map(|number| one(number).into_bytes()).collect();
    rows.insert("STORE, pipelined".into(), timed(|| imap.pipeline(&commands))?.0);
    imap.command(&undo).map(drop)
}

/// APPEND to a mailbox of its own, COPY into another, EXPUNGE of that.
fn filing(imap: &mut Imap, letters: usize, rows: &mut Rows) -> io::Result<()> {
    for mailbox in ["filed", "copied"] {
        // Left by a run that was cut off.
        imap.command(&format!("DELETE {mailbox}")).ok();
        imap.command(&format!("CREATE {mailbox}"))?;
    }
    let texts: Vec<Vec<u8>> = (1..=PART).map(|number| letter(number, size_for(letters))).collect();
    let (time, ()) = timed(|| texts.iter().try_for_each(|text| imap.append("filed", text)))?;
    rows.insert("APPEND, one by one".into(), time);
    let pipelined: Vec<Vec<u8>> = texts
        .iter()
        .map(|text| [format!("APPEND filed {{{}+}}\r\n", text.len()).as_bytes(), text].concat())
        .collect();
    if imap.can("LITERAL+")? {
        rows.insert("APPEND, pipelined".into(), timed(|| imap.pipeline(&pipelined))?.0);
    }
    if imap.can("MULTIAPPEND")? && imap.can("LITERAL+")? {
        let all: Vec<u8> = texts
            .iter()
            .flat_map(|text| [format!(" {{{}+}}\r\n", text.len()).as_bytes(), text].concat())
            .collect();
        let one = [b"APPEND filed".to_vec(), all].concat();
        rows.insert("MULTIAPPEND".into(), timed(|| imap.pipeline(&[one]))?.0);
    }
    let (first, last) = middle(letters);
    let copy = format!("COPY {first}:{last} copied");
    rows.insert("COPY".into(), timed(|| imap.command(&copy))?.0);
    imap.command("SELECT copied")?;
    imap.command("STORE 1:* +FLAGS.SILENT (\\Deleted)")?;
    let (time, answer) = timed(|| imap.command("EXPUNGE"))?;
    rows.insert("EXPUNGE".into(), time);
    expect(answer.untagged > last - first, "EXPUNGE of all")?;
    imap.command("SELECT INBOX")?;
    for mailbox in ["filed", "copied"] {
        imap.command(&format!("DELETE {mailbox}"))?;
    }
    imap.command("LOGOUT").ok();
    Ok(())
}

fn expect(holds: bool, what: &str) -> io::Result<()> {
    if holds { Ok(()) } else { Err(io::Error::other(format!("not as expected: {what}"))) }
}
