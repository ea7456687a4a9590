//! Message-ID, In-Reply-To and References: made, and found in the values of fields
//! (RFC 5322 §3.6.4). Message ids here carry no angle brackets.

use protocol::time::Timestamp;

/// A message id that is unique when `random` is: `<base32 of time and random>@host`.
pub fn new(now: Timestamp, random: u64, host: &str) -> String {
    let left = base36(now.as_micros().unsigned_abs());
    format!("{left}.{}@{host}", base36(random))
}

/// The ids in a field's value, in order. Tolerant: what stands between angle brackets without
/// white space (RFC 5322 §4.5.4 allows phrases between them); without any bracket, words with an @.
pub fn all(value: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(value);
    let mut found: Vec<String> = Vec::new();
    let mut rest = text.as_ref();
    while let Some((_, after)) = rest.split_once('<') {
        let Some((inside, next)) = after.split_once('>') else { break };
        let id: String = inside.chars().filter(|c| !c.is_whitespace() && !c.is_control()).collect();
        if !id.is_empty() {
            found.push(id);
        }
        rest = next;
        if found.len() >= MAX_IDS {
            break;
        }
    }
    if found.is_empty() {
        found.extend(
            text.split_whitespace()
                .filter(|word| word.contains('@') && !word.contains(['<', '>']))
                .take(MAX_IDS)
                .map(str::to_owned),
        );
    }
    found
}

/// The Message-ID of a header block.
pub fn of_header(block: &[u8]) -> Option<String> {
    all(&crate::header::value(block, "Message-ID")?).into_iter().next()
}

/// RFC 5322 §3.6.4: References of a reply: the parent's References, or its In-Reply-To when that
/// is one id, then the parent's own id. Long chains keep the first id and the last ones.
pub fn references_of_reply(parent: &[u8]) -> Vec<String> {
    let ids = |name: &str| all(&crate::header::value(parent, name).unwrap_or_default());
    let mut chain = ids("References");
    if chain.is_empty() {
        let replied = ids("In-Reply-To");
        if replied.len() == 1 {
            chain = replied;
        }
    }
    chain.extend(of_header(parent));
    chain.dedup();
    if chain.len() > MAX_REFERENCES {
        chain.drain(1..chain.len() - MAX_REFERENCES + 1);
    }
    chain
}

/// Ids read from one field; more are forged or useless.
const MAX_IDS: usize = 1_000;

/// Ids written into References: some 50 keep a thread together and the field below 4 KiB.
const MAX_REFERENCES: usize = 50;

fn base36(mut number: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(number % 36).unwrap_or(0);
        digits.push(char::from_digit(digit, 36).unwrap_or('0'));
        number /= 36;
        if number == 0 {
            break;
        }
    }
    digits.iter().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_ids_as_people_write_them() {
        assert_eq!(all(b"<a@b> <c@d>"), ["a@b", "c@d"]);
        assert_eq!(all(b"\"Joe\" of <a@\r\n b> today"), ["a@b"]);
        assert_eq!(all(b"bare@id"), ["bare@id"]);
        assert_eq!(all(b"<unclosed@x"), Vec::<String>::new());
        assert_eq!(all(b"<>"), Vec::<String>::new());
    }

    #[test]
    fn a_reply_continues_the_thread() {
        let parent = b"Message-ID: <3@x>\r\nReferences: <1@x>\r\n <2@x>\r\n\r\n";
        assert_eq!(references_of_reply(parent), ["1@x", "2@x", "3@x"]);
        let parent = b"Message-ID: <3@x>\r\nIn-Reply-To: <1@x>\r\n\r\n";
        assert_eq!(references_of_reply(parent), ["1@x", "3@x"]);
        let parent = b"Message-ID: <3@x>\r\nIn-Reply-To: <1@x> <2@x>\r\n\r\n";
        assert_eq!(references_of_reply(parent), ["3@x"]);
        let long: String = (0..200).map(|n| format!(" <{n}@x>")).collect();
        let chain = references_of_reply(format!("References:{long}\r\n\r\n").as_bytes());
        assert_eq!((chain.len(), chain[0].as_str(), chain[49].as_str()), (50, "0@x", "199@x"));
    }

    #[test]
    fn made_ids_differ() {
        let now = Timestamp::from_seconds(1_795_381_596);
        let made = new(now, 7, "red.test");
        assert!(made.ends_with("@red.test"));
        assert_ne!(made, new(now, 8, "red.test"));
        assert_eq!(all(format!("<{made}>").as_bytes()), [made]);
    }
}
