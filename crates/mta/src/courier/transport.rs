//! Carries a load along a way: finds the places, tries them in order until one speaks for itself
//! about the letter, uses open sessions again, and falls back to clear text where TLS was only a
//! courtesy. One outcome for each recipient. It keeps no queue and makes no second attempt later.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use net::connect::Outgoing;
use net::dns::{Proof, Resolver, Setting};
use net::stream::Stream;
use net::tls;
use protocol::address::Domain;
use protocol::reply::Reply;
use protocol::smtp::client::{Config as ClientConfig, config::TlsUse};
use protocol::smtp::{Dialect, Observe};
use service::config::Config;
use service::daemon::Context;

use super::Journal;
use super::login::log_in;
use super::pool::Pool;
use super::session::{Encryption, Load, OpenError, Session};
use super::target::{Endpoint, Finder, Places, Target, TlsRule, nowhere};
use crate::policy::{self, Policies, Wish};
use crate::reason::{Failure, Reason};
use crate::relay::hosts::{self, Asks};
use crate::relay::route::{self, Hop, Way};
use crate::returns::Returns;

/// How long a TCP connection may take.
const CONNECT: Duration = Duration::from_secs(30);

/// How long a connection to a socket of this machine may take, and after it the greeting.
const CONNECT_LOCAL: Duration = Duration::from_secs(5);

/// Addresses that are tried for one load; the next attempt begins anew.
const TARGETS_TRIED: usize = 10;

/// Who took a letter over, and how.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    /// The host.
    pub(crate) host: String,
    /// What it said.
    pub(crate) reply: Reply,
    /// Whether it reports on its own from now on (RFC 3461 §5.2.2).
    pub(crate) reports: bool,
}

/// One outcome for each recipient: who took the letter, or why not.
pub(crate) type Outcomes = Vec<Result<Taken, Failure>>;

/// Carries letters.
pub(crate) struct Transport {
    context: Context,
    means: RwLock<Arc<Means>>,
    mda_socket: PathBuf,
    pool: Pool,
    policies: Policies,
    /// `None`: the secret for it cannot be read; the log says why.
    returns: Option<Returns>,
}

/// What a transport works with, and what a reload of the configuration can change.
#[derive(Clone)]
pub struct Means {
    resolver: Resolver,
    /// Believes any certificate.
    courteous: tls::Client,
    /// Believes only what holds.
    strict: tls::Client,
}

impl Means {
    /// By `dns` and `tls` of the configuration.
    ///
    /// # Errors
    /// One sentence about the key that is wrong.
    pub fn of(config: &Config) -> Result<Self, String> {
        let setting = Setting {
            servers: config.dns.servers.clone(),
            trust_anchor_file: config.dns.trust_anchor_file.clone(),
        };
        let resolver = Resolver::new(&setting).map_err(|why| format!("cannot ask DNS: {why}"))?;
        let roots = tls::Roots::load(config.tls.extra_roots_file.as_deref())
            .map_err(|error| error.to_string())?;
        let courteous = tls::Client::opportunistic(&roots);
        Ok(Means { resolver, courteous, strict: tls::Client::verifying(&roots) })
    }
}

impl Transport {
    /// A transport that lives as long as the agent.
    pub(crate) fn new(context: Context, means: Means) -> Self {
        Transport {
            mda_socket: context.paths.mda_socket(),
            policies: Policies::open(&context.paths.state(), &context.clock),
            returns: returns(&context),
            context,
            means: RwLock::new(Arc::new(means)),
            pool: Pool::default(),
        }
    }

    /// Works with other means from the next letter on.
    pub(crate) fn renew(&self, means: Means) {
        *self.means.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(means);
    }

    /// The ways back.
    pub(crate) fn returns(&self) -> Option<&Returns> {
        self.returns.as_ref()
    }

    /// Who is asked for names now.
    pub(crate) fn resolver(&self) -> Resolver {
        self.means().resolver.clone()
    }

