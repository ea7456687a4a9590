//! One machine with the real agents in it, each on a runtime of its own so that it can be killed in
//! the middle of anything; their stores on faulty disks, stepped by hand; time that jumps when
//! nothing happens.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::{Arc, OnceLock};
use std::task::{Poll, Waker};
use std::time::Duration;

use directory::{Account, PasswordVerifier, Quota, Renewing, Store};
use disk::faulty::{Cut, FaultyDisk, Operation};
use disk::{Access, Disk, ErrorKind, GroupCommit, LogOptions, Mode, Step};
use mailbox::{Mailboxes, Writer};
use net::listen::{Bound, Endpoint};
use net::{Clock, Network};
use protocol::ipc::{Granted, LoginAnswer, LoginCall};
use protocol::machine::Tick;
use protocol::time::Timestamp;
use queue::{Queue, Stepped};
use service::{AgentName, Chance, ConfigHandle, Context, Paths};
use tokio::runtime::Runtime;

use crate::liar::{Liar, Lie};
use crate::random::Random;
use crate::wires::Net;

/// An agent of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Who {
    Auth,
    Mda,
    Mta,
    Msa,
}

pub(crate) const ALL: [Who; 4] = [Who::Auth, Who::Mda, Who::Mta, Who::Msa];

/// Where the other system takes letters.
pub(crate) const FAR: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 25);

pub(crate) fn at_home(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// The machine.
pub(crate) struct House {
    pub(crate) random: Random,
    lie: Option<Lie>,
    pub(crate) clock: Clock,
    pub(crate) net: Net,
    site: Site,
    pub(crate) mail_disk: FaultyDisk,
    pub(crate) post_disk: FaultyDisk,
    directory_disk: FaultyDisk,
    agents: BTreeMap<Who, Runtime>,
    mail: Option<(Mailboxes, GroupCommit<Writer>)>,
    queue: Option<Stepped>,
    /// People, and the other system: they live on when the machine dies.
    pub(crate) outside: Runtime,
    forgetful: Vec<FaultyDisk>,
    told: bool,
    pub(crate) deaths: u64,
}

/// What is the same on every machine of every seed.
#[derive(Clone)]
struct Site {
    config: ConfigHandle,
    means: mta::Means,
    directory: BTreeMap<PathBuf, Vec<u8>>,
}

/// Reads the configuration, and makes the directory, once: passwords are slow on purpose.
fn site() -> &'static Site {
    static SITE: OnceLock<Site> = OnceLock::new();
    SITE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthaste.toml");
        let text = format!(
            "auth_without_tls = \"loopback\"\n[server]\nhostname = \"mx.red.test\"\n\
             [storage]\ndata_dir = \"/data\"\nlow_water_bytes = \"4KB\"\n\
             [dns]\nservers = [\"127.0.0.1:1\"]\n\
             [antispam]\ntrusted_networks = [\"192.0.2.0/24\"]\n\
             [mta]\nroutes = {{ \"blue.test\" = \"smtp:{FAR}\" }}\n\
             [mta.retry]\nfirst = \"20s\"\nmax = \"10m\"\n"
        );
        std::fs::write(&file, text).expect("a file is written");
        let config = ConfigHandle::load(&file, &[]).expect("a good configuration");
        let paths = Paths::new(&config.current().storage.data_dir);
        let disk = FaultyDisk::new();
        disk.make_dirs(&paths.directory(), Mode::PRIVATE_DIR).expect("a folder");
        let store = Store::new(Arc::new(disk.clone()), paths.directory());
        store.create().expect("a directory");
        let password = PasswordVerifier::new("sesame").expect("a password");
        let made = store.change(|draft| {
            draft.add_domain("red.test".parse().expect("a domain"))?;
            for name in crate::promises::PEOPLE {
                let address = format!("{name}@red.test").parse().expect("an address");
                let quota = Quota::default();
                let account =
                    Account { address, quota, subaddressing: true, gateway_for: Vec::new() };
                draft.add_account(account, password.clone())?;
            }
            Ok(())
        });
        made.expect("accounts");
        let means = mta::Means::of(&config.current()).expect("means");
        Site { config, means, directory: disk.files() }
    })
}

