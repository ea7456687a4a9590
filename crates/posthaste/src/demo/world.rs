//! The demo's world: addresses, name server, authority, and the systems in it. Made in a folder of
//! its own and taken down whole, whatever happens in between. Called by the scenarios.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::thread::ScopedJoinHandle;

use service::Fatal;

use super::authority::Authority;
use super::names::NameServer;
use super::system::{Agents, Design, System, host_of, quote};
use super::{fault, fault_at};

/// Added to the standard ports where nothing else is asked for.
pub(super) const PORT_OFFSET: u16 = 10_000;
/// Worlds beside each other on one machine: 127.0.1.0/24 to 127.0.200.0/24.
const WORLDS: u8 = 200;

/// What a scenario wants.
pub(super) struct Layout {
    /// Red sends through a smarthost.
    pub(super) smarthost: Smarthost,
    /// How blue's agents are run.
    pub(super) blue: Agents,
    /// Where the world is kept after the end; else it is removed.
    pub(super) keep: Option<PathBuf>,
    /// Added to the standard ports.
    pub(super) port_offset: u16,
}

/// The way out of red.test.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Smarthost {
    /// Red looks up MX records and connects itself: end to end.
    Absent,
    /// Red hands everything to relay.test, which does: store and forward.
    Present,
}

/// The folder of a world, removed with the value unless it is to be kept.
struct Folder {
    path: PathBuf,
    kept: bool,
}

impl Drop for Folder {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

/// Everything that the demo has made. Fields are dropped in order: processes first, folder last.
pub(super) struct World {
    /// alice's side.
    pub(super) red: System,
    /// bob's side.
    pub(super) blue: System,
    /// The smarthost between them.
    pub(super) relay: Option<System>,
    names: NameServer,
    folder: Folder,
}

impl World {
    /// Makes and starts a world; ready when this returns.
    pub(super) async fn start(layout: &Layout) -> Result<World, Fatal> {
        let folder = folder(layout)?;
        let (network, mut names) = lease(layout.port_offset)?;
        let authority = Authority::new()?;
        let plan = Plan {
            layout,
            authority: &authority,
            path: &folder.path,
            network,
            dns: names.address(),
        };
        write(&folder.path.join("roots.pem"), authority.pem().as_bytes())?;
        let (red, blue, relay) = plan.systems()?;
        let systems = [Some(&red), Some(&blue), relay.as_ref()];
        let records: Vec<_> =
            systems.into_iter().flatten().flat_map(|system| system.records.clone()).collect();
        names.serve(&records)?;
        let mut world = World { red, blue, relay, names, folder };
        world.red.start(Agents::All)?;
        world.blue.start(layout.blue)?;
        if let Some(relay) = &mut world.relay {
            relay.start(Agents::All)?;
            relay.ready().await?;
        }
        world.red.ready().await?;
        world.blue.ready().await?;
        Ok(world)
    }

    /// Sends red's mail through the relay from now on: two lines of configuration, and a reload.
    pub(super) fn use_smarthost(&mut self) -> Result<(), Fatal> {
        let relay = self.relay.as_ref().ok_or_else(|| fault("this world has no relay"))?;
        let lines = smarthost(relay, &self.folder.path)?;
        let path = self.red.config();
        let before =
            std::fs::read_to_string(&path).map_err(|error| fault_at(&path.display(), &error))?;
        let after = before.replace("[mta]\n", &format!("[mta]\n{lines}"));
        write(&path, after.as_bytes())?;
        let (status, said) = self.red.verb(&["reload"])?;
        if status.success() { Ok(()) } else { Err(fault(format!("reload of red.test: {said}"))) }
    }

    /// Blue's greylist is on from now: a section of configuration, and a reload.
    pub(super) fn greylist_at_blue(&self) -> Result<(), Fatal> {
        let path = self.blue.config();
        let mut text =
            std::fs::read_to_string(&path).map_err(|error| fault_at(&path.display(), &error))?;
        text.push_str("\n[antispam]\ngreylist = true\ngreylist_delay = \"2s\"\n");
        write(&path, text.as_bytes())?;
        let (status, said) = self.blue.verb(&["reload"])?;
        if status.success() { Ok(()) } else { Err(fault(format!("reload of blue.test: {said}"))) }
    }

    /// The systems of the world, in the order of a letter's way.
    pub(super) fn systems(&self) -> impl Iterator<Item = &System> {
        [Some(&self.red), self.relay.as_ref(), Some(&self.blue)].into_iter().flatten()
    }

    /// Where its folder is.
    pub(super) fn path(&self) -> &Path {
        &self.folder.path
    }

    /// The authority's certificate: what clients are told to trust.
    pub(super) fn roots(&self) -> PathBuf {
        self.folder.path.join("roots.pem")
    }

    /// Its name server.
    pub(super) fn names(&self) -> SocketAddr {
        self.names.address()
    }

