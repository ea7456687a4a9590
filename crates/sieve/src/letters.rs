//! The letters that actions make: a vacation answer and a notification, as bytes. Their senders,
//! identifiers and times come from who sends them.

use message::date::DateTime;
use message::header;
use message::transfer;

use crate::outcome::{Answer, Notice};
use crate::run::{text_entity, to_crlf};

/// What a made letter needs besides what it says.
#[derive(Debug, Clone)]
pub struct Stamp<'a> {
    /// The owner's address: From, where the script says nothing else.
    pub owner: &'a str,
    /// With its angle brackets.
    pub message_id: &'a str,
    /// Now.
    pub date: DateTime,
}

impl Answer {
    /// The answer as a letter (RFC 5230 §5, RFC 3834 §3.1).
    pub fn to_letter(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let from = self.from.as_deref().unwrap_or(stamp.owner);
        let mut letter = beginning(stamp, from, &self.to, &self.subject);
        if let Some(id) = &self.in_reply_to {
            letter.extend(header::field("In-Reply-To", &format!("<{id}>")));
        }
        if !self.references.is_empty() {
            let ids: Vec<String> = self.references.iter().map(|id| format!("<{id}>")).collect();
            letter.extend(header::field("References", &ids.join(" ")));
        }
        letter.extend(header::field("Auto-Submitted", "auto-replied (vacation)"));
        letter.extend(header::field("Precedence", "bulk"));
        letter.extend(header::field("X-Auto-Response-Suppress", "All"));
        letter.extend_from_slice(b"MIME-Version: 1.0\r\n");
        match self.mime {
            // RFC 5230 §4.4: a MIME entity, its header included.
            true => letter.extend(to_crlf(&self.text)),
            false => letter.extend(text_entity(&self.text)),
        }
        letter
    }
}

impl Notice {
    /// The notification as a letter (RFC 5436 §2.7).
    pub fn to_letter(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let from = self.from.as_deref().unwrap_or(stamp.owner);
        let mut letter = beginning(stamp, from, &self.to.join(", "), &self.subject);
        let automatic = format!("auto-notified; owner-email=\"{}\"", stamp.owner);
        letter.extend(header::field("Auto-Submitted", &automatic));
        let importance = match self.importance {
            1 => Some(("high", "1 (High)")),
            3 => Some(("low", "5 (Low)")),
            _ => None,
        };
        if let Some((word, priority)) = importance {
            letter.extend(header::field("Importance", word));
            letter.extend(header::field("X-Priority", priority));
        }
        for (name, value) in &self.fields {
            letter.extend(header::field(name, &transfer::encode_words(value)));
        }
        letter.extend_from_slice(b"MIME-Version: 1.0\r\n");
        letter.extend(text_entity(&self.text));
        letter
    }
}

fn beginning(stamp: &Stamp<'_>, from: &str, to: &str, subject: &str) -> Vec<u8> {
    let mut letter = header::field("Date", &stamp.date.to_rfc5322());
    letter.extend(header::field("From", from));
    letter.extend(header::field("To", to));
    letter.extend(header::field("Subject", &transfer::encode_words(subject)));
    letter.extend(header::field("Message-ID", stamp.message_id));
    letter
}
