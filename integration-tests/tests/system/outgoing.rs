//! What goes wrong between two systems, one case a line: a name server, a receiver or its TLS that
//! fails in one way each. Every letter ends as the RFC says, its journey names the cause, and the
//! queue holds what waits and nothing else.

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use integration_tests::receiver::{Act, Manner, Receiver, Script};
use integration_tests::{Address, Authority, Instance, NameServer, Service, Zone, wait};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::Value;

use crate::cluster::{domain, greeted, plain, stuffed};

/// How a letter ends, or that it does not yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// `relayed`, and the receiver has it.
    Relayed,
    /// `bounced`, of this class.
    Bounced(&'static str),
    /// It waits, because of this class.
    Waits(&'static str),
}

/// The certificate that a receiver shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tls {
    None,
    Good,
    Expired,
    WrongName,
}

/// What is known of the domain from before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Before {
    Nothing,
    /// An MTA-STS policy with mode enforce.
    Enforces,
    /// The same with mode testing.
    Tests,
    /// An MTA-STS policy that names other hosts.
    NamesOthers,
    /// The same with mode testing.
    TestsOthers,
    /// Its connections were encrypted.
    Encrypted,
}

/// The letter that is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Plain,
    /// 8-bit text.
    EightBit,
    /// 8-bit text in the header, with SMTPUTF8.
    Utf8,
    RequireTls,
}

struct Case {
    name: &'static str,
    script: Script,
    offers: &'static [&'static str],
    tls: Tls,
    before: Before,
    what: What,
    end: End,
    /// Words that some event of the journey has.
    says: &'static str,
}

const fn case(name: &'static str, script: Script, end: End, says: &'static str) -> Case {
    let (tls, before, what) = (Tls::None, Before::Nothing, What::Plain);
    Case { name, script, offers: &["8BITMIME"], tls, before, what, end, says }
}

