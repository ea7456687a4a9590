//! The search grammar of people: words, "quoted phrases", `from:alice`, `-is:read`, and what they
//! mean as IMAP SEARCH keys. Everything that is said must hold; a minus in front negates.
//!
//! `from: to: cc: bcc: reply-to: subject: message-id: body: is:read|unread|flagged|answered|draft`
//! `|deleted has:attachment after: before: on: larger: smaller: in:`

use protocol::imap::date::Date;
use protocol::imap::flag::{Flag, Keyword};
use protocol::imap::search::{DateOrder, SearchField, SearchKey};
use protocol::time::Timestamp;

use crate::failure::Failure;

/// A search as understood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// What the server looks for.
    pub key: SearchKey,
    /// Folders to look in, `in:`; none means where the user is.
    pub scope: Scope,
    /// `has:attachment`: decided from the structure, which SEARCH cannot ask for.
    pub attachment: Option<bool>,
}

/// Where to look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Where the user is.
    Here,
    /// `in:all`.
    Everywhere,
    /// `in:NAME`.
    Folder(String),
}

/// Reads a query; `now` is for `after:3d`.
///
/// # Errors
/// A word with a prefix that is not known, or a value that makes no sense: with what is allowed.
pub fn parse(text: &str, now: Timestamp) -> Result<Query, Failure> {
    let mut query = Query { key: SearchKey::All, scope: Scope::Here, attachment: None };
    let mut keys = Vec::new();
    for term in terms(text)? {
        let (name, value) = (term.prefix.as_deref(), term.value.as_str());
        if name == Some("in") {
            query.scope = match value {
                "" => return Err(Failure::usage("in: wants the name of a folder, or all")),
                "all" | "any" | "*" => Scope::Everywhere,
                folder => Scope::Folder(folder.to_owned()),
            };
            continue;
        }
        if name == Some("has") {
            if !matches!(value, "attachment" | "attachments") {
                return Err(Failure::usage(format!("has:{value}: only has:attachment is known")));
            }
            query.attachment = Some(!term.negated);
            continue;
        }
        let key = key(name, value, now)?;
        keys.push(if term.negated { SearchKey::Not(Box::new(key)) } else { key });
    }
    query.key = match keys.len() {
        0 => SearchKey::All,
        1 => keys.remove(0),
        _ => SearchKey::And(keys),
    };
    Ok(query)
}

/// One thing that must hold.
#[derive(Debug, PartialEq, Eq)]
struct Term {
    negated: bool,
    prefix: Option<String>,
    value: String,
}

const PREFIXES: [&str; 16] = [
    "from",
    "to",
    "cc",
    "bcc",
    "reply-to",
    "subject",
    "message-id",
    "body",
    "is",
    "tag",
    "after",
    "before",
    "on",
    "larger",
    "smaller",
    "header",
];

/// Splits at white space outside quotes; quotes are removed.
fn terms(text: &str) -> Result<Vec<Term>, Failure> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let negated = rest.starts_with('-') && rest.len() > 1;
        let body = if negated { rest.get(1..).unwrap_or_default() } else { rest };
        let prefix =
            body.split_once(':').map(|(prefix, _)| prefix.to_ascii_lowercase()).filter(|prefix| {
                PREFIXES.contains(&prefix.as_str()) || prefix == "in" || prefix == "has"
            });
        let body = match &prefix {
            Some(prefix) => body.get(prefix.len() + 1..).unwrap_or_default(),
            None => body,
        };
        let (value, after) = match body.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').ok_or_else(|| {
                Failure::usage(format!("a quote is not closed in the search: {text}"))
            })?,
            None => body.split_once(char::is_whitespace).unwrap_or((body, "")),
        };
        if prefix.is_none() && !body.starts_with('"') {
            complain_about_prefix(value)?;
        }
        found.push(Term { negated, prefix, value: value.to_owned() });
        rest = after.trim_start();
    }
    Ok(found)
}

/// A word that looks like a prefix of ours but is none: more likely a typing error than a word to
/// look for. URLs and times are words.
fn complain_about_prefix(word: &str) -> Result<(), Failure> {
    match word.split_once(':') {
        Some((prefix, rest))
            if !prefix.is_empty()
                && prefix.chars().all(|c| c.is_ascii_alphabetic() || c == '-')
                && !rest.starts_with("//") =>
        {
            Err(Failure::usage(format!(
                "{prefix}: is not known; known are {}, in, has. To look for the word itself, quote \
                 it: \"{word}\"",
                PREFIXES.join(", ")
            )))
        }
        _ => Ok(()),
    }
}

