//! A name server for the domains of a test: authoritative, over UDP and TCP on loopback, in a
//! thread of the test. What it does not know does not exist: it never asks anybody else.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, AAAA, CNAME, MX, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};

use crate::address::Address;

/// Time that a TCP connection may stay idle.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers waiting per TCP connection.
const TCP_ANSWERS: usize = 32;
/// The port of the name servers of tests.
const PORT: u16 = 10_053;

/// The records that a test's world has.
#[derive(Default, Clone)]
pub struct Zone {
    records: Vec<(String, RData)>,
    /// Seconds that an answer may be kept: none unless somebody asks for more, so that tests can
    /// change their minds.
    ttl: u32,
}

impl Zone {
    /// A world without names.
    pub fn new() -> Zone {
        Zone::default()
    }

    /// Answers may be kept for so many seconds.
    pub fn kept(mut self, seconds: u32) -> Zone {
        self.ttl = seconds;
        self
    }

    /// `name. MX preference host.` The empty host is the null MX of RFC 7505.
    pub fn mx(mut self, name: &str, preference: u16, host: &str) -> Zone {
        let host = if host.is_empty() { Name::root() } else { fqdn(host) };
        self.records.push((name.into(), RData::MX(MX::new(preference, host))));
        self
    }

    /// `name. A` or `AAAA address`.
    pub fn address(mut self, name: &str, ip: IpAddr) -> Zone {
        let data = match ip {
            IpAddr::V4(ip) => RData::A(A(ip)),
            IpAddr::V6(ip) => RData::AAAA(AAAA(ip)),
        };
        self.records.push((name.into(), data));
        self
    }

    /// `name. TXT "text"`.
    pub fn txt(mut self, name: &str, text: &str) -> Zone {
        self.records.push((name.into(), RData::TXT(TXT::new(vec![text.into()]))));
        self
    }

    /// `name. TXT`, a text of any length in strings of 255 octets.
    pub fn txt_long(mut self, name: &str, text: &str) -> Zone {
        let strings = text.as_bytes().chunks(255).map(|part| String::from_utf8_lossy(part).into());
        self.records.push((name.into(), RData::TXT(TXT::new(strings.collect()))));
        self
    }

    /// `name. CNAME target.`
    pub fn cname(mut self, name: &str, target: &str) -> Zone {
        self.records.push((name.into(), RData::CNAME(CNAME(fqdn(target)))));
        self
    }
}

/// A running name server; it ends with the value.
pub struct NameServer {
    address: SocketAddr,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
    lease: Option<Address>,
}

impl NameServer {
    /// Serves the zone, which covers everything below the root.
    pub fn start(zone: Zone) -> NameServer {
        NameServer::at(Address::take(), zone)
    }

    /// Ends it; who keeps the address can start it again with [`NameServer::at`].
    pub fn stop(mut self) -> Address {
        self.end();
        self.lease.take().expect("it is given away once")
    }

    /// Serves the zone at an address of before.
    pub fn at(lease: Address, zone: Zone) -> NameServer {
        let address = SocketAddr::new(lease.ip(), PORT);
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (ready, is_ready) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime can be built");
            runtime.block_on(async move {
                let mut server = Server::new(catalog(&zone));
                let udp = tokio::net::UdpSocket::bind(address).await.expect("a leased address");
                let tcp = tokio::net::TcpListener::bind(address).await.expect("a leased address");
                server.register_socket(udp);
                server.register_listener(tcp, TCP_TIMEOUT, TCP_ANSWERS);
                ready.send(()).expect("the test waits for its name server");
                let _ = stopped.await;
                let _ = server.shutdown_gracefully().await;
            });
        });
        is_ready.recv().expect("the name server starts");
        NameServer { address, stop: Some(stop), thread: Some(thread), lease: Some(lease) }
    }

    /// `ADDR:PORT`, as `dns.servers` takes it.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.end();
    }
}

impl NameServer {
    fn end(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn catalog(zone: &Zone) -> Catalog {
    let mut root = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
        Name::root(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
        None,
    );
    let soa = SOA::new(fqdn("ns.test"), fqdn("hostmaster.test"), 1, 60, 60, 60, zone.ttl);
    root.upsert_mut(Record::from_rdata(Name::root(), zone.ttl, RData::SOA(soa)), 1);
    for (name, data) in &zone.records {
        root.upsert_mut(Record::from_rdata(fqdn(name), zone.ttl, data.clone()), 1);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(Name::root()), vec![Arc::new(root)]);
    catalog
}

fn fqdn(name: &str) -> Name {
    let mut name = Name::from_str(name).unwrap_or_else(|error| panic!("{name}: {error}"));
    name.set_fqdn(true);
    name
}
