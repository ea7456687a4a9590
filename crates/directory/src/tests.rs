//! The directory as agents see it and as the admin changes it.

use super::*;
use crate::file::Contents;
use disk::{Disk, RealDisk};
use proptest::prelude::*;
use protocol::{
    address::{Address, ForwardPath},
    machine::Tick,
};
use std::{path::Path, sync::Arc};

const FILE: &str = r#"format = 1
revision = 7

[[domain]]
name = "red.test"

[[domain]]
name = "blue.test"
catch_all = "bob@blue.test"

[[account]]
address = "Alice@red.test"
quota_bytes = 1000

[[account]]
address = "bob@blue.test"
subaddressing = false

[[alias]]
address = "all@red.test"
to = ["alice@red.test", "staff@red.test", "carol@elsewhere.example", "ALICE+x@red.test"]

[[alias]]
address = "staff@red.test"
to = ["bob@blue.test", "all@red.test"]

[[alias]]
address = "loop@red.test"
to = ["pool@red.test"]

[[alias]]
address = "pool@red.test"
to = ["loop@red.test"]

[[alias]]
address = "gone@red.test"
to = ["nobody@red.test"]
"#;

fn address(text: &str) -> Address {
    text.parse().unwrap()
}

fn snapshot() -> Snapshot {
    Contents::parse(FILE).unwrap().into_snapshot()
}

/// `account`, `account+tag`, or what else it is.
fn find(name: &str) -> String {
    match snapshot().lookup(&address(name)) {
        Found::Account(Recipient { account, tag: None }) => account.address.to_string(),
        Found::Account(Recipient { account, tag: Some(tag) }) => {
            format!("{}/{tag}", account.address)
        }
        Found::Alias(expansion) => {
            let accounts = expansion.accounts.iter().map(|to| to.account.address.to_string());
            let outside = expansion.outside.iter().map(|to| format!(">{to}"));
            accounts.chain(outside).collect::<Vec<_>>().join(" ")
        }
        other => format!("{other:?}"),
    }
}

#[test]
fn names_are_found_in_any_case_with_and_without_tags() {
    assert_eq!(find("ALICE@Red.Test"), "alice@red.test");
    assert_eq!(find("alice+Lists@red.test"), "alice@red.test/lists");
    assert_eq!(find("eve@red.test"), "Unknown");
    assert_eq!(find("eve@elsewhere.example"), "NotOurs");
    assert_eq!(find("alice@[192.0.2.1]"), "NotOurs");
    assert_eq!(find("eve@blue.test"), "bob@blue.test");
    assert_eq!(find("bob+x@blue.test"), "bob@blue.test", "no subaddress, but a catch-all");
}

#[test]
fn aliases_expand_to_each_once_and_loops_end() {
    assert_eq!(find("all@red.test"), "alice@red.test bob@blue.test >carol@elsewhere.example");
    assert_eq!(find("staff+x@red.test"), "bob@blue.test alice@red.test >carol@elsewhere.example");
    assert_eq!(find("loop@red.test"), "Nowhere(Loop)");
    assert_eq!(find("gone@red.test"), "Nowhere(Dangling)");
}

#[test]
fn every_domain_has_a_postmaster_and_an_abuse_address() {
    for name in ["postmaster@red.test", "Abuse@red.test", "postmaster@blue.test"] {
        assert_eq!(find(name), "alice@red.test", "{name}");
    }
    let bare = snapshot().lookup_path(&"<Postmaster>".parse::<ForwardPath>().unwrap());
    assert!(matches!(bare, Found::Account(to) if to.account.address == address("alice@red.test")));
    let empty = Contents::parse("format = 1\n[[domain]]\nname = \"red.test\"\n").unwrap();
    assert_eq!(empty.into_snapshot().lookup(&address("postmaster@red.test")), Found::Unknown);
    let named =
        FILE.replace("all@red.test\"\nto = [", "postmaster@red.test\"\nto = [\"bob@blue.test\", ");
    let named = Contents::parse(&named.replace("\"all@red.test\"]", "\"x@y.example\"]")).unwrap();
    let named = named.into_snapshot();
    let bare = named.lookup_path(&ForwardPath::Postmaster);
    assert!(matches!(bare, Found::Account(to) if to.account.address == address("bob@blue.test")));
}

