//! A line of a client as a command. Whether it may be said now is the machine's question.

use crate::secret::Secret;

/// What a client says.
#[derive(Debug)]
pub enum Command {
    /// CAPA (RFC 2449 §5).
    Capa,
    /// USER (RFC 1939 §7).
    User(String),
    /// PASS: everything after the one space, spaces too (RFC 1939 §7).
    Pass(Secret<Vec<u8>>),
    /// AUTH, with the initial response in base64 as it came (RFC 5034 §4); none: a list is wanted.
    Auth(Option<(String, Option<Secret<Vec<u8>>>)>),
    /// STLS (RFC 2595 §4).
    Stls,
    /// UTF8 (RFC 6856 §2.1).
    Utf8,
    /// LANG (RFC 6856 §3).
    Lang(Option<String>),
    /// STAT.
    Stat,
    /// LIST of one, or of all.
    List(Option<u32>),
    /// UIDL of one, or of all.
    Uidl(Option<u32>),
    /// RETR.
    Retr(u32),
    /// TOP: that many lines of the body.
    Top(u32, u32),
    /// DELE.
    Dele(u32),
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
}

/// Why a line is no command: words for the client.
pub(super) type Wrong = &'static str;

/// Reads a line without its end.
///
/// # Errors
/// What is wrong with it.
pub(super) fn parse(line: &[u8]) -> Result<Command, Wrong> {
    let (word, rest) = match line.iter().position(|octet| *octet == b' ') {
        Some(at) => (line.get(..at).unwrap_or_default(), line.get(at + 1..)),
        None => (line, None),
    };
    let keyword = String::from_utf8_lossy(word).to_ascii_uppercase();
    if keyword == "PASS" {
        let password = rest.ok_or("PASS takes a password")?;
        return Ok(Command::Pass(Secret::new(password.to_vec())));
    }
    let rest = match rest {
        Some(rest) => Some(std::str::from_utf8(rest).map_err(|_| "this is not UTF-8")?),
        None => None,
    };
    let words: Vec<&str> = rest.unwrap_or_default().split_ascii_whitespace().collect();
    let command = match (keyword.as_str(), words.as_slice()) {
        ("CAPA", []) => Command::Capa,
        // RFC 1939 §7: a name; some have spaces in theirs.
        ("USER", [_, ..]) => Command::User(rest.unwrap_or_default().trim().to_owned()),
        ("AUTH", []) => Command::Auth(None),
        ("AUTH", [mechanism]) => Command::Auth(Some((mechanism.to_ascii_uppercase(), None))),
        ("AUTH", [mechanism, initial]) => {
            let initial = Secret::new(initial.as_bytes().to_vec());
            Command::Auth(Some((mechanism.to_ascii_uppercase(), Some(initial))))
        }
        ("STLS", []) => Command::Stls,
        ("UTF8", []) => Command::Utf8,
        ("LANG", []) => Command::Lang(None),
        ("LANG", [language]) => Command::Lang(Some((*language).to_owned())),
        ("STAT", []) => Command::Stat,
        ("LIST", []) => Command::List(None),
        ("LIST", [one]) => Command::List(Some(number(one)?)),
        ("UIDL", []) => Command::Uidl(None),
        ("UIDL", [one]) => Command::Uidl(Some(number(one)?)),
        ("RETR", [one]) => Command::Retr(number(one)?),
        ("TOP", [one, lines]) => Command::Top(number(one)?, number_or_zero(lines)?),
        ("DELE", [one]) => Command::Dele(number(one)?),
        ("RSET", []) => Command::Rset,
        ("NOOP", []) => Command::Noop,
        ("QUIT", []) => Command::Quit,
        (known, _) if KEYWORDS.contains(&known) => return Err("wrong number of arguments"),
        _ => return Err("unknown command"),
    };
    Ok(command)
}

fn number_or_zero(word: &str) -> Result<u32, Wrong> {
    let is_number = word.bytes().all(|octet| octet.is_ascii_digit());
    word.parse().ok().filter(|_| is_number).ok_or("that is no number")
}

/// Letters count from 1.
fn number(word: &str) -> Result<u32, Wrong> {
    number_or_zero(word)?.checked_sub(1).map(|less| less + 1).ok_or("letters count from 1")
}

const KEYWORDS: [&str; 16] = [
    "CAPA", "USER", "PASS", "AUTH", "STLS", "UTF8", "LANG", "STAT", "LIST", "UIDL", "RETR", "TOP",
    "DELE", "RSET", "NOOP", "QUIT",
];
