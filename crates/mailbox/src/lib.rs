//! Letters at rest: Maildirs, the state logs beside them, and an index that can be thrown away.
//!
//! [`Mailboxes`] is the store: deliver, append, change flags, expunge, copy, move, make and rename
//! mailboxes. Each is durable when its answer comes. [`Mailbox`] and [`View`] are what sessions
//! read. The interface speaks of letters, mailboxes and changes, never of files; how they lie on
//! disk is in `docs/mailbox.md`. One writer: the MDA. Protocols, policy and clocks are not here.
#![forbid(unsafe_code)]

pub mod limits;

mod account_change;
mod ask;
mod change;
mod checksum;
mod content;
mod custody;
mod error;
mod expunged;
mod flags;
mod heads;
mod history;
mod ids;
mod index;
mod isolated;
mod keywords;
mod letter;
mod letters;
mod line;
mod mailbox;
mod name;
mod open;
mod rebuild;
mod repeats;
mod scan;
mod snapshot;
mod stage;
mod standing;
mod state;
mod statelog;
mod thread;
mod transaction;
mod uidset;
mod undelete;
mod utf7;
mod verify;
mod view;
mod words;
mod writer;

pub use ask::{
    AccountView, Delivered, Delivery, FlagChange, FlagsChanged, Listed, Marks, NewLetter, Placed,
    Quota, Recipient, SpecialUse, Usage,
};
pub use change::How;
pub use content::Content;
pub use custody::{Fate, Kept, Survey, Whose};
pub use error::{Error, Result};
pub use expunged::{Expunged, Purged, Retention};
pub use flags::Flags;
pub use heads::{Head, HeadReader};
pub use ids::{AccountId, BadAccount, MailboxId, ModSeq, Uid};
pub use keywords::{Keyword, KeywordSet, Keywords};
pub use letter::Letter;
pub use mailbox::{Changed, Mailbox};
pub use name::{BadName, MailboxName};
pub use open::{Clock, Mailboxes, Opened, Options};
pub use scan::Looked;
pub use state::Counts;
pub use uidset::UidSet;
pub use verify::{Finding, Verified};
pub use view::{Changes, View};
pub use words::{Field, Query, RuledOut};
pub use writer::Writer;
