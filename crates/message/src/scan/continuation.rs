//! RFC 2231 parameters in pieces: `name*0*=..; name*1=..` become `name*=..`. §6 there asks that
//! IMAP servers tell BODYSTRUCTURE so. Charsets and percent escapes stay: [`crate::values`]
//! decodes.

use super::structure::Parameter;

/// The parameters, pieces of one value joined at the place of the first of them. Pieces without a
/// beginning, or behind a gap, are left out.
pub(super) fn joined(parameters: Vec<Parameter>) -> Vec<Parameter> {
    let is_piece = |p: &Parameter| piece(&p.name).is_some();
    if !parameters.iter().any(is_piece) {
        return parameters;
    }
    let mut out: Vec<Parameter> = Vec::with_capacity(parameters.len());
    for parameter in &parameters {
        match piece(&parameter.name) {
            None => out.push(parameter.clone()),
            Some(first) if first.index == 0 => out.push(whole(first.name, &parameters)),
            Some(_) => {}
        }
    }
    out
}

/// `name*index` or, for an extended piece, `name*index*`.
struct Piece<'a> {
    name: &'a str,
    index: usize,
    extended: bool,
}

fn piece(name: &str) -> Option<Piece<'_>> {
    let (rest, extended) = match name.strip_suffix('*') {
        Some(rest) => (rest, true),
        None => (name, false),
    };
    let (name, index) = rest.rsplit_once('*')?;
    let digits = !index.is_empty() && index.bytes().all(|octet| octet.is_ascii_digit());
    let index = index.parse().ok().filter(|_| digits && !name.is_empty())?;
    Some(Piece { name, index, extended })
}

fn whole(name: &str, parameters: &[Parameter]) -> Parameter {
    let find = |index: usize| {
        parameters.iter().find_map(|parameter| {
            let found = piece(&parameter.name)?;
            let fits = found.index == index && found.name.eq_ignore_ascii_case(name);
            fits.then_some((found.extended, parameter.value.as_slice()))
        })
    };
    let pieces: Vec<(bool, &[u8])> = (0..parameters.len()).map_while(find).collect();
    let extended = pieces.iter().any(|(extended, _)| *extended);
    let mut value = Vec::new();
    if extended && pieces.first().is_some_and(|(extended, _)| !extended) {
        // RFC 2231 §4.1: only the first piece names the charset; here it does not.
        value.extend_from_slice(b"''");
    }
    for (is_extended, text) in pieces {
        if extended && !is_extended { escape(text, &mut value) } else { value.extend(text) }
    }
    Parameter { name: if extended { format!("{name}*") } else { name.to_owned() }, value }
}

/// A plain piece among extended ones: what is no attribute-char (RFC 2231 §7) in percent form.
fn escape(text: &[u8], out: &mut Vec<u8>) {
    for octet in text {
        if octet.is_ascii_alphanumeric() || b"!#$&+-.^_`{|}~".contains(octet) {
            out.push(*octet);
        } else {
            out.extend_from_slice(format!("%{octet:02X}").as_bytes());
        }
    }
}

/// The octets of an extended value, its charset taken off: for boundaries, which are ASCII.
pub(super) fn plain(extended: &[u8]) -> Vec<u8> {
    let mut fields = extended.splitn(3, |octet| *octet == b'\'');
    let text = match (fields.next(), fields.next(), fields.next()) {
        (Some(_), Some(_), Some(text)) => text,
        _ => extended,
    };
    percent_decoded(text)
}

/// Percent escapes removed; a stray `%` stays.
pub(crate) fn percent_decoded(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len());
    let mut rest = value;
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        let escaped = match (first, after) {
            (b'%', [high, low, tail @ ..]) => {
                let digit = |octet: &u8| char::from(*octet).to_digit(16);
                let value = digit(high).zip(digit(low)).map(|(high, low)| high * 16 + low);
                value.and_then(|v| u8::try_from(v).ok()).map(|octet| (octet, tail))
            }
            _ => None,
        };
        match escaped {
            Some((octet, tail)) => {
                out.push(octet);
                rest = tail;
            }
            None => out.push(*first),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(pieces: &[(&str, &str)]) -> Vec<(String, String)> {
        let parameters = pieces
            .iter()
            .map(|(name, value)| Parameter { name: (*name).into(), value: (*value).into() })
            .collect();
        joined(parameters)
            .into_iter()
            .map(|p| (p.name, String::from_utf8(p.value).unwrap()))
            .collect()
    }

    #[test]
    fn the_example_of_rfc_2231() {
        let pieces = [
            ("charset", "us-ascii"),
            ("title*1*", "%2A%2A%2Afun%2A%2A%2A%20"),
            ("title*0*", "us-ascii'en'This%20is%20even%20more%20"),
            ("title*2", "isn't it!"),
        ];
        let title = "us-ascii'en'This%20is%20even%20more%20%2A%2A%2Afun%2A%2A%2A%20isn%27t%20it!";
        assert_eq!(
            join(&pieces),
            [("charset".into(), "us-ascii".into()), ("title*".into(), title.into())]
        );
    }

    #[test]
    fn plain_pieces_gaps_and_orphans() {
        assert_eq!(
            join(&[("URL*0", "ftp://"), ("url*1", "x/y"), ("url*3", "lost")]),
            [("URL".into(), "ftp://x/y".into())]
        );
        assert_eq!(join(&[("a*1", "orphan"), ("b", "c")]), [("b".into(), "c".into())]);
        assert_eq!(
            join(&[("a*0", "x y"), ("a*1*", "%20z")]),
            [("a*".into(), "''x%20y%20z".into())]
        );
        assert_eq!(
            join(&[("a*", "''x"), ("b*x", "y")]),
            [("a*".into(), "''x".into()), ("b*x".into(), "y".into())]
        );
    }
}
