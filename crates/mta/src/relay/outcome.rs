//! What a trip came to, written down: changes of the letter in the queue, events of its journey,
//! and a report to the sender where one is due.

use message::dsn::Action;
use protocol::address::ReversePath;
use protocol::reply::{EnhancedCode, Reply};
use protocol::smtp::Verb;
use protocol::smtp::parameters::Notify;
use protocol::time::Timestamp;
use queue::{Change, NewLetter, Origin, Progress, Recipient, Said, State, Wait};
use service::trail::{Event, Kind, Outcome};

use super::attempt::Trip;
use super::backoff::{self, Next};
use super::route::Way;
use crate::bounce::{Occasion, RECIPIENTS_PER_REPORT};
use crate::courier::Taken;
use crate::limits::UNWRITTEN;
use crate::reason::{Failure, Reason};

/// What became of one recipient at one attempt.
#[derive(Debug, Clone)]
pub(crate) enum Fate {
    /// Taken over.
    Carried(Taken),
    /// Not now, or never.
    Failed(Failure),
}

/// A recipient that is given up, and why.
struct Given {
    index: usize,
    failure: Failure,
}

impl Trip {
    /// Writes down what became of recipients on `way`, by index.
    pub(crate) async fn settle(&self, way: &Way, fates: Vec<(usize, Fate)>) {
        let now = self.now();
        let mut changes = Vec::new();
        let mut given = Vec::new();
        let mut late = Vec::new();
        let mut successes = Vec::new();
        for (index, fate) in fates {
            match fate {
                Fate::Carried(taken) => {
                    if let Some(action) = self.success_to_report(index, way, &taken) {
                        let (host, reply) = (taken.host.clone(), taken.reply.clone());
                        let mut said = Failure::said(host, Verb::EndOfData, reply);
                        // Our delivery agent is no other system (RFC 3464 §2.3.5).
                        said.host = said.host.filter(|_| *way != Way::Local);
                        successes.push((index, action, said));
                    }
                    changes.push(self.carried(index, way, (taken.host, taken.reply), now));
                }
                Fate::Failed(failure) => match self.next((index, way), &failure, now) {
                    Some(change) => {
                        changes.push(change);
                        late.push((index, failure));
                    }
                    None => given.push(Given { index, failure: self.final_word(index, failure) }),
                },
            }
        }
        if !changes.is_empty() {
            self.write_with_reports(changes, &successes, now).await;
        }
        if !given.is_empty() {
            self.give_back(given, now).await;
        }
        if !late.is_empty() {
            self.tell_delay(&late, now).await;
        }
    }

    /// RFC 3461 §4.1, §5.2.2: NOTIFY=SUCCESS is answered by who delivers, or by who hands a letter
    /// to a system that promises no reports.
    fn success_to_report(&self, index: usize, way: &Way, taken: &Taken) -> Option<Action> {
        let letter = self.lease.letter();
        let asked = matches!(
            letter.recipients[index].parameters.notify,
            Some(Notify::On { success: true, .. })
        );
        // Nobody is told who may never have written it: no backscatter.
        if !asked || letter.sender.is_null() || letter.origin == Origin::Unproven {
            return None;
        }
        match way {
            Way::Local => Some(Action::Delivered),
            _ if taken.reports => None,
            _ => Some(Action::Relayed),
        }
    }

    /// Changes with reports on successes: one report for each kind.
    async fn write_with_reports(
        &self,
        changes: Vec<Change>,
        successes: &[(usize, Action, Failure)],
        now: Timestamp,
    ) {
        let mut changes = changes;
        for action in [Action::Delivered, Action::Relayed] {
            let told: Vec<(usize, &Failure)> = successes
                .iter()
                .filter(|(_, kind, _)| *kind == action)
                .map(|(index, _, said)| (*index, said))
                .collect();
            for group in told.chunks(RECIPIENTS_PER_REPORT) {
                let report = self.report(Occasion::Succeeded(action), group, now);
                if let Some(report) = report {
                    self.write(std::mem::take(&mut changes), Some(report)).await;
                }
            }
        }
        if !changes.is_empty() {
            self.write(changes, None).await;
        }
    }

    fn carried(
        &self,
        index: usize,
        way: &Way,
        (host, reply): (String, Reply),
        now: Timestamp,
    ) -> Change {
        let recipient = &self.lease.letter().recipients[index];
        let attempts = recipient.progress.attempts + 1;
        let (state, kind) = match way {
            Way::Local => (State::Delivered, None),
            _ => (State::Relayed, Some(Kind::Relayed)),
        };
        // For local mail the MDA's own event (stored) says it better.
        if let Some(kind) = kind {
            let event = self.event(kind, recipient).peer(&host).text(&reply);
            self.journal.record(event.attempt(attempts, None));
        }
        let said = Said { reason: String::new(), host, text: reply.to_string() };
        Change::Recipient(index, Progress { state, attempts, next: now, last: Some(said) })
    }