#[test]
fn bare_names_log_in_only_where_one_domain_is_hosted() {
    assert!(snapshot().login("alice").is_none());
    assert!(snapshot().login("ALICE@red.test").is_some());
    assert!(snapshot().login("all@red.test").is_none(), "an alias is nobody");
    assert!(snapshot().login("alice+x@red.test").is_none());
    let one =
        "format = 1\n[[domain]]\nname = \"red.test\"\n[[account]]\naddress = \"alice@red.test\"\n";
    let one = Contents::parse(one).unwrap().into_snapshot();
    assert!(one.login("Alice").is_some() && one.login("alice@red.test").is_some());
    assert!(one.login("").is_none() && one.login("a b").is_none());
}

#[test]
fn a_gateway_sends_as_every_address_of_its_domains_and_survives_the_file() {
    let text = "format = 1\n[[domain]]\nname = \"red.test\"\n\
                [[account]]\naddress = \"gate@red.test\"\ngateway_for = [\"blue.test\"]\n";
    let contents = Contents::parse(text).unwrap();
    assert_eq!(Contents::parse(&contents.print()).unwrap(), contents);
    let all = contents.into_snapshot();
    let gate = all.account(&address("gate@red.test")).unwrap();
    assert!(all.may_send_as(gate, &address("anybody@blue.test")));
    assert!(all.may_send_as(gate, &address("gate@red.test")));
    assert!(!all.may_send_as(gate, &address("anybody@sub.blue.test")));
    assert!(!all.may_send_as(gate, &address("other@red.test")));
}

#[test]
fn a_person_sends_as_every_address_whose_mail_they_get() {
    let all = snapshot();
    let may = |who: &str, as_whom: &str| {
        let account = all.account(&address(who)).unwrap();
        all.may_send_as(account, &address(as_whom))
    };
    for own in
        ["alice@red.test", "alice+x@red.test", "all@red.test", "staff@red.test", "ALICE@RED.TEST"]
    {
        assert!(may("alice@red.test", own), "{own}");
    }
    for other in [
        "bob@blue.test",
        "eve@red.test",
        "x@elsewhere.example",
        "carol@elsewhere.example",
        "loop@red.test",
    ] {
        assert!(!may("alice@red.test", other), "{other}");
    }
    assert!(may("bob@blue.test", "anything@blue.test"), "the catch-all is theirs");
    assert!(!may("alice@red.test", "anything@blue.test"));
}

#[test]
fn a_damaged_file_is_named_by_its_line() {
    let line = |text: &str| Contents::parse(text).unwrap_err().line;
    assert_eq!(line("format = 1\nrevision = x\n"), 2);
    assert_eq!(line("format = 2\n"), 1);
    assert_eq!(line(&FILE.replace("quota_bytes", "quota_bites")), 13);
    assert_eq!(line(&FILE.replace("Alice@red.test", "alice@green.test")), 11);
    assert_eq!(line(&FILE.replace("\"blue.test\"", "\"red.test\"")), 7);
    assert_eq!(line(&FILE.replace("pool@red.test\"\nto", "staff@red.test\"\nto")), 31);
    assert_eq!(line(&FILE.replace("[\"nobody@red.test\"]", "[]")), 35);
    assert!(Contents::parse("").is_err());
}

#[test]
fn what_is_printed_is_what_was_read() {
    let read = Contents::parse(FILE).unwrap();
    let printed = read.print();
    assert!(printed.starts_with("format = 1\n"));
    assert_eq!(Contents::parse(&printed).unwrap(), read);
}

fn store(folder: &Path) -> Store {
    let store = Store::new(Arc::new(RealDisk), folder.join("directory"));
    store.create().unwrap();
    store
}

fn account(name: &str) -> Account {
    Account {
        address: address(name),
        quota: Quota::default(),
        subaddressing: true,
        gateway_for: Vec::new(),
    }
}

