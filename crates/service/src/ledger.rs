//! The ledger: every letter ends exactly once for each recipient. At any time, counted by (letter,
//! recipient):
//!
//! ```text
//! accepted + generated + expanded = delivered + relayed + bounced + discarded + queued
//! ```
//!
//! A pure fold over facts of custody. The facts come from the stores (the MTA's for what was
//! accepted and what became of it, the MDA's for what lies in mailboxes), which look at their files
//! on disk for it; not from the trail, which may drop lines. This module opens no store.
//!
//! MTA and MDA answer [`AskCustody`] over their control sockets:
//! `control.on_stream::<AskCustody, _, _>(|_, respond| ledger::answer(facts, respond))`. The facts
//! of the MTA are all lines of its custody book (see [`Fact`]'s `TryFrom`) and one
//! [`Act::Queued`] for each recipient that is in the queue now; those of the MDA one of
//! [`Act::Stored`], [`Act::Expunged`], [`Act::Removed`], [`Act::Missing`] for each delivery.

use std::collections::{HashMap, HashSet};
use std::fmt;

use net::ipc::Responder;
use protocol::ipc::Method;
use protocol::journey::JourneyId;
use serde::{Deserialize, Serialize};

/// What a store says of one letter and recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Act {
    /// Taken from outside, answered 250. (MTA)
    Accepted,
    /// Made here: a bounce, a notice. (MTA)
    Generated,
    /// This recipient came from another one, which [`Fact::detail`] names. (MTA)
    Expanded,
    /// Handed to the MDA, which answered 250. (MTA)
    Delivered,
    /// Taken by another system. (MTA)
    Relayed,
    /// Given back to the sender, or failed where nobody is to be told. (MTA)
    Bounced,
    /// Dropped by a rule, which the detail names. (MTA, MDA)
    Discarded,
    /// In the queue now: its file, or its record in the intake log, was seen. (MTA)
    Queued,
    /// Delivered here, and record and file are there now. (MDA)
    Stored,
    /// Delivered here, and expunged since by its owner. (MDA)
    Expunged,
    /// Delivered here, and removed since by another program. (MDA)
    Removed,
    /// Delivered here by the store's own book, and gone without a word. (MDA)
    Missing,
}

/// One fact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fact {
    /// Which letter.
    pub journey: JourneyId,
    /// For whom: the address as the MTA has it after expansion; the MDA uses that of RCPT.
    pub recipient: String,
    /// What.
    pub act: Act,
    /// The letter's Message-ID, where the store knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// For [`Act::Expanded`] the address it came from; else where, or which rule.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// `custody`: asks a running agent for all facts of its store; answered with a stream.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AskCustody {}

/// One part of the answer to [`AskCustody`]; at most [`FACTS_PER_PAGE`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CustodyPage {
    /// In any order.
    pub facts: Vec<Fact>,
}

/// So many facts surely fit one IPC frame of 64 KiB: addresses have at most 320 bytes, details and
/// Message-IDs are cut by [`Fact::bounded`].
pub const FACTS_PER_PAGE: usize = 40;

/// Longest Message-ID and detail in a fact, in bytes.
const FACT_TEXT: usize = 500;

impl Method for AskCustody {
    const NAME: &'static str = "custody";
    type Answer = CustodyPage;
}

/// What it comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// Taken from outside, by the MTA, or by the MDA from another MTA.
    pub accepted: i64,
    /// Made here.
    pub generated: i64,
    /// Recipients that came from others, less those they came from.
    pub expanded: i64,
    /// In mailboxes here, expunged and removed ones included.
    pub delivered: i64,
    /// Taken by other systems.
    pub relayed: i64,
    /// Given back.
    pub bounced: i64,
    /// Dropped by a rule.
    pub discarded: i64,
    /// In the queue.
    pub queued: i64,
    /// Each letter and recipient for which the rule does not hold.
    pub violations: Vec<Violation>,
}

/// One letter and recipient for which the rule does not hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Violation {
    /// Which letter.
    pub journey: JourneyId,
    /// For whom.
    pub recipient: String,
    /// Its Message-ID, if any store knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message_id: Option<String>,
    /// What is wrong.
    pub wrong: Wrong,
}

