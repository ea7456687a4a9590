//! Items of FETCH for which a part is decoded: BINARY (RFC 3516, RFC 9051 §6.4.5) and PREVIEW (RFC
//! 8970). Called by `fetch`.

use std::num::NonZeroU32;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use mailbox::{Error, Letter, Mailbox};
use message::scan::structure::{Content as Inside, Span};
use message::{preview, transfer};
use protocol::imap::fetch::{Content as Body, FetchData, Partial};
use protocol::imap::{Code, StatusText};

use super::failure::Failure;
use super::fetch::{Piece, Sources, cut};
use super::limits;
use super::session::Session;

/// What BINARY answers with.
enum Decoded {
    /// There is no such part.
    Absent,
    /// The octets as they stand in the letter.
    Range(Span),
    /// Without the transfer encoding.
    Octets(Bytes),
}

impl Session {
    /// `BINARY[part]<partial>`
    pub(super) async fn binary(
        &mut self,
        part: &[NonZeroU32],
        partial: Option<Partial>,
        of: (&Mailbox, &Letter),
        sources: &mut Sources,
    ) -> Result<Piece, Failure> {
        let data = |content| FetchData::Binary {
            part: part.to_vec(),
            offset: partial.map(|partial| partial.offset),
            content,
        };
        Ok(match self.decoded(part, of, sources).await? {
            Decoded::Absent => Piece::Whole(data(Body::Nil)),
            Decoded::Range(span) => {
                let span = cut(span, partial);
                Piece::Range(data(Body::Streamed(span.len())), span)
            }
            Decoded::Octets(octets) => {
                let span = cut(Span::new(0, octets.len() as u64), partial);
                let chosen = octets.slice_ref(span.of(&octets));
                Piece::Octets(data(Body::Streamed(chosen.len() as u64)), chosen)
            }
        })
    }

    /// `BINARY.SIZE[part]`; 0 when there is no such part, since NIL is no size.
    pub(super) async fn binary_size(
        &mut self,
        part: &[NonZeroU32],
        of: (&Mailbox, &Letter),
        sources: &mut Sources,
    ) -> Result<u64, Failure> {
        Ok(match self.decoded(part, of, sources).await? {
            Decoded::Absent => 0,
            Decoded::Range(span) => span.len(),
            Decoded::Octets(octets) => octets.len() as u64,
        })
    }

    async fn decoded(
        &mut self,
        part: &[NonZeroU32],
        (mailbox, letter): (&Mailbox, &Letter),
        sources: &mut Sources,
    ) -> Result<Decoded, Failure> {
        let content = sources.content(mailbox, letter)?;
        if part.is_empty() {
            // The letter as a whole has no encoding of its own: its parts have.
            return Ok(Decoded::Range(Span::new(0, content.size())));
        }
        let structure = self.structure(mailbox, letter, sources).await?;
        let path: Vec<u32> = part.iter().map(|number| number.get()).collect();
        let Some(found) = structure.part(&path) else { return Ok(Decoded::Absent) };
        let encoding = found.encoding.as_str();
        let encoded = ["base64", "quoted-printable"];
        let encoded = encoded.iter().any(|known| encoding.eq_ignore_ascii_case(known));
        if !transfer::is_known(encoding) {
            let text = "a part has a transfer encoding that nobody knows";
            return Err(Failure::No(StatusText::with(Code::UnknownCte, text)));
        }
        // RFC 2045 §6.4: what holds parts is never encoded as a whole.
        if !encoded || !matches!(found.content, Inside::Leaf) {
            return Ok(Decoded::Range(found.body));
        }
        if found.body.len() > limits::DECODED {
            let text = "the part is too large to be decoded; fetch it with BODY";
            return Err(Failure::No(StatusText::with(Code::TooBig, text)));
        }
        let length = usize::try_from(found.body.len()).unwrap_or(usize::MAX);
        let octets = content.read(found.body.start, length)?;
        Ok(Decoded::Octets(Bytes::from(transfer::decode(encoding, &octets).into_owned())))
    }

    /// RFC 8970: the first words. They cost one read of a letter whose structure is known, so LAZY
    /// makes no difference.
    pub(super) async fn preview(
        &mut self,
        mailbox: &Mailbox,
        letter: &Letter,
        sources: &mut Sources,
    ) -> Result<Option<String>, Error> {
        let structure = self.structure(mailbox, letter, sources).await?;
        // RFC 8970 §3.2: an empty string where there are no words to show.
        let Some(span) = preview::source(&structure) else { return Ok(Some(String::new())) };
        let length = usize::try_from(span.len()).unwrap_or(usize::MAX);
        let octets = sources.content(mailbox, letter)?.read(span.start, length)?;
        // The HTML reader of a library is in there: what it cannot bear must not end the agent.
        let text = catch_unwind(AssertUnwindSafe(|| preview::text(&structure, &octets)));
        Ok(text.unwrap_or_default())
    }
}
