//! A ManageSieve command from its bytes (RFC 5804 §4): words, quoted strings, literals, numbers.
//! Also how much of the input belongs to it, literals included.

use memchr::memchr;

use crate::limits::{MANAGESIEVE_LINE, MANAGESIEVE_SCRIPT};
use crate::secret::Secret;

/// What a client says.
#[derive(Debug)]
pub enum Command {
    /// AUTHENTICATE: the mechanism, and the initial response in base64 as it came.
    Authenticate(String, Option<Secret<Vec<u8>>>),
    /// STARTTLS
    StartTls,
    /// LOGOUT
    Logout,
    /// CAPABILITY
    Capability,
    /// HAVESPACE: name and octets.
    HaveSpace(String, u64),
    /// PUTSCRIPT: name and script.
    PutScript(String, Vec<u8>),
    /// LISTSCRIPTS
    ListScripts,
    /// SETACTIVE; an empty name: none.
    SetActive(String),
    /// GETSCRIPT
    GetScript(String),
    /// DELETESCRIPT
    DeleteScript(String),
    /// RENAMESCRIPT: old and new name.
    RenameScript(String, String),
    /// CHECKSCRIPT
    CheckScript(Vec<u8>),
    /// NOOP, with what is to be said back.
    Noop(Option<String>),
    /// UNAUTHENTICATE (RFC 5804 §2.14.1)
    Unauthenticate,
}

/// One argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Argument {
    Text(Vec<u8>),
    Number(u64),
}

/// What the input holds.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Not enough yet.
    More,
    /// A command of so many octets.
    Whole(usize),
    /// Something that cannot be gone on after.
    Broken(&'static str),
}

/// How much of the input the first command is. `most` octets at most, literals included.
pub(super) fn frame(input: &[u8], most: usize) -> Frame {
    let mut at = 0;
    loop {
        let rest = input.get(at..).unwrap_or_default();
        let Some(end) = memchr(b'\n', rest) else {
            return if rest.len() > MANAGESIEVE_LINE { Frame::Broken(LONG) } else { Frame::More };
        };
        if end > MANAGESIEVE_LINE {
            return Frame::Broken(LONG);
        }
        let line = rest.get(..end).unwrap_or_default();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        at += end + 1;
        match literal(line) {
            None => return Frame::Whole(at),
            Some(Err(why)) => return Frame::Broken(why),
            Some(Ok(size)) => {
                let size = usize::try_from(size).unwrap_or(usize::MAX);
                // RFC 5804 §4: a client sends without waiting; too much cannot be passed over.
                if size > most.min(MANAGESIEVE_SCRIPT) || at.saturating_add(size) > most {
                    return Frame::Broken("that is too large");
                }
                at += size;
                if input.len() < at {
                    return Frame::More;
                }
            }
        }
    }
}

const LONG: &str = "the line is too long";

/// `{123+}` at the end of a line, outside of quotes. A client must not send `{123}` (RFC 5804 §4).
fn literal(line: &[u8]) -> Option<Result<u64, &'static str>> {
    let inner = line.strip_suffix(b"}")?;
    let open = inner.iter().rposition(|octet| *octet == b'{')?;
    let (before, digits) = (inner.get(..open)?, inner.get(open + 1..)?);
    if is_inside_quotes(before) {
        return None;
    }
    let (digits, plus) = match digits.strip_suffix(b"+") {
        Some(digits) => (digits, true),
        None => (digits, false),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    if !plus {
        return Some(Err("a literal of a client ends with +}"));
    }
    let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
    Some(number.ok_or("that is too large"))
}

fn is_inside_quotes(text: &[u8]) -> bool {
    let mut inside = false;
    let mut octets = text.iter();
    while let Some(octet) = octets.next() {
        match octet {
            b'"' => inside = !inside,
            b'\\' if inside => {
                octets.next();
            }
            _ => {}
        }
    }
    inside
}

