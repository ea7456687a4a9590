//! `posthaste up`: the supervisor. Every agent is a child process of the same executable; what
//! dies is restarted with back-off; stopping goes in order, so that nobody hands mail to an agent
//! that is already gone. It carries no mail and opens no mail socket itself.

use std::process::{ExitCode, Stdio};
use std::time::{Duration, Instant};

use clap::Args;
use protocol::ipc::{Reload, Status};
use service::{AgentName, ConfigHandle, Exit, Fatal, Paths};
use tokio::process::{Child, ChildStdin, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::ask;
use crate::cli::AgentArgs;
use crate::exit;
use crate::output;

/// Runs all agents in the foreground.
#[derive(Args, Debug)]
#[command(after_help = "Prints one line that begins with `ready`, with the addresses, once every \
                        listener answers.\nSIGTERM or Ctrl-C: finishes what is under way and ends \
                        with 0. SIGHUP: reload.\n\n\
                        Example:\n  posthaste up -c /srv/mail/posthaste.toml")]
pub(crate) struct UpArgs {
    #[command(flatten)]
    agent: AgentArgs,
}

/// First wait before a dead agent is started again; doubled each time.
const BACK_OFF_FIRST: Duration = Duration::from_millis(100);
/// Longest such wait.
const BACK_OFF_MAX: Duration = Duration::from_secs(5);
/// An agent that lived so long is taken to be well: its next restart is quick again.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How often a starting agent is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(10);
/// On top of the agents' own drain deadline, before an agent that does not stop is killed.
const PATIENCE: Duration = Duration::from_secs(5);

/// One agent's process, or the wait for its next one.
struct Ward {
    agent: AgentName,
    child: Option<Child>,
    /// Our end of its standard input, which is closed when we are gone: not before, though
    /// `Child::wait` would.
    lifeline: Option<ChildStdin>,
    started: Instant,
    back_off: Duration,
    /// When a dead one is started again.
    restart_at: Option<Instant>,
}

/// Signals that the supervisor heeds.
struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
    /// Ends when whoever started us in their care is gone.
    orphaned: tokio::task::JoinHandle<()>,
}

/// What a signal asks for.
enum Wish {
    Stop,
    Reload,
}

/// The command.
pub(crate) fn run(args: &UpArgs) -> ExitCode {
    exit::of("up", up(args))
}

fn up(args: &UpArgs) -> Result<Exit, Fatal> {
    let config = ConfigHandle::load(&args.agent.file.config, &args.agent.set)?;
    let now = config.current();
    service::logging::start(now.log.level, now.log.format);
    let paths = Paths::new(&now.storage.data_dir);
    paths.prepare()?;
    let _lock = service::daemon::lock(&paths, "up")?;
    ask::runtime()?.block_on(async {
        let mut signals = Signals::listen()?;
        let mut wards = Vec::new();
        for agent in AgentName::ALL.into_iter().filter(|agent| now.agents.run.contains(agent)) {
            wards.push(Ward::start(agent, &args.agent)?);
        }
        let drain = now.limits.drain + PATIENCE;
        let balances = tokio::spawn(crate::ledger::daily::keep(config));
        let outcome = tend(&mut wards, &args.agent, &paths, &mut signals).await;
        balances.abort();
        stop(&mut wards, drain, &mut signals).await;
        outcome
    })
}

/// Starts, then watches, until told to stop.
async fn tend(
    wards: &mut [Ward],
    args: &AgentArgs,
    paths: &Paths,
    signals: &mut Signals,
) -> Result<Exit, Fatal> {
    tokio::select! {
        listeners = until_ready(wards, paths) => {
            output::line(&format!("ready {}", listeners?.join(", ")));
        }
        () = signals.stop() => return Ok(Exit::Done),
    }
    loop {
        tokio::select! {
            wish = signals.next() => match wish {
                Wish::Stop => return Ok(Exit::Done),
                Wish::Reload => reload(wards, paths).await,
            },
            () = watch(wards, args) => {}
        }
    }
}

/// Waits until every agent says that it is ready; gives their TCP listeners.
///
/// # Errors
/// When an agent ends before: with its exit code. It has said why on standard error.
async fn until_ready(wards: &mut [Ward], paths: &Paths) -> Result<Vec<String>, Fatal> {
    let mut listeners = Vec::new();
    for index in 0..wards.len() {
        let client = ask::client(paths, wards[index].agent);
        loop {
            for ward in wards.iter_mut() {
                ward.still_lives()?;
            }
            match client.call(&Status {}, ask::WAIT).await {
                // An agent of an earlier run may still answer while it stops.
                Ok(report) if report.ready && wards[index].pid() == Some(report.pid) => {
                    let is_tcp = |listener: &String| !listener.contains("unix:");
                    listeners.extend(report.listeners.into_iter().filter(is_tcp));
                    break;
                }
                _ => tokio::time::sleep(ASK_EVERY).await,
            }
        }
    }
    Ok(listeners)
}

