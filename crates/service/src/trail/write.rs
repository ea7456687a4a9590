//! Writes events in batches from a thread of its own: the one who records only appends to a buffer
//! in memory. One buffer, one thread, one file a day.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use net::Clock;
use protocol::time::Timestamp;

use super::event::{Event, Kind, Outcome};
use super::line::{self, Head, Second, Spoken};
use crate::exit::Fatal;
use crate::limits::{TRAIL_ALL, TRAIL_DETAIL, TRAIL_GATHER, TRAIL_KEPT};

/// Takes events. Clones write into the same file. The last one dropped writes what is left.
#[derive(Debug, Clone)]
pub struct Trail {
    handle: Arc<Handle>,
}

#[derive(Debug)]
struct Handle {
    shared: Arc<Shared>,
    thread: Mutex<Option<std::thread::JoinHandle<()>>>,
}

#[derive(Debug)]
struct Shared {
    agent: String,
    clock: Clock,
    buffer: Mutex<Buffer>,
    /// Something is in the buffer, or the end has come.
    filled: Condvar,
    /// The buffer was written out.
    written: Condvar,
}

#[derive(Debug, Default)]
struct Buffer {
    lines: Vec<u8>,
    second: Second,
    dropped: u64,
    /// The thread is writing what it took.
    busy: bool,
    /// Write at once.
    hurry: bool,
    end: bool,
}

impl Trail {
    /// Begins to write below `folder`, and deletes files older than `keep`.
    ///
    /// # Errors
    /// When today's file cannot be opened.
    pub fn open(folder: &Path, agent: &str, clock: &Clock, keep: Duration) -> Result<Self, Fatal> {
        let cannot = |error: io::Error| {
            Fatal::io(&format!("cannot write the trail in {}", folder.display()), &error)
        };
        let mut file = Daily::new(folder, agent, keep);
        file.of(clock.now()).map_err(cannot)?;
        let shared = Arc::new(Shared {
            agent: agent.to_owned(),
            clock: clock.clone(),
            buffer: Mutex::default(),
            filled: Condvar::new(),
            written: Condvar::new(),
        });
        let for_thread = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("trail".to_owned())
            .spawn(move || for_thread.work(file))
            .map_err(cannot)?;
        Ok(Trail { handle: Arc::new(Handle { shared, thread: Mutex::new(Some(thread)) }) })
    }

    /// A trail that remembers nothing, for tests and tools.
    pub fn none(clock: &Clock) -> Self {
        let shared = Shared {
            agent: String::new(),
            clock: clock.clone(),
            buffer: Mutex::new(Buffer { end: true, ..Buffer::default() }),
            filled: Condvar::new(),
            written: Condvar::new(),
        };
        Trail { handle: Arc::new(Handle { shared: Arc::new(shared), thread: Mutex::new(None) }) }
    }

    /// Records an event, now. Never waits for the disk.
    pub fn record(&self, event: Event) {
        let agent = &self.handle.shared.agent;
        self.append(event.kind, |buffer, time| {
            let Buffer { lines, second, .. } = buffer;
            line::event(lines, second, &Head { agent, time }, &event);
        });
    }

    /// Records a line of a dialogue, now; an [`Event`] of it would say the same.
    pub fn record_spoken(&self, said: &Spoken<'_>) {
        let agent = &self.handle.shared.agent;
        self.append(Kind::SmtpLine, |buffer, time| {
            let Buffer { lines, second, .. } = buffer;
            line::spoken(lines, second, &Head { agent, time }, said);
        });
    }

    fn append(&self, kind: Kind, write: impl FnOnce(&mut Buffer, Timestamp)) {
        let shared = &self.handle.shared;
        let mut buffer = shared.lock();
        if buffer.end {
            return;
        }
        let limit = if kind.is_detail() { TRAIL_DETAIL } else { TRAIL_ALL };
        if buffer.lines.len() >= limit {
            buffer.dropped += 1;
            return;
        }
        let was_empty = buffer.lines.is_empty();
        write(&mut buffer, shared.clock.now());
        drop(buffer);
        if was_empty {
            shared.filled.notify_one();
        }
    }

