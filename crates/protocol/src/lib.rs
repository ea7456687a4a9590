//! Bytes that two parties exchange: SMTP, LMTP, IMAP, SASL and IPC, as pure machines.
//!
//! Nothing here knows a socket, a file, a clock or a runtime: bytes and time go in, events and
//! bytes come out. `net::drive` joins a [`machine::Machine`] to a stream; the agents answer its
//! questions. What is inside a letter is not here but in the `message` crate.
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod address;
pub mod imap;
pub mod ipc;
pub mod journey;
pub mod limits;
pub mod machine;
pub mod managesieve;
pub mod pop3;
pub mod rejection;
pub mod reply;
pub mod sasl;
pub mod secret;
pub mod smtp;
pub mod time;
