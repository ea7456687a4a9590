//! Replies and forwards: who they go to, what they quote, what they carry along.

use message::compose::{Attachment, Correspondent, Draft, Placement};
use message::message_id;
use message::values;
use protocol::time::Timestamp;

use super::people;
use crate::account::Account;
use crate::retrieve::read::Letter;
use crate::show::local_time::Zone;
use crate::show::safe;

/// Columns in which HTML is quoted.
const QUOTE_WIDTH: usize = 72;

/// Who gets a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The author.
    Author,
    /// The author and all other recipients.
    All,
}

/// A reply to a letter.
pub fn reply(account: &Account, letter: &Letter, to: To, zone: &Zone) -> Draft {
    let mut draft = Draft::new(own_address(account, letter));
    let is_own = |one: &Correspondent| account.owns(&one.address);
    let authors = correspondents(letter, "From");
    let asked = correspondents(letter, "Reply-To");
    // A reply to what we wrote ourselves goes to whom we wrote.
    let own_letter = !authors.is_empty() && authors.iter().all(is_own);
    draft.to = if own_letter {
        correspondents(letter, "To")
    } else if asked.is_empty() {
        authors
    } else {
        asked
    };
    if to == To::All {
        let others = correspondents(letter, "To").into_iter().chain(correspondents(letter, "Cc"));
        for one in others {
            let known = |list: &[Correspondent]| list.iter().any(|k| k.address == one.address);
            if !is_own(&one) && !known(&draft.to) && !known(&draft.cc) {
                draft.cc.push(one);
            }
        }
    }
    dedup(&mut draft.to);
    draft.subject = prefixed("Re", &letter.field("Subject").unwrap_or_default());
    draft.in_reply_to = message_id::of_header(&letter.raw).into_iter().collect();
    draft.references = message_id::references_of_reply(&letter.raw);
    draft.text = format!("{}\n{}\n", attribution(letter, zone), quoted(&letter.text(QUOTE_WIDTH)));
    draft
}

/// How a letter is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Its text below ours, its attachments beside it.
    Inline,
    /// The whole letter, untouched, as one attachment.
    Whole,
}

/// A letter passed on.
pub fn forward(account: &Account, letter: &Letter, form: Form) -> Draft {
    let mut draft = Draft::new(own_address(account, letter));
    let subject = letter.field("Subject").unwrap_or_default();
    draft.subject = prefixed("Fwd", &subject);
    draft.references = message_id::references_of_reply(&letter.raw);
    match form {
        Form::Whole => {
            draft.attachments.push(Attachment {
                media_type: "message/rfc822".into(),
                file_name: Some("forwarded.eml".into()),
                content_id: None,
                placement: Placement::Attached,
                octets: letter.raw.clone(),
            });
        }
        Form::Inline => {
            let mut text = String::from("\n\n---------- Forwarded letter ----------\n");
            for name in ["From", "Date", "Subject", "To", "Cc"] {
                if let Some(value) = letter.field(name) {
                    text.push_str(&format!("{name}: {}\n", safe::line(&value)));
                }
            }
            draft.text = format!("{text}\n{}", letter.text(QUOTE_WIDTH));
            draft.attachments = kept_attachments(letter);
        }
    }
    draft
}

/// Every part that is an attachment, as it came.
fn kept_attachments(letter: &Letter) -> Vec<Attachment> {
    letter
        .structure
        .parts()
        .into_iter()
        .filter(|(path, part)| {
            // What is inside a kept letter comes with it.
            values::is_attachment(part) && !inside_kept_letter(letter, path)
        })
        .map(|(_, part)| Attachment {
            media_type: format!("{}/{}", part.media.kind, part.media.subtype),
            file_name: values::file_name(part),
            content_id: None,
            placement: Placement::Attached,
            octets: letter.octets(part),
        })
        .collect()
}

fn inside_kept_letter(letter: &Letter, path: &[u32]) -> bool {
    use message::scan::structure::Content;
    (1..path.len()).any(|length| {
        let holder = path.get(..length).and_then(|path| letter.structure.part(path));
        holder.is_some_and(|part| matches!(part.content, Content::Message(_)))
    })
}

/// Of our addresses the one that the letter came to, else the first.
fn own_address(account: &Account, letter: &Letter) -> Correspondent {
    let came_to = ["To", "Cc", "Delivered-To", "X-Original-To"]
        .iter()
        .flat_map(|name| correspondents(letter, name))
        .find(|one| account.owns(&one.address));
    let address = came_to.map_or_else(|| account.address.clone(), |one| one.address);
    Correspondent { name: account.person.clone(), address }
}

/// Those in a field that can be written to.
fn correspondents(letter: &Letter, name: &str) -> Vec<Correspondent> {
    values::addresses(&letter.raw_field(name))
        .into_iter()
        .filter_map(|one| {
            let name = one.name.map(|name| safe::line(&name));
            Some(Correspondent { name, address: one.address.parse().ok()? })
        })
        .collect()
}

fn dedup(list: &mut Vec<Correspondent>) {
    let mut seen = Vec::new();
    list.retain(|one| {
        let new = !seen.contains(&one.address);
        seen.push(one.address.clone());
        new
    });
}

/// `Re: subject`, once.
fn prefixed(prefix: &str, subject: &str) -> String {
    let subject = safe::line(subject).trim().to_owned();
    let has_it =
        subject.split_once(':').is_some_and(|(word, _)| word.trim().eq_ignore_ascii_case(prefix));
    if has_it { subject } else { format!("{prefix}: {subject}") }
}

fn attribution(letter: &Letter, zone: &Zone) -> String {
    let who = values::addresses(&letter.raw_field("From")).into_iter().next();
    let who = who.map_or_else(|| "somebody".to_owned(), |one| one.name.unwrap_or(one.address));
    let when = message::date::DateTime::parse(&letter.raw_field("Date"));
    let when = when.map(|date| date.moment).map(|moment: Timestamp| zone.long(moment));
    match when {
        Some(when) => format!("On {when}, {} wrote:", safe::line(&who)),
        None => format!("{} wrote:", safe::line(&who)),
    }
}

/// Every line behind `>`; the signature (RFC 3676 §4.3) stays out.
fn quoted(text: &str) -> String {
    let body = text.split("\n-- \n").next().unwrap_or_default();
    body.trim_end()
        .lines()
        .map(
            |line| if line.starts_with('>') { format!(">{line}\n") } else { format!("> {line}\n") },
        )
        .map(|line| line.replace("> \n", ">\n"))
        .collect()
}

/// Addresses typed for a forward or added to a reply.
///
/// # Errors
/// As [`people`].
pub fn add_recipients(
    draft: &mut Draft,
    to: &[String],
    cc: &[String],
    bcc: &[String],
) -> Result<(), crate::Failure> {
    for (typed, list) in [(to, &mut draft.to), (cc, &mut draft.cc), (bcc, &mut draft.bcc)] {
        for one in typed {
            list.extend(people(one)?);
        }
        dedup(list);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
