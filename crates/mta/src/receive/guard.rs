//! What protects the door of port 25: who comes too often, talks before it is greeted, asks for
//! names that do not exist, stands in a list of bad addresses or is not known yet. Each rule has a
//! switch in the configuration and a reason in the reply. The counts and lists are `verdict`'s;
//! what is refused here is written down by the session.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use disk::{Disk, read_whole};
use net::Clock;
use protocol::address::ReversePath;
use protocol::rejection::{Fault, Rejection};
use protocol::reply::{EnhancedCode, ReplyCode};
use service::config::{Antispam, Config, Measure};
use verdict::greylist::{Advice, Attempt, Greylist};
use verdict::lists::{self, Standing};
use verdict::lookup::Inquiry;
use verdict::meter::{Bans, Meter};
use verdict::spf::SpfResult;

use super::Desk;
use super::inspect::Guest;
use crate::courier::Journal;
use crate::limits::{GREYLIST_BYTES, GREYLIST_SAVED, HOUR, MINUTE};
use crate::state_file::StateFile;
use service::trail::{Kind, Outcome};

/// What is remembered of those who come.
pub(super) struct Guard {
    held: Mutex<Held>,
    /// Where the greylist survives a restart.
    file: StateFile,
}

#[derive(Default)]
struct Held {
    connections: Meter,
    letters: Meter,
    unknown: Meter,
    bans: Bans,
    greylist: Greylist,
}

impl Guard {
    /// Remembers what the last process wrote down.
    pub(super) fn open(disk: Arc<dyn Disk>, file: PathBuf, clock: &Clock) -> Self {
        let text = read_whole(disk.as_ref(), &file, GREYLIST_BYTES).unwrap_or_default();
        let greylist = Greylist::from_text(&String::from_utf8_lossy(&text));
        let held = Mutex::new(Held { greylist, ..Held::default() });
        Guard { held, file: StateFile::new(disk, file, clock) }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes down who is known, if that changed.
    fn save(&self) {
        let text = {
            let mut held = self.held();
            if !held.greylist.take_changed() {
                return;
            }
            held.greylist.to_text()
        };
        self.file.write(text);
    }
}

impl Desk {
    /// Writes down now and then, and at the end, who is known.
    pub(crate) async fn keep(self: Arc<Self>) {
        let drain = self.context.drain.clone();
        loop {
            tokio::select! {
                () = self.context.clock.sleep(GREYLIST_SAVED) => self.guard.save(),
                () = drain.cancelled() => break,
            }
        }
        self.guard.save();
        self.guard.file.finish();
    }

    /// Whether one from this address may come in at all.
    pub(super) fn admit(&self, ip: IpAddr) -> Result<(), Rejection> {
        let config = self.context.config.current();
        if config.trusts(ip) {
            return Ok(());
        }
        let now = self.context.clock.tick();
        let mut held = self.guard.held();
        if let Some(left) = held.bans.left(ip, now) {
            let left = left.as_secs().max(1);
            return Err(closing(format!("your network is not welcome for another {left} seconds")));
        }
        let most = (config.limits.connections_per_minute, MINUTE);
        held.connections.take(ip, most, now).map_err(|wait| {
            let wait = wait.as_secs();
            closing(format!("too many connections from your network, come again in {wait} seconds"))
        })
    }

    /// Whether one more letter is taken from this address now.
    pub(super) fn admit_letter(&self, ip: IpAddr) -> Result<(), Rejection> {
        let config = self.context.config.current();
        if config.trusts(ip) {
            return Ok(());
        }
        let most = (config.limits.letters_per_hour, HOUR);
        let now = self.context.clock.tick();
        self.guard.held().letters.take(ip, most, now).map_err(|wait| {
            let wait = wait.as_secs();
            later(7, format!("too many letters from your network, try again in {wait} seconds"))
        })
    }

    /// A recipient was named who does not exist: too many of them is somebody who looks for names.
    pub(super) fn unknown_recipient(&self, ip: IpAddr) -> Result<(), Rejection> {
        let config = self.context.config.current();
        if config.trusts(ip) {
            return Ok(());
        }
        let most = (config.antispam.unknown_recipients_per_hour, HOUR);
        let now = self.context.clock.tick();
        let mut held = self.guard.held();
        if held.unknown.add(ip, most, now) {
            held.bans.add(ip, config.antispam.ban, now);
            return Err(closing("too many recipients who do not exist".to_owned()));
        }
        Ok(())
    }

