//! A letter for somebody who has rules: the script is run, and what it asks for is done: stored
//! first, then sent on, then answered. A yes means that the letter is on disk somewhere, here or at
//! the transfer agent, or that a rule made an end of it and the custody book says which.

use std::sync::Arc;

use bytes::Bytes;
use disk::Body;
use mailbox::{AccountId, Delivery, Flags, Keyword, MailboxName, Marks, Quota, Recipient};
use message::date::DateTime;
use protocol::address::ReversePath;
use protocol::journey::JourneyId;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use service::trail::{Event, Kind};
use sieve::{Act, Action, Explain, Facts, Filing, Outcome};

use super::Deliveries;
use super::filing::{self, Standing};
use super::letter::{Place, bare, rejection};
use super::sending;
use crate::rules::{Active, Surroundings, duplicate_key, parse_use};

/// A letter for one account.
#[derive(Debug, Clone)]
pub(super) struct Parcel<'a> {
    pub(super) journey: JourneyId,
    pub(super) sender: &'a ReversePath,
    pub(super) smtputf8: bool,
    pub(super) body: &'a Body,
    /// Our header fields for this recipient.
    pub(super) trace: Bytes,
    /// As in the envelope.
    pub(super) recipient: &'a str,
    pub(super) account: &'a AccountId,
    pub(super) quota: Quota,
    pub(super) standing: Standing,
    pub(super) now: DateTime,
}

impl Parcel<'_> {
    /// The account's own address.
    pub(super) fn owner(&self) -> String {
        self.account.to_string()
    }
}

/// Runs the account's script over the letter and does what it says. Gives where the letter came to
/// rest.
///
/// # Errors
/// What the sender is told.
pub(super) async fn deliver(
    shared: &Deliveries,
    active: Arc<Active>,
    parcel: &Parcel<'_>,
) -> Result<Place, Rejection> {
    let most = shared.config.current().inner_message_size() + crate::limits::TRACE_ROOM;
    let whole = parcel.body.prepend(parcel.trace.clone());
    let permit = shared.rules.runs.acquire().await.map_err(Rejection::internal)?;
    let letter = whole.read_all(most).map_err(|error| rejection(error.into()))?;
    let outcome = run(shared, active.clone(), parcel, letter.clone()).await?;
    // What the script sends on may come back here, for another one that needs a permit.
    drop(permit);
    let event = Event::new(Kind::Filtered, parcel.journey).to(parcel.recipient);
    shared.trail.record(event.text(format!("script {:?}: {}", active.name, summary(&outcome))));
    if let Some(fault) = &outcome.fault {
        sending::tell_owner(shared, parcel, (&active.name, fault)).await;
    }
    carry(shared, parcel, (&outcome, &letter)).await
}

/// The script's word. It runs on a thread of its own: it may take a second, and a decoder of a
/// library that cannot bear a letter must not end the agent.
async fn run(
    shared: &Deliveries,
    active: Arc<Active>,
    parcel: &Parcel<'_>,
    letter: Bytes,
) -> Result<Outcome, Rejection> {
    let mailboxes = shared.mailboxes.account(parcel.account).await.map_err(rejection)?;
    let block = letter.get(..message::header::length(&letter)).unwrap_or_default();
    let world = Surroundings {
        account: parcel.account.clone(),
        mailboxes,
        shelf: shared.rules.shelf.clone(),
        memory: shared.rules.memory.clone(),
        now: parcel.now.moment,
        hostname: shared.config.current().hostname().to_string(),
    };
    let facts = Facts {
        sender: bare(parcel.sender),
        recipient: parcel.recipient.to_owned(),
        now: parcel.now,
        delimiter: directory::limits::SUBADDRESS_SEPARATOR,
        owner: vec![parcel.owner()],
        spam: spam(block),
        virus: None,
    };
    let work = move || match &active.program {
        Ok(program) => sieve::run(program, &letter, (&facts, &world), Explain::No),
        Err(fault) => kept_for(fault.clone()),
    };
    Ok(tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a script could not be run over a letter");
        kept_for(sieve::Fault::new(Default::default(), "the script cannot be run over this letter"))
    }))
}

fn kept_for(fault: sieve::Fault) -> Outcome {
    let keep = Action { at: None, what: Act::Keep { flags: Vec::new() }, letter: None };
    Outcome { actions: vec![keep], fault: Some(fault), ..Outcome::default() }
}

/// The transfer agent's score, 0 to 10, as a share of 100 (RFC 5235 §2).
fn spam(block: &[u8]) -> Option<u8> {
    if message::junk::is_marked(block) {
        return Some(100);
    }
    let value = message::header::value(block, message::junk::SCORE)?;
    let score: f32 = std::str::from_utf8(&value).ok()?.trim().parse().ok()?;
    // Below the mark nothing is certain: 100 is for what is marked.
    Some((score.clamp(0.0, 10.0) * 10.0).min(99.0) as u8)
}

