//! Letters on their way: accepted as the MTA accepts them, handed over or queued, tried, relayed,
//! given back; and what the world was promised of each.

use std::collections::BTreeMap;
use std::time::Duration;

use disk::Body;
use protocol::journey::JourneyId;
use protocol::time::Timestamp;
use queue::{Change, NewLetter, NewRecipient, Origin, Progress, Queue, Said, State, Wait};
use service::ledger::{Act, Fact, Ledger};

use crate::world::{Outcome, PEOPLE, Stop, World, wrong};

/// What is known of one recipient of a letter that went into the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Promise {
    /// To be tried.
    Waits,
    /// Its outcome was told, and no barrier has followed: it may be tried again after a power cut.
    EndedSoon,
    /// Its outcome is durable.
    Ended,
}

#[derive(Debug, Clone)]
struct Queued {
    /// As it is to be sent.
    bytes: Vec<u8>,
    recipients: Vec<(String, Promise)>,
    /// Answered with yes. Otherwise it may be there or not.
    sure: bool,
    /// Each recipient's outcome without an answer may be there or not.
    unsure: bool,
}

/// What the world was promised, and what it got.
#[derive(Debug, Default)]
pub(crate) struct Post {
    queued: BTreeMap<JourneyId, Queued>,
    /// How often another system got a letter.
    relayed: BTreeMap<(JourneyId, String), u64>,
    /// Letters answered with yes, and for how many recipients.
    pub(crate) accepted: u64,
    pub(crate) tried: u64,
}

/// Our header fields.
const HEADERS: &[u8] = b"Received: from client.test by red.test\r\n";

/// Addresses elsewhere: one that takes letters, and one that does not.
const FAR: &str = "carol@blue.test";
const NOBODY: &str = "nobody@blue.test";

impl World {
    /// A letter comes in.
    pub(crate) fn incoming(&mut self) -> Outcome<()> {
        let journey = self.journey();
        let mut to: Vec<String> = Vec::new();
        let all = [local(0), local(1), FAR.to_owned(), NOBODY.to_owned()];
        let wanted = 1 + self.random.below(15);
        to.extend((0..4).filter(|n| wanted >> n & 1 == 1).map(|n| all[n].clone()));
        let is_local = to.iter().all(|address| which(address).is_some());
        let length = match self.random.below(30) {
            // Its own file beside the log; those of the mailboxes are written by a thread.
            0 if !to.iter().any(|address| which(address).is_some()) => 140_000,
            1 | 2 => 30_000,
            _ => 50 + self.random.below(2500) as usize,
        };
        let mut text = format!("Subject: {journey}\r\n\r\n").into_bytes();
        text.resize(length, b'a' + (length % 26) as u8);
        if is_local && !self.random.once_in(4) {
            let bytes = [HEADERS, &text].concat();
            let indexes: Vec<usize> = to.iter().filter_map(|address| which(address)).collect();
            let answers = match self.deliver(journey, &bytes, &indexes) {
                // The delivery agent is away, or its answer was lost: the queue has it then.
                Err(Stop::Down) => indexes.iter().map(|_| false).collect(),
                other => other?.iter().map(Result::is_ok).collect::<Vec<_>>(),
            };
            let lost = self.random.once_in(6);
            let mut heard = answers.into_iter().map(|yes| yes && !lost);
            to.retain(|_| !heard.next().unwrap_or(false));
            if to.is_empty() {
                self.post.accepted += 1;
                return Ok(());
            }
        }
        self.enqueue(journey, &text, to)?;
        // The delivery agent may have gone down above.
        if self.mail_is_down() { Err(Stop::Down) } else { Ok(()) }
    }

