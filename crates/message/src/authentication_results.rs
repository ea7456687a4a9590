//! The Authentication-Results field (RFC 8601): built from what was found out, and those that
//! others put into a letter in our name recognised, so that they can be removed. It judges nothing:
//! `verdict` does.

use crate::header;

/// The name of the field.
pub const NAME: &str = "Authentication-Results";

/// One method and what it came to, e.g. `spf=pass (why) smtp.mailfrom=red.test`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MethodResult {
    /// The method, e.g. `dkim`.
    pub method: &'static str,
    /// The result, e.g. `pass`.
    pub result: &'static str,
    /// Why, for people; a comment.
    pub comment: Option<String>,
    /// Type, name and value of properties, e.g. `("smtp", "mailfrom", "red.test")`.
    pub properties: Vec<(&'static str, &'static str, String)>,
}

/// The field with its line end, in the name of `host` (RFC 8601 §2.2).
pub fn field(host: &str, results: &[MethodResult]) -> Vec<u8> {
    let mut out = format!("{NAME}: {host};");
    if results.is_empty() {
        out.push_str(" none\r\n");
        return out.into_bytes();
    }
    for (index, one) in results.iter().enumerate() {
        out.push_str(if index == 0 { "\r\n\t" } else { ";\r\n\t" });
        out.push_str(one.method);
        out.push('=');
        out.push_str(one.result);
        if let Some(why) = &one.comment {
            out.push_str(" (");
            out.extend(why.chars().take(COMMENT).map(plain));
            out.push(')');
        }
        for (kind, name, value) in &one.properties {
            let shown = pvalue(value);
            // RFC 5322 §2.1.1: a long address gets a line of its own.
            out.push_str(if shown.len() > 40 { "\r\n\t " } else { " " });
            out.push_str(&format!("{kind}.{name}={shown}"));
        }
    }
    out.push_str("\r\n");
    out.into_bytes()
}

/// Whether this header block has fields that claim to be ours.
pub fn is_forged(block: &[u8], host: &str) -> bool {
    header::fields(block).any(|field| claims(&field, block, host))
}

/// The block without the fields that claim to be made by `host` (RFC 8601 §5).
pub fn without_forged(block: &[u8], host: &str) -> Vec<u8> {
    let mut kept = Vec::with_capacity(block.len());
    let mut copied = 0;
    for field in header::fields(block).filter(|field| claims(field, block, host)) {
        let range = field.range();
        kept.extend_from_slice(block.get(copied..range.start).unwrap_or_default());
        copied = range.end;
    }
    kept.extend_from_slice(block.get(copied..).unwrap_or_default());
    kept
}

fn claims(field: &header::Field, block: &[u8], host: &str) -> bool {
    field.is(block, NAME) && service_name(field.value(block)).eq_ignore_ascii_case(host.as_bytes())
}

/// The authserv-id: the first word, comments passed over, quotes removed (RFC 8601 §2.2).
fn service_name(value: &[u8]) -> Vec<u8> {
    let mut depth = 0usize;
    let mut quoted = false;
    let mut escaped = false;
    let mut name = Vec::new();
    for octet in value.iter().copied() {
        if escaped {
            escaped = false;
            if depth == 0 {
                name.push(octet);
            }
            continue;
        }
        match octet {
            b'\\' if quoted || depth > 0 => escaped = true,
            b'(' if !quoted => depth += 1,
            b')' if !quoted && depth > 0 => depth -= 1,
            _ if depth > 0 => {}
            b'"' => quoted = !quoted,
            b';' if !quoted => break,
            octet if octet.is_ascii_whitespace() && !quoted => {
                if !name.is_empty() {
                    break;
                }
            }
            octet => name.push(octet),
        }
    }
    // A final dot names the same host.
    if name.last() == Some(&b'.') {
        name.pop();
    }
    name
}

/// A value of a property: as it is where the grammar allows, else quoted.
fn pvalue(value: &str) -> String {
    let value: String = value.chars().take(VALUE).collect();
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || !c.is_ascii() || "-._@+!#$%&'*^`{|}~/=:".contains(c);
    if !value.is_empty() && value.chars().all(is_plain) {
        return value;
    }
    let inner: String = value.chars().filter(|c| !c.is_control() && !"\"\\".contains(*c)).collect();
    format!("\"{inner}\"")
}

/// Fit for a comment: no controls, parentheses or backslashes.
fn plain(c: char) -> char {
    match c {
        '(' => '[',
        ')' => ']',
        '\\' => '/',
        c if c.is_control() => ' ',
        c => c,
    }
}

/// Characters of a comment; the whole story is in the journey.
const COMMENT: usize = 200;
/// Characters of a value: more than an address can have.
const VALUE: usize = 330;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_names_methods_and_why() {
        let results = [
            MethodResult {
                method: "spf",
                result: "fail",
                comment: Some("not allowed (by -all)\r\nX: y".to_owned()),
                properties: vec![("smtp", "mailfrom", "alice@red.test".to_owned())],
            },
            MethodResult {
                method: "iprev",
                result: "pass",
                comment: None,
                properties: vec![("policy", "iprev", "2001:db8::1".to_owned())],
            },
        ];
        let text = String::from_utf8(field("mx.blue.test", &results)).unwrap();
        assert_eq!(
            text,
            "Authentication-Results: mx.blue.test;\r\n\tspf=fail (not allowed [by -all]  X: y) \
             smtp.mailfrom=alice@red.test;\r\n\tiprev=pass policy.iprev=2001:db8::1\r\n"
        );
        assert_eq!(field("a", &[]), b"Authentication-Results: a; none\r\n");
    }

    #[test]
    fn forged_fields_are_known_in_every_spelling() {
        let ours = |value: &str| {
            let block = format!("From: a\r\nAuthentication-Results:{value}\r\nTo: b\r\n\r\n");
            let forged = is_forged(block.as_bytes(), "mx.blue.test");
            let left = without_forged(block.as_bytes(), "mx.blue.test");
            assert_eq!(forged, left == b"From: a\r\nTo: b\r\n\r\n", "{value}");
            forged
        };
        assert!(ours(" mx.blue.test; spf=pass"));
        assert!(ours("\r\n MX.Blue.Test 1; dkim=pass"));
        assert!(ours(" (a (nested) comment) \"mx.blue.test\" ; none"));
        assert!(ours(" mx.blue.test.;none") && ours("mx.blue.test(c);none"));
        assert!(ours(" mx.(x)blue.test;none"), "a comment does not hide the name");
        assert!(!ours(" mx.red.test; x=mx.blue.test") && !ours(" mx.blue.test.red.test; none"));
    }
}