const fn tls(
    name: &'static str,
    tls: Tls,
    before: Before,
    (end, says): (End, &'static str),
) -> Case {
    Case { tls, before, ..case(name, &[], end, says) }
}

use Act::{Drop, DropOnce, Once, Say, TakeAndDropOnce};
use End::{Bounced, Relayed, Waits};

const CASES: &[Case] = &[
    // DNS. These have no receiver.
    case("nxdomain", &[], Bounced("bad-domain"), "does not exist"),
    case("nullmx", &[], Bounced("bad-domain"), "null MX"),
    case("noaddress", &[], Bounced("bad-domain"), "has no address"),
    case("servfail", &[], Waits("dns"), "Server Failure"),
    case("silent-dns", &[], Waits("dns"), "no answer in time"),
    case("refused", &[], Waits("network"), "connection refused"),
    // The dialogue, verb by verb.
    case("greet421", &[("GREETING", Say("421 4.3.2 too busy"))], Waits("unwell"), "too busy"),
    case("greet554", &[("GREETING", Say("554 5.7.1 go away"))], Bounced("policy"), "go away"),
    case("drop-greeting", &[("GREETING", Drop)], Waits("network"), "closed the connection"),
    case("drop-ehlo", &[("EHLO", Drop)], Waits("network"), "closed the connection"),
    case("drop-mail", &[("MAIL", Drop)], Waits("network"), "closed the connection"),
    case("drop-rcpt", &[("RCPT", Drop)], Waits("network"), "closed the connection"),
    case("drop-data", &[("DATA", Drop)], Waits("network"), "closed the connection"),
    case("drop-body", &[("BODY", Drop)], Waits("network"), "closed the connection"),
    case("drop-end", &[("END", Drop)], Waits("network"), "closed the connection"),
    case("drop-once", &[("MAIL", DropOnce)], Relayed, "closed the connection"),
    // RFC 5321 §4.5.3.2.6: a lost reply makes a duplicate, never a loss.
    case("lost-reply", &[("END", TakeAndDropOnce)], Relayed, "closed the connection"),
    case("helo-only", &[("EHLO", Say("502 5.5.1 what?"))], Relayed, "HELO"),
    case("garbage", &[("MAIL", Say("hello there"))], Waits("network"), "not an SMTP reply"),
    case("greylisted", &[("RCPT", Once("451 4.7.1 greylisted, come back"))], Relayed, "greylisted"),
    case("rate", &[("MAIL", Say("450 4.7.0 rate limit exceeded"))], Waits("rate"), "rate limit"),
    case("full", &[("RCPT", Say("452 4.2.2 mailbox full"))], Waits("full"), "mailbox full"),
    case("nobody", &[("RCPT", Say("550 5.1.1 no such person"))], Bounced("bad-mailbox"), "no such"),
    case("junk", &[("END", Say("554 5.7.1 looks like spam"))], Bounced("content"), "spam"),
    case(
        "blocked",
        &[("RCPT", Say("550 5.7.1 listed at rbl.test"))],
        Bounced("blocked-address"),
        "rbl",
    ),
    case("toolarge", &[("END", Say("552 5.3.4 too big"))], Bounced("size"), "too big"),
    Case { offers: &["SIZE 100"], ..case("size", &[], Bounced("size"), "100") },
    // Form.
    Case {
        offers: &[],
        what: What::EightBit,
        ..case("sevenbit", &[], Relayed, "re-encoded; signed again: d=red.test")
    },
    Case { what: What::Utf8, ..case("noutf8", &[], Bounced("form"), "SMTPUTF8") },
    // TLS.
    tls("good-tls", Tls::Good, Before::Enforces, (Relayed, "policy mta-sts")),
    tls("expired", Tls::Expired, Before::Nothing, (Relayed, "has expired")),
    tls("expired-sts", Tls::Expired, Before::Enforces, (Waits("tls"), "has expired")),
    tls("wrong-name", Tls::WrongName, Before::Nothing, (Relayed, "another name")),
    tls("wrong-name-sts", Tls::WrongName, Before::Enforces, (Waits("tls"), "another name")),
    tls("stripped", Tls::None, Before::Nothing, (Relayed, "thank you")),
    tls("stripped-sts", Tls::None, Before::Enforces, (Waits("tls"), "does not offer STARTTLS")),
    tls(
        "stripped-before",
        Tls::None,
        Before::Encrypted,
        (Waits("tls"), "had encrypted connections"),
    ),
    // RFC 8461 §5: what is only tested is told and does no harm.
    tls("expired-testing", Tls::Expired, Before::Tests, (Relayed, "not hold: ")),
    tls("wrong-name-testing", Tls::WrongName, Before::Tests, (Relayed, "not hold: ")),
    tls("stripped-testing", Tls::None, Before::Tests, (Relayed, "used: there is no TLS")),
    tls("other-host-testing", Tls::Good, Before::TestsOthers, (Relayed, "policy does not name it")),
    tls("other-host", Tls::Good, Before::NamesOthers, (Waits("tls"), "does not name this host")),
    Case {
        script: &[("STARTTLS", Act::BreakTls)],
        ..tls("broken-tls", Tls::Good, Before::Nothing, (Relayed, "policy opportunistic: "))
    },
    Case {
        what: What::RequireTls,
        ..tls("requiretls", Tls::Good, Before::Enforces, (Bounced("tls"), "requires TLS"))
    },
];

/// A name server in front of the others: silent or failing for some names.
fn troubled(behind: SocketAddr) -> (SocketAddr, Address) {
    let lease = Address::take();
    let socket = UdpSocket::bind((lease.ip(), 10_053)).expect("leased");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let mut message = buffer[..length].to_vec();
            let has = |name: &[u8]| message.windows(name.len()).any(|part| part == name);
            if has(b"silent-dns") {
                continue;
            }
            if has(b"servfail") {
                message[2] |= 0x80;
                message[3] = (message[3] & 0xf0) | 2;
                let _ = socket.send_to(&message, from);
                continue;
            }
            let Ok(asking) = UdpSocket::bind((from.ip(), 0)) else { continue };
            let _ = asking.set_read_timeout(Some(Duration::from_secs(2)));
            let _ = asking.send_to(&message, behind);
            if let Ok(length) = asking.recv(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        }
    });
    (address, lease)
}

