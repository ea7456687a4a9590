//! Addresses and their parts (RFC 5228 §2.7.4, RFC 5233).

use protocol::address::Address;

use crate::program::AddressPart;

/// The one address in a string: `user@host`, or a name with that in angle brackets
/// (RFC 5228 §2.4.2.3).
pub(crate) fn single(text: &str) -> Option<String> {
    let found = message::values::addresses(text.as_bytes());
    let [one] = found.as_slice() else { return None };
    // What is a list or has rubbish behind it is no address.
    let bare = text.trim();
    let whole = bare.ends_with('>') || bare.eq_ignore_ascii_case(&one.address);
    let address: Address = one.address.parse().ok()?;
    whole.then(|| address.to_string())
}

/// A part of an address; `None` where it has none, which matches nothing.
pub(super) fn part(address: &str, part: AddressPart, delimiter: char) -> Option<String> {
    if part == AddressPart::All {
        return Some(address.to_owned());
    }
    // RFC 5228 §5.4: the null reverse-path has empty parts.
    if address.is_empty() {
        return (part != AddressPart::Detail).then(String::new);
    }
    let (local, domain) = address.rsplit_once('@').unwrap_or((address, ""));
    let local = unquoted(local);
    match part {
        AddressPart::All => None,
        AddressPart::LocalPart => Some(local),
        AddressPart::Domain => Some(domain.to_owned()),
        AddressPart::User => {
            let user = local.split_once(delimiter).map(|(user, _)| user.to_owned());
            Some(user.unwrap_or(local))
        }
        AddressPart::Detail => local.split_once(delimiter).map(|(_, detail)| detail.to_owned()),
    }
}

fn unquoted(local: &str) -> String {
    let Some(inner) = local.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return local.to_owned();
    };
    let mut out = String::with_capacity(inner.len());
    let mut characters = inner.chars();
    while let Some(next) = characters.next() {
        out.push(if next == '\\' { characters.next().unwrap_or(next) } else { next });
    }
    out
}

/// The same mailbox: addresses compared without regard to case.
pub(super) fn same(one: &str, other: &str) -> bool {
    one.eq_ignore_ascii_case(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_and_nothing_else() {
        assert_eq!(single("bob@blue.test").as_deref(), Some("bob@blue.test"));
        assert_eq!(single("Bob B <bob@blue.test>").as_deref(), Some("bob@blue.test"));
        assert_eq!(single("\"odd one\"@blue.test").as_deref(), Some("\"odd one\"@blue.test"));
        for wrong in ["", "bob", "a@b.test, c@d.test", "@blue.test", "a b@blue.test", "a@@b.test"] {
            assert_eq!(single(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn parts_of_an_address() {
        let of = |address, wanted| part(address, wanted, '+');
        let address = "ken+sieve@example.org";
        assert_eq!(of(address, AddressPart::User).as_deref(), Some("ken"));
        assert_eq!(of(address, AddressPart::Detail).as_deref(), Some("sieve"));
        assert_eq!(of(address, AddressPart::LocalPart).as_deref(), Some("ken+sieve"));
        assert_eq!(of("ken@example.org", AddressPart::Detail), None);
        assert_eq!(of("ken+@example.org", AddressPart::Detail).as_deref(), Some(""));
        assert_eq!(of("\"a\\\"b\"@c.test", AddressPart::LocalPart).as_deref(), Some("a\"b"));
        assert_eq!(of("", AddressPart::Domain).as_deref(), Some(""));
    }
}
