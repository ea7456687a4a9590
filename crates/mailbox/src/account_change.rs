//! [`AccountChange`]: what can happen to an account's list of mailboxes, and [`AccountState`],
//! which is made of nothing but those. The same line stands in the intake log and in
//! `posthaste-account` (docs/mailbox.md §1).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use crate::ask::SpecialUse;
use crate::ids::MailboxId;
use crate::line;
use crate::name::MailboxName;

/// First line of `posthaste-account`.
pub(crate) const FIRST_LINE: &str = "posthaste account log 1\n";

/// One line of an account log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AccountChange {
    /// A mailbox was made.
    Mailbox {
        id: MailboxId,
        uid_validity: u32,
        name: MailboxName,
        /// What it was made for, if for anything.
        special_use: Option<SpecialUse>,
    },
    /// It has another name now.
    Rename { id: MailboxId, name: MailboxName },
    /// It was deleted, with its letters.
    Delete { id: MailboxId },
    /// A name was subscribed to.
    Subscribe { name: MailboxName },
    /// And no more.
    Unsubscribe { name: MailboxName },
    /// An annotation (RFC 5464) was set, or taken away.
    Annotate {
        /// Of which mailbox; `None`: of the account as a whole.
        id: Option<MailboxId>,
        /// Such as `/private/comment`.
        entry: String,
        /// What it says; `None`: it is no more.
        value: Option<Bytes>,
    },
}

/// Annotations of an account, by mailbox and entry.
pub(crate) type Annotations = BTreeMap<(Option<MailboxId>, String), Bytes>;

/// A mailbox as its account knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: MailboxName,
    pub(crate) uid_validity: u32,
    pub(crate) special_use: Option<SpecialUse>,
}

/// An account's list of mailboxes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct AccountState {
    /// Number of the last change.
    pub(crate) serial: u64,
    pub(crate) mailboxes: BTreeMap<MailboxId, Entry>,
    pub(crate) subscriptions: BTreeSet<MailboxName>,
    pub(crate) annotations: Annotations,
    /// The highest id ever given.
    pub(crate) last_id: u32,
    /// The highest UIDVALIDITY ever given.
    pub(crate) last_uid_validity: u32,
}

impl AccountState {
    /// Applies a change; a repeat is passed over (`false`).
    pub(crate) fn apply(&mut self, serial: u64, change: &AccountChange) -> bool {
        if serial <= self.serial {
            return false;
        }
        self.serial = serial;
        match change.clone() {
            AccountChange::Mailbox { id, uid_validity, name, special_use } => {
                self.last_id = self.last_id.max(id.0);
                self.last_uid_validity = self.last_uid_validity.max(uid_validity);
                self.mailboxes.insert(id, Entry { name, uid_validity, special_use });
            }
            AccountChange::Rename { id, name } => {
                if let Some(entry) = self.mailboxes.get_mut(&id) {
                    entry.name = name;
                }
            }
            AccountChange::Delete { id } => {
                self.mailboxes.remove(&id);
                self.annotations.retain(|(of, _), _| *of != Some(id));
            }
            AccountChange::Subscribe { name } => {
                self.subscriptions.insert(name);
            }
            AccountChange::Unsubscribe { name } => {
                self.subscriptions.remove(&name);
            }
            AccountChange::Annotate { id, entry, value } => {
                match value {
                    Some(value) => self.annotations.insert((id, entry), value),
                    None => self.annotations.remove(&(id, entry)),
                };
            }
        }
        true
    }

    /// The mailbox of this name.
    pub(crate) fn find(&self, name: &MailboxName) -> Option<MailboxId> {
        self.mailboxes.iter().find(|(_, entry)| entry.name == *name).map(|(&id, _)| id)
    }

    /// The changes that lead from nothing to this list, for a shortened log. The numbers end with
    /// [`AccountState::serial`]; `None` when there were fewer changes than are needed.
    pub(crate) fn shortened(&self) -> Option<Vec<(u64, AccountChange)>> {
        let made = self.mailboxes.iter().map(|(&id, entry)| AccountChange::Mailbox {
            id,
            uid_validity: entry.uid_validity,
            name: entry.name.clone(),
            special_use: entry.special_use,
        });
        let subscribed =
            self.subscriptions.iter().map(|name| AccountChange::Subscribe { name: name.clone() });
        let annotated = self.annotations.iter().map(|((id, entry), value)| {
            AccountChange::Annotate { id: *id, entry: entry.clone(), value: Some(value.clone()) }
        });
        // A mailbox that is gone may have had the highest numbers: they must not come back.
        let last = AccountChange::Mailbox {
            id: MailboxId(self.last_id),
            uid_validity: self.last_uid_validity,
            name: MailboxName::inbox(),
            special_use: None,
        };
        let gone = AccountChange::Delete { id: MailboxId(self.last_id) };
        let highest = self.mailboxes.get(&MailboxId(self.last_id));
        let marks = match highest {
            Some(entry) if entry.uid_validity == self.last_uid_validity => Vec::new(),
            _ => vec![last, gone],
        };
        let changes: Vec<_> =
            marks.into_iter().chain(made).chain(subscribed).chain(annotated).collect();
        let first = (self.serial + 1).checked_sub(changes.len() as u64).filter(|&n| n > 0)?;
        Some((first..).zip(changes).collect())
    }
}

