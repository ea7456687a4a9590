//! The control socket of an agent: `status`, `reload`, `directory_changed`, `log_level`, and the
//! verbs that the agent registers. The transport is `net::ipc`, the table `protocol::ipc`.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use net::ipc::{Responder, Service};
use net::{Clock, tls};
use protocol::ipc::{
    ControlCall, DirectoryChanged, DirectoryTaken, Fault, FaultKind, Method, Reloaded, StatusReport,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::config::{AgentName, ConfigHandle};
use crate::limits::LOG_LEVEL_FOR;
use crate::logging;
use crate::metrics::Metrics;

/// `log_level`: changes what is worth a line, for a time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SetLogLevel {
    /// E.g. `debug`, or `info,mta=trace`.
    pub level: String,
    /// After so many seconds the configured level comes back; 0: [`LOG_LEVEL_FOR`].
    #[serde(default)]
    pub seconds: u64,
}

/// The answer to [`SetLogLevel`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LogLevelSet {
    /// How long it lasts.
    pub seconds: u64,
}

impl Method for SetLogLevel {
    const NAME: &'static str = "log_level";
    type Answer = LogLevelSet;
}

/// What an agent answers over its control socket. Clones are the same.
#[derive(Clone)]
pub struct Control {
    shared: Arc<Shared>,
}

struct Shared {
    agent: AgentName,
    started: i64,
    clock: Clock,
    config: ConfigHandle,
    metrics: Metrics,
    state: Mutex<State>,
    verbs: RwLock<HashMap<&'static str, Verb>>,
    checks: Mutex<Vec<ReloadCheck>>,
}

#[derive(Default)]
struct State {
    ready: bool,
    listeners: Vec<String>,
    directory: u64,
    complaints: Vec<String>,
}

type Verb = Arc<dyn Fn(Value, Responder) -> Answering + Send + Sync>;
type Answering = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Looks at a new configuration before it counts, and gives what is to be done once it does; or
/// says why it cannot.
type ReloadCheck =
    Box<dyn Fn(&crate::config::Config) -> Result<Box<dyn FnOnce() + Send>, String> + Send + Sync>;

impl Control {
    pub(crate) fn new(
        agent: AgentName,
        clock: &Clock,
        config: &ConfigHandle,
        metrics: &Metrics,
    ) -> Self {
        let shared = Shared {
            agent,
            started: clock.now().as_micros(),
            clock: clock.clone(),
            config: config.clone(),
            metrics: metrics.clone(),
            state: Mutex::default(),
            verbs: RwLock::default(),
            checks: Mutex::default(),
        };
        Control { shared: Arc::new(shared) }
    }

    /// Answers a verb of the agent's own.
    pub fn on<M, F, A>(&self, answer: F)
    where
        M: Method + Send + 'static,
        M::Answer: Send + Sync,
        F: Fn(M) -> A + Send + Sync + 'static,
        A: Future<Output = Result<M::Answer, Fault>> + Send + 'static,
    {
        self.register(M::NAME, move |parameters, respond| {
            match ControlCall::own::<M>(parameters) {
                Ok(call) => {
                    let answering = answer(call);
                    Box::pin(async move { respond.finish(answering.await).await })
                }
                Err(fault) => Box::pin(respond.refuse(fault)),
            }
        });
    }

    /// Answers a verb with a stream: `answer` sends parts and ends with an answer.
    pub fn on_stream<M, F, A>(&self, answer: F)
    where
        M: Method + Send + 'static,
        F: Fn(M, Responder) -> A + Send + Sync + 'static,
        A: Future<Output = ()> + Send + 'static,
    {
        self.register(M::NAME, move |parameters, respond| {
            match ControlCall::own::<M>(parameters) {
                Ok(call) => Box::pin(answer(call, respond)),
                Err(fault) => Box::pin(respond.refuse(fault)),
            }
        });
    }