/// What is wrong with one letter and recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wrong {
    /// Accepted, and neither ended nor in the queue.
    LostFromQueue,
    /// Delivered, and neither in the mailbox nor expunged nor removed.
    LostFromMailbox,
    /// Ended in more than one way.
    EndedTwice(Vec<Act>),
    /// Ended, and nobody accepted it.
    EndedUnaccepted(Act),
}

/// The fold: takes facts in any order, then gives the balance.
#[derive(Debug, Default)]
pub struct Ledger {
    entries: HashMap<(JourneyId, String), HashSet<Act>>,
    /// Recipients from which others came, and those others.
    expansions: HashMap<(JourneyId, String), HashSet<String>>,
    message_ids: HashMap<JourneyId, String>,
    /// The MDA's store has spoken, so what the MTA delivered must be there.
    mailboxes_known: bool,
}

impl Fact {
    /// A fact without Message-ID and detail.
    pub fn new(journey: JourneyId, recipient: impl fmt::Display, act: Act) -> Self {
        let recipient = recipient.to_string();
        Fact { journey, recipient, act, message_id: None, detail: String::new() }
    }

    /// The same, short enough for a page.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let cut = |text: &mut String| text.truncate(text.floor_char_boundary(FACT_TEXT));
        cut(&mut self.recipient);
        cut(&mut self.detail);
        if let Some(id) = &mut self.message_id {
            cut(id);
        }
        self
    }
}

/// Answers [`AskCustody`] with `facts`, page by page.
pub async fn answer(facts: Vec<Fact>, mut respond: Responder) {
    let mut facts = facts.into_iter().map(Fact::bounded).peekable();
    loop {
        let page = CustodyPage { facts: facts.by_ref().take(FACTS_PER_PAGE).collect() };
        if facts.peek().is_none() {
            return respond.answer(&page).await;
        }
        if !respond.part(&page).await {
            return;
        }
    }
}

impl Ledger {
    /// Nothing is known yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The MDA's store speaks: from now on what the MTA delivered must be in it. Not to be called
    /// where local mail goes to another delivery agent.
    pub fn mailboxes_are_known(&mut self) {
        self.mailboxes_known = true;
    }

    /// Takes one fact.
    pub fn take(&mut self, fact: Fact) {
        let Fact { journey, recipient, act, message_id, detail } = fact;
        if let Some(id) = message_id {
            self.message_ids.entry(journey).or_insert(id);
        }
        let recipient = folded(&recipient);
        if act == Act::Expanded {
            let origin = (journey, folded(&detail));
            self.expansions.entry(origin).or_default().insert(recipient.clone());
        }
        self.entries.entry((journey, recipient)).or_default().insert(act);
    }

    /// Counts.
    pub fn balance(&self) -> Balance {
        let mut balance = Balance::default();
        for (key, acts) in &self.entries {
            self.count(key, acts, &mut balance);
        }
        // The book names only what an alias became: the alias itself was accepted, and became.
        let nameless = self.expansions.keys().filter(|origin| !self.entries.contains_key(*origin));
        let nameless = i64::try_from(nameless.count()).unwrap_or(i64::MAX);
        balance.accepted += nameless;
        balance.expanded -= nameless;
        let order = |v: &Violation| (v.journey.to_string(), v.recipient.clone());
        balance.violations.sort_by_key(order);
        balance
    }

