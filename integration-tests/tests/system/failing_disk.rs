//! A disk that fails: fdatasync says EIO, in the real agents, by a library that stands before that
//! of the system. What was waiting for the disk is refused, never taken on a second try; the agent
//! says so and goes on with a new log, or ends and is started again by `up`; what was answered 250
//! is there once.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use integration_tests::{Instance, Service, clients, wait};

use crate::cluster::{await_letters, domain, greeted, letter, letters, stuffed};

/// fdatasync of a file below `/queue/` or `/mail/` fails while the folder has a token for it:
/// `queue-1` is used up by one failure, `queue-always` is not.
const LIBRARY: &str = r#"
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int fails(int fd) {
    char link[64], path[4096], token[4096];
    const char *folder = getenv("FAILING_SYNCS");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (folder == NULL || length < 0) return 0;
    path[length] = 0;
    const char *kind = strstr(path, "/data/queue/") ? "queue-"
                     : strstr(path, "/data/mail/") ? "mail-" : NULL;
    DIR *all = kind ? opendir(folder) : NULL;
    int found = 0;
    struct dirent *entry;
    while (all && !found && (entry = readdir(all))) {
        if (strncmp(entry->d_name, kind, strlen(kind)) != 0) continue;
        snprintf(token, sizeof token, "%s/%s", folder, entry->d_name);
        found = strstr(entry->d_name, "always") != NULL || unlink(token) == 0;
    }
    if (all) closedir(all);
    return found;
}

int fdatasync(int fd) {
    if (fails(fd)) { errno = EIO; return -1; }
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    return real(fd);
}
"#;