#[test]
fn changes_are_whole_and_seen_by_those_who_look() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let renewing = Renewing::open(disk.clone(), store.directory()).unwrap();
    let verifiers = RenewingVerifiers::open(disk, store.directory()).unwrap();
    let start = Tick::from_micros(0);
    assert_eq!(renewing.current(start).revision(), 0);

    let password = PasswordVerifier::new("sesame").unwrap();
    let added = store
        .change(|draft| {
            draft.add_domain("red.test".parse().unwrap())?;
            draft.add_account(account("Alice@red.test"), password.clone())?;
            draft.add_alias(&address("info@red.test"), &[address("alice@red.test")])
        })
        .unwrap();
    assert_eq!(added.revision, 1);
    assert_eq!(renewing.current(Tick::from_micros(900_000)).revision(), 0, "looked a moment ago");
    assert_eq!(renewing.current(Tick::from_micros(1_000_000)).revision(), 1);
    let now = Tick::from_micros(1_000_001);
    assert_eq!(verifiers.refresh(now).unwrap().len(), 1);
    let found = verifiers.current(now);
    assert!(found.get(&address("ALICE@red.test")).unwrap().password.verify("sesame"));

    // A change that fails half-way leaves nothing of itself.
    let failed = store.change(|draft| {
        draft.add_domain("blue.test".parse().unwrap())?;
        draft.add_account(account("alice@red.test"), password.clone())
    });
    assert!(matches!(failed, Err(ChangeError::Exists(_))));
    assert_eq!(store.snapshot().unwrap().domains().len(), 1);
    let nothing = store.change(|_| Ok(())).unwrap();
    assert_eq!(nothing.revision, 1, "nothing changed, nothing written");

    // A file that was away and comes back is no reason to complain any more.
    let path = store.directory().join("directory.toml");
    let aside = store.directory().join("aside");
    std::fs::rename(&path, &aside).unwrap();
    let away = Tick::from_micros(3_000_000);
    assert_eq!(renewing.current(away).revision(), 1);
    assert!(renewing.complaint().is_some());
    std::fs::rename(&aside, &path).unwrap();
    renewing.current(Tick::from_micros(5_000_000));
    assert_eq!(renewing.complaint(), None);

    // A damaged file keeps the last good snapshot and complains.
    std::fs::write(store.directory().join("directory.toml"), "format = 1\nbroken").unwrap();
    assert!(renewing.refresh(now).is_err());
    assert_eq!(renewing.current(now).revision(), 1);
    assert!(renewing.complaint().unwrap().contains("line 2"));
}

#[test]
fn what_makes_no_sense_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let password = PasswordVerifier::new("sesame").unwrap();
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        draft.add_account(account("alice@red.test"), password.clone())
    });
    made.unwrap();
    let refused = |change: &dyn Fn(&mut Draft) -> Result<(), ChangeError>| {
        store.change(|draft| change(draft)).unwrap_err().to_string()
    };
    let it = refused(&|draft| draft.add_account(account("x@green.test"), password.clone()));
    assert!(it.contains("posthaste domain add green.test"), "{it}");
    for bad in ["a+b@red.test", "\"a b\"@red.test", "\"../x\"@red.test", "\".x\"@red.test"] {
        refused(&|draft| draft.add_account(account(bad), password.clone()));
    }
    refused(&|draft| draft.add_alias(&address("alice@red.test"), &[address("x@y.example")]));
    refused(&|draft| draft.add_alias(&address("a@red.test"), &[address("a@red.test")]));
    refused(&|draft| draft.add_alias(&address("a@red.test"), &[address("nobody@red.test")]));
    let it = refused(&|draft| draft.remove_domain(&"red.test".parse().unwrap()));
    assert!(it.contains("1 accounts"), "{it}");
    refused(&|draft| draft.remove_account(&address("bob@red.test")).map(|_| ()));
    refused(&|draft| draft.remove_alias(&address("bob@red.test"), &[]));
    refused(&|draft| draft.set_quota(&address("bob@red.test"), Quota::default()));
}

#[test]
fn one_change_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(store(folder.path()));
    let threads: Vec<_> = (0..8)
        .map(|number| {
            let store = store.clone();
            std::thread::spawn(move || {
                let name = format!("d{number}.test").parse().unwrap();
                store.change(|draft| draft.add_domain(name)).unwrap()
            })
        })
        .collect();
    let mut revisions: Vec<u64> =
        threads.into_iter().map(|it| it.join().unwrap().revision).collect();
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=8).collect::<Vec<_>>());
    assert_eq!(store.snapshot().unwrap().domains().len(), 8);
}

