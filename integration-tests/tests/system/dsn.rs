//! Delivery status notifications between systems (RFC 3461): what a sender asked for travels with
//! its letter over port 25, and is answered by who delivers; but only where the sender is proven.

use integration_tests::{Service, wait};

use crate::cluster::{await_letters, greeted, letter, plain, stuffed, unstarted_pair};

/// `red.test` and `blue.test`, each sending from its own address, as its SPF record says.
fn pair() -> crate::cluster::Pair {
    let mut pair = unstarted_pair(|builder| {
        let own = format!("\"{}\"", builder.ip());
        builder.set("mta.source_address", own)
    });
    pair.red.up();
    pair.blue.up();
    pair
}

#[test]
fn what_a_sender_asked_for_is_answered_by_who_delivers() {
    let pair = pair();
    let mut talk = greeted(&pair.red, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain("alice@red.test")), "235");
    talk.say("MAIL FROM:<alice@red.test> RET=HDRS ENVID=QQ314159", "250");
    talk.say("RCPT TO:<bob@blue.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob@blue.test", "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(&letter("alice@red.test", "bob@blue.test", "registered")).as_bytes());
    let reply = talk.expect("250");
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    await_letters(&pair.blue, "bob@blue.test", 1);
    let told = await_letters(&pair.red, "alice@red.test", 1).remove(0);
    let told = String::from_utf8_lossy(&told).into_owned();
    for words in [
        "Return-Path: <>",
        "Reporting-MTA: dns; mx.blue.test",
        "Original-Envelope-Id: QQ314159",
        "Original-Recipient: rfc822; Bob@blue.test",
        "Action: delivered",
        "Subject: registered",
    ] {
        assert!(told.contains(words), "no {words:?} in\n{told}");
    }
    // RFC 3461 §5.2.2: who hands over to a system that promises reports writes none.
    let events = pair.red.json(&["trace", id]);
    assert!(!events.iter().any(|event| event["kind"] == "generated"), "{events:#?}");
    for host in [&pair.red, &pair.blue] {
        wait::until("nothing waits", || host.queue().is_empty().then_some(()));
        host.assert_balanced();
    }
}

#[test]
fn nobody_is_told_who_may_never_have_asked() {
    let pair = pair();
    // From 127.0.0.1, which may not send for red.test: anybody could have put her name there.
    let mut talk = greeted(&pair.blue, Service::Smtp);
    talk.say("MAIL FROM:<alice@red.test> RET=FULL ENVID=x", "250");
    talk.say("RCPT TO:<bob@blue.test> NOTIFY=SUCCESS,DELAY", "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(&letter("eve@elsewhere.test", "bob@blue.test", "forged")).as_bytes());
    let reply = talk.expect("250");
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    await_letters(&pair.blue, "bob@blue.test", 1);
    let events = pair.blue.json(&["trace", id]);
    assert!(!events.iter().any(|event| event["kind"] == "generated"), "{events:#?}");
    assert!(pair.blue.queue().is_empty());
    // Syntax is looked at in any case (RFC 3461 §4).
    let mut talk = greeted(&pair.blue, Service::Smtp);
    talk.say("MAIL FROM:<alice@red.test> RET=SOME", "501");
    talk.say("MAIL FROM:<alice@red.test>", "250");
    talk.say("RCPT TO:<bob@blue.test> NOTIFY=NEVER,SUCCESS", "501");
    talk.say("RCPT TO:<bob@blue.test> NOTIFY=NEVER", "250");
    pair.blue.assert_balanced();
}
