//! What is inside a letter: pure functions over its bytes.
//!
//! [`scan`] finds the structure (headers, parts, exact byte ranges), [`values`] decodes what the
//! fields and parts mean, [`header`] edits a header block in place, [`compose`] builds letters,
//! [`dsn`] builds reports about them. Nothing here opens a file, asks the time or makes a random
//! number: those come as parameters. The agents and the mailbox call this crate; no foreign input
//! makes our own code panic (`values` leans on mail-parser: its callers add `catch_unwind`).
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod authentication_results;
pub mod complete;
pub mod compose;
pub mod date;
pub mod dkim;
pub mod dkim_signature;
pub mod dsn;
pub mod envelope;
pub mod header;
pub mod junk;
pub mod limits;
pub mod line_ends;
pub mod message_id;
pub mod preview;
pub mod received;
pub mod scan;
pub mod search;
pub mod seven_bit;
pub mod thread;
pub mod transfer;
pub mod values;
