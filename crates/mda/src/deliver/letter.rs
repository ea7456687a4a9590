//! One LMTP transaction: who it is for, its bytes, and what became of it for each recipient.

use bytes::Bytes;
use directory::{Account, Found};
use disk::Spool;
use mailbox::{AccountId, Delivered, Delivery, Error, MailboxName, Marks, Quota, Recipient};
use message::date::DateTime;
use message::received::{self, Guard, Protocol, Received};
use protocol::address::{ForwardPath, ReversePath};
use protocol::journey::JourneyId;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use protocol::smtp::server::{EndAnswer, Hello, Mail, Verdict};
use service::trail::{Event, Kind, Outcome};

use super::Deliveries;
use super::filing::{self, Standing};
use super::ruled::{self, Parcel};
use crate::limits::HEADER_LOOKED_AT;

/// A letter on its way in.
pub(super) struct Letter {
    journey: JourneyId,
    sender: ReversePath,
    smtputf8: bool,
    /// As announced by SIZE; 0 if it was not.
    size: u64,
    recipients: Vec<Accepted>,
    spool: Spool,
    /// The first error of the spool: the rest of the body is read and dropped.
    broken: Option<Rejection>,
}

/// A recipient that was answered 250.
struct Accepted {
    /// As in the envelope, without brackets.
    address: String,
    /// More than one where an alias came this far.
    mailboxes: Vec<(AccountId, Quota)>,
}

impl Letter {
    /// MAIL. The journey comes from our MTA; where another one is in front, it begins here.
    pub(super) fn begin(shared: &Deliveries, mail: Mail) -> Result<Self, Rejection> {
        let Mail { path, parameters } = mail;
        let journey = match parameters.journey {
            Some(journey) => journey,
            None => {
                let random = getrandom::u32().map_err(Rejection::internal)?;
                let journey = JourneyId::new(shared.clock.now(), random);
                let event = Event::new(Kind::Received, journey);
                shared.trail.record(event.from(bare(&path)).text("journey begins at LMTP"));
                journey
            }
        };
        Ok(Letter {
            journey,
            sender: path,
            smtputf8: parameters.smtputf8,
            size: parameters.size.unwrap_or(0),
            recipients: Vec::new(),
            spool: shared.mailboxes.spool(),
            broken: None,
        })
    }

    /// RCPT: answered from the directory in memory, and from what the mailbox holds.
    pub(super) async fn recipient(
        &mut self,
        shared: &Deliveries,
        path: &ForwardPath,
    ) -> Result<(), Rejection> {
        let outcome = self.admit(shared, path).await;
        if let Err(why) = &outcome {
            count(shared, why);
            let event = Event::new(Kind::Refused, self.journey).outcome(weight(why));
            shared.trail.record(event.to(bare_forward(path)).text(why));
        }
        outcome
    }

    async fn admit(&mut self, shared: &Deliveries, path: &ForwardPath) -> Result<(), Rejection> {
        let snapshot = shared.directory.current(shared.clock.tick());
        let accounts = match snapshot.lookup_path(path) {
            // A tag does not choose a mailbox: strangers would. Filing by it is for the owner's
            // own rules (RFC 5233 §4).
            Found::Account(recipient) => vec![recipient.account],
            Found::Alias(to) if to.outside.is_empty() => {
                to.accounts.into_iter().map(|recipient| recipient.account).collect()
            }
            // This agent makes no outbound connection.
            Found::Alias(_) => return Err(leads_outside()),
            Found::Nowhere(why) => return Err(alias_is_broken().because(format!("{why:?}"))),
            Found::Unknown => return Err(Rejection::no_such_mailbox()),
            Found::NotOurs => return Err(Rejection::relay_denied()),
        };
        let mut mailboxes = Vec::with_capacity(accounts.len());
        for account in accounts {
            let (id, quota) = mailbox_of(&account)?;
            shared.mailboxes.fits(&id, quota, self.size).await.map_err(rejection)?;
            mailboxes.push((id, quota));
        }
        self.recipients.push(Accepted { address: bare_forward(path), mailboxes });
        Ok(())
    }

    /// A piece of the body.
    pub(super) fn body(&mut self, piece: &[u8]) {
        if self.broken.is_none()
            && let Err(error) = self.spool.write(piece)
        {
            self.broken = Some(rejection(error.into()));
        }
    }

