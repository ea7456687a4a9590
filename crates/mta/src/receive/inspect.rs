//! What is found out about a letter from another system, and what follows: questions to the domains
//! of sender and author, the letter's signatures, our field Authentication-Results, the mark for
//! the Junk mailbox. The checks are `verdict`'s; this writes their facts into the journey and puts
//! the rules of the configuration into effect.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use disk::Body;
use message::{authentication_results, header};
use net::dns::Resolver;
use protocol::address::{Address, ReversePath};
use protocol::journey::JourneyId;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use service::config::{Antispam, Config, Measure};
use service::trail::{Kind, Outcome};
use verdict::authentication::{self, Action, Authentication, Decision, Early, Rules};
use verdict::dkim;
use verdict::lookup::{Asked, Asking, Dns, Inquiry, Source};
use verdict::milter::{self, Change};

use super::filters::{Filtered, Sample};
use super::guard::{self, Listed};
use super::handover::Proven;
use super::{Desk, Door};
use crate::courier::{Journal, Transport};

/// Asks whomever the transport asks now, so that a reload counts here too.
pub(super) struct Names(Arc<Transport>);

impl Names {
    /// DNS with a memory, for all sessions.
    pub(super) fn dns(transport: &Arc<Transport>, clock: &net::Clock) -> Dns {
        Dns::new(Names(transport.clone()), clock.clone())
    }
}

impl Source for Names {
    fn ask<'a>(&'a self, kind: verdict::lookup::Kind, name: &'a str) -> Asking<'a> {
        Box::pin(async move {
            let resolver: Resolver = self.0.resolver();
            Source::ask(&resolver, kind, name).await
        })
    }
}

/// Who brings a letter, for the checks.
#[derive(Debug, Clone)]
pub(super) struct Guest {
    pub(super) ip: IpAddr,
    pub(super) helo: Box<str>,
    pub(super) early: Early,
    /// Why its HELO cannot be true.
    pub(super) helo_fault: Option<String>,
    pub(super) listed: Listed,
}

/// What an inspection came to.
pub(super) struct Inspected {
    /// Fields for the top of the letter.
    pub(super) fields: Vec<u8>,
    /// The letter, without fields that pretend to be ours.
    pub(super) body: Body,
    pub(super) proven: Proven,
    /// Why a filter wants it kept back.
    pub(super) hold: Option<String>,
    /// Which filter wants it dropped.
    pub(super) discard: Option<String>,
}

impl Inspected {
    /// Nobody asked: our own agents prove who sends, others do not.
    pub(super) fn unasked(body: &Body, door: Door) -> Self {
        let proven = if door == Door::Relay { Proven::Yes } else { Proven::No };
        Inspected { fields: Vec::new(), body: body.clone(), proven, hold: None, discard: None }
    }
}

/// A letter that was taken in and is not answered yet.
pub(super) struct Suspect<'a> {
    pub(super) journey: JourneyId,
    pub(super) sender: &'a ReversePath,
    /// As the client named them.
    pub(super) recipients: &'a [Address],
    /// The header block.
    pub(super) block: &'a [u8],
    pub(super) body: &'a Body,
}

impl Desk {
    /// What can be found out when the sender has named itself; `None` where nothing is to be asked.
    pub(super) async fn meet(
        &self,
        (ip, helo): (IpAddr, &str),
        sender: &ReversePath,
        journal: &Journal,
    ) -> Option<Guest> {
        let config = self.context.config.current();
        if config.trusts(ip) {
            return None;
        }
        let receiver = config.hostname();
        let bringer = self.bringer((ip, helo), receiver.as_str());
        let inquiry = self.dns.inquire();
        let rules = rules(&config.antispam);
        let early = authentication::early(&inquiry, bringer, (sender, rules)).await;
        let listed = self.look_up(&inquiry, ip, &config.antispam, journal).await;
        record_questions(journal, inquiry);
        let directory = self.directory.current(self.context.clock.tick());
        let is_ours = |name: &str| {
            name.eq_ignore_ascii_case(receiver.as_str())
                || name.parse().is_ok_and(|domain| directory.domain(&domain).is_some())
        };
        let helo_fault = guard::helo_fault(helo, ip, is_ours);
        if let Some(fault) = &helo_fault {
            let event = journal.event(Kind::Verdict).class("helo");
            journal.record(event.text(format_args!("HELO: {fault}")));
        }
        Some(Guest { ip, helo: helo.into(), early, helo_fault, listed })
    }