fn key(prefix: Option<&str>, value: &str, now: Timestamp) -> Result<SearchKey, Failure> {
    let octets = || value.as_bytes().to_vec();
    let header = |field| Ok(SearchKey::Header { field, value: octets() });
    let Some(prefix) = prefix else { return Ok(SearchKey::Text(octets())) };
    if value.is_empty() {
        return Err(Failure::usage(format!("{prefix}: wants a value, as in {prefix}:VALUE")));
    }
    match prefix {
        "from" => header(SearchField::From),
        "to" => header(SearchField::To),
        "cc" => header(SearchField::Cc),
        "bcc" => header(SearchField::Bcc),
        "subject" => header(SearchField::Subject),
        "reply-to" => header(SearchField::Named("Reply-To".into())),
        "message-id" => header(SearchField::Named("Message-ID".into())),
        "header" => match value.split_once('=') {
            Some((name, value)) if is_field_name(name) => Ok(SearchKey::Header {
                field: SearchField::Named(name.to_owned()),
                value: value.as_bytes().to_vec(),
            }),
            _ => Err(Failure::usage("header: wants NAME=TEXT, as in header:List-Id=announce")),
        },
        "body" => Ok(SearchKey::Body(octets())),
        "is" => state(value),
        "tag" => Keyword::new(value)
            .map(|keyword| SearchKey::Flag(Flag::Keyword(keyword)))
            .ok_or_else(|| Failure::usage(format!("tag:{value}: that is no keyword"))),
        "after" => Ok(SearchKey::Sent(DateOrder::Since, date(value, now)?)),
        "before" => Ok(SearchKey::Sent(DateOrder::Before, date(value, now)?)),
        "on" => Ok(SearchKey::Sent(DateOrder::On, date(value, now)?)),
        "larger" => Ok(SearchKey::Larger(size(value)?)),
        _ => Ok(SearchKey::Smaller(size(value)?)),
    }
}

fn is_field_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|octet| octet.is_ascii_graphic() && octet != b':')
}

fn state(word: &str) -> Result<SearchKey, Failure> {
    Ok(match word {
        "read" | "seen" => SearchKey::Flag(Flag::Seen),
        "unread" | "unseen" => SearchKey::Unflag(Flag::Seen),
        "flagged" | "starred" => SearchKey::Flag(Flag::Flagged),
        "answered" | "replied" => SearchKey::Flag(Flag::Answered),
        "draft" => SearchKey::Flag(Flag::Draft),
        "deleted" => SearchKey::Flag(Flag::Deleted),
        _ => {
            return Err(Failure::usage(format!(
                "is:{word} is not known; known are read, unread, flagged, answered, draft, deleted"
            )));
        }
    })
}

/// `2026-11-22`, `2026-11`, `2026`, `today`, `yesterday`, or so long ago: `3d`, `2w`, `6m`, `1y`.
fn date(word: &str, now: Timestamp) -> Result<Date, Failure> {
    let wrong = || {
        Failure::usage(format!(
            "{word:?} is no date; write 2026-11-22, 2026-11, 2026, today, yesterday, 3d, 2w, 6m \
             or 1y"
        ))
    };
    let days_ago = |days: u64| {
        let then = now.before(std::time::Duration::from_secs(days.min(3_000_000) * 86_400)).civil();
        Date::new(u16::try_from(then.year).ok()?, then.month, then.day)
    };
    let found = match word {
        "today" => days_ago(0),
        "yesterday" => days_ago(1),
        _ => match split_unit(word) {
            Some((number, 'd')) => days_ago(number),
            Some((number, 'w')) => days_ago(number.saturating_mul(7)),
            Some((number, 'm')) => days_ago(number.saturating_mul(30)),
            Some((number, 'y')) => days_ago(number.saturating_mul(365)),
            _ => {
                let mut parts = word.split(['-', '/']);
                let year = parts.next().and_then(|part| part.parse().ok()).ok_or_else(wrong)?;
                let month = parts.next().map_or(Ok(1), |part| part.parse().map_err(|_| wrong()))?;
                let day = parts.next().map_or(Ok(1), |part| part.parse().map_err(|_| wrong()))?;
                if parts.next().is_some() { None } else { Date::new(year, month, day) }
            }
        },
    };
    found.ok_or_else(wrong)
}

