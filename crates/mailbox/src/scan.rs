//! Looking at a Maildir for what other programs did to it.

/// What a look at a mailbox took over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Looked {
    /// Letters adopted.
    pub came: u32,
    /// Letters whose flags another program changed.
    pub changed: u32,
    /// Letters another program removed.
    pub gone: u32,
    /// Whether there was more than one look takes over.
    pub more: bool,
}
