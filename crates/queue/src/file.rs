//! The form of a queue file: printed when a letter is laid out, read back at a start. It knows
//! bytes and text, not where files lie. docs/queue.md shows one.

use std::fmt::Write as _;

use bytes::Bytes;
use disk::text::{Escaped, unescape};
use disk::{Body, DiskFile, Error, ErrorKind};
use protocol::smtp::capabilities::{Capabilities, SizeOffer};
use protocol::smtp::{MailParameters, RcptParameters};
use sha2::{Digest, Sha256};

use crate::change::parse_stamp;
use crate::letter::{Letter, Progress, Recipient, State};
use crate::limits::{ENVELOPE, HEADERS};

/// Where the body lies in a letter's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Extent {
    pub(crate) body: u64,
    /// Length of the whole file.
    pub(crate) file: u64,
}

/// The envelope as text: first line to empty line.
pub(crate) fn envelope(letter: &Letter) -> String {
    let all = everything();
    let mut text = String::from(FIRST_LINE);
    let _ = writeln!(text, "journey {}", letter.journey);
    let _ = writeln!(text, "origin {}", letter.origin);
    if let Some(cause) = letter.cause {
        let _ = writeln!(text, "cause {cause}");
    }
    let _ = writeln!(text, "arrived {}", letter.arrived.to_rfc3339());
    let _ = writeln!(text, "expires {}", letter.expires.to_rfc3339());
    let mut parameters = String::new();
    letter.parameters.print(&all, &mut parameters);
    path_line(&mut text, "from", &letter.sender.to_string(), &parameters);
    for recipient in &letter.recipients {
        let mut parameters = String::new();
        recipient.parameters.print(&all, &mut parameters);
        path_line(&mut text, "to", &format!("<{}>", recipient.address), &parameters);
        if let Some(from) = &recipient.from {
            let _ = writeln!(text, "expanded-from <{from}>");
        }
        if recipient.progress.next != letter.arrived {
            let _ = writeln!(text, "first-try {}", recipient.progress.next.to_rfc3339());
        }
    }
    if let Some(reason) = &letter.held {
        let _ = writeln!(text, "hold {}", Escaped(reason));
    }
    let _ = writeln!(text, "length {}\n", letter.length);
    text
}

/// `from` and `to`: the path, then after a tab, which no path contains, the parameters.
fn path_line(text: &mut String, key: &str, path: &str, parameters: &str) {
    let parameters = parameters.trim_start();
    let tab = if parameters.is_empty() { "" } else { "\t" };
    let _ = writeln!(text, "{key} {path}{tab}{parameters}");
}

/// Writes a whole letter file from its start; what the file held before is cut off.
pub(crate) fn write(file: &dyn DiskFile, letter: &Letter, body: &Body) -> disk::Result<Extent> {
    let envelope = envelope(letter);
    let mut hash = Sha256::new();
    let mut buffer = Vec::with_capacity(WRITE_BUFFER);
    let mut at = 0;
    let mut put = |bytes: &[u8], flush: bool| {
        buffer.extend_from_slice(bytes);
        if buffer.len() >= WRITE_BUFFER || flush {
            hash.update(&buffer);
            file.write_at(at, &buffer)?;
            at += buffer.len() as u64;
            buffer.clear();
        }
        Ok::<_, Error>(())
    };
    put(envelope.as_bytes(), false)?;
    for chunk in body.chunks() {
        put(&chunk?, false)?;
    }
    put(format!("{TRAILER}{}\n", letter.headers.len()).as_bytes(), false)?;
    put(&letter.headers, true)?;
    let end = format!("sha256 {}\nend {}\n", hex(&hash.finalize()), letter.journey);
    file.write_at(at, end.as_bytes())?;
    let extent = Extent { body: envelope.len() as u64, file: at + end.len() as u64 };
    file.set_length(extent.file)?;
    Ok(extent)
}

/// Reads a letter file without its body. The hash is not looked at: [`verify`] does that.
pub(crate) fn read(file: &dyn DiskFile) -> disk::Result<(Letter, Extent)> {
    let length = file.length()?;
    let start = read_until_empty_line(file, length)?;
    let (mut letter, body) = parse_envelope(&start).map_err(corrupt)?;
    let trailer = (body as u64)
        .checked_add(letter.length)
        .filter(|at| *at < length && length - at <= HEADERS + 256)
        .ok_or_else(|| corrupt("it is shorter or longer than its envelope says"))?;
    let rest = read_exact(file, trailer, (length - trailer) as usize)?;
    letter.headers = parse_trailer(&rest, &letter).map_err(corrupt)?;
    Ok((letter, Extent { body: body as u64, file: length }))
}

/// Whether the hash in the trailer is that of the file.
pub(crate) fn verify(file: &dyn DiskFile) -> disk::Result<()> {
    // The last lines have a fixed length: `sha256 ` + 64 digits, `end ` + journey.
    const END: u64 = 7 + 64 + 1 + 4 + 16 + 1;
    let length = file.length()?;
    let hashed = length.checked_sub(END).ok_or_else(|| corrupt("it has no end"))?;
    let end = read_exact(file, hashed, END as usize)?;
    let mut hash = Sha256::new();
    let mut at = 0;
    while at < hashed {
        let chunk = read_exact(file, at, (hashed - at).min(WRITE_BUFFER as u64) as usize)?;
        hash.update(&chunk);
        at += chunk.len() as u64;
    }
    let digits = end.strip_prefix(b"sha256 ").and_then(|rest| rest.get(..64));
    if digits != Some(hex(&hash.finalize()).as_bytes()) {
        return Err(corrupt("its hash is not the one in its trailer"));
    }
    Ok(())
}

