//! Searches: a [`Query`](super::query::Query) asked of the server, folder by folder.

use protocol::imap::command::{Command, Numbering, Search};
use protocol::imap::mailbox::MailboxName;
use protocol::imap::response::Untagged;
use protocol::imap::search::SearchKey;

use super::folders;
use super::list::{self, Access, Entry};
use super::query::{Query, Scope};
use crate::failure::Failure;
use crate::session::imap::Imap;

/// The letters found, newest first within each folder, at most `most`; and how many there are.
///
/// # Errors
/// As [`Imap::run`].
pub async fn find(
    session: &mut Imap<'_>,
    query: &Query,
    here: &MailboxName,
    most: usize,
) -> Result<(Vec<Entry>, usize), Failure> {
    let scope = match &query.scope {
        Scope::Here => vec![here.clone()],
        Scope::Folder(name) => vec![folders::name(name)?],
        Scope::Everywhere => {
            let all = folders::all(session).await?;
            all.iter()
                .filter(|folder| folder.letters.is_none_or(|letters| letters > 0))
                .filter_map(|folder| MailboxName::new(&folder.name).ok())
                .collect()
        }
    };
    let only_one = scope.len() == 1;
    let mut found = Vec::new();
    let mut count = 0;
    for folder in scope {
        match list::open(session, &folder, Access::Look).await {
            Ok(_) => {}
            // Of many folders one that cannot be opened is no reason to find nothing.
            Err(failure) if only_one => return Err(failure),
            Err(_) => continue,
        }
        let mut uids = uids(session, query).await?;
        uids.sort_unstable_by(|a, b| b.cmp(a));
        if query.attachment.is_none() {
            count += uids.len();
            uids.truncate(most.saturating_sub(found.len()));
        }
        let mut entries = list::by_uid(session, &folder, &uids).await?;
        if let Some(wanted) = query.attachment {
            entries.retain(|entry| entry.attachments == wanted);
            count += entries.len();
            entries.truncate(most.saturating_sub(found.len()));
        }
        found.extend(entries);
    }
    Ok((found, count))
}

/// The UIDs in the open folder.
async fn uids(session: &mut Imap<'_>, query: &Query) -> Result<Vec<u32>, Failure> {
    let command = |charset: Option<&str>| {
        Command::Search(Search {
            numbering: Numbering::Uid,
            returns: None,
            charset: charset.map(str::to_owned),
            key: query.key.clone(),
        })
    };
    // RFC 9051 §6.4.4: rev2 servers, and words in ASCII, need no charset; RFC 3501 ones are told.
    let ascii = is_ascii(&query.key);
    let said = session.run(&command(if ascii { None } else { Some("UTF-8") })).await?;
    Ok(uids_of(said.data))
}

/// The numbers in the answer to SEARCH, in either form.
pub(super) fn uids_of(data: Vec<Untagged>) -> Vec<u32> {
    let mut uids = Vec::new();
    for untagged in data {
        match untagged {
            Untagged::Search { found: numbers, .. } => {
                uids.extend(numbers.iter().map(|number| number.get()))
            }
            Untagged::ExtendedSearch(found) => {
                uids.extend(found.all.iter().flat_map(|set| set.iter()));
            }
            _ => {}
        }
    }
    uids
}

fn is_ascii(key: &SearchKey) -> bool {
    match key {
        SearchKey::And(keys) => keys.iter().all(is_ascii),
        SearchKey::Or(a, b) => is_ascii(a) && is_ascii(b),
        SearchKey::Not(inner) => is_ascii(inner),
        SearchKey::Header { value, .. } | SearchKey::Body(value) | SearchKey::Text(value) => {
            value.is_ascii()
        }
        _ => true,
    }
}