impl House {
    /// A machine with empty stores, running.
    pub(crate) fn new(seed: u64, lie: Option<Lie>) -> Result<Self, String> {
        let clock = Clock::virtual_at(Timestamp::from_micros(1_795_381_596_000_000));
        let site = site().clone();
        let directory_disk = FaultyDisk::new();
        for (path, bytes) in &site.directory {
            let folder = path.parent().unwrap_or(Path::new("/"));
            directory_disk.make_dirs(folder, Mode::PRIVATE_DIR).map_err(|e| e.to_string())?;
            let file = directory_disk.open(path, Access::Create(Mode::PRIVATE));
            let written = file.and_then(|file| file.write_at(0, bytes));
            written.map_err(|error| error.to_string())?;
        }
        let mut house = House {
            random: Random::new(seed),
            lie,
            net: Net::new(seed, &clock),
            clock,
            site,
            mail_disk: FaultyDisk::new(),
            post_disk: FaultyDisk::new(),
            directory_disk,
            agents: BTreeMap::new(),
            mail: None,
            queue: None,
            outside: runtime(),
            forgetful: Vec::new(),
            told: std::env::var_os("POSTHASTE_TRACE").is_some(),
            deaths: 0,
        };
        ALL.iter().try_for_each(|who| house.start(*who))?;
        Ok(house)
    }