/// `10`, `10k`, `5MB`, `1g`: octets, in steps of 1,024.
fn size(word: &str) -> Result<u64, Failure> {
    let lower = word.to_ascii_lowercase();
    let short = lower.strip_suffix('b').unwrap_or(&lower);
    let (number, shift) = match split_unit(short) {
        Some((number, 'k')) => (Some(number), 10),
        Some((number, 'm')) => (Some(number), 20),
        Some((number, 'g')) => (Some(number), 30),
        _ => (short.parse().ok(), 0),
    };
    number
        .and_then(|number| number.checked_mul(1 << shift))
        .ok_or_else(|| Failure::usage(format!("{word:?} is no size; write 500k, 5m or 1g")))
}

fn split_unit(word: &str) -> Option<(u64, char)> {
    let unit = word.chars().last()?;
    Some((word.strip_suffix(unit)?.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Sun, 22 Nov 2026.
    const NOW: Timestamp = Timestamp::from_seconds(1_795_381_596);

    fn read(text: &str) -> Query {
        parse(text, NOW).unwrap()
    }

    fn header(field: SearchField, value: &str) -> SearchKey {
        SearchKey::Header { field, value: value.into() }
    }

    #[test]
    fn words_phrases_prefixes_and_negation() {
        assert_eq!(read("").key, SearchKey::All);
        assert_eq!(read("lunch").key, SearchKey::Text("lunch".into()));
        assert_eq!(read("\"two words\"").key, SearchKey::Text("two words".into()));
        assert_eq!(read("https://x.test/a").key, SearchKey::Text("https://x.test/a".into()));
        assert_eq!(
            read("from:alice -subject:\"big deal\" is:unread").key,
            SearchKey::And(vec![
                header(SearchField::From, "alice"),
                SearchKey::Not(Box::new(header(SearchField::Subject, "big deal"))),
                SearchKey::Unflag(Flag::Seen),
            ])
        );
        assert_eq!(read("FROM:Grüße").key, header(SearchField::From, "Grüße"));
        assert_eq!(
            read("header:List-Id=announce").key,
            header(SearchField::Named("List-Id".into()), "announce")
        );
    }

    #[test]
    fn dates_and_sizes() {
        let since = |y, m, d| SearchKey::Sent(DateOrder::Since, Date::new(y, m, d).unwrap());
        assert_eq!(read("after:2026-11-03").key, since(2026, 11, 3));
        assert_eq!(read("after:2025").key, since(2025, 1, 1));
        assert_eq!(read("after:today").key, since(2026, 11, 22));
        assert_eq!(read("after:2w").key, since(2026, 11, 8));
        assert_eq!(read("larger:5MB").key, SearchKey::Larger(5 << 20));
        assert_eq!(read("smaller:100").key, SearchKey::Smaller(100));
    }

    #[test]
    fn folders_and_attachments() {
        assert_eq!(read("in:Sent x").scope, Scope::Folder("Sent".into()));
        assert_eq!(read("in:\"My Folder\"").scope, Scope::Folder("My Folder".into()));
        assert_eq!(read("in:all").scope, Scope::Everywhere);
        assert_eq!(read("has:attachment").attachment, Some(true));
        assert_eq!(read("-has:attachment").attachment, Some(false));
    }

    #[test]
    fn what_makes_no_sense_is_said() {
        for text in [
            "form:alice",
            "is:red",
            "has:cheese",
            "after:soon",
            "after:2026-13-01",
            "larger:big",
            "\"open",
            "from:",
            "in:",
            "larger:99999999999g",
            "after:2026-02-30",
            "header:x",
        ] {
            let error = parse(text, NOW).unwrap_err();
            assert_eq!(error.kind, crate::Kind::Usage, "{text}");
        }
        assert!(parse("form:alice", NOW).unwrap_err().text.contains("from"));
    }

    proptest! {
        #[test]
        fn never_fails_otherwise(text in "(from:|-|\"|is:|after:|[a-z0-9 ]|\u{e4}|:){0,20}") {
            let _ = parse(&text, NOW);
        }
    }
}
