//! Listening sockets: bound first (before privileges are dropped and the runtime starts), then
//! turned into accept loops with bounds on all sessions and on those of one address. It speaks no
//! protocol; the line for those turned away is given by the agent.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::limits::{ACCEPT_PAUSE, BACKLOG, PROXIED, TURN_AWAY_WAIT, TURNED_AWAY};
use crate::longpath::ShortPath;
use crate::named::NamedSocket;
use crate::proxy;
use crate::stream::{Peer, Stream};
use crate::tasks::Tasks;
use crate::unix::Unix;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP; port 0 lets the system choose. A socket for `::` takes IPv6 only.
    Tcp(SocketAddr),
    /// A Unix socket, made with these permission bits.
    Unix {
        /// Its path, of any length.
        path: PathBuf,
        /// Permission bits, e.g. `0o600`.
        mode: u32,
    },
}

/// A socket that listens already, but accepts nothing yet. Sockets handed over by systemd
/// (`LISTEN_FDS`) would become one of these too.
#[derive(Debug)]
pub struct Bound {
    socket: Unheard,
    address: Endpoint,
}

/// What will be accepted from.
#[derive(Debug)]
enum Unheard {
    System(std::os::fd::OwnedFd),
    Memory(mpsc::UnboundedReceiver<(Stream, Peer)>),
}

/// Why a socket cannot be had, in one sentence.
#[derive(Debug)]
pub struct BindError {
    endpoint: Endpoint,
    error: io::Error,
}

/// The accepting side of a [`Bound`], inside a runtime.
#[derive(Debug)]
pub struct Listener {
    socket: Socket,
    address: Endpoint,
}

#[derive(Debug)]
enum Socket {
    Tcp(tokio::net::TcpListener),
    Unix(NamedSocket),
    Memory(Mutex<mpsc::UnboundedReceiver<(Stream, Peer)>>),
}

/// Bounds on sessions, shared by all listeners of an agent. Clones share the counts.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Counts>,
}

#[derive(Debug)]
struct Counts {
    limits: Mutex<Bounds>,
    open: Mutex<Open>,
    proxies: Mutex<Option<Proxies>>,
}

/// Which addresses are proxies that say who is connected.
#[derive(Clone)]
struct Proxies(Arc<dyn Fn(IpAddr) -> bool + Send + Sync>);

impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proxies")
    }
}

/// How many sessions there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions altogether.
    pub total: usize,
    /// Sessions of one IP address (of one /64 for IPv6, which one host can fill).
    pub per_address: usize,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// A place for one session; dropping it frees the place.
#[derive(Debug)]
pub struct Permit {
    counts: Arc<Counts>,
    address: Option<IpAddr>,
}

/// Which bound was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TooMany {
    /// Sessions altogether.
    Total,
    /// Sessions of this address.
    PerAddress,
}

/// A connection that was given a place; the accept loop keeps the place as long as its session.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// Who it is.
    pub peer: Peer,
}

/// Binds `endpoint` and listens. Removes a Unix socket that nobody serves any more.
///
/// # Errors
/// A sentence that says what cannot be had, why, and what to do.
pub fn bind(endpoint: &Endpoint) -> Result<Bound, BindError> {
    let bound = match endpoint {
        Endpoint::Tcp(address) => bind_tcp(*address),
        Endpoint::Unix { path, mode } => bind_unix(path, *mode),
    };
    bound.map_err(|error| BindError { endpoint: endpoint.clone(), error })
}

fn bind_tcp(address: SocketAddr) -> io::Result<Bound> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    // A restart must not wait for connections in TIME_WAIT.
    sockopt::set_socket_reuseaddr(&socket, true)?;
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(&socket, true)?;
    }
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    let actual = rustix::net::getsockname(&socket)?;
    let actual = SocketAddr::try_from(actual).map_err(io::Error::from)?;
    Ok(Bound { socket: Unheard::System(socket), address: Endpoint::Tcp(actual) })
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<Bound> {
    let socket = unix_socket(path, mode)?;
    let address = Endpoint::Unix { path: path.to_owned(), mode };
    Ok(Bound { socket: Unheard::System(socket), address })
}

/// A listening socket of the current runtime, as [`bind`] makes it; for a name that was deleted.
pub(crate) fn listen_unix(path: &Path, mode: u32) -> io::Result<tokio::net::UnixListener> {
    tokio::net::UnixListener::from_std(unix_socket(path, mode)?.into())
}

fn unix_socket(path: &Path, mode: u32) -> io::Result<std::os::fd::OwnedFd> {
    remove_stale(path)?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    let short = ShortPath::of(path)?;
    rustix::net::bind(&socket, &SocketAddrUnix::new(short.as_path())?)?;
    // Connecting is possible only after `listen`, so nobody slips in before the mode is set.
    fs::set_permissions(path, fs::Permissions::from_mode(mode))?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket)
}

