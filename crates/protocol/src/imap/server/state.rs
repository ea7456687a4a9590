//! Where an IMAP session stands, and which command is allowed there (RFC 3501 §3 and §6). Not the
//! mailbox that is selected: the agent knows that. Called by the server machine.

use crate::imap::command::{Command, MessageForm, Tag};
use crate::imap::limits;

/// RFC 3501 §3: what the session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionState {
    /// Nobody has logged in.
    NotAuthenticated,
    /// Somebody has.
    Authenticated,
    /// And has selected a mailbox.
    Selected,
    /// The connection is going to be closed.
    Logout,
}

impl SessionState {
    /// Octets that one command may have.
    pub(super) fn command_size(self) -> usize {
        match self {
            SessionState::NotAuthenticated => limits::COMMAND_SIZE_BEFORE_LOGIN,
            _ => limits::COMMAND_SIZE,
        }
    }

    /// Errors that are one too many.
    pub(super) fn errors(self) -> u32 {
        match self {
            SessionState::NotAuthenticated => limits::ERRORS_BEFORE_LOGIN,
            _ => limits::ERRORS,
        }
    }

    /// Whether the command is allowed here; else why not.
    pub(super) fn permits(self, command: &Command) -> Result<(), &'static str> {
        use SessionState::{Authenticated, NotAuthenticated, Selected};
        let wanted = match command {
            Command::Capability | Command::Noop | Command::Logout | Command::Id(_) => return Ok(()),
            Command::StartTls | Command::Authenticate { .. } | Command::Login { .. } => {
                NotAuthenticated
            }
            Command::Check
            | Command::Close
            | Command::Unselect
            | Command::Expunge
            | Command::UidExpunge(_)
            | Command::Search(_)
            | Command::Fetch { .. }
            | Command::Store(_)
            | Command::Copy(_)
            | Command::Move(_)
            | Command::Sort { .. }
            | Command::Thread { .. } => Selected,
            Command::Append(append) if append.replaces.is_some() => Selected,
            _ => Authenticated,
        };
        match (wanted, self) {
            (NotAuthenticated, NotAuthenticated)
            | (Authenticated, Authenticated | Selected)
            | (Selected, Selected) => Ok(()),
            (NotAuthenticated, _) => Err("you are logged in already"),
            (_, NotAuthenticated) => Err("log in first"),
            _ => Err("select a mailbox first"),
        }
    }
}

/// What a command does to the session when it is answered OK.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    /// Nothing.
    None,
    /// LOGIN, AUTHENTICATE.
    LogIn,
    /// SELECT and EXAMINE; a failure leaves no mailbox selected (RFC 3501 §6.3.1).
    Select,
    /// CLOSE, UNSELECT.
    Deselect,
    /// STARTTLS and COMPRESS: nothing is read until the layer below is there.
    Layer,
}

impl Effect {
    pub(super) fn of(command: &Command) -> Effect {
        match command {
            Command::Login { .. } | Command::Authenticate { .. } => Effect::LogIn,
            Command::Select(_) | Command::Examine(_) => Effect::Select,
            Command::Close | Command::Unselect => Effect::Deselect,
            Command::StartTls | Command::Compress => Effect::Layer,
            _ => Effect::None,
        }
    }
}

/// What the machine is doing with its input. One value per state, holding what is valid there only.
#[derive(Debug)]
pub(super) enum Phase {
    /// Receiving a command.
    Command,
    /// The agent is executing a command.
    Execute(Running),
    /// The agent decides whether it takes APPEND's message.
    Offer(Offer),
    /// APPEND's message is passing through.
    Message(Running, u64),
    /// APPEND's message is complete but for the line end.
    MessageEnd(Running),
    /// Between two messages of APPEND.
    NextMessage(Running),
    /// IDLE: waiting for DONE.
    Idle(Running),
    /// Waiting for the client's SASL response.
    Sasl(Running),
    /// Swallowing a literal that was refused, then the rest of its line.
    Skip(u64),
    /// Swallowing the rest of a line, at most so many octets.
    SkipLine(u64),
    /// STARTTLS or COMPRESS was answered: TLS or compression is next.
    Layer,
    /// Nothing more is read.
    Closed,
}

/// The command being executed.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) tag: Tag,
    pub(super) effect: Effect,
    /// The machine found a fault that the agent need not know of; it becomes the answer.
    pub(super) fault: Option<&'static str>,
    /// How the message of APPEND is written that is being received.
    pub(super) form: MessageForm,
}

impl Running {
    pub(super) fn new(tag: Tag, command: &Command) -> Self {
        Running { tag, effect: Effect::of(command), fault: None, form: MessageForm::Plain }
    }
}

/// APPEND before its message.
#[derive(Debug)]
pub(super) struct Offer {
    pub(super) running: Running,
    pub(super) literal: crate::imap::command::LiteralHeader,
}
