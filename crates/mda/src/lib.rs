//! The delivery agent: puts letters into mailboxes and lets people read them.
//!
//! LMTP comes in on `run/mda.sock` (`deliver`), IMAP on 143 and 993 (`retrieve`), and for the
//! admin's verbs on `run/imap.sock`; POP3 on 110 and 995; ManageSieve on 4190 (`manage`), for the
//! scripts that delivery runs over letters (`rules`). It is the only
//! process that opens the mailboxes (`mailbox`, the one writer). It looks up in its own copy of the
//! directory who exists and how much they may keep, and asks `auth` who somebody is.
//!
//! What it is not: it opens no verifier, makes no connection but to the transfer agent's socket,
//! for letters that rules send; has no queue. What it cannot take it refuses,
//! recipient by recipient, and the MTA in front decides what follows.
//!
//! Who calls it: `posthaste mda` and the supervisor start [`run`].

mod care;
mod custody;
mod deliver;
pub mod limits;
mod manage;
mod retrieve;
mod rules;
mod tutor;
pub mod verbs;

use std::sync::Arc;

use directory::{LoadError, Renewing};
use disk::{Committer, Disk, RealDisk, Space};
use mailbox::{Mailboxes, Options, Retention};
use net::listen::Bound;
use protocol::ipc::{Fault, FaultKind};
use service::{AgentName, Boot, Context, Exit, Fatal, Logins, Start};

use care::Care;
pub use care::verbs as care_verbs;
pub use custody::facts;
use deliver::Deliveries;
use manage::Management;
pub use retrieve::Beginning;
pub use retrieve::Entry;
use retrieve::Retrieval;
use retrieve::pop3::Pop3;
use rules::Rules;
pub use rules::verbs as sieve_verbs;
use tutor::Tutor;

/// Runs the agent in the foreground until it is told to stop.
pub fn run(start: &Start) -> Exit {
    service::daemon::run(start, AgentName::Mda, bind, serve)
}

/// What is opened before the runtime starts.
struct Opened {
    works: Works,
    /// Closing it lays everything out; the last thing that happens.
    committer: Committer,
}

/// What the agent works on. Whose it is and how it is stepped is not the agent's business: a
/// simulation brings its own disk and network.
pub struct Works {
    /// Where letters come in.
    pub lmtp: Bound,
    /// Where people read them.
    pub imap: Vec<(Bound, Entry)>,
    /// Where people fetch them over POP3.
    pub pop3: Vec<(Bound, Beginning)>,
    /// Where people look after their rules.
    pub managesieve: Vec<Bound>,
    /// Who exists.
    pub directory: Arc<Renewing>,
    /// The mailboxes; their batch loop is run by somebody.
    pub mailboxes: Mailboxes,
}

fn bind(boot: &mut Boot) -> Result<Opened, Fatal> {
    let config = boot.config.current();
    let disk: Arc<dyn Disk> = Arc::new(RealDisk);
    let directory = Renewing::open(disk.clone(), &boot.paths.directory())
        .map_err(|error: LoadError| Fatal::no(error.to_string()))?;
    if boot.tls().is_none() && config.listen.imaps != 0 {
        return Err(Fatal::configuration(
            "listen.imaps needs tls.certificate and tls.key; name them, or set it to 0",
        ));
    }
    let mut imap = Vec::new();
    for bound in boot.tcp("imaps", config.listen.imaps)? {
        imap.push((bound, Entry::Tls));
    }
    for bound in boot.tcp("imap", config.listen.imap)? {
        imap.push((bound, Entry::Plain));
    }
    let mut pop3 = Vec::new();
    // Without a certificate there is nothing to open it with; IMAP has said so where it matters.
    if boot.tls().is_some() {
        for bound in boot.tcp("pop3s", config.listen.pop3s)? {
            pop3.push((bound, Beginning::Tls));
        }
    }
    for bound in boot.tcp("pop3", config.listen.pop3)? {
        pop3.push((bound, Beginning::Clear));
    }
    let managesieve = boot.tcp("managesieve", config.listen.managesieve)?;
    imap.push((boot.unix("imap-local", boot.paths.imap_socket())?, Entry::Local));
    let lmtp = boot.unix("lmtp", boot.paths.mda_socket())?;
    let (mailboxes, committer) = open_mailboxes(boot, disk)?;
    let directory = Arc::new(directory);
    let works = Works { lmtp, imap, pop3, managesieve, directory, mailboxes };
    Ok(Opened { works, committer })
}

