//! Takes the letters of an account out, so that somebody else's server opens them as they are:
//! Maildir++ with UIDs, UIDVALIDITY, keywords and subscriptions in the files that Dovecot reads, or
//! one mbox per folder. Octets are the account's own; only the mbox form changes line ends and
//! quotes
//! `From `. Nothing is written over: the folder must be new or empty.

use std::fs;
use std::path::Path;

use protocol::imap::command::Command;
use protocol::imap::mailbox::ListPattern;
use protocol::imap::response::{ListName, Untagged};
use serde::Serialize;

use super::write::{self, Maildir, Mbox};
use super::{Folder, server};
use crate::failure::Failure;
use crate::retrieve::folders;
use crate::session::Desk;
use crate::session::imap::Imap;

/// The form of what is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One Maildir with Maildir++ folders.
    Maildir,
    /// One file per folder.
    Mbox,
}

/// How far an export is, or was.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Exported {
    /// Folder at hand.
    pub folder: String,
    /// Letters in that folder.
    pub in_folder: u64,
    /// Of these, letters written.
    pub done_in_folder: u64,
    /// Folders written.
    pub folders: u64,
    /// Letters written.
    pub letters: u64,
    /// Octets of them.
    pub bytes: u64,
}

/// Writes all folders of an account below `to`.
///
/// # Errors
/// `to` is not empty or cannot be written; the account cannot be read.
pub async fn run(
    desk: &Desk,
    form: Form,
    to: &Path,
    tell: &mut dyn FnMut(&Exported),
) -> Result<Exported, Failure> {
    must_be_empty(to)?;
    let mut session = Imap::open(desk).await?;
    let mut done = Exported::default();
    let all = server::folders(&mut session).await?;
    for folder in &all {
        done.folder.clone_from(&folder.name);
        match form {
            Form::Maildir => maildir(&mut session, folder, to, (&mut done, tell)).await?,
            Form::Mbox => mbox(&mut session, folder, to, (&mut done, tell)).await?,
        }
        done.folders += 1;
    }
    if form == Form::Maildir {
        write::subscriptions(to, &subscribed(&mut session).await?)?;
    }
    session.close().await;
    Ok(done)
}

type Telling<'a> = (&'a mut Exported, &'a mut dyn FnMut(&Exported));

async fn maildir(
    session: &mut Imap<'_>,
    folder: &Folder,
    to: &Path,
    (done, tell): Telling<'_>,
) -> Result<(), Failure> {
    let looked = server::examine(session, &name(folder)?).await?;
    let mut out = Maildir::create(to, &folder.name, looked.uid_validity)?;
    let uids = server::uids(session).await?;
    begin(done, &uids);
    for uid in uids {
        if let Some(letter) = server::letter(session, uid).await? {
            out.add(uid, &letter)?;
            count(done, letter.octets.len());
        }
        tell(done);
    }
    out.finish(looked.uid_next)
}

async fn mbox(
    session: &mut Imap<'_>,
    folder: &Folder,
    to: &Path,
    (done, tell): Telling<'_>,
) -> Result<(), Failure> {
    server::examine(session, &name(folder)?).await?;
    let mut out = Mbox::create(to, &folder.name)?;
    let uids = server::uids(session).await?;
    begin(done, &uids);
    for uid in uids {
        if let Some(letter) = server::letter(session, uid).await? {
            out.add(&letter)?;
            count(done, letter.octets.len());
        }
        tell(done);
    }
    out.finish()
}

fn begin(done: &mut Exported, uids: &[u32]) {
    done.in_folder = u64::try_from(uids.len()).unwrap_or(u64::MAX);
    done.done_in_folder = 0;
}

fn count(done: &mut Exported, octets: usize) {
    done.letters += 1;
    done.done_in_folder += 1;
    done.bytes += u64::try_from(octets).unwrap_or(0);
}

fn name(folder: &Folder) -> Result<protocol::imap::mailbox::MailboxName, Failure> {
    folders::name(&folder.place.to_string_lossy())
}

async fn subscribed(session: &mut Imap<'_>) -> Result<Vec<String>, Failure> {
    let pattern = |text: &str| {
        ListPattern::new(text).map_err(|error| Failure::no(format!("{text:?}: {error}")))
    };
    let command = Command::Lsub { reference: pattern("")?, pattern: pattern("*")? };
    let said = session.run(&command).await?;
    Ok(said
        .data
        .into_iter()
        .filter_map(|untagged| match untagged {
            Untagged::Lsub(entry) => match entry.name {
                ListName::Mailbox(name) => Some(name.as_str().to_owned()),
                ListName::Root(_) => None,
            },
            _ => None,
        })
        .collect())
}

fn must_be_empty(to: &Path) -> Result<(), Failure> {
    let problem = |error| Failure::io(format!("cannot write to {}", to.display()), &error);
    match fs::read_dir(to) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => Err(Failure::no(format!(
                "{} is not empty; an export writes over nothing, name a new folder",
                to.display()
            ))),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            fs::create_dir_all(to).map_err(problem)
        }
        Err(error) => Err(problem(error)),
    }
}
