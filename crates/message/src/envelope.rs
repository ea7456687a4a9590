//! The IMAP ENVELOPE of a letter (RFC 9051 §7.5.2): eight fields in raw form, addresses taken
//! apart by a tolerant RFC 5322 §3.4 and §4.4 reader. Nothing is decoded here.

mod address_list;

use crate::limits::MAX_FIELD;
use crate::scan::structure::RawText;

pub use address_list::parse_addresses;

/// ENVELOPE. `None` and empty lists are NIL.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// Date as written.
    pub date: Option<RawText>,
    /// Subject as written.
    pub subject: Option<RawText>,
    /// From.
    pub from: Vec<EnvelopeAddress>,
    /// Sender, or From where there is none.
    pub sender: Vec<EnvelopeAddress>,
    /// Reply-To, or From where there is none.
    pub reply_to: Vec<EnvelopeAddress>,
    /// To.
    pub to: Vec<EnvelopeAddress>,
    /// Cc.
    pub cc: Vec<EnvelopeAddress>,
    /// Bcc.
    pub bcc: Vec<EnvelopeAddress>,
    /// In-Reply-To as written.
    pub in_reply_to: Option<RawText>,
    /// Message-ID as written.
    pub message_id: Option<RawText>,
}

/// One element of an address list in IMAP's form: a mailbox, or with `host` absent the start of a
/// group (`mailbox` is its name) or its end (`mailbox` absent too).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EnvelopeAddress {
    /// Display name: quotes removed, encoded words left.
    pub name: Option<RawText>,
    /// RFC 5322 §4.4 source route.
    pub route: Option<RawText>,
    /// Local part, or name of the group that begins here.
    pub mailbox: Option<RawText>,
    /// Domain.
    pub host: Option<RawText>,
}

/// The fields of a header that an envelope is made of.
pub(crate) const FIELDS: [&str; 10] = [
    "date",
    "subject",
    "from",
    "sender",
    "reply-to",
    "to",
    "cc",
    "bcc",
    "in-reply-to",
    "message-id",
];

impl Envelope {
    /// The envelope of a header block.
    pub fn of_header(header: &[u8]) -> Self {
        let mut envelope = Envelope::default();
        for field in crate::header::fields(header) {
            let raw = field.value(header);
            let raw = raw.get(..MAX_FIELD).unwrap_or(raw);
            envelope.add(field.name(header), &crate::header::unfold(raw));
        }
        envelope.finish();
        envelope
    }

    /// Takes up one field, unfolded. Of a field that is repeated the first counts, but address
    /// lists are joined: RFC 5322 §3.6 forbids both, and clients expect to see all addresses.
    pub(crate) fn add(&mut self, name: &[u8], value: &[u8]) {
        let lower = name.to_ascii_lowercase();
        let text = match lower.as_slice() {
            b"date" => &mut self.date,
            b"subject" => &mut self.subject,
            b"in-reply-to" => &mut self.in_reply_to,
            b"message-id" => &mut self.message_id,
            b"from" => return self.from.extend(parse_addresses(value)),
            b"sender" => return self.sender.extend(parse_addresses(value)),
            b"reply-to" => return self.reply_to.extend(parse_addresses(value)),
            b"to" => return self.to.extend(parse_addresses(value)),
            b"cc" => return self.cc.extend(parse_addresses(value)),
            b"bcc" => return self.bcc.extend(parse_addresses(value)),
            _ => return,
        };
        if text.is_none() {
            *text = Some(value.to_vec());
        }
    }

    /// RFC 9051 §7.5.2: Sender and Reply-To absent or empty are From.
    pub(crate) fn finish(&mut self) {
        if self.sender.is_empty() {
            self.sender.clone_from(&self.from);
        }
        if self.reply_to.is_empty() {
            self.reply_to.clone_from(&self.from);
        }
    }
}
