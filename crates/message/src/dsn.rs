//! Delivery status notifications: a multipart/report (RFC 6522) of a text for people, a
//! message/delivery-status (RFC 3464) for programs, and what is given back of the letter.
//!
//! Built here, sent by the MTA. The words for people and every id are the caller's.

mod recipient;

use protocol::time::Timestamp;

use crate::date::DateTime;
use crate::limits::MAX_REPORTED_HEADER;
use crate::{header, transfer};

pub use recipient::{Action, Recipient};

/// In which alphabet the report may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// ASCII header fields; a non-ASCII address is written in xtext form (RFC 6533 §3).
    Ascii,
    /// The letter came with SMTPUTF8, so its sender's system understands it: message/global-*
    /// parts with UTF-8 in them (RFC 6533 §4, §5). The report itself needs SMTPUTF8.
    Utf8,
}

/// What is given back of the original letter.
#[derive(Clone, Copy, Debug)]
pub enum Original<'a> {
    /// Its header (RET=HDRS, and every notice of delay).
    Header(&'a [u8]),
    /// All of it (RET=FULL).
    Whole(&'a [u8]),
}

/// A report about one letter.
#[derive(Clone, Copy, Debug)]
pub struct Report<'a> {
    /// In which alphabet.
    pub dialect: Dialect,
    /// Host name of the MTA that reports.
    pub reporting_mta: &'a str,
    /// Address in From, e.g. `postmaster@red.test`; shown as "Mail Delivery System".
    pub from: &'a str,
    /// The reverse-path of the letter: who is told.
    pub to: &'a str,
    /// Subject, e.g. `Not delivered: Lunch`.
    pub subject: &'a str,
    /// Message-ID of the report, without angle brackets.
    pub message_id: &'a str,
    /// Boundary between the parts: up to 60 letters and digits that occur in no part.
    pub boundary: &'a str,
    /// Date of the report.
    pub at: DateTime,
    /// The first part: what happened, whose side it is on, what to do. UTF-8, lines end with LF.
    pub explanation: &'a str,
    /// ENVID of the letter, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<&'a str>,
    /// When the letter came to the reporting MTA.
    pub arrival: Option<Timestamp>,
    /// The recipients this report is about.
    pub recipients: &'a [Recipient<'a>],
    /// The third part.
    pub original: Original<'a>,
}

impl Report<'_> {
    /// The report as a letter, CRLF line ends. It is to be sent with the null reverse-path
    /// (RFC 3464 §2).
    pub fn to_letter(&self) -> Vec<u8> {
        let mut out = self.header();
        self.open_part(&mut out);
        self.write_explanation(&mut out);
        self.open_part(&mut out);
        self.write_status(&mut out);
        self.open_part(&mut out);
        self.write_original(&mut out);
        out.extend_from_slice(format!("\r\n--{}--\r\n", self.boundary).as_bytes());
        out
    }

    fn header(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let subject = match self.dialect {
            Dialect::Ascii => transfer::encode_words(self.subject),
            Dialect::Utf8 => self.subject.to_owned(),
        };
        // RFC 3464 §2: MIME-Version and multipart/report; RFC 3834 §5: Auto-Submitted.
        for (name, value) in [
            ("From", format!("Mail Delivery System <{}>", self.from).as_str()),
            ("To", &format!("<{}>", self.to)),
            ("Subject", &subject),
            ("Date", &self.at.to_rfc5322()),
            ("Message-ID", &format!("<{}>", self.message_id)),
            ("Auto-Submitted", "auto-replied"),
            ("MIME-Version", "1.0"),
        ] {
            out.extend(header::field(name, value));
        }
        let boundary = self.boundary;
        out.extend_from_slice(
            format!(
                "Content-Type: multipart/report; report-type=delivery-status;\r\n\
                 \tboundary=\"{boundary}\"\r\n\r\n\
                 This is a delivery report in MIME format (RFC 3464).\r\n"
            )
            .as_bytes(),
        );
        out
    }

    fn open_part(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(format!("\r\n--{}\r\n", self.boundary).as_bytes());
    }

    fn write_explanation(&self, out: &mut Vec<u8>) {
        let text = self.explanation.replace("\r\n", "\n").replace('\n', "\r\n");
        let lines_fit = text.lines().all(|line| line.len() <= crate::limits::MAX_LINE);
        out.extend_from_slice(b"Content-Description: Notification\r\n");
        if text.is_ascii() && lines_fit {
            out.extend_from_slice(b"Content-Type: text/plain; charset=us-ascii\r\n\r\n");
            out.extend_from_slice(text.as_bytes());
        } else {
            out.extend_from_slice(
                b"Content-Type: text/plain; charset=utf-8\r\n\
                  Content-Transfer-Encoding: quoted-printable\r\n\r\n",
            );
            transfer::encode_quoted_printable(text.as_bytes(), out);
        }
    }

    fn write_status(&self, out: &mut Vec<u8>) {
        let media = match self.dialect {
            Dialect::Ascii => "message/delivery-status",
            // RFC 6533 §4.1: 8bit is allowed and the natural encoding.
            Dialect::Utf8 => "message/global-delivery-status\r\nContent-Transfer-Encoding: 8bit",
        };
        out.extend_from_slice(
            format!("Content-Description: Delivery report\r\nContent-Type: {media}\r\n\r\n")
                .as_bytes(),
        );
        // RFC 3464 §2.2: fields about the letter, then a block for each recipient.
        if let Some(id) = self.envelope_id {
            out.extend(header::field("Original-Envelope-Id", id));
        }
        out.extend(header::field("Reporting-MTA", &format!("dns; {}", self.reporting_mta)));
        if let Some(arrival) = self.arrival {
            out.extend(header::field("Arrival-Date", &DateTime::utc(arrival).to_rfc5322()));
        }
        for recipient in self.recipients {
            out.extend_from_slice(b"\r\n");
            recipient.write(self.dialect, out);
        }
    }

    fn write_original(&self, out: &mut Vec<u8>) {
        let (bytes, media) = match (self.original, self.dialect) {
            (Original::Whole(letter), Dialect::Ascii) => (letter, "message/rfc822"),
            (Original::Whole(letter), Dialect::Utf8) => (letter, "message/global"),
            (Original::Header(block), dialect) => {
                let kept = header_to_report(block);
                let media = match dialect {
                    Dialect::Ascii => "text/rfc822-headers",
                    Dialect::Utf8 => "message/global-headers",
                };
                (kept, media)
            }
        };
        let encoding = if bytes.is_ascii() { "7bit" } else { "8bit" };
        out.extend_from_slice(
            format!(
                "Content-Description: The letter\r\nContent-Type: {media}\r\n\
                 Content-Transfer-Encoding: {encoding}\r\n\r\n"
            )
            .as_bytes(),
        );
        out.extend_from_slice(bytes);
    }
}

/// The header block, cut after a whole line when it is immense.
fn header_to_report(block: &[u8]) -> &[u8] {
    let block = block.get(..header::length(block)).unwrap_or(block);
    let Some(fitting) = block.get(..MAX_REPORTED_HEADER) else { return block };
    let end = memchr::memrchr(b'\n', fitting).map_or(0, |lf| lf + 1);
    block.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests;
