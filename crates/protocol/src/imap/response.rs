//! The responses of IMAP as values (RFC 3501 §7, RFC 9051 §7). How they are written is in
//! `grammar::response`. Written by the delivery agent, read by the user agent.

use std::fmt;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::code::Code;
use super::command::{IdFields, Numbering, Tag};
use super::fetch::FetchData;
use super::flag::{Flag, MailboxAttribute};
use super::mailbox::MailboxName;
use super::metadata::Annotation;
use super::sequence::NumberSet;
use super::sort::Threads;

/// One response of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// `* ...`
    Untagged(Untagged),
    /// `+ ...`: go on.
    Continue(Continuation),
    /// `tag ...`: the command is done.
    Tagged {
        /// Whose answer it is.
        tag: Tag,
        /// How it went.
        condition: Condition,
        /// Why.
        text: StatusText,
    },
}

/// How something went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Done.
    Ok,
    /// It failed.
    No,
    /// It was not understood, or not allowed now.
    Bad,
}

impl Condition {
    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            Condition::Ok => "OK",
            Condition::No => "NO",
            Condition::Bad => "BAD",
        }
    }
}

/// What follows OK and its like.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StatusText {
    /// For programs.
    pub code: Option<Code>,
    /// For people; one line.
    pub text: String,
}

impl StatusText {
    /// A text alone.
    pub fn new(text: impl Into<String>) -> Self {
        StatusText { code: None, text: text.into() }
    }

    /// A code and a text.
    pub fn with(code: Code, text: impl Into<String>) -> Self {
        StatusText { code: Some(code), text: text.into() }
    }
}

/// What follows `+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Continuation {
    /// A text for people.
    Text(StatusText),
    /// A SASL challenge, decoded. An empty one and an empty text are written alike.
    Challenge(Vec<u8>),
}

/// A response that belongs to no command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Untagged {
    /// `OK`, `NO`, `BAD`
    Status(Condition, StatusText),
    /// `PREAUTH`: logged in already.
    PreAuth(StatusText),
    /// `BYE`: the server closes the connection.
    Bye(StatusText),
    /// `CAPABILITY`
    Capability(Vec<String>),
    /// `ENABLED`
    Enabled(Vec<String>),
    /// `FLAGS`: those that exist in the mailbox.
    Flags(Vec<Flag>),
    /// `LIST`
    List(ListEntry),
    /// `LSUB`
    Lsub(ListEntry),
    /// `NAMESPACE`
    Namespace(Namespaces),
    /// `STATUS`
    MailboxStatus {
        /// Which mailbox.
        mailbox: MailboxName,
        /// What of it.
        items: Vec<(StatusItem, u64)>,
    },
    /// `SEARCH`, in the server's order.
    Search {
        /// Numbers.
        found: Vec<NonZeroU32>,
        /// `(MODSEQ n)` (RFC 7162 §3.1.5).
        mod_seq: Option<u64>,
    },
    /// `SORT` (RFC 5256), in the order asked for.
    Sort {
        /// Numbers.
        found: Vec<NonZeroU32>,
        /// `(MODSEQ n)` (RFC 7162 §3.1.7).
        mod_seq: Option<u64>,
    },
    /// `THREAD` (RFC 5256)
    Thread(Threads),
    /// `QUOTA` (RFC 9208)
    Quota {
        /// The root's name; empty for the one of the account.
        root: String,
        /// What is bounded.
        resources: Vec<QuotaResource>,
    },
    /// `QUOTAROOT` (RFC 9208)
    QuotaRoot {
        /// Which mailbox.
        mailbox: MailboxName,
        /// Its roots.
        roots: Vec<String>,
    },
    /// `METADATA` with values (RFC 5464 §4.4.1); `None`: of the server.
    Metadata {
        /// Which mailbox.
        mailbox: Option<MailboxName>,
        /// Entries and values.
        annotations: Vec<Annotation>,
    },
    /// `ESEARCH` (RFC 4731)
    ExtendedSearch(ExtendedSearch),
    /// `ID`
    Id(Option<IdFields>),
    /// `n EXISTS`
    Exists(u32),
    /// `n RECENT`
    Recent(u32),
    /// `n EXPUNGE`
    Expunge(NonZeroU32),
    /// `VANISHED` (RFC 7162)
    Vanished {
        /// Which UIDs.
        uids: NumberSet,
        /// Whether it answers a question about the past.
        time: VanishedTime,
    },
    /// `n FETCH (...)`
    Fetch {
        /// Which letter.
        sequence: NonZeroU32,
        /// What of it.
        data: Vec<FetchData>,
    },
    /// One that we do not know, without `* ` and line end.
    Other(Bytes),
}

