//! The body on the wire. In: the end of the data, the dot of transparency (RFC 5321 §4.5.2) and
//! line discipline; out: the dot again. Works on any chunking, copies nothing on the way in.
//!
//! Only CRLF ends a line and only CRLF.CRLF ends the data (RFC 5321 §2.3.8): whoever takes a bare
//! LF for a line's end where another server does not can be made to see two letters in one
//! ("SMTP smuggling"). So a body with a bare CR or LF is refused as a whole.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use memchr::memchr2;

/// What makes a body unacceptable, whatever else it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Violation {
    /// An LF without CR before it.
    BareLf,
    /// A CR without LF after it.
    BareCr,
    /// A line over the limit.
    LongLine,
}

/// What is counted of a body as it passes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tally {
    /// Octets without the dots of transparency.
    pub(crate) octets: u64,
    /// Some octet is over 127.
    pub(crate) eight_bit: bool,
    /// The first violation.
    pub(crate) violation: Option<Violation>,
    /// Octets of the line that has begun.
    line: usize,
}

impl Tally {
    fn count(&mut self, piece: &[u8]) {
        self.octets += piece.len() as u64;
        self.eight_bit |= !piece.is_ascii();
    }

    fn extend_line(&mut self, octets: usize, limit: usize) {
        self.line += octets;
        if self.line > limit {
            self.violate(Violation::LongLine);
        }
    }

    fn violate(&mut self, violation: Violation) {
        self.violation.get_or_insert(violation);
    }
}

/// How far the data have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DataProgress {
    /// All input was used.
    More,
    /// CRLF.CRLF: what remains in the buffer are commands.
    End,
    /// After a violation: something that a careless server would take for the end. What follows
    /// cannot be trusted to be body or commands.
    DoubtfulEnd,
}

/// Takes the data of DATA apart.
#[derive(Debug, Clone)]
pub(crate) struct DataReader {
    at: At,
    line_limit: usize,
    /// What was counted so far.
    pub(crate) tally: Tally,
}

/// Where in a line the reader stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Behind a CRLF, or at the beginning.
    LineStart,
    /// Within a line.
    Line,
    /// Behind a CR within a line.
    Cr,
    /// Behind a dot that began a line and has been dropped.
    Dot,
    /// Behind such a dot and a CR.
    DotCr,
    /// Behind a bare CR or LF.
    LooseStart,
    /// Behind a dot that followed a bare CR or LF.
    LooseDot,
}

impl DataReader {
    pub(crate) fn new(line_limit: usize) -> Self {
        DataReader { at: At::LineStart, line_limit, tally: Tally::default() }
    }

    /// Uses the input up to the end of the data, and gives each piece of the body to `sink`. After
    /// a violation nothing more is given.
    pub(crate) fn read(
        &mut self,
        input: &mut BytesMut,
        mut sink: impl FnMut(Bytes),
    ) -> DataProgress {
        // The piece of the body that has been looked at is input[..position]; octets that are not
        // body are dropped at once, so that a piece is always what stands at the front.
        let mut position = 0;
        let progress = loop {
            let Some(rest) = input.get(position..).filter(|rest| !rest.is_empty()) else {
                break DataProgress::More;
            };
            match self.step(rest) {
                Step::Keep(octets) => position += octets,
                Step::Drop => {
                    self.give(input, position, &mut sink);
                    input.advance(1);
                    position = 0;
                }
                Step::Finish(progress) => {
                    self.give(input, position, &mut sink);
                    input.advance(1);
                    return progress;
                }
            }
        };
        self.give(input, position, &mut sink);
        progress
    }

    fn give(&mut self, input: &mut BytesMut, octets: usize, sink: &mut impl FnMut(Bytes)) {
        if octets == 0 {
            return;
        }
        let piece = input.split_to(octets).freeze();
        self.tally.count(&piece);
        if self.tally.violation.is_none() {
            sink(piece);
        }
    }

    /// Looks at the octets from here on; `rest` is not empty.
    fn step(&mut self, rest: &[u8]) -> Step {
        let first = rest.first().copied().unwrap_or_default();
        match self.at {
            At::LineStart | At::LooseStart if first == b'.' => {
                self.at = if self.at == At::LineStart { At::Dot } else { At::LooseDot };
                Step::Drop
            }
            At::LineStart | At::LooseStart | At::Line => {
                self.at = At::Line;
                self.run(rest)
            }
            At::Cr if first == b'\n' => {
                self.tally.extend_line(1, self.line_limit);
                self.tally.line = 0;
                self.at = At::LineStart;
                Step::Keep(1)
            }
            At::Cr => {
                self.tally.violate(Violation::BareCr);
                self.at = At::LooseStart;
                Step::Keep(0)
            }
            At::Dot if first == b'\r' => {
                self.at = At::DotCr;
                Step::Drop
            }
            At::Dot if first == b'\n' => {
                self.tally.violate(Violation::BareLf);
                Step::Finish(DataProgress::DoubtfulEnd)
            }
            At::Dot => {
                self.at = At::Line;
                Step::Keep(0)
            }
            At::DotCr if first == b'\n' => Step::Finish(DataProgress::End),
            At::DotCr => {
                self.tally.violate(Violation::BareCr);
                Step::Finish(DataProgress::DoubtfulEnd)
            }
            At::LooseDot if matches!(first, b'\r' | b'\n') => {
                Step::Finish(DataProgress::DoubtfulEnd)
            }
            At::LooseDot => {
                self.at = At::Line;
                Step::Keep(0)
            }
        }
    }

