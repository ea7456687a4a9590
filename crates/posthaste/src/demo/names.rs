//! The DNS of the demo's world: an authoritative server on loopback that knows the demo's domains
//! and nothing else. It forwards no question. Called by `demo::world`.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, AAAA, MX, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record as Entry};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use net::nameserver::Sockets;

use service::Fatal;

use super::fault;
use crate::init::Record;

/// A TCP connection may stay idle this long.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers waiting on one TCP connection.
const TCP_ANSWERS: usize = 32;
/// Seconds that an answer may be kept.
const TTL: u32 = 60;

/// The running name server; it stops with the value.
pub(super) struct NameServer {
    address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl NameServer {
    /// Serves the records on sockets that are bound already.
    pub(super) fn start(sockets: Sockets, records: &[Record]) -> Result<NameServer, Fatal> {
        let address = sockets.address;
        let mut server = Server::new(catalog(records)?);
        server.register_socket(sockets.udp);
        server.register_listener(sockets.tcp, TCP_TIMEOUT, TCP_ANSWERS);
        let task = tokio::spawn(async move {
            // It ends when the task is aborted; an error before that shows as failed lookups.
            let _ = server.block_until_done().await;
        });
        Ok(NameServer { address, task })
    }

    /// `ADDR:PORT`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One zone for everything: the demo's world has no other servers to delegate to.
fn catalog(records: &[Record]) -> Result<Catalog, Fatal> {
    let root = Name::root();
    let mut zone = InMemoryZoneHandler::<TokioRuntimeProvider>::empty(
        root.clone(),
        ZoneType::Primary,
        AxfrPolicy::Deny,
        None,
    );
    let soa = SOA::new(name("ns.test")?, name("hostmaster.test")?, 1, 3600, 600, 86400, TTL);
    zone.upsert_mut(Entry::from_rdata(root.clone(), TTL, RData::SOA(soa)), 1);
    for record in records {
        let entry = Entry::from_rdata(name(&record.name)?, TTL, data(record)?);
        zone.upsert_mut(entry, 1);
    }
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(root), vec![Arc::new(zone)]);
    Ok(catalog)
}

/// The records of `init`, as the server wants them.
fn data(record: &Record) -> Result<RData, Fatal> {
    let unknown = || fault(format!("no {} record of {:?}", record.kind, record.value));
    match record.kind {
        "MX" => {
            let (preference, host) = record.value.split_once(' ').ok_or_else(unknown)?;
            let preference = preference.parse().map_err(|_| unknown())?;
            Ok(RData::MX(MX::new(preference, name(host)?)))
        }
        "TXT" => Ok(RData::TXT(TXT::new(record.strings().map(str::to_owned).collect()))),
        _ => match record.value.parse::<IpAddr>().map_err(|_| unknown())? {
            IpAddr::V4(address) => Ok(RData::A(A(address))),
            IpAddr::V6(address) => Ok(RData::AAAA(AAAA(address))),
        },
    }
}

fn name(text: &str) -> Result<Name, Fatal> {
    let mut name = Name::from_str(text).map_err(|error| fault(format!("{text}: {error}")))?;
    name.set_fqdn(true);
    Ok(name)
}
