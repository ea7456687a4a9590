//! Flags as Maildir names and mbox header fields say them. Called by the readers and writers
//! beside it.

use protocol::imap::flag::Flag;

/// The letters of a Maildir name after `:2,`, in the order they are written in.
const LETTERS: [(char, Flag); 5] = [
    ('D', Flag::Draft),
    ('F', Flag::Flagged),
    ('R', Flag::Answered),
    ('S', Flag::Seen),
    ('T', Flag::Deleted),
];

/// Keywords that a Maildir name can show: `a` to `z`.
pub(super) const NAMED_KEYWORDS: usize = 26;

/// The flags of a Maildir name; `keywords` are the names behind `a`, `b`, ...: Dovecot keeps them
/// in
/// `dovecot-keywords`. `P` (passed on) is `$Forwarded` (RFC 5788).
pub(super) fn of_maildir(info: &str, keywords: &[String]) -> Vec<Flag> {
    let mut flags = Vec::new();
    for letter in info.chars() {
        let named = LETTERS.iter().find(|(known, _)| *known == letter);
        let flag = match (letter, named) {
            (_, Some((_, flag))) => Some(flag.clone()),
            ('P', None) => Flag::from_name("$Forwarded"),
            ('a'..='z', None) => {
                let place = usize::try_from(u32::from(letter) - u32::from('a')).unwrap_or(0);
                keywords.get(place).and_then(|name| Flag::from_name(name))
            }
            _ => None,
        };
        add(&mut flags, flag);
    }
    flags
}

/// The letters for a Maildir name; new keywords are added to `keywords` while there is room.
pub(super) fn to_maildir(flags: &[Flag], keywords: &mut Vec<String>) -> String {
    let mut info: String = LETTERS
        .iter()
        .filter(|(_, flag)| flags.contains(flag))
        .map(|(letter, _)| *letter)
        .collect();
    let mut places: Vec<usize> = Vec::new();
    for keyword in flags.iter().filter_map(keyword) {
        let known = keywords.iter().position(|one| one.eq_ignore_ascii_case(keyword));
        places.extend(known.or_else(|| {
            (keywords.len() < NAMED_KEYWORDS).then(|| {
                keywords.push(keyword.to_owned());
                keywords.len() - 1
            })
        }));
    }
    places.sort_unstable();
    let letters = places.into_iter().filter_map(|place| u8::try_from(place).ok());
    info.extend(letters.map(|place| char::from(b'a' + place)));
    info
}

/// The names of a keyword, if it is one.
pub(super) fn keyword(flag: &Flag) -> Option<&str> {
    match flag {
        Flag::Keyword(keyword) => Some(keyword.as_str()),
        _ => None,
    }
}

/// The flags that header fields of an mbox letter tell: `Status`, `X-Status` and `X-Keywords` as
/// written by mail programs since Berkeley's, `X-Mozilla-Status` as by Thunderbird.
pub(super) fn of_mbox(header: &[u8]) -> Vec<Flag> {
    let value = |name| {
        let value = message::header::value(header, name).unwrap_or_default();
        String::from_utf8_lossy(&message::header::unfold(&value)).trim().to_owned()
    };
    let mut flags = Vec::new();
    for letter in value("Status").chars().chain(value("X-Status").chars()) {
        let flag = match letter {
            'R' => Some(Flag::Seen),
            'A' => Some(Flag::Answered),
            'F' => Some(Flag::Flagged),
            'T' => Some(Flag::Draft),
            'D' => Some(Flag::Deleted),
            _ => None,
        };
        add(&mut flags, flag);
    }
    for name in value("X-Keywords").split_whitespace() {
        add(&mut flags, Flag::from_name(name).filter(|flag| keyword(flag).is_some()));
    }
    let mozilla = u16::from_str_radix(&value("X-Mozilla-Status"), 16).unwrap_or(0);
    for (bit, flag) in MOZILLA {
        add(&mut flags, Flag::from_name(flag).filter(|_| mozilla & bit != 0));
    }
    flags
}

/// Whether Thunderbird has expunged the letter and not yet compacted the file.
pub(super) fn is_expunged(header: &[u8]) -> bool {
    let value = message::header::value(header, "X-Mozilla-Status").unwrap_or_default();
    let text = String::from_utf8_lossy(&value).trim().to_owned();
    u16::from_str_radix(&text, 16).is_ok_and(|bits| bits & 0x0008 != 0)
}

/// The fields that tell them, which are not part of the letter.
pub(super) const MBOX_FIELDS: [&str; 8] = [
    "Status",
    "X-Status",
    "X-Keywords",
    "X-Mozilla-Status",
    "X-Mozilla-Status2",
    "X-Mozilla-Keys",
    "X-UID",
    "X-IMAPbase",
];

/// The fields for an mbox.
pub(super) fn to_mbox(flags: &[Flag]) -> String {
    let status = if flags.contains(&Flag::Seen) { "RO" } else { "O" };
    let letters =
        [(Flag::Answered, 'A'), (Flag::Flagged, 'F'), (Flag::Draft, 'T'), (Flag::Deleted, 'D')];
    let more: String = letters
        .iter()
        .filter(|(flag, _)| flags.contains(flag))
        .map(|(_, letter)| *letter)
        .collect();
    let mut text = format!("Status: {status}\n");
    if !more.is_empty() {
        text.push_str(&format!("X-Status: {more}\n"));
    }
    let keywords: Vec<&str> = flags.iter().filter_map(keyword).collect();
    if !keywords.is_empty() {
        text.push_str(&format!("X-Keywords: {}\n", keywords.join(" ")));
    }
    text
}

const MOZILLA: [(u16, &str); 4] =
    [(0x0001, "\\Seen"), (0x0002, "\\Answered"), (0x0004, "\\Flagged"), (0x1000, "$Forwarded")];

fn add(flags: &mut Vec<Flag>, flag: Option<Flag>) {
    flags.extend(flag.filter(|flag| !flags.contains(flag)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maildir_names_lead_back() {
        let names = vec!["Todo".to_owned(), "$Junk".to_owned()];
        let flags = of_maildir("DFRSTba?z", &names);
        assert_eq!(flags.len(), 7);
        let mut keywords = names.clone();
        assert_eq!(to_maildir(&flags, &mut keywords), "DFRSTab");
        assert_eq!(keywords, names);
        let forwarded = of_maildir("P", &[]);
        assert_eq!(to_maildir(&forwarded, &mut keywords), "c");
        assert_eq!(keywords.last().map(String::as_str), Some("$Forwarded"));
    }

    #[test]
    fn mbox_fields_lead_back() {
        let header = b"Status: RO\nX-Status: AF\nX-Keywords: Todo $Junk\n\n";
        let flags = of_mbox(header);
        let text = to_mbox(&flags);
        assert_eq!(text.as_bytes(), &header[..header.len() - 1]);
        let mozilla = b"X-Mozilla-Status: 1003\n\n";
        let names: Vec<String> = of_mbox(mozilla).iter().map(ToString::to_string).collect();
        assert_eq!(names, ["\\Seen", "\\Answered", "$Forwarded"]);
        assert!(!is_expunged(mozilla) && is_expunged(b"X-Mozilla-Status: 0009\n\n"));
    }
}