    /// The end of the data: a verdict for each recipient, each durable.
    pub(super) async fn end(self, shared: &Deliveries, hello: Option<&Hello>) -> EndAnswer {
        let Letter { journey, sender, smtputf8, recipients, spool, broken, .. } = self;
        let body = match (broken, spool.finish()) {
            (Some(why), _) => return EndAnswer::Whole(Err(why)),
            (None, Err(error)) => return EndAnswer::Whole(Err(rejection(error.into()))),
            (None, Ok(body)) => body,
        };
        let standing = standing(&body);
        let hostname = shared.config.current().hostname();
        let trace = Trace { journey, sender: &sender, smtputf8, hello, by: hostname.as_str() };
        let now = DateTime::utc(shared.clock.now());
        let started = shared.clock.tick();
        let bytes = body.length();
        let mut parcels = Vec::with_capacity(recipients.len());
        let many = shared.config.current().mailbox.one_file_from;
        let copies: usize = recipients.iter().map(|recipient| recipient.mailboxes.len()).sum();
        let common = (many > 0 && copies >= many).then(|| trace.fields(None, now));
        for recipient in &recipients {
            let own = trace.fields(Some(&recipient.address), now);
            for (account, quota) in &recipient.mailboxes {
                // A script sees who the letter was for, and finds circles by it.
                let trace = match &common {
                    Some(common) if shared.rules.shelf.active(account).is_none() => common,
                    _ => &own,
                };
                let (standing, trace) = filing::weighed(shared, account, (standing, trace), &body);
                parcels.push(Parcel {
                    journey,
                    sender: &sender,
                    smtputf8,
                    body: &body,
                    trace,
                    recipient: &recipient.address,
                    account,
                    quota: *quota,
                    standing,
                    now,
                });
            }
        }
        let mut results = place(shared, &parcels).await.into_iter();
        let took = shared.clock.tick().since(started);
        let mut verdicts: Vec<Verdict> = Vec::with_capacity(recipients.len());
        for recipient in &recipients {
            let outcome = together(results.by_ref().take(recipient.mailboxes.len()));
            if !matches!(&outcome, Ok(Place::Nowhere)) {
                let mut event = Event::new(Kind::Stored, journey)
                    .from(bare(&sender))
                    .to(&recipient.address)
                    .outcome(outcome.as_ref().err().map_or(Outcome::Ok, weight))
                    .text(match &outcome {
                        Ok(place) => place.to_string(),
                        Err(why) => why.to_string(),
                    });
                event.bytes = Some(bytes);
                event.took_us = u64::try_from(took.as_micros()).ok();
                shared.trail.record(event);
            }
            match &outcome {
                Ok(_) => shared.stored.increment(),
                Err(why) => count(shared, why),
            }
            verdicts.push(outcome.map(|_| format!("{journey} stored").into()));
        }
        EndAnswer::Each(verdicts)
    }
}

/// Where a letter came to rest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a mailbox.
    Mailbox(MailboxName, Delivered),
    /// Where rules put it, in words.
    Ruled(String),
    /// A rule made an end of it, and has said so.
    Nowhere,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Mailbox(name, placed) if placed.repeated => {
                write!(f, "{name}, for the second time")
            }
            Place::Mailbox(name, placed) => write!(f, "{name}, UID {}", placed.uid),
            Place::Ruled(words) => f.write_str(words),
            Place::Nowhere => f.write_str("nowhere"),
        }
    }
}

/// Each copy to its place: those of accounts without rules together, behind one barrier; then those
/// that rules decide on. The answers are in the order of the copies.
async fn place(shared: &Deliveries, parcels: &[Parcel<'_>]) -> Vec<Result<Place, Rejection>> {
    let mut to = Vec::with_capacity(parcels.len());
    let mut scripts = Vec::new();
    for (index, parcel) in parcels.iter().enumerate() {
        if let Some(active) = shared.rules.shelf.active(parcel.account) {
            scripts.push((index, active));
            continue;
        }
        to.push(Recipient {
            account: parcel.account.clone(),
            mailbox: filing::mailbox(shared, parcel.account, parcel.standing).await,
            address: parcel.recipient.to_owned(),
            trace: parcel.trace.clone(),
            quota: parcel.quota,
            marks: Marks::default(),
        });
    }
    let names: Vec<MailboxName> = to.iter().map(|one| one.mailbox.clone()).collect();
    let mut stored = Vec::new().into_iter();
    if let (Some(first), false) = (parcels.first(), to.is_empty()) {
        let (journey, body) = (first.journey, first.body.clone());
        stored =
            shared.mailboxes.deliver(Delivery { journey, body, recipients: to }).await.into_iter();
    }
    let mut names = names.into_iter();
    let mut scripts = scripts.into_iter().peekable();
    let mut places = Vec::with_capacity(parcels.len());
    for (index, parcel) in parcels.iter().enumerate() {
        places.push(match scripts.next_if(|(of, _)| *of == index) {
            Some((_, active)) => ruled::deliver(shared, active, parcel).await,
            None => match (names.next(), stored.next()) {
                (Some(name), Some(Ok(delivered))) => Ok(Place::Mailbox(name, delivered)),
                (_, Some(Err(error))) => Err(rejection(error)),
                _ => Err(rejection(Error::NoSuchMailbox)),
            },
        });
    }
    places
}

/// How the letter stands by what the transfer agent wrote above it.
fn standing(body: &disk::Body) -> Standing {
    let start = body.read_start(HEADER_LOOKED_AT).unwrap_or_default();
    let block = start.get(..message::header::length(&start)).unwrap_or(&start);
    if message::junk::is_marked(block) { Standing::Junk } else { Standing::Wanted }
}

/// What is put in front of a letter.
struct Trace<'a> {
    journey: JourneyId,
    sender: &'a ReversePath,
    smtputf8: bool,
    hello: Option<&'a Hello>,
    by: &'a str,
}