    fn means(&self) -> Arc<Means> {
        self.means.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Carries `load` along `way`.
    pub(crate) async fn carry(
        &self,
        (config, way): (&Config, &Way),
        load: Load<'_>,
        journal: &Journal,
    ) -> Outcomes {
        let all = |failure: Failure| vec![Err(failure); load.recipients.len()];
        let Some(hop) = route::hop(&config.mta, way) else {
            let text = "the configuration has no such route any more";
            return all(Failure::temporary(Reason::Ours, (3, 5), text));
        };
        let ours: [Domain; 2] = [config.hostname(), config.helo_name()];
        let means = self.means();
        let asking = policy::Means {
            resolver: &means.resolver,
            strict: &means.strict,
            config,
            clock: &self.context.clock,
            journal,
        };
        let proving = matches!(hop, Hop::Exchangers(_)) && self.policies.is_proving(asking).await;
        let finder = Finder {
            resolver: &means.resolver,
            asks: if proving { Asks::Proven } else { Asks::Plain },
            mta: &config.mta,
            mda_socket: &self.mda_socket,
            ours: &ours,
            journal,
        };
        let mut tries = Tries { left: TARGETS_TRIED, worst: None };
        match finder.places(hop.clone()).await {
            Err(failure) => return all(failure),
            Ok(Places::Known(targets)) => {
                if let Some(done) =
                    self.try_all(&targets, &hop, (config, load, journal), &mut tries).await
                {
                    return done;
                }
            }
            Ok(Places::Exchangers { names, port, proof }) => {
                let place = (&finder, &hop, port);
                let trip = (asking, load);
                let done = self.try_exchangers((names, proof), place, trip, &mut tries).await;
                if let Some(done) = done {
                    return done;
                }
            }
            Ok(Places::Names { names, port, dialect, tls }) => {
                for name in names {
                    let place = (port, dialect, tls.clone());
                    let targets = match finder.targets(&name, place).await {
                        Ok(targets) => targets,
                        Err(failure) => {
                            tries.failed(failure);
                            continue;
                        }
                    };
                    let trip = (config, load, journal);
                    if let Some(done) = self.try_all(&targets, &hop, trip, &mut tries).await {
                        return done;
                    }
                }
            }
        }
        all(tries.worst.unwrap_or_else(nowhere))
    }

    /// Tries the exchangers of a domain, each as its policy demands.
    async fn try_exchangers(
        &self,
        (names, proof): (Vec<String>, Option<Proof>),
        (finder, hop, port): (&Finder<'_>, &Hop<'_>, u16),
        (asking, load): (policy::Means<'_>, Load<'_>),
        tries: &mut Tries,
    ) -> Option<Outcomes> {
        let Hop::Exchangers(domain) = hop else { return None };
        let policy = self.policies.domain(domain.as_str(), (load.wish, proof), asking).await;
        for name in names {
            let rule = match self.policies.rule(&policy, &name, asking).await {
                Ok(rule) => rule,
                Err(failure) => {
                    asking.journal.not_used(&name, &failure);
                    tries.failed(failure);
                    continue;
                }
            };
            let targets = match finder.targets(&name, (port, Dialect::Smtp, rule)).await {
                Ok(targets) => targets,
                Err(failure) => {
                    tries.failed(failure);
                    continue;
                }
            };
            // RFC 5321 §5.1: from ourselves on, by whatever name, no exchanger is tried.
            if targets.iter().any(|target| is_own(target, asking.config)) {
                tries.failed(hosts::leads_back(domain));
                return None;
            }
            let trip = (asking.config, load, asking.journal);
            if let Some(done) = self.try_all(&targets, hop, trip, tries).await {
                return Some(done);
            }
        }
        None
    }

    /// Tries targets until one of them speaks about the letter.
    async fn try_all(
        &self,
        targets: &[Target],
        hop: &Hop<'_>,
        (config, load, journal): (&Config, Load<'_>, &Journal),
        tries: &mut Tries,
    ) -> Option<Outcomes> {
        for target in targets {
            if tries.left == 0 {
                return None;
            }
            tries.left -= 1;
            let mut session = match self.session(target, hop, (config, journal)).await {
                Ok(session) => session,
                Err(failure) => {
                    tries.failed(self.weighed(failure, (target, hop), config));
                    continue;
                }
            };
            if let Hop::Exchangers(domain) = hop {
                let (facts, now) = (session.tls(), self.context.clock.now());
                self.policies.carried(domain.as_str(), &target.tls, facts.as_ref(), now);
                let met = (target.host.as_str(), facts.as_ref());
                let obeyed = config.mta.mta_sts && load.wish != Wish::Waived;
                let told =
                    obeyed.then(|| self.policies.tested(domain.as_str(), met, now)).flatten();
                told.into_iter().for_each(|text| journal.policy(&target.host, &text));
            }
            let (host, reports) = (session.host().to_owned(), session.promises_reports());
            let outcomes = session.carry(load, journal).await;
            self.put_back(target.clone(), session);
            let taken = |reply| Taken { host: host.clone(), reply, reports };
            return Some(outcomes.into_iter().map(|one| one.map(taken)).collect());
        }
        None
    }

    /// A connection that failed: for want of TLS where there was TLS before, that is told.
    fn weighed(
        &self,
        failure: Failure,
        (target, hop): (&Target, &Hop<'_>),
        config: &Config,
    ) -> Failure {
        match hop {
            Hop::Exchangers(domain)
                if target.tls == TlsRule::Remembered && failure.reason == Reason::Tls =>
            {
                let now = self.context.clock.now();
                self.policies.downgraded(domain.as_str(), failure, config, now)
            }
            _ => failure,
        }
    }

    /// A session with `target`: one that waits, or a new one.
    async fn session(
        &self,
        target: &Target,
        hop: &Hop<'_>,
        (config, journal): (&Config, &Journal),
    ) -> Result<Session, Failure> {
        let journal = &journal.under(target.tls.word());
        if let Some(session) = self.pool.take(target, self.context.clock.tick()) {
            if target.dialect == Dialect::Smtp {
                journal.reused(&target.host);
            }
            return Ok(session);
        }
        let courtesy = matches!(target.tls, TlsRule::Courtesy);
        // Boxed: most letters find an open session and need no room for the way to one.
        let first = Box::pin(self.open(target, self.rule(target), (config, journal))).await;
        let mut session = match first {
            Ok(session) => session,
            Err(OpenError::Failed(failure)) => return Err(failure),
            // RFC 7435 §3: better in the clear than not at all, where nobody asked for more.
            Err(OpenError::Handshake(_)) if courtesy => {
                match Box::pin(self.open(target, Encryption::None, (config, journal))).await {
                    Ok(session) => session,
                    Err(OpenError::Failed(failure) | OpenError::Handshake(failure)) => {
                        return Err(failure);
                    }
                }
            }
            Err(OpenError::Handshake(failure)) => return Err(failure),
        };
        if let Hop::Smarthost(smarthost) = hop
            && let Some(user) = &smarthost.user
        {
            Box::pin(log_in(&mut session, user, config, journal)).await?;
        }
        Ok(session)
    }

    async fn open(
        &self,
        target: &Target,
        encryption: Encryption,
        (config, journal): (&Config, &Journal),
    ) -> Result<Session, OpenError> {
        let stream = self.connect(target, config, journal).await.map_err(OpenError::Failed)?;
        let mut client = match target.dialect {
            Dialect::Smtp => ClientConfig::smtp(config.helo_name().as_str()),
            Dialect::Lmtp => ClientConfig::lmtp(config.helo_name().as_str()),
        };
        client.tls = match (&encryption, &target.tls) {
            (Encryption::StartTls(..), TlsRule::Courtesy) => TlsUse::IfOffered,
            (Encryption::StartTls(..), _) => TlsUse::Required,
            _ => TlsUse::Never,
        };
        // A server of this machine has no network to wait for. One that takes connections and does
        // not greet is out of means: whoever waits behind us is better served by the queue.
        if matches!(target.endpoint, Endpoint::Unix(_)) {
            client.timeouts.greeting = CONNECT_LOCAL;
        }
        // The dialogue with our own MDA tells a reader nothing that its events do not.
        if target.dialect == Dialect::Smtp {
            client.observe = Observe::Replies;
        }
        let seam = (&self.context.clock, &self.context.stop, journal);
        Session::open(stream, &target.host, (Arc::new(client), &encryption), seam).await
    }

    async fn connect(
        &self,
        target: &Target,
        config: &Config,
        journal: &Journal,
    ) -> Result<Stream, Failure> {
        let (clock, network) = (&self.context.clock, &self.context.network);
        let begun = clock.tick();
        let (shown, outcome) = match &target.endpoint {
            Endpoint::Unix(path) => {
                (target.host.clone(), network.unix(path, CONNECT_LOCAL, clock).await)
            }
            Endpoint::Inet(address) => {
                let family = |ip: &&std::net::IpAddr| ip.is_ipv4() == address.is_ipv4();
                let source = config.mta.source_address.iter().find(family).copied();
                let outgoing = Outgoing { source, timeout: CONNECT };
                let shown = if target.host == address.ip().to_string() {
                    address.to_string()
                } else {
                    format!("{} {address}", target.host)
                };
                (shown, network.tcp(*address, outgoing, clock).await)
            }
        };
        let took = clock.tick().since(begun);
        let problem = outcome.as_ref().err().map(ToString::to_string);
        if target.dialect == Dialect::Smtp || problem.is_some() {
            journal.connected(&shown, took, problem.as_deref());
        }
        outcome.map_err(|error| {
            // The failure names the host beside its words; which of its addresses is worth telling.
            let text = match &target.endpoint {
                Endpoint::Inet(address) => format!("{address}: {error}"),
                Endpoint::Unix(_) => error.to_string(),
            };
            Failure::temporary(Reason::Network, (4, 1), text).at(target.host.as_str())
        })
    }

    fn rule(&self, target: &Target) -> Encryption {
        let Ok(name) = tls::PeerName::new(&target.host) else { return Encryption::None };
        let means = self.means();
        match &target.tls {
            TlsRule::Never => Encryption::None,
            TlsRule::Courtesy | TlsRule::Remembered | TlsRule::Unproven => {
                Encryption::StartTls(means.courteous.clone(), name)
            }
            TlsRule::Dane(records) => {
                Encryption::StartTls(means.courteous.with_dane(records.clone()), name)
            }
            TlsRule::Required | TlsRule::Sts | TlsRule::Believed => {
                Encryption::StartTls(means.strict.clone(), name)
            }
            TlsRule::Implicit => Encryption::Implicit(means.strict.clone(), name),
            TlsRule::ImplicitCourtesy => Encryption::Implicit(means.courteous.clone(), name),
        }
    }

    fn put_back(&self, target: Target, session: Session) {
        let now = self.context.clock.tick();
        for leaving in self.pool.keep(target, session, now) {
            self.context.tasks.spawn(leaving.quit());
        }
    }

    /// Ends the sessions that have waited too long; call it now and then.
    pub(crate) fn tidy(&self) {
        if self.policies.tidy(self.context.clock.tick()) {
            self.save();
        }
        for leaving in self.pool.take_old(self.context.clock.tick()) {
            self.context.tasks.spawn(leaving.quit());
        }
    }

    /// Writes down what was learnt.
    fn save(&self) {
        self.policies.save();
        if let Some(returns) = &self.returns {
            returns.save();
        }
    }

    /// Ends all sessions that wait.
    pub(crate) fn close(&self) {
        self.policies.finish();
        if let Some(returns) = &self.returns {
            returns.finish();
        }
        for leaving in self.pool.take_all() {
            self.context.tasks.spawn(leaving.quit());
        }
    }
}

/// Whether a place is where we listen ourselves.
fn is_own(target: &Target, config: &Config) -> bool {
    let Endpoint::Inet(address) = &target.endpoint else { return false };
    let bound = |bind: &IpAddr| {
        *bind == address.ip()
            || bind.is_unspecified()
                && bind.is_ipv4() == address.is_ipv4()
                && net::connect::is_local(address.ip())
    };
    config.port(config.listen.smtp) == Some(address.port()) && config.listen.bind.iter().any(bound)
}

fn returns(context: &Context) -> Option<Returns> {
    let paths = &context.paths;
    Returns::open(&paths.keys(), &paths.state(), &context.clock)
        .inspect_err(|why| tracing::error!("forwarded letters keep their senders: {why}"))
        .ok()
}

/// How far a trip has come.
struct Tries {
    left: usize,
    worst: Option<Failure>,
}

impl Tries {
    /// A place did not work. One that may work later outweighs one that never will; of several
    /// such the first, which is the best host's, is told.
    fn failed(&mut self, failure: Failure) {
        let outweighs = match &self.worst {
            None => true,
            Some(worst) => worst.is_permanent() && !failure.is_permanent(),
        };
        if outweighs {
            self.worst = Some(failure);
        }
    }
}
