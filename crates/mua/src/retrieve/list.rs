//! Pages of a folder: what a list shows of each letter, newest first.

use protocol::imap::command::{Command, FetchItems, FetchModifiers, Numbering};
use protocol::imap::fetch::{FetchData, FetchItem};
use protocol::imap::flag::Flag;
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::Untagged;
use protocol::imap::sequence::{NumberSet, SequenceSet};
use protocol::imap::structure::{Address, BodyStructure, Envelope, SingleDetail};
use protocol::time::Timestamp;
use serde::{Serialize, Serializer};

use crate::failure::Failure;
use crate::limits::FETCH_BATCH;
use crate::session::imap::{Imap, Said};

/// What a list shows of a letter. Texts are decoded, not yet made safe.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Folder.
    pub folder: String,
    /// UID in that folder: the number by which people name it.
    pub uid: u32,
    /// When it was written, as it says; else when it came.
    #[serde(rename = "date", serialize_with = "rfc3339")]
    pub moment: Option<Timestamp>,
    /// Authors, `Name <address>`.
    pub from: Vec<String>,
    /// Recipients in To.
    pub to: Vec<String>,
    /// Subject.
    pub subject: String,
    /// Message-ID without angle brackets.
    pub message_id: Option<String>,
    /// Octets.
    pub size: u64,
    /// Read.
    pub seen: bool,
    /// Flagged.
    pub flagged: bool,
    /// Answered.
    pub answered: bool,
    /// Marked for removal.
    pub deleted: bool,
    /// A draft.
    pub draft: bool,
    /// Has attachments.
    pub attachments: bool,
}

fn rfc3339<S: Serializer>(moment: &Option<Timestamp>, to: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => to.serialize_some(&moment.to_rfc3339()),
        None => to.serialize_none(),
    }
}

impl Entry {
    /// The name of the first author, or the address where there is no name.
    pub fn who(&self) -> String {
        let first = self.from.first().map_or("(nobody)", String::as_str);
        let name = first.split_once(" <").map_or(first, |(name, _)| name);
        name.to_owned()
    }
}

/// A part of a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Page {
    /// Folder.
    pub folder: String,
    /// Letters in it.
    pub total: u32,
    /// The letters of this page, newest first.
    pub letters: Vec<Entry>,
}

/// Opens a folder; `how` says whether it may be changed.
///
/// # Errors
/// As [`Imap::run`]; there is no such folder.
pub async fn open(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    how: Access,
) -> Result<Opened, Failure> {
    let command = match how {
        Access::Look => Command::Examine(folder.clone().into()),
        Access::Change => Command::Select(folder.clone().into()),
    };
    let said = session.run(&command).await?;
    Ok(Opened { letters: exists(&said).unwrap_or(0) })
}

/// For what a folder is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing changes, not even `\Recent`.
    Look,
    /// Marks and letters change.
    Change,
}

/// A folder that is open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Opened {
    /// Letters in it.
    pub letters: u32,
}

/// The last number of letters that the server told.
pub(super) fn exists(said: &Said) -> Option<u32> {
    said.data.iter().rev().find_map(|untagged| match untagged {
        Untagged::Exists(count) => Some(*count),
        _ => None,
    })
}

/// Page `number` (1 is the newest) of a folder, `size` letters each.
///
/// # Errors
/// As [`Imap::run`].
pub async fn page(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    number: u32,
    size: u32,
) -> Result<Page, Failure> {
    let opened = open(session, folder, Access::Look).await?;
    let skipped = number.saturating_sub(1).saturating_mul(size);
    let last = opened.letters.saturating_sub(skipped);
    let first = last.saturating_sub(size.saturating_sub(1)).max(1);
    let mut letters = Vec::new();
    if last > 0 {
        let set = SequenceSet::from_numbers(&NumberSet::from_pairs(vec![(first, last)]));
        letters = fetch(session, folder, set, Numbering::Sequence).await?;
        letters.reverse();
    }
    Ok(Page { folder: folder.as_str().to_owned(), total: opened.letters, letters })
}

/// The entries of letters by UID, in the order given. The folder is open.
///
/// # Errors
/// As [`Imap::run`].
pub async fn by_uid(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    uids: &[u32],
) -> Result<Vec<Entry>, Failure> {
    let mut found = Vec::new();
    for batch in uids.chunks(FETCH_BATCH) {
        found.extend(fetch(session, folder, uid_set(batch), Numbering::Uid).await?);
    }
    found.sort_by_key(|entry| uids.iter().position(|uid| *uid == entry.uid));
    Ok(found)
}

