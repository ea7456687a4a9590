//! The life of an agent's process: configuration, log, locks, listening sockets, then the runtime,
//! signals, reload, and a drain with a deadline. Agents give two functions: `bind`, which opens
//! sockets and stores before the runtime exists, and `serve`, which works until it is told to stop.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use net::listen::{Admission, Bound, Bounds, Endpoint, Hall, bind};
use net::{Cancel, Clock, Network, Tasks, tls};
use protocol::ipc::Role;
use tokio::signal::unix::{SignalKind, signal};

use crate::chance::Chance;
use crate::config::{AgentName, Config, ConfigHandle};
use crate::control::Control;
use crate::exit::{Exit, Fatal};
use crate::limits::{AFTER_STOP, CONTROL_SESSIONS};
use crate::logging;
use crate::metrics::Metrics;
use crate::paths::Paths;
use crate::trail::Trail;

/// Set in the environment of agents that a supervisor started: their standard input is a pipe that
/// ends with the supervisor, however that ended, and then they stop too.
pub const SUPERVISED: &str = "POSTHASTE_SUPERVISED";

/// What the command line gives to an agent.
#[derive(Debug, Clone)]
pub struct Start {
    /// The configuration file.
    pub config: PathBuf,
    /// `--set key=value`, in order.
    pub overrides: Vec<String>,
}

/// Before the runtime: what `bind` may use.
#[derive(Debug)]
pub struct Boot {
    /// Which agent this is.
    pub agent: AgentName,
    /// The configuration.
    pub config: ConfigHandle,
    /// Where everything is.
    pub paths: Paths,
    /// The clock.
    pub clock: Clock,
    /// Numbers for `status`.
    pub metrics: Metrics,
    /// The journey.
    pub trail: Trail,
    tls: Option<tls::Server>,
    addresses: Vec<String>,
}

/// While running: what `serve` may use. Cheap to clone for sessions.
#[derive(Debug, Clone)]
pub struct Context {
    /// Which agent this is.
    pub agent: AgentName,
    /// The configuration, now and later.
    pub config: ConfigHandle,
    /// Where everything is.
    pub paths: Paths,
    /// The clock.
    pub clock: Clock,
    /// Where connections to others come from.
    pub network: Network,
    /// Numbers that nobody can guess.
    pub chance: Chance,
    /// The journey.
    pub trail: Trail,
    /// Numbers for `status`.
    pub metrics: Metrics,
    /// The control socket: register own verbs here before [`Context::ready`].
    pub control: Control,
    /// Our certificate, renewed at reload; `None`: there is no TLS here.
    pub tls: Option<tls::Server>,
    /// Cancelled first: take nothing new, say goodbye, finish what is under way.
    pub drain: Cancel,
    /// Cancelled when the drain takes too long: drivers with this token (or a child) end at once.
    pub stop: Cancel,
    /// Sessions and other tasks that a drain waits for.
    pub tasks: Tasks,
    addresses: Arc<Vec<String>>,
}

/// Runs one agent in the foreground until it is told to stop.
///
/// `serve` returns when `context.drain` is cancelled and its own work is done; sessions in
/// `context.tasks` are waited for here.
pub fn run<B, F, S>(start: &Start, agent: AgentName, bind: F, serve: S) -> Exit
where
    F: FnOnce(&mut Boot) -> Result<B, Fatal>,
    S: AsyncFnOnce(B, Context) -> Result<(), Fatal>,
{
    match live(start, agent, bind, serve) {
        Ok(()) => Exit::Done,
        Err(fatal) => {
            say(&format!("posthaste {agent}: {fatal}"));
            fatal.exit
        }
    }
}

