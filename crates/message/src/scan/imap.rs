//! The structure as `protocol::imap` writes it on the wire. Nothing is decided here: the scanner
//! has already chosen types and defaults that BODYSTRUCTURE can hold.

use bytes::Bytes;
use protocol::imap::structure as wire;

use super::structure::{Content, Disposition, Parameter, Part, Structure};
use crate::envelope::{Envelope, EnvelopeAddress};

impl Structure {
    /// BODYSTRUCTURE of the letter, extension data included.
    pub fn body_structure(&self) -> wire::BodyStructure {
        body_structure(&self.root)
    }
}

impl Envelope {
    /// ENVELOPE for the wire.
    pub fn to_wire(&self) -> wire::Envelope {
        let list = |people: &[EnvelopeAddress]| people.iter().map(address).collect();
        wire::Envelope {
            date: text(self.date.as_ref()),
            subject: text(self.subject.as_ref()),
            from: list(&self.from),
            sender: list(&self.sender),
            reply_to: list(&self.reply_to),
            to: list(&self.to),
            cc: list(&self.cc),
            bcc: list(&self.bcc),
            in_reply_to: text(self.in_reply_to.as_ref()),
            message_id: text(self.message_id.as_ref()),
        }
    }
}

/// Recursion is bounded by `limits::MAX_DEPTH`.
fn body_structure(part: &Part) -> wire::BodyStructure {
    let tail = wire::ExtensionTail {
        disposition: part.disposition.as_ref().map(disposition),
        language: part.languages.iter().map(|tag| Bytes::copy_from_slice(tag)).collect(),
        location: text(part.location.as_ref()),
    };
    if let Content::Multipart(parts) = &part.content {
        return wire::BodyStructure::Multi(wire::MultiPart {
            parts: parts.iter().map(body_structure).collect(),
            media_subtype: word(&part.media.subtype),
            extension: Some(wire::MultiExtension {
                parameters: parameters(&part.media.parameters),
                tail,
            }),
        });
    }
    let detail = match &part.content {
        Content::Message(nested) => wire::SingleDetail::Message {
            envelope: Box::new(nested.envelope.to_wire()),
            body: Box::new(body_structure(&nested.part)),
            lines: part.lines,
        },
        _ if part.media.kind.eq_ignore_ascii_case("text") => {
            wire::SingleDetail::Text { lines: part.lines }
        }
        _ => wire::SingleDetail::Basic,
    };
    wire::BodyStructure::Single(wire::SinglePart {
        media_type: word(&part.media.kind),
        media_subtype: word(&part.media.subtype),
        parameters: parameters(&part.media.parameters),
        id: text(part.id.as_ref()),
        description: text(part.description.as_ref()),
        encoding: word(&part.encoding),
        octets: part.body.len(),
        detail,
        extension: Some(wire::SingleExtension { md5: text(part.md5.as_ref()), tail }),
    })
}

fn address(found: &EnvelopeAddress) -> wire::Address {
    wire::Address {
        name: text(found.name.as_ref()),
        route: text(found.route.as_ref()),
        mailbox: text(found.mailbox.as_ref()),
        host: text(found.host.as_ref()),
    }
}

fn disposition(found: &Disposition) -> (Bytes, Vec<(Bytes, Bytes)>) {
    (word(&found.kind), parameters(&found.parameters))
}

fn parameters(found: &[Parameter]) -> Vec<(Bytes, Bytes)> {
    found.iter().map(|p| (word(&p.name), Bytes::copy_from_slice(&p.value))).collect()
}

fn text(found: Option<&Vec<u8>>) -> wire::NString {
    found.map(|text| Bytes::copy_from_slice(text))
}

fn word(found: &str) -> Bytes {
    Bytes::copy_from_slice(found.as_bytes())
}
