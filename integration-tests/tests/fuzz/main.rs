//! Fuzzing: inputs made from kept seeds by mutation, thrown at everything that reads what others
//! wrote. What a target checks is in its module; what is made of the seeds is in `mutate`; the
//! loop, the watch and the reproducers are in `engine`. Two seconds each, a minute each with
//! `--full`;
//! `POSTHASTE_FUZZ_SECONDS=n` says otherwise, `POSTHASTE_FUZZ_INPUT=file` runs one input.
//!
//! Seeds are in `integration-tests/fuzz/NAME.seeds`, one a line, octets escaped as in Rust. A
//! finding is mended, and its input becomes a seed.

// A finding is told on standard error, which cargo shows when the test fails.
#![allow(missing_docs, clippy::print_stderr)]

mod engine;
mod imap;
mod ipc;
mod letter;
mod mutate;
mod names;
mod script;
mod smtp;
mod stores;

use engine::Target;

/// One test for each target, so that a failure names it.
macro_rules! targets {
    ($($name:ident: $run:path, $words:expr;)*) => {
        $(#[test]
        fn $name() {
            engine::fuzz(&Target { name: stringify!($name), run: $run, words: $words });
        })*
    };
}

targets! {
    smtp_server: smtp::server, smtp::WORDS;
    smtp_client: smtp::client, smtp::REPLY_WORDS;
    smtp_replies: smtp::replies, smtp::REPLY_WORDS;
    smtp_parameters: smtp::parameters, smtp::WORDS;
    addresses: names::addresses, names::WORDS;
    sasl: names::sasl, names::WORDS;
    imap_commands: imap::commands, imap::WORDS;
    imap_responses: imap::responses, imap::RESPONSE_WORDS;
    imap_server: imap::server, imap::WORDS;
    imap_client: imap::client, imap::RESPONSE_WORDS;
    imap_names: imap::names, imap::WORDS;
    mime_structure: letter::structure, letter::WORDS;
    mime_values: letter::values, letter::WORDS;
    headers: letter::headers, letter::WORDS;
    sieve_scripts: script::syntax, script::WORDS;
    sieve_runs: script::runs, script::WORDS;
    ipc_server: ipc::server, ipc::WORDS;
    ipc_client: ipc::client, ipc::WORDS;
    queue_files: stores::queue_files, stores::WORDS;
    queue_log: stores::queue_log, stores::WORDS;
    mailbox_files: stores::mailbox_files, stores::WORDS;
    mailbox_log: stores::mailbox_log, stores::WORDS;
    snapshots: stores::snapshots, stores::WORDS;
}