/// A domain whose disk fails when told to, and the folder of tokens.
fn with_failing_disk() -> Option<(Instance, PathBuf)> {
    clients::find("gcc")?;
    // A name server that is not there: letters for others wait.
    let mut here = domain("example.test")
        .set("dns.servers", "[\"127.0.0.1:9\"]")
        .set("mta.retry.first", "\"1s\"")
        .set("mta.retry.max", "\"2s\"")
        .init();
    let path = |name: &str| here.root().join(name);
    let (source, library, tokens) = (path("failing.c"), path("failing.so"), path("tokens"));
    std::fs::write(&source, LIBRARY).expect("the folder is writable");
    std::fs::create_dir(&tokens).expect("the folder is writable");
    let mut compiler = Command::new("gcc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source).arg("-ldl");
    clients::run(&mut compiler, b"").ok();
    here.set_environment("LD_PRELOAD", library.display().to_string());
    here.set_environment("FAILING_SYNCS", tokens.display().to_string());
    here.up();
    Some((here, tokens))
}

fn fail(tokens: &Path, token: &str) {
    std::fs::write(tokens.join(token), "").expect("the folder is writable");
}

/// One letter to port 25, or by submission; the reply to its data, or why it did not come so far.
fn send(here: &Instance, (from, to): (&str, &str), subject: &str) -> Option<String> {
    let mut talk = here.connect(Service::Smtp);
    talk.try_reply()?;
    talk.try_say("EHLO client.test")?;
    talk.try_say(&format!("MAIL FROM:<{from}>"))?;
    let reply = talk.try_say(&format!("RCPT TO:<{to}>"))?;
    if !reply.starts_with("250") {
        return Some(reply);
    }
    talk.try_say("DATA")?;
    talk.try_raw(stuffed(&letter(from, to, subject)).as_bytes()).ok()?;
    talk.try_reply()
}

/// A letter for the queue: nobody can deliver it. Its journey if it was taken.
fn submit(here: &Instance, subject: &str) -> Option<String> {
    let mut talk = here.connect(Service::Submission);
    talk.try_reply()?;
    talk.try_say("EHLO client.test")?;
    talk.try_say(&format!("AUTH PLAIN {}", crate::cluster::plain("alice@example.test")))?;
    talk.try_say("MAIL FROM:<alice@example.test>")?;
    talk.try_say("RCPT TO:<nobody@far.test>")?;
    talk.try_say("DATA")?;
    let sent = letter("alice@example.test", "nobody@far.test", subject);
    talk.try_raw(stuffed(&sent).as_bytes()).ok()?;
    talk.try_reply()
}

const LONG: Duration = Duration::from_secs(120);
const STRANGER: (&str, &str) = ("friend@far.test", "bob@example.test");

/// Sends until it is taken; the refusals on the way. Each refusal is for a time.
fn insist(mut attempt: impl FnMut() -> Option<String>) -> Vec<String> {
    let mut refusals = Vec::new();
    wait::within(LONG, "a letter is taken", || {
        let reply = attempt()?;
        if reply.starts_with("250") {
            return Some(());
        }
        assert!(reply.starts_with('4'), "refused for ever: {reply}");
        refusals.push(reply);
        None
    });
    refusals
}

fn subjects(here: &Instance) -> Vec<String> {
    let subject = |letter: &Vec<u8>| {
        let text = String::from_utf8_lossy(letter).into_owned();
        let rest = text.split("\r\nSubject: ").nth(1).expect("a subject").to_owned();
        rest.lines().next().unwrap_or_default().to_owned()
    };
    let mut all: Vec<_> = letters(here, "bob@example.test").iter().map(subject).collect();
    all.sort();
    all
}

#[test]
fn one_error_refuses_what_waits_and_the_agent_goes_on() {
    let Some((here, tokens)) = with_failing_disk() else { return };
    let reply = send(&here, STRANGER, "before").expect("a reply");
    assert!(reply.starts_with("250"), "{reply}");
    let agents = (here.agent("mda"), here.agent("mta"));
    fail(&tokens, "mail-1");
    insist(|| send(&here, STRANGER, "mailboxes"));
    fail(&tokens, "queue-1");
    let refusals = insist(|| submit(&here, "queued"));
    assert_eq!(refusals.len(), 1, "the letter that met the error is refused: {refusals:?}");
    await_letters(&here, STRANGER.1, 2);
    assert_eq!(subjects(&here), ["before", "mailboxes"]);
    assert_eq!(here.queue().len(), 1);
    assert_eq!((here.agent("mda"), here.agent("mta")), agents, "both go on");
    let log = here.log("up");
    assert_eq!(log.matches("a new log is begun").count(), 2, "{log}");
    let mut here = here;
    here.kill_all();
    here.up();
    assert_eq!(subjects(&here), ["before", "mailboxes"]);
    assert_eq!(here.queue().len(), 1);
    here.assert_balanced();
}

#[test]
fn a_disk_that_goes_on_failing_ends_the_agent_and_up_brings_it_back() {
    let Some((here, tokens)) = with_failing_disk() else { return };
    for agent in ["mda", "mta"] {
        let reply = send(&here, STRANGER, &format!("before-{agent}")).expect("a reply");
        assert!(reply.starts_with("250"), "{reply}");
        assert!(submit(&here, &format!("queued-{agent}")).is_some_and(|it| it.starts_with("250")));
        let first = here.agent(agent);
        let (token, store) = match agent {
            "mda" => ("mail-always", "the store of mailboxes"),
            _ => ("queue-always", "the store of the queue"),
        };
        fail(&tokens, token);
        let mut sent = 0;
        wait::within(LONG, "the agent says what happened and ends", || {
            sent += 1;
            let subject = format!("during-{agent}-{sent}");
            let reply = match agent {
                "mda" => send(&here, STRANGER, &subject),
                _ => submit(&here, &subject),
            };
            // While only the mailboxes are concerned a letter may be queued: then it is ours.
            assert!(agent == "mda" || !reply.is_some_and(|reply| reply.starts_with("250")));
            let said = here.log("up").contains(&format!("the disk has failed {store}"));
            (said && here.agent(agent) != first).then_some(())
        });
        std::fs::remove_file(tokens.join(token)).expect("it was there");
        insist(|| send(&here, STRANGER, &format!("after-{agent}")));
        insist(|| submit(&here, &format!("queued-after-{agent}")));
    }
    wait::within(LONG, "what was taken is in the mailbox", || {
        let there = subjects(&here);
        let wanted = ["after-mda", "after-mta", "before-mda", "before-mta"];
        wanted.iter().all(|one| there.iter().any(|subject| subject == one)).then_some(())
    });
    wait::within(LONG, "only what nobody can deliver waits", || {
        (here.queue().len() == 4).then_some(())
    });
    let there = subjects(&here);
    let mut once = there.clone();
    once.dedup();
    assert_eq!(there, once, "each is there once");
    let mut talk = greeted(&here, Service::Smtp);
    talk.say("QUIT", "221");
    here.assert_balanced();
}
