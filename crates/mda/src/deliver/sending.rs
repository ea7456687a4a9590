//! What rules send: letters passed on, answers, notifications, and the word to an owner whose
//! script failed. RFC 3834 holds for all that is made here: the null reverse-path, marked as made
//! by a machine, to one sender once in a while. A failure here never hurts the letter.

use bytes::Bytes;
use mailbox::{MailboxName, Marks, NewLetter};
use message::header;
use protocol::address::{Address, ForwardPath, ReversePath};
use protocol::journey::JourneyId;
use protocol::rejection::Rejection;
use service::trail::{Event, Kind};
use sieve::{Answer, Filing, Notice, Stamp};

use super::Deliveries;
use super::letter::{bare, rejection};
use super::ruled::{Parcel, find_mailbox, marks_of};
use crate::rules::{Posted, Unsent};

/// Why a letter did not go on.
pub(super) enum NotSent {
    /// The whole delivery is tried again.
    Later(Rejection),
    /// It never will; in words.
    Never(String),
}

/// Passes a letter on, with its own sender (RFC 5228 §4.2). Gives words for the journey.
pub(super) async fn redirect(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    (letter, to): (&[u8], &str),
) -> Result<String, NotSent> {
    let Ok(address) = to.parse::<Address>() else {
        return Err(NotSent::Never("it is no address".to_owned()));
    };
    // RFC 5228 §10: a letter that was here before goes round in circles. Our own Delivered-To is
    // the first; another one for the same recipient is that sign.
    let block = letter.get(..header::length(letter)).unwrap_or_default();
    let been_here = header::fields(block)
        .filter(|field| field.is(block, "Delivered-To"))
        .filter(|field| {
            let value = header::unfold(field.value(block));
            value.eq_ignore_ascii_case(parcel.recipient.as_bytes())
        })
        .count();
    if been_here > 1 {
        return Err(NotSent::Never("the letter was here before: it goes in a circle".to_owned()));
    }
    let once = format!("{} {} {to}", parcel.journey, parcel.recipient);
    if shared.rules.memory.was_sent(&once) {
        return Ok(format!("sent on to {to}"));
    }
    // RFC 5321 §4.4: Return-Path is for the last one only.
    let letter = header::without(letter, &["Return-Path"]);
    let recipients = [ForwardPath::from(address)];
    let journey = new_journey(shared).map_err(NotSent::Later)?;
    let event = Event::new(Kind::Generated, journey).because_of(parcel.journey);
    shared.trail.record(event.from(bare(parcel.sender)).to(to).text("sent on by a rule"));
    let hostname = shared.config.current().hostname();
    let posted = Posted {
        hostname: hostname.as_str(),
        journey,
        sender: parcel.sender,
        recipients: &recipients,
        smtputf8: parcel.smtputf8,
        letter: &letter,
    };
    match shared.rules.outgoing.post(posted).await {
        Ok(()) => {
            shared.rules.memory.sent(once);
            Ok(format!("sent on to {to} as {journey}"))
        }
        Err(Unsent::Refused(why)) if !why.is_temporary() => Err(NotSent::Never(why.to_string())),
        Err(Unsent::Refused(why)) => Err(NotSent::Later(why)),
        Err(Unsent::Away(why)) => Err(NotSent::Later(Rejection::internal(why))),
    }
}

/// Answers the sender, unless that was done lately (RFC 5230 §4.1).
pub(super) async fn answer(shared: &Deliveries, parcel: &Parcel<'_>, answer: &Answer) {
    let key = format!("vacation\n{}\n{}", answer.to.to_lowercase(), answer.handle);
    let (memory, now) = (&shared.rules.memory, parcel.now.moment);
    if memory.knows(parcel.account, &key, now) {
        return;
    }
    let Ok(to) = answer.to.parse::<Address>() else { return };
    // Written down first: an answer too few is better than one too many.
    if !remember(shared, parcel, (key, answer.seconds)).await {
        return;
    }
    let id = message_id(shared, parcel);
    let owner = parcel.owner();
    let stamp = Stamp { owner: &owner, message_id: &id, date: parcel.now };
    let letter = answer.to_letter(&stamp);
    let text = "a vacation answer";
    post(shared, parcel, (&letter, &[ForwardPath::from(to)], text)).await;
    copy(shared, parcel, (letter, answer.copy.as_ref())).await;
}

/// Notifies by mail (RFC 5436).
pub(super) async fn notify(shared: &Deliveries, parcel: &Parcel<'_>, notice: &Notice) {
    let to = notice.to.iter().filter_map(|to| to.parse::<Address>().ok());
    let to: Vec<ForwardPath> = to.map(ForwardPath::from).collect();
    // Like a letter passed on: not again when the same delivery comes again.
    let once = format!("{} {} notify {}", parcel.journey, parcel.recipient, notice.to.join(","));
    if to.is_empty() || shared.rules.memory.was_sent(&once) {
        return;
    }
    shared.rules.memory.sent(once);
    let id = message_id(shared, parcel);
    let owner = parcel.owner();
    let stamp = Stamp { owner: &owner, message_id: &id, date: parcel.now };
    let letter = notice.to_letter(&stamp);
    post(shared, parcel, (&letter, &to, "a notification")).await;
    copy(shared, parcel, (letter, notice.copy.as_ref())).await;
}