async fn carry(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    (outcome, letter): (&Outcome, &Bytes),
) -> Result<Place, Rejection> {
    let mut places: Vec<String> = Vec::new();
    for action in &outcome.actions {
        let place = match &action.what {
            Act::Keep { flags } => Some(keep(shared, parcel, action, flags).await?),
            Act::FileInto(filing) => Some(file(shared, parcel, action, filing).await?),
            _ => None,
        };
        places.extend(place);
    }
    let mut sent_on: Vec<String> = Vec::new();
    for action in &outcome.actions {
        let Act::Redirect { address } = &action.what else { continue };
        let changed = action.letter.as_deref().unwrap_or(letter);
        match sending::redirect(shared, parcel, (changed, address)).await {
            Ok(words) => sent_on.push(words),
            Err(sending::NotSent::Later(why)) => return Err(why),
            // RFC 5228 §4.2: what cannot go on stays here.
            Err(sending::NotSent::Never(why)) => {
                if places.is_empty() {
                    places.push(keep(shared, parcel, action, &[]).await?);
                }
                places.push(format!("not sent on to {address}: {why}"));
            }
        }
    }
    for action in &outcome.actions {
        match &action.what {
            Act::Vacation(answer) => sending::answer(shared, parcel, answer).await,
            Act::Notify(notice) => sending::notify(shared, parcel, notice).await,
            _ => {}
        }
    }
    let refused = outcome.actions.iter().find_map(|action| match &action.what {
        Act::Reject { reason, .. } => Some(refusal(reason)),
        _ => None,
    });
    if let Some(refusal) = refused {
        return Err(refusal);
    }
    if places.is_empty() {
        let rule = match sent_on.is_empty() {
            true => "a rule of the recipient: discard".to_owned(),
            false => format!("a rule of the recipient: {}", sent_on.join(", ")),
        };
        discard(shared, parcel, &rule).await?;
    }
    remember(shared, parcel, outcome).await;
    if places.is_empty() {
        return Ok(Place::Nowhere);
    }
    places.extend(sent_on);
    Ok(Place::Ruled(places.join("; ")))
}

/// Into INBOX; into the mailbox for junk where nothing was said and the letter is marked.
async fn keep(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    action: &Action,
    flags: &[String],
) -> Result<String, Rejection> {
    let mailbox = match action.at {
        None => filing::mailbox(shared, parcel.account, parcel.standing).await,
        Some(_) => MailboxName::inbox(),
    };
    store(shared, parcel, action, (mailbox, flags)).await
}

async fn file(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    action: &Action,
    filing: &Filing,
) -> Result<String, Rejection> {
    let (mailbox, note) = match find_mailbox(shared, parcel.account, filing).await {
        Some(mailbox) => (mailbox, String::new()),
        // RFC 5228 §4.1: where it cannot be filed, it is kept.
        None => (MailboxName::inbox(), format!(", there being no {:?}", filing.mailbox)),
    };
    Ok(store(shared, parcel, action, (mailbox, &filing.flags)).await? + &note)
}

/// The mailbox that a filing names, made if the script says so (RFC 5490 §3.2, RFC 8579 §4).
pub(super) async fn find_mailbox(
    shared: &Deliveries,
    account: &AccountId,
    filing: &Filing,
) -> Option<MailboxName> {
    let view = shared.mailboxes.account(account).await.ok()?;
    let wanted = filing.special_use.as_deref().and_then(parse_use);
    if let Some(wanted) = wanted
        && let Some(listed) = view.mailboxes.iter().find(|one| one.special_use == Some(wanted))
    {
        return Some(listed.name.clone());
    }
    let name = MailboxName::new(&filing.mailbox).ok()?;
    if view.find(&name).is_some() {
        return Some(name);
    }
    if !filing.create {
        return None;
    }
    // One that came meanwhile is as good.
    let made = shared.mailboxes.create(account, name.clone(), wanted).await;
    match made {
        Ok(_) => drop(shared.mailboxes.subscribe(account, name.clone()).await),
        Err(mailbox::Error::MailboxExists) => {}
        Err(error) => {
            tracing::warn!(%error, mailbox = name.as_str(), "a rule's mailbox was not made");
            return None;
        }
    }
    Some(name)
}