    /// Asks the lists about an address, and says why its mail is not wanted, or that it is.
    pub(super) async fn look_up(
        &self,
        inquiry: &Inquiry<'_>,
        ip: IpAddr,
        antispam: &Antispam,
        journal: &Journal,
    ) -> Listed {
        let good = lists::check(inquiry, ip, &antispam.dnswl).await;
        self.record_lists(&good, journal);
        if let Some(list) = good.iter().find(|answer| answer.is_listed()) {
            return Listed::Good(list.list.clone());
        }
        let bad = lists::check(inquiry, ip, &antispam.dnsbl).await;
        self.record_lists(&bad, journal);
        let found = bad.into_iter().find_map(|answer| match answer.standing {
            Standing::Listed { text, .. } => Some((answer.list, text)),
            _ => None,
        });
        match found {
            Some((list, Some(text))) => Listed::Bad(format!("{ip} is listed by {list}: {text}")),
            Some((list, None)) => Listed::Bad(format!("{ip} is listed by {list}")),
            None => Listed::Nowhere,
        }
    }

    fn record_lists(&self, answers: &[lists::Answer], journal: &Journal) {
        for answer in answers {
            let event = journal.event(Kind::Verdict).class("list").text(answer.told());
            match &answer.standing {
                Standing::Refused(why) => {
                    tracing::warn!(list = answer.list, why, "a list does not answer us");
                    journal.record(event.outcome(Outcome::Temporary));
                }
                Standing::Unknown(_) => journal.record(event.outcome(Outcome::Temporary)),
                _ => journal.record(event),
            }
        }
    }

    /// Whether a recipient is answered now: the lists, then the greylist. Postmaster always is
    /// (RFC 5321 §4.5.1), so that who is refused can ask why.
    pub(super) fn admit_recipient(
        &self,
        (guest, sender): (&Guest, &ReversePath),
        recipient: &str,
        config: &Config,
        journal: &Journal,
    ) -> Result<(), Rejection> {
        let local = recipient.split('@').next().unwrap_or_default();
        if local.eq_ignore_ascii_case("postmaster") {
            return Ok(());
        }
        let antispam = &config.antispam;
        match (&guest.listed, antispam.dnsbl_listed) {
            (Listed::Bad(why), Measure::Reject) => return Err(unwanted(why.clone())),
            (Listed::Good(_), _) => return Ok(()),
            _ => {}
        }
        if let (Some(fault), Measure::Reject) = (&guest.helo_fault, antispam.helo) {
            return Err(unwanted(format!("HELO: {fault}")));
        }
        if !antispam.greylist {
            return Ok(());
        }
        let pair = format!("{sender} {}", recipient.to_ascii_lowercase());
        let attempt = self.attempt((guest, sender), &pair);
        let advice = self.guard.held().greylist.judge(attempt.of(), antispam.greylist_delay);
        match advice {
            Advice::Pass(why) => {
                let event = journal.event(Kind::Verdict).class("greylist").to(recipient);
                journal.record(event.text(format_args!("greylist: {why}")));
                Ok(())
            }
            Advice::Wait(wait) => {
                let wait = wait.as_secs().max(1);
                Err(later(7, format!("greylisted: not known here, try again in {wait} seconds")))
            }
        }
    }

    /// A letter was taken from somebody who was proven: the greylist does not delay them again.
    pub(super) fn welcome(&self, guest: &Guest, sender: &ReversePath) {
        let config = self.context.config.current();
        if config.antispam.greylist {
            let attempt = self.attempt((guest, sender), "");
            self.guard.held().greylist.proven(attempt.of());
        }
    }