/// Reads a whole command.
///
/// # Errors
/// What is wrong with it, in words for the client.
pub(super) fn parse(bytes: &[u8]) -> Result<Command, &'static str> {
    let end = bytes.iter().position(|octet| !octet.is_ascii_alphabetic()).unwrap_or(bytes.len());
    let (word, rest) = bytes.split_at(end);
    let name = String::from_utf8_lossy(word).to_ascii_uppercase();
    let arguments = arguments(rest)?;
    let wrong = Err("wrong arguments for this command");
    let command = match (name.as_str(), arguments.as_slice()) {
        ("AUTHENTICATE", [Argument::Text(mechanism)]) => {
            Command::Authenticate(upper(mechanism)?, None)
        }
        ("AUTHENTICATE", [Argument::Text(mechanism), Argument::Text(initial)]) => {
            Command::Authenticate(upper(mechanism)?, Some(Secret::new(initial.clone())))
        }
        ("STARTTLS", []) => Command::StartTls,
        ("LOGOUT", []) => Command::Logout,
        ("CAPABILITY", []) => Command::Capability,
        ("HAVESPACE", [Argument::Text(name), Argument::Number(size)]) => {
            Command::HaveSpace(text(name)?, *size)
        }
        ("PUTSCRIPT", [Argument::Text(name), Argument::Text(script)]) => {
            Command::PutScript(text(name)?, script.clone())
        }
        ("LISTSCRIPTS", []) => Command::ListScripts,
        ("SETACTIVE", [Argument::Text(name)]) => Command::SetActive(text(name)?),
        ("GETSCRIPT", [Argument::Text(name)]) => Command::GetScript(text(name)?),
        ("DELETESCRIPT", [Argument::Text(name)]) => Command::DeleteScript(text(name)?),
        ("RENAMESCRIPT", [Argument::Text(old), Argument::Text(new)]) => {
            Command::RenameScript(text(old)?, text(new)?)
        }
        ("CHECKSCRIPT", [Argument::Text(script)]) => Command::CheckScript(script.clone()),
        ("NOOP", []) => Command::Noop(None),
        ("NOOP", [Argument::Text(tag)]) => Command::Noop(Some(text(tag)?)),
        ("UNAUTHENTICATE", []) => Command::Unauthenticate,
        (known, _) if KEYWORDS.contains(&known) => return wrong,
        _ => return Err("unknown command"),
    };
    Ok(command)
}

const KEYWORDS: [&str; 14] = [
    "AUTHENTICATE",
    "STARTTLS",
    "LOGOUT",
    "CAPABILITY",
    "HAVESPACE",
    "PUTSCRIPT",
    "LISTSCRIPTS",
    "SETACTIVE",
    "GETSCRIPT",
    "DELETESCRIPT",
    "RENAMESCRIPT",
    "CHECKSCRIPT",
    "NOOP",
    "UNAUTHENTICATE",
];

/// A single string, as in the answer to a challenge.
pub(super) fn parse_string(bytes: &[u8]) -> Result<Vec<u8>, &'static str> {
    match arguments(bytes)?.as_slice() {
        [Argument::Text(text)] => Ok(text.clone()),
        _ => Err("one string is expected"),
    }
}

fn text(bytes: &[u8]) -> Result<String, &'static str> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "this is not UTF-8")
}

fn upper(bytes: &[u8]) -> Result<String, &'static str> {
    text(bytes).map(|text| text.to_ascii_uppercase())
}

fn arguments(bytes: &[u8]) -> Result<Vec<Argument>, &'static str> {
    let mut arguments = Vec::new();
    let mut rest = bytes;
    loop {
        rest = match rest {
            [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] => rest,
            [] => return Ok(arguments),
            [b'"', rest @ ..] => {
                let (text, rest) = quoted(rest)?;
                arguments.push(Argument::Text(text));
                rest
            }
            [b'{', ..] => {
                let (text, rest) = counted(rest)?;
                arguments.push(Argument::Text(text));
                rest
            }
            [b'0'..=b'9', ..] => {
                let end = rest.iter().position(|octet| !octet.is_ascii_digit());
                let (digits, rest) = rest.split_at(end.unwrap_or(rest.len()));
                let number = std::str::from_utf8(digits).ok().and_then(|text| text.parse().ok());
                arguments.push(Argument::Number(number.ok_or("that number is too large")?));
                rest
            }
            _ => return Err("strings stand in quotes"),
        };
        if arguments.len() > 4 {
            return Err("too many arguments");
        }
    }
}

fn quoted(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let mut text = Vec::new();
    let mut at = 0;
    loop {
        match bytes.get(at) {
            Some(b'"') => return Ok((text, bytes.get(at + 1..).unwrap_or_default())),
            Some(b'\\') => {
                text.push(*bytes.get(at + 1).ok_or("a quote is missing")?);
                at += 2;
            }
            Some(b'\r' | b'\n' | 0) | None => return Err("a quote is missing"),
            Some(octet) => {
                text.push(*octet);
                at += 1;
            }
        }
    }
}

fn counted(bytes: &[u8]) -> Result<(Vec<u8>, &[u8]), &'static str> {
    let wrong = "a literal is not well formed";
    let end = memchr(b'\n', bytes).ok_or(wrong)?;
    let line = bytes.get(..end).unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let size = literal(line).ok_or(wrong)??;
    let size = usize::try_from(size).map_err(|_| wrong)?;
    let rest = bytes.get(end + 1..).unwrap_or_default();
    let text = rest.get(..size).ok_or(wrong)?;
    Ok((text.to_vec(), rest.get(size..).unwrap_or_default()))
}
