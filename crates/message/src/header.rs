//! A header block as bytes: find, walk, select and remove fields without touching the others.
//!
//! A header ends with the first empty line. Lines end with CRLF or, in letters that other programs
//! stored, with LF alone; a bare CR ends nothing. A line without a colon belongs to no field and
//! is passed over. Not a parser of what fields mean: that is [`crate::values`].

use std::ops::Range;

use memchr::memchr;

/// One field; ranges are offsets into the block it was found in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    name: Range<usize>,
    value: Range<usize>,
    whole: Range<usize>,
}

impl Field {
    /// The name as written, without the colon and the white space before it (RFC 5322 §4.5).
    pub fn name<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.name.clone()).unwrap_or_default()
    }

    /// What follows the colon, folds included, without the last line end.
    pub fn value<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.value.clone()).unwrap_or_default()
    }

    /// Name, value and line end.
    pub fn whole<'a>(&self, block: &'a [u8]) -> &'a [u8] {
        block.get(self.whole.clone()).unwrap_or_default()
    }

    /// Where the whole field lies in the block.
    pub fn range(&self) -> Range<usize> {
        self.whole.clone()
    }

    /// Where the value lies in the block.
    pub fn value_range(&self) -> Range<usize> {
        self.value.clone()
    }

    /// Whether this field has that name; case does not matter.
    pub fn is(&self, block: &[u8], name: &str) -> bool {
        self.name(block).eq_ignore_ascii_case(name.as_bytes())
    }
}

/// Which fields [`select`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selection {
    /// HEADER.FIELDS: those named.
    Only,
    /// HEADER.FIELDS.NOT: all but those named.
    Except,
}

/// The fields of a header block (or of a letter: the walk ends at the first empty line).
pub fn fields(block: &[u8]) -> Fields<'_> {
    Fields { block, at: 0 }
}

/// Iterator of [`fields`].
#[derive(Clone, Debug)]
pub struct Fields<'a> {
    block: &'a [u8],
    at: usize,
}

impl Iterator for Fields<'_> {
    type Item = Field;

    fn next(&mut self) -> Option<Field> {
        loop {
            let start = self.at;
            let line_end = end_of_line(self.block, start)?;
            let line = self.block.get(start..line_end)?;
            if is_blank(line) {
                return None;
            }
            self.at = line_end;
            let Some(colon) = memchr(b':', line).filter(|at| names_a_field(line, *at)) else {
                continue;
            };
            while let Some(next) = end_of_line(self.block, self.at) {
                match self.block.get(self.at) {
                    Some(b' ' | b'\t') => self.at = next,
                    _ => break,
                }
            }
            let name = line.get(..colon)?.trim_ascii_end().len();
            let whole = start..self.at;
            let value_end = start + without_line_end(self.block.get(whole.clone())?).len();
            let value = (start + colon + 1)..value_end.max(start + colon + 1);
            return Some(Field { name: start..start + name, value, whole });
        }
    }
}

/// The first field of that name.
pub fn find(block: &[u8], name: &str) -> Option<Field> {
    fields(block).find(|field| field.is(block, name))
}

/// The unfolded value of the first field of that name.
pub fn value(block: &[u8], name: &str) -> Option<Vec<u8>> {
    find(block, name).map(|field| unfold(field.value(block)))
}

/// How many fields have that name.
pub fn count(block: &[u8], name: &str) -> usize {
    fields(block).filter(|field| field.is(block, name)).count()
}

/// Octets of a letter's header: up to and with the empty line, or the whole letter when it has
/// none.
pub fn length(letter: &[u8]) -> usize {
    let mut at = 0;
    while let Some(next) = end_of_line(letter, at) {
        if letter.get(at..next).is_some_and(is_blank) {
            return next;
        }
        at = next;
    }
    letter.len()
}

/// The fields named, or all others, in the order of the block and unchanged, and the empty line if
/// the block has it (RFC 9051 §6.4.5.1, HEADER.FIELDS).
pub fn select(block: &[u8], names: &[&[u8]], selection: Selection) -> Vec<u8> {
    let mut kept = Vec::new();
    for field in fields(block) {
        let named = names.iter().any(|name| name.eq_ignore_ascii_case(field.name(block)));
        if named == (selection == Selection::Only) {
            kept.extend_from_slice(field.whole(block));
        }
    }
    let length = length(block);
    let last_line = block.get(..length).unwrap_or_default();
    kept.extend_from_slice(blank_line_of(last_line));
    kept
}

/// The block without the fields of these names. Everything else, stray lines too, is copied as it
/// is; what follows the empty line as well.
pub fn without(block: &[u8], names: &[&str]) -> Vec<u8> {
    let mut kept = Vec::with_capacity(block.len());
    let mut copied = 0;
    for field in fields(block) {
        if names.iter().any(|name| field.is(block, name)) {
            kept.extend_from_slice(block.get(copied..field.whole.start).unwrap_or_default());
            copied = field.whole.end;
        }
    }
    kept.extend_from_slice(block.get(copied..).unwrap_or_default());
    kept
}

/// A value on one line: line ends removed with the white space after them kept, outer white space
/// and NULs removed (RFC 5322 §2.2.3).
pub fn unfold(value: &[u8]) -> Vec<u8> {
    value.trim_ascii().iter().copied().filter(|octet| !matches!(octet, b'\r' | b'\n' | 0)).collect()
}

/// A field with its line end, folded at spaces so that lines stay within RFC 5322 §2.1.1 where the
/// value allows. Line ends and other controls in `value` become spaces: a value cannot bring in
/// another field.
pub fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + value.len() + 8);
    out.extend_from_slice(name.as_bytes());
    out.push(b':');
    let mut column = out.len();
    for (index, word) in value.split(|c: char| c.is_control() || c == ' ').enumerate() {
        if index > 0 && word.is_empty() {
            continue;
        }
        // A word on the first line stays there: an empty first line is not allowed (§4.2).
        if index > 0 && column + 1 + word.len() > crate::limits::WISHED_LINE {
            out.extend_from_slice(b"\r\n");
            column = 0;
        }
        out.push(b' ');
        out.extend_from_slice(word.as_bytes());
        column += 1 + word.len();
    }
    out.extend_from_slice(b"\r\n");
    out
}

/// The offset after the next LF, or the end of the block; `None` at its end.
fn end_of_line(block: &[u8], at: usize) -> Option<usize> {
    let rest = block.get(at..).filter(|rest| !rest.is_empty())?;
    Some(at + memchr(b'\n', rest).map_or(rest.len(), |lf| lf + 1))
}

/// A line that ends the header.
fn is_blank(line: &[u8]) -> bool {
    matches!(line, b"\r\n" | b"\n")
}

fn without_line_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Whether the line begins with a field name that ends at this colon: printable ASCII
/// (RFC 5322 §2.2), white space before the colon allowed by §4.5.8. mbox's `From ` line is none.
fn names_a_field(line: &[u8], colon: usize) -> bool {
    let name = line.get(..colon).unwrap_or_default().trim_ascii_end();
    !name.is_empty() && name.iter().all(|octet| octet.is_ascii_graphic())
}

/// The empty line that ends this block, with the line end the block uses.
fn blank_line_of(block: &[u8]) -> &[u8] {
    for blank in [&b"\r\n"[..], b"\n"] {
        let is_blank_line = |before: &[u8]| before.is_empty() || before.ends_with(b"\n");
        if block.strip_suffix(blank).is_some_and(is_blank_line) {
            return blank;
        }
    }
    b""
}

#[cfg(test)]
mod tests;