    /// When the recipient is tried again; `None` when it is given up.
    fn next(
        &self,
        (index, way): (usize, &Way),
        failure: &Failure,
        now: Timestamp,
    ) -> Option<Change> {
        let letter = self.lease.letter();
        let recipient = &letter.recipients[index];
        let attempts = recipient.progress.attempts + 1;
        if failure.is_permanent() {
            return None;
        }
        let is_away = *way == Way::Local && failure.reason == Reason::Network;
        let usual = &self.config.mta.retry;
        let retry = if is_away { backoff::next_door(usual) } else { usual.clone() };
        match backoff::next(
            &retry,
            attempts,
            self.relay.context.chance.u32(),
            (now, letter.expires),
        ) {
            Next::At(when) => {
                let event = self
                    .event(Kind::Deferred, recipient)
                    .outcome(Outcome::Temporary)
                    .class(failure.reason)
                    .text(failure)
                    .attempt(attempts, Some(when));
                self.journal.record(event);
                let last = Some(said(failure));
                let progress = Progress { state: State::Waiting, attempts, next: when, last };
                Some(Change::Recipient(index, progress))
            }
            Next::GiveUp => None,
        }
    }

    /// The failure for which a recipient is given up.
    fn final_word(&self, index: usize, last: Failure) -> Failure {
        if last.is_permanent() {
            return last;
        }
        let attempts = self.lease.letter().recipients[index].progress.attempts + 1;
        expired(attempts, &last)
    }

    /// Ends recipients for good, with a report to the sender where one is due.
    async fn give_back(&self, given: Vec<Given>, now: Timestamp) {
        let mut told = Vec::new();
        let mut quiet = Vec::new();
        for one in given {
            match self.silence(one.index) {
                None => told.push(one),
                Some(rule) => quiet.push((one, rule)),
            }
        }
        if !quiet.is_empty() {
            let changes = quiet.iter().map(|(one, rule)| self.discarded(one, rule, now)).collect();
            self.write(changes, None).await;
        }
        for group in told.chunks(RECIPIENTS_PER_REPORT) {
            let failures: Vec<(usize, &Failure)> =
                group.iter().map(|one| (one.index, &one.failure)).collect();
            let Some(report) = self.report(Occasion::Failed, &failures, now) else { continue };
            let changes: Vec<Change> = group
                .iter()
                .map(|one| self.ended(one, State::Bounced, now, said(&one.failure)))
                .collect();
            let journey = report.journey;
            if self.write(changes, Some(report)).await {
                for one in group {
                    let recipient = &self.lease.letter().recipients[one.index];
                    let event = self
                        .event(Kind::Bounced, recipient)
                        .outcome(Outcome::Permanent)
                        .class(one.failure.reason)
                        .text(format_args!("{}; report {journey}", one.failure));
                    self.journal.record(event);
                }
            }
        }
    }

    /// The rule by which nobody is told that this recipient failed.
    fn silence(&self, index: usize) -> Option<&'static str> {
        let letter = self.lease.letter();
        if letter.sender.is_null() {
            // RFC 5321 §4.5.5: a report about a report would go in circles.
            return Some("null-reverse-path");
        }
        if letter.origin == Origin::Unproven {
            // Who is named as the sender may never have written it: no backscatter.
            return Some("unproven-sender");
        }
        // RFC 3461 §4.1.
        match letter.recipients[index].parameters.notify {
            Some(Notify::Never | Notify::On { failure: false, .. }) => Some("notify-never"),
            _ => None,
        }
    }

    fn discarded(&self, one: &Given, rule: &str, now: Timestamp) -> Change {
        let recipient = &self.lease.letter().recipients[one.index];
        let text = format!("rule {rule}: {}", one.failure);
        let event = self
            .event(Kind::Discarded, recipient)
            .outcome(Outcome::Permanent)
            .class(one.failure.reason)
            .text(&text);
        self.journal.record(event);
        let reason = one.failure.reason.to_string();
        self.ended(one, State::Discarded, now, Said { reason, host: String::new(), text })
    }

    fn ended(&self, one: &Given, state: State, now: Timestamp, last: Said) -> Change {
        let attempts = self.lease.letter().recipients[one.index].progress.attempts + 1;
        Change::Recipient(one.index, Progress { state, attempts, next: now, last: Some(last) })
    }

    /// Tells the sender once that the letter is late (RFC 3461 §4.1, RFC 5321 §4.5.4.1).
    /// `late` are failures of this attempt.
    async fn tell_delay(&self, late: &[(usize, Failure)], now: Timestamp) {
        let journey = self.lease.letter().journey;
        let Some(letter) = self.relay.queue.show(journey).map(|listed| listed.letter) else {
            return;
        };
        let after = self.config.mta.delay_notice;
        if after.is_zero()
            || letter.delay_told
            || letter.sender.is_null()
            || letter.origin == Origin::Unproven
            || now.since(letter.arrived) < after
        {
            return;
        }
        let failures: Vec<(usize, Failure)> = letter
            .waiting()
            .filter(|(_, recipient)| wants_delay(recipient))
            .filter_map(|(index, recipient)| {
                let fresh = late.iter().find(|(late, _)| *late == index).map(|it| it.1.clone());
                Some((index, fresh.or_else(|| last_failure(recipient))?))
            })
            .take(RECIPIENTS_PER_REPORT)
            .collect();
        if failures.is_empty() {
            return;
        }
        let failures: Vec<(usize, &Failure)> =
            failures.iter().map(|(index, failure)| (*index, failure)).collect();
        if let Some(report) = self.report(Occasion::Delayed(letter.expires), &failures, now) {
            self.write(vec![Change::DelayTold], Some(report)).await;
        }
    }

    /// Makes changes, with the report they speak of. Whether it worked; if not, the letter rests.
    pub(crate) async fn write(&self, changes: Vec<Change>, report: Option<NewLetter>) -> bool {
        let letter = self.lease.letter();
        let when = (letter.journey, self.now());
        let generated = report.as_ref().map(|report| {
            Event::new(Kind::Generated, report.journey)
                .because_of(letter.journey)
                .from(ReversePath::Null)
                .to(&report.recipients[0].address)
                .bytes(report.body.length())
        });
        let ticket = match report {
            Some(report) => self.relay.queue.change_with_report(when, changes, report),
            // A repeat after a power cut does no harm that RFC 5321 does not allow.
            None => self.relay.queue.change(when, changes, Wait::Lazy),
        };
        match ticket.await {
            Ok(_) => {
                generated.into_iter().for_each(|event| self.journal.record(event));
                true
            }
            Err(error) => {
                let journey = letter.journey;
                tracing::error!(%journey, %error, "an outcome is not written down");
                tokio::select! {
                    biased;
                    () = self.relay.context.clock.sleep(UNWRITTEN) => {}
                    () = self.relay.context.drain.cancelled() => {}
                }
                false
            }
        }
    }

    fn event(&self, kind: Kind, recipient: &Recipient) -> Event {
        let letter = self.lease.letter();
        self.journal.event(kind).to(&recipient.address).queue_id(letter.journey)
    }
}