/// Sends a letter made here: a journey of its own, the null reverse-path (RFC 3834 §3.3).
async fn post(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    (letter, to, what): (&[u8], &[ForwardPath], &str),
) {
    let journey = match new_journey(shared) {
        Ok(journey) => journey,
        Err(why) => return tracing::warn!(%why, "{what} was not sent"),
    };
    let shown: Vec<String> = to.iter().map(ToString::to_string).collect();
    let event = Event::new(Kind::Generated, journey).because_of(parcel.journey);
    shared.trail.record(event.from("").to(shown.join(", ")).text(what));
    let hostname = shared.config.current().hostname();
    let posted = Posted {
        hostname: hostname.as_str(),
        journey,
        sender: &ReversePath::Null,
        recipients: to,
        smtputf8: to.iter().any(|to| !to.to_string().is_ascii()),
        letter,
    };
    if let Err(why) = shared.rules.outgoing.post(posted).await {
        tracing::warn!(%why, account = %parcel.account, "{what} was not sent");
    }
}

/// `:fcc`: a copy of a letter made here goes into a mailbox (RFC 8580).
async fn copy(shared: &Deliveries, parcel: &Parcel<'_>, (letter, to): (Vec<u8>, Option<&Filing>)) {
    let Some(filing) = to else { return };
    let name = find_mailbox(shared, parcel.account, filing).await;
    let name = name.unwrap_or_else(MailboxName::inbox);
    let Marks { flags, keywords } = marks_of(&filing.flags);
    let body = disk::Body::from(Bytes::from(letter));
    let new = NewLetter { body, flags, keywords, date: None };
    let stored = async {
        let mailbox = shared.mailboxes.open_by_name(parcel.account, &name).await?;
        shared.mailboxes.append(&mailbox, vec![new], parcel.quota).await
    };
    if let Err(error) = stored.await {
        tracing::warn!(%error, account = %parcel.account, "a copy was not stored");
    }
}

/// Tells an owner that the script failed: once for each fault of a script, in a letter of its own
/// in INBOX. The letter at hand is kept whatever becomes of this one.
pub(super) async fn tell_owner(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    (script, fault): (&str, &sieve::Fault),
) {
    let key = format!("told\n{script}\n{fault}");
    let now = parcel.now.moment;
    if shared.rules.memory.knows(parcel.account, &key, now)
        || !remember(shared, parcel, (key, TOLD)).await
    {
        return;
    }
    tracing::info!(account = %parcel.account, %fault, "a script failed; the letter is kept");
    let text = format!(
        "Your mail filter {script:?} could not be carried out for a letter.\r\n\
         The letter is kept in INBOX; nothing is lost.\r\n\r\n    {fault}\r\n\r\n\
         Please correct the script. You will not be told of this fault again for a month.\r\n"
    );
    let mut letter = header::field("Date", &parcel.now.to_rfc5322());
    let host = shared.config.current().hostname().to_string();
    letter.extend(header::field("From", &format!("Mail filter <postmaster@{host}>")));
    letter.extend(header::field("To", &parcel.owner()));
    letter.extend(header::field("Subject", "Your mail filter failed"));
    letter.extend(header::field("Message-ID", &message_id(shared, parcel)));
    letter.extend(header::field("Auto-Submitted", "auto-generated"));
    letter.extend_from_slice(
        b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
          Content-Transfer-Encoding: 8bit\r\n\r\n",
    );
    letter.extend_from_slice(text.as_bytes());
    let inbox = Filing {
        mailbox: MailboxName::inbox().as_str().to_owned(),
        create: false,
        flags: Vec::new(),
        special_use: None,
    };
    copy(shared, parcel, (letter, Some(&inbox))).await;
}

/// A month.
const TOLD: u64 = 30 * 86_400;

/// Whether it is written down.
async fn remember(shared: &Deliveries, parcel: &Parcel<'_>, (key, seconds): (String, u64)) -> bool {
    let (memory, account) = (shared.rules.memory.clone(), parcel.account.clone());
    let now = parcel.now.moment;
    let work = move || memory.remember(&account, &key, (now, seconds));
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            let why = rejection(error.into());
            tracing::warn!(%why, account = %parcel.account, "nothing is sent: no room to remember");
            false
        }
        Err(_) => false,
    }
}

fn message_id(shared: &Deliveries, parcel: &Parcel<'_>) -> String {
    let host = shared.config.current().hostname();
    let random = getrandom::u64().unwrap_or_else(|_| parcel.now.moment.as_micros().unsigned_abs());
    let id = message::message_id::new(parcel.now.moment, random, host.as_str());
    if id.starts_with('<') { id } else { format!("<{id}>") }
}

fn new_journey(shared: &Deliveries) -> Result<JourneyId, Rejection> {
    let random = getrandom::u32().map_err(Rejection::internal)?;
    Ok(JourneyId::new(shared.clock.now(), random))
}
