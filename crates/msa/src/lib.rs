//! The submission agent: takes letters from people who have logged in, completes them, and hands
//! them to the MTA.
//!
//! It listens on 465 (TLS at once) and 587 (STARTTLS), asks `auth` who somebody is, looks up in its
//! own copy of the directory what they may send as, and streams each letter to the MTA over
//! `run/mta.sock`. Its 250 is the MTA's 250.
//!
//! What it is not: it has no queue and no disk, opens no mailbox and no verifier, and resolves no
//! names. When the MTA is away it says 451; when `auth` is away, 454.
//!
//! Who calls it: `posthaste msa` and the supervisor start [`run`].

pub mod limits;
mod submit;

use directory::{LoadError, Renewing};
use disk::RealDisk;
use net::listen::Bound;
use protocol::ipc::{Fault, FaultKind};
use service::{AgentName, Boot, Context, Exit, Fatal, Logins, Start};
use std::sync::Arc;
pub use submit::Entrance;
use submit::Shared;

/// Runs the agent in the foreground until it is told to stop.
pub fn run(start: &Start) -> Exit {
    service::daemon::run(start, AgentName::Msa, bind, work)
}

/// What the agent works on. Whose it is is not the agent's business: a simulation brings its own.
pub struct Works {
    /// Where people come in.
    pub sockets: Vec<(Bound, Entrance)>,
    /// Who exists.
    pub directory: Arc<Renewing>,
}

fn bind(boot: &mut Boot) -> Result<Works, Fatal> {
    let config = boot.config.current();
    let disk: Arc<dyn disk::Disk> = Arc::new(RealDisk);
    let directory = Renewing::open(disk, &boot.paths.directory())
        .map_err(|error: LoadError| Fatal::no(error.to_string()))?;
    if boot.tls().is_none() && config.listen.submissions != 0 {
        return Err(Fatal::configuration(
            "listen.submissions needs tls.certificate and tls.key; name them, or set it to 0",
        ));
    }
    let mut sockets = Vec::new();
    for bound in boot.tcp("submissions", config.listen.submissions)? {
        sockets.push((bound, Entrance::ImplicitTls));
    }
    for bound in boot.tcp("submission", config.listen.submission)? {
        sockets.push((bound, Entrance::StartTls));
    }
    Ok(Works { sockets, directory: Arc::new(directory) })
}

/// Takes letters in until `context.drain` is cancelled. [`run`] is this in a process of its own.
///
/// # Errors
/// When a port cannot be served.
pub async fn work(works: Works, context: Context) -> Result<(), Fatal> {
    let Works { sockets, directory } = works;
    context.control.directory_revision(directory.current(context.clock.tick()).revision());
    let (renewed, clock) = (directory.clone(), context.clock.clone());
    context.control.on_directory_changed(move |_| {
        let (directory, now) = (renewed.clone(), clock.tick());
        async move {
            let unread = |error: LoadError| Fault::new(FaultKind::Internal, error.to_string());
            directory.refresh(now).map(|snapshot| snapshot.revision()).map_err(unread)
        }
    });
    let logins = Logins::of(&context);
    let shared = Arc::new(Shared::new(&context, directory, logins));
    let hall = context.hall();
    let mut accepting = Vec::new();
    for (bound, entrance) in sockets {
        let listener =
            bound.listen().map_err(|error| Fatal::io("cannot serve a submission port", &error))?;
        let (shared, hall) = (shared.clone(), hall.clone());
        accepting.push(tokio::spawn(async move {
            let session = |accepted| submit::session(shared.clone(), accepted, entrance);
            let refusal = match entrance {
                // Nobody would understand a line before the handshake.
                Entrance::ImplicitTls => &b""[..],
                Entrance::StartTls => TURNED_AWAY,
            };
            listener.serve(&hall, refusal, session).await;
        }));
    }
    context.ready();
    for task in accepting {
        // A task that panicked has been logged; the others go on.
        let _ = task.await;
    }
    Ok(())
}

/// What one hears for whom there is no room.
const TURNED_AWAY: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";