    /// Ends every agent in order.
    ///
    /// # Errors
    /// The first that did not end as it should.
    pub(super) async fn stop(mut self) -> Result<(), Fatal> {
        let World { red, blue, relay, .. } = &mut self;
        let mut outcome = Ok(());
        for system in [Some(red), relay.as_mut(), Some(blue)].into_iter().flatten() {
            outcome = outcome.and(system.stop().await);
        }
        outcome
    }
}

/// What the systems of one world have in common.
struct Plan<'a> {
    layout: &'a Layout,
    authority: &'a Authority,
    path: &'a Path,
    network: [u8; 3],
    dns: SocketAddr,
}

impl Plan<'_> {
    /// All systems. Each makes keys and hashes a password, which takes a processor a while.
    fn systems(&self) -> Result<(System, System, Option<System>), Fatal> {
        std::thread::scope(|scope| {
            let blue = scope.spawn(|| self.system("blue.test", "bob", 3));
            let relay = match self.layout.smarthost {
                Smarthost::Absent => None,
                Smarthost::Present => Some(scope.spawn(|| self.system("relay.test", "red", 4))),
            };
            let red = self.system("red.test", "alice", 2)?;
            let relay = relay.map(joined).transpose()?;
            if let Some(relay) = &relay {
                relay.is_gateway_for("red.test")?;
            }
            Ok((red, joined(blue)?, relay))
        })
    }

    fn system(&self, domain: &str, account: &str, at: u8) -> Result<System, Fatal> {
        let [a, b, c] = self.network;
        let ip = IpAddr::V4(Ipv4Addr::new(a, b, c, at));
        let keys = self.path.join(domain).join("data/keys");
        self.authority.issue(&host_of(domain), ip, &keys)?;
        // Short waits, so that nobody waits for a retry; else the defaults of a small domain.
        let settings = format!(
            "log_segment = \"4MB\"\n\n\
             [tls]\ncertificate = {certificate}\nkey = {key}\nextra_roots_file = {roots}\n\n\
             [dns]\nservers = [\"{dns}\"]\n\n\
             [mta]\nremote_port = {port}\nipv6 = false\nsource_address = \"{ip}\"\n\n\
             [mta.retry]\nfirst = \"1s\"\n",
            certificate = quote(&keys.join("tls.crt")),
            key = quote(&keys.join("tls.key")),
            roots = quote(&self.path.join("roots.pem")),
            dns = self.dns,
            port = 25 + self.layout.port_offset,
        );
        let port_offset = self.layout.port_offset;
        System::make(self.path, &Design { domain, ip, account, port_offset, settings })
    }
}

/// What a thread of [`Plan::systems`] has made.
fn joined(thread: ScopedJoinHandle<'_, Result<System, Fatal>>) -> Result<System, Fatal> {
    thread.join().unwrap_or_else(|_| Err(fault("a system could not be made")))
}

/// The lines that send red's mail through the relay, logged in as an account there.
fn smarthost(relay: &System, world: &Path) -> Result<String, Fatal> {
    let secret = world.join("smarthost.password");
    write(&secret, relay.person.password.reveal().as_bytes())?;
    // RFC 8314 §3.3: submission with TLS from the first byte.
    let user = &relay.person.address;
    let (host, port) = (relay.host(), relay.at(465).port());
    Ok(format!(
        "smarthost = \"smtps://{user}@{host}:{port}\"\nsmarthost_password_file = {}\n",
        quote(&secret)
    ))
}

/// A network of loopback addresses that no other demo has: whoever holds the name server's sockets
/// holds the network.
fn lease(port_offset: u16) -> Result<([u8; 3], NameServer), Fatal> {
    let port = 53 + port_offset;
    let candidates = (1..=WORLDS).map(|third| (Ipv4Addr::new(127, 0, third, 1), port).into());
    let names = NameServer::lease(candidates.collect())?;
    match names.address().ip() {
        IpAddr::V4(ip) => {
            let [a, b, c, _] = ip.octets();
            Ok(([a, b, c], names))
        }
        IpAddr::V6(_) => Err(fault("the name server's address is not of IPv4")),
    }
}

/// A new folder, or the one to keep.
fn folder(layout: &Layout) -> Result<Folder, Fatal> {
    if let Some(path) = &layout.keep {
        let path = std::path::absolute(path).map_err(|error| fault_at(&"--keep", &error))?;
        if path.read_dir().is_ok_and(|mut entries| entries.next().is_some()) {
            return Err(fault(format!("{} is not empty", path.display())));
        }
        make_folder(&path)?;
        return Ok(Folder { path, kept: true });
    }
    let mut random = [0; 6];
    aws_lc_rs::rand::fill(&mut random).map_err(|_| fault("no randomness"))?;
    let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let path = std::env::temp_dir().join(format!("posthaste-demo-{name}"));
    make_folder(&path)?;
    Ok(Folder { path, kept: false })
}

fn make_folder(path: &Path) -> Result<(), Fatal> {
    use disk::Disk as _;
    disk::RealDisk.make_dirs(path, disk::Mode(0o700)).map_err(|error| fault(error.to_string()))
}

/// Writes a file for us alone, with the folders above it.
pub(super) fn write(path: &Path, bytes: &[u8]) -> Result<(), Fatal> {
    if let Some(parent) = path.parent() {
        make_folder(parent)?;
    }
    disk::replace_whole(&disk::RealDisk, path, disk::Mode(0o600), bytes)
        .map_err(|error| fault(error.to_string()))
}
