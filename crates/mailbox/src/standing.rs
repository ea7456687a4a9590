//! [`Standing`]: how a letter's record and its file stand to each other. The table of
//! docs/mailbox.md §3 as one pure function; what follows from it is done by the writer.

/// What the record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordIs {
    /// The letter is in the mailbox.
    There,
    /// A line says that it is gone.
    Gone,
    /// Nothing was ever said of it.
    Unknown,
}

/// What the directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FileIs {
    /// There is no file of that name.
    Missing,
    /// It is empty or has another length than the record says.
    Wrong,
    /// It is as long as it should be.
    Whole,
}

/// What the name of a whole file says of flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameShows {
    /// What the record says, too.
    Record,
    /// What it showed when we last wrote it, which has been overtaken.
    LastShown,
    /// Something else: another program renamed it.
    SomethingElse,
}

/// Whose naming a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NameIs {
    /// Ours, with the UIDVALIDITY of this mailbox.
    Ours,
    /// Anybody's.
    Foreign,
}

/// What the intake log has of the letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogHas {
    /// Its bytes, or where to link them from.
    Letter,
    /// Nothing any more.
    Nothing,
}

/// How a letter stands; docs/mailbox.md §3 says who repairs what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Standing {
    /// Durable in the log, no file yet.
    Logged,
    /// In the log; the file is not whole.
    Torn,
    /// As it should be.
    Settled,
    /// Another program changed its flags.
    Renamed,
    /// The name does not show the flags yet.
    Behind,
    /// Another program removed it.
    Missing,
    /// The file is not what was stored.
    Damaged,
    /// Gone; the file waits for the checkpoint.
    Leaving,
    /// A file of ours that nothing is known of.
    Stray,
    /// A file another program brought.
    Foreign,
    /// Gone.
    Gone,
}

/// Works out how a letter stands. `shows` matters for whole files only.
pub(crate) fn standing(
    record: RecordIs,
    (file, shows): (FileIs, NameShows),
    name: NameIs,
    log: LogHas,
) -> Standing {
    match (record, file) {
        (RecordIs::There, FileIs::Whole) => match shows {
            NameShows::Record => Standing::Settled,
            NameShows::LastShown => Standing::Behind,
            NameShows::SomethingElse => Standing::Renamed,
        },
        (RecordIs::There, FileIs::Missing) if log == LogHas::Letter => Standing::Logged,
        (RecordIs::There, FileIs::Wrong) if log == LogHas::Letter => Standing::Torn,
        (RecordIs::There, FileIs::Missing) => Standing::Missing,
        (RecordIs::There, FileIs::Wrong) => Standing::Damaged,
        (RecordIs::Gone, FileIs::Missing) | (RecordIs::Unknown, FileIs::Missing) => Standing::Gone,
        (RecordIs::Gone, _) => Standing::Leaving,
        (RecordIs::Unknown, _) if name == NameIs::Ours => Standing::Stray,
        (RecordIs::Unknown, _) => Standing::Foreign,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    /// Every combination leads somewhere, and every state of the page is reached.
    #[test]
    fn every_state_of_the_page() {
        let mut reached = HashSet::new();
        for record in [RecordIs::There, RecordIs::Gone, RecordIs::Unknown] {
            for file in [FileIs::Missing, FileIs::Wrong, FileIs::Whole] {
                for shows in [NameShows::Record, NameShows::LastShown, NameShows::SomethingElse] {
                    for name in [NameIs::Ours, NameIs::Foreign] {
                        for log in [LogHas::Letter, LogHas::Nothing] {
                            reached.insert(standing(record, (file, shows), name, log));
                        }
                    }
                }
            }
        }
        assert_eq!(reached.len(), 11);
        let page = include_str!("../../../docs/mailbox.md");
        for state in reached {
            assert!(page.contains(&format!("| `{state:?}` |")), "{state:?} is not on the page");
        }
    }

    #[test]
    fn nothing_acknowledged_is_thrown_away() {
        let whole = (FileIs::Whole, NameShows::Record);
        let stray = standing(RecordIs::Unknown, whole, NameIs::Ours, LogHas::Nothing);
        assert_eq!(stray, Standing::Stray, "set aside, not removed");
        let wrong = (FileIs::Wrong, NameShows::Record);
        let damaged = standing(RecordIs::There, wrong, NameIs::Ours, LogHas::Nothing);
        assert_eq!(damaged, Standing::Damaged, "reported, not removed");
    }
}
