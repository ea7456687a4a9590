//! Programs of others that tests speak with: whether they are there, and running them with a
//! deadline.

use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use crate::wait;

/// A client gets this long for one errand.
const ERRAND: Duration = Duration::from_secs(60);

/// The path of a program, or `None` with its name noted for the last lines of `run`: the caller
/// then ends its test, which counts as passed and is named as skipped.
pub fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let places = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    let found = places.map(|place| place.join(program)).find(|candidate| candidate.is_file());
    if found.is_none() {
        note_skipped(program);
    }
    found
}

/// Notes that a test was skipped for want of something.
pub fn note_skipped(name: &str) {
    eprintln!("skipped: {name}");
    let Some(file) = std::env::var_os("POSTHASTE_SKIPPED") else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(file) {
        let _ = writeln!(file, "{name}");
    }
}

/// Whether `run --full` asked for the long forms.
pub fn full() -> bool {
    std::env::var_os("POSTHASTE_FULL").is_some()
}

/// What a program said and how it ended.
#[derive(Debug)]
pub struct Said {
    /// Exit status; -1 when a signal ended it.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Said {
    /// Panics unless the program ended with 0.
    #[track_caller]
    pub fn ok(self) -> Said {
        assert_eq!(self.code, 0, "out: {}\nerr: {}", self.out, self.err);
        self
    }

    /// Panics unless either output has the text.
    #[track_caller]
    pub fn says(self, text: &str) -> Said {
        let found = self.out.contains(text) || self.err.contains(text);
        assert!(found, "no {text:?} in\nout: {}\nerr: {}", self.out, self.err);
        self
    }
}

/// Runs a command to its end, with something to read or nothing, and a deadline.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Said {
    run_within(ERRAND, command, input)
}

/// [`run`] with a deadline of its own.
#[track_caller]
pub fn run_within(limit: Duration, command: &mut Command, input: &[u8]) -> Said {
    let title = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{title}: {error}"));
    let id = child.id();
    let mut stdin = child.stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    let feeder = std::thread::spawn(move || {
        // A program that does not read all of its input has its reasons.
        let _ = stdin.write_all(&input);
    });
    let waiter = std::thread::spawn(move || child.wait_with_output());
    if wait::try_within(limit, || waiter.is_finished().then_some(())).is_none() {
        crate::process::kill(id);
        let _ = waiter.join();
        panic!("{title}: no end within {limit:?}");
    }
    let _ = feeder.join();
    let output: Output =
        waiter.join().expect("the waiting thread ends").expect("the program can be waited for");
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
