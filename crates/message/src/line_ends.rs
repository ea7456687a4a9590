//! Line ends between stored letters and the wire: LF alone becomes CRLF, chunk by chunk. Letters
//! that came over SMTP have CRLF already; those other programs put into a Maildir may not.

use memchr::memchr_iter;

/// Turns every LF that no CR precedes into CRLF, across chunks; nothing else changes.
#[derive(Clone, Copy, Debug, Default)]
pub struct ToCrlf {
    after_cr: bool,
}

impl ToCrlf {
    /// At the beginning of a letter.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends the next chunk to `out`.
    pub fn feed(&mut self, chunk: &[u8], out: &mut Vec<u8>) {
        out.reserve(chunk.len() + chunk.len() / 32);
        let mut copied = 0;
        for lf in memchr_iter(b'\n', chunk) {
            let after_cr = match lf.checked_sub(1) {
                Some(before) => chunk.get(before) == Some(&b'\r'),
                None => self.after_cr,
            };
            if !after_cr {
                out.extend_from_slice(chunk.get(copied..lf).unwrap_or_default());
                out.push(b'\r');
                copied = lf;
            }
        }
        out.extend_from_slice(chunk.get(copied..).unwrap_or_default());
        if let Some(last) = chunk.last() {
            self.after_cr = *last == b'\r';
        }
    }
}

/// The letter with CRLF line ends.
pub fn to_crlf(letter: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    ToCrlf::new().feed(letter, &mut out);
    out
}

/// Whether a line end without CR occurs.
pub fn has_bare_lf(letter: &[u8]) -> bool {
    memchr_iter(b'\n', letter)
        .any(|lf| lf.checked_sub(1).is_none_or(|before| letter.get(before) != Some(&b'\r')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn adds_what_is_missing_only() {
        assert_eq!(to_crlf(b"a\nb\r\nc\r\r\n\n\rd"), b"a\r\nb\r\nc\r\r\n\r\n\rd");
        assert!(has_bare_lf(b"\n") && has_bare_lf(b"a\r\nb\n") && !has_bare_lf(b"a\r\nb\r"));
    }

    proptest! {
        #[test]
        fn any_chunking_gives_the_same(text in "[ab\r\n]{0,40}", cut in 0_usize..41) {
            let text = text.as_bytes();
            let (a, b) = text.split_at(cut.min(text.len()));
            let (mut out, mut converter) = (Vec::new(), ToCrlf::new());
            converter.feed(a, &mut out);
            converter.feed(b, &mut out);
            prop_assert_eq!(&out, &to_crlf(text));
            prop_assert!(!has_bare_lf(&out));
            prop_assert_eq!(to_crlf(&out), out);
        }
    }
}
