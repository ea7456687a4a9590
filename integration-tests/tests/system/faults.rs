//! What goes wrong around a mail system while it runs: other agents away, DNS gone, the directory
//! unreadable, sockets deleted, file descriptors used up. Nothing that was answered 250 is lost,
//! what can go on goes on, and all is well again without anybody's hand when the cause is gone.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use integration_tests::{Conversation, Instance, NameServer, Service, process, wait};
use rustix::process::{Pid, Resource, Rlimit, prlimit};

use crate::cluster::{
    PASSWORD, assert_same, await_letters, domain, exists, greeted, imap, letter, letters, plain,
    single, submit, transfer, zone,
};

/// One domain whose outgoing mail is tried again soon.
fn eager(name: &str) -> Instance {
    domain(name).set("mta.retry.first", "\"1s\"").set("mta.retry.max", "\"2s\"").start()
}

#[test]
fn without_the_delivery_agent_letters_wait() {
    let mut here = domain("example.test")
        .set("mta.retry.first", "\"1s\"")
        .set("mta.retry.max", "\"2s\"")
        .init();
    for agent in ["auth", "msa", "mta"] {
        here.start_agent(agent);
    }
    let sent = letter("friend@far.test", "bob@example.test", "waits");
    transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
    let waiting = here.queue();
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    let status = here.run(&["status"]);
    assert_eq!(status.code, 1, "an agent is away: {}", status.out);
    status.says("mda");
    here.assert_balanced();
    here.start_agent("mda");
    assert_same(&await_letters(&here, "bob@example.test", 1)[0], &sent);
    wait::until("the queue is empty", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}

#[test]
fn without_auth_mail_flows_and_logins_wait() {
    let mut here = domain("example.test").init();
    for agent in ["msa", "mta", "mda"] {
        here.start_agent(agent);
    }
    let sent = letter("friend@far.test", "bob@example.test", "flows");
    transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
    // RFC 4954 §6: 454 is a temporary failure of authentication, not a wrong password.
    let mut talk = greeted(&here, Service::Submission);
    talk.say(&format!("AUTH PLAIN {}", plain("alice@example.test")), "454");
    let mut mail = here.connect(Service::Imap);
    mail.read();
    mail.line(&format!("a LOGIN bob@example.test \"{PASSWORD}\""));
    let refused = mail.until_tagged("a").pop().unwrap_or_default();
    assert!(refused.starts_with("a NO [UNAVAILABLE]"), "RFC 5530: {refused}");
    here.start_agent("auth");
    wait::until("logins work again, on the same connection", || {
        talk.line(&format!("AUTH PLAIN {}", plain("alice@example.test")));
        talk.reply().starts_with("235").then_some(())
    });
    assert_same(&letters(&here, "bob@example.test")[0], &sent);
}

#[test]
fn without_dns_letters_wait() {
    let (red, blue) = (domain("red.test"), domain("blue.test"));
    let hosts = [("red.test", red.ip()), ("blue.test", blue.ip())];
    let names = NameServer::start(zone(&hosts));
    let short = |builder: integration_tests::instance::Builder| {
        builder.dns(&names).set("mta.retry.first", "\"1s\"").set("mta.retry.max", "\"2s\"").start()
    };
    let (red, blue) = (short(red), short(blue));
    // Its address stays ours: nobody else is to answer there.
    let _lease = names.stop();
    let far = letter("alice@red.test", "bob@blue.test", "far");
    let near = letter("alice@red.test", "bob@red.test", "near");
    let id = submit(&red, "alice@red.test", &["bob@blue.test"], &far);
    submit(&red, "alice@red.test", &["bob@red.test"], &near);
    assert_same(&letters(&red, "bob@red.test")[0], &near);
    let id = id.split_whitespace().nth(2).expect("250 2.0.0 <journey id>");
    let deferred = wait::until("the letter is put off", || {
        let events = red.json(&["trace", id]);
        events.into_iter().find(|event| event["kind"] == "deferred")
    });
    assert_eq!(deferred["class"], "dns", "{deferred}");
    red.assert_balanced();
    // That it arrives once DNS is back is not shown here: see docs/durability.md.
    assert_eq!(red.queue().len(), 1);
    blue.assert_balanced();
}

#[test]
fn without_its_files_the_directory_stays_as_it_was() {
    let here = single();
    let folder = here.data().join("directory");
    let away = here.data().join("directory.away");
    std::fs::rename(&folder, &away).expect("it can be renamed");
    let sent = letter("friend@far.test", "bob@example.test", "known");
    transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
    assert_same(&letters(&here, "bob@example.test")[0], &sent);
    let refused = here.run(&["account", "list"]);
    assert_ne!(refused.code, 0, "there is nothing to list: {}", refused.out);
    assert!(!refused.err.is_empty(), "it does not say why");
    std::fs::rename(&away, &folder).expect("it can be renamed back");
    here.run(&["account", "list"]).ok().says("bob@example.test");

    // A file that somebody broke by hand: what was read before holds, and `status` says so.
    let file = folder.join("directory.toml");
    let good = std::fs::read(&file).expect("the directory's file");
    std::fs::write(&file, "this is = not [ a directory\n").expect("it can be written");
    let sent = letter("friend@far.test", "alice@example.test", "still");
    transfer(&here, "friend@far.test", &["alice@example.test"], &sent);
    assert_same(&letters(&here, "alice@example.test")[0], &sent);
    std::fs::write(&file, good).expect("it can be written");
    here.run(&["account", "list"]).ok().says("alice@example.test");
}

#[test]
fn deleted_sockets_are_made_again() {
    let here = eager("example.test");
    let run = here.data().join("run");
    let sockets = || {
        let entries = std::fs::read_dir(&run).expect("the folder of sockets");
        entries
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|end| end == "sock"))
            .collect::<std::collections::BTreeSet<_>>()
    };
    let before = sockets();
    assert!(before.len() >= 4, "{before:?}");
    before.iter().for_each(|path| std::fs::remove_file(path).expect("it is there"));
    // Without the way to the delivery agent letters are queued, or the client is told to wait.
    let mut talk = greeted(&here, Service::Smtp);
    talk.say("MAIL FROM:<friend@far.test>", "250");
    talk.say("RCPT TO:<bob@example.test>", "250");
    talk.say("DATA", "354");
    let sent = letter("friend@far.test", "bob@example.test", "meanwhile");
    talk.raw(crate::cluster::stuffed(&sent).as_bytes());
    talk.expect("250");
    wait::until("all sockets are there again", || (sockets() == before).then_some(()));
    here.run(&["status"]).ok();
    assert_same(&await_letters(&here, "bob@example.test", 1)[0], &sent);
    here.assert_balanced();
}