    fn bringer<'a>(
        &self,
        (ip, helo): (IpAddr, &'a str),
        receiver: &'a str,
    ) -> authentication::Bringer<'a> {
        let now = self.context.clock.now().as_micros() / 1_000_000;
        authentication::Bringer { ip, helo, receiver, now: u64::try_from(now).unwrap_or(0) }
    }

    /// Looks at the letter itself, and says what follows.
    pub(super) async fn inspect(
        &self,
        guest: Guest,
        suspect: Suspect<'_>,
        config: &Config,
        journal: &Journal,
    ) -> Result<Inspected, Rejection> {
        if !ends(suspect.block) && suspect.body.length() > suspect.block.len() as u64 {
            return Err(header_too_large());
        }
        let hostname = config.hostname();
        let found = self.authenticate(&guest, &suspect, config, journal).await?;
        let mut fields = Vec::new();
        let results = found.results(suspect.sender);
        if !results.is_empty() {
            fields = authentication_results::field(hostname.as_str(), &results);
        }
        let mut junk = match found.decide(suspect.sender, rules(&config.antispam)) {
            Decision::Take => suspicion(&guest, &config.antispam),
            Decision::Junk(reason) => Some(reason),
            Decision::Refuse(rejection) => return Err(rejection),
        };
        let sample = Sample {
            guest: &guest,
            sender: suspect.sender.address().map(ToString::to_string).unwrap_or_default(),
            recipients: suspect.recipients.iter().map(ToString::to_string).collect(),
            block: suspect.block,
            body: suspect.body,
            id: suspect.journey.to_string(),
            receiver: hostname.as_str(),
        };
        let filtered = self.filter(&sample, &config.antispam, journal).await?;
        junk = junk.or(filtered.junk);
        fields.extend_from_slice(&marks(&junk, &filtered.score));
        if let Some(reason) = &junk {
            let event = journal.event(Kind::Verdict).class("junk");
            journal.record(event.text(format_args!("junk: {reason}")));
        }
        let proven = if found.proves(suspect.sender) { Proven::Yes } else { Proven::No };
        if proven == Proven::Yes {
            self.welcome(&guest, suspect.sender);
        }
        let body = rewritten(&suspect, hostname.as_str(), &filtered.changes);
        let Filtered { hold, discard, .. } = filtered;
        Ok(Inspected { fields, body, proven, hold, discard })
    }

    /// SPF, DKIM, DMARC and IPREV, with their facts in the journey.
    async fn authenticate(
        &self,
        guest: &Guest,
        suspect: &Suspect<'_>,
        config: &Config,
        journal: &Journal,
    ) -> Result<Authentication, Rejection> {
        let hostname = config.hostname();
        let bringer = self.bringer((guest.ip, &guest.helo), hostname.as_str());
        let early = guest.early.clone();
        let inquiry = self.dns.inquire();
        let letter = dkim::Letter { header: suspect.block, whole: suspect.body };
        let rules = rules(&config.antispam);
        let found = Authentication::of(&inquiry, letter, (bringer, early), rules).await;
        record_questions(journal, inquiry);
        let found = found.map_err(|error| super::disk_rejection(&error))?;
        for (class, line) in found.lines() {
            journal.record(journal.event(Kind::Verdict).class(class).text(line));
        }
        Ok(found)
    }
}

/// The fields that say whether a letter is junk, how much, and why.
fn marks(junk: &Option<String>, score: &Option<(f64, String)>) -> Vec<u8> {
    let mut fields = Vec::new();
    if let Some((score, _)) = score {
        fields.extend_from_slice(&header::field(message::junk::SCORE, &format!("{score:.1}")));
    }
    let status = match (junk, score) {
        (Some(reason), _) => {
            fields.extend_from_slice(&header::field(message::junk::FLAG, message::junk::YES));
            format!("Yes, {reason}")
        }
        (None, Some((_, story))) => format!("No, {story}"),
        (None, None) => return fields,
    };
    fields.extend_from_slice(&header::field(message::junk::STATUS, &status));
    fields
}

/// What lists and HELO say, where that makes a letter junk.
fn suspicion(guest: &Guest, antispam: &Antispam) -> Option<String> {
    match (&guest.listed, antispam.dnsbl_listed, &guest.helo_fault, antispam.helo) {
        (Listed::Good(_), ..) => None,
        (Listed::Bad(why), Measure::Junk, ..) => Some(why.clone()),
        (_, _, Some(fault), Measure::Junk) => Some(format!("HELO: {fault}")),
        _ => None,
    }
}

/// The letter without fields that others wrote in our name, and with what filters changed.
fn rewritten(suspect: &Suspect<'_>, hostname: &str, changes: &[Change]) -> Body {
    let block = suspect.block;
    let forged = authentication_results::is_forged(block, hostname);
    let marked = message::junk::FIELDS.iter().any(|name| header::find(block, name).is_some());
    if !forged && !marked && changes.is_empty() {
        return suspect.body.clone();
    }
    let kept = authentication_results::without_forged(block, hostname);
    let mut kept = header::without(&kept, &message::junk::FIELDS);
    if !changes.is_empty() {
        kept = milter::change::applied(&kept, changes);
    }
    suspect.body.without_start(block.len() as u64).prepend(Bytes::from(kept))
}

/// Whether a header block has its empty line.
fn ends(block: &[u8]) -> bool {
    block.ends_with(b"\n\r\n") || block.ends_with(b"\n\n") || block == b"\r\n"
}

fn header_too_large() -> Rejection {
    let most = crate::limits::HEADER_LOOKED_AT / 1024;
    Rejection::permanent(
        ReplyCode::TOO_MUCH,
        EnhancedCode::permanent(3, 4),
        Fault::Sender,
        format!("the header of the letter is larger than {most} KiB"),
    )
}

fn rules(antispam: &Antispam) -> Rules {
    let action = |measure: Measure| match measure {
        Measure::Note => Action::Note,
        Measure::Junk => Action::Junk,
        Measure::Reject => Action::Reject,
    };
    Rules {
        spf: antispam.spf,
        dkim: antispam.dkim,
        dmarc: antispam.dmarc,
        iprev: antispam.iprev,
        spf_fail: action(antispam.spf_fail),
        dmarc_most: action(antispam.dmarc_policy),
    }
}

/// What DNS was asked and said.
fn record_questions(journal: &Journal, inquiry: Inquiry<'_>) {
    for asked in inquiry.into_asked() {
        journal.record(question(journal, &asked));
    }
}

fn question(journal: &Journal, asked: &Asked) -> service::trail::Event {
    let event = journal.event(Kind::Dns).text(asked).took(asked.took);
    match &asked.answer {
        Ok(_) => event,
        Err(cause) if cause.is_temporary() => event.outcome(Outcome::Temporary),
        // "There is none" is an answer.
        Err(_) => event,
    }
}