    /// With `POSTHASTE_TRACE` set, says what happens.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        if self.told {
            eprintln!("{:>9.3} s  == {}", self.clock.tick().as_micros() as f64 / 1e6, what());
        }
    }

    pub(crate) fn network(&self) -> Network {
        Network::of(Arc::new(self.net.clone()))
    }

    pub(crate) fn mailboxes(&self) -> Result<Mailboxes, String> {
        let mail = self.mail.as_ref().map(|(mailboxes, _)| mailboxes.clone());
        mail.ok_or_else(|| "the mailboxes are down".to_owned())
    }

    pub(crate) fn letters(&self) -> Result<Queue, String> {
        let queue = self.queue.as_ref().map(|stepped| stepped.queue.clone());
        queue.ok_or_else(|| "the queue is down".to_owned())
    }

    fn disk(&self, of: &FaultyDisk) -> Arc<dyn Disk> {
        match self.lie {
            Some(lie) => Arc::new(Liar::new(of.clone(), lie)),
            None => Arc::new(of.clone()),
        }
    }

    /// A socket of the machine.
    fn socket(&self, endpoint: Endpoint) -> Bound {
        let name = match &endpoint {
            Endpoint::Tcp(address) => address.to_string(),
            Endpoint::Unix { path, .. } => path.display().to_string(),
        };
        Bound::incoming(endpoint, self.net.listen(name))
    }

    /// Starts an agent that does not run, with the stores that are its own.
    pub(crate) fn start(&mut self, who: Who) -> Result<(), String> {
        if self.agents.contains_key(&who) {
            return Ok(());
        }
        let name = match who {
            Who::Auth => AgentName::Auth,
            Who::Mda => AgentName::Mda,
            Who::Mta => AgentName::Mta,
            Who::Msa => AgentName::Msa,
        };
        let mut context = Context::detached(name, self.site.config.clone(), &self.clock);
        context.network = self.network();
        context.chance = Chance::seeded(self.random.next());
        let paths = context.paths.clone();
        let unix = |path| Endpoint::Unix { path, mode: 0o600 };
        let tcp = |port| Endpoint::Tcp(at_home(port));
        let directory: Arc<dyn Disk> = Arc::new(self.directory_disk.clone());
        let directory = Renewing::open(directory, &paths.directory());
        let directory = Arc::new(directory.map_err(|error| error.to_string())?);
        let runtime = runtime();
        match who {
            Who::Auth => {
                let listener = self.socket(unix(paths.auth_socket())).listen();
                let listener = listener.map_err(|error| error.to_string())?;
                let identity =
                    net::ipc::Identity { agent: "auth".to_owned(), software: "0".to_owned() };
                let serving = net::ipc::serve::<LoginCall, Doorman>(
                    listener,
                    context.hall(),
                    identity,
                    Arc::new(Doorman),
                );
                runtime.spawn(serving);
            }
            Who::Mda => {
                let mailboxes = self.open_mail(&paths, &context.clock)?;
                let lmtp = self.socket(unix(paths.mda_socket()));
                let imap = vec![(self.socket(tcp(143)), mda::Entry::Plain)];
                let (pop3, managesieve) = (Vec::new(), Vec::new());
                let works = mda::Works { lmtp, imap, pop3, managesieve, directory, mailboxes };
                runtime.spawn(async move { drop(mda::work(works, context).await) });
            }
            Who::Mta => {
                let queue = self.open_queue(&paths)?;
                let sockets = vec![
                    (self.socket(tcp(25)), mta::Door::Internet),
                    (self.socket(unix(paths.mta_socket())), mta::Door::Relay),
                ];
                let (disk, means) = (self.disk(&self.post_disk), self.site.means.clone());
                let works = mta::Works { sockets, disk, directory, queue, means };
                runtime.spawn(async move { drop(mta::work(works, context).await) });
            }
            Who::Msa => {
                let sockets = vec![(self.socket(tcp(587)), msa::Entrance::StartTls)];
                let works = msa::Works { sockets, directory };
                runtime.spawn(async move { drop(msa::work(works, context).await) });
            }
        }
        self.agents.insert(who, runtime);
        Ok(())
    }

    fn open_mail(&mut self, paths: &Paths, clock: &Clock) -> Result<Mailboxes, String> {
        let clock = clock.clone();
        let mut options = mailbox::Options::new(paths.mail(), Arc::new(move || clock.now()));
        options.commit.log = LOG;
        let opened = Mailboxes::open_stepped(self.disk(&self.mail_disk), options);
        let (mailboxes, commit, found) = opened.map_err(|error| format!("{error:?}"))?;
        if found.lost > 0 {
            return Err(format!("the log of the mailboxes has lost {} records", found.lost));
        }
        self.mail = Some((mailboxes.clone(), commit));
        Ok(mailboxes)
    }

    fn open_queue(&mut self, paths: &Paths) -> Result<Queue, String> {
        let mut options = queue::Options::new(paths.queue());
        options.commit.log = LOG;
        let opened = Queue::open_stepped(self.disk(&self.post_disk), options);
        let stepped = opened.map_err(|error| error.to_string())?;
        if stepped.report.log.lost > 0 {
            return Err(format!(
                "the log of the queue has lost {} records",
                stepped.report.log.lost
            ));
        }
        let queue = stepped.queue.clone();
        self.queue = Some(stepped);
        Ok(queue)
    }

    pub(crate) fn runs(&self, who: Who) -> bool {
        self.agents.contains_key(&who)
    }

    /// kill -9.
    pub(crate) fn kill(&mut self, who: Who) {
        self.tell(|| format!("{who:?} is killed"));
        drop(self.agents.remove(&who));
        match who {
            Who::Mda => {
                self.mail = None;
                self.mail_disk.restart_process();
            }
            Who::Mta => {
                self.queue = None;
                self.post_disk.restart_process();
            }
            Who::Auth | Who::Msa => {}
        }
        self.deaths += 1;
    }

    /// The power goes; the disks are well afterwards.
    pub(crate) fn cut_power(&mut self) {
        self.tell(|| "the power goes".to_owned());
        ALL.iter().for_each(|who| self.kill(*who));
        self.heal();
        for disk in [self.mail_disk.clone(), self.post_disk.clone()] {
            let cut =
                if self.random.once_in(3) { Cut::LoseAll } else { Cut::Some(self.random.next()) };
            disk.restart(cut);
        }
    }

    /// No new faults.
    pub(crate) fn heal(&mut self) {
        self.forgetful.clear();
        self.net.storm(false);
        for disk in [&self.mail_disk, &self.post_disk] {
            disk.set_capacity(None);
        }
    }

    /// Something is going to go wrong, perhaps.
    pub(crate) fn arm(&mut self) {
        let stormy = self.random.once_in(2);
        self.net.storm(stormy);
        for disk in [self.mail_disk.clone(), self.post_disk.clone()] {
            let chance = self.random.below(9);
            self.tell(|| format!("storm {stormy}, fault {chance}"));
            match chance {
                0..=2 => disk.cut_power_after(self.random.below(250)),
                3 | 4 => {
                    let operation = *self.random.pick(&OPERATIONS);
                    let kind = *self.random.pick(&[ErrorKind::Io, ErrorKind::Io, ErrorKind::Full]);
                    disk.fail(operation, self.random.below(20), kind);
                }
                5 => disk.set_capacity(Some(disk.used() + self.random.below(40_000))),
                6 => self.forgetful.push(disk.clone()),
                _ => {}
            }
        }
    }

    /// What the kernel does on its own.
    pub(crate) fn write_back(&mut self) {
        for disk in self.forgetful.clone() {
            if self.random.once_in(3) {
                disk.lose_pages(self.random.next());
            }
        }
    }

    /// A disk has lost its power: the machine is down.
    pub(crate) fn is_off(&self) -> bool {
        self.mail_disk.is_off() || self.post_disk.is_off()
    }

    /// Agents whose store takes nothing more until they are started again.
    pub(crate) fn failed(&mut self) -> Vec<Who> {
        let now = self.clock.tick().since(Tick::default());
        let mut failed = Vec::new();
        if self.mail.as_mut().is_some_and(|(_, commit)| commit.step(now) == Step::Failed) {
            failed.push(Who::Mda);
        }
        if self.queue.as_mut().is_some_and(|queue| queue.commit.step(now) == Step::Failed) {
            failed.push(Who::Mta);
        }
        failed
    }

    /// Everything that can move does, a little; whether something did, and when a store has
    /// something to do again.
    fn turn(&mut self) -> (bool, Duration) {
        let before = self.activity();
        self.outside.block_on(passes());
        self.agents.values().for_each(|runtime| runtime.block_on(passes()));
        let mut worked = false;
        let mut idle = Duration::from_secs(60);
        for _ in 0..4 {
            let now = self.clock.tick().since(Tick::default());
            let mail = self.mail.as_mut().map(|(_, commit)| commit.step(now));
            let queue = self.queue.as_mut().map(|queue| queue.commit.step(now));
            let steps = [mail, queue];
            for step in steps.iter().flatten() {
                if let Step::Idle(longest) = step {
                    idle = idle.min(*longest);
                }
            }
            if !steps.contains(&Some(Step::Worked)) {
                break;
            }
            worked = true;
        }
        (worked || self.activity() != before, idle)
    }

    fn activity(&self) -> (u64, u64, u64) {
        (self.net.events().0, self.mail_disk.operations(), self.post_disk.operations())
    }

    /// Lets time pass, or until the machine is down.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.clock.tick().after(time);
        let mut quiet = 0;
        while self.clock.tick() < until && !self.is_off() {
            let (moved, idle) = self.turn();
            quiet = if moved { 0 } else { quiet + 1 };
            if quiet < QUIET {
                self.clock.advance(MOMENT);
                continue;
            }
            quiet = 0;
            let now = self.clock.tick();
            let next = self.clock.next_wake().unwrap_or(until).min(now.after(idle)).min(until);
            self.clock.advance(next.since(now).max(MOMENT));
        }
    }

    /// Runs the machine until the future is ready.
    pub(crate) fn drive<T>(&mut self, future: impl Future<Output = T>) -> Result<T, String> {
        let mut future = pin!(future);
        let mut context = std::task::Context::from_waker(Waker::noop());
        for _ in 0..2000 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut context) {
                return Ok(done);
            }
            let (moved, idle) = self.turn();
            self.clock.advance(if moved { MOMENT } else { idle.min(Duration::from_millis(20)) });
        }
        Err("a store does not answer".to_owned())
    }
}

