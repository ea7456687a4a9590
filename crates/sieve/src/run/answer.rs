//! `vacation` (RFC 5230, RFC 3834): whether an answer is due at all, and what it says.

use super::{Ran, Run, address};
use crate::fault::{Fault, Position};
use crate::limits::{ANSWER_TEXT, SUBJECT};
use crate::outcome::{Act, Answer};
use crate::program::{Template, Vacation};

impl Run<'_> {
    pub(super) fn vacation(&mut self, at: Position, vacation: &Vacation) -> Ran<()> {
        if self.actions.iter().any(|action| matches!(action.what, Act::Vacation(_))) {
            // RFC 5230 §4.7.
            return Err(Fault::new(at, "vacation is used twice"));
        }
        let optional = |run: &mut Self, template: &Option<Template>| match template {
            Some(template) => run.expand(template).map(Some),
            None => Ok(None),
        };
        let subject = optional(self, &vacation.subject)?;
        let from = optional(self, &vacation.from)?;
        let handle = optional(self, &vacation.handle)?;
        let addresses = self.expand_all(&vacation.addresses)?;
        let mut text = self.expand(&vacation.reason)?;
        text.truncate(text.floor_char_boundary(ANSWER_TEXT));
        let copy = self.copy(vacation.fcc.as_ref())?;
        if let Some(why) = self.why_silent(&addresses) {
            self.note(at, || format!("vacation: no answer, because {why}"));
            return Ok(());
        }
        // RFC 5230 §4.2: without a handle, another text is another answer.
        let handle = handle.map_or_else(
            || format!("{:?} {:?} {} {text}", subject, from, vacation.mime),
            |handle| format!("handle {handle}"),
        );
        let about = self.mail.text("Subject").unwrap_or_default();
        let mut subject = subject.unwrap_or_else(|| match about.is_empty() {
            true => "Automated reply".to_owned(),
            // RFC 5230 §5.2: told apart from an answer by a person.
            false => format!("Auto: {about}"),
        });
        subject.truncate(subject.floor_char_boundary(SUBJECT));
        let block = self.mail.bytes().get(..self.mail.header_length()).unwrap_or_default();
        let answer = Answer {
            to: self.facts.sender.clone(),
            from: from.filter(|from| address::single(from).is_some()),
            subject,
            text,
            mime: vacation.mime,
            handle,
            seconds: vacation.seconds,
            in_reply_to: message::message_id::of_header(block),
            references: message::message_id::references_of_reply(block),
            copy,
        };
        self.push(at, Act::Vacation(Box::new(answer)))
    }

    /// RFC 5230 §4.5 and §4.6, RFC 3834 §2: to whom and to what nobody answers by machine.
    fn why_silent(&self, addresses: &[String]) -> Option<String> {
        let sender = &self.facts.sender;
        if sender.is_empty() {
            return Some("the sender is the null reverse-path".to_owned());
        }
        let local = address::part(sender, crate::program::AddressPart::LocalPart, '+');
        let local = local.unwrap_or_default().to_ascii_lowercase();
        let is_machine = MACHINES.contains(&local.as_str())
            || local.starts_with("owner-")
            || local.ends_with("-owner")
            || local.ends_with("-request")
            || local.contains("-bounces");
        if is_machine {
            return Some(format!("{sender} is no person"));
        }
        let mut own: Vec<&str> = self.facts.owner.iter().map(String::as_str).collect();
        own.push(&self.facts.recipient);
        own.extend(addresses.iter().map(String::as_str));
        if own.iter().any(|own| address::same(own, sender)) {
            return Some("the sender is the owner".to_owned());
        }
        if let Some(name) = LIST_FIELDS.iter().find(|name| self.mail.values(name).next().is_some())
        {
            return Some(format!("the letter has {name}: it came by a list"));
        }
        // RFC 3834 §5: anything but "no" was written by a machine.
        let automatic = self.mail.text("Auto-Submitted").unwrap_or_default().to_ascii_lowercase();
        if !automatic.is_empty() && automatic.split(';').next().map(str::trim) != Some("no") {
            return Some("the letter has Auto-Submitted: a machine wrote it".to_owned());
        }
        let precedence = self.mail.text("Precedence").unwrap_or_default().to_ascii_lowercase();
        if ["bulk", "list", "junk"].contains(&precedence.as_str()) {
            return Some(format!("the letter has Precedence: {precedence}"));
        }
        let suppressed = self.mail.text("X-Auto-Response-Suppress").unwrap_or_default();
        let suppressed = suppressed.to_ascii_lowercase();
        if ["all", "oof", "autoreply"].iter().any(|word| suppressed.contains(word)) {
            return Some("the sender asks for no automatic answer".to_owned());
        }
        // RFC 5230 §4.5: only where the owner is named among those it was written to.
        let named = ADDRESSED.iter().flat_map(|name| self.mail.values(name));
        let mut named = named.flat_map(message::values::addresses);
        match named.any(|to| own.iter().any(|own| address::same(own, &to.address))) {
            true => None,
            false => Some("none of the owner's addresses is in To, Cc or Bcc".to_owned()),
        }
    }
}

/// An action in words.
pub(super) fn words(act: &Act) -> String {
    use super::ask::shown;
    match act {
        Act::Keep { flags } if flags.is_empty() => "keep: into INBOX".to_owned(),
        Act::Keep { flags } => format!("keep: into INBOX with {}", flags.join(" ")),
        Act::FileInto(filing) => format!("fileinto: into {}", shown(&filing.mailbox)),
        Act::Redirect { address } => format!("redirect: on to {address}"),
        Act::Discard => "discard".to_owned(),
        Act::Reject { reason, .. } => format!("reject: back to the sender: {}", shown(reason)),
        Act::Vacation(answer) => format!("vacation: an answer to {}", answer.to),
        Act::Notify(notice) => format!("notify: a note to {}", notice.to.join(", ")),
    }
}

/// RFC 5230 §4.6: senders that are programs.
const MACHINES: [&str; 10] = [
    "mailer-daemon",
    "mailerdaemon",
    "postmaster",
    "listserv",
    "majordomo",
    "mailman",
    "noreply",
    "no-reply",
    "donotreply",
    "do-not-reply",
];

/// RFC 2369, RFC 2919, RFC 3834 §2: signs of a mailing list.
const LIST_FIELDS: [&str; 8] = [
    "List-Id",
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Post",
    "List-Owner",
    "List-Archive",
    "Mailing-List",
];

const ADDRESSED: [&str; 6] = ["To", "Cc", "Bcc", "Resent-To", "Resent-Cc", "Resent-Bcc"];
