//! Received fields (RFC 5321 §4.4): the line an agent adds, and what a header says about the hops
//! behind it. What foreign lines say is hearsay; nothing here trusts it.

use std::net::IpAddr;

use protocol::time::Timestamp;

use crate::date::DateTime;
use crate::header;

/// How a letter came: the `with` clause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// `SMTP`: HELO.
    Smtp,
    /// `ESMTP` and its kin.
    Esmtp(Guard),
    /// `LMTP` and its kin.
    Lmtp(Guard),
}

/// What protected the session (RFC 3848).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Guard {
    /// TLS was on: `S`.
    pub tls: bool,
    /// The client had authenticated: `A`.
    pub authenticated: bool,
    /// MAIL carried SMTPUTF8 (RFC 6531 §4.3): `UTF8SMTP`, `UTF8LMTP`.
    pub utf8: bool,
}

impl Protocol {
    /// The registered word, e.g. `ESMTPSA` (RFC 3848, RFC 6531 §4.3).
    pub fn word(self) -> String {
        let (stem, utf8_stem, guard) = match self {
            Protocol::Smtp => return "SMTP".to_owned(),
            Protocol::Esmtp(guard) => ("ESMTP", "UTF8SMTP", guard),
            Protocol::Lmtp(guard) => ("LMTP", "UTF8LMTP", guard),
        };
        let mut word = if guard.utf8 { utf8_stem } else { stem }.to_owned();
        if guard.tls {
            word.push('S');
        }
        if guard.authenticated {
            word.push('A');
        }
        word
    }
}

/// What one Received line says.
#[derive(Clone, Copy, Debug)]
pub struct Received<'a> {
    /// What the client called itself in EHLO; `None` for a local hand-over.
    pub helo: Option<&'a str>,
    /// The client's address; `None` for a Unix socket.
    pub address: Option<IpAddr>,
    /// The host that takes the letter: our own name.
    pub by: &'a str,
    /// How it came.
    pub with: Protocol,
    /// TLS version and cipher for the reader, e.g. `TLS1.3 TLS_AES_256_GCM_SHA384`.
    pub tls: Option<&'a str>,
    /// The journey id.
    pub id: &'a str,
    /// The recipient; only where the transaction has just one (RFC 5321 §7.2).
    pub recipient: Option<&'a str>,
    /// When it was taken.
    pub at: DateTime,
}

impl Received<'_> {
    /// The whole field with its line end, folded before each clause.
    pub fn to_field(&self) -> Vec<u8> {
        let mut text = String::from("Received: ");
        let helo = self.helo.map(clean);
        match (helo, self.address) {
            (Some(helo), Some(address)) => {
                text.push_str(&format!("from {helo} ({})", address_literal(address)));
            }
            (Some(helo), None) => text.push_str(&format!("from {helo}")),
            (None, Some(address)) => {
                text.push_str(&format!("from {}", address_literal(address)));
            }
            (None, None) => {}
        }
        if !text.ends_with(": ") {
            text.push_str("\r\n\t");
        }
        text.push_str(&format!("by {} with {}", clean(self.by), self.with.word()));
        if let Some(tls) = self.tls {
            text.push_str(&format!("\r\n\t({})", clean(tls).replace(['(', ')', '\\'], "")));
        }
        text.push_str(&format!(" id {}", clean(self.id)));
        if let Some(recipient) = self.recipient {
            text.push_str(&format!("\r\n\tfor <{}>", clean(recipient)));
        }
        text.push_str(&format!(";\r\n\t{}\r\n", self.at.to_rfc5322()));
        text.into_bytes()
    }
}

/// Return-Path with its line end (RFC 5321 §4.4); the empty path for bounces.
pub fn return_path(reverse_path: &str) -> Vec<u8> {
    format!("Return-Path: <{}>\r\n", clean(reverse_path)).into_bytes()
}

/// Received fields in a header: the hop count that RFC 5321 §6.3 asks to be limited.
pub fn hops(block: &[u8]) -> usize {
    header::count(block, "Received")
}

/// What a Received line claims; every part may be missing or a lie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Word after `from`.
    pub from: Option<String>,
    /// Word after `by`.
    pub by: Option<String>,
    /// Word after `with`.
    pub with: Option<String>,
    /// Word after `id`.
    pub id: Option<String>,
    /// Word after `for`, without angle brackets.
    pub recipient: Option<String>,
    /// The date.
    pub at: Option<DateTime>,
}

/// The claims of all Received fields, newest first.
pub fn claims(block: &[u8]) -> Vec<Claim> {
    header::fields(block)
        .filter(|field| field.is(block, "Received"))
        .map(|field| parse(&header::unfold(field.value(block))))
        .collect()
}

