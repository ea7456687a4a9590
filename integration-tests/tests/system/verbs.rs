//! The admin's verbs against running agents: each says what it did, and takes effect at once.

use integration_tests::{Service, wait};

use crate::cluster::{
    PASSWORD, greeted, inbox, letter, letters, never_again, pair, single, submit, transfer,
    unstarted_pair,
};

#[test]
fn up_is_ready_status_knows_it_and_stops_cleanly() {
    let mut here = single();
    here.run(&["status"]).ok();
    let agents = here.json(&["status"]);
    for name in ["auth", "msa", "mta", "mda"] {
        assert!(agents.iter().any(|agent| agent["agent"] == name), "{agents:?}");
    }
    // One that dies comes back.
    let before = here.kill("mta");
    wait::until("a new mta answers", || {
        let new = here.agent("mta").is_some_and(|id| id != before);
        (new && here.run(&["status"]).code == 0).then_some(())
    });
    here.stop();
    assert_eq!(here.run(&["status"]).code, 1);
}

#[test]
fn accounts_and_aliases_take_effect_without_a_restart() {
    let here = single();
    let add = |words: &[&str], password: &str| {
        let mut command = here.command(words);
        integration_tests::clients::run(&mut command, password.as_bytes()).ok()
    };
    add(&["account", "add", "carol@example.test", "--password-stdin"], "correct horse\n");
    here.run(&["alias", "add", "team@example.test", "bob@example.test", "carol@example.test"]).ok();
    let sent = letter("x@b.test", "team@example.test", "expanded");
    wait::until("the MTA knows the alias", || {
        let mut talk = greeted(&here, Service::Smtp);
        talk.say("MAIL FROM:<x@b.test>", "250");
        talk.line("RCPT TO:<team@example.test>");
        talk.reply().starts_with("250").then_some(())
    });
    transfer(&here, "x@b.test", &["team@example.test"], &sent);
    for user in ["bob@example.test", "carol@example.test"] {
        wait::until("the letter is there", || (inbox(&here, user).1 == 1).then_some(()));
    }
    add(&["account", "password", "carol@example.test", "--password-stdin"], "another\n");
    wait::until("the old password is refused", || {
        let mut talk = here.connect(Service::Imap);
        talk.read();
        talk.line(&format!("a LOGIN carol@example.test \"{PASSWORD}\""));
        talk.until_tagged("a").last()?.starts_with("a NO").then_some(())
    });
    here.run(&["account", "remove", "carol@example.test"]).ok();
    wait::until("carol is unknown", || {
        let mut talk = greeted(&here, Service::Smtp);
        talk.say("MAIL FROM:<x@b.test>", "250");
        talk.line("RCPT TO:<carol@example.test>");
        talk.reply().starts_with("550").then_some(())
    });
    here.assert_balanced();
}

#[test]
fn configuration_faults_are_found_with_line_and_column() {
    let here = single();
    let path = here.config();
    let good = std::fs::read_to_string(&path).expect("ours");
    std::fs::write(&path, format!("{good}\n[mta]\nremote_prot = 26\n")).expect("ours");
    let line = good.lines().count() + 3;
    let said = here.run(&["check"]);
    assert_eq!(said.code, 78, "{}{}", said.out, said.err);
    let text = said.out + &said.err;
    assert!(text.contains(&format!("{line}:1")) && text.contains("remote_port"), "{text}");
    // A bad file is refused at reload, and the old configuration stays.
    assert_ne!(here.run(&["reload"]).code, 0);
    let (_, count) = inbox(&here, "bob@example.test");
    assert_eq!(count, 0);
    std::fs::write(&path, format!("{good}\n[mta]\nremote_port = 26\n")).expect("ours");
    here.run(&["check"]).ok();
    here.run(&["reload"]).ok();
    here.run(&["status"]).ok();
}

#[test]
fn a_port_in_use_is_one_clear_sentence() {
    let mut here = single();
    here.stop();
    let taken = std::net::TcpListener::bind(here.at(Service::Smtp)).expect("it was free");
    let config = here.config().display().to_string();
    let said = here.run(&["mta", "-c", &config]);
    assert_ne!(said.code, 0);
    let port = Service::Smtp.port().to_string();
    let text = said.out + &said.err;
    assert!(text.contains(&port) && text.contains("another program has the port"), "{text}");
    drop(taken);
}

#[test]
fn a_waiting_letter_can_be_shown_held_released_and_removed() {
    let mut pair = unstarted_pair(never_again);
    pair.red.up();
    for subject in ["one", "two"] {
        let sent = letter("alice@red.test", "bob@blue.test", subject);
        submit(&pair.red, "alice@red.test", &["bob@blue.test"], &sent);
    }
    let first_try = || {
        let queue = pair.red.queue();
        let text = serde_json::to_string(&queue).expect("JSON");
        (queue.len() == 2 && text.to_lowercase().contains("refused")).then_some(queue)
    };
    let queue = wait::until("both were tried once", first_try);
    let ids: Vec<&str> = queue.iter().filter_map(|item| item["id"].as_str()).collect();
    assert_eq!(ids.len(), 2, "{queue:?}");
    pair.red.run(&["queue", "show", ids[0]]).ok().says("bob@blue.test");
    pair.red.run(&["queue", "hold", ids[0]]).ok();
    pair.red.run(&["queue", "remove", ids[1]]).ok();
    pair.blue.up();
    pair.red.run(&["queue", "release", ids[0]]).ok();
    pair.red.run(&["queue", "retry", ids[0]]).ok();
    wait::until("the queue is empty", || pair.red.queue().is_empty().then_some(()));
    assert_eq!(letters(&pair.blue, "bob@blue.test").len(), 1);
    pair.red.assert_balanced();
    pair.blue.assert_balanced();
}

#[test]
fn traces_by_id_message_id_and_address() {
    let pair = pair();
    let sent = letter("alice@red.test", "bob@blue.test", "traced");
    let reply = submit(&pair.red, "alice@red.test", &["bob@blue.test"], &sent);
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    wait::until("the queue is empty", || pair.red.queue().is_empty().then_some(()));
    for key in [id, "<traced@test>", "bob@blue.test", "alice@red.test"] {
        pair.red.run(&["trace", key]).ok().says(id);
    }
    assert_eq!(pair.red.run(&["trace", "nobody@nowhere.test"]).code, 1);
}
