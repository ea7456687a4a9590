//! The junk filters of the accounts: what each has taught by moving letters into and out of Junk,
//! kept in `DATA/state/junk/DOMAIN/ACCOUNT` as text. How words become an opinion is `verdict`'s;
//! `deliver` asks, `retrieve` teaches.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use disk::{Disk, Mode, read_whole, replace_whole};
use mailbox::{AccountId, Listed, MailboxId, Mailboxes, SpecialUse, Uid};
use verdict::junk::{self, Class, Filter, Opinion};

use crate::limits::{FILTER_BYTES, FILTERS_IN_MEMORY, TAUGHT_AT_ONCE};

/// Everybody's filters.
pub(crate) struct Tutor {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Filters that were used lately; an account that has taught nothing has an empty one.
    filters: Mutex<HashMap<AccountId, Arc<Filter>>>,
    /// One lesson at a time.
    lesson: tokio::sync::Mutex<()>,
}

/// Where letters came from and where they went.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Course {
    /// What the mailbox they came from is for; none for letters that are new.
    pub(crate) from: Option<SpecialUse>,
    /// What the mailbox they went to is for.
    pub(crate) to: Option<SpecialUse>,
}

impl Tutor {
    /// Filters that lie in `folder`.
    pub(crate) fn new(disk: Arc<dyn Disk>, folder: PathBuf) -> Self {
        let (filters, lesson) = (Mutex::default(), tokio::sync::Mutex::default());
        Tutor { disk, folder, filters, lesson }
    }

    /// What the account's filter thinks of a letter whose beginning this is; `None` before it has
    /// been taught enough.
    pub(crate) fn judge(&self, account: &AccountId, start: &[u8]) -> Option<Opinion> {
        let filter = self.filter(account);
        // Letters are taken apart only for who has taught something.
        if filter.letters() == (0, 0) {
            return None;
        }
        filter.judge(&junk::of_letter(start))
    }

    /// Whether anybody has taught this account's filter.
    pub(crate) fn is_taught(&self, account: &AccountId) -> bool {
        self.filter(account).letters() != (0, 0)
    }

    /// Teaches letters that were put into a mailbox.
    pub(crate) async fn teach(
        &self,
        mailboxes: &Mailboxes,
        (account, mailbox): (&AccountId, MailboxId),
        uids: &[Uid],
        class: Class,
    ) {
        let Ok(mailbox) = mailboxes.open_mailbox(account, mailbox).await else { return };
        let _lesson = self.lesson.lock().await;
        let mut filter = Filter::clone(&self.filter(account));
        let mut changed = false;
        for uid in uids.iter().take(TAUGHT_AT_ONCE) {
            let letter = mailbox.view().letter(*uid);
            let content = letter.and_then(|letter| mailbox.content(&letter).ok());
            let start = content.and_then(|it| it.read(0, verdict::limits::JUNK_OCTETS).ok());
            let Some(start) = start else { continue };
            changed |= filter.teach(key(&start), &junk::of_letter(&start), class);
            tokio::task::yield_now().await;
        }
        if changed {
            self.keep(account, filter);
        }
    }

    fn filter(&self, account: &AccountId) -> Arc<Filter> {
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(filter) = filters.get(account) {
            return filter.clone();
        }
        let text = read_whole(self.disk.as_ref(), &self.path(account), FILTER_BYTES);
        let text = text.unwrap_or_default();
        let filter = Arc::new(Filter::from_text(&String::from_utf8_lossy(&text)));
        if filters.len() >= FILTERS_IN_MEMORY {
            filters.clear();
        }
        filters.insert(account.clone(), filter.clone());
        filter
    }

    fn keep(&self, account: &AccountId, filter: Filter) {
        let (path, text) = (self.path(account), filter.to_text());
        let parent = path.parent().map(PathBuf::from).unwrap_or_default();
        let written = self.disk.make_dirs(&parent, Mode::PRIVATE).and_then(|()| {
            replace_whole(self.disk.as_ref(), &path, Mode::PRIVATE, text.as_bytes())
        });
        if let Err(error) = written {
            tracing::warn!(%account, %error, "what was taught about junk is not kept");
        }
        let mut filters = self.filters.lock().unwrap_or_else(PoisonError::into_inner);
        filters.insert(account.clone(), Arc::new(filter));
    }

