//! One Posthaste of a test: a folder, an address, `init`, `up` or single agents, and its end.

use std::collections::BTreeMap;
use std::fs::File;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::address::{Address, PORT_OFFSET, Service};
use crate::authority::Authority;
use crate::clients::{self, Said};
use crate::conversation::Conversation;
use crate::dns::NameServer;
use crate::{process, wait};

/// Every agent that `up` runs.
pub const AGENTS: [&str; 4] = ["auth", "msa", "mta", "mda"];
/// From SIGTERM to the end.
const DRAIN: Duration = Duration::from_secs(20);

/// The executable under test: `POSTHASTE_BIN`, else the one built beside the tests.
pub fn executable() -> PathBuf {
    if let Some(path) = std::env::var_os("POSTHASTE_BIN") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("a running program has a path");
    let folder = tests.ancestors().nth(2).expect("target/debug/deps/NAME");
    let path = folder.join("posthaste");
    assert!(path.is_file(), "{} is missing: cargo build -p posthaste", path.display());
    path
}

/// What an instance is to be.
pub struct Builder {
    domain: String,
    hostname: String,
    accounts: Vec<(String, String)>,
    settings: BTreeMap<String, String>,
    certificate: Option<PathBuf>,
    folder: TempDir,
    kept: Option<PathBuf>,
    address: Address,
}

impl Builder {
    /// Keeps everything in a folder that stays. An instance that is there already is taken up
    /// again, under its new address.
    pub fn kept_in(mut self, folder: &Path) -> Builder {
        self.kept = Some(folder.to_owned());
        let bind = format!("[\"{}\"]", self.address.ip());
        self.set("listen.bind", bind)
    }

    /// An account of the domain, by its bare name.
    pub fn account(mut self, name: &str, password: &str) -> Builder {
        self.accounts.push((name.into(), password.into()));
        self
    }

    /// A setting as `--set` takes it: `mta.remote_port`, `10025`.
    pub fn set(mut self, key: &str, value: impl Into<String>) -> Builder {
        self.settings.insert(key.into(), value.into());
        self
    }

    /// Asks this name server, and connects to other domains on the port that tests use.
    pub fn dns(self, server: &NameServer) -> Builder {
        let port = Service::Smtp.port().to_string();
        self.set("dns.servers", format!("[\"{}\"]", server.address())).set("mta.remote_port", port)
    }

    /// Shows a certificate of this authority, and trusts it.
    pub fn authority(mut self, authority: &Authority) -> Builder {
        let path = |name: &str| self.folder.path().join(name);
        let (roots, certificate, key) = (path("roots.pem"), path("host.pem"), path("host.key"));
        std::fs::write(&roots, authority.pem()).expect("the folder is writable");
        authority.issue(&self.hostname, &self.address, &certificate, &key);
        let quoted = |path: &Path| format!("{:?}", path.display().to_string());
        let settings = [
            ("tls.extra_roots_file", quoted(&roots)),
            ("tls.certificate", quoted(&certificate)),
            ("tls.key", quoted(&key)),
        ];
        for (name, value) in settings {
            self.settings.insert(name.into(), value);
        }
        self.certificate = Some(roots);
        self
    }

    /// Lets clients log in without TLS: the loopback is ours.
    pub fn cleartext_login(self) -> Builder {
        self.set("auth_without_tls", "\"loopback\"")
    }

    /// The address that the instance will have.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// A folder that lives as long as the instance.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `init`.
    pub fn init(self) -> Instance {
        let above = self.kept.as_deref().unwrap_or(self.folder.path());
        let root = above.join("posthaste");
        let mut command = Command::new(executable());
        command.arg("init").arg(&root).args(["--domain", &self.domain]);
        command.args(["--hostname", &self.hostname, "--yes", "--password-stdin"]);
        command.args(["--bind", &self.address.ip().to_string()]);
        command.args(["--port-offset", &PORT_OFFSET.to_string()]);
        let mut passwords = String::new();
        for (name, password) in &self.accounts {
            command.args(["--account", name]);
            passwords.push_str(password);
            passwords.push('\n');
        }
        clients::run(&mut command, passwords.as_bytes()).ok();
        Instance {
            root,
            domain: self.domain,
            hostname: self.hostname,
            settings: self.settings,
            roots: self.certificate,
            environment: BTreeMap::new(),
            processes: BTreeMap::new(),
            address: self.address,
            _folder: self.folder,
        }
    }

    /// Runs `init` and `up`.
    pub fn start(self) -> Instance {
        let mut instance = self.init();
        instance.up();
        instance
    }
}

