//! The MIME fields that BODYSTRUCTURE takes apart, read tolerantly from unfolded values
//! (RFC 2045 §5.1, RFC 2183 §2): quotes, escapes and comments removed, nothing decoded.

use super::continuation;
use super::structure::{Disposition, MediaType, Parameter, RawText};
use crate::limits::{MAX_BOUNDARY, MAX_PARAMETERS};

/// Content-Type; `None` when there is no `type/subtype` in it.
pub(super) fn media_type(value: &[u8]) -> Option<MediaType> {
    let mut pieces = pieces(value).into_iter();
    let essence = pieces.next()?;
    let slash = essence.iter().position(|octet| *octet == b'/')?;
    let kind = essence.get(..slash)?.trim_ascii();
    let kind = token(kind).filter(|whole| whole.len() == kind.len())?;
    let subtype = token(essence.get(slash + 1..)?)?;
    let mut parameters = parameters(pieces);
    let has_charset = parameters.iter().any(|p| p.name.eq_ignore_ascii_case("charset"));
    if kind.eq_ignore_ascii_case("text") && !has_charset {
        // RFC 2046 §4.1.2, and what clients expect to be told.
        let charset = Parameter { name: "charset".into(), value: b"us-ascii".to_vec() };
        parameters.push(charset);
    }
    Some(MediaType { kind, subtype, parameters })
}

/// Content-Disposition; `None` when it has no type.
pub(super) fn disposition(value: &[u8]) -> Option<Disposition> {
    let mut pieces = pieces(value).into_iter();
    let kind = token(&pieces.next()?)?;
    Some(Disposition { kind, parameters: parameters(pieces) })
}

/// Content-Transfer-Encoding: its token; empty when there is none.
pub(super) fn encoding(value: &[u8]) -> String {
    pieces(value).first().and_then(|piece| token(piece)).unwrap_or_default()
}

/// Content-Language: tags between commas (RFC 3282 §2).
pub(super) fn languages(value: &[u8]) -> Vec<RawText> {
    let without_comments = pieces(value).into_iter().next().unwrap_or_default();
    without_comments
        .split(|octet| *octet == b',')
        .map(|tag| tag.trim_ascii().to_vec())
        .filter(|tag| !tag.is_empty())
        .take(MAX_PARAMETERS)
        .collect()
}

/// The boundary of a multipart, in its RFC 2231 form too. `None` when it has none that can be used.
pub(super) fn boundary(media: &MediaType) -> Option<Vec<u8>> {
    let whole = match (media.parameter("boundary"), media.parameter("boundary*")) {
        (Some(value), _) => value.to_vec(),
        (None, Some(extended)) => continuation::plain(extended),
        (None, None) => return None,
    };
    // RFC 2046 §5.1.1: it does not end with a space; writers that let it do so mean it without.
    let whole = whole.trim_ascii_end();
    (!whole.is_empty() && whole.len() <= MAX_BOUNDARY).then(|| whole.to_vec())
}

fn parameters(pieces: impl Iterator<Item = Vec<u8>>) -> Vec<Parameter> {
    let found = pieces
        .filter_map(|piece| {
            let equals = piece.iter().position(|octet| *octet == b'=')?;
            let name = token(piece.get(..equals)?)?;
            Some(Parameter { name, value: unquote(piece.get(equals + 1..)?.trim_ascii()) })
        })
        .take(MAX_PARAMETERS)
        .collect();
    continuation::joined(found)
}

/// The value between semicolons, comments removed, quoted strings left as they are.
fn pieces(value: &[u8]) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let mut piece = Vec::new();
    let (mut quoted, mut escaped, mut depth) = (false, false, 0_usize);
    for &octet in value {
        let literal = std::mem::take(&mut escaped);
        match octet {
            b'\\' if !literal && (quoted || depth > 0) => escaped = true,
            b'"' if !literal && depth == 0 => quoted = !quoted,
            // Only after white space: `name=a(1).txt` is seen, and means the whole.
            b'(' if !quoted && !literal && (depth > 0 || at_word_start(&piece)) => {
                depth += 1;
                continue;
            }
            b')' if !literal && depth > 0 => {
                depth -= 1;
                continue;
            }
            b';' if !quoted && depth == 0 => {
                found.push(std::mem::take(&mut piece));
                continue;
            }
            _ => {}
        }
        if depth == 0 {
            piece.push(octet);
        }
    }
    found.push(piece);
    found
}

fn at_word_start(piece: &[u8]) -> bool {
    piece.last().is_none_or(|octet| octet.is_ascii_whitespace())
}

/// RFC 5322 §3.2.4: the content of a quoted string; what is not quoted stays as it is.
fn unquote(value: &[u8]) -> Vec<u8> {
    let Some(inside) = value.strip_prefix(b"\"") else { return value.to_vec() };
    let mut content = Vec::with_capacity(inside.len());
    let mut octets = inside.iter().copied();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => break,
            b'\\' => content.extend(octets.next()),
            octet => content.push(octet),
        }
    }
    content
}

/// RFC 2045 §5.1: the token that the text consists of, up to white space.
fn token(text: &[u8]) -> Option<String> {
    let word = text.trim_ascii().split(u8::is_ascii_whitespace).next()?;
    let is_token = |octet: &u8| octet.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(octet);
    let length = word.iter().take_while(|octet| is_token(octet)).count();
    let word = word.get(..length).filter(|word| !word.is_empty())?;
    String::from_utf8(word.to_vec()).ok()
}