    fn path(&self, account: &AccountId) -> PathBuf {
        // Names can hold what file names cannot.
        let safe = |name: &str| -> String {
            let escaped = |octet: u8| match octet {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'+' => char::from(octet).to_string(),
                b'.' => ".".to_owned(),
                octet => format!("%{octet:02X}"),
            };
            let name: String = name.bytes().map(escaped).collect();
            // No name begins with a dot: neither hidden nor the folder above.
            match name.strip_prefix('.') {
                Some(rest) => format!("%2E{rest}"),
                None => name,
            }
        };
        self.folder.join(safe(account.domain())).join(safe(account.name()))
    }
}

impl fmt::Debug for Tutor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tutor({})", self.folder.display())
    }
}

impl Course {
    /// What a letter that goes this way teaches. Out of Junk, or from one ordinary mailbox into
    /// another: it is wanted; into Junk: it is not. To throw something away says neither.
    pub(crate) fn class(self) -> Option<Class> {
        let is_ordinary = |one: Option<SpecialUse>| matches!(one, None | Some(SpecialUse::Archive));
        match (self.from, self.to) {
            (Some(SpecialUse::Junk), Some(SpecialUse::Junk)) => None,
            (_, Some(SpecialUse::Junk)) => Some(Class::Junk),
            (Some(SpecialUse::Junk), to) if is_ordinary(to) => Some(Class::Wanted),
            _ => None,
        }
    }

    /// The way of letters that are filed among ordinary mailboxes: they are wanted. Apart, since
    /// `from` is none for INBOX and for new letters alike.
    pub(crate) fn filed(self) -> Option<Class> {
        let is_ordinary = |one: Option<SpecialUse>| matches!(one, None | Some(SpecialUse::Archive));
        let filed = is_ordinary(self.from) && is_ordinary(self.to);
        self.class().or(filed.then_some(Class::Wanted))
    }
}

/// What a mailbox is for, by the list of its account.
pub(crate) fn use_of(list: &[Listed], id: MailboxId) -> Option<SpecialUse> {
    list.iter().find(|one| one.id == id).and_then(|one| one.special_use)
}

/// Tells letters apart: by Message-ID, which stays where fields are added above, else by all of it.
fn key(start: &[u8]) -> u64 {
    let block = start.get(..message::header::length(start)).unwrap_or(start);
    let id = message::message_id::of_header(block);
    let octets = id.as_ref().map_or(start, |id| id.as_bytes());
    octets.iter().fold(0xcbf2_9ce4_8422_2325, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_way_teaches() {
        let way = |from, to| Course { from, to };
        let (junk, trash) = (Some(SpecialUse::Junk), Some(SpecialUse::Trash));
        assert_eq!(way(None, junk).class(), Some(Class::Junk));
        assert_eq!(way(junk, None).class(), Some(Class::Wanted));
        assert_eq!(way(junk, trash).class(), None);
        assert_eq!(way(None, trash).filed(), None);
        assert_eq!(way(None, None).filed(), Some(Class::Wanted));
        assert_eq!(way(None, Some(SpecialUse::Sent)).filed(), None);
    }

    #[test]
    fn a_path_stays_in_its_folder() {
        let tutor = Tutor::new(Arc::new(disk::RealDisk), "/state/junk".into());
        let of = |domain: &str, name: &str| {
            tutor.path(&AccountId::new(domain, name).unwrap()).display().to_string()
        };
        assert_eq!(of("red.test", "alice"), "/state/junk/red.test/alice");
        assert_eq!(of("red.test", "../x"), "/state/junk/red.test/%2E.%2Fx");
        assert_eq!(of("red.test", ".."), "/state/junk/red.test/%2E.");
    }
}
