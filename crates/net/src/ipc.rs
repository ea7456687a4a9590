//! The async side of `protocol::ipc`: serves its calls on a Unix socket with the peer's credentials
//! checked, and asks other agents with deadlines, a small pool of connections and reconnect. What
//! the calls mean is `protocol::ipc`'s table and the agents'.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use protocol::ipc::{
    CallError, CallId, Calls, ClientEvent, Fault, FaultKind, Method, RequestId, Role, ServerEvent,
};
use serde::Serialize;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};

use crate::cancel::Cancel;
use crate::clock::Clock;
use crate::drive::Driver;
use crate::limits::{IPC_IN_FLIGHT, IPC_POOL, IPC_WRITE};
use crate::listen::{Accepted, Hall, Listener};
use crate::network::Network;
use crate::stream::Peer;

/// What answers the calls of a role.
pub trait Service<C>: Send + Sync + 'static {
    /// Answers one call; many run at once. A call without an answer is answered `internal`.
    fn call(&self, call: C, respond: Responder) -> impl Future<Output = ()> + Send;
}

/// Who serves, as told to clients in the welcome.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The agent's name.
    pub agent: String,
    /// The version of its software.
    pub software: String,
}

/// The way back to the one who asked. Answer once; before it any number of parts, if
/// [`wants_stream`](Responder::wants_stream).
#[derive(Debug)]
pub struct Responder {
    id: Option<RequestId>,
    stream: bool,
    peer: Peer,
    out: mpsc::Sender<Outgoing>,
}

#[derive(Debug)]
enum Outgoing {
    Answer(RequestId, Value),
    Part(RequestId, Value, oneshot::Sender<bool>),
    Refuse(RequestId, Fault),
}

impl Responder {
    /// The client asked for a stream.
    pub fn wants_stream(&self) -> bool {
        self.stream
    }

    /// Who asks.
    pub fn peer(&self) -> &Peer {
        &self.peer
    }

    /// Answers, and ends a stream.
    pub async fn answer<A: Serialize>(mut self, answer: &A) {
        let Some(id) = self.id.take() else { return };
        let message = match serde_json::to_value(answer) {
            Ok(value) => Outgoing::Answer(id, value),
            Err(error) => Outgoing::Refuse(id, unprintable(&error)),
        };
        // A connection that is gone needs no answer.
        let _ = self.out.send(message).await;
    }

    /// Answers with a fault.
    pub async fn refuse(mut self, fault: Fault) {
        if let Some(id) = self.id.take() {
            let _ = self.out.send(Outgoing::Refuse(id, fault)).await;
        }
    }

    /// Answers with what an agent's function returned.
    pub async fn finish<A: Serialize>(self, result: Result<A, Fault>) {
        match result {
            Ok(answer) => self.answer(&answer).await,
            Err(fault) => self.refuse(fault).await,
        }
    }

    /// Sends a part of a stream, waiting for a slow reader; false when nobody reads any more.
    pub async fn part<A: Serialize>(&mut self, part: &A) -> bool {
        let (Some(id), Ok(value)) = (self.id, serde_json::to_value(part)) else { return false };
        let (told, taken) = oneshot::channel();
        self.out.send(Outgoing::Part(id, value, told)).await.is_ok() && taken.await == Ok(true)
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        if let Some(id) = self.id.take() {
            let fault = Fault::new(FaultKind::Internal, "the agent did not answer");
            // The channel holds one place for each open request, so this fails only for a
            // connection that is gone.
            let _ = self.out.try_send(Outgoing::Refuse(id, fault));
        }
    }
}

fn unprintable(error: &serde_json::Error) -> Fault {
    Fault::new(FaultKind::Internal, format!("the answer is not JSON: {error}"))
}

/// Serves calls on `listener` until `hall.stop` is cancelled. Peers of another user than ours or
/// root are closed at once.
pub async fn serve<C, S>(listener: Listener, hall: Hall, identity: Identity, service: Arc<S>)
where
    C: Calls + Send + 'static,
    S: Service<C>,
{
    let clock = hall.clock.clone();
    let stop = hall.stop.clone();
    let session = |accepted: Accepted| {
        let (service, identity) = (Arc::clone(&service), identity.clone());
        let (clock, stop) = (clock.clone(), stop.clone());
        async move {
            if !accepted.peer.is_ours() {
                tracing::warn!(peer = %accepted.peer, "a process of another user is not answered");
                return;
            }
            connection(accepted, &service, &identity, (&clock, &stop)).await;
        }
    };
    listener.serve(&hall, b"", session).await;
}

