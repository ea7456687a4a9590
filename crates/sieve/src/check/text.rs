//! Strings of a script: encoded characters (RFC 5228 §2.4.2.4) and references to variables
//! (RFC 5229 §3) are found here, once.

use super::{Checked, Checker};
use crate::fault::Fault;
use crate::limits::{MATCH_VARIABLES, VARIABLE_NAME};
use crate::program::{Piece, Template};
use crate::syntax::Text;

impl Checker {
    pub(super) fn template(&self, text: &Text) -> Checked<Template> {
        let decoded;
        let mut string = &text.text;
        if self.has("encoded-character") {
            decoded = encoded_characters(&text.text).map_err(|what| Fault::new(text.at, what))?;
            string = &decoded;
        }
        if !self.has("variables") {
            let pieces = match string.is_empty() {
                true => Vec::new(),
                false => vec![Piece::Literal(string.clone())],
            };
            return Ok(Template { at: text.at, pieces });
        }
        let pieces = pieces(string).map_err(|what| Fault::new(text.at, what))?;
        Ok(Template { at: text.at, pieces })
    }

    pub(super) fn templates(&self, texts: &[Text]) -> Checked<Vec<Template>> {
        texts.iter().map(|text| self.template(text)).collect()
    }

    /// The name of a variable that is set: no number, and `global.` only where it may stand.
    pub(super) fn variable(&self, text: &Text) -> Checked<String> {
        let name = text.text.to_ascii_lowercase();
        let bare = match name.strip_prefix("global.") {
            Some(bare) if self.has("include") => bare,
            _ => &name,
        };
        if !is_identifier(bare) || bare.len() > VARIABLE_NAME {
            let what = format!("{:?} is no name of a variable", text.text);
            return Err(Fault::new(text.at, what));
        }
        Ok(name)
    }
}

/// RFC 5229 §3: letters, digits and underscores, no digit first.
pub(super) fn is_identifier(name: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(is_part) && name.starts_with(|c: char| !c.is_ascii_digit())
}

/// `${name}` and `${1}`; what is not quite such stays as it is (RFC 5229 §3).
fn pieces(text: &str) -> Result<Vec<Piece>, String> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, reference) = rest.split_at(start);
        let inner = reference.get(2..).unwrap_or_default();
        let end = inner.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '.'));
        let name = inner.get(..end.unwrap_or(inner.len())).unwrap_or_default();
        let piece = match inner.get(name.len()..) {
            Some(after) if after.starts_with('}') => piece(name)?,
            _ => None,
        };
        literal.push_str(before);
        match piece {
            Some(piece) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
                rest = inner.get(name.len() + 1..).unwrap_or_default();
            }
            None => {
                literal.push_str("${");
                rest = inner;
            }
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        pieces.push(Piece::Literal(literal));
    }
    Ok(pieces)
}

fn piece(name: &str) -> Result<Option<Piece>, String> {
    if !name.is_empty() && name.chars().all(|c| c.is_ascii_digit()) {
        // RFC 5229 §3.2: a number beyond what can be is a fault.
        let number = name.parse().ok().filter(|number| *number < MATCH_VARIABLES);
        let too_large = || format!("${{{name}}} is beyond ${{{}}}", MATCH_VARIABLES - 1);
        return number.map(|number| Some(Piece::Match(number))).ok_or_else(too_large);
    }
    let name = name.to_ascii_lowercase();
    match name.split_once('.') {
        None if is_identifier(&name) => Ok(Some(Piece::Variable(name))),
        Some(("global", bare)) if is_identifier(bare) => Ok(Some(Piece::Variable(name))),
        // RFC 5229 §3: a namespace nobody has defined is a fault.
        Some((space, bare)) if is_identifier(space) && is_identifier(bare) => {
            Err(format!("there are no variables in the namespace {space:?}"))
        }
        _ => Ok(None),
    }
}