/// Opens the store and mends what a crash left.
fn open_mailboxes(boot: &Boot, disk: Arc<dyn Disk>) -> Result<(Mailboxes, Committer), Fatal> {
    let config = boot.config.current();
    let clock = boot.clock.clone();
    let mut options = Options::new(boot.paths.mail(), Arc::new(move || clock.now()));
    options.index = Some(boot.paths.index());
    let keys = boot.config.clone();
    options.retention = Retention::new(move || keys.current().mailbox.expunged_kept);
    options.commit.log.segment = config.storage.log_segment;
    options.low_water =
        Space { bytes: config.storage.low_water_bytes, inodes: config.storage.low_water_inodes };
    let opened = Mailboxes::open(disk, options)
        .map_err(|error| Fatal::no(format!("cannot open the mailboxes: {}", detail(&error))))?;
    let recovery = &opened.recovery;
    if recovery.replayed > 0 || recovery.torn > 0 {
        tracing::info!(replayed = recovery.replayed, torn = recovery.torn, "mailboxes recovered");
    }
    if recovery.lost > 0 {
        tracing::error!(
            records = recovery.lost,
            "acknowledged changes of mailboxes cannot be read; the damaged log was kept, run \
             `posthaste ledger` to see which letters are concerned"
        );
    }
    Ok((opened.mailboxes, opened.committer))
}

async fn serve(opened: Opened, context: Context) -> Result<(), Fatal> {
    let Works { mailboxes, directory, .. } = &opened.works;
    Care::new(&context, mailboxes, directory).start(&context);
    let heeded = context.heed("mailboxes", mailboxes.troubles());
    work(opened.works, context).await?;
    // Nobody can ask any more: what is in the log goes to the files.
    opened.committer.close();
    heeded.verdict()
}

/// Takes letters in and shows them until `context.drain` is cancelled. [`run`] is this in a process
/// of its own.
///
/// # Errors
/// When a socket cannot be served.
pub async fn work(works: Works, context: Context) -> Result<(), Fatal> {
    let Works { lmtp, imap, pop3, managesieve, directory, mailboxes } = works;
    renew_directory(&context, &directory);
    let rules = Rules::new(&context);
    custody::register(&context, &mailboxes, &rules);
    rules::verbs::register(&context, &rules);
    let hall = context.hall();
    let tutor = Arc::new(Tutor::new(mailboxes.disk(), context.paths.state().join("junk")));
    let retrieval = Retrieval {
        mailboxes: mailboxes.clone(),
        tutor: tutor.clone(),
        logins: Logins::of(&context),
        directory: directory.clone(),
        config: context.config.clone(),
        clock: context.clock.clone(),
        trail: context.trail.clone(),
        tls: context.tls.clone(),
        drain: context.drain.clone(),
        stop: context.stop.clone(),
    };
    let mut serving = Vec::new();
    for (bound, entry) in imap {
        serving.push(tokio::spawn(retrieval.clone().serve(bound, entry, hall.clone())));
    }
    let fetching = Pop3::new(retrieval.clone());
    for (bound, beginning) in pop3 {
        serving.push(tokio::spawn(fetching.clone().serve(bound, beginning, hall.clone())));
    }
    for bound in managesieve {
        let management = Management::new(retrieval.clone(), rules.clone());
        serving.push(tokio::spawn(management.serve(bound, hall.clone())));
    }
    let closing = mailboxes.clone();
    let deliveries = Arc::new(Deliveries::new(&context, (mailboxes, tutor), directory, rules));
    context.ready();
    deliveries.serve(lmtp, hall).await?;
    for task in serving {
        // A task that panicked has been logged; the others go on.
        let _ = task.await;
    }
    context.tasks.idle().await;
    closing.close_index();
    Ok(())
}

fn renew_directory(context: &Context, directory: &Arc<Renewing>) {
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

/// For the operator, who may know paths.
fn detail(error: &mailbox::Error) -> String {
    match error {
        mailbox::Error::Unavailable(why) | mailbox::Error::Damaged(why) => why.clone(),
        other => other.to_string(),
    }
}