async fn connection<C, S>(
    accepted: Accepted,
    service: &Arc<S>,
    identity: &Identity,
    (clock, stop): (&Clock, &Cancel),
) where
    C: Calls + Send + 'static,
    S: Service<C>,
{
    let Accepted { stream, peer } = accepted;
    let machine = protocol::ipc::Server::<C>::new(
        clock.tick(),
        identity.agent.clone(),
        identity.software.clone(),
    );
    let mut driver = Driver::new(machine, stream, clock, stop);
    // Parts wait for their reader one by one, so twice the open requests is never exceeded.
    let (out, mut outgoing) = mpsc::channel(2 * IPC_IN_FLIGHT);
    loop {
        tokio::select! {
            biased;
            event = driver.next() => match event {
                None => return,
                Some(ServerEvent::Call { id, call, more }) => {
                    let peer = peer.clone();
                    let respond =
                        Responder { id: Some(id), stream: more, peer, out: out.clone() };
                    let service = Arc::clone(service);
                    tokio::spawn(async move { service.call(call, respond).await });
                }
                Some(ServerEvent::Hello(hello)) => tracing::trace!(from = hello.from, "ipc hello"),
                Some(ServerEvent::Violation(why)) => tracing::warn!(%peer, why, "ipc violation"),
            },
            Some(message) = outgoing.recv() => match message {
                Outgoing::Answer(id, value) => driver.machine().answer(id, &value),
                Outgoing::Refuse(id, fault) => driver.machine().refuse(id, fault),
                Outgoing::Part(id, value, told) => {
                    if driver.machine().is_congested() {
                        driver.drain(1).await;
                    }
                    // Nobody to tell: the responder was dropped.
                    let _ = told.send(driver.machine().part(id, &value));
                }
            },
        }
    }
}

/// Asks one agent. Cheap to clone; clones share the pool of idle connections.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    path: PathBuf,
    role: Role,
    from: String,
    clock: Clock,
    network: Network,
    idle: Mutex<Vec<Connection>>,
}

/// One connection; used by one call at a time.
struct Connection {
    driver: Driver<protocol::ipc::Client>,
    reused: bool,
}

impl Client {
    /// A client of the socket at `path`; connects when first asked. `from` is who we are, for the
    /// agent's log.
    pub fn new(path: &Path, role: Role, from: &str, clock: &Clock) -> Self {
        Client::over(&Network::system(), path, (role, from), clock)
    }

    /// The same over another network than the system's.
    pub fn over(network: &Network, path: &Path, (role, from): (Role, &str), clock: &Clock) -> Self {
        let shared = Shared {
            path: path.to_owned(),
            role,
            from: from.to_owned(),
            clock: clock.clone(),
            network: network.clone(),
            idle: Mutex::default(),
        };
        Client { shared: Arc::new(shared) }
    }

    /// Asks and waits for the one answer, `within` altogether. A connection that turns out to have
    /// died while idle is replaced once.
    ///
    /// # Errors
    /// The agent's fault; `unavailable` when it is away, `deadline` when it is too slow.
    pub async fn call<M: Method>(&self, ask: &M, within: Duration) -> Result<M::Answer, Fault> {
        let due = self.shared.clock.tick().after(within);
        loop {
            let mut connection = self.connection(within).await?;
            let reused = connection.reused;
            let machine = connection.driver.machine();
            let result = match machine.call(ask, due) {
                Ok(call) => connection.answer(call).await.map(|(result, _)| result),
                Err(error) => Err(of_call(error)),
            };
            match result {
                Ok(value) => {
                    self.keep(connection);
                    return protocol::ipc::Client::read::<M>(Ok(value));
                }
                Err(fault) if reused && fault.kind == FaultKind::Unavailable => {}
                Err(fault) => return Err(fault),
            }
        }
    }

    /// Asks for a stream; each part must come `within` that time.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn stream<M: Method>(&self, ask: &M, within: Duration) -> Result<Parts<M>, Fault> {
        // A fresh connection: a stream may last, and an idle one may be dead.
        let mut connection = self.connect(within).await?;
        let due = self.shared.clock.tick().after(within);
        let call = connection.driver.machine().stream(ask, due).map_err(of_call)?;
        let method = std::marker::PhantomData;
        Ok(Parts { connection, call, within, over: false, method })
    }

    async fn connection(&self, within: Duration) -> Result<Connection, Fault> {
        let idle = self.shared.idle().pop();
        match idle {
            Some(connection) => Ok(connection),
            None => self.connect(within).await,
        }
    }

    async fn connect(&self, within: Duration) -> Result<Connection, Fault> {
        let Shared { path, role, from, clock, .. } = self.shared.as_ref();
        let stream = self.shared.network.unix(path, within.min(IPC_WRITE), clock).await.map_err(
            |error| Fault::new(FaultKind::Unavailable, format!("{}: {error}", path.display())),
        )?;
        let machine = protocol::ipc::Client::new(clock.tick(), *role, from.clone());
        let driver = Driver::new(machine, stream, clock, &Cancel::new());
        Ok(Connection { driver, reused: false })
    }

    fn keep(&self, mut connection: Connection) {
        connection.reused = true;
        let mut idle = self.shared.idle();
        if idle.len() < IPC_POOL {
            idle.push(connection);
        }
    }
}

