//! The desk, asked as the agents ask it, on a virtual clock; and once over its socket.

use crate::{
    desk::{Desk, Tools},
    limits,
};
use directory::{Account, PasswordVerifier, Quota, Renewing, RenewingVerifiers, Store};
use disk::{Disk, RealDisk};
use net::Clock;
use protocol::{
    ipc::{Granted, LoginAnswer, Opaque, Start},
    sasl::{ChannelBinding, Client, Connection, Credentials, Mechanism},
    secret::Secret,
    time::Timestamp,
};
use service::{ConfigHandle, Metrics};
use std::{sync::Arc, time::Duration};

struct World {
    _folder: tempfile::TempDir,
    store: Store,
    desk: Desk,
    clock: Clock,
    metrics: Metrics,
}

/// One domain, one account: alice, whose password is `sesame`.
fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("posthaste.toml");
    std::fs::write(&config, "auth_without_tls = \"loopback\"\n").unwrap();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let store = Store::new(disk.clone(), folder.path().join("directory"));
    store.create().unwrap();
    let made = store.change(|draft| {
        draft.add_domain("red.test".parse().unwrap())?;
        let address = "alice@red.test".parse().unwrap();
        let account = Account {
            address,
            quota: Quota::default(),
            subaddressing: true,
            gateway_for: Vec::new(),
        };
        draft.add_account(account, PasswordVerifier::new("sesame").unwrap())
    });
    made.unwrap();
    let clock = Clock::virtual_at(Timestamp::from_seconds(1_800_000_000));
    let metrics = Metrics::default();
    let tools = Tools {
        clock: clock.clone(),
        config: ConfigHandle::load(&config, &[]).unwrap(),
        metrics: metrics.clone(),
    };
    let directory = Arc::new(Renewing::open(disk.clone(), store.directory()).unwrap());
    let verifiers = Arc::new(RenewingVerifiers::open(disk, store.directory()).unwrap());
    let desk = Desk::new(tools, directory, verifiers).unwrap();
    World { _folder: folder, store, desk, clock, metrics }
}

fn start(mechanism: &str, initial: Option<&[u8]>) -> Start {
    Start {
        mechanism: mechanism.to_owned(),
        initial: initial.map(Opaque::from),
        service: "imap".to_owned(),
        peer: Some("192.0.2.1".parse().unwrap()),
        secure: true,
        tls_exporter: Some(Opaque(vec![7; 32])),
        tls_server_end_point: None,
        client_mailboxes: Vec::new(),
    }
}

async fn plain(world: &World, authzid: &str, name: &str, password: &str) -> LoginAnswer {
    let message = format!("{authzid}\0{name}\0{password}");
    world.desk.start(start("PLAIN", Some(message.as_bytes()))).await
}

