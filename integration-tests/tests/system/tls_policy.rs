//! DANE and MTA-STS as a sender: a root zone that Debian's knot signs, receivers whose certificates
//! its TLSA records name or do not, an answer that is forged on the way, a policy on the web.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use integration_tests::receiver::{Manner, Receiver};
use integration_tests::{Address, Authority, Instance, NameServer, Zone, clients, wait};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use tempfile::TempDir;

use crate::cluster::{domain, letter, submit};

/// Knot with a signed root zone.
struct Knot {
    child: Child,
    folder: TempDir,
    address: Address,
}

impl Knot {
    fn start(records: &str) -> Option<Knot> {
        let (knotd, keymgr) = (clients::find("knotd")?, clients::find("keymgr")?);
        let folder = tempfile::Builder::new().prefix("knot-").tempdir().expect("a folder");
        let address = Address::take();
        let path = |name: &str| folder.path().join(name);
        let root = folder.path().display();
        let zone = format!(
            "$TTL 60\n. IN SOA ns.test. h.test. 1 60 60 60 60\n. IN NS ns.test.\nns.test. A {}\n\
             {records}",
            address.ip()
        );
        std::fs::write(path("root.zone"), zone).expect("the folder is writable");
        let config = format!(
            "server:\n  listen: {}@10053\n  rundir: {root}\ndatabase:\n  storage: {root}\n\
             policy:\n  - id: p\n    algorithm: ecdsap256sha256\n    single-type-signing: on\n\
             zone:\n  - domain: \".\"\n    storage: {root}\n    file: root.zone\n\
             \x20   dnssec-signing: on\n    dnssec-policy: p\n    zonefile-sync: -1\n",
            address.ip()
        );
        std::fs::write(path("knot.conf"), config).expect("the folder is writable");
        let quiet = || Stdio::from(std::fs::File::create(path("log")).expect("writable"));
        let child = Command::new(knotd)
            .arg("-c")
            .arg(path("knot.conf"))
            .stdin(Stdio::null())
            .stdout(quiet())
            .stderr(quiet())
            .spawn()
            .expect("knot starts");
        let anchor = wait::until("knot has made its key", || {
            let said = Command::new(&keymgr)
                .arg("-c")
                .arg(path("knot.conf"))
                .args([".", "dnskey"])
                .output()
                .ok()?;
            let text = String::from_utf8(said.stdout).ok()?;
            text.contains("DNSKEY").then_some(text)
        });
        std::fs::write(path("anchor.key"), anchor).expect("the folder is writable");
        Some(Knot { child, folder, address })
    }

    fn anchor(&self) -> std::path::PathBuf {
        self.folder.path().join("anchor.key")
    }

    fn at(&self) -> SocketAddr {
        SocketAddr::new(self.address.ip(), 10_053)
    }
}

impl Drop for Knot {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn sha256(data: &[u8]) -> String {
    let suite = rustls::crypto::aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256;
    let hash = suite.tls13().expect("a suite of 1.3").common.hash_provider.hash(data);
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A certificate of its own for a host, and its digest.
fn host(authority: &Authority, name: &str) -> (Arc<ServerConfig>, String) {
    let (certificate, key) = authority.sign(name, (2020, 2040));
    let leaf = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM");
    let above = CertificateDer::from_pem_slice(authority.pem().as_bytes()).expect("PEM");
    let digest = sha256(&leaf);
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).expect("PEM");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![leaf, above], key)
        .expect("a pair");
    (Arc::new(config), digest)
}

/// Passes questions on to knot, and changes one octet of answers with this digest in them.
fn forger(behind: SocketAddr, digest: &str) -> (SocketAddr, Address) {
    let wanted: Vec<u8> = (0..digest.len() / 2)
        .map(|at| u8::from_str_radix(&digest[at * 2..at * 2 + 2], 16).expect("hex"))
        .collect();
    let lease = Address::take();
    let socket = UdpSocket::bind((lease.ip(), 10_053)).expect("leased");
    let address = socket.local_addr().expect("bound");
    std::thread::spawn(move || {
        let mut buffer = [0_u8; 65_535];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let Ok(asking) = UdpSocket::bind((behind.ip(), 0)) else { continue };
            let _ = asking.set_read_timeout(Some(Duration::from_secs(2)));
            let _ = asking.send_to(&buffer[..length], behind);
            let Ok(length) = asking.recv(&mut buffer) else { continue };
            let found = buffer[..length].windows(wanted.len()).position(|part| part == wanted);
            if let Some(at) = found {
                buffer[at] ^= 0xff;
            }
            let _ = socket.send_to(&buffer[..length], from);
        }
    });
    (address, lease)
}

fn journey(here: &Instance, to: &str) -> Vec<Value> {
    let text = letter("alice@red.test", to, "protected");
    let reply = submit(here, "alice@red.test", &[to], &text);
    let id = reply.split_whitespace().nth(2).expect("a journey id").to_owned();
    wait::until("the letter was tried", || {
        let events = here.json(&["trace", &id]);
        let tried = |kind: &str| events.iter().any(|event| event["kind"] == kind);
        (tried("relayed") || tried("deferred") || tried("bounced")).then_some(events)
    })
}

#[track_caller]
fn assert_says(events: &[Value], kind: &str, text: &str) {
    let says = |event: &Value| {
        event["kind"] == kind && event["text"].as_str().is_some_and(|it| it.contains(text))
    };
    assert!(events.iter().any(says), "no {kind} with {text:?} in {events:#?}");
}