impl AccountChange {
    /// The line without its checksum.
    pub(crate) fn to_line(&self, serial: u64) -> String {
        format!("{serial} {self}")
    }

    /// Reads a line whose checksum was right.
    pub(crate) fn parse(text: &str) -> Option<(u64, AccountChange)> {
        let mut words = text.split(' ');
        let mut next = || words.next();
        let serial = next()?.parse().ok()?;
        let change = match next()? {
            "mailbox" => AccountChange::Mailbox {
                id: id(next()?)?,
                uid_validity: next()?.parse().ok()?,
                name: name(next()?)?,
                special_use: match next()? {
                    "-" => None,
                    word => Some(SpecialUse::parse(word)?),
                },
            },
            "rename" => AccountChange::Rename { id: id(next()?)?, name: name(next()?)? },
            "delete" => AccountChange::Delete { id: id(next()?)? },
            "subscribe" => AccountChange::Subscribe { name: name(next()?)? },
            "unsubscribe" => AccountChange::Unsubscribe { name: name(next()?)? },
            "annotate" => AccountChange::Annotate {
                id: match next()? {
                    "-" => None,
                    word => Some(id(word)?),
                },
                entry: line::text(next()?)??,
                value: match next()? {
                    "-" => None,
                    word => Some(line::octets(word)?.into()),
                },
            },
            _ => return None,
        };
        words.next().is_none().then_some((serial, change))
    }
}

impl fmt::Display for AccountChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = |name: &MailboxName| line::word(Some(name.as_str()));
        match self {
            AccountChange::Mailbox { id, uid_validity, name, special_use } => {
                let special_use = special_use.map_or("-", SpecialUse::as_str);
                write!(f, "mailbox {id} {uid_validity} {} {special_use}", word(name))
            }
            AccountChange::Rename { id, name } => write!(f, "rename {id} {}", word(name)),
            AccountChange::Delete { id } => write!(f, "delete {id}"),
            AccountChange::Subscribe { name } => write!(f, "subscribe {}", word(name)),
            AccountChange::Unsubscribe { name } => write!(f, "unsubscribe {}", word(name)),
            AccountChange::Annotate { id, entry, value } => {
                let id = id.map_or("-".to_owned(), |id| id.to_string());
                let value = value.as_ref().map_or("-".to_owned(), |value| line::octet_word(value));
                write!(f, "annotate {id} {} {value}", line::word(Some(entry)))
            }
        }
    }
}

fn id(word: &str) -> Option<MailboxId> {
    word.parse().ok().map(MailboxId)
}

fn name(word: &str) -> Option<MailboxName> {
    MailboxName::new(&line::text(word)??).ok()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn a_name() -> impl Strategy<Value = MailboxName> {
        "[a-c -]{1,2}(/[ab])?".prop_map(|text| MailboxName::new(&text).expect("a name"))
    }

    /// Any change.
    pub(crate) fn account_change() -> impl Strategy<Value = AccountChange> {
        let id = || (1u32..9).prop_map(MailboxId);
        let special_use = proptest::option::of(proptest::sample::select(&SpecialUse::EACH[..]));
        prop_oneof![
            (id(), 1u32..99, a_name(), special_use).prop_map(
                |(id, uid_validity, name, special_use)| AccountChange::Mailbox {
                    id,
                    uid_validity,
                    name,
                    special_use
                }
            ),
            (id(), a_name()).prop_map(|(id, name)| AccountChange::Rename { id, name }),
            id().prop_map(|id| AccountChange::Delete { id }),
            a_name().prop_map(|name| AccountChange::Subscribe { name }),
            a_name().prop_map(|name| AccountChange::Unsubscribe { name }),
            (
                proptest::option::of(id()),
                "/private/[a c%-]{1,3}",
                proptest::option::of(proptest::collection::vec(any::<u8>(), 0..9)),
            )
                .prop_map(|(id, entry, value)| AccountChange::Annotate {
                    id,
                    entry,
                    value: value.map(Bytes::from),
                }),
        ]
    }

    proptest! {
        #[test]
        fn lines_lead_back(change in account_change(), serial: u64) {
            let line = change.to_line(serial);
            prop_assert_eq!(AccountChange::parse(&line), Some((serial, change)));
        }

        #[test]
        fn a_shortened_log_says_the_same(
            changes in proptest::collection::vec(account_change(), 0..40),
        ) {
            let mut state = AccountState::default();
            for change in &changes {
                state.apply(state.serial + 1, change);
            }
            if let Some(short) = state.shortened() {
                let mut read = AccountState::default();
                for (serial, change) in &short {
                    prop_assert!(read.apply(*serial, change));
                }
                read.serial = state.serial;
                prop_assert_eq!(read, state);
            }
        }
    }
}
