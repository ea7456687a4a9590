//! `mailto:` (RFC 6068) as a method of notification (RFC 5436), and percent encoding.

use super::address;

/// What a `mailto:` URI asks for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Mailto {
    pub(crate) to: Vec<String>,
    pub(crate) subject: Option<String>,
    pub(crate) body: Option<String>,
    /// Other header fields that may be set so.
    pub(crate) fields: Vec<(String, String)>,
}

/// Reads a notification method; the only one here is `mailto`.
///
/// # Errors
/// Why it is none, in words for the owner.
pub(crate) fn parse(uri: &str) -> Result<Mailto, String> {
    let (scheme, rest) = uri.split_once(':').unwrap_or((uri, ""));
    if !scheme.eq_ignore_ascii_case("mailto") {
        return Err(format!("notifications go by mailto: only, not by {scheme:?}"));
    }
    let (addresses, query) = rest.split_once('?').unwrap_or((rest, ""));
    let mut mailto = Mailto::default();
    recipients(addresses, &mut mailto.to)?;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let name = decoded(name)?.to_ascii_lowercase();
        match name.as_str() {
            "to" | "cc" | "bcc" => recipients(value, &mut mailto.to)?,
            "subject" => mailto.subject = Some(decoded(value)?),
            "body" => mailto.body = Some(decoded(value)?),
            // RFC 5436 §2.4 and §2.7: what the server makes itself, a script does not set.
            _ if FORBIDDEN.contains(&name.as_str()) => {}
            _ if crate::check::is_header_name(&name) => {
                mailto.fields.push((name, decoded(value)?));
            }
            _ => return Err(format!("{name:?} is no name of a header field")),
        }
    }
    match mailto.to.len() {
        0 => Err("the method names nobody: mailto:user@example.org".to_owned()),
        1..=RECIPIENTS => Ok(mailto),
        _ => Err(format!("the method names more than {RECIPIENTS} recipients")),
    }
}

fn recipients(list: &str, to: &mut Vec<String>) -> Result<(), String> {
    for one in list.split(',').filter(|one| !one.is_empty()) {
        let text = decoded(one)?;
        let address = address::single(&text).ok_or_else(|| format!("{text:?} is no address"))?;
        if !to.contains(&address) {
            to.push(address);
        }
    }
    Ok(())
}

/// RFC 3986 §2.1.
fn decoded(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} is not well encoded");
    let mut out = Vec::with_capacity(text.len());
    let mut octets = text.bytes();
    while let Some(octet) = octets.next() {
        if octet != b'%' {
            out.push(octet);
            continue;
        }
        let mut digit = || octets.next().and_then(|octet| char::from(octet).to_digit(16));
        let (high, low) = (digit().ok_or_else(wrong)?, digit().ok_or_else(wrong)?);
        out.push(u8::try_from(high * 16 + low).map_err(|_| wrong())?);
    }
    String::from_utf8(out).map_err(|_| wrong())
}

/// RFC 5435 §6: everything but unreserved characters as `%XX`.
pub(super) fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for octet in text.bytes() {
        if octet.is_ascii_alphanumeric() || b"-._~".contains(&octet) {
            out.push(char::from(octet));
        } else {
            out.push_str(&format!("%{octet:02X}"));
        }
    }
    out
}

/// Recipients of one notification.
const RECIPIENTS: usize = 5;

const FORBIDDEN: [&str; 12] = [
    "from",
    "sender",
    "auto-submitted",
    "received",
    "return-path",
    "message-id",
    "date",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "delivered-to",
    "dkim-signature",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uris_are_read() {
        let read =
            parse("mailto:a@x.test,b@x.test?subject=hi%20you&from=evil@x.test&body=%e2%82%ac")
                .unwrap();
        assert_eq!(read.to, ["a@x.test", "b@x.test"]);
        assert_eq!(read.subject.as_deref(), Some("hi you"));
        assert_eq!(read.body.as_deref(), Some("€"));
        assert!(read.fields.is_empty());
        assert_eq!(parse("mailto:?to=a%40x.test").unwrap().to, ["a@x.test"]);
        for wrong in ["xmpp:a@x.test", "mailto:", "mailto:nobody", "mailto:a@x.test?subject=%zz"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(encoded("a b/ü"), "a%20b%2F%C3%BC");
    }
}
