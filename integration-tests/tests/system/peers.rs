//! Exim and OpenSMTPD on either side of our MTA, from Debian's packages: what they send arrives
//! here, what we send arrives there, with STARTTLS and without. They use places of the whole
//! machine, and are downloaded: the long form only, and only for root. Postfix is in `postfix`.

use std::net::SocketAddr;

use integration_tests::bench::Way;
use integration_tests::bench::peer::{StartTls, Use, exim, opensmtpd};
use integration_tests::bench::server::Server;
use integration_tests::{Conversation, Service, clients, wait};

use crate::cluster::{await_letters, domain, letter, stuffed, submit};

type Start = fn(Way, SocketAddr, StartTls) -> std::io::Result<Server>;

/// Starts a peer, if that can be done here.
fn started(name: &str, start: Start, (way, sink, tls): (Way, SocketAddr, Use)) -> Option<Server> {
    if !clients::full() || !rustix::process::geteuid().is_root() {
        return None;
    }
    match start(way, sink, StartTls { offered: tls, asked: tls }) {
        Ok(server) => Some(server),
        Err(error) => {
            clients::note_skipped(&format!("{name} ({error})"));
            None
        }
    }
}

fn both_ways(name: &str, start: Start, tls: Use) {
    let here = domain("example.test").start();
    let Some(peer) = started(name, start, (Way::Relay, here.at(Service::Smtp), tls)) else {
        return;
    };
    let text = letter("carol@inbox.test", "alice@example.test", "from-the-peer");
    let mut talk = Conversation::open(peer.smtp.expect("it takes mail"));
    talk.expect("220");
    talk.say("EHLO client.test", "250");
    talk.say("MAIL FROM:<carol@inbox.test>", "250");
    talk.say("RCPT TO:<alice@example.test>", "250");
    talk.say("DATA", "354");
    talk.raw(stuffed(&text).as_bytes());
    talk.expect("250");
    drop(talk);
    let found = await_letters(&here, "alice@example.test", 1).remove(0);
    let found = String::from_utf8_lossy(&found).into_owned();
    assert!(found.contains("Subject: from-the-peer"), "{found}");
    let with = if tls == Use::Yes { "ESMTPS\r\n\t(TLS" } else { "ESMTP id" };
    assert!(found.contains(&format!("by {} with {with}", here.hostname())), "{found}");
    assert!(found.contains(&format!("Authentication-Results: {};", here.hostname())), "{found}");
    drop(peer);
    let sink = here.at(Service::Smtp);
    let Some(peer) = started(name, start, (Way::Inbound, sink, tls)) else { return };
    let route = format!("{{\"*\" = \"smtp:{}\"}}", peer.smtp.expect("it takes mail"));
    let there = domain("example.test").set("mta.routes", route).start();
    let to = peer.recipients.first().expect("it has mailboxes").clone();
    let text = letter("alice@example.test", &to, "to-the-peer");
    let reply = submit(&there, "alice@example.test", &[&to], &text);
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    let look = || {
        let folders = peer.maildirs.iter().flat_map(|it| [it.clone(), it.join("new")]);
        let files = folders.flat_map(|it| std::fs::read_dir(it).into_iter().flatten().flatten());
        let mut texts = files.filter_map(|it| std::fs::read_to_string(it.path()).ok());
        texts.find(|text| text.contains("to-the-peer"))
    };
    let stored = wait::try_within(std::time::Duration::from_secs(20), look);
    let stored = stored.unwrap_or_else(|| panic!("not there: {:#?}", there.json(&["trace", id])));
    assert!(stored.contains("Subject: to-the-peer"), "{stored}");
    wait::until("our queue is empty", || there.queue().is_empty().then_some(()));
    let events = there.json(&["trace", id]);
    let encrypted = events.iter().any(|event| event["kind"] == "tls");
    assert_eq!(encrypted, tls == Use::Yes, "{events:#?}");
    there.assert_balanced();
}

#[test]
fn exim_on_either_side() {
    // One after the other: there is one place for each on a machine.
    both_ways("exim", exim::start_with, Use::Yes);
    both_ways("exim", exim::start_with, Use::No);
}

#[test]
fn opensmtpd_on_either_side() {
    both_ways("opensmtpd", opensmtpd::start_with, Use::Yes);
    both_ways("opensmtpd", opensmtpd::start_with, Use::No);
}