/// One resource of a quota root (RFC 9208 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QuotaResource {
    /// `STORAGE` (in units of 1024 octets), `MESSAGE`.
    pub name: String,
    /// How much is used.
    pub usage: u64,
    /// How much may be.
    pub limit: u64,
}

/// When letters vanished.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VanishedTime {
    /// Just now: sequence numbers change.
    Now,
    /// `(EARLIER)`: before; no sequence number changes.
    Earlier,
}

/// LIST and LSUB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListEntry {
    /// Attributes in the server's order.
    pub attributes: Vec<MailboxAttribute>,
    /// `None`: a flat name.
    pub delimiter: Option<char>,
    /// What it is about.
    pub name: ListName,
    /// `CHILDINFO` (RFC 5258): selection options that something below matches.
    pub child_info: Vec<String>,
}

/// The name in LIST: empty only in the answer to the question for the delimiter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListName {
    /// A mailbox, or a name above one.
    Mailbox(MailboxName),
    /// The root of a reference, not a mailbox (RFC 3501 §6.3.8).
    Root(String),
}

/// NAMESPACE (RFC 2342): `None` is NIL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Namespaces {
    /// One's own.
    pub personal: Option<Vec<Namespace>>,
    /// Of other users.
    pub others: Option<Vec<Namespace>>,
    /// Shared by all.
    pub shared: Option<Vec<Namespace>>,
}

/// One namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// What its names begin with.
    pub prefix: String,
    /// `None`: flat.
    pub delimiter: Option<char>,
}

/// What STATUS tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StatusItem {
    /// `MESSAGES`
    Messages,
    /// `RECENT`
    Recent,
    /// `UIDNEXT`
    UidNext,
    /// `UIDVALIDITY`
    UidValidity,
    /// `UNSEEN`: how many, not which is the first.
    Unseen,
    /// `DELETED` (RFC 9051)
    Deleted,
    /// `SIZE` (RFC 8438)
    Size,
    /// `HIGHESTMODSEQ` (RFC 7162)
    HighestModSeq,
    /// `APPENDLIMIT` (RFC 7889)
    AppendLimit,
    /// `DELETED-STORAGE` (RFC 9208): octets that EXPUNGE would free.
    DeletedStorage,
    /// `MAILBOXID` (RFC 8474); the number stands for the identifier.
    MailboxId,
}

impl StatusItem {
    /// All of them.
    pub const ALL: [StatusItem; 11] = [
        StatusItem::Messages,
        StatusItem::Recent,
        StatusItem::UidNext,
        StatusItem::UidValidity,
        StatusItem::Unseen,
        StatusItem::Deleted,
        StatusItem::Size,
        StatusItem::HighestModSeq,
        StatusItem::AppendLimit,
        StatusItem::DeletedStorage,
        StatusItem::MailboxId,
    ];

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            StatusItem::Messages => "MESSAGES",
            StatusItem::Recent => "RECENT",
            StatusItem::UidNext => "UIDNEXT",
            StatusItem::UidValidity => "UIDVALIDITY",
            StatusItem::Unseen => "UNSEEN",
            StatusItem::Deleted => "DELETED",
            StatusItem::Size => "SIZE",
            StatusItem::HighestModSeq => "HIGHESTMODSEQ",
            StatusItem::AppendLimit => "APPENDLIMIT",
            StatusItem::DeletedStorage => "DELETED-STORAGE",
            StatusItem::MailboxId => "MAILBOXID",
        }
    }
}

impl fmt::Display for StatusItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// ESEARCH (RFC 4731 §3.1).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtendedSearch {
    /// The tag of the SEARCH it answers.
    pub tag: Option<Tag>,
    /// What the numbers are.
    pub numbering: Numbering,
    /// `MIN`
    pub min: Option<u32>,
    /// `MAX`
    pub max: Option<u32>,
    /// `ALL`
    pub all: Option<NumberSet>,
    /// `ALL` of SORT (RFC 5267 §3.1): in the order asked for. Not read back.
    pub ordered: Vec<u32>,
    /// `COUNT`
    pub count: Option<u32>,
    /// `MODSEQ` (RFC 7162)
    pub mod_seq: Option<u64>,
}
