//! The fields by which a letter is marked as junk on its way to the mailbox, where a rule of the
//! owner (RFC 5235) or the delivery agent files it. Only what we wrote ourselves counts: whoever
//! takes letters from strangers removes these first.

use crate::header;

/// `YES`, where the letter is junk.
pub const FLAG: &str = "X-Spam-Flag";

/// Yes or no, and why.
pub const STATUS: &str = "X-Spam-Status";

/// How much, from 0 (certainly not) to 10.
pub const SCORE: &str = "X-Spam-Score";

/// What the owner's own filter found: the words that decided.
pub const EVIDENCE: &str = "X-Junk-Evidence";

/// All of them.
pub const FIELDS: [&str; 4] = [FLAG, STATUS, SCORE, EVIDENCE];

/// The value of [`FLAG`].
pub const YES: &str = "YES";

/// Whether the header says that the letter is junk.
pub fn is_marked(block: &[u8]) -> bool {
    header::value(block, FLAG).is_some_and(|value| value.eq_ignore_ascii_case(YES.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_seen() {
        assert!(is_marked(b"Received: x\r\nX-Spam-Flag: yes\r\n\r\n"));
        assert!(
            !is_marked(b"X-Spam-Flag: NO\r\n\r\n") && !is_marked(b"X: y\r\n\r\nX-Spam-Flag: YES")
        );
    }
}