fn live<B, F, S>(start: &Start, agent: AgentName, bind: F, serve: S) -> Result<(), Fatal>
where
    F: FnOnce(&mut Boot) -> Result<B, Fatal>,
    S: AsyncFnOnce(B, Context) -> Result<(), Fatal>,
{
    let config = ConfigHandle::load(&start.config, &start.overrides)?;
    let now = config.current();
    logging::start(now.log.level, now.log.format);
    logging::log_panics();
    // What we create is for our user alone unless a mode is asked for.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    let paths = Paths::new(&now.storage.data_dir);
    paths.prepare()?;
    let _lock = lock(&paths, agent.as_str())?;
    let clock = Clock::real();
    let mut boot = Boot {
        agent,
        trail: Trail::open(&paths.trail(), agent.as_str(), &clock, now.trail.keep)?,
        tls: server_tls(&now, agent)?,
        config,
        paths,
        clock,
        metrics: Metrics::default(),
        addresses: Vec::new(),
    };
    let control_at = Endpoint::Unix { path: boot.paths.control_socket(agent), mode: 0o600 };
    let control_socket = net::listen::bind(&control_at)?;
    let bound = bind(&mut boot)?;
    // Room: here privileges are dropped, then Landlock and seccomp, then the runtime starts.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fatal::io("cannot start the runtime", &error))?;
    let trail = boot.trail.clone();
    let outcome = runtime.block_on(async {
        let context = Context::of(boot);
        serve_control(control_socket, &context)?;
        tend(context, serve, bound).await
    });
    drop(runtime);
    trail.flush();
    outcome
}

impl Boot {
    /// Listens on `port` of every configured address. A machine without IPv6 is served on IPv4.
    ///
    /// # Errors
    /// One sentence about the first socket that cannot be had.
    pub fn tcp(&mut self, service: &str, standard_port: u16) -> Result<Vec<Bound>, Fatal> {
        let config = self.config.current();
        let Some(port) = config.port(standard_port) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for address in &config.listen.bind {
            match bind(&Endpoint::Tcp(SocketAddr::new(*address, port))) {
                Ok(bound) => all.push(bound),
                Err(error) if is_missing_ipv6(*address, &error) && config.listen.bind.len() > 1 => {
                    tracing::info!(%address, port, "this machine has no IPv6; left out");
                }
                Err(error) => return Err(error.into()),
            }
        }
        for bound in &all {
            self.addresses.push(format!("{service} {}", bound.address()));
        }
        Ok(all)
    }

    /// Listens on a Unix socket for processes of our user.
    ///
    /// # Errors
    /// One sentence about why not.
    pub fn unix(&mut self, service: &str, path: PathBuf) -> Result<Bound, Fatal> {
        let bound = bind(&Endpoint::Unix { path, mode: 0o600 })?;
        self.addresses.push(format!("{service} {}", bound.address()));
        Ok(bound)
    }

    /// Our certificate, if the configuration names one.
    pub fn tls(&self) -> Option<&tls::Server> {
        self.tls.as_ref()
    }
}

impl Context {
    fn of(boot: Boot) -> Self {
        let Boot { agent, config, paths, clock, metrics, trail, tls, addresses } = boot;
        let control = Control::new(agent, &clock, &config, &metrics);
        if let Some(server) = &tls {
            control.renew_certificate(server);
        }
        let stop = Cancel::new();
        Context {
            agent,
            config,
            paths,
            clock,
            network: Network::system(),
            chance: Chance::system(),
            trail,
            metrics,
            control,
            tls,
            drain: stop.child(),
            stop,
            tasks: Tasks::new(),
            addresses: Arc::new(addresses),
        }
    }

    /// A context without a process around it: for tests, and for several agents in one process.
    /// Nothing is locked, served or written but what the caller does with it; there is no TLS.
    pub fn detached(agent: AgentName, config: ConfigHandle, clock: &Clock) -> Self {
        Context::of(Boot {
            agent,
            paths: Paths::new(&config.current().storage.data_dir),
            config,
            clock: clock.clone(),
            metrics: Metrics::default(),
            trail: Trail::none(clock),
            tls: None,
            addresses: Vec::new(),
        })
    }

