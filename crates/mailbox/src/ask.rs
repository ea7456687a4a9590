//! What can be asked of the mailboxes, and the answers: letters, mailboxes, changes; never files.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use disk::Body;
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::change::How;
use crate::error::Error;
use crate::flags::Flags;
use crate::ids::{AccountId, MailboxId, ModSeq, Uid};
use crate::keywords::Keyword;
use crate::name::MailboxName;
use crate::uidset::UidSet;

/// How much an account may hold; `None` is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Quota {
    /// Octets of all letters.
    pub bytes: Option<u64>,
    /// Number of letters.
    pub letters: Option<u64>,
}

/// How much an account holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Octets of all letters.
    pub bytes: u64,
    /// Number of letters.
    pub letters: u64,
}

/// A letter handed over by SMTP or LMTP.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// Its journey.
    pub journey: JourneyId,
    /// The letter as it came, shared by all recipients.
    pub body: Body,
    /// For whom.
    pub recipients: Vec<Recipient>,
}

/// One recipient of a delivery.
#[derive(Debug, Clone)]
pub struct Recipient {
    /// Whose mailbox.
    pub account: AccountId,
    /// Into which mailbox; INBOX when there is none of that name.
    pub mailbox: MailboxName,
    /// The address in the envelope: with the journey the key of a repeat.
    pub address: String,
    /// Header fields put in front for this recipient: whole lines with CRLF.
    pub trace: Bytes,
    /// What the account may hold.
    pub quota: Quota,
    /// How the letter is marked from the beginning.
    pub marks: Marks,
}

/// Flags and keywords of a letter that comes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
}

/// Where a letter was delivered to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivered {
    /// The mailbox.
    pub mailbox: MailboxId,
    /// Its UIDVALIDITY.
    pub uid_validity: u32,
    /// The letter's UID in it.
    pub uid: Uid,
    /// Whether this is the answer to a repeat of an earlier delivery.
    pub repeated: bool,
}

/// A letter a client brings (APPEND).
#[derive(Debug, Clone)]
pub struct NewLetter {
    /// All of it.
    pub body: Body,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// INTERNALDATE; now if the client gave none.
    pub date: Option<Timestamp>,
}

/// UIDs given to letters that came into a mailbox (RFC 4315 APPENDUID, COPYUID).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// UIDVALIDITY of the mailbox they came into.
    pub uid_validity: u32,
    /// Their new UIDs, in the order the letters were given.
    pub uids: Vec<Uid>,
    /// For copies: the UIDs they had, in the same order; letters that were gone are left out.
    pub from: Vec<Uid>,
}

/// A change of flags (STORE).
#[derive(Debug, Clone)]
pub struct FlagChange {
    /// Which letters; those that are gone are passed over.
    pub uids: UidSet,
    /// How.
    pub how: How,
    /// System flags.
    pub flags: Flags,
    /// Keywords.
    pub keywords: Vec<Keyword>,
    /// Letters changed after this are left alone (RFC 7162 §3.1.3).
    pub unchanged_since: Option<ModSeq>,
}

/// What a change of flags came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FlagsChanged {
    /// MODSEQ of the change; `None` when no letter was changed.
    pub modseq: Option<ModSeq>,
    /// Letters left alone because of `unchanged_since` (MODIFIED).
    pub modified: UidSet,
}

/// The use a mailbox was made for (RFC 6154).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SpecialUse {
    /// `\Archive`
    Archive,
    /// `\Drafts`
    Drafts,
    /// `\Junk`
    Junk,
    /// `\Sent`
    Sent,
    /// `\Trash`
    Trash,
}

impl SpecialUse {
    /// Each use.
    pub const EACH: [SpecialUse; 5] = [
        SpecialUse::Archive,
        SpecialUse::Drafts,
        SpecialUse::Junk,
        SpecialUse::Sent,
        SpecialUse::Trash,
    ];

    /// The attribute without its backslash, which is also the usual name of such a mailbox.
    pub fn as_str(self) -> &'static str {
        match self {
            SpecialUse::Archive => "Archive",
            SpecialUse::Drafts => "Drafts",
            SpecialUse::Junk => "Junk",
            SpecialUse::Sent => "Sent",
            SpecialUse::Trash => "Trash",
        }
    }

    /// The use of this name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::EACH.into_iter().find(|one| one.as_str().eq_ignore_ascii_case(text))
    }
}

/// A mailbox in an account's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its number.
    pub id: MailboxId,
    /// Its name.
    pub name: MailboxName,
    /// What it was made for.
    pub special_use: Option<SpecialUse>,
}

