//! A checked script: what each command and test means, with its arguments understood. Made by the
//! checker, walked by the run. Opaque outside the crate.

use std::sync::Arc;

use crate::compare::{Key, Matching};
use crate::fault::Position;

/// A script that may run.
#[derive(Debug, Clone)]
pub struct Program {
    pub(crate) body: Arc<[Statement]>,
    /// Extensions it requires, in the order of the script.
    pub(crate) requires: Vec<String>,
}

impl Program {
    /// The extensions that the script requires.
    pub fn requires(&self) -> &[String] {
        &self.requires
    }

    /// Whether it requires this one.
    pub fn needs(&self, extension: &str) -> bool {
        self.requires.iter().any(|one| one == extension)
    }
}

/// A string with its variables told apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    pub(crate) at: Position,
    pub(crate) pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Piece {
    Literal(String),
    /// In lower case; `global.` in front for those.
    Variable(String),
    /// `${0}`, `${1}`: what the last `:matches` or `:regex` found.
    Match(usize),
}

impl Template {
    /// The string, if no variable is in it.
    pub(crate) fn literal(&self) -> Option<&str> {
        match self.pieces.as_slice() {
            [] => Some(""),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) at: Position,
    pub(crate) what: Do,
}

#[derive(Debug, Clone)]
pub(crate) enum Do {
    If {
        branches: Vec<(Test, Vec<Statement>)>,
        otherwise: Vec<Statement>,
    },
    Stop,
    Return,
    Discard,
    Keep {
        flags: Option<Vec<Template>>,
    },
    FileInto(Box<FileInto>),
    Redirect {
        address: Template,
        copy: bool,
    },
    Reject {
        reason: Template,
        how: Refusal,
    },
    Set {
        name: String,
        modifiers: Vec<Modifier>,
        value: Template,
    },
    Flags {
        how: FlagChange,
        variable: Option<String>,
        flags: Vec<Template>,
    },
    Vacation(Box<Vacation>),
    Notify(Box<Notify>),
    AddHeader {
        place: Place,
        name: Template,
        value: Template,
    },
    DeleteHeader(Box<DeleteHeader>),
    Include {
        personal: bool,
        once: bool,
        optional: bool,
        name: Template,
    },
    Global(Vec<String>),
    ForEveryPart {
        name: Option<String>,
        body: Vec<Statement>,
    },
    Break(Option<String>),
    ExtractText {
        modifiers: Vec<Modifier>,
        first: Option<u64>,
        variable: String,
    },
    Replace(Box<Replacement>),
    Enclose(Box<Replacement>),
    /// `error` of RFC 5463.
    Error(Template),
    /// Reached only where `ihave` was trusted and wrong.
    Invalid(String),
}

/// Which of the two commands of RFC 5429.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// `reject`
    Reject,
    /// `ereject`
    Ereject,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagChange {
    Set,
    Add,
    Remove,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    First,
    Last,
}

#[derive(Debug, Clone)]
pub(crate) struct FileInto {
    pub(crate) mailbox: Template,
    pub(crate) copy: bool,
    pub(crate) create: bool,
    pub(crate) flags: Option<Vec<Template>>,
    pub(crate) special_use: Option<Template>,
}

/// `:fcc` with what belongs to it (RFC 8580).
#[derive(Debug, Clone)]
pub(crate) struct Fcc {
    pub(crate) mailbox: Template,
    pub(crate) create: bool,
    pub(crate) flags: Option<Vec<Template>>,
    pub(crate) special_use: Option<Template>,
}

#[derive(Debug, Clone)]
pub(crate) struct Vacation {
    /// Seconds between two answers to one sender.
    pub(crate) seconds: u64,
    pub(crate) subject: Option<Template>,
    pub(crate) from: Option<Template>,
    pub(crate) addresses: Vec<Template>,
    pub(crate) mime: bool,
    pub(crate) handle: Option<Template>,
    pub(crate) fcc: Option<Fcc>,
    pub(crate) reason: Template,
}

#[derive(Debug, Clone)]
pub(crate) struct Notify {
    pub(crate) method: Template,
    pub(crate) from: Option<Template>,
    pub(crate) importance: Option<Template>,
    pub(crate) options: Vec<Template>,
    pub(crate) message: Option<Template>,
    pub(crate) fcc: Option<Fcc>,
}

#[derive(Debug, Clone)]
pub(crate) struct DeleteHeader {
    pub(crate) index: Option<Index>,
    pub(crate) matching: Matching,
    pub(crate) name: Template,
    /// Empty: every field of that name.
    pub(crate) keys: Vec<Key>,
}

#[derive(Debug, Clone)]
pub(crate) struct Replacement {
    pub(crate) mime: bool,
    pub(crate) subject: Option<Template>,
    pub(crate) from: Option<Template>,
    /// `enclose` only.
    pub(crate) headers: Vec<Template>,
    pub(crate) text: Template,
}

/// `:index n` and `:last` (RFC 5260 §6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Index {
    pub(crate) number: u64,
    pub(crate) last: bool,
}

