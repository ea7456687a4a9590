//! The whole way of a letter, and what may become of it: to oneself, across domains, to several
//! people with several outcomes.

use integration_tests::{Service, wait};

use crate::cluster::{
    assert_same, await_letters, greeted, journey, letter, letters, pair, plain, single, stuffed,
    submit, transfer, unstarted_pair,
};

#[test]
fn a_letter_between_neighbours() {
    let here = single();
    let sent = letter("alice@example.test", "bob@example.test", "neighbour");
    let reply = submit(&here, "alice@example.test", &["bob@example.test"], &sent);
    // 250 came after the mailbox had it: no waiting here.
    let found = letters(&here, "bob@example.test");
    assert_eq!(found.len(), 1);
    assert_same(&found[0], &sent);
    let text = String::from_utf8_lossy(&found[0]);
    assert!(text.starts_with("Return-Path: <alice@example.test>\r\n"), "{text}");
    assert!(text.contains("with ESMTPA"), "RFC 3848, logged in without TLS: {text}");
    let id = reply.split_whitespace().nth(2).expect("250 2.0.0 <journey id>");
    assert_eq!(id.len(), 16, "{reply}");
    here.run(&["trace", id]).ok().says(id);
    here.assert_balanced();
}

#[test]
fn a_letter_across_domains() {
    let pair = pair();
    let sent = letter("alice@red.test", "bob@blue.test", "across");
    let reply = submit(&pair.red, "alice@red.test", &["bob@blue.test"], &sent);
    let found = await_letters(&pair.blue, "bob@blue.test", 1);
    assert_same(&found[0], &sent);
    let text = String::from_utf8_lossy(&found[0]);
    assert!(text.contains("with ESMTPS"), "STARTTLS between the MTAs: {text}");
    wait::until("red's queue is empty", || pair.red.queue().is_empty().then_some(()));
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    journey(&pair.red, id, &["authenticated", "accepted", "dns", "tls", "relayed"]);
    pair.red.assert_balanced();
    pair.blue.assert_balanced();
}

#[test]
fn each_recipient_has_an_outcome_of_its_own() {
    let pair = pair();
    let sent = letter("alice@red.test", "list@test", "several");
    let to = ["bob@red.test", "bob@blue.test", "nobody@blue.test"];
    submit(&pair.red, "alice@red.test", &to, &sent);
    assert_same(&await_letters(&pair.red, "bob@red.test", 1)[0], &sent);
    assert_same(&await_letters(&pair.blue, "bob@blue.test", 1)[0], &sent);
    let bounce = await_letters(&pair.red, "alice@red.test", 1).remove(0);
    let bounce = String::from_utf8_lossy(&bounce);
    assert!(bounce.starts_with("Return-Path: <>"), "{bounce}");
    assert!(bounce.contains("multipart/report"), "RFC 6522: {bounce}");
    assert!(
        bounce.contains("Final-Recipient: rfc822;nobody@blue.test")
            || bounce.contains("Final-Recipient: rfc822; nobody@blue.test"),
        "{bounce}"
    );
    assert!(bounce.contains("Status: 5.1.1"), "{bounce}");
    assert!(!bounce.contains("Final-Recipient: rfc822; bob@"), "{bounce}");
    pair.red.assert_balanced();
    pair.blue.assert_balanced();
}

#[test]
fn an_unknown_neighbour_is_refused_at_once() {
    let here = single();
    let mut talk = greeted(&here, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain("alice@example.test")), "235");
    talk.say("MAIL FROM:<alice@example.test>", "250");
    talk.say("RCPT TO:<nobody@example.test>", "550 5.1.1");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(&letter("alice@example.test", "bob@example.test", "rest")).as_bytes());
    talk.expect("250");
    assert_eq!(letters(&here, "bob@example.test").len(), 1);
    here.assert_balanced();
}

#[test]
fn people_send_as_themselves_only() {
    let here = single();
    let mut talk = greeted(&here, Service::Submission);
    talk.say("MAIL FROM:<alice@example.test>", "530 5.7.0");
    talk.say(&format!("AUTH PLAIN {}", plain("alice@example.test")), "235");
    talk.line("MAIL FROM:<bob@example.test>");
    let mut refused = talk.reply();
    if refused.starts_with("250") {
        // Some refuse with the recipient, as Postfix does; with the first of them at the latest.
        refused = {
            talk.line("RCPT TO:<bob@example.test>");
            talk.reply()
        };
    }
    assert!(refused.starts_with("55") && refused.contains("5.7.1"), "{refused}");
}

#[test]
fn tagged_addresses_aliases_and_postmaster_arrive() {
    let here = single();
    let to = ["alice+books@example.test", "postmaster@example.test", "Postmaster"];
    for (index, recipient) in to.iter().enumerate() {
        let sent = letter("friend@elsewhere.test", recipient, &format!("to-{index}"));
        transfer(&here, "friend@elsewhere.test", &[recipient], &sent);
    }
    assert_eq!(letters(&here, "alice@example.test").len(), to.len());
    here.assert_balanced();
}

#[test]
fn mail_waits_while_the_delivery_agent_is_away() {
    let mut pair =
        unstarted_pair(|builder| builder.set("agents.run", "[\"auth\",\"msa\",\"mta\"]"));
    pair.blue.up();
    let sent = letter("friend@red.test", "bob@blue.test", "away");
    transfer(&pair.blue, "friend@red.test", &["bob@blue.test"], &sent);
    assert_eq!(pair.blue.queue().len(), 1, "queued, not refused");
    pair.blue.assert_balanced();
    pair.blue.start_agent("mda");
    wait::until("the queue is empty", || pair.blue.queue().is_empty().then_some(()));
    let found = await_letters(&pair.blue, "bob@blue.test", 1);
    assert_eq!(found.len(), 1);
    assert_same(&found[0], &sent);
    pair.blue.assert_balanced();
}

#[test]
fn mail_flows_while_auth_is_away_and_only_logins_wait() {
    let mut pair = unstarted_pair(|builder| builder.set("agents.run", "[\"msa\",\"mta\",\"mda\"]"));
    pair.blue.up();
    let sent = letter("friend@red.test", "bob@blue.test", "no-auth");
    transfer(&pair.blue, "friend@red.test", &["bob@blue.test"], &sent);
    let mut talk = greeted(&pair.blue, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain("bob@blue.test")), "454");
    pair.blue.start_agent("auth");
    let found = wait::until("a login works", || {
        let mut talk = greeted(&pair.blue, Service::Submission);
        talk.line(&format!("AUTH PLAIN {}", plain("bob@blue.test")));
        talk.reply().starts_with("235").then(|| letters(&pair.blue, "bob@blue.test"))
    });
    assert_same(&found[0], &sent);
}