/// What the queue keeps of a failure.
fn said(failure: &Failure) -> Said {
    Said {
        reason: failure.reason.to_string(),
        host: failure.host.clone().unwrap_or_default(),
        text: match failure.verb {
            Some(_) => failure.reply.to_string(),
            None => format!("{} ({})", failure.reply.text, failure.status()),
        },
    }
}

/// What is known of the last failure of a recipient that waits, from an earlier attempt.
fn last_failure(recipient: &Recipient) -> Option<Failure> {
    let last = recipient.progress.last.as_ref()?;
    let reason = Reason::from_word(&last.reason).unwrap_or(Reason::Other);
    // Our own words were kept with the enhanced code after them.
    let split = last.text.strip_suffix(')').and_then(|text| text.rsplit_once(" ("));
    let (text, code) = match split.map(|(text, code)| (text, code.parse::<EnhancedCode>())) {
        Some((text, Ok(code))) => (text, (code.subject(), code.detail())),
        _ => (last.text.as_str(), (0, 0)),
    };
    let failure = Failure::temporary(reason, code, text.to_owned());
    Some(if last.host.is_empty() { failure } else { failure.at(last.host.clone()) })
}

fn wants_delay(recipient: &Recipient) -> bool {
    !matches!(recipient.parameters.notify, Some(Notify::Never | Notify::On { delay: false, .. }))
}

/// The end of a recipient's time.
fn expired(attempts: u32, last: &Failure) -> Failure {
    let times = if attempts == 1 { "once".to_owned() } else { format!("{attempts} times") };
    let last_words = match last.verb {
        Some(_) => last.to_string(),
        None => last.reply.text.to_string(),
    };
    let text = format!("it was tried {times}; at last: {last_words}");
    // RFC 3463 §3.5: X.4.7, delivery time expired.
    Failure::permanent(Reason::Expired, (4, 7), text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use protocol::reply::ReplyCode;

    fn waiting(last: Said) -> Recipient {
        Recipient {
            address: "bob@blue.test".parse().expect("an address"),
            parameters: Default::default(),
            from: None,
            progress: Progress {
                state: State::Waiting,
                attempts: 3,
                next: Timestamp::from_seconds(0),
                last: Some(last),
            },
            in_hand: None,
        }
    }

    #[test]
    fn what_the_queue_keeps_of_our_own_words_is_understood_again() {
        let failure =
            Failure::temporary(Reason::Network, (4, 1), "connection refused").at("mx.blue.test");
        assert_eq!(last_failure(&waiting(said(&failure))), Some(failure));
    }

    #[test]
    fn the_end_of_the_time_keeps_the_last_words() {
        let code = EnhancedCode::temporary(7, 1);
        let reply = Reply::new(ReplyCode::LOCAL_ERROR, code, "come back later");
        let last = Failure::said("mx.blue.test", Verb::Rcpt, reply);
        let end = expired(7, &last);
        assert!(end.is_permanent());
        assert_eq!((end.reason, end.status().to_string()), (Reason::Expired, "5.4.7".to_owned()));
        let text = end.to_string();
        assert!(text.contains("tried 7 times") && text.contains("come back later"), "{text}");
    }
}
