//! Packets of the milter protocol: built for the steps of a letter, read for the replies. A packet
//! is its length, a command, and data.

use std::net::IpAddr;

use bytes::Bytes;

use super::Decision;
use super::change::Change;

/// A step of a letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Connect,
    Helo,
    Mail,
    Rcpt,
    Data,
    Header,
    EndOfHeader,
    Body,
}

/// What a filter replies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reply {
    Continue,
    Accept,
    Skip,
    Progress,
    Refuse(u16, String),
    Discard,
    Quarantine(String),
    Change(Change),
}

/// Version, and what we do: add fields, change fields, put letters aside.
const VERSION: u32 = 6;
const ACTIONS: u32 = 0x01 | 0x10 | 0x20;
/// All steps that a filter may leave out or not reply to, and `SKIP`.
const PROTOCOL: u32 = 0x000f_ffff & !RCPT_REJECTED;
/// The filter wants to see recipients that we refused: it does not.
const RCPT_REJECTED: u32 = 0x800;

impl Step {
    /// Whether the bit of this step is set: among those left out, or (shifted into the same
    /// places by [`agreed`]) among those without a reply.
    pub(super) fn is_in(self, bits: u32) -> bool {
        let bit = match self {
            Step::Connect => 0x01,
            Step::Helo => 0x02,
            Step::Mail => 0x04,
            Step::Rcpt => 0x08,
            Step::Body => 0x10,
            Step::Header => 0x20,
            Step::EndOfHeader => 0x40,
            Step::Data => 0x200,
        };
        bits & bit != 0
    }
}

impl Reply {
    /// What it decides; nothing to go on.
    pub(super) fn decision(self) -> Option<Decision> {
        match self {
            Reply::Accept => Some(Decision::Take),
            Reply::Refuse(code, text) => Some(Decision::Refuse(code, text)),
            Reply::Discard => Some(Decision::Discard),
            Reply::Quarantine(reason) => Some(Decision::Quarantine(reason)),
            Reply::Continue | Reply::Skip | Reply::Progress | Reply::Change(_) => None,
        }
    }
}

/// A packet.
pub(super) fn of(command: u8, data: &[u8]) -> Vec<u8> {
    let length = u32::try_from(data.len() + 1).unwrap_or(u32::MAX);
    let mut packet = Vec::with_capacity(data.len() + 5);
    packet.extend_from_slice(&length.to_be_bytes());
    packet.push(command);
    packet.extend_from_slice(data);
    packet
}

/// A packet without data.
pub(super) fn bare(command: u8) -> Vec<u8> {
    of(command, &[])
}

/// A packet with one text.
pub(super) fn text(command: u8, text: &str) -> Vec<u8> {
    let mut data = clean(text.as_bytes());
    data.push(0);
    of(command, &data)
}

/// What we offer.
pub(super) fn offer() -> Vec<u8> {
    let numbers = [VERSION, ACTIONS, PROTOCOL].map(u32::to_be_bytes);
    of(b'O', &numbers.concat())
}

/// Which steps the filter leaves out, and to which it does not reply.
pub(super) fn agreed(data: &[u8]) -> Result<(u32, u32), String> {
    let number = |at: usize| -> Option<u32> {
        let octets = data.get(at..at + 4)?;
        Some(u32::from_be_bytes(octets.try_into().ok()?))
    };
    let (Some(version), Some(actions), Some(protocol)) = (number(0), number(4), number(8)) else {
        return Err("its negotiation is cut off".to_owned());
    };
    if !(2..=VERSION).contains(&version) {
        return Err(format!("it speaks version {version}"));
    }
    if actions & !ACTIONS != 0 {
        return Err("it wants to change body, sender or recipients, which is not done here".into());
    }
    if protocol & !PROTOCOL != 0 {
        return Err(format!("it asks for steps that were not offered ({protocol:#x})"));
    }
    let mut silent = 0;
    let pairs = [
        (0x1000, Step::Connect),
        (0x2000, Step::Helo),
        (0x4000, Step::Mail),
        (0x8000, Step::Rcpt),
        (0x1_0000, Step::Data),
        (0x80, Step::Header),
        (0x4_0000, Step::EndOfHeader),
        (0x8_0000, Step::Body),
    ];
    for (bit, step) in pairs {
        if protocol & bit != 0 {
            silent |= match step {
                Step::Connect => 0x01,
                Step::Helo => 0x02,
                Step::Mail => 0x04,
                Step::Rcpt => 0x08,
                Step::Body => 0x10,
                Step::Header => 0x20,
                Step::EndOfHeader => 0x40,
                Step::Data => 0x200,
            };
        }
    }
    Ok((protocol, silent))
}

/// Macros for the next step.
pub(super) fn macros(step: u8, values: &[(&str, &str)]) -> Vec<u8> {
    let mut data = vec![step];
    for (name, value) in values {
        data.extend_from_slice(name.as_bytes());
        data.push(0);
        data.extend_from_slice(&clean(value.as_bytes()));
        data.push(0);
    }
    of(b'D', &data)
}

/// Who is connected.
pub(super) fn connect(host: &str, ip: Option<IpAddr>) -> Vec<u8> {
    let mut data = clean(host.as_bytes());
    data.push(0);
    match ip {
        Some(ip) => {
            data.push(if ip.is_ipv4() { b'4' } else { b'6' });
            data.extend_from_slice(&0u16.to_be_bytes());
            let shown = if ip.is_ipv4() { ip.to_string() } else { format!("IPv6:{ip}") };
            data.extend_from_slice(shown.as_bytes());
            data.push(0);
        }
        None => data.push(b'U'),
    }
    of(b'C', &data)
}

