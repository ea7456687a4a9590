//! The verbs of SMTP and LMTP, and how long a line of each may be. What a verb does is in
//! `server/*` and `client/*`.

use std::fmt;

use crate::limits;

/// A command, or one of the two moments that are answered without one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// The opening of the connection; only in observations.
    Greeting,
    /// HELO
    Helo,
    /// EHLO
    Ehlo,
    /// LHLO, RFC 2033 §4.1.
    Lhlo,
    /// STARTTLS, RFC 3207.
    StartTls,
    /// AUTH, RFC 4954; also each response within the exchange.
    Auth,
    /// MAIL
    Mail,
    /// RCPT
    Rcpt,
    /// DATA
    Data,
    /// The end of the data; only in observations.
    EndOfData,
    /// BDAT, RFC 3030.
    Bdat,
    /// RSET
    Rset,
    /// NOOP
    Noop,
    /// VRFY
    Vrfy,
    /// EXPN, which we know and do not implement.
    Expn,
    /// HELP
    Help,
    /// QUIT
    Quit,
    /// XCLIENT, of Postfix.
    XClient,
    /// Anything else.
    Unknown,
}

const NAMES: [(&str, Verb); 16] = [
    ("HELO", Verb::Helo),
    ("EHLO", Verb::Ehlo),
    ("LHLO", Verb::Lhlo),
    ("STARTTLS", Verb::StartTls),
    ("AUTH", Verb::Auth),
    ("MAIL", Verb::Mail),
    ("RCPT", Verb::Rcpt),
    ("DATA", Verb::Data),
    ("BDAT", Verb::Bdat),
    ("RSET", Verb::Rset),
    ("NOOP", Verb::Noop),
    ("VRFY", Verb::Vrfy),
    ("EXPN", Verb::Expn),
    ("HELP", Verb::Help),
    ("QUIT", Verb::Quit),
    ("XCLIENT", Verb::XClient),
];

impl Verb {
    /// The verb at the beginning of a line, and what follows it without the space between. RFC
    /// 5321 §2.4: verbs have no case.
    pub(crate) fn parse(line: &str) -> (Verb, &str) {
        let (word, rest) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let verb = NAMES
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(word))
            .map_or(Verb::Unknown, |(_, verb)| *verb);
        (verb, rest)
    }

    /// The most octets of a line of this verb, with its CRLF. RFC 5321 §4.5.3.1.4, and what each
    /// extension adds: SIZE 26 (RFC 1870 §3), 8BITMIME 17 (RFC 6152 §2), SMTPUTF8 10 (RFC 6531
    /// §3.1), AUTH 500 (RFC 4954 §3), DSN (RFC 3461 §4: RET 8, ENVID 107; NOTIFY 28, ORCPT 500)
    /// and our private parameters 256.
    pub(crate) fn line_limit(self) -> usize {
        match self {
            Verb::Auth => limits::AUTH_LINE,
            Verb::Mail => limits::COMMAND_LINE + 26 + 17 + 10 + 500 + 8 + 107 + 256,
            Verb::Rcpt => limits::COMMAND_LINE + 28 + 500,
            _ => limits::COMMAND_LINE,
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verb::Greeting => "greeting",
            Verb::EndOfData => "end of data",
            Verb::Unknown => "unknown command",
            verb => NAMES.iter().find(|(_, v)| v == verb).map_or("", |(name, _)| name),
        })
    }
}