#[test]
fn dane_is_obeyed_and_a_forged_answer_is_never_no_dane() {
    let (trusted, other) = (Authority::new(), Authority::new());
    let mut records = String::new();
    let mut receivers = Vec::new();
    let mut forged = String::new();
    for name in ["ee", "ta", "wrong", "bogus", "plain"] {
        let mx = format!("mx.{name}.test");
        // None of them is known to the sender: DANE alone vouches.
        let (tls, digest) = host(&other, &mx);
        let receiver = Receiver::start(Manner { tls: Some(tls), ..Manner::default() });
        let above = CertificateDer::from_pem_slice(other.pem().as_bytes()).expect("PEM");
        let tlsa = match name {
            "ee" => format!("3 0 1 {digest}"),
            "ta" => format!("2 0 1 {}", sha256(&above)),
            "wrong" => format!("3 0 1 {}", sha256(b"another")),
            "bogus" => {
                forged = digest.clone();
                format!("3 0 1 {digest}")
            }
            _ => String::new(),
        };
        records.push_str(&format!("{name}.test. MX 10 {mx}.\n{mx}. A {}\n", receiver.ip()));
        if !tlsa.is_empty() {
            records.push_str(&format!("_10025._tcp.{mx}. TLSA {tlsa}\n"));
        }
        receivers.push(receiver);
    }
    let Some(knot) = Knot::start(&records) else { return };
    let (front, _lease) = forger(knot.at(), &forged);
    let quoted = |path: &Path| format!("{:?}", path.display().to_string());
    let here = domain("red.test")
        .authority(&trusted)
        .set("dns.servers", format!("[\"{front}\"]"))
        .set("dns.trust_anchor_file", quoted(&knot.anchor()))
        .set("mta.remote_port", "10025")
        .start();
    let ee = journey(&here, "x@ee.test");
    assert_says(&ee, "dns", "signed");
    assert_says(&ee, "tls", "policy dane, certificate of mx.ee.test holds");
    assert_says(&ee, "relayed", "thank you");
    let ta = journey(&here, "x@ta.test");
    assert_says(&ta, "tls", "policy dane, certificate of mx.ta.test holds");
    let wrong = journey(&here, "x@wrong.test");
    assert_says(&wrong, "deferred", "none of the TLSA records names the certificate");
    let bogus = journey(&here, "x@bogus.test");
    assert_says(&bogus, "deferred", "whether DANE holds cannot be told");
    let plain = journey(&here, "x@plain.test");
    assert_says(&plain, "tls", "policy opportunistic");
    assert_says(&plain, "relayed", "thank you");
    let letters: Vec<usize> = receivers.iter().map(|one| one.letters().len()).collect();
    assert_eq!(letters, [1, 1, 0, 0, 1]);
    assert_eq!(here.queue().len(), 2);
    here.assert_balanced();
}

/// A web server with one document, while `open`.
fn web(config: Arc<ServerConfig>, text: String, open: Arc<AtomicBool>) -> (SocketAddr, Address) {
    let lease = Address::take();
    let listener = TcpListener::bind((lease.ip(), 10_443)).expect("leased");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            if !open.load(Ordering::Relaxed) {
                continue;
            }
            let Ok(connection) = ServerConnection::new(config.clone()) else { return };
            let mut stream = StreamOwned::new(connection, stream);
            let mut request = [0_u8; 4096];
            let read = stream.read(&mut request).unwrap_or(0);
            let asked = String::from_utf8_lossy(&request[..read]).into_owned();
            let answer = match asked.starts_with("GET /.well-known/mta-sts.txt ") {
                true => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{text}", text.len()),
                false => "HTTP/1.1 404 Not Found\r\n\r\n".to_owned(),
            };
            let _ = stream.write_all(answer.as_bytes());
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    (address, lease)
}

#[test]
fn a_policy_of_mta_sts_is_fetched_and_outlives_a_restart() {
    let authority = Authority::new();
    let (mx, _) = host(&authority, "mx.blue.test");
    let receiver = Receiver::start(Manner { tls: Some(mx), ..Manner::default() });
    let (pages, _) = host(&authority, "mta-sts.blue.test");
    let open = Arc::new(AtomicBool::new(true));
    let text =
        "version: STSv1\r\nmode: enforce\r\nmx: *.blue.test\r\nmax_age: 86400\r\n".to_owned();
    let (site, _lease) = web(pages, text, open.clone());
    let zone = Zone::new()
        .mx("blue.test", 10, "mx.blue.test")
        .address("mx.blue.test", receiver.ip())
        .address("mta-sts.blue.test", site.ip());
    let bare = zone.clone();
    let names = NameServer::start(zone.txt("_mta-sts.blue.test", "v=STSv1; id=20261123;"));
    let builder = domain("red.test").authority(&authority).dns(&names);
    let mut here = builder.set("mta.mta_sts_port", site.port().to_string()).start();
    let first = journey(&here, "x@blue.test");
    assert_says(&first, "tls", "MTA-STS 20261123 (fetched): enforce, mx *.blue.test");
    assert_says(&first, "tls", "policy mta-sts, certificate of mx.blue.test holds");
    assert_eq!(receiver.letters().len(), 1);
    // Neither DNS nor the web knows it any more: it holds nevertheless.
    here.stop();
    open.store(false, Ordering::Relaxed);
    let names = NameServer::start(bare);
    here.set("dns.servers", format!("[\"{}\"]", names.address()));
    here.up();
    let second = journey(&here, "x@blue.test");
    assert_says(&second, "tls", "MTA-STS 20261123 (kept): enforce");
    assert_says(&second, "tls", "policy mta-sts");
    assert_eq!(receiver.letters().len(), 2);
    here.assert_balanced();
}