/// An account's mailboxes at one moment, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountView {
    /// The mailboxes, INBOX among them.
    pub mailboxes: Arc<[Listed]>,
    /// Subscribed names; they need not exist.
    pub subscriptions: Arc<[MailboxName]>,
    /// Annotations (RFC 5464) by mailbox and entry; without a mailbox: of the account.
    pub annotations: Arc<BTreeMap<(Option<MailboxId>, String), Bytes>>,
    /// What the account holds.
    pub usage: Usage,
}

impl AccountView {
    /// The mailbox of this name.
    pub fn find(&self, name: &MailboxName) -> Option<&Listed> {
        self.mailboxes.iter().find(|one| one.name == *name)
    }

    /// Whether other mailboxes are below this name.
    pub fn has_children(&self, name: &MailboxName) -> bool {
        let below = |other: &MailboxName| {
            other.as_str().strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        self.mailboxes.iter().any(|one| below(&one.name))
    }
}

/// One request to the writer; opaque outside.
#[derive(Debug)]
pub struct Request {
    pub(crate) now: Timestamp,
    pub(crate) ask: Ask,
}

#[derive(Debug)]
pub(crate) enum Ask {
    Account(AccountId),
    Open(AccountId, MailboxId),
    Deliver(Box<Prepared>),
    Append {
        to: Address,
        letters: Vec<PreparedLetter>,
        quota: Quota,
        /// The letter that goes when these have come (RFC 8508).
        replaces: Option<(Address, Uid)>,
    },
    ChangeFlags(Address, FlagChange),
    Expunge(Address, UidSet),
    /// Letters saved before this second, whatever their flags.
    ExpungeSavedBefore(Address, u32),
    Copy {
        from: Address,
        uids: UidSet,
        to: MailboxId,
        quota: Quota,
    },
    Move {
        from: Address,
        uids: UidSet,
        to: MailboxId,
    },
    Create(AccountId, MailboxName, Option<SpecialUse>),
    Delete(AccountId, MailboxName),
    Rename(AccountId, MailboxName, MailboxName),
    Subscribe(AccountId, MailboxName),
    Unsubscribe(AccountId, MailboxName),
    Annotate(AccountId, Option<MailboxId>, Vec<(String, Option<Bytes>)>),
    ClaimRecent(Address),
    Look(Address),
    /// Forget when the directories were last read, then look.
    LookAnew(Address),
    Survey(crate::custody::Whose),
    /// These letters are damaged.
    Isolate(Address, Vec<Uid>),
    /// These are well again.
    Release(Address, Vec<Uid>),
}

/// A mailbox of an account.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Address {
    pub(crate) account: AccountId,
    pub(crate) mailbox: MailboxId,
}

/// A delivery whose letters are ready to be written: hashed, and staged if they are large.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) journey: JourneyId,
    pub(crate) body: Bytes,
    pub(crate) recipients: Vec<(Recipient, PreparedBytes)>,
}

#[derive(Debug)]
pub(crate) struct PreparedLetter {
    pub(crate) bytes: PreparedBytes,
    /// Whole, when it is inline.
    pub(crate) body: Bytes,
    pub(crate) flags: Flags,
    pub(crate) keywords: Vec<Keyword>,
    pub(crate) date: Option<Timestamp>,
}

/// Size and mark of a letter, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PreparedBytes {
    pub(crate) size: u32,
    pub(crate) hash: u64,
    /// The number of its staged file; `None`: the bytes go into the log.
    pub(crate) staged: Option<u64>,
}

/// What the writer answers; [`crate::Mailboxes`] takes it apart.
#[derive(Debug)]
pub enum Answer {
    /// An account's mailboxes.
    Account(Arc<AccountView>),
    /// A mailbox, open.
    Opened(crate::mailbox::Mailbox),
    /// One result for each recipient.
    Delivered(Vec<Result<Delivered, Error>>),
    /// UIDs of letters that came.
    Placed(Placed),
    /// What a change of flags came to.
    FlagsChanged(FlagsChanged),
    /// Letters expunged.
    Gone(UidSet),
    /// A mailbox was made.
    Created(MailboxId),
    /// The first recent letter.
    Recent(Uid),
    /// What a look took over.
    Looked(crate::scan::Looked),
    /// What is there.
    Survey(crate::custody::Survey),
    /// Done.
    Done,
    /// Refused; nothing was changed.
    Refused(Error),
}