fn account(answer: &LoginAnswer) -> &str {
    match answer {
        LoginAnswer::Granted(Granted { account, .. }) => account,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_right_password_opens_and_others_do_not() {
    let world = world();
    for name in ["alice@red.test", "ALICE@Red.Test", "alice"] {
        assert_eq!(account(&plain(&world, "", name, "sesame").await), "alice@red.test");
    }
    assert_eq!(
        account(&plain(&world, "alice", "alice@red.test", "sesame").await),
        "alice@red.test"
    );
    for (authzid, name, password) in [
        ("", "alice", "open"),
        ("", "eve", "sesame"),
        ("", "alice@blue.test", "sesame"),
        ("eve", "alice", "sesame"),
    ] {
        assert_eq!(plain(&world, authzid, name, password).await, LoginAnswer::Refused, "{name}");
    }
    let numbers = world.metrics.snapshot();
    assert_eq!(numbers.get("logins_granted"), Some(&4));
    assert_eq!(numbers.get("logins_refused"), Some(&4));
    assert_eq!(numbers.get("logins_remembered"), Some(&3), "the first good one was checked");
}

#[tokio::test]
async fn login_by_prompts_works_and_dies_with_its_deadline() {
    let world = world();
    let LoginAnswer::Challenge { exchange, data } = world.desk.start(start("LOGIN", None)).await
    else {
        panic!()
    };
    assert_eq!(data.as_bytes(), b"Username:");
    let LoginAnswer::Challenge { exchange: second, .. } = world.desk.step(exchange, b"alice").await
    else {
        panic!()
    };
    assert!(matches!(world.desk.step(exchange, b"x").await, LoginAnswer::Malformed { .. }));
    assert_eq!(account(&world.desk.step(second, b"sesame").await), "alice@red.test");

    let LoginAnswer::Challenge { exchange, .. } = world.desk.start(start("login", None)).await
    else {
        panic!()
    };
    world.clock.advance(limits::EXCHANGE);
    assert!(matches!(world.desk.step(exchange, b"alice").await, LoginAnswer::Malformed { .. }));
}

/// Runs a SCRAM client against the desk.
async fn scram(world: &World, mechanism: Mechanism, name: &str, password: &str) -> LoginAnswer {
    let binding = ChannelBinding { tls_exporter: Some(vec![7; 32]), tls_server_end_point: None };
    let connection = Connection { binding: &binding, offers: &Mechanism::ALL };
    let password = Secret::new(password.to_owned());
    let credentials = Credentials { authcid: name.to_owned(), authzid: None, password };
    let mut client = Client::new(mechanism, credentials, connection, "clientnonce").unwrap();
    let first = client.initial();
    let mut answer = world.desk.start(start(mechanism.name(), first.as_deref())).await;
    while let LoginAnswer::Challenge { exchange, data } = answer {
        let response = client.respond(data.as_bytes()).unwrap();
        answer = world.desk.step(exchange, &response).await;
    }
    if matches!(answer, LoginAnswer::Granted(_)) {
        client.finish(None).unwrap();
    }
    answer
}

#[tokio::test]
async fn scram_opens_without_showing_the_password() {
    let world = world();
    for mechanism in [Mechanism::ScramSha256, Mechanism::ScramSha256Plus] {
        assert_eq!(account(&scram(&world, mechanism, "alice", "sesame").await), "alice@red.test");
        assert_eq!(scram(&world, mechanism, "alice", "open").await, LoginAnswer::Refused);
        assert_eq!(scram(&world, mechanism, "eve", "sesame").await, LoginAnswer::Refused);
    }
    assert_eq!(world.metrics.snapshot().get("password_checks"), Some(&0));
}

#[tokio::test]
async fn a_name_that_does_not_exist_looks_like_one_that_does() {
    let world = world();
    let salt = async |name: &str| {
        let first = format!("n,,n={name},r=abc");
        let answer = world.desk.start(start("SCRAM-SHA-256", Some(first.as_bytes()))).await;
        let LoginAnswer::Challenge { data, .. } = answer else { panic!("{answer:?}") };
        let text = String::from_utf8(data.0).unwrap();
        text.split_once(",s=").unwrap().1.to_owned()
    };
    assert_eq!(salt("eve").await, salt("eve").await);
    assert_eq!(salt("eve").await, salt("Eve@red.test").await, "as alice and alice@red.test agree");
    assert_eq!(salt("alice").await, salt("ALICE@red.test").await);
    assert_ne!(salt("eve").await, salt("mallory").await);
    assert_eq!(salt("eve").await.len(), salt("alice").await.len());
}

#[tokio::test]
async fn a_changed_password_counts_at_once() {
    let world = world();
    assert_eq!(account(&plain(&world, "", "alice", "sesame").await), "alice@red.test");
    let new = PasswordVerifier::new("open").unwrap();
    let address = "alice@red.test".parse().unwrap();
    world.store.change(|draft| draft.set_password(&address, new.clone())).unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(plain(&world, "", "alice", "sesame").await, LoginAnswer::Refused);
    assert_eq!(account(&plain(&world, "", "alice", "open").await), "alice@red.test");
    world.store.change(|draft| draft.remove_account(&address)).unwrap();
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(plain(&world, "", "alice", "open").await, LoginAnswer::Refused);
}

#[tokio::test]
async fn guessing_is_slowed_down_and_told_when_to_come_back() {
    let world = world();
    for _ in 0..limits::NAME_FAILURES {
        assert_eq!(plain(&world, "", "alice", "guess").await, LoginAnswer::Refused);
    }
    let LoginAnswer::Later { retry_after_seconds } = plain(&world, "", "alice", "sesame").await
    else {
        panic!("the name is shut for a while, also for the right password")
    };
    assert_eq!(retry_after_seconds, limits::NAME_FORGIVEN.as_secs());
    let first = b"n,,n=alice,r=abc";
    let answer = world.desk.start(start("SCRAM-SHA-256", Some(first))).await;
    assert!(matches!(answer, LoginAnswer::Later { .. }));
    world.clock.advance(limits::NAME_FORGIVEN);
    assert_eq!(account(&plain(&world, "", "alice", "sesame").await), "alice@red.test");
}

#[tokio::test]
async fn cleartext_is_refused_but_on_this_machine() {
    let world = world();
    let from = |peer: &str| Start {
        secure: false,
        tls_exporter: None,
        peer: Some(peer.parse().unwrap()),
        ..start("PLAIN", Some(b"\0alice\0sesame"))
    };
    let outside = world.desk.start(from("192.0.2.1")).await;
    assert!(matches!(outside, LoginAnswer::Malformed { .. }));
    for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        assert_eq!(account(&world.desk.start(from(here)).await), "alice@red.test");
    }
    let unknown = world.desk.start(start("CRAM-MD5", None)).await;
    assert!(matches!(unknown, LoginAnswer::Malformed { .. }));
}

#[tokio::test(flavor = "current_thread")]
async fn guesses_that_come_at_once_are_counted_like_others() {
    let world = Arc::new(world());
    let mut asked = Vec::new();
    for number in 0..limits::CHECKS_WAITING + 20 {
        let world = world.clone();
        asked.push(tokio::spawn(async move {
            let message = format!("\0alice\0guess {number}");
            let mut start = start("PLAIN", Some(message.as_bytes()));
            start.peer = Some(std::net::IpAddr::from([10, 0, (number / 250) as u8, 1]));
            world.desk.start(start).await
        }));
    }
    let (mut refused, mut later) = (0, 0);
    for asked in asked {
        match asked.await.unwrap() {
            LoginAnswer::Refused => refused += 1,
            LoginAnswer::Later { .. } => later += 1,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(refused + later, limits::CHECKS_WAITING + 20);
    let most = limits::NAME_FAILURES as usize + limits::CHECKS_MOST;
    assert!(refused <= most, "{refused} guesses at once");
}

#[tokio::test(flavor = "current_thread")]
async fn a_client_that_connects_many_times_at_once_is_checked_a_few_times() {
    let world = Arc::new(world());
    let asked: Vec<_> = (0..50)
        .map(|_| {
            let world = world.clone();
            tokio::spawn(async move { plain(&world, "", "alice", "sesame").await })
        })
        .collect();
    for asked in asked {
        assert_eq!(account(&asked.await.unwrap()), "alice@red.test");
    }
    let checks = world.metrics.snapshot().get("password_checks").copied().unwrap();
    assert!(checks <= limits::CHECKS_MOST as i64, "{checks}");
}

#[tokio::test(flavor = "current_thread")]
async fn a_flood_of_names_is_bounded_and_the_rest_put_off() {
    let world = Arc::new(world());
    let mut asked = Vec::new();
    for number in 0..limits::CHECKS_WAITING + 20 {
        let world = world.clone();
        asked.push(tokio::spawn(async move {
            let message = format!("\0name{number}\0guess");
            let mut start = start("PLAIN", Some(message.as_bytes()));
            start.peer = Some(std::net::IpAddr::from([10, 0, number as u8, 1]));
            world.desk.start(start).await
        }));
    }
    let mut refused = 0;
    for asked in asked {
        refused += usize::from(asked.await.unwrap() == LoginAnswer::Refused);
    }
    assert_eq!(refused, limits::CHECKS_WAITING);
}

#[tokio::test]
async fn a_certificate_opens_the_account_that_it_names_and_no_other() {
    let world = world();
    let with = |mailboxes: &[&str], authzid: &str| Start {
        client_mailboxes: mailboxes.iter().map(|it| (*it).to_owned()).collect(),
        ..start("EXTERNAL", Some(authzid.as_bytes()))
    };
    for (mailboxes, authzid) in [
        (&["alice@red.test"][..], ""),
        (&["alice@red.test"], "alice"),
        (&["eve@blue.test", "Alice@RED.test"], "alice@red.test"),
    ] {
        let answer = world.desk.start(with(mailboxes, authzid)).await;
        assert_eq!(account(&answer), "alice@red.test");
    }
    for (mailboxes, authzid) in [
        (&[][..], "alice"),
        (&["eve@red.test"], ""),
        (&["eve@red.test"], "alice@red.test"),
        (&["alice@red.test"], "eve@red.test"),
        // A name without a domain is nobody's mailbox.
        (&["alice"], ""),
    ] {
        assert_eq!(world.desk.start(with(mailboxes, authzid)).await, LoginAnswer::Refused);
    }
}

#[tokio::test]
async fn without_an_authorization_server_a_token_is_refused_after_a_word_why() {
    let world = world();
    let message = b"n,a=alice@red.test,\x01auth=Bearer abc\x01\x01";
    let LoginAnswer::Challenge { exchange, data } =
        world.desk.start(start("OAUTHBEARER", Some(message))).await
    else {
        panic!("no challenge");
    };
    assert_eq!(data.as_bytes(), br#"{"status":"invalid_token"}"#);
    assert_eq!(world.desk.step(exchange, b"\x01").await, LoginAnswer::Refused);
    assert_eq!(world.metrics.snapshot().get("logins_refused"), Some(&1), "counted once");
}