    fn enqueue(&mut self, journey: JourneyId, text: &[u8], to: Vec<String>) -> Outcome<()> {
        let queue = self.letters()?;
        let letter = letter(self.now(), journey, text, &to);
        let waits = |address: String| (address, Promise::Waits);
        let mut queued = Queued {
            bytes: [HEADERS, text].concat(),
            recipients: to.into_iter().map(waits).collect(),
            sure: true,
            unsure: false,
        };
        match self.drive(queue.accept(letter))? {
            Ok(_) => {
                self.post.accepted += 1;
                self.post.queued.insert(journey, queued);
                self.barrier();
                Ok(())
            }
            Err(_) if self.queue_is_down() => {
                queued.sure = false;
                self.post.queued.insert(journey, queued);
                Err(Stop::Down)
            }
            Err(error) if !self.trouble => wrong(format!("{journey} was refused: {error}")),
            Err(_) => match queue.show(journey) {
                Some(_) => wrong(format!("{journey} was refused, and is in the queue")),
                None => Ok(()),
            },
        }
    }

    /// What was answered lazily before is durable now.
    fn barrier(&mut self) {
        for queued in self.post.queued.values_mut() {
            for (_, promise) in &mut queued.recipients {
                if *promise == Promise::EndedSoon {
                    *promise = Promise::Ended;
                }
            }
        }
    }

    /// The queue runner tries a few letters.
    pub(crate) fn run_queue(&mut self) -> Outcome<()> {
        let queue = self.letters()?;
        let leases = queue.take_due(self.now(), 3);
        for lease in &leases {
            let letter = lease.letter().clone();
            let bytes = match queue.bytes(letter.journey).and_then(|body| body.read_all(u64::MAX)) {
                Ok(bytes) => bytes.to_vec(),
                Err(_) if self.queue_is_down() => return Err(Stop::Down),
                Err(error) => return wrong(format!("{}: {error}", letter.journey)),
            };
            for (index, recipient) in letter.waiting() {
                if recipient.progress.next > self.now() {
                    continue;
                }
                let to = recipient.address.to_string();
                self.post.tried += 1;
                self.attempt(letter.journey, (index, &to), &bytes)?;
            }
        }
        Ok(())
    }

    fn attempt(
        &mut self,
        journey: JourneyId,
        (index, to): (usize, &str),
        bytes: &[u8],
    ) -> Outcome<()> {
        if let Some(known) = self.post.queued.get(&journey) {
            let ended = |(address, promise): &(String, Promise)| {
                address == to && *promise != Promise::Waits
            };
            if known.recipients.iter().any(ended) {
                return wrong(format!("{journey} for {to} has ended and is tried again"));
            }
        }
        let lost = self.random.once_in(5);
        let mut down = false;
        let state = match which(to) {
            Some(account) => match self.deliver(journey, bytes, &[account]) {
                Err(Stop::Down) => {
                    down = true;
                    State::Waiting
                }
                Err(other) => return Err(other),
                Ok(answers) if lost || answers.iter().any(Result::is_err) => State::Waiting,
                Ok(_) => State::Delivered,
            },
            None if to == NOBODY => return self.give_back(journey, (index, to)),
            None => {
                *self.post.relayed.entry((journey, to.to_owned())).or_default() += 1;
                State::Relayed
            }
        };
        self.outcome(journey, (index, to), state)?;
        if down { Err(Stop::Down) } else { Ok(()) }
    }

    /// Writes down what came of a try, as the relay does: without waiting for the barrier.
    fn outcome(
        &mut self,
        journey: JourneyId,
        (index, to): (usize, &str),
        state: State,
    ) -> Outcome<()> {
        let queue = self.letters()?;
        let next = self.now().after(Duration::from_secs(5));
        let change = Change::Recipient(index, progress(state, next));
        let changed = queue.change((journey, self.now()), vec![change], Wait::Lazy);
        let answer = self.drive(changed)?;
        let down = answer.is_err() && self.queue_is_down();
        let Some(known) = self.post.queued.get_mut(&journey) else {
            return wrong(format!("{journey} is in the queue, and nobody brought it"));
        };
        match answer {
            Ok(_) if state != State::Waiting => {
                for (address, promise) in &mut known.recipients {
                    if address == to {
                        *promise = Promise::EndedSoon;
                    }
                }
                Ok(())
            }
            Ok(_) => Ok(()),
            Err(_) if down => {
                known.unsure = true;
                Err(Stop::Down)
            }
            // It is tried again: a repeat.
            Err(_) if self.trouble => Ok(()),
            Err(error) => wrong(format!("an outcome of {journey} was refused: {error}")),
        }
    }

