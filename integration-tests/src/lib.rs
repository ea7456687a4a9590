//! The harness that the tests of this crate share: real processes on ports of their own.
//!
//! Not a second implementation: it speaks to the `posthaste` executable from outside, as people
//! and their clients do, and links none of the agents.

pub mod source;