    fn count(&self, key: &(JourneyId, String), acts: &HashSet<Act>, balance: &mut Balance) {
        let has = |act: Act| acts.contains(&act);
        // What the MDA got from elsewhere (another MTA in front, a sender that tries again after
        // our MTA died before its own word was written) was accepted by the MDA.
        let in_mailbox = [Act::Stored, Act::Expunged, Act::Removed, Act::Missing];
        let kept = in_mailbox.into_iter().any(has);
        let expanded_away =
            self.expansions.get(key).is_some_and(|targets| !targets.contains(&key.1));
        let by_mta = has(Act::Accepted) || has(Act::Generated) || has(Act::Expanded);
        let mta_ends: Vec<Act> = [Act::Delivered, Act::Relayed, Act::Bounced, Act::Discarded]
            .into_iter()
            .filter(|act| has(*act))
            .collect();
        let ended_by_mda = mta_ends.is_empty() && kept || mta_ends == [Act::Discarded];
        let by_mda = !by_mta && ended_by_mda && !has(Act::Queued);
        match () {
            () if has(Act::Accepted) || by_mda => balance.accepted += 1,
            () if has(Act::Generated) => balance.generated += 1,
            () if has(Act::Expanded) => balance.expanded += 1,
            () => {}
        }
        let violation = |wrong| Violation {
            journey: key.0,
            recipient: key.1.clone(),
            message_id: self.message_ids.get(&key.0).cloned(),
            wrong,
        };
        if expanded_away {
            balance.expanded -= 1;
            if !mta_ends.is_empty() {
                balance.violations.push(violation(Wrong::EndedTwice(mta_ends)));
            }
            return;
        }
        // The queue answers for it as long as it has it, even if the MDA's 250 was lost.
        if has(Act::Queued) {
            balance.queued += 1;
            if !by_mta {
                balance.violations.push(violation(Wrong::EndedUnaccepted(Act::Queued)));
            }
            return;
        }
        let mut ends = mta_ends;
        // The MDA took it, and there a rule of the recipient made an end of it.
        if has(Act::Discarded) && ends.contains(&Act::Delivered) {
            // Kept after all, when it came a second time: that is its end.
            let moot = if kept { Act::Discarded } else { Act::Delivered };
            ends.retain(|end| *end != moot);
        }
        if kept && !ends.contains(&Act::Delivered) && !ends.contains(&Act::Discarded) {
            ends.insert(0, Act::Delivered);
        }
        match ends.first() {
            Some(Act::Delivered) => balance.delivered += 1,
            Some(Act::Relayed) => balance.relayed += 1,
            Some(Act::Bounced) => balance.bounced += 1,
            Some(Act::Discarded) => balance.discarded += 1,
            _ => {}
        }
        let was_stored = has(Act::Stored) || has(Act::Expunged) || has(Act::Removed);
        let wrong = match ends.as_slice() {
            [] if by_mta => Some(Wrong::LostFromQueue),
            [Act::Delivered] if has(Act::Missing) && !was_stored => Some(Wrong::LostFromMailbox),
            [Act::Delivered] if self.mailboxes_known && !was_stored => Some(Wrong::LostFromMailbox),
            [end] if !by_mta && !by_mda => Some(Wrong::EndedUnaccepted(*end)),
            [_, _, ..] => Some(Wrong::EndedTwice(ends.clone())),
            _ => None,
        };
        balance.violations.extend(wrong.map(violation));
    }
}

/// Addresses are compared without regard to case: a store may have folded the domain, and no two
/// mailboxes of ours differ in case alone.
fn folded(address: &str) -> String {
    address.to_lowercase()
}

impl Balance {
    /// The left side of the equation.
    pub fn came(&self) -> i64 {
        self.accepted + self.generated + self.expanded
    }

    /// The right side.
    pub fn went(&self) -> i64 {
        self.delivered + self.relayed + self.bounced + self.discarded + self.queued
    }

    /// Both sides are equal and every letter is accounted for.
    pub fn holds(&self) -> bool {
        self.came() == self.went() && self.violations.is_empty()
    }

    /// The numbers by their names, left side first.
    pub fn rows(&self) -> [(&'static str, i64); 8] {
        [
            ("accepted", self.accepted),
            ("generated", self.generated),
            ("expanded", self.expanded),
            ("delivered", self.delivered),
            ("relayed", self.relayed),
            ("bounced", self.bounced),
            ("discarded", self.discarded),
            ("queued", self.queued),
        ]
    }
}

impl Act {
    /// The word in the file and on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Act::Accepted => "accepted",
            Act::Generated => "generated",
            Act::Expanded => "expanded",
            Act::Delivered => "delivered",
            Act::Relayed => "relayed",
            Act::Bounced => "bounced",
            Act::Discarded => "discarded",
            Act::Queued => "queued",
            Act::Stored => "stored",
            Act::Expunged => "expunged",
            Act::Removed => "removed",
            Act::Missing => "missing",
        }
    }
}