impl Trace<'_> {
    /// Return-Path, Delivered-To and Received. RFC 5321 §4.4: Return-Path comes first, made by who
    /// makes final delivery. Copies that share one file name no recipient.
    fn fields(&self, recipient: Option<&str>, at: DateTime) -> Bytes {
        let mut fields = received::return_path(&bare(self.sender));
        if let Some(recipient) = recipient {
            fields.extend_from_slice(&message::header::field("Delivered-To", recipient));
        }
        let guard = Guard { utf8: self.smtputf8, ..Guard::default() };
        let id = self.journey.to_string();
        let received = Received {
            helo: self.hello.map(|hello| &*hello.name),
            address: None,
            by: self.by,
            with: Protocol::Lmtp(guard),
            tls: None,
            id: &id,
            recipient,
            at,
        };
        fields.extend_from_slice(&received.to_field());
        fields.into()
    }
}

/// The mailboxes of an account of the directory, and how much they may hold.
pub(crate) fn mailbox_of(account: &Account) -> Result<(AccountId, Quota), Rejection> {
    let host = account.address.host().to_string();
    let id =
        AccountId::new(&host, account.address.local().as_str()).map_err(Rejection::internal)?;
    let quota = Quota { bytes: account.quota.bytes, letters: account.quota.letters };
    Ok((id, quota))
}

/// One verdict for a recipient whose letter goes to several mailboxes: it is delivered when it is
/// in all of them. Those that have it already recognise the repeat.
fn together(results: impl Iterator<Item = Result<Place, Rejection>>) -> Result<Place, Rejection> {
    let mut last = Err(rejection(Error::NoSuchMailbox));
    for result in results {
        match (result?, &last) {
            // What is somewhere is not nowhere.
            (Place::Nowhere, Ok(Place::Mailbox(..) | Place::Ruled(_))) => {}
            (place, _) => last = Ok(place),
        }
    }
    last
}

/// What a failure of the store is in SMTP. What nobody foresaw is 451, never 5xx.
pub(super) fn rejection(error: Error) -> Rejection {
    match &error {
        Error::OverQuota => Rejection::mailbox_full(),
        Error::Full => Rejection::disk_low(),
        _ => Rejection::internal(format!("{error:?}")),
    }
}

fn leads_outside() -> Rejection {
    Rejection::permanent(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(7, 1),
        Fault::Policy,
        "this name leads to other systems; it is for the transfer agent to resolve",
    )
}

fn alias_is_broken() -> Rejection {
    Rejection::temporary(
        ReplyCode::MAILBOX_BUSY,
        EnhancedCode::temporary(3, 5),
        Fault::Ours,
        "this name leads to nobody at the moment, try again later",
    )
}

fn weight(why: &Rejection) -> Outcome {
    if why.is_temporary() { Outcome::Temporary } else { Outcome::Permanent }
}

fn count(shared: &Deliveries, why: &Rejection) {
    if why.is_temporary() { shared.put_off.increment() } else { shared.refused.increment() }
}

pub(super) fn bare(path: &ReversePath) -> String {
    path.address().map(ToString::to_string).unwrap_or_default()
}

/// Without brackets; the bare `postmaster` stays one.
fn bare_forward(path: &ForwardPath) -> String {
    path.address().map_or_else(|| "postmaster".to_owned(), ToString::to_string)
}