    fn attempt(&self, (guest, sender): (&Guest, &ReversePath), pair: &str) -> OwnedAttempt {
        let domain = match sender.address() {
            Some(address) => address.host().to_string(),
            None => guest.helo.to_string(),
        };
        let spf = guest.early.spf.as_ref();
        OwnedAttempt {
            ip: guest.ip,
            domain: domain.to_ascii_lowercase(),
            pair: pair.to_owned(),
            vouched: spf.is_some_and(|spf| spf.result == SpfResult::Pass),
            now: u64::try_from(self.context.clock.now().as_seconds()).unwrap_or(0),
        }
    }
}

/// What the lists say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Listed {
    /// In one of the good ones.
    Good(String),
    /// In one of the bad ones; why.
    Bad(String),
    /// In none, as far as is known.
    Nowhere,
}

struct OwnedAttempt {
    ip: IpAddr,
    domain: String,
    pair: String,
    vouched: bool,
    now: u64,
}

impl OwnedAttempt {
    fn of(&self) -> Attempt<'_> {
        let OwnedAttempt { ip, domain, pair, vouched, now } = self;
        Attempt { ip: *ip, domain, pair, vouched: *vouched, now: *now }
    }
}

/// What is wrong with the name in HELO. RFC 5321 §4.1.4: that it does not lead to the address is no
/// reason to refuse; that it cannot be one's own name is.
pub(super) fn helo_fault(helo: &str, ip: IpAddr, is_ours: impl Fn(&str) -> bool) -> Option<String> {
    let literal = helo.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    if let Some(literal) = literal {
        let bare = literal.strip_prefix("IPv6:").unwrap_or(literal);
        return match bare.parse::<IpAddr>() {
            Ok(said) if said.to_canonical() == ip.to_canonical() => None,
            Ok(_) => Some(format!("{helo} is not your address")),
            Err(_) => Some(format!("{helo} is no address")),
        };
    }
    if helo.parse::<IpAddr>().is_ok() {
        return Some("an address stands in brackets".to_owned());
    }
    let name = helo.strip_suffix('.').unwrap_or(helo);
    if is_ours(name) {
        return Some(format!("{name} is our own name"));
    }
    match name.parse::<protocol::address::Domain>() {
        Err(_) => Some(format!("{name} is no host name")),
        Ok(_) if !name.contains('.') => Some(format!("{name} is not a whole name")),
        Ok(_) => None,
    }
}

/// RFC 5321 §3.8: 421, and the connection ends.
fn closing(text: String) -> Rejection {
    let (code, enhanced) = (ReplyCode::UNAVAILABLE, EnhancedCode::temporary(7, 0));
    Rejection::temporary(code, enhanced, Fault::Policy, text)
}

fn later(subject: u16, text: String) -> Rejection {
    let enhanced = EnhancedCode::temporary(subject, 1);
    Rejection::temporary(ReplyCode::LOCAL_ERROR, enhanced, Fault::Policy, text)
}

fn unwanted(text: String) -> Rejection {
    let enhanced = EnhancedCode::permanent(7, 1);
    Rejection::permanent(ReplyCode::MAILBOX_UNAVAILABLE, enhanced, Fault::Policy, text)
}

/// Who talked before the greeting. RFC 5321 §4.3.1: the client waits for it.
pub(super) fn spoke_first() -> Rejection {
    let enhanced = EnhancedCode::permanent(5, 1);
    let text = "you spoke before you were greeted";
    Rejection::permanent(ReplyCode::FAILED, enhanced, Fault::Protocol, text)
}

/// Too many commands and no letter.
pub(super) fn too_many_commands() -> Rejection {
    closing("too many commands and no letter".to_owned())
}

/// How long somebody who made `errors` errors waits for the answer to the next.
pub(super) fn tarpit(antispam: &Antispam, errors: u32) -> Duration {
    (antispam.tarpit * errors).min(TARPIT_MOST)
}

/// A client that waits longer takes us for dead: RFC 5321 §4.5.3.2 gives minutes.
const TARPIT_MOST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_cannot_be_ones_own() {
        let fault = |helo: &str| {
            helo_fault(helo, [192, 0, 2, 1].into(), |name| name.eq_ignore_ascii_case("mx.red.test"))
        };
        assert_eq!(fault("mail.blue.test"), None);
        assert_eq!(fault("[192.0.2.1]"), None);
        for wrong in ["192.0.2.1", "[192.0.2.2]", "[x]", "localhost", "MX.red.test", "a..b", "-"] {
            assert!(fault(wrong).is_some(), "{wrong}");
        }
    }
}
