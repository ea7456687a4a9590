//! Tests of keys, values, faults and layers; and that `deploy/posthaste.toml` tells the truth.

use std::path::Path;

use proptest::prelude::*;
use serde::Deserialize;
use toml::{Table, Value};

use super::values::{HostPort, Smarthost, Target, duration, size};
use super::*;

const REFERENCE: &str = include_str!("../../../../deploy/posthaste.toml");

fn at(text: &str) -> Result<Config, Faults> {
    parse(Path::new("/etc/posthaste/posthaste.toml"), text, &[])
}

/// Line, column and key of each fault.
fn faults(text: &str) -> Vec<(Option<(usize, usize)>, String)> {
    let faults = at(text).expect_err("faulty").faults;
    faults.into_iter().map(|fault| (fault.at, fault.key)).collect()
}

#[test]
fn an_empty_file_is_the_default() {
    assert_eq!(at("").expect("no faults"), Config::default());
}

#[test]
fn the_reference_equals_the_defaults() {
    let reference: Table = toml::from_str(REFERENCE).expect("TOML");
    let defaults = Table::try_from(Config::default()).expect("a table");
    assert_eq!(reference, defaults);
}

#[test]
fn the_reference_misses_no_key() {
    // Commented keys count: they are the ones without a default value.
    let uncommented: String = REFERENCE
        .lines()
        .map(|line| match line.strip_prefix('#') {
            Some(key) if key.starts_with(|c: char| c.is_ascii_lowercase()) => key,
            _ => line,
        })
        .map(|line| format!("{line}\n"))
        .collect();
    let reference: Table = toml::from_str(&uncommented).expect("TOML with every key");
    Config::deserialize(reference.clone()).expect("every commented key can be used as it stands");
    compare(&[], &reference);
}

fn compare(path: &[&str], table: &Table) {
    let mut allowed = allowed_keys(path);
    allowed.sort();
    let mut written: Vec<String> = table.keys().cloned().collect();
    written.sort();
    assert_eq!(written, allowed, "keys of [{}]", path.join("."));
    for (key, value) in table {
        if let (Value::Table(inner), false) = (value, key == "routes") {
            compare(&[path, &[key]].concat(), inner);
        }
    }
}

