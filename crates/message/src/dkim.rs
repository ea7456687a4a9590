//! What signing and verifying of DKIM have in common, as pure functions over bytes: the two
//! canonical forms of header fields and bodies, and the tag lists of signatures and key records.
//! No keys, no hashes, no DNS: `verdict` verifies with this, the transfer agent signs with it.

/// How much a letter may change on its way before a signature breaks (RFC 6376 §3.4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Canonicalization {
    /// Almost nothing.
    Simple,
    /// White space and the case of field names.
    Relaxed,
}

/// Appends the canonical form of one header field, given whole with its line end. The form ends
/// with CRLF (RFC 6376 §3.4.1 and §3.4.2).
pub fn header_field(mode: Canonicalization, field: &[u8], out: &mut Vec<u8>) {
    if mode == Canonicalization::Simple {
        out.extend_from_slice(field);
        return;
    }
    let colon = memchr::memchr(b':', field).unwrap_or(field.len());
    let (name, value) = field.split_at(colon);
    out.extend(name.trim_ascii_end().iter().map(u8::to_ascii_lowercase));
    out.push(b':');
    let mut space = false;
    let start = out.len();
    for octet in value.iter().skip(1) {
        match octet {
            b' ' | b'\t' | b'\r' | b'\n' => space = true,
            octet => {
                if space && out.len() > start {
                    out.push(b' ');
                }
                space = false;
                out.push(*octet);
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// The canonical form of a body that comes in pieces (RFC 6376 §3.4.3 and §3.4.4): any cutting
/// into pieces gives the same form.
#[derive(Clone, Debug)]
pub struct BodyForm {
    mode: Canonicalization,
    /// Line ends that are not given out yet: at the end of a body they do not count.
    line_ends: usize,
    /// White space in the line that is not given out yet.
    space: bool,
    /// The last octet was a CR.
    cr: bool,
    /// Something other than line ends was given out.
    begun: bool,
}

impl BodyForm {
    /// For a body that begins now.
    pub fn new(mode: Canonicalization) -> Self {
        BodyForm { mode, line_ends: 0, space: false, cr: false, begun: false }
    }

    /// The next piece of the body; its form goes to `sink`.
    pub fn feed(&mut self, mut piece: &[u8], sink: &mut dyn FnMut(&[u8])) {
        while let Some((&octet, rest)) = piece.split_first() {
            match octet {
                b'\n' if self.cr => {
                    self.cr = false;
                    self.space = false;
                    self.line_ends += 1;
                    piece = rest;
                }
                b'\r' => {
                    if self.cr {
                        self.content(b"\r", sink);
                    }
                    self.cr = true;
                    piece = rest;
                }
                b' ' | b'\t' if self.mode == Canonicalization::Relaxed => {
                    self.lone_cr(sink);
                    self.space = true;
                    piece = rest;
                }
                _ => {
                    self.lone_cr(sink);
                    let run = self.run(piece).max(1);
                    let (run, rest) = piece.split_at_checked(run).unwrap_or((piece, b""));
                    self.content(run, sink);
                    piece = rest;
                }
            }
        }
    }

    /// The body is complete.
    pub fn finish(mut self, sink: &mut dyn FnMut(&[u8])) {
        self.lone_cr(sink);
        // §3.4.3: an empty body is one line end in the simple form; §3.4.4: nothing in the other.
        if self.begun || self.mode == Canonicalization::Simple {
            sink(b"\r\n");
        }
    }

    /// How many octets from the start of `piece` go out as they are.
    fn run(&self, piece: &[u8]) -> usize {
        let end = match self.mode {
            Canonicalization::Simple => memchr::memchr(b'\r', piece),
            Canonicalization::Relaxed => memchr::memchr3(b'\r', b' ', b'\t', piece),
        };
        end.unwrap_or(piece.len())
    }

    fn lone_cr(&mut self, sink: &mut dyn FnMut(&[u8])) {
        if std::mem::take(&mut self.cr) {
            self.content(b"\r", sink);
        }
    }

    fn content(&mut self, octets: &[u8], sink: &mut dyn FnMut(&[u8])) {
        for _ in 0..std::mem::take(&mut self.line_ends) {
            sink(b"\r\n");
        }
        if std::mem::take(&mut self.space) {
            sink(b" ");
        }
        self.begun = true;
        sink(octets);
    }
}

/// A tag list (RFC 6376 §3.2), in its order, white space around names and values removed.
///
/// # Errors
/// What is wrong with it: a tag without `=`, a name that is none, a tag that comes twice.
pub fn tags(text: &[u8]) -> Result<Vec<(&str, &str)>, &'static str> {
    let text = std::str::from_utf8(text).map_err(|_| "not UTF-8")?;
    let mut list: Vec<(&str, &str)> = Vec::new();
    for part in text.split(';') {
        let part = part.trim_matches(is_space);
        if part.is_empty() {
            continue;
        }
        let (name, value) = part.split_once('=').ok_or("a tag without =")?;
        let name = name.trim_matches(is_space);
        let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
        if !is_name {
            return Err("a tag whose name is none");
        }
        // §3.2: with a tag twice, the whole list is invalid.
        if list.iter().any(|(known, _)| *known == name) {
            return Err("a tag comes twice");
        }
        list.push((name, value.trim_matches(is_space)));
    }
    Ok(list)
}

/// The value of a tag.
pub fn tag<'a>(list: &[(&str, &'a str)], name: &str) -> Option<&'a str> {
    list.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// A value without any white space: base64 may be folded anywhere.
