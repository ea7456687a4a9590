//! The commands of IMAP as values (RFC 3501 §6, RFC 9051 §6 and the extensions named below). How
//! they are written is in `grammar::command`. Made by the server machine and by the user agent.

use std::fmt;

use bytes::Bytes;

use super::date::DateTime;
use super::fetch::FetchItem;
use super::flag::{Flag, SpecialUse};
use super::limits;
use super::mailbox::{ListPattern, MailboxName};
use super::metadata::{GetMetadata, SetMetadata};
use super::response::StatusItem;
use super::search::SearchKey;
use super::sequence::{NumberSet, SequenceBound, SequenceSet};
use super::sort::{SortCriterion, ThreadAlgorithm};
use crate::secret::Secret;

/// What a client puts before a command to recognise its answer (RFC 3501 §2.2.1).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Tag(Box<str>);

impl Tag {
    /// A tag, if the bytes are one: `ASTRING-CHAR` without `+`.
    pub fn new(tag: &[u8]) -> Option<Tag> {
        let good = !tag.is_empty()
            && tag.len() <= limits::TAG_SIZE
            && tag.iter().all(|byte| super::grammar::is_tag_byte(*byte));
        let tag = std::str::from_utf8(tag).ok().filter(|_| good)?;
        Some(Tag(tag.into()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a command's numbers, and those in its answer, are sequence numbers or UIDs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Numbering {
    /// Message sequence numbers.
    #[default]
    Sequence,
    /// Unique identifiers: the command was prefixed with `UID`.
    Uid,
}

/// A command without its tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// CAPABILITY
    Capability,
    /// NOOP
    Noop,
    /// LOGOUT
    Logout,
    /// STARTTLS
    StartTls,
    /// AUTHENTICATE, with an initial response if the client sent one (RFC 4959).
    Authenticate {
        /// Upper case.
        mechanism: String,
        /// Decoded; empty for `=`.
        initial: Option<Secret<Vec<u8>>>,
    },
    /// LOGIN
    Login {
        /// As sent; not necessarily UTF-8.
        user: Vec<u8>,
        /// As sent.
        password: Secret<Vec<u8>>,
    },
    /// ENABLE (RFC 5161), capabilities in upper case.
    Enable(Vec<String>),
    /// SELECT
    Select(Selection),
    /// EXAMINE
    Examine(Selection),
    /// CREATE, with the uses of CREATE-SPECIAL-USE (RFC 6154 §3).
    Create {
        /// The name; a trailing delimiter is still there.
        mailbox: MailboxName,
        /// `USE (...)`, mostly empty.
        uses: Vec<SpecialUse>,
    },
    /// DELETE
    Delete(MailboxName),
    /// RENAME
    Rename {
        /// The old name.
        from: MailboxName,
        /// The new one.
        to: MailboxName,
    },
    /// SUBSCRIBE
    Subscribe(MailboxName),
    /// UNSUBSCRIBE
    Unsubscribe(MailboxName),
    /// LIST
    List(List),
    /// LSUB
    Lsub {
        /// Goes in front of the pattern; may be empty.
        reference: ListPattern,
        /// What to look for.
        pattern: ListPattern,
    },
    /// NAMESPACE (RFC 2342)
    Namespace,
    /// STATUS
    Status {
        /// Which mailbox.
        mailbox: MailboxName,
        /// What to tell.
        items: Vec<StatusItem>,
    },
    /// APPEND. The message follows as a stream.
    Append(Append),
    /// IDLE (RFC 2177); `DONE` is an event of its own.
    Idle,
    /// ID (RFC 2971): `None` for NIL.
    Id(Option<IdFields>),
    /// CHECK
    Check,
    /// CLOSE
    Close,
    /// UNSELECT (RFC 3691)
    Unselect,
    /// EXPUNGE
    Expunge,
    /// UID EXPUNGE (RFC 4315)
    UidExpunge(SequenceSet),
    /// SEARCH and UID SEARCH
    Search(Search),
    /// FETCH and UID FETCH
    Fetch {
        /// What the set counts.
        numbering: Numbering,
        /// Which letters.
        set: SequenceSet,
        /// What of them.
        items: FetchItems,
        /// Which of these at all (RFC 7162).
        modifiers: FetchModifiers,
    },
    /// STORE and UID STORE
    Store(Store),
    /// COPY and UID COPY
    Copy(Transfer),
    /// MOVE and UID MOVE (RFC 6851)
    Move(Transfer),
    /// SORT and UID SORT (RFC 5256)
    Sort {
        /// By what, most significant first; never empty.
        criteria: Vec<SortCriterion>,
        /// What to look for, and what to tell (RFC 5267).
        search: Search,
    },
    /// THREAD and UID THREAD (RFC 5256)
    Thread {
        /// How letters are put together.
        algorithm: ThreadAlgorithm,
        /// What to look for.
        search: Search,
    },
    /// COMPRESS DEFLATE (RFC 4978)
    Compress,
    /// GETQUOTA (RFC 9208): the root.
    GetQuota(String),
    /// GETQUOTAROOT (RFC 9208)
    GetQuotaRoot(MailboxName),
    /// GETMETADATA (RFC 5464)
    GetMetadata(GetMetadata),
    /// SETMETADATA (RFC 5464)
    SetMetadata(SetMetadata),
}

/// What SELECT and EXAMINE open, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Which mailbox.
    pub mailbox: MailboxName,
    /// `CONDSTORE` (RFC 7162 §3.1.8): the client wants modification sequences from now on.
    pub condstore: bool,
    /// `QRESYNC` (RFC 7162 §3.2.5): what the client knows of the mailbox.
    pub resync: Option<Resync>,
}

impl From<MailboxName> for Selection {
    fn from(mailbox: MailboxName) -> Self {
        Selection { mailbox, condstore: false, resync: None }
    }
}

/// What a client knows of a mailbox from before (RFC 7162 §3.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resync {
    /// UIDVALIDITY as it was.
    pub uid_validity: u32,
    /// The last modification sequence that it knows all changes up to.
    pub mod_seq: u64,
    /// The UIDs that it knows; all, if there is none.
    pub known: Option<NumberSet>,
    /// Sequence numbers and their UIDs as the client has them (RFC 7162 §3.2.5.2), in order.
    pub matches: Option<(NumberSet, NumberSet)>,
}

