//! A letter with 8-bit text made fit for a hop that takes seven bits only (RFC 6152 §3): parts are
//! re-encoded, everything else stays as it is. Signatures over the old form do not hold any more.
//! Called by the MTA's couriers; it decides nothing.

use crate::header;
use crate::scan::scan;
use crate::scan::structure::{Content, Part, Span};
use crate::transfer;

/// Why a letter cannot be made fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// There are 8-bit octets in a header (RFC 6532): only SMTPUTF8 carries those.
    Header,
    /// A signed part (RFC 1847 §2.1) may not be touched.
    Signed,
    /// There are 8-bit octets where no part is, or in a part that is encoded already.
    Structure,
}

/// A stretch of the letter and what takes its place.
struct Edit {
    span: Span,
    text: Vec<u8>,
}

/// The letter in seven bits.
///
/// # Errors
/// Why that cannot be.
pub fn convert(letter: &[u8]) -> Result<Vec<u8>, Unfit> {
    let structure = scan(letter);
    let mut edits = Vec::new();
    part(letter, &structure.root, &mut edits)?;
    edits.sort_by_key(|edit| edit.span.start);
    let mut out = Vec::with_capacity(letter.len() + letter.len() / 2);
    let mut at = 0;
    for edit in edits {
        out.extend_from_slice(Span::new(at, edit.span.start).of(letter));
        out.extend_from_slice(&edit.text);
        at = edit.span.end;
    }
    out.extend_from_slice(Span::new(at, letter.len() as u64).of(letter));
    if out.is_ascii() { Ok(out) } else { Err(Unfit::Structure) }
}

fn part(letter: &[u8], one: &Part, edits: &mut Vec<Edit>) -> Result<(), Unfit> {
    let (block, body) = (one.header.of(letter), one.body.of(letter));
    if !block.is_ascii() {
        return Err(Unfit::Header);
    }
    let plain = ["7bit", "8bit", "binary"];
    let is_plain = plain.iter().any(|word| one.encoding.eq_ignore_ascii_case(word));
    if body.is_ascii() && !one.encoding.eq_ignore_ascii_case("binary") {
        // RFC 2045 §6.2: what says 8bit and is not may stay, but not around what is changed.
        return Ok(());
    }
    match &one.content {
        Content::Leaf => {
            if !is_plain {
                return Err(Unfit::Structure);
            }
            let is_text = one.media.kind.eq_ignore_ascii_case("text");
            let mut text = Vec::new();
            let word = if is_text {
                transfer::encode_quoted_printable(body, &mut text);
                "quoted-printable"
            } else {
                transfer::encode_base64(body, &mut text);
                "base64"
            };
            edits.push(Edit { span: one.header, text: relabelled(block, word) });
            edits.push(Edit { span: one.body, text });
            Ok(())
        }
        Content::Multipart(parts) => {
            if one.media.subtype.eq_ignore_ascii_case("signed") {
                return Err(Unfit::Signed);
            }
            edits.push(Edit { span: one.header, text: relabelled(block, "7bit") });
            parts.iter().try_for_each(|inner| part(letter, inner, edits))
        }
        Content::Message(nested) => {
            edits.push(Edit { span: one.header, text: relabelled(block, "7bit") });
            part(letter, &nested.part, edits)
        }
    }
}

/// The header block with another Content-Transfer-Encoding.
fn relabelled(block: &[u8], word: &str) -> Vec<u8> {
    const NAME: &str = "Content-Transfer-Encoding";
    let mut out = header::without(block, &[NAME]);
    let end = if out.ends_with(b"\r\n\r\n") || out == b"\r\n" { out.len() - 2 } else { out.len() };
    let blank = out.split_off(end);
    out.extend(header::field(NAME, word));
    out.extend_from_slice(&blank);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_becomes_quoted_printable_and_the_rest_stays() {
        let letter = "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\
                      Content-Transfer-Encoding: 8bit\r\n\r\nGrüße,\r\nund mehr\r\n";
        let text = String::from_utf8(convert(letter.as_bytes()).expect("fit")).expect("text");
        assert!(text.contains("Content-Transfer-Encoding: quoted-printable\r\n\r\n"), "{text}");
        assert!(text.contains("Gr=C3=BC=C3=9Fe,\r\nund mehr"), "{text}");
        assert!(!text.contains("8bit"));
    }

    #[test]
    fn parts_are_changed_each_by_itself() {
        let letter = "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\
                      Content-Transfer-Encoding: 8bit\r\n\r\n--b\r\n\r\nplain\r\n--b\r\n\
                      Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\
                      \r\n<p>ü</p>\r\n--b\r\nContent-Type: application/x; name=a\r\n\
                      Content-Transfer-Encoding: 8bit\r\n\r\nbin\u{e4}r\r\n--b--\r\n";
        let out = convert(letter.as_bytes()).expect("fit");
        let text = String::from_utf8(out.clone()).expect("text");
        assert!(text.contains("\r\n--b\r\n\r\nplain\r\n--b\r\n"), "{text}");
        assert!(text.contains("<p>=C3=BC</p>"), "{text}");
        assert!(text.contains("Content-Transfer-Encoding: base64"), "{text}");
        assert!(text.contains("Content-Transfer-Encoding: 7bit"), "{text}");
        let parts = |letter: &[u8]| match scan(letter).root.content {
            Content::Multipart(parts) => parts
                .iter()
                .map(|part| transfer::decode(&part.encoding, part.body.of(letter)).into_owned())
                .collect::<Vec<_>>(),
            _ => Vec::new(),
        };
        assert_eq!(parts(&out), parts(letter.as_bytes()), "the same content");
    }

    #[test]
    fn what_cannot_be_done_is_not_done() {
        assert_eq!(convert("Subject: Grüße\r\n\r\nü\r\n".as_bytes()), Err(Unfit::Header));
        let signed = "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\nü\r\n--b\r\n\r\n\
                      sig\r\n--b--\r\n";
        assert_eq!(convert(signed.as_bytes()), Err(Unfit::Signed));
        let encoded = "Content-Transfer-Encoding: base64\r\n\r\nü\r\n";
        assert_eq!(convert(encoded.as_bytes()), Err(Unfit::Structure));
        assert_eq!(convert(b"A: b\r\n\r\nplain\r\n").as_deref(), Ok(&b"A: b\r\n\r\nplain\r\n"[..]));
    }
}
