//! alice and bob at their user agents: a letter written and handed in, a mailbox read. Over `mua`,
//! as `posthaste mail` does it. Called by the scenarios.

use std::path::Path;

use service::Fatal;

use super::system::System;

/// A letter on its way.
pub(super) struct Sent {
    /// As it was handed in.
    pub(super) letter: Vec<u8>,
    /// The journey id in the MSA's reply.
    pub(super) journey: String,
    /// The MSA's reply.
    pub(super) reply: String,
}

/// Writes and hands in.
pub(super) async fn send(_: &System, _: &Path, _: &str, _: &str) -> Result<Sent, Fatal> {
    todo!()
}
pub(super) async fn inbox(_: &System, _: &Path) -> Result<Vec<Vec<u8>>, Fatal> {
    todo!()
}
pub(super) fn first_lines(_: &[u8]) -> Vec<String> {
    todo!()
}
pub(super) fn attachment(_: &[u8], _: &str) -> Option<Vec<u8>> {
    todo!()
}