/// Which letters of its set FETCH tells of (RFC 7162).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FetchModifiers {
    /// `CHANGEDSINCE`: those that changed after this modification sequence.
    pub changed_since: Option<u64>,
    /// `VANISHED`: and those of the set that went since (UID FETCH under QRESYNC only).
    pub vanished: bool,
}

/// The field names and values of ID.
pub type IdFields = Vec<(String, Option<Bytes>)>;

/// LIST, plain (RFC 3501 §6.3.8) or extended (RFC 5258, RFC 9051 §6.3.9).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// Which mailboxes are looked at; empty in the plain form.
    pub selection: Vec<ListSelection>,
    /// Goes in front of each pattern; may be empty.
    pub reference: ListPattern,
    /// One in the plain form.
    pub patterns: Vec<ListPattern>,
    /// What is told besides; empty in the plain form.
    pub returns: Vec<ListReturn>,
    /// Whether the patterns were in parentheses or options were given: an empty pattern then is
    /// not the question for the delimiter (RFC 5258 §3).
    pub form: ListForm,
}

/// Which form of LIST it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListForm {
    /// RFC 3501.
    Basic,
    /// RFC 5258.
    Extended,
}

/// A selection option of LIST.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ListSelection {
    /// Only subscribed names, existing or not.
    Subscribed,
    /// Remote mailboxes too.
    Remote,
    /// Parents of what matches.
    RecursiveMatch,
    /// Only mailboxes with a special use (RFC 6154).
    SpecialUse,
}