/// Reads one value loosely: clause words in any order, comments passed over.
pub fn parse(value: &[u8]) -> Claim {
    let limit = value.len().min(crate::limits::MAX_VALUE);
    let text = String::from_utf8_lossy(value.get(..limit).unwrap_or(value)).into_owned();
    let (clauses, date) = text.rsplit_once(';').unwrap_or((&text, ""));
    let mut claim = Claim { at: DateTime::parse(date.as_bytes()), ..Claim::default() };
    let words = words_outside_comments(clauses);
    for pair in words.windows(2) {
        let [keyword, value] = pair else { continue };
        let slot = match keyword.to_ascii_lowercase().as_str() {
            "from" => &mut claim.from,
            "by" => &mut claim.by,
            "with" => &mut claim.with,
            "id" => &mut claim.id,
            "for" => &mut claim.recipient,
            _ => continue,
        };
        slot.get_or_insert_with(|| value.trim_matches(['<', '>']).to_owned());
    }
    claim
}

fn words_outside_comments(text: &str) -> Vec<String> {
    let mut depth = 0_usize;
    let mut plain = String::new();
    for c in text.chars() {
        match c {
            '(' => {
                depth += 1;
                plain.push(' ');
            }
            ')' => depth = depth.saturating_sub(1),
            c if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain.split_whitespace().map(str::to_owned).collect()
}

/// RFC 5321 §4.1.3.
fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A word of a peer's that goes into a field of ours: no white space or control to end it with.
fn clean(word: &str) -> String {
    word.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

/// The moment a letter says it was last received.
pub fn newest(block: &[u8]) -> Option<Timestamp> {
    let field = header::find(block, "Received")?;
    parse(&header::unfold(field.value(block))).at.map(|at| at.moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(with: Protocol) -> Received<'static> {
        Received {
            helo: Some("mail.red.test"),
            address: Some("::ffff:192.0.2.1".parse().unwrap()),
            by: "mx.blue.test",
            with,
            tls: Some("TLS1.3 TLS_AES_256_GCM_SHA384"),
            id: "01hxyz",
            recipient: Some("bob@blue.test"),
            at: DateTime::utc(Timestamp::from_seconds(0)),
        }
    }

    #[test]
    fn prints_and_reads_back() {
        let guard = Guard { tls: true, authenticated: true, utf8: false };
        let field = line(Protocol::Esmtp(guard)).to_field();
        assert_eq!(
            String::from_utf8(field.clone()).unwrap(),
            "Received: from mail.red.test ([192.0.2.1])\r\n\tby mx.blue.test with ESMTPSA\r\n\t\
             (TLS1.3 TLS_AES_256_GCM_SHA384) id 01hxyz\r\n\tfor <bob@blue.test>;\r\n\t\
             Thu, 1 Jan 1970 00:00:00 +0000\r\n"
        );
        let claim = claims(&field).remove(0);
        assert_eq!(claim.from.as_deref(), Some("mail.red.test"));
        assert_eq!(claim.by.as_deref(), Some("mx.blue.test"));
        assert_eq!(claim.with.as_deref(), Some("ESMTPSA"));
        assert_eq!(claim.id.as_deref(), Some("01hxyz"));
        assert_eq!(claim.recipient.as_deref(), Some("bob@blue.test"));
        assert_eq!(claim.at, Some(DateTime::utc(Timestamp::from_seconds(0))));
        assert_eq!(hops(&[field.clone(), field].concat()), 2);
    }

    #[test]
    fn words_of_rfc_3848_and_6531() {
        let guard = |tls, authenticated, utf8| Guard { tls, authenticated, utf8 };
        assert_eq!(Protocol::Smtp.word(), "SMTP");
        assert_eq!(Protocol::Esmtp(guard(false, false, false)).word(), "ESMTP");
        assert_eq!(Protocol::Esmtp(guard(true, false, false)).word(), "ESMTPS");
        assert_eq!(Protocol::Esmtp(guard(true, true, true)).word(), "UTF8SMTPSA");
        assert_eq!(Protocol::Lmtp(guard(false, false, false)).word(), "LMTP");
        assert_eq!(Protocol::Lmtp(guard(false, true, false)).word(), "LMTPA");
    }

    #[test]
    fn hostile_words_stay_inside_the_field() {
        let hostile = Received {
            helo: Some("x\r\nBcc: victim@y"),
            tls: Some("a) id b\r\n\r\n"),
            ..line(Protocol::Smtp)
        };
        let field = hostile.to_field();
        assert_eq!(header::fields(&field).count(), 1);
        assert_eq!(header::length(&field), field.len());
    }

    #[test]
    fn reads_what_others_write() {
        let claim = parse(
            b"from a (b [1.2.3.4] (may be forged)) (authenticated) by c.d (8.1/8.1) id X1; \
              Fri, 21 Nov 1997 09:55:06 -0600 (CST)",
        );
        assert_eq!(claim.from.as_deref(), Some("a"));
        assert_eq!(claim.by.as_deref(), Some("c.d"));
        assert_eq!(claim.id.as_deref(), Some("X1"));
        assert_eq!(claim.at.map(|at| at.offset_minutes), Some(-360));
        assert_eq!(parse(b"((((((;;;"), Claim::default());
    }
}