/// A header field: the value without the space after the colon, folds with LF alone.
pub(super) fn field(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut data = clean(name);
    data.push(0);
    let value = value.strip_prefix(b" ").unwrap_or(value);
    data.extend(value.iter().filter(|octet| !matches!(octet, 0 | b'\r')));
    data.push(0);
    of(b'L', &data)
}

fn clean(octets: &[u8]) -> Vec<u8> {
    octets.iter().copied().filter(|octet| !matches!(octet, 0 | b'\r' | b'\n')).collect()
}

/// Reads a reply.
pub(super) fn reply(command: u8, data: Bytes) -> Result<Reply, String> {
    let texts = || data.split(|octet| *octet == 0).map(|text| String::from_utf8_lossy(text));
    let first = || texts().next().unwrap_or_default().into_owned();
    Ok(match command {
        b'c' => Reply::Continue,
        b'a' => Reply::Accept,
        b's' => Reply::Skip,
        b'p' => Reply::Progress,
        b'd' => Reply::Discard,
        b'r' => Reply::Refuse(550, "5.7.1 refused by a filter".to_owned()),
        b't' => Reply::Refuse(451, "4.7.1 refused by a filter for now".to_owned()),
        b'4' => Reply::Refuse(421, "4.7.0 a filter is shutting down".to_owned()),
        b'y' => code(&first())?,
        b'q' => Reply::Quarantine(first()),
        b'h' => {
            let mut texts = texts();
            let (name, value) = (texts.next(), texts.next());
            let (Some(name), Some(value)) = (name, value) else { return Err(cut_off(command)) };
            Reply::Change(Change::add(&name, &value)?)
        }
        b'i' | b'm' => {
            let (index, rest) = data.split_at_checked(4).ok_or_else(|| cut_off(command))?;
            let index = u32::from_be_bytes(index.try_into().map_err(|_| cut_off(command))?);
            let mut texts = rest.split(|octet| *octet == 0).map(String::from_utf8_lossy);
            let (Some(name), Some(value)) = (texts.next(), texts.next()) else {
                return Err(cut_off(command));
            };
            Reply::Change(match command {
                b'i' => Change::insert(index, &name, &value)?,
                _ => Change::replace(index, &name, &value)?,
            })
        }
        other => return Err(format!("a reply that was not offered ({:?})", char::from(other))),
    })
}

/// `550 5.7.1 text`: its digits and what follows, on one line.
fn code(text: &str) -> Result<Reply, String> {
    let wrong = || format!("a reply code that is none ({text:?})");
    let digits = text.get(..3).and_then(|digits| digits.parse::<u16>().ok()).ok_or_else(wrong)?;
    if !(400..600).contains(&digits) {
        return Err(wrong());
    }
    let plain = |c: char| if c.is_ascii_graphic() { c } else { ' ' };
    let rest: String = text.get(3..).unwrap_or_default().chars().map(plain).take(400).collect();
    Ok(Reply::Refuse(digits, rest.trim().to_owned()))
}

fn cut_off(command: u8) -> String {
    format!("a reply that is cut off ({:?})", char::from(command))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_have_their_length() {
        assert_eq!(bare(b'N'), [0, 0, 0, 1, b'N']);
        assert_eq!(text(b'H', "a\0b\r\n"), [0, 0, 0, 4, b'H', b'a', b'b', 0]);
        assert_eq!(field(b"Subject", b" a\r\n b"), of(b'L', b"Subject\0a\n b\0"));
        let four = connect("host", Some([192, 0, 2, 1].into()));
        assert_eq!(four, of(b'C', b"host\x004\0\x00192.0.2.1\0"));
    }

    #[test]
    fn negotiation_is_held_to_what_was_offered() {
        let data = |version: u32, actions: u32, protocol: u32| {
            [version, actions, protocol].map(u32::to_be_bytes).concat()
        };
        assert_eq!(agreed(&data(6, 0x11, 0x81)), Ok((0x81, 0x20)));
        assert!(agreed(&data(7, 0, 0)).is_err() && agreed(&data(1, 0, 0)).is_err());
        assert!(agreed(&data(6, 0x02, 0)).is_err(), "bodies are not changed");
        assert!(agreed(&data(6, 0, 0x800)).is_err() && agreed(&[0; 5]).is_err());
    }

    #[test]
    fn replies_good_and_bad() {
        let read = |command: u8, data: &'static [u8]| reply(command, Bytes::from_static(data));
        assert_eq!(read(b'c', b""), Ok(Reply::Continue));
        assert_eq!(
            read(b'y', b"451 4.7.1 come\r\nback\0"),
            Ok(Reply::Refuse(451, "4.7.1 come  back".to_owned()))
        );
        assert!(matches!(read(b'h', b"X-A\0b\0"), Ok(Reply::Change(_))));
        assert!(matches!(read(b'i', b"\0\0\0\x01X-A\0b\0"), Ok(Reply::Change(_))));
        for (command, data) in [
            (b'y', &b"250 ok\0"[..]),
            (b'y', b"x\0"),
            (b'h', b"X-A"),
            (b'i', b"\0\0"),
            (b'h', b"X A\0b\0"),
            (b'h', b"X\r\nEvil\0b\0"),
            (b'b', b"body"),
            (b'?', b""),
        ] {
            assert!(read(command, data).is_err(), "{command} {data:?}");
        }
    }
}
