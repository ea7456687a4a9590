//! Filters of others that look at letters from outside: rspamd over HTTP, and any that speaks the
//! milter protocol. Each is asked within a time; one that is away or breaks the rules is passed
//! over or makes the sender come again, as the configuration says. What they speak is `verdict`'s.

use disk::Body;
use net::Stream;
use net::connect::{ConnectError, Outgoing};
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, Reply, ReplyCode};
use service::config::{Antispam, FilterSocket, WhenAway};
use service::trail::{Event, Kind, Outcome};
use verdict::milter::{self, Change};
use verdict::rspamd;

use super::Desk;
use super::inspect::Guest;
use crate::courier::Journal;
use crate::limits::FILTER_CONNECT;

/// A letter for filters.
pub(super) struct Sample<'a> {
    pub(super) guest: &'a Guest,
    pub(super) sender: String,
    pub(super) recipients: Vec<String>,
    /// The header block as it came.
    pub(super) block: &'a [u8],
    pub(super) body: &'a Body,
    pub(super) id: String,
    pub(super) receiver: &'a str,
}

/// What filters want.
#[derive(Default)]
pub(super) struct Filtered {
    /// Why it is junk.
    pub(super) junk: Option<String>,
    /// Why it is to be kept back.
    pub(super) hold: Option<String>,
    /// Which filter wants it dropped.
    pub(super) discard: Option<String>,
    /// A score from 0 to 10, and its story.
    pub(super) score: Option<(f64, String)>,
    /// Changes of the header.
    pub(super) changes: Vec<Change>,
}

impl Desk {
    /// Asks every filter of the configuration.
    pub(super) async fn filter(
        &self,
        sample: &Sample<'_>,
        antispam: &Antispam,
        journal: &Journal,
    ) -> Result<Filtered, Rejection> {
        let mut filtered = Filtered::default();
        if let Some(socket) = &antispam.rspamd {
            match self.ask_rspamd(socket, sample, antispam).await {
                Ok(answer) => follow_rspamd(&answer, &mut filtered, journal)?,
                Err(why) => away(("rspamd", &why), antispam.filters_away, journal)?,
            }
        }
        for socket in &antispam.milters {
            let name = format!("milter {socket}");
            match self.ask_milter(socket, sample, antispam).await {
                Ok(answer) => {
                    filtered.changes.extend(answer.changes);
                    follow_milter(&name, answer.decision, &mut filtered, journal)?;
                }
                Err(why) => away((&name, &why), antispam.filters_away, journal)?,
            }
            if filtered.discard.is_some() {
                break;
            }
        }
        Ok(filtered)
    }

