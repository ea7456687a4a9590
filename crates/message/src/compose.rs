//! Builds letters that people write: text, HTML beside it, attachments of any kind, replies and
//! forwards that continue a thread. Over mail-builder, which is seen nowhere else; only addresses
//! that `protocol::address` accepted get in. Dates, ids and boundaries are the caller's.
//!
//! Used by the user agent and by whatever else writes letters of its own. Reports have
//! [`crate::dsn`].

use std::borrow::Cow;

use mail_builder::MessageBuilder;
use mail_builder::headers::address::Address as BuilderAddress;
use mail_builder::headers::content_type::ContentType;
use mail_builder::headers::message_id::MessageId;
use mail_builder::headers::raw::Raw;
use mail_builder::headers::text::Text;
use mail_builder::mime::{BodyPart, MimePart};
use protocol::address::Address;

use crate::date::DateTime;

/// A person or list in a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Correspondent {
    /// Display name.
    pub name: Option<String>,
    /// Where letters go.
    pub address: Address,
}

/// Where an attachment is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// By itself, to be saved or opened.
    Attached,
    /// Within the text; with a content id, where the HTML names it.
    Inline,
}

/// Something that goes with the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// `type/subtype`; anything else is sent as application/octet-stream.
    pub media_type: String,
    /// Name to save it under.
    pub file_name: Option<String>,
    /// Content-ID without angle brackets.
    pub content_id: Option<String>,
    /// Where it is shown.
    pub placement: Placement,
    /// Its content. A message/rfc822 is written as it is, all else encoded.
    pub octets: Vec<u8>,
}

/// A letter to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Author.
    pub from: Correspondent,
    /// To.
    pub to: Vec<Correspondent>,
    /// Cc.
    pub cc: Vec<Correspondent>,
    /// Bcc: stands in the letter so that the copy that is kept shows it; what is sent goes through
    /// [`without_bcc`].
    pub bcc: Vec<Correspondent>,
    /// Reply-To.
    pub reply_to: Vec<Correspondent>,
    /// Subject.
    pub subject: String,
    /// The text, lines ending in LF or CRLF.
    pub text: String,
    /// The same in HTML.
    pub html: Option<String>,
    /// What goes with it.
    pub attachments: Vec<Attachment>,
    /// Message ids answered, without angle brackets.
    pub in_reply_to: Vec<String>,
    /// The thread: [`crate::message_id::references_of_reply`].
    pub references: Vec<String>,
}

/// What makes this letter this one.
#[derive(Clone, Copy, Debug)]
pub struct Stamp<'a> {
    /// Date.
    pub date: DateTime,
    /// Message-ID without angle brackets.
    pub message_id: &'a str,
    /// Beginning of all boundaries: up to 50 letters and digits that no content has.
    pub boundary: &'a str,
    /// User-Agent.
    pub user_agent: &'a str,
}

impl Draft {
    /// An empty letter from someone.
    pub fn new(from: Correspondent) -> Self {
        Draft {
            from,
            to: Vec::new(),
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: Vec::new(),
            subject: String::new(),
            text: String::new(),
            html: None,
            attachments: Vec::new(),
            in_reply_to: Vec::new(),
            references: Vec::new(),
        }
    }

    /// Everyone the letter goes to, once each.
    pub fn recipients(&self) -> Vec<&Address> {
        let mut found: Vec<&Address> = Vec::new();
        for one in self.to.iter().chain(&self.cc).chain(&self.bcc) {
            if !found.contains(&&one.address) {
                found.push(&one.address);
            }
        }
        found
    }

    /// The letter with CRLF line ends, Bcc included. Lines are within RFC 5322 §2.1.1, octets are
    /// ASCII unless an address or an attached letter is not.
    pub fn to_letter(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let ids = |ids: &[String]| MessageId::new_list(ids.iter().map(|id| one_line(id)));
        let mut builder = MessageBuilder::new()
            .header("Date", Raw::new(stamp.date.to_rfc5322()))
            .header("Message-ID", MessageId::new(one_line(stamp.message_id)))
            .from(list(std::slice::from_ref(&self.from)));
        for (name, people) in
            [("Reply-To", &self.reply_to), ("To", &self.to), ("Cc", &self.cc), ("Bcc", &self.bcc)]
        {
            if !people.is_empty() {
                builder = builder.header(name, list(people));
            }
        }
        builder = builder.header("Subject", Text::new(one_line(&self.subject)));
        if !self.in_reply_to.is_empty() {
            builder = builder.header("In-Reply-To", ids(&self.in_reply_to));
        }
        if !self.references.is_empty() {
            builder = builder.header("References", ids(&self.references));
        }
        builder = builder.header("User-Agent", Text::new(one_line(stamp.user_agent)));
        let mut letter = Vec::new();
        builder.body(self.body(stamp.boundary)).serialize(&mut letter);
        letter
    }

