//! Logins for all agents: the only process that opens password verifiers.
//!
//! It serves the role `login` on `run/auth.sock`: other agents bring SASL messages, it answers with
//! challenges, yes or no. Passwords are checked on a bounded pool ([`pool`]), attempts are counted
//! ([`throttle`]), good logins are remembered for minutes ([`remembered`]). What a token is worth
//! is asked of the authorization server of the configuration ([`tokens`]), if there is one.
//!
//! What it is not: it opens no port to the network, reads no mail and changes no passwords. When it
//! is away, mail goes on; only logins wait.
//!
//! Who calls it: `posthaste auth` and the supervisor start [`run`]; the others ask through
//! `service::login`.

mod desk;
mod exchanges;
pub mod limits;
mod pool;
mod remembered;
#[cfg(test)]
mod tests;
mod throttle;
mod tokens;

use desk::{Desk, Tools};
use directory::{LoadError, Renewing, RenewingVerifiers};
use disk::RealDisk;
use net::listen::{Admission, Bound, Bounds, Hall};
use protocol::ipc::{Fault, FaultKind, LoginCall};
use service::{AgentName, Boot, Context, Exit, Fatal, Start};
use std::sync::Arc;

/// Runs the agent in the foreground until it is told to stop.
pub fn run(start: &Start) -> Exit {
    service::daemon::run(start, AgentName::Auth, bind, serve)
}

/// What is opened before the runtime starts.
struct Opened {
    socket: Bound,
    directory: Arc<Renewing>,
    verifiers: Arc<RenewingVerifiers>,
}

fn bind(boot: &mut Boot) -> Result<Opened, Fatal> {
    let folder = boot.paths.directory();
    let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk);
    let unusable = |error: LoadError| Fatal::no(error.to_string());
    let directory = Arc::new(Renewing::open(disk.clone(), &folder).map_err(unusable)?);
    let verifiers = Arc::new(RenewingVerifiers::open(disk, &folder).map_err(unusable)?);
    let socket = boot.unix("login", boot.paths.auth_socket())?;
    Ok(Opened { socket, directory, verifiers })
}

async fn serve(opened: Opened, context: Context) -> Result<(), Fatal> {
    let Opened { socket, directory, verifiers } = opened;
    context.control.directory_revision(directory.current(context.clock.tick()).revision());
    let renewed = (directory.clone(), verifiers.clone(), context.clone());
    context.control.on_directory_changed(move |_| {
        let (directory, verifiers, context) = renewed.clone();
        async move {
            let now = context.clock.tick();
            let unread = |error: LoadError| Fault::new(FaultKind::Internal, error.to_string());
            verifiers.refresh(now).map_err(unread)?;
            directory.refresh(now).map(|snapshot| snapshot.revision()).map_err(unread)
        }
    });
    let tools = Tools {
        clock: context.clock.clone(),
        config: context.config.clone(),
        metrics: context.metrics.clone(),
    };
    context.tasks.spawn(watch(directory.clone(), verifiers.clone(), context.clone()));
    let desk = Desk::new(tools, directory, verifiers)?;
    let listener =
        socket.listen().map_err(|error| Fatal::io("cannot serve the login socket", &error))?;
    let bounds = Bounds { total: limits::SESSIONS, per_address: limits::SESSIONS };
    let hall = Hall {
        admission: Admission::new(bounds),
        tasks: context.tasks.clone(),
        stop: context.drain.clone(),
        clock: context.clock.clone(),
    };
    let identity = net::ipc::Identity {
        agent: context.agent.to_string(),
        software: env!("CARGO_PKG_VERSION").to_owned(),
    };
    context.ready();
    net::ipc::serve::<LoginCall, Desk>(listener, hall, identity, Arc::new(desk)).await;
    Ok(())
}

/// Looks at both files now and then, for `status` and the log: what somebody has broken by hand
/// would else be found at the next login, or, of the other agents, by nobody.
async fn watch(directory: Arc<Renewing>, verifiers: Arc<RenewingVerifiers>, context: Context) {
    let mut known = Vec::new();
    loop {
        tokio::select! {
            () = context.clock.sleep(limits::LOOK) => {}
            () = context.drain.cancelled() => return,
        }
        let now = context.clock.tick();
        let revision = directory.current(now).revision();
        verifiers.current(now);
        let complaints: Vec<String> =
            directory.complaint().into_iter().chain(verifiers.complaint()).collect();
        if complaints != known {
            complaints.iter().for_each(|it| tracing::error!("{it}; the last good one stays"));
            context.control.complain(complaints.clone());
            known = complaints;
        }
        context.control.directory_revision(revision);
    }
}
