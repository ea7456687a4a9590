//! One mail program of the model: commands at random, and a view that follows what is told. What
//! the RFCs forbid a server to say at that moment fails at once.

use std::collections::BTreeMap;

use integration_tests::{Conversation, Instance};

use super::session;

/// How a client speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// IMAP4rev1 as it was in 1996.
    Plain,
    /// RFC 7162, without QRESYNC.
    Condstore,
    /// RFC 7162 whole: expunges as VANISHED, and coming back with what it knows.
    Qresync,
    /// RFC 9051.
    Rev2,
}

impl Kind {
    pub(super) const ALL: [Kind; 4] = [Kind::Plain, Kind::Condstore, Kind::Qresync, Kind::Rev2];

    fn enables(self) -> Option<&'static str> {
        match self {
            Kind::Plain => None,
            Kind::Condstore => Some("CONDSTORE"),
            Kind::Qresync => Some("QRESYNC"),
            Kind::Rev2 => Some("IMAP4rev2"),
        }
    }

    fn counts(self) -> bool {
        matches!(self, Kind::Condstore | Kind::Qresync)
    }
}

/// A letter as the client knows it.
#[derive(Clone, Debug, Default)]
struct Letter {
    uid: Option<u32>,
    flags: Option<Vec<String>>,
    modseq: u64,
}

/// What a FETCH response tells.
pub(super) struct Fetched {
    number: usize,
    pub(super) uid: Option<u32>,
    pub(super) flags: Option<Vec<String>>,
    modseq: Option<u64>,
}

/// Reads `* 3 FETCH (...)`. Flags are sorted, without \Recent, which is each session's own.
pub(super) fn fetched(line: &str) -> Option<Fetched> {
    let (number, rest) = line.strip_prefix("* ")?.split_once(" FETCH ")?;
    let after = |name: &str| rest.split_once(name).map(|(_, rest)| rest);
    let digits = |text: &str| text.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok();
    let flags = after("FLAGS (").and_then(|rest| rest.split(')').next()).map(|words| {
        let words = words.split_ascii_whitespace().filter(|word| *word != "\\Recent");
        let mut words: Vec<String> = words.map(str::to_owned).collect();
        words.sort();
        words
    });
    Some(Fetched {
        number: number.parse().ok()?,
        uid: after("UID ").and_then(digits).map(|uid| uid as u32),
        flags,
        modseq: after("MODSEQ (").and_then(digits),
    })
}

/// A client at its mailbox.
pub(super) struct Client {
    kind: Kind,
    talk: Conversation,
    view: Vec<Letter>,
    mailbox: &'static str,
    validity: u64,
    /// The highest MODSEQ seen.
    highest: u64,
    /// All that happened up to here has been told.
    safe: u64,
    tag: u64,
    chance: u64,
}

/// Mailboxes that come and go; nobody selects them.
const POOL: [&str; 4] = ["box0", "box1", "box1/deep", "box2"];

const FLAGS: [&str; 5] = ["\\Seen", "\\Flagged", "\\Answered", "$Work", "\\Deleted"];

impl Client {
    pub(super) fn new(here: &Instance, kind: Kind, chance: u64) -> Client {
        let talk = session(here);
        let mut client = Client {
            kind,
            talk,
            view: Vec::new(),
            mailbox: "INBOX",
            validity: 0,
            highest: 0,
            safe: 0,
            tag: 0,
            chance,
        };
        client.enable();
        client.select("INBOX");
        client
    }