impl Shared {
    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Connection>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// The next answer to `call`, and whether it is the last.
    async fn answer(&mut self, call: CallId) -> Result<(Value, bool), Fault> {
        while let Some(event) = self.driver.next().await {
            match event {
                ClientEvent::Answer { call: of, result, last } if of == call => {
                    return result.map(|value| (value, last));
                }
                ClientEvent::Failed(fault) => return Err(fault),
                ClientEvent::Answer { .. } | ClientEvent::Welcome(_) => {}
            }
        }
        Err(Fault::new(FaultKind::Unavailable, "the agent closed the connection"))
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Connection(reused: {})", self.reused)
    }
}

fn of_call(error: CallError) -> Fault {
    match error {
        CallError::Unfit(fault) => fault,
        CallError::Busy => Fault::new(FaultKind::Busy, error.to_string()),
        CallError::Closed => Fault::new(FaultKind::Unavailable, error.to_string()),
    }
}

/// The parts of a stream, as they come.
#[derive(Debug)]
pub struct Parts<M> {
    connection: Connection,
    call: CallId,
    within: Duration,
    over: bool,
    method: std::marker::PhantomData<fn() -> M>,
}

impl<M: Method> Parts<M> {
    /// The next part; `None` after the last. Not cancel-safe for the part under way.
    pub async fn next(&mut self) -> Option<Result<M::Answer, Fault>> {
        if self.over {
            return None;
        }
        let outcome = self.connection.answer(self.call).await;
        self.over = !matches!(outcome, Ok((_, false)));
        let due = self.connection.driver.clock().tick().after(self.within);
        self.connection.driver.machine().extend(self.call, due);
        Some(protocol::ipc::Client::read::<M>(outcome.map(|(value, _)| value)))
    }
}

#[cfg(test)]
mod tests {
    use protocol::ipc::{ControlCall, Status, StatusReport};
    use serde::{Deserialize, Serialize};

    use super::*;
    use crate::listen::{Admission, Bounds, Endpoint, bind};
    use crate::tasks::Tasks;

    /// Counts up to a number, as a stream.
    #[derive(Debug, Serialize, Deserialize)]
    struct Count {
        to: u32,
    }

    impl Method for Count {
        const NAME: &'static str = "count";
        type Answer = u32;
    }

    struct Agent;

    impl Service<ControlCall> for Agent {
        async fn call(&self, call: ControlCall, mut respond: Responder) {
            match call {
                ControlCall::Status(_) => {
                    let report =
                        StatusReport { agent: "mta".to_owned(), ..StatusReport::default() };
                    respond.answer(&report).await;
                }
                ControlCall::Own { method, parameters } if method == Count::NAME => {
                    let count: Count = ControlCall::own(parameters).expect("parameters");
                    for number in 0..count.to {
                        assert!(respond.part(&number).await);
                    }
                    respond.answer(&count.to).await;
                }
                // Dropped without an answer.
                _ => {}
            }
        }
    }

    fn start(path: &Path) -> (Cancel, tokio::task::JoinHandle<()>) {
        let bound = bind(&Endpoint::Unix { path: path.to_owned(), mode: 0o600 }).expect("bound");
        let hall = Hall {
            admission: Admission::new(Bounds { total: 8, per_address: 8 }),
            tasks: Tasks::new(),
            stop: Cancel::new(),
            clock: Clock::real(),
        };
        let identity = Identity { agent: "mta".to_owned(), software: "0".to_owned() };
        let stop = hall.stop.clone();
        let listener = bound.listen().expect("a listener");
        let tasks = hall.tasks.clone();
        let serving = tokio::spawn(async move {
            serve::<ControlCall, _>(listener, hall, identity, Arc::new(Agent)).await;
            tasks.idle().await;
        });
        (stop, serving)
    }

    #[tokio::test]
    async fn calls_streams_faults_and_a_restart() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("mta.control.sock");
        let wait = Duration::from_secs(5);
        let client = Client::new(&path, Role::Control, "test", &Clock::real());
        let away = client.call(&Status {}, wait).await.expect_err("nobody there");
        assert_eq!(away.kind, FaultKind::Unavailable);

        let (stop, serving) = start(&path);
        assert_eq!(client.call(&Status {}, wait).await.expect("an answer").agent, "mta");
        let mut parts = client.stream(&Count { to: 500 }, wait).await.expect("a stream");
        let mut seen = 0;
        while let Some(part) = parts.next().await {
            assert_eq!(part, Ok(seen));
            seen += 1;
        }
        assert_eq!(seen, 501);
        let silent = client.call(&protocol::ipc::Reload {}, wait).await.expect_err("no answer");
        assert_eq!(silent.kind, FaultKind::Internal);

        // The pooled connection dies with the agent; the next call gets a new one.
        stop.cancel();
        serving.await.expect("the server ends");
        let (stop, serving) = start(&path);
        assert!(client.call(&Status {}, wait).await.is_ok());
        stop.cancel();
        serving.await.expect("the server ends");
    }
}