    /// Tells `status` and the supervisor that every listener answers and every store is open.
    pub fn ready(&self) {
        self.control.ready(self.addresses.to_vec());
        tracing::info!(agent = %self.agent, addresses = ?self.addresses, "ready");
    }

    /// What listeners share, with the bounds of `[limits]` kept up to date at reload.
    pub fn hall(&self) -> Hall {
        let bounds = |config: &Config| Bounds {
            total: config.limits.sessions,
            per_address: config.limits.sessions_per_address,
        };
        let admission = Admission::new(bounds(&self.config.current()));
        let config = self.config.clone();
        admission.trust_proxies(move |ip| {
            config.current().listen.proxy_from.iter().any(|network| network.contains(ip))
        });
        let kept = admission.clone();
        self.control.on_reload(move |config| {
            let (kept, bounds) = (kept.clone(), bounds(config));
            Ok(Box::new(move || kept.set_bounds(bounds)))
        });
        Hall {
            admission,
            tasks: self.tasks.clone(),
            stop: self.drain.clone(),
            clock: self.clock.clone(),
        }
    }

    /// A client of another agent's control socket.
    pub fn control_of(&self, other: AgentName) -> net::ipc::Client {
        let path = self.paths.control_socket(other);
        let asked = (Role::Control, self.agent.as_str());
        net::ipc::Client::over(&self.network, &path, asked, &self.clock)
    }
}

/// Serves, while signals are heeded; then drains.
async fn tend<B, S>(context: Context, serve: S, bound: B) -> Result<(), Fatal>
where
    S: AsyncFnOnce(B, Context) -> Result<(), Fatal>,
{
    let listening = |kind| signal(kind).map_err(|e| Fatal::io("cannot listen to signals", &e));
    let mut terminate = listening(SignalKind::terminate())?;
    let mut interrupt = listening(SignalKind::interrupt())?;
    let mut hangup = listening(SignalKind::hangup())?;
    let orphaned = orphaned();
    tokio::pin!(orphaned);
    let mut serving = std::pin::pin!(serve(bound, context.clone()));
    let early = loop {
        tokio::select! {
            outcome = &mut serving => break Some(outcome),
            _ = terminate.recv() => break None,
            _ = interrupt.recv() => break None,
            () = &mut orphaned => {
                tracing::warn!("the supervisor is gone");
                break None;
            }
            _ = hangup.recv() => {
                if let Err(fault) = context.control.reload() {
                    tracing::error!("the new configuration is refused, the old one stays: {fault}");
                }
            }
        }
    };
    context.drain.cancel();
    let sessions = context.tasks.count();
    tracing::info!(agent = %context.agent, sessions, "stopping");
    let finish = async {
        let outcome = match early {
            Some(outcome) => outcome,
            None => serving.await,
        };
        context.tasks.idle().await;
        outcome
    };
    let deadline = context.config.current().limits.drain;
    tokio::select! {
        outcome = finish => outcome,
        () = expired(&context, deadline) => {
            let sessions = context.tasks.count();
            tracing::warn!(sessions, "sessions were cut: the drain took too long");
            Ok(())
        }
        // Asked twice, somebody is in a hurry.
        _ = terminate.recv() => Ok(()),
        _ = interrupt.recv() => Ok(()),
    }
}

/// Waits until the supervisor, if there is one, is gone. For `up` itself when something stands
/// above it, as the demo does. To be called once in a process: it listens at standard input.
pub async fn orphaned() {
    if std::env::var_os(SUPERVISED).is_none() {
        return std::future::pending().await;
    }
    let (gone, told) = tokio::sync::oneshot::channel();
    // A thread that sleeps in `read` costs less than a runtime that can read pipes.
    let watch = std::thread::Builder::new().name("supervisor".to_owned()).spawn(move || {
        let mut byte = [0];
        while matches!(std::io::stdin().read(&mut byte), Ok(count) if count > 0) {}
        // We may be stopping already.
        let _ = gone.send(());
    });
    match watch {
        Ok(_) => {
            let _ = told.await;
        }
        Err(error) => {
            tracing::warn!(%error, "cannot watch the supervisor");
            std::future::pending().await
        }
    }
}

