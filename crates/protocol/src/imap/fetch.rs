//! What FETCH asks for and what it answers (RFC 3501 §6.4.5 and §7.4.2, RFC 9051 §6.4.5, RFC 3516).
//! Not the letter's structure itself (`structure`). How it is written is in `grammar::fetch`.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::date::DateTime;
use super::flag::Flag;
use super::structure::{BodyStructure, Envelope};

/// One thing to fetch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum FetchItem {
    /// `BODY` without a section: the structure without extension data.
    Body,
    /// `BODYSTRUCTURE`
    BodyStructure,
    /// `ENVELOPE`
    Envelope,
    /// `FLAGS`
    Flags,
    /// `INTERNALDATE`
    InternalDate,
    /// `RFC822`: the same bytes as `BODY[]`, under another name.
    Rfc822,
    /// `RFC822.HEADER`: like `BODY.PEEK[HEADER]`.
    Rfc822Header,
    /// `RFC822.SIZE`
    Rfc822Size,
    /// `RFC822.TEXT`: like `BODY[TEXT]`.
    Rfc822Text,
    /// `UID`
    Uid,
    /// `BODY[...]` and `BODY.PEEK[...]`
    Section {
        /// Which bytes.
        section: Section,
        /// Which of them.
        partial: Option<Partial>,
        /// Whether the letter becomes seen.
        seen: MarkSeen,
    },
    /// `BINARY[...]` and `BINARY.PEEK[...]`: decoded.
    Binary {
        /// Which part; empty for the whole letter.
        part: Vec<NonZeroU32>,
        /// Which octets of it.
        partial: Option<Partial>,
        /// Whether the letter becomes seen.
        seen: MarkSeen,
    },
    /// `BINARY.SIZE[...]`
    BinarySize(Vec<NonZeroU32>),
    /// `MODSEQ` (RFC 7162)
    ModSeq,
    /// `EMAILID` (RFC 8474)
    EmailId,
    /// `THREADID` (RFC 8474)
    ThreadId,
    /// `SAVEDATE` (RFC 8514)
    SaveDate,
    /// `PREVIEW` (RFC 8970)
    Preview(PreviewPatience),
}

/// RFC 8970 §3.1: whether the client waits until a preview has been made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PreviewPatience {
    /// It does.
    Waits,
    /// `(LAZY)`: only if that costs nothing.
    Lazy,
}

/// Whether fetching a body sets `\Seen`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum MarkSeen {
    /// `BODY[...]`
    Yes,
    /// `BODY.PEEK[...]`
    Peek,
}

impl FetchItem {
    /// RFC 3501 §6.4.5: whether answering this item sets `\Seen`.
    pub fn marks_seen(&self) -> bool {
        match self {
            FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
            FetchItem::Section { seen, .. } | FetchItem::Binary { seen, .. } => {
                *seen == MarkSeen::Yes
            }
            _ => false,
        }
    }
}

/// What lies in the brackets of `BODY[...]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Section {
    /// The part's number, such as 1.2; empty for the letter itself.
    pub part: Vec<NonZeroU32>,
    /// What of the part.
    pub text: SectionText,
}

/// What of a part is meant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub enum SectionText {
    /// All of it: the letter with its header, or the part's body.
    #[default]
    Everything,
    /// `HEADER`: of the letter, or of the letter inside the part.
    Header,
    /// `HEADER.FIELDS (...)`
    HeaderFields(Vec<String>),
    /// `HEADER.FIELDS.NOT (...)`
    HeaderFieldsNot(Vec<String>),
    /// `TEXT`
    Text,
    /// `MIME`: the part's own MIME header.
    Mime,
}

/// `<offset.length>`
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Partial {
    /// The first octet; the first of all is 0. 63 bits in IMAP4rev2.
    pub offset: u64,
    /// At most so many octets; never 0 in a request.
    pub length: u64,
}

/// One thing that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FetchData {
    /// `BODY` without a section.
    Body(Box<BodyStructure>),
    /// `BODYSTRUCTURE`
    BodyStructure(Box<BodyStructure>),
    /// `ENVELOPE`
    Envelope(Box<Envelope>),
    /// `FLAGS`
    Flags(Vec<Flag>),
    /// `INTERNALDATE`
    InternalDate(DateTime),
    /// `RFC822`
    Rfc822(Content),
    /// `RFC822.HEADER`
    Rfc822Header(Content),
    /// `RFC822.SIZE`
    Rfc822Size(u64),
    /// `RFC822.TEXT`
    Rfc822Text(Content),
    /// `UID`
    Uid(NonZeroU32),
    /// `BODY[...]<offset>`
    Section {
        /// Which bytes.
        section: Section,
        /// Where they begin, if a part of them was asked for.
        offset: Option<u64>,
        /// The bytes.
        content: Content,
    },
    /// `BINARY[...]<offset>`
    Binary {
        /// Which part.
        part: Vec<NonZeroU32>,
        /// Where it begins, if only some was asked for.
        offset: Option<u64>,
        /// The bytes.
        content: Content,
    },
    /// `BINARY.SIZE[...]`
    BinarySize {
        /// Which part.
        part: Vec<NonZeroU32>,
        /// Octets when decoded.
        size: u64,
    },
    /// `MODSEQ (...)` (RFC 7162).
    ModSeq(u64),
    /// `EMAILID (...)` (RFC 8474).
    EmailId(String),
    /// `THREADID (...)` or NIL (RFC 8474).
    ThreadId(Option<String>),
    /// `SAVEDATE` or NIL (RFC 8514).
    SaveDate(Option<DateTime>),
    /// `PREVIEW` or NIL (RFC 8970).
    Preview(Option<String>),
}

/// The bytes of a body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// There is no such part.
    Nil,
    /// Here they are.
    Inline(Bytes),
    /// They came before, as a stream of so many octets.
    Streamed(u64),
}
