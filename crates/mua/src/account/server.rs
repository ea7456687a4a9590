//! A server as the account file names it: `imaps://host:993`, `imap://host` (STARTTLS),
//! `smtps://host:465`, `smtp://host` (STARTTLS). There is no way without TLS.

use std::fmt;

/// What is spoken there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ServerKind {
    /// IMAP.
    Imap,
    /// Submission (RFC 6409).
    Submission,
}

/// When TLS begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// At once (RFC 8314 §3).
    Tls,
    /// After STARTTLS, which must succeed.
    StartTls,
    /// Never: `host` is the path of a Unix socket whose server knows from the kernel who asks.
    /// For programs of this machine; no account file can name it.
    Socket,
}

/// Where to connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What is spoken.
    pub kind: ServerKind,
    /// When TLS begins.
    pub security: Security,
    /// Name or address; what the certificate must show.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl Server {
    /// Reads the form of the account file. Without a scheme the host is meant with TLS at once.
    ///
    /// # Errors
    /// A sentence that says what is wrong.
    pub fn parse(text: &str, kind: ServerKind) -> Result<Self, String> {
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (scheme.to_ascii_lowercase(), rest),
            None => (kind.schemes().0.to_owned(), text),
        };
        let (tls, starttls) = kind.schemes();
        let security = if scheme == tls {
            Security::Tls
        } else if scheme == starttls {
            Security::StartTls
        } else {
            return Err(format!("{scheme:?} is not known here: {tls}://HOST or {starttls}://HOST"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = split_port(rest)?;
        let port = port.unwrap_or(kind.port(security));
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@?#[]".contains(c)) {
            return Err(format!("{host:?} is no host name"));
        }
        Ok(Server { kind, security, host: host.to_owned(), port })
    }
}

/// Host and port; an IPv6 address stands in brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), String> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, rest)) => (host, rest.strip_prefix(':')),
        None => match text.rsplit_once(':') {
            Some((host, port)) if !host.contains(':') => (host, Some(port)),
            _ => (text, None),
        },
    };
    let port = port
        .map(|port| port.parse().map_err(|_| format!("{port:?} is no port")))
        .transpose()?
        .filter(|port| *port != 0);
    Ok((host, port))
}

impl ServerKind {
    /// Schemes with TLS at once, and with STARTTLS.
    const fn schemes(self) -> (&'static str, &'static str) {
        match self {
            ServerKind::Imap => ("imaps", "imap"),
            ServerKind::Submission => ("smtps", "smtp"),
        }
    }

    /// RFC 8314 §3, RFC 9051 §2.1, RFC 6409 §3.1.
    const fn port(self, security: Security) -> u16 {
        match (self, security) {
            (ServerKind::Imap, Security::Tls) => 993,
            (ServerKind::Imap, Security::StartTls) => 143,
            (ServerKind::Submission, Security::Tls) => 465,
            (ServerKind::Submission, Security::StartTls) => 587,
            (_, Security::Socket) => 0,
        }
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tls, starttls) = self.kind.schemes();
        let scheme = match self.security {
            Security::Tls => tls,
            Security::StartTls => starttls,
            Security::Socket => return f.write_str(&self.host),
        };
        if self.host.contains(':') {
            write!(f, "{scheme}://[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{scheme}://{}:{}", self.host, self.port)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints() {
        for (text, printed) in [
            ("imaps://mail.red.test", "imaps://mail.red.test:993"),
            ("IMAP://mail.red.test/", "imap://mail.red.test:143"),
            ("imap://mail.red.test:10143", "imap://mail.red.test:10143"),
            ("mail.red.test", "imaps://mail.red.test:993"),
            ("imaps://[::1]:1", "imaps://[::1]:1"),
            ("imaps://::1", "imaps://[::1]:993"),
        ] {
            let server = Server::parse(text, ServerKind::Imap).unwrap();
            assert_eq!(server.to_string(), printed);
            assert_eq!(Server::parse(printed, ServerKind::Imap), Ok(server));
        }
        let submission = Server::parse("smtp://a", ServerKind::Submission).unwrap();
        assert_eq!((submission.port, submission.security), (587, Security::StartTls));
    }

    #[test]
    fn refuses_what_is_none() {
        for text in
            ["http://a", "imaps://", "imaps://a b", "imaps://a:port", "imaps://u@h", "smtps://a"]
        {
            assert!(Server::parse(text, ServerKind::Imap).is_err(), "{text}");
        }
    }
}