/// A socket file outlives a process that was killed; one that answers belongs to a living process.
fn remove_stale(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
        Ok(meta) if !meta.file_type().is_socket() => {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                "something that is not a socket has that name",
            ));
        }
        Ok(_) => {}
    }
    let short = ShortPath::of(path)?;
    match StdUnixStream::connect(short.as_path()) {
        Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

impl Bound {
    /// The end of a network in memory where connections to `address` come out. When the other end
    /// is gone nobody comes any more.
    pub fn incoming(
        address: Endpoint,
        connections: mpsc::UnboundedReceiver<(Stream, Peer)>,
    ) -> Self {
        Bound { socket: Unheard::Memory(connections), address }
    }

    /// Where it listens; with the real port if 0 was asked for.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// Hands the socket to the current tokio runtime.
    ///
    /// # Errors
    /// When the runtime cannot watch it.
    pub fn listen(self) -> io::Result<Listener> {
        let socket = match (self.socket, &self.address) {
            (Unheard::System(socket), Endpoint::Tcp(_)) => {
                Socket::Tcp(tokio::net::TcpListener::from_std(socket.into())?)
            }
            (Unheard::System(socket), Endpoint::Unix { path, mode }) => {
                let listener = tokio::net::UnixListener::from_std(socket.into())?;
                Socket::Unix(NamedSocket::new(listener, path, *mode))
            }
            (Unheard::Memory(connections), _) => Socket::Memory(Mutex::new(connections)),
        };
        Ok(Listener { socket, address: self.address })
    }
}

impl Listener {
    /// Where it listens.
    pub fn address(&self) -> &Endpoint {
        &self.address
    }

    /// The next connection. Failures of single connections are passed over; when the process has
    /// no file descriptor left it waits a little. Cancel-safe.
    pub async fn accept(&self, clock: &Clock) -> (Stream, Peer) {
        let mut complained = false;
        loop {
            let accepted = match &self.socket {
                Socket::Tcp(tcp) => tcp.accept().await.and_then(|(stream, _)| {
                    stream.set_nodelay(true)?;
                    Ok(Stream::Tcp(stream))
                }),
                Socket::Unix(named) => {
                    named.accept(clock).await.and_then(Unix::new).map(Stream::Unix)
                }
                Socket::Memory(connections) => return next_of(connections).await,
            };
            match accepted.and_then(|stream| stream.peer().map(|peer| (stream, peer))) {
                Ok(accepted) => return accepted,
                Err(error) if is_of_one_connection(&error) => {}
                Err(error) => {
                    // Once: with no file descriptor left it fails again and again.
                    if !std::mem::replace(&mut complained, true) {
                        let socket = &self.address;
                        tracing::warn!(%error, %socket, "cannot accept connections; they wait");
                    }
                    clock.sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }

    /// Accepts until `stop` is cancelled; each session gets a place and a task of `tasks`. Those
    /// over a bound are sent `refusal` (a whole line, e.g. `421 4.7.0 too many\r\n`; empty where
    /// TLS comes first) and closed.
    pub async fn serve<F, S>(self, hall: &Hall, refusal: &'static [u8], session: F)
    where
        F: Fn(Accepted) -> S,
        S: Future<Output = ()> + Send + 'static,
    {
        let turned_away = Tasks::new();
        let (introduced, mut introductions) = mpsc::channel(PROXIED);
        loop {
            let (stream, peer) = tokio::select! {
                biased;
                () = hall.stop.cancelled() => return,
                Some(accepted) = introductions.recv() => accepted,
                accepted = self.accept(&hall.clock) => {
                    if !hall.admission.is_proxy(&accepted.1) {
                        accepted
                    } else {
                        let (clock, introduced) = (hall.clock.clone(), introduced.clone());
                        if turned_away.count() < PROXIED {
                            turned_away.spawn(introduce(accepted, clock, introduced));
                        }
                        continue;
                    }
                }
            };
            match hall.admission.admit(&peer) {
                Ok(permit) => {
                    // Boxed, or the block below had room for it twice.
                    let session = Box::pin(session(Accepted { stream, peer }));
                    hall.tasks.spawn(async move {
                        let _permit = permit;
                        session.await;
                    });
                }
                Err(why) => {
                    tracing::info!(%peer, socket = %self.address, ?why, "turned away");
                    if !refusal.is_empty() && turned_away.count() < TURNED_AWAY {
                        turned_away.spawn(turn_away(stream, refusal, hall.clock.clone()));
                    }
                }
            }
        }
    }
}

/// The next connection of a network in memory.
async fn next_of(connections: &Mutex<mpsc::UnboundedReceiver<(Stream, Peer)>>) -> (Stream, Peer) {
    std::future::poll_fn(|context| {
        let mut connections = connections.lock().unwrap_or_else(PoisonError::into_inner);
        match connections.poll_recv(context) {
            Poll::Ready(Some(accepted)) => Poll::Ready(accepted),
            Poll::Ready(None) | Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// What the listeners of an agent share.
#[derive(Debug, Clone)]
pub struct Hall {
    /// Bounds on sessions.
    pub admission: Admission,
    /// The sessions.
    pub tasks: Tasks,
    /// Ends accepting.
    pub stop: Cancel,
    /// The clock.
    pub clock: Clock,
}

/// Lets a proxy say who is connected. One that does not is not served: what it brings could be
/// anybody's.
async fn introduce(
    (mut stream, proxy): (Stream, Peer),
    clock: Clock,
    introduced: mpsc::Sender<(Stream, Peer)>,
) {
    match proxy::read(&mut stream, &clock).await {
        Ok(peer) => {
            let _ = introduced.send((stream, peer.unwrap_or(proxy))).await;
        }
        Err(error) => tracing::warn!(%proxy, %error, "a proxy does not say who is connected"),
    }
}

/// Says `line`, then closes in such a way that the line arrives.
async fn turn_away(mut stream: Stream, line: &'static [u8], clock: Clock) {
    let talk = async {
        if stream.write_all(line).await.is_ok() && stream.shutdown().await.is_ok() {
            // Unread input would turn our close into a reset that overtakes the line.
            let _ = tokio::io::copy(&mut stream, &mut tokio::io::sink()).await;
        }
    };
    let _ = clock.timeout(TURN_AWAY_WAIT, talk).await;
}

/// The peer went away between its connect and our accept, or the network complains about it.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::NotConnected
            | io::ErrorKind::Interrupted
            | io::ErrorKind::HostUnreachable
            | io::ErrorKind::NetworkUnreachable
    )
}

impl Admission {
    /// Nobody is in yet.
    pub fn new(bounds: Bounds) -> Self {
        let counts = Counts {
            limits: Mutex::new(bounds),
            open: Mutex::default(),
            proxies: Mutex::default(),
        };
        Admission { shared: Arc::new(counts) }
    }

    /// Says which addresses are proxies: their connections begin with a PROXY header, and count as
    /// those of whom it names.
    pub fn trust_proxies(&self, is_proxy: impl Fn(IpAddr) -> bool + Send + Sync + 'static) {
        let proxies = Proxies(Arc::new(is_proxy));
        *self.shared.proxies.lock().unwrap_or_else(PoisonError::into_inner) = Some(proxies);
    }

    fn is_proxy(&self, peer: &Peer) -> bool {
        let proxies = self.shared.proxies.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*proxies, peer.ip()) {
            (Some(Proxies(is_proxy)), Some(ip)) => is_proxy(ip),
            _ => false,
        }
    }

    /// Changes the bounds; those who are in stay.
    pub fn set_bounds(&self, bounds: Bounds) {
        *self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner) = bounds;
    }

    /// A place for `peer`. Peers without an address (Unix sockets) count only towards the total.
    ///
    /// # Errors
    /// Which bound was reached.
    pub fn admit(&self, peer: &Peer) -> Result<Permit, TooMany> {
        let bounds = *self.shared.limits.lock().unwrap_or_else(PoisonError::into_inner);
        let address = peer.ip().map(counted_address);
        let mut open = self.shared.open();
        if open.total >= bounds.total {
            return Err(TooMany::Total);
        }
        if let Some(address) = address {
            let count = open.by_address.entry(address).or_insert(0);
            if *count >= bounds.per_address {
                return Err(TooMany::PerAddress);
            }
            *count += 1;
        }
        open.total += 1;
        Ok(Permit { counts: Arc::clone(&self.shared), address })
    }

    /// Sessions open now.
    pub fn open(&self) -> usize {
        self.shared.open().total
    }
}

impl Counts {
    fn open(&self) -> std::sync::MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let mut open = self.counts.open();
        open.total = open.total.saturating_sub(1);
        if let Some(address) = self.address
            && let Some(count) = open.by_address.get_mut(&address)
        {
            *count -= 1;
            if *count == 0 {
                open.by_address.remove(&address);
            }
        }
    }
}

/// RFC 6177: a site gets at least a /64, so one host can have any address in it.
fn counted_address(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::from([a, b, c, d, 0, 0, 0, 0])
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(f),
            Endpoint::Unix { path, .. } => write!(f, "unix:{}", path.display()),
        }
    }
}

impl BindError {
    /// The system's own error.
    pub fn io(&self) -> &io::Error {
        &self.error
    }
}

impl fmt::Display for BindError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BindError { endpoint, error } = self;
        write!(f, "cannot listen on {endpoint}: ")?;
        match (endpoint, error.kind()) {
            (Endpoint::Tcp(_), io::ErrorKind::AddrInUse) => f.write_str(
                "another program has the port; stop it, or choose another port or address under \
                 [listen]",
            ),
            (Endpoint::Tcp(_), io::ErrorKind::PermissionDenied) => f.write_str(
                "ports below 1024 need root or CAP_NET_BIND_SERVICE; start as root, or set \
                 listen.port_offset",
            ),
            (Endpoint::Tcp(_), io::ErrorKind::AddrNotAvailable) => {
                f.write_str("this machine does not have that address; correct listen.bind")
            }
            (Endpoint::Unix { .. }, io::ErrorKind::AddrInUse) => {
                f.write_str("another Posthaste process serves it; stop that one first")
            }
            (Endpoint::Unix { path, .. }, io::ErrorKind::NotFound) => {
                let folder = path.parent().unwrap_or(path).display();
                write!(f, "the folder {folder} does not exist")
            }
            (Endpoint::Unix { path, .. }, io::ErrorKind::PermissionDenied) => {
                let folder = path.parent().unwrap_or(path).display();
                write!(f, "no permission to write in {folder}; correct its owner or mode")
            }
            _ => error.fmt(f),
        }
    }
}

