//! SORT and THREAD (RFC 5256) as values. Not the sorting: the delivery agent does that. How they
//! are
//! written is in `grammar::sort`.

/// One criterion of SORT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SortCriterion {
    /// What is compared.
    pub key: SortKey,
    /// Which way.
    pub order: SortOrder,
}

/// Which way a criterion sorts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortOrder {
    /// The smallest first.
    Ascending,
    /// `REVERSE`
    Descending,
}

/// What SORT compares (RFC 5256 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortKey {
    /// `ARRIVAL`: the internal date.
    Arrival,
    /// `CC`: the local part of the first address.
    Cc,
    /// `DATE`: when it was sent.
    Date,
    /// `FROM`: the local part of the first address.
    From,
    /// `SIZE`
    Size,
    /// `SUBJECT`: the base subject.
    Subject,
    /// `TO`: the local part of the first address.
    To,
}

impl SortKey {
    /// All of them.
    pub const ALL: [SortKey; 7] = [
        SortKey::Arrival,
        SortKey::Cc,
        SortKey::Date,
        SortKey::From,
        SortKey::Size,
        SortKey::Subject,
        SortKey::To,
    ];

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            SortKey::Arrival => "ARRIVAL",
            SortKey::Cc => "CC",
            SortKey::Date => "DATE",
            SortKey::From => "FROM",
            SortKey::Size => "SIZE",
            SortKey::Subject => "SUBJECT",
            SortKey::To => "TO",
        }
    }
}

/// How THREAD puts letters together (RFC 5256 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ThreadAlgorithm {
    /// By base subject, then by date.
    OrderedSubject,
    /// By the identifiers that letters name.
    References,
}

impl ThreadAlgorithm {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            ThreadAlgorithm::OrderedSubject => "ORDEREDSUBJECT",
            ThreadAlgorithm::References => "REFERENCES",
        }
    }
}

/// Threads in order, each a tree. Flat, so that a conversation of a hundred thousand answers, each
/// to the one before, is no deeper than any other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Threads {
    /// Letters and dummies, parents before their children, siblings in order.
    pub nodes: Vec<ThreadNode>,
}

/// A place in a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThreadNode {
    /// The letter; `None`: a letter that others answer to and that is not here.
    pub number: Option<u32>,
    /// 0 for the first of a thread, one more for each answer.
    pub depth: u32,
}
