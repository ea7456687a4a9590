//! What to think of an incoming letter and of who brings it.
//!
//! [`spf`], [`dkim`] and [`dmarc`] evaluate what the sender's domain says of itself; [`iprev`] what
//! DNS says of the address. Every question goes through [`lookup`], which keeps answers and bounds
//! time. Nothing here refuses or files a letter: the transfer agent asks and acts, and writes what
//! it was told into the letter's journey.

#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![cfg_attr(
    test,
    allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)
)]

pub mod authentication;
pub mod dkim;
pub mod dmarc;
pub mod greylist;
pub mod iprev;
pub mod junk;
pub mod limits;
pub mod lists;
pub mod lookup;
pub mod meter;
pub mod milter;
pub mod rspamd;
pub mod spf;

#[cfg(test)]
mod memory;