/// A return option of LIST.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListReturn {
    /// The `\Subscribed` attribute.
    Subscribed,
    /// `\HasChildren` or `\HasNoChildren`.
    Children,
    /// The special use.
    SpecialUse,
    /// A STATUS response for each mailbox (RFC 5819).
    Status(Vec<StatusItem>),
}

/// APPEND before its message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub mailbox: MailboxName,
    /// Flags to set.
    pub flags: Vec<Flag>,
    /// The internal date to keep; now, if there is none.
    pub date: Option<DateTime>,
    /// The message.
    pub literal: LiteralHeader,
    /// Whether the message stands in `UTF8 (...)` (RFC 6855 §4).
    pub form: MessageForm,
    /// REPLACE and UID REPLACE (RFC 8508): the letter that goes when this one has come.
    pub replaces: Option<(Numbering, SequenceBound)>,
}

/// A further message of APPEND (RFC 3502 MULTIAPPEND).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextMessage {
    /// Flags to set.
    pub flags: Vec<Flag>,
    /// The internal date to keep; now, if there is none.
    pub date: Option<DateTime>,
    /// The message.
    pub literal: LiteralHeader,
    /// Whether the message stands in `UTF8 (...)`.
    pub form: MessageForm,
}

/// How a message of APPEND is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MessageForm {
    /// A literal.
    #[default]
    Plain,
    /// `UTF8 (` literal8 `)` (RFC 6855 §4).
    Utf8,
}

/// What is known of a literal before its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct LiteralHeader {
    /// Octets.
    pub size: u64,
    /// Whether the sender waits for a go-ahead.
    pub sync: LiteralSync,
    /// Whether it may hold NUL.
    pub kind: LiteralKind,
}

/// Whether the sender of a literal waits (RFC 3501 §4.3, RFC 7888).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiteralSync {
    /// `{n}`: waits for a continuation request.
    Synchronizing,
    /// `{n+}`: does not.
    NonSynchronizing,
}

/// Text or binary (RFC 3516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LiteralKind {
    /// `{n}`: no NUL.
    Text,
    /// `~{n}`: any octets.
    Literal8,
}

/// SEARCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What the answer counts.
    pub numbering: Numbering,
    /// `RETURN (...)` (RFC 4731, RFC 9051): `None` for the plain form.
    pub returns: Option<Vec<SearchReturn>>,
    /// The charset of the strings in the key, upper case.
    pub charset: Option<String>,
    /// What to look for.
    pub key: SearchKey,
}

/// What an extended SEARCH returns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SearchReturn {
    /// The lowest number.
    Min,
    /// The highest.
    Max,
    /// All, as a set.
    All,
    /// How many.
    Count,
    /// Keep the result for `$`.
    Save,
}

/// The items of FETCH.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchItems {
    /// One of the three abbreviations.
    Macro(FetchMacro),
    /// A list.
    List(Vec<FetchItem>),
}

/// RFC 3501 §6.4.5: an abbreviation that stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchMacro {
    /// `FLAGS INTERNALDATE RFC822.SIZE ENVELOPE`
    All,
    /// `FLAGS INTERNALDATE RFC822.SIZE`
    Fast,
    /// `FLAGS INTERNALDATE RFC822.SIZE ENVELOPE BODY`
    Full,
}

impl FetchItems {
    /// The items themselves.
    pub fn expand(self) -> Vec<FetchItem> {
        let abbreviation = match self {
            FetchItems::List(items) => return items,
            FetchItems::Macro(abbreviation) => abbreviation,
        };
        let mut items = vec![FetchItem::Flags, FetchItem::InternalDate, FetchItem::Rfc822Size];
        match abbreviation {
            FetchMacro::Fast => {}
            FetchMacro::All => items.push(FetchItem::Envelope),
            FetchMacro::Full => items.extend([FetchItem::Envelope, FetchItem::Body]),
        }
        items
    }
}

