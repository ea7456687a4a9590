//! The transfer agent: takes letters from other systems on port 25 and from our own agents on the
//! relay socket, hands local mail to the delivery agent while the sender waits, and carries
//! everything else to other systems from a durable queue.
//!
//! `receive/` is the way in, `relay/` the way out, `bounce/` what is written to a sender when the
//! way out fails; `courier/` carries one letter one hop for both. It opens no mailbox and no
//! verifier.
//!
//! Who calls it: `posthaste mta` and the supervisor start [`run`].

mod bounce;
pub mod control;
mod courier;
mod limits;
mod policy;
mod random;
pub mod reason;
mod receive;
mod relay;
mod returns;
pub mod sign;
mod state_file;
mod withdraw;

use std::sync::Arc;

use directory::{LoadError, Renewing};
use disk::{CommitOptions, Disk, RealDisk};
use net::listen::Bound;
use protocol::ipc::{Fault, FaultKind};
use queue::{Queue, Writer};
use service::{AgentName, Boot, Context, Exit, Fatal, Start};

pub use courier::Means;
use courier::Transport;
pub use receive::Door;
use receive::{Desk, Elsewhere, Known};
use relay::Relay;
use sign::Signer;

/// Runs the agent in the foreground until it is told to stop.
pub fn run(start: &Start) -> Exit {
    service::daemon::run(start, AgentName::Mta, bind, serve)
}

/// What is opened before the runtime starts.
struct Opened {
    works: Works,
    /// Closing it lays everything out; the last thing that happens.
    writer: Writer,
}

/// What the agent works on and with. Whose it is and how it is stepped is not the agent's business:
/// a simulation brings its own disk and network.
pub struct Works {
    /// Where letters come in.
    pub sockets: Vec<(Bound, Door)>,
    /// For letters that are too large for memory.
    pub disk: Arc<dyn Disk>,
    /// Who exists.
    pub directory: Arc<Renewing>,
    /// The queue; its batch loop is run by somebody.
    pub queue: Queue,
    /// Names and certificates.
    pub means: Means,
}

fn bind(boot: &mut Boot) -> Result<Opened, Fatal> {
    let config = boot.config.current();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = Renewing::open(disk.clone(), &boot.paths.directory())
        .map_err(|error: LoadError| Fatal::no(error.to_string()))?;
    let mut sockets = Vec::new();
    for bound in boot.tcp("smtp", config.listen.smtp)? {
        sockets.push((bound, Door::Internet));
    }
    sockets.push((boot.unix("relay", boot.paths.mta_socket())?, Door::Relay));
    let mut options = queue::Options::new(boot.paths.queue());
    let commit = CommitOptions::new(options.commit.directory.clone());
    let log = disk::LogOptions { segment: config.storage.log_segment, ..commit.log };
    options.commit = CommitOptions { log, ..commit };
    let (queue, writer, report) = Queue::open(disk.clone(), options)
        .map_err(|error| Fatal::disk("cannot open the queue", &error))?;
    for file in &report.aside {
        tracing::error!(file = %file.display(), "a file of the queue was unreadable; moved aside");
    }
    tracing::info!(letters = report.letters, "the queue is open");
    let means = Means::of(&config).map_err(Fatal::configuration)?;
    let works = Works { sockets, disk, directory: Arc::new(directory), queue, means };
    Ok(Opened { works, writer })
}

async fn serve(opened: Opened, context: Context) -> Result<(), Fatal> {
    let heeded = context.heed("the queue", opened.works.queue.troubles());
    work(opened.works, context).await?;
    opened.writer.close();
    heeded.verdict()
}

/// Takes letters in and carries them on until `context.drain` is cancelled. [`run`] is this in a
/// process of its own.
///
/// # Errors
/// When a socket cannot be served.
pub async fn work(works: Works, context: Context) -> Result<(), Fatal> {
    let Works { sockets, disk, directory, queue, means } = works;
    renew(&context, &directory);
    let transport = Arc::new(Transport::new(context.clone(), means));
    let renewed = transport.clone();
    context.control.on_reload(move |config| {
        let (means, transport) = (Means::of(config)?, renewed.clone());
        Ok(Box::new(move || transport.renew(means)))
    });
    let signer = Arc::new(Signer::open(&context.paths.keys()));
    sign::tend(&context, &signer, &transport);
    let stores = (directory.clone(), queue.clone());
    let desk = Desk::new(&context, disk, stores, (transport.clone(), signer.clone()));
    let desk = desk.keep_for(elsewhere(&context)?);
    let relay = Relay::new(context.clone(), queue, (transport.clone(), signer), directory);
    control::answer(&context, &relay);
    let relaying = tokio::spawn(relay.run());
    let desk = Arc::new(desk);
    let keeping = tokio::spawn(desk.clone().keep());
    let accepting = listen(sockets, &context, &desk)?;
    context.ready();
    for task in accepting {
        // A task that panicked has been logged; the others go on.
        let _ = task.await;
    }
    let _ = relaying.await;
    let _ = keeping.await;
    context.tasks.idle().await;
    transport.close();
    Ok(())
}

/// Who exists in the domains whose mail is kept here, now and after each reload.
fn elsewhere(context: &Context) -> Result<Arc<Elsewhere>, Fatal> {
    let mta = &context.config.current().mta;
    let known = Known::load(mta).map_err(Fatal::configuration)?;
    let elsewhere = Arc::new(Elsewhere::new(known));
    let renewed = elsewhere.clone();
    context.control.on_reload(move |config| {
        let (known, renewed) = (Known::load(&config.mta)?, renewed.clone());
        Ok(Box::new(move || renewed.renew(known)))
    });
    Ok(elsewhere)
}

/// Accepts on every socket, in a task each.
fn listen(
    sockets: Vec<(Bound, Door)>,
    context: &Context,
    desk: &Arc<Desk>,
) -> Result<Vec<tokio::task::JoinHandle<()>>, Fatal> {
    // Two halls: a crowd on port 25 does not keep our own agents out.
    let (internet, relay) = (context.hall(), context.hall());
    let mut accepting = Vec::new();
    for (bound, door) in sockets {
        let listener = bound.listen().map_err(|error| Fatal::io("cannot accept mail", &error))?;
        let hall = match door {
            Door::Internet => internet.clone(),
            Door::Relay => relay.clone(),
        };
        let desk = desk.clone();
        accepting.push(tokio::spawn(async move {
            let session = |accepted| receive::session(desk.clone(), accepted, door);
            listener.serve(&hall, TURNED_AWAY, session).await;
        }));
    }
    Ok(accepting)
}

/// Takes the directory again when it is told to.
fn renew(context: &Context, directory: &Arc<Renewing>) {
    context.control.directory_revision(directory.current(context.clock.tick()).revision());
    let (renewed, clock) = (directory.clone(), context.clock.clone());
    context.control.on_directory_changed(move |_| {
        let (directory, now) = (renewed.clone(), clock.tick());
        async move {
            let unread = |error: LoadError| Fault::new(FaultKind::Internal, error.to_string());
            directory.refresh(now).map(|snapshot| snapshot.revision()).map_err(unread)
        }
    });
}

/// What one hears for whom there is no room. RFC 5321 §3.8.
const TURNED_AWAY: &[u8] = b"421 4.7.0 too many connections, try again later\r\n";