/// A Posthaste with its folder; dropped, its processes are killed and the folder is removed.
pub struct Instance {
    root: PathBuf,
    domain: String,
    hostname: String,
    settings: BTreeMap<String, String>,
    roots: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    processes: BTreeMap<String, Child>,
    address: Address,
    _folder: TempDir,
}

impl Instance {
    /// Begins an instance for a domain, whose host is `mx.DOMAIN`.
    pub fn of(domain: &str) -> Builder {
        let hostname = format!("mx.{domain}");
        Builder {
            domain: domain.into(),
            hostname,
            accounts: Vec::new(),
            // Small logs: an instance of a test has few letters, and its disk is everyone's.
            settings: BTreeMap::from([("storage.log_segment".into(), "\"4MB\"".into())]),
            certificate: None,
            folder: tempfile::Builder::new().prefix("pt-").tempdir().expect("a folder"),
            kept: None,
            address: Address::take(),
        }
    }

    /// The domain it hosts.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The name it gives itself.
    pub fn hostname(&self) -> &str {
        &self.hostname
    }

    /// Its address.
    pub fn ip(&self) -> IpAddr {
        self.address.ip()
    }

    /// Where a service listens.
    pub fn at(&self, service: Service) -> SocketAddr {
        SocketAddr::new(self.ip(), service.port())
    }

    /// A connection to a service, its greeting not yet read.
    pub fn connect(&self, service: Service) -> Conversation {
        Conversation::open(self.at(service))
    }

    /// DIR of `init DIR`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// DIR/data.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// DIR/posthaste.toml.
    pub fn config(&self) -> PathBuf {
        self.root.join("posthaste.toml")
    }

    /// The authority's certificate for clients; the instance's own where no authority was given.
    pub fn roots(&self) -> PathBuf {
        self.roots.clone().unwrap_or_else(|| self.data().join("keys/tls.crt"))
    }

    /// The certificate that the instance shows.
    pub fn certificate(&self) -> PathBuf {
        match &self.roots {
            Some(roots) => roots.with_file_name("host.pem"),
            None => self.data().join("keys/tls.crt"),
        }
    }

    /// Where an account's Maildir is.
    pub fn maildir(&self, account: &str) -> PathBuf {
        self.data().join("mail").join(&self.domain).join(account)
    }

    /// Changes a setting for what is started from now on.
    pub fn set(&mut self, key: &str, value: impl Into<String>) {
        self.settings.insert(key.into(), value.into());
    }

    /// Sets an environment variable of what is started from now on.
    pub fn set_environment(&mut self, name: &str, value: impl Into<String>) {
        self.environment.insert(name.into(), value.into());
    }

    /// Starts `up` where it cannot start; what it printed, once it has ended by itself.
    pub fn up_in_vain(&mut self) -> String {
        self.spawn("up");
        let mut child = self.processes.remove("up").expect("it was started");
        let ended = wait::try_within(wait::PATIENCE, || child.try_wait().expect("our child"));
        let said = self.log("up");
        let status = ended.unwrap_or_else(|| {
            process::kill_group(child.id());
            panic!("it goes on:\n{said}")
        });
        assert!(!status.success(), "it ended with {status}:\n{said}");
        said
    }

    /// Starts all agents and waits for `ready`.
    pub fn up(&mut self) {
        let log = self.spawn("up");
        self.await_line("up", &log, |log| log.lines().any(|line| line.starts_with("ready")));
    }

    /// Starts one agent by itself; the caller waits for what it needs of it.
    pub fn start_agent(&mut self, agent: &str) {
        self.spawn(agent);
    }

    /// What a process that the test started has printed.
    pub fn log(&self, name: &str) -> String {
        std::fs::read_to_string(self.log_path(name)).unwrap_or_default()
    }

    /// SIGTERM to `up` (or what was started), and its clean end.
    #[track_caller]
    pub fn stop(&mut self) {
        for (name, mut child) in std::mem::take(&mut self.processes) {
            process::terminate(child.id());
            let ended = wait::try_within(DRAIN, || child.try_wait().expect("our child"));
            let Some(status) = ended else {
                process::kill_group(child.id());
                panic!("{name} did not end within {DRAIN:?}:\n{}", self.log(&name));
            };
            assert!(status.success(), "{name} ended with {status}:\n{}", self.log(&name));
        }
    }

    /// `kill -9` of everything at once, as near to a power cut as processes come.
    pub fn kill_all(&mut self) {
        for (_, mut child) in std::mem::take(&mut self.processes) {
            // Agents have groups of their own. The supervisor first: it would start them again.
            let below = process::children(child.id());
            process::kill_group(child.id());
            for (id, _) in &below {
                process::kill(*id);
            }
            let _ = child.wait();
            for (id, _) in below {
                wait::until("a killed agent is gone", || (!process::is_alive(id)).then_some(()));
            }
        }
    }