/// Returns when something was done: an agent had died, or was started again.
async fn watch(wards: &mut [Ward], args: &AgentArgs) {
    let due = wards.iter().filter_map(|ward| ward.restart_at).min();
    let restart = async {
        match due {
            Some(due) => tokio::time::sleep_until(due.into()).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = restart => {
            for ward in wards.iter_mut() {
                ward.restart_if_due(args);
            }
        }
        index = first_death(wards) => wards[index].mourn(),
    }
}

/// Waits until a process has ended; gives whose. Cancel-safe: a death is seen again.
async fn first_death(wards: &mut [Ward]) -> usize {
    use std::future::{Future, poll_fn};
    use std::pin::pin;
    use std::task::Poll;

    poll_fn(|cx| {
        for (index, ward) in wards.iter_mut().enumerate() {
            if let Some(child) = &mut ward.child
                && pin!(child.wait()).poll(cx).is_ready()
            {
                return Poll::Ready(index);
            }
        }
        Poll::Pending
    })
    .await
}

async fn reload(wards: &[Ward], paths: &Paths) {
    for ward in wards {
        match ask::client(paths, ward.agent).call(&Reload {}, ask::WAIT).await {
            Ok(done) => tracing::info!(agent = %ward.agent, changed = ?done.changed, "reloaded"),
            Err(fault) => tracing::error!(agent = %ward.agent, "not reloaded: {fault}"),
        }
    }
}

/// Stops the agents, last started first: the doors to people, then transfer, delivery, logins.
async fn stop(wards: &mut [Ward], patience: Duration, signals: &mut Signals) {
    let mut in_a_hurry = false;
    for ward in wards.iter_mut().rev() {
        let Some(mut child) = ward.child.take() else { continue };
        signal_to(&child, rustix::process::Signal::TERM);
        let wait = if in_a_hurry { Duration::ZERO } else { patience };
        tokio::select! {
            _ = child.wait() => continue,
            () = tokio::time::sleep(wait) => {}
            // Asked twice, somebody is in a hurry.
            () = signals.stop() => in_a_hurry = true,
        }
        tracing::warn!(agent = %ward.agent, "does not stop in time; killed");
        // A process that has just ended needs no killing.
        let _ = child.kill().await;
    }
}

fn signal_to(child: &Child, signal: rustix::process::Signal) {
    let raw = child.id().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = raw.and_then(rustix::process::Pid::from_raw) {
        // It may have ended by itself just now.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

impl Ward {
    fn start(agent: AgentName, args: &AgentArgs) -> Result<Self, Fatal> {
        let mut child = spawn(agent, args)?;
        Ok(Ward {
            agent,
            lifeline: child.stdin.take(),
            child: Some(child),
            started: Instant::now(),
            back_off: BACK_OFF_FIRST,
            restart_at: None,
        })
    }

    fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// # Errors
    /// When the process has ended.
    fn still_lives(&mut self) -> Result<(), Fatal> {
        let ended = match &mut self.child {
            Some(child) => child.try_wait().map_err(|e| Fatal::io("cannot watch an agent", &e))?,
            None => return Ok(()),
        };
        let Some(status) = ended else { return Ok(()) };
        self.child = None;
        let exit = match status.code() {
            Some(64) => Exit::Usage,
            Some(75) => Exit::TryAgain,
            Some(77) => Exit::NotAllowed,
            Some(78) => Exit::BadConfiguration,
            _ => Exit::No,
        };
        let message =
            format!("the {} could not start ({status}); the others are stopped", self.agent);
        Err(Fatal::new(exit, message))
    }

    /// Its process has ended by itself: another one follows, after a while.
    fn mourn(&mut self) {
        let status = self.child.take().and_then(|mut child| child.try_wait().ok().flatten());
        let status = status.map(|status| status.to_string()).unwrap_or_default();
        self.lifeline = None;
        if self.started.elapsed() >= WELL_AFTER {
            self.back_off = BACK_OFF_FIRST;
        }
        let again_in = self.back_off;
        tracing::error!(agent = %self.agent, status, ?again_in, "ended by itself; starts again");
        self.restart_at = Some(Instant::now() + again_in);
        self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
    }

    fn restart_if_due(&mut self, args: &AgentArgs) {
        if self.restart_at.is_none_or(|at| at > Instant::now()) {
            return;
        }
        self.restart_at = None;
        self.started = Instant::now();
        match spawn(self.agent, args) {
            Ok(mut child) => {
                self.lifeline = child.stdin.take();
                self.child = Some(child);
            }
            Err(fatal) => {
                tracing::error!(agent = %self.agent, "{fatal}");
                self.restart_at = Some(Instant::now() + self.back_off);
                self.back_off = (self.back_off * 2).min(BACK_OFF_MAX);
            }
        }
    }
}

/// Starts an agent as a child in a process group of its own, so that Ctrl-C reaches us alone and
/// we stop them in order. Its standard input is a pipe whose end tells it that we are gone.
fn spawn(agent: AgentName, args: &AgentArgs) -> Result<Child, Fatal> {
    let program =
        std::env::current_exe().map_err(|e| Fatal::io("cannot find my own executable", &e))?;
    let mut command = Command::new(program);
    command.arg(agent.as_str()).arg("-c").arg(&args.file.config);
    for set in &args.set {
        command.arg("--set").arg(set);
    }
    command
        .env(service::daemon::SUPERVISED, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .process_group(0)
        .kill_on_drop(true);
    command.spawn().map_err(|e| Fatal::io(&format!("cannot start the {agent}"), &e))
}

impl Signals {
    fn listen() -> Result<Self, Fatal> {
        let listen = |kind| signal(kind).map_err(|e| Fatal::io("cannot listen to signals", &e));
        Ok(Signals {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
            hangup: listen(SignalKind::hangup())?,
            orphaned: tokio::spawn(service::daemon::orphaned()),
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop,
            _ = self.interrupt.recv() => Wish::Stop,
            _ = &mut self.orphaned => Wish::Stop,
            _ = self.hangup.recv() => Wish::Reload,
        }
    }

    async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}
