//! The folders of an account, what they are for (RFC 6154), and how many letters they have.

use protocol::imap::command::{Command, List, ListForm, ListReturn};
use protocol::imap::flag::{MailboxAttribute, SpecialUse};
use protocol::imap::mailbox::{ListPattern, MailboxName};
use protocol::imap::response::{ListEntry, ListName, StatusItem, Untagged};
use serde::Serialize;

use crate::failure::Failure;
use crate::limits::MAX_FOLDERS;
use crate::session::imap::Imap;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Folder {
    /// Name, hierarchy included.
    pub name: String,
    /// What it is for: `sent`, `trash`, ...
    pub role: Option<String>,
    /// Letters in it; absent when it holds none by nature.
    pub letters: Option<u64>,
    /// Unread letters in it.
    pub unread: Option<u64>,
}

/// A folder name as a person typed it.
///
/// # Errors
/// It cannot be one.
pub fn name(typed: &str) -> Result<MailboxName, Failure> {
    MailboxName::new(typed).map_err(|error| Failure::usage(format!("{typed:?}: {error}")))
}

/// All folders, with counts where asked for.
///
/// # Errors
/// As [`Imap::run`].
pub async fn all(session: &mut Imap<'_>) -> Result<Vec<Folder>, Failure> {
    session.know_capabilities().await?;
    let items = vec![StatusItem::Messages, StatusItem::Unseen];
    let at_once = session.has("LIST-STATUS");
    let (entries, mut counts) = listed(session, at_once.then(|| items.clone())).await?;
    let mut folders = Vec::new();
    for entry in entries.into_iter().take(MAX_FOLDERS) {
        let ListName::Mailbox(mailbox) = &entry.name else { continue };
        let absent = [MailboxAttribute::NoSelect, MailboxAttribute::NonExistent];
        let selectable = !entry.attributes.iter().any(|a| absent.contains(a));
        if selectable && !at_once {
            let command = Command::Status { mailbox: mailbox.clone(), items: items.clone() };
            // A folder that vanished meanwhile, or that we may not look into, has no counts.
            if let Ok(said) = session.run(&command).await {
                counts.extend(statuses(said.data));
            }
        }
        let count = |item: StatusItem| {
            let (_, items) = counts.iter().find(|(name, _)| name == mailbox)?;
            items.iter().find(|(known, _)| *known == item).map(|(_, number)| *number)
        };
        folders.push(Folder {
            name: mailbox.as_str().to_owned(),
            role: role(&entry)
                .map(|role| role.name().trim_start_matches('\\').to_ascii_lowercase()),
            letters: count(StatusItem::Messages),
            unread: count(StatusItem::Unseen),
        });
    }
    folders.sort_by_key(|folder| (folder.name != "INBOX", folder.name.clone()));
    Ok(folders)
}

/// The folder for some use: by its attribute, else by its usual name, if there is one.
///
/// # Errors
/// As [`Imap::run`].
pub async fn for_use(
    session: &mut Imap<'_>,
    wanted: SpecialUse,
) -> Result<Option<MailboxName>, Failure> {
    let entries = entries(session).await?;
    let names = |entry: &ListEntry| match &entry.name {
        ListName::Mailbox(name) => Some(name.clone()),
        ListName::Root(_) => None,
    };
    if let Some(entry) = entries.iter().find(|entry| role(entry) == Some(wanted)) {
        return Ok(names(entry));
    }
    let usual = wanted.name().trim_start_matches('\\');
    let is_usual = |name: &MailboxName, delimiter: Option<char>| {
        let last = match delimiter {
            Some(delimiter) => name.as_str().rsplit(delimiter).next(),
            None => Some(name.as_str()),
        };
        last.is_some_and(|last| last.eq_ignore_ascii_case(usual))
    };
    Ok(entries.iter().find_map(|entry| names(entry).filter(|name| is_usual(name, entry.delimiter))))
}

/// What LIST says of all folders, special uses with it where the server knows them.
///
/// # Errors
/// As [`Imap::run`].
pub(crate) async fn entries(session: &mut Imap<'_>) -> Result<Vec<ListEntry>, Failure> {
    session.know_capabilities().await?;
    Ok(listed(session, None).await?.0)
}

type Counts = Vec<(MailboxName, Vec<(StatusItem, u64)>)>;

/// LIST with whatever the server can tell in one go.
async fn listed(
    session: &mut Imap<'_>,
    counts: Option<Vec<StatusItem>>,
) -> Result<(Vec<ListEntry>, Counts), Failure> {
    let mut returns = Vec::new();
    if session.has("SPECIAL-USE") && session.has("LIST-EXTENDED") {
        returns.push(ListReturn::SpecialUse);
    }
    returns.extend(counts.map(ListReturn::Status));
    let pattern = |text: &str| {
        ListPattern::new(text).map_err(|error| Failure::no(format!("{text:?}: {error}")))
    };
    let form = if returns.is_empty() { ListForm::Basic } else { ListForm::Extended };
    let list = List {
        selection: Vec::new(),
        reference: pattern("")?,
        patterns: vec![pattern("*")?],
        returns,
        form,
    };
    let said = session.run(&Command::List(list)).await?;
    let mut entries = Vec::new();
    let mut rest = Vec::new();
    for untagged in said.data {
        match untagged {
            Untagged::List(entry) => entries.push(entry),
            other => rest.push(other),
        }
    }
    Ok((entries, statuses(rest)))
}

fn statuses(data: Vec<Untagged>) -> Counts {
    data.into_iter()
        .filter_map(|untagged| match untagged {
            Untagged::MailboxStatus { mailbox, items } => Some((mailbox, items)),
            _ => None,
        })
        .collect()
}

/// What a folder is for, by its attributes.
pub(crate) fn role(entry: &ListEntry) -> Option<SpecialUse> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        MailboxAttribute::Use(role) => Some(*role),
        _ => None,
    })
}
