//! `posthaste demo --once` with every scenario: it says yes, and leaves nothing behind, whether it
//! ends by itself, by Ctrl-C, or because something went wrong.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use integration_tests::clients::{self, Said};
use integration_tests::instance::executable;
use integration_tests::{process, wait};
use tempfile::TempDir;

/// The promise is 5 seconds, for a release build on a quiet machine; this is neither.
const AT_MOST: Duration = Duration::from_secs(60);

fn command(folder: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(executable());
    command.arg("demo").args(words).env("TMPDIR", folder).env("HOME", folder);
    command
}

fn assert_nothing_left(folder: &TempDir) {
    let left: Vec<_> = std::fs::read_dir(folder.path()).expect("ours").flatten().collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    let path = folder.path().display().to_string();
    let alive = wait::try_within(Duration::from_secs(5), || {
        process::with_command_line(&path).is_empty().then_some(())
    });
    assert!(alive.is_some(), "still running: {:?}", process::with_command_line(&path));
}

fn once(scenario: &str) -> Said {
    let folder = tempfile::tempdir().expect("a folder");
    let mut command = command(folder.path(), &["--once", "--scenario", scenario]);
    let began = Instant::now();
    let said = clients::run_within(AT_MOST, &mut command, b"");
    assert_eq!(said.code, 0, "{scenario} after {:?}:\n{}\n{}", began.elapsed(), said.out, said.err);
    assert_nothing_left(&folder);
    said
}

#[test]
fn ok() {
    let said = once("ok");
    // The journey has real lines of DNS, TLS and SMTP in it.
    for word in ["MX", "mx.blue.test", "TLSv1.3", "EHLO", "MAIL FROM", "250 2.0.0"] {
        assert!(said.out.contains(word), "no {word} in\n{}", said.out);
    }
}

#[test]
fn bounce() {
    once("bounce").says("5.1.1");
}

#[test]
fn greylist() {
    once("greylist").says("451 4.7.1 greylisted");
}

#[test]
fn down() {
    once("down");
}

#[test]
fn full() {
    once("full");
}

#[test]
fn relay() {
    once("relay").says("relay.test");
}

#[test]
fn speaks_json() {
    let folder = tempfile::tempdir().expect("a folder");
    let said =
        clients::run_within(AT_MOST, &mut command(folder.path(), &["--once", "--json"]), b"").ok();
    for line in said.out.lines() {
        let value: Result<serde_json::Value, _> = serde_json::from_str(line);
        assert!(value.is_ok_and(|value| value.is_object()), "{line}");
    }
    assert_nothing_left(&folder);
}

#[test]
fn keeps_what_it_is_told_to_keep() {
    let folder = tempfile::tempdir().expect("a folder");
    let kept = folder.path().join("kept");
    let words = ["--once", "--keep", &kept.display().to_string()];
    clients::run_within(AT_MOST, &mut command(folder.path(), &words), b"").ok();
    assert!(kept.join("red.test/posthaste.toml").is_file());
    assert!(kept.join("blue.test/data/mail/blue.test/bob").is_dir());
    assert!(process::with_command_line(&kept.display().to_string()).is_empty());
}

#[test]
fn stays_up_until_ctrl_c() {
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out");
    let file = std::fs::File::create(&out).expect("ours");
    let world = folder.path().join("tmp");
    std::fs::create_dir(&world).expect("ours");
    let mut child = command(&world, &[])
        .stdin(Stdio::null())
        .stdout(file.try_clone().expect("a file can be shared"))
        .stderr(file)
        .spawn()
        .expect("the demo starts");
    let text = || std::fs::read_to_string(&out).unwrap_or_default();
    let shown = wait::try_within(AT_MOST, || text().contains("Ctrl-C").then_some(()));
    assert!(shown.is_some(), "{}", text());
    for word in ["bob@blue.test", "993", "465", "roots.pem"] {
        assert!(text().contains(word), "no {word} in\n{}", text());
    }
    process::interrupt(child.id());
    let ended = wait::try_within(Duration::from_secs(20), || child.try_wait().expect("ours"));
    let Some(status) = ended else {
        process::kill(child.id());
        panic!("Ctrl-C did not end it:\n{}", text());
    };
    assert!(status.success(), "{status}:\n{}", text());
    assert_eq!(std::fs::read_dir(&world).expect("ours").count(), 0, "{}", text());
}

#[test]
fn an_early_ctrl_c_leaves_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut child = command(folder.path(), &["--once"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the demo starts");
    // As soon as it has made its folder.
    wait::until("the world has a folder", || {
        std::fs::read_dir(folder.path()).ok()?.next().map(|_| ())
    });
    process::interrupt(child.id());
    let ended = wait::try_within(Duration::from_secs(20), || child.try_wait().expect("ours"));
    if ended.is_none() {
        process::kill(child.id());
    }
    assert!(ended.is_some(), "Ctrl-C did not end it");
    assert_nothing_left(&folder);
}

#[test]
fn an_unknown_scenario_is_a_usage_fault() {
    let folder = tempfile::tempdir().expect("a folder");
    let said = clients::run(&mut command(folder.path(), &["--scenario", "sunshine"]), b"");
    assert_eq!(said.code, 64, "{}", said.err);
    said.says("bounce");
}
