//! What a transfer agent can be besides the host of a domain: the second exchanger of somebody
//! else's, the one way out for the hosts of a house, a client of a smarthost.

use integration_tests::{Authority, Instance, NameServer, Service, Zone, wait};

use crate::cluster::{await_letters, domain, greeted, journey, letter, submit, transfer};
use crate::dovecot::Dovecot;
use crate::postfix::{PORT, Postfix};

/// RCPT at port 25, from somebody without rights; the reply.
fn asked(at: &Instance, recipient: &str) -> String {
    let mut talk = greeted(at, Service::Smtp);
    talk.say("MAIL FROM:<friend@elsewhere.test>", "250");
    talk.line(&format!("RCPT TO:<{recipient}>"));
    talk.reply()
}

#[test]
fn a_second_exchanger_keeps_mail_until_the_first_is_back() {
    let authority = Authority::new();
    let primary = domain("first.test").authority(&authority);
    let backup = domain("second.test").authority(&authority);
    let zone = Zone::new()
        .mx("first.test", 10, "mx.first.test")
        .mx("first.test", 20, "mx.second.test")
        .address("mx.first.test", primary.ip())
        .address("mx.second.test", backup.ip())
        // Another name of the second host, and worse than the first: never tried from there.
        .mx("first.test", 20, "alias.second.test")
        .address("alias.second.test", backup.ip())
        .mx("circle.test", 10, "alias.second.test");
    let names = NameServer::start(zone);
    let list = backup.folder().join("people");
    std::fs::write(&list, "# first\nbob@first.test\n@circle.test\n").expect("writable");
    let mut backup = backup
        .dns(&names)
        .set("mta.relay_domains", "[\"first.test\", \"circle.test\"]")
        .set("mta.relay_recipients_file", format!("\"{}\"", list.display()))
        .set("mta.retry.first", "\"1s\"")
        .set("mta.retry.max", "\"2s\"")
        .init();
    let mut primary = primary.dns(&names).init();
    backup.up();
    assert!(asked(&backup, "nobody@first.test").starts_with("550 5.1.1"));
    assert!(asked(&backup, "bob@sub.first.test").starts_with("550 5.7.1"));
    let text = letter("friend@elsewhere.test", "bob@first.test", "kept");
    let reply = transfer(&backup, "friend@elsewhere.test", &["bob@first.test"], &text);
    let id = reply.split_whitespace().nth(2).expect("a journey id").to_owned();
    let waiting = wait::until("the first attempt has failed", || {
        let letter = backup.json(&["queue", "show", &id]).pop()?;
        (letter["recipients"][0]["attempts"].as_u64()? > 0).then_some(letter)
    });
    assert_eq!(waiting["recipients"][0]["reason"], "network", "{waiting}");
    let days = |key: &str| waiting[key].as_str().map(|it| it[..10].to_owned());
    assert_ne!(days("expires"), days("arrived"), "it waits for two weeks");
    // Somebody is known now who was not when the list was read first.
    std::fs::write(&list, "bob@first.test\namy@first.test\n").expect("writable");
    assert!(asked(&backup, "amy@first.test").starts_with("550"));
    backup.run(&["reload"]).ok();
    assert!(asked(&backup, "amy@first.test").starts_with("250"));
    primary.up();
    let found = await_letters(&primary, "bob@first.test", 1).remove(0);
    let found = String::from_utf8_lossy(&found).into_owned();
    assert!(found.contains("by mx.second.test"), "{found}");
    wait::until("nothing waits", || backup.queue().is_empty().then_some(()));
    for host in [&primary, &backup] {
        host.assert_balanced();
    }
}

#[test]
fn mail_never_comes_back_to_its_own_host() {
    let here = domain("second.test");
    // RFC 5321 §5.1: by whatever name.
    let zone = Zone::new()
        .mx("circle.test", 10, "alias.second.test")
        .address("alias.second.test", here.ip());
    let names = NameServer::start(zone);
    let here = here.dns(&names).set("mta.relay_domains", "[\"circle.test\"]").start();
    let text = letter("alice@second.test", "bob@circle.test", "round");
    let reply = submit(&here, "alice@second.test", &["bob@circle.test"], &text);
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    let told = await_letters(&here, "alice@second.test", 1).remove(0);
    let told = String::from_utf8_lossy(&told).into_owned();
    assert!(told.contains("5.4.6") && told.contains("leads back to this system"), "{told}");
    let events = journey(&here, id, &["bounced"]);
    let bounced = events.iter().find(|event| event["kind"] == "bounced").expect("it ended");
    assert_eq!(bounced["class"], "loop", "{bounced}");
    here.assert_balanced();
}