/// Knows everybody by one password; the real one is slow on purpose, and keeps no letters.
struct Doorman;

impl net::ipc::Service<LoginCall> for Doorman {
    async fn call(&self, call: LoginCall, respond: net::ipc::Responder) {
        let LoginCall::Start(start) = call else {
            return respond.answer(&LoginAnswer::Refused).await;
        };
        let claim = start.initial.as_ref().map(|it| it.as_bytes().to_vec()).unwrap_or_default();
        let fields: Vec<&[u8]> = claim.split(|byte| *byte == 0).collect();
        let answer = match fields.as_slice() {
            [_, name, b"sesame"] => {
                let name = String::from_utf8_lossy(name).into_owned();
                LoginAnswer::Granted(Granted {
                    account: format!("{name}@red.test"),
                    mechanism: "PLAIN".to_owned(),
                    app_password: None,
                })
            }
            _ => LoginAnswer::Refused,
        };
        respond.answer(&answer).await;
    }
}

/// A runtime without a clock or sockets of its own.
fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime")
}

/// Lets the other tasks of a runtime run.
async fn passes() {
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
}

/// The smallest log, so that it is reused often.
const LOG: LogOptions = LogOptions { segment: 512 * 1024, segments: 2, salt: Some(7) };

/// How long one turn takes.
const MOMENT: Duration = Duration::from_micros(20);

/// So many turns in which nothing moves, and time may jump.
const QUIET: u32 = 3;

const OPERATIONS: [Operation; 6] = [
    Operation::Create,
    Operation::Write,
    Operation::Name,
    Operation::Sync,
    Operation::SyncDir,
    Operation::SyncFilesystem,
];
