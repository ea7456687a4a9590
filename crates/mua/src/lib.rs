//! The user agent: letters written and sent ([`compose`]), mailboxes looked at and changed
//! ([`retrieve`]), against any submission and IMAP server. It knows accounts ([`account`]),
//! sessions ([`session`]), how letters move house ([`migrate`]) and how to show foreign text
//! safely ([`show`]).
//!
//! Not a face: `posthaste mail` reads the command line and prints, the terminal reader and the
//! webmail will do likewise. Not a server: it trusts no letter and no peer.
#![forbid(unsafe_code)]

pub mod account;
pub mod compose;
pub mod failure;
pub mod limits;
pub mod migrate;
pub mod retrieve;
pub mod session;
pub mod show;

pub use account::{Account, Accounts};
pub use failure::{Failure, Kind};
pub use session::Desk;