/// `${hex: 40 41}` and `${unicode: 40 20AC}`; what does not fit the grammar stays as it is.
fn encoded_characters(text: &str) -> Result<String, String> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, from) = rest.split_at(start);
        out.extend_from_slice(before.as_bytes());
        match encoded(from)? {
            Some((octets, length)) => {
                out.extend_from_slice(&octets);
                rest = from.get(length..).unwrap_or_default();
            }
            None => {
                out.extend_from_slice(b"${");
                rest = from.get(2..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).map_err(|_| "the octets after ${hex: make no UTF-8".to_owned())
}

/// One encoded sequence at the beginning of `text`: its octets, and how long it is.
fn encoded(text: &str) -> Result<Option<(Vec<u8>, usize)>, String> {
    let inner = text.get(2..).unwrap_or_default();
    let Some(end) = inner.find('}') else { return Ok(None) };
    let Some((kind, list)) = inner.get(..end).unwrap_or_default().split_once(':') else {
        return Ok(None);
    };
    let words: Vec<&str> = list.split_ascii_whitespace().collect();
    let is_hex = |word: &&str| word.bytes().all(|octet| octet.is_ascii_hexdigit());
    if words.is_empty() || !words.iter().all(is_hex) {
        return Ok(None);
    }
    let mut octets = Vec::new();
    for word in words {
        match kind.to_ascii_lowercase().as_str() {
            "hex" if word.len() <= 2 => {
                octets.push(u8::from_str_radix(word, 16).unwrap_or_default());
            }
            "unicode" => {
                let number = u32::from_str_radix(word.trim_start_matches('0'), 16);
                let number = if word.bytes().all(|octet| octet == b'0') { Ok(0) } else { number };
                // RFC 5228 §2.4.2.4: outside of Unicode is an error, surrogates too.
                let character = number.ok().and_then(char::from_u32).filter(|c| *c != '\0');
                let character = character.ok_or_else(|| format!("U+{word} is no character"))?;
                octets.extend_from_slice(character.to_string().as_bytes());
            }
            _ => return Ok(None),
        }
    }
    if octets.contains(&0) {
        return Err("a string holds no NUL".to_owned());
    }
    Ok(Some((octets, end + 3)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encoded_characters_of_the_rfc() {
        let decoded = |text: &str| encoded_characters(text).unwrap();
        assert_eq!(decoded("$${hex:40}"), "$@");
        assert_eq!(decoded("${hex: 40 }"), "@");
        assert_eq!(decoded("${HEX: 40}"), "@");
        assert_eq!(decoded("${hex:40"), "${hex:40");
        assert_eq!(decoded("${hex:400}"), "${hex:400}");
        assert_eq!(decoded("${hex:4${hex:30}}"), "${hex:40}");
        assert_eq!(decoded("${unicode:40}"), "@");
        assert_eq!(decoded("${ unicode:40}"), "${ unicode:40}");
        assert_eq!(decoded("${UNICODE:40 20AC}"), "@€");
        assert!(encoded_characters("${unicode:d800}").is_err());
        assert!(encoded_characters("${hex:ff}").is_err());
    }

    #[test]
    fn references_of_the_rfc() {
        let literal = |text: &str| Piece::Literal(text.to_owned());
        let variable = |text: &str| Piece::Variable(text.to_owned());
        assert_eq!(pieces("&%${}!").unwrap(), [literal("&%${}!")]);
        assert_eq!(pieces("${doh!}").unwrap(), [literal("${doh!}")]);
        assert_eq!(pieces("${full}").unwrap(), [variable("full")]);
        assert_eq!(
            pieces("${President, ${Company} Inc.}").unwrap(),
            [literal("${President, "), variable("company"), literal(" Inc.}")]
        );
        assert_eq!(pieces("x${1}y").unwrap(), [literal("x"), Piece::Match(1), literal("y")]);
        assert!(pieces("${99}").is_err());
        assert!(pieces("${other.name}").is_err());
    }
}