    /// Within a line: up to the next CR or LF.
    fn run(&mut self, rest: &[u8]) -> Step {
        let Some(found) = memchr2(b'\r', b'\n', rest) else {
            self.tally.extend_line(rest.len(), self.line_limit);
            return Step::Keep(rest.len());
        };
        self.tally.extend_line(found + 1, self.line_limit);
        if rest.get(found) == Some(&b'\r') {
            self.at = At::Cr;
        } else {
            self.tally.violate(Violation::BareLf);
            self.tally.line = 0;
            self.at = At::LooseStart;
        }
        Step::Keep(found + 1)
    }
}

enum Step {
    /// So many octets belong to the body.
    Keep(usize),
    /// This octet does not.
    Drop,
    /// Nor does this one, the last.
    Finish(DataProgress),
}

/// Watches the line discipline of a body that comes by BDAT, where nothing marks its end.
#[derive(Debug, Clone)]
pub(crate) struct ChunkReader {
    after_cr: bool,
    line_limit: usize,
    /// What was counted so far.
    pub(crate) tally: Tally,
}

impl ChunkReader {
    pub(crate) fn new(line_limit: usize) -> Self {
        ChunkReader { after_cr: false, line_limit, tally: Tally::default() }
    }

    /// Looks at the next piece of the body.
    pub(crate) fn look(&mut self, piece: &[u8]) {
        self.tally.count(piece);
        let mut rest = piece;
        while self.tally.violation.is_none() && !rest.is_empty() {
            if std::mem::take(&mut self.after_cr) {
                if rest.first() != Some(&b'\n') {
                    self.tally.violate(Violation::BareCr);
                    return;
                }
                self.tally.extend_line(1, self.line_limit);
                self.tally.line = 0;
                rest = rest.get(1..).unwrap_or_default();
                continue;
            }
            let Some(found) = memchr2(b'\r', b'\n', rest) else {
                self.tally.extend_line(rest.len(), self.line_limit);
                return;
            };
            if rest.get(found) == Some(&b'\n') {
                self.tally.violate(Violation::BareLf);
                return;
            }
            self.tally.extend_line(found + 1, self.line_limit);
            self.after_cr = true;
            rest = rest.get(found + 1..).unwrap_or_default();
        }
    }

    /// The last chunk is through.
    pub(crate) fn finish(&mut self) {
        if self.after_cr {
            self.tally.violate(Violation::BareCr);
        }
    }
}

/// Puts a body on the wire for DATA: adds the dot of transparency, makes every line end a CRLF
/// (nothing that we send can be read as two letters), and ends the data.
#[derive(Debug, Clone)]
pub(crate) struct DataWriter {
    at_line_start: bool,
    after_cr: bool,
}

impl DataWriter {
    pub(crate) fn new() -> Self {
        DataWriter { at_line_start: true, after_cr: false }
    }

    /// Adds a piece of the body to `out`.
    pub(crate) fn write(&mut self, mut piece: &[u8], out: &mut BytesMut) {
        out.reserve(piece.len() + 16);
        while let Some(&first) = piece.first() {
            if std::mem::take(&mut self.after_cr) {
                out.put_slice(b"\r\n");
                self.at_line_start = true;
                if first == b'\n' {
                    piece = piece.get(1..).unwrap_or_default();
                }
                continue;
            }
            if std::mem::take(&mut self.at_line_start) && first == b'.' {
                out.put_u8(b'.');
            }
            let end = memchr2(b'\r', b'\n', piece).unwrap_or(piece.len());
            let (text, rest) = piece.split_at_checked(end).unwrap_or((piece, &[]));
            out.put_slice(text);
            match rest.split_first() {
                Some((b'\r', more)) => {
                    self.after_cr = true;
                    piece = more;
                }
                Some((_, more)) => {
                    out.put_slice(b"\r\n");
                    self.at_line_start = true;
                    piece = more;
                }
                None => piece = rest,
            }
        }
    }

