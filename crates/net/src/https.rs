//! Asks a web server for one small text: what MTA-STS asks for (RFC 8461 §3.3), what a token is
//! worth (RFC 7662 §2). One request, no redirects, no cookies, a bound on everything. Not a web
//! client.

use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::clock::Clock;
use crate::connect::{self, Outgoing};
use crate::limits::{HTTPS_BODY, HTTPS_TOTAL};
use crate::tls;

/// What is fetched.
#[derive(Debug, Clone, Copy)]
pub struct Document<'a> {
    /// The host, for the certificate and the Host field.
    pub host: &'a str,
    /// The path with its first slash.
    pub path: &'a str,
}

/// A form that is handed in.
#[derive(Debug, Clone, Copy)]
pub struct Form<'a> {
    /// The host, for the certificate.
    pub host: &'a str,
    /// Host and port, for the Host field.
    pub authority: &'a str,
    /// The path with its first slash.
    pub path: &'a str,
    /// The value of the Authorization field; `None`: there is none.
    pub authorization: Option<&'a str>,
    /// The fields, encoded as `application/x-www-form-urlencoded`.
    pub fields: &'a str,
}

/// Fetches a document from one of these addresses: the first that takes the connection.
///
/// # Errors
/// One sentence.
pub async fn get(
    document: Document<'_>,
    addresses: &[SocketAddr],
    client: &tls::Client,
    clock: &Clock,
) -> Result<String, String> {
    let Document { host, path } = document;
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: posthaste\r\nAccept: text/plain\r\n\
         Connection: close\r\n\r\n"
    );
    within(ask(host, &request, addresses, Some(client), clock), clock).await
}

/// Hands in a form at one of these addresses, under TLS where there is a client for it, and gives
/// the answer, which must be 200.
///
/// # Errors
/// One sentence.
pub async fn post(
    form: Form<'_>,
    addresses: &[SocketAddr],
    client: Option<&tls::Client>,
    clock: &Clock,
) -> Result<String, String> {
    let Form { host, authority, path, authorization, fields } = form;
    let authorization =
        authorization.map(|value| format!("Authorization: {value}\r\n")).unwrap_or_default();
    let request = format!(
        "POST {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: posthaste\r\n\
         Accept: application/json\r\n{authorization}\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{fields}",
        fields.len()
    );
    within(ask(host, &request, addresses, client, clock), clock).await
}

async fn within(
    asking: impl Future<Output = Result<String, String>>,
    clock: &Clock,
) -> Result<String, String> {
    match clock.timeout(HTTPS_TOTAL, asking).await {
        Ok(outcome) => outcome,
        Err(_) => Err(format!("no answer within {} s", HTTPS_TOTAL.as_secs())),
    }
}

async fn ask(
    host: &str,
    request: &str,
    addresses: &[SocketAddr],
    client: Option<&tls::Client>,
    clock: &Clock,
) -> Result<String, String> {
    let mut failed = "the host has no address".to_owned();
    let outgoing = Outgoing { source: None, timeout: Duration::from_secs(10) };
    for address in addresses.iter().take(4) {
        let mut stream = match connect::tcp(*address, outgoing, clock).await {
            Ok(stream) => stream,
            Err(error) => {
                failed = format!("{address}: {error}");
                continue;
            }
        };
        if let Some(client) = client {
            let name =
                tls::PeerName::new(host).map_err(|name| format!("{name} is not a host name"))?;
            let secured = client.connect(stream, &name, clock).await;
            (stream, _) = secured.map_err(|error| format!("{address}: {error}"))?;
        }
        let broken = |error: std::io::Error| format!("{address}: {error}");
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        stream.flush().await.map_err(broken)?;
        let mut answer = Vec::new();
        let mut limited = stream.take(HTTPS_BODY as u64 + 1);
        // A server that ends without TLS' own goodbye has still said all that Content-Length
        // counts.
        let ended = limited.read_to_end(&mut answer).await;
        if answer.len() > HTTPS_BODY {
            return Err(format!("the answer is longer than {HTTPS_BODY} bytes"));
        }
        return match (body(&answer), ended) {
            (Err(why), Err(error)) => Err(format!("{why} ({error})")),
            (outcome, _) => outcome,
        };
    }
    Err(failed)
}

/// The body of a whole answer.
fn body(answer: &[u8]) -> Result<String, String> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    let (head, rest) = answer.split_at(end.ok_or("the answer has no end of header")?);
    let rest = &rest[4..];
    let head = std::str::from_utf8(head).map_err(|_| "the answer's header is not text")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().unwrap_or_default();
    let code = status.split(' ').nth(1).unwrap_or_default();
    if !status.starts_with("HTTP/1.") || code != "200" {
        // RFC 8461 §3.3: nothing but 200 counts, redirects least of all.
        let shown: String = status.chars().take(80).filter(|c| !c.is_control()).collect();
        return Err(format!("the web server said {shown:?}"));
    }
    let fields: Vec<(String, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim()))
        .collect();
    let field = |name: &str| fields.iter().find(|(one, _)| one == name).map(|(_, value)| *value);
    if field("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return text(&unchunked(rest)?);
    }
    match field("content-length").map(str::parse::<usize>) {
        None => text(rest),
        Some(Ok(length)) => text(rest.get(..length).ok_or("the answer is cut short")?),
        Some(Err(_)) => Err("the answer's length is no number".to_owned()),
    }
}

fn unchunked(mut rest: &[u8]) -> Result<Vec<u8>, String> {
    let mut whole = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n").ok_or("a chunk without a size")?;
        let size = std::str::from_utf8(&rest[..end]).unwrap_or_default();
        let size = size.split(';').next().unwrap_or_default().trim();
        let size =
            usize::from_str_radix(size, 16).map_err(|_| "a chunk without a size")?.min(HTTPS_BODY);
        rest = &rest[end + 2..];
        if size == 0 {
            return Ok(whole);
        }
        whole.extend_from_slice(rest.get(..size).ok_or("a chunk is cut short")?);
        rest = rest.get(size + 2..).ok_or("a chunk is cut short")?;
    }
}

fn text(bytes: &[u8]) -> Result<String, String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "the answer is not text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_in_each_form() {
        let plain = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, more";
        assert_eq!(body(plain), Ok("hello".to_owned()));
        assert_eq!(body(b"HTTP/1.0 200 OK\r\n\r\nhello"), Ok("hello".to_owned()));
        let chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
                       3\r\nhel\r\n2;x\r\nlo\r\n0\r\n\r\n";
        assert_eq!(body(chunked), Ok("hello".to_owned()));
    }

    #[test]
    fn anything_else_is_an_error_and_never_a_panic() {
        for bad in [
            &b""[..],
            b"HTTP/1.1 301 Moved\r\nLocation: https://evil.test/\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nshort",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\nx",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.1 200 OK\r\n\r\n\xff\xfe",
        ] {
            assert!(body(bad).is_err(), "{}", String::from_utf8_lossy(bad));
        }
    }
}