/// Soft and hard limit of open files of a running process.
fn limit_files(id: u32, most: Option<u64>) -> Rlimit {
    let pid = Pid::from_raw(i32::try_from(id).expect("a process number")).expect("not 0");
    let now = rustix::process::getrlimit(Resource::Nofile);
    let wanted = Rlimit { current: most, maximum: now.maximum };
    prlimit(Some(pid), Resource::Nofile, wanted).expect("we may do that to our child")
}

/// Processor time of a process so far.
fn worked(id: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks: u64 =
        after.split_whitespace().skip(11).take(2).filter_map(|word| word.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}

#[test]
fn without_file_descriptors_connections_wait_and_nothing_spins() {
    let here = domain("example.test").set("limits.sessions_per_address", "1000").start();
    for (agent, service) in [("mta", Service::Smtp), ("mda", Service::Imap)] {
        let id = here.agent(agent).expect("it runs");
        let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("our child").count() as u64;
        let before = limit_files(id, Some(open + 8));
        let crowd: Vec<TcpStream> = (0..40)
            .map(|_| TcpStream::connect(here.at(service)).expect("the kernel takes it"))
            .collect();
        wait::until("the descriptors are used up", || {
            here.log("up").contains("cannot accept connections").then_some(())
        });
        let (start, from) = (Instant::now(), worked(id));
        // Not a wait for something: the time in which it must not spin.
        std::thread::park_timeout(Duration::from_secs(2));
        let spent = worked(id) - from;
        assert!(spent < start.elapsed() / 4, "{agent} worked {spent:?} with nothing to do");
        drop(crowd);
        let mut talk = Conversation::open(here.at(service));
        let greeting = talk.read();
        assert!(greeting.starts_with("220") || greeting.starts_with("* OK"), "{greeting}");
        limit_files(id, before.current);
        assert_eq!(here.agent(agent), Some(id), "{agent} was started again");
    }
    let sent = letter("friend@far.test", "bob@example.test", "after");
    transfer(&here, "friend@far.test", &["bob@example.test"], &sent);
    assert_same(&letters(&here, "bob@example.test")[0], &sent);
    here.assert_balanced();
}

#[test]
fn a_session_that_cannot_store_says_so_and_lives_on() {
    // The delivery agent has no descriptor left for the files of letters; those that are open, its
    // log among them, go on. With none to spare it cannot even take the connection of the MTA.
    for missing in [0, 4] {
        squeezed(missing);
    }
}

fn squeezed(missing: u64) {
    let here = eager("example.test");
    let id = here.agent("mda").expect("it runs");
    let mut talk = imap(&here, "bob@example.test");
    let mut sender = greeted(&here, Service::Smtp);
    let open = std::fs::read_dir(format!("/proc/{id}/fd")).expect("our child").count() as u64;
    let before = limit_files(id, Some(open - missing));
    // A connection that it holds no more cannot be had again: the MTA gives that up in seconds, and
    // does not keep its sender waiting for it.
    let sent = letter("friend@far.test", "bob@example.test", "squeezed");
    sender.say("MAIL FROM:<friend@far.test>", "250");
    sender.say("RCPT TO:<bob@example.test>", "250");
    sender.say("DATA", "354");
    sender.raw(crate::cluster::stuffed(&sent).as_bytes());
    // Taken by the log, by the queue, or refused for now: never lost and never refused for ever.
    let reply = sender.reply();
    assert!(reply.starts_with("250") || reply.starts_with('4'), "{reply}");
    talk.imap("n", "NOOP");
    limit_files(id, before.current);
    if reply.starts_with("250") {
        let found = await_letters(&here, "bob@example.test", 1);
        assert_same(&found[0], &sent);
    }
    let count = exists(&talk.imap("s", "SELECT INBOX"));
    assert_eq!(count, usize::from(reply.starts_with("250")));
    assert!(process::is_alive(id), "the delivery agent has died");
    here.assert_balanced();
}