    /// Ends the last line, if it is open, and the data.
    pub(crate) fn finish(self, out: &mut BytesMut) {
        if self.after_cr || !self.at_line_start {
            out.put_slice(b"\r\n");
        }
        out.put_slice(b".\r\n");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::TEXT_LINE;

    /// Reads in pieces of the given sizes; gives the body, the progress and what remained.
    fn read(wire: &[u8], sizes: &[usize]) -> (Vec<u8>, DataProgress, Vec<u8>, DataReader) {
        let mut reader = DataReader::new(TEXT_LINE);
        let (mut body, mut input) = (Vec::new(), BytesMut::new());
        let (mut rest, mut sizes) = (wire, sizes.iter().cycle());
        loop {
            let size = (*sizes.next().unwrap()).clamp(1, rest.len().max(1)).min(rest.len());
            input.extend_from_slice(&rest[..size]);
            rest = &rest[size..];
            let progress = reader.read(&mut input, |piece| body.extend_from_slice(&piece));
            if progress != DataProgress::More || rest.is_empty() {
                let mut left = input.to_vec();
                left.extend_from_slice(rest);
                return (body, progress, left, reader);
            }
        }
    }

    #[test]
    fn dots_and_the_end() {
        let (body, progress, left, _) = read(b"a\r\n..b\r\n.c\r\n...\r\n.\r\nQUIT\r\n", &[100]);
        assert_eq!(body, b"a\r\n.b\r\nc\r\n..\r\n");
        assert_eq!((progress, left.as_slice()), (DataProgress::End, &b"QUIT\r\n"[..]));
        let (body, progress, _, _) = read(b".\r\n", &[1]);
        assert_eq!((body.as_slice(), progress), (&b""[..], DataProgress::End));
    }

    #[test]
    fn every_published_way_of_smuggling_is_seen() {
        for (wire, violation) in [
            (&b"a\n.\r\nMAIL"[..], Violation::BareLf),
            (b"a\n.\nMAIL", Violation::BareLf),
            (b"a\r\n.\nMAIL", Violation::BareLf),
            (b"a\r.\rMAIL", Violation::BareCr),
            (b"a\r\n.\rMAIL", Violation::BareCr),
            (b"a\r.\r\nMAIL", Violation::BareCr),
            (b"a\n.\rMAIL", Violation::BareLf),
            (b"a\r\r\n.\r\nMAIL", Violation::BareCr),
        ] {
            let (_, progress, _, reader) = read(wire, &[3]);
            assert_ne!(progress, DataProgress::More, "{wire:?}");
            assert_eq!(reader.tally.violation, Some(violation), "{wire:?}");
        }
        let (_, progress, _, reader) = read(b"a\r\n.\0\r\nb\nc\r\n.\r\n", &[2]);
        assert_eq!(progress, DataProgress::End);
        assert_eq!(reader.tally.violation, Some(Violation::BareLf));
    }

    #[test]
    fn the_longest_line_is_a_thousand_octets_without_the_dot() {
        for (length, violation) in [(998, None), (999, Some(Violation::LongLine))] {
            let wire = [b".", vec![b'.'; length].as_slice(), b"\r\n.\r\n"].concat();
            let (_, _, _, reader) = read(&wire, &[7, 100]);
            assert_eq!(reader.tally.violation, violation, "{length}");
            let mut chunks = ChunkReader::new(TEXT_LINE);
            chunks.look(&vec![b'x'; length]);
            chunks.look(b"\r");
            chunks.look(b"\nrest");
            assert_eq!(chunks.tally.violation, violation, "{length}");
        }
    }

    #[test]
    fn chunks_are_watched_too() {
        for (pieces, violation) in [
            (&["a\r", "\nb"][..], None),
            (&["a\r", "b"][..], Some(Violation::BareCr)),
            (&["a\r"][..], Some(Violation::BareCr)),
            (&["a", "\n"][..], Some(Violation::BareLf)),
        ] {
            let mut reader = ChunkReader::new(TEXT_LINE);
            pieces.iter().for_each(|piece| reader.look(piece.as_bytes()));
            reader.finish();
            assert_eq!(reader.tally.violation, violation, "{pieces:?}");
        }
    }

    fn octets() -> impl Strategy<Value = Vec<u8>> {
        let octet = prop::sample::select(b"\r\n..a\xff".to_vec());
        proptest::collection::vec(octet, 0..40)
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(body in octets(), size in 1usize..9, cut in 1usize..9) {
            let mut out = BytesMut::new();
            let mut writer = DataWriter::new();
            body.chunks(cut).for_each(|piece| writer.write(piece, &mut out));
            writer.finish(&mut out);
            out.extend_from_slice(b"NOOP\r\n");
            let (read_back, progress, left, reader) = read(&out, &[size]);
            prop_assert_eq!(progress, DataProgress::End);
            prop_assert_eq!(left, b"NOOP\r\n");
            prop_assert_eq!(reader.tally.violation, None);
            let tidy = String::from_utf8_lossy(&body).replace("\r\n", "\n").replace('\r', "\n");
            let mut tidy = tidy.replace('\n', "\r\n");
            if !tidy.is_empty() && !tidy.ends_with("\r\n") {
                tidy.push_str("\r\n");
            }
            prop_assert_eq!(String::from_utf8_lossy(&read_back), tidy);
        }

        #[test]
        fn any_chunking_reads_the_same(
            wire in octets(),
            sizes in proptest::collection::vec(1usize..7, 1..5),
        ) {
            let (body, progress, left, whole) = read(&wire, &[1000]);
            let (body2, progress2, left2, cut) = read(&wire, &sizes);
            prop_assert_eq!((progress, left), (progress2, left2));
            prop_assert_eq!(whole.tally.octets, cut.tally.octets);
            prop_assert_eq!(whole.tally.violation, cut.tally.violation);
            if whole.tally.violation.is_none() {
                prop_assert_eq!(body, body2);
            }
        }
    }
}