    /// The process number of an agent below `up`, or of one started by itself.
    pub fn agent(&self, agent: &str) -> Option<u32> {
        if let Some(child) = self.processes.get(agent) {
            return Some(child.id());
        }
        let up = self.processes.get("up")?.id();
        let named = |words: &[String]| words.iter().any(|word| word == agent);
        process::children(up).into_iter().find(|(_, words)| named(words)).map(|(id, _)| id)
    }

    /// `kill -9` of one agent. Under `up` it comes back by itself.
    #[track_caller]
    pub fn kill(&mut self, agent: &str) -> u32 {
        let id = self.agent(agent).unwrap_or_else(|| panic!("no {agent} runs"));
        process::kill(id);
        if let Some(mut child) = self.processes.remove(agent) {
            let _ = child.wait();
        }
        id
    }

    /// `kill -9` of an agent below `up`, which brings it back. For threads that share the instance.
    pub fn kill_below_up(&self, agent: &str) {
        if let Some(id) = self.agent(agent) {
            process::kill(id);
        }
    }

    /// A command of the executable, with this configuration.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(executable());
        command.args(words).env("POSTHASTE_CONFIG", self.config()).env("HOME", &self.root);
        command.env_remove("XDG_CONFIG_HOME").current_dir(&self.root);
        command
    }

    /// Runs a command of the executable.
    #[track_caller]
    pub fn run(&self, words: &[&str]) -> Said {
        clients::run(&mut self.command(words), b"")
    }

    /// Runs a command with `--json` and reads its lines.
    #[track_caller]
    pub fn json(&self, words: &[&str]) -> Vec<Value> {
        let said = clients::run(self.command(words).arg("--json"), b"");
        let lines = said.out.lines().filter(|line| !line.trim().is_empty());
        lines
            .map(|line| {
                serde_json::from_str(line)
                    .unwrap_or_else(|error| panic!("{words:?}: {error}: {line}\n{}", said.err))
            })
            .collect()
    }

    /// The ledger balances, and names no letter.
    #[track_caller]
    pub fn assert_balanced(&self) {
        let said = self.run(&["ledger"]);
        assert_eq!(said.code, 0, "ledger of {}:\n{}{}", self.domain, said.out, said.err);
    }

    /// The queue, one JSON value per letter.
    #[track_caller]
    pub fn queue(&self) -> Vec<Value> {
        // A queue that cannot be seen is not an empty one.
        let said = self.run(&["queue", "list", "--json"]).ok();
        let letters = said.out.lines().map(serde_json::from_str);
        letters.collect::<Result<_, _>>().unwrap_or_else(|error| panic!("{error}: {}", said.out))
    }

    fn log_path(&self, name: &str) -> PathBuf {
        self.root.join(format!("{name}.log"))
    }

    fn spawn(&mut self, name: &str) -> PathBuf {
        let log = self.log_path(name);
        let open = || File::options().create(true).append(true).open(&log).expect("a log file");
        std::fs::write(&log, "").expect("the folder is writable");
        let mut command = self.command(&[name, "-c"]);
        command.arg(self.config());
        for (key, value) in &self.settings {
            command.arg("--set").arg(format!("{key}={value}"));
        }
        // Its standard input ends with the test, however that ends: nothing outlives a killed run.
        command.envs(&self.environment);
        command.env("POSTHASTE_SUPERVISED", "1").stdin(Stdio::piped());
        command.stdout(open()).stderr(open()).process_group(0);
        let child = command.spawn().expect("the executable starts");
        self.processes.insert(name.into(), child);
        log
    }

    fn await_line(&mut self, name: &str, log: &Path, found: impl Fn(&str) -> bool) {
        let child = self.processes.get_mut(name).expect("it was started");
        let outcome = wait::try_within(wait::PATIENCE, || {
            let text = std::fs::read_to_string(log).unwrap_or_default();
            if found(&text) {
                return Some(Ok(()));
            }
            child.try_wait().expect("our child").map(Err)
        });
        let text = || std::fs::read_to_string(log).unwrap_or_default();
        match outcome {
            Some(Ok(())) => {}
            Some(Err(status)) => panic!("{name} ended with {status}:\n{}", text()),
            None => panic!("{name} is not ready:\n{}", text()),
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for name in self.processes.keys() {
                eprintln!("--- {name} of {}:\n{}", self.domain, self.log(name));
            }
        }
        self.kill_all();
    }
}