#[test]
fn every_fault_is_named_with_its_place() {
    let text = "\
[mta]
remote_prot = 25
lifetime = \"five days\"
routes = { \"*\" = \"carrier pigeon\" }
retry.first = \"1h\"
retry.frist = \"1h\"

[lsten]
smtp = 25

[limits]
sessions = -1
";
    let found = faults(text);
    let expected = [
        ((2, 1), "mta.remote_prot"),
        ((3, 12), "mta.lifetime"),
        ((4, 18), "mta.routes.*"),
        ((6, 7), "mta.retry.frist"),
        ((8, 2), "lsten"),
        ((12, 12), "limits.sessions"),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(at, key)| (Some(at), key.to_owned())).collect();
    assert_eq!(found, expected);
    let said = at(text).expect_err("faulty").to_string();
    assert!(
        said.contains(
            "posthaste.toml:2:1: mta.remote_prot: unknown key; did you mean \"remote_port\"?"
        ),
        "{said}"
    );
    assert!(said.contains("allowed in [mta.retry]: first, factor, max"), "{said}");
    assert!(said.contains("\"five days\" is not a duration such as"), "{said}");
}

#[test]
fn broken_toml_has_a_place_too() {
    assert_eq!(faults("[server\nhostname = 1").first().expect("one").0, Some((1, 8)));
    assert_eq!(faults("[log]\nlevel = \"info\"\nlevel = \"debug\"").len(), 1);
}

#[test]
fn keys_that_contradict_each_other() {
    let key = |text: &str| faults(text)[0].clone();
    assert_eq!(key("[tls]\nkey = \"k.pem\""), (Some((2, 7)), "tls.key".to_owned()));
    assert_eq!(key("[listen]\nsmtp = 587").1, "listen.submission");
    assert_eq!(key("[listen]\nport_offset = 65000").1, "listen.port_offset");
    assert_eq!(key("[mta]\nsmarthost = \"smtp://me@host.test\"").1, "mta.smarthost");
    assert_eq!(key("[mta.retry]\nmax = \"1s\"").1, "mta.retry.first");
    assert_eq!(key("[limits]\nmessage_size = 100").1, "limits.message_size");
}

#[test]
fn layers_go_defaults_file_set() {
    let set = |text: &[&str]| {
        let overrides: Vec<String> = text.iter().map(|text| (*text).to_owned()).collect();
        parse(Path::new("/srv/posthaste.toml"), "[mta]\nremote_port = 26\n", &overrides)
    };
    let config = set(&[
        "mta.remote_port=2525",
        "log.level=debug",
        "mta.retry.first=1s",
        "mta.routes.\"example.net\"=smtp:127.0.0.1:2525",
        "dns.servers=[\"127.0.0.1:5353\"]",
        "server.hostname=mail.example.org",
        "storage.data_dir=data",
    ])
    .expect("no faults");
    assert_eq!(config.mta.remote_port, 2525);
    assert_eq!(config.log.level, LogLevel::Debug);
    assert_eq!(config.mta.routes.len(), 1);
    assert_eq!(config.storage.data_dir, Path::new("/srv/data"));
    assert_eq!(config.hostname().as_str(), "mail.example.org");
    for wrong in ["mta.remote_prot=1", "mta", "log.level=loud", "mta.remote_port=x"] {
        let faults = set(&[wrong]).expect_err(wrong);
        assert_eq!(faults.faults.len(), 1, "{faults}");
    }
}

#[test]
fn hops_and_hosts_read_as_written() {
    let smarthost: Smarthost = "smtps://alice@red.test@smtp.blue.test".parse().expect("a host");
    assert_eq!(smarthost.user.as_deref(), Some("alice@red.test"));
    assert_eq!(smarthost.at.port, 465);
    assert_eq!(smarthost.to_string(), "smtps://alice@red.test@smtp.blue.test:465");
    assert!("smtp://alice:secret@host.test".parse::<Smarthost>().is_err());
    let six: HostPort = "[2001:db8::1]:25".parse().expect("an address");
    assert!(matches!(six.host, Target::Address(ip) if ip.is_ipv6()));
    assert_eq!(six.to_string(), "[2001:db8::1]:25");
    for hop in ["smtp:mx.test:25", "smtps:192.0.2.1:465", "lmtp:unix:/run/lmtp", "lmtp:[::1]:24"] {
        assert_eq!(hop.parse::<NextHop>().expect(hop).to_string(), hop);
    }
    for wrong in ["", "smtp:", "smtp:host", "smtp:host:0", "lmtp:unix:", "http:host:80"] {
        assert!(wrong.parse::<NextHop>().is_err(), "{wrong}");
    }
}

#[test]
fn a_bad_file_changes_nothing_and_changes_are_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("posthaste.toml");
    let write = |text: &str| std::fs::write(&file, text).expect("written");
    write("[log]\nlevel = \"warn\"\n");
    let handle = ConfigHandle::load(&file, &[]).expect("no faults");
    write("[log]\nlevel = \"shout\"\n");
    assert_eq!(handle.read_again().expect_err("faulty").faults[0].at, Some((2, 9)));
    assert_eq!(handle.current().log.level, LogLevel::Warn);
    write("[log]\nlevel = \"debug\"\n[listen]\nsmtp = 26\n[tls]\nextra_roots_file = \"ca.pem\"\n");
    let reload = handle.read_again().expect("no faults");
    assert_eq!(reload.changed, ["listen.smtp", "log.level", "tls.extra_roots_file"]);
    assert_eq!(reload.needs_restart, ["listen.smtp"]);
    let mut watch = handle.watch();
    handle.replace(reload.config);
    assert!(watch.has_changed().expect("open"));
    assert_eq!(watch.borrow_and_update().listen.smtp, 26);
}

proptest! {
    #[test]
    fn durations_read_as_printed(millis in 0u64..100 * 365 * 86_400_000) {
        let value = Duration::from_millis(millis);
        prop_assert_eq!(duration::parse(&duration::text(value)), Ok(value));
    }

    #[test]
    fn sizes_read_as_printed(bytes in 0u64..1 << 60) {
        prop_assert_eq!(size::parse(&size::text(bytes)), Ok(bytes));
    }

    #[test]
    fn nothing_in_a_file_panics(text in "[a-z\\[\\]=\".\n 0-9]{0,80}") {
        let _ = at(&text);
    }
}
