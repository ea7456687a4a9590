//! Brings the letters of a [`Source`] into an account. Letters that are there already are passed
//! over, so an import that broke off goes on when it is run again, and one that is repeated brings
//! only what is new. A letter that the account refuses is named and does not stop the others.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use protocol::imap::mailbox::MailboxName;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::journal::Journal;
use super::target::Target;
use super::{Entry, Folder, Handle, Identity, Letter, Source, maildir, mbox, server};
use crate::failure::{Failure, Kind};
use crate::limits::{MAX_FAILURES_SHOWN, RECONNECT_AFTER, RECONNECTIONS};
use crate::session::Desk;
use crate::session::imap::Imap;

/// What is to be done.
pub struct Import<'a> {
    /// Where letters come from.
    pub source: &'a Source,
    /// The account's own server.
    pub target: &'a Desk,
    /// Folder of journals of this account.
    pub journals: &'a Path,
    /// Folders of the source that go elsewhere: from, to.
    pub renames: &'a [(String, String)],
    /// A folder that everything goes below.
    pub into: Option<&'a str>,
    /// Whether letters are really added.
    pub mode: Mode,
}

/// Whether letters are really added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// They are.
    Carry,
    /// It is only said what would be done.
    Rehearse,
}

/// How far an import is, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// Folder of the source at hand.
    pub folder: String,
    /// Letters in that folder.
    pub in_folder: u64,
    /// Of these, letters dealt with.
    pub done_in_folder: u64,
    /// Letters carried in this run.
    pub copied: u64,
    /// Octets of them.
    pub bytes: u64,
    /// Letters that were there already.
    pub present: u64,
    /// Letters that could not be carried.
    pub failed: u64,
    /// Which, and why; the first of them.
    pub failures: Vec<String>,
    /// Folders dealt with.
    pub folders: u64,
}

/// Runs an import; `tell` hears of each letter.
///
/// # Errors
/// The source cannot be read, or a server cannot be reached any more. What was carried stays, and
/// the next run goes on from there.
pub async fn run(
    import: &Import<'_>,
    tell: &mut dyn FnMut(&Progress),
) -> Result<Progress, Failure> {
    let mut total = Progress::default();
    let mut attempts = 0;
    loop {
        let mut progress =
            Progress { copied: total.copied, bytes: total.bytes, ..Progress::default() };
        let ended = once(import, &mut progress, tell).await;
        match ended {
            // What broke off is begun anew: what was carried before counts as carried, not as
            // there.
            Ok(()) => {
                progress.present -= total.copied.min(progress.present);
                return Ok(progress);
            }
            Err(failure) if failure.kind == Kind::TryAgain => {
                attempts = if progress.copied > total.copied { 0 } else { attempts + 1 };
                if attempts >= RECONNECTIONS {
                    return Err(failure);
                }
                tracing::debug!(%failure, "the import connects again");
                total = progress;
                import.target.clock.sleep(RECONNECT_AFTER).await;
            }
            Err(failure) => return Err(failure),
        }
    }
}

/// One run until the end, or until a connection breaks.
async fn once(
    import: &Import<'_>,
    progress: &mut Progress,
    tell: &mut dyn FnMut(&Progress),
) -> Result<(), Failure> {
    let mut reader = Reader::open(import.source).await?;
    let mut target = Target::open(Imap::open(import.target).await?).await?;
    let mut journal = Journal::open(&import.journals.join(journal_name(import.source)))?;
    for folder in reader.folders().await? {
        let entries = reader.entries(&folder).await?;
        progress.folder.clone_from(&folder.name);
        progress.in_folder = u64::try_from(entries.len()).unwrap_or(u64::MAX);
        progress.done_in_folder = 0;
        let work = FolderWork { import, folder: &folder, entries };
        work.run((&mut reader, &mut target, &mut journal), progress, tell).await?;
        progress.folders += 1;
    }
    target.close().await;
    reader.close().await;
    Ok(())
}

/// The letters of one folder.
struct FolderWork<'a> {
    import: &'a Import<'a>,
    folder: &'a Folder,
    entries: Vec<Entry>,
}

type Ends<'a, 'b, 's> = (&'a mut Reader<'s>, &'a mut Target<'b>, &'a mut Journal);

impl FolderWork<'_> {
    async fn run(
        self,
        (reader, target, journal): Ends<'_, '_, '_>,
        progress: &mut Progress,
        tell: &mut dyn FnMut(&Progress),
    ) -> Result<(), Failure> {
        let FolderWork { import, folder, entries } = self;
        let mut name = target.place_for(folder, import.renames);
        if let Some(above) = import.into {
            name = format!("{above}/{name}");
        }
        // A folder is looked at, and made, when the first letter needs it; an empty one is made
        // too.
        let mut place: Option<Place> = None;
        if entries.is_empty() && import.mode == Mode::Carry {
            target.ensure(&name).await?;
        }
        for entry in entries {
            progress.done_in_folder += 1;
            if journal.take(&folder.name, &entry.key) {
                progress.present += 1;
                continue;
            }
            if place.is_none() {
                place = Some(Place::open(import, target, &name).await?);
            }
            let Some(place) = &mut place else { continue };
            match place.carry(&entry, reader, target).await {
                Ok(Carried::Copied(bytes)) => {
                    progress.copied += 1;
                    progress.bytes += bytes;
                }
                Ok(Carried::Present) => progress.present += 1,
                Ok(Carried::Nothing) => continue,
                Err(failure) if failure.kind == Kind::TryAgain => return Err(failure),
                Err(failure) => {
                    progress.failed += 1;
                    if progress.failures.len() < MAX_FAILURES_SHOWN {
                        progress
                            .failures
                            .push(format!("{}: {}: {failure}", folder.name, entry.key));
                    }
                    continue;
                }
            }
            if import.mode == Mode::Carry {
                journal.carried(&folder.name, &entry.key)?;
            }
            tell(progress);
        }
        Ok(())
    }
}

