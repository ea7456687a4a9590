//! Response codes: what stands in brackets after OK, NO, BAD, BYE and PREAUTH (RFC 3501 §7.1, RFC
//! 4315, RFC 5530, RFC 9051 §7.1 and others named below). Written in `grammar::code`.

use std::num::NonZeroU32;

use super::flag::PermanentFlag;
use super::sequence::NumberSet;

/// A response code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    /// The human must see the text.
    Alert,
    /// Charsets that SEARCH takes; may be empty.
    BadCharset(Vec<String>),
    /// The capabilities, to save a CAPABILITY.
    Capability(Vec<String>),
    /// A letter could not be parsed.
    Parse,
    /// Which flags a client can change for good.
    PermanentFlags(Vec<PermanentFlag>),
    /// The mailbox is read-only.
    ReadOnly,
    /// The mailbox is read-write.
    ReadWrite,
    /// The mailbox could be created.
    TryCreate,
    /// The UID that the next letter gets at least.
    UidNext(NonZeroU32),
    /// The generation of UIDs.
    UidValidity(NonZeroU32),
    /// The sequence number of the first unseen letter.
    Unseen(NonZeroU32),
    /// RFC 4315: where an appended letter is.
    AppendUid {
        /// UIDVALIDITY of the mailbox.
        validity: NonZeroU32,
        /// The letters' UIDs; several for MULTIAPPEND.
        uids: NumberSet,
    },
    /// RFC 4315: where copied letters are.
    CopyUid {
        /// UIDVALIDITY of the destination.
        validity: NonZeroU32,
        /// UIDs of the copied letters, ascending.
        source: NumberSet,
        /// UIDs of the copies, in the same order.
        destination: NumberSet,
    },
    /// RFC 4315: the mailbox keeps no UIDs.
    UidNotSticky,
    /// RFC 7162: the mailbox's highest modification sequence.
    HighestModSeq(u64),
    /// RFC 7162: the mailbox has no modification sequences.
    NoModSeq,
    /// RFC 7162: UIDs or numbers that a conditional STORE did not change.
    Modified(NumberSet),
    /// RFC 7162: QRESYNC closed the mailbox that was selected before.
    Closed,
    /// RFC 3516: the content-transfer-encoding is not known.
    UnknownCte,
    /// RFC 4469, RFC 7888: too large.
    TooBig,
    /// RFC 5182: the saved result is gone.
    NotSaved,
    /// RFC 6154: the special use cannot be had.
    UseAttr,
    /// A code without arguments from RFC 5530.
    Condition(ConditionCode),
    /// One that we do not know, with its arguments as written.
    Other {
        /// Upper case.
        name: String,
        /// What follows the name, without the space.
        arguments: Option<String>,
    },
}

/// RFC 5530 §3: codes that say why, without arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConditionCode {
    /// A backend is away; try later.
    Unavailable,
    /// The name or the secret is wrong.
    AuthenticationFailed,
    /// The name may not be used with these credentials.
    AuthorizationFailed,
    /// The secret is too old.
    Expired,
    /// TLS is needed.
    PrivacyRequired,
    /// Ask the administrator.
    ContactAdmin,
    /// Not allowed.
    NoPerm,
    /// Somebody else is using it.
    InUse,
    /// The letter was expunged meanwhile.
    ExpungeIssued,
    /// The server found its data damaged.
    Corruption,
    /// A bug on the server's side.
    ServerBug,
    /// A bug on the client's side.
    ClientBug,
    /// The server will not do it.
    Cannot,
    /// A limit that is not quota.
    Limit,
    /// Over quota.
    OverQuota,
    /// There is one already.
    AlreadyExists,
    /// There is none.
    NonExistent,
    /// RFC 9051 §7.1: it has children.
    HasChildren,
}

impl ConditionCode {
    /// All of them.
    pub const ALL: [ConditionCode; 18] = [
        ConditionCode::Unavailable,
        ConditionCode::AuthenticationFailed,
        ConditionCode::AuthorizationFailed,
        ConditionCode::Expired,
        ConditionCode::PrivacyRequired,
        ConditionCode::ContactAdmin,
        ConditionCode::NoPerm,
        ConditionCode::InUse,
        ConditionCode::ExpungeIssued,
        ConditionCode::Corruption,
        ConditionCode::ServerBug,
        ConditionCode::ClientBug,
        ConditionCode::Cannot,
        ConditionCode::Limit,
        ConditionCode::OverQuota,
        ConditionCode::AlreadyExists,
        ConditionCode::NonExistent,
        ConditionCode::HasChildren,
    ];

    /// As written.
    pub fn name(self) -> &'static str {
        match self {
            ConditionCode::Unavailable => "UNAVAILABLE",
            ConditionCode::AuthenticationFailed => "AUTHENTICATIONFAILED",
            ConditionCode::AuthorizationFailed => "AUTHORIZATIONFAILED",
            ConditionCode::Expired => "EXPIRED",
            ConditionCode::PrivacyRequired => "PRIVACYREQUIRED",
            ConditionCode::ContactAdmin => "CONTACTADMIN",
            ConditionCode::NoPerm => "NOPERM",
            ConditionCode::InUse => "INUSE",
            ConditionCode::ExpungeIssued => "EXPUNGEISSUED",
            ConditionCode::Corruption => "CORRUPTION",
            ConditionCode::ServerBug => "SERVERBUG",
            ConditionCode::ClientBug => "CLIENTBUG",
            ConditionCode::Cannot => "CANNOT",
            ConditionCode::Limit => "LIMIT",
            ConditionCode::OverQuota => "OVERQUOTA",
            ConditionCode::AlreadyExists => "ALREADYEXISTS",
            ConditionCode::NonExistent => "NONEXISTENT",
            ConditionCode::HasChildren => "HASCHILDREN",
        }
    }
}
