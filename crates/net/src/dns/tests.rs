//! Tests of outcomes against a name server of a few lines, which answers by the name it is asked.

use std::net::{IpAddr, Ipv4Addr};

use tokio::net::UdpSocket;

use super::*;

/// RCODEs of RFC 1035 §4.1.1.
const SERVFAIL: u8 = 2;
const NXDOMAIN: u8 = 3;
const REFUSED: u8 = 5;

/// What is said about a name: an RCODE, or records as (type, data).
type Said = Result<Vec<(u16, Vec<u8>)>, u8>;

fn about(name: &str, kind: u16) -> Said {
    match (name, kind) {
        ("blue.test", 15) => {
            Ok(vec![(15, mx(20, &["mx2", "blue", "test"])), (15, mx(10, &["MX", "Blue", "test"]))])
        }
        ("null.test", 15) => Ok(vec![(15, mx(0, &[]))]),
        ("mx.blue.test", 1) => Ok(vec![(1, vec![127, 0, 0, 3])]),
        ("alias.test", 1) => {
            Ok(vec![(5, labels(&["mx", "blue", "test"])), (1, vec![127, 0, 0, 3])])
        }
        ("txt.test", 16) => Ok(vec![(16, b"\x06v=spf1\x05 -all".to_vec())]),
        ("3.2.0.192.in-addr.arpa", 12) => Ok(vec![(12, labels(&["mx", "blue", "test"]))]),
        ("_25._tcp.mx.blue.test", 52) => Ok(vec![(52, vec![3, 1, 1, 0xab, 0xcd])]),
        ("broken.test", _) => Err(SERVFAIL),
        ("closed.test", _) => Err(REFUSED),
        ("blue.test" | "mx.blue.test", _) => Ok(Vec::new()),
        _ => Err(NXDOMAIN),
    }
}

fn labels(names: &[&str]) -> Vec<u8> {
    let mut wire = Vec::new();
    for name in names {
        wire.push(u8::try_from(name.len()).expect("short"));
        wire.extend_from_slice(name.as_bytes());
    }
    wire.push(0);
    wire
}

fn mx(preference: u8, exchange: &[&str]) -> Vec<u8> {
    [vec![0, preference], labels(exchange)].concat()
}

