//! The DNS of the demo's world: an authoritative server on loopback that knows the demo's domains
//! and nothing else. It forwards no question. Called by `demo::world`.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use hickory_server::Server;
use hickory_server::net::runtime::TokioRuntimeProvider;
use hickory_server::proto::rr::rdata::{A, AAAA, MX, SOA, TXT};
use hickory_server::proto::rr::{LowerName, Name, RData, Record as Entry};
use hickory_server::store::in_memory::InMemoryZoneHandler;
use hickory_server::zone_handler::{AxfrPolicy, Catalog, ZoneType};
use net::nameserver::Sockets;

use service::Fatal;
use tokio::sync::oneshot;

use super::{fault, fault_at};
use crate::init::Record;

/// A TCP connection may stay idle this long.
const TCP_TIMEOUT: Duration = Duration::from_secs(5);
/// Answers waiting on one TCP connection.
const TCP_ANSWERS: usize = 32;
/// Seconds that an answer may be kept.
const TTL: u32 = 60;

/// A name server on an address that nobody else has; it stops with the value. It has a thread of
/// its own, so that it answers at once, whatever the demo is busy with.
pub(super) struct NameServer {
    address: SocketAddr,
    zone: Option<oneshot::Sender<Catalog>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl NameServer {
    /// Takes the first address of these that is free; it answers nothing yet.
    pub(super) fn lease(candidates: Vec<SocketAddr>) -> Result<NameServer, Fatal> {
        let (tell, told) = mpsc::channel();
        let (zone, give) = oneshot::channel();
        let (stop, stopped) = oneshot::channel();
        let serving = move || run(candidates, &tell, give, stopped);
        let thread = std::thread::Builder::new()
            .name("names".into())
            .spawn(serving)
            .map_err(|error| fault_at(&"no thread for the name server", &error))?;
        let address = told.recv().map_err(|_| fault("the name server did not start"))?;
        let address = address
            .map_err(|error| fault_at(&"no free loopback address for a name server", &error))?;
        Ok(NameServer { address, zone: Some(zone), stop: Some(stop), thread: Some(thread) })
    }

    /// Answers with these records from now on.
    pub(super) fn serve(&mut self, records: &[Record]) -> Result<(), Fatal> {
        let catalog = catalog(records)?;
        let given = self.zone.take().map(|zone| zone.send(catalog));
        given.filter(Result::is_ok).map(drop).ok_or_else(|| fault("the name server has ended"))
    }

    /// `ADDR:PORT`.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        drop((self.zone.take(), self.stop.take()));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The thread: binds, waits for the zone, serves.
fn run(
    candidates: Vec<SocketAddr>,
    tell: &mpsc::Sender<io::Result<SocketAddr>>,
    give: oneshot::Receiver<Catalog>,
    stopped: oneshot::Receiver<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(tell.send(Err(error))),
    };
    runtime.block_on(async {
        let sockets = match bind(candidates).await {
            Ok(sockets) => sockets,
            Err(error) => return drop(tell.send(Err(error))),
        };
        // Whoever asked for it may be gone; then the zone never comes.
        let _ = tell.send(Ok(sockets.address));
        let Ok(catalog) = give.await else { return };
        let mut server = Server::new(catalog);
        server.register_socket(sockets.udp);
        server.register_listener(sockets.tcp, TCP_TIMEOUT, TCP_ANSWERS);
        tokio::select! {
            _ = server.block_until_done() => {}
            _ = stopped => {}
        }
    });
}

async fn bind(candidates: Vec<SocketAddr>) -> io::Result<Sockets> {
    let mut last = io::Error::other("no address was named");
    for address in candidates {
        match Sockets::bind(address).await {
            Ok(sockets) => return Ok(sockets),
            Err(error) => last = error,
        }
    }
    Err(last)
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
