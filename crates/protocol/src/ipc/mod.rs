//! IPC: the questions that agents, the supervisor and the admin's verbs ask one another.
//!
//! What it is: newline-delimited JSON over a stream, as two pure machines ([`Server`], [`Client`])
//! and the one table of everything that may be asked ([`METHODS`]; `docs/ipc.md` is the same table
//! for people, and a test compares them).
//!
//! What it is not: a way for mail to travel. Letters go by SMTP, LMTP and IMAP; here go questions
//! and answers that fit one frame of [`FRAME_LIMIT`] octets. Sockets, peer
//! credentials and the clock belong to the crate `net`.
//!
//! Who calls it: `net`'s IPC transport drives the machines; `service` answers the control role,
//! `auth` the login role.
//!
//! ```text
//! → {"method":"hello","parameters":{"version":1,"role":"control","from":"posthaste"},"id":0}
//! ← {"id":0,"result":{"version":1,"role":"control","agent":"mta","software":"0.1.0"}}
//! → {"method":"status","parameters":{},"id":1}
//! ← {"id":1,"result":{"agent":"mta","pid":4711,...}}
//! ```

mod calls;
mod client;
mod fault;
mod frame;
mod opaque;
mod server;
#[cfg(test)]
mod tests;

pub use calls::{
    Cancel, Cancelled, ControlCall, DirectoryChanged, DirectoryTaken, Granted, Hello, LoginAnswer,
    LoginCall, METHODS, MethodRow, Reload, Reloaded, Role, Start, Status, StatusReport, Step,
    Welcome,
};
pub use client::{CallError, CallId, Client, ClientEvent};
pub use fault::{Fault, FaultKind};
pub use frame::FRAME_LIMIT;
pub use opaque::Opaque;
pub use server::{RequestId, Server, ServerEvent};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// The version of the protocol that both sides must speak.
///
/// It is raised when a message changes its meaning. New methods and new fields do not raise it:
/// unknown fields are ignored and unknown methods are answered with an error.
pub const VERSION: u32 = 1;

/// Requests that one connection may have without an answer; further ones wait unread in the socket.
pub const OUTSTANDING_LIMIT: usize = 64;

/// How long a connected client may take to say hello, in seconds.
pub const HELLO_SECONDS: u64 = 10;

/// How long a frame that has begun may take to end, in seconds. Peers are local processes.
pub const FRAME_SECONDS: u64 = 10;

/// Output that may wait for a peer that does not read, before requests are left unread, in octets.
pub const OUTPUT_LIMIT: usize = 4 * FRAME_LIMIT;

/// The parameters of a method, and with them its name and the type of its answer.
///
/// An agent with verbs of its own (`queue.list`, `custody`) implements this for its own types; the
/// machines need no change.
pub trait Method: Serialize + DeserializeOwned {
    /// The name on the wire, e.g. `login.start`.
    const NAME: &'static str;
    /// What a good answer holds. For a stream, what each part holds.
    type Answer: Serialize + DeserializeOwned;
}

/// All the calls of one role, as the serving side sees them.
pub trait Calls: Sized {
    /// The role that a client must ask for in its hello.
    const ROLE: Role;

    /// Finds the method and reads its parameters.
    ///
    /// # Errors
    /// [`FaultKind::UnknownMethod`] or [`FaultKind::Parameters`]; the machine sends it as the
    /// answer.
    fn read(method: String, parameters: Value) -> Result<Self, Fault>;
}