/// Modifiers of `set`, in the order of their precedence (RFC 5229 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Modifier {
    Lower,
    Upper,
    LowerFirst,
    UpperFirst,
    QuoteWildcard,
    QuoteRegex,
    EncodeUrl,
    Length,
}

impl Modifier {
    /// Higher comes first; two of the same are a fault.
    pub(crate) fn precedence(self) -> u32 {
        match self {
            Modifier::Lower | Modifier::Upper => 40,
            Modifier::LowerFirst | Modifier::UpperFirst => 30,
            Modifier::QuoteWildcard | Modifier::QuoteRegex => 20,
            Modifier::EncodeUrl => 15,
            Modifier::Length => 10,
        }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Test {
    pub(crate) at: Position,
    /// For the explanation.
    pub(crate) name: String,
    pub(crate) what: Ask,
}

#[derive(Debug, Clone)]
pub(crate) enum Ask {
    True,
    False,
    Not(Box<Test>),
    AllOf(Vec<Test>),
    AnyOf(Vec<Test>),
    Exists {
        names: Vec<Template>,
        mime: Option<Mime>,
    },
    Header(Box<HeaderTest>),
    Address(Box<HeaderTest>, AddressPart),
    Envelope {
        fields: Vec<Template>,
        part: AddressPart,
        matching: Matching,
        keys: Vec<Key>,
    },
    SizeOver(u64),
    SizeUnder(u64),
    Body {
        transform: Transform,
        matching: Matching,
        keys: Vec<Key>,
    },
    Text {
        sources: Vec<Template>,
        matching: Matching,
        keys: Vec<Key>,
    },
    HasFlag {
        variables: Vec<String>,
        matching: Matching,
        keys: Vec<Key>,
    },
    Date(Box<DateTest>),
    Environment {
        name: Template,
        matching: Matching,
        keys: Vec<Key>,
    },
    Ihave(Vec<Template>),
    Duplicate(Box<Duplicate>),
    SpamTest {
        percent: bool,
        matching: Matching,
        key: Key,
    },
    VirusTest {
        matching: Matching,
        key: Key,
    },
    MailboxExists(Vec<Template>),
    SpecialUseExists {
        mailbox: Option<Template>,
        uses: Vec<Template>,
    },
    ValidNotifyMethod(Vec<Template>),
    NotifyMethodCapability {
        method: Template,
        capability: Template,
        matching: Matching,
        keys: Vec<Key>,
    },
    Invalid(String),
}

#[derive(Debug, Clone)]
pub(crate) struct HeaderTest {
    pub(crate) names: Vec<Template>,
    pub(crate) matching: Matching,
    pub(crate) keys: Vec<Key>,
    pub(crate) index: Option<Index>,
    pub(crate) mime: Option<Mime>,
}

/// `:mime` with what belongs to it (RFC 5703 §4).
#[derive(Debug, Clone)]
pub(crate) struct Mime {
    pub(crate) any_child: bool,
    pub(crate) view: MimeView,
}

#[derive(Debug, Clone)]
pub(crate) enum MimeView {
    Whole,
    Type,
    Subtype,
    ContentType,
    Param(Vec<Template>),
}

/// RFC 5228 §2.7.4, RFC 5233 §4.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AddressPart {
    All,
    LocalPart,
    Domain,
    User,
    Detail,
}

/// RFC 5173 §5.
#[derive(Debug, Clone)]
pub(crate) enum Transform {
    Raw,
    Content(Vec<Template>),
    Text,
}

#[derive(Debug, Clone)]
pub(crate) struct DateTest {
    /// `None`: `currentdate`.
    pub(crate) header: Option<Template>,
    pub(crate) zone: Zone,
    pub(crate) part: Template,
    pub(crate) index: Option<Index>,
    pub(crate) matching: Matching,
    pub(crate) keys: Vec<Key>,
}

#[derive(Debug, Clone)]
pub(crate) enum Zone {
    /// Where the server is.
    Local,
    /// As the field says.
    Original,
    /// As the script says.
    Given(Template),
}

#[derive(Debug, Clone)]
pub(crate) struct Duplicate {
    pub(crate) handle: Option<Template>,
    pub(crate) key: DuplicateKey,
    pub(crate) seconds: u64,
    /// `:last`: the time counts from the last letter, not from the first.
    pub(crate) last: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum DuplicateKey {
    Header(Template),
    Unique(Template),
}
