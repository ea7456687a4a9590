//! The PROXY protocol, versions 1 and 2: a load balancer in front says who is really connected,
//! before anything else. Only who is trusted to say so is listened to; that is the caller's to
//! decide. The header is read to its last octet and no further, so that what follows is untouched.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::AsyncReadExt as _;

use crate::clock::Clock;
use crate::limits::{PROXY_HEADER, PROXY_WAIT};
use crate::stream::{Peer, Stream, unmapped};

/// Why a connection through a proxy cannot be served.
#[derive(Debug)]
pub enum ProxyError {
    /// It does not begin with such a header.
    Absent,
    /// The header is not one.
    Malformed(&'static str),
    /// It did not come in time.
    Late,
    /// The connection broke.
    Io(io::Error),
}

/// Reads the header; who is connected, or `None` where the proxy speaks for itself (a health check)
/// or does not know.
///
/// # Errors
/// See [`ProxyError`]; nothing may be taken from such a connection.
pub async fn read(stream: &mut Stream, clock: &Clock) -> Result<Option<Peer>, ProxyError> {
    match clock.timeout(PROXY_WAIT, header(stream)).await {
        Ok(read) => read.map(|address| address.map(|address| Peer::Inet(unmapped(address)))),
        Err(_) => Err(ProxyError::Late),
    }
}

async fn header(stream: &mut Stream) -> Result<Option<SocketAddr>, ProxyError> {
    let first = stream.read_u8().await.map_err(ProxyError::Io)?;
    match first {
        b'P' => version_1(stream).await,
        b'\r' => version_2(stream).await,
        _ => Err(ProxyError::Absent),
    }
}

/// One line of text, at most 107 octets with its CRLF.
async fn version_1(stream: &mut Stream) -> Result<Option<SocketAddr>, ProxyError> {
    let mut line = vec![b'P'];
    while !line.ends_with(b"\r\n") {
        if line.len() >= LONGEST_LINE {
            return Err(ProxyError::Malformed("the line is too long"));
        }
        line.push(stream.read_u8().await.map_err(ProxyError::Io)?);
    }
    let line = std::str::from_utf8(&line).map_err(|_| ProxyError::Malformed("not ASCII"))?;
    parse_line(line.trim_end())
}

fn parse_line(line: &str) -> Result<Option<SocketAddr>, ProxyError> {
    let mut words = line.split(' ');
    if words.next() != Some("PROXY") {
        return Err(ProxyError::Absent);
    }
    let family = words.next().unwrap_or_default();
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let malformed = || ProxyError::Malformed("the line names no addresses");
    let source: IpAddr = words.next().and_then(|word| word.parse().ok()).ok_or_else(malformed)?;
    let destination: IpAddr =
        words.next().and_then(|word| word.parse().ok()).ok_or_else(malformed)?;
    let port: u16 = words.next().and_then(|word| word.parse().ok()).ok_or_else(malformed)?;
    let last: Option<u16> = words.next().and_then(|word| word.parse().ok());
    let fits = match family {
        "TCP4" => source.is_ipv4() && destination.is_ipv4(),
        "TCP6" => source.is_ipv6() && destination.is_ipv6(),
        _ => false,
    };
    if !fits || last.is_none() || words.next().is_some() {
        return Err(malformed());
    }
    Ok(Some(SocketAddr::new(source, port)))
}

/// Sixteen octets, then as many as they say.
async fn version_2(stream: &mut Stream) -> Result<Option<SocketAddr>, ProxyError> {
    let mut start = [b'\r'; 16];
    stream.read_exact(&mut start[1..]).await.map_err(ProxyError::Io)?;
    if !start.starts_with(SIGNATURE) {
        return Err(ProxyError::Absent);
    }
    let length = usize::from(u16::from_be_bytes([start[14], start[15]]));
    if length > PROXY_HEADER {
        return Err(ProxyError::Malformed("the header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await.map_err(ProxyError::Io)?;
    parse_binary(start[12], start[13], &rest)
}

fn parse_binary(command: u8, family: u8, rest: &[u8]) -> Result<Option<SocketAddr>, ProxyError> {
    match command {
        // LOCAL: the proxy's own connection.
        0x20 => return Ok(None),
        0x21 => {}
        _ => return Err(ProxyError::Malformed("neither version 2 nor a command of it")),
    }
    let short = ProxyError::Malformed("the addresses are cut off");
    match family {
        // TCP over IPv4: source, destination, ports.
        0x11 => match rest {
            [a, b, c, d, _, _, _, _, high, low, ..] => {
                let port = u16::from_be_bytes([*high, *low]);
                Ok(Some(SocketAddr::new(Ipv4Addr::new(*a, *b, *c, *d).into(), port)))
            }
            _ => Err(short),
        },
        0x21 => {
            let source: Option<[u8; 16]> = rest.get(..16).and_then(|octets| octets.try_into().ok());
            match (source, rest.get(32..36)) {
                (Some(source), Some([high, low, ..])) => {
                    let port = u16::from_be_bytes([*high, *low]);
                    Ok(Some(SocketAddr::new(Ipv6Addr::from(source).into(), port)))
                }
                _ => Err(short),
            }
        }
        // Unix sockets and what is not specified.
        _ => Ok(None),
    }
}

impl fmt::Display for ProxyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProxyError::Absent => f.write_str("the connection does not begin with a PROXY header"),
            ProxyError::Malformed(why) => write!(f, "the PROXY header is wrong: {why}"),
            ProxyError::Late => f.write_str("the PROXY header did not come in time"),
            ProxyError::Io(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for ProxyError {}

/// Octets of a line of version 1, with its CRLF.
const LONGEST_LINE: usize = 107;

/// How version 2 begins.
const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    async fn heard(octets: &[u8]) -> Result<Option<String>, String> {
        let (mut ours, mut theirs) = Stream::pair(16 * 1024);
        ours.write_all(octets).await.unwrap();
        ours.write_all(b"EHLO x\r\n").await.unwrap();
        ours.shutdown().await.unwrap();
        let read = read(&mut theirs, &Clock::real()).await;
        if read.is_ok() {
            let mut rest = String::new();
            theirs.read_to_string(&mut rest).await.unwrap();
            assert_eq!(rest, "EHLO x\r\n", "what follows is untouched");
        }
        read.map(|peer| peer.map(|peer| peer.to_string())).map_err(|error| error.to_string())
    }

    fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
        [SIGNATURE, &[command, family], &length, rest].concat()
    }

    #[tokio::test]
    async fn lines_of_version_1() {
        let found = heard(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await;
        assert_eq!(found, Ok(Some("192.0.2.7:4711".to_owned())));
        let found = heard(b"PROXY TCP6 2001:db8::7 2001:db8::1 4711 25\r\n").await;
        assert_eq!(found, Ok(Some("[2001:db8::7]:4711".to_owned())));
        assert_eq!(heard(b"PROXY UNKNOWN whatever\r\n").await, Ok(None));
        for wrong in [
            &b"PROXY TCP4 2001:db8::7 192.0.2.1 1 25\r\n"[..],
            b"PROXY TCP4 192.0.2.7\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 99999 25\r\n",
            b"PROXY TCP4 192.0.2.7 192.0.2.1 1 25 6\r\n",
            b"EHLO client\r\n",
            b"PROXY                                                                              \
              TCP4                                   \r\n",
        ] {
            assert!(heard(wrong).await.is_err(), "{wrong:?}");
        }
    }

    #[tokio::test]
    async fn headers_of_version_2() {
        let four = [192, 0, 2, 7, 192, 0, 2, 1, 0x12, 0x67, 0, 25];
        let found = heard(&binary(0x21, 0x11, &four)).await;
        assert_eq!(found, Ok(Some("192.0.2.7:4711".to_owned())));
        let with_more = [&four[..], &[3, 0, 4, 1, 2, 3, 4]].concat();
        assert!(heard(&binary(0x21, 0x11, &with_more)).await.is_ok());
        let mut six = [0; 36];
        six[..4].copy_from_slice(&[0x20, 1, 0xd, 0xb8]);
        (six[15], six[32], six[33]) = (7, 0x12, 0x67);
        let found = heard(&binary(0x21, 0x21, &six)).await;
        assert_eq!(found, Ok(Some("[2001:db8::7]:4711".to_owned())));
        assert_eq!(heard(&binary(0x20, 0, &[])).await, Ok(None));
        assert!(heard(&binary(0x21, 0x11, &four[..8])).await.is_err());
        assert!(heard(&binary(0x31, 0x11, &four)).await.is_err());
        assert!(heard(&binary(0x21, 0x11, &[0; 5000])).await.is_err());
    }
}
