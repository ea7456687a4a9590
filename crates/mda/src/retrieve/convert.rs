//! Between the words of IMAP and those of the store: flags, names, sets. Decides nothing.

use mailbox::{Flags, Keyword, Letter, MailboxId, MailboxName, Uid, UidSet, View};
use protocol::imap::{self, Code, ConditionCode, Flag, NumberSet};

use super::failure::Failure;

/// A client's mailbox name as one that can exist. Levels called `.` or `..` would be harmless,
/// since the store writes names of its own, but they serve nobody who means well.
pub(super) fn name(name: &imap::MailboxName) -> Result<MailboxName, Failure> {
    let cannot = |why: String| Failure::no(ConditionCode::Cannot, why);
    name.levels(MailboxName::SEPARATOR).map_err(|why| cannot(why.to_string()))?;
    MailboxName::new(name.as_str()).map_err(|why| cannot(why.to_string()))
}

/// A stored name for the wire. What the store took, IMAP can say.
pub(super) fn wire_name(name: &MailboxName) -> imap::MailboxName {
    imap::MailboxName::new(name.as_str()).unwrap_or_else(|_| imap::MailboxName::inbox())
}

/// A client's flags. `\Recent` cannot be changed and is passed over (RFC 3501 §2.3.2); system flags
/// that we do not know are refused.
pub(super) fn flags(wanted: &[Flag]) -> Result<(Flags, Vec<Keyword>), Failure> {
    let mut flags = Flags::NONE;
    let mut keywords: Vec<Keyword> = Vec::new();
    for flag in wanted {
        let system = match flag {
            Flag::Answered => Flags::ANSWERED,
            Flag::Flagged => Flags::FLAGGED,
            Flag::Deleted => Flags::DELETED,
            Flag::Seen => Flags::SEEN,
            Flag::Draft => Flags::DRAFT,
            Flag::Recent => continue,
            Flag::Keyword(name) => {
                let keyword = Keyword::new(name.as_str())
                    .ok_or_else(|| Failure::no(ConditionCode::Limit, "the keyword is too long"))?;
                if !keywords.contains(&keyword) {
                    keywords.push(keyword);
                }
                continue;
            }
            Flag::Other(name) => {
                let text = format!("there is no system flag \\{name}");
                return Err(Failure::no(ConditionCode::Cannot, text));
            }
        };
        flags = flags.union(system);
    }
    Ok((flags, keywords))
}

/// The flags of a letter for the wire, `\Recent` aside.
pub(super) fn wire_flags(view: &View, letter: &Letter) -> Vec<Flag> {
    let mut list = Vec::new();
    for (stored, flag) in SYSTEM {
        if letter.flags.contains(stored) {
            list.push(flag);
        }
    }
    let keywords = view.keywords_of(letter);
    list.extend(keywords.filter_map(wire_keyword));
    list
}

/// A stored keyword for the wire.
pub(super) fn wire_keyword(keyword: &Keyword) -> Option<Flag> {
    imap::Keyword::new(keyword.as_str()).map(Flag::Keyword)
}

/// UIDs as the wire's set.
pub(super) fn numbers(uids: impl IntoIterator<Item = Uid>) -> NumberSet {
    uids.into_iter().map(Uid::get).collect()
}

/// The store's set for the wire.
pub(super) fn wire_numbers(uids: &UidSet) -> NumberSet {
    NumberSet::from_pairs(uids.ranges().map(std::ops::RangeInclusive::into_inner).collect())
}

/// RFC 8474 §5.1: an identifier that survives a rename and is never given again: the mailbox's
/// number in its account, with its UIDVALIDITY.
pub(super) fn mailbox_id(uid_validity: u32, id: MailboxId) -> u64 {
    u64::from(uid_validity) << 32 | u64::from(id.0)
}

/// `MAILBOXID (F...)`
pub(super) fn mailbox_code(uid_validity: u32, id: MailboxId) -> Code {
    let arguments = Some(format!("(F{:x})", mailbox_id(uid_validity, id)));
    Code::Other { name: "MAILBOXID".to_owned(), arguments }
}

/// RFC 8474 §5.2: letters with the same octets have the same identifier, wherever they are.
pub(super) fn email_id(letter: &Letter) -> String {
    format!("M{:016x}{:x}", letter.hash, letter.size)
}

/// The store's system flags and the wire's.
pub(super) const SYSTEM: [(Flags, Flag); 5] = [
    (Flags::ANSWERED, Flag::Answered),
    (Flags::FLAGGED, Flag::Flagged),
    (Flags::DELETED, Flag::Deleted),
    (Flags::SEEN, Flag::Seen),
    (Flags::DRAFT, Flag::Draft),
];
