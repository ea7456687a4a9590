//! What to think of an incoming letter and of who brings it.
//!
//! [`spf`], [`dkim`] and [`dmarc`] evaluate what the sender's domain says of itself; [`iprev`] what
//! DNS says of the address. Every question goes through [`lookup`], which keeps answers and bounds
//! time. Nothing here refuses or files a letter: the transfer agent asks and acts, and writes what
//! it was told into the letter's journey.

pub mod limits;
