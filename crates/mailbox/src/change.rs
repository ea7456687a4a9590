//! [`Change`]: what can happen to the letters of one mailbox. The same line stands in the intake
//! log and in the mailbox's state log (docs/mailbox.md §1), so that recovery has one language.

use std::fmt;

use protocol::journey::JourneyId;

use crate::flags::Flags;
use crate::ids::{ModSeq, Uid};
use crate::keywords::Keyword;
use crate::line;
use crate::uidset::UidSet;

/// One line of a state log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    /// A letter came.
    Add(Box<Added>),
    /// Flags and keywords of letters became these, or these came or went.
    Flags { uids: UidSet, how: How, flags: Flags, keywords: Vec<Keyword> },
    /// Letters went.
    Gone { uids: UidSet, why: Why },
    /// Letters from this UID on have been announced to nobody. Not numbered.
    Recent(u32),
    /// Files show these flags now. Not numbered.
    Shown { uids: UidSet, flags: Flags },
    /// Another program gave the file this name. Not numbered.
    Named { uid: Uid, name: String },
}

/// A letter as it came into a mailbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Added {
    pub(crate) uid: Uid,
    /// The name another program gave its file, without `:2,` and flags; `None` for our own.
    pub(crate) name: Option<String>,
    /// Seconds since 1970.
    pub(crate) saved: u32,
    /// Seconds since 1970.
    pub(crate) date: i64,
    pub(crate) size: u32,
    pub(crate) hash: u64,
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<Keyword>,
    /// Known of letters that were delivered here.
    pub(crate) delivery: Option<(JourneyId, String)>,
}

/// How flags change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// They become exactly these.
    Replace,
    /// These are added.
    Add,
    /// These are taken away.
    Remove,
}

/// Why a letter is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    /// Expunged by its owner.
    Expunged,
    /// Moved to another mailbox of the account.
    Moved,
    /// Its file was removed by another program.
    RemovedExternally,
}

impl Change {
    /// Whether the change has a MODSEQ of its own.
    pub(crate) fn is_numbered(&self) -> bool {
        matches!(self, Change::Add(_) | Change::Flags { .. } | Change::Gone { .. })
    }

    /// The line without its checksum.
    pub(crate) fn to_line(&self, modseq: ModSeq) -> String {
        format!("{modseq} {self}")
    }

    /// Reads a line whose checksum was right.
    pub(crate) fn parse(line: &str) -> Option<(ModSeq, Change)> {
        let mut words = line.split(' ');
        let mut next = || words.next();
        let modseq = next()?.parse().ok()?;
        let verb = next()?;
        let change = match verb {
            "add" => Change::Add(Box::new(Added::parse(&mut next)?)),
            "set" | "plus" | "minus" => Change::Flags {
                how: How::parse(verb)?,
                uids: UidSet::parse(next()?)?,
                flags: flags(next()?)?,
                keywords: keywords(next()?)?,
            },
            "gone" => Change::Gone { uids: UidSet::parse(next()?)?, why: Why::parse(next()?)? },
            "recent" => Change::Recent(next()?.parse().ok()?),
            "shown" => Change::Shown { uids: UidSet::parse(next()?)?, flags: flags(next()?)? },
            "named" => Change::Named { uid: next()?.parse().ok()?, name: line::text(next()?)?? },
            _ => return None,
        };
        words.next().is_none().then_some((modseq, change))
    }
}

impl Added {
    fn parse<'a>(next: &mut impl FnMut() -> Option<&'a str>) -> Option<Self> {
        Some(Added {
            uid: next()?.parse().ok()?,
            name: line::text(next()?)?,
            saved: next()?.parse().ok()?,
            date: next()?.parse().ok()?,
            size: next()?.parse().ok()?,
            hash: u64::from_str_radix(next()?, 16).ok()?,
            flags: flags(next()?)?,
            keywords: keywords(next()?)?,
            delivery: match (next()?, line::text(next()?)?) {
                ("-", None) => None,
                (journey, Some(recipient)) => Some((journey.parse().ok()?, recipient)),
                _ => return None,
            },
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::Add(added) => write!(f, "{added}"),
            Change::Flags { uids, how, flags, keywords } => {
                let (flags, keywords) = (flag_word(*flags), keyword_word(keywords));
                write!(f, "{} {uids} {flags} {keywords}", how.verb())
            }
            Change::Gone { uids, why } => write!(f, "gone {uids} {}", why.word()),
            Change::Recent(uid) => write!(f, "recent {uid}"),
            Change::Shown { uids, flags } => write!(f, "shown {uids} {}", flag_word(*flags)),
            Change::Named { uid, name } => write!(f, "named {uid} {}", line::word(Some(name))),
        }
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Added { uid, saved, date, size, hash, .. } = self;
        let name = line::word(self.name.as_deref());
        let (flags, keywords) = (flag_word(self.flags), keyword_word(&self.keywords));
        write!(f, "add {uid} {name} {saved} {date} {size} {hash:016x} {flags} {keywords} ")?;
        match &self.delivery {
            Some((journey, recipient)) => write!(f, "{journey} {}", line::word(Some(recipient))),
            None => f.write_str("- -"),
        }
    }
}