    async fn ask_rspamd(
        &self,
        socket: &FilterSocket,
        sample: &Sample<'_>,
        antispam: &Antispam,
    ) -> Result<rspamd::Answer, String> {
        let stream = self.connect_filter(socket).await.map_err(|error| error.to_string())?;
        let question = rspamd::Question {
            letter: sample.body,
            ip: Some(sample.guest.ip),
            helo: &sample.guest.helo,
            sender: &sample.sender,
            recipients: &sample.recipients,
            id: &sample.id,
        };
        let asked = rspamd::check(stream, question);
        match self.context.clock.timeout(antispam.filter_time, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn ask_milter(
        &self,
        socket: &FilterSocket,
        sample: &Sample<'_>,
        antispam: &Antispam,
    ) -> Result<milter::Answer, String> {
        let stream = self.connect_filter(socket).await.map_err(|error| error.to_string())?;
        let iprev = sample.guest.early.iprev.as_ref();
        let name = iprev.and_then(|iprev| iprev.name.clone());
        let question = milter::Question {
            header: sample.block,
            letter: sample.body,
            ip: Some(sample.guest.ip),
            host: &name.unwrap_or_else(|| format!("[{}]", sample.guest.ip)),
            helo: &sample.guest.helo,
            sender: &sample.sender,
            recipients: &sample.recipients,
            id: &sample.id,
            receiver: sample.receiver,
        };
        let asked = milter::check(stream, question);
        match self.context.clock.timeout(antispam.filter_time, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err("no answer in time".to_owned()),
        }
    }

    async fn connect_filter(&self, socket: &FilterSocket) -> Result<Stream, ConnectError> {
        let (clock, network) = (&self.context.clock, &self.context.network);
        match socket {
            FilterSocket::Unix(path) => network.unix(path, FILTER_CONNECT, clock).await,
            FilterSocket::Tcp(address) => {
                let outgoing = Outgoing { source: None, timeout: FILTER_CONNECT };
                network.tcp(*address, outgoing, clock).await
            }
        }
    }
}

fn follow_rspamd(
    answer: &rspamd::Answer,
    filtered: &mut Filtered,
    journal: &Journal,
) -> Result<(), Rejection> {
    let told = answer.told();
    let event = journal.event(Kind::Verdict).class("rspamd");
    journal.record(event.text(format_args!("rspamd: {:?}, {told}", answer.action)));
    // Its scores have no end; 10 is where it refuses.
    let share = if answer.required > 0.0 { answer.score / answer.required } else { 0.0 };
    filtered.score = Some(((share * 10.0).clamp(0.0, 10.0), told.clone()));
    let words = |usual: &'static str| answer.message.clone().unwrap_or_else(|| usual.to_owned());
    match answer.action {
        rspamd::Action::Nothing => {}
        rspamd::Action::Junk => filtered.junk = Some(format!("rspamd {told}")),
        rspamd::Action::Later => {
            let enhanced = EnhancedCode::temporary(7, 1);
            let text = words("try again later");
            return Err(Rejection::temporary(
                ReplyCode::LOCAL_ERROR,
                enhanced,
                Fault::Policy,
                text,
            ));
        }
        rspamd::Action::Reject => {
            let enhanced = EnhancedCode::permanent(7, 1);
            let text = words("this letter looks like spam");
            return Err(Rejection::permanent(ReplyCode::FAILED, enhanced, Fault::Policy, text));
        }
    }
    Ok(())
}

fn follow_milter(
    name: &str,
    decision: milter::Decision,
    filtered: &mut Filtered,
    journal: &Journal,
) -> Result<(), Rejection> {
    let event = |text: String| -> Event {
        journal.event(Kind::Verdict).class("milter").text(format_args!("{name}: {text}"))
    };
    match decision {
        milter::Decision::Take => journal.record(event("nothing against it".to_owned())),
        milter::Decision::Quarantine(reason) => {
            journal.record(event(format!("to be held: {reason}")));
            filtered.hold = Some(format!("filter: {reason}"));
        }
        milter::Decision::Discard => {
            journal.record(event("to be discarded".to_owned()));
            filtered.discard = Some(name.to_owned());
        }
        milter::Decision::Refuse(code, text) => {
            journal.record(event(format!("to be refused: {code} {text}")));
            return Err(refusal(code, &text));
        }
    }
    Ok(())
}

/// What a filter said, as our refusal.
fn refusal(code: u16, text: &str) -> Rejection {
    let (first, rest) = text.split_once(' ').unwrap_or((text, ""));
    let (enhanced, words) = match first.parse::<EnhancedCode>() {
        Ok(enhanced) => (enhanced, rest),
        Err(_) => (EnhancedCode::permanent(7, 1), text),
    };
    let words = if words.is_empty() { "refused by a filter" } else { words };
    let reply = ReplyCode::new(code).map(|code| Reply::plain(code, words.to_owned()));
    match reply {
        Some(reply) if reply.code.is_temporary() => {
            Rejection::temporary(reply.code, enhanced, Fault::Policy, words.to_owned())
        }
        Some(reply) => Rejection::permanent(reply.code, enhanced, Fault::Policy, words.to_owned()),
        None => Rejection::internal("a filter gave no reply code"),
    }
}

/// A filter is not there, or is not well.
fn away((name, why): (&str, &str), when: WhenAway, journal: &Journal) -> Result<(), Rejection> {
    tracing::warn!(filter = name, why, "a filter does not answer");
    let event = journal.event(Kind::Verdict).class("filter").outcome(Outcome::Temporary);
    journal.record(event.text(format_args!("{name} does not answer: {why}")));
    match when {
        WhenAway::Accept => Ok(()),
        WhenAway::Defer => {
            let enhanced = EnhancedCode::temporary(7, 1);
            let text = "letters cannot be checked at the moment, try again later";
            let code = ReplyCode::LOCAL_ERROR;
            Err(Rejection::temporary(code, enhanced, Fault::Ours, text).because(why))
        }
    }
}
