//! [`Transaction`]: one record of the intake log, i.e. one request with everything needed to lay
//! it out again. Text that a person can read, then the bytes of letters.
//!
//! ```text
//! account red.test alice
//! list 12 subscribe Lists
//! mailbox 1
//! change 57 add 9 - 1795381596 1795381596 4096 01... - - 0a... alice@red.test
//! inline 212
//! end 3884
//! <212 bytes of header fields of our own><3884 bytes of the letter>
//! ```

use bytes::Bytes;

use crate::account_change::AccountChange;
use crate::change::Change;
use crate::ids::{AccountId, MailboxId, ModSeq};
use crate::limits::TRANSACTION_BYTES;
use crate::line;

/// Kind of the record in the log; another number if the format ever changes.
pub(crate) const KIND: u8 = 1;

/// The changes of one request, in order, and the letter they share.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Transaction {
    pub(crate) parts: Vec<Part>,
    pub(crate) body: Bytes,
}

/// One line of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// What follows concerns this account.
    Account(AccountId),
    /// A change of its list of mailboxes, with its number.
    List(u64, AccountChange),
    /// What follows concerns this mailbox of it.
    Mailbox(MailboxId),
    /// A change of its letters. An `add` is followed by its source.
    Change(ModSeq, Change),
    /// Where the bytes of the letter just added come from.
    Source(Source),
}

/// Where the bytes of a letter are until its file is laid out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// These header fields, then the body of the transaction.
    Inline(Bytes),
    /// A synced file of its own.
    Staged(u64),
    /// The file of another letter of the account, by the name without flags.
    Link(MailboxId, String),
    /// It is there already: another program brought it.
    There,
}

impl Transaction {
    /// Whether nothing was changed.
    pub(crate) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// The transaction in pieces that each fit one record, each with its headings. Only requests
    /// that name thousands of letters or hundreds of recipients need more than one; their pieces
    /// become durable with the same barrier.
    pub(crate) fn split(self) -> Vec<Transaction> {
        let mut pieces = Vec::new();
        let mut piece = Transaction { parts: Vec::new(), body: self.body.clone() };
        let (mut account, mut mailbox) = (None, None);
        let mut size = 0;
        for part in self.parts {
            match &part {
                Part::Account(_) => (account, mailbox) = (Some(part.clone()), None),
                Part::Mailbox(_) => mailbox = Some(part.clone()),
                _ => {}
            }
            let heads = matches!(part, Part::Account(_) | Part::Mailbox(_));
            // The source of a letter stays with its letter.
            let breaks = !heads && !matches!(part, Part::Source(_));
            if breaks && size + part.size() > TRANSACTION_BYTES - piece.body.len() {
                let headings = account.iter().chain(&mailbox).cloned().collect();
                let next = Transaction { parts: headings, body: self.body.clone() };
                pieces.push(std::mem::replace(&mut piece, next));
                size = 0;
            }
            size += part.size();
            piece.parts.push(part);
        }
        pieces.push(piece);
        pieces
    }

    /// The text of the record; the bytes of [`Transaction::letters`] follow it.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Account(account) => {
                    let domain = line::word(Some(account.domain()));
                    let name = line::word(Some(account.name()));
                    text.push_str(&format!("account {domain} {name}\n"));
                }
                Part::List(serial, change) => {
                    text.push_str(&format!("list {}\n", change.to_line(*serial)));
                }
                Part::Mailbox(id) => text.push_str(&format!("mailbox {id}\n")),
                Part::Change(modseq, change) => {
                    text.push_str(&format!("change {}\n", change.to_line(*modseq)));
                }
                Part::Source(source) => text.push_str(&source.line()),
            }
        }
        text.push_str(&format!("end {}\n", self.body.len()));
        text
    }

    /// The bytes after the text, in order.
    pub(crate) fn letters(&self) -> impl Iterator<Item = &[u8]> {
        let inline = self.parts.iter().filter_map(|part| match part {
            Part::Source(Source::Inline(trace)) => Some(&trace[..]),
            _ => None,
        });
        inline.chain([&self.body[..]])
    }

    /// Reads a record; `None` when it is not one.
    pub(crate) fn parse(payload: &[u8]) -> Option<Self> {
        let mut parts = Vec::new();
        let mut traces = Vec::new();
        let mut rest = payload;
        let body = loop {
            let end = memchr::memchr(b'\n', rest)?;
            let line = std::str::from_utf8(&rest[..end]).ok()?;
            rest = &rest[end + 1..];
            let (verb, words) = line.split_once(' ')?;
            if verb == "end" {
                break words.parse::<usize>().ok()?;
            }
            if verb == "inline" {
                traces.push((parts.len(), words.parse::<usize>().ok()?));
            }
            parts.push(Part::parse(verb, words)?);
        };
        for (at, length) in traces {
            let (trace, after) = rest.split_at_checked(length)?;
            parts[at] = Part::Source(Source::Inline(Bytes::copy_from_slice(trace)));
            rest = after;
        }
        (rest.len() == body).then(|| Transaction { parts, body: Bytes::copy_from_slice(rest) })
    }
}