impl How {
    fn verb(self) -> &'static str {
        match self {
            How::Replace => "set",
            How::Add => "plus",
            How::Remove => "minus",
        }
    }

    fn parse(verb: &str) -> Option<Self> {
        [How::Replace, How::Add, How::Remove].into_iter().find(|how| how.verb() == verb)
    }
}

impl Why {
    pub(crate) fn word(self) -> &'static str {
        match self {
            Why::Expunged => "expunged",
            Why::Moved => "moved",
            Why::RemovedExternally => "removed-externally",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let each = [Why::Expunged, Why::Moved, Why::RemovedExternally];
        each.into_iter().find(|why| why.word() == word)
    }
}

fn flag_word(flags: Flags) -> String {
    if flags.is_empty() { "-".to_owned() } else { flags.maildir() }
}

fn flags(word: &str) -> Option<Flags> {
    let flags = if word == "-" { Flags::NONE } else { Flags::from_maildir(word) };
    (flag_word(flags) == word).then_some(flags)
}

/// Keywords as one word: each as [`line::word`], commas between.
pub(crate) fn keyword_word<'a>(keywords: impl IntoIterator<Item = &'a Keyword>) -> String {
    let words: Vec<String> =
        keywords.into_iter().map(|keyword| line::word(Some(keyword.as_str()))).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(",") }
}

/// Reads [`keyword_word`].
pub(crate) fn keywords(word: &str) -> Option<Vec<Keyword>> {
    if word == "-" {
        return Some(Vec::new());
    }
    word.split(',').map(|word| Keyword::new(&line::text(word)??)).collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use protocol::time::Timestamp;

    use super::*;

    fn keyword() -> impl Strategy<Value = Keyword> {
        "[!-~]{1,8}".prop_filter_map("an atom", |text| Keyword::new(&text))
    }

    fn set() -> impl Strategy<Value = UidSet> {
        proptest::collection::vec(1u32..50, 1..6)
            .prop_map(|uids| uids.into_iter().filter_map(Uid::new).collect())
    }

    fn some_flags() -> impl Strategy<Value = Flags> {
        (0u8..32).prop_map(|bits| Flags::from_bits(bits).expect("below 32"))
    }

    fn added() -> impl Strategy<Value = Added> {
        let delivery = proptest::option::of((0u32..9, "\\PC{1,12}")).prop_map(|of| {
            of.map(|(n, to)| (JourneyId::new(Timestamp::from_seconds(i64::from(n)), n), to))
        });
        let numbers = (1u32..99, any::<u32>(), any::<i64>(), any::<u32>(), any::<u64>());
        let name = proptest::option::of("\\PC{1,12}");
        let words = proptest::collection::vec(keyword(), 0..3);
        (numbers, name, some_flags(), words, delivery).prop_map(
            |((uid, saved, date, size, hash), name, flags, keywords, delivery)| Added {
                uid: Uid::new(uid).expect("from 1 on"),
                name,
                saved,
                date,
                size,
                hash,
                flags,
                keywords,
                delivery,
            },
        )
    }

    /// Any change.
    pub(crate) fn change() -> impl Strategy<Value = Change> {
        let how = prop_oneof![Just(How::Replace), Just(How::Add), Just(How::Remove)];
        let why = prop_oneof![Just(Why::Expunged), Just(Why::Moved), Just(Why::RemovedExternally)];
        prop_oneof![
            added().prop_map(|added| Change::Add(Box::new(added))),
            (set(), how, some_flags(), proptest::collection::vec(keyword(), 0..3)).prop_map(
                |(uids, how, flags, keywords)| Change::Flags { uids, how, flags, keywords }
            ),
            (set(), why).prop_map(|(uids, why)| Change::Gone { uids, why }),
            (1u32..99).prop_map(Change::Recent),
            (set(), some_flags()).prop_map(|(uids, flags)| Change::Shown { uids, flags }),
            (1u32..99, "\\PC{1,12}").prop_map(|(uid, name)| Change::Named {
                uid: Uid::new(uid).expect("from 1 on"),
                name
            }),
        ]
    }

    #[test]
    fn lines_as_the_page_says() {
        let gone = Change::Gone { uids: UidSet::parse("1:3").expect("a set"), why: Why::Moved };
        assert_eq!(gone.to_line(7), "7 gone 1:3 moved");
        assert_eq!(
            Change::parse("7 plus 5 FS $Junk,a"),
            Some((
                7,
                Change::Flags {
                    uids: UidSet::parse("5").expect("a set"),
                    how: How::Add,
                    flags: Flags::SEEN | Flags::FLAGGED,
                    keywords: keywords("$Junk,a").expect("two atoms"),
                }
            ))
        );
        for bad in ["", "7", "7 gone", "x gone 1 moved", "7 gone 1 moved x", "7 set 1 SF -"] {
            assert_eq!(Change::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn lines_lead_back(change in change(), modseq: u64) {
            let line = change.to_line(modseq);
            prop_assert!(!line.contains('\n'));
            prop_assert_eq!(Change::parse(&line), Some((modseq, change)));
        }

        #[test]
        fn takes_anything(line in "[0-9]{1,3} (add|set|gone|shown|named) \\PC{0,60}") {
            let _ = Change::parse(&line);
        }
    }
}