    /// Waits until everything recorded so far is in the file (not synced: the trail may be lost).
    pub fn flush(&self) {
        let shared = &self.handle.shared;
        let mut buffer = shared.lock();
        while !buffer.end && (buffer.busy || !buffer.lines.is_empty()) {
            buffer.hurry = true;
            shared.filled.notify_one();
            buffer = shared.written.wait(buffer).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.lock().end = true;
        self.shared.filled.notify_one();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It has no way to panic that it could tell of.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread: waits for something, lets more gather, writes it in one go.
    fn work(&self, mut file: Daily) {
        let mut spare = Vec::new();
        loop {
            let mut buffer = self.lock();
            while buffer.lines.is_empty() && !buffer.end {
                buffer = self.filled.wait(buffer).unwrap_or_else(PoisonError::into_inner);
            }
            if !buffer.hurry && !buffer.end {
                let gathering = |buffer: &mut Buffer| !buffer.hurry && !buffer.end;
                let waited = self.filled.wait_timeout_while(buffer, TRAIL_GATHER, gathering);
                buffer = waited.unwrap_or_else(PoisonError::into_inner).0;
            }
            let ended = buffer.end;
            let mut lines = std::mem::replace(&mut buffer.lines, std::mem::take(&mut spare));
            let dropped = std::mem::take(&mut buffer.dropped);
            buffer.busy = true;
            buffer.hurry = false;
            drop(buffer);

            let now = self.clock.now();
            if dropped > 0 {
                let event = Event { count: Some(dropped), ..Event::anonymous(Kind::Dropped) };
                let head = Head { agent: &self.agent, time: now };
                let event = event.outcome(Outcome::Temporary);
                line::event(&mut lines, &mut Second::default(), &head, &event);
            }
            if let Err(error) = file.of(now).and_then(|file| file.write_all(&lines)) {
                tracing::warn!(%error, "events of the trail are lost");
            }
            lines.clear();
            // A burst must not keep its memory for ever.
            lines.shrink_to(TRAIL_KEPT);
            spare = lines;
            self.lock().busy = false;
            self.written.notify_all();
            if ended {
                return;
            }
        }
    }
}

/// The file of the day, opened again when the day changes.
#[derive(Debug)]
struct Daily {
    folder: PathBuf,
    agent: String,
    keep: Duration,
    open: Option<(String, File)>,
}

impl Daily {
    fn new(folder: &Path, agent: &str, keep: Duration) -> Self {
        Daily { folder: folder.to_owned(), agent: agent.to_owned(), keep, open: None }
    }

    fn of(&mut self, now: Timestamp) -> io::Result<&mut File> {
        let date = now.to_date();
        if self.open.as_ref().is_none_or(|(open, _)| *open != date) {
            let path = self.folder.join(format!("{date}.{}.jsonl", self.agent));
            let file = File::options().append(true).create(true).mode(0o600).open(path)?;
            self.forget(now);
            self.open = Some((date, file));
        }
        let (_, file) = self.open.as_mut().expect("it was opened above");
        Ok(file)
    }

    /// Deletes this agent's files of days before `keep`.
    fn forget(&self, now: Timestamp) {
        let oldest = now.before(self.keep).to_date();
        let suffix = format!(".{}.jsonl", self.agent);
        let Ok(entries) = fs::read_dir(&self.folder) else { return };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let date = name.to_str().and_then(|name| name.strip_suffix(&suffix));
            // Dates in this form sort as text.
            if date.is_some_and(|date| date.len() == 10 && *date < *oldest)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::warn!(%error, file = ?name, "cannot delete an old file of the trail");
            }
        }
    }
}
