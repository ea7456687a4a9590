//! The harness that the tests of this crate share: real processes on addresses of their own.
//!
//! Not a second implementation: it speaks to the `posthaste` executable from outside, as people
//! and their clients do, and links none of the agents.

// A test's story goes to standard error, which cargo shows when the test fails.
#![allow(clippy::print_stderr)]

pub mod address;
pub mod authority;
pub mod bench;
pub mod clients;
pub mod conversation;
pub mod dialogue;
pub mod dns;
pub mod instance;
pub mod issuer;
pub mod process;
pub mod receiver;
pub mod source;
pub mod wait;

pub use address::{Address, Service};
pub use authority::Authority;
pub use conversation::Conversation;
pub use dns::{NameServer, Zone};
pub use instance::Instance;
pub use issuer::Issuer;
