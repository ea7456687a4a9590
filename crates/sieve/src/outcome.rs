//! What goes into a run and what comes out: facts of the envelope, questions to the surroundings,
//! actions, and the explanation. Plain data; who carries actions out is the delivery agent.

use message::date::DateTime;

use crate::fault::{Fault, Position};
use crate::program::Refusal;

/// What is known of a letter besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The reverse-path without brackets; empty for the null one.
    pub sender: String,
    /// The envelope recipient as it came, its detail included.
    pub recipient: String,
    /// The time, with the offset of the place where the server is.
    pub now: DateTime,
    /// What parts user and detail in a local part (RFC 5233 §4).
    pub delimiter: char,
    /// The owner's addresses, in any case: to these an answer may be due (RFC 5230 §4.5).
    pub owner: Vec<String>,
    /// How sure the junk filter is, 0 to 100; `None`: it has not looked.
    pub spam: Option<u8>,
    /// RFC 5235 §2.3: 1 (clean) to 5 (certainly a virus); `None`: nobody has looked.
    pub virus: Option<u8>,
}

/// Questions that a script may ask about the world while it runs. Answers come from memory.
pub trait World {
    /// Whether mail can be filed into a mailbox of this name (RFC 5490 §3.1).
    fn mailbox_exists(&self, name: &str) -> bool;
    /// Whether that mailbox, or any, has this use, with its backslash (RFC 8579 §3).
    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool;
    /// The text of another script (RFC 6609 §3.2).
    fn script(&self, shelf: Shelf, name: &str) -> Option<String>;
    /// Whether this identifier was recorded before and its time is not over (RFC 7352 §3).
    fn is_duplicate(&self, id: &str) -> bool;
    /// An item of RFC 5183 §4.
    fn environment(&self, item: &str) -> Option<String>;
}

/// Where an included script lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shelf {
    /// Among the owner's.
    Personal,
    /// Among those for everybody.
    Global,
}

/// Whether a run explains itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Explain {
    /// For people.
    Yes,
    /// For deliveries.
    No,
}

/// What a run came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What to do, in order; never empty. After a fault: only to keep the letter as it came.
    pub actions: Vec<Action>,
    /// Why the run stopped early.
    pub fault: Option<Fault>,
    /// Identifiers to record once all is done (RFC 7352 §3), with how long in seconds.
    pub remember: Vec<(String, u64)>,
    /// How it came to that, where asked for.
    pub explanation: Vec<Step>,
}

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// The command; `None`: nothing else was said (RFC 5228 §2.10.2).
    pub at: Option<Position>,
    /// What.
    pub what: Act,
    /// The letter, where the script has changed it.
    pub letter: Option<Vec<u8>>,
}

/// What to do with a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Into INBOX, with these flags and keywords.
    Keep {
        /// As in IMAP.
        flags: Vec<String>,
    },
    /// Into that mailbox.
    FileInto(Filing),
    /// On to another address.
    Redirect {
        /// Without brackets.
        address: String,
    },
    /// Nowhere.
    Discard,
    /// Back to the sender, while it waits if possible.
    Reject {
        /// Which command.
        how: Refusal,
        /// For the sender.
        reason: String,
    },
    /// An answer to the sender, unless one went there lately.
    Vacation(Box<Answer>),
    /// A note to somebody.
    Notify(Box<Notice>),
}

/// Into which mailbox, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filing {
    /// Its name, UTF-8, `/` between levels.
    pub mailbox: String,
    /// Make it if it is not there (RFC 5490 §3.2).
    pub create: bool,
    /// Flags and keywords.
    pub flags: Vec<String>,
    /// Rather the mailbox with this use, if there is one (RFC 8579 §4).
    pub special_use: Option<String>,
}

/// An automatic answer (RFC 5230).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// To whom: the reverse-path.
    pub to: String,
    /// From whom, if the script says.
    pub from: Option<String>,
    /// Its subject, decoded.
    pub subject: String,
    /// What it says; a MIME entity if [`Answer::mime`].
    pub text: String,
    /// The text has its own MIME header.
    pub mime: bool,
    /// With the sender, tells answers apart (RFC 5230 §4.2).
    pub handle: String,
    /// No second one within so many seconds.
    pub seconds: u64,
    /// The letter's Message-ID, without brackets.
    pub in_reply_to: Option<String>,
    /// Identifiers of the letters before it and of itself, likewise.
    pub references: Vec<String>,
    /// A copy of the answer goes there.
    pub copy: Option<Filing>,
}

/// A notification by mail (RFC 5436).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// To whom; at least one.
    pub to: Vec<String>,
    /// From whom, if the script says.
    pub from: Option<String>,
    /// Its subject, decoded.
    pub subject: String,
    /// What it says.
    pub text: String,
    /// 1 (high) to 3.
    pub importance: u8,
    /// Header fields that the method asks for.
    pub fields: Vec<(String, String)>,
    /// A copy goes there.
    pub copy: Option<Filing>,
}

/// One step of an explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// Where in the script.
    pub at: Position,
    /// Which script, where it is an included one.
    pub script: Option<String>,
    /// What happened there.
    pub what: String,
}

impl Outcome {
    /// Whether the letter comes to rest nowhere and goes nowhere.
    pub fn is_discarded(&self) -> bool {
        !self.actions.iter().any(|action| {
            matches!(
                action.what,
                Act::Keep { .. } | Act::FileInto(_) | Act::Redirect { .. } | Act::Reject { .. }
            )
        })
    }
}
