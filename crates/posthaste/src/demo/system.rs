//! One domain of the demo's world: a folder made by `init`, and its agents as processes below
//! `posthaste up`. Nothing here is special to the demo but the settings: the same two commands
//! make a real system. Called by `demo::world` and the scenarios.

use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use directory::Store;
use protocol::address::{Address, Domain};
use protocol::secret::Secret;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};

use service::Fatal;

use super::world::write;
use super::{fault, fault_at};
use crate::init::{self, InitArgs, Record};

/// From the start of `up` to its line `ready`.
const READY: Duration = Duration::from_secs(20);
/// From SIGTERM to the end of all agents.
const DRAIN: Duration = Duration::from_secs(5);
/// Between two looks at a log or a process.
const LOOK: Duration = Duration::from_millis(10);

/// Which agents `up` runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Agents {
    /// All of them.
    All,
    /// All but the MTA, which the scenario starts and kills by itself.
    ExceptMta,
}

/// A person with a mailbox.
#[derive(Clone, Debug)]
pub(super) struct Person {
    /// The whole address, which is also the login.
    pub(super) address: String,
    /// The password, made for this run.
    pub(super) password: Secret<String>,
}

/// What a system is to be.
pub(super) struct Design<'a> {
    /// Its domain; the host is `mx.DOMAIN`.
    pub(super) domain: &'a str,
    /// Its address.
    pub(super) ip: IpAddr,
    /// Its account, by the bare name.
    pub(super) account: &'a str,
    /// Added to the standard ports.
    pub(super) port_offset: u16,
    /// Further lines of posthaste.toml: whole sections.
    pub(super) settings: String,
}

/// A mail system of one domain.
pub(super) struct System {
    pub(super) domain: String,
    pub(super) ip: IpAddr,
    pub(super) root: PathBuf,
    pub(super) person: Person,
    pub(super) records: Vec<Record>,
    port_offset: u16,
    up: Option<Child>,
    mta: Option<Child>,
}

impl System {
    /// Makes the folder below `world`: configuration first, then what `init` adds.
    pub(super) fn make(world: &Path, design: &Design<'_>) -> Result<System, Fatal> {
        let root = world.join(design.domain);
        let host = host_of(design.domain);
        let config = format!(
            "# {domain} in the demo's world; made by `posthaste demo`.\n\
             [server]\nhostname = \"{host}\"\n\n\
             [listen]\nbind = [\"{ip}\"]\nport_offset = {offset}\n\n\
             [storage]\ndata_dir = {data}\n{settings}",
            domain = design.domain,
            ip = design.ip,
            offset = design.port_offset,
            data = quote(&root.join("data")),
            settings = design.settings,
        );
        write(&root.join("posthaste.toml"), config.as_bytes())?;
        let args = InitArgs {
            folder: root.clone(),
            domain: design.domain.to_owned(),
            hostname: Some(host),
            accounts: vec![design.account.to_owned()],
            password_stdin: false,
            bind: Some(design.ip),
            port_offset: design.port_offset,
            yes: true,
            json: false,
        };
        let mut report = init::make(&args, Vec::new())
            .map_err(|error| fault(format!("init of {}: {error}", design.domain)))?;
        let (address, password) = report
            .passwords
            .pop()
            .ok_or_else(|| fault(format!("{} has its account already", root.display())))?;
        Ok(System {
            domain: design.domain.to_owned(),
            ip: design.ip,
            root,
            person: Person { address, password },
            records: report.records,
            port_offset: design.port_offset,
            up: None,
            mta: None,
        })
    }

