//! IMAP (RFC 3501, RFC 9051 and extensions): the grammar both ways, and the server and client
//! machines. Not a mailbox and not a policy: `mda::retrieve` answers what the server machine asks,
//! `mua` drives the client machine.
//!
//! Names are those of the RFCs' grammars. The modules directly below hold what things *mean*, as
//! types; `grammar` holds how they are written, both ways; `server` and `client` hold the two
//! machines.

pub mod code;
pub mod command;
pub mod date;
pub mod fetch;
pub mod flag;
pub mod limits;
pub mod mailbox;
pub mod metadata;
pub mod response;
pub mod search;
pub mod sequence;
pub mod sort;
pub mod structure;
pub mod utf7;

mod framing;

pub mod client;
pub mod grammar;
pub mod server;

pub use code::{Code, ConditionCode};
pub use command::{Command, Numbering, Tag};
pub use date::{Date, DateTime};
pub use fetch::{FetchData, FetchItem, Partial, Section, SectionText};
pub use flag::{Flag, Keyword, MailboxAttribute, PermanentFlag, SpecialUse};
pub use mailbox::{ListPattern, MailboxName};
pub use response::{Condition, Response, StatusText, Untagged};
pub use search::SearchKey;
pub use sequence::{NumberSet, SequenceBound, SequenceSet};