/// The drain deadline has passed, and sessions had a moment to notice that they are cut.
async fn expired(context: &Context, deadline: std::time::Duration) {
    context.clock.sleep(deadline).await;
    context.stop.cancel();
    context.clock.sleep(AFTER_STOP).await;
}

/// The control socket answers until the process ends, also while draining.
fn serve_control(socket: Bound, context: &Context) -> Result<(), Fatal> {
    let listener = socket.listen().map_err(|e| Fatal::io("cannot serve the control socket", &e))?;
    let bounds = Bounds { total: CONTROL_SESSIONS, per_address: CONTROL_SESSIONS };
    let hall = Hall {
        admission: Admission::new(bounds),
        tasks: Tasks::new(),
        stop: context.stop.clone(),
        clock: context.clock.clone(),
    };
    let identity = net::ipc::Identity {
        agent: context.agent.to_string(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let control = Arc::new(context.control.clone());
    tokio::spawn(net::ipc::serve(listener, hall, identity, control));
    Ok(())
}

/// Keeps a second process called `name` (an agent, or `up`) out of this data folder, for as long as
/// the file is open.
///
/// # Errors
/// A sentence that names the other process.
pub fn lock(paths: &Paths, name: &str) -> Result<File, Fatal> {
    let path = paths.lock(name);
    let cannot = |error| Fatal::io(&format!("cannot open {}", path.display()), &error);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            // Only for the sentence.
            let _ = file.read_to_string(&mut pid);
            return Err(Fatal::try_again(format!(
                "another `posthaste {name}` (process {}) already works with {}; stop it first",
                pid.trim(),
                paths.data().display()
            )));
        }
        Err(TryLockError::Error(error)) => return Err(cannot(error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    write(&mut file).map_err(cannot)?;
    Ok(file)
}

fn server_tls(config: &Config, agent: AgentName) -> Result<Option<tls::Server>, Fatal> {
    let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
        return Ok(None);
    };
    let wrong = |error: tls::CertificateError| {
        Fatal::configuration(format!("{error}; correct tls.certificate and tls.key"))
    };
    let read = tls::Certificate::from_files(certificate, key).map_err(wrong)?;
    let clients = client_authorities(config, agent).map_err(|error| {
        Fatal::configuration(format!("{error}; correct tls.client_authorities_file"))
    })?;
    tls::Server::with_clients(&read, clients.as_ref()).map(Some).map_err(wrong)
}

/// Whose certificates people log in with: asked for only where people do. Other systems show theirs
/// to the MTA for reasons of their own.
pub(crate) fn client_authorities(
    config: &Config,
    agent: AgentName,
) -> Result<Option<tls::ClientAuthorities>, tls::CertificateError> {
    let file = config.tls.client_authorities_file.as_deref();
    match agent {
        AgentName::Msa | AgentName::Mda => file.map(tls::ClientAuthorities::from_file).transpose(),
        _ => Ok(None),
    }
}

fn is_missing_ipv6(address: IpAddr, error: &net::listen::BindError) -> bool {
    let code = error.io().raw_os_error().map(rustix::io::Errno::from_raw_os_error);
    address.is_ipv6()
        && address.is_unspecified()
        && matches!(code, Some(rustix::io::Errno::AFNOSUPPORT | rustix::io::Errno::ADDRNOTAVAIL))
}

/// Last words go to standard error even when there is no log yet.
fn say(text: &str) {
    // A closed standard error leaves nobody to tell.
    let _ = writeln!(std::io::stderr(), "{text}");
}