    /// Where one of its services listens.
    pub(super) fn at(&self, standard_port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, standard_port + self.port_offset)
    }

    /// Its host's name.
    pub(super) fn host(&self) -> String {
        host_of(&self.domain)
    }

    /// Its configuration.
    pub(super) fn config(&self) -> PathBuf {
        self.root.join("posthaste.toml")
    }

    /// Where the agents write the journey.
    pub(super) fn trail(&self) -> PathBuf {
        self.root.join("data/trail")
    }

    /// Starts the agents; [`System::is_ready`] tells when they answer.
    pub(super) fn start(&mut self, agents: Agents) -> Result<(), Fatal> {
        let mut command = self.command(&["up", "-c"])?;
        command.arg(self.config());
        if agents == Agents::ExceptMta {
            command.args(["--set", "agents.run=[\"auth\",\"msa\",\"mda\"]"]);
            self.start_mta()?;
        }
        self.up = Some(self.spawn(command, "up")?);
        Ok(())
    }

    /// Starts the MTA by itself.
    pub(super) fn start_mta(&mut self) -> Result<(), Fatal> {
        let mut command = self.command(&["mta", "-c"])?;
        command.arg(self.config());
        self.mta = Some(self.spawn(command, "mta")?);
        Ok(())
    }

    /// `kill -9` of the MTA that was started by itself.
    pub(super) fn kill_mta(&mut self) -> Result<u32, Fatal> {
        let mut mta = self.mta.take().ok_or_else(|| fault("no MTA of its own"))?;
        let id = mta.id();
        mta.kill().and_then(|()| mta.wait()).map_err(|error| fault_at(&"mta", &error))?;
        Ok(id)
    }

    /// Waits until `up` says that every listener answers.
    pub(super) async fn ready(&mut self) -> Result<(), Fatal> {
        let log = self.root.join("up.log");
        let deadline = Instant::now() + READY;
        loop {
            let said = std::fs::read_to_string(&log).unwrap_or_default();
            if said.lines().any(|line| line.starts_with("ready")) {
                return Ok(());
            }
            if let Some(status) = self.ended() {
                return Err(fault(format!("up of {} {status}:\n{said}", self.domain)));
            }
            if Instant::now() > deadline {
                return Err(fault(format!("{} is not ready:\n{said}", self.domain)));
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Runs one of the admin's verbs and waits for it: exit status and output.
    pub(super) fn verb(&self, words: &[&str]) -> Result<(ExitStatus, String), Fatal> {
        let mut command = self.command(words)?;
        command.env("POSTHASTE_CONFIG", self.config()).stdin(Stdio::null());
        let output = command.output().map_err(|error| fault_at(&words[0], &error))?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status, said))
    }

    /// Lets whoever logs in as its account send as any address of that domain.
    pub(super) fn is_gateway_for(&self, domain: &str) -> Result<(), Fatal> {
        let store = Store::new(Arc::new(disk::RealDisk), self.root.join("data/directory"));
        let address: Address = self.person.address.parse().map_err(|_| fault("no address"))?;
        let domain: Domain = domain.parse().map_err(|_| fault("no domain"))?;
        let changed = store.change(|draft| draft.set_gateway(&address, vec![domain]));
        changed.map(drop).map_err(|error| fault(error.to_string()))
    }

    /// Ends all agents: SIGTERM and a clean drain, SIGKILL for what does not end.
    ///
    /// # Errors
    /// An agent that had to be killed, or ended badly.
    pub(super) async fn stop(&mut self) -> Result<(), Fatal> {
        let mut outcome = Ok(());
        for mut child in [self.mta.take(), self.up.take()].into_iter().flatten() {
            signal(&child, Signal::TERM);
            let deadline = Instant::now() + DRAIN;
            let mut ended = None;
            while ended.is_none() && Instant::now() < deadline {
                tokio::time::sleep(LOOK).await;
                ended = child.try_wait().ok().flatten();
            }
            if ended.is_none() {
                kill_all(&mut child);
            }
            if !ended.is_some_and(|status| status.success()) {
                let said = std::fs::read_to_string(self.root.join("up.log")).unwrap_or_default();
                let how = ended.map_or("had to be killed".into(), |status| status.to_string());
                outcome = Err(fault(format!("agents of {}: {how}\n{said}", self.domain)));
            }
        }
        outcome
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.up.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    fn command(&self, words: &[&str]) -> Result<Command, Fatal> {
        let own = std::env::current_exe().map_err(|error| fault_at(&"posthaste", &error))?;
        let mut command = Command::new(own);
        command.args(words);
        Ok(command)
    }

    fn spawn(&self, mut command: Command, name: &str) -> Result<Child, Fatal> {
        let path = self.root.join(format!("{name}.log"));
        let log = File::create(&path).map_err(|error| fault_at(&path.display(), &error))?;
        let again = log.try_clone().map_err(|error| fault_at(&path.display(), &error))?;
        // A group of its own: Ctrl-C at the terminal is for the demo, which ends them in order.
        // Its standard input ends with the demo, however that ends: then it ends too.
        command.env(service::daemon::SUPERVISED, "1").stdin(Stdio::piped());
        command.stdout(log).stderr(again).process_group(0);
        command.spawn().map_err(|error| fault_at(&name, &error))
    }
}

impl Drop for System {
    fn drop(&mut self) {
        // Whoever cares how they end has called stop(); on the way out of a failure nobody waits.
        for mut child in [self.mta.take(), self.up.take()].into_iter().flatten() {
            kill_all(&mut child);
        }
    }
}

/// `mx.DOMAIN`.
pub(super) fn host_of(domain: &str) -> String {
    format!("mx.{domain}")
}

/// A path as a TOML string.
pub(super) fn quote(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn signal(child: &Child, signal: Signal) {
    if let Some(pid) = pid(child) {
        let _ = kill_process(pid, signal);
    }
}

/// The child and everything it started.
fn kill_all(child: &mut Child) {
    if let Some(pid) = pid(child) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    let _ = child.wait();
}
