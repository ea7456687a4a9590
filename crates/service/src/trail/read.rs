//! Reads the trail: all agents' files merged by time, searched by journey, Message-ID or address,
//! and followed as they grow. A damaged line is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use protocol::journey::JourneyId;

use super::event::Recorded;
use crate::limits::TRAIL_LINE;

/// What is looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Query {
    /// This letter, and those made because of it.
    Journey(JourneyId),
    /// Letters with this Message-ID.
    MessageId(String),
    /// Letters from or to this address.
    Address(String),
    /// Everything.
    All,
}

/// Reads what is there, then gives what is added.
#[derive(Debug)]
pub struct Follower {
    folder: PathBuf,
    query: Query,
    /// How far each file was read.
    read: BTreeMap<PathBuf, u64>,
    journeys: BTreeSet<JourneyId>,
}

impl Query {
    /// What a person typed: a journey or queue id, a Message-ID with or without angle brackets, or
    /// an address.
    pub fn of(text: &str) -> Self {
        if let Ok(id) = text.parse::<JourneyId>() {
            return Query::Journey(id);
        }
        if text.starts_with('<') {
            return Query::MessageId(text.to_owned());
        }
        Query::Address(text.to_owned())
    }

    /// Whether an event names what is looked for by itself, or its journey is already known.
    fn names(&self, recorded: &Recorded) -> bool {
        let event = &recorded.event;
        match self {
            Query::All => true,
            Query::Journey(id) => event.journey == Some(*id) || event.cause == Some(*id),
            Query::MessageId(id) => event.message_id.as_deref().map(bare) == Some(bare(id)),
            Query::Address(address) => {
                let is = |text: &Option<String>| {
                    text.as_deref().is_some_and(|text| text.eq_ignore_ascii_case(address))
                };
                // A Message-ID typed without its angle brackets looks like an address.
                let id = event.message_id.as_deref().map(bare);
                is(&event.sender) || is(&event.recipient) || id == Some(address)
            }
        }
    }
}

/// A Message-ID without its angle brackets.
fn bare(id: &str) -> &str {
    id.strip_prefix('<').and_then(|id| id.strip_suffix('>')).unwrap_or(id)
}

/// All events of the letters that `query` names, by time.
///
/// # Errors
/// When the folder cannot be read.
pub fn find(folder: &Path, query: &Query) -> io::Result<Vec<Recorded>> {
    Follower::new(folder, query.clone()).next_batch()
}

impl Follower {
    /// Nothing was read yet.
    pub fn new(folder: &Path, query: Query) -> Self {
        let journeys = match query {
            Query::Journey(id) => BTreeSet::from([id]),
            _ => BTreeSet::new(),
        };
        Follower { folder: folder.to_owned(), query, read: BTreeMap::new(), journeys }
    }

    /// The letters found so far.
    pub fn journeys(&self) -> &BTreeSet<JourneyId> {
        &self.journeys
    }

    /// What was added since the last call, by time; at the first call everything. Does not wait.
    ///
    /// # Errors
    /// When the folder cannot be read.
    pub fn next_batch(&mut self) -> io::Result<Vec<Recorded>> {
        let mut fresh = Vec::new();
        for path in files(&self.folder)? {
            let from = self.read.get(&path).copied().unwrap_or(0);
            let upto = read_lines(&path, from, &mut |recorded| fresh.push(recorded))?;
            self.read.insert(path, upto);
        }
        // Until nothing new is found: a bounce leads to its letter, and that to its delivery.
        loop {
            let known = self.journeys.len();
            for recorded in &fresh {
                let journey = recorded.event.journey;
                let follows = recorded.event.cause.is_some_and(|c| self.journeys.contains(&c));
                if (self.query.names(recorded) || follows)
                    && let Some(journey) = journey
                {
                    self.journeys.insert(journey);
                }
            }
            if self.journeys.len() == known {
                break;
            }
        }
        let all = self.query == Query::All;
        let journeys = &self.journeys;
        fresh.retain(|recorded| {
            all || recorded.event.journey.is_some_and(|journey| journeys.contains(&journey))
        });
        fresh.sort_by_key(|recorded| recorded.time);
        Ok(fresh)
    }
}

/// The files of the trail, oldest day first.
fn files(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// Reads whole lines from `from` on; returns where the next one begins. A file that was deleted
/// meanwhile has none.
fn read_lines(path: &Path, from: u64, take: &mut dyn FnMut(Recorded)) -> io::Result<u64> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(from),
        Err(error) => return Err(error),
    };
    if file.metadata()?.len() <= from {
        return Ok(from);
    }
    file.seek(SeekFrom::Start(from))?;
    let mut reader = BufReader::with_capacity(256 * 1024, file);
    let mut at = from;
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = u64::try_from(TRAIL_LINE).unwrap_or(u64::MAX);
        let count = reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
        let whole = line.last() == Some(&b'\n');
        if count == 0 || (!whole && count < TRAIL_LINE) {
            // The rest of this line is still to be written.
            return Ok(at);
        }
        at += u64::try_from(count).unwrap_or(0);
        if let Ok(recorded) = serde_json::from_slice(&line) {
            take(recorded);
        }
    }
}