/// STORE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// What the set counts.
    pub numbering: Numbering,
    /// Which letters.
    pub set: SequenceSet,
    /// What happens to the flags.
    pub action: StoreAction,
    /// Whether the new flags are told.
    pub echo: StoreEcho,
    /// Which flags.
    pub flags: Vec<Flag>,
    /// `UNCHANGEDSINCE` (RFC 7162 §3.1.3): letters changed later are left alone.
    pub unchanged_since: Option<u64>,
}

/// What STORE does with its flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreAction {
    /// `FLAGS`
    Replace,
    /// `+FLAGS`
    Add,
    /// `-FLAGS`
    Remove,
}

/// Whether STORE is answered with FETCH responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreEcho {
    /// The new flags are told.
    Told,
    /// `.SILENT`
    Silent,
}

/// COPY or MOVE.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transfer {
    /// What the set counts.
    pub numbering: Numbering,
    /// Which letters.
    pub set: SequenceSet,
    /// Where to.
    pub mailbox: MailboxName,
}

impl Command {
    /// The command's name as written, for logs and error texts.
    pub fn name(&self) -> &'static str {
        let by_uid = |numbering: &Numbering, plain: &'static str, uid: &'static str| match numbering
        {
            Numbering::Sequence => plain,
            Numbering::Uid => uid,
        };
        match self {
            Command::Capability => "CAPABILITY",
            Command::Noop => "NOOP",
            Command::Logout => "LOGOUT",
            Command::StartTls => "STARTTLS",
            Command::Authenticate { .. } => "AUTHENTICATE",
            Command::Login { .. } => "LOGIN",
            Command::Enable(_) => "ENABLE",
            Command::Select(_) => "SELECT",
            Command::Examine(_) => "EXAMINE",
            Command::Create { .. } => "CREATE",
            Command::Delete(_) => "DELETE",
            Command::Rename { .. } => "RENAME",
            Command::Subscribe(_) => "SUBSCRIBE",
            Command::Unsubscribe(_) => "UNSUBSCRIBE",
            Command::List(_) => "LIST",
            Command::Lsub { .. } => "LSUB",
            Command::Namespace => "NAMESPACE",
            Command::Status { .. } => "STATUS",
            Command::Append(append) => match &append.replaces {
                None => "APPEND",
                Some((numbering, _)) => by_uid(numbering, "REPLACE", "UID REPLACE"),
            },
            Command::Idle => "IDLE",
            Command::Id(_) => "ID",
            Command::Check => "CHECK",
            Command::Close => "CLOSE",
            Command::Unselect => "UNSELECT",
            Command::Expunge => "EXPUNGE",
            Command::UidExpunge(_) => "UID EXPUNGE",
            Command::Search(search) => by_uid(&search.numbering, "SEARCH", "UID SEARCH"),
            Command::Fetch { numbering, .. } => by_uid(numbering, "FETCH", "UID FETCH"),
            Command::Store(store) => by_uid(&store.numbering, "STORE", "UID STORE"),
            Command::Copy(transfer) => by_uid(&transfer.numbering, "COPY", "UID COPY"),
            Command::Move(transfer) => by_uid(&transfer.numbering, "MOVE", "UID MOVE"),
            Command::Sort { search, .. } => by_uid(&search.numbering, "SORT", "UID SORT"),
            Command::Thread { search, .. } => by_uid(&search.numbering, "THREAD", "UID THREAD"),
            Command::Compress => "COMPRESS",
            Command::GetQuota(_) => "GETQUOTA",
            Command::GetQuotaRoot(_) => "GETQUOTAROOT",
            Command::GetMetadata(_) => "GETMETADATA",
            Command::SetMetadata(_) => "SETMETADATA",
        }
    }
}