/// Stores the letter; durable when it returns.
async fn store(
    shared: &Deliveries,
    parcel: &Parcel<'_>,
    action: &Action,
    (mailbox, flags): (MailboxName, &[String]),
) -> Result<String, Rejection> {
    let (body, trace) = match &action.letter {
        None => (parcel.body.clone(), parcel.trace.clone()),
        Some(changed) => (Body::from(Bytes::copy_from_slice(changed)), Bytes::new()),
    };
    let recipient = Recipient {
        account: parcel.account.clone(),
        mailbox: mailbox.clone(),
        address: parcel.recipient.to_owned(),
        trace,
        quota: parcel.quota,
        marks: marks_of(flags),
    };
    let delivery = Delivery { journey: parcel.journey, body, recipients: vec![recipient] };
    let results = shared.mailboxes.deliver(delivery).await;
    let stored = results.into_iter().next().unwrap_or(Err(mailbox::Error::NoSuchMailbox));
    let stored = stored.map_err(rejection)?;
    if stored.repeated {
        return Ok(format!("{mailbox}, for the second time"));
    }
    Ok(format!("{mailbox}, UID {}", stored.uid))
}

/// System flags and keywords by the names of IMAP; what is neither is passed over (RFC 5232 §2).
pub(super) fn marks_of(names: &[String]) -> Marks {
    let Marks { mut flags, mut keywords } = Marks::default();
    for name in names {
        match name.to_ascii_lowercase().as_str() {
            "\\seen" => flags = flags | Flags::SEEN,
            "\\answered" => flags = flags | Flags::ANSWERED,
            "\\flagged" => flags = flags | Flags::FLAGGED,
            "\\deleted" => flags = flags | Flags::DELETED,
            "\\draft" => flags = flags | Flags::DRAFT,
            _ => keywords.extend(Keyword::new(name)),
        }
    }
    Marks { flags, keywords }
}

/// The end of a letter by a rule: in the custody book, on disk, before the sender hears yes.
async fn discard(shared: &Deliveries, parcel: &Parcel<'_>, rule: &str) -> Result<(), Rejection> {
    let (book, now) = (shared.rules.book.clone(), parcel.now.moment);
    let (journey, recipient) = (parcel.journey, parcel.recipient.to_owned());
    let detail = rule.to_owned();
    let work = move || book.discarded((journey, &recipient), now, &detail);
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => return Err(rejection(error.into())),
        Err(error) => return Err(Rejection::internal(error)),
    }
    let event = Event::new(Kind::Discarded, parcel.journey).to(parcel.recipient);
    shared.trail.record(event.text(rule));
    Ok(())
}

/// Identifiers that `duplicate` is to know from now on (RFC 7352 §3.3: once all is done).
async fn remember(shared: &Deliveries, parcel: &Parcel<'_>, outcome: &Outcome) {
    if outcome.remember.is_empty() {
        return;
    }
    let (memory, account) = (shared.rules.memory.clone(), parcel.account.clone());
    let (seen, now) = (outcome.remember.clone(), parcel.now.moment);
    let work = move || {
        for (id, seconds) in seen {
            if let Err(error) = memory.remember(&account, &duplicate_key(&id), (now, seconds)) {
                tracing::warn!(%error, %account, "an identifier was not written down");
            }
        }
    };
    drop(tokio::task::spawn_blocking(work).await);
}

/// RFC 5429 §2.1 and §2.2: refused while the sender waits, in words of the owner. A reply holds
/// ASCII; where the sender's system took the letter already, it makes the report.
fn refusal(reason: &str) -> Rejection {
    let words: Vec<&str> = reason.split_whitespace().collect();
    let mut text: String = words
        .join(" ")
        .chars()
        .map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' })
        .collect();
    text.truncate(REASON);
    if text.is_empty() {
        text.push_str("the recipient does not take this letter");
    }
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(7, 1),
        Fault::Recipient,
        text,
    )
}

/// Octets of a reason in a reply: it fits one line with its codes (RFC 5321 §4.5.3.1.5).
const REASON: usize = 400;

fn summary(outcome: &Outcome) -> String {
    let mut words: Vec<String> = outcome
        .actions
        .iter()
        .map(|action| match &action.what {
            Act::Keep { .. } => "keep".to_owned(),
            Act::FileInto(filing) => format!("fileinto {:?}", filing.mailbox),
            Act::Redirect { address } => format!("redirect {address}"),
            Act::Discard => "discard".to_owned(),
            Act::Reject { .. } => "reject".to_owned(),
            Act::Vacation(answer) => format!("vacation to {}", answer.to),
            Act::Notify(notice) => format!("notify {}", notice.to.join(", ")),
        })
        .collect();
    if let Some(fault) = &outcome.fault {
        words.push(format!("because of an error in {fault}"));
    }
    words.join(", ")
}