    /// Nobody there: the sender gets a report, in the same breath as the outcome.
    fn give_back(&mut self, journey: JourneyId, (index, to): (usize, &str)) -> Outcome<()> {
        let queue = self.letters()?;
        let report = self.journey();
        let text = format!("Subject: not delivered: {journey}\r\n\r\n").into_bytes();
        let whom = vec![local(0)];
        let mut new = letter(self.now(), report, &text, &whom);
        new.origin = Origin::Generated;
        new.cause = Some(journey);
        let change = Change::Recipient(index, progress(State::Bounced, self.now()));
        let at = (journey, self.now());
        let answer = self.drive(queue.change_with_report(at, vec![change], new))?;
        let down = answer.is_err() && self.queue_is_down();
        let queued = Queued {
            bytes: [HEADERS, &text].concat(),
            recipients: vec![(local(0), Promise::Waits)],
            sure: answer.is_ok(),
            unsure: false,
        };
        if answer.is_ok() || down {
            self.post.queued.insert(report, queued);
        }
        let Some(known) = self.post.queued.get_mut(&journey) else {
            return wrong(format!("{journey} is in the queue, and nobody brought it"));
        };
        match answer {
            Ok(_) => {
                for (address, promise) in &mut known.recipients {
                    if address == to {
                        *promise = Promise::Ended;
                    }
                }
                self.barrier();
                Ok(())
            }
            Err(_) if down => {
                known.unsure = true;
                Err(Stop::Down)
            }
            Err(_) if self.trouble => Ok(()),
            Err(error) => wrong(format!("a report on {journey} was refused: {error}")),
        }
    }

    /// After a start: what was promised is in the queue, whole, or has ended.
    pub(crate) fn recovered_queue(&mut self) -> Outcome<()> {
        let queue = self.letters()?;
        for verified in queue.verify() {
            if let Some(wrong_with_it) = verified.wrong {
                return wrong(format!("{}: {wrong_with_it}", verified.letter.journey));
            }
        }
        let mut forget = Vec::new();
        for (journey, known) in &mut self.post.queued {
            let listed = queue.show(*journey);
            if listed.is_none() && !known.sure {
                forget.push(*journey);
                continue;
            }
            known.sure = true;
            if listed.is_some() {
                let read = queue.bytes(*journey).and_then(|body| body.read_all(u64::MAX));
                if read.as_deref().ok() != Some(known.bytes.as_slice()) {
                    return wrong(format!("{journey} is not whole in the queue: {:?}", read.err()));
                }
            }
            for (index, (address, promise)) in known.recipients.iter_mut().enumerate() {
                let waits = listed.as_ref().is_some_and(|listed| {
                    listed.letter.waiting().any(|(number, _)| number == index)
                });
                match (*promise, waits) {
                    (Promise::Waits, false) if !known.unsure => {
                        return wrong(format!("{journey} for {address} was accepted and is gone"));
                    }
                    (Promise::Ended, true) => {
                        return wrong(format!("{journey} for {address} had ended, and waits"));
                    }
                    (_, true) => *promise = Promise::Waits,
                    // The queue may have lived on: no barrier is known of.
                    (Promise::Waits, false) => *promise = Promise::EndedSoon,
                    _ => {}
                }
            }
            known.unsure = false;
        }
        forget.iter().for_each(|journey| drop(self.post.queued.remove(journey)));
        let brought = |journey: JourneyId| self.post.queued.contains_key(&journey);
        match queue.list(|_| true).iter().find(|one| !brought(one.letter.journey)) {
            Some(one) => wrong(format!("{} came from nowhere", one.letter.journey)),
            None => Ok(()),
        }
    }