/// Dovecot, asked by Postfix whether a password is right.
const SASL: &str = "\
base_dir = ROOT/run
instance_name = posthaste-sasl
protocols =
log_path = ROOT/dovecot.log
ssl = no
mail_location = maildir:ROOT/mail/%n
first_valid_uid = 1
disable_plaintext_auth = no
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = ROOT/users
}
userdb {
  driver = static
  args = uid=8 gid=8 home=ROOT/mail/%n
}
service auth {
  unix_listener ROOT/sasl {
    mode = 0666
  }
}
";

/// A Postfix that takes nothing but from who has logged in.
fn smarthost(dovecot: &Dovecot) -> Option<Postfix> {
    let lines = format!(
        "smtpd_sasl_auth_enable = yes\nsmtpd_sasl_type = dovecot\nsmtpd_sasl_path = {}/sasl\n\
         smtpd_tls_cert_file = ROOT/conf/cert.pem\nsmtpd_tls_key_file = ROOT/conf/key.pem\n\
         smtpd_tls_security_level = may\nsmtpd_tls_auth_only = yes\n\
         smtpd_relay_restrictions = permit_sasl_authenticated, reject\n\
         smtpd_recipient_restrictions = permit_sasl_authenticated, reject\n",
        dovecot.root().display()
    );
    Postfix::with(None, &lines)
}

#[test]
fn a_host_without_accounts_is_the_way_out_of_a_house() {
    let Some(dovecot) = Dovecot::start("auth", SASL) else { return };
    let Some(outside) = smarthost(&dovecot) else { return };
    let zone = Zone::new().address("relay.inbox.test", outside.ip());
    let names = NameServer::start(zone);
    let house = Instance::of("house.test");
    let secret = house.folder().join("secret");
    std::fs::write(&secret, crate::cluster::PASSWORD).expect("writable");
    let mut here = house
        .dns(&names)
        .authority(&Authority::new())
        .set("agents.run", "[\"mta\"]")
        .set("mta.smarthost", format!("\"smtp://alice@example.test@relay.inbox.test:{PORT}\""))
        .set("mta.smarthost_password_file", format!("\"{}\"", secret.display()))
        .set("tls.extra_roots_file", format!("\"{}\"", outside.roots().display()))
        .set("mta.postmaster", "\"carol@inbox.test\"")
        .init();
    here.run(&["domain", "remove", "house.test"]).ok();
    // The printer of the house: a Postfix that sends everything to us.
    here.set("mta.relay_from", "[\"127.0.0.1\"]");
    here.up();
    let text = letter("printer@house.test", "carol@inbox.test", "page-one");
    // From 127.0.0.1, as conversations of tests are.
    let reply = transfer(&here, "printer@house.test", &["carol@inbox.test"], &text);
    let id = reply.split_whitespace().nth(2).expect("a journey id");
    let look = || outside.maildir("carol").into_iter().find(|text| text.contains("page-one"));
    let there = wait::until("the smarthost has it", look);
    assert!(there.contains("with ESMTPS") || there.contains("with ESMTPSA"), "{there}");
    wait::until("its log says who logged in", || {
        outside.log().contains("sasl_username=alice@example.test").then_some(())
    });
    journey(&here, id, &["relayed"]);
    // A stranger finds no open relay, and its postmaster.
    let Some(stranger) = Postfix::with(Some(&here), "") else {
        return;
    };
    stranger.send("x@elsewhere.test", "carol@far.test", &text);
    wait::until("the stranger is refused", || {
        stranger.log().contains("relaying denied").then_some(())
    });
    stranger.send("x@elsewhere.test", "postmaster@mx.house.test", &letter("x", "p", "help"));
    wait::until("the postmaster hears", || {
        outside.maildir("carol").iter().any(|text| text.contains("Subject: help")).then_some(())
    });
    wait::until("nothing waits", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}

#[test]
fn a_route_leads_to_a_socket_of_this_machine() {
    let there = domain("far.test").start();
    let socket = there.data().join("run/mta.sock");
    let route = format!("{{\"far.test\" = \"smtp:unix:{}\"}}", socket.display());
    // No name server: nothing is asked.
    let here = domain("near.test").set("mta.routes", route).start();
    let text = letter("alice@near.test", "bob@far.test", "by-socket");
    submit(&here, "alice@near.test", &["bob@far.test"], &text);
    let found = await_letters(&there, "bob@far.test", 1).remove(0);
    assert!(String::from_utf8_lossy(&found).contains("by-socket"));
    // LMTP to the other one's delivery agent, the same way.
    let lmtp = there.data().join("run/mda.sock");
    let route = format!("{{\"far.test\" = \"lmtp:unix:{}\"}}", lmtp.display());
    let here = domain("near.test").set("mta.routes", route).start();
    submit(&here, "alice@near.test", &["bob@far.test"], &text);
    await_letters(&there, "bob@far.test", 2);
    wait::until("nothing waits", || here.queue().is_empty().then_some(()));
    here.assert_balanced();
}