    /// Called when the directory was changed on disk; `renew` gives the revision that now counts.
    pub fn on_directory_changed<F, A>(&self, renew: F)
    where
        F: Fn(u64) -> A + Send + Sync + 'static,
        A: Future<Output = Result<u64, Fault>> + Send + 'static,
    {
        let control = self.clone();
        self.on::<DirectoryChanged, _, _>(move |changed| {
            let (renewing, control) = (renew(changed.revision), control.clone());
            async move {
                let revision = renewing.await?;
                control.directory_revision(revision);
                Ok(DirectoryTaken { revision })
            }
        });
    }

    /// Looks at each new configuration before it counts. `check` prepares everything that can fail
    /// and returns what puts it to use; an error refuses the whole reload.
    pub fn on_reload<F>(&self, check: F)
    where
        F: Fn(&crate::config::Config) -> Result<Box<dyn FnOnce() + Send>, String>
            + Send
            + Sync
            + 'static,
    {
        lock(&self.shared.checks).push(Box::new(check));
    }

    /// Every listener answers and every store is open.
    pub(crate) fn ready(&self, listeners: Vec<String>) {
        let mut state = lock(&self.shared.state);
        state.listeners = listeners;
        state.ready = true;
    }

    /// The directory revision by which the agent works, for `status`.
    pub fn directory_revision(&self, revision: u64) {
        lock(&self.shared.state).directory = revision;
    }

    /// Sentences for people about what is wrong now; empty when all is well.
    pub fn complain(&self, complaints: Vec<String>) {
        lock(&self.shared.state).complaints = complaints;
    }

    /// Takes the configuration and certificates again; a bad file changes nothing.
    ///
    /// # Errors
    /// `configuration`, with every fault.
    pub fn reload(&self) -> Result<Reloaded, Fault> {
        let refuse = |why: String| Fault::new(FaultKind::Configuration, why);
        let shared = &self.shared;
        let reload = shared.config.read_again().map_err(|faults| refuse(faults.to_string()))?;
        let mut prepared = Vec::new();
        for check in lock(&shared.checks).iter() {
            prepared.push(check(&reload.config).map_err(refuse)?);
        }
        let log = &reload.config.log;
        if reload.changed.iter().any(|key| key.starts_with("log.")) {
            logging::set_level(log.level.as_str()).map_err(refuse)?;
        }
        for put_to_use in prepared {
            put_to_use();
        }
        shared.config.replace(reload.config);
        let (changed, restart) = (&reload.changed, &reload.needs_restart);
        tracing::info!(?changed, needs_restart = ?restart, "reloaded");
        Ok(Reloaded { changed: reload.changed, needs_restart: reload.needs_restart })
    }

    /// Renews the certificate of `server` with each reload.
    pub(crate) fn renew_certificate(&self, server: &tls::Server) {
        let (server, agent) = (server.clone(), self.shared.agent);
        self.on_reload(move |config| {
            let (Some(certificate), Some(key)) = (&config.tls.certificate, &config.tls.key) else {
                return Ok(Box::new(|| {}));
            };
            let fresh =
                tls::Certificate::from_files(certificate, key).map_err(|e| e.to_string())?;
            let clients = crate::daemon::client_authorities(config, agent)
                .map_err(|error| error.to_string())?;
            let server = server.clone();
            Ok(Box::new(move || {
                if let Err(error) = server.replace(&fresh, clients.as_ref()) {
                    tracing::error!(%error, "the new certificate is refused; the old one stays");
                }
            }))
        });
    }