    pub(super) fn mailbox(&self) -> &'static str {
        self.mailbox
    }

    pub(super) fn is_empty(&self) -> bool {
        self.view.is_empty()
    }

    /// Does one thing, then learns of letters that it knows nothing about.
    pub(super) fn step(&mut self, here: &Instance) {
        match self.below(24) {
            0..4 => self.append(),
            4..9 => self.store(),
            9..11 => self.copy_or_move("COPY"),
            11..13 => self.copy_or_move("MOVE"),
            13 | 14 => self.expunge(),
            15 => self.look(),
            16 => self.search(),
            17 => self.idle_briefly(),
            18 => self.folders(),
            19 => {
                let mailbox = ["INBOX", "INBOX", "Work"][self.below(3)];
                self.select(mailbox);
            }
            20 => self.come_back(here),
            _ => self.noop(),
        }
        self.fill();
    }

    /// Hears all that is left to tell.
    pub(super) fn settle(&mut self) {
        self.noop();
        self.fill();
    }

    /// The view must be what a session sees that knows nothing.
    pub(super) fn compare(&self, fresh: &[(u32, Vec<String>)]) {
        let known: Vec<_> = self
            .view
            .iter()
            .map(|it| (it.uid.unwrap_or(0), it.flags.clone().unwrap_or_default()))
            .collect();
        let kind = self.kind;
        assert_eq!(known, fresh, "{kind:?} in {}\n{}", self.mailbox, self.story());
    }

    /// Ends a round: the story so far went well.
    pub(super) fn forget(&mut self) {
        self.talk.forget();
    }

    /// Begins to wait.
    pub(super) fn idle(&mut self) {
        self.tag += 1;
        self.talk.line(&format!("t{} IDLE", self.tag));
        loop {
            let line = self.talk.read();
            if line.starts_with('+') {
                return;
            }
            self.hear(&line, "IDLE");
        }
    }

    /// Changes a flag that nobody else uses, on the first letter of INBOX.
    pub(super) fn wave(&mut self) {
        if self.mailbox != "INBOX" {
            self.select("INBOX");
        }
        if self.is_empty() {
            return;
        }
        let has = self.view[0].flags.iter().flatten().any(|flag| flag == "$Wave");
        let sign = if has { '-' } else { '+' };
        self.command(&format!("STORE 1 {sign}FLAGS ($Wave)"));
    }

    /// Waits for it, and stops waiting.
    pub(super) fn sees_the_wave(&mut self) {
        loop {
            let line = self.talk.read();
            self.hear(&line, "IDLE");
            if fetched(&line).is_some_and(|it| it.number == 1 && it.flags.is_some()) {
                break;
            }
        }
        self.talk.line("DONE");
        self.end("IDLE");
    }

    fn idle_briefly(&mut self) {
        self.idle();
        self.talk.line("DONE");
        self.end("IDLE");
    }

    fn enable(&mut self) {
        if let Some(name) = self.kind.enables() {
            self.command(&format!("ENABLE {name}"));
        }
    }

    fn select(&mut self, mailbox: &'static str) {
        self.view.clear();
        self.mailbox = mailbox;
        (self.highest, self.safe) = (0, 0);
        self.command(&format!("SELECT {mailbox}"));
        self.fill();
        self.noop();
    }

    /// Leaves, and comes back with what it knows (RFC 7162 §3.2.5), if it can.
    fn come_back(&mut self, here: &Instance) {
        self.fill();
        self.talk.imap("bye", "LOGOUT");
        self.talk = session(here);
        self.enable();
        if self.kind != Kind::Qresync || self.view.is_empty() || self.safe == 0 {
            return self.select(self.mailbox);
        }
        let known = std::mem::take(&mut self.view);
        let mut known: BTreeMap<u32, Letter> =
            known.into_iter().filter_map(|it| it.uid.map(|uid| (uid, it))).collect();
        let (mailbox, validity, safe) = (self.mailbox, self.validity, self.safe);
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.talk.line(&format!("{tag} SELECT {mailbox} (QRESYNC ({validity} {safe}))"));
        let lines = self.talk.until_tagged(&tag);
        let mut counts = 0;
        let happened_since = |line: &String| {
            counts += usize::from(line.ends_with(" EXISTS"));
            counts == 2 || line.starts_with("* VANISHED ") && !line.contains("(EARLIER)")
        };
        let since = lines.iter().position(happened_since).unwrap_or(lines.len());
        let mut numbers = Vec::new();
        let mut exists = None;
        for line in &lines[..since] {
            if let Some(gone) = line.strip_prefix("* VANISHED (EARLIER) ") {
                uids(gone).iter().for_each(|uid| drop(known.remove(uid)));
            } else if let Some(told) = fetched(line) {
                let uid = told.uid.expect("RFC 7162 §3.2.4: with its UID");
                let modseq = told.modseq.expect("RFC 7162 §3.1.4.2");
                numbers.push((told.number, uid));
                self.highest = self.highest.max(modseq);
                known.insert(uid, Letter { uid: Some(uid), flags: told.flags, modseq });
            } else if let Some(count) = line.strip_suffix(" EXISTS") {
                exists = Some(count[2..].parse::<usize>().expect("a number"));
            } else {
                self.note_codes(line);
            }
        }
        self.resume(known, (exists, &numbers));
        lines[since..].iter().for_each(|line| self.hear(line, "SELECT"));
    }

    /// What was known and what was told of it make what the server has.
    fn resume(
        &mut self,
        known: BTreeMap<u32, Letter>,
        (exists, numbers): (Option<usize>, &[(usize, u32)]),
    ) {
        self.view = known.into_values().collect();
        assert_eq!(Some(self.view.len()), exists, "after coming back\n{}", self.story());
        for (number, uid) in numbers {
            assert_eq!(self.view[number - 1].uid, Some(*uid), "{}", self.story());
        }
    }

    fn noop(&mut self) {
        self.command("NOOP");
        self.safe = self.highest;
    }

    /// Asks about letters that were only announced.
    fn fill(&mut self) {
        while let Some(first) = self.view.iter().position(|it| it.uid.is_none()) {
            let last = self.view.len();
            self.command(&format!("FETCH {}:{last} (UID FLAGS)", first + 1));
            // One that was expunged meanwhile may have been passed over (RFC 2180 §4.1).
            if self.view.iter().any(|it| it.uid.is_none()) {
                self.command("NOOP");
            }
        }
        let uids: Vec<u32> = self.view.iter().filter_map(|it| it.uid).collect();
        assert!(uids.is_sorted_by(|a, b| a < b), "UIDs ascend\n{}", self.story());
    }

    fn append(&mut self) {
        if self.view.len() > 60 {
            return self.expunge();
        }
        let letter = format!("Subject: {}\r\n\r\ntext\r\n", self.chance % 10_000);
        let flag = FLAGS[self.below(4)];
        let mailbox = ["INBOX", "Work", POOL[self.below(4)]][self.below(3)];
        let head = format!("APPEND {mailbox} ({flag}) {{{}+}}\r\n{letter}", letter.len());
        self.command(&head);
    }

    fn store(&mut self) {
        let Some((by, set, places)) = self.some() else { return };
        let flag = FLAGS[self.below(5)];
        let sign = ["+", "-"][self.below(2)];
        let counted = self.kind.counts() && self.below(4) == 0;
        if counted {
            let since = self.highest;
            self.command(&format!("{by}STORE {set} (UNCHANGEDSINCE {since}) {sign}FLAGS ({flag})"));
            return;
        }
        let silent = self.below(2) == 0;
        if silent {
            // The client takes it for done; what others do is told all the same.
            for place in places {
                let flags = self.view[place].flags.get_or_insert_default();
                flags.retain(|known| known != flag);
                if sign == "+" {
                    flags.push(flag.to_owned());
                    flags.sort();
                }
            }
        }
        let silent = if silent { ".SILENT" } else { "" };
        self.command(&format!("{by}STORE {set} {sign}FLAGS{silent} ({flag})"));
    }

    fn copy_or_move(&mut self, verb: &str) {
        let Some((by, set, _)) = self.some() else { return };
        let target = ["INBOX", "Work", POOL[self.below(4)]][self.below(3)];
        self.command(&format!("{by}{verb} {set} {target}"));
    }

    fn expunge(&mut self) {
        let Some((by, set, _)) = self.some() else { return };
        self.command(&format!("{by}STORE {set} +FLAGS (\\Deleted)"));
        let known: Vec<u32> = self.view.iter().filter_map(|it| it.uid).collect();
        match (self.below(3), known.as_slice()) {
            (0, [first, .., last]) => self.command(&format!("UID EXPUNGE {first}:{last}")),
            _ => self.command("EXPUNGE"),
        }
    }

    fn look(&mut self) {
        let Some((by, set, _)) = self.some() else { return };
        let items = ["FLAGS", "(FLAGS INTERNALDATE RFC822.SIZE)", "(UID FLAGS)"][self.below(3)];
        self.command(&format!("{by}FETCH {set} {items}"));
    }

    fn search(&mut self) {
        let what = ["UNSEEN", "DELETED", "KEYWORD $Work", "ALL"][self.below(4)];
        let by = ["", "UID "][self.below(2)];
        self.command(&format!("{by}SEARCH {what}"));
    }

    fn folders(&mut self) {
        let (one, other) = (POOL[self.below(4)], POOL[self.below(4)]);
        match self.below(4) {
            0 | 1 => self.command(&format!("CREATE {one}")),
            2 => self.command(&format!("DELETE {one}")),
            _ => self.command(&format!("RENAME {one} {other}")),
        }
    }

    /// Letters at random: whether by UID, the set, and their places.
    fn some(&mut self) -> Option<(&'static str, String, Vec<usize>)> {
        if self.view.is_empty() {
            return None;
        }
        let first = self.below(self.view.len());
        let last = (first + self.below(4)).min(self.view.len() - 1);
        let places: Vec<usize> = (first..=last).collect();
        match (self.below(2), self.view[first].uid, self.view[last].uid) {
            (0, Some(first), Some(last)) => Some(("UID ", format!("{first}:{last}"), places)),
            _ => Some(("", format!("{}:{}", first + 1, last + 1), places)),
        }
    }

    fn command(&mut self, text: &str) {
        self.tag += 1;
        self.talk.line(&format!("t{} {text}", self.tag));
        let verb = text.split(' ').next().unwrap_or_default().to_owned();
        self.end(&verb);
    }

    /// Hears everything up to the tagged response, which is never BAD.
    fn end(&mut self, verb: &str) {
        let tag = format!("t{} ", self.tag);
        loop {
            let line = self.talk.read();
            if let Some(result) = line.strip_prefix(&tag) {
                let good = result.starts_with("OK") || result.starts_with("NO");
                assert!(good, "{line}\n{}", self.story());
                self.note_codes(&line);
                return;
            }
            self.hear(&line, verb);
        }
    }

    /// An untagged response.
    fn hear(&mut self, line: &str, verb: &str) {
        // RFC 9051 §7.5.1, RFC 7162 §3.2.10: numbers do not move under these.
        let numbers_stay = matches!(verb, "FETCH" | "STORE" | "SEARCH");
        if let Some(told) = fetched(line) {
            let whole = told.uid.is_some() && told.modseq.is_some();
            // What was asked for is answered; what is told unasked is told whole.
            let is_asked = matches!(verb, "FETCH" | "STORE" | "UID");
            let wanted = self.kind == Kind::Qresync && told.flags.is_some() && !is_asked;
            assert!(whole || !wanted, "RFC 7162 §3.2.4: UID and MODSEQ\n{}", self.story());
            return self.note(told);
        }
        let words: Vec<&str> = line.split(' ').collect();
        match words.as_slice() {
            ["*", count, "EXISTS"] => {
                let count: usize = count.parse().expect("a number");
                assert!(count >= self.view.len(), "EXISTS never shrinks\n{}", self.story());
                self.view.resize_with(count, Letter::default);
            }
            ["*", number, "EXPUNGE"] => {
                let number: usize = number.parse().expect("a number");
                assert!(!numbers_stay, "EXPUNGE within {verb}\n{}", self.story());
                assert_ne!(self.kind, Kind::Qresync, "VANISHED was asked for\n{}", self.story());
                assert!((1..=self.view.len()).contains(&number), "{line}\n{}", self.story());
                self.view.remove(number - 1);
            }
            ["*", "VANISHED", set] => {
                assert!(!numbers_stay, "VANISHED within {verb}\n{}", self.story());
                assert_eq!(self.kind, Kind::Qresync, "{}", self.story());
                uids(set).into_iter().for_each(|uid| self.vanished(uid));
            }
            _ => self.note_codes(line),
        }
    }

    /// Counts, even if it is one that was only announced (RFC 7162 §3.2.10.2).
    fn vanished(&mut self, uid: u32) {
        let place = self.view.iter().position(|it| it.uid == Some(uid));
        let place = place.or_else(|| self.view.iter().position(|it| it.uid.is_none()));
        let place = place.unwrap_or_else(|| panic!("{uid} was not there\n{}", self.story()));
        self.view.remove(place);
    }

    fn note(&mut self, told: Fetched) {
        let story = || self.talk.log().to_owned();
        assert!((1..=self.view.len()).contains(&told.number), "no such number\n{}", story());
        let letter = &self.view[told.number - 1];
        if let (Some(known), Some(uid)) = (letter.uid, told.uid) {
            assert_eq!(known, uid, "another letter under the number\n{}", story());
        }
        if let Some(modseq) = told.modseq {
            assert!(modseq >= letter.modseq, "MODSEQ goes back\n{}", story());
        }
        self.highest = self.highest.max(told.modseq.unwrap_or(0));
        let letter = &mut self.view[told.number - 1];
        letter.uid = told.uid.or(letter.uid);
        letter.modseq = told.modseq.unwrap_or(letter.modseq);
        if told.flags.is_some() {
            letter.flags = told.flags;
        }
    }

    fn note_codes(&mut self, line: &str) {
        let code = |name: &str| -> Option<u64> {
            let (_, rest) = line.split_once(name)?;
            rest.split(']').next()?.parse().ok()
        };
        if let Some(highest) = code("[HIGHESTMODSEQ ") {
            self.highest = self.highest.max(highest);
        }
        if let Some(validity) = code("[UIDVALIDITY ") {
            self.validity = validity;
        }
        assert!(!line.starts_with("* BYE"), "{line}\n{}", self.story());
    }

    /// The end of what was said, for messages.
    fn story(&self) -> String {
        let log = self.talk.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(120)..].join("\n")
    }

    /// xorshift64*.
    fn below(&mut self, bound: usize) -> usize {
        self.chance ^= self.chance >> 12;
        self.chance ^= self.chance << 25;
        self.chance ^= self.chance >> 27;
        let drawn = self.chance.wrapping_mul(0x2545_f491_4f6c_dd1d);
        ((drawn >> 33) % bound as u64) as usize
    }
}

/// `1,3:5`.
fn uids(set: &str) -> Vec<u32> {
    let number = |text: &str| text.parse::<u32>().expect("a UID");
    let range = |part: &str| match part.split_once(':') {
        Some((first, last)) => number(first).min(number(last))..=number(last).max(number(first)),
        None => number(part)..=number(part),
    };
    set.split(',').flat_map(range).collect()
}