impl Part {
    /// Bytes in the record, counted generously.
    fn size(&self) -> usize {
        match self {
            Part::Account(account) => 64 + 3 * account.to_string().len(),
            Part::List(serial, change) => 64 + change.to_line(*serial).len(),
            Part::Mailbox(_) => 64,
            Part::Change(modseq, change) => 64 + change.to_line(*modseq).len(),
            Part::Source(Source::Inline(trace)) => 64 + trace.len(),
            Part::Source(source) => 64 + source.line().len(),
        }
    }

    fn parse(verb: &str, words: &str) -> Option<Self> {
        Some(match verb {
            "account" => {
                let (domain, name) = words.split_once(' ')?;
                let account = AccountId::new(&line::text(domain)??, &line::text(name)??).ok()?;
                Part::Account(account)
            }
            "list" => {
                let (serial, change) = AccountChange::parse(words)?;
                Part::List(serial, change)
            }
            "mailbox" => Part::Mailbox(MailboxId(words.parse().ok()?)),
            "change" => {
                let (modseq, change) = Change::parse(words)?;
                Part::Change(modseq, change)
            }
            // The bytes come later.
            "inline" => Part::Source(Source::Inline(Bytes::new())),
            "staged" => Part::Source(Source::Staged(words.parse().ok()?)),
            "link" => {
                let (mailbox, base) = words.split_once(' ')?;
                let mailbox = MailboxId(mailbox.parse().ok()?);
                Part::Source(Source::Link(mailbox, line::text(base)??))
            }
            "there" => Part::Source(Source::There),
            _ => return None,
        })
    }
}

impl Source {
    fn line(&self) -> String {
        match self {
            Source::Inline(trace) => format!("inline {}\n", trace.len()),
            Source::Staged(serial) => format!("staged {serial}\n"),
            Source::Link(mailbox, base) => format!("link {mailbox} {}\n", line::word(Some(base))),
            Source::There => "there -\n".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn part() -> impl Strategy<Value = Part> {
        prop_oneof![
            "\\PC{1,9}".prop_filter_map("an account", |name| {
                AccountId::new("d.test", &name).ok().map(Part::Account)
            }),
            (any::<u64>(), crate::account_change::tests::account_change())
                .prop_map(|(serial, change)| Part::List(serial, change)),
            (1u32..9).prop_map(|id| Part::Mailbox(MailboxId(id))),
            (any::<u64>(), crate::change::tests::change())
                .prop_map(|(modseq, change)| Part::Change(modseq, change)),
            prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..30)
                    .prop_map(|bytes| Source::Inline(bytes.into())),
                any::<u64>().prop_map(Source::Staged),
                (1u32..9, "\\PC{1,9}").prop_map(|(id, base)| Source::Link(MailboxId(id), base)),
                Just(Source::There),
            ]
            .prop_map(Part::Source),
        ]
    }

    proptest! {
        #[test]
        fn leads_back(
            parts in proptest::collection::vec(part(), 0..9),
            body in proptest::collection::vec(any::<u8>(), 0..60),
        ) {
            let transaction = Transaction { parts, body: body.into() };
            let mut payload = transaction.text().into_bytes();
            transaction.letters().for_each(|bytes| payload.extend_from_slice(bytes));
            for cut in 0..payload.len() {
                prop_assert_eq!(Transaction::parse(&payload[..cut]), None);
            }
            prop_assert_eq!(Transaction::parse(&payload), Some(transaction));
        }
    }
}