    fn register<F>(&self, name: &'static str, verb: F)
    where
        F: Fn(Value, Responder) -> Answering + Send + Sync + 'static,
    {
        let mut verbs = self.shared.verbs.write().unwrap_or_else(PoisonError::into_inner);
        verbs.insert(name, Arc::new(verb));
    }

    fn status(&self) -> StatusReport {
        let shared = &self.shared;
        let state = lock(&shared.state);
        StatusReport {
            agent: shared.agent.to_string(),
            pid: std::process::id(),
            started: shared.started,
            ready: state.ready,
            listeners: state.listeners.clone(),
            directory: state.directory,
            complaints: state.complaints.clone(),
            numbers: shared.metrics.snapshot(),
        }
    }

    fn set_log_level(&self, wanted: &SetLogLevel) -> Result<LogLevelSet, Fault> {
        logging::set_level(&wanted.level).map_err(|why| Fault::new(FaultKind::Parameters, why))?;
        let wait = match wanted.seconds {
            0 => LOG_LEVEL_FOR,
            seconds => Duration::from_secs(seconds),
        };
        let (clock, config) = (self.shared.clock.clone(), self.shared.config.clone());
        tokio::spawn(async move {
            clock.sleep(wait).await;
            let _ = logging::set_level(config.current().log.level.as_str());
        });
        Ok(LogLevelSet { seconds: wait.as_secs() })
    }

    async fn own(&self, method: String, parameters: Value, respond: Responder) {
        if method == SetLogLevel::NAME {
            let wanted = ControlCall::own::<SetLogLevel>(parameters);
            return respond.finish(wanted.and_then(|wanted| self.set_log_level(&wanted))).await;
        }
        let verb = {
            let verbs = self.shared.verbs.read().unwrap_or_else(PoisonError::into_inner);
            verbs.get(method.as_str()).cloned()
        };
        match verb {
            Some(verb) => verb(parameters, respond).await,
            None => respond.refuse(Fault::unknown_method(&method)).await,
        }
    }
}

impl Service<ControlCall> for Control {
    async fn call(&self, call: ControlCall, respond: Responder) {
        match call {
            ControlCall::Status(_) => respond.answer(&self.status()).await,
            ControlCall::Reload(_) => respond.finish(self.reload()).await,
            ControlCall::DirectoryChanged(changed) => {
                let parameters = serde_json::json!({ "revision": changed.revision });
                let known = {
                    let verbs = self.shared.verbs.read().unwrap_or_else(PoisonError::into_inner);
                    verbs.contains_key(DirectoryChanged::NAME)
                };
                if known {
                    self.own(DirectoryChanged::NAME.to_owned(), parameters, respond).await;
                } else {
                    // An agent that holds no directory works by every revision.
                    respond.answer(&DirectoryTaken { revision: changed.revision }).await;
                }
            }
            ControlCall::Own { method, parameters } => self.own(method, parameters, respond).await,
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Control({})", self.shared.agent)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_reload_that_is_refused_changes_nothing() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("posthaste.toml");
        let write = |text: &str| std::fs::write(&file, text).expect("written");
        write("[limits]\nsessions = 5\n");
        let config = ConfigHandle::load(&file, &[]).expect("no faults");
        let control = Control::new(AgentName::Mta, &Clock::real(), &config, &Metrics::default());
        let used = Arc::new(AtomicUsize::new(5));
        let counted = Arc::clone(&used);
        control.on_reload(move |config| {
            let (sessions, counted) = (config.limits.sessions, Arc::clone(&counted));
            Ok(Box::new(move || counted.store(sessions, Ordering::Relaxed)))
        });
        control.on_reload(|config| match config.limits.sessions {
            13 => Err("13 brings bad luck".to_owned()),
            _ => Ok(Box::new(|| {})),
        });

        write("[limits]\nsessions = 13\n");
        let refused = control.reload().expect_err("refused");
        assert_eq!(refused.kind, FaultKind::Configuration);
        assert_eq!((used.load(Ordering::Relaxed), config.current().limits.sessions), (5, 5));

        write("[limits]\nsessions = many\n");
        let refused = control.reload().expect_err("not TOML");
        assert!(refused.message.contains("posthaste.toml:2:"), "{refused}");
        assert_eq!(config.current().limits.sessions, 5);

        write("[limits]\nsessions = 7\n");
        assert_eq!(control.reload().expect("taken").changed, ["limits.sessions"]);
        assert_eq!((used.load(Ordering::Relaxed), config.current().limits.sessions), (7, 7));
    }
}