/// Reads an envelope; gives the letter (without headers) and where its body begins.
pub(crate) fn parse_envelope(bytes: &[u8]) -> Result<(Letter, usize), &'static str> {
    let end = find_empty_line(bytes).ok_or("its envelope has no end")?;
    let text = std::str::from_utf8(&bytes[..end - 1]).map_err(|_| "its envelope is not text")?;
    let rest = text.strip_prefix(FIRST_LINE).ok_or("its first line is not `posthaste-queue 1`")?;
    let all = everything();
    let mut lines = rest.lines().map(|line| line.split_once(' ').unwrap_or((line, ""))).peekable();
    let mut one = |key: &str| match lines.peek() {
        Some((found, value)) if *found == key => {
            let value = *value;
            lines.next();
            Some(value)
        }
        _ => None,
    };
    let journey = one("journey").and_then(|v| v.parse().ok()).ok_or("no journey")?;
    let origin = one("origin").and_then(|v| v.parse().ok()).ok_or("no origin")?;
    let cause = match one("cause") {
        Some(value) => Some(value.parse().map_err(|_| "its cause is not a journey")?),
        None => None,
    };
    let arrived = one("arrived").and_then(parse_stamp).ok_or("no time of arrival")?;
    let expires = one("expires").and_then(parse_stamp).ok_or("no time of expiry")?;
    let (path, parameters) = split_path(one("from").ok_or("no sender")?);
    let sender = path.parse().map_err(|_| "its sender is not a path")?;
    let parameters = MailParameters::parse(parameters, &all).map_err(|_| "bad parameters")?;
    let mut recipients = Vec::new();
    while let Some(value) = one("to") {
        let (path, parameters) = split_path(value);
        let parameters = RcptParameters::parse(parameters, &all).map_err(|_| "bad parameters")?;
        let from = match one("expanded-from") {
            Some(path) => Some(address(path)?),
            None => None,
        };
        let next = match one("first-try") {
            Some(stamp) => parse_stamp(stamp).ok_or("a time is not one")?,
            None => arrived,
        };
        let progress = Progress { state: State::Waiting, attempts: 0, next, last: None };
        let address = address(path)?;
        recipients.push(Recipient { address, parameters, from, progress, in_hand: None });
    }
    let held = match one("hold") {
        Some(reason) => Some(unescape(reason).ok_or("its hold is not text")?),
        None => None,
    };
    let length = one("length").and_then(|v| v.parse().ok()).ok_or("no length")?;
    if lines.next().is_some() || recipients.is_empty() {
        return Err("its envelope has lines it should not have, or no recipient");
    }
    let letter = Letter {
        journey,
        cause,
        origin,
        arrived,
        expires,
        sender,
        parameters,
        recipients,
        held,
        delay_told: false,
        headers: Bytes::new(),
        length,
    };
    Ok((letter, end + 1))
}

fn parse_trailer(bytes: &[u8], letter: &Letter) -> Result<Bytes, &'static str> {
    const BAD: &str = "its trailer is not whole";
    let rest = bytes.strip_prefix(TRAILER.as_bytes()).ok_or(BAD)?;
    let line = rest.iter().position(|byte| *byte == b'\n').ok_or(BAD)?;
    let length = std::str::from_utf8(&rest[..line]).ok().and_then(|v| v.parse::<usize>().ok());
    let (headers, end) = rest[line + 1..].split_at_checked(length.ok_or(BAD)?).ok_or(BAD)?;
    let tail = format!("\nend {}\n", letter.journey);
    if !end.starts_with(b"sha256 ") || !end.ends_with(tail.as_bytes()) {
        return Err(BAD);
    }
    Ok(Bytes::copy_from_slice(headers))
}

fn split_path(value: &str) -> (&str, &str) {
    value.split_once('\t').unwrap_or((value, ""))
}

fn address(path: &str) -> Result<protocol::address::Address, &'static str> {
    path.strip_prefix('<')
        .and_then(|path| path.strip_suffix('>'))
        .and_then(|path| path.parse().ok())
        .ok_or("a recipient is not an address")
}

fn find_empty_line(bytes: &[u8]) -> Option<usize> {
    bytes.windows(2).position(|pair| pair == b"\n\n").map(|at| at + 1)
}

fn read_until_empty_line(file: &dyn DiskFile, length: u64) -> disk::Result<Vec<u8>> {
    let most = length.min(ENVELOPE as u64) as usize;
    let mut read = Vec::new();
    let mut want = 4096.min(most);
    loop {
        read.extend(read_exact(file, read.len() as u64, want - read.len())?);
        if find_empty_line(&read).is_some() || want == most {
            return Ok(read);
        }
        want = (want * 4).min(most);
    }
}

fn read_exact(file: &dyn DiskFile, at: u64, length: usize) -> disk::Result<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut done = 0;
    while done < length {
        match file.read_at(at + done as u64, &mut bytes[done..])? {
            0 => return Err(corrupt("it is shorter than it was")),
            count => done += count,
        }
    }
    Ok(bytes)
}

pub(crate) fn corrupt(detail: &'static str) -> Error {
    Error::new(ErrorKind::Corrupt, "read a queue file", detail)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Every parameter may stand in an envelope.
fn everything() -> Capabilities {
    Capabilities {
        size: SizeOffer::Unlimited,
        eight_bit_mime: true,
        smtputf8: true,
        dsn: true,
        requiretls: true,
        xposthaste: true,
        ..Capabilities::default()
    }
}

const FIRST_LINE: &str = "posthaste-queue 1\n";
const TRAILER: &str = "posthaste-trailer headers ";
const WRITE_BUFFER: usize = 256 * 1024;
