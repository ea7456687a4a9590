//! The header of a letter on its way through: gathered up to its empty line within a bound,
//! completed (RFC 6409 §8), led by our Received line. The body behind it is never held.

use crate::limits::HEADER;
use message::{
    complete::{Completed, Completion, complete},
    date::DateTime,
    received::{Guard, Protocol, Received},
};
use protocol::{machine::TlsFacts, time::Timestamp};
use std::net::IpAddr;

/// Gathers the header.
#[derive(Debug, Default)]
pub(crate) struct Gathering {
    block: Vec<u8>,
}

/// What a piece of the letter brought.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gathered {
    /// More is needed.
    Partly,
    /// The header is whole; so many octets of the piece are behind it.
    Whole {
        /// Octets of the piece that belong to the body.
        behind: usize,
    },
    /// It is longer than [`HEADER`].
    TooLong,
}

impl Gathering {
    /// Takes a piece. The server machine has seen to it that lines end with CRLF.
    pub(crate) fn take(&mut self, piece: &[u8]) -> Gathered {
        let before = self.block.len();
        let most = HEADER.saturating_sub(before).min(piece.len());
        self.block.extend_from_slice(piece.get(..most).unwrap_or_default());
        // The empty line may have begun in the piece before.
        let from = before.saturating_sub(END.len() - 1);
        let end = if self.block.starts_with(b"\r\n") {
            Some(b"\r\n".len())
        } else {
            let fresh = self.block.get(from..).unwrap_or_default();
            let found = fresh.windows(END.len()).position(|window| window == END);
            found.map(|at| from + at + END.len())
        };
        match end {
            Some(end) => {
                self.block.truncate(end);
                Gathered::Whole { behind: piece.len() - (end - before) }
            }
            None if most < piece.len() || self.block.len() >= HEADER => Gathered::TooLong,
            None => Gathered::Partly,
        }
    }

    /// The header so far.
    pub(crate) fn block(&self) -> &[u8] {
        &self.block
    }
}

/// Who brought a letter, and how.
#[derive(Debug)]
pub(crate) struct Origin<'a> {
    pub(crate) hello: Option<&'a str>,
    pub(crate) peer: Option<IpAddr>,
    pub(crate) tls: Option<&'a TlsFacts>,
    /// The client said HELO.
    pub(crate) is_plain: bool,
}

/// What our own line and new fields are made from.
#[derive(Debug)]
pub(crate) struct Stamp<'a> {
    pub(crate) hostname: &'a str,
    pub(crate) journey: &'a str,
    /// The only recipient, if it is one.
    pub(crate) recipient: Option<&'a str>,
    /// The sender's address, for a letter without From.
    pub(crate) sender: &'a str,
    /// MAIL said SMTPUTF8.
    pub(crate) smtputf8: bool,
    pub(crate) at: Timestamp,
    pub(crate) random: u64,
}

/// The header as it goes on, and what was done to it.
pub(crate) fn passed_on(block: &[u8], origin: &Origin<'_>, stamp: &Stamp<'_>) -> Completed {
    let domain = stamp.sender.rsplit_once('@').map_or(stamp.hostname, |(_, domain)| domain);
    let with =
        Completion { at: stamp.at, random: stamp.random, host: domain, sender: stamp.sender };
    let mut done = complete(block, &with);
    let tls = origin.tls.map(|facts| format!("{} {}", facts.version, facts.cipher));
    // RFC 3848: nobody gets here without AUTH.
    let guard = Guard { tls: tls.is_some(), authenticated: true, utf8: stamp.smtputf8 };
    let received = Received {
        helo: origin.hello,
        address: origin.peer,
        by: stamp.hostname,
        with: if origin.is_plain { Protocol::Smtp } else { Protocol::Esmtp(guard) },
        tls: tls.as_deref(),
        id: stamp.journey,
        recipient: stamp.recipient,
        at: DateTime::utc(stamp.at),
    };
    let mut header = received.to_field();
    header.append(&mut done.header);
    done.header = header;
    done
}

const END: &[u8] = b"\r\n\r\n";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_ends_where_it_ends_in_any_pieces() {
        let letter = b"From: a@b\r\nSubject: c\r\n\r\nbody\r\n\r\nmore";
        for cut in 0..letter.len() {
            let mut gathering = Gathering::default();
            let mut behind = 0;
            let (one, other) = letter.split_at(cut);
            let mut whole = false;
            for piece in [one, other] {
                if whole {
                    behind += piece.len();
                } else if let Gathered::Whole { behind: rest } = gathering.take(piece) {
                    whole = true;
                    behind = rest;
                }
            }
            assert_eq!(gathering.block(), b"From: a@b\r\nSubject: c\r\n\r\n", "cut at {cut}");
            assert_eq!(behind, b"body\r\n\r\nmore".len(), "cut at {cut}");
        }
    }

    #[test]
    fn a_letter_without_a_header_has_an_empty_one() {
        let mut gathering = Gathering::default();
        assert_eq!(gathering.take(b"\r\nbody"), Gathered::Whole { behind: 4 });
        let mut gathering = Gathering::default();
        assert_eq!(gathering.take(b"\r"), Gathered::Partly);
        assert_eq!(gathering.take(b"\nbody"), Gathered::Whole { behind: 4 });
    }

    #[test]
    fn an_endless_header_is_bounded() {
        let mut gathering = Gathering::default();
        let line = [b'x'; 1000];
        let mut outcome = Gathered::Partly;
        for _ in 0..HEADER / line.len() + 1 {
            outcome = gathering.take(&line);
        }
        assert_eq!(outcome, Gathered::TooLong);
        assert!(gathering.block().len() <= HEADER);
    }
}