/// UIDs as a set.
pub(crate) fn uid_set(uids: &[u32]) -> SequenceSet {
    let pairs = uids.iter().map(|uid| (*uid, *uid)).collect();
    SequenceSet::from_numbers(&NumberSet::from_pairs(pairs))
}

/// In ascending order of sequence numbers.
async fn fetch(
    session: &mut Imap<'_>,
    folder: &MailboxName,
    set: SequenceSet,
    numbering: Numbering,
) -> Result<Vec<Entry>, Failure> {
    let items = FetchItems::List(vec![
        FetchItem::Uid,
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
        FetchItem::Envelope,
        FetchItem::BodyStructure,
    ]);
    let said = session
        .run(&Command::Fetch { numbering, set, items, modifiers: FetchModifiers::default() })
        .await?;
    let mut found = Vec::new();
    for untagged in said.data {
        if let Untagged::Fetch { sequence, data } = untagged {
            // A flag that another session changed comes as a FETCH too, without an envelope.
            found.extend(entry(folder, data).map(|entry| (sequence, entry)));
        }
    }
    found.sort_by_key(|(sequence, _)| *sequence);
    Ok(found.into_iter().map(|(_, entry)| entry).collect())
}

fn entry(folder: &MailboxName, data: Vec<FetchData>) -> Option<Entry> {
    let mut uid = None;
    let mut envelope: Option<Box<Envelope>> = None;
    let (mut came, mut size, mut attachments) = (None, 0, false);
    let mut flags = Vec::new();
    for item in data {
        match item {
            FetchData::Uid(number) => uid = Some(number.get()),
            FetchData::Flags(set) => flags = set,
            FetchData::InternalDate(date) => came = Some(date.timestamp()),
            FetchData::Rfc822Size(octets) => size = octets,
            FetchData::Envelope(found) => envelope = Some(found),
            FetchData::BodyStructure(structure) => attachments = has_attachments(&structure),
            _ => {}
        }
    }
    let envelope = envelope?;
    let text = |value: &Option<bytes::Bytes>| {
        value.as_deref().map(message::values::text).unwrap_or_default()
    };
    let written = envelope.date.as_deref().and_then(message::date::DateTime::parse);
    Some(Entry {
        folder: folder.as_str().to_owned(),
        uid: uid?,
        moment: written.map(|date| date.moment).or(came),
        from: envelope.from.iter().filter_map(person).collect(),
        to: envelope.to.iter().filter_map(person).collect(),
        subject: text(&envelope.subject),
        message_id: envelope
            .message_id
            .as_deref()
            .and_then(|value| message::message_id::all(value).into_iter().next()),
        size,
        seen: flags.contains(&Flag::Seen),
        flagged: flags.contains(&Flag::Flagged),
        answered: flags.contains(&Flag::Answered),
        deleted: flags.contains(&Flag::Deleted),
        draft: flags.contains(&Flag::Draft),
        attachments,
    })
}

/// `Name <address>`; `None` for the marks of a group.
fn person(address: &Address) -> Option<String> {
    let text = |value: &bytes::Bytes| message::values::text(value);
    let (local, host) = (address.mailbox.as_ref()?, address.host.as_ref()?);
    let address_text = format!("{}@{}", text(local), text(host));
    Some(match address.name.as_ref().map(text).filter(|name| !name.trim().is_empty()) {
        Some(name) => format!("{name} <{address_text}>"),
        None => address_text,
    })
}

/// Whether a part calls itself an attachment, or holds neither text nor parts.
fn has_attachments(structure: &BodyStructure) -> bool {
    match structure {
        BodyStructure::Multi(multi) => multi.parts.iter().any(has_attachments),
        BodyStructure::Single(part) => {
            let tail = part.extension.as_ref().map(|extension| &extension.tail);
            let disposition = tail.and_then(|tail| tail.disposition.as_ref());
            match disposition {
                Some((kind, _)) => kind.eq_ignore_ascii_case(b"attachment"),
                None => !matches!(part.detail, SingleDetail::Text { .. }),
            }
        }
    }
}
