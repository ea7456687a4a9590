//! ENVELOPE and BODYSTRUCTURE as values (RFC 3501 §7.4.2). Not how they are found in a letter (the
//! `message` crate) and not how they are written (`grammar::structure`). Strings are octets as they
//! stand in the letter: encoded words are not decoded here.

use bytes::Bytes;

/// A string or NIL.
pub type NString = Option<Bytes>;

/// ENVELOPE.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Envelope {
    /// Date
    pub date: NString,
    /// Subject
    pub subject: NString,
    /// From
    pub from: Vec<Address>,
    /// Sender; From, when absent.
    pub sender: Vec<Address>,
    /// Reply-To; From, when absent.
    pub reply_to: Vec<Address>,
    /// To
    pub to: Vec<Address>,
    /// Cc
    pub cc: Vec<Address>,
    /// Bcc
    pub bcc: Vec<Address>,
    /// In-Reply-To
    pub in_reply_to: NString,
    /// Message-ID
    pub message_id: NString,
}

/// An address of ENVELOPE. A group begins with an address without host whose mailbox is the group's
/// name, and ends with one without both.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Address {
    /// Display name.
    pub name: NString,
    /// Source route, obsolete.
    pub route: NString,
    /// Local part.
    pub mailbox: NString,
    /// Domain.
    pub host: NString,
}

/// BODYSTRUCTURE, or BODY when there is no extension data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyStructure {
    /// One body.
    Single(SinglePart),
    /// Several.
    Multi(MultiPart),
}

/// A part that is not a multipart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SinglePart {
    /// Media type, such as `text`.
    pub media_type: Bytes,
    /// Media subtype, such as `plain`.
    pub media_subtype: Bytes,
    /// Content-Type parameters.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// Content-ID
    pub id: NString,
    /// Content-Description
    pub description: NString,
    /// Content-Transfer-Encoding, `7BIT` when absent.
    pub encoding: Bytes,
    /// Octets as transferred.
    pub octets: u64,
    /// What some media types have besides.
    pub detail: SingleDetail,
    /// Content-MD5 and what follows; `None` in BODY.
    pub extension: Option<SingleExtension>,
}

/// What a media type has besides its octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SingleDetail {
    /// Nothing.
    Basic,
    /// `text/*`
    Text {
        /// Lines as transferred.
        lines: u64,
    },
    /// `message/rfc822` (and `message/global`).
    Message {
        /// The inner letter's envelope.
        envelope: Box<Envelope>,
        /// The inner letter's structure.
        body: Box<BodyStructure>,
        /// Lines as transferred.
        lines: u64,
    },
}

/// Extension data of a single part.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SingleExtension {
    /// Content-MD5
    pub md5: NString,
    /// What both kinds have.
    pub tail: ExtensionTail,
}

/// A multipart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MultiPart {
    /// The parts; at least one.
    pub parts: Vec<BodyStructure>,
    /// Media subtype, such as `mixed`.
    pub media_subtype: Bytes,
    /// Parameters and what follows; `None` in BODY.
    pub extension: Option<MultiExtension>,
}

/// Extension data of a multipart.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct MultiExtension {
    /// Content-Type parameters.
    pub parameters: Vec<(Bytes, Bytes)>,
    /// What both kinds have.
    pub tail: ExtensionTail,
}

/// The end of extension data, the same for both kinds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ExtensionTail {
    /// Content-Disposition with its parameters.
    pub disposition: Option<(Bytes, Vec<(Bytes, Bytes)>)>,
    /// Content-Language
    pub language: Vec<Bytes>,
    /// Content-Location
    pub location: NString,
}

impl BodyStructure {
    /// The same without extension data: BODY instead of BODYSTRUCTURE.
    #[must_use]
    pub fn without_extension(&self) -> BodyStructure {
        match self {
            BodyStructure::Single(part) => {
                let mut part = SinglePart { extension: None, ..part.clone() };
                if let SingleDetail::Message { body, .. } = &mut part.detail {
                    **body = body.without_extension();
                }
                BodyStructure::Single(part)
            }
            BodyStructure::Multi(multi) => BodyStructure::Multi(MultiPart {
                parts: multi.parts.iter().map(BodyStructure::without_extension).collect(),
                media_subtype: multi.media_subtype.clone(),
                extension: None,
            }),
        }
    }
}