/// Answers one query; names are compared in lower case, the CNAME owner is not followed.
fn answer(query: &[u8]) -> Vec<u8> {
    let mut at = 12;
    let mut names = Vec::new();
    while query[at] != 0 {
        let end = at + 1 + usize::from(query[at]);
        names.push(String::from_utf8_lossy(&query[at + 1..end]).to_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let question = &query[12..at + 5];
    let said = about(&names.join("."), kind);
    let (code, records) = match &said {
        Ok(records) => (0, records.as_slice()),
        Err(code) => (*code, [].as_slice()),
    };
    let count = u8::try_from(records.len()).expect("few");
    // An SOA says that "no" is an authoritative answer (RFC 2308 §2).
    let soa = u8::from(records.is_empty());
    let mut reply = query[..2].to_vec();
    reply.extend_from_slice(&[0x84, 0x80 | code, 0, 1, 0, count, 0, soa, 0, 0]);
    reply.extend_from_slice(question);
    let mut owner = vec![0xc0, 12];
    for (kind, data) in records {
        reply.extend_from_slice(&owner);
        reply.extend_from_slice(&kind.to_be_bytes());
        reply.extend_from_slice(&[0, 1, 0, 0, 1, 44]);
        reply.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
        reply.extend_from_slice(data);
        if *kind == 5 {
            owner.clone_from(data);
        }
    }
    if soa == 1 {
        let data = [labels(&["ns", "test"]), labels(&["root", "test"]), vec![0; 20]].concat();
        reply.extend_from_slice(&[0, 0, 6, 0, 1, 0, 0, 1, 44]);
        reply.extend_from_slice(&u16::try_from(data.len()).expect("short").to_be_bytes());
        reply.extend_from_slice(&data);
    }
    reply
}

async fn resolver() -> Resolver {
    let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
    let address = socket.local_addr().expect("bound");
    tokio::spawn(async move {
        let mut buffer = [0; 512];
        while let Ok((count, from)) = socket.recv_from(&mut buffer).await {
            // The test is over when nobody takes it.
            let _ = socket.send_to(&answer(&buffer[..count]), from).await;
        }
    });
    Resolver::new(&Setting { servers: vec![address], ..Setting::default() }).expect("a resolver")
}

#[tokio::test]
async fn good_answers() {
    let dns = resolver().await;
    let found = dns.mx("Blue.test").await.expect("records");
    let first = Mx { preference: 10, exchange: "mx.blue.test".to_owned() };
    assert!(found.records.contains(&first), "{found:?}");
    assert!(!found.is_null_mx());
    assert!(found.ttl > Duration::from_secs(200) && found.ttl <= Duration::from_secs(300));
    assert_eq!((found.facts.kind, found.facts.name.as_str()), ("MX", "Blue.test"));
    assert!(dns.mx("null.test").await.expect("a record").is_null_mx());
    let four = Ipv4Addr::new(127, 0, 0, 3);
    assert_eq!(dns.a("mx.blue.test").await.expect("an address").records, [four]);
    assert_eq!(dns.a("alias.test").await.expect("through the alias").records, [four]);
    assert_eq!(dns.txt("txt.test").await.expect("text").records, [b"v=spf1 -all".to_vec()]);
    assert_eq!(
        dns.ptr(IpAddr::from([192, 0, 2, 3])).await.expect("a name").records,
        ["mx.blue.test"]
    );
    // Nothing here is signed, whatever the root says: it is never believed.
    let tlsa = dns.tlsa("_25._tcp.mx.blue.test").await;
    assert!(!matches!(tlsa, Ok((_, Proof::Secure))), "{tlsa:?}");
    assert_ne!(dns.is_validating().await, Some(true));
}

#[tokio::test]
async fn bad_answers_are_permanent_or_temporary() {
    let dns = resolver().await;
    let why = |outcome: Outcome<Mx>| outcome.expect_err("no answer").cause;
    assert_eq!(why(dns.mx("nobody.test").await), Cause::NoSuchName);
    assert_eq!(why(dns.mx("mx.blue.test").await), Cause::NoData);
    assert_eq!(dns.aaaa("mx.blue.test").await.expect_err("none").cause, Cause::NoData);
    for name in ["broken.test", "closed.test"] {
        let failed = dns.mx(name).await.expect_err("the server fails");
        assert!(matches!(failed.cause, Cause::Server(_)), "{failed:?}");
        assert!(failed.cause.is_temporary());
    }
    let long = format!("{}.test", "x".repeat(64));
    assert_eq!(why(dns.mx(&long).await), Cause::BadName);
    assert!(!Cause::NoSuchName.is_temporary() && !Cause::NoData.is_temporary());
}

#[test]
fn silence_is_temporary() {
    assert_eq!(cause(NetError::Timeout), Cause::Timeout);
    assert!(Cause::Timeout.is_temporary());
    assert!(cause(NetError::NoConnections).is_temporary());
    assert!(cause(NetError::Dns(DnsError::DnssecBogus)).is_temporary());
}

#[test]
fn root_keys_are_read_in_the_forms_that_tools_print() {
    let key = "257 3 13 GbxZxX9TmWPgxmezoGD9QhFQVLSWY9Ea6X6edwSJHvvBWBVxWW0WJOxJ4MSY1lXCDxTS\
               dHzqlTrOHxQIb+6YPw==";
    for text in [format!(". DNSKEY {key}"), format!("; root\n. 3600 IN DNSKEY {key} ;id = 1\n")] {
        anchors(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
    }
    assert!(anchors("").is_err() && anchors(". IN DS 1 2 3 abc").is_err());
}
