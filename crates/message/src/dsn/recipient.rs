//! The block of one recipient in a message/delivery-status part (RFC 3464 §2.3).

use protocol::time::Timestamp;

use super::Dialect;
use crate::date::DateTime;
use crate::header;
use crate::limits::MAX_DIAGNOSTIC;

/// What became of the letter for this recipient (RFC 3464 §2.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Given up.
    Failed,
    /// Still being tried.
    Delayed,
    /// In the mailbox.
    Delivered,
    /// Passed to a system that promises no reports.
    Relayed,
    /// Passed on to several others.
    Expanded,
}

impl Action {
    /// The word of the Action field.
    pub fn word(self) -> &'static str {
        match self {
            Action::Failed => "failed",
            Action::Delayed => "delayed",
            Action::Delivered => "delivered",
            Action::Relayed => "relayed",
            Action::Expanded => "expanded",
        }
    }
}

/// One recipient of the letter.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The address the letter was last tried for.
    pub address: &'a str,
    /// ORCPT as given, decoded, with its type: `rfc822;bob@blue.test` (RFC 3461 §4.2).
    pub original: Option<&'a str>,
    /// What became of it.
    pub action: Action,
    /// RFC 3463 code, e.g. `5.1.1`.
    pub status: &'a str,
    /// Host that answered for the recipient.
    pub remote_mta: Option<&'a str>,
    /// What that host, or we, said, e.g. `550 5.1.1 no such user`. Several lines are joined.
    pub diagnostic: Option<&'a str>,
    /// The last attempt.
    pub last_attempt: Option<Timestamp>,
    /// Our id for the letter: the journey.
    pub log_id: Option<&'a str>,
    /// Until when it is tried; only with [`Action::Delayed`].
    pub will_retry_until: Option<Timestamp>,
}

impl Recipient<'_> {
    /// Appends the fields in the order of RFC 3464 §2.3.
    pub(super) fn write(&self, dialect: Dialect, out: &mut Vec<u8>) {
        let mut add = |name: &str, value: &str| out.extend(header::field(name, value));
        if let Some(original) = self.original {
            let (kind, address) = original.split_once(';').unwrap_or(("rfc822", original));
            add("Original-Recipient", &typed_address(kind.trim(), address.trim(), dialect));
        }
        add("Final-Recipient", &typed_address("rfc822", self.address, dialect));
        add("Action", self.action.word());
        add("Status", self.status);
        if let Some(host) = self.remote_mta {
            add("Remote-MTA", &format!("dns; {host}"));
        }
        if let Some(said) = self.diagnostic {
            let said: String = said.chars().take(MAX_DIAGNOSTIC).collect();
            let said = match dialect {
                Dialect::Utf8 => said,
                // RFC 3464 §2.1.1: text is ASCII here; what is not becomes a question mark.
                Dialect::Ascii => {
                    said.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
                }
            };
            add("Diagnostic-Code", &format!("smtp; {said}"));
        }
        if let Some(at) = self.last_attempt {
            add("Last-Attempt-Date", &DateTime::utc(at).to_rfc5322());
        }
        if let Some(id) = self.log_id {
            add("Final-Log-ID", id);
        }
        if let (Action::Delayed, Some(until)) = (self.action, self.will_retry_until) {
            add("Will-Retry-Until", &DateTime::utc(until).to_rfc5322());
        }
    }
}

/// `rfc822; a@b`, or for a non-ASCII address `utf-8; ...` (RFC 6533 §3): as it is where UTF-8 may
/// stand, else with `\x{...}` for each character that may not.
fn typed_address(kind: &str, address: &str, dialect: Dialect) -> String {
    if address.is_ascii() {
        return format!("{kind}; {address}");
    }
    match dialect {
        Dialect::Utf8 => format!("utf-8; {address}"),
        Dialect::Ascii => {
            let escaped: String = address
                .chars()
                .map(|c| match c {
                    '!'..='~' if !matches!(c, '+' | '=' | '\\') => c.to_string(),
                    c => format!("\\x{{{:X}}}", u32::from(c)),
                })
                .collect();
            format!("utf-8; {escaped}")
        }
    }
}
