//! Reports as their readers see them.

use protocol::reply::{EnhancedCode, Reply, ReplyCode};
use protocol::smtp::Verb;

use super::*;
use crate::reason::Reason;

fn letter<'a>(sender: &'a Address, header: &'a [u8]) -> Letter<'a> {
    Letter {
        journey: JourneyId::new(Timestamp::from_micros(1_700_000_000_000_000), 7),
        sender,
        arrival: Timestamp::from_micros(1_700_000_000_000_000),
        envelope_id: None,
        dialect: Dialect::Ascii,
        header,
        original: Original::Header(header),
    }
}

fn reporter() -> Reporter {
    Reporter {
        hostname: "mx.red.test".parse().expect("a name"),
        postmaster: "postmaster@red.test".to_owned(),
    }
}

fn no_such_user() -> Failure {
    let reply = Reply::new(
        ReplyCode::MAILBOX_UNAVAILABLE,
        EnhancedCode::permanent(1, 1),
        "no mailbox here",
    );
    Failure::said("mx.blue.test", Verb::Rcpt, reply)
}

fn printed(occasion: Occasion, failure: &Failure) -> String {
    let sender: Address = "alice@red.test".parse().expect("an address");
    let recipient: Address = "nobody@blue.test".parse().expect("an address");
    let casualty = Casualty { address: &recipient, original: None, failure, last_attempt: None };
    let header = b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nFrom: alice@red.test\r\n\r\n";
    let own = JourneyId::new(Timestamp::from_micros(1_700_000_001_000_000), 9);
    let bytes = report(
        &reporter(),
        letter(&sender, header),
        (occasion, &[casualty]),
        (own, Timestamp::from_micros(1_700_000_001_000_000)),
    );
    String::from_utf8(bytes).expect("a report is text")
}

#[test]
fn a_bounce_says_what_happened_and_what_was_said() {
    let text = printed(Occasion::Failed, &no_such_user());
    for expected in [
        "To: <alice@red.test>",
        "Auto-Submitted: auto-replied",
        "nobody@blue.test",
        "There is no mailbox of this name.",
        "Final-Recipient: rfc822; nobody@blue.test",
        "Action: failed",
        "Status: 5.1.1",
        "Remote-MTA: dns; mx.blue.test",
        "Diagnostic-Code: smtp; 550 5.1.1 no mailbox here",
        "From: alice@red.test",
    ] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    assert!(!text.contains("Will-Retry-Until"));
}

#[test]
fn a_notice_of_delay_says_until_when() {
    let failure = Failure::temporary(Reason::Network, (4, 1), "mx.blue.test does not answer");
    let until = Timestamp::from_micros(1_700_400_000_000_000);
    let text = printed(Occasion::Delayed(until), &failure);
    for expected in
        ["Action: delayed", "Status: 4.4.1", "Will-Retry-Until:", "not reached this recipient yet"]
    {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    assert!(!text.contains("Diagnostic-Code"), "our own words are not the remote side's");
}
