//! A small world for scripts: mailboxes, scripts and identifiers that are given.
#![allow(unreachable_pub)]

use message::date::DateTime;
use protocol::time::Timestamp;
use sieve::{Act, Explain, Facts, Outcome, Shelf, World};

/// What the world knows.
#[derive(Default)]
pub struct Given {
    pub mailboxes: Vec<&'static str>,
    pub scripts: Vec<(&'static str, &'static str)>,
    pub seen: Vec<&'static str>,
}

impl World for Given {
    fn mailbox_exists(&self, name: &str) -> bool {
        self.mailboxes.contains(&name)
    }

    fn special_use_exists(&self, mailbox: Option<&str>, special_use: &str) -> bool {
        special_use == "\\Junk" && mailbox.is_none_or(|name| name == "Junk")
    }

    fn script(&self, _: Shelf, name: &str) -> Option<String> {
        let found = self.scripts.iter().find(|(known, _)| *known == name)?;
        Some(found.1.to_owned())
    }

    fn is_duplicate(&self, id: &str) -> bool {
        self.seen.iter().any(|known| id.ends_with(known))
    }

    fn environment(&self, item: &str) -> Option<String> {
        (item == "name").then(|| "Posthaste".to_owned())
    }
}

/// Facts of a usual delivery.
pub fn facts() -> Facts {
    Facts {
        sender: "tim@example.com".to_owned(),
        recipient: "ken+lists@example.org".to_owned(),
        now: DateTime { moment: Timestamp::from_seconds(1_795_381_596), offset_minutes: 60 },
        delimiter: '+',
        owner: vec!["ken@example.org".to_owned()],
        spam: Some(95),
        virus: None,
    }
}

/// A letter with CRLF from one with LF.
pub fn crlf(text: &str) -> Vec<u8> {
    text.replace('\n', "\r\n").into_bytes()
}

pub const LETTER: &str = "Received: from a by b; Sun, 22 Nov 2026 20:00:00 +0000
From: \"Tim\" <tim@example.com>
To: ken@example.org, Other <other@example.net>
Subject: [sieve] =?utf-8?q?Gr=C3=BC=C3=9Fe?= from Tim
Message-ID: <1@example.com>
Date: Sun, 22 Nov 2026 21:00:00 +0100
X-Twice: one
X-Twice: two

This is the body, with make money fast in it.
";

/// Runs a script; it must have no fault.
pub fn run_in(world: &Given, script: &str, letter: &str, facts: &Facts) -> Outcome {
    let program = sieve::compile_text(script.as_bytes())
        .unwrap_or_else(|faults| panic!("{script}\nhas faults: {faults:?}"));
    sieve::run(&program, &crlf(letter), (facts, world), Explain::Yes)
}

/// Runs a script over the usual letter.
pub fn run(script: &str) -> Outcome {
    run_in(&Given::default(), script, LETTER, &facts())
}

/// What an outcome does, a word or two for each action.
pub fn deeds(outcome: &Outcome) -> Vec<String> {
    let flagged = |flags: &[String]| match flags.is_empty() {
        true => String::new(),
        false => format!(" ({})", flags.join(" ")),
    };
    outcome
        .actions
        .iter()
        .map(|action| match &action.what {
            Act::Keep { flags } => format!("keep{}", flagged(flags)),
            Act::FileInto(filing) => format!("file {}{}", filing.mailbox, flagged(&filing.flags)),
            Act::Redirect { address } => format!("redirect {address}"),
            Act::Discard => "discard".to_owned(),
            Act::Reject { reason, .. } => format!("reject {reason}"),
            Act::Vacation(answer) => format!("answer {}", answer.to),
            Act::Notify(notice) => format!("notify {}", notice.to.join(",")),
        })
        .collect()
}

/// Whether a test is true of the usual letter.
pub fn holds(requires: &str, test: &str) -> bool {
    let outcome = run(&format!("require [\"fileinto\"{requires}];\nif {test} {{ discard; }}"));
    assert_eq!(outcome.fault, None, "{test}");
    deeds(&outcome) == ["discard"]
}
