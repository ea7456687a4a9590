//! Reports to the sender: given back, or waiting (RFC 3464, RFC 6522). Builds the letter; it does
//! not send it and does not decide whether one is due: `relay` and `receive` do, and never for a
//! null reverse-path (RFC 5321 §4.5.5).

mod explain;

use message::date::DateTime;
use message::dsn::{Action, Dialect, Original, Recipient, Report};
use protocol::address::{Address, Domain};
use protocol::journey::JourneyId;
use protocol::time::Timestamp;

use crate::reason::Failure;

/// Recipients of one report; the others of a huge letter come in reports of their own.
pub(crate) const RECIPIENTS_PER_REPORT: usize = 100;

/// The letter that is reported about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Letter<'a> {
    /// Its journey, by which we know it.
    pub journey: JourneyId,
    /// Who is told.
    pub sender: &'a Address,
    /// When it came to us.
    pub arrival: Timestamp,
    /// ENVID, decoded (RFC 3461 §4.4).
    pub envelope_id: Option<&'a str>,
    /// Whether it came with SMTPUTF8.
    pub dialect: Dialect,
    /// Its header block, or what was kept of it.
    pub header: &'a [u8],
    /// What of it is given back (RFC 3461 §4.3).
    pub original: Original<'a>,
}

/// What is reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occasion {
    /// It is given back for these recipients.
    Failed,
    /// It waits, and is tried until then.
    Delayed(Timestamp),
    /// It arrived, or went on to a system that promises no reports (RFC 3461 §5.2.2); the failure
    /// of each casualty is the good reply.
    Succeeded(Action),
}

/// A recipient that the report is about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Casualty<'a> {
    /// The address as the sender's system gave it to us.
    pub address: &'a Address,
    /// ORCPT, decoded, with its type (RFC 3461 §4.2).
    pub original: Option<&'a str>,
    /// What went wrong.
    pub failure: &'a Failure,
    /// When it was last tried.
    pub last_attempt: Option<Timestamp>,
}

/// Who reports.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    /// The name of this host.
    pub hostname: Domain,
    /// Where questions about the report go.
    pub postmaster: String,
}

/// The report as a letter with CRLF line ends, for the null reverse-path. `own` is the journey of
/// the report itself; its Message-ID and boundary come from it.
pub(crate) fn report(
    reporter: &Reporter,
    letter: Letter<'_>,
    (occasion, casualties): (Occasion, &[Casualty<'_>]),
    (own, now): (JourneyId, Timestamp),
) -> Vec<u8> {
    let explanation = explain::text(reporter, letter, occasion, casualties);
    let told: Vec<Told> = casualties.iter().map(|one| Told::new(one, letter)).collect();
    let log_id = letter.journey.to_string();
    let recipients: Vec<Recipient<'_>> = told
        .iter()
        .zip(casualties)
        .map(|(told, casualty)| told.recipient(casualty, occasion, &log_id))
        .collect();
    let report = Report {
        dialect: letter.dialect,
        reporting_mta: reporter.hostname.as_str(),
        from: &reporter.postmaster,
        to: &letter.sender.to_string(),
        subject: &explain::subject(letter, occasion),
        message_id: &format!("{own}@{}", reporter.hostname),
        boundary: &format!("report{own}"),
        at: DateTime::utc(now),
        explanation: &explanation,
        envelope_id: letter.envelope_id,
        arrival: Some(letter.arrival),
        recipients: &recipients,
        original: letter.original,
    };
    report.to_letter()
}

/// The printed forms that a [`Recipient`] borrows.
struct Told {
    address: String,
    status: String,
    diagnostic: Option<String>,
}

impl Told {
    fn new(casualty: &Casualty<'_>, letter: Letter<'_>) -> Self {
        let address = match letter.dialect {
            Dialect::Utf8 => casualty.address.to_unicode(),
            Dialect::Ascii => casualty.address.to_string(),
        };
        Told {
            address,
            status: casualty.failure.status().to_string(),
            // RFC 3464 §2.3.6: what the remote side said; our own words are not smtp's.
            diagnostic: casualty.failure.verb.map(|_| casualty.failure.reply.to_string()),
        }
    }

    fn recipient<'a>(
        &'a self,
        casualty: &Casualty<'a>,
        occasion: Occasion,
        log_id: &'a str,
    ) -> Recipient<'a> {
        let (action, will_retry_until) = match occasion {
            Occasion::Failed => (Action::Failed, None),
            Occasion::Delayed(until) => (Action::Delayed, Some(until)),
            Occasion::Succeeded(action) => (action, None),
        };
        Recipient {
            address: &self.address,
            original: casualty.original,
            action,
            status: &self.status,
            remote_mta: casualty.failure.host.as_deref(),
            diagnostic: self.diagnostic.as_deref(),
            last_attempt: casualty.last_attempt,
            log_id: Some(log_id),
            will_retry_until,
        }
    }
}

#[cfg(test)]
mod tests;
