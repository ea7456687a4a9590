//! The arrows between crates, and which of them may use which code of others.
//!
//! `TABLE` is the law; `docs/architecture.md` shows the same table to people, and `cargo metadata`
//! says what the crates really do. All three must agree.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use integration_tests::source::workspace;

/// One crate: its layer, what of ours it may use, what of others.
struct Row {
    layer: u8,
    name: &'static str,
    ours: &'static str,
    others: &'static str,
}

const fn row(layer: u8, name: &'static str, ours: &'static str, others: &'static str) -> Row {
    Row { layer, name, ours, others }
}

/// Lowest layer first. Agents do not depend on agents; `queue` is the MTA's, `mailbox` the MDA's.
const TABLE: &[Row] = &[
    row(
        0,
        "protocol",
        "",
        "base64 bytes hmac icu_normalizer idna memchr serde serde_json sha2 subtle",
    ),
    row(0, "message", "protocol", "bytes encoding_rs mail-builder mail-parser memchr"),
    row(1, "sieve", "message protocol", "memchr regex-lite"),
    row(1, "disk", "protocol", "bytes getrandom rustix sha2"),
    row(
        1,
        "net",
        "protocol",
        "bytes flate2 hickory-resolver rustix rustls rustls-native-certs serde serde_json sha2 \
         tokio tokio-rustls tracing",
    ),
    row(
        2,
        "service",
        "disk net protocol",
        "getrandom rustix serde serde_json tokio toml tracing tracing-subscriber",
    ),
    row(2, "directory", "disk protocol", "argon2 base64 getrandom hmac serde sha2 subtle toml"),
    row(2, "queue", "disk protocol", "bytes sha2"),
    row(2, "mailbox", "disk message protocol", "bytes memchr rustix sha2 sled"),
    row(
        2,
        "verdict",
        "disk message net protocol",
        "aws-lc-rs base64 bytes serde serde_json tokio tracing",
    ),
    row(
        3,
        "auth",
        "directory disk net protocol service",
        "base64 getrandom hmac serde serde_json sha2 subtle tokio tracing",
    ),
    row(3, "msa", "directory disk message net protocol service", "tokio tracing"),
    row(
        3,
        "mta",
        "directory disk message net protocol queue service verdict",
        "aws-lc-rs base64 bytes getrandom serde serde_json tokio tracing",
    ),
    row(
        3,
        "mda",
        "directory disk mailbox message net protocol service sieve verdict",
        "bytes getrandom serde serde_json sha2 tokio tracing",
    ),
    row(
        3,
        "mua",
        "message net protocol",
        "bytes html2text rustix serde serde_json sha2 tokio toml tracing",
    ),
    row(
        4,
        "posthaste",
        "auth directory disk mailbox mda message msa mta mua net protocol queue service sieve",
        "aws-lc-rs base64 bytes clap getrandom hickory-server mimalloc rcgen rustix rustls serde \
         serde_json tokio toml tracing",
    ),
    // Only its simulations and fuzz targets link anything of ours.
    row(
        4,
        "integration-tests",
        "directory disk mailbox mda message msa mta net protocol queue service sieve",
        "bytes hickory-server memchr rcgen rustix rustls serde_json tempfile tokio tokio-rustls",
    ),
];

/// What any crate's tests may use besides.
const IN_TESTS: &[&str] = &["proptest", "rcgen", "tempfile"];

/// The page that shows the table.
const PAGE: &str = "docs/architecture.md";

#[test]
fn crates_use_only_what_the_table_allows() {
    let mut report = String::new();
    for (name, used) in dependencies() {
        let Some(row) = TABLE.iter().find(|row| row.name == name) else {
            report.push_str(&format!("{name}: a crate that is not in the table\n"));
            continue;
        };
        let allowed: BTreeSet<&str> =
            row.ours.split_whitespace().chain(row.others.split_whitespace()).collect();
        for (dependency, in_tests) in used {
            let spare = in_tests && IN_TESTS.contains(&dependency.as_str());
            if !allowed.contains(dependency.as_str()) && !spare {
                report.push_str(&format!("{name} -> {dependency}: not in the table\n"));
            }
        }
    }
    assert!(report.is_empty(), "layers ({PAGE}):\n{report}");
}

#[test]
fn the_table_points_downwards_and_never_between_agents() {
    let layers: BTreeMap<&str, u8> = TABLE.iter().map(|row| (row.name, row.layer)).collect();
    for row in TABLE {
        for ours in row.ours.split_whitespace() {
            let layer = layers[ours];
            // Layers 0 to 2 may build on a neighbour; agents (3) on nothing of their own layer.
            let down = layer < row.layer || (layer == row.layer && layer < 3);
            assert!(down, "{} (layer {}) -> {ours} (layer {layer})", row.name, row.layer);
        }
    }
    for (user, owner) in [("mta", "queue"), ("mda", "mailbox")] {
        for row in TABLE.iter().filter(|row| row.layer == 3 && row.name != user) {
            let touches = row.ours.split_whitespace().any(|ours| ours == owner);
            assert!(!touches, "{}: only {user} opens the store {owner}", row.name);
        }
    }
}

#[test]
fn the_page_shows_the_same_table() {
    let page = std::fs::read_to_string(workspace().join(PAGE)).expect(PAGE);
    let shown: BTreeSet<&str> =
        page.lines().filter(|line| line.starts_with("| ") && line.contains(" | `")).collect();
    let mut missing = String::new();
    let mut expected = BTreeSet::new();
    for row in TABLE {
        expected.insert(line(row));
    }
    for row in &expected {
        if !shown.contains(row.as_str()) {
            missing.push_str(row);
            missing.push('\n');
        }
    }
    assert!(missing.is_empty(), "{PAGE} lacks these lines:\n{missing}");
    for row in shown {
        assert!(expected.contains(row), "{PAGE} has a line that the test does not: {row}");
    }
}

/// The line of the page for a row: `| 1 | `net` | protocol | bytes ... |`.
fn line(row: &Row) -> String {
    let list = |words: &str| {
        let words: Vec<&str> = words.split_whitespace().collect();
        if words.is_empty() { "–".to_owned() } else { words.join(", ") }
    };
    format!("| {} | `{}` | {} | {} |", row.layer, row.name, list(row.ours), list(row.others))
}

/// The direct dependencies of every crate of the workspace: name, and whether only tests use it.
fn dependencies() -> BTreeMap<String, BTreeSet<(String, bool)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(workspace())
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    let mut found = BTreeMap::new();
    for package in metadata["packages"].as_array().expect("packages") {
        let name = package["name"].as_str().expect("a name").to_owned();
        let used = package["dependencies"].as_array().expect("dependencies");
        let used = used
            .iter()
            .map(|dependency| {
                let name = dependency["name"].as_str().expect("a name").to_owned();
                (name, dependency["kind"].as_str() == Some("dev"))
            })
            .collect();
        found.insert(name, used);
    }
    assert!(found.len() >= TABLE.len(), "every row of the table is a crate");
    found
}
