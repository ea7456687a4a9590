//! DKIM signatures without the cryptography: which fields are signed, what is hashed, and the field
//! that says so (RFC 6376). Hashing and signing are the caller's, who has the keys: the MTA.
//! It does not verify; the canonical forms are [`crate::dkim`]'s.

use crate::dkim::{Canonicalization, header_field};
use crate::header;

/// Fields that are signed where they are there (RFC 6376 §5.4.1 and what programs act on).
const SIGNED: &[&str] = &[
    "From",
    "Sender",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "In-Reply-To",
    "References",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
    "Content-Disposition",
    "Auto-Submitted",
    "List-Id",
    "List-Post",
    "List-Unsubscribe",
    "List-Unsubscribe-Post",
];

/// Fields that nobody may add to a signed letter: they are named once more than they are there
/// (RFC 6376 §8.15), so that a second From in front of ours breaks the signature.
const OVERSIGNED: &[&str] = &[
    "From",
    "Reply-To",
    "To",
    "Cc",
    "Subject",
    "Date",
    "Message-ID",
    "MIME-Version",
    "Content-Type",
    "Content-Transfer-Encoding",
];

/// Instances of one field that are signed; a letter with more of one kind is nobody's real letter.
const INSTANCES: usize = 50;

/// Longest line of the field that we write.
const LINE: usize = 76;

/// What one signature says of itself.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// `a=`: `rsa-sha256` or `ed25519-sha256` (RFC 8301 §3.1, RFC 8463 §3).
    pub algorithm: &'a str,
    /// `d=`, A-labels.
    pub domain: &'a str,
    /// `s=`.
    pub selector: &'a str,
    /// `t=`, seconds of the epoch.
    pub at: i64,
    /// `bh=`: the hash of the relaxed body, base64.
    pub body_hash: &'a str,
}

/// A signature that lacks only its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsigned {
    field: String,
    /// The octets to hash and sign (RFC 6376 §3.7).
    pub input: Vec<u8>,
}

impl Unsigned {
    /// The signature over a letter with this header block.
    pub fn new(claim: Claim<'_>, block: &[u8]) -> Self {
        let (names, mut input) = selected(block);
        let mut field = String::from("DKIM-Signature:");
        let mut column = field.len();
        let tags = [
            "v=1;".to_owned(),
            format!("a={};", claim.algorithm),
            "c=relaxed/relaxed;".to_owned(),
            format!("d={};", claim.domain),
            format!("s={};", claim.selector),
            format!("t={};", claim.at),
        ];
        for tag in tags {
            word(&mut field, &mut column, &tag);
        }
        for (index, name) in names.iter().enumerate() {
            let (before, after) = match (index, index + 1 == names.len()) {
                (0, true) => ("h=", ";"),
                (0, false) => ("h=", ":"),
                (_, true) => ("", ";"),
                (_, false) => ("", ":"),
            };
            word(&mut field, &mut column, &format!("{before}{name}{after}"));
        }
        word(&mut field, &mut column, &format!("bh={};", claim.body_hash));
        word(&mut field, &mut column, "b=");
        header_field(Canonicalization::Relaxed, field.as_bytes(), &mut input);
        // §3.7: the field itself comes last, without its line end.
        input.truncate(input.len().saturating_sub(2));
        Unsigned { field, input }
    }

    /// The whole field with its line end, once the signature (base64) is known.
    pub fn complete(self, signature: &str) -> Vec<u8> {
        let mut field = self.field;
        let mut rest = signature;
        while !rest.is_empty() {
            let (line, more) = rest.split_at_checked(LINE - 4).unwrap_or((rest, ""));
            field.push_str("\r\n\t");
            field.push_str(line);
            rest = more;
        }
        field.push_str("\r\n");
        field.into_bytes()
    }
}

/// Adds a word after a space, on a new line where the old one is full.
fn word(field: &mut String, column: &mut usize, word: &str) {
    if *column + 1 + word.len() > LINE {
        field.push_str("\r\n\t");
        *column = 8;
    } else {
        field.push(' ');
        *column += 1;
    }
    field.push_str(word);
    *column += word.len();
}

/// The names for `h=`, and the signed fields in their canonical form.
fn selected(block: &[u8]) -> (Vec<&'static str>, Vec<u8>) {
    let all: Vec<header::Field> = header::fields(block).collect();
    let mut names = Vec::new();
    let mut input = Vec::new();
    for name in SIGNED {
        // §5.4.2: instances are taken from the bottom up.
        for field in all.iter().rev().filter(|it| it.is(block, name)).take(INSTANCES) {
            names.push(*name);
            header_field(Canonicalization::Relaxed, field.whole(block), &mut input);
        }
        // A name without a field signs that there is none.
        if OVERSIGNED.contains(name) {
            names.push(*name);
        }
    }
    (names, input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn from_is_signed_once_more_than_it_is_there() {
        let block = b"From: a@red.test\r\nSubject: x\r\nReceived: y\r\n\r\n";
        let claim = Claim {
            algorithm: "rsa-sha256",
            domain: "red.test",
            selector: "s1",
            at: 1,
            body_hash: "abc=",
        };
        let unsigned = Unsigned::new(claim, block);
        let input = String::from_utf8(unsigned.input.clone()).expect("text");
        assert!(input.starts_with("from:a@red.test\r\nsubject:x\r\ndkim-signature:v=1; "));
        assert!(input.ends_with("; bh=abc=; b="), "{input}");
        let field = String::from_utf8(unsigned.complete(&"Q".repeat(344))).expect("text");
        assert!(field.replace("\r\n\t", " ").contains("h=From: From: Reply-To: To:"), "{field}");
        assert!(field.lines().all(|line| line.len() <= 78), "{field}");
        assert!(!field.contains("Received"));
    }
}