impl std::error::Error for BindError {}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::connect;

    fn local() -> Endpoint {
        Endpoint::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    #[tokio::test]
    async fn bounds_turn_away_with_a_line() {
        let bound = bind(&local()).expect("a free port");
        let Endpoint::Tcp(address) = *bound.address() else { panic!("bound to TCP") };
        assert_ne!(address.port(), 0);
        let admission = Admission::new(Bounds { total: 10, per_address: 1 });
        let hall = Hall {
            admission: admission.clone(),
            tasks: Tasks::new(),
            stop: Cancel::new(),
            clock: Clock::real(),
        };
        let listener = bound.listen().expect("a listener");
        let (inside, stop) = (hall.clone(), hall.stop.clone());
        let serving = tokio::spawn(async move {
            listener
                .serve(&inside, b"421 too many\r\n", |mut accepted| async move {
                    let mut byte = [0];
                    // Until the peer closes.
                    let _ = accepted.stream.write_all(b"220 hello\r\n").await;
                    let _ = accepted.stream.read(&mut byte).await;
                })
                .await;
        });
        let connect = || async {
            let outgoing =
                connect::Outgoing { source: None, timeout: std::time::Duration::from_secs(5) };
            connect::tcp(address, outgoing, &Clock::real()).await.expect("connected")
        };
        let mut first = connect().await;
        let mut greeting = [0; 11];
        first.read_exact(&mut greeting).await.expect("a greeting");
        let mut second = connect().await;
        let mut refusal = String::new();
        second.read_to_string(&mut refusal).await.expect("the reason");
        assert_eq!(refusal, "421 too many\r\n");
        drop(first);
        hall.tasks.idle().await;
        assert_eq!(admission.open(), 0);
        let mut third = connect().await;
        third.read_exact(&mut greeting).await.expect("a greeting");
        stop.cancel();
        serving.await.expect("accepting ends");
    }

    #[test]
    fn a_port_in_use_is_one_clear_sentence() {
        let bound = bind(&local()).expect("a free port");
        let error = bind(bound.address()).expect_err("in use").to_string();
        assert!(error.starts_with("cannot listen on 127.0.0.1:"), "{error}");
        assert!(error.contains("another program has the port"), "{error}");
    }

    #[tokio::test]
    async fn unix_sockets_with_long_paths_and_stale_files() {
        let folder = tempfile::tempdir().expect("a folder");
        let deep = folder.path().join("d".repeat(90)).join("e".repeat(90));
        fs::create_dir_all(&deep).expect("folders");
        let path = deep.join("a.sock");
        let endpoint = Endpoint::Unix { path: path.clone(), mode: 0o600 };
        let bound = bind(&endpoint).expect("bound");
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let error = bind(&endpoint).expect_err("served").to_string();
        assert!(error.contains("another Posthaste process serves it"), "{error}");
        let listener = bound.listen().expect("a listener");
        let wait = std::time::Duration::from_secs(5);
        let clock = Clock::real();
        let (accepted, connected) =
            tokio::join!(listener.accept(&clock), connect::unix(&path, wait, &clock));
        assert!(connected.is_ok());
        assert!(matches!(accepted.1, Peer::Unix { .. }));
        drop(listener);
        // The file is left behind, as after a kill: taken over.
        bind(&endpoint).expect("bound again");
        fs::remove_file(&path).expect("removed");
        fs::write(&path, "not a socket").expect("written");
        assert!(bind(&endpoint).is_err());
    }
}