    /// Every letter has ended, once, and the ledger says so too.
    pub(crate) fn settle_accounts(&mut self) -> Outcome<()> {
        for (journey, known) in &self.post.queued {
            for (address, promise) in &known.recipients {
                if *promise == Promise::Waits {
                    return wrong(format!("{journey} for {address} waits for ever"));
                }
                let there = |account: usize| self.accounts[account].delivered.contains(journey);
                if which(address).is_some_and(|account| !there(account)) {
                    return wrong(format!("{journey} for {address} is called delivered"));
                }
            }
        }
        let repeats = self.post.relayed.values().find(|times| **times > 1 + self.deaths);
        if let Some(times) = repeats {
            return wrong(format!("a letter was relayed {times} times"));
        }
        self.count()
    }

    /// The ledger, over the facts that both stores give.
    pub(crate) fn count(&mut self) -> Outcome<()> {
        let (queue, mailboxes) = (self.letters()?, self.mailboxes()?);
        let facts = self.drive(async move { queue_facts(&queue).await })?;
        let more = self.drive(async move { mda::facts(&mailboxes).await })?;
        let (facts, more) = match (facts, more) {
            (Ok(facts), Ok(more)) => (facts, more),
            _ if self.mail_is_down() || self.queue_is_down() => return Err(Stop::Down),
            _ if self.trouble => return Ok(()),
            (facts, more) => {
                let why = (facts.err(), more.err());
                return wrong(format!("the ledger cannot be taken: {why:?}"));
            }
        };
        let mut ledger = Ledger::new();
        ledger.mailboxes_are_known();
        facts.into_iter().chain(more).for_each(|fact| ledger.take(fact));
        let balance = ledger.balance();
        if balance.holds() { Ok(()) } else { wrong(format!("the ledger: {balance:?}")) }
    }
}

/// What the queue's book and its files say. Nothing moves meanwhile, so this is simpler than what
/// the MTA does for the same end.
async fn queue_facts(queue: &Queue) -> disk::Result<Vec<Fact>> {
    queue.settle().await?;
    let mut facts = Vec::new();
    queue.custody(&mut |entry| facts.extend(Fact::try_from(&entry)))?;
    for one in queue.verify().into_iter().filter(|one| one.wrong.is_none()) {
        let waiting = one.letter.waiting().map(|(_, recipient)| &recipient.address);
        facts.extend(waiting.map(|to| Fact::new(one.letter.journey, to, Act::Queued)));
    }
    Ok(facts)
}

fn local(which: usize) -> String {
    format!("{}@red.test", PEOPLE[which])
}

fn which(address: &str) -> Option<usize> {
    (0..PEOPLE.len()).find(|which| local(*which) == address)
}

fn progress(state: State, next: Timestamp) -> Progress {
    let text = "250 2.0.0 ok".to_owned();
    let last = Some(Said { text, ..Said::default() });
    Progress { state, attempts: 1, next, last }
}

fn letter(now: Timestamp, journey: JourneyId, text: &[u8], to: &[String]) -> NewLetter {
    let recipient = |address: &String| NewRecipient {
        address: address.parse().expect("an address"),
        parameters: Default::default(),
        from: None,
        first_try: now,
        in_hand: None,
    };
    NewLetter {
        journey,
        cause: None,
        origin: Origin::Accepted,
        arrived: now,
        expires: now.after(Duration::from_secs(432_000)),
        sender: "<alice@red.test>".parse().expect("a path"),
        parameters: Default::default(),
        recipients: to.iter().map(recipient).collect(),
        held: None,
        headers: HEADERS.to_vec().into(),
        body: Body::from(text.to_vec()),
    }
}
