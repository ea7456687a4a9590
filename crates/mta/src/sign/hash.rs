//! The hash of a letter's body as DKIM wants it, worked out while the letter comes in: when its
//! last octet is here, nothing need be read again.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use message::dkim::{BodyForm, Canonicalization};

/// Takes a letter in pieces and hashes what follows its first empty line.
pub(crate) struct LetterHash {
    body: BodyForm,
    digest: Context,
    place: Place,
}

/// Where in the letter the next octet stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// At the beginning of a line of the header, where an empty line would end it; perhaps after
    /// its CR.
    LineStart,
    /// Within a line of the header.
    Line,
    /// Behind the header.
    Body,
}

impl LetterHash {
    /// A letter of which nothing has come yet.
    pub(crate) fn new() -> Self {
        LetterHash {
            body: BodyForm::new(Canonicalization::Relaxed),
            digest: Context::new(&SHA256),
            place: Place::LineStart,
        }
    }

    /// The next octets.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        let mut rest = piece;
        while self.place != Place::Body {
            let Some((first, after)) = rest.split_first() else { return };
            match (self.place, first) {
                (Place::LineStart, b'\n') => self.place = Place::Body,
                (Place::LineStart, b'\r') => {}
                (_, b'\n') => self.place = Place::LineStart,
                _ => self.place = Place::Line,
            }
            rest = after;
        }
        let digest = &mut self.digest;
        self.body.feed(rest, &mut |canonical| digest.update(canonical));
    }

    /// The hash in base64, as `bh=` has it.
    pub(crate) fn finish(self) -> String {
        let LetterHash { body, mut digest, .. } = self;
        body.finish(&mut |canonical| digest.update(canonical));
        STANDARD.encode(digest.finish())
    }
}

impl std::fmt::Debug for LetterHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LetterHash")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(letter: &[u8], piece: usize) -> String {
        let mut hash = LetterHash::new();
        letter.chunks(piece).for_each(|piece| hash.feed(piece));
        hash.finish()
    }

    #[test]
    fn the_header_is_not_part_of_it() {
        // RFC 6376 §3.4.4: the hash of an empty body.
        let empty = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";
        for letter in ["From: a\r\n\r\n", "From: a\r\n\r\n\r\n \r\n", "From: a\r\n"] {
            assert_eq!(hash(letter.as_bytes(), 1), empty, "{letter:?}");
        }
        let one = hash(b"From: a\r\n\r\nhello  world\r\n", 3);
        assert_eq!(hash(b"To: b\r\nX: y\r\n\r\nhello world  \r\n\r\n", 7), one);
        assert_ne!(one, empty);
    }
}