#[test]
fn verifiers_are_private_and_keep_their_secrets() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let store = store(folder.path());
    let password = PasswordVerifier::new("caf\u{e9}").unwrap();
    assert!(password.verify(&protocol::sasl::prepare("cafe\u{301}").unwrap()));
    assert!(!password.verify("cafe"));
    assert!(password.scram().unwrap().matches("caf\u{e9}"));
    assert!(!format!("{password:?}").contains("argon2id$"));
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        draft.add_account(account("alice@red.test"), password.clone())
    });
    made.unwrap();
    let path = store.directory().join("verifiers.toml");
    let mode = std::fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.starts_with("format = 1\n") && text.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
    assert_eq!(Verifiers::parse(&text).unwrap().print(), text);
    let greedy = text.replace("m=19456", "m=99999999");
    assert!(Verifiers::parse(&greedy).unwrap_err().reason.contains("memory"));
    let gone = store.change(|draft| draft.remove_account(&address("alice@red.test")));
    assert_eq!(gone.unwrap().value.address, address("alice@red.test"));
    assert!(!std::fs::read_to_string(&path).unwrap().contains("alice"));
}

#[test]
fn a_missing_directory_stops_an_agent() {
    let folder = tempfile::tempdir().unwrap();
    let error = Renewing::open(Arc::new(RealDisk), folder.path()).unwrap_err();
    assert!(error.is_missing() && error.to_string().contains("posthaste init"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
        let _ = Contents::parse(&text);
        let _ = Verifiers::parse(&text);
        let _ = Contents::parse(&format!("format = 1\n[[domain]]\nname = {text}"));
    }

    #[test]
    fn any_web_of_aliases_ends(links in proptest::collection::vec((0u8..12, 0u8..12), 0..60)) {
        let mut text = "format = 1\n[[domain]]\nname = \"red.test\"\n[[account]]\naddress = \"n0@red.test\"\n".to_owned();
        for from in 1u8..12 {
            let to: Vec<String> =
                links.iter().filter(|link| link.0 == from).map(|link| format!("\"n{}@red.test\"", link.1)).collect();
            if !to.is_empty() {
                text.push_str(&format!("[[alias]]\naddress = \"n{from}@red.test\"\nto = [{}]\n", to.join(",")));
            }
        }
        let all = Contents::parse(&text).unwrap().into_snapshot();
        for name in 0u8..12 {
            if let Found::Alias(expansion) = all.lookup(&address(&format!("n{name}@red.test"))) {
                prop_assert_eq!(expansion.accounts.len(), 1);
            }
        }
    }
}

#[test]
fn an_alias_includes_a_file_and_its_changes() {
    let folder = tempfile::tempdir().unwrap();
    let disk: Arc<dyn disk::Disk> = Arc::new(disk::RealDisk);
    let directory = folder.path().join("directory");
    let store = Store::new(disk.clone(), &directory);
    store.create().unwrap();
    std::fs::create_dir(directory.join("lists")).unwrap();
    let list = directory.join("lists/team");
    std::fs::write(&list, "# the team\nx@blue.test\n\ny@blue.test # second\n").unwrap();
    let team = "team@red.test".parse().unwrap();
    store
        .change(|draft| {
            draft.add_domain("red.test".parse().unwrap())?;
            assert!(draft.include(&team, "../verifiers.toml").is_err());
            assert!(draft.include(&team, "/etc/passwd").is_err());
            draft.include(&team, "lists/team")
        })
        .unwrap();
    let renewing = Renewing::open(disk, &directory).unwrap();
    let reached = |seconds: u64| {
        let now = protocol::machine::Tick::from_micros(seconds * 1_000_000);
        match renewing.current(now).lookup(&team) {
            Found::Alias(to) => to.outside.len(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(reached(10), 2);
    std::fs::write(&list, "x@blue.test\ny@blue.test\nz@blue.test\n").unwrap();
    assert_eq!(reached(20), 3);
    // What cannot be read leaves everything as it was.
    std::fs::write(&list, "x@blue.test\nno address here\n").unwrap();
    assert_eq!(reached(30), 3);
    assert!(renewing.complaint().is_some_and(|why| why.contains("lists/team")));
}