/// A line of a store's custody book, as a fact of the past. [`disk::custody::Act::Queued`] is none:
/// whether something is in the queue now only a look at the queue can say.
impl TryFrom<&disk::custody::Entry> for Fact {
    type Error = ();

    fn try_from(entry: &disk::custody::Entry) -> Result<Self, ()> {
        use disk::custody::Act as Book;
        let act = match entry.act {
            Book::Accepted => Act::Accepted,
            Book::Generated => Act::Generated,
            Book::Expanded => Act::Expanded,
            Book::Delivered => Act::Delivered,
            Book::Relayed => Act::Relayed,
            Book::Bounced => Act::Bounced,
            Book::Discarded => Act::Discarded,
            Book::Queued => return Err(()),
            Book::Stored => Act::Stored,
            Book::Expunged => Act::Expunged,
            Book::Removed => Act::Removed,
        };
        let mut fact = Fact::new(entry.journey, &entry.recipient, act);
        fact.detail.clone_from(&entry.detail);
        Ok(fact)
    }
}

impl fmt::Display for Act {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wrong::LostFromQueue => {
                f.write_str("accepted, and neither in the queue nor delivered, relayed or bounced")
            }
            Wrong::LostFromMailbox => {
                f.write_str("delivered, and neither in the mailbox nor expunged nor removed")
            }
            Wrong::EndedTwice(acts) => {
                let acts: Vec<_> = acts.iter().map(|act| act.as_str()).collect();
                write!(f, "ended more than once: {}", acts.join(" and "))
            }
            Wrong::EndedUnaccepted(act) => write!(f, "{act}, and nobody accepted it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use protocol::time::Timestamp;

    use super::*;

    fn id(number: u32) -> JourneyId {
        JourneyId::new(Timestamp::from_seconds(1_795_381_596), number)
    }

    fn balance(facts: &[(u32, &str, Act)]) -> Balance {
        let mut ledger = Ledger::new();
        for (number, recipient, act) in facts {
            ledger.take(Fact::new(id(*number), recipient, *act));
        }
        ledger.balance()
    }

    #[test]
    fn each_way_to_end_balances() {
        let done = balance(&[
            (1, "a@x.test", Act::Accepted),
            (1, "a@x.test", Act::Delivered),
            (1, "A@X.test", Act::Stored),
            (2, "b@y.test", Act::Accepted),
            (2, "b@y.test", Act::Relayed),
            (3, "c@y.test", Act::Accepted),
            (3, "c@y.test", Act::Bounced),
            (4, "a@x.test", Act::Generated),
            (4, "a@x.test", Act::Queued),
            (5, "d@x.test", Act::Expunged),
        ]);
        assert!(done.holds(), "{done:?}");
        assert_eq!((done.accepted, done.generated, done.delivered), (4, 1, 2));
        assert_eq!((done.relayed, done.bounced, done.queued), (1, 1, 1));
    }

    #[test]
    fn a_rule_makes_an_end_of_what_was_delivered() {
        let mut ledger = Ledger::new();
        ledger.mailboxes_are_known();
        for (number, act) in [
            (1, Act::Accepted),
            (1, Act::Delivered),
            (1, Act::Discarded),
            // Brought by another transfer agent.
            (2, Act::Discarded),
            // Kept after all, when it came a second time.
            (3, Act::Accepted),
            (3, Act::Delivered),
            (3, Act::Discarded),
            (3, Act::Stored),
        ] {
            ledger.take(Fact::new(id(number), "a@x.test", act));
        }
        let found = ledger.balance();
        assert!(found.holds(), "{found:?}");
        assert_eq!((found.accepted, found.discarded, found.delivered), (3, 2, 1));
    }

    #[test]
    fn a_lost_queue_file_is_named() {
        let mut ledger = Ledger::new();
        let mut fact = Fact::new(id(1), "b@y.test", Act::Accepted);
        fact.message_id = Some("<m@x.test>".to_owned());
        ledger.take(fact);
        let found = ledger.balance();
        assert!(!found.holds());
        assert_eq!(found.violations[0].wrong, Wrong::LostFromQueue);
        assert_eq!(found.violations[0].message_id.as_deref(), Some("<m@x.test>"));
    }

    #[test]
    fn a_vanished_delivery_is_named() {
        let facts = [(1, "a@x.test", Act::Accepted), (1, "a@x.test", Act::Delivered)];
        // Another delivery agent has it: nothing can be said.
        assert!(balance(&facts).holds());
        let mut ledger = Ledger::new();
        ledger.mailboxes_are_known();
        for (number, recipient, act) in facts {
            ledger.take(Fact::new(id(number), recipient, act));
        }
        assert_eq!(ledger.balance().violations[0].wrong, Wrong::LostFromMailbox);
        ledger.take(Fact::new(id(1), "a@x.test", Act::Removed));
        assert!(ledger.balance().holds());
    }

    #[test]
    fn expansions_balance() {
        let mut ledger = Ledger::new();
        let expanded = |number, to: &str, from: &str| {
            let mut fact = Fact::new(id(number), to, Act::Expanded);
            from.clone_into(&mut fact.detail);
            fact
        };
        // team → a, b; b was addressed directly too.
        ledger.take(Fact::new(id(1), "team@x.test", Act::Accepted));
        ledger.take(Fact::new(id(1), "b@x.test", Act::Accepted));
        ledger.take(expanded(1, "a@x.test", "team@x.test"));
        ledger.take(expanded(1, "b@x.test", "team@x.test"));
        ledger.take(Fact::new(id(1), "a@x.test", Act::Delivered));
        ledger.take(Fact::new(id(1), "b@x.test", Act::Delivered));
        // self → self, c.
        ledger.take(Fact::new(id(2), "self@x.test", Act::Accepted));
        ledger.take(expanded(2, "self@x.test", "self@x.test"));
        ledger.take(expanded(2, "c@x.test", "self@x.test"));
        ledger.take(Fact::new(id(2), "self@x.test", Act::Delivered));
        ledger.take(Fact::new(id(2), "c@x.test", Act::Relayed));
        // An alias that only its expansion names.
        ledger.take(expanded(3, "d@x.test", "alias@x.test"));
        ledger.take(Fact::new(id(3), "d@x.test", Act::Queued));
        let found = ledger.balance();
        assert!(found.holds(), "{found:?}");
        assert_eq!((found.accepted, found.expanded), (4, 1));
    }

    #[test]
    fn two_ends_and_no_beginning_are_named() {
        let found = balance(&[
            (1, "a@x.test", Act::Accepted),
            (1, "a@x.test", Act::Relayed),
            (1, "a@x.test", Act::Bounced),
            (2, "a@x.test", Act::Relayed),
        ]);
        let wrong: Vec<_> = found.violations.into_iter().map(|violation| violation.wrong).collect();
        assert_eq!(
            wrong,
            [
                Wrong::EndedTwice(vec![Act::Relayed, Act::Bounced]),
                Wrong::EndedUnaccepted(Act::Relayed)
            ]
        );
    }

    fn any_act() -> impl Strategy<Value = Act> {
        prop::sample::select(vec![
            Act::Accepted,
            Act::Generated,
            Act::Delivered,
            Act::Relayed,
            Act::Bounced,
            Act::Discarded,
            Act::Queued,
            Act::Stored,
            Act::Expunged,
            Act::Removed,
            Act::Missing,
        ])
    }

    proptest! {
        /// Without a violation both sides are equal, whatever the facts and their order.
        #[test]
        fn no_violation_means_balance(
            facts in prop::collection::vec((0u32..4, 0usize..3, any_act()), 0..24),
        ) {
            let names = ["a@x.test", "b@x.test", "c@x.test"];
            let mut ledger = Ledger::new();
            for (number, name, act) in &facts {
                ledger.take(Fact::new(id(*number), names[*name], *act));
            }
            let forward = ledger.balance();
            let mut ledger = Ledger::new();
            for (number, name, act) in facts.iter().rev() {
                ledger.take(Fact::new(id(*number), names[*name], *act));
            }
            prop_assert_eq!(&forward, &ledger.balance());
            if forward.violations.is_empty() {
                prop_assert_eq!(forward.came(), forward.went());
            }
        }
    }
}