    /// mixed(alternative(text, related(html, inline...)), attached...), each only where needed.
    fn body(&self, boundary: &str) -> MimePart<'_> {
        let names_inline = |a: &&Attachment| {
            self.html.is_some() && a.placement == Placement::Inline && a.content_id.is_some()
        };
        let inline: Vec<&Attachment> = self.attachments.iter().filter(names_inline).collect();
        let attached = self.attachments.iter().filter(|a| !names_inline(a));
        let text = MimePart::new(
            ContentType::new("text/plain").attribute("charset", "utf-8"),
            BodyPart::Text(Cow::from(self.text.as_str())),
        );
        let readable = match &self.html {
            None => text,
            Some(html) => {
                let html = MimePart::new(
                    ContentType::new("text/html").attribute("charset", "utf-8"),
                    BodyPart::Text(Cow::from(html.as_str())),
                );
                let rich = if inline.is_empty() {
                    html
                } else {
                    let mut parts = vec![html];
                    parts.extend(inline.into_iter().map(part));
                    multipart("related", boundary, parts)
                };
                multipart("alternative", boundary, vec![text, rich])
            }
        };
        let mut parts = vec![readable];
        parts.extend(attached.map(part));
        if parts.len() > 1 { multipart("mixed", boundary, parts) } else { parts.remove(0) }
    }
}

/// The letter without its Bcc fields: what goes out (RFC 5322 §3.6.3).
pub fn without_bcc(letter: &[u8]) -> Vec<u8> {
    crate::header::without(letter, &["Bcc"])
}

fn list(people: &[Correspondent]) -> BuilderAddress<'_> {
    let one = |person: &Correspondent| {
        let name = person.name.as_deref().map(one_line).filter(|name| !name.is_empty());
        BuilderAddress::new_address(name, person.address.to_string())
    };
    BuilderAddress::new_list(people.iter().map(one).collect())
}

fn multipart<'a>(subtype: &str, boundary: &str, parts: Vec<MimePart<'a>>) -> MimePart<'a> {
    // Each kind occurs once, so that its name keeps the boundaries apart.
    let content_type = ContentType::new(format!("multipart/{subtype}"))
        .attribute("boundary", format!("{boundary}-{subtype}"));
    MimePart::new(content_type, parts)
}

fn part(attachment: &Attachment) -> MimePart<'_> {
    let media_type = media_type(&attachment.media_type);
    let octets = attachment.octets.as_slice();
    let is_letter = media_type == "message/rfc822" || media_type == "message/global";
    let mut content_type = ContentType::new(media_type.clone());
    if media_type.starts_with("text/") && std::str::from_utf8(octets).is_ok() {
        content_type = content_type.attribute("charset", "utf-8");
    }
    let mut part = MimePart::new(content_type, BodyPart::Binary(Cow::from(octets)));
    let kind = match attachment.placement {
        Placement::Attached => "attachment",
        Placement::Inline => "inline",
    };
    let mut disposition = ContentType::new(kind);
    if let Some(name) = &attachment.file_name {
        disposition = disposition.attribute("filename", one_line(name));
    }
    part = part.header("Content-Disposition", disposition);
    if let Some(id) = &attachment.content_id {
        part = part.cid(one_line(id));
    }
    if is_letter {
        // RFC 2046 §5.2.1: a letter in a letter is not encoded.
        part = part.transfer_encoding(if octets.is_ascii() { "7bit" } else { "8bit" });
    }
    part
}

/// RFC 2045 §5.1: two tokens with a slash between.
fn media_type(declared: &str) -> String {
    let is_token = |word: &str| {
        !word.is_empty()
            && word.bytes().all(|o| o.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?=".contains(&o))
    };
    match declared.split_once('/') {
        Some((kind, subtype))
            if is_token(kind) && is_token(subtype) && !kind.eq_ignore_ascii_case("multipart") =>
        {
            declared.to_ascii_lowercase()
        }
        _ => "application/octet-stream".to_owned(),
    }
}

/// Text that cannot end a header field.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests;