pub fn without_space(value: &str) -> String {
    value.chars().filter(|c| !is_space(*c)).collect()
}

/// A DKIM-Signature field with the value of its `b=` removed, as it was when it was signed (RFC
/// 6376 §3.7).
pub fn without_signature(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let colon = memchr::memchr(b':', field).map_or(0, |colon| colon + 1);
    let (name, value) = field.split_at_checked(colon).unwrap_or((b"", field));
    out.extend_from_slice(name);
    for (index, part) in value.split(|octet| *octet == b';').enumerate() {
        if index > 0 {
            out.push(b';');
        }
        let equals = memchr::memchr(b'=', part).map_or(part.len(), |equals| equals + 1);
        let (tag, rest) = part.split_at_checked(equals).unwrap_or((part, b""));
        out.extend_from_slice(tag);
        let is_b = tag.strip_suffix(b"=").is_some_and(|name| name.trim_ascii() == b"b");
        if !is_b {
            out.extend_from_slice(rest);
        } else if rest.ends_with(b"\r\n") {
            // The line end of the field is not part of the value.
            out.extend_from_slice(b"\r\n");
        }
    }
    out
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r' | '\n')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn body(mode: Canonicalization, pieces: &[&[u8]]) -> String {
        let mut out = Vec::new();
        let mut form = BodyForm::new(mode);
        for piece in pieces {
            form.feed(piece, &mut |octets| out.extend_from_slice(octets));
        }
        form.finish(&mut |octets| out.extend_from_slice(octets));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_6376() {
        // RFC 6376 §3.4.5.
        let letter = b" C \r\nD \t E\r\n\r\n\r\n";
        assert_eq!(body(Canonicalization::Relaxed, &[letter]), " C\r\nD E\r\n");
        assert_eq!(body(Canonicalization::Simple, &[letter]), " C \r\nD \t E\r\n");
        let mut fields = Vec::new();
        header_field(Canonicalization::Relaxed, b"A: X\r\n", &mut fields);
        header_field(Canonicalization::Relaxed, b"B : Y\t\r\n\tZ  \r\n", &mut fields);
        assert_eq!(fields, b"a:X\r\nb:Y Z\r\n");
    }

    #[test]
    fn lines_of_white_space_at_the_end_do_not_count_when_relaxed() {
        let relaxed = Canonicalization::Relaxed;
        assert_eq!(body(relaxed, &[b"text\r\n   \r\n\t\r\n"]), "text\r\n");
        assert_eq!(body(relaxed, &[b"text\r\n \r\nmore"]), "text\r\n\r\nmore\r\n");
        assert_eq!(body(relaxed, &[b"  \r\n \r\n"]), "");
        assert_eq!(body(relaxed, &[]), "");
        assert_eq!(body(Canonicalization::Simple, &[]), "\r\n");
        assert_eq!(body(Canonicalization::Simple, &[b"\r\n\r\n"]), "\r\n");
        assert_eq!(body(Canonicalization::Simple, &[b"a\r\n  \r\n\r\n"]), "a\r\n  \r\n");
    }

    #[test]
    fn a_tag_list_is_read() {
        let list = tags(b" v=1; a = rsa-sha256 ;b=ab\r\n cd; h=From : To;").unwrap();
        assert_eq!(tag(&list, "a"), Some("rsa-sha256"));
        assert_eq!(without_space(tag(&list, "b").unwrap()), "abcd");
        assert!(tags(b"v=1; v=1").is_err());
        assert!(tags(b"v").is_err() && tags(b"-=1").is_err());
    }

    #[test]
    fn the_signature_is_taken_out_of_its_field() {
        let field = b"DKIM-Signature: v=1; bh=xyz=; b =abc=\r\n def; s=b\r\n";
        let without = without_signature(field);
        assert_eq!(without, b"DKIM-Signature: v=1; bh=xyz=; b =; s=b\r\n");
        let last = without_signature(b"DKIM-Signature: a=b;\r\n\tb=abc\r\n\tdef\r\n");
        assert_eq!(last, b"DKIM-Signature: a=b;\r\n\tb=\r\n");
    }

    proptest! {
        #[test]
        fn any_cutting_gives_the_same_form(
            text in "[a \t\r\n]{0,60}",
            cuts in prop::collection::vec(0usize..60, 0..6),
        ) {
            for mode in [Canonicalization::Simple, Canonicalization::Relaxed] {
                let whole = body(mode, &[text.as_bytes()]);
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (text.len() + 1)).collect();
                cuts.sort_unstable();
                let mut pieces = Vec::new();
                let mut at = 0;
                for cut in cuts {
                    pieces.push(&text.as_bytes()[at..cut]);
                    at = cut;
                }
                pieces.push(&text.as_bytes()[at..]);
                prop_assert_eq!(body(mode, &pieces), whole.clone());
                // A form is its own form.
                prop_assert_eq!(body(mode, &[whole.as_bytes()]), whole);
            }
        }
    }
}
