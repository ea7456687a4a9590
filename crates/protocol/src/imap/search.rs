//! SEARCH keys as a tree (RFC 3501 §6.4.4, RFC 9051 §6.4.4). Not the search: the delivery agent
//! walks this tree over its letters. How it is written is in `grammar::search`.

use super::date::Date;
use super::flag::Flag;
use super::sequence::SequenceSet;

/// A condition on a letter. Strings are octets in the command's charset; matching is for substrings
/// without regard to case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SearchKey {
    /// Every letter.
    All,
    /// All of these hold; never empty.
    And(Vec<SearchKey>),
    /// One of the two holds.
    Or(Box<SearchKey>, Box<SearchKey>),
    /// It does not hold.
    Not(Box<SearchKey>),
    /// Sequence numbers.
    Sequence(SequenceSet),
    /// `UID`
    Uid(SequenceSet),
    /// `ANSWERED`, `DELETED`, `DRAFT`, `FLAGGED`, `RECENT`, `SEEN`, `KEYWORD`
    Flag(Flag),
    /// `UNANSWERED` and its like, `OLD`, `UNKEYWORD`
    Unflag(Flag),
    /// `NEW`: `\Recent` and not `\Seen`.
    New,
    /// A field of the header holds the string; `BCC CC FROM SUBJECT TO` are abbreviations of this.
    Header {
        /// Which field.
        field: SearchField,
        /// Empty: the field exists.
        value: Vec<u8>,
    },
    /// `BODY`
    Body(Vec<u8>),
    /// `TEXT`: header or body.
    Text(Vec<u8>),
    /// `BEFORE`, `ON`, `SINCE`: the internal date.
    Internal(DateOrder, Date),
    /// `SENTBEFORE`, `SENTON`, `SENTSINCE`: the Date field.
    Sent(DateOrder, Date),
    /// More octets than this.
    Larger(u64),
    /// Fewer octets than this.
    Smaller(u64),
    /// `MODSEQ` (RFC 7162 §3.1.5): changed at or after this modification sequence.
    ModSeq(u64),
    /// `OLDER` (RFC 5032): the internal date is at least so many seconds ago.
    Older(u32),
    /// `YOUNGER` (RFC 5032): the internal date is at most so many seconds ago.
    Younger(u32),
    /// `SAVEDBEFORE`, `SAVEDON`, `SAVEDSINCE` (RFC 8514).
    Saved(DateOrder, Date),
    /// `SAVEDATESUPPORTED` (RFC 8514): the mailbox knows when letters came into it.
    SaveDateSupported,
    /// `EMAILID` (RFC 8474)
    EmailId(String),
    /// `THREADID` (RFC 8474)
    ThreadId(String),
}

/// A field of the header in a search key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SearchField {
    /// `BCC`
    Bcc,
    /// `CC`
    Cc,
    /// `FROM`
    From,
    /// `SUBJECT`
    Subject,
    /// `TO`
    To,
    /// `HEADER name`
    Named(String),
}

impl SearchField {
    /// The field's name.
    pub fn name(&self) -> &str {
        match self {
            SearchField::Bcc => "Bcc",
            SearchField::Cc => "Cc",
            SearchField::From => "From",
            SearchField::Subject => "Subject",
            SearchField::To => "To",
            SearchField::Named(name) => name,
        }
    }
}

/// How a date compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateOrder {
    /// Earlier than the day.
    Before,
    /// That day.
    On,
    /// That day or later.
    Since,
}