fn server_config(authority: &Authority, name: &str, kind: Tls) -> Option<Arc<ServerConfig>> {
    let name = if kind == Tls::WrongName { "other.test".to_owned() } else { name.to_owned() };
    let (certificate, key) = match kind {
        Tls::None => return None,
        Tls::Expired => authority.sign(&name, (2020, 2021)),
        Tls::Good | Tls::WrongName => authority.sign(&name, (2020, 2040)),
    };
    let chain = vec![CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")];
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .expect("a pair");
    Some(Arc::new(config))
}

/// What the instance remembers of a domain.
fn remember(here: &Instance, case: &Case) {
    let state = here.data().join("state");
    let domain = format!("{}.test", case.name);
    let mx = match case.before {
        Before::Nothing => return,
        Before::Encrypted => {
            let text = format!("posthaste-tls-levels 1\n{domain} encrypted 1795000000 0\n");
            return std::fs::write(state.join("tls-levels"), text).expect("writable");
        }
        Before::Enforces | Before::Tests => format!("mx.{domain}"),
        Before::NamesOthers | Before::TestsOthers => "mx.elsewhere.test".to_owned(),
    };
    let mode = match case.before {
        Before::Tests | Before::TestsOthers => "testing",
        _ => "enforce",
    };
    std::fs::create_dir_all(state.join("mta-sts")).expect("writable");
    let text = format!(
        "posthaste-sts 1\nid one\nuntil 4000000000\n\nversion: STSv1\nmode: {mode}\nmx: {mx}\n\
         max_age: 86400\n"
    );
    std::fs::write(state.join("mta-sts").join(domain), text).expect("writable");
}

/// Submits the letter of a case; its journey.
fn submit(here: &Instance, case: &Case) -> String {
    let to = format!("x@{}.test", case.name);
    let (parameters, subject, body) = match case.what {
        What::Plain => ("", "plain", "hello"),
        What::EightBit => (" BODY=8BITMIME", "eight", "Gr\u{fc}\u{df}e"),
        What::Utf8 => (" BODY=8BITMIME SMTPUTF8", "Gr\u{fc}\u{df}e", "hello"),
        What::RequireTls => (" REQUIRETLS", "protected", "hello"),
    };
    let mut talk = match case.what {
        What::RequireTls => {
            // REQUIRETLS is offered under TLS; between our own agents it always is.
            let mut talk =
                integration_tests::Conversation::open_unix(&here.data().join("run/mta.sock"));
            talk.expect("220");
            talk.say("EHLO client.test", "250");
            talk
        }
        _ => {
            let mut talk = greeted(here, Service::Submission);
            talk.say(&format!("AUTH PLAIN {}", plain("alice@red.test")), "235");
            talk
        }
    };
    talk.say(&format!("MAIL FROM:<alice@red.test>{parameters}"), "250");
    talk.say(&format!("RCPT TO:<{to}>"), "250");
    talk.say("DATA", "354");
    let letter = format!(
        "From: alice@red.test\r\nTo: {to}\r\nSubject: {subject}\r\nMIME-Version: 1.0\r\n\
         Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\
         {body}\r\n"
    );
    talk.raw(stuffed(&letter).as_bytes());
    let reply = talk.expect("250");
    talk.say("QUIT", "221");
    reply.split_whitespace().nth(2).expect("a journey id").to_owned()
}

/// How the letter stands, by its journey.
fn standing(events: &[Value]) -> Option<End> {
    let kind = |kind: &str| events.iter().rev().find(|event| event["kind"] == kind);
    let known = [
        "bad-domain",
        "bad-mailbox",
        "policy",
        "content",
        "blocked-address",
        "size",
        "form",
        "dns",
        "network",
        "unwell",
        "rate",
        "full",
        "tls",
        "protocol",
        "greylisted",
    ];
    let class = |event: &Value| {
        let word = event["class"].as_str().unwrap_or_default();
        known.iter().find(|it| **it == word).copied().unwrap_or("?")
    };
    if kind("relayed").is_some() {
        return Some(Relayed);
    }
    if let Some(event) = kind("bounced") {
        return Some(Bounced(class(event)));
    }
    kind("deferred").map(|event| Waits(class(event)))
}

/// What stands around the instance; it ends with the value.
struct World {
    receivers: Vec<(usize, Receiver)>,
    _names: NameServer,
    _leases: [Address; 2],
}

/// Receivers, names and an instance that remembers what the cases want, running.
fn world() -> (Instance, World) {
    let authority = Authority::new();
    let mut zone =
        Zone::new().mx("nullmx.test", 0, "").mx("noaddress.test", 10, "mx.noaddress.test");
    let quiet = Address::take();
    let mut receivers: Vec<(usize, Receiver)> = Vec::new();
    for (index, case) in CASES.iter().enumerate() {
        let (name, host) = (format!("{}.test", case.name), format!("mx.{}.test", case.name));
        let ip: IpAddr = match case.name {
            "nxdomain" | "nullmx" | "noaddress" | "servfail" | "silent-dns" => continue,
            "refused" => quiet.ip(),
            _ => {
                let tls = server_config(&authority, &host, case.tls);
                let manner = Manner { script: case.script, offers: case.offers, tls };
                let receiver = Receiver::start(manner);
                let ip = receiver.ip();
                receivers.push((index, receiver));
                ip
            }
        };
        zone = zone.mx(&name, 10, &host).address(&host, ip);
    }
    let names = NameServer::start(zone);
    let (front, lease) = troubled(names.address());
    let builder = domain("red.test").authority(&authority).dns(&names);
    let builder = builder
        .set("dns.servers", format!("[\"{front}\"]"))
        .set("mta.retry.first", "\"400ms\"")
        .set("mta.retry.max", "\"5s\"")
        .set("mta.delay_notice", "\"0s\"")
        .set("limits.submission_recipients_per_hour", "10000");
    let mut here = builder.init();
    CASES.iter().for_each(|case| remember(&here, case));
    here.up();
    (here, World { receivers, _names: names, _leases: [quiet, lease] })
}

/// Waits until a letter stands as its case wants; else how it stands.
fn judge(here: &Instance, case: &Case, journey: &str) -> Result<(), String> {
    let mut events = Vec::new();
    let right = wait::try_within(Duration::from_secs(40), || {
        events = here.json(&["trace", journey]);
        let says = events.iter().any(|event| {
            let has = |key: &str| event[key].as_str().is_some_and(|it| it.contains(case.says));
            has("text") || has("line")
        });
        (standing(&events) == Some(case.end) && says).then_some(())
    });
    right.ok_or_else(|| {
        let told: Vec<String> = events.iter().map(|event| format!("   {event}")).collect();
        let (is, wanted) = (standing(&events), case.end);
        let told = told.join("\n");
        format!("{}: {is:?}, wanted {wanted:?} and {:?}\n{told}", case.name, case.says)
    })
}

#[test]
fn every_fault_ends_as_it_should() {
    let (here, world) = world();
    let journeys: Vec<String> = CASES.iter().map(|case| submit(&here, case)).collect();
    let judged = CASES.iter().zip(&journeys).map(|(case, journey)| judge(&here, case, journey));
    let wrong: Vec<String> = judged.filter_map(Result::err).collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    let waiting = CASES.iter().filter(|case| matches!(case.end, Waits(_))).count();
    wait::until("only what waits is in the queue", || {
        let queue = here.queue();
        let ours = queue.iter().filter(|letter| letter["from"] != "<>").count();
        (ours == waiting && queue.len() == waiting).then_some(())
    });
    for (index, receiver) in &world.receivers {
        let case = &CASES[*index];
        let copies = receiver.letters().len();
        let wanted = match (case.name, case.end) {
            ("lost-reply", _) => 2,
            (_, Relayed) => 1,
            _ => 0,
        };
        assert_eq!(copies, wanted, "{}", case.name);
    }
    here.assert_balanced();
}
