//! Letters on an IMAP server: lists of folders and of what is in them, then one letter after the
//! other. Looks only (EXAMINE, PEEK). Called by `import` for a source, by `target` and `export` for
//! the account itself.

use std::num::NonZeroU32;
use std::path::PathBuf;

use protocol::imap::code::Code;
use protocol::imap::command::{Command, FetchItems, FetchModifiers, Numbering, Search};
use protocol::imap::fetch::{Content, FetchData, FetchItem, MarkSeen, Section, SectionText};
use protocol::imap::flag::{Flag, MailboxAttribute, SpecialUse};
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::{ListEntry, ListName, Untagged};
use protocol::imap::search::SearchKey;
use protocol::time::Timestamp;

use super::{Entry, Folder, Handle, Identity, Letter};
use crate::failure::Failure;
use crate::limits::{FETCH_BATCH, MAX_FOLDERS};
use crate::retrieve::folders;
use crate::retrieve::list::uid_set;
use crate::session::imap::{Imap, Said};

/// The folders that can hold letters, INBOX first. A folder that shows all letters of all others
/// (`\All`, as Gmail has) is left out: each letter would come twice.
pub(super) async fn folders(session: &mut Imap<'_>) -> Result<Vec<Folder>, Failure> {
    let mut found = Vec::new();
    for entry in folders::entries(session).await?.into_iter().take(MAX_FOLDERS) {
        let ListName::Mailbox(name) = &entry.name else { continue };
        let role = folders::role(&entry);
        let absent = [MailboxAttribute::NoSelect, MailboxAttribute::NonExistent];
        if role == Some(SpecialUse::All) || entry.attributes.iter().any(|a| absent.contains(a)) {
            continue;
        }
        let place = PathBuf::from(name.as_str());
        found.push(Folder { name: with_slashes(name, &entry), role, place });
    }
    found.sort_by_key(|folder| (folder.name != "INBOX", folder.name.clone()));
    Ok(found)
}

/// The name with our delimiter.
fn with_slashes(name: &MailboxName, entry: &ListEntry) -> String {
    let Some(delimiter) = entry.delimiter.filter(|one| *one != '/') else {
        return name.as_str().to_owned();
    };
    let levels: Vec<String> =
        name.as_str().split(delimiter).map(|level| level.replace('/', "_")).collect();
    levels.join("/")
}

/// What SELECT tells of a folder.
pub(super) struct Looked {
    /// UIDVALIDITY.
    pub(super) uid_validity: u32,
    /// UIDNEXT.
    pub(super) uid_next: u32,
}

/// Opens a folder to look at it.
pub(super) async fn examine(
    session: &mut Imap<'_>,
    mailbox: &MailboxName,
) -> Result<Looked, Failure> {
    let said = session.run(&Command::Examine(mailbox.clone().into())).await?;
    let mut looked = Looked { uid_validity: 1, uid_next: 1 };
    for untagged in said.data {
        if let Untagged::Status(_, text) = untagged {
            match text.code {
                Some(Code::UidValidity(number)) => looked.uid_validity = number.get(),
                Some(Code::UidNext(number)) => looked.uid_next = number.get(),
                _ => {}
            }
        }
    }
    Ok(looked)
}

/// The UIDs of the open folder, ascending.
pub(super) async fn uids(session: &mut Imap<'_>) -> Result<Vec<u32>, Failure> {
    let search =
        Search { numbering: Numbering::Uid, returns: None, charset: None, key: SearchKey::All };
    let said = session.run(&Command::Search(search)).await?;
    let mut uids: Vec<u32> = Vec::new();
    for untagged in said.data {
        if let Untagged::Search { found: numbers, .. } = untagged {
            uids.extend(numbers.into_iter().map(NonZeroU32::get));
        }
    }
    uids.sort_unstable();
    uids.dedup();
    Ok(uids)
}

/// The letters of a folder, without their octets.
pub(super) async fn entries(
    session: &mut Imap<'_>,
    folder: &Folder,
) -> Result<Vec<Entry>, Failure> {
    let name = folders::name(&folder.place.to_string_lossy())?;
    let looked = examine(session, &name).await?;
    let mut entries = Vec::new();
    for batch in uids(session).await?.chunks(FETCH_BATCH) {
        for (uid, identity) in identities(session, batch).await? {
            let key = format!("{}.{uid}", looked.uid_validity);
            entries.push(Entry { key, handle: Handle::Uid(uid), identity: Some(identity) });
        }
    }
    Ok(entries)
}

/// By what letters of the open folder are known elsewhere.
pub(super) async fn identities(
    session: &mut Imap<'_>,
    uids: &[u32],
) -> Result<Vec<(u32, Identity)>, Failure> {
    let text = SectionText::HeaderFields(vec!["Message-ID".to_owned()]);
    let section = Section { part: Vec::new(), text };
    let items = vec![
        FetchItem::Uid,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
        FetchItem::Section { section, partial: None, seen: MarkSeen::Peek },
    ];
    let mut found: Vec<(u32, Identity)> = Vec::new();
    for fetched in fetch(session, uids, items).await? {
        if let (Some(uid), Some(size), Some(header)) = (fetched.uid, fetched.size, &fetched.octets)
        {
            found.push((uid, Identity::new(size, header, fetched.date)));
        }
    }
    found.sort_by_key(|(uid, _)| *uid);
    Ok(found)
}

/// A letter of the open folder; `None`: it has gone meanwhile.
pub(super) async fn letter(session: &mut Imap<'_>, uid: u32) -> Result<Option<Letter>, Failure> {
    let items = vec![
        FetchItem::Uid,
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Section { section: Section::default(), partial: None, seen: MarkSeen::Peek },
    ];
    let fetched = fetch(session, &[uid], items).await?;
    let found = fetched.into_iter().find(|one| one.uid == Some(uid) && one.octets.is_some());
    Ok(found.map(|one| Letter {
        octets: one.octets.unwrap_or_default(),
        flags: one.flags.into_iter().filter(|flag| *flag != Flag::Recent).collect(),
        date: one.date,
    }))
}

/// What one FETCH response told.
#[derive(Default)]
struct Fetched {
    uid: Option<u32>,
    size: Option<u64>,
    date: Option<Timestamp>,
    flags: Vec<Flag>,
    octets: Option<Vec<u8>>,
}

async fn fetch(
    session: &mut Imap<'_>,
    uids: &[u32],
    items: Vec<FetchItem>,
) -> Result<Vec<Fetched>, Failure> {
    let (numbering, set) = (Numbering::Uid, uid_set(uids));
    let items = FetchItems::List(items);
    let Said { data, .. } = session
        .run(&Command::Fetch { numbering, set, items, modifiers: FetchModifiers::default() })
        .await?;
    let responses = data.into_iter().filter_map(|untagged| match untagged {
        Untagged::Fetch { data, .. } => Some(data),
        _ => None,
    });
    Ok(responses.map(fetched).collect())
}

fn fetched(data: Vec<FetchData>) -> Fetched {
    let mut fetched = Fetched::default();
    for item in data {
        match item {
            FetchData::Uid(uid) => fetched.uid = Some(uid.get()),
            FetchData::Rfc822Size(size) => fetched.size = Some(size),
            FetchData::InternalDate(date) => fetched.date = Some(date.timestamp()),
            FetchData::Flags(flags) => fetched.flags = flags,
            FetchData::Section { content: Content::Inline(octets), .. } => {
                fetched.octets = Some(octets.to_vec());
            }
            _ => {}
        }
    }
    fetched
}
