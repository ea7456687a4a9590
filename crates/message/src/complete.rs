//! What a submission agent completes in a letter before it takes it on (RFC 6409 §8). Works on
//! the header block alone, so that the body can stream behind it.

use protocol::time::Timestamp;

use crate::date::DateTime;
use crate::{header, message_id};

/// What is at hand to complete with.
#[derive(Clone, Copy, Debug)]
pub struct Completion<'a> {
    /// Now.
    pub at: Timestamp,
    /// Makes the Message-ID unique.
    pub random: u64,
    /// Right side of a new Message-ID: the sender's domain or our host name.
    pub host: &'a str,
    /// The sender's address for a letter without From: the reverse-path.
    pub sender: &'a str,
}

/// A header as the submission agent passes it on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Completed {
    /// The header block, with its empty line.
    pub header: Vec<u8>,
    /// The letter's Message-ID, without angle brackets.
    pub message_id: Option<String>,
    /// Fields that were added or removed, for the journey, e.g. `+Date`, `-Bcc`.
    pub changes: Vec<&'static str>,
}

/// The header with From, Date and Message-ID added where missing (RFC 6409 §8.1 to §8.3,
/// RFC 5322 §3.6) and Bcc removed (RFC 5322 §3.6.3). Fields that are there stay as they are, and a
/// block without an empty line at its end gets one.
///
/// `block` is the header of the letter: its first [`header::length`] octets.
pub fn complete(block: &[u8], with: &Completion<'_>) -> Completed {
    let mut changes = Vec::new();
    let mut added = Vec::new();
    if header::find(block, "From").is_none() {
        added.extend(header::field("From", &format!("<{}>", with.sender)));
        changes.push("+From");
    }
    if header::find(block, "Date").is_none() {
        added.extend(header::field("Date", &DateTime::utc(with.at).to_rfc5322()));
        changes.push("+Date");
    }
    let mut id = message_id::of_header(block);
    if header::find(block, "Message-ID").is_none() {
        let made = message_id::new(with.at, with.random, with.host);
        added.extend(header::field("Message-ID", &format!("<{made}>")));
        id = Some(made);
        changes.push("+Message-ID");
    }
    let kept = if header::find(block, "Bcc").is_some() {
        changes.push("-Bcc");
        header::without(block, &["Bcc"])
    } else {
        block.to_vec()
    };
    Completed { header: join(added, &kept), message_id: id, changes }
}

/// `added` before the kept block, which then ends with an empty line.
fn join(added: Vec<u8>, kept: &[u8]) -> Vec<u8> {
    let mut out = added;
    out.extend_from_slice(kept);
    // header::length stops at an empty line if there is one; line ends may be mixed.
    let ended =
        matches!(kept, b"\n" | b"\r\n") || kept.ends_with(b"\n\n") || kept.ends_with(b"\n\r\n");
    if !ended {
        if !out.is_empty() && !out.ends_with(b"\n") {
            out.extend_from_slice(b"\r\n");
        }
        out.extend_from_slice(b"\r\n");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const WITH: Completion<'_> = Completion {
        at: Timestamp::from_seconds(0),
        random: 5,
        host: "red.test",
        sender: "alice@red.test",
    };

    #[test]
    fn one_empty_line_whatever_the_line_ends() {
        for block in ["a: b\n\r\n", "a: b\r\n\n", "\n", "\r\n", "a: b\n", "a: b", ""] {
            let done = complete(block.as_bytes(), &WITH).header;
            assert_eq!(complete(&done, &WITH).header, done, "{block:?}");
            assert_eq!(header::length(&done), done.len(), "{block:?}");
        }
    }

    #[test]
    fn adds_only_what_is_missing() {
        let done = complete(b"Subject: x\r\n\r\n", &WITH);
        assert_eq!(done.changes, ["+From", "+Date", "+Message-ID"]);
        let id = done.message_id.unwrap();
        assert_eq!(
            String::from_utf8(done.header).unwrap(),
            format!(
                "From: <alice@red.test>\r\nDate: Thu, 1 Jan 1970 00:00:00 +0000\r\n\
                 Message-ID: <{id}>\r\nSubject: x\r\n\r\n"
            )
        );
        let whole = b"From: a@b\r\nDate: yesterday\r\nMessage-Id: <x@y>\r\n\r\n";
        let done = complete(whole, &WITH);
        assert_eq!(done.header, whole);
        assert_eq!((done.message_id.as_deref(), done.changes.len()), (Some("x@y"), 0));
    }

    #[test]
    fn blind_copies_stay_blind() {
        let letter =
            b"From: a@b\r\nBcc: c@d,\r\n e@f\r\nDate: x\r\nbcc: g@h\r\nMessage-ID: <1@2>\r\n\r\n";
        let done = complete(letter, &WITH);
        assert_eq!(done.header, b"From: a@b\r\nDate: x\r\nMessage-ID: <1@2>\r\n\r\n");
        assert_eq!(done.changes, ["-Bcc"]);
    }

    #[test]
    fn a_header_without_an_end_gets_one() {
        for block in [&b""[..], b"\r\n", b"Subject: x", b"Subject: x\r\n"] {
            let done = complete(block, &WITH);
            assert!(done.header.ends_with(b"\r\n\r\n"), "{block:?}");
            assert_eq!(header::length(&done.header), done.header.len());
            assert_eq!(header::fields(&done.header).count(), 3 + usize::from(block.len() > 2));
        }
    }
}