/// A folder of the target and what it has.
struct Place {
    mailbox: Option<MailboxName>,
    has: HashMap<Identity, u32>,
}

enum Carried {
    Copied(u64),
    Present,
    /// It is no letter, or has gone meanwhile.
    Nothing,
}

impl Place {
    async fn open(
        import: &Import<'_>,
        target: &mut Target<'_>,
        name: &str,
    ) -> Result<Self, Failure> {
        if import.mode == Mode::Rehearse {
            // What is not there yet has nothing.
            let mailbox = crate::retrieve::folders::name(name)?;
            let has = target.identities(&mailbox).await.unwrap_or_default();
            return Ok(Place { mailbox: None, has });
        }
        let mailbox = target.ensure(name).await?;
        let has = target.identities(&mailbox).await?;
        Ok(Place { mailbox: Some(mailbox), has })
    }

    async fn carry(
        &mut self,
        entry: &Entry,
        reader: &mut Reader<'_>,
        target: &mut Target<'_>,
    ) -> Result<Carried, Failure> {
        if entry.identity.as_ref().is_some_and(|identity| self.takes(identity)) {
            return Ok(Carried::Present);
        }
        let Some(letter) = reader.letter(entry).await? else { return Ok(Carried::Nothing) };
        if entry.identity.is_none() && self.takes(&letter.identity()) {
            return Ok(Carried::Present);
        }
        if let Some(mailbox) = &self.mailbox {
            target.append(mailbox, &letter).await?;
        }
        Ok(Carried::Copied(u64::try_from(letter.octets.len()).unwrap_or(u64::MAX)))
    }

    /// One letter of that identity is there, and stands for this one.
    fn takes(&mut self, identity: &Identity) -> bool {
        match self.has.get_mut(identity) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            _ => false,
        }
    }
}

/// A source that is open.
enum Reader<'a> {
    Maildir { root: &'a Path, keywords: Vec<String> },
    Mbox { root: &'a Path, file: PathBuf },
    Server(Box<Imap<'a>>),
}

impl<'a> Reader<'a> {
    async fn open(source: &'a Source) -> Result<Self, Failure> {
        Ok(match source {
            Source::Maildir(root) => Reader::Maildir { root, keywords: Vec::new() },
            Source::Mbox(root) => Reader::Mbox { root, file: PathBuf::new() },
            Source::Server(desk) => Reader::Server(Box::new(Imap::open(desk).await?)),
        })
    }

    async fn folders(&mut self) -> Result<Vec<Folder>, Failure> {
        match self {
            Reader::Maildir { root, .. } => maildir::folders(root),
            Reader::Mbox { root, .. } => mbox::folders(root),
            Reader::Server(session) => server::folders(session).await,
        }
    }

    /// The letters of a folder, which is then the one that [`Reader::letter`] reads from.
    async fn entries(&mut self, folder: &Folder) -> Result<Vec<Entry>, Failure> {
        match self {
            Reader::Maildir { keywords, .. } => {
                *keywords = maildir::keywords(folder);
                maildir::entries(folder)
            }
            Reader::Mbox { file, .. } => {
                file.clone_from(&folder.place);
                mbox::entries(folder)
            }
            Reader::Server(session) => server::entries(session, folder).await,
        }
    }

    async fn letter(&mut self, entry: &Entry) -> Result<Option<Letter>, Failure> {
        match (self, &entry.handle) {
            (Reader::Maildir { keywords, .. }, Handle::File(path)) => {
                maildir::read(path, keywords).map(Some)
            }
            (Reader::Mbox { file, .. }, Handle::Range(start, length)) => {
                mbox::read(file, *start, *length)
            }
            (Reader::Server(session), Handle::Uid(uid)) => server::letter(session, *uid).await,
            _ => Ok(None),
        }
    }

    async fn close(self) {
        if let Reader::Server(session) = self {
            session.close().await;
        }
    }
}

/// One journal per source, whatever it is called.
fn journal_name(source: &Source) -> String {
    let name = match source {
        Source::Maildir(path) | Source::Mbox(path) => {
            path.canonicalize().unwrap_or_else(|_| path.clone()).display().to_string()
        }
        Source::Server(desk) => format!("{} {}", desk.account.imap, desk.account.user),
    };
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(JOURNAL_NAME).map(|octet| format!("{octet:02x}")).collect()
}

/// Octets of the hash in a journal's name.
const JOURNAL_NAME: usize = 8;
